"""AI4Pain Grand Challenge 2025: EDA, blood volume pulse, respiration and SpO2 at 100 Hz.

One file a subject and modality, one column a segment, padded with NaN. A segment is a recording;
segments differ in length. The layout is written from published descriptions and has not been met
with the real files by this project: see ``docs/datasets-licensed.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
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
    list_dirs,
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
from dolorimeter.datasets._open import unit_problems
from dolorimeter.errors import FileReadError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

SAMPLING_RATE = 100.0
PERCENT = 0.01
"""SpO2 is published in percent."""
MICROSIEMENS = 1e-6
"""Assumed: our description of the data set does not state the unit of its EDA."""

SPLITS = ("train", "validation", "test")
MODALITIES = {
    "Eda": ("eda", "S", "conductance", MICROSIEMENS),
    "Bvp": ("ppg", "a.u.", "pulse", 1.0),
    "Resp": ("resp", "a.u.", "respiration", 1.0),
    "SpO2": ("spo2", "1", "saturation", PERCENT),
}
CONDITIONS: Mapping[str, tuple[str, int]] = {
    "baseline": ("no_pain", 0),
    "rest": ("no_pain", 0),
    "low": ("low_pain", 1),
    "high": ("high_pain", 2),
}
SHORTEST = 100
"""A segment under one second is reported as short."""

_STATE = re.compile(r"(?<![a-z])(baseline|rest|low|high)(?![a-z])", re.IGNORECASE)


@DATASETS.register(
    DatasetCard(
        name="ai4pain_2025",
        summary="Electrical pain, none, low and high: EDA, blood volume pulse, respiration, SpO2.",
        paper="Fernandez Rojas et al. 2025, The AI4Pain Grand Challenge 2025",
        licence="On request; not open",
        obtain="Ask the organisers of the challenge; `fetch` cannot get it.",
        sharing="No sample, label list or weight derived from it may be shared; the organisers "
        "accept at most 5 submissions.",
        label_source="stimulus",
        labels="Stimulus levels calibrated between each person's threshold and tolerance; they "
        "are not felt pain. The test set is unlabelled.",
        protocols=("hold_out 41 train / 12 validation / 12 test",),
        units={name: unit for name, unit, _, _ in MODALITIES.values()},
        units_confirmed=False,
        person_namespace="ai4pain",
        subjects=65,
        differences=("EDA is taken to be in microsiemens; our description does not say.",),
    )
)
class AI4Pain2025:
    """Reader of ``{train,validation,test}/{Bvp,Eda,Resp,SpO2}/<subject>.csv``.

    Parameters
    ----------
    root : path
        The folder with ``train``, ``validation`` or ``test`` in it.

    Raises
    ------
    DatasetError
        If the root is not that data set.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path) -> None:
        places = [f"{split}/{modality}" for split in SPLITS for modality in MODALITIES]
        self.root = require_dir(root, *places, dataset="AI4Pain 2025")
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Subjects with a file of any modality in any split, in natural order."""
        return tuple(sorted(self._files(), key=natural_key))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording per segment, in the files' order of columns.

        That this is the order in which segments were recorded is not in our description, so that
        nothing takes it for time.

        A modality may be missing. Files that cannot be read, segments without a state in their
        name (outside the test set) and empty segments are left out and counted in `exclusions`.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset="ai4pain_2025")
        files = self._files()
        excluded: list[Exclusion] = []
        found = []
        for subject in chosen:
            found += self._segments(subject, files[subject], excluded)
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
        """``challenge``: the subjects found under train, validation and test."""
        of = {subject: splits[0][0] for subject, splits in self._files().items()}
        by = {s: tuple(k for k in self.subjects() if of[k] == s) for s in SPLITS}
        return {"challenge": OfficialSplit(by["train"], by["validation"], by["test"])}

    def check(self) -> CheckReport:
        """Read every file, and report what is wrong by file."""
        recordings = self.recordings()
        problems = [
            Problem(e.recording, f"{e.what}: {e.reason}", "unreadable") for e in self.exclusions
        ]
        for recording in recordings:
            problems += self._check_segment(recording)
        files = [path for _, found in self._walk() for path in found]
        for subject, splits in self._files().items():
            lacking = [m for m in MODALITIES if m not in splits[0][1]]
            if lacking:
                what = f"no file of {', '.join(lacking)}"
                problems.append(Problem(f"{splits[0][0]}/{subject}", what, "missing", "warning"))
        problems += duplicate_problems(files, self.root)
        problems += stray_problems(self.root, files)
        return CheckReport(
            dataset="ai4pain_2025",
            root=self.root,
            subjects_found=len(self.subjects()),
            subjects_expected=65,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    def _walk(self) -> list[tuple[tuple[str, str], list[Path]]]:
        return [
            (
                (split, folder.name),
                list_files(folder, ".csv"),
            )
            for split in SPLITS
            for folder in list_dirs(self.root / split)
            if folder.name in MODALITIES
        ]

    def _files(self) -> dict[str, list[tuple[str, dict[str, Path]]]]:
        """Subject → for each split it is in: (split, modality folder → file)."""
        found: dict[str, dict[str, dict[str, Path]]] = {}
        for (split, modality), paths in self._walk():
            for path in paths:
                splits = found.setdefault(bare_name(path), {})
                splits.setdefault(split, {})[modality] = path
        return {subject: list(splits.items()) for subject, splits in sorted(found.items())}

    def _segments(
        self,
        subject: str,
        splits: list[tuple[str, dict[str, Path]]],
        excluded: list[Exclusion],
    ) -> list[Recording]:
        split, files = splits[0]
        for other, _ in splits[1:]:
            reason = f"also found in {other}; read from {split}"
            excluded.append(Exclusion(subject, f"{other}/{subject}", "split", reason))
        lengths: dict[str, dict[str, int]] = {}
        for modality, path in files.items():
            try:
                names, table = _table(path, *_stamp(path))
            except RecordingError as error:
                reason = f"cannot be read: {without_path(error, path)}"
                where = relative(path, self.root)
                excluded.append(Exclusion(subject, where, MODALITIES[modality][0], reason))
                continue
            for column, length in zip(names, _lengths(table), strict=True):
                lengths.setdefault(column, {})[modality] = int(length)
        recordings = []
        for column, by_modality in lengths.items():
            name = f"{split}/{subject}/{column}"
            present = {m: files[m] for m, length in by_modality.items() if length}
            state = _condition(column) if split != "test" else ("unlabelled", None)
            if state is None or not present:
                reason = "empty" if state else "no single state (rest, low, high) in its name"
                excluded.append(Exclusion(subject, name, "segment", reason))
                continue
            recordings.append(
                Recording(
                    dataset="ai4pain_2025",
                    subject=subject,
                    name=name,
                    signals=LazySignals(
                        [MODALITIES[m][0] for m in present],
                        partial(read_segment, present, column),
                    ),
                    stimuli=(Stimulus(None, None, state[0], state[1], {"clip": column}),),
                    subject_info={"split": split},
                    sources=tuple(present.values()),
                    facts={"segment_samples": float(max(by_modality.values()))},
                )
            )
        return recordings

    # ── checking ────────────────────────────────────────────────────────────────────────────────

    def _check_segment(self, recording: Recording) -> list[Problem]:
        signals = recording.load().signals
        problems = signal_problems(recording.name, {k: s.values for k, s in signals.items()})
        problems += unit_problems(recording.name, signals, self.card.units)
        for name, signal in signals.items():
            if signal.values.shape[1] < SHORTEST:
                what = f"{name}: {signal.values.shape[1]} samples, under 1 s"
                problems.append(Problem(recording.name, what, "short", "warning"))
        if "spo2" in signals:
            values = signals["spo2"].values
            outside = (values < 0.5) | (values > 1.0)
            if outside.any():
                what = f"spo2: {int(outside.sum())} samples outside 50–100 % (not in percent?)"
                problems.append(Problem(recording.name, what, "version", "warning"))
        return problems


def read_segment(files: Mapping[str, Path], column: str) -> dict[str, Signal]:
    """Signals of one segment, in SI units, without the padding.

    Parameters
    ----------
    files : mapping of modality folder (``"Eda"``) to Path
    column : str
        The segment's name in the header of each file.

    Raises
    ------
    RecordingError
        If a file is not of the published form, or has not that column.
    """
    signals = {}
    for modality, path in files.items():
        names, table = _table(path, *_stamp(path))
        if column not in names:
            raise RecordingError(
                f"{path}: no segment {column!r}; it has {len(names)}: {', '.join(names[:5])}…"
            )
        values = table[:, names.index(column)]
        values = values[: int(_lengths(values[:, None])[0])]
        name, unit, quantity, scale = MODALITIES[modality]
        signals[name] = Signal(values[None, :] * scale, SAMPLING_RATE, unit, False, quantity)
    return signals


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when the file does."""
    try:
        stat = path.stat()
    except OSError as error:
        raise FileReadError(f"{path}: cannot be read ({error.strerror}).") from error
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def _table(
    path: Path, _changed: int, _size: int
) -> tuple[tuple[str, ...], Float[np.ndarray, "time segment"]]:
    """A whole file; kept for a moment, since its segments are asked for one after the other."""
    names, table = read_numbers(path, delimiter=",", columns=None)
    if len(set(names)) != len(names) or not all(names):
        twice = sorted({n for n in names if names.count(n) > 1 or not n})
        raise RecordingError(f"{path}: segments without a name of their own: {twice[:3]}.")
    if all(re.fullmatch(r"[-+.\d,eE]+", name) for name in names):
        raise RecordingError(f"{path}: the header is missing: the first line is numbers.")
    table.setflags(write=False)
    return names, table


def _lengths(table: Float[np.ndarray, "time segment"]) -> np.ndarray:
    """Samples of each column up to the last one that is no padding."""
    present = ~np.isnan(table)
    last = len(table) - np.argmax(present[::-1], axis=0)
    return np.where(present.any(axis=0), last, 0)


def _condition(column: str) -> tuple[str, int | None] | None:
    """Condition and level from a column's name, or None unless exactly one state is in it."""
    found = {CONDITIONS[state.lower()] for state in _STATE.findall(column)}
    if len(found) != 1:
        return None
    condition, level = found.pop()
    return condition, level
