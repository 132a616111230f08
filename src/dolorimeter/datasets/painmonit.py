"""PainMonit experimental data set (PMED): heat pain, wrist and chest sensors, continuous rating.

One file a subject: semicolons, decimal commas, 250 Hz. The layout is written from published
descriptions and has not been met with the real files by this project: see
``docs/datasets-licensed.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    duplicate_problems,
    is_lookalike,
    list_files,
    natural_key,
    read_numbers,
    relative,
    require_dir,
    select_subjects,
    signal_problems,
    stray_problems,
    without_path,
)
from dolorimeter.datasets._open import time_problems, unit_problems
from dolorimeter.datasets.recording_time import Clock, clock_of
from dolorimeter.datasets.units import check_stated, signal_in_si
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

MICROSIEMENS = 1e-6
"""Assumed for both skin conductances: our description does not state their unit."""

SAMPLING_RATE = 250.0
BASELINE = 32.0
"""Temperature of the thermode between stimuli, degrees Celsius."""
SHORTEST_PLATEAU = 1.0
"""Seconds; a shorter run of one temperature is a ramp, not a stimulus."""
TEMPERATURE_STEP = 0.1
"""Degrees Celsius; temperatures are told apart at this resolution."""

_SIGNALS = {
    "Bvp": ("ppg", "a.u.", "pulse", 1.0),
    "Eda_E4": ("eda_e4", "S", "conductance", MICROSIEMENS),
    "Tmp": ("temperature", "degC", "temperature", 1.0),
    "Ibi": ("ibi", "s", "interval", 1.0),
    "Hr": ("hr", "1/min", "rate", 1.0),
    "Resp": ("resp", "a.u.", "respiration", 1.0),
    "Eda_RB": ("eda", "S", "conductance", MICROSIEMENS),
    "Ecg": ("ecg", "a.u.", "voltage", 1.0),
    "Emg": ("emg", "a.u.", "voltage", 1.0),
    "Heater [C]": ("heater", "degC", "temperature", 1.0),
    "COVAS": ("covas", "a.u.", "rating", 1.0),
    "Heater_cleaned": ("heater_cleaned", "degC", "temperature", 1.0),
}


@DATASETS.register(
    DatasetCard(
        name="painmonit",
        summary="Heat pain (PMED): two skin conductances, pulse, ECG, EMG, respiration, COVAS.",
        paper="Gouverneur et al. 2024, An Experimental and Clinical Physiological Signal Dataset "
        "for Automated Pain Recognition",
        doi="10.1038/s41597-024-03878-w",
        licence="Agreement (figshare); not open",
        obtain="Ask on figshare and accept the agreement; `fetch` cannot get it.",
        sharing="No sample, label list or weight derived from it may be shared.",
        label_source="stimulus",
        labels="Heater temperatures, ranked within each person; COVAS is the person's own "
        "continuous rating and comes as a signal.",
        protocols=("leave_one_subject_out over 52", "windows of 10 s"),
        units={name: unit for name, unit, _, _ in _SIGNALS.values()},
        units_confirmed=False,
        person_namespace="painmonit",
        subjects=52,
        differences=(
            "Stimuli are our own reading of the column Heater_cleaned: a run of one temperature "
            "of at least 1 s; 32 °C is the baseline.",
            "Units of both skin conductances are taken to be microsiemens.",
        ),
    )
)
class PainMonit:
    """Reader of the subject files.

    Parameters
    ----------
    root : path
        The folder with one CSV file per subject.
    unit : mapping of str to str, optional
        Name of a signal → unit that you know it to have (``{"ecg": "mV"}``); it replaces the
        assumed one.

    Raises
    ------
    DatasetError
        If no file in the root has the header of this data set.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path, *, unit: Mapping[str, str] | None = None) -> None:
        self.root = require_dir(root, dataset="PainMonit")
        self.unit = dict(unit or {})
        check_stated(self.unit, (name for name, _, _, _ in _SIGNALS.values()))
        if not self._files():
            raise DatasetError(
                f"{self.root}: is not PainMonit: looked for one .csv file a subject, found none. "
                "Give the folder that holds them."
            )
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Names of the subject files without their ending, in natural order."""
        return tuple(self._files())

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording a subject; its stimuli are read from the heater's column.

        Files that cannot be read are left out and counted in `exclusions`.
        """
        files = self._files()
        excluded = []
        found = []
        for subject in select_subjects(subjects, self.subjects(), dataset="painmonit"):
            path = files[subject]
            try:
                found.append(_recording(subject, path, self.unit))
            except RecordingError as error:
                reason = without_path(error, path)
                excluded.append(Exclusion(subject, subject, "recording", reason))
        self._exclusions = tuple(excluded)
        return found

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What the last listing left out and why (lists everything when nothing was yet)."""
        if self._exclusions is None:
            self.recordings()
        assert self._exclusions is not None
        return self._exclusions

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None are published."""
        return {}

    def check(self) -> CheckReport:
        """Read every file, and report what is wrong by file."""
        files = self._files()
        recordings = self.recordings()
        problems = [
            Problem(relative(files[e.subject], self.root), e.reason, "unreadable")
            for e in self.exclusions
        ]
        for recording in recordings:
            name = relative(recording.sources[0], self.root)
            try:
                signals = recording.load().signals
            except RecordingError as error:
                what = without_path(error, recording.sources[0])
                problems.append(Problem(name, what, "unreadable"))
                continue
            problems += unit_problems(name, signals, self.card.units)
            covered = {key: (signal.start, signal.stop) for key, signal in signals.items()}
            problems += time_problems(name, recording, covered)
            values = {key: signal.values for key, signal in signals.items()}
            sparse = {key: values.pop(key) for key in ("ibi", "hr")}
            problems += signal_problems(name, values)
            problems += [
                Problem(name, f"{key}: no value at all", "missing", "warning")
                for key, row in sparse.items()
                if np.isnan(row).all()
            ]
            if not any(s.level for s in recording.stimuli):
                problems.append(Problem(name, "no heat stimulus found", "missing", "warning"))
        problems += duplicate_problems(files.values(), self.root)
        problems += stray_problems(self.root, files.values())
        return CheckReport(
            dataset="painmonit",
            root=self.root,
            subjects_found=len(files),
            subjects_expected=52,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    def _files(self) -> dict[str, Path]:
        files = {bare_name(path): path for path in list_files(self.root, ".csv")}
        return {name: files[name] for name in sorted(files, key=natural_key)}


def _recording(subject: str, path: Path, unit: Mapping[str, str]) -> Recording:
    names = [name for name, _, _, _ in _SIGNALS.values()]
    clock, _ = _placed(path, ("Heater_cleaned",))
    return Recording(
        dataset="painmonit",
        subject=subject,
        name=subject,
        signals=LazySignals(names, partial(read_subject, path, unit)),
        stimuli=read_stimuli(path),
        sources=(path,),
        remarks=clock.remarks,
    )


def read_subject(path: Path, unit: Mapping[str, str] | None = None) -> dict[str, Signal]:
    """Read all signals of one subject's file, in SI units where the unit is known or assumed.

    Parameters
    ----------
    path : Path
        The file. A gap in its column of seconds becomes missing samples (NaN).
    unit : mapping of str to str, optional
        Name of a signal → unit that the user states.

    Raises
    ------
    RecordingError
        If the file has not the published form, or another sampling rate.
    """
    _, table = _placed(path, tuple(_SIGNALS))
    signals = {}
    for column, (name, written, quantity, scale) in zip(table, _SIGNALS.values(), strict=True):
        values = np.ascontiguousarray(column)
        stated = (unit or {}).get(name)
        if stated is not None:
            signals[name] = signal_in_si(name, values, SAMPLING_RATE, "", stated=stated)
        else:
            signals[name] = Signal(values[None] * scale, SAMPLING_RATE, written, False, quantity)
    return signals


def read_stimuli(path: Path) -> tuple[Stimulus, ...]:
    """Runs of one temperature in ``Heater_cleaned``, at least `SHORTEST_PLATEAU` long.

    Returns
    -------
    tuple of Stimulus
        ``baseline`` (level 0) at 32 °C, and ``heat_1``, ``heat_2`` … (level 1, 2 …) by rising
        temperature within this subject; onset and duration in seconds from the first sample.

    Raises
    ------
    RecordingError
        If the file has not the published form.
    """
    _, (heater,) = _placed(path, ("Heater_cleaned",))
    steps = np.round(heater / TEMPERATURE_STEP)
    same = (steps[1:] == steps[:-1]) | (np.isnan(steps[1:]) & np.isnan(steps[:-1]))
    starts = np.concatenate(([0], np.flatnonzero(~same) + 1))
    stops = np.concatenate((starts[1:], [len(steps)]))
    keep = (stops - starts >= SHORTEST_PLATEAU * SAMPLING_RATE) & ~np.isnan(steps[starts])
    baseline = round(BASELINE / TEMPERATURE_STEP)
    warm = sorted({float(s) for s in steps[starts[keep]] if s > baseline})
    levels = {float(baseline): 0} | {step: level for level, step in enumerate(warm, start=1)}
    stimuli = []
    for start, stop in zip(starts[keep], stops[keep], strict=True):
        level = levels.get(float(steps[start]))
        if level is None:
            continue
        attributes: dict[str, str | int | float] = {
            "temperature": round(float(steps[start]) * TEMPERATURE_STEP, 1)
        }
        if level:
            attributes["modality"] = "heat"
        onset, duration = start / SAMPLING_RATE, (stop - start) / SAMPLING_RATE
        condition = f"heat_{level}" if level else "baseline"
        stimuli.append(Stimulus(float(onset), float(duration), condition, level, attributes))
    return tuple(stimuli)


def _placed(path: Path, columns: Sequence[str]) -> tuple[Clock, Float[np.ndarray, "column time"]]:
    """Return the clock of the column Seconds, and other columns on it; gaps are NaN.

    Raises
    ------
    RecordingError
        If the rate is not 250 Hz within 1 %.
    """
    _, table = read_numbers(path, delimiter=";", columns=("Seconds", *columns), decimal=",")
    seconds = table[:, 0]
    if len(seconds) < 2:
        raise RecordingError(f"{path}: {len(seconds)} data rows are no recording.")
    if (np.diff(seconds) == 0).mean() > 0.2:  # stamps coarser than a sample: their mean must do
        rate = (len(seconds) - 1) / max(float(seconds[-1] - seconds[0]), 1e-9)
        clock = Clock(0.0, SAMPLING_RATE, np.arange(len(seconds)))
    else:
        clock = clock_of(seconds, where=path, stated_rate=SAMPLING_RATE)
        rate = clock.sampling_rate
    if not abs(rate / SAMPLING_RATE - 1.0) <= 0.01:
        raise RecordingError(
            f"{path}: Seconds advances by {1 / rate:.6g} s per row, expected "
            f"{1 / SAMPLING_RATE:g} s ({SAMPLING_RATE:g} Hz). Another version?"
        )
    return clock, clock.place(table[:, 1:].T)
