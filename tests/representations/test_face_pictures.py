"""Pictures of faces: which frames, cut out how, covered where, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.chain import build
from dolorimeter.errors import ConfigError, RecordingError, SignalError
from dolorimeter.registry import REPRESENTATIONS
from dolorimeter.representations import FaceClip, FaceFrames, window_faces
from dolorimeter.representations._crops import aligned, landmarks_at, scaled
from dolorimeter.representations._occlusion import GREY, occlusion_mask
from dolorimeter.representations._sampling import clip_positions, frame_count, held, nearest
from dolorimeter.signals.face import region_masks
from dolorimeter.types import CROP_SIZE, FaceTrack, Recording, Video, Window
from dolorimeter.video import FrameReader, read_frames

Make = Callable[..., FaceTrack]
Number = Callable[[np.ndarray], int]
RATE = 25.0


def window_of(
    track: FaceTrack | None, start: float = 0.0, duration: float = 5.5, **videos: Video
) -> Window:
    faces = {} if track is None else {"face": track}
    return Window(Recording("made", "s1", "r1", faces=faces, videos=videos), start, duration)


def numbers(representation: Any, window: Window, number: Number) -> list[int]:
    found = np.concatenate(list(representation.pictures(window)))
    return [number(picture) for picture in found]


@pytest.fixture
def whole(clip: Path, still: Make) -> FaceTrack:
    """Every frame of the clip, looked at."""
    return still(clip, np.arange(138) / RATE)


# ── which frames ────────────────────────────────────────────────────────────────────────────────


def test_registered() -> None:
    assert REPRESENTATIONS.get("face_frames") is FaceFrames
    assert REPRESENTATIONS.get("face_clip") is FaceClip
    assert FaceFrames.pictures_of_people
    assert FaceClip.pictures_of_people
    made = FaceFrames(stride=4, occlude="eyes", occluded_share=0.5)
    assert build(REPRESENTATIONS, {"name": "face_frames", **asdict(made)}) == made
    assert hash(made) == hash(FaceFrames(stride=4, occlude="eyes", occluded_share=0.5))


@pytest.mark.parametrize(("stride", "count"), [(1, 138), (2, 69), (3, 46), (4, 35)])
def test_strides(whole: FaceTrack, number: Number, stride: int, count: int) -> None:
    made, window = FaceFrames(stride=stride, size=56), window_of(whole)
    assert made.missing(window) is None
    assert made.picture_count(window) == count
    assert numbers(made, window, number) == list(range(0, 138, stride))
    assert made.remarks([window]) == ()


def test_batches_are_the_array(whole: FaceTrack) -> None:
    made, window = FaceFrames(stride=2, size=40), window_of(whole)
    batches = list(made.pictures(window))
    assert [len(batch) for batch in batches] == [32, 32, 5]
    assert all(b.dtype == np.uint8 and b.shape[1:] == (3, 40, 40) for b in batches)
    represented = made([window, window])
    assert represented.x.dtype == np.uint8
    assert represented.x.shape == (2, 69, 3, 40, 40)
    assert represented.names == ("red", "green", "blue")
    assert represented.present.all()
    np.testing.assert_array_equal(represented.x[1], np.concatenate(batches))


def test_a_window_in_the_middle_is_not_decoded_from_the_start(
    tmp_path: Path, still: Make, write: Callable[..., Path], number: Number,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = write(tmp_path / "long.mp4", 1000)
    decoded = []
    close = FrameReader.close

    def watched(reader: FrameReader) -> None:
        decoded.append(reader.frames)
        close(reader)

    monkeypatch.setattr(FrameReader, "close", watched)
    track = still(path, np.arange(1000) / RATE)
    made = FaceFrames(size=56, offset=0.4)
    assert numbers(made, window_of(track, 30.0, 1.0), number) == [n % 144 for n in range(760, 785)]
    assert decoded
    assert 25 <= max(decoded) < 100


def test_offset_and_duration(whole: FaceTrack, number: Number) -> None:
    made = FaceFrames(size=56, offset=1.0, duration=0.4)
    assert numbers(made, window_of(whole, 2.0, 1.0), number) == list(range(75, 85))


def test_a_start_between_frames_takes_the_nearest(whole: FaceTrack, number: Number) -> None:
    made = FaceFrames(size=56)
    assert numbers(made, window_of(whole, 2.0 + 0.015, 0.2), number) == [50, 51, 52, 53, 54]
    assert numbers(made, window_of(whole, 2.0 + 0.025, 0.2), number) == [51, 52, 53, 54, 55]


def test_variable_frame_rate(
    tmp_path: Path, still: Make, write_at: Callable[..., Path], number: Number
) -> None:
    rng = np.random.default_rng(4)
    times = np.round(np.append(0, np.cumsum(rng.uniform(0.015, 0.06, 130))), 3)
    path = write_at(tmp_path / "phone.mp4", times)
    track = still(path, times)
    moments = 0.5 + np.arange(75) / RATE
    wanted = [int(np.abs(times - moment).argmin()) for moment in moments]
    assert len(set(wanted)) < len(wanted)  # some frames are shown twice
    made = FaceFrames(size=56, frame_rate=RATE, min_valid=0.0)
    there = np.abs(times[wanted] - moments) <= 0.02 + 1e-6
    found = numbers(made, window_of(track, 0.5, 3.0), number)
    assert there.sum() > 40
    assert [n for n, near in zip(found, there, strict=True) if near] == [
        n for n, near in zip(wanted, there, strict=True) if near
    ]
    assert made.repeats(window_of(track, 0.5, 3.0)) == (~there).sum()


def test_frame_rate_is_that_of_the_video(whole: FaceTrack) -> None:
    made = FaceFrames()
    assert made.picture_count(window_of(whole, 0.0, 2.0)) == 50  # what the file says
    published = Video(whole.path, 30.0)
    assert made.picture_count(window_of(whole, 0.0, 2.0, face=published)) == 60
    assert made.picture_count(window_of(None, 0.0, 2.0, face=published)) == 60
    assert FaceFrames(frame_rate=10.0).picture_count(window_of(whole, 0.0, 2.0)) == 20
    with pytest.raises(SignalError, match=r"no video 'face' that tells its frame rate.*Give face"):
        made.picture_count(window_of(None))


def test_a_face_looked_for_every_fourth_frame(clip: Path, still: Make, number: Number) -> None:
    sparse = still(clip, np.arange(0, 138, 4) / RATE, rate=RATE / 4)
    window = window_of(sparse)
    assert numbers(FaceFrames(stride=4, size=56), window, number) == list(range(0, 138, 4))
    assert numbers(FaceFrames(stride=8, size=56), window, number) == list(range(0, 138, 8))
    seldom = FaceFrames(stride=1).missing(window)
    assert seldom == "the face was looked for too seldom for this frame rate and stride"


# ── gaps ────────────────────────────────────────────────────────────────────────────────────────


def test_gaps_repeat_the_picture_before(
    whole: FaceTrack, without: Callable[..., FaceTrack], number: Number
) -> None:
    track = without(whole, np.r_[0:3, 10:13, 136:138])
    made, window = FaceFrames(size=56), window_of(track)
    found = numbers(made, window, number)
    assert found[:4] == [3, 3, 3, 3]
    assert found[9:14] == [9, 9, 9, 9, 13]
    assert found[135:] == [135, 135, 135]
    assert made.repeats(window) == 8
    assert made.remarks([window, window_of(whole)]) == (
        "face: moments without a tracked face nearby repeat the picture before.",
    )


@pytest.mark.parametrize(("valid", "missing"), [(69, False), (68, True), (0, True)])
def test_too_few_frames_with_a_face(
    whole: FaceTrack, without: Callable[..., FaceTrack], valid: int, missing: bool
) -> None:
    window = window_of(without(whole, np.arange(valid, 138)))
    made = FaceFrames(stride=1, size=16)
    reason = "face found in fewer than 50% of the frames" if missing else None
    assert made.missing(window) == reason
    represented = made([window, window_of(whole)])
    assert represented.present.tolist() == [not missing, True]
    assert bool(represented.x[0].any()) is not missing
    assert represented.notes[-1:] == (
        (f"face: NaN in 1 of 2 windows: {reason}.",) if missing else represented.remarks
    )
    if missing:
        share = f"found in {valid / 138:.0%} of those looked at"
        with pytest.raises(SignalError, match=rf"r1, window 0–5.5 s: no pictures.*{share}"):
            next(made.pictures(window))


def test_a_share_that_must_not_be_there_at_all(
    whole: FaceTrack, without: Callable[..., FaceTrack]
) -> None:
    none = window_of(without(whole, np.arange(138)))
    assert FaceFrames(min_valid=0.0).missing(none) == "face found in fewer than 0% of the frames"
    one = window_of(without(whole, np.arange(1, 138)))
    assert FaceFrames(min_valid=0.0).missing(one) is None


def test_no_track_and_beyond(whole: FaceTrack) -> None:
    made = FaceFrames(size=16, frame_rate=RATE)
    absent, late = window_of(None), window_of(whole, 1.0)
    assert (
        made.missing(absent) == "the recording has no face track (preprocessing step face_track)"
    )
    assert made.missing(late) == "the window reaches beyond the video"
    represented = made([absent, late])
    assert represented.x.shape == (2, 138, 3, 16, 16)
    assert not represented.x.any()
    assert not represented.present.any()
    with pytest.raises(SignalError, match="no face track"):
        next(made.pictures(absent))


def test_windows_that_do_not_fit_into_one_array(whole: FaceTrack) -> None:
    with pytest.raises(SignalError, match=r"2 windows have 50 and 75 pictures of face.*Give"):
        FaceFrames()([window_of(whole, 0.0, 2.0), window_of(whole, 0.0, 3.0)])
    with pytest.raises(SignalError, match="1 windows have an unknown number of pictures"):
        FaceFrames()([window_of(None)])


def test_memory_is_bounded(whole: FaceTrack) -> None:
    message = (
        r"300 windows of 138 pictures.* 5.8 GiB, expected at most 4 GiB.* 206 windows.*encoder"
    )
    with pytest.raises(ConfigError, match=message):
        FaceFrames()([window_of(whole)] * 300)


def test_a_video_that_is_not_the_tracked_one(clip: Path, still: Make) -> None:
    track = still(clip, np.arange(300) / RATE)
    with pytest.raises(RecordingError, match=r"clip.mp4: no frame can be decoded within 0.020 s of"
                       r" 7.000 s.*none is near.*copy it again"):  # fmt: skip
        list(FaceFrames(size=16).pictures(window_of(track, 7.0, 1.0)))
    with pytest.raises(RecordingError, match=r"the nearest is at 5\.480 s"):
        list(FaceFrames(size=16).pictures(window_of(track, 5.0, 1.0)))
    gone = replace(track, path=clip.with_name("gone.mp4"))
    with pytest.raises(RecordingError, match=r"gone.mp4: the file is missing"):
        list(FaceFrames(size=16, frame_rate=RATE).pictures(window_of(gone)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, "stride is 0, expected 1 or more"),
        ({"duration": 0.0}, "duration is 0.0, expected above 0 s"),
        ({"frame_rate": -1.0}, "frame_rate is -1.0, expected above 0 Hz"),
        ({"size": 0}, "size is 0, expected 1 pixel"),
        ({"min_valid": 1.5}, "min_valid is 1.5, expected a share"),
        ({"occlude": "ear", "occluded_share": 0.5}, "occlude is 'ear', expected one of eyes, mou"),
        ({"occluded_share": 0.5}, "occluded_share is 0.5 of ''"),
        ({"occlude": "eyes", "occluded_share": 1.5}, "occluded_share is 1.5 of 'eyes'"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaceFrames(**arguments)


def test_window_faces(whole: FaceTrack, without: Callable[..., FaceTrack]) -> None:
    track = without(whole, np.arange(25, 50))
    assert window_faces(window_of(track, 1.0, 2.0)) == (0.5, 0.25)
    assert window_faces(window_of(track, 0.0, 1.0)) == (1.0, 0.5)
    assert window_faces(window_of(None)) == (0.0, 0.0)
    assert window_faces(window_of(track, 50.0, 1.0)) == (0.0, 0.0)


# ── cut out how ─────────────────────────────────────────────────────────────────────────────────


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    left, top = int(np.floor(x)), int(np.floor(y))
    a, b = x - left, y - top
    box = image[top : top + 2, left : left + 2].astype(float)
    return (1 - b) * ((1 - a) * box[0, 0] + a * box[0, 1]) + b * (
        (1 - a) * box[1, 0] + a * box[1, 1]
    )


@pytest.mark.parametrize("size", [224, 112, 384])
def test_aligned_against_our_own_sampling(size: int) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8), (0, 0), 3)
    turn = np.deg2rad(17)
    linear = 1.3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    alignment = np.column_stack([linear, [112, 112] - linear @ [200, 150]])
    picture = aligned(image, alignment, size)
    factor = size / CROP_SIZE
    for column, row in rng.integers(size // 4, 3 * size // 4, (40, 2)):
        # the same place of the aligned face, whose pixels are larger or smaller
        place = (np.array([column, row]) + 0.5) / factor - 0.5
        x, y = np.linalg.solve(linear, place - alignment[:, 2])
        # OpenCV samples at a 32nd of a pixel, and rounds
        np.testing.assert_allclose(picture[row, column], bilinear(image, x, y), atol=2)


@pytest.mark.parametrize("size", [224, 112, 384])
def test_the_same_picture_as_in_preprocessing(size: int) -> None:
    """The preview of `dolorimeter faces` shows what a network sees."""
    from dolorimeter.preprocessing.faces import align

    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    alignment = np.array([[0.9, -0.2, 12.3], [0.2, 0.9, -31.7]], dtype=np.float32)
    np.testing.assert_array_equal(aligned(image, alignment, size), align(image, alignment, size))


def test_the_picture_comes_through_the_video(
    tmp_path: Path, still: Make, write: Callable[..., Path]
) -> None:
    track = still(write(tmp_path / "v.mp4", 8), np.arange(8) / RATE)
    image = next(iter(read_frames(track.path, start=0.2))).image
    picture = next(FaceFrames().pictures(window_of(track, 0.2, 0.04)))[0]
    for row, column in ((60, 40), (100, 111), (100, 112), (150, 200)):
        x, y = (column + 16) / 2, (row - 16) / 2
        np.testing.assert_allclose(picture[:, row, column], bilinear(image, x, y), atol=2)


def test_outside_the_frame_is_black(whole: FaceTrack) -> None:
    picture = next(FaceFrames(offset=1.0, duration=0.04).pictures(window_of(whole)))[0]
    assert not picture[:, :15].any()  # the frame's first row goes to row 16


def test_a_large_face_is_averaged_not_thinned() -> None:
    grain = np.random.default_rng(0).integers(0, 256, (1792, 1792, 1), dtype=np.uint8)
    image = np.repeat(grain, 3, axis=2)
    alignment = np.array([[0.125, 0, 0.125 / 2 - 0.5], [0, 0.125, 0.125 / 2 - 0.5]])
    picture = aligned(image, alignment, 224).astype(float)
    assert abs(picture.mean() - 127.5) < 2
    # values of a deviation of 74: over the four nearest it would be 37
    assert picture[2:-2, 2:-2].std() < 20


@given(size=st.integers(1, 600), x=st.floats(-50, 300), y=st.floats(-50, 300))
def test_another_size_keeps_places(size: int, x: float, y: float) -> None:
    alignment = np.array([[0.8, -0.1, 5.0], [0.1, 0.8, -7.0]])
    there = alignment @ [x, y, 1.0]
    again = scaled(alignment, size) @ [x, y, 1.0]
    np.testing.assert_allclose((again + 0.5) / size, (there + 0.5) / CROP_SIZE, atol=1e-9)


# ── covered where ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 1.0])
@pytest.mark.parametrize("what", ["eyes", "mouth", "brows", "nose"])
def test_the_covered_share_of_a_region(whole: FaceTrack, what: str, share: float) -> None:
    landmarks = landmarks_at(whole, np.array([0]))[0]
    region = region_masks(landmarks, 224)[what]
    assert region.sum() > 100
    mask = occlusion_mask(what, share, landmarks, 224, np.random.default_rng(0))
    assert not mask[~region].any()
    assert abs(mask.sum() - share * region.sum()) <= 0.5


def test_both_eyes_are_covered_alike(whole: FaceTrack) -> None:
    landmarks = landmarks_at(whole, np.array([0]))[0]
    region = region_masks(landmarks, 224)["eyes"]
    half = occlusion_mask("eyes", 0.5, landmarks, 224, np.random.default_rng(0))
    middle = round(landmarks[[33, 263], 0].mean())
    shares = [half[:, side].sum() / region[:, side].sum()
              for side in (slice(middle), slice(middle, None))]  # fmt: skip
    assert all(0.3 < share < 0.7 for share in shares)


@pytest.mark.parametrize("what", ["mouth", "nose", "eyes"])
def test_a_region_is_covered_from_its_inside(whole: FaceTrack, what: str) -> None:
    landmarks = landmarks_at(whole, np.array([0]))[0]
    region = region_masks(landmarks, 224)[what]
    half = occlusion_mask(what, 0.5, landmarks, 224, np.random.default_rng(0))
    outside = np.argwhere(~region)

    def depth(mask: np.ndarray) -> np.ndarray:
        return np.array([np.linalg.norm(outside - at, axis=1).min() for at in np.argwhere(mask)])

    assert depth(half).min() >= depth(region & ~half).max() - 1e-6


@pytest.mark.parametrize(
    ("what", "rows", "columns"),
    [
        ("upper", slice(0, 50), slice(0, 200)),
        ("lower", slice(150, 200), slice(0, 200)),
        ("left", slice(0, 200), slice(150, 200)),  # the person's own left
        ("right", slice(0, 200), slice(0, 50)),
    ],
)
def test_half_of_a_half(what: str, rows: slice, columns: slice) -> None:
    mask = occlusion_mask(what, 0.5, np.zeros((478, 2)), 200, np.random.default_rng(0))
    assert mask.sum() == 200 * 200 // 4
    assert mask[rows, columns].all()


@given(share=st.floats(0, 1), seed=st.integers(0, 50), side=st.sampled_from([64, 224]))
def test_a_square_anywhere(share: float, seed: int, side: int) -> None:
    mask = occlusion_mask("random", share, np.zeros((478, 2)), side, np.random.default_rng(seed))
    assert abs(mask.mean() - share) <= 1 / side
    again = occlusion_mask("random", share, np.zeros((478, 2)), side, np.random.default_rng(seed))
    np.testing.assert_array_equal(mask, again)
    rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    assert mask.sum() == rows * columns


def test_covered_pictures(whole: FaceTrack) -> None:
    window = window_of(whole, 1.0, 0.4)
    bare = next(FaceFrames().pictures(window))
    made = next(FaceFrames(occlude="mouth", occluded_share=1.0).pictures(window))
    mask = region_masks(landmarks_at(whole, np.array([0]))[0], 224)["mouth"]
    assert (made[:, :, mask] == GREY).all()
    np.testing.assert_array_equal(made[:, :, ~mask], bare[:, :, ~mask])
    none = next(FaceFrames(occlude="mouth").pictures(window))
    np.testing.assert_array_equal(none, bare)


def test_a_square_stays_for_the_window_and_moves_between_windows(whole: FaceTrack) -> None:
    made = FaceFrames(occlude="random", occluded_share=0.2, size=64)
    here, there = window_of(whole, 1.0, 0.4), window_of(whole, 2.0, 0.4)

    def masks(representation: FaceFrames, window: Window) -> np.ndarray:
        return (next(representation.pictures(window)) == GREY).all(axis=1)

    found = masks(made, here)
    assert (found == found[0]).all()
    np.testing.assert_array_equal(found, masks(made, here))
    assert (found[0] != masks(made, there)[0]).any()
    assert (found[0] != masks(replace(made, seed=1), here)[0]).any()


# ── clips ───────────────────────────────────────────────────────────────────────────────────────


def test_a_clip_of_biovid(whole: FaceTrack, number: Number) -> None:
    made, window = FaceClip(size=56), window_of(whole)
    first = (138 - 1 - 15 * 8) // 2
    assert numbers(made, window, number) == list(range(first, first + 121, 8))
    assert made.picture_count(window) == made.picture_count(window_of(None)) == 16
    assert made.remarks([window]) == ()
    given = replace(made, stride=4)
    assert numbers(given, window, number) == list(range(38, 38 + 61, 4))


def test_a_clip_of_ai4pain() -> None:
    positions, told = clip_positions(300, 16, None, None)
    assert np.diff(positions).tolist() == [18] * 15
    assert (positions[0], positions[-1], told) == (14, 284, "")


def test_a_random_start_is_drawn_again_the_same(whole: FaceTrack, number: Number) -> None:
    window = window_of(whole)
    starts = []
    for seed in range(8):
        made = FaceClip(size=56, stride=4, start="random", seed=seed)
        found = numbers(made, window, number)
        assert np.diff(found).tolist() == [4] * 15
        assert numbers(made, window, number) == found
        starts.append(found[0])
    assert len(set(starts)) > 3


def test_a_short_clip_repeats_evenly_and_says_so(whole: FaceTrack, number: Number) -> None:
    made, window = FaceClip(size=56), window_of(whole, 1.0, 0.2)
    assert numbers(made, window, number) == [
        25, 25, 25, 25, 26, 26, 26, 27, 27, 27, 28, 28, 28, 29, 29, 29,
    ]  # fmt: skip
    assert made.remarks([window]) == ("face: fewer than 16 frames, repeated evenly to 16.",)


def test_a_stride_that_does_not_fit_is_replaced_and_said(whole: FaceTrack, number: Number) -> None:
    made, window = FaceClip(size=56, stride=48), window_of(whole)
    assert numbers(made, window, number) == numbers(FaceClip(size=56), window, number)
    assert made.remarks([window]) == ("face: too short for stride 48, taken at 8.",)


def moving(track: FaceTrack, rows: list[int]) -> FaceTrack:
    """The mouth opens by a twentieth of the face at each of these rows, and stays open."""
    landmarks = track.landmarks.copy()
    for row in rows:
        landmarks[row:, 200:300, 1] += 4.0
    return replace(track, landmarks=landmarks)


def test_a_clip_of_keyframes(
    whole: FaceTrack, without: Callable[..., FaceTrack], number: Number
) -> None:
    rows = list(range(5, 134, 8))  # 17 movements after the first frame
    track = without(moving(whole, rows), np.array([4, 6, 30, 31]))
    made, window = FaceClip(size=56, sampling="keyframes"), window_of(track)
    assert numbers(made, window, number) == [0, *rows][1:17]  # 16 of 18, in the middle
    assert made.remarks([window]) == ()
    half = window_of(track, 0.0, 2.0)
    assert sorted(set(numbers(made, half, number))) == [0, *(r for r in rows if r < 50)]
    assert made.remarks([half]) == ("face: fewer than 16 keyframes, repeated evenly to 16.",)


def test_keyframes_need_a_face(whole: FaceTrack, without: Callable[..., FaceTrack]) -> None:
    made = FaceClip(sampling="keyframes")
    few = "face found in fewer than 50% of the frames"
    assert made.missing(window_of(without(whole, np.arange(70)))) == few
    assert made.missing(window_of(without(whole, np.arange(69)))) is None
    assert replace(made, min_valid=0.0).missing(window_of(without(whole, np.arange(138))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "end"}, "start is 'end', expected one of centre, random"),
        ({"sampling": "all"}, "sampling is 'all', expected one of strided, keyframes"),
        ({"reference": "first"}, "reference is 'first', expected one of keyframe, previous"),
        ({"frames": 0}, "frames is 0, expected 1 or more"),
        ({"stride": 0}, "stride is 0, expected 1 or more"),
        ({"stride": 4, "sampling": "keyframes"}, "keyframes have no fixed distance. Leave"),
    ],
)
def test_clips_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaceClip(**arguments)


# ── a real face ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shared
def test_a_real_face_is_upright_and_in_the_middle(data_root: Path) -> None:
    from dolorimeter.preprocessing.faces import track_face

    path = data_root / "faces" / "WolfgangLanger_Pexels.mp4"
    track = track_face(path, stride=4, start=0.0, stop=2.0)
    window = window_of(track, 0.5, 1.0)
    made = FaceFrames(stride=4)
    pictures = np.concatenate(list(made.pictures(window)))
    assert pictures.shape == (6, 3, 224, 224)
    assert made.remarks([window]) == ()
    eyes = landmarks_at(track, np.array([4]))[0][[33, 263], :2]
    assert abs(eyes[:, 1] - eyes[:, 1].mean()).max() < 5
    assert abs(eyes[:, 0].mean() - 111.5) < 8
    skin = pictures[:, :, 100:140, 90:134].mean(axis=(0, 2, 3))
    assert skin[0] > skin[1] > skin[2]  # red first: RGB, not BGR


# ── properties of the sampling ──────────────────────────────────────────────────────────────────


@given(frames=st.integers(1, 400), stride=st.integers(1, 12), rate=st.sampled_from([10.0, 25.0,
       29.97, 30.0, 120.0]))  # fmt: skip
def test_whole_frames_count_as_slices_do(frames: int, stride: int, rate: float) -> None:
    assert frame_count(frames / rate, rate, stride) == len(range(0, frames, stride))


@given(
    times=st.lists(st.floats(0, 10), max_size=30, unique=True).map(sorted),
    wanted=st.lists(st.floats(-1, 11), min_size=1, max_size=10),
    reach=st.floats(0, 1),
)
def test_nearest_is_nearest(times: list[float], wanted: list[float], reach: float) -> None:
    known = np.array(times, dtype=float)
    for moment, row in zip(wanted, nearest(known, np.array(wanted), reach), strict=True):
        distances = np.abs(known - moment)
        if row < 0:
            assert not len(known) or distances.min() > reach
        else:
            assert distances[row] <= min(distances.min(), reach) + 1e-6


@given(rows=st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_held_rows_have_faces_and_change_nothing_else(rows: list[bool]) -> None:
    given = np.where(rows, np.arange(len(rows)), -1)
    filled = held(given)
    assert (filled >= 0).all()
    assert (np.diff(filled) >= 0).all()
    np.testing.assert_array_equal(filled[rows], given[rows])


@given(
    frames=st.integers(1, 400),
    count=st.integers(1, 32),
    stride=st.none() | st.integers(1, 60),
    seed=st.none() | st.integers(0, 9),
)
def test_clips_lie_inside(frames: int, count: int, stride: int | None, seed: int | None) -> None:
    draw = None if seed is None else np.random.default_rng(seed)
    positions, told = clip_positions(frames, count, stride, draw)
    assert len(positions) == count
    assert positions[0] >= 0
    assert positions[-1] < frames
    steps = np.diff(positions)
    if frames < count:
        assert steps.max(initial=0) - steps.min(initial=1) <= 1
        assert set(positions) == set(range(frames))
    else:
        assert len(set(steps)) <= 1
        assert count == 1 or steps[0] in (stride, frames // count)
    assert bool(told) == (frames < count or (stride or 0) * (count - 1) >= frames)
