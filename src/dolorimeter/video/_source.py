"""An open video file: its packets, what they decode to, and where to begin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dolorimeter.errors import RecordingError

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

    AnyPacket = Packet[Any]
else:
    # importing av takes 0.1 s; only a function that opens a file needs it
    AnyPacket = VideoFrame = InputContainer = VideoStream = Any

SLACK = 1e-6
"""Seconds by which `start` and `stop` may miss a frame's time and still mean it."""

FEWEST_FAULTS = 64
"""Faults of a container in a row after which a file of unknown length counts as ended."""


@dataclass(frozen=True)
class Damage:
    """A frame or packet that is lost; `pts` is its time in the stream's ticks, where known."""

    pts: int | None


@dataclass(frozen=True)
class Place:
    """Where decoding begins: `key` and `seek` (ticks) of the key frame, `index` of that frame.

    Without them it begins at the beginning. `origin` is the time in ticks that counts as 0.
    """

    origin: int | None
    index: int = 0
    key: int | None = None
    seek: int = 0


class Source:
    """An open file and its video stream."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path = path
        self.reopen(threads)

    def reopen(self, threads: int) -> None:
        """Open the file (again), to be decoded from its beginning."""
        self.threads = threads
        self.container = _open(self.path)
        try:
            self.stream = _video_stream(self.path, self.container)
        except RecordingError:
            self.container.close()
            raise
        self.stream.thread_type = "FRAME" if threads > 1 else "SLICE"
        self.stream.codec_context.thread_count = threads
        self._mov = self.container.format.name.startswith("mov")
        # AVI has no times of presentation, only numbered places for frames, some of them empty
        self._timed = self.container.format.name != "avi"
        self._places: list[int] = []

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; its stream must not be touched any more."""
        self.container.close()

    @property
    def rate(self) -> Fraction | None:
        """Frames per second on average."""
        return self.stream.average_rate or self.stream.base_rate or None

    @property
    def step(self) -> float:
        """Seconds from one frame to the next, for files that do not time them."""
        return float(1 / self.rate) if self.rate else 0.001

    def duration(self) -> float:
        """Seconds, as the file says; where it does not, its packets are counted."""
        stream, whole = self.stream, self.container.duration
        told = [whole / 1e6] if whole else []
        if stream.duration and stream.time_base:
            told.append(float(stream.duration * stream.time_base))
        if told:
            return min(told)  # the whole may last longer by its sound, the stream by what is cut
        self.close()
        self.reopen(self.threads)
        return self.step * sum(packet is None or packet.size > 0 for packet in self._packets())

    def time(self, frame: VideoFrame, index: int, origin: int | None) -> float:
        """Return seconds from `origin`.

        Where the file times no frames, the time is that of the frame's place: the next frame
        comes one place later, or more where the camera dropped frames (empty packets of an AVI
        file).
        """
        if index < len(self._places):
            return (self._places[index] - self._places[0]) * self.step
        if frame.pts is None or origin is None or not self._timed or not self.stream.time_base:
            return index * self.step
        return float((frame.pts - origin) * self.stream.time_base)

    def place(self, start: float) -> Place:
        """The last key frame that is shown at `start` or before and whose index is certain."""
        stream, ticks = self.stream, self.stream.time_base
        origin = stream.start_time
        indexed = stream.frames and stream.frames == len(stream.index_entries)
        if not (start and self._mov and indexed and ticks and origin is not None):
            return Place(origin)
        target = origin + math.floor((start + SLACK) / ticks)
        place = self._key_before(origin, target)
        if place is None:  # what was read is to be read again
            self.close()
            self.reopen(self.threads)
        return place or Place(origin)

    def _key_before(self, origin: int, target: int) -> Place | None:
        """Where a seek to `target` leads, if what the index says of it is certain."""
        from dolorimeter._extras import av

        try:
            self.container.seek(target, stream=self.stream)
            packets = self.container.demux(self.stream)
            first = next(packets)
            if not first.is_keyframe or first.pts is None or first.pts > target:
                return None
            index = self._count_before(first.dts)
            for packet in packets:  # leading pictures of an open group come before their key frame
                if packet.pts is None or packet.pts > first.pts or packet.is_keyframe:
                    break
                index += not packet.is_discard
        except (av.FFmpegError, StopIteration, LookupError):
            return None
        return Place(origin, index, first.pts, target)

    def _count_before(self, dts: int | None) -> int:
        """Shown frames that the index has before an entry; LookupError without that entry."""
        count = 0
        for entry in self.stream.index_entries:
            if entry.timestamp == dts:
                return count
            count += not entry.is_discard
        raise LookupError(f"no index entry at {dts}")

    def decode(self, place: Place | None = None) -> Iterator[VideoFrame | Damage]:
        """Frames in the order of presentation, and what is lost in the order of the file."""
        from dolorimeter._extras import av

        first = -math.inf
        if place is not None and place.key is not None:
            self.container.seek(place.seek, stream=self.stream)
            first = place.key
        faults = 0
        self._places = []
        for packet in self._packets():
            if packet is not None and packet.size == 0 and packet.dts is not None:
                continue  # an empty packet in the middle would end decoding
            self._note_place(packet)
            if packet is None or packet.is_corrupt:
                faults += 1
                yield Damage(None if packet is None or not self._timed else packet.pts)
                continue
            try:
                frames = self.stream.decode(packet)
            except av.FFmpegError:
                if packet.pts is None or packet.pts >= first:
                    yield Damage(packet.pts if self._timed else None)
                continue
            for frame in frames:
                if frame.pts is None or frame.pts >= first:
                    yield Damage(frame.pts) if frame.is_corrupt else frame
        for _ in range(self._cut_off() - faults):
            yield Damage(None)

    def packet_times(self) -> list[float]:
        """Return the time of every frame from the first one in seconds, ascending, undecoded.

        Empty where the file times neither frames nor places.
        """
        ticks = self.stream.time_base
        stamps = [
            packet.pts if self._timed else packet.dts
            for packet in self._packets()
            if packet is not None and packet.size and not packet.is_discard
        ]
        timed = sorted(stamp for stamp in stamps if stamp is not None)
        step = ticks if self._timed else self.step
        return [float((stamp - timed[0]) * step) for stamp in timed] if step else []

    @property
    def dropped(self) -> int:
        """Frames so far that the camera dropped: places of an AVI file without a frame."""
        if not self._places:
            return 0
        return self._places[-1] - self._places[0] + 1 - len(self._places)

    def _note_place(self, packet: AnyPacket | None) -> None:
        """Note the place of a frame of a file that does not time frames, in the file's order.

        Frames are presented in this order of places, whatever the order of decoding.
        """
        if self._timed or (packet is not None and packet.size == 0):
            return
        following = self._places[-1] + 1 if self._places else 0
        place = None if packet is None else packet.dts
        self._places.append(following if place is None else max(following, int(place)))

    def _cut_off(self) -> int:
        """How many frames the index of an MP4 or MOV file has beyond the end of the file."""
        if not self._mov:
            return 0
        try:
            size = self.path.stat().st_size
        except OSError:  # taken away while it was read: what is open is read to its end
            return 0
        entries = self.stream.index_entries
        return sum(not e.is_discard and e.pos + e.size > size for e in entries)

    def _packets(self) -> Iterator[AnyPacket | None]:
        """Packets of the stream, the flushing one last; None for one that cannot be had."""
        from dolorimeter._extras import av

        for _ in range(max(self.stream.frames, FEWEST_FAULTS)):
            try:
                yield from self.container.demux(self.stream)
            except av.FFmpegError:  # a truncated file has one for each frame it lacks
                yield None
            else:
                return
        yield av.Packet()


def _open(path: Path) -> InputContainer:
    from dolorimeter._extras import av

    if path.is_dir():
        raise RecordingError(f"{path}: a folder, expected a video file.")
    if not path.is_file():
        raise RecordingError(f"{path}: the file is missing. Is the copy complete?")
    if path.stat().st_size == 0:
        raise RecordingError(f"{path}: the file is empty. Fetch or copy it again.")
    try:
        return av.open(
            f"file:{path}",
            "r",
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file"},  # a playlist reaches no network
        )
    except (av.FFmpegError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise RecordingError(
            f"{path}: not a video that FFmpeg can read ({told}). If it is an MP4 file, it may "
            "have been cut off before its index: copy or record it again."
        ) from error


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The largest moving picture of a file; cover pictures and text do not count."""
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    if not streams or container.format.name == "tty":
        kinds = sorted({s.type for s in container.streams} - {"video"})
        raise RecordingError(
            f"{path}: no video in it that FFmpeg can decode, only {', '.join(kinds) or 'text'}; "
            "expected a video file."
        )
    return max(streams, key=lambda stream: stream.width * stream.height)
