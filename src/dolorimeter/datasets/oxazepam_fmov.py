"""Oxazepam and emotional mimicry: facial EMG and skin conductance to faces that move. Not pain.

37 people saw four clips each of an angry, a happy and a neutral face. Nilsonne et al., data and
code: https://github.com/GNilsonne/Data-and-analysis-code-Oxazepam-and-emotion-2 (CC0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    Problem,
    bare_name,
    list_files,
    natural_key,
    read_bytes,
    read_numbers,
    relative,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.errors import DatasetError, DolorimeterError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

SAMPLING_RATE = 100.0
"""Hertz: "Sampling was at 10 millisecond intervals" (FMOV_Preprocessing.R)."""

MICROMHO = 1e-6
"""Skin conductance in umho (codebook); a mho is a siemens."""

MILLIVOLT = 1e-3
"""EMG in mV (codebook)."""

EIGHT = (
    "eda",
    "emg_zygomaticus",
    "emg_corrugator",
    "emg_zygomaticus_rectified",
    "emg_corrugator_rectified",
    "angry",
    "happy",
    "neutral",
)
TEN = ("time", *EIGHT[:2], "ecg", *EIGHT[2:])
"""Columns as the codebook lists them, for the two layouts."""

CONDITIONS = EIGHT[5:]

TRIGGER = 5.0
"""Volts of the trigger; its fall is the event (FMOV_Preprocessing.R: ``diff == -5``)."""

FLAT_EDA = 0.5e-6
"""Siemens. Skin of a person conducts more; a median below is a sensor off the skin."""

EVENTS = 4
"""Clips of each condition."""


@DATASETS.register(
    DatasetCard(
        name="oxazepam_fmov",
        summary="Skin conductance and facial EMG of 37 people to angry, happy and neutral clips.",
        paper="Nilsonne et al., oxazepam and emotional mimicry",
        code="https://github.com/GNilsonne/Data-and-analysis-code-Oxazepam-and-emotion-2",
        licence="CC0-1.0",
        obtain="dolorimeter fetch oxazepam_fmov",
        sharing="Free (CC0).",
        label_source="stimulus",
        labels="The emotion shown in a clip; neither pain nor what was felt.",
        protocols=("leave one subject out, happy against angry",),
        units={"eda": "S", "emg_corrugator": "V", "emg_zygomaticus": "V"},
        units_confirmed=False,
        person_namespace="oxazepam",
        subjects=37,
        openly_available=True,
    )
)
class OxazepamFMOV(Listed):
    """Recordings of 4 to 7 minutes at 100 Hz, twelve events each.

    Parameters
    ----------
    root : path
        Upstream's tree (``FMOV/09_FMOV_preprocessed.txt``) or a flat folder of the files; files
        may be gzipped, subjects may be missing.

    Notes
    -----
    ``emg_corrugator`` and ``emg_zygomaticus`` are the *raw* EMG, exported at 100 Hz and therefore
    under-sampled: no spectral feature of them means anything. ``emg_corrugator_rectified`` and
    ``emg_zygomaticus_rectified`` are the average rectified ones, for amplitudes. The codebook
    gives them in mV, yet they are about 33 times smaller than the mean of the raw one's absolute
    values (1/1000 of it in the very first sample): their unit stays unconfirmed.

    An event is the *fall* of its trigger, as in the authors' script; the pulse before it lasts
    0.1 s and says nothing of the clip, whose duration is unknown (None). The layout of ten columns
    (with time and ECG) follows the codebook; the authors' script names its columns 4 to 6 in
    another order and no such file is among those seen, so that nothing in it counts as confirmed.
    """

    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {"flat_eda": ("25",)}

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(root, dataset=self.card.name)
        folder = self.root / "FMOV"
        self._folder = folder if folder.is_dir() else self.root
        if not self._files:
            raise DatasetError(
                f"{self.root}: is not {self.card.name}: no NN_FMOV_preprocessed.txt (nor .gz) in "
                "it or in its folder FMOV. Give the folder that holds them."
            )

    @cached_property
    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in list_files(self._folder, ".txt"):
            match = re.fullmatch(r"(\d+)_FMOV_preprocessed", bare_name(path))
            if match:
                found.setdefault(match[1], path)  # the plain file comes before the gzipped one
        return {subject: found[subject] for subject in sorted(found, key=natural_key)}

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for subject, path in self._files.items():
            try:
                names, table = _read(path)
                stimuli = _events(path, names, table)
            except RecordingError as error:
                where = relative(path, self.root)
                exclusions.append(Exclusion(subject, subject, where, str(error)))
                continue
            signals = [n for n in names if n not in CONDITIONS and n != "time"]
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=subject,
                    signals=LazySignals(signals, partial(_signals, path)),
                    stimuli=stimuli,
                    sources=(path,),
                )
            )
        return recordings, tuple(exclusions)

    def _oddities(self) -> Iterable[Problem]:
        """Skin conductance that no skin has, and missing events."""
        more: list[Problem] = []
        for recording in self._listing[0]:
            where = relative(recording.sources[0], self.root)
            for condition in CONDITIONS:
                count = sum(s.condition == condition for s in recording.stimuli)
                if count != EVENTS:
                    what = f"{count} events of {condition}, expected {EVENTS}"
                    more.append(Problem(where, what, "short", "warning"))
            try:
                eda = recording.signals["eda"].values
            except DolorimeterError:
                continue  # check_recordings names it
            if np.nanmedian(np.abs(eda)) < FLAT_EDA:
                what = (
                    f"eda: flat, between {np.nanmin(eda) * 1e6:.2f} and "
                    f"{np.nanmax(eda) * 1e6:.2f} microsiemens: the sensor was off"
                )
                more.append(Problem(where, what, "flat"))
        return more


def _read(path: Path) -> tuple[tuple[str, ...], Float[np.ndarray, "time column"]]:
    """The table with the names of its layout."""
    first = read_bytes(path).split(b"\n", 1)[0].rstrip(b"\r\t")
    count = first.count(b"\t") + 1
    names = {len(EIGHT): EIGHT, len(TEN): TEN}.get(count)
    if names is None:
        raise RecordingError(
            f"{path}: {count} tab-separated columns, expected 8 or 10 (codebook). The file "
            "is truncated, or its delimiter differs."
        )
    _, table = read_numbers(path, delimiter="\t", columns=names, header=False, drop_trailing=True)
    if names is TEN:
        _check_rate(path, table[:, 0])
    return names, table


def _check_rate(path: Path, minutes: Float[np.ndarray, " time"]) -> None:
    step = float(np.median(np.diff(minutes))) * 60 if len(minutes) > 1 else 1 / SAMPLING_RATE
    if not abs(step * SAMPLING_RATE - 1) < 0.05:
        raise RecordingError(
            f"{path}: its time column steps by {step:g} s, expected {1 / SAMPLING_RATE:g} s. Is "
            "the first column time in minutes?"
        )


def _signals(path: Path) -> dict[str, Signal]:
    names, table = _read(path)
    sure = names is EIGHT
    signals = {}
    for name, column in zip(names, table.T, strict=True):
        if name == "eda":
            values = column[None] * MICROMHO
            signals[name] = Signal(values, SAMPLING_RATE, "S", sure, "conductance")
        elif name.startswith(("emg", "ecg")):
            known = sure and not name.endswith("rectified")
            values = column[None] * MILLIVOLT
            signals[name] = Signal(values, SAMPLING_RATE, "V", known, "voltage")
    return signals


def _events(
    path: Path, names: Sequence[str], table: Float[np.ndarray, "time column"]
) -> tuple[Stimulus, ...]:
    events = []
    for condition in CONDITIONS:
        trigger = table[:, names.index(condition)]
        if not np.isin(trigger, (0.0, TRIGGER)).all():
            odd = trigger[~np.isin(trigger, (0.0, TRIGGER))][0]
            raise RecordingError(
                f"{path}: the trigger of {condition} holds {odd:g}, expected 0 and {TRIGGER:g} "
                "only. The columns are in another order, or a line is damaged."
            )
        falls = np.flatnonzero(np.diff(trigger) == -TRIGGER) + 1
        events += [Stimulus(float(i) / SAMPLING_RATE, None, condition) for i in falls]
    return tuple(sorted(events, key=lambda event: event.onset or 0.0))
