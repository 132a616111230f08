"""The nouns that travel between stages: frozen, small, and lazy where data are large.

Stages know these and never each other. Values are in SI units; a reader that cannot confirm
the unit says so in `Signal.unit_confirmed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from dolorimeter._on_demand import notice
from dolorimeter.errors import SignalError

LabelSource = Literal["stimulus", "self_report", "observer", "facs", "procedure", "pose"]
TargetAccess = Literal["none", "unlabelled_target", "labelled_reference"]
TARGET_ACCESS_ORDER: tuple[TargetAccess, ...] = ("none", "unlabelled_target", "labelled_reference")
"""What a protocol uses of the test subject, least first."""
TargetKind = Literal["classifier", "ordinal", "regressor"]
Selection = Literal[
    "fixed", "inner", "oracle_fold_epoch", "oracle_global_epoch", "oracle_hyper", "oracle_seed"
]
Scope = Literal["window", "causal", "recording"]

Array = np.ndarray
"""Any NumPy array; public signatures give the shape with `jaxtyping` where it is known."""


RECTIFIED = "rectified"
"""Quantity of muscle activity that was rectified: its level is the activity."""


@dataclass(frozen=True)
class Signal:
    """One regularly sampled quantity of one recording.

    Parameters
    ----------
    values : Float[np.ndarray, "channel time"]
        Samples in `unit`; a missing sample is NaN.
    sampling_rate : float
        Hertz.
    unit : str
        SI symbol (``"S"``, ``"V"``, ``"mol/L"``, ``"degC"``, ``"1/min"``, ``"1"``) or ``"a.u."``.
    unit_confirmed : bool
        False where the publisher does not state the unit, or nobody has checked it on real files.
    quantity : str
        What is measured: ``conductance``, ``voltage``, ``pulse``, ``respiration``,
        ``saturation``, ``temperature``, ``rate``, ``rating``, ``raw_intensity``,
        ``optical_density``, ``hbo``, ``hbr``, and `RECTIFIED` after a step that takes away the
        sign of a voltage.
    channels : tuple of str
        One name per row of `values`; empty when there is a single channel.
    start : float
        Time of the first sample in seconds on the recording's clock.
    filtered : str
        What its publishers have filtered it by (``"band-pass 20–250 Hz"``); filters refuse it
        then. Empty: not that we know.
    """

    values: Float[np.ndarray, "channel time"]
    sampling_rate: float
    unit: str
    unit_confirmed: bool
    quantity: str
    channels: tuple[str, ...] = ()
    start: float = 0.0
    filtered: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise SignalError(
                f"signal values have shape {self.values.shape}, expected (channel, time): "
                "use values[None, :] for a single channel."
            )
        if not (np.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise SignalError(
                f"sampling rate is {self.sampling_rate} Hz, expected a positive number."
            )
        if self.channels and len(self.channels) != self.values.shape[0]:
            raise SignalError(
                f"{len(self.channels)} channel names for {self.values.shape[0]} channels."
            )

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.values.shape[1] / self.sampling_rate

    @property
    def stop(self) -> float:
        """Time just after the last sample, in seconds on the recording's clock."""
        return self.start + self.duration

    def crop(self, start: float, duration: float) -> Signal:
        """Samples of ``[start, start + duration)`` seconds, as a view.

        The first sample is the one nearest to `start`; the count is
        ``round(duration · sampling_rate)``, so that equal durations give equal lengths.

        Raises
        ------
        SignalError
            If the interval is not wholly inside the signal.
        """
        first = round((start - self.start) * self.sampling_rate)
        count = round(duration * self.sampling_rate)
        if first < 0 or count < 1 or first + count > self.values.shape[1]:
            raise SignalError(
                f"{start:g}–{start + duration:g} s asked of a signal that covers "
                f"{self.start:g}–{self.stop:g} s at {self.sampling_rate:g} Hz."
            )
        return replace(
            self,
            values=self.values[:, first : first + count],
            start=self.start + first / self.sampling_rate,
        )


class LazySignals(Mapping[str, Signal]):
    """Signals of one recording, read from disk on each look-up and never kept.

    `Recording.load` reads them once into memory. `load` must be picklable (a module-level
    function in a `functools.partial`), so that recordings can travel to other processes.
    """

    def __init__(self, names: Sequence[str], load: Callable[[], Mapping[str, Signal]]) -> None:
        self._names = tuple(names)
        self._load = load

    def __getitem__(self, name: str) -> Signal:
        if name not in self._names:
            raise KeyError(name)
        return self._load()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def loader(self) -> Callable[[], Mapping[str, Signal]]:
        """What reads the signals; a partial holds the files and the options of the reader."""
        return self._load

    def read(self) -> dict[str, Signal]:
        """All signals, from one read of the files."""
        return dict(self._load())


if TYPE_CHECKING:
    Signals = Mapping[str, Signal]
else:
    Signals = Mapping  # a run-time type checker that looked inside would read the files


@dataclass(frozen=True)
class Video:
    """A video file, not decoded: `dolorimeter.video` reads its frames.

    `frame_rate` is the published one in hertz, None where the file alone tells.
    """

    path: Path
    frame_rate: float | None = None


@runtime_checkable
class FrameStore(Protocol):
    """Frames that are held in memory, where there is no file to read them from again."""

    def at(
        self, times: Float[np.ndarray, " picture"]
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The RGB frame of each time, in seconds; times are those of a track's frames."""
        ...


CROP_SIZE = 224
"""Side of the aligned face picture in pixels, which `FaceTrack.alignment` maps into."""


@dataclass(frozen=True)
class FaceTrack:
    """One person's face through a video: found once, in preprocessing, and read by all others.

    Coordinates are pixels of the upright frame (rotation flags applied), x to the right and y
    downwards, the centre of the first pixel at 0. A frame without a face is NaN in every array.

    Parameters
    ----------
    path : Path
        The video; pictures are read from it again, at the same times.
    times : Float[np.ndarray, "frame"]
        Seconds on the recording's clock of the frames looked at, ascending.
    start, stop : float
        Seconds: what of the recording's clock the video covers.
    frame_rate : float
        Frames looked at per second, on average.
    frame_size : (int, int)
        Height and width of the upright frames.
    landmarks : Float[np.ndarray, "frame 478 3"]
        MediaPipe's face mesh; z in pixels too, smaller is nearer to the camera.
    blendshapes : Float[np.ndarray, "frame 52"]
        0…1, in the order of `dolorimeter.signals.face.BLENDSHAPES`.
    pose : Float[np.ndarray, "frame 3"]
        Yaw, pitch and roll of the head in degrees; zero when it faces the camera.
    alignment : Float[np.ndarray, "frame 2 3"]
        Similarity transform from frame pixels to pixels of the aligned picture, whose side is
        `CROP_SIZE`.
    found : Bool[np.ndarray, "frame"]
        Whether there is a face.
    size : Float[np.ndarray, "frame"]
        Distance between the outer corners of the eyes in pixels of the frame.
    blur, occlusion, exposure : Float[np.ndarray, "frame"]
        Each between 0 (unusable) and 1 (good); see `dolorimeter.preprocessing.faces`.
    remarks : tuple of str
        Sentences a report must print (damaged frames, a second person).
    frames : FrameStore, optional
        Where pictures come from in a live session, instead of the file at `path`.
    """

    path: Path
    times: Float[np.ndarray, " frame"]
    start: float
    stop: float
    frame_rate: float
    frame_size: tuple[int, int]
    landmarks: Float[np.ndarray, "frame 478 3"]
    blendshapes: Float[np.ndarray, "frame 52"]
    pose: Float[np.ndarray, "frame 3"]
    alignment: Float[np.ndarray, "frame 2 3"]
    found: Bool[np.ndarray, " frame"]
    size: Float[np.ndarray, " frame"]
    blur: Float[np.ndarray, " frame"]
    occlusion: Float[np.ndarray, " frame"]
    exposure: Float[np.ndarray, " frame"]
    remarks: tuple[str, ...] = ()
    frames: FrameStore | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def quality(self) -> Float[np.ndarray, " frame"]:
        """The lowest of blur, occlusion and exposure of each frame; 0 without a face."""
        worst = np.minimum(np.minimum(self.blur, self.occlusion), self.exposure)
        return np.where(self.found, np.nan_to_num(worst), 0.0)

    @property
    def aligned_landmarks(self) -> Float[np.ndarray, "frame 478 3"]:
        """Landmarks in pixels of the aligned picture; z is scaled alike."""
        linear, shift = self.alignment[:, :, :2], self.alignment[:, :, 2]
        flat = np.einsum("fij,fpj->fpi", linear, self.landmarks[:, :, :2]) + shift[:, None]
        scale = np.sqrt(np.abs(np.linalg.det(np.nan_to_num(linear))))
        depth = self.landmarks[:, :, 2:] * scale[:, None, None]
        return np.concatenate([flat, depth], axis=2)

    def crop(self, start: float, duration: float) -> FaceTrack:
        """Frames of ``[start, start + duration)`` seconds, as views.

        Raises
        ------
        SignalError
            If the interval is not wholly inside the video.
        """
        stop = start + duration
        slack = 0.5 / self.frame_rate
        if start < self.start - slack or stop > self.stop + slack:
            raise SignalError(
                f"{start:g}–{stop:g} s asked of a video that covers "
                f"{self.start:g}–{self.stop:g} s."
            )
        first, last = np.searchsorted(self.times, [start - 1e-6, stop - 1e-6])
        of_frames = {
            name: getattr(self, name)[first:last]
            for name in (
                "times", "landmarks", "blendshapes", "pose", "alignment", "found", "size",
                "blur", "occlusion", "exposure",
            )
        }  # fmt: skip
        return replace(self, **of_frames, start=start, stop=stop)


@dataclass(frozen=True)
class Stimulus:
    """Something done to the subject.

    Parameters
    ----------
    onset : float or None
        Seconds on the recording's clock; None when the clip was cut after it began.
    duration : float or None
        Seconds.
    condition : str
        The data set's own word (``"BL1"``, ``"PA4"``, ``"high_pain"``, ``"stress"``).
    level : int or None
        0 (none) upwards where conditions are ordered.
    attributes : mapping
        Whatever else is known, such as ``{"counter": 43, "modality": "heat"}``.
    """

    onset: float | None
    duration: float | None
    condition: str
    level: int | None = None
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rating:
    """A single rating on a named scale (``vas``, ``nrs``, ``pspi``, ``opr`` …).

    `onset` is in seconds on the recording's clock, or None. `source` is a label source.
    """

    scale: str
    value: float
    source: LabelSource
    onset: float | None = None


@dataclass(frozen=True)
class Remark:
    """Something that a reader changed, or could not know, and that a user must be told.

    Parameters
    ----------
    kind : str
        General sentence without names, the same for every recording it applies to, so that a run
        can count recordings without naming them.
    detail : str
        What it is in this recording (``"10–70 s"``); ``dolorimeter check`` prints it.
    """

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Recording:
    """What one data set holds of one subject and one session or clip.

    Parameters
    ----------
    dataset, part : str
        Registry name of the data set, and its part where it has parts (``"A"``), else ``""``.
    subject, name : str
        Subject identifier, and an identifier of the recording, unique within the data set.
    signals : mapping of str to Signal
        By the field's names (``eda``, ``ecg``, ``emg_trapezius`` …); `LazySignals` from readers.
    videos, faces : mappings
        By name (``face``); faces are there once preprocessing has looked for them.
    sources : tuple of Path
        The files it comes from (their bytes address the cache, their size is a nuisance fact).
    facts : mapping
        Numbers that are not signal, for the nuisance baseline (``frame_count``). ``clip_index`` is
        the place of a clip in the order of recording; a counter of file names is not.
    remarks : tuple of Remark
        What the reader changed or could not know (gaps, repaired events, a decoding).
    """

    dataset: str
    subject: str
    name: str
    part: str = ""
    signals: Signals = field(default_factory=dict)
    videos: Mapping[str, Video] = field(default_factory=dict)
    faces: Mapping[str, FaceTrack] = field(default_factory=dict)
    audio: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    stimuli: tuple[Stimulus, ...] = ()
    ratings: tuple[Rating, ...] = ()
    subject_info: Mapping[str, str | float] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    def load(self) -> Recording:
        """The same recording with its signals in memory."""
        if isinstance(self.signals, LazySignals):
            return replace(self, signals=self.signals.read())
        return self


@dataclass(frozen=True)
class Window:
    """A stretch of one recording: a reference, no copy.

    `start` and `duration` are seconds on the recording's clock. `stimulus` is the stimulus the
    window belongs to, or None.
    """

    recording: Recording
    start: float
    duration: float
    stimulus: Stimulus | None = None

    @cached_property
    def stimulus_id(self) -> str:
        """Identifier of the stimulus, unique within the data set; empty without one."""
        if self.stimulus is None:
            return ""
        return f"{self.recording.name}#{self.recording.stimuli.index(self.stimulus)}"

    def signal(self, name: str, offset: float = 0.0, duration: float | None = None) -> Signal:
        """The named signal inside the window, shifted by `offset` seconds."""
        if name not in self.recording.signals:
            have = ", ".join(sorted(self.recording.signals)) or "none"
            raise SignalError(
                f"recording {self.recording.name} has no signal '{name}'; it has: {have}."
            )
        return self.recording.signals[name].crop(
            self.start + offset, self.duration if duration is None else duration
        )


@dataclass(frozen=True)
class Exclusion:
    """Something kept out, and why. Reports count these; nothing is dropped silently."""

    subject: str
    recording: str
    what: str
    reason: str


def __getattr__(name: str) -> Any:
    """Return what has moved to `dolorimeter.samples`, for one release."""
    if name not in ("META_COLUMNS", "Samples", "take_rows"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    notice(f"{__name__}.{name}", f"dolorimeter.samples.{name}")
    return getattr(import_module("dolorimeter.samples"), name)
