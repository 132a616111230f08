"""Landmark paths and face-activity statistics, on tracks that move by known amounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.representations import FaceActivity, Landmarks, Represented
from dolorimeter.representations.face_numbers import SERIES, STATISTICS
from dolorimeter.signals.face import BLENDSHAPES, interocular
from dolorimeter.types import FaceTrack, Recording, Window

FIXTURE = Path(__file__).parents[1] / "fixtures" / "faces" / "astronaut_mesh.npz"
SMILE = BLENDSHAPES.index("mouthSmileLeft")
RATE = 25.0


def made(times: np.ndarray, *, start: float | None = None, rate: float = RATE) -> FaceTrack:
    """The same still face at every time."""
    mesh = np.load(FIXTURE)["landmarks"].astype(float)
    count = len(times)
    one = np.ones(count)
    begin = float(times[0]) if start is None else start
    return FaceTrack(
        path=Path("made.mp4"), times=times, start=begin, stop=float(times[-1]) + 1 / rate,
        frame_rate=rate, frame_size=(512, 512), landmarks=np.repeat(mesh[None], count, axis=0),
        blendshapes=np.full((count, 52), 0.2), pose=np.zeros((count, 3)),
        alignment=np.repeat(np.eye(2, 3)[None], count, axis=0), found=one > 0, size=60 * one,
        blur=one, occlusion=one, exposure=one,
    )  # fmt: skip


def steady(seconds: float = 4.0, rate: float = RATE) -> FaceTrack:
    return made(np.arange(round(seconds * rate)) / rate, rate=rate)


def without_face(track: FaceTrack, where: np.ndarray) -> FaceTrack:
    found = track.found & ~where
    lost = {
        name: np.where(found.reshape(-1, *[1] * (getattr(track, name).ndim - 1)),
                       getattr(track, name), np.nan)
        for name in ("landmarks", "blendshapes", "pose", "alignment", "size", "blur",
                     "occlusion", "exposure")
    }  # fmt: skip
    return replace(track, found=found, **lost)


def windows_of(track: FaceTrack | None, *stretches: tuple[float, float]) -> list[Window]:
    faces = {} if track is None else {"face": track}
    recording = Recording("made", "s1", "r1", faces=faces)
    return [Window(recording, start, duration) for start, duration in stretches]


def feature(represented: Represented, name: str, row: int = 0) -> float:
    return float(represented.x[row, represented.names.index(f"face_{name}")])


# ── face_activity ───────────────────────────────────────────────────────────────────────────────


def test_a_still_face_has_means_and_no_movement() -> None:
    represented = FaceActivity()(windows_of(steady(), (0.0, 4.0)))
    assert represented.x.shape == (1, 5 * len(SERIES) + 1)
    assert len(represented.names) == len(represented.units) == represented.x.shape[1]
    assert len(set(represented.names)) == len(represented.names)
    assert represented.present.tolist() == [True]
    assert represented.notes == ()
    assert feature(represented, "valid_share") == 1.0
    assert feature(represented, "blendshape_mouthSmileLeft_mean") == pytest.approx(0.2)
    for name, value in zip(represented.names, represented.x[0], strict=True):
        if name.endswith(STATISTICS[1:]):
            assert value == pytest.approx(0, abs=1e-9), name


def test_a_known_oscillation_gives_its_known_statistics() -> None:
    track = steady(4.0, 200.0)
    height, frequency = 0.15, 1.5  # six whole periods
    track.blendshapes[:, SMILE] = 0.5 + height * np.sin(2 * np.pi * frequency * track.times)
    got = FaceActivity()(windows_of(track, (0.0, 4.0)))
    name = "blendshape_mouthSmileLeft"
    assert feature(got, f"{name}_mean") == pytest.approx(0.5, abs=1e-9)
    assert feature(got, f"{name}_sd") == pytest.approx(height / np.sqrt(2), rel=1e-6)
    assert feature(got, f"{name}_range") == pytest.approx(2 * height, rel=1e-3)
    # mean of |2πf·a·cos| is 4fa, of |(2πf)²·a·sin| is 8πf²a; steps of 5 ms cut the corners
    assert feature(got, f"{name}_speed") == pytest.approx(4 * frequency * height, rel=0.01)
    assert feature(got, f"{name}_acceleration") == pytest.approx(
        8 * np.pi * frequency**2 * height, rel=0.01
    )
    unit = dict(zip(got.names, got.units, strict=True))
    assert [unit[f"face_{name}_{s}"] for s in STATISTICS] == ["1", "1", "1", "1/s", "1/s/s"]


def test_derivatives_go_by_the_frames_own_times() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 4, 100))
    track = made(times, start=0.0)
    track.blendshapes[:, SMILE] = 0.1 + 0.2 * times  # a ramp of 0.2 a second
    got = FaceActivity()(windows_of(track, (0.0, 4.0)))
    assert feature(got, "blendshape_mouthSmileLeft_speed") == pytest.approx(0.2)
    assert feature(got, "blendshape_mouthSmileLeft_acceleration") == pytest.approx(0, abs=1e-6)


def test_the_heads_rotation_is_measured_in_degrees_a_second() -> None:
    track = steady()
    track.pose[:, 0], track.pose[:, 1] = 3 * track.times, 4 * track.times
    got = FaceActivity()(windows_of(track, (0.0, 4.0)))
    assert feature(got, "head_speed_mean") == pytest.approx(5.0)
    assert dict(zip(got.names, got.units, strict=True))["face_head_speed_mean"] == "deg/s"


def test_a_head_that_lies_on_its_side_or_upside_down_turns_the_short_way_round() -> None:
    track = steady()
    track.pose[:, 2] = (170 + 5 * track.times) % 360  # past 180° after two seconds
    track.pose[:, 2] -= 360 * (track.pose[:, 2] > 180)
    assert track.pose[:, 2].max() - track.pose[:, 2].min() > 340  # the jump is there
    got = FaceActivity()(windows_of(track, (0.0, 4.0)))
    assert feature(got, "head_speed_mean") == pytest.approx(5.0, rel=1e-3)


def test_a_distance_is_in_units_of_the_eyes() -> None:
    track = steady()
    apart = interocular(track.landmarks)
    swing = 0.1 * np.sin(2 * np.pi * track.times)
    direction = track.landmarks[:, 291] - track.landmarks[:, 61]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    track.landmarks[:, 291] += (swing * apart)[:, None] * direction
    got = FaceActivity()(windows_of(track, (0.0, 4.0)))
    assert feature(got, "mouth_width_sd") == pytest.approx(0.1 / np.sqrt(2), rel=1e-6)


@given(
    scale=st.floats(0.2, 5.0),
    degrees=st.floats(-90.0, 90.0),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_neither_sees_scale_shift_or_turn_of_the_picture(
    scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    track = steady(0.4)
    rng = np.random.default_rng(1)
    track.landmarks[:] += rng.normal(0, 0.5, track.landmarks.shape)
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    other = replace(track, landmarks=scale * track.landmarks @ turn.T + np.array([*shift, 0.0]))
    for representation in (FaceActivity(), Landmarks()):
        one = representation(windows_of(track, (0.0, 0.4))).x
        two = representation(windows_of(other, (0.0, 0.4))).x
        np.testing.assert_allclose(two, one, rtol=1e-6, atol=1e-6)


def test_a_gap_is_left_out_and_not_bridged() -> None:
    track = steady()
    track.blendshapes[:, SMILE] = 0.1
    track.blendshapes[60:, SMILE] = 0.9  # jumps inside the gap
    gap = (np.arange(100) >= 50) & (np.arange(100) < 70)
    got = FaceActivity()(windows_of(without_face(track, gap), (0.0, 4.0)))
    name = "blendshape_mouthSmileLeft"
    assert feature(got, f"{name}_mean") == pytest.approx((50 * 0.1 + 30 * 0.9) / 80)
    assert feature(got, f"{name}_range") == pytest.approx(0.8)
    assert feature(got, f"{name}_speed") == pytest.approx(0, abs=1e-12)
    assert feature(got, "valid_share") == pytest.approx(0.8)
    assert not np.isnan(got.x).any()


def test_windows_without_enough_of_a_face_are_counted_with_the_reason() -> None:
    track = without_face(steady(8.0), np.arange(200) < 60)
    windows = [
        *windows_of(track, (0.0, 4.0), (4.0, 4.0), (6.0, 4.0)),
        *windows_of(None, (0.0, 4.0)),
    ]
    for representation in (FaceActivity(), Landmarks()):
        got = representation(windows)
        assert got.present.tolist() == [False, True, False, False]
        assert np.isnan(got.x[[0, 2, 3]]).all()
        assert not np.isnan(got.x[1]).any()
        reasons = {entry.reason: entry.windows for entry in got.undefined}
        assert reasons == {
            "a face in less than 50% of the frames": 1,
            "the window reaches beyond the video": 1,
            "the recording has no face track (preprocessing step face_track)": 1,
        }
    assert FaceActivity(min_valid=0.4)(windows).present.tolist() == [True, True, False, False]


def test_frames_that_the_file_lacks_count_as_frames_without_a_face() -> None:
    track = steady()
    thinned = made(track.times[::4], start=0.0)  # still says 25 a second
    got = FaceActivity()(windows_of(thinned, (0.0, 3.9)))
    assert got.present.tolist() == [False]


def test_a_single_frame_has_no_derivative_and_says_so() -> None:
    track = without_face(steady(0.2), np.arange(5) != 2)
    got = FaceActivity(min_valid=0.1)(windows_of(track, (0.0, 0.2)))
    assert got.present.tolist() == [True]
    assert feature(got, "mouth_width_sd") == 0
    assert np.isnan(feature(got, "mouth_width_speed"))
    assert "too few neighbouring frames with a face" in got.notes[0]


def test_parts_of_a_cohort_add_up(joined: Callable[..., Represented]) -> None:
    windows = windows_of(steady(8.0), (0.0, 2.0), (2.0, 2.0), (4.0, 2.0))
    for representation in (FaceActivity(), Landmarks()):
        whole = representation(windows)
        parts = joined(representation(windows[:1]), representation(windows[1:]))
        np.testing.assert_array_equal(parts.x, whole.x)
        assert parts.names == whole.names


def test_offset_and_duration_move_the_window() -> None:
    track = steady(8.0)
    track.blendshapes[:, SMILE] = track.times / 10
    windows = windows_of(track, (0.0, 1.0))
    got = FaceActivity(offset=3.0, duration=2.0)(windows)
    assert feature(got, "blendshape_mouthSmileLeft_mean") == pytest.approx(0.398)
    shifted = Landmarks(offset=3.0, duration=2.0, points=(0,))(windows)
    assert shifted.x.shape == (1, 3, 50)


# ── landmarks ───────────────────────────────────────────────────────────────────────────────────


def test_landmarks_are_a_row_a_coordinate() -> None:
    got = Landmarks(points=(33, 263), depth=False)(windows_of(steady(), (0.0, 2.0)))
    assert got.names == ("landmark_33_x", "landmark_33_y", "landmark_263_x", "landmark_263_y")
    assert got.x.shape == (1, 4, 50)
    np.testing.assert_allclose(got.x[0, :, 0], [-0.5, 0, 0.5, 0], atol=0.01)
    assert Landmarks()(windows_of(steady(), (0.0, 2.0))).x.shape == (1, 478 * 3, 50)


@pytest.mark.parametrize(("stride", "frames"), [(1, 138), (2, 69), (3, 46), (4, 35)])
def test_the_number_of_frames_is_nominal(stride: int, frames: int) -> None:
    rng = np.random.default_rng(stride)
    jittered = np.sort(np.arange(150) / 25 + rng.uniform(-0.004, 0.004, 150))
    for track in (steady(6.0), made(jittered, start=0.0)):
        wide = Landmarks(points=(0,), frame_rate=25.0, stride=stride)
        windows = windows_of(track, (0.0, 5.52), (0.013, 5.52))
        assert wide(windows).x.shape == (2, 3, frames)
        np.testing.assert_array_equal(wide.valid_share(windows), 1.0)


def moving() -> FaceTrack:
    """A lip that says which frame it is."""
    track = steady(4.0)
    track.landmarks[:, 13, 1] = track.landmarks[0, 33, 1] + np.arange(100)
    return track


def frames_shown(got: Represented, track: FaceTrack) -> np.ndarray:
    clean = Landmarks(points=(13,))(windows_of(track, (0.0, 4.0)))
    return np.array([int(np.argmin(np.abs(clean.x[0, 1] - y))) for y in got.x[0, 1]])


def test_a_gap_repeats_the_last_frame_and_the_first_at_the_beginning() -> None:
    track = moving()
    lost = np.zeros(100, dtype=bool)
    lost[[0, 1, 10, 11, 12]] = True
    got = Landmarks(points=(13,))(windows_of(without_face(track, lost), (0.0, 1.0)))
    shown = frames_shown(got, track)
    assert shown.tolist() == [2, 2, *range(2, 10), 9, 9, 9, *range(13, 25)]
    assert got.remarks == ("face: frames without a face repeat the one before.",)
    shares = Landmarks(points=(13,)).valid_share(windows_of(without_face(track, lost), (0.0, 1.0)))
    assert shares.tolist() == [0.8]


def test_frames_that_the_file_lost_are_a_gap_too() -> None:
    track = moving()
    kept = np.delete(np.arange(100), np.arange(5, 10))
    lost = replace(made(track.times[kept], start=0.0), landmarks=track.landmarks[kept], stop=4.0)
    landmarks = Landmarks(points=(13,))
    windows = windows_of(lost, (0.0, 1.0))
    shown = frames_shown(landmarks(windows), track)
    assert shown.tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4, 4, *range(10, 25)]
    assert landmarks.valid_share(windows).tolist() == [0.8]


def test_no_frame_after_the_window_is_used() -> None:
    track = moving()
    later = replace(track, landmarks=np.where(
        (np.arange(100) >= 50)[:, None, None], 0.0, track.landmarks))  # fmt: skip
    representation = Landmarks(points=(13,))
    one, two = (representation(windows_of(t, (0.0, 2.0))) for t in (track, later))
    np.testing.assert_array_equal(one.x, two.x)


def test_a_video_looked_at_less_often_is_a_video_with_gaps() -> None:
    track = moving()
    slow = replace(
        made(track.times[::5], start=0.0, rate=5.0), landmarks=track.landmarks[::5], stop=4.0
    )
    got = Landmarks(points=(13,), frame_rate=25.0, min_valid=0.1)(windows_of(slow, (0.0, 1.0)))
    assert got.x.shape == (1, 3, 25)
    # a frame of the slow video stands for half its own period to either side
    assert frames_shown(got, track)[:8].tolist() == [0, 0, 0, 5, 5, 5, 5, 5]


def test_windows_that_do_not_fit_together_are_refused() -> None:
    one = windows_of(steady(), (0.0, 2.0), (0.0, 1.0))
    with pytest.raises(SignalError, match=r"25 frames of face, others 50.*`duration`"):
        Landmarks()(one)
    two = [*windows_of(steady(), (0.0, 2.0)), *windows_of(steady(4.0, 30.0), (0.0, 2.0))]
    with pytest.raises(SignalError, match=r"at 30 frames a second, others at 25.*`frame_rate`"):
        Landmarks()(two)
    assert Landmarks(frame_rate=25.0, points=(1,))(two).x.shape == (2, 3, 50)


def test_without_any_face_the_shape_must_be_given() -> None:
    windows = windows_of(None, (0.0, 2.0))
    with pytest.raises(SignalError, match="none of 1 windows has the face track 'face'"):
        Landmarks()(windows)
    got = Landmarks(frame_rate=25.0)(windows)
    assert got.x.shape == (1, 1434, 50)
    assert not got.present.any()
    assert not FaceActivity()(windows).present.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": 0.0}, "duration is 0"),
        ({"min_valid": 1.5}, "min_valid is 1.5"),
        ({"frame_rate": -1.0}, "frame_rate is -1"),
        ({"stride": 0}, "stride is 0"),
        ({"points": (478,)}, "no point 478, expected 0 to 477"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Landmarks(**options)  # type: ignore[arg-type]
    if set(options) <= {"duration", "min_valid"}:
        with pytest.raises(ConfigError, match=message):
            FaceActivity(**options)  # type: ignore[arg-type]
