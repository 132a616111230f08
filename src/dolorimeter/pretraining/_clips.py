"""Clips of faces, decoded when they are asked for and kept as long as memory allows."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dolorimeter.augmentation import augment_clip
from dolorimeter.errors import DolorimeterError, RecordingError
from dolorimeter.preprocessing.faces import FaceTracking
from dolorimeter.pretraining._masked_config import MaskedVideo
from dolorimeter.pretraining._people import Listing, check_any, recordings_of, windows_of
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._tasks import Person
from dolorimeter.representations import FaceClip, FaceFrames, VideoFrames, clip_positions
from dolorimeter.types import FaceTrack, Window
from dolorimeter.windows import WindowSpec

TRACKS = 4096
"""Face tracks that are kept in memory; without landmarks a track is small."""
Frames = UInt8[np.ndarray, "picture 3 side side"]


class Clips:
    """Windows of videos as clips of a fixed number of aligned faces.

    Parameters
    ----------
    frames, side : int
        Pictures of a clip, and their side in pixels.

    Attributes
    ----------
    listing : Listing
    short : dict of row to sentence
        Clips that were met and whose pictures repeat: too few frames, or moments without a face.
    """

    def __init__(self, config: MaskedVideo, frames: int, side: int) -> None:
        self.config, self.frames = config, frames
        self.representation = _representation(config, frames, side)
        self.tracking = FaceTracking(modality=config.video) if config.crop == "face" else None
        spec = from_plain(WindowSpec, config.windows, "windows")
        left_out: Counter[str] = Counter()
        people: list[Person] = []
        self.windows: list[Window] = []
        for data in config.datasets:
            for namespace, recording in recordings_of(data, left_out):
                if config.video not in recording.videos:
                    left_out[f"a recording without the video '{config.video}'"] += 1
                    continue
                bare = replace(recording, signals={}, faces={})
                found = windows_of(bare, spec, (config.video,), left_out)
                self.windows += found
                people += [(namespace, recording.subject)] * len(found)
        check_any(people, config.datasets, left_out)
        self.listing = Listing(tuple(people), dict(left_out))
        self.short: dict[int, str] = {}
        self._kept: OrderedDict[int, Frames] = OrderedDict()
        self._tracks: OrderedDict[Any, FaceTrack | RecordingError] = OrderedDict()
        self._lock = threading.Lock()

    def clip(self, row: int, rng: np.random.Generator | None) -> Frames:
        """One clip; from a moment that is drawn, or (None) from the middle.

        Raises
        ------
        RecordingError
            If the video is damaged, or shows a face in too few frames.
        """
        found = self._frames(row)
        stride = self.config.stride or None
        positions, told = clip_positions(len(found), self.frames, stride, rng)
        if told:
            self.short.setdefault(row, told)
        clip = found[positions]
        if rng is not None and self.config.augment:
            clip = augment_clip(clip, self.config.augment, rng)
        return clip

    def _frames(self, row: int) -> Frames:
        """All frames of a window that a clip can be made of."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
                return self._kept[row]
        try:
            window = self._tracked(self.windows[row])
            reason = self.representation.missing(window)
            if reason is not None:
                raise RecordingError(f"{window.recording.name}: {reason}.")
            told = self.representation.remarks([window])
            pictures = np.stack(list(self.representation.sequence(window)))
        except RecordingError:
            raise
        except DolorimeterError as error:
            raise RecordingError(str(error)) from error
        found = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        with self._lock:
            if self.config.crop == "face" and told:
                self.short.setdefault(row, told[0])
            self._kept[row] = found
            while sum(v.nbytes for v in self._kept.values()) > self.config.memory * 2**30:
                self._kept.popitem(last=False)
        return found

    def _tracked(self, window: Window) -> Window:
        """The window with the face's track, which is found once a recording."""
        if self.tracking is None:
            return window
        video = window.recording.videos[self.config.video]
        with self._lock:
            track = self._tracks.get(video.path)
        if track is None:
            try:
                track = self.tracking(window.recording).faces[self.config.video]
                if self.config.sampling == "strided":
                    track = _light(track)
            except RecordingError as error:
                track = error
            with self._lock:
                self._tracks[video.path] = track
                while len(self._tracks) > TRACKS:
                    self._tracks.popitem(last=False)
        if isinstance(track, RecordingError):
            raise RecordingError(str(track))
        faces = {self.config.video: track}
        return replace(window, recording=replace(window.recording, faces=faces))


def _representation(config: MaskedVideo, frames: int, side: int) -> Any:
    if config.crop == "frame":
        return VideoFrames(modality=config.video, size=side)
    common: dict[str, Any] = {
        "modality": config.video,
        "size": side,
        "min_valid": config.min_valid,
    }
    if config.sampling == "keyframes":
        return FaceClip(frames=frames, sampling="keyframes", **common)
    return FaceFrames(**common)


def _light(track: FaceTrack) -> FaceTrack:
    """A track whose landmarks and blendshapes take no memory: an aligned picture needs none."""
    nothing = np.array(np.nan)
    return replace(
        track,
        landmarks=np.broadcast_to(nothing, track.landmarks.shape),
        blendshapes=np.broadcast_to(nothing, track.blendshapes.shape),
    )
