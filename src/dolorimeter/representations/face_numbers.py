"""The face as numbers: the path of its landmarks, and the statistics of its activity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._represented import Represented, Undefined, count
from dolorimeter.representations._sampling import frame_count
from dolorimeter.signals.action_units import action_units, pain_expression, pspi_proxy
from dolorimeter.signals.face import BLENDSHAPES, DISTANCES, distances, eye_closure, normalised
from dolorimeter.types import FaceTrack, Window

ABSENT = "the recording has no face track (preprocessing step face_track)"
BEYOND = "the window reaches beyond the video"

LANDMARKS = 478
AXES = ("x", "y", "z")

STATISTICS = ("mean", "sd", "range", "speed", "acceleration")
"""Of each series in a window: mean, standard deviation (n), largest minus smallest, and the mean
absolute first and second derivative."""

SERIES = (
    *DISTANCES,
    "eye_closure",
    "head_speed",
    "pspi_proxy",
    "pain_expression",
    *(f"blendshape_{name}" for name in BLENDSHAPES if name != "_neutral"),
)
"""What the statistics are taken of: distances in units of the inter-ocular distance, the mean
closure of both eyes, degrees a second of the head's rotation, cues, blendshapes."""


@REPRESENTATIONS.register(
    Card(
        name="landmarks",
        summary="Landmarks of the face, eyes level and one apart: (window, coordinate, frame).",
    )
)
@dataclass(frozen=True)
class Landmarks:
    """The path of the face's landmarks, a fixed number of frames a window.

    Shift, scale and roll are taken out of every frame (`dolorimeter.signals.face.normalised`): the
    origin lies between the outer corners of the eyes, the unit is their distance. A frame without
    a face repeats the last one that has one; at the beginning of a window, the first.

    Parameters
    ----------
    modality : str
        Name of the face track.
    offset : float
        Seconds added to the start of every window.
    duration : float, optional
        Seconds; None keeps the window's own.
    frame_rate : float, optional
        Nominal, in hertz; None takes that of the first window's track. Give it where videos
        differ.
    stride : int
        Every so many nominal frames.
    min_valid : float
        A window with less than this share of frames with a face is not present.
    points : sequence of int
        Which landmarks; empty for all 478.
    depth : bool
        Whether z is there too.
    """

    card: ClassVar[Card]
    modality: str = "face"
    offset: float = 0.0
    duration: float | None = None
    frame_rate: float | None = None
    stride: int = 1
    min_valid: float = 0.5
    points: Sequence[int] = ()
    depth: bool = True

    def __post_init__(self) -> None:
        _check(self.card.name, self.duration, self.min_valid)
        if self.frame_rate is not None and not self.frame_rate > 0:
            raise ConfigError(f"landmarks: frame_rate is {self.frame_rate}, expected above 0 Hz.")
        if self.stride < 1:
            raise ConfigError(f"landmarks: stride is {self.stride}, expected 1 or more.")
        wrong = [point for point in self.points if not 0 <= point < LANDMARKS]
        if wrong:
            raise ConfigError(f"landmarks: no point {wrong[0]}, expected 0 to {LANDMARKS - 1}.")

    def __call__(self, windows: Sequence[Window]) -> Represented:
        """The windows as ``(window, coordinate, frame)``.

        Raises
        ------
        SignalError
            If windows differ in length or tracks in frame rate, or no window has a track and the
            frame rate is not given, so that the number of frames is unknown.
        """
        points = list(self.points) or list(range(LANDMARKS))
        axes = AXES if self.depth else AXES[:2]
        undefined: list[Undefined] = []
        rate, x = self.frame_rate, None
        present = np.zeros(len(windows), dtype=bool)
        filled = False
        for row, found in _tracks(windows, self.modality, self.offset, self.duration):
            if isinstance(found, str):
                undefined.append(Undefined(self.modality, found, 1))
                continue
            track, start, span = found
            rate = self._rate(row, track, rate)
            slots = self._slots(track, start, span, rate)
            if x is None:
                x = np.full((len(windows), len(points) * len(axes), len(slots)), np.nan)
            if len(slots) != x.shape[2]:
                raise SignalError(
                    f"window {row} has {len(slots)} frames of {self.modality}, others "
                    f"{x.shape[2]}: they do not fit into one array. Give `duration`."
                )
            if (slots >= 0).mean() < self.min_valid:
                undefined.append(Undefined(self.modality, _few(self.min_valid), 1))
                continue
            filled |= bool((slots < 0).any())
            levelled = normalised(track.landmarks[_hold(slots)])[:, points, : len(axes)]
            x[row] = levelled.reshape(len(slots), -1).T
            present[row] = True
        if x is None:
            x = self._empty(windows, len(points) * len(axes))
        return Represented(
            x=x,
            names=tuple(f"landmark_{point}_{axis}" for point in points for axis in axes),
            units=("1",) * (len(points) * len(axes)),
            present=present,
            remarks=(f"{self.modality}: frames without a face repeat the one before.",) * filled,
            undefined=count(undefined),
        )

    def valid_share(self, windows: Sequence[Window]) -> Float[np.ndarray, " window"]:
        """Share of each window's frames that have a face of their own; 0 without a track.

        Raises
        ------
        SignalError
            If tracks differ in frame rate.
        """
        shares = np.zeros(len(windows))
        rate = self.frame_rate
        for row, found in _tracks(windows, self.modality, self.offset, self.duration):
            if not isinstance(found, str):
                track, start, span = found
                rate = self._rate(row, track, rate)
                shares[row] = (self._slots(track, start, span, rate) >= 0).mean()
        return shares

    def _rate(self, row: int, track: FaceTrack, rate: float | None) -> float:
        """The nominal frame rate, after a look that this track was looked at that often."""
        if rate is None:
            return track.frame_rate
        if self.frame_rate is None and abs(track.frame_rate / rate - 1) > 0.01:
            raise SignalError(
                f"window {row} has {self.modality} at {track.frame_rate:g} frames a second, "
                f"others at {rate:g}. Give the nominal `frame_rate`."
            )
        return rate

    def _slots(
        self, track: FaceTrack, start: float, span: float, rate: float
    ) -> Int[np.ndarray, " slot"]:
        """For each nominal frame the nearest one of the track, or −1 where none has a face."""
        times = start + np.arange(_frames(span, rate, self.stride)) * self.stride / rate
        if not len(track):
            return np.full(len(times), -1)
        after = np.searchsorted(track.times, times).clip(0, len(track) - 1)
        before = (after - 1).clip(0)
        nearest = np.where(
            np.abs(track.times[before] - times) <= np.abs(track.times[after] - times),
            before,
            after,
        )
        # a frame stands for half a period to either side; a microsecond for rounded times
        reach = 0.5 * max(1 / rate, 1 / track.frame_rate) + 1e-6
        near = np.abs(track.times[nearest] - times) <= reach
        return np.where(near & track.found[nearest], nearest, -1)

    def _empty(
        self, windows: Sequence[Window], width: int
    ) -> Float[np.ndarray, "window coordinate frame"]:
        """Windows without any track, in the shape that they would have had."""
        spans = {w.duration if self.duration is None else self.duration for w in windows}
        if self.frame_rate is None or len(spans) != 1:
            raise SignalError(
                f"none of {len(windows):,} windows has the face track '{self.modality}', so the "
                "number of frames is unknown. Add the preprocessing step 'face_track', or give "
                "`frame_rate` and `duration`."
            )
        frames = _frames(spans.pop(), self.frame_rate, self.stride)
        return np.full((len(windows), width, frames), np.nan)


@REPRESENTATIONS.register(
    Card(
        name="face_activity",
        summary="Statistics of facial distances, blendshapes, head and cues: (window, feature).",
    )
)
@dataclass(frozen=True)
class FaceActivity:
    """How much the face moves, and how: `STATISTICS` of each of `SERIES`, and the valid share.

    The simple rival of every network on face video. Derivatives are taken over the frames' own
    times, between neighbouring frames that both have a face: the way covered over the time it
    took. Sources of the kind of table: Werner et al., IEEE Trans. Affect. Comput. 8:286 (2017).

    Parameters
    ----------
    modality : str
        Name of the face track.
    offset : float
        Seconds added to the start of every window.
    duration : float, optional
        Seconds; None keeps the window's own.
    min_valid : float
        A window with less than this share of frames with a face is not present.
    """

    card: ClassVar[Card]
    modality: str = "face"
    offset: float = 0.0
    duration: float | None = None
    min_valid: float = 0.5

    def __post_init__(self) -> None:
        _check(self.card.name, self.duration, self.min_valid)

    def __call__(self, windows: Sequence[Window]) -> Represented:
        """The windows as ``(window, feature)``; NaN rows where there is no face."""
        names = self.names
        undefined: list[Undefined] = []
        x = np.full((len(windows), len(names)), np.nan)
        present = np.zeros(len(windows), dtype=bool)
        for row, found in _tracks(windows, self.modality, self.offset, self.duration):
            if isinstance(found, str):
                undefined.append(Undefined(self.modality, found, 1))
                continue
            whole, start, span = found
            track = whole.crop(start, span)
            # frames that the file should hold and does not are frames without a face
            share = track.found.sum() / max(len(track), math.floor(span * whole.frame_rate), 1)
            if share < self.min_valid or not track.found.any():
                undefined.append(Undefined(self.modality, _few(self.min_valid), 1))
                continue
            x[row] = np.append(_statistics(_series(track), track.times).ravel(), share)
            present[row] = True
            undefined += [
                Undefined(names[i], "too few neighbouring frames with a face", 1)
                for i in np.flatnonzero(np.isnan(x[row]))
            ]
        return Represented(
            x=x, names=names, units=_units(), present=present, undefined=count(undefined)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features: modality, series, statistic."""
        each = (f"{self.modality}_{s}_{statistic}" for s in SERIES for statistic in STATISTICS)
        return (*each, f"{self.modality}_valid_share")


# ── windows and frames ──────────────────────────────────────────────────────────────────────────


def _check(name: str, duration: float | None, min_valid: float) -> None:
    if duration is not None and not duration > 0:
        raise ConfigError(f"{name}: duration is {duration}, expected above 0 s.")
    if not 0 <= min_valid <= 1:
        raise ConfigError(f"{name}: min_valid is {min_valid}, expected a share from 0 to 1.")


def _tracks(
    windows: Sequence[Window], modality: str, offset: float, duration: float | None
) -> Iterator[tuple[int, tuple[FaceTrack, float, float] | str]]:
    """Each window's whole track with start and length of the stretch, or why there is none."""
    for row, window in enumerate(windows):
        track = window.recording.faces.get(modality)
        start = window.start + offset
        span = window.duration if duration is None else duration
        if track is None:
            yield row, ABSENT
            continue
        try:
            track.crop(start, span)
        except SignalError:
            yield row, BEYOND
            continue
        yield row, (track, start, span)


def _few(min_valid: float) -> str:
    return f"a face in less than {min_valid:.0%} of the frames"


def _frames(span: float, rate: float, stride: int) -> int:
    """Nominal frames of a window: as many as ``frames[::stride]`` keeps of the whole ones."""
    return frame_count(span, rate, stride)


def _hold(slots: Int[np.ndarray, " slot"]) -> Int[np.ndarray, " slot"]:
    """Gaps (−1) closed by the last frame before, at the beginning by the first one after."""
    valid = np.flatnonzero(slots >= 0)
    last = np.searchsorted(valid, np.arange(len(slots)), side="right") - 1
    return slots[valid[last.clip(0)]]


# ── the statistics ──────────────────────────────────────────────────────────────────────────────


def _series(track: FaceTrack) -> Float[np.ndarray, "frame series"]:
    """Columns in the order of `SERIES`; NaN in frames without a face."""
    units = action_units(track)
    columns = {
        **distances(track.landmarks),
        "eye_closure": eye_closure(track.landmarks).mean(axis=1),
        "head_speed": _head_speed(track),
        "pspi_proxy": pspi_proxy(units).value,
        "pain_expression": pain_expression(units),
    }
    shapes = [i for i, name in enumerate(BLENDSHAPES) if name != "_neutral"]
    return np.column_stack([*columns.values(), track.blendshapes[:, shapes]])


def _head_speed(track: FaceTrack) -> Float[np.ndarray, " frame"]:
    """Degrees a second that yaw, pitch and roll have changed by since the frame before.

    The short way round: from 179° to −179° is 2°, as in a video that lies upside down.
    """
    speed = np.full(len(track), np.nan)
    turned = np.diff(track.pose, axis=0)
    change = np.linalg.norm((turned + 180) % 360 - 180, axis=1)
    speed[1:] = change / np.diff(track.times)
    return speed


def _statistics(
    series: Float[np.ndarray, "frame series"], times: Float[np.ndarray, " frame"]
) -> Float[np.ndarray, "series statistic"]:
    """`STATISTICS` of each column, of its known frames; NaN where there are too few."""
    known = ~np.isnan(series)
    number = known.sum(axis=0)
    mean = _quotient(np.where(known, series, 0.0).sum(axis=0), number)
    deviation = np.where(known, series - mean, 0.0)
    variance = _quotient((deviation**2).sum(axis=0), number)
    highest = np.where(known, series, -np.inf).max(axis=0)
    lowest = np.where(known, series, np.inf).min(axis=0)
    some = number > 0
    spread = np.subtract(highest, lowest, out=np.full(len(some), np.nan), where=some)
    steps = np.diff(times)
    slopes = np.diff(series, axis=0) / steps[:, None]
    # a slope stands in the middle of its step, so slopes are as far apart as these middles
    middles = (times[2:] - times[:-2]) / 2
    return np.stack(
        [
            mean,
            np.sqrt(variance),
            spread,
            _mean_over_time(slopes, steps),
            _mean_over_time(np.diff(slopes, axis=0) / middles[:, None], middles),
        ],
        axis=1,
    )


def _mean_over_time(
    rates: Float[np.ndarray, "step series"], steps: Float[np.ndarray, " step"]
) -> Float[np.ndarray, " series"]:
    """Mean of absolute rates, each weighted by how long it lasted."""
    known = ~np.isnan(rates)
    way = (np.where(known, np.abs(rates), 0.0) * steps[:, None]).sum(axis=0)
    return _quotient(way, (known * steps[:, None]).sum(axis=0))


def _quotient(
    top: Float[np.ndarray, " series"], bottom: np.ndarray
) -> Float[np.ndarray, " series"]:
    """Top over bottom, NaN where the bottom is 0."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _units() -> tuple[str, ...]:
    own = ("1", "1", "1", "1/s", "1/s/s")
    head = ("deg/s", "deg/s", "deg/s", "deg/s/s", "deg/s/s/s")
    each = (unit for name in SERIES for unit in (head if name == "head_speed" else own))
    return (*each, "1")
