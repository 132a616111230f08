"""What the readers of open formats share: names as files write them, and the check.

A file says ``"EKG"``; the field says ``ecg``. `NAMES` is everything that is understood without
the user's help; every other channel keeps its own name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorimeter.datasets._files import CheckReport, Problem, relative, signal_problems
from dolorimeter.datasets.recording_time import TWICE, coverage_warnings, event_warnings
from dolorimeter.datasets.units import size_of, unit_warnings
from dolorimeter.errors import ConfigError, DolorimeterError, RecordingError
from dolorimeter.types import Exclusion, Recording, Signal
from dolorimeter.video import frame_gaps, probe

NAMES: Mapping[str, str] = {
    "ecg": "ecg",
    "ekg": "ecg",
    "eda": "eda",
    "gsr": "eda",
    "skinconductance": "eda",
    "ppg": "ppg",
    "bvp": "ppg",
    "resp": "resp",
    "rsp": "resp",
    "respiration": "resp",
    "respiratory": "resp",
    "spo2": "spo2",
    "temp": "temperature",
    "temperature": "temperature",
    "hr": "hr",
    "heartrate": "hr",
    "emgtrapezius": "emg_trapezius",
    "emgcorrugator": "emg_corrugator",
    "emgzygomaticus": "emg_zygomaticus",
}
"""Channel labels (lower case, letters and digits only) that have one meaning."""


def field_name(label: str, names: Mapping[str, str]) -> str:
    """The field's name of a channel label.

    `names` (what the user said) comes first, then `NAMES`; otherwise the label itself in lower
    case with underscores.
    """
    if label in names:
        return names[label]
    plain = re.sub(r"[^a-z0-9]", "", label.lower())
    return NAMES.get(plain) or re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "unnamed"


def check_names(names: Mapping[str, str], labels: Iterable[str], *, where: object) -> None:
    """Whether every channel that the user renames is in one file at least.

    Raises
    ------
    ConfigError
        Naming those that are not, and what there is.
    """
    have = sorted(set(labels))
    unknown = sorted(set(names) - set(have))
    if unknown:
        raise ConfigError(
            f"{where}: names= asks for {', '.join(map(repr, unknown))}, which no file has; "
            f"there are {', '.join(map(repr, have)) or 'none'}."
        )


def field_names(labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The field's name of every label; a second one of the same name gets a number."""
    given: list[str] = []
    for label in labels:
        name = base = field_name(label, names)
        count = 1
        while name in given:
            count += 1
            name = f"{base}_{count}"
        given.append(name)
    return given


UNEQUAL_SIZE = 300.0
"""Factor between the size of a signal and the median over subjects from which it is reported. The
skin conductance of two people differs by up to about 100; units differ by 1,000."""
EQUAL_RATES = 0.01
"""Relative difference below which two sampling rates are one."""


def check_recordings(
    dataset: str,
    root: Path,
    recordings: Iterable[Recording],
    *,
    subjects: int,
    expected: int | None = None,
    exclusions: Iterable[Exclusion] = (),
    more: Iterable[Problem] = (),
    units: Mapping[str, str] | None = None,
) -> CheckReport:
    """Read every signal of every recording once and return what is wrong, file by file.

    Parameters
    ----------
    dataset : str
        Registry name.
    root : Path
        Folder of the data set.
    recordings : iterable of Recording
        As listed, signals unread.
    subjects : int
        Number of subjects with a recording.
    expected : int, optional
        Number of subjects of the full data set, if known.
    exclusions : iterable of Exclusion
        What the listing left out: a problem of kind ``unreadable``, or a warning for an event
        that is written twice.
    more : iterable of Problem
        What the reader itself reports.
    units : mapping of str to str, optional
        `DatasetCard.units`: no unit is asked for where it says ``a.u.``
    """
    problems = [
        Problem(f"{e.recording}, {e.what}", e.reason, "event", "warning")
        if e.reason == TWICE
        else Problem(e.what, e.reason, "unreadable")
        for e in exclusions
    ]
    problems += more
    sampled: dict[str, list[Sampled]] = {}
    count = 0
    for recording in recordings:
        count += 1
        where = relative(recording.sources[0], root) if recording.sources else recording.name
        covered = {}
        for name in recording.signals:
            try:
                signal = recording.signals[name]
            except DolorimeterError as error:
                problems.append(Problem(where, f"{name}: {error}", "unreadable"))
                continue
            covered[name] = (signal.start, signal.stop)
            problems += signal_problems(where, {name: signal.values})
            problems += unit_problems(where, {name: signal}, units or {})
            size = size_of(name, signal)
            sampled.setdefault(name, []).append(
                Sampled(where, recording.subject, signal.sampling_rate, size)
            )
        problems += time_problems(where, recording, covered)
    problems += unequal_problems(sampled)
    return CheckReport(dataset, root, subjects, expected, count, tuple(problems))


def unit_problems(
    where: str, signals: Mapping[str, Signal], units: Mapping[str, str]
) -> list[Problem]:
    """Return a problem per implausible or unstated unit of the signals of a file.

    Parameters
    ----------
    where : str
        File, relative to the root.
    signals : mapping of str to Signal
        By the field's names.
    units : mapping of str to str
        `DatasetCard.units`.
    """
    return [
        Problem(where, warning, "unit", "warning")
        for name, signal in signals.items()
        for warning in unit_warnings(name, signal, arbitrary=units.get(name) == "a.u.")
    ]


def time_problems(
    where: str, recording: Recording, covered: Mapping[str, tuple[float, float]]
) -> list[Problem]:
    """Return what is wrong with the time and the events of a recording, and its remarks.

    Parameters
    ----------
    where : str
        File, relative to the root.
    recording : Recording
        As listed.
    covered : mapping of str to (float, float)
        Start and stop of each signal that could be read, in seconds. Without any, events are not
        checked.
    """
    problems = [
        Problem(where, f"{r.kind}: {r.detail}" if r.detail else r.kind, "note", "warning")
        for r in recording.remarks
    ]
    problems += [Problem(where, w, "time", "warning") for w in coverage_warnings(covered)]
    if covered:
        start = min(a for a, _ in covered.values())
        stop = max(b for _, b in covered.values())
        warnings = event_warnings(recording.stimuli, start, stop)
        problems += [Problem(where, w, "event", "warning") for w in warnings]
    return problems


def video_problems(where: str, recording: Recording) -> list[Problem]:
    """Return gaps between the frames of a recording's videos, and events outside of them.

    Parameters
    ----------
    where : str
        File, relative to the root.
    recording : Recording
        As listed.
    """
    problems = []
    for name, video in recording.videos.items():
        try:
            gaps, duration = frame_gaps(video.path), probe(video.path).duration
        except RecordingError:
            continue  # the listing names it
        if gaps:
            shown = ", ".join(f"{a:.6g}–{b:.6g} s" for a, b in gaps[:3])
            more = " …" if len(gaps) > 3 else ""
            what = f"{name}: {len(gaps)} stretches without a frame: {shown}{more}"
            problems.append(Problem(where, what, "time", "warning"))
        warnings = event_warnings(recording.stimuli, 0.0, duration)
        problems += [Problem(where, w, "event", "warning") for w in warnings]
    return problems


@dataclass(frozen=True)
class Sampled:
    """Sampling rate and size of one signal of one recording, for a comparison of recordings."""

    where: str
    subject: str
    sampling_rate: float
    size: float


def unequal_problems(sampled: Mapping[str, Sequence[Sampled]]) -> list[Problem]:
    """Return the recordings whose signal has another rate or size than that of the others.

    Parameters
    ----------
    sampled : mapping of str to sequence of Sampled
        Signal → its recordings.

    Returns
    -------
    list of Problem
        Rates are compared with the most frequent one. Sizes are compared with the median over
        subjects, from three subjects on.
    """
    problems = []
    for name, signals in sampled.items():
        rates = Counter(f"{s.sampling_rate:.2g}" for s in signals)
        common = rates.most_common(1)[0][0]
        usual = next(s.sampling_rate for s in signals if f"{s.sampling_rate:.2g}" == common)
        for s in signals:
            if abs(s.sampling_rate / usual - 1) > EQUAL_RATES:
                what = (
                    f"{name}: sampled at {s.sampling_rate:g} Hz, {rates[common]} of "
                    f"{len(signals)} recordings at {usual:g} Hz"
                )
                problems.append(Problem(s.where, what, "unit", "warning"))
        sized = [s for s in signals if np.isfinite(s.size) and s.size > 0]
        if len({s.subject for s in sized}) < 3:
            continue
        by_subject = {
            subject: float(np.median([s.size for s in sized if s.subject == subject]))
            for subject in {s.subject for s in sized}
        }
        typical = float(np.median(list(by_subject.values())))
        for s in sized:
            ratio = s.size / typical
            if max(ratio, 1 / ratio) >= UNEQUAL_SIZE:
                factor, word = (ratio, "larger") if ratio > 1 else (1 / ratio, "smaller")
                what = (
                    f"{name}: {factor:,.0f} times {word} than in the median subject. Has the "
                    "recording another unit?"
                )
                problems.append(Problem(s.where, what, "unit", "warning"))
    return problems


def remark_notes(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Return a sentence per kind of remark, with the number of recordings and without their names.

    Parameters
    ----------
    recordings : iterable of Recording
        Recordings of a run.

    Examples
    --------
    >>> from dolorimeter.types import Remark
    >>> recording = Recording("edf", "s1", "s1", remarks=(Remark("text is Latin-1"),))
    >>> remark_notes([recording])
    ('1 recording: text is Latin-1 (named by: dolorimeter check).',)
    """
    counts = Counter(kind for r in recordings for kind in {remark.kind for remark in r.remarks})
    return tuple(
        f"{n} recording{'s' * (n > 1)}: {kind} (named by: dolorimeter check)."
        for kind, n in counts.items()
    )
