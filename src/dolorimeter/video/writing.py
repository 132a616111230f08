"""Frames → an MP4 file."""

from __future__ import annotations

import math
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.storage import atomic_path

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import OutputContainer
    from av.video.stream import VideoStream
else:
    # importing av takes 0.1 s; only a function that opens a file needs it
    VideoFrame = OutputContainer = VideoStream = Any

KEY_INTERVAL = 2.0
"""Seconds between key frames of written files: what a seek must decode at most."""

PRESET = "veryfast"
"""x264's: medium takes three times as long for files a tenth smaller."""

LIMITED_RANGE, BT601 = 1, 6
"""AVCOL_RANGE_MPEG and AVCOL_SPC_SMPTE170M, as H.264 numbers them."""


class VideoWriter:
    """Frames → an MP4 file: H.264, yuv420p, a constant frame rate, a key frame every 2 s.

    To be used in a ``with`` block: the file appears when the block ends without an error, and not
    at all otherwise. The same frames give the same bytes (with the same FFmpeg).

    Parameters
    ----------
    path : path
        Ends in ``.mp4``; its folder is made.
    frame_rate : float
        Hertz.
    size : (int, int)
        Height and width of every frame, both even: yuv420p keeps one colour for 2 × 2 pixels.
    crf : int
        x264's constant rate factor, 0 (lossless but for the colour conversion) to 51.

    Raises
    ------
    ConfigError
        For another suffix, an odd or empty size, a frame rate or `crf` that makes no sense, or a
        frame of another size.
    StorageError
        If the file cannot be written, or no frame was.

    Notes
    -----
    Colours are written in BT.601, limited range, and the file says so: readers that ignore what a
    file says (OpenCV) assume the same.
    """

    def __init__(
        self, path: str | Path, frame_rate: float, size: tuple[int, int], *, crf: int = 18
    ) -> None:
        self._path = Path(path)
        self._size = size
        if self._path.suffix.lower() != ".mp4":
            raise ConfigError(f"{path}: a video is written as MP4; give a name that ends in .mp4.")
        if min(size) < 2 or size[0] % 2 or size[1] % 2:
            raise ConfigError(
                f"{path}: frames of {size[0]} rows × {size[1]} columns; H.264 in yuv420p needs "
                "even numbers of both. Crop or pad by a row or column."
            )
        if not (math.isfinite(frame_rate) and 0 < frame_rate <= 1000):
            raise ConfigError(f"{path}: frame rate {frame_rate} Hz, expected 0 < rate ≤ 1000.")
        if not 0 <= crf <= 51:
            raise ConfigError(f"{path}: crf={crf}, expected 0 (best) to 51 (worst).")
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._crf = crf
        self._frames = 0

    def __enter__(self) -> VideoWriter:
        from dolorimeter._extras import av

        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self._path))
            self._container: OutputContainer = av.open(
                f"file:{part}",
                "w",
                format="mp4",
                container_options={"fflags": "bitexact"},  # no version, no time
            )
            stack.callback(self._close)
            stream = self._container.add_stream("libx264", rate=self._rate)
            stream.height, stream.width = self._size
            stream.pix_fmt = "yuv420p"
            stream.gop_size = max(1, round(KEY_INTERVAL * self._rate))
            stream.color_range, stream.colorspace = LIMITED_RANGE, BT601
            stream.thread_count = 1  # x264's bytes depend on it
            stream.options = {"crf": str(self._crf), "preset": PRESET}
            self._stream: VideoStream = stream
            self._stack = stack.pop_all()
        return self

    def write(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Append one RGB frame."""
        from av import VideoFrame

        if image.shape != (*self._size, 3) or image.dtype != np.uint8:
            raise ConfigError(
                f"{self._path}: frame {self._frames} is {image.dtype} {image.shape}, expected "
                f"uint8 {(*self._size, 3)} as given to VideoWriter."
            )
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG", threads=1
        )
        frame.pts, frame.time_base = self._frames, 1 / self._rate
        self._encode(frame)
        self._frames += 1

    def _encode(self, frame: VideoFrame | None) -> None:
        from dolorimeter._extras import av

        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise self._unwritable(error) from error

    def _close(self) -> None:
        from dolorimeter._extras import av

        try:
            self._container.close()
        except av.FFmpegError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self._path}: cannot be written ({error}). Is the disk full? Make room, or choose "
            "another place."
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._frames:
            try:
                self._encode(None)
            except StorageError as failure:
                self._stack.__exit__(StorageError, failure, failure.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)
