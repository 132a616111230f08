"""BioSPPy's text format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError

HEAD = "# Simple Text Format\n# Sampling Rate (Hz):= 1000.00\n# Resolution:= 12\n# Labels:= Resp\n"


@pytest.mark.parametrize("tree", [".", "examples"])
def test_the_exact_recording(tmp_path: Path, tree: str) -> None:
    folder = tmp_path / tree
    folder.mkdir(exist_ok=True)
    (folder / "resp.txt").write_text(HEAD + "2094.0\n2095.5\n")
    (folder / "emg_1.txt").write_text(HEAD.replace("Resp", "EMG") + "1\n2\n")
    (folder / "notes.txt").write_text("nothing")
    reader = open_dataset("biosppy_examples", tmp_path)
    assert reader.subjects() == ("emg_1", "resp")
    (recording,) = reader.recordings(["resp"])
    signal = recording.signals["resp"]
    np.testing.assert_array_equal(signal.values, [[2094.0, 2095.5]])
    assert (signal.sampling_rate, signal.unit, signal.unit_confirmed) == (1000.0, "a.u.", False)
    assert signal.quantity == "respiration"
    assert list(reader.recordings()[0].signals) == ["emg"]
    assert reader.check().problems == ()
    assert reader.exclusions == ()
    assert reader.official_splits() == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (HEAD, "0 values, expected finite numbers"),
        (HEAD + "1\nx\n", "expected one number a line"),
        (HEAD + "1,5\n", "expected one number a line"),
        (HEAD + "nan\n", "expected finite numbers"),
        (HEAD.replace("1000.00", "0") + "1\n", "header 'Sampling Rate (Hz)' is '0'"),
        (HEAD.replace("Resp", "Foo") + "1\n", "label 'Foo' in the header"),
        ("1\n2\n", "header 'Sampling Rate (Hz)' is None"),
        (HEAD + "\0\n", "a binary file"),
    ],
)
def test_a_faulty_file_is_left_out_and_counted(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "ecg.txt").write_text(text)
    reader = open_dataset("biosppy_examples", tmp_path)
    assert reader.subjects() == ()
    (exclusion,) = reader.exclusions
    assert reason in exclusion.reason
    assert reader.check().count("unreadable") == 1


def test_a_root_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not biosppy_examples: no ecg\.txt"):
        open_dataset("biosppy_examples", tmp_path)


@pytest.mark.shared
def test_the_real_signals(data_root: Path) -> None:
    recordings = open_dataset("biosppy_examples", data_root / "biosppy_examples").recordings()
    lengths = {r.name: next(iter(r.signals.values())).duration for r in recordings}
    assert lengths["eda"] == pytest.approx(150)
    assert lengths["ecg"] == pytest.approx(15)
    assert lengths["eeg_ec"] == pytest.approx(305.752)
    assert len(lengths) == 9
