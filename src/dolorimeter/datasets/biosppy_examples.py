"""Example signals of BioSPPy: one channel a file, raw counts of a 12-bit converter.

https://github.com/PIA-Group/BioSPPy, folder ``examples`` (BSD-3-Clause). Format: header lines
``# Key:= value`` ("Sampling Rate (Hz)", "Labels"), then one value a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    bare_name,
    list_files,
    read_text,
    relative,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets.units import QUANTITIES
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal

NAMES: Mapping[str, str] = {
    "ecg": "ecg",
    "eda": "eda",
    "ppg": "ppg",
    "bvp": "ppg",
    "resp": "resp",
    "emg": "emg",
    "eeg": "eeg",
    "bcg": "bcg",
}
"""Label in the header (lower case) → name. The muscle of the EMG is not stated."""

RATE_KEY = "Sampling Rate (Hz)"


@DATASETS.register(
    DatasetCard(
        name="biosppy_examples",
        summary="BioSPPy's example signals: ECG, EDA, EMG, PPG, respiration, EEG, BCG.",
        paper="Carreiras et al. 2015, BioSPPy",
        code="https://github.com/PIA-Group/BioSPPy",
        licence="BSD-3-Clause",
        obtain="dolorimeter fetch biosppy_examples",
        sharing="Free with attribution (BSD-3-Clause).",
        label_source="procedure",
        labels="None.",
        units=dict.fromkeys(NAMES.values(), "a.u."),
        units_confirmed=False,
        openly_available=True,
    )
)
class BioSPPyExamples(Listed):
    """One recording a file; the file's name stands for the subject, since nobody says who it is.

    Parameters
    ----------
    root : path
        Folder with ``ecg.txt`` and the like (upstream's ``examples``), or the one above it.

    Notes
    -----
    Values are counts of the converter, unit ``a.u.``: amplitudes mean nothing here, times do.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(root, dataset=self.card.name)
        inner = self.root / "examples"
        self._folder = inner if inner.is_dir() else self.root
        if not self._paths:
            raise DatasetError(
                f"{self.root}: is not {self.card.name}: no ecg.txt, eda.txt or the like in it. "
                "Give the folder that holds them."
            )

    @cached_property
    def _paths(self) -> list[Path]:
        known = set(NAMES)
        paths = list_files(self._folder, ".txt")
        return [path for path in paths if bare_name(path).split("_")[0] in known]

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for path in self._paths:
            name = bare_name(path)
            try:
                content = _read(path)
            except RecordingError as error:
                exclusions.append(Exclusion(name, name, relative(path, self.root), str(error)))
                continue
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=name,
                    name=name,
                    signals=LazySignals((content.name,), partial(_signals, path)),
                    sources=(path,),
                )
            )
        return recordings, tuple(exclusions)


@dataclass(frozen=True)
class _Content:
    name: str
    sampling_rate: float
    values: Float[np.ndarray, " time"]


def _read(path: Path) -> _Content:
    lines = read_text(path).splitlines()
    head = 0
    while head < len(lines) and lines[head].startswith("#"):
        head += 1
    facts = {}
    for line in lines[:head]:
        key, _, value = line.lstrip("# ").partition(":=")
        facts[key.strip()] = value.strip()
    rate = _rate(path, facts)
    label = facts.get("Labels", "")
    if label.lower() not in NAMES:
        raise RecordingError(
            f"{path}: label {label!r} in the header, expected one of {', '.join(sorted(NAMES))}."
        )
    try:
        values = np.array(lines[head:], dtype=float)
    except ValueError as error:
        raise RecordingError(f"{path}: {error}; expected one number a line.") from error
    if values.size == 0 or not np.isfinite(values).all():
        raise RecordingError(f"{path}: {values.size} values, expected finite numbers.")
    return _Content(NAMES[label.lower()], rate, values)


def _rate(path: Path, facts: Mapping[str, str]) -> float:
    try:
        rate = float(facts.get(RATE_KEY, ""))
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise RecordingError(
            f"{path}: header '{RATE_KEY}' is {facts.get(RATE_KEY)!r}, expected hertz. Is it in "
            "BioSPPy's text format?"
        )
    return rate


def _signals(path: Path) -> dict[str, Signal]:
    content = _read(path)
    quantity = QUANTITIES.get(content.name, "voltage" if content.name != "bcg" else "other")
    values = content.values[None]
    return {content.name: Signal(values, content.sampling_rate, "a.u.", False, quantity)}
