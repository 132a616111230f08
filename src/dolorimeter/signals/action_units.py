"""Facial action units with a declared scale, and the cues made of them.

A number called AU4 means one thing from a certified coder, another from OpenFace, another from a
blendshape. `ActionUnits` therefore says its scale, and how far each unit is to be trusted.

References
----------
Ekman, Friesen and Hager, Facial Action Coding System (2002). Prkachin and Solomon, Pain 139:267
(2008), the pain intensity. docs/face.md has the weights of `pain_expression` and their sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.signals.face import BLENDSHAPES, eye_closure, prolonged_closure
from dolorimeter.types import FaceTrack

HIGHEST: Mapping[str, float] = MappingProxyType(
    {
        "facs_intensity": 5.0,
        "openface_intensity": 5.0,
        "libreface_intensity": 5.0,
        "probability": 1.0,
        "presence": 1.0,
        "blendshape": 1.0,
    }
)
"""Largest value of each scale; the smallest is 0. FACS letters A–E are 1–5."""

UNSEEN, WEAK, FAIR, CODED = 0.0, 0.3, 0.6, 1.0
"""Grades of trust, ours: the source does not see the unit; it follows the unit loosely; it follows
the unit and is often confused; a human coded it."""

SEEN_FROM = 0.1
"""A unit trusted less than this counts as not measured, not as absent."""

Term = tuple[float, tuple[str, ...]]

PSPI_TERMS: tuple[Term, ...] = (
    (5.0, ("au4",)),
    (5.0, ("au6", "au7")),
    (5.0, ("au9", "au10")),
    (1.0, ("au43",)),
)
"""Prkachin and Solomon (2008): AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, with the range of each
term. The ranges are also the weights of `pain_expression`."""

PSPI_RANGE = 16.0

EXPLAINED_BY_A_SMILE = (("au6", "au7"), ("au9", "au10"))
"""Terms that AU12 discounts: enjoyment raises the cheeks and the upper lip. It neither lowers the
brows nor shuts the eyes for half a second."""

FROM_BLENDSHAPES: Mapping[str, tuple[tuple[str, ...], float]] = MappingProxyType(
    {
        "au1": (("browInnerUp",), WEAK),
        "au2": (("browOuterUpLeft", "browOuterUpRight"), WEAK),
        "au4": (("browDownLeft", "browDownRight"), WEAK),
        "au5": (("eyeWideLeft", "eyeWideRight"), UNSEEN),
        "au6": (("cheekSquintLeft", "cheekSquintRight"), UNSEEN),
        "au7": (("eyeSquintLeft", "eyeSquintRight"), WEAK),
        "au9": (("noseSneerLeft", "noseSneerRight"), UNSEEN),
        "au10": (("mouthUpperUpLeft", "mouthUpperUpRight"), WEAK),
        "au12": (("mouthSmileLeft", "mouthSmileRight"), FAIR),
        "au14": (("mouthDimpleLeft", "mouthDimpleRight"), WEAK),
        "au15": (("mouthFrownLeft", "mouthFrownRight"), WEAK),
        "au17": (("mouthShrugLower",), WEAK),
        "au20": (("mouthStretchLeft", "mouthStretchRight"), WEAK),
        "au24": (("mouthPressLeft", "mouthPressRight"), WEAK),
        "au26": (("jawOpen",), FAIR),
    }
)
"""Units and the blendshapes whose mean stands for them, with trust. AU26 stands for AU27 too: both
are ``jawOpen``. AU25 and AU43 are computed otherwise, see `action_units`."""


@dataclass(frozen=True)
class ActionUnits:
    """Action units of one person over time, on a declared scale.

    Parameters
    ----------
    names : tuple of str
        ``"au4"``, ``"au12"`` …
    values : Float[np.ndarray, "frame unit"]
        NaN where there is none.
    scale : str
        A key of `HIGHEST`; values lie between 0 and its number.
    trust : mapping of str to float
        For each unit, 0 (not seen by this source) … 1 (coded by a human).
    source : str
        Whose numbers these are, for a report (``"OpenFace 2 (s1.csv)"``).
    times : Float[np.ndarray, "frame"]
        Seconds; NaN where the source does not tell.
    unit_scales : mapping of str to str
        Scales of units that differ from `scale`. AU43 of a FACS coding is a presence (0 or 1)
        without being listed.

    Raises
    ------
    ConfigError
        Unknown scale, a name that is no unit, trust missing or beyond 0…1.
    SignalError
        Values beyond their scale, or shapes that disagree.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "frame unit"]
    scale: str
    trust: Mapping[str, float]
    source: str
    times: Float[np.ndarray, " frame"]
    unit_scales: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.times), len(self.names)):
            raise SignalError(
                f"{self.source}: values of shape {self.values.shape} for {len(self.times):,} "
                f"times and {len(self.names)} units, expected (frame, unit)."
            )
        wrong = [name for name in self.names if not re.fullmatch(r"au[1-9]\d?", name)]
        if wrong or len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"{self.source}: units {', '.join(wrong or self.names)}; expected names such as "
                "'au4', each once."
            )
        distrust = [name for name in self.names if not 0 <= self.trust.get(name, -1.0) <= 1]
        if distrust:
            raise ConfigError(
                f"{self.source}: no trust between 0 and 1 for {', '.join(distrust)}: say for each "
                "unit how far this source is to be believed."
            )
        for column, name in enumerate(self.names):
            self._check_range(name, self.values[:, column])

    def _check_range(self, name: str, values: Float[np.ndarray, " frame"]) -> None:
        scale = self.scale_of(name)
        if scale not in HIGHEST:
            raise ConfigError(
                f"{self.source}: scale '{scale}' of {name}, expected one of {', '.join(HIGHEST)}."
            )
        present = values[~np.isnan(values)]
        highest = HIGHEST[scale]
        fits = (present >= 0) & (present <= highest)
        wanted = f"0…{highest:g}"
        if scale == "presence":
            fits, wanted = (present == 0) | (present == 1), "0 or 1"
        if not bool(fits.all()):
            raise SignalError(
                f"{self.source}: {name} has the value {present[~fits][0]:g}, expected {wanted} on "
                f"the scale '{scale}'. Declare the scale that the numbers have."
            )

    def __len__(self) -> int:
        return len(self.times)

    def scale_of(self, unit: str) -> str:
        """The scale of one unit."""
        if unit == "au43" and self.scale == "facs_intensity":
            return self.unit_scales.get(unit, "presence")
        return self.unit_scales.get(unit, self.scale)

    def unit(self, name: str) -> Float[np.ndarray, " frame"]:
        """Values of a unit on its own scale; all NaN where the source has no such unit."""
        if name not in self.names:
            return np.full(len(self), np.nan)
        return self.values[:, self.names.index(name)]

    def seen(self, name: str) -> bool:
        """Whether the source has the unit and is able to see it."""
        return name in self.names and self.trust[name] >= SEEN_FROM

    def share(self, name: str) -> Float[np.ndarray, " frame"]:
        """A unit as a share of its scale, 0…1; NaN where it was not measured."""
        if not self.seen(name):
            return np.full(len(self), np.nan)
        return self.unit(name) / HIGHEST[self.scale_of(name)]


@dataclass(frozen=True)
class Cue:
    """One number a frame, with bounds for what was not measured.

    Parameters
    ----------
    value : Float[np.ndarray, "frame"]
        The guess: an unmeasured unit is as strong as the other one of its pair, an unmeasured
        term as strong as the weighted mean of the measured ones. NaN where nothing was measured.
    lower, upper : Float[np.ndarray, "frame"]
        With every unmeasured unit absent, and at its maximum. They know nothing of the error of
        the measured ones.
    scale : str
        What the number is, for a report and an axis.
    unmeasured : tuple of str
        Units of the PSPI that the source lacks or cannot see in any frame.
    """

    value: Float[np.ndarray, " frame"]
    lower: Float[np.ndarray, " frame"]
    upper: Float[np.ndarray, " frame"]
    scale: str
    unmeasured: tuple[str, ...]


def action_units(track: FaceTrack) -> ActionUnits:
    """Units from the blendshapes and landmarks of a face track, on the scale ``"blendshape"``.

    A blendshape drives a puppet; that it follows an action unit is a hope with a known muscle
    behind it. Nobody has validated MediaPipe's against FACS, therefore trust is `WEAK` at best for
    most, and `UNSEEN` for those that hardly ever move (docs/face.md has the measurement).

    AU25 is the lips apart: by the jaw (``jawOpen`` without ``mouthClose``) or the lower lip
    (``mouthLowerDown``), whichever is more. AU43 is a presence from the lids: both eyes shut for
    half a second or longer; a blink is none.
    """
    shapes = track.blendshapes
    columns = {name: _mean_of(shapes, parts) for name, (parts, _) in FROM_BLENDSHAPES.items()}
    trust = {name: grade for name, (_, grade) in FROM_BLENDSHAPES.items()}
    by_jaw = np.maximum(_mean_of(shapes, ("jawOpen",)) - _mean_of(shapes, ("mouthClose",)), 0.0)
    lower_lip = _mean_of(shapes, ("mouthLowerDownLeft", "mouthLowerDownRight"))
    columns["au25"] = np.maximum(by_jaw, lower_lip)
    columns["au43"] = prolonged_closure(eye_closure(track.landmarks).min(axis=1), track.times)
    trust |= {"au25": FAIR, "au43": FAIR}
    return ActionUnits(
        names=tuple(columns),
        values=np.stack([column.astype(float) for column in columns.values()], axis=1),
        scale="blendshape",
        trust=trust,
        source=f"MediaPipe blendshapes and lids ({track.path.name})",
        times=track.times,
        unit_scales={"au43": "presence"},
    )


def pspi(au: ActionUnits) -> Float[np.ndarray, " frame"]:
    """Prkachin and Solomon's pain intensity: AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, 0…16.

    Parameters
    ----------
    au : ActionUnits
        Intensities coded by FACS (0–5; AU43 is 0 or 1). A frame with a unit missing is NaN.

    Raises
    ------
    ConfigError
        If the scale is any other, or a unit was not coded: see `pspi_proxy`.
    """
    units = [unit for _, pair in PSPI_TERMS for unit in pair]
    scales = {unit: au.scale_of(unit) for unit in units if unit in au.names}
    foreign = {u: s for u, s in scales.items() if s not in ("facs_intensity", "presence")}
    graded = [u for u, s in scales.items() if u != "au43" and s == "presence"]
    if au.scale != "facs_intensity" or foreign or graded:
        raise ConfigError(
            f"{au.source}: the PSPI is defined on FACS intensities, and these are on the scale "
            f"'{au.scale}'{_listed(foreign)}. Use pspi_proxy, which says what it is."
        )
    absent = [unit for unit in units if unit not in au.names]
    if absent:
        raise ConfigError(
            f"{au.source}: {', '.join(absent)} was not coded, and the PSPI needs all of "
            f"{', '.join(units)}. Use pspi_proxy, which gives bounds for what is missing."
        )
    terms = [np.max([au.unit(unit) for unit in pair], axis=0) for _, pair in PSPI_TERMS]
    return np.sum(terms, axis=0)


def pspi_proxy(au: ActionUnits) -> Cue:
    """The PSPI's formula on any scale, as a share of its range (0…1), with bounds.

    Each unit enters as a share of its own scale, each term with the weight of its range in the
    PSPI (5, 5, 5, 1). It is no PSPI: half of a probability is not half of an intensity.
    """
    measured = [_term(au, pair) for _, pair in PSPI_TERMS]
    weights = np.array([weight for weight, _ in PSPI_TERMS])[:, None]
    seen = np.stack([values for values, _ in measured])
    complete = np.stack([whole for _, whole in measured])
    known = ~np.isnan(seen)
    low = np.where(known, seen, 0.0)
    total = (weights * known).sum(axis=0)
    value = np.divide(
        (weights * low).sum(axis=0), total, out=np.full(len(au), np.nan), where=total > 0
    )
    return Cue(
        value=value,
        lower=(weights * low).sum(axis=0) / PSPI_RANGE,
        upper=(weights * np.where(complete, low, 1.0)).sum(axis=0) / PSPI_RANGE,
        scale=f"share of the PSPI's range, from {au.scale}",
        unmeasured=tuple(
            unit
            for _, pair in PSPI_TERMS
            for unit in pair
            if not au.seen(unit) or bool(np.isnan(au.unit(unit)).all())
        ),
    )


def pain_expression(source: ActionUnits | FaceTrack) -> Float[np.ndarray, " frame"]:
    """Pain-related activity that a smile does not explain, 0…1.

    ``(5·AU4 + AU43 + (1 − AU12)·(5·max(AU6, AU7) + 5·max(AU9, AU10))) / 16``, all as shares of
    their scale. A term without a measured unit is left out of sum and divisor. Weights, sources
    and limits are in docs/face.md; the cue is not validated, and no probability.

    Parameters
    ----------
    source : ActionUnits or FaceTrack
        On any scale.

    Raises
    ------
    ConfigError
        If AU12 is not measured: without it no smile is known.
    """
    au = action_units(source) if isinstance(source, FaceTrack) else source
    if not au.seen("au12"):
        raise ConfigError(
            f"{au.source}: no AU12, so a smile cannot be told from pain. Use pspi_proxy, and say "
            "that smiles are in it."
        )
    left = 1.0 - au.share("au12")
    top, total = np.zeros(len(au)), np.zeros(len(au))
    for weight, pair in PSPI_TERMS:
        values, _ = _term(au, pair)
        known = ~np.isnan(values)
        kept = left if pair in EXPLAINED_BY_A_SMILE else 1.0
        top += weight * np.where(known, values * kept, 0.0)
        total += weight * known
    value = np.divide(top, total, out=np.full(len(au), np.nan), where=total > 0)
    return np.where(np.isnan(left), np.nan, value)


def _term(
    au: ActionUnits, pair: tuple[str, ...]
) -> tuple[Float[np.ndarray, " frame"], np.ndarray]:
    """The stronger measured unit of a pair (NaN without any), and where all were measured."""
    shares = np.stack([au.share(unit) for unit in pair])
    known = ~np.isnan(shares)
    strongest = np.where(known, shares, -1.0).max(axis=0)
    return np.where(known.any(axis=0), strongest, np.nan), known.all(axis=0)


def _mean_of(
    shapes: Float[np.ndarray, "frame 52"], names: tuple[str, ...]
) -> Float[np.ndarray, " frame"]:
    return shapes[:, [BLENDSHAPES.index(name) for name in names]].mean(axis=1)


def _listed(foreign: Mapping[str, str]) -> str:
    if not foreign:
        return ""
    return " (" + ", ".join(f"{unit}: {scale}" for unit, scale in foreign.items()) + ")"
