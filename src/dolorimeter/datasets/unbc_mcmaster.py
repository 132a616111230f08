"""UNBC-McMaster Shoulder Pain Expression Archive: facial action units by frame, and ratings.

A sequence is a recording; its per-frame labels are signals, its ratings are ratings. The layout is
written from published descriptions and has not been met with the real files by this project: see
``docs/datasets-licensed.md``.
"""

from __future__ import annotations

import re
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
    duplicate_problems,
    is_lookalike,
    list_dirs,
    list_files,
    natural_key,
    read_text,
    relative,
    require_dir,
    select_subjects,
    stray_problems,
    without_path,
)
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LabelSource, LazySignals, Rating, Recording, Signal

RATINGS: Mapping[str, LabelSource] = {
    "AFF": "self_report",
    "OPR": "observer",
    "SEN": "self_report",
    "VAS": "self_report",
}
PSPI_UNITS = (4, 6, 7, 9, 10, 43)
"""Action units of the Prkachin and Solomon pain intensity."""

_SUBJECT = re.compile(r"\d{3}-[a-z]{2}\d{3}")
_LABEL = re.compile(r"(?P<frame>.*?(?P<number>\d{3,5}))_facs\.txt")
_FRAME_FOLDERS = ("Frame_Labels/PSPI", "Frame_Labels/FACS")


@DATASETS.register(
    DatasetCard(
        name="unbc_mcmaster",
        summary="Shoulder pain: FACS and PSPI of 48,398 video frames, VAS, SEN, AFF and OPR.",
        paper="Lucey et al. 2011, Painful data: The UNBC-McMaster shoulder pain expression "
        "archive database",
        licence="Agreement; not open",
        obtain="Ask the publishers for the agreement and sign it; `fetch` cannot get it.",
        sharing="No frame, label list or weight derived from it may be shared; what may be shown "
        "is in the agreement.",
        label_source="facs",
        labels="PSPI is computed from facial action units that coders saw, frame by frame; VAS, "
        "SEN and AFF are self-reports and OPR an observer's rating of a whole sequence.",
        protocols=(
            "leave_one_subject_out over 25",
            "group_k_fold of 5",
            "PSPI regression",
            "PSPI ≥ 1, 2, 3",
            "VAS per sequence",
        ),
        units={"pspi": "1", "facs": "1"},
        units_confirmed=False,
        person_namespace="unbc_mcmaster",
        subjects=25,
        differences=(
            "The frame rate is not in our description: the option frame_rate states it.",
        ),
    )
)
class UNBCMcMaster:
    """Reader of ``Frame_Labels``, ``Sequence_Labels`` and ``Images``.

    Parameters
    ----------
    root : path
        The folder with ``Frame_Labels`` in it.
    frame_rate : float, optional
        Frames per second. The files do not state it, so that recordings cannot be read without
        it; subjects can be listed and the files checked. 1 counts time in frames.

    Raises
    ------
    ConfigError
        If the frame rate is not a positive number, or is needed and not stated.
    DatasetError
        If the root is not that data set.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path, *, frame_rate: float | None = None) -> None:
        if frame_rate is not None and not (np.isfinite(frame_rate) and frame_rate > 0):
            raise ConfigError(
                f"unbc_mcmaster: frame_rate is {frame_rate}; expected a positive number of "
                "frames per second."
            )
        self.frame_rate = None if frame_rate is None else float(frame_rate)
        self.root = require_dir(root, *_FRAME_FOLDERS, dataset="UNBC-McMaster")
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Subjects (``042-ll042``) with a folder of frame labels, sorted."""
        found = {folder.name for tree in _FRAME_FOLDERS for folder in list_dirs(self.root / tree)}
        return tuple(sorted(name for name in found if _SUBJECT.fullmatch(name)))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording per sequence, by subject and name.

        Sequences without a usable frame label are left out, unreadable ratings too; both are
        counted in `exclusions`.

        Raises
        ------
        ConfigError
            If the frame rate is not stated: seconds would be frames.
        DatasetError
            If a subject is not there.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset="unbc_mcmaster")
        if self.frame_rate is None:
            raise ConfigError(
                "unbc_mcmaster: the frame rate is not in the files, so that seconds are unknown. "
                "Pass frame_rate=<frames per second>, or frame_rate=1 to count time in frames."
            )
        return self._recordings(chosen, self.frame_rate)

    def _recordings(self, chosen: Sequence[str], frame_rate: float) -> list[Recording]:
        excluded: list[Exclusion] = []
        found = []
        for subject in chosen:
            for sequence in self._sequences(subject):
                recording = self._recording(subject, sequence, frame_rate, excluded)
                if recording is not None:
                    found.append(recording)
        self._exclusions = tuple(excluded)
        return found

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What the last listing left out and why (lists everything when nothing was yet)."""
        if self._exclusions is None:
            self._recordings(self.subjects(), self.frame_rate or 1.0)  # names no time
        assert self._exclusions is not None
        return self._exclusions

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None: the five subject folds of the literature are not in our description."""
        return {}

    def check(self) -> CheckReport:
        """Read every label, recompute PSPI from FACS, and report what is wrong by file."""
        recordings = self._recordings(self.subjects(), self.frame_rate or 1.0)  # names no time
        problems = [
            Problem(e.recording, f"{e.what}: {e.reason}", "unreadable") for e in self.exclusions
        ]
        expected: list[Path] = []
        for recording in recordings:
            problems += self._check_sequence(recording)
            expected += recording.sources
            expected += [self._image_folder(recording) / n for n in _image_names(recording)]
        problems += duplicate_problems(
            [p for p in expected if p.suffix == ".png"], self.root
        ) + stray_problems(self.root, [*expected, *self._rating_files()])
        return CheckReport(
            dataset="unbc_mcmaster",
            root=self.root,
            subjects_found=len(self.subjects()),
            subjects_expected=25,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    def _sequences(self, subject: str) -> list[str]:
        found = {
            folder.name
            for tree in _FRAME_FOLDERS
            for folder in list_dirs(self.root / tree / subject)
        }
        return sorted(found, key=natural_key)

    def _recording(
        self, subject: str, sequence: str, frame_rate: float, excluded: list[Exclusion]
    ) -> Recording | None:
        name = f"{subject}/{sequence}"
        pspi = self._labels(_FRAME_FOLDERS[0], subject, sequence)
        facs = self._labels(_FRAME_FOLDERS[1], subject, sequence)
        numbers = sorted(set(pspi) | set(facs))
        if not numbers or numbers[-1] - numbers[0] > 2 * len(numbers) + 100:
            reason = "no frame label" if not numbers else "frame numbers jump; most are missing"
            excluded.append(Exclusion(subject, name, "sequence", reason))
            return None
        trees = {"pspi": pspi, "facs": facs}
        span = (numbers[0], numbers[-1])
        images = list_files(self.root / "Images" / name, ".png")
        return Recording(
            dataset="unbc_mcmaster",
            subject=subject,
            name=name,
            signals=LazySignals(
                [key for key, files in trees.items() if files],
                partial(read_frames, pspi, facs, span, frame_rate),
            ),
            texts={
                "frame_folder": f"Images/{name}" if images else "",
                "frame_names": "\n".join(p.name for p in images),
            },
            ratings=self._ratings(subject, sequence, excluded),
            sources=(*pspi.values(), *facs.values()),
            facts={"frame_count": float(len(numbers)), "image_count": float(len(images))},
        )

    def _labels(self, tree: str, subject: str, sequence: str) -> dict[int, Path]:
        """Frame number → label file."""
        found = {}
        for path in list_files(self.root / tree / subject / sequence, ".txt"):
            match = _LABEL.fullmatch(path.name)
            if match:
                found[int(match["number"])] = path
        return dict(sorted(found.items()))

    def _ratings(
        self, subject: str, sequence: str, excluded: list[Exclusion]
    ) -> tuple[Rating, ...]:
        ratings = []
        for scale, source in RATINGS.items():
            path = self.root / "Sequence_Labels" / scale / subject / f"{sequence}.txt"
            if path.is_file():
                try:
                    ratings.append(Rating(scale.lower(), read_number(path), source))
                except RecordingError as error:
                    reason = without_path(error, path)
                    where = relative(path, self.root)
                    excluded.append(Exclusion(subject, where, "rating", reason))
        return tuple(ratings)

    def _rating_files(self) -> list[Path]:
        return [
            self.root / "Sequence_Labels" / scale / subject / f"{sequence}.txt"
            for subject in self.subjects()
            for sequence in self._sequences(subject)
            for scale in RATINGS
        ]

    def _image_folder(self, recording: Recording) -> Path:
        return self.root / "Images" / recording.name

    # ── checking ────────────────────────────────────────────────────────────────────────────────

    def _check_sequence(self, recording: Recording) -> list[Problem]:
        name = recording.name
        try:
            signals = recording.load().signals
        except RecordingError as error:
            return [Problem(name, _inside(error, self.root), "unreadable")]
        problems = []
        for key in ("pspi", "facs"):
            if key not in signals:
                problems.append(Problem(name, f"no {key} labels", "missing"))
            elif np.isnan(signals[key].values).any():
                count = int(np.isnan(signals[key].values).any(axis=0).sum())
                what = f"{key}: {count} of {signals[key].values.shape[1]} frames have no label"
                problems.append(Problem(name, what, "missing"))
        scales = {rating.scale for rating in recording.ratings}
        lacking = [scale for scale in RATINGS if scale.lower() not in scales]
        if lacking:
            problems.append(Problem(name, f"no {', '.join(lacking)}", "missing", "warning"))
        images, frames = recording.facts["image_count"], recording.facts["frame_count"]
        if images and images != frames:
            what = f"{images:.0f} images for {frames:.0f} labelled frames"
            problems.append(Problem(name, what, "missing"))
        if {"pspi", "facs"} <= set(signals):
            problems += _compare(name, signals["pspi"], signals["facs"])
        return problems


def _image_names(recording: Recording) -> list[str]:
    names = recording.texts["frame_names"]
    return names.split("\n") if names else []


def _inside(error: RecordingError, root: Path) -> str:
    return str(error).replace(f"{root}/", "")


def _compare(name: str, given: Signal, facs: Signal) -> list[Problem]:
    """Where the PSPI files and the one recomputed from FACS differ, or FACS leaves its scale."""
    rows = {int(channel[2:]): facs.values[i] for i, channel in enumerate(facs.channels)}
    problems = []
    for unit in PSPI_UNITS:
        highest = 1 if unit == 43 else 5
        if unit in rows and (rows[unit] > highest).any():
            what = f"AU{unit} above {highest}: this is no FACS scale, PSPI would be a proxy"
            problems.append(Problem(name, what, "label"))
    zero = np.zeros(facs.values.shape[1])
    computed = pspi(*(rows.get(unit, zero) for unit in PSPI_UNITS))
    wrong = np.abs(computed - given.values[0]) > 1e-6
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = (
            f"PSPI differs from its FACS in {int(wrong.sum())} frames, first in frame "
            f"{first + 1}: file {given.values[0, first]:g}, recomputed {computed[first]:g}"
        )
        problems.append(Problem(name, what, "label"))
    return problems


def pspi(
    au4: Float[np.ndarray, " frame"],
    au6: Float[np.ndarray, " frame"],
    au7: Float[np.ndarray, " frame"],
    au9: Float[np.ndarray, " frame"],
    au10: Float[np.ndarray, " frame"],
    au43: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, " frame"]:
    """Pain intensity from facial action units, 0 to 16.

    PSPI = AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43.

    Parameters
    ----------
    au4, au6, au7, au9, au10 : Float[np.ndarray, "frame"]
        FACS intensity, 0 (absent) to 5. From other scales the result is a proxy, not PSPI.
    au43 : Float[np.ndarray, "frame"]
        Eyes closed, 0 or 1; a blink under 0.5 s is not AU43.

    References
    ----------
    Prkachin and Solomon 2008, The structure, reliability and validity of pain expression.

    Examples
    --------
    >>> one = np.array([1.0])
    >>> pspi(2 * one, one, 3 * one, 0 * one, 4 * one, one)
    array([10.])
    """
    return au4 + np.maximum(au6, au7) + np.maximum(au9, au10) + au43


def read_frames(
    pspi_files: Mapping[int, Path],
    facs_files: Mapping[int, Path],
    span: tuple[int, int],
    frame_rate: float,
) -> dict[str, Signal]:
    """Frame labels of one sequence: ``pspi``, and ``facs`` with a channel an action unit.

    A frame inside `span` (first and last number) without a file is NaN.

    Raises
    ------
    RecordingError
        If a label file is not of the published form.
    """
    frames = span[1] - span[0] + 1
    signals = {}
    if pspi_files:
        values = np.full((1, frames), np.nan)
        for number, path in pspi_files.items():
            values[0, number - span[0]] = read_number(path)
        signals["pspi"] = Signal(values, frame_rate, "1", False, "rating")
    if facs_files:
        coded = {number: read_facs(path) for number, path in facs_files.items()}
        units = sorted(set(PSPI_UNITS).union(*coded.values()))
        values = np.full((len(units), frames), np.nan)
        for number, intensities in coded.items():
            values[:, number - span[0]] = [intensities.get(unit, 0.0) for unit in units]
        channels = tuple(f"au{unit}" for unit in units)
        signals["facs"] = Signal(values, frame_rate, "1", False, "rating", channels=channels)
    return signals


def read_number(path: Path) -> float:
    """The one number of a label file.

    Raises
    ------
    RecordingError
        If the file holds anything else.
    """
    numbers = _numbers(path, read_text(path))
    if len(numbers) != 1 or len(numbers[0]) != 1:
        count = sum(len(row) for row in numbers)
        raise RecordingError(f"{path}: {count} numbers, expected one.")
    return numbers[0][0]


def read_facs(path: Path) -> dict[int, float]:
    """Action unit → intensity of one frame; an empty file codes no action unit.

    Each line begins with the action unit and its intensity; what follows is not read.

    Raises
    ------
    RecordingError
        If a line is anything else, or a unit comes twice with different intensities.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror}).") from error
    if size == 0:
        return {}
    coded: dict[int, float] = {}
    for line, row in enumerate(_numbers(path, read_text(path)), start=1):
        if len(row) < 2 or row[0] != int(row[0]) or not 1 <= row[0] <= 99 or row[1] < 0:
            raise RecordingError(
                f"{path}, line {line}: expected an action unit (1 to 99) and its intensity, "
                f"found {' '.join(f'{value:g}' for value in row[:4])}."
            )
        unit = int(row[0])
        if coded.setdefault(unit, row[1]) != row[1]:
            raise RecordingError(f"{path}, line {line}: AU{unit} comes twice.")
    return coded


def _numbers(path: Path, text: str) -> list[list[float]]:
    rows = []
    for line, words in enumerate(text.splitlines(), start=1):
        try:
            row = [float(word) for word in words.split()]
        except ValueError:
            raise RecordingError(
                f"{path}, line {line}: {words.strip()[:40]!r} is not numbers (decimal mark '.')."
            ) from None
        if not np.isfinite(row).all():
            raise RecordingError(f"{path}, line {line}: a number that is not finite.")
        if row:
            rows.append(row)
    return rows
