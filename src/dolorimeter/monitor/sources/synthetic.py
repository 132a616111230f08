"""Signals that look like a body's, without end. There is no person behind them.

Made of the same published facts as the look-alike cohorts (`dolorimeter.synthesis.physiology`), as
one body whose heart, skin and muscle go on from block to block. Every `EVERY` seconds something
happens to it, by turns stronger and weaker; nobody knows what a person would feel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import MonitorError
from dolorimeter.monitor.sources._items import Begins, Chunk, Item
from dolorimeter.synthesis import physiology
from dolorimeter.types import Signal

KINDS = {
    "eda": ("S", "conductance", 1e-6),
    "ecg": ("V", "voltage", 1e-6),
    "emg_trapezius": ("V", "voltage", 1e-6),
    "emg_corrugator": ("V", "voltage", 1e-6),
    "emg_zygomaticus": ("V", "voltage", 1e-6),
}
"""Unit, quantity, and what one unit of the generator is in it."""

BLOCK = 20.0
"""Seconds made at once."""
EVERY = 20.0
"""Seconds from one event to the next."""
DOSES = (1.0, 0.0, 0.25, 1.0, 0.55, 0.0)
"""Strength of the events, by turns."""
SKIN_LEVEL, SCR_AT_REST, SCR_GROWTH = 4.0, 0.03, 2.5
"""Microsiemens; and the logarithm by which a response grows from dose 0 to 1, as in the
look-alikes of BioVid."""
HEART_RATE, HEART_RISE, SINUS = 72.0, 4.0, 2.5
"""Per minute: at rest, rise at dose 1, swing with breath."""
BREATHING = 0.25
"""Hertz."""
TONE, BURST, R_WAVE = 6.0, 0.8, 900.0
"""Microvolts; burst as a multiple of the tone at dose 1."""


class Synthetic:
    """A body without a person.

    Parameters
    ----------
    seed : int
    sampling_rate : float
        Hertz, of every signal.
    """

    follows_clock = True
    lookalike = True
    start = 0.0

    def __init__(self, seed: int = 0, *, sampling_rate: float = 512.0) -> None:
        self._seed, self._rate = seed, sampling_rate
        self._wanted: tuple[str, ...] = ()
        self._begin = 0.0
        self._sent = 0
        self._made: dict[str, Float[np.ndarray, " time"]] = {}
        self._block = -1
        self._phase = 0.0
        self._begun = False

    @property
    def title(self) -> str:
        """In words, for page and exports."""
        return f"synthetic (seed {self._seed})"

    def open(self, wanted: Sequence[str], now: float) -> None:
        """Begin, with the modalities that it can make.

        Raises
        ------
        MonitorError
            If it can make none of them.
        """
        self._wanted = tuple(name for name in wanted if name in KINDS)
        self._begin = now
        if not self._wanted:
            raise MonitorError(
                f"the synthetic source makes {', '.join(KINDS)}; the model reads "
                f"{', '.join(wanted)}. Take another source, such as a replay."
            )

    def read(self, now: float) -> Sequence[Item]:
        """What has come since the last call, up to `now`."""
        return list(self._items(now))

    def close(self) -> None:
        """Nothing to end."""

    def _items(self, now: float) -> Iterator[Item]:
        if not self._begun:
            self._begun = True
            for name in self._wanted:
                unit, quantity, _ = KINDS[name]
                empty = np.empty((1, 0))
                like = Signal(empty, self._rate, unit, True, quantity, start=self._begin)
                yield Begins(name, like)
        until = int(np.floor((now - self._begin) * self._rate + 1e-6))
        each = round(BLOCK * self._rate)
        while self._sent < until:
            block, at = divmod(self._sent, each)
            if block != self._block:
                self._make(block)
            stop = min(each, at + until - self._sent)
            for name in self._wanted:
                start = self._begin + self._sent / self._rate
                yield Chunk(name, start, self._made[name][None, at:stop])
            self._sent += stop - at

    def _make(self, block: int) -> None:
        """All signals of the next block; skin and heart go on where the last one ended."""
        rng = np.random.default_rng([self._seed, block])
        each = round(BLOCK * self._rate)
        times = block * BLOCK + np.arange(each) / self._rate
        heart, self._phase = self._heart(times)
        made = {"eda": self._skin(times)}
        ecg = physiology.electrocardiogram(times, heart, R_WAVE, [rng], 1.0)[0]
        made["ecg"] = ecg
        for name in self._wanted:
            if name.startswith("emg_"):
                made[name] = self._muscle(times, rng)
                if name == "emg_trapezius":
                    made[name] += 0.02 * ecg
        self._made = {name: made[name] * KINDS[name][2] for name in self._wanted}
        self._block = block

    def _events(self, first: float, last: float) -> Iterator[tuple[float, float, int]]:
        """Onset, dose and number of each event of an interval; none before the first."""
        for number in range(max(0, int(first // EVERY)), int(last // EVERY) + 1):
            yield (number + 0.5) * EVERY, DOSES[number % len(DOSES)], number

    def _skin(self, times: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """Microsiemens, continuous: every response is a function of the time since its event."""
        slow = 0.02 * np.sin(2 * np.pi * times / 97.0) + 0.01 * np.sin(2 * np.pi * times / 31.0)
        signal = SKIN_LEVEL * (1.0 + slow)
        for onset, dose, number in self._events(times[0] - 2 * EVERY, times[-1]):
            own = np.random.default_rng([self._seed, number, 1])
            size = SCR_AT_REST * np.exp(SCR_GROWTH * dose + 0.6 * own.standard_normal())
            signal += size * physiology.scr(times - onset - own.uniform(*physiology.SCR_LATENCY))
        noise = np.random.default_rng([self._seed, int(times[0]), 2])
        return signal + 0.002 * noise.standard_normal(len(times))

    def _heart(self, times: Float[np.ndarray, " time"]) -> tuple[physiology.Heart, float]:
        """Beats of a block with a second around it, and the phase at which the next one begins."""
        step, pad = 1 / self._rate, round(self._rate)
        wide = times[0] + step * np.arange(-pad, len(times) + pad)
        breath = 2 * np.pi * BREATHING * wide
        rate = HEART_RATE + SINUS * np.sin(breath)
        for onset, dose, _ in self._events(wide[0] - EVERY, wide[-1]):
            since = wide - onset
            rise = physiology.ramp(since, 0.5, 3.5) * (1 - physiology.ramp(since, 6.0, 6.0))
            rate += HEART_RISE * dose * rise
        phase = np.cumsum(rate / 60.0) * step
        phase += self._phase - phase[pad]
        heart = physiology.Heart(wide, phase[None], breath[None])
        return heart, float(phase[pad + len(times)])

    def _muscle(
        self, times: Float[np.ndarray, " time"], rng: np.random.Generator
    ) -> Float[np.ndarray, " time"]:
        size = np.ones(len(times))
        for onset, dose, _ in self._events(times[0] - EVERY, times[-1]):
            x = np.clip((times - onset - 0.5) / 2.0, 0.0, 1.0)
            size += BURST * dose * np.sin(np.pi * x) ** 2
        return TONE * size * physiology.muscle(len(times), self._rate, [rng])[0]
