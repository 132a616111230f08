"""AI4Pain Grand Challenge 2024: electrical stimulation, fNIRS of 48 channels and face video.

One fNIRS file a subject, with sparse event markers; a segment runs from one marker to the next.
The layout is written from published descriptions and has not been met with the real files by this
project: see ``docs/datasets-licensed.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    duplicate_problems,
    is_lookalike,
    list_dirs,
    list_files,
    names_of,
    natural_key,
    one_of,
    read_numbers,
    read_text,
    relative,
    require_dir,
    select_subjects,
    signal_problems,
    stray_problems,
    without_path,
)
from dolorimeter.datasets._open import unit_problems
from dolorimeter.errors import ConfigError, FileReadError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.storage import write_text
from dolorimeter.types import (
    Exclusion,
    LazySignals,
    Recording,
    Signal,
    Signals,
    Stimulus,
    Video,
)

SAMPLING_RATE = 10.0
"""Nominal, as published."""
VIDEO_RATE = 30.0
CHANNELS = tuple(f"channel_{i}" for i in range(1, 49))
COLUMNS = tuple(str(i) for i in range(1, 51))
"""1 is the sample index, 2…49 are the channels, 50 the sparse event marker."""

UNITS = ("subject", "segment")
SPLITS = {"train": "Train", "validation": "Validation", "test": "Test"}
CLIPS = {"B": 1, "L": 12, "H": 12, "R": 23}
CONDITIONS: Mapping[str, tuple[str, int | None]] = {
    "B": ("no_pain", 0),
    "R": ("no_pain", 0),
    "L": ("low_pain", 1),
    "H": ("high_pain", 2),
    "S": ("unlabelled", None),
}
SUBMISSION_LABELS = {"no_pain": "No_Pain", "low_pain": "Low_Pain", "high_pain": "High_Pain"}

TRAIN = names_of(
    "3 4 5 7 8 9 12 13 18 20 21 22 24 26 27 28 29 30 33 34 37 38 39 41 42 43 44 45 46 47 49 51 "
    "52 55 56 59 60 62 63 64 65"
)
VALIDATION = names_of("1 2 10 11 14 17 19 36 48 54 57 58")

_MARKER = re.compile(r"([BLHRS])(\d{1,3})")
_EARLY = re.compile(r"(?:Pain_(HIGH|LOW)|(Rest|Baseline))(?:_(\d{1,3}))?", re.IGNORECASE)
_EARLY_LETTER = {"high": "H", "low": "L", "rest": "R", "baseline": "B"}


@DATASETS.register(
    DatasetCard(
        name="ai4pain_2024",
        summary="Electrical pain, none, low and high: fNIRS of 48 channels and face video.",
        paper="Fernandez Rojas et al. 2024, The AI4Pain Grand Challenge 2024",
        doi="10.1109/ACIIW63320.2024.00012",
        licence="On request; not open",
        obtain="Ask the organisers of the challenge; `fetch` cannot get it.",
        sharing="No frame, sample, label list or weight derived from it may be shared.",
        label_source="stimulus",
        labels="Stimulus levels calibrated between each person's threshold and tolerance; they "
        "are not felt pain. The test set is unlabelled.",
        protocols=("hold_out 41 train / 12 validation / 12 test",),
        units={"fnirs": "a.u."},
        units_confirmed=False,
        person_namespace="ai4pain",
        subjects=65,
        differences=(
            "Whether the channels are haemoglobin or raw intensity is not in our description: "
            "they are read as they are, in arbitrary units.",
        ),
    )
)
class AI4Pain2024:
    """Reader of ``{Train,Validation,Test}/{fnirs,video}``.

    Parameters
    ----------
    root : path
        The folder with ``Train``, ``Validation`` or ``Test`` in it.
    unit : {"subject", "segment"}
        What one recording is. ``subject``: the fNIRS of the whole session, its segments as
        stimuli, and its clips as videos under their names (``"L1"``). ``segment``: one segment,
        its clip as ``videos["face"]``, its fNIRS cut out, and a clock that starts with it.

    Raises
    ------
    ConfigError
        For another unit.
    DatasetError
        If the root is not that data set.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": TRAIN,
        "validation": VALIDATION,
    }

    def __init__(self, root: str | Path, *, unit: str = "subject") -> None:
        self.unit = one_of("unit", unit, UNITS, dataset="ai4pain_2024")
        places = [f"{folder}/{kind}" for folder in SPLITS.values() for kind in ("fnirs", "video")]
        self.root = require_dir(root, *places, dataset="AI4Pain 2024")
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Subjects with an fNIRS file or a video folder in any split, in natural order."""
        return tuple(sorted(self._split_of(), key=natural_key))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording a subject (or a segment): fNIRS, clips as videos, a stimulus a segment.

        A subject without fNIRS has videos only, and stimuli without onset; so has a single
        segment, whose stimulus began with it or before. Files that cannot be read and markers
        that make no sense are left out and counted in `exclusions`.
        """
        return self._units(self._listed(subjects))

    def _listed(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording a subject."""
        chosen = select_subjects(subjects, self.subjects(), dataset="ai4pain_2024")
        excluded: list[Exclusion] = []
        splits = self._split_of()
        found = [self._recording(subject, splits[subject], excluded) for subject in chosen]
        self._exclusions = tuple(excluded)
        return [recording for recording in found if recording is not None]

    def _units(self, recordings: Sequence[Recording]) -> list[Recording]:
        if self.unit == "subject":
            return list(recordings)
        return [segment for recording in recordings for segment in _segments(recording)]

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What the last listing left out and why (lists everything when nothing was yet)."""
        if self._exclusions is None:
            self.recordings()
        assert self._exclusions is not None
        return self._exclusions

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """``challenge``: the published ids; test are the subjects found under ``Test``.

        A look-alike has ids of its own: there the folder decides of all three.
        """
        by = {name: tuple(s for s in self.subjects() if self._split_of()[s][0] == name)
              for name in SPLITS}  # fmt: skip
        if self.lookalike:
            return {"challenge": OfficialSplit(by["train"], by["validation"], by["test"])}
        return {"challenge": OfficialSplit(TRAIN, VALIDATION, by["test"])}

    def check(self) -> CheckReport:
        """Read every fNIRS file, and report what is wrong by file."""
        recordings = self._listed()
        problems = [
            Problem(e.recording or e.subject, f"{e.what}: {e.reason}", "unreadable")
            for e in self.exclusions
        ]
        for recording in recordings:
            problems += self._check_recording(recording)
        files = [path for r in recordings for path in r.sources]
        videos = [video.path for r in recordings for video in r.videos.values()]
        problems += duplicate_problems(files, self.root)
        problems += stray_problems(self.root, [*files, *videos, *self._unreadable()])
        problems += self._check_ids()
        return CheckReport(
            dataset="ai4pain_2024",
            root=self.root,
            subjects_found=len(self.subjects()),
            subjects_expected=65,
            recordings=len(self._units(recordings)),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    def _split_of(self) -> dict[str, list[str]]:
        """Subject → splits it is found in, in the order train, validation, test."""
        found: dict[str, list[str]] = {}
        for split, folder in SPLITS.items():
            names = {bare_name(p) for p in self._files(folder)}
            names |= {d.name for d in list_dirs(self.root / folder / "video")}
            for name in sorted(names):
                if re.fullmatch(r"\d{1,3}", name):
                    found.setdefault(name, []).append(split)
        return found

    def _files(self, folder: str) -> list[Path]:
        return list_files(self.root / folder / "fnirs", ".csv")

    def _recording(
        self, subject: str, splits: Sequence[str], excluded: list[Exclusion]
    ) -> Recording | None:
        folder = SPLITS[splits[0]]
        if len(splits) > 1:
            reason = f"found in {' and '.join(splits)}; read from {splits[0]}"
            excluded.append(Exclusion(subject, "", "split", reason))
        path = next((p for p in self._files(folder) if bare_name(p) == subject), None)
        videos = self._videos(self.root / folder / "video" / subject, subject)
        stimuli: tuple[Stimulus, ...] = ()
        if path is not None:
            try:
                stimuli = read_stimuli(path)
            except RecordingError as error:
                reason = f"cannot be read: {without_path(error, path)}"
                name = relative(path, self.root)
                excluded.append(Exclusion(subject, name, "fnirs", reason))
                path = None
        if path is None:
            if not videos:
                return None
            stimuli = tuple(_stimulus(clip, None, None) for clip in videos)
        return Recording(
            dataset="ai4pain_2024",
            subject=subject,
            name=f"{folder}/{subject}",
            signals=LazySignals(("fnirs",), partial(read_fnirs, path)) if path else {},
            videos=videos,
            stimuli=stimuli,
            subject_info={"split": splits[0]},
            sources=(path,) if path else (),
        )

    def _videos(self, folder: Path, subject: str) -> dict[str, Video]:
        """Clip name (``L1``) → video, also for the file names of the early release."""
        paths = {bare_name(p).removeprefix(f"{subject}_"): p for p in list_files(folder, ".mp4")}
        early = {name: _EARLY.fullmatch(name) for name in paths}
        zero_based = {
            (match[1] or match[2]).lower() for match in early.values() if match and match[3] == "0"
        }
        found = {}
        for name, path in paths.items():
            match = early[name]
            if match:
                kind = (match[1] or match[2]).lower()
                number = int(match[3] or 1) + (kind in zero_based)
                found[f"{_EARLY_LETTER[kind]}{number}"] = Video(path, VIDEO_RATE)
            elif _MARKER.fullmatch(name):
                found[name] = Video(path, VIDEO_RATE)
        return {clip: found[clip] for clip in sorted(found, key=natural_key)}

    # ── checking ────────────────────────────────────────────────────────────────────────────────

    def _unreadable(self) -> list[Path]:
        return [self.root / e.recording for e in self.exclusions if e.what == "fnirs"]

    def _check_recording(self, recording: Recording) -> list[Problem]:
        name = relative(recording.sources[0], self.root) if recording.sources else recording.name
        problems = []
        if recording.sources:
            try:
                signals = recording.load().signals
            except (RecordingError, FileReadError) as error:
                what = without_path(error, recording.sources[0])
                return [Problem(name, what, "unreadable")]
            problems += signal_problems(name, {k: s.values for k, s in signals.items()})
            problems += unit_problems(name, signals, self.card.units)
        else:
            problems.append(Problem(name, "no fnirs file, videos only", "missing", "warning"))
        return problems + _check_segments(name, recording)

    def _check_ids(self) -> list[Problem]:
        wanted = {"train": set(TRAIN), "validation": set(VALIDATION)}
        problems = []
        for subject, splits in sorted(self._split_of().items(), key=lambda i: natural_key(i[0])):
            published = next((s for s, ids in wanted.items() if subject in ids), "test")
            if splits != [published] and not self.lookalike:
                what = f"found in {' and '.join(splits)}, published in {published}"
                problems.append(Problem(f"{SPLITS[splits[0]]}/{subject}", what, "version"))
        return problems


def read_fnirs(path: Path) -> dict[str, Signal]:
    """The 48 channels of one fNIRS file, as they are: quantity and unit are unknown.

    Raises
    ------
    RecordingError
        If the file has not the published form.
    """
    _, table = read_numbers(path, delimiter=",", columns=COLUMNS[1:49])
    values = np.ascontiguousarray(table.T)
    return {"fnirs": Signal(values, SAMPLING_RATE, "a.u.", False, "unknown", channels=CHANNELS)}


def read_segment(path: Path, onset: float, duration: float) -> dict[str, Signal]:
    """The 48 channels of one segment; its first sample is at 0 s.

    Parameters
    ----------
    onset, duration : float
        Seconds from the first sample of the file.

    Raises
    ------
    RecordingError
        If the file has not the published form.
    SignalError
        If it ends before the segment does.
    """
    signals = read_fnirs(path)
    return {
        name: replace(signal.crop(onset, duration), start=0.0) for name, signal in signals.items()
    }


def read_stimuli(path: Path) -> tuple[Stimulus, ...]:
    """The segments of one fNIRS file, from its sparse markers.

    Returns
    -------
    tuple of Stimulus
        In order; onset and duration in seconds from the first sample. The last segment runs to
        the end of the file. A marker repeated on following rows is one segment.

    Raises
    ------
    RecordingError
        If the header or a marker is not of the published form, or a marker returns.
    """
    lines = read_text(path).splitlines()
    header = [cell.strip().strip('"') for cell in lines[0].split(",")]
    if header != list(COLUMNS):
        shown = ",".join(header[:4])
        raise RecordingError(
            f"{path}: header has {len(header)} columns ({shown}…); expected the 50 columns 1…50, "
            "comma-separated: sample index, 48 channels, event marker."
        )
    starts: list[tuple[int, str]] = []
    rows = [line for line in lines[1:] if line.strip()]
    for row, line in enumerate(rows):
        marker = line.rpartition(",")[2].strip().strip('"')
        if not marker or marker.lower() == "nan" or (starts and starts[-1][1] == marker):
            continue
        if not _MARKER.fullmatch(marker):
            raise RecordingError(
                f"{path}, line {row + 2}: event marker {marker[:20]!r}; expected B1, L1…L12, "
                "H1…H12, R1…R23 or S1…S48."
            )
        if any(marker == earlier for _, earlier in starts):
            raise RecordingError(f"{path}, line {row + 2}: event marker {marker} comes twice.")
        starts.append((row, marker))
    ends = [*(start for start, _ in starts), len(rows)][1:]
    return tuple(
        _stimulus(marker, start / SAMPLING_RATE, (end - start) / SAMPLING_RATE, order)
        for order, ((start, marker), end) in enumerate(zip(starts, ends, strict=True), start=1)
    )


def _stimulus(
    clip: str, onset: float | None, duration: float | None, order: int | None = None
) -> Stimulus:
    condition, level = CONDITIONS[clip[0]]
    attributes: dict[str, str | int | float] = {"clip": clip}
    if order is not None:
        attributes["order"] = order
    if clip[0] in "LH":
        attributes["modality"] = "electric"
    return Stimulus(onset, duration, condition, level, attributes)


def _segments(recording: Recording) -> list[Recording]:
    """One recording a segment, in the order of time; clips without a marker come last."""
    segments = {str(stimulus.attributes["clip"]): stimulus for stimulus in recording.stimuli}
    for clip in recording.videos:
        segments.setdefault(clip, _stimulus(clip, None, None))
    return [_segment(recording, clip, stimulus) for clip, stimulus in segments.items()]


def _segment(recording: Recording, clip: str, stimulus: Stimulus) -> Recording:
    video = recording.videos.get(clip)
    signals: Signals = {}
    sources: tuple[Path, ...] = (video.path,) if video else ()
    if stimulus.onset is not None and stimulus.duration is not None:
        sources = recording.sources
        cut = partial(read_segment, sources[0], stimulus.onset, stimulus.duration)
        signals = LazySignals(tuple(recording.signals), cut)
    order = stimulus.attributes.get("order")
    return replace(
        recording,
        name=f"{recording.name}/{clip}",
        signals=signals,
        videos={"face": video} if video else {},
        stimuli=(replace(stimulus, onset=None, duration=None),),
        sources=sources,
        facts={} if order is None else {"clip_index": float(order)},
    )


def _check_segments(name: str, recording: Recording) -> list[Problem]:
    clips = [str(stimulus.attributes["clip"]) for stimulus in recording.stimuli]
    letters = Counter(clip[0] for clip in clips)
    problems = []
    if not letters["S"]:
        wrong = {letter: letters[letter] for letter in CLIPS if letters[letter] != CLIPS[letter]}
        if wrong:
            found = ", ".join(f"{n} of {letter}" for letter, n in wrong.items())
            what = f"segments: {found}; expected 1 of B, 12 of L, 12 of H, 23 of R"
            problems.append(Problem(name, what, "missing", "warning"))
    elif letters["S"] != 48:
        what = f"{letters['S']} segments, expected S1…S48"
        problems.append(Problem(name, what, "missing", "warning"))
    for stimulus in recording.stimuli:
        if stimulus.duration is not None and stimulus.duration < 1.0:
            what = f"segment {stimulus.attributes['clip']} lasts {stimulus.duration:g} s"
            problems.append(Problem(name, what, "short", "warning"))
    return problems


def write_submission(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write the challenge's answer file: one line ``subject, clip, label`` a test segment.

    Parameters
    ----------
    path : Path
        Written atomically; never inside a data root.
    rows : iterable of (subject, clip, condition)
        ``("6", "S1", "high_pain")``; conditions are ``no_pain``, ``low_pain``, ``high_pain``.

    Raises
    ------
    ConfigError
        For another condition, a name that is not one, or a segment answered twice.
    """
    lines = []
    seen = set()
    for subject, clip, condition in rows:
        if condition not in SUBMISSION_LABELS:
            raise ConfigError(
                f"submission: condition {condition!r} for subject {subject}, clip {clip}; "
                f"expected one of {', '.join(SUBMISSION_LABELS)}."
            )
        if not re.fullmatch(r"\w+", subject) or not re.fullmatch(r"\w+", clip):
            raise ConfigError(f"submission: {subject!r}, {clip!r} are not a subject and a clip.")
        if (subject, clip) in seen:
            raise ConfigError(f"submission: subject {subject}, clip {clip} is answered twice.")
        seen.add((subject, clip))
        lines.append(f"{subject}, {clip}, {SUBMISSION_LABELS[condition]}\n")
    write_text(path, "".join(lines))
