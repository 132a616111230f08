"""Ratings of a recording: decide which windows a rating belongs to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dolorimeter.types import Rating, Recording, Window
from dolorimeter.windows import Timeline


class RatingsOf:
    """Ratings of one recording, assigned to its stimuli once and read window by window.

    The rule, per scale:

    1. A rating without an onset belongs to the recording, that is, to each of its windows.
    2. A rating with an onset belongs to the stimulus that is on at that time, and if none is on,
       to the last stimulus before it: a subject rates what just happened. Where the stimulus has
       several, the one inside the window is taken. A rating outside the recording belongs to
       none: its clock is another one.
    3. A window of no stimulus, or a recording without stimuli, has the rating whose onset lies
       inside the window.
    4. Two different values that compete for a window leave it without a value. So do ratings
       with and without onset on one scale: nothing states which of them a window has.

    Parameters
    ----------
    recording : Recording
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._scales: dict[str, list[tuple[Rating, int | None]]] = {}
        self._outside: set[str] = set()
        if not recording.ratings:
            return
        signals = recording.load().signals.values()
        start = min((s.start for s in signals), default=0.0)
        stop = max((s.stop for s in signals), default=math.inf)
        timeline = Timeline(recording.stimuli, start)
        for rating in recording.ratings:
            if rating.onset is not None and not start <= rating.onset <= stop:
                self._outside.add(rating.scale)
                self._scales.setdefault(rating.scale, [])
                continue
            place = None if rating.onset is None else timeline.at_or_before(rating.onset)
            self._scales.setdefault(rating.scale, []).append((rating, place))

    def columns(self, window: Window, notes: dict[str, int]) -> dict[str, float]:
        """Return ``rating_<scale>`` of a window for each scale of the recording.

        Parameters
        ----------
        window : Window
        notes : dict of str to int
            The reason for a missing value is counted there.

        Returns
        -------
        dict of str to float
            NaN where no rating belongs to the window or several compete.
        """
        for scale in self._outside:
            note = f"rating_{scale}: a rating lies outside the recording and is not used"
            notes[note] = notes.get(note, 0) + 1
        return {
            f"rating_{scale}": self._value(scale, rated, window, notes)
            for scale, rated in self._scales.items()
        }

    def _value(
        self,
        scale: str,
        rated: Sequence[tuple[Rating, int | None]],
        window: Window,
        notes: dict[str, int],
    ) -> float:
        timed = [rating for rating, _ in rated if rating.onset is not None]
        if timed and len(timed) < len(rated):
            return _undefined(f"rating_{scale}: some ratings state an onset, others none", notes)
        mine = timed or [rating for rating, _ in rated]
        if timed:
            if window.stimulus is not None:
                place = self.recording.stimuli.index(window.stimulus)
                timed = [rating for rating, at in rated if at == place]
            inside = [rating for rating in timed if _inside(rating, window)]
            mine = inside if window.stimulus is None else inside or timed
        values = {rating.value for rating in mine}
        if len(values) == 1:
            return float(values.pop())
        if not values:
            return _undefined(f"rating_{scale}: no rating belongs to the window", notes)
        return _undefined(f"rating_{scale}: ratings of different value compete", notes)


def _undefined(note: str, notes: dict[str, int]) -> float:
    notes[note] = notes.get(note, 0) + 1
    return math.nan


def _inside(rating: Rating, window: Window) -> bool:
    assert rating.onset is not None
    return window.start <= rating.onset < window.start + window.duration
