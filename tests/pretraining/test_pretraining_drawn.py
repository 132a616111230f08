"""Signals drawn as pictures, as tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.pretraining import pretrain, pretraining_from
from dolorimeter.pretraining._drawn import DrawnSignals
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.signals.pictures import spectrogram_pictures, waveforms


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four recordings in BioSPPy's format, 100 Hz: two of 12 s, two of 9 s."""
    folder = tmp_path / "examples"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, label, seconds in (("ecg", "ECG", 12), ("ecg_1", "ECG", 9), ("eda", "EDA", 12),
                                 ("eda_1", "EDA", 9)):  # fmt: skip
        values = rng.normal(size=seconds * 100).cumsum()
        head = f"# Sampling Rate (Hz):= 100\n# Labels:= {label}\n"
        (folder / f"{name}.txt").write_text(head + "\n".join(map(str, values)))
    return folder


def options(root: Path, **more: Any) -> dict[str, Any]:
    data = {"name": "biosppy_examples", "root": str(root), "modalities": ["ecg", "eda"]}
    windows = {"duration": 4.0, "anchor": "recording", "step": 4.0}
    return {"datasets": [data], "windows": windows} | more


def test_each_window_and_representation_is_a_picture_with_its_labels(root: Path) -> None:
    both = [{"name": "waveform"}, {"name": "spectrogram_psd"}]
    source = from_plain(DrawnSignals, options(root, representations=both, at_once=2), "here")
    blocks = list(source.blocks(["modality", "representation", "subject", "condition"]))
    assert [len(block) for block in blocks] == [6, 4, 6, 4]
    assert [block.namespace for block in blocks] == ["biosppy_examples"] * 4
    assert blocks[1].people == ["ecg_1"] * 4
    assert blocks[1].labels["modality"] == ["ecg"] * 4
    assert blocks[1].labels["representation"] == ["waveform", "spectrogram_psd"] * 2
    assert blocks[1].labels["condition"] == [None] * 4
    assert blocks[0].faults == {"a recording without eda": 1}
    (recording,) = open_dataset("biosppy_examples", root).recordings(["ecg_1"])
    values = recording.signals["ecg"].values[:, 400:800]
    assert (source.picture(1, 2, 64) == waveforms(values, size=64)[0]).all()
    wanted = spectrogram_pictures(values, 100.0, size=32)[0]
    assert (source.picture(1, 3, 32) == wanted).all()
    for block in (0, 2, 3):
        source.picture(block, 0, 32)
    assert len(source._kept) == 2


def test_steps_along_the_recording_come_before_the_drawing(root: Path) -> None:
    steps = [{"name": "lowpass", "cut": 5.0}]
    plain = from_plain(DrawnSignals, options(root), "here")
    smooth = from_plain(DrawnSignals, options(root, preprocessing=steps), "here")
    for source in (plain, smooth):
        list(source.blocks(["modality"]))
    assert (plain.picture(0, 0, 64) != smooth.picture(0, 0, 64)).any()


def test_people_can_be_chosen_and_gaps_are_counted(root: Path) -> None:
    data = options(root)["datasets"][0] | {"subjects": ["eda"], "modalities": ["eda"]}
    source = from_plain(DrawnSignals, options(root, datasets=[data]), "here")
    blocks = list(source.blocks(["channel"]))
    assert [block.labels["channel"] for block in blocks] == [["eda"] * 3]
    (root / "eda.txt").write_text("# Sampling Rate (Hz):= 100\n# Labels:= EDA\n1\n")
    with pytest.raises(RecordingError, match="reaches beyond the signal"):
        source.picture(0, 0, 32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"datasets": []}, ConfigError, "name at least one of each"),
        ({"datasets": [{"name": "x"}]}, ConfigError, "'modalities' is missing"),
        ({"windows": {"step": 1}}, ConfigError, "windows: 'duration' is missing"),
        ({"windows": {"duration": 0}}, ConfigError, "window duration is 0.0 s"),
        ({"representations": [{"name": "raw"}]}, ConfigError, "raw draws no signal"),
        ({"representations": [{"name": "wave"}]}, ConfigError, "did you mean waveform"),
        ({"windows": {"duration": 99, "anchor": "recording"}}, DatasetError, "no window can be"),
    ],
)
def test_what_cannot_be_drawn_is_named(
    root: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(from_plain(DrawnSignals, options(root, **change), "here").blocks(["modality"]))


def test_a_label_that_there_is_not_is_named(root: Path) -> None:
    source = from_plain(DrawnSignals, options(root), "here")
    with pytest.raises(ConfigError, match="no column 'pain'; there are 'channel', 'condition'"):
        list(source.blocks(["pain"]))


def test_a_task_of_drawn_signals_is_trained_on(
    root: Path, small: Callable[..., Any], tmp_path: Path
) -> None:
    task = {
        "name": "signal",
        "reader": "drawn_signals",
        "label": "class",
        "columns": ["modality"],
        "modality": "ecg, eda",
        "options": options(root),
    }
    found = pretrain(pretraining_from(small(tasks=[task], validation=0.25)), tmp_path / "out")
    (report,) = found.tasks
    assert report.labels == ("ecg", "eda")
    assert (report.trained_people, report.validated_people) == (3, 1)
    assert report.trained_rows + report.validated_rows == 10
    assert found.trained_on is not None
    assert list(found.trained_on) == ["biosppy_examples"]
    assert len(found.trained_on["biosppy_examples"]) == 3
    assert report.unreadable == 0
