from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import REPRESENTATIONS
from dolorimeter.representations import Features, Represented
from dolorimeter.types import Recording, Signal, Stimulus, Window

MODALITIES = {
    "eda": "S",
    "ecg": "V",
    "emg_trapezius": "V",
    "emg_corrugator_rectified": "V",
    "resp": "a.u.",
    "ppg": "a.u.",
    "spo2": "1",
    "fnirs_hbo": "mol/L",
    "temperature": "degC",
    "hr": "1/min",
}


def window(
    values: np.ndarray,
    name: str = "eda",
    rate: float = 100.0,
    onset: float | None = None,
    **signal: Any,
) -> Window:
    given: dict[str, Any] = {"unit": MODALITIES.get(name, "a.u."), "unit_confirmed": True}
    made = Signal(np.atleast_2d(values).astype(float), rate, quantity="x", **(given | signal))
    stimulus = Stimulus(onset, None, "PA4", 4)
    recording = Recording("made", "s1", "r1", signals={name: made}, stimuli=(stimulus,))
    return Window(recording, made.start, made.duration, stimulus)


def column(made: Any, name: str) -> np.ndarray:
    return made.x[:, made.names.index(name)]


def response(seconds: float = 12.0, rate: float = 100.0, size: float = 0.4e-6) -> np.ndarray:
    """A level of 5 uS and, from 4 to 7 s, one response."""
    t = np.arange(round(seconds * rate)) / rate
    return 5e-6 + size * np.sin(np.pi * np.clip((t - 4) / 3, 0, 1)) ** 2


def test_registered_by_name() -> None:
    assert REPRESENTATIONS.get("features") is Features
    assert {"features", "raw"} <= set(REPRESENTATIONS.names())


def test_siemens_come_out_in_microsiemens() -> None:
    made = Features("eda")([window(response(), onset=2.0)])
    assert made.x.shape == (1, len(made.names)) == (1, len(made.units))
    assert column(made, "eda_mean")[0] == pytest.approx(1e6 * response().mean())
    assert made.units[made.names.index("eda_slope")] == "uS/s"
    assert column(made, "eda_scr_count")[0] == 1
    assert made.present.tolist() == [True]


def test_every_nan_has_its_sentence() -> None:
    """An absent modality, a window past the end, a gap, a short one, and one without onset."""
    gap = response()
    gap[10] = np.nan
    whole = window(response())
    windows = [
        whole,
        window(response(), name="ecg"),
        Window(whole.recording, 8.0, 5.5, whole.stimulus),
        window(gap),
        Window(whole.recording, 0.0, 2.0, whole.stimulus),
    ]
    made = Features("eda")(windows)
    assert made.present.tolist() == [True, False, False, True, True]
    by_feature: dict[str, int] = {}
    for entry in made.undefined:
        by_feature[entry.feature] = by_feature.get(entry.feature, 0) + entry.windows
    absent = by_feature.pop("eda")
    assert absent == 2
    for name, nan in zip(made.names, np.isnan(made.x[made.present]).sum(axis=0), strict=True):
        assert by_feature.get(name, 0) == nan, name
    said = " ".join(made.notes)
    for reason in (
        "eda: NaN in 1 of 5 windows: the recording has no such signal.",
        "eda: NaN in 1 of 5 windows: the window reaches beyond the signal.",
        "NaN in 1 of 5 windows: samples are missing or not finite.",
        "NaN in 1 of 5 windows: needs at least 3 s, the window has 2 s.",
        "eda_scr_latency: NaN in 1 of 5 windows: the stimulus onset is not known.",
        "needs at least 20 s, the window has 12 s.",
    ):
        assert reason in said, reason


def test_rmssd_of_five_and_a_half_seconds_is_never_a_number() -> None:
    t = np.arange(2816) / 512
    beats = np.exp(-0.5 * (((t % 0.8) - 0.4) / 0.012) ** 2)
    made = Features("ecg")([window(beats, name="ecg", rate=512.0)] * 3)
    assert np.isnan(column(made, "ecg_rmssd")).all()
    assert column(made, "ecg_rate_mean") == pytest.approx(75, abs=0.2)
    assert "ecg_rmssd: NaN in 3 of 3 windows: needs at least 10 s, the window has 5.5 s." in (
        made.notes
    )


def test_spectra_are_refused_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    slow = Features("emg_trapezius")([window(rng.normal(size=550), name="emg_trapezius")])
    assert any(
        note.startswith("emg_trapezius_zero_crossings")
        and "needs a sampling rate of at least 500 Hz, the signal has 100 Hz" in note
        for note in slow.notes
    )
    name = "emg_corrugator_rectified"
    rectified = Features(name)([window(abs(rng.normal(size=2816)), name=name, rate=512.0)])
    assert any("rectified signal has no spectrum" in note for note in rectified.notes)
    assert np.isfinite(column(rectified, f"{name}_rms")).all()


def test_a_gap_in_one_window_does_not_touch_another() -> None:
    gap = response()
    gap[3] = np.inf
    made = Features("eda")([window(gap), window(response())])
    alone = Features("eda")([window(response())])
    assert np.isnan(made.x[0]).all()
    np.testing.assert_array_equal(made.x[1], alone.x[0])


def test_unconfirmed_units_and_thresholds() -> None:
    made = Features("eda")([window(response(), unit_confirmed=False)])
    assert made.notes[0].startswith("the unit of eda (S) is not confirmed: eda_scr_count,")
    made = Features("temperature")([window(response(), name="temperature", unit_confirmed=False)])
    assert made.notes[0] == "the unit of temperature (degC) is not confirmed."


def test_arbitrary_units_have_no_absolute_thresholds() -> None:
    made = Features("eda")([window(response(), unit="a.u.")])
    assert np.isnan(column(made, "eda_scr_count")).all()
    assert column(made, "eda_mean")[0] == pytest.approx(response().mean())
    assert made.units[made.names.index("eda_mean")] == "a.u."
    assert any("its threshold is absolute, the signal is in arbitrary" in n for n in made.notes)


def test_a_wrong_unit_is_refused() -> None:
    with pytest.raises(SignalError, match=r"eda is in V, which does not convert to uS"):
        Features("eda")([window(response(), unit="V")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modality": "heater"}, "no table of features for the modality 'heater'"),
        ({"modality": "eda", "duration": -1.0}, "features eda: duration is -1.0, expected above"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Features(**arguments)


def test_offset_moves_the_window_and_the_onset_with_it() -> None:
    one = window(response(), onset=2.0)
    early = Features("eda", duration=9.0)([one])
    late = Features("eda", offset=1.0, duration=9.0)([one])
    for made in (early, late):
        assert column(made, "eda_scr_latency")[0] == pytest.approx(2, abs=0.2)
    assert column(late, "eda_slope")[0] != column(early, "eda_slope")[0]


def test_windows_of_several_rates_and_lengths_keep_their_order() -> None:
    windows = [
        window(np.full(round(rate * seconds), level), rate=rate)
        for level, (rate, seconds) in enumerate(
            [(100.0, 5.0), (4.0, 30.0), (100.0, 5.0), (64.0, 5.0)]
        )
    ]
    made = Features("eda")(windows)
    np.testing.assert_allclose(column(made, "eda_mean"), np.arange(4) * 1e6)


def test_more_windows_than_a_batch() -> None:
    rng = np.random.default_rng(0)
    levels = rng.uniform(1e-6, 1e-5, 300)
    made = Features("eda")([window(np.full(20, level), rate=4.0) for level in levels])
    np.testing.assert_allclose(column(made, "eda_mean"), 1e6 * levels, rtol=1e-12)
    assert sum(e.windows for e in made.undefined if e.feature == "eda_scr_latency") == 300


@pytest.mark.parametrize("modality", sorted(MODALITIES))
@given(seed=st.integers(0, 1000), row=st.integers(0, 7))
def test_a_batch_of_one_equals_its_row_of_eight(modality: str, seed: int, row: int) -> None:
    rng = np.random.default_rng(seed)
    walks = 1e-6 * np.cumsum(rng.normal(size=(8, 704)), axis=1)
    windows = [window(values, name=modality, rate=128.0) for values in walks]
    many, one = Features(modality)(windows), Features(modality)([windows[row]])
    np.testing.assert_allclose(one.x[0], many.x[row], rtol=1e-7, atol=1e-12)
    assert one.names == many.names


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=12, max_size=12),
    st.sampled_from(sorted(MODALITIES)),
)
def test_whatever_comes_in_nothing_infinite_comes_out(values: list[float], modality: str) -> None:
    """Warnings are errors here, so that overflow or an empty mean would fail too."""
    made = Features(modality)([window(np.repeat(values, 60), name=modality, rate=128.0)])
    assert not np.isinf(made.x).any()
    said = {entry.feature for entry in made.undefined}
    assert {n for n, v in zip(made.names, made.x[0], strict=True) if np.isnan(v)} == said


def test_no_windows_at_all() -> None:
    made = Features("eda")([])
    assert made.x.shape == (0, len(made.names))
    assert made.notes == ()


def test_batches_put_together_are_the_whole(joined: Callable[..., Represented]) -> None:
    windows = [window(response(size=k * 1e-7), onset=2.0) for k in range(6)]
    represent = Features("eda")
    whole = represent(windows)
    parts = joined(represent(windows[:2]), represent(windows[2:]))
    np.testing.assert_array_equal(whole.x, parts.x)
    assert whole.notes == parts.notes
