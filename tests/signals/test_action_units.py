"""Action units, the PSPI and its stand-ins: by hand, by bounds, and on one clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.signals.action_units import (
    CODED,
    FAIR,
    FROM_BLENDSHAPES,
    PSPI_TERMS,
    UNSEEN,
    ActionUnits,
    action_units,
    pain_expression,
    pspi,
    pspi_proxy,
)
from dolorimeter.signals.face import BLENDSHAPES
from dolorimeter.types import FaceTrack

FIXTURE = Path(__file__).parents[1] / "fixtures" / "faces" / "astronaut_mesh.npz"
CORE = tuple(unit for _, pair in PSPI_TERMS for unit in pair)


def coded(
    *rows: tuple[float, ...], names: tuple[str, ...] = CORE, **changes: object
) -> ActionUnits:
    """A FACS coding: AU4, 6, 7, 9, 10 (0–5) and AU43 (0 or 1)."""
    values = np.array(rows, dtype=float).reshape(len(rows), len(names))
    arguments = {
        "names": names,
        "values": values,
        "scale": "facs_intensity",
        "trust": dict.fromkeys(names, CODED),
        "source": "a coder",
        "times": np.arange(len(rows)) / 25,
    } | changes
    return ActionUnits(**arguments)  # type: ignore[arg-type]


def face_track(count: int = 50, rate: float = 25.0, **shapes: object) -> FaceTrack:
    """The same open-eyed face for every frame, with the blendshapes given."""
    mesh = np.load(FIXTURE)["landmarks"].astype(float)
    blendshapes = np.zeros((count, 52))
    for name, value in shapes.items():
        blendshapes[:, BLENDSHAPES.index(name)] = value
    one = np.ones(count)
    return FaceTrack(
        path=Path("made.mp4"), times=np.arange(count) / rate, start=0.0, stop=count / rate,
        frame_rate=rate, frame_size=(512, 512), landmarks=np.repeat(mesh[None], count, axis=0),
        blendshapes=blendshapes, pose=np.zeros((count, 3)),
        alignment=np.repeat(np.eye(2, 3)[None], count, axis=0), found=one > 0, size=60 * one,
        blur=one, occlusion=one, exposure=one,
    )  # fmt: skip


def shut_eyes(track: FaceTrack, first: int, last: int) -> None:
    for upper, lower in ((387, 373), (386, 374), (385, 380), (160, 144), (159, 145), (158, 153)):
        track.landmarks[first:last, upper] = track.landmarks[first:last, lower]


def test_pspi_is_the_published_sum() -> None:
    au = coded((0, 0, 0, 0, 0, 0), (2, 1, 3, 0, 4, 1), (5, 5, 5, 5, 5, 1), (1, 3, 1, 4, 0, 0))
    assert pspi(au).tolist() == [0, 2 + 3 + 4 + 1, 16, 1 + 3 + 4 + 0]


def test_pspi_of_a_frame_with_a_missing_unit_is_missing() -> None:
    au = coded((1, np.nan, 2, 0, 0, 0), (1, 2, 2, 0, 0, 0))
    np.testing.assert_array_equal(pspi(au), [np.nan, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "openface_intensity"}, "scale 'openface_intensity'.*Use pspi_proxy"),
        ({"scale": "blendshape"}, "scale 'blendshape'.*Use pspi_proxy"),
        ({"scale": "presence"}, "scale 'presence'.*Use pspi_proxy"),
        ({"unit_scales": {"au7": "probability"}}, "au7: probability.*Use pspi_proxy"),
        ({"unit_scales": {"au4": "presence"}}, "Use pspi_proxy"),
    ],
)
def test_pspi_is_refused_on_any_other_scale(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pspi(coded((1, 0, 0, 0, 0, 1), **changes))


def test_pspi_without_a_unit_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"au9, au43 was not coded.*pspi_proxy"):
        pspi(coded((1, 2, 3, 4), names=("au4", "au6", "au7", "au10")))


def test_the_proxy_of_a_whole_coding_is_the_pspi_as_a_share() -> None:
    au = coded((2, 1, 3, 0, 4, 1), (0, 0, 0, 0, 0, 0), (5, 5, 5, 5, 5, 1))
    proxy = pspi_proxy(au)
    for bound in (proxy.value, proxy.lower, proxy.upper):
        np.testing.assert_allclose(bound, pspi(au) / 16)
    assert proxy.unmeasured == ()
    assert "facs_intensity" in proxy.scale


def test_the_proxy_bounds_what_is_missing() -> None:
    au = coded((2.5, 1.0, 0), (0, 5, 1), names=("au4", "au7", "au43"), trust={
        "au4": FAIR, "au7": FAIR, "au43": FAIR})  # fmt: skip
    proxy = pspi_proxy(au)
    assert proxy.unmeasured == ("au6", "au9", "au10")
    # au4, the known half of the orbit, au43; nothing of the levator
    np.testing.assert_allclose(proxy.lower, [(2.5 + 1 + 0) / 16, (0 + 5 + 1) / 16])
    np.testing.assert_allclose(proxy.upper, [(2.5 + 5 + 5 + 0) / 16, (0 + 5 + 5 + 1) / 16])
    np.testing.assert_allclose(proxy.value, [(2.5 + 1) / 11, 6 / 11])


def test_a_unit_that_its_source_cannot_see_counts_as_missing() -> None:
    seen = coded((0, 0, 0, 0, 0, 0))
    blind = coded((0, 0, 0, 0, 0, 0), trust=dict.fromkeys(CORE, CODED) | {"au9": UNSEEN})
    assert pspi_proxy(seen).upper[0] == 0
    assert pspi_proxy(blind).upper[0] == pytest.approx(5 / 16)
    assert pspi_proxy(blind).unmeasured == ("au9",)


def test_nothing_measured_has_no_value_and_the_widest_bounds() -> None:
    proxy = pspi_proxy(coded((np.nan,) * 6, (0, 0, 0, 0, 0, 0)))
    np.testing.assert_array_equal(proxy.value, [np.nan, 0])
    assert (proxy.lower[0], proxy.upper[0]) == (0, 1)


@given(arrays(float, (6, 6), elements=st.floats(0, 1)), arrays(bool, (6, 6)))
def test_the_value_lies_between_its_bounds_and_hiding_widens_them(
    values: np.ndarray, hidden: np.ndarray
) -> None:
    def proxy(table: np.ndarray) -> object:
        return pspi_proxy(coded(*table, scale="probability"))

    whole, holes = proxy(values), proxy(np.where(hidden, np.nan, values))
    assert np.all(holes.lower <= whole.value + 1e-12)  # type: ignore[attr-defined]
    assert np.all(whole.value <= holes.upper + 1e-12)  # type: ignore[attr-defined]
    value = np.nan_to_num(holes.value, nan=0.5)  # type: ignore[attr-defined]
    assert np.all((holes.lower <= value + 1e-12) & (value <= holes.upper + 1e-12))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scale": "percent"}, ConfigError, "scale 'percent'.*expected one of"),
        ({"trust": {}}, ConfigError, "no trust between 0 and 1 for au4"),
        ({"trust": dict.fromkeys(CORE, 1.5)}, ConfigError, "no trust between 0 and 1"),
        ({"names": ("AU04", *CORE[1:])}, ConfigError, "AU04"),
        ({"names": ("au4", "au4", *CORE[2:])}, ConfigError, "each once"),
        ({"values": np.zeros((1, 5))}, SignalError, r"shape \(1, 5\) for 1 times and 6 units"),
        ({"scale": "probability"}, SignalError, "au4 has the value 2, expected 0…1"),
        ({"values": np.full((1, 6), 0.5)}, SignalError, "au43 has the value 0.5, expected 0 or 1"),
        ({"values": np.full((1, 6), -1.0)}, SignalError, "au4 has the value -1"),
    ],
)
def test_wrong_units_are_named(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        coded((2, 1, 3, 0, 4, 1), **changes)


def test_units_of_a_track_are_means_of_both_sides() -> None:
    track = face_track(browDownLeft=0.2, browDownRight=0.4, jawOpen=0.5, mouthClose=0.1)
    au = action_units(track)
    assert au.scale == "blendshape"
    assert au.unit("au4")[0] == pytest.approx(0.3)
    assert au.unit("au26")[0] == pytest.approx(0.5)
    assert au.unit("au25")[0] == pytest.approx(0.4)
    assert np.isnan(au.unit("au99")).all()
    assert set(au.names) == {*FROM_BLENDSHAPES, "au25", "au43"}
    assert [u for u in au.names if not au.seen(u)] == ["au5", "au6", "au9"]
    assert au.scale_of("au43") == "presence"
    np.testing.assert_array_equal(au.times, track.times)


def test_au43_is_closed_eyes_and_not_a_blink() -> None:
    track = face_track()
    shut_eyes(track, 5, 10)  # 0.2 s
    shut_eyes(track, 20, 40)  # 0.8 s
    wanted = np.zeros(50)
    wanted[20:40] = 1
    np.testing.assert_array_equal(action_units(track).unit("au43"), wanted)


def test_a_wink_is_not_closed_eyes() -> None:
    track = face_track()
    for upper, lower in ((387, 373), (386, 374), (385, 380)):
        track.landmarks[:, upper] = track.landmarks[:, lower]
    assert not action_units(track).unit("au43").any()


def test_a_frame_without_a_face_has_no_cue() -> None:
    track = face_track(browDownLeft=1.0, browDownRight=1.0)
    track.landmarks[3], track.blendshapes[3] = np.nan, np.nan
    cue = pain_expression(track)
    assert np.flatnonzero(np.isnan(cue)).tolist() == [3]
    assert np.isnan(pspi_proxy(action_units(track)).value[3])


def expression(**units: float) -> float:
    names = tuple(dict.fromkeys((*CORE, "au12", *units)))
    row = tuple(units.get(name, 0.0) for name in names)
    return float(pain_expression(coded(row, names=names, scale="probability"))[0])


def test_pain_expression_is_the_documented_formula() -> None:
    assert expression() == 0
    assert expression(au4=1, au6=1, au9=1, au43=1) == pytest.approx(1)
    assert expression(au4=0.5) == pytest.approx(0.5 * 5 / 16)
    assert expression(au7=0.8, au6=0.2) == pytest.approx(0.8 * 5 / 16)
    assert expression(au10=0.6) == pytest.approx(0.6 * 5 / 16)
    assert expression(au43=1) == pytest.approx(1 / 16)
    assert expression(au25=1, au26=1) == 0


def test_a_smile_explains_cheeks_and_lip_but_neither_brow_nor_closed_eyes() -> None:
    assert expression(au7=1, au10=1, au12=1) == 0
    assert expression(au7=1, au10=1, au12=0.5) == pytest.approx(5 / 16)
    assert expression(au4=1, au12=1) == pytest.approx(5 / 16)
    assert expression(au43=1, au12=1) == pytest.approx(1 / 16)


def test_a_term_that_is_not_measured_leaves_sum_and_divisor() -> None:
    au = coded((0.5, 0.0), names=("au4", "au12"), scale="probability")
    assert pain_expression(au)[0] == pytest.approx(0.5)


def test_where_the_smile_is_not_known_nothing_is() -> None:
    au = coded((0.5, np.nan), (0.5, 0.0), names=("au4", "au12"), scale="probability")
    np.testing.assert_array_equal(pain_expression(au), [np.nan, 0.5])


def test_without_the_smile_there_is_no_pain_expression() -> None:
    with pytest.raises(ConfigError, match=r"no AU12.*pspi_proxy"):
        pain_expression(coded((1, 0, 0, 0, 0, 0)))


@pytest.mark.extra("face")
@pytest.mark.long
@pytest.mark.shared
def test_on_one_clip_the_grimace_lies_above_neutral_and_laugh(data_root: Path) -> None:
    """A smoke test: one woman, and the cue was corrected with this clip in view (docs/face.md)."""
    faces = pytest.importorskip("dolorimeter.preprocessing.faces")
    track = faces.track_face(data_root / "faces" / "WolfgangLanger_Pexels.mp4")
    units = action_units(track)
    cue = pain_expression(units)

    def median(values: np.ndarray, start: float, stop: float) -> float:
        return float(np.nanmedian(values[(track.times >= start) & (track.times < stop)]))

    grimace, neutral, laugh = (median(cue, *s) for s in ((0, 5), (6, 9), (10, 19)))
    assert grimace > neutral
    assert grimace > laugh
    closed = units.unit("au43")
    assert median(closed, 0, 5) == 1
    assert median(closed, 6, 9) == 0
    # a sum that knows no smile takes the laugh for more pain
    assert median(pspi_proxy(units).value, 10, 19) > median(pspi_proxy(units).value, 0, 5)
    for dead in ("au6", "au9"):
        assert np.nanmax(units.unit(dead)) < 0.01
        assert not units.seen(dead)
