"""The one check that time and events are what a file says.

Readers place stamped samples (`clock_of`) and stamped blocks of samples (`blocks`) on a regular
grid, on which a gap is missing samples (NaN). `distinct_events` leaves out events that are written
twice, `event_warnings` names events outside the recording, `coverage_warnings` signals that end
early.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dolorimeter.errors import RecordingError
from dolorimeter.types import Exclusion, Recording, Remark, Stimulus

LONGEST_PAUSE = 86_400.0
"""Seconds of missing samples per recording; a longer pause means several recordings or a clock
that was set."""
STAMP_STEP = 0.002
"""Seconds; stamps are often rounded to milliseconds."""
RATE_TOLERANCE = 1e-3
"""Relative difference between a stated rate and that of the stamps which is reported."""
GAPS = "a pause in the recording became missing samples (NaN)"
RATE = "the sampling rate is that of the time stamps, not the stated one"
UNEVEN = "time stamps are uneven, and samples are taken as evenly spaced"
MOST_UNEVEN = 0.1
"""Sampling intervals by which a stamp may be off without a remark."""
TWICE = "an event that is written twice is used once"
SETTLED = 20
"""Stamps on either side of a gap, where stamps vary by more than a sampling interval."""
SHOWN = 3
"""Examples in a sentence."""


@dataclass(frozen=True)
class Clock:
    """Places of the samples of a signal on a regular grid.

    Parameters
    ----------
    start : float
        Time of the first sample in seconds.
    sampling_rate : float
        Hertz.
    index : Int[np.ndarray, "sample"]
        Place of each sample on the grid, ascending from 0.
    gaps : tuple of (float, float)
        Start and stop of each stretch without samples, in seconds.
    remarks : tuple of Remark
        What a user must be told.
    """

    start: float
    sampling_rate: float
    index: Int[np.ndarray, " sample"]
    gaps: tuple[tuple[float, float], ...] = ()
    remarks: tuple[Remark, ...] = ()

    def place(
        self, values: Float[np.ndarray, "channel sample"]
    ) -> Float[np.ndarray, "channel time"]:
        """Return the samples on the grid; places without a sample are NaN."""
        if not self.gaps:
            return values
        placed = np.full((len(values), int(self.index[-1]) + 1), np.nan)
        placed[:, self.index] = values
        return placed


def clock_of(
    times: Float[np.ndarray, " sample"], *, where: object, stated_rate: float | None = None
) -> Clock:
    """Return the regular clock of stamped samples.

    A step of more than one and a half sampling intervals is a gap if the stamps after it stay
    behind; a step that the next stamps make up for is jitter.

    Parameters
    ----------
    times : Float[np.ndarray, "sample"]
        Time of each sample in seconds.
    where : object
        File, for messages.
    stated_rate : float, optional
        Sampling rate in hertz that the file states.

    Returns
    -------
    Clock
        Its rate is the stated one where the stamps agree within `RATE_TOLERANCE`, else that of
        the stamps. A remark says by how much a stamp is off, where that is more than a tenth of
        the sampling interval.

    Raises
    ------
    RecordingError
        If a stamp is missing, time runs backwards or stands still, or pauses last longer than
        `LONGEST_PAUSE`.

    Examples
    --------
    >>> clock = clock_of(np.array([0.0, 0.1, 0.2, 0.5, 0.6]), where="a.csv")
    >>> clock.sampling_rate, clock.index.tolist()
    (10.0, [0, 1, 2, 5, 6])
    """
    steps = np.diff(times)
    if not np.isfinite(times).all():
        raise RecordingError(
            f"{where}: {int((~np.isfinite(times)).sum())} of {times.size} time stamps are missing "
            "or infinite; expected seconds for every sample."
        )
    if times.size < 2:
        rate = stated_rate or 0.0
        if not rate:
            raise RecordingError(f"{where}: {times.size} samples; expected at least two.")
        return Clock(float(times[0]) if times.size else 0.0, rate, np.arange(times.size))
    if (steps < 0).any():
        first = int(np.flatnonzero(steps < 0)[0])
        raise RecordingError(
            f"{where}: time runs backwards, from {times[first]:g} to {times[first + 1]:g} s at "
            f"sample {first + 2}. Are two recordings in one file, or was the clock set?"
        )
    step, steady = _step_of(times)
    if step <= 0:
        raise RecordingError(
            f"{where}: more than half of the time stamps repeat the one before, so that the "
            "sampling rate is unknown. Export time stamps per sample."
        )
    sizes = _gap_sizes(times, step, fewest=1 if steady else SETTLED)
    lost_in_all = math.fsum(round(size / step) * step for _, size in sizes)
    step = (float(times[-1] - times[0]) - lost_in_all) / (times.size - 1)
    rate = float(f"{1 / step:.9g}")
    remarks = []
    if stated_rate is not None:
        if abs(rate / stated_rate - 1) <= RATE_TOLERANCE:
            rate = stated_rate
        else:
            remarks.append(Remark(RATE, f"{rate:.6g} Hz instead of {stated_rate:g} Hz"))
    index = np.arange(times.size)
    gaps = []
    for k, size in sizes:
        lost = round(size * rate)
        if lost:
            index[k + 1 :] += lost
            gaps.append((float(times[k]) + 1 / rate, float(times[k + 1])))
    _check_pause(math.fsum(b - a for a, b in gaps), where)
    off = float(np.abs(times - times[0] - index / rate).max())
    if off > max(MOST_UNEVEN / rate, STAMP_STEP):
        remarks.append(Remark(UNEVEN, f"a stamp is up to {off:.2g} s off"))
    return Clock(float(times[0]), rate, index, tuple(gaps), (*gap_remarks(gaps), *remarks))


def _step_of(times: Float[np.ndarray, " sample"]) -> tuple[float, bool]:
    """Return the sampling interval in seconds, and whether the stamps are steady.

    Steady stamps differ from sample to sample by about one interval, so that the mean of such
    differences is the interval. Stamps of a radio link vary by more than that: then the median
    over differences of samples about one second apart is the interval.
    """
    steps = np.diff(times)
    middle = float(np.median(steps))
    ordinary = steps[(steps > 0.5 * middle) & (steps < 1.5 * middle)]
    if middle <= 0 or ordinary.size >= 0.95 * steps.size or times.size < 4 * SETTLED:
        return (float(ordinary.mean()) if middle > 0 else 0.0), True
    apart = max(1, min(times.size // 4, round(1 / middle)))
    return float(np.median(times[apart:] - times[:-apart])) / apart, False


def _gap_sizes(
    times: Float[np.ndarray, " sample"], step: float, *, fewest: int
) -> list[tuple[int, float]]:
    """Return the steps that are gaps: number of the step, and seconds by which it is too long.

    Transmission can only delay a stamp. The earliest of the stamps within a second tell what is
    lost, if there are at least `fewest` on either side.
    """
    offset = times - times[0] - step * np.arange(times.size)
    around = max(3, min(100, round(1 / step)))
    sizes: list[tuple[int, float]] = []
    first = 0
    for k in np.flatnonzero(np.diff(times) > 1.5 * step).tolist():
        before = offset[max(first, k + 1 - around) : k + 1]
        after = offset[k + 1 : k + 1 + around]
        size = float(after.min() - before.min())
        if size > 0.5 * step and min(before.size, after.size) >= fewest:
            sizes.append((k, size))
            first = k + 1
    return sizes


def blocks(starts: Sequence[float], count: int, sampling_rate: float, *, where: object) -> Clock:
    """Return the clock of blocks of equally many samples, each with the time of its first sample.

    Parameters
    ----------
    starts : sequence of float
        Seconds.
    count : int
        Samples per block.
    sampling_rate : float
        Hertz.
    where : object
        File, for messages.

    Returns
    -------
    Clock
        Blocks that follow within one sample, or within `STAMP_STEP`, are joined without a gap.

    Raises
    ------
    RecordingError
        If blocks overlap by more than that, or pauses last longer than `LONGEST_PAUSE`.

    Examples
    --------
    >>> blocks([0.0, 1.0, 5.0], 2, 2.0, where="a.edf").index.tolist()
    [0, 1, 2, 3, 10, 11]
    """
    offsets, gaps, end = [], [], 0
    slack = max(1, round(STAMP_STEP * sampling_rate))
    for start in starts:
        offset = round((start - starts[0]) * sampling_rate)
        if offset < end - slack:
            raise RecordingError(
                f"{where}: the block of samples at {start:g} s begins before the block before it "
                f"ends ({starts[0] + end / sampling_rate:g} s). The stamps and the rate of "
                f"{sampling_rate:g} Hz do not agree: export it again."
            )
        if offset <= end + slack:
            offset = end
        else:
            gaps.append((starts[0] + end / sampling_rate, start))
        offsets.append(offset)
        end = offset + count
    _check_pause(math.fsum(b - a for a, b in gaps), where)
    index = (np.array(offsets)[:, None] + np.arange(count)).ravel()
    return Clock(float(starts[0]), sampling_rate, index, tuple(gaps), gap_remarks(gaps))


def _check_pause(seconds: float, where: object) -> None:
    if seconds > LONGEST_PAUSE:
        raise RecordingError(
            f"{where}: {seconds:,.0f} s without samples. Were several recordings joined, or was "
            "the clock set? Split the file."
        )


def gap_remarks(gaps: Sequence[tuple[float, float]]) -> tuple[Remark, ...]:
    """Return the remark on the gaps of a recording; none without gaps.

    Examples
    --------
    >>> gap_remarks([(10.0, 70.0)])[0].detail
    '60 s in 1 gap: 10–70 s'
    """
    if not gaps:
        return ()
    many = f"{len(gaps)} gap" + "s" * (len(gaps) > 1)
    shown = ", ".join(f"{a:.6g}–{b:.6g} s" for a, b in gaps[:SHOWN])
    more = " …" if len(gaps) > SHOWN else ""
    return (Remark(GAPS, f"{sum(b - a for a, b in gaps):.6g} s in {many}: {shown}{more}"),)


# ── events ──────────────────────────────────────────────────────────────────────────────────────


def distinct_events(recording: Recording) -> tuple[tuple[Stimulus, ...], list[Exclusion]]:
    """Return the stimuli of a recording without repeated ones, and an exclusion per repetition.

    Two stimuli of the same onset, duration, condition, level and attributes (other than a counter)
    are one: its windows would count twice. Stimuli without onset are not compared.

    Parameters
    ----------
    recording : Recording
        As its reader lists it.
    """
    seen: set[tuple[object, ...]] = set()
    kept, left_out = [], []
    for s in recording.stimuli:
        others = frozenset((k, v) for k, v in s.attributes.items() if k != "counter")
        key = (s.onset, s.duration, s.condition, s.level, others)
        if s.onset is not None and key in seen:
            left_out.append(
                Exclusion(
                    recording.subject,
                    recording.name,
                    f"event {s.condition} at {s.onset:g} s",
                    TWICE,
                )
            )
            continue
        seen.add(key)
        kept.append(s)
    return tuple(kept), left_out


def event_warnings(stimuli: Iterable[Stimulus], start: float, stop: float) -> list[str]:
    """Return what is wrong with the times of events, as sentences.

    Parameters
    ----------
    stimuli : iterable of Stimulus
        Events; those without onset are ignored.
    start, stop : float
        What the signals or the video cover, in seconds on the recording's clock.

    Examples
    --------
    >>> event_warnings([Stimulus(70.0, None, "tag")], 0.0, 60.0)
    ['1 of 1 events lies outside 0–60 s: tag at 70 s (10 s after the end)']
    """
    timed = [s for s in stimuli if s.onset is not None]
    outside, beyond = [], []
    slack = 1e-3
    for s in timed:
        assert s.onset is not None
        end = s.onset + (s.duration or 0.0)
        if s.onset < start - slack:
            outside.append(
                f"{s.condition} at {s.onset:,.6g} s ({start - s.onset:,.6g} s before the start)"
            )
        elif s.onset >= stop:
            outside.append(
                f"{s.condition} at {s.onset:,.6g} s ({s.onset - stop:,.6g} s after the end)"
            )
        elif end > stop + slack:
            beyond.append(f"{s.condition} at {s.onset:,.6g} s (by {end - stop:,.6g} s)")
    span = f"{start:,.6g}–{stop:,.6g} s"
    warnings = []
    if outside:
        lie = "lies" if len(outside) == 1 else "lie"
        warnings.append(
            f"{len(outside)} of {len(timed)} events {lie} outside {span}: {_examples(outside)}"
        )
    if beyond:
        last = "lasts" if len(beyond) == 1 else "last"
        warnings.append(
            f"{len(beyond)} of {len(timed)} events {last} beyond the end of {span}: "
            f"{_examples(beyond)}"
        )
    return warnings + _doubled(timed)


def _examples(texts: Sequence[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (" …" if len(texts) > SHOWN else "")


def _doubled(timed: Sequence[Stimulus]) -> list[str]:
    """Events of one condition at one time that differ in something else."""
    counts: dict[tuple[float | None, str], int] = {}
    for s in timed:
        counts[s.onset, s.condition] = counts.get((s.onset, s.condition), 0) + 1
    texts = [f"{c} at {t:,.6g} s ({n} times)" for (t, c), n in counts.items() if n > 1]
    if not texts:
        return []
    return [f"events of one condition at the same time: {_examples(texts)}"]


def coverage_warnings(signals: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return a sentence if signals of one recording end at different times.

    Parameters
    ----------
    signals : mapping of str to (float, float)
        Name → start and stop in seconds. Ends that differ by less than 5 s or 5 % are equal.

    Examples
    --------
    >>> coverage_warnings({"eda": (0.0, 30.0), "ecg": (0.0, 60.0)})
    ['signals end at different times: eda at 30 s, ecg at 60 s']
    """
    if len(signals) < 2:
        return []
    ends = sorted((stop, name) for name, (_, stop) in signals.items())
    whole = ends[-1][0] - min(start for start, _ in signals.values())
    if ends[-1][0] - ends[0][0] <= max(5.0, 0.05 * whole):
        return []
    (early, first), (late, last) = ends[0], ends[-1]
    return [f"signals end at different times: {first} at {early:,.6g} s, {last} at {late:,.6g} s"]
