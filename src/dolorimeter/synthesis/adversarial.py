"""Adversarial cohorts: small data sets that break assumptions which code and tests tend to share.

A cohort is written in one of several layouts. Each *property* breaks one assumption: every subject
has every class, a file is a person, a stimulus has one window, time is what the header says, and
so on. Properties can be switched on one by one or all together.

This module shares no code with the readers or with the look-alikes: it writes every file with
NumPy and the standard library (h5py for SNIRF, pyarrow for Parquet). What the files hold follows
from the formulas below, so that the right answer of every step is known without running it.

Formulas
--------
Subjects are numbered i = 1 … n, stimuli of a subject k = 0 … 8.

- The level of stimulus k is the k-th entry of the permutation by ``default_rng([seed, i])`` of
  ``[0, 0, 0, 1, 1, 1, 2, 2, 2]``; levels 0, 1, 2 are the conditions ``rest``, ``low``, ``high``.
- Stimulus k of a session begins at ``10 + (d + 10) k`` s and lasts d = 10 s (30 s with
  ``many_windows``).
- The skin conductance of a stimulus is ``5 + 0.05 i + s (level - 1) + w`` µS, with s = -1 for
  every fourth subject and 1 for the others, and ``w = 0.4 (frac(0.6180339887 (17 i + k + 1)) -
  0.5)``. Outside the stimuli it is ``5 + 0.05 i`` µS. A sinusoid of 1 Hz (2 Hz in BioVid) is added
  that has whole periods in a stimulus, so that the mean of a stimulus is exact. Its amplitude is
  ``0.1 (1 + r / 2)`` µS in the subject's r-th stimulus of the level (r = 0, 1, 2), so that it
  tells nothing about the level, and 0.1 µS outside the stimuli.
- The heart rate of subject i is ``60 + (7 i mod 31)`` beats per minute, the first beat half a
  period after the start. It does not depend on the level. A sinusoid of 0.3 Hz and 100 µV is
  added to the ECG.
- The rating of a stimulus is ``2 level + 0.1 k``.

A linear model of the mean conductance is therefore right in every window of three subjects out of
four and wrong in every window of the fourth, whoever is left out.
"""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.storage import atomic_path

CONDITIONS = ("rest", "low", "high")
"""Conditions of levels 0, 1 and 2."""
STIMULI = 9
"""Stimuli per subject, three per condition."""
EDA_RATE, ECG_RATE, FNIRS_RATE = 16.0, 128.0, 8.0
"""Sampling rates of the continuous layouts, in hertz."""
ROLES = 12
"""Smallest number of subjects: each of the first twelve has a role in some property."""
MARK = "LOOKALIKE.json"
NOTICE = (
    "Synthesised by dolorimeter as an adversarial cohort. There is no person behind these data: "
    "every value follows from a formula. For tests of software only; results say nothing about "
    "pain."
)

CONTINUOUS = ("folder", "bids", "edf", "snirf")
TABLES = ("feature_table", "feature_table_parquet")
CLIPS = ("biovid", "ai4pain_2025")
LAYOUTS = (*CONTINUOUS, *TABLES, *CLIPS)
"""Layouts that can be written."""


@dataclass(frozen=True)
class Property:
    """One broken assumption.

    Parameters
    ----------
    summary : str
        What is unusual about the cohort, and in which subject.
    layouts : tuple of str
        Layouts that can express it.
    """

    summary: str
    layouts: tuple[str, ...] = LAYOUTS


GAP = 1
"""Trial of subject 10, counted from 0, in which `gaps` takes samples away."""

PROPERTIES: Mapping[str, Property] = {
    "missing_class": Property("Subject 9 has no stimulus of condition low."),
    "one_class": Property("Subject 3 has stimuli of condition rest only."),
    "missing_modality": Property(
        "Subject 9 has no ECG (AI4Pain: no Bvp).",
        tuple(layout for layout in LAYOUTS if layout != "snirf"),
    ),
    "missing_events": Property("Subject 5 has no markers or labels.", CONTINUOUS + TABLES),
    "misspelt_condition": Property(
        "Subject 6 has the condition High instead of high.", CONTINUOUS + TABLES
    ),
    "missing_rating": Property("Subject 9 has no rating.", ("folder", "bids", *TABLES)),
    "many_windows": Property(
        "Every stimulus lasts 30 s and holds three windows of 10 s.", CONTINUOUS + TABLES
    ),
    "many_ratings": Property(
        "Every stimulus has a second rating, 1 above the first.", ("folder", "bids", *TABLES)
    ),
    "open_ended": Property(
        "No stimulus has a duration; a marker pause follows after 10 s.", CONTINUOUS
    ),
    "sessions": Property("Subject 1 was recorded on two days.", CONTINUOUS + TABLES),
    "spellings": Property(
        "Subject 2 is also written without the leading zero.",
        (*CONTINUOUS, *TABLES, "ai4pain_2025"),
    ),
    "class_counter": Property(
        "A trial counter follows the class: high, low, then rest.", (*TABLES, "biovid")
    ),
    "damaged_file": Property("Every file of subject 7 is damaged."),
    "gaps": Property("Subject 10 lacks 3 s of signal in the middle of the second stimulus."),
    "jitter": Property(
        "Time stamps of subject 10 vary by 20 % of a sample.", ("folder", "snirf", "biovid")
    ),
    "drift": Property(
        "The clock of subject 10 gains more and more, 2 % at the end.",
        ("folder", "snirf", "biovid"),
    ),
    "drops": Property(
        "Every 20th sample of subject 10 is missing.", ("folder", "snirf", "biovid")
    ),
    "events_outside": Property(
        "Subject 10 has a stimulus before the recording and one after it.", CONTINUOUS
    ),
    "doubled_events": Property("Every event of subject 10 is written twice.", CONTINUOUS),
    "quantised": Property(
        "Skin conductance is a slow signal of 4 Hz in steps of 0.1 µS.", ("folder", "bids", "edf")
    ),
    "units_wrong": Property("The conductance of subject 11 is too large by 1,000."),
    "units_unstated": Property("No file states a unit.", ("folder", "bids", "edf")),
    "unequal_rates": Property("Subject 11 was sampled at half the rate.", (*CONTINUOUS, "biovid")),
    "copied_subject": Property(
        "Subject 12 is subject 1 with noise of 1 % of the standard deviation."
    ),
    "two_faces": Property(
        "The table is one of OpenFace and has two faces in every frame.", TABLES
    ),
}
"""Names of the broken assumptions."""


@dataclass(frozen=True)
class Event:
    """One marker as it is written.

    `conductance` is the true mean of the skin conductance in microsiemens (NaN for markers
    without a stimulus), `ripple` the amplitude of its sinusoid, `trial` the number k of the
    stimulus in the formulas (-1 without one).
    """

    onset: float
    duration: float | None
    condition: str
    rating: float | None = None
    conductance: float = float("nan")
    ripple: float = float("nan")
    trial: int = -1


@dataclass(frozen=True)
class Channel:
    """One signal: values in the written unit, time stamps in seconds and the stated rate."""

    values: Float[np.ndarray, " time"]
    times: Float[np.ndarray, " time"]
    sampling_rate: float
    unit: str


@dataclass(frozen=True)
class Session:
    """One recording of one subject, as it is written."""

    number: int
    subject: str
    session: str
    events: tuple[Event, ...]
    channels: Mapping[str, Channel]
    damaged: bool = False

    @property
    def name(self) -> str:
        """Stem of the file names: ``sub-01`` or ``sub-01_ses-2``."""
        return f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")


@dataclass(frozen=True)
class Request:
    """Checked arguments of a cohort."""

    layout: str
    properties: tuple[str, ...]
    subjects: int
    seed: int

    def has(self, name: str) -> bool:
        """Whether the property is switched on."""
        return name in self.properties


@dataclass(frozen=True)
class AdversarialCohort:
    """A written cohort.

    Parameters
    ----------
    root : Path
        Folder of the cohort.
    layout : str
        A name of `LAYOUTS`.
    properties : tuple of str
        Names of `PROPERTIES`.
    seed : int
        Seed of the order of conditions.
    sessions : tuple of Session
        What was written, damaged files as they were before.
    """

    root: Path
    layout: str
    properties: tuple[str, ...]
    seed: int
    sessions: tuple[Session, ...] = field(repr=False)

    def summary(self) -> dict[str, object]:
        """Return counts of subjects, recordings and events, and the properties."""
        return {
            "layout": self.layout,
            "subjects": len({session.number for session in self.sessions}),
            "recordings": len(self.sessions),
            "events": sum(len(session.events) for session in self.sessions),
            "properties": list(self.properties),
            "seed": self.seed,
        }


def adversarial_cohort(
    out: str | Path,
    *,
    layout: str = "feature_table",
    properties: str | Sequence[str] = "all",
    subjects: int = ROLES,
    seed: int = 0,
) -> AdversarialCohort:
    """Write a cohort that breaks common assumptions. There is no person behind these data.

    The same arguments give the same files.

    Parameters
    ----------
    out : str or Path
        A folder that is empty or absent.
    layout : str, default "feature_table"
        A name of `LAYOUTS`.
    properties : "all", "none" or sequence of str, default "all"
        Names of `PROPERTIES`. ``"all"`` is every property that the layout can express, except
        ``two_faces``, which replaces the table by one of OpenFace.
    subjects : int, default 12
        Number of subjects, at least 12.
    seed : int, default 0
        Seed of the order of conditions, of jitter and of the noise of a copy.

    Returns
    -------
    AdversarialCohort
        What was written. ``truth/adversarial.json`` holds the same.

    Raises
    ------
    UnknownNameError
        If the layout or a property is unknown.
    ConfigError
        If the layout cannot express a property, a number is out of range, or `out` is not empty.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     cohort = adversarial_cohort(folder, layout="bids", properties=["one_class"])
    ...     cohort.summary()["recordings"]
    12
    """
    request = _request(layout, properties, subjects, seed)
    root = Path(out).resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ConfigError(
            f"{root}: is {'not empty' if root.is_dir() else 'a file'}; expected a folder that is "
            "empty or absent. Nothing was written."
        )
    sessions = tuple(_sessions(request))
    with atomic_path(root) as part:
        part.mkdir()
        _WRITERS[layout](request, sessions, part)
        _write_truth(request, sessions, part)
    return AdversarialCohort(root, layout, request.properties, seed, sessions)


def _request(layout: str, properties: str | Sequence[str], subjects: int, seed: int) -> Request:
    if layout not in LAYOUTS:
        raise _unknown("layout", layout, LAYOUTS)
    if isinstance(properties, str):
        properties = {"all": _expressible(layout), "none": ()}.get(properties, (properties,))
    for name in properties:
        if name not in PROPERTIES:
            raise _unknown("property", name, tuple(PROPERTIES))
        if layout not in PROPERTIES[name].layouts:
            raise ConfigError(
                f"adversarial cohort: layout {layout} cannot express {name}; these can: "
                f"{', '.join(PROPERTIES[name].layouts)}."
            )
    for name, value, least in (("subjects", subjects, ROLES), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(
                f"adversarial cohort: {name} is {value!r}, expected an integer of {least} or more."
            )
    return Request(layout, tuple(n for n in PROPERTIES if n in properties), subjects, seed)


def _unknown(what: str, name: str, known: Sequence[str]) -> UnknownNameError:
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}."
    return UnknownNameError(f"adversarial cohort: no {what} {name!r}; {hint}")


def _expressible(layout: str) -> tuple[str, ...]:
    return tuple(
        name for name, one in PROPERTIES.items() if layout in one.layouts and name != "two_faces"
    )


# ── what happened ───────────────────────────────────────────────────────────────────────────────


def _sessions(request: Request) -> list[Session]:
    """Every recording of the cohort."""
    sessions: list[Session] = []
    for number in range(1, request.subjects + 1):
        model = 1 if number == 12 and request.has("copied_subject") else number
        levels = _levels(request, number, model)
        for subject, session, part in _recordings(request, number, list(levels.items())):
            stimuli = _stimuli(request, model, part)
            channels = _channels(request, number, model, stimuli)
            sessions.append(
                Session(
                    number,
                    subject,
                    session,
                    _markers(request, number, stimuli),
                    channels,
                    damaged=number == 7 and request.has("damaged_file"),
                )
            )
    return sessions


def _levels(request: Request, number: int, model: int) -> dict[int, int]:
    """Level of each stimulus the subject received."""
    levels = dict(enumerate(_order(request, model)))
    if number == 3 and request.has("one_class"):
        levels = {k: level for k, level in levels.items() if level == 0}
    if number == 9 and request.has("missing_class"):
        levels = {k: level for k, level in levels.items() if level != 1}
    return levels


def _order(request: Request, model: int) -> list[int]:
    rng = np.random.default_rng([request.seed, model])
    order: list[int] = rng.permutation(np.repeat(np.arange(3), STIMULI // 3)).tolist()
    return order


def _recordings(
    request: Request, number: int, stimuli: list[tuple[int, int]]
) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Written subject, session and stimuli of each recording of one subject."""
    first, second = stimuli[: len(stimuli) // 2], stimuli[len(stimuli) // 2 :]
    name = f"{number:02d}"
    if number == 1 and request.has("sessions"):
        return [(name, "1", first), (name, "2", second)]
    if number == 2 and request.has("spellings"):
        return [(name, "", first), (f"{number}", "", second)]
    return [(name, "", stimuli)]


def conductance(number: int, trial: int, level: int) -> float:
    """Return the mean skin conductance of a stimulus in microsiemens."""
    sign = -1 if number % 4 == 0 else 1
    wobble = 0.4 * ((0.6180339887 * (17 * number + trial + 1)) % 1.0 - 0.5)
    return 5.0 + 0.05 * number + sign * (level - 1) + wobble


def heart_rate(number: int) -> float:
    """Return the heart rate of a subject in beats per minute."""
    return 60.0 + (7 * number) % 31


def _stimuli(request: Request, model: int, part: list[tuple[int, int]]) -> list[Event]:
    order = _order(request, model)
    duration = 30.0 if request.has("many_windows") else 10.0
    return [
        Event(
            onset=10.0 + (duration + 10.0) * place,
            duration=duration,
            condition=CONDITIONS[level],
            rating=round(2.0 * level + 0.1 * trial, 3),
            conductance=conductance(model, trial, level),
            ripple=0.1 * (1.0 + order[:trial].count(level) / 2),
            trial=trial,
        )
        for place, (trial, level) in enumerate(part)
    ]


def _markers(request: Request, number: int, stimuli: list[Event]) -> tuple[Event, ...]:
    """Events as the files state them."""
    events = list(stimuli)
    if number == 5 and request.has("missing_events"):
        return ()
    if number == 6 and request.has("misspelt_condition"):
        events = [replace(e, condition=e.condition.replace("high", "High")) for e in events]
    if number == 9 and request.has("missing_rating"):
        events = [replace(e, rating=None) for e in events]
    if request.has("open_ended") and request.layout in CONTINUOUS:
        pauses = [Event(e.onset + (e.duration or 0.0), None, "pause") for e in events]
        events = [replace(e, duration=None) for e in events] + pauses
    if number == 10 and request.has("events_outside"):
        events += [Event(-50.0, 10.0, "high"), Event(10_000.0, 10.0, "high")]
    if number == 10 and request.has("doubled_events"):
        events += events
    return tuple(sorted(events, key=lambda e: e.onset))


# ── signals ─────────────────────────────────────────────────────────────────────────────────────


def _channels(
    request: Request, number: int, model: int, stimuli: list[Event]
) -> dict[str, Channel]:
    """Signals of one recording: ``eda`` and ``ecg``, as they are written."""
    seconds = (stimuli[-1].onset + (stimuli[-1].duration or 0.0) + 10.0) if stimuli else 60.0
    half = 0.5 if number == 11 and request.has("unequal_rates") else 1.0
    slow = request.has("quantised") and request.layout != "snirf"
    rate = FNIRS_RATE if request.layout == "snirf" else 4.0 if slow else EDA_RATE
    eda = _eda(model, stimuli, seconds, rate * half)
    ecg = _ecg(model, seconds, ECG_RATE * half)
    if number == 12 and request.has("copied_subject"):
        rng = np.random.default_rng([request.seed, 12, 1])
        eda = replace(eda, values=eda.values + 0.01 * rng.standard_normal(len(eda.values)))
    if slow:
        eda = replace(eda, values=np.round(eda.values, 1))
    if number == 11 and request.has("units_wrong"):
        eda = replace(eda, values=eda.values * 1000.0)
    if number == 10:
        eda, ecg = (_disturbed(request, one, stimuli) for one in (eda, ecg))
    channels = {"eda": eda, "ecg": ecg}
    if request.has("units_unstated"):
        channels = {name: replace(one, unit="") for name, one in channels.items()}
    if number == 9 and request.has("missing_modality"):
        del channels["ecg"]
    return channels


def _eda(number: int, stimuli: list[Event], seconds: float, rate: float) -> Channel:
    times = np.arange(round(seconds * rate)) / rate
    means, ripple = np.full(len(times), 5.0 + 0.05 * number), np.full(len(times), 0.1)
    for event in stimuli:
        inside = (times >= event.onset) & (times < event.onset + (event.duration or 0.0))
        means[inside], ripple[inside] = event.conductance, event.ripple
    return Channel(means + ripple * np.sin(2 * np.pi * times), times, rate, "uS")


def _ecg(number: int, seconds: float, rate: float) -> Channel:
    """Gaussian R waves of 1,000 µV, 10 ms wide, at an exact rate."""
    times = np.arange(round(seconds * rate)) / rate
    period = 60.0 / heart_rate(number)
    since = (times / period) % 1.0 - 0.5
    waves = 1000.0 * np.exp(-0.5 * (since * period / 0.01) ** 2)
    return Channel(waves + 100.0 * np.sin(2 * np.pi * 0.3 * times), times, rate, "uV")


def _disturbed(request: Request, channel: Channel, stimuli: list[Event]) -> Channel:
    """Gaps and clock faults of subject 10."""
    values, times, rate = channel.values.copy(), channel.times.copy(), channel.sampling_rate
    if request.has("gaps"):
        begin = stimuli[GAP].onset + 3.0
        values[(times >= begin) & (times < begin + 3.0)] = np.nan
    if request.has("jitter"):
        rng = np.random.default_rng([request.seed, 10, 2])
        times = times + rng.uniform(-0.2, 0.2, len(times)) / rate
    if request.has("drift"):
        times = times * (1 + 0.02 * times / times[-1])
    if request.has("drops"):
        present = np.arange(len(times)) % 20 != 19
        values, times = values[present], times[present]
    return replace(channel, values=values, times=times)


def _stimulus_means(request: Request, session: Session) -> list[tuple[Event, int, float, float]]:
    """Rows of a feature table: event, window, mean conductance and mean heart rate."""
    model = 1 if session.number == 12 and request.has("copied_subject") else session.number
    rng = np.random.default_rng([request.seed, 12, 3])
    rows = []
    for event in session.events:
        for window in range(3 if request.has("many_windows") else 1):
            beats = heart_rate(model) + 2 * ((0.7548776662 * (17 * model + event.trial + 1)) % 1.0)
            mean = event.conductance
            if model != session.number:
                mean += 0.01 * rng.standard_normal()
                beats += 0.1 * rng.standard_normal()
            if session.number == 11 and request.has("units_wrong"):
                mean *= 1000.0
            if session.number == 10 and request.has("gaps") and event.trial == GAP:
                mean = float("nan")
            if "ecg" not in session.channels:
                beats = float("nan")
            rows.append((event, window, mean, beats))
    return rows


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def _text(value: float | None, missing: str = "n/a") -> str:
    """Shortest text that reads back as the same number."""
    return missing if value is None or np.isnan(value) else repr(float(value))


def _table(columns: Mapping[str, Sequence[str]], delimiter: str, *, header: bool = True) -> str:
    lines = [delimiter.join(columns)] if header else []
    lines += [delimiter.join(row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def _numbers(values: Float[np.ndarray, " time"], missing: str = "n/a") -> list[str]:
    return [missing if v != v else f"{v:.6f}" for v in values.tolist()]


def _write(path: Path, data: str | bytes, *, damaged: bool = False) -> None:
    """Write a file; a damaged one ends in the middle and begins with bytes of no format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    if damaged:
        content = b"\x00\xff\x00" + content[3 : len(content) // 2]
    path.write_bytes(content)


def _participants(sessions: Sequence[Session], prefix: str) -> dict[str, list[str]]:
    """Columns of the table of participants: one row per subject, in its first spelling."""
    numbers = sorted({session.number for session in sessions})
    return {
        "participant_id": [f"{prefix}{number:02d}" for number in numbers],
        "age": [str(20 + number) for number in numbers],
        "sex": ["female" if number % 2 else "male" for number in numbers],
    }


def _event_columns(events: Sequence[Event], missing: str) -> dict[str, list[str]]:
    return {
        "onset": [_text(e.onset) for e in events],
        "duration": [_text(e.duration, missing) for e in events],
        "trial_type": [e.condition for e in events],
        "rating": [_text(e.rating, missing) for e in events],
    }


def _with_second_ratings(request: Request, events: Sequence[Event]) -> list[Event]:
    """Events, and with ``many_ratings`` a marker ``rating`` 5 s after each stimulus."""
    if not request.has("many_ratings"):
        return list(events)
    later = (30.0 if request.has("many_windows") else 10.0) + 5.0
    second = [
        Event(e.onset + later, 0.0, "rating", None if e.rating is None else e.rating + 1.0)
        for e in events
        if e.trial >= 0
    ]
    return sorted([*events, *second], key=lambda e: e.onset)


def _write_folder(request: Request, sessions: Sequence[Session], root: Path) -> None:
    """Folder per recording with ``eda.csv``, ``ecg.csv`` and ``events.csv``."""
    _write(root / "participants.csv", _table(_participants(sessions, ""), ","))
    for one in sessions:
        folder = root / one.subject / (f"day{one.session}" if one.session else "")
        for name, channel in one.channels.items():
            unit = f" [{channel.unit}]" if channel.unit else ""
            columns = {
                "time": _numbers(channel.times),
                f"{name}{unit}": _numbers(channel.values, ""),
            }
            _write(folder / f"{name}.csv", _table(columns, ","), damaged=one.damaged)
        if one.events:
            columns = _event_columns(_with_second_ratings(request, one.events), "")
            columns["condition"] = columns.pop("trial_type")
            _write(folder / "events.csv", _table(columns, ","))


def _write_bids(request: Request, sessions: Sequence[Session], root: Path) -> None:
    description = {"Name": "Adversarial cohort", "BIDSVersion": "1.10.0"}
    _write(root / "dataset_description.json", json.dumps(description))
    _write(root / "participants.tsv", _table(_participants(sessions, "sub-"), "\t"))
    for one in sessions:
        parts = [f"sub-{one.subject}", *([f"ses-{one.session}"] if one.session else []), "beh"]
        stem = root.joinpath(*parts) / f"{one.name}_task-pain"
        for name, channel in one.channels.items():
            about: dict[str, object] = {
                "SamplingFrequency": channel.sampling_rate,
                "StartTime": 0,
                "Columns": [name],
            }
            if channel.unit:
                about[name] = {"Units": channel.unit}
            path = stem.with_name(f"{stem.name}_recording-{name}_physio.json")
            _write(path, json.dumps(about))
            data = gzip.compress(("\n".join(_numbers(channel.values)) + "\n").encode(), mtime=0)
            _write(path.with_suffix(".tsv.gz"), data, damaged=one.damaged)
        if one.events:
            columns = _event_columns(_with_second_ratings(request, one.events), "n/a")
            _write(stem.with_name(f"{stem.name}_events.tsv"), _table(columns, "\t"))


def _write_edf(_: Request, sessions: Sequence[Session], root: Path) -> None:
    for one in sessions:
        _write(root / f"{one.name}.edf", _edf(one), damaged=one.damaged)


def _edf(session: Session) -> bytes:
    """Bytes of an EDF+ file with records of 1 s; missing records make it discontinuous."""
    channels = session.channels
    seconds = round(len(channels["eda"].values) / channels["eda"].sampling_rate)
    blocks = {n: c.values.reshape(seconds, round(c.sampling_rate)) for n, c in channels.items()}
    present = [i for i in range(seconds) if not any(np.isnan(b[i]).any() for b in blocks.values())]
    room = 256  # bytes of annotations per record
    fields: list[tuple[str, str, float, float, int]] = []
    for name, channel in channels.items():
        low, high = (0.0, 20.0) if name == "eda" else (-2000.0, 2000.0)
        if np.nanmax(channel.values) > high:
            high = 20_000.0
        fields.append((name.upper(), channel.unit, low, high, round(channel.sampling_rate)))
    fields.append(("EDF Annotations", "", -1.0, 1.0, room // 2))
    count = len(fields)
    kind = "EDF+C" if len(present) == seconds else "EDF+D"
    header = "".join(
        str(text).ljust(width)
        for text, width in (
            ("0", 8), (f"{session.subject} X X X", 80), ("Startdate 01-JAN-2000 X X X", 80),
            ("01.01.00", 8), ("00.00.00", 8), (256 * (count + 1), 8), (kind, 44),
            (len(present), 8), (1, 8), (count, 4),
        )
    )  # fmt: skip
    rows: list[list[tuple[object, int]]] = [
        [(label, 16) for label, *_ in fields],
        [("", 80) for _ in fields],
        [(unit, 8) for _, unit, *_ in fields],
        [(f"{low:g}", 8) for _, _, low, _, _ in fields],
        [(f"{high:g}", 8) for _, _, _, high, _ in fields],
        [(-32768, 8) for _ in fields],
        [(32767, 8) for _ in fields],
        [("", 80) for _ in fields],
        [(samples, 8) for *_, samples in fields],
        [("", 32) for _ in fields],
    ]
    header += "".join(str(text).ljust(width) for row in rows for text, width in row)
    data = [header.encode("latin-1")]
    events = list(session.events)
    for place, record in enumerate(present):
        for block, (_, _, low, high, _) in zip(blocks.values(), fields, strict=False):
            scaled = (block[record] - low) / (high - low) * 65535 - 32768
            data.append(np.clip(np.round(scaled), -32768, 32767).astype("<i2").tobytes())
        notes = f"+{record}\x14\x14\x00".encode("latin-1")
        if place < len(events):
            notes += _annotation(events[place])
        data.append(notes.ljust(room, b"\x00"))
    return b"".join(data)


def _annotation(event: Event) -> bytes:
    length = "" if event.duration is None else f"\x15{event.duration:g}"
    return f"{event.onset:+g}{length}\x14{event.condition}\x14\x00".encode("latin-1")


def _write_snirf(_: Request, sessions: Sequence[Session], root: Path) -> None:
    """Haemoglobin instead of conductance: micromolar instead of microsiemens."""
    for one in sessions:
        path = root / f"{one.name}.snirf"
        _snirf(one, path)
        if one.damaged:
            _write(path, path.read_bytes(), damaged=True)


def _snirf(session: Session, path: Path) -> None:
    from dolorimeter._extras import h5py

    oxygenated = session.channels["eda"]
    present = ~np.isnan(oxygenated.values)  # a gap is a jump of the time vector
    micromolar = oxygenated.values[present] * 1e-6
    series = {"HbO": micromolar, "HbR": -micromolar / 3}
    text = h5py.string_dtype()
    with h5py.File(path, "w") as tree:
        tree.create_dataset("formatVersion", data="1.1", dtype=text)
        nirs = tree.create_group("nirs")
        tags = {
            "SubjectID": session.subject, "MeasurementDate": "2000-01-01",
            "MeasurementTime": "00:00:00Z", "LengthUnit": "mm", "TimeUnit": "s",
            "FrequencyUnit": "Hz",
        }  # fmt: skip
        for key, value in tags.items():
            nirs.create_dataset(f"metaDataTags/{key}", data=value, dtype=text)
        nirs["probe/wavelengths"] = np.array([760.0, 850.0])
        nirs["probe/sourcePos3D"] = np.array([[0.0, 0.0, 0.0]])
        nirs["probe/detectorPos3D"] = np.array([[30.0, 0.0, 0.0]])
        nirs["data1/dataTimeSeries"] = np.stack(list(series.values()), axis=1)
        nirs["data1/time"] = oxygenated.times[present]
        for place, label in enumerate(series, start=1):
            group = nirs.create_group(f"data1/measurementList{place}")
            for key in ("sourceIndex", "detectorIndex", "dataTypeIndex", "wavelengthIndex"):
                group[key] = np.int32(1)
            group["dataType"] = np.int32(99999)
            group.create_dataset("dataTypeLabel", data=label, dtype=text)
            group.create_dataset("dataUnit", data="M", dtype=text)
        conditions = list(dict.fromkeys(event.condition for event in session.events))
        for place, condition in enumerate(conditions, start=1):
            rows = [
                [e.onset, 0.0 if e.duration is None else e.duration, 1.0]
                for e in session.events
                if e.condition == condition
            ]
            nirs.create_dataset(f"stim{place}/name", data=condition, dtype=text)
            nirs[f"stim{place}/data"] = np.array(rows)


def _write_tables(request: Request, sessions: Sequence[Session], root: Path) -> None:
    """One table per recording."""
    for one in sessions:
        columns = (_openface if request.has("two_faces") else _features)(request, one)
        path = root / f"{one.name}.csv"
        if request.layout == "feature_table":
            texts = {
                name: [_text(v, "") if isinstance(v, float) else str(v) for v in values]
                for name, values in columns.items()
            }
            _write(path, _table(texts, ","), damaged=one.damaged)
            continue
        _parquet(path.with_suffix(".parquet"), columns)
        if one.damaged:
            path = path.with_suffix(".parquet")
            _write(path, path.read_bytes(), damaged=True)


def _parquet(path: Path, columns: Mapping[str, list[object]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {
        name: [None if isinstance(v, float) and np.isnan(v) else v for v in values]
        for name, values in columns.items()
    }
    pq.write_table(pa.table(arrays), path)


def _features(request: Request, session: Session) -> dict[str, list[object]]:
    """Columns of a feature table; a subject without markers has rows without a label."""
    source, unlabelled = session, not session.events
    if unlabelled:
        levels = list(_levels(request, session.number, session.number).items())
        stimuli = _stimuli(request, session.number, levels)
        source = replace(session, events=tuple(stimuli))
    rows = _stimulus_means(request, source)
    counter = sorted(
        range(len(rows)), key=lambda r: -CONDITIONS.index(rows[r][0].condition.lower())
    )
    columns: dict[str, list[object]] = {
        "subject": [session.subject for _ in rows],
        "session": [session.session or "1" for _ in rows],
        "stimulus": [f"stimulus {event.trial}" for event, *_ in rows],
        "label": ["" if unlabelled else event.condition for event, *_ in rows],
        "rating": [_rating(request, event, window) for event, window, *_ in rows],
        "eda_mean": [mean for *_, mean, _ in rows],
        "ecg_rate": [beats for *_, beats in rows],
    }
    if request.has("class_counter"):
        columns["trial_number"] = [counter.index(place) + 1 for place in range(len(rows))]
    return columns


def _rating(request: Request, event: Event, window: int) -> float:
    if event.rating is None:
        return float("nan")
    return event.rating + (window if request.has("many_ratings") else 0)


def _openface(request: Request, session: Session) -> dict[str, list[object]]:
    """Columns of an OpenFace table with the subject (face 0) and a bystander (face 1)."""
    columns: dict[str, list[object]] = {
        name: []
        for name in ("frame", "face_id", "timestamp", "confidence", "success", "AU04_r", "AU12_r",
                     "subject", "label")
    }  # fmt: skip
    for frame, (event, _, mean, _) in enumerate(_stimulus_means(request, session), start=1):
        for face in (0, 1):
            action = mean / 2 if face == 0 else 1.5
            row = (frame, face, frame / 25.0, 0.98, 1, action, 0.5 + face, session.subject,
                   event.condition)  # fmt: skip
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return columns


_BIOVID = {"rest": "BL1", "low": "PA1", "high": "PA4"}
_BIOVID_IDS = {"BL1": 0, "PA1": 1, "PA4": 4}


def _write_biovid(request: Request, sessions: Sequence[Session], root: Path) -> None:
    """Clips of 5.5 s at 512 Hz; the sinusoid has 2 Hz, so that a clip holds whole periods."""
    lines = ["\t".join(("subject_id", "subject_name", "class_id", "class_name", "sample_id",
                        "sample_name"))]  # fmt: skip
    for one in sessions:
        subject = f"0101{one.number:02d}_{'wm'[one.number % 2]}_{20 + one.number}"
        for counter, event in _counted(request, one.events):
            name = f"{subject}-{_BIOVID[event.condition]}-{counter:03d}"
            path = root / "PartA" / "biosignals_raw" / subject / f"{name}_bio.csv"
            _write(path, _table(_clip(request, one, event), "\t"), damaged=one.damaged)
            token = _BIOVID[event.condition]
            lines.append(
                "\t".join((str(one.number), subject, str(_BIOVID_IDS[token]), token,
                           str(len(lines)), name))
            )  # fmt: skip
    _write(root / "PartA" / "starting_point" / "samples.csv", "\n".join(lines) + "\n")


def _counted(request: Request, events: Sequence[Event]) -> list[tuple[int, Event]]:
    """Events with their counters: in the order of time, or of the class."""
    ordered = list(events)
    if request.has("class_counter"):
        ordered.sort(key=lambda e: -CONDITIONS.index(e.condition))
    return list(enumerate(ordered, start=1))


def _clip(request: Request, session: Session, event: Event) -> dict[str, list[str]]:
    rate = 256.0 if session.number == 11 and request.has("unequal_rates") else 512.0
    times = np.arange(round(5.5 * rate)) / rate
    gsr = event.conductance + event.ripple * np.sin(2 * np.pi * 2.0 * times)
    if session.number == 12 and request.has("copied_subject"):
        rng = np.random.default_rng([request.seed, 12, 4 + event.trial])
        gsr = gsr + 0.01 * rng.standard_normal(len(gsr))
    if session.number == 11 and request.has("units_wrong"):
        gsr = gsr * 1000.0
    model = 1 if session.number == 12 and request.has("copied_subject") else session.number
    ecg = _ecg(model, 5.5, rate)
    eda = Channel(gsr, times, rate, "uS")
    if session.number == 10:
        place = [replace(event, onset=-1.0, duration=5.5)] * 3  # the gap begins at 2 s
        quiet = (
            request
            if event.trial == GAP
            else replace(request, properties=tuple(p for p in request.properties if p != "gaps"))
        )
        eda, ecg = (_disturbed(quiet, one, place) for one in (eda, ecg))
    columns = {
        "time": [f"{t * 1e6:.0f}" for t in eda.times],
        "gsr": _numbers(eda.values, "NaN"),
        "ecg": _numbers(ecg.values, "NaN"),
        "emg_trapezius": _numbers(10.0 * np.sin(2 * np.pi * 80.0 * eda.times)),
    }
    if session.number == 9 and request.has("missing_modality"):
        del columns["ecg"]
    return columns


def _write_ai4pain(request: Request, sessions: Sequence[Session], root: Path) -> None:
    """Subjects 1 to 8 train, 9 and 10 validation, others test; every signal at 100 Hz."""
    for one in sessions:
        split = "train" if one.number <= 8 else "validation" if one.number <= 10 else "test"
        if one.number == 2 and one.subject == "2":
            split = "validation"
        signals = {modality: _segments(request, one, modality) for modality in _AI4PAIN}
        if one.number == 9 and request.has("missing_modality"):
            del signals["Bvp"]
        for modality, columns in signals.items():
            path = root / split / modality / f"{one.subject}.csv"
            _write(path, _table(columns, ","), damaged=one.damaged)


_AI4PAIN = ("Eda", "Bvp", "Resp", "SpO2")
_STATES = {"rest": "Rest", "low": "LOW", "high": "HIGH"}


def _segments(request: Request, session: Session, modality: str) -> dict[str, list[str]]:
    """Columns of one file: a segment of 10 s per stimulus."""
    times = np.arange(1000) / 100.0
    model = 1 if session.number == 12 and request.has("copied_subject") else session.number
    columns = {}
    for event in session.events:
        if modality == "Eda":
            values = event.conductance + event.ripple * np.sin(2 * np.pi * times)
            if model != session.number:
                rng = np.random.default_rng([request.seed, 12, 4 + event.trial])
                values = values + 0.01 * rng.standard_normal(len(values))
            if session.number == 11 and request.has("units_wrong"):
                values = values * 1000.0
        elif modality == "Bvp":
            values = 0.5 * (1 - np.cos(2 * np.pi * times * heart_rate(model) / 60.0))
        elif modality == "Resp":
            values = np.sin(2 * np.pi * 0.2 * times)
        else:
            values = np.full(len(times), 97.0) - (times >= 5.0)
        if session.number == 10 and request.has("gaps") and event.trial == GAP:
            values[300:600] = np.nan
        state = f"{session.number}_{_STATES[event.condition]}_{event.trial}"
        if session.number > 10:  # the test set is unlabelled
            state = f"{session.number}_S{event.trial}"
        columns[state] = _numbers(values, "NaN")
    return columns


def _write_truth(request: Request, sessions: Sequence[Session], root: Path) -> None:
    """Mark of a synthetic cohort, and every event with its true value."""
    parameters = asdict(request)
    about = {name: PROPERTIES[name].summary for name in request.properties}
    _write(root / MARK, json.dumps({"what": NOTICE, "parameters": parameters}, indent=1))
    events = [
        {"subject": one.subject, "number": one.number, "session": one.session}
        | {k: None if v != v else v for k, v in asdict(event).items()}
        for one in sessions
        for event in one.events
    ]
    truth = {"parameters": parameters, "properties": about, "events": events}
    _write(root / "truth" / "adversarial.json", json.dumps(truth, indent=1))


_WRITERS: Mapping[str, Callable[[Request, Sequence[Session], Path], None]] = {
    "folder": _write_folder,
    "bids": _write_bids,
    "edf": _write_edf,
    "snirf": _write_snirf,
    "feature_table": _write_tables,
    "feature_table_parquet": _write_tables,
    "biovid": _write_biovid,
    "ai4pain_2025": _write_ai4pain,
}
