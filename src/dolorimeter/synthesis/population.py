"""The generating model: who reacts how, and how well a level can be told at best.

A level enters the signals of a window through a short vector of latents only:

- *responses* ``r_k ~ N(weight_k · drive, 1)`` with ``drive = effect · gain · habituation ·
  (dose(level) + carry-over · dose(previous level))``: the amplitude of the skin-conductance
  response, the rise of heart rate, the muscle burst, haemoglobin;
- *traits* ``t_m ~ N(base_m + min(effect, 1) · dose(level) · shift_m, 1)``: where the person's
  tonic level, heart rate or muscle tone lies in this window. Bases differ much between people, the
  shift is a person's own and points anywhere (individual response specificity).

All in units of the variation from window to window. `gain`, `base` and `shift` are a person's
own and independent of each other. Everything else in a file (noise, movement, artefacts, the
shape of a heart beat) is drawn without a look at the level. So the likelihood ratio of the latents
bounds every classifier of single windows, by the data-processing inequality.

References
----------
Lacey & Lacey 1958, Am J Psychol 71:50–73 (individual response specificity). Werner et al. 2014,
ICPR, and Gruss et al. 2015, PLoS ONE 10:e0140330 (what can be told between the levels of BioVid:
almost nothing at PA1, most at PA4). Rankin et al. 2009, Neurobiol Learn Mem 92:135–138
(habituation: negative exponential to an asymptote).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

LOW_REACTIVE_SHARE = 20 / 87
"""BioVid's published list of people who hardly react: 20 of 87."""
LOW_REACTIVE_GAIN = 0.2
"""Of their gain, against 1 in the median of the others."""
GAIN_SPREAD = 0.3
"""Standard deviation of the logarithm of the gain."""
CARRY_OVER = 0.15
"""Share of the previous stimulus' drive that is still there."""
HABITUATION_FLOOR = 0.8
HABITUATION_TRIALS = 30.0
"""Responses fall to the floor with this constant (in trials)."""
DRIFT_CORRELATION = 0.5
"""Of a trait's variation between neighbouring windows: the level drifts, it does not jump."""

DRIVE_NODES = 64
GAIN_NODES = 401
SCHEDULES = 400
Y_GRID = 3001


@dataclass(frozen=True)
class Response:
    """A response whose strength depends on the dose.

    Parameters
    ----------
    name : str
    modalities : tuple of str
        Signals in which it can be seen.
    weight : float
        Mean at dose, effect and gain 1, in standard deviations from window to window.
    last : bool
        Drawn when all else was, so that asking for it leaves all else as it is. Stands at the end.
    """

    name: str
    modalities: tuple[str, ...]
    weight: float
    last: bool = False


@dataclass(frozen=True)
class Trait:
    """A level that tells people apart and moves with the dose in a direction of their own.

    Parameters
    ----------
    name : str
    modalities : tuple of str
        Signals in which it can be seen.
    spread, shift : float
        Standard deviations of base and shift between people, at identity strength 1.
    """

    name: str
    modalities: tuple[str, ...]
    spread: float
    shift: float


@dataclass(frozen=True)
class Design:
    """One kind of cohort: its conditions, their order in a session, and its latents.

    Parameters
    ----------
    conditions : tuple of str
        In rising order of dose.
    doses : tuple of float
        Between 0 and 1, one a condition.
    responses, traits : tuples
    schedule : callable
        ``(rng) -> Int[np.ndarray, "trial"]``: conditions of one session, by number.
    effect, identity_strength : float
        See `dolorimeter.synthesis.synthesise`.
    """

    conditions: tuple[str, ...]
    doses: tuple[float, ...]
    responses: tuple[Response, ...]
    traits: tuple[Trait, ...]
    schedule: Callable[[np.random.Generator], np.ndarray]
    effect: float
    identity_strength: float

    @property
    def trait_scale(self) -> float:
        """How far a shift reaches at dose 1: nothing at effect 0, never beyond its own size."""
        return min(self.effect, 1.0)

    @property
    def base_spreads(self) -> Float[np.ndarray, " trait"]:
        """Standard deviation of each trait's base between people."""
        return np.array([t.spread * self.identity_strength for t in self.traits], dtype=float)

    @property
    def shift_spreads(self) -> Float[np.ndarray, " trait"]:
        """Standard deviation of each trait's shift between people."""
        return np.array([t.shift * self.identity_strength for t in self.traits], dtype=float)


@dataclass(frozen=True)
class Person:
    """What is one person's own in the generating model."""

    low_reactive: bool
    gain: float
    base: Float[np.ndarray, " trait"]
    shift: Float[np.ndarray, " trait"]


@dataclass(frozen=True)
class Session:
    """Latents of one person's session, one row a trial."""

    condition: Int[np.ndarray, " trial"]
    drive: Float[np.ndarray, " trial"]
    responses: Float[np.ndarray, "trial response"]
    traits: Float[np.ndarray, "trial trait"]


def draw_person(design: Design, low: bool, rng: np.random.Generator) -> Person:
    """One person, independent of all others but for whether their reactions are low."""
    gain = float(np.exp(GAIN_SPREAD * rng.standard_normal()))
    count = len(design.traits)
    return Person(
        low_reactive=low,
        gain=gain * (LOW_REACTIVE_GAIN if low else 1.0),
        base=design.base_spreads * rng.standard_normal(count),
        shift=design.shift_spreads * rng.standard_normal(count),
    )


def is_low_reactive(number: int, start: float) -> bool:
    """Whether person `number` hardly reacts.

    Each does with the same probability, and any run of people has close to that share of them (the
    golden ratio's rotation from a random `start` in 0…1), so that small cohorts are alike.
    """
    return bool((start + number * (np.sqrt(5) - 1) / 2) % 1 < LOW_REACTIVE_SHARE)


def draw_session(design: Design, person: Person, rng: np.random.Generator) -> Session:
    """The latents of one person's session."""
    condition = np.asarray(design.schedule(rng), dtype=np.int64)
    drive = design.effect * person.gain * drives(design, condition)
    weights = np.array([r.weight for r in design.responses], dtype=float)
    first = sum(not r.last for r in design.responses)
    noise = rng.standard_normal((len(condition), first))
    own = design.trait_scale * np.asarray(design.doses)[condition]
    drift = rng.standard_normal((len(condition), len(person.base)))
    for i in range(1, len(drift)):
        drift[i] *= np.sqrt(1 - DRIFT_CORRELATION**2)
        drift[i] += DRIFT_CORRELATION * drift[i - 1]
    traits = person.base + own[:, None] * person.shift + drift
    later = rng.standard_normal((len(condition), len(weights) - first))
    responses = drive[:, None] * weights + np.hstack([noise, later])
    return Session(condition, drive, responses, traits)


def drives(design: Design, condition: Int[np.ndarray, " trial"]) -> Float[np.ndarray, " trial"]:
    """Drive of each trial of a session at effect 1 and gain 1."""
    dose = np.asarray(design.doses, dtype=float)[condition]
    before = np.concatenate([[0.0], dose[:-1]])
    trial = np.arange(len(condition))
    habituation = HABITUATION_FLOOR + (1 - HABITUATION_FLOOR) * np.exp(-trial / HABITUATION_TRIALS)
    return habituation * (dose + CARRY_OVER * before)


# ── how well a level can be told at best ────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Odds:
    """Log density of a window's latents under one class (one or more conditions, equally likely).

    Responses enter through their projection on the weights, which is sufficient: given the drive
    they are independent normals whose means lie on one line.
    """

    nodes: Float[np.ndarray, " node"]
    doses: Float[np.ndarray, " dose"]


def odds(design: Design, conditions: Sequence[str]) -> Odds:
    """The class made of `conditions`."""
    rows = [_drive_nodes(design)[design.conditions.index(name)] for name in conditions]
    doses = [design.doses[design.conditions.index(name)] for name in conditions]
    return Odds(np.concatenate(rows), np.asarray(doses, dtype=float))


@lru_cache(maxsize=16)
def _drive_nodes(design: Design) -> Float[np.ndarray, "condition node"]:
    """Equally likely drives of each condition, over sessions of this design (effect, gain 1)."""
    rng = np.random.default_rng(20)
    found: list[list[np.ndarray]] = [[] for _ in design.conditions]
    for _ in range(SCHEDULES):
        condition = np.asarray(design.schedule(rng), dtype=np.int64)
        drive = drives(design, condition)
        for number, rows in enumerate(found):
            rows.append(drive[condition == number])
    at = (np.arange(DRIVE_NODES) + 0.5) / DRIVE_NODES
    return np.stack([np.quantile(np.concatenate(rows), at) for rows in found])


def _gain_nodes() -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
    """Nodes of the gain, for both kinds of people, and their weights.

    Close enough that responses of neighbouring nodes overlap at any effect that can be asked for.
    """
    x = np.linspace(-5.0, 5.0, GAIN_NODES)
    w = np.exp(-0.5 * x**2)
    gain, w = np.exp(GAIN_SPREAD * x), w / w.sum()
    return (
        np.concatenate([gain, gain * LOW_REACTIVE_GAIN]),
        np.concatenate([w * (1 - LOW_REACTIVE_SHARE), w * LOW_REACTIVE_SHARE]),
    )


@dataclass(frozen=True)
class Observer:
    """Who sees all latents of a window that reach some modalities, and knows the model.

    Parameters
    ----------
    design : Design
    responses, traits : sequences of int
        Which latents are seen.
    subject_known : bool
        Whether the person's gain, base and shift are known too.
    """

    design: Design
    responses: tuple[int, ...]
    traits: tuple[int, ...]
    subject_known: bool

    @property
    def weights(self) -> Float[np.ndarray, " response"]:
        """Weights of the responses seen."""
        return np.array([self.design.responses[k].weight for k in self.responses], dtype=float)

    @property
    def length(self) -> float:
        """Norm of the weights: the distance that drive 1 makes along them."""
        return float(np.sqrt(np.sum(self.weights**2)))

    def project(
        self, responses: Float[np.ndarray, "window response"]
    ) -> Float[np.ndarray, " window"]:
        """The sufficient number of all responses of a window."""
        if self.length == 0:
            return np.zeros(len(responses))
        return responses[:, list(self.responses)] @ self.weights / self.length

    def log_density(
        self,
        of: Odds,
        y: Float[np.ndarray, " window"],
        traits: Float[np.ndarray, "window trait"],
        people: Mapping[str, np.ndarray] | None = None,
    ) -> Float[np.ndarray, " window"]:
        """Log density of windows under a class, up to a constant that classes share.

        `people` has ``gain (window,)``, ``base`` and ``shift (window, trait)`` when the subject
        is known. Traits are all traits of the design; those not seen are left out here.
        """
        seen = list(self.traits)
        if self.subject_known:
            assert people is not None
            one = self._known_responses(of, y, people["gain"])
            base, shift = people["base"][:, seen], people["shift"][:, seen]
        else:
            one = self._marginal_responses(of, y)
            base = shift = np.zeros((len(y), len(seen)))
        return one + self._traits(of, traits[:, seen], base, shift)

    def _marginal_responses(
        self, of: Odds, y: Float[np.ndarray, " window"]
    ) -> Float[np.ndarray, " window"]:
        gains, shares = _gain_nodes()
        means = (self.design.effect * self.length * np.outer(gains, of.nodes)).ravel()
        share = np.repeat(shares / len(of.nodes), len(of.nodes))
        width = max(0.02, float(means.max()) / 4000)
        bins = np.bincount(np.rint(means / width).astype(int), weights=share)
        centres = np.flatnonzero(bins) * width  # means closer than that are one
        grid = np.linspace(-8.0, 8.0 + float(means.max()), Y_GRID)
        density = np.exp(-0.5 * (grid[:, None] - centres) ** 2) @ bins[bins > 0]
        return np.interp(y, grid, np.log(np.maximum(density, np.finfo(float).tiny)))

    def _known_responses(
        self, of: Odds, y: Float[np.ndarray, " window"], gain: Float[np.ndarray, " window"]
    ) -> Float[np.ndarray, " window"]:
        total = np.zeros_like(y)
        for node in of.nodes:
            total += np.exp(-0.5 * (y - self.design.effect * self.length * gain * node) ** 2)
        return np.log(np.maximum(total / len(of.nodes), np.finfo(float).tiny))

    def _traits(
        self,
        of: Odds,
        traits: Float[np.ndarray, "window trait"],
        base: Float[np.ndarray, "window trait"],
        shift: Float[np.ndarray, "window trait"],
    ) -> Float[np.ndarray, " window"]:
        spread = self.design.base_spreads[list(self.traits)]
        moved = self.design.shift_spreads[list(self.traits)]
        parts = []
        for dose in self.design.trait_scale * of.doses:
            variance = np.ones_like(spread)
            if not self.subject_known:
                variance = 1 + spread**2 + (dose * moved) ** 2
            distance = traits - base - dose * shift
            parts.append(-0.5 * np.sum(distance**2 / variance + np.log(variance), axis=1))
        return np.logaddexp.reduce(np.stack(parts), axis=0) - np.log(len(parts))

    def accuracy(self, first: Odds, second: Odds, prior: float, draws: int) -> tuple[float, float]:
        """Accuracy of the likelihood ratio between two classes, and its standard error.

        The mean of the larger posterior over windows of new people, by Monte Carlo with a fixed
        seed: `draws` windows of each class.
        """
        rng = np.random.default_rng(7)
        total = np.zeros(draws)
        for own, share in ((first, prior), (second, 1 - prior)):
            y, traits, people = self._draw(own, draws, rng)
            a = self.log_density(first, y, traits, people) + np.log(prior)
            b = self.log_density(second, y, traits, people) + np.log(1 - prior)
            total += share * np.exp(np.maximum(a, b) - np.logaddexp(a, b))
        return float(total.mean()), float(total.std(ddof=1) / np.sqrt(draws))

    def _draw(
        self, of: Odds, draws: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        design = self.design
        count = len(design.traits)
        gain = np.exp(GAIN_SPREAD * rng.standard_normal(draws))
        gain *= np.where(rng.random(draws) < LOW_REACTIVE_SHARE, LOW_REACTIVE_GAIN, 1.0)
        base = design.base_spreads * rng.standard_normal((draws, count))
        shift = design.shift_spreads * rng.standard_normal((draws, count))
        drive = design.effect * gain * of.nodes[rng.integers(len(of.nodes), size=draws)]
        dose = design.trait_scale * of.doses[rng.integers(len(of.doses), size=draws)]
        y = self.length * drive + rng.standard_normal(draws)
        traits = base + dose[:, None] * shift + rng.standard_normal((draws, count))
        return y, traits, {"gain": gain, "base": base, "shift": shift}
