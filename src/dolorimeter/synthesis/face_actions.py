"""What a made-up face does in the course of a clip: pain, and what else a face does.

Pain enters through one number, the strength of the window's facial response; everything else
(blink, talk, smile, head, light, hands) is drawn without a look at it. How much of the strength a
person shows, and by which actions, is the person's own.

References
----------
Prkachin & Solomon 2008, Pain 139:267–274 (the actions of pain and PSPI). Kunz & Lautenbacher 2014,
Eur J Pain 18:813–823 (people show different parts of it; some show none). Bentivoglio et al. 1997,
Mov Disord 12:1028–1034 (17 blinks a minute at rest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.synthesis.face_render import FACS, Hand

PAIN_ACTIONS = ("au4", "au6", "au7", "au9", "au10")
STOIC_SHARE, STOIC_GAIN = 0.15, 0.15
"""Share of people whose face shows next to nothing, and of their gain."""
GAIN_SPREAD = 0.3
"""Standard deviation of the logarithm of the gain."""
TYPICAL = (0.9, 0.7, 0.85, 0.55, 0.6)
"""Share of the strength that each of `PAIN_ACTIONS` shows, in the middle person."""
HALF, SLOPE = 2.3, 0.9
"""The response at which half of the strength is there, and how fast it comes."""
SHUT_AT = 0.55
"""Strength times inclination above which eyes shut at the apex."""

BLINK_RATE = 17 / 60
TALK_RATE = SMILE_RATE = 0.03
HAND_RATE = 0.015
"""Beginnings a second, at confounders 1."""
BLINK_DOWN, BLINK_UP = 0.09, 0.16
"""Seconds in which the lid goes down and up."""
BLINK_LIMIT = 0.5
"""Seconds: an eye that is shut for longer is AU43."""
HEAD = {
    "yaw": 0.05,
    "pitch": 0.035,
    "roll": 0.03,
    "shift_u": 0.035,
    "shift_v": 0.025,
    "scale": 0.012,
}
"""Standard deviation of the head's motion, in radians, face units and as a share."""
LIGHT, LIGHT_SLOPE = 0.05, 0.03
COLUMNS = (
    "time", "pain", "pspi", "au4", "au6", "au7", "au9", "au10", "au12", "au25", "au26", "au43",
    "closure", "blink", "talk", "smile", "occluded", *HEAD, "light", "light_slope",
)  # fmt: skip
"""Columns of the truth of frames, beside those that name the frame."""


@dataclass(frozen=True)
class Expressiveness:
    """How one person shows pain.

    Parameters
    ----------
    gain : float
        Around 1; the stoic have little.
    mix : tuple of float
        Share of the strength that each of `PAIN_ACTIONS` shows.
    shutting : float
        Inclination to shut the eyes.
    parting : float
        How far lips part when the upper one is raised, 0 to 1.
    """

    gain: float
    mix: tuple[float, ...]
    shutting: float
    parting: float


@dataclass(frozen=True)
class Course:
    """All that a face does in a clip.

    Parameters
    ----------
    columns : mapping of str to Float[np.ndarray, "frame"]
        `COLUMNS`: action units in FACS intensities (0–5, AU43 0 or 1), ``pain`` the strongest of
        the actions that pain alone made (0–5), ``closure`` of the eyes by blink or AU43 (0–1),
        flags 0 or 1, the head in radians and face units, light as a share.
    hand : Hand or None
        What is held before the face in frames that are ``occluded``.
    """

    columns: Mapping[str, Float[np.ndarray, " frame"]]
    hand: Hand | None

    def state(self, frame: int) -> dict[str, float]:
        """Everything at one frame."""
        return {name: float(values[frame]) for name, values in self.columns.items()}


def draw_expressiveness(rng: np.random.Generator) -> Expressiveness:
    """One person's way to show pain, whatever their other reactions are."""
    gain = float(np.clip(np.exp(GAIN_SPREAD * rng.standard_normal()), 0.5, 1.6))
    stoic = bool(rng.random() < STOIC_SHARE)
    mix = np.clip(np.array(TYPICAL) * rng.uniform(0.4, 1.5, len(TYPICAL)), 0.0, 1.0)
    return Expressiveness(
        gain=gain * (STOIC_GAIN if stoic else 1.0),
        mix=tuple(float(m) for m in mix),
        shutting=float(rng.uniform(0.4, 1.3)),
        parting=float(rng.uniform(0.0, 1.0)),
    )


def strength(response: float) -> float:
    """Strength of the expression, 0 to 1, of a window's facial response (see `population`)."""
    return float(1 / (1 + np.exp(-(response - HALF) / SLOPE)))


def draw_course(
    times: Float[np.ndarray, " frame"],
    response: float,
    person: Expressiveness,
    *,
    stimulus: float,
    confounders: float,
    moved: bool,
    rng: np.random.Generator,
) -> Course:
    """The course of one clip.

    Parameters
    ----------
    times : Float[np.ndarray, "frame"]
        In seconds from the clip's start.
    response : float
        The window's facial response.
    stimulus : float
        Seconds from the clip's start at which the stimulus began.
    confounders : float
        Factor of the rates of blink, talk, smile and hand, and of the motion of head and light.
    moved : bool
        Whether the person moves in this window: the head moves thrice as far.
    """
    pain_rng, other = rng.spawn(2)
    found = {name: np.zeros(len(times)) for name in COLUMNS}
    found["time"] = times
    _pain(found, strength(response) * person.gain, person, stimulus, pain_rng)
    found["pain"] = np.maximum.reduce([found[name] for name in PAIN_ACTIONS])
    closed = found["closure"] > 0.5
    found["au43"] = closed.astype(float)
    _blinks(found, confounders, other)
    _talk(found, confounders, other)
    _smile(found, confounders, other)
    hand = _hand(found, confounders, other)
    far = confounders * (3.0 if moved else 1.0)
    for name, size in HEAD.items():
        found[name] = far * size * _wander(times, other, 0.5)
    found["light"] = confounders * LIGHT * _wander(times, other, 0.3)
    found["light_slope"] = confounders * LIGHT_SLOPE * _wander(times, other, 0.3)
    found["pspi"] = pspi(found)
    return Course(found, hand)


def pspi(found: Mapping[str, Float[np.ndarray, " frame"]]) -> Float[np.ndarray, " frame"]:
    """AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, 0 to 16."""
    orbit = np.maximum(found["au6"], found["au7"])
    return found["au4"] + orbit + np.maximum(found["au9"], found["au10"]) + found["au43"]


def _pain(
    found: dict[str, np.ndarray],
    shown: float,
    person: Expressiveness,
    stimulus: float,
    rng: np.random.Generator,
) -> None:
    """Onset 1 to 2 s after the stimulus, an apex, a slow offset; each action a little apart."""
    times = found["time"]
    start = stimulus + rng.uniform(1.0, 2.0)
    rise, hold, fall = rng.uniform(0.4, 0.9), rng.uniform(1.2, 2.5), rng.uniform(0.8, 1.6)
    for name, share in zip(PAIN_ACTIONS, person.mix, strict=True):
        late = start + rng.uniform(0.0, 0.25)
        size = FACS * np.clip(shown * share * np.exp(0.15 * rng.standard_normal()), 0.0, 1.0)
        found[name] = size * _swell(times, late, rise, hold, fall)
    found["au25"] = person.parting * 0.5 * found["au10"]
    shut = shown * person.shutting
    length = max(hold * min(shut, 1.0), 2 * BLINK_LIMIT)
    down = _swell(times, start + rise, 0.2, length, 0.3)
    if shut > SHUT_AT:
        found["closure"] = down


def _swell(
    times: Float[np.ndarray, " frame"], start: float, rise: float, hold: float, fall: float
) -> Float[np.ndarray, " frame"]:
    """From 0 to 1 and back, smoothly."""
    up = np.clip((times - start) / rise, 0.0, 1.0)
    down = np.clip((start + rise + hold + fall - times) / fall, 0.0, 1.0)
    part = np.minimum(up, down)
    return part * part * (3 - 2 * part)


def _spells(
    times: Float[np.ndarray, " frame"], rate: float, longest: float, rng: np.random.Generator
) -> Float[np.ndarray, " spell"]:
    """Beginnings of spells, at random; some begin before the clip does."""
    first, last = times[0] - longest, times[-1]
    return np.sort(rng.uniform(first, last, rng.poisson(rate * (last - first))))


def _blinks(found: dict[str, np.ndarray], rate: float, rng: np.random.Generator) -> None:
    times = found["time"]
    last = -np.inf
    for start in _spells(times, BLINK_RATE * rate, BLINK_DOWN + BLINK_UP, rng):
        hold = rng.uniform(0.04, 0.10)
        if start - last < BLINK_LIMIT:
            continue  # two in a row would be one that is too long
        last = start
        lid = _swell(times, start, BLINK_DOWN, hold, BLINK_UP)
        found["blink"] = np.maximum(found["blink"], (lid > 0) & (found["au43"] == 0))
        found["closure"] = np.maximum(found["closure"], lid)


def _talk(found: dict[str, np.ndarray], rate: float, rng: np.random.Generator) -> None:
    """The jaw goes up and down at 3 to 5 Hz."""
    times = found["time"]
    for start in _spells(times, TALK_RATE * rate, 2.5, rng):
        length, hertz = rng.uniform(0.8, 2.5), rng.uniform(3.0, 5.0)
        wide = rng.uniform(1.5, 4.0)
        spell = _swell(times, start, 0.15, length, 0.2)
        beat = 0.5 - 0.5 * np.cos(2 * np.pi * hertz * (times - start))
        syllables = 0.4 + 0.6 * np.abs(_wander(times, rng, 2.0))
        found["au26"] = np.maximum(
            found["au26"], np.clip(wide * spell * beat * syllables, 0, FACS)
        )
        found["au25"] = np.maximum(found["au25"], 1.5 * spell * (0.3 + 0.7 * beat))
        found["talk"] = np.maximum(found["talk"], spell > 0)


def _smile(found: dict[str, np.ndarray], rate: float, rng: np.random.Generator) -> None:
    times = found["time"]
    for start in _spells(times, SMILE_RATE * rate, 3.0, rng):
        size, length = rng.uniform(1.5, 5.0), rng.uniform(1.0, 3.0)
        spell = _swell(times, start, 0.5, length, 0.7)
        found["au12"] = np.maximum(found["au12"], size * spell)
        found["au6"] = np.maximum(found["au6"], rng.uniform(0.4, 0.8) * size * spell)
        found["au25"] = np.maximum(found["au25"], max(size - 2.0, 0.0) * 1.6 * spell)
        found["smile"] = np.maximum(found["smile"], spell > 0)
    found["au25"] = np.minimum(found["au25"], FACS)


def _hand(found: dict[str, np.ndarray], rate: float, rng: np.random.Generator) -> Hand | None:
    """Chin, mouth, cheek or one eye are covered for a while."""
    times = found["time"]
    spells = _spells(times, HAND_RATE * rate, 2.0, rng)
    side = float(rng.choice([-1.0, 1.0]))
    place = ((0.25, 1.45), (0.15, 1.15), (0.75, 0.85), (0.72, 0.25))[int(rng.integers(4))]
    hand = Hand(
        at=(side * place[0], place[1]),
        angle=-np.pi / 2 - side * rng.uniform(0.3, 0.8),
        size=rng.uniform(0.26, 0.36),
    )
    for start in spells:
        within = (times >= start) & (times < start + rng.uniform(0.6, 2.0))
        found["occluded"] = np.maximum(found["occluded"], within)
    return hand if found["occluded"].any() else None


def _wander(
    times: Float[np.ndarray, " frame"], rng: np.random.Generator, hertz: float
) -> Float[np.ndarray, " frame"]:
    """A slow random course with a standard deviation of 1: a sum of three waves."""
    total = np.zeros(len(times))
    for share in (0.3, 0.6, 1.0):
        phase = rng.uniform(0, 2 * np.pi)
        wave = 2 * np.pi * hertz * share * rng.uniform(0.8, 1.2) * times
        total += np.sqrt(2 / 3) * rng.normal() * np.sin(wave + phase)
    return total
