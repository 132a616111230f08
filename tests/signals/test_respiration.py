import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.signals.respiration import breath_peaks


@pytest.mark.parametrize("rate", [4.0, 25.0, 100.0])
def test_known_breaths(rate: float) -> None:
    t = np.arange(round(60 * rate)) / rate
    x = 4.0 + np.sin(2 * np.pi * 0.25 * t - np.pi / 2)  # tops at 2, 6, 10 … s
    (peaks,) = breath_peaks(x[None], rate)
    np.testing.assert_allclose(peaks / rate, np.arange(2, 60, 4), atol=max(0.15, 1 / rate))


def test_flat_missing_and_gap() -> None:
    t = np.arange(3000) / 50.0
    x = np.stack([np.full(3000, 2.0), np.full(3000, np.nan), np.sin(2 * np.pi * 0.25 * t)])
    x[2, 1000:1400] = np.nan
    flat, gone, broken = breath_peaks(x, 50.0)
    assert len(flat) == len(gone) == 0
    assert not ((broken >= 1000) & (broken < 1400)).any()
    assert len(broken) >= 10


def test_rate_too_low() -> None:
    with pytest.raises(SignalError, match=r"at 0.1 Hz, expected above 0.2 Hz"):
        breath_peaks(np.zeros((1, 100)), 0.1)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["bio_resting_8min_100hz.csv", "bio_eventrelated_100hz.csv"])
def test_real_breaths_agree_with_neurokit(name: str, data_root: Path) -> None:
    import neurokit2 as nk

    resp = pd.read_csv(data_root / "neurokit_data" / name)["RSP"].to_numpy(dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cleaned = nk.rsp_clean(resp, sampling_rate=100)
        theirs = np.asarray(nk.rsp_peaks(cleaned, sampling_rate=100)[1]["RSP_Peaks"])
    (ours,) = breath_peaks(resp[None], 100.0)
    near = np.abs(theirs[:, None] - ours[None, :])
    # a breath lasts seconds and its top is flat: 0.2 s, on nine of ten breaths either way
    assert (near.min(axis=1) <= 20).mean() >= 0.9
    assert (near.min(axis=0) <= 20).mean() >= 0.9
