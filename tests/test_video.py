"""Video: exact times, upright pictures in the right colours, damage counted, bounded memory."""

from __future__ import annotations

import gc
import itertools
import struct
import tracemalloc
import wave
import weakref
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest

from dolorimeter.errors import ConfigError, RecordingError, StorageError
from dolorimeter.video import (
    Frame,
    VideoWriter,
    _pictures,
    _source,
    frame_gaps,
    probe,
    read_frames,
)

HEIGHT, WIDTH = 48, 64


def grey(count: int, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Frames whose grey says which frame it is."""
    return [np.full((height, width, 3), 20 + 5 * i, np.uint8) for i in range(count)]


def textured(count: int, height: int = 240, width: int = 320) -> list[np.ndarray]:
    """A moving texture: enough bytes a frame for damage to hit."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    return [np.roll(cv2.blur(base, (3, 3)), 3 * i, axis=1) for i in range(count)]


def encode(
    path: Path,
    images: Sequence[np.ndarray],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    *,
    rate: float = 25,
    pts: Sequence[int] | None = None,
    muxer: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    with av.open(path, "w", container_options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.options = {k.replace("_params", "-params"): v for k, v in options.items()}
        stream.codec_context.thread_count = 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write(path: Path, images: Sequence[np.ndarray], rate: float = 25.0, crf: int = 18) -> Path:
    with VideoWriter(path, rate, images[0].shape[:2], crf=crf) as writer:
        for image in images:
            writer.write(image)
    return path


def same(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    return len(a) == len(b) and all(
        x.index == y.index and x.time == y.time and np.array_equal(x.image, y.image)
        for x, y in zip(a, b, strict=True)
    )


# ── times, order, formats ───────────────────────────────────────────────────────────────────────


def test_the_published_clip_of_138_frames(tmp_path: Path) -> None:
    images = textured(138, 96, 128)
    path = write(tmp_path / "clip.mp4", images)
    info = probe(str(path))
    assert (info.width, info.height, info.frame_rate, info.frames) == (128, 96, 25.0, 138)
    assert (info.duration, info.codec, info.pixel_format) == (5.52, "h264", "yuv420p")
    assert (info.path, info.rotation, info.mirrored) == (path, 0, False)
    reader = read_frames(path)
    frames = list(reader)
    assert [f.index for f in frames] == list(range(138))
    assert [f.time for f in frames] == [i / 25 for i in range(138)]
    assert (reader.frames, reader.damaged) == (138, 0)
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.shape == (96, 128, 3)
        assert frame.image.flags["C_CONTIGUOUS"]
        assert np.abs(frame.image.astype(int) - image).mean() < 12  # colour at half resolution


CONTAINERS = [
    ("a.mp4", "libx264", {"x264_params": "keyint=10"}, True),
    ("open.mp4", "libx264", {"x264_params": "keyint=10:open-gop=1"}, True),
    ("b.mov", "libx264", {"x264_params": "keyint=8"}, True),
    ("hevc.mp4", "libx265", {"x265_params": "keyint=10:open-gop=1:log-level=none"}, True),
    ("a.mkv", "libx264", {"x264_params": "keyint=10"}, False),
    ("a.avi", "mpeg4", {}, False),
    ("b-frames.avi", "libx264", {}, False),
    ("mjpeg.avi", "mjpeg", {}, False),
    ("a.webm", "libvpx", {}, False),
    ("a.ts", "libx264", {"x264_params": "keyint=10"}, False),
    ("raw.h264", "libx264", {}, False),
]


@pytest.mark.parametrize(("name", "codec", "options", "seeks"), CONTAINERS)
def test_any_stretch_equals_that_stretch_of_the_whole(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], seeks: bool
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(tmp_path / name, grey(40), codec, pixels, **options)
    whole = list(read_frames(path))
    assert [f.index for f in whole] == list(range(40))
    assert probe(path).duration == pytest.approx(1.6, abs=0.002)
    np.testing.assert_allclose([f.time for f in whole], np.arange(40) / 25, atol=1e-9)
    levels = [f.image.mean() for f in whole]
    np.testing.assert_allclose(levels, [20 + 5 * i for i in range(40)], atol=4)
    for start in (0.0, 0.04, 0.05, 0.36, 0.4, 0.44, 0.8, 1.0, 1.23, 1.56):
        wanted = [f for f in whole if start - 1e-6 <= f.time < start + 0.2 - 1e-6]
        for threads in (1, 3):
            found = list(read_frames(path, start=start, stop=start + 0.2, threads=threads))
            assert same(found, wanted), start
    late = read_frames(path, start=1.4)
    assert [f.index for f in late] == [35, 36, 37, 38, 39]
    assert (late.frames < 20) == seeks  # decoded from a key frame nearby, or from the beginning
    odd = list(read_frames(path, stride=3, start=0.5))
    assert [f.index for f in odd] == [15, 18, 21, 24, 27, 30, 33, 36, 39]
    assert list(read_frames(path, start=9.0)) == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_of_a_variable_frame_rate(tmp_path: Path, suffix: str) -> None:
    pts = [0, 33, 67, 500, 533, 1200, 1201, 3000]
    path = encode(tmp_path / f"v.{suffix}", grey(8), pts=[p + 700 for p in pts])
    frames = list(read_frames(path))
    np.testing.assert_allclose([f.time for f in frames], np.array(pts) / 1000, atol=1e-4)
    assert [f.index for f in read_frames(path, start=0.5, stop=1.2)] == [3, 4]


def test_a_repeated_time_still_ascends(tmp_path: Path) -> None:
    path = encode(tmp_path / "raw.mkv", grey(6), "rawvideo", pts=[0, 40, 40, 40, 160, 200])
    times = [f.time for f in read_frames(path)]
    assert len(times) == 6
    assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize("rate", [10.0, 29.97, 120.0])
def test_frame_rates(tmp_path: Path, rate: float) -> None:
    path = write(tmp_path / "r.mp4", grey(12), rate)
    assert probe(path).frame_rate == pytest.approx(rate, abs=1e-3)
    np.testing.assert_allclose(
        [f.time for f in read_frames(path)], np.arange(12) / rate, atol=1e-4
    )


def test_frames_before_an_edit_list_do_not_count(tmp_path: Path) -> None:
    path = encode(tmp_path / "e.mp4", grey(40), x264_params="keyint=10")
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    duration, begin = struct.unpack(">Ii", data[at : at + 8])
    data[at : at + 8] = struct.pack(">Ii", duration - 480, begin + 12 * 512)  # 12 frames at 25 Hz
    path.write_bytes(data)
    whole = list(read_frames(path))
    assert (len(whole), whole[0].index, whole[0].time) == (28, 0, 0.0)
    assert whole[0].image.mean() == pytest.approx(20 + 5 * 12, abs=4)
    assert same(list(read_frames(path, start=0.8)), whole[20:])


# ── sizes, pixels, colours, turns ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "height", "width"),
    [
        ("one.mp4", "libx264", "yuv420p", 48, 64),
        ("ten-bit.mp4", "libx264", "yuv420p10le", 48, 64),
        ("ten-bit.mov", "prores_ks", "yuv422p10le", 48, 64),
        ("grey.mp4", "libx264", "gray", 48, 64),
        ("grey16.mkv", "ffv1", "gray16le", 48, 64),
        ("rgb.mkv", "ffv1", "bgr0", 48, 64),
        ("odd.webm", "libvpx", "yuv420p", 51, 37),
        ("odd.mov", "png", "rgb24", 3, 5),
        ("4k.mp4", "libx264", "yuv420p", 2160, 3840),
    ],
)
def test_sizes_and_pixel_formats(
    tmp_path: Path, name: str, codec: str, pixels: str, height: int, width: int
) -> None:
    options = {"color_range": "pc"} if pixels == "gray" else {}
    image = np.full((height, width, 3), 90, np.uint8)
    path = encode(tmp_path / name, [image], codec, pixels, **options)
    info = probe(path)
    assert (info.height, info.width) == (height, width)
    (frame,) = read_frames(path)
    assert (frame.index, frame.time, frame.image.shape) == (0, 0.0, (height, width, 3))
    assert np.abs(frame.image.astype(int) - 90).max() <= 3


COLOURS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 80, 40)], np.uint8
)
LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def write_known_colours(
    path: Path, matrix: str, full: bool, space: int | None, pixels: str = "yuv420p"
) -> None:
    """Bars of `COLOURS`, 16 pixels each, made into Y'CbCr by hand and stored without loss."""
    scale = 4 if pixels.endswith("10le") else 1
    red, blue = LUMA[matrix]
    rgb = np.repeat(COLOURS, 16, axis=0)[None].repeat(32, axis=0) / 255
    y = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    planes = [y, (rgb[..., 2] - y) / 2 / (1 - blue), (rgb[..., 0] - y) / 2 / (1 - red)]
    factors = (255, 255) if full else (219, 224)
    values = [planes[0] * factors[0] + (0 if full else 16)]
    values += [p[::2, ::2] * factors[1] + 128 for p in planes[1:]]
    kind = np.uint16 if scale == 4 else np.uint8
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 32, pixels
        frame = av.VideoFrame(96, 32, pixels)
        for plane, value in zip(frame.planes, values, strict=True):
            rows = np.zeros((plane.height, plane.line_size // kind().itemsize), kind)
            rows[:, : plane.width] = np.clip(np.round(value * scale), 0, 256 * scale - 1)
            plane.update(rows.tobytes())
        for holder in (stream.codec_context, frame):
            holder.color_range = 2 if full else 1
            if space is not None:
                holder.colorspace = space
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "space"),
    [("bt601", 5), ("bt601", 6), ("bt601", None), ("bt709", 1), ("bt2020", 9)],
)
def test_known_colours(
    tmp_path: Path, matrix: str, space: int | None, full: bool, pixels: str
) -> None:
    path = tmp_path / "c.mkv"
    write_known_colours(path, matrix, full, space, pixels)
    (frame,) = read_frames(path)
    found = frame.image[16, 8::16].astype(int)
    # 8-bit limited range: a step of Cb or Cr is 2.1 grey levels, so rounding costs up to 3;
    # the wrong matrix or range is off by 15 and more
    assert np.abs(found - COLOURS).max() <= 3


def test_written_colours_come_back_and_opencv_agrees(tmp_path: Path) -> None:
    bars = np.repeat(COLOURS, 16, axis=0)[None].repeat(32, axis=0)
    path = write(tmp_path / "c.mp4", [bars] * 3, crf=1)
    frames = list(read_frames(path))
    assert np.abs(frames[1].image[16, 8::16].astype(int) - COLOURS).max() <= 3
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    for frame in frames:
        found, image = capture.read()
        assert found
        assert np.abs(image[:, :, ::-1].astype(int) - frame.image)[16, 8::16].max() <= 3
    capture.release()


CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Put a·x + c·y, b·x + d·y into the MP4's track header."""
    a, b, c, d = (value * 65536 for value in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "corners", "rotation", "mirrored"),
    [
        # the stored corners, clockwise from the top left: red green white blue
        ((1, 0, 0, 1), "red green white blue", 0, False),
        ((0, 1, -1, 0), "blue red green white", 270, False),
        ((-1, 0, 0, -1), "white blue red green", 180, False),
        ((0, -1, 1, 0), "green white blue red", 90, False),
        ((-1, 0, 0, 1), "green red blue white", 0, True),
        ((1, 0, 0, -1), "blue white green red", 180, True),
        ((0, 1, 1, 0), "red blue white green", 270, True),
        ((0, -1, -1, 0), "white green red blue", 90, True),
        ((0, 0, 0, 0), "red green white blue", 0, False),
    ],
)
def test_sideways_video_comes_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], corners: str, rotation: int, mirrored: bool
) -> None:
    image = np.empty((64, 128, 3), np.uint8)
    image[:32, :64], image[:32, 64:] = CORNERS["red"], CORNERS["green"]
    image[32:, :64], image[32:, 64:] = CORNERS["blue"], CORNERS["white"]
    path = write(tmp_path / "phone.mp4", [image] * 3)
    turn(path, matrix)
    info = probe(path)
    assert (info.rotation, info.mirrored) == (rotation, mirrored)
    frames = list(read_frames(path))
    sideways = rotation in (90, 270)
    for frame in frames:
        shape = (128, 64, 3) if sideways else (64, 128, 3)
        assert frame.image.shape == shape == (info.height, info.width, 3)
        assert frame.image.flags["C_CONTIGUOUS"]
        clockwise = [frame.image[y, x] for y, x in ((8, 8), (8, -8), (-8, -8), (-8, 8))]
        wanted = [CORNERS[name] for name in corners.split()]
        assert np.abs(np.array(clockwise, int) - wanted).max() <= 8
    if any(matrix) and not mirrored:  # OpenCV knows rotations only
        capture = cv2.VideoCapture(str(path))
        theirs = capture.read()[1][:, :, ::-1]
        capture.release()
        assert np.abs(theirs[8, 8].astype(int) - frames[0].image[8, 8]).max() <= 8
        assert theirs.shape == frames[0].image.shape


@pytest.mark.parametrize(
    ("orientation", "corners", "rotation"),
    [
        (1, "red green white blue", 0),
        (3, "white blue red green", 180),
        (6, "blue red green white", 270),
        (8, "green white blue red", 90),
    ],
)
def test_side_data_that_pyav_does_not_know_costs_no_turn(
    tmp_path: Path, orientation: int, corners: str, rotation: int
) -> None:
    """A JPEG with EXIF: FFmpeg hands it on as side data of a type that PyAV 18 has no name for."""
    image = np.empty((64, 128, 3), np.uint8)
    image[:32, :64], image[:32, 64:] = CORNERS["red"], CORNERS["green"]
    image[32:, :64], image[32:, 64:] = CORNERS["blue"], CORNERS["white"]
    picture = PIL.Image.fromarray(image)
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    info = probe(tmp_path / "phone.jpg")
    assert (info.rotation, info.mirrored) == (rotation, False)
    (frame,) = read_frames(tmp_path / "phone.jpg")
    clockwise = [frame.image[y, x] for y, x in ((8, 8), (8, -8), (-8, -8), (-8, 8))]
    wanted = [CORNERS[name] for name in corners.split()]
    assert np.abs(np.array(clockwise, int) - wanted).max() <= 8


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = encode(tmp_path / "wide.mp4", grey(2), aspect=Fraction(4, 3))
    assert (probe(path).width, probe(path).height) == (85, 48)
    assert [f.image.shape for f in read_frames(path)] == [(48, 85, 3)] * 2


def test_a_size_that_changes_on_the_way_is_scaled_to_the_first(tmp_path: Path) -> None:
    first = encode(tmp_path / "a.h264", grey(5)).read_bytes()
    second = encode(tmp_path / "b.h264", grey(5, 96, 128)).read_bytes()
    path = tmp_path / "both.h264"
    path.write_bytes(first + second)
    frames = list(read_frames(path, threads=1))
    assert [f.image.shape for f in frames] == [(HEIGHT, WIDTH, 3)] * 10


# ── damage ──────────────────────────────────────────────────────────────────────────────────────


def damaged_clip(path: Path) -> tuple[Path, list[Frame]]:
    """A clip of 60 frames with a hole in its middle; the frames as they were."""
    encode(path, textured(60), x264_params="keyint=20", crf="20")
    whole = list(read_frames(path))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat")
    middle = (begin + data.index(b"moov")) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(data)
    return path, whole


def test_damage_is_left_out_counted_and_keeps_its_number(tmp_path: Path) -> None:
    path, whole = damaged_clip(tmp_path / "hole.mp4")
    reader = read_frames(path)
    frames = list(reader)
    assert 0 < reader.damaged < 30
    assert reader.frames == len(frames) == 60 - reader.damaged
    indices = [f.index for f in frames]
    assert indices == sorted(set(indices))
    np.testing.assert_allclose([f.time for f in frames], np.array(indices) / 25, atol=1e-9)
    early = [f for f in frames if f.index < 20]
    late = [f for f in frames if f.index >= 40]
    assert same(early, whole[:20])  # the key frames around the hole bound what it does
    assert same(late, whole[40:])


def test_damaged_frames_do_not_depend_on_threads(tmp_path: Path) -> None:
    path, _ = damaged_clip(tmp_path / "hole.mp4")
    readers = [read_frames(path, threads=threads) for threads in (1, 2, 4)]
    one, two, four = (list(reader) for reader in readers)
    assert same(one, two)
    assert same(one, four)
    assert len({reader.damaged for reader in readers}) == 1


def test_damage_with_stride_and_start(tmp_path: Path) -> None:
    path, whole = damaged_clip(tmp_path / "hole.mp4")
    every = list(read_frames(path))
    assert same(list(read_frames(path, stride=4)), [f for f in every if f.index % 4 == 0])
    assert same(list(read_frames(path, start=1.7)), whole[43:])


def test_a_file_cut_off_after_its_index(tmp_path: Path) -> None:
    path = encode(tmp_path / "cut.mp4", textured(40), muxer={"movflags": "faststart"})
    whole = list(read_frames(path))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert probe(path).frames == 40
    for threads in (1, 3):
        reader = read_frames(path, threads=threads)
        frames = list(reader)
        assert 3 < len(frames) < 38
        assert reader.frames + reader.damaged == 40
        assert same(frames[:4], whole[:4])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_is_taken_away_while_it_is_read(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "gone.mp4"
    write(path, grey(30))
    with read_frames(path, threads=threads) as frames:
        next(frames)
        path.unlink()
        rest = [frame.index for frame in frames]  # it is open, so nothing of it is lost yet
    assert rest == list(range(1, 30))
    with pytest.raises(RecordingError, match=r"gone\.mp4: the file is missing"):
        read_frames(path)


def test_an_index_that_points_beyond_the_file(tmp_path: Path) -> None:
    path = encode(tmp_path / "far.mp4", textured(60), preset="ultrafast", crf="8")
    data = bytearray(path.read_bytes())
    at = data.index(b"stco") + 8
    (chunks,) = struct.unpack(">I", data[at : at + 4])
    assert chunks > 1
    (last,) = struct.unpack(">I", data[at + 4 * chunks : at + 4 * chunks + 4])
    data[at + 4 * chunks : at + 4 * chunks + 4] = struct.pack(">I", last + 10**8)
    path.write_bytes(data)
    for threads in (1, 3):
        reader = read_frames(path, threads=threads)
        frames = list(reader)
        assert 0 < len(frames) < 60
        assert reader.frames + reader.damaged == 60


def test_a_container_that_always_fails_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "clip.mp4", grey(5))

    class Failing:
        @staticmethod
        def demux(stream: object) -> None:
            raise av.error.InvalidDataError(1, "broken")

    with _source.Source(path, 1) as source:
        packets = list(source._packets())[:-1]
        real = source.container
        monkeypatch.setattr(source, "container", Failing)
        *lost, last = source._packets()
        assert lost == [None] * 64
        assert sum(len(source.stream.decode(p)) for p in packets) < 5  # some wait for their turn
        assert len(source.stream.decode(last)) > 0  # the last packet brings them out
        monkeypatch.setattr(source, "container", real)


def test_a_file_cut_off_before_its_index(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.mp4", textured(20))
    path.write_bytes(path.read_bytes()[:-200])
    for call in (probe, read_frames):
        with pytest.raises(RecordingError, match=r"cut\.mp4: not a video .*cut off before"):
            call(path)


def test_a_file_whose_every_frame_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "gone.mp4", textured(20))
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    for call in (probe, lambda p: list(read_frames(p))):
        with pytest.raises(RecordingError, match=r"gone\.mp4: none of its 20 frames can be dec"):
            call(path)


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))


def test_what_is_no_video(tmp_path: Path) -> None:
    empty, folder, text, audio, words, playlist = (
        tmp_path / name for name in ("e.mp4", "d.mp4", "t.mp4", "a.wav", "t.txt", "p.m3u8")
    )
    empty.touch()
    folder.mkdir()
    text.write_text("video")
    words.write_text("a longer text that a terminal could show\n" * 20)
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    sound(audio)
    for path, message in (
        (tmp_path / "nowhere.mp4", "the file is missing"),
        (empty, "the file is empty"),
        (folder, "a folder, expected a video file"),
        (text, "not a video that FFmpeg can read"),
        (audio, "no video in it that FFmpeg can decode, only audio"),
        (words, "no video in it that FFmpeg can decode, only text"),
        (playlist, "not a video that FFmpeg can read"),
    ):
        for call in (probe, read_frames):
            with pytest.raises(RecordingError, match=f"{path.name}: {message}"):
                call(path)


def test_nothing_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, _ = damaged_clip(tmp_path / "hole.mp4")
    assert read_frames(path).damaged == 0
    assert len(list(read_frames(path))) > 30
    write(tmp_path / "new.mp4", grey(3))
    assert capfd.readouterr() == ("", "")


# ── memory, files, work ─────────────────────────────────────────────────────────────────────────


def peak_of(path: Path) -> int:
    tracemalloc.start()
    try:
        for frame in read_frames(path):
            assert frame.image.size
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    short = write(tmp_path / "short.mp4", [np.zeros((240, 320, 3), np.uint8)] * 30)
    long = write(tmp_path / "long.mp4", [np.zeros((240, 320, 3), np.uint8)] * 600)
    peak_of(short)  # imports
    assert peak_of(long) < 1.1 * peak_of(short) + 240 * 320 * 3  # a frame more or less


def test_one_picture_is_alive_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", grey(40))
    alive: list[weakref.ref[np.ndarray]] = []
    reader = read_frames(path)
    for _ in range(40):
        alive.append(weakref.ref(next(reader).image))
        assert sum(reference() is not None for reference in alive) <= 1


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs /proc")
def test_opening_many_files_keeps_no_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "large.mp4", [np.zeros((1080, 1920, 3), np.uint8)] * 2)

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    probe(path)
    gc.disable()  # what waits for the collector would stay
    try:
        before = resident()
        for _ in range(20):
            probe(path)
            next(read_frames(path, threads=1))
        assert resident() - before < 60  # 40 frames would be 124 MB
    finally:
        gc.enable()


def open_files(path: Path) -> int:
    links = Path("/proc/self/fd")
    found = 0
    for link in links.iterdir():
        try:
            found += str(link.readlink()) == str(path)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_the_file_is_closed_however_reading_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", grey(40)).resolve()
    gc.disable()  # closing must not wait for the collector
    try:
        reader = read_frames(path)
        assert open_files(path) == 1
        del reader  # never read
        assert open_files(path) == 0
        reader = read_frames(path)
        next(reader)
        assert open_files(path) == 1
        del reader  # abandoned
        assert open_files(path) == 0
        for frame in read_frames(path):
            if frame.index == 3:
                break
        assert open_files(path) == 0
        with read_frames(path, start=0.5) as reader:
            next(reader)
        assert open_files(path) == 0
        assert list(reader) == []
        assert (reader.damaged, reader.frames > 0) == (0, True)
        list(read_frames(path))
        probe(path)
        assert open_files(path) == 0
    finally:
        gc.enable()


def test_only_selected_frames_are_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "clip.mp4", grey(40))
    converted = []
    original = _pictures.Picture.__call__

    def count(self: _pictures.Picture, frame: av.VideoFrame) -> np.ndarray:
        converted.append(frame.pts)
        return original(self, frame)

    monkeypatch.setattr(_pictures.Picture, "__call__", count)
    frames = list(read_frames(path, stride=4, start=0.4, stop=1.2))
    assert [f.index for f in frames] == [12, 16, 20, 24, 28]
    assert len(converted) == 5


def test_probe_decodes_one_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "clip.mp4", grey(40))
    packets = []
    original = _source.Source._packets

    def count(self: _source.Source):  # type: ignore[no-untyped-def]
        for packet in original(self):
            packets.append(packet)
            yield packet

    monkeypatch.setattr(_source.Source, "_packets", count)
    probe(path)
    assert len(packets) <= 6  # the first frame and those it waits for to be put in order


@pytest.mark.parametrize(
    "asked", [{"stride": 0}, {"start": -1.0}, {"start": 2.0, "stop": 2.0}, {"start": np.inf}]
)
def test_stretches_that_make_no_sense(tmp_path: Path, asked: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"were asked for; expected a stride of 1 or more"):
        read_frames(tmp_path / "any.mp4", **asked)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    images = textured(30, 96, 128)
    a, b = write(tmp_path / "a.mp4", images), write(tmp_path / "deep" / "b.mp4", images)
    assert a.read_bytes() == b.read_bytes()
    assert write(tmp_path / "c.mp4", images, crf=30).stat().st_size < a.stat().st_size


def test_written_files_can_be_sought(tmp_path: Path) -> None:
    path = write(tmp_path / "long.mp4", grey(40, 16, 16) * 5)
    reader = read_frames(path, start=7.0)
    assert [f.index for f in itertools.islice(reader, 2)] == [175, 176]
    assert reader.frames < 60


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"

    def interrupted() -> None:
        with VideoWriter(path, 25.0, (48, 64)) as writer:
            writer.write(grey(1)[0])
            assert not path.exists()
            raise KeyError("mine")

    def nothing() -> None:
        with VideoWriter(path, 25.0, (48, 64)):
            pass

    def another_size() -> None:
        with VideoWriter(path, 25.0, (48, 64)) as writer:
            writer.write(grey(1, 50, 64)[0])

    with pytest.raises(KeyError, match="mine"):
        interrupted()
    with pytest.raises(StorageError, match=r"clip\.mp4: nothing was written"):
        nothing()
    assert list(tmp_path.iterdir()) == []
    write(path, grey(3))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="frame 0 is uint8"):
        another_size()
    assert path.read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write(tmp_path / "file" / "clip.mp4", grey(3))


@pytest.mark.parametrize(
    ("name", "rate", "size", "crf", "message"),
    [
        ("a.avi", 25.0, (48, 64), 18, "give a name that ends in .mp4"),
        ("a.mp4", 25.0, (47, 64), 18, "47 rows × 64 columns; H.264 in yuv420p needs even"),
        ("a.mp4", 25.0, (48, 63), 18, "48 rows × 63 columns"),
        ("a.mp4", 25.0, (0, 64), 18, "0 rows × 64 columns"),
        ("a.mp4", 0.0, (48, 64), 18, "frame rate 0.0 Hz"),
        ("a.mp4", float("nan"), (48, 64), 18, "frame rate nan Hz"),
        ("a.mp4", 25.0, (48, 64), 52, "crf=52"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, name: str, rate: float, size: tuple[int, int], crf: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        VideoWriter(tmp_path / name, rate, size, crf=crf)


# ── real files ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count", "rate"),
    [("WolfgangLanger_Pexels.mp4", 472, 24000 / 1001), ("single_face.mp4", 72, 30.0)],
)
def test_real_clips(data_root: Path, name: str, count: int, rate: float) -> None:
    path = data_root / "faces" / name
    info = probe(path)
    assert (info.height, info.width, info.frames) == (360, 640, count)
    assert info.frame_rate == pytest.approx(rate)
    reader = read_frames(path, stride=24)
    frames = list(reader)
    assert (reader.frames, reader.damaged) == (count, 0)
    np.testing.assert_allclose([f.time for f in frames], np.arange(0, count, 24) / rate, atol=1e-6)
    capture = cv2.VideoCapture(str(path))
    first = capture.read()[1][:, :, ::-1].astype(int)
    capture.release()
    # OpenCV takes BT.601 whatever the file says; luma and shape agree nevertheless
    assert np.abs(first - frames[0].image).mean() < 6


# ── the container's clock ───────────────────────────────────────────────────────────────────────


def test_frames_that_a_camera_dropped_keep_their_time(fixtures: Path) -> None:
    """The grey of a frame is its time in units of 20 ms, written by another program."""
    folder = fixtures / "cases" / "17-avi-dropped-frames"
    for name in ("camera.avi", "camera.mkv"):
        with read_frames(folder / name) as reader:
            frames = list(reader)
            dropped = reader.dropped
        assert len(frames) == 50
        assert [f.index for f in frames] == list(range(50))
        times = np.array([f.time for f in frames])
        truth = np.concatenate([np.arange(25), np.arange(75, 100)]) / 25
        np.testing.assert_allclose(times, truth, atol=1e-3)
        grey_says = np.array([f.image.mean() for f in frames]) * 0.02
        np.testing.assert_allclose(times, grey_says, atol=0.045)
        assert dropped == (50 if name.endswith("avi") else 0)
        assert probe(folder / name).duration == pytest.approx(4.0, abs=0.05)
    late = list(read_frames(folder / "camera.avi", start=2.9))
    assert (len(late), late[0].index) == (25, 25)


def test_gaps_between_frames(fixtures: Path, tmp_path: Path) -> None:
    folder = fixtures / "cases" / "17-avi-dropped-frames"
    for name in ("camera.avi", "camera.mkv"):
        (gap,) = frame_gaps(folder / name)
        assert gap == pytest.approx((0.96, 3.0), abs=1e-3)
    assert frame_gaps(encode(tmp_path / "b.mp4", grey(40), bf="3")) == []
    assert frame_gaps(encode(tmp_path / "raw.h264", grey(10))) == []


def avi_chunks(path: Path) -> list[int]:
    """Offsets of the video chunks of an AVI file."""
    data = path.read_bytes()
    offsets, at = [], data.index(b"movi") + 4
    while data[at : at + 4] == b"00dc":
        offsets.append(at)
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        at += 8 + size + size % 2
    return offsets


def test_a_damaged_frame_of_an_avi_file_keeps_its_place(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", textured(12), "mjpeg", "yuvj420p")
    at = avi_chunks(path)[4]
    data = bytearray(path.read_bytes())
    size = struct.unpack("<I", data[at + 4 : at + 8])[0]
    data[at + 8 : at + 8 + size] = bytes(size)  # no JPEG any more
    path.write_bytes(data)
    for threads in (1, 3):
        with read_frames(path, threads=threads) as reader:
            frames = list(reader)
        assert (len(frames), reader.damaged) == (11, 1)
        numbers = [0, 1, 2, 3, *range(5, 12)]
        assert [f.index for f in frames] == numbers
        np.testing.assert_allclose([f.time for f in frames], np.array(numbers) / 25, atol=1e-9)
