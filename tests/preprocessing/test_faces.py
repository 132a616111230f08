"""The face track: agreement with MediaPipe, one person through a clip, pose, quality, files."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from dolorimeter.errors import ConfigError, RecordingError, SignalError
from dolorimeter.preprocessing import _face_models as models
from dolorimeter.preprocessing import _face_rows as rows
from dolorimeter.preprocessing._face_geometry import (
    STABLE,
    aligned_points,
    alignment,
    canonical_face,
    pose,
    template,
)
from dolorimeter.preprocessing.faces import (
    FaceFrame,
    FaceTracker,
    FaceTracking,
    align,
    track_face,
)
from dolorimeter.registry import PREPROCESSING
from dolorimeter.types import FaceTrack, Recording, Video
from dolorimeter.video import VideoWriter

RATE = 25.0

Picture = np.ndarray
Reference = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    file = resources.files("dolorimeter") / "assets" / "astronaut.png"
    return cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


@pytest.fixture(scope="module")
def reference(fixtures: Path) -> Reference:
    return dict(np.load(fixtures / "faces" / "mediapipe_1_2_2.npz"))


@pytest.fixture(scope="module")
def cast(portrait: Picture) -> Cast:
    return Cast(portrait)


class Cast:
    """Two people on a grey stage: the portrait, and its mirrored copy in other colours."""

    def __init__(self, portrait: Picture) -> None:
        face = np.ascontiguousarray(portrait[0:300, 70:370])
        down, across = np.mgrid[:300, :300]
        oval = ((across - 152) / 105) ** 2 + ((down - 130) / 140) ** 2 < 1
        other = face[:, ::-1] * np.array([0.75, 0.85, 1.0]) + np.array([0, 10, 25])
        small = cv2.resize(np.clip(other, 0, 255).astype(np.uint8), (270, 270))
        mask = cv2.resize(oval[:, ::-1].astype(np.uint8), (270, 270)) > 0
        self.one = (face, oval)
        self.two = (small, mask)

    def stage(self, *faces: tuple[str, float], height: int = 320, width: int = 640) -> Picture:
        """A frame with faces centred at given columns, the last one in front."""
        frame = np.full((height, width, 3), 110, np.uint8)
        for name, x in faces:
            face, mask = getattr(self, name)
            side = len(face)
            left = round(x) - side // 2
            first, last = max(0, -left), min(side, width - left)
            if first < last:
                part = frame[10 : 10 + side, left + first : left + last]
                part[mask[:, first:last]] = face[:, first:last][mask[:, first:last]]
        return frame


def pushed(frames: Sequence[Picture], rate: float = RATE) -> tuple[list[FaceFrame], FaceTracker]:
    tracker = FaceTracker()
    return [tracker.push(frame, i / rate) for i, frame in enumerate(frames)], tracker


def seen(picture: Picture) -> FaceFrame:
    return FaceTracker().push(np.ascontiguousarray(picture), 0.0)


def columns(found: Sequence[FaceFrame]) -> np.ndarray:
    """Where the tip of the nose is, NaN where no face was found."""
    return np.array([face.landmarks[1, 0] for face in found])


def write(path: Path, frames: Sequence[Picture], rate: float = RATE) -> Path:
    with VideoWriter(path, rate, frames[0].shape[:2]) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def same(one: FaceFrame, other: FaceFrame) -> None:
    for name, value in vars(one).items():
        assert_array_equal(value, getattr(other, name), err_msg=name)


# --- the networks -------------------------------------------------------------------------------


def test_loading_the_networks_says_nothing_and_loses_nothing() -> None:
    code = (
        "import os; from dolorimeter.preprocessing import _face_models as m\n"
        "with m._greeting():\n"
        "    os.write(2, m.GREETING + b' for CPU.\\nwarning: kept\\n')\n"
        "m._greeted.clear(); m.FaceModels(); os.write(2, b'after\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "warning: kept\nafter\n")


# --- agreement with MediaPipe -------------------------------------------------------------------


def views(portrait: Picture) -> dict[str, Picture]:
    down, across = np.mgrid[:512, :512] - 256.0
    cosine, sine = np.cos(np.radians(25)), np.sin(np.radians(25))
    x = np.rint(cosine * across + sine * down + 256).astype(int)
    y = np.rint(cosine * down - sine * across + 256).astype(int)
    inside = ((x >= 0) & (x < 512) & (y >= 0) & (y < 512))[..., None]
    turned = np.where(inside, portrait[y.clip(0, 511), x.clip(0, 511)], 110).astype(np.uint8)
    return {"portrait": portrait, "edge": portrait[40:400, 190:], "turned": turned}


@pytest.mark.parametrize("view", ["portrait", "edge", "turned"])
def test_pictures_agree_with_mediapipe(portrait: Picture, reference: Reference, view: str) -> None:
    """One pass through both graphs. The same float16 weights on the same XNNPACK kernels leave the
    rounding of the resampled pixels to 8 bits, which moves landmarks by under 0.01 pixels here."""
    face = seen(views(portrait)[view])
    wanted = reference[f"{view}_landmarks"]
    error = np.linalg.norm(face.landmarks[:, :2] - wanted[:, :2], axis=1) / face.size
    assert np.median(error) < 2e-4
    assert error.max() < 1e-3
    assert_allclose(face.blendshapes, reference[f"{view}_blendshapes"], atol=3e-3)
    if view != "edge":  # not square, see SOURCE.md
        assert np.abs(face.landmarks[:, 2] - wanted[:, 2]).max() / face.size < 2e-3


@pytest.mark.shared
def test_the_photograph_agrees_with_mediapipe(data_root: Path, reference: Reference) -> None:
    picture = cv2.imread(str(data_root / "faces" / "single_face.jpg"))[:, :, ::-1]
    face = seen(picture)
    error = face.landmarks[:, :2] - reference["photograph_landmarks"][:, :2]
    assert np.linalg.norm(error, axis=1).max() / face.size < 1e-3
    assert_allclose(face.blendshapes, reference["photograph_blendshapes"], atol=3e-3)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("clip", "name"),
    [
        pytest.param("WolfgangLanger_Pexels.mp4", "grimace", marks=pytest.mark.long),
        ("single_face.mp4", "smile"),
    ],
)
def test_clips_agree_with_mediapipe(
    data_root: Path, reference: Reference, clip: str, name: str
) -> None:
    """Each frame's region comes from the landmarks before, so rounding is handed on through up to
    240 frames: a hundredth of the eyes' distance at most, a thousandth in the median."""
    frames = reference[f"{name}_frames"]
    track = track_face(data_root / "faces" / clip, stop=10.05)
    assert track.found.all()
    assert track.remarks == ()
    error = np.linalg.norm(
        track.landmarks[frames][:, :, :2] - reference[f"{name}_landmarks"], axis=2
    )
    error /= track.size[frames, None]
    assert np.median(error) < 1e-3
    assert error.max() < 1e-2
    assert_allclose(track.blendshapes[frames], reference[f"{name}_blendshapes"], atol=0.04)


# --- the graph around the networks --------------------------------------------------------------


def test_anchors_are_two_a_cell_and_then_six() -> None:
    centres = models.anchors()
    assert centres.shape == (896, 2)
    assert_allclose(
        centres[[0, 1, 2, 511]], np.array([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5], [15.5, 15.5]]) / 16
    )
    assert_allclose(
        centres[[512, 517, 518, 895]],
        np.array([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5], [7.5, 7.5]]) / 8,
    )


def test_overlapping_boxes_become_their_weighted_mean() -> None:
    values, scores = np.zeros((896, 16), np.float32), np.full(896, -200.0, np.float32)
    values[:, 2:4] = 20.0
    scores[[0, 2, 400]] = np.log([3.0, 1.5, 1e60])  # 0.75, 0.6, and clipped
    values[2, 0] = -4.0  # one cell of 8 pixels to the right: 4 pixels apart, overlap 2/3
    found = models.decode(values, scores, models.anchors(), 0.5)
    assert [face.score for face in found] == pytest.approx([1.0, 0.75])
    x = (0.75 * 4 + 0.6 * 8) / 1.35
    assert_allclose(found[1].centre, [x, 4])
    assert_allclose(found[1].keypoints[0], [(0.75 * 4 + 0.6 * 12) / 1.35, 4])
    assert found[1].width == pytest.approx(20)


def test_nothing_sure_enough_is_no_face() -> None:
    scores = np.full(896, -0.01, np.float32)
    assert models.decode(np.zeros((896, 16), np.float32), scores, models.anchors(), 0.5) == []


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(10, 500), st.floats(-np.pi, np.pi))
def test_a_region_is_a_turned_square(x: float, y: float, side: float, angle: float) -> None:
    region = models.Region(x, y, side, side, angle)
    corners = np.array([[0, 0], [256, 0], [256, 256], [0, 256], [128, 128]])
    matrix = region.to_picture(256)
    placed = corners @ matrix[:, :2].T + matrix[:, 2]
    assert_allclose(placed[4], [x, y], atol=1e-9)
    along = placed[1] - placed[0]
    assert_allclose(along, side * np.array([np.cos(angle), np.sin(angle)]), atol=1e-9)
    assert_allclose(placed[3] - placed[0], [-along[1], along[0]], atol=1e-9)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_is_found_however_the_picture_lies(portrait: Picture, quarters: int) -> None:
    upright, turned = seen(portrait), seen(np.rot90(portrait, quarters))
    assert turned.found
    clockwise = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarters)
    back = turned.landmarks - [255.5, 255.5, 0]
    back[:, :2] = back[:, :2] @ clockwise.T
    error = np.linalg.norm(back - (upright.landmarks - [255.5, 255.5, 0]), axis=1)
    assert np.median(error) / upright.size < 0.02
    assert abs(turned.pose[0] - upright.pose[0]) < 3
    assert abs(turned.pose[1] - upright.pose[1]) < 3
    roll = (turned.pose[2] - upright.pose[2] + 90 * quarters + 180) % 360 - 180
    assert abs(roll) < 3


# --- pose and alignment -------------------------------------------------------------------------


def posed(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Landmarks of the canonical face so turned, as a far camera sees them."""
    turn = (
        Rotation.from_euler("z", -roll, degrees=True)
        * Rotation.from_euler("x", -pitch, degrees=True)
        * Rotation.from_euler("y", yaw, degrees=True)
    ).as_matrix()
    points = np.vstack([canonical_face(), np.zeros((10, 3))]) @ turn.T
    return (points * [12.0, -12.0, -12.0] + [300, 200, -7]).astype(np.float32)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-179, 179))
def test_pose_is_read_back(yaw: float, pitch: float, roll: float) -> None:
    assert_allclose(pose(posed(yaw, pitch, roll)), [yaw, pitch, roll], atol=0.02)


def test_signs_of_the_pose() -> None:
    nose, level = 4, slice(0, 2)
    middle = posed(0, 0, 0)
    assert posed(20, 0, 0)[nose, 0] > middle[nose, 0] + 10  # to the right of the picture
    assert posed(0, 20, 0)[nose, 1] < middle[nose, 1] - 10  # up
    eyes = posed(0, 0, 20)[list(models.EYES), level]
    assert eyes[1, 1] > eyes[0, 1] + 10  # clockwise: the person's left eye is lower


def test_a_mirrored_face_has_yaw_and_roll_the_other_way(portrait: Picture) -> None:
    turn = cv2.getRotationMatrix2D((220, 130), -15, 1.0)
    picture = cv2.warpAffine(portrait, turn, (512, 512))
    one, other = seen(picture), seen(picture[:, ::-1])
    assert one.pose[2] > 10
    assert_allclose(other.pose * [-1, 1, -1], one.pose, atol=3)


def test_pose_is_near_mediapipes(reference: Reference) -> None:
    """MediaPipe assumes a camera of 63°; ours is far away. A face beside the middle of a picture
    differs by the angle at which such a camera would see it, here 5.6° of pitch."""
    matrix = reference["portrait_matrix"][:3, :3]
    yaw = np.degrees(np.arctan2(-matrix[2, 0], matrix[2, 2]))
    pitch = -np.degrees(np.arcsin(matrix[2, 1]))
    roll = np.degrees(np.arctan2(matrix[0, 1], matrix[1, 1]))
    assert_allclose(pose(reference["portrait_landmarks"]), [yaw, pitch, roll], atol=6)


@given(st.floats(0.1, 8), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
def test_alignment_undoes_any_similarity(scale: float, angle: float, x: float, y: float) -> None:
    landmarks = np.zeros((478, 3), np.float32)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks[list(STABLE), :2] = template() @ turn.T + [x, y]
    placed = aligned_points(landmarks, alignment(landmarks))
    assert_allclose(placed[list(STABLE)], template(), atol=0.05)


def test_the_aligned_face_is_level_and_in_the_middle(portrait: Picture) -> None:
    turn = cv2.getRotationMatrix2D((220, 130), 20, 0.8)
    for picture in (portrait, cv2.warpAffine(portrait, turn, (512, 512))):
        face = seen(picture)
        points = aligned_points(face.landmarks, face.alignment)
        right, left = points[list(models.EYES)]
        assert abs(left[1] - right[1]) < 3
        assert abs((left[0] + right[0]) / 2 - 111.5) < 3
        assert points[:, 1].min() > 5
        assert points[:, 1].max() < 219
        again = seen(align(picture, face.alignment))
        assert np.median(np.linalg.norm(again.landmarks[:, :2] - points, axis=1)) < 2


def test_align_gives_the_size_asked_for(portrait: Picture) -> None:
    face = seen(portrait)
    whole, half = align(portrait, face.alignment), align(portrait, face.alignment, 112)
    assert whole.shape == (224, 224, 3)
    smaller = cv2.resize(whole, (112, 112), interpolation=cv2.INTER_LINEAR)
    assert np.abs(smaller.astype(int) - half).mean() < 3
    with pytest.raises(SignalError, match=r"the frame has no face: leave out frames"):
        align(portrait, np.full((2, 3), np.nan))


# --- quality ------------------------------------------------------------------------------------


def covered(picture: Picture, face: FaceFrame, points: Sequence[int], value: object) -> Picture:
    """The picture with a card over some landmarks."""
    flat = face.landmarks[list(points), :2]
    low = np.floor(flat.min(axis=0) - 0.15 * face.size).astype(int)
    high = np.ceil(flat.max(axis=0) + 0.15 * face.size).astype(int)
    done = picture.copy()
    done[low[1] : high[1], low[0] : high[0]] = value
    return done


MOUTH = (61, 291, 0, 17)
EYES = (33, 263, 159, 145, 386, 374)


def test_a_clear_face_has_good_quality(portrait: Picture) -> None:
    face = seen(portrait)
    assert face.blur > 0.9
    assert face.occlusion > 0.9
    assert face.exposure > 0.95


@pytest.mark.parametrize("points", [MOUTH, EYES], ids=["mouth", "eyes"])
@pytest.mark.parametrize("value", [128, (190, 150, 130), "noise"], ids=["grey", "skin", "noise"])
def test_a_card_over_mouth_or_eyes_is_seen(
    portrait: Picture, points: Sequence[int], value: object
) -> None:
    clear = seen(portrait)
    card = covered(portrait, clear, points, 0 if value == "noise" else value)
    if value == "noise":
        hidden = (card != portrait).any(axis=2)
        card[hidden] = np.random.default_rng(3).integers(90, 180, (hidden.sum(), 3))
    face = seen(card)
    assert face.found
    assert face.occlusion < 0.3


def test_a_face_partly_outside_counts_as_covered(portrait: Picture) -> None:
    shares = [seen(portrait[:, left:]).occlusion for left in (0, 195, 215)]
    assert shares[0] > 0.9
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.shared
def test_a_hand_is_seen_and_shut_eyes_are_not_taken_for_one(data_root: Path) -> None:
    """The woman's eyes are shut from the first frame on; a hand covers her mouth at 4.1–5.7 s."""
    track = track_face(data_root / "faces" / "WolfgangLanger_Pexels.mp4", stop=6.0, stride=3)
    shut, hand = track.times < 2.2, (track.times > 4.1) & (track.times < 5.7)
    assert track.occlusion[shut].min() > 0.9
    assert track.occlusion[hand].max() < 0.4


def test_blur_falls_with_blur_and_stays_with_noise(portrait: Picture) -> None:
    grades = [
        seen(cv2.GaussianBlur(portrait, (0, 0), s) if s else portrait).blur for s in (0, 1, 2, 4)
    ]
    assert grades[0] > 0.9
    assert all(a > b for a, b in pairwise(grades))
    assert grades[-1] < 0.1
    noise = np.random.default_rng(0).normal(0, 6, portrait.shape)
    noisy = np.clip(cv2.GaussianBlur(portrait, (0, 0), 2) + noise, 0, 255).astype(np.uint8)
    assert seen(noisy).blur < 0.6


def test_exposure_falls_in_the_dark_and_in_glare(portrait: Picture) -> None:
    dark = seen((portrait * 0.12).astype(np.uint8))
    glare = seen(np.clip(portrait.astype(float) * 1.8, 0, 255).astype(np.uint8))
    assert dark.exposure < 0.6
    assert glare.exposure < 0.6


# --- one person through a clip ------------------------------------------------------------------


def test_a_frame_without_a_face_is_nan() -> None:
    found, tracker = pushed([np.full((120, 160, 3), 90, np.uint8)] * 2)
    for face in found:
        assert not face.found
        assert np.isnan(face.landmarks).all()
        assert np.isnan([face.size, face.blur, face.occlusion, face.exposure]).all()
    assert tracker.remarks == ()


def test_the_larger_of_two_is_followed_and_the_other_reported(cast: Cast) -> None:
    found, tracker = pushed([cast.stage(("two", 480), ("one", 160))] * 30)
    assert_allclose(columns(found), 160, atol=25)
    (remark,) = tracker.remarks
    assert remark.startswith("another face was in view in 2 of 2 looks for one, first at 0.00 s")


@pytest.mark.parametrize("front", ["one", "two"])
def test_people_who_cross_keep_their_tracks(cast: Cast, front: str) -> None:
    at = np.linspace(150, 490, 45)
    frames = []
    for x in at:
        faces = [("one", x), ("two", 640 - x)]
        frames.append(cast.stage(*sorted(faces, key=lambda face: face[0] == front)))
    found, _ = pushed(frames)
    away = np.abs(columns(found) - at)
    assert np.nanmax(away) < 45  # the other one is further away but where they meet
    apart = np.abs(at - 320) > 110
    assert np.isfinite(away[apart]).all()


def test_people_who_change_places_in_a_cut_keep_their_tracks(cast: Cast) -> None:
    before = cast.stage(("two", 480), ("one", 160))
    after = cast.stage(("two", 160), ("one", 480))
    found, tracker = pushed([before] * 30 + [after] * 5)
    assert_allclose(columns(found)[:30], 160, atol=25)
    assert_allclose(columns(found)[30:], 480, atol=25)
    assert "people changed places once (first at 1.20 s)" in tracker.remarks[1]


@pytest.mark.long
def test_who_leaves_is_waited_for_and_nobody_else_taken(cast: Cast) -> None:
    path = [160, 160, *range(160, -200, -24), *[-200] * 60, *range(-200, 161, 24), 160, 160]
    found, _ = pushed([cast.stage(("two", 480), ("one", x)) for x in path])
    where = columns(found)
    gone = np.array(path) < -100
    assert np.isnan(where[gone]).all()
    assert np.nanmax(np.abs(where - path)) < 30
    assert np.isfinite(where[-5:]).all()


def test_rows_do_not_depend_on_what_comes_later(cast: Cast) -> None:
    frames = [cast.stage(("two", 480), ("one", x)) for x in range(160, 260, 5)]
    whole, _ = pushed(frames)
    some, _ = pushed([*frames[:8], *[np.zeros_like(frames[0])] * 3])
    for one, other in zip(whole[:8], some[:8], strict=True):
        same(one, other)


def test_time_must_ascend(portrait: Picture) -> None:
    tracker = FaceTracker()
    small = np.ascontiguousarray(portrait[:64, :64])
    tracker.push(small, 1.0)
    with pytest.raises(SignalError, match=r"a frame at 1 s came after one at 1 s"):
        tracker.push(small, 1.0)


def test_grey_and_very_large_pictures(portrait: Picture) -> None:
    grey = np.repeat(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    colour = seen(portrait)
    assert_allclose(seen(grey).landmarks, colour.landmarks, atol=0.05 * colour.size)
    large = np.full((2160, 3840, 3), 110, np.uint8)
    large[300:1836, 900:2436] = cv2.resize(portrait, (1536, 1536), interpolation=cv2.INTER_CUBIC)
    face = seen(large)
    assert face.found
    back = (face.landmarks[:, :2] - [900, 300] + 0.5) / 3 - 0.5
    error = np.linalg.norm(back - colour.landmarks[:, :2], axis=1)
    assert np.median(error) < 0.05 * colour.size
    assert face.size == pytest.approx(3 * colour.size, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_detection": 0.0}, r"min_detection is 0 and min_presence 0\.5"),
        ({"min_presence": 1.5}, r"min_detection is 0\.5 and min_presence 1\.5"),
        ({"threads": 0}, "threads is 0, expected 1 or more"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaceTracker(**arguments)


# --- files --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [cast.stage(("one", 200 + 4 * i)) for i in range(20)]
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", frames)


def test_a_file_gives_a_track(clip: Path) -> None:
    track = track_face(clip)
    assert isinstance(track, FaceTrack)
    assert_allclose(track.times, np.arange(20) / RATE, atol=1e-6)
    assert (track.start, track.stop) == (0.0, pytest.approx(20 / RATE))
    assert track.frame_rate == pytest.approx(RATE)
    assert track.frame_size == (320, 640)
    assert track.found.all()
    assert track.remarks == ()
    assert_allclose(track.landmarks[:, 1, 0], 200 + 4 * np.arange(20), atol=15)
    assert (track.landmarks.dtype, track.times.dtype) == (np.float32, np.float64)
    assert len(track.crop(0.2, 0.4)) == 10
    points = track.aligned_landmarks[3]
    assert_allclose(
        points[:, :2], aligned_points(track.landmarks[3], track.alignment[3]), atol=0.01
    )


def test_a_file_gives_the_same_as_its_frames(clip: Path) -> None:
    from dolorimeter.video import read_frames

    track, tracker = track_face(clip, stride=3), FaceTracker()
    for i, frame in enumerate(read_frames(clip, stride=3)):
        face = tracker.push(frame.image, frame.time)
        assert_array_equal(track.landmarks[i], face.landmarks)
        assert track.occlusion[i] == np.float32(face.occlusion)
    assert len(track) == 7


@pytest.mark.parametrize(
    ("arguments", "first", "count", "stop", "rate"),
    [
        ({"stride": 3}, 0.0, 7, 0.8, RATE / 3),
        ({"stride": 7}, 0.0, 3, 0.8, RATE / 7),
        ({"start": 0.2, "stop": 0.6}, 0.2, 10, 0.6, RATE),
        ({"start": 0.4}, 0.4, 10, 0.8, RATE),
        ({"stop": 30.0}, 0.0, 20, 0.8, RATE),
        ({"stop": 0.5, "stride": 5}, 0.0, 3, 0.5, RATE / 5),
    ],
)
def test_what_of_a_file_is_looked_at(
    clip: Path, arguments: dict[str, float], first: float, count: int, stop: float, rate: float
) -> None:
    track = track_face(clip, **arguments)
    assert track.times[0] == pytest.approx(first)
    assert len(track) == count
    assert track.start == arguments.get("start", 0.0)
    assert track.stop == pytest.approx(stop)
    assert track.frame_rate == pytest.approx(rate)


def test_a_file_of_one_frame(cast: Cast, tmp_path: Path) -> None:
    track = track_face(write(tmp_path / "one.mp4", [cast.stage(("one", 200))]))
    assert len(track) == 1
    assert track.found.all()
    assert track.frame_rate == pytest.approx(RATE)
    assert track.stop == pytest.approx(1 / RATE)
    assert len(track.crop(0.0, 1 / RATE)) == 1


def test_a_file_without_a_face(tmp_path: Path) -> None:
    track = track_face(write(tmp_path / "none.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 5))
    assert not track.found.any()
    assert_array_equal(track.quality, 0)
    assert np.isnan(track.pose).all()
    assert track.remarks == ("frames without a face: all 5",)


def test_what_is_said_of_lying_and_small_faces(cast: Cast, tmp_path: Path) -> None:
    lying = np.ascontiguousarray(np.rot90(cast.stage(("one", 320))))
    track = track_face(write(tmp_path / "lying.mp4", [lying] * 3))
    assert track.found.all()
    assert track.remarks[0].startswith("the face lies on its side (median roll -8")
    turned = np.ascontiguousarray(cast.stage(("one", 320))[::-1, ::-1])
    track = track_face(write(tmp_path / "turned.mp4", [turned] * 3))
    assert track.remarks[0].startswith("the face is upside down (median roll ")
    small = cv2.resize(cast.stage(("one", 320)), (320, 160), interpolation=cv2.INTER_AREA)
    track = track_face(write(tmp_path / "small.mp4", [small] * 3))
    assert track.found.all()
    assert track.remarks[0].startswith("the face is small: ")


def test_files_that_are_no_video(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(RecordingError, match=r"absent\.mp4: the file is missing"):
        track_face(tmp_path / "absent.mp4")
    with pytest.raises(RecordingError, match=r"clip\.mp4: no frame between 5 s and the end"):
        track_face(clip, start=5.0)
    with pytest.raises(ConfigError, match="stride 0"):
        track_face(clip, stride=0)


def test_damaged_frames_are_counted(clip: Path, tmp_path: Path) -> None:
    content = bytearray(clip.read_bytes())
    begin, end = sorted((content.index(b"mdat"), content.index(b"moov")))
    place = (begin + end) // 2 if content.index(b"mdat") == begin else (end + len(content)) // 2
    content[place : place + 1000] = bytes(1000)
    holed = tmp_path / "holed.mp4"
    holed.write_bytes(content)
    track = track_face(holed)
    lost = 20 - len(track)
    assert lost > 0
    assert track.remarks[0] == f"damaged frames of the video, left out: {lost}"


def test_the_decoding_thread_ends_with_the_tracker(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FaceTracker, image: Picture, time: float) -> FaceFrame:
        raise SignalError("enough")

    monkeypatch.setattr(FaceTracker, "push", fail)
    with pytest.raises(SignalError, match="enough"):
        track_face(clip)
    assert not [t for t in threading.enumerate() if t.name == "dolorimeter-decode"]


@pytest.mark.parametrize("count", [0, 3, rows.CHUNK, rows.CHUNK + 1, 2 * rows.CHUNK + 5])
def test_rows_are_kept_in_order_however_many(count: int) -> None:
    kept = rows.FaceRows()
    blank = FaceFrame.absent(0.0)
    for i in range(count):
        kept.append(replace(blank, time=i / 4, landmarks=np.full((478, 3), i, np.float32)))
    assert len(kept) == count
    arrays = kept.arrays()
    assert_array_equal(arrays["times"], np.arange(count) / 4)
    assert_array_equal(arrays["landmarks"][:, 7, 1], np.arange(count))
    assert arrays["found"].shape == (count,)
    assert not arrays["found"].any()
    assert isinstance(arrays["landmarks"], np.memmap) == (count > rows.CHUNK)


# --- the preprocessing step ---------------------------------------------------------------------


def recording(path: Path, name: str = "face") -> Recording:
    return Recording("test", "s1", "r1", videos={name: Video(path)})


def test_the_step_gives_a_recording_its_face(clip: Path) -> None:
    step = FaceTracking(stride=10)
    done = step(recording(clip))
    assert_array_equal(done.faces["face"].times, track_face(clip, stride=10).times)
    assert done.videos == recording(clip).videos
    passed = recording(clip, "thermal")
    assert step(passed) is passed
    assert set(FaceTracking(modality="thermal", stride=10)(passed).faces) == {"thermal"}


def test_the_step_is_what_a_chain_expects() -> None:
    entry = PREPROCESSING.get("face_track")
    step = entry(stride=2)
    assert step == entry(**asdict(step))
    assert hash(step) == hash(entry(stride=2))
    assert asdict(step) == {
        "modality": "face", "stride": 2, "min_detection": 0.5, "min_presence": 0.5,
    }  # fmt: skip
    assert (step.scope, step.modalities, step.live_substitute) == ("causal", ("face",), "")
    assert step.acts_on("face")
    assert not step.acts_on("eda")
    assert step.only("face") is step
    with pytest.raises(ConfigError, match=r"face_track acts on face, not on 'eda'\."):
        step.only("eda")
    with pytest.raises(ConfigError, match=r"face_track: stride is 0, expected 1 or more\."):
        entry(stride=0)
    with pytest.raises(ConfigError, match=r"min_presence 2"):
        entry(min_presence=2.0)
