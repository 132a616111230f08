"""BioVid Heat Pain Database: heat at four calibrated levels, EDA, ECG, EMG and frontal video.

Parts A and B hold clips of 5.5 s, one file a clip, cut after the stimulus began. Part C holds the
continuous recordings of part A's session. The layout is written from published descriptions and
has not been met with the real files by this project: see ``docs/datasets-licensed.md``.
"""

from __future__ import annotations

import re
from collections import Counter
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
    count_rows,
    duplicate_problems,
    find_optional,
    is_lookalike,
    list_dirs,
    list_files,
    names_of,
    one_of,
    read_numbers,
    read_table,
    relative,
    require_dir,
    select_subjects,
    signal_problems,
    without_path,
)
from dolorimeter.datasets._open import unit_problems
from dolorimeter.errors import DatasetError, FileReadError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import (
    Exclusion,
    LazySignals,
    Recording,
    Signal,
    Signals,
    Stimulus,
    Video,
)
from dolorimeter.video import probe

MICROSIEMENS = 1e-6
"""The database's description gives skin conductance in microsiemens (not checked on files)."""
MICROVOLTS = 1e-6
"""The database's description gives ECG and EMG in microvolts (not checked on files)."""

SAMPLING_RATE = 512.0
CLIP_ROWS = 2816
"""5.5 s at 512 Hz."""
VIDEO_RATE = 25.0
VIDEO_FRAMES = 138
"""Of a clip; one more or less is let pass, since 5.5 s at 25 Hz are 137.5."""
CLIPS_PER_CLASS = 20

LEVELS = {"BL1": 0, "PA1": 1, "PA2": 2, "PA3": 3, "PA4": 4}
PARTS = ("A", "B", "C")
SOURCES = ("raw", "filtered")
SUBJECTS = {"A": 87, "B": 86, "C": 87}
SAMPLE_COLUMNS = ("subject_name", "class_id", "class_name", "sample_name")

_SIGNALS = {
    "gsr": ("eda", "S", "conductance", MICROSIEMENS),
    "ecg": ("ecg", "V", "voltage", MICROVOLTS),
    "emg_trapezius": ("emg_trapezius", "V", "voltage", MICROVOLTS),
    "emg_corrugator": ("emg_corrugator", "V", "voltage", MICROVOLTS),
    "emg_zygomaticus": ("emg_zygomaticus", "V", "voltage", MICROVOLTS),
}
_FILTERED = {
    "ecg": "band-pass 0.1–250 Hz",
    "emg_trapezius": "band-pass 20–250 Hz",
    "emg_corrugator": "band-pass 20–250 Hz",
    "emg_zygomaticus": "band-pass 20–250 Hz",
}
"""What the publishers have done in ``biosignals_filtered``, by their description."""
_COLUMNS = {
    "A": ("gsr", "ecg", "emg_trapezius"),
    "B": ("gsr", "ecg", "emg_trapezius", "emg_corrugator", "emg_zygomaticus"),
    "C": ("gsr", "ecg", "emg_trapezius"),
}
_SUBJECT = re.compile(r"\d{6}_[wm]_\d{1,3}")
_SAMPLE = re.compile(r"(?P<subject>\d{6}_[wm]_\d{1,3})-(?P<token>BL1|PA[1-4])-(?P<counter>\d{3})")
_SEX = {"w": "female", "m": "male"}

LOW_REACTIVE = names_of(
    "082315_w_60 082414_m_64 082909_m_47 083009_w_42 083013_w_47 083109_m_60 083114_w_55 "
    "091914_m_46 092009_m_54 092014_m_56 092509_w_51 092714_m_64 100514_w_51 100914_m_39 "
    "101114_w_37 101209_w_61 101809_m_59 101916_m_40 111313_m_64 120614_w_61"
)
HOLD_OUT_VALIDATION = names_of(
    "100914_m_39 101114_w_37 082315_w_60 083114_w_55 083109_m_60 072514_m_27 080309_m_29 "
    "112016_m_25 112310_m_20 092813_w_24 112809_w_23 112909_w_20 071313_m_41 101309_m_48 "
    "101609_m_36 091809_w_43 102214_w_36 102316_w_50 112009_w_43 101814_m_58 101908_m_61 "
    "102309_m_61 112209_m_51 112610_w_60 112914_w_51 120514_w_56"
)


@DATASETS.register(
    DatasetCard(
        name="biovid",
        summary="Heat at four calibrated levels and a baseline: EDA, ECG, EMG, frontal video.",
        paper="Walter et al. 2013, The BioVid Heat Pain Database",
        doi="10.1109/CYBConf.2013.6617456",
        licence="Research agreement; not open",
        obtain="Ask the publishers for the research agreement and sign it; `fetch` cannot get it.",
        sharing="No frame, sample, label list or weight derived from it may be shared; what may "
        "be shown is in the agreement.",
        label_source="stimulus",
        labels="Stimulus levels calibrated between each person's pain threshold (PA1) and "
        "tolerance (PA4), and a baseline (BL1); they are not felt pain.",
        protocols=(
            "leave_one_subject_out over 87",
            "leave_one_subject_out over 67 (without the low-reactive)",
            "hold_out 61/26",
            "group_k_fold of 5",
        ),
        units={name: unit for name, unit, _, _ in _SIGNALS.values()},
        units_confirmed=False,
        person_namespace="biovid",
        subjects=87,
        differences=("Part C is read without stimuli: their times are not in our description.",),
    )
)
class BioVid:
    """Reader of parts A, B and C.

    Parameters
    ----------
    root : path
        The part's folder (with ``biosignals_raw``), or the folder with ``PartA`` in it.
    part : {"A", "B", "C"}
    source : {"raw", "filtered"}
        ``biosignals_raw`` or the publishers' ``biosignals_filtered``.
    check_videos : bool
        Whether `check` also opens every video: its header and first frame, some 20 ms each.

    Raises
    ------
    ConfigError
        For another part or source.
    DatasetError
        If the root is not that part.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "low_reactive": LOW_REACTIVE,
        "hold_out_validation": HOLD_OUT_VALIDATION,
    }

    def __init__(
        self,
        root: str | Path,
        *,
        part: str = "A",
        source: str = "raw",
        check_videos: bool = False,
    ) -> None:
        self.check_videos = check_videos
        self.part = one_of("part", part, PARTS, dataset="biovid")
        self.source = one_of("source", source, SOURCES, dataset="biovid")
        top = require_dir(root, dataset="BioVid")
        folder = f"biosignals_{source}"
        inner = top / f"Part{part}"
        self.root = inner if inner.is_dir() else top
        named = re.fullmatch(r"Part([A-E])", self.root.resolve().name)
        if named and named[1] != part:
            raise DatasetError(
                f"{top}: is part {named[1]}, asked for part {part}. "
                f"Give the folder of part {part}, or use part={named[1]!r}."
            )
        if not (self.root / folder).is_dir():
            other = SOURCES[1 - SOURCES.index(source)]
            if (self.root / f"biosignals_{other}").is_dir():
                raise DatasetError(
                    f"{self.root}: has biosignals_{other} but no {folder}. "
                    f"Use source={other!r}, or complete the copy."
                )
            require_dir(top, f"Part{part}/{folder}", folder, dataset=f"BioVid part {part}")
        self._signals = self.root / folder
        self.lookalike = is_lookalike(top, self.root, self.root.parent)
        self._exclusions: tuple[Exclusion, ...] | None = None

    @property
    def expected_subjects(self) -> int:
        """People in the whole of this part; the Card has those of part A."""
        return SUBJECTS[self.part]

    def subjects(self) -> tuple[str, ...]:
        """Subjects that have a folder (part C: a folder or a file), sorted."""
        found = {d.name for d in list_dirs(self._signals)}
        if self.part == "C":
            files = list_files(self._signals, "_bio.csv")
            found |= {bare_name(path).removesuffix("_bio") for path in files}
        return tuple(sorted(name for name in found if _SUBJECT.fullmatch(name)))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording per clip (part C: per session), by subject and name.

        The counter at the end of a name is an attribute of the stimulus and nothing else. File
        names in published code have the baselines in 081…100 and pain clips below, so that the
        counter is no order in time and tells the class: it is no fact of a recording.

        Clips that are missing, misnamed, contradicted by ``samples.csv`` or of another length
        than 2,816 rows are left out and counted in `exclusions`.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset=f"biovid part {self.part}")
        excluded: list[Exclusion] = []
        listed = self._samples() if self.part != "C" else None
        if listed is not None:
            absent = sorted(set(listed) - set(self.subjects()))
            excluded += [Exclusion(s, "", "subject", "in samples.csv, no folder") for s in absent]
        found: list[Recording] = []
        for subject in chosen:
            if self.part == "C":
                found += self._sessions(subject)
            else:
                names = None if listed is None else listed.get(subject, {})
                found += self._clips(subject, names, excluded)
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
        """``hold_out``: 26 named validation subjects; train are the others that were found."""
        held_out = self.SUBJECT_LISTS["hold_out_validation"]
        train = tuple(s for s in self.subjects() if s not in held_out)
        return {"hold_out": OfficialSplit(train=train, validation=held_out)}

    def check(self) -> CheckReport:
        """Read every file of the part and source, and report what is wrong by file.

        Videos are listed; they are opened only with `check_videos`.
        """
        recordings = self.recordings()
        problems = [self._excluded(e) for e in self.exclusions]
        paths = [path for recording in recordings for path in recording.sources]
        for path in paths:
            problems += self._check_file(path)
        problems += duplicate_problems(paths, self.root)
        problems += self._check_videos(recordings)
        problems += self._check_counts(recordings) + self._check_strays()
        return CheckReport(
            dataset="biovid",
            root=self.root,
            subjects_found=len(self.subjects()),
            subjects_expected=self.expected_subjects,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    def _samples(self) -> dict[str, dict[str, tuple[str, str]]] | None:
        """Subject → sample name → (class id, class name), or None without ``samples.csv``."""
        path = find_optional(self.root, "starting_point/samples.csv") or find_optional(
            self.root, "samples.csv"
        )
        if path is None:
            return None
        table = read_table(path, delimiter="\t", columns=SAMPLE_COLUMNS)
        samples: dict[str, dict[str, tuple[str, str]]] = {}
        for subject, class_id, class_name, name in table[list(SAMPLE_COLUMNS)].to_numpy():
            samples.setdefault(subject, {})[name] = (class_id, class_name)
        return samples

    def _clips(
        self,
        subject: str,
        listed: Mapping[str, tuple[str, str]] | None,
        excluded: list[Exclusion],
    ) -> list[Recording]:
        files = self._clip_files(subject)
        videos = {
            bare_name(path): path for path in list_files(self.root / "video" / subject, ".mp4")
        }
        recordings = []
        for name in sorted(set(files) | set(listed or {})):
            reason = _why_not(subject, name, files.get(name), listed)
            if reason:
                excluded.append(Exclusion(subject, name, "clip", reason))
            else:
                recordings.append(self._clip(subject, name, files[name], videos.get(name)))
        return recordings

    def _clip_files(self, subject: str) -> dict[str, Path]:
        paths = list_files(self._signals / subject, "_bio.csv")
        return {bare_name(path).removesuffix("_bio"): path for path in paths}

    def _clip(self, subject: str, name: str, path: Path, video: Path | None) -> Recording:
        match = _SAMPLE.fullmatch(name)
        assert match is not None
        counter = int(match["counter"])
        token = match["token"]
        attributes: dict[str, str | int | float] = {"counter": counter}
        if LEVELS[token]:
            attributes["modality"] = "heat"
        return Recording(
            dataset="biovid",
            part=self.part,
            subject=subject,
            name=name,
            signals=self._lazy(path),
            videos={"face": Video(video, VIDEO_RATE)} if video else {},
            stimuli=(Stimulus(None, None, token, LEVELS[token], attributes),),
            subject_info=_subject_info(subject),
            sources=(path,),
        )

    def _sessions(self, subject: str) -> list[Recording]:
        flat = find_optional(self._signals, f"{subject}_bio.csv")
        paths = [flat] if flat else []
        paths += list_files(self._signals / subject, "_bio.csv")
        return [
            Recording(
                dataset="biovid",
                part="C",
                subject=subject,
                name=f"C/{bare_name(path).removesuffix('_bio')}",
                signals=self._lazy(path),
                subject_info=_subject_info(subject),
                sources=(path,),
            )
            for path in paths
        ]

    def _lazy(self, path: Path) -> Signals:
        names = [_SIGNALS[column][0] for column in _COLUMNS[self.part]]
        return LazySignals(names, partial(read_clip, path, self.part, self.source))

    # ── checking ────────────────────────────────────────────────────────────────────────────────

    def _excluded(self, exclusion: Exclusion) -> Problem:
        where = f"{self._signals.name}/{exclusion.subject}"
        if exclusion.recording:
            where += f"/{exclusion.recording}_bio.csv"
        words = exclusion.reason
        if "no file" in words or "no folder" in words:
            return Problem(where, words, "missing")
        if "rows" in words:
            return Problem(where, words, "version" if "more than" in words else "short")
        if "samples.csv" in words:
            return Problem(where, words, "label")
        return Problem(where, words, "unreadable" if "cannot" in words else "stray")

    def _check_file(self, path: Path) -> list[Problem]:
        name = relative(path, self.root)
        try:
            names, table = read_numbers(path, delimiter="\t", columns=None)
            wanted = ("time", *_COLUMNS[self.part])
            if set(wanted) <= set(names):
                places = [names.index(column) for column in wanted]
                signals = _signals_of(path, table[:, places], self.part)
            else:
                signals = read_clip(path, self.part)  # names the columns that are missing
        except (RecordingError, FileReadError) as error:
            return [Problem(name, without_path(error, path), "unreadable")]
        problems = signal_problems(name, {k: s.values for k, s in signals.items()})
        problems += unit_problems(name, signals, self.card.units)
        extra = set(names) - {"time", *_COLUMNS[self.part]}
        if extra:
            what = f"columns of another version: {', '.join(sorted(extra))}"
            problems.append(Problem(name, what, "version", "warning"))
        return problems

    def _check_counts(self, recordings: Sequence[Recording]) -> list[Problem]:
        if self.part == "C":
            return []
        counts = Counter((r.subject, r.stimuli[0].condition) for r in recordings)
        problems = []
        for subject in self.subjects():
            wrong = {c: counts[subject, c] for c in LEVELS if counts[subject, c] != 20}
            if wrong:
                words = ", ".join(f"{count} of {c}" for c, count in wrong.items())
                what = f"usable clips: {words}; expected {CLIPS_PER_CLASS} of each class"
                path = f"{self._signals.name}/{subject}"
                problems.append(Problem(path, what, "missing", "warning"))
        return problems

    def _check_strays(self) -> list[Problem]:
        known = {"video", "starting_point", "samples.csv", "subjects.csv"}
        known |= {f"biosignals_{s}" for s in SOURCES}
        known |= {f"{name}.gz" for name in known}
        entries = list_dirs(self.root) + list_files(self.root)
        strays = [p for p in entries if p.name not in known and p.name != "LOOKALIKE.json"]
        for folder in list_dirs(self._signals):
            inside = list_dirs(folder) + list_files(folder)
            if not _SUBJECT.fullmatch(folder.name):
                strays.append(folder)
            else:
                strays += [p for p in inside if not p.name.endswith(("_bio.csv", "_bio.csv.gz"))]
        if self.part != "C":
            strays += list_files(self._signals)
            strays += self._stray_videos()
        words = "not a file of this data set"
        return [Problem(relative(p, self.root), words, "stray", "warning") for p in strays]

    def _stray_videos(self) -> list[Path]:
        """What lies among the videos and is not named after a clip of its subject."""
        top = self.root / "video"
        strays = list_files(top)
        for folder in list_dirs(top):
            if not _SUBJECT.fullmatch(folder.name):
                strays.append(folder)
                continue
            for path in list_dirs(folder) + list_files(folder):
                match = _SAMPLE.fullmatch(path.stem)
                if path.suffix != ".mp4" or not match or match["subject"] != folder.name:
                    strays.append(path)
        return strays

    def _check_videos(self, recordings: Sequence[Recording]) -> list[Problem]:
        """Clips without video, where there are videos; with `check_videos`, what is in them."""
        if self.part == "C" or not (self.root / "video").is_dir():
            return []
        clips = Counter(recording.subject for recording in recordings)
        seen = Counter(recording.subject for recording in recordings if recording.videos)
        problems = [
            Problem(f"video/{s}", f"no video of {clips[s] - seen[s]} of {clips[s]} clips",
                    "missing", "warning")
            for s in clips if seen[s] < clips[s]
        ]  # fmt: skip
        if self.check_videos:
            videos = [video.path for r in recordings for video in r.videos.values()]
            problems += [p for path in videos for p in _video_problems(path, self.root)]
        return problems


def _video_problems(path: Path, root: Path) -> list[Problem]:
    """What a look at header and first frame finds: unreadable, another length, another rate."""
    where = relative(path, root)
    try:
        info = probe(path)
    except RecordingError as error:
        return [Problem(where, without_path(error, path), "unreadable", "warning")]
    problems = []
    if info.frames is None or abs(info.frames - VIDEO_FRAMES) > 1:
        what = f"{info.frames or 'an unknown number of'} frames, expected {VIDEO_FRAMES} ± 1"
        short = info.frames is None or info.frames < VIDEO_FRAMES
        problems.append(Problem(where, what, "short" if short else "version", "warning"))
    if info.frame_rate is None or abs(info.frame_rate - VIDEO_RATE) > 0.1:
        rate = "unknown" if info.frame_rate is None else f"{info.frame_rate:g} Hz"
        what = f"frame rate {rate}, expected {VIDEO_RATE:g} Hz"
        problems.append(Problem(where, what, "version", "warning"))
    return problems


def read_clip(path: Path, part: str, source: str = "raw") -> dict[str, Signal]:
    """Signals of one BioVid file, in SI units.

    Parameters
    ----------
    path : Path
        ``<sample_name>_bio.csv``, plain or gzipped.
    part : {"A", "B", "C"}
        Decides which columns there must be, and whether the length is fixed.
    source : {"raw", "filtered"}
        Of ``filtered`` the signals say by what.

    Raises
    ------
    RecordingError
        If the file is not of that form, of another length, or of another sampling rate.
    """
    _, table = read_numbers(path, delimiter="\t", columns=("time", *_COLUMNS[part]))
    return _signals_of(path, table, part, source)


def _signals_of(
    path: Path, table: Float[np.ndarray, "row column"], part: str, source: str = "raw"
) -> dict[str, Signal]:
    """Signals of a table of the time and the columns of `part`."""
    if part != "C" and len(table) != CLIP_ROWS:
        raise RecordingError(f"{path}: {_length(len(table))} Part C has other lengths: part='C'.")
    _check_time(path, table[:, 0])
    signals = {}
    for i, column in enumerate(_COLUMNS[part], start=1):
        name, unit, quantity, scale = _SIGNALS[column]
        values = np.ascontiguousarray(table[:, i])[None, :] * scale
        filtered = _FILTERED.get(name, "") if source == "filtered" else ""
        signals[name] = Signal(values, SAMPLING_RATE, unit, False, quantity, filtered=filtered)
    return signals


def _length(rows: int) -> str:
    return f"{rows:,} samples of eda, expected {CLIP_ROWS:,} (5.5 s at 512 Hz)."


def _check_time(path: Path, time: Float[np.ndarray, " row"]) -> None:
    """The time column counts microseconds; its mean step must be that of 512 Hz within 1 %."""
    if len(time) < 2:
        raise RecordingError(f"{path}: {len(time)} data rows are no recording.")
    step = (time[-1] - time[0]) / (len(time) - 1)
    wanted = 1e6 / SAMPLING_RATE
    if not abs(step - wanted) <= 0.01 * wanted:
        raise RecordingError(
            f"{path}: the time column advances by {step:,.6g} µs a row, expected {wanted:,.1f} "
            f"({SAMPLING_RATE:g} Hz). Another version or a resampled copy?"
        )


def _why_not(
    subject: str, name: str, path: Path | None, listed: Mapping[str, tuple[str, str]] | None
) -> str:
    """Why a clip is left out, or an empty string."""
    match = _SAMPLE.fullmatch(name)
    if match is None or match["subject"] != subject:
        return f"name is not {subject}-<BL1|PA1…PA4>-<3 digits>"
    if listed is not None:
        if name not in listed:
            return "file is not in samples.csv"
        class_id, class_name = listed[name]
        if class_name != match["token"] or class_id != str(LEVELS[match["token"]]):
            return f"samples.csv says class {class_id} {class_name}, the name {match['token']}"
    if path is None:
        return "no file, although in samples.csv"
    try:
        rows = count_rows(path)
    except RecordingError as error:
        return f"cannot be read: {without_path(error, path)}"
    if rows == CLIP_ROWS:
        return ""
    return f"{rows:,} rows, {'more' if rows > CLIP_ROWS else 'fewer'} than {CLIP_ROWS:,}"


def _subject_info(subject: str) -> dict[str, str | float]:
    _, sex, age = subject.split("_")
    return {"sex": _SEX[sex], "age": float(age)}
