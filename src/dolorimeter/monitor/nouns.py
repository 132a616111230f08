"""The nouns of the live monitor: what a session says, stores, shows and sends.

Frozen, free of torch, and in the words of `dolorimeter.types`. Times are UTC and know it;
durations and ages are seconds. An estimate never says "no pain": it is a probability per class
and an expected level with an interval, or it abstains and says why.
"""

from __future__ import annotations

import math
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError

CoverageKind = Literal["none", "calibrated", "conformal"]
"""What stands behind an interval: nothing, calibrated probabilities, or conformal scores whose
promise holds for people like those the model was trained on."""

SessionKind = Literal["stream", "diary"]
Scale = Literal["nrs", "faces"]
"""Self-report: numeric rating scale 0…10, or six drawn faces, scored 0, 2, 4, 6, 8, 10."""

SCALE_VALUES: Mapping[str, tuple[int, ...]] = {
    "nrs": tuple(range(11)),
    "faces": (0, 2, 4, 6, 8, 10),
}
NOT_A_DEVICE = "Research software, not a medical device."
MAX_TEXT = 500
"""Longest text of a mark, a remark or a name, in characters."""


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A name for a session, a mark or a self-report that nobody can guess: 16 hex digits."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class ModalityState:
    """How one modality stands at the moment of an estimate.

    Parameters
    ----------
    name : str
        ``eda``, ``ecg``, ``face`` …
    quality : float
        Between 0 (unusable) and 1 (good).
    reasons : tuple of str
        Why the quality is what it is: ``"no face for 4 s"``, ``"flat"``.
    age_s : float or None
        Seconds from its newest sample to the estimate; None while no sample has come.
    present : bool
        Whether the model used it.
    """

    name: str
    quality: float
    age_s: float | None
    present: bool
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name, "modality")
        _check_share(self.quality, f"quality of {self.name}")
        if self.age_s is not None:
            _check_finite(self.age_s, f"age of {self.name}")
        _check_texts(self.reasons, f"reasons of {self.name}")


@dataclass(frozen=True)
class Estimate:
    """What the monitor says at one step.

    Parameters
    ----------
    time : datetime
        When it was made, UTC.
    session : str
        `SessionInfo.id`.
    probabilities : mapping of class name to float
        Sums to 1; empty for a regressor, and where the monitor abstains.
    expected_level : float or None
        Mean level under the probabilities, or a regressor's prediction; None where it abstains.
    lower, upper : float or None
        Interval of the level, on the scale of `SessionInfo.levels`.
    coverage : float or None
        Share of true levels that the interval promises to hold, such as 0.9; None without one.
    coverage_kind : {"none", "calibrated", "conformal"}
    abstained : str
        Why there is no estimate; empty where there is one.
    modalities : tuple of ModalityState
    remarks : tuple of str
        Sentences the page must show (``"clock of eda jumped by 3 s"``).
    start, duration : float or None
        Window that was looked at, in seconds on the session's clock.
    latency_s : float or None
        Seconds from the arrival of the newest sample used to this estimate.
    alert : bool
        Whether the alert is on.
    """

    time: datetime
    session: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    expected_level: float | None = None
    lower: float | None = None
    upper: float | None = None
    coverage: float | None = None
    coverage_kind: CoverageKind = "none"
    abstained: str = ""
    modalities: tuple[ModalityState, ...] = ()
    remarks: tuple[str, ...] = ()
    start: float | None = None
    duration: float | None = None
    latency_s: float | None = None
    alert: bool = False

    def __post_init__(self) -> None:
        _check_utc(self.time, "time of an estimate")
        _check_id(self.session)
        _check_texts((self.abstained, *self.remarks), "remarks of an estimate")
        for name in ("expected_level", "lower", "upper", "start", "duration", "latency_s"):
            value = getattr(self, name)
            if value is not None:
                _check_finite(value, f"{name} of an estimate")
        if bool(self.abstained) == (self.expected_level is not None):
            raise ConfigError(
                f"an estimate has expected_level {self.expected_level} and abstained "
                f"{self.abstained!r}: give a level, or abstain and say why."
            )
        if self.abstained and (self.probabilities or self.lower is not None):
            raise ConfigError("an estimate that abstains has neither probabilities nor interval.")
        if (self.lower is None) != (self.upper is None):
            raise ConfigError(
                f"interval {self.lower}…{self.upper} has one end: give both, or neither."
            )
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ConfigError(f"interval {self.lower:g}…{self.upper:g} is upside down.")
        if self.coverage is not None:
            _check_share(self.coverage, "coverage of an estimate")
        _check_probabilities(self.probabilities)

    @property
    def quality(self) -> float:
        """The lowest quality among the modalities used; 0 without any."""
        return min((m.quality for m in self.modalities if m.present), default=0.0)

    @property
    def age_s(self) -> float | None:
        """Age of the stalest modality used, in seconds; None without any."""
        ages = [m.age_s for m in self.modalities if m.present and m.age_s is not None]
        return max(ages, default=None)


@dataclass(frozen=True)
class Mark:
    """An event that somebody or something noted: ``"dressing change"``.

    `withdrawn` says that it was entered by mistake; it is kept, and exports say so.
    """

    time: datetime
    session: str
    label: str
    entered_by: str = ""
    withdrawn: bool = False
    id: str = field(default_factory=new_id)

    def __post_init__(self) -> None:
        _check_utc(self.time, "time of a mark")
        _check_id(self.session)
        _check_id(self.id)
        _check_name(self.label, "mark")
        _check_texts((self.entered_by,), "who entered a mark")


@dataclass(frozen=True)
class SelfReport:
    """What the person says about their own pain: stored beside the estimate, never mixed with it.

    Parameters
    ----------
    time : datetime
        The moment it is about, UTC.
    session : str
    scale : {"nrs", "faces"}
    value : int
        One of `SCALE_VALUES`.
    entered_by : str
        ``patient``, or who entered it for them.
    withdrawn : bool
        True where it was entered by mistake; it is kept, and exports say so.
    """

    time: datetime
    session: str
    scale: Scale
    value: int
    entered_by: str
    withdrawn: bool = False
    id: str = field(default_factory=new_id)

    def __post_init__(self) -> None:
        _check_utc(self.time, "time of a self-report")
        _check_id(self.session)
        _check_id(self.id)
        if self.scale not in SCALE_VALUES or self.value not in SCALE_VALUES[self.scale]:
            scales = "; ".join(f"{k} {', '.join(map(str, v))}" for k, v in SCALE_VALUES.items())
            raise ConfigError(
                f"self-report is {self.value!r} on scale '{self.scale}', expected one of {scales}."
            )
        _check_name(self.entered_by, "who entered a self-report")


@dataclass(frozen=True)
class SessionInfo:
    """One session: who, with which model, from which sources, and when.

    Parameters
    ----------
    id : str
        See `new_id`.
    subject : str
        The name under which `purge` finds everything of this person.
    model, model_digest : str
        Title and content hash of the Predictor; empty in a diary.
    classes : tuple of str
        Class names in the order of the probabilities; empty for a regressor.
    levels : (float, float)
        Lowest and highest expected level: 0 and ``len(classes) - 1`` for classes.
    sources : tuple of str
        In words: ``"synthetic (seed 1)"``, ``"LSL stream 'GSR' (EDA)"``.
    lookalike : bool
        True when the model was fitted on, or the source gives, synthesised signals: marked loudly.
    started : datetime
    ended : datetime or None
        None while it runs, and after a crash until it is opened again.
    kind : {"stream", "diary"}
    notes : tuple of str
        Sentences that page and exports must print.
    reminders : tuple of str
        Times of the day at which a diary asks for a self-report: ``"08:00"``.
    timezone : str
        Where those times hold: ``"Europe/Berlin"``.
    """

    id: str
    subject: str
    started: datetime
    model: str = ""
    model_digest: str = ""
    classes: tuple[str, ...] = ()
    levels: tuple[float, float] = (0.0, 1.0)
    sources: tuple[str, ...] = ()
    lookalike: bool = False
    ended: datetime | None = None
    kind: SessionKind = "stream"
    notes: tuple[str, ...] = ()
    reminders: tuple[str, ...] = ()
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check_id(self.id)
        _check_reminders(self.reminders, self.timezone)
        _check_name(self.subject, "subject")
        _check_utc(self.started, "start of a session")
        if self.ended is not None:
            _check_utc(self.ended, "end of a session")
        _check_texts((self.model, *self.classes, *self.sources, *self.notes), "session texts")
        if not self.levels[0] < self.levels[1]:
            raise ConfigError(f"levels {self.levels} of a session: expected lowest, highest.")


@dataclass(frozen=True)
class RawChunk:
    """A piece of a raw signal: `start` in seconds on the session's clock."""

    name: str
    start: float
    sampling_rate: float
    unit: str
    samples: Float[np.ndarray, " time"]


@dataclass(frozen=True)
class Tail:
    """The last seconds of one signal, thinned for a screen.

    Parameters
    ----------
    name, unit : str
    seconds : Float[np.ndarray, "sample"]
        Ages of the samples: 0 is now, -10 ten seconds ago.
    values : Float[np.ndarray, "sample"]
        NaN where a sample is missing.
    state : ModalityState
    """

    name: str
    unit: str
    seconds: Float[np.ndarray, " sample"]
    values: Float[np.ndarray, " sample"]
    state: ModalityState


@dataclass(frozen=True)
class FaceView:
    """The newest face as a drawing; no pixel of a frame is in it.

    Parameters
    ----------
    aspect : float
        Width of the frame over its height.
    box : (float, float, float, float) or None
        Left, top, right, bottom as shares of the frame; None without a face.
    points : Float[np.ndarray, "point 2"]
        Landmarks as shares of the frame, x to the right and y downwards.
    cues : mapping of str to float
        0…1 by name: ``brow_lowerer``, ``eyes_closed``.
    state : ModalityState
    """

    aspect: float
    box: tuple[float, float, float, float] | None
    points: Float[np.ndarray, "point 2"]
    cues: Mapping[str, float]
    state: ModalityState


def one_line(text: str, most: int = 480) -> str:
    r"""A text from elsewhere (an error, a device's name) as the nouns take it: short, one line.

    Examples
    --------
    >>> one_line("two\n  lines"), len(one_line("x" * 900))
    ('two lines', 480)
    """
    plain = "".join(c if _one_line(c) else " " for c in text)
    return " ".join(plain.split())[:most]


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _one_line(value: str) -> bool:
    """Whether there is no control character, line end or half of a surrogate pair in it."""
    return not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value)


def _check_id(value: str) -> None:
    if not _ID.fullmatch(value):
        raise ConfigError(
            f"identifier {value[:80]!r}: expected 1 to 64 letters, digits, '-' or '_'."
        )


def _check_name(value: str, what: str) -> None:
    if not value.strip() or len(value) > MAX_TEXT or not _one_line(value):
        raise ConfigError(
            f"{what} {value[:80]!r}: expected 1 to {MAX_TEXT} characters on one line."
        )


def _check_texts(values: tuple[str, ...], what: str) -> None:
    for value in values:
        if len(value) > MAX_TEXT or not _one_line(value):
            raise ConfigError(
                f"{what}: {value[:80]!r} has {len(value)} characters; wanted at most {MAX_TEXT} "
                "on one line."
            )


def _check_reminders(reminders: tuple[str, ...], timezone: str) -> None:
    for text in reminders:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            raise ConfigError(f"reminder {text[:20]!r}: expected a time of the day such as 08:00.")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:  # OSError: the name of a folder
        raise ConfigError(
            f"time zone {timezone[:40]!r} is unknown, expected a name such as Europe/Berlin."
        ) from error


def _check_utc(value: datetime, what: str) -> None:
    if value.utcoffset() != timedelta(0):
        raise ConfigError(f"{what} is {value.isoformat()}, expected UTC with its offset.")


def _check_finite(value: float, what: str) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"{what} is {value}, expected a number; use None where there is none.")


def _check_share(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{what} is {value}, expected 0 to 1.")


def _check_probabilities(probabilities: Mapping[str, float]) -> None:
    values = tuple(probabilities.values())
    if values and not (min(values) >= 0 and abs(math.fsum(values) - 1) < 1e-3):
        raise ConfigError(
            f"probabilities are {dict(probabilities)}, expected at least 0 and together 1."
        )
