"""Depth pictures: the rasteriser against a slow one, the mesh, a network made here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.chain import build
from dolorimeter.errors import ConfigError
from dolorimeter.registry import REPRESENTATIONS
from dolorimeter.representations import Depth, FaceFrames, _depth_model
from dolorimeter.representations._crops import landmarks_at
from dolorimeter.representations._mesh import depth_map
from dolorimeter.representations.depth import mesh_picture
from dolorimeter.signals.face import interocular
from dolorimeter.signals.face_mesh import face_triangles
from dolorimeter.types import FaceTrack, Recording, Window

RATE = 25.0


def window_of(track: FaceTrack, start: float = 1.0, duration: float = 0.4) -> Window:
    return Window(Recording("made", "s1", "r1", faces={"face": track}), start, duration)


@pytest.fixture
def whole(clip: Path, still: Callable[..., FaceTrack]) -> FaceTrack:
    return still(clip, np.arange(138) / RATE)


@pytest.fixture
def points(whole: FaceTrack) -> np.ndarray:
    return landmarks_at(whole, np.array([0]))[0]


# ── the mesh ────────────────────────────────────────────────────────────────────────────────────


def test_the_mesh_is_a_disc_without_holes() -> None:
    triangles = face_triangles()
    assert triangles.shape == (898, 3)
    assert np.unique(triangles).tolist() == list(range(468))
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]],
                                    triangles[:, [2, 0]]]), axis=1)  # fmt: skip
    _, times = np.unique(edges, axis=0, return_counts=True)
    assert set(times) == {1, 2}
    assert (times == 1).sum() == 36  # the face's outline
    assert 468 - len(times) + 898 == 1  # Euler's number of a disc


def slow_depth(points: np.ndarray, triangles: np.ndarray, size: int) -> np.ndarray:
    """Pixel by pixel, triangle by triangle."""
    depth = np.full((size, size), np.inf)
    for a, b, c in points[triangles]:
        system = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1.0, 1.0, 1.0]])
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        inverse = np.linalg.inv(system)
        for y in range(size):
            for x in range(size):
                weights = inverse @ [x, y, 1.0]
                if weights.min() >= -1e-9:
                    z = weights @ [a[2], b[2], c[2]]
                    depth[y, x] = min(depth[y, x], z)
    return depth


@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_rasteriser_against_a_slow_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-6, 18, (9, 3))
    points[:3] = np.round(points[:3])  # corners and edges on pixels' centres
    triangles = rng.integers(0, 9, (6, 3))  # some without area, some outside
    np.testing.assert_allclose(
        depth_map(points, triangles, 12), slow_depth(points, triangles, 12), atol=1e-9
    )


def test_the_nearer_of_two_surfaces_is_seen() -> None:
    square = np.array([[0, 0, 5], [9, 0, 5], [9, 9, 5], [0, 9, 5]], dtype=float)
    small = np.array([[3, 3, 2], [6, 3, 2], [6, 6, 2], [3, 6, 2]], dtype=float)
    sides = np.array([[0, 1, 2], [0, 2, 3]])
    corners = np.concatenate([sides, sides[:, ::-1] + 4])
    for order in (corners, corners[::-1]):
        depth = depth_map(np.concatenate([square, small]), order, 12)
        assert (depth[3:7, 3:7] == 2).all()
        assert (depth[:3, :10] == 5).all()
        assert np.isinf(depth[10:]).all()


@pytest.mark.extra("face")
def test_the_nose_is_brightest_and_the_background_dark(points: np.ndarray) -> None:
    picture = mesh_picture(points)
    nose, ear, chin = (np.round(points[i, :2]).astype(int) for i in (4, 234, 152))
    assert picture[nose[1], nose[0]] >= 250
    assert picture.max() == 255
    assert 0 < picture[chin[1] - 2, chin[0]] < 230
    assert 0 < picture[ear[1], ear[0] + 2] < 150
    assert picture[0, 0] == picture[-1, -1] == 0
    left, right = points[:468, :2].min(axis=0), points[:468, :2].max(axis=0)
    box = picture[int(left[1]) : int(right[1]) + 1, int(left[0]) : int(right[0]) + 1]
    assert 0.6 < (box > 0).mean() < 0.95  # an oval in its box, without holes
    assert not picture[: int(left[1])].any()


@pytest.mark.extra("face")
def test_brightness_is_depth(points: np.ndarray) -> None:
    picture = mesh_picture(points).astype(float)
    depth = depth_map(points, face_triangles(), 224)
    there = np.isfinite(depth)
    behind = (depth[there] - points[:468, 2].min()) / (1.25 * float(interocular(points)))
    assert behind.max() < 1
    np.testing.assert_allclose(picture[there], 255 - 254 * behind, atol=0.5)
    assert not picture[~there].any()
    # the same slope for a larger face: brightness belongs to the shape, not to the size
    larger = (points - [112, 112, 0]) * 1.2 + [112, 112, 0]
    for point in (4, 50, 280, 9):
        x, y = np.round(points[point, :2]).astype(int)
        u, v = np.round(larger[point, :2]).astype(int)
        assert abs(picture[y, x] - float(mesh_picture(larger)[v, u])) < 8


@pytest.mark.extra("face")
def test_depth_of_a_window_decodes_nothing(whole: FaceTrack, points: np.ndarray) -> None:
    made = Depth(stride=2)
    window = window_of(replace(whole, path=Path("gone.mp4")), 0.0, 5.5)
    made = replace(made, frame_rate=RATE)
    represented = made([window])
    assert represented.x.shape == (1, 69, 3, 224, 224)
    assert represented.names == ("depth", "depth", "depth")
    assert represented.remarks == ("face: mesh depth from 478 landmarks, not a depth camera.",)
    for channel in range(3):
        np.testing.assert_array_equal(represented.x[0, 0, channel], mesh_picture(points))
    assert "not a depth camera" in Depth.card.summary
    assert Depth.pictures_of_people
    assert REPRESENTATIONS.get("depth") is Depth


@pytest.mark.extra("face")
def test_another_size(whole: FaceTrack, points: np.ndarray) -> None:
    large = mesh_picture(points).astype(float)
    small = next(Depth(size=112).pictures(window_of(whole)))[0, 0].astype(float)
    averaged = large.reshape(112, 2, 112, 2).mean(axis=(1, 3))
    inner = large.reshape(112, 2, 112, 2).min(axis=(1, 3)) > 0
    assert inner.sum() > 1000
    # means over 2 × 2 pixels of a piecewise linear surface; folds at the nose's wings differ
    assert np.median(np.abs(small - averaged)[inner]) <= 0.5
    assert np.quantile(np.abs(small - averaged)[inner], 0.99) < 4


# ── a network from a file ───────────────────────────────────────────────────────────────────────


def onnx_file(path: Path, weights: tuple[float, float, float], size: int, out: str = "") -> Path:
    """A network whose depth is a weighted sum of the three channels, after its input's scaling."""
    import onnx
    from onnx import TensorProto, helper

    shape = [1, 3, size, size]
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, [1, 3, 1, 1], weights)
    nodes = [helper.make_node("Conv", ["picture", "kernel"], ["summed"], kernel_shape=[1, 1])]
    result, result_shape = "summed", [1, 1, size, size]
    if out == "vector":
        nodes.append(helper.make_node("GlobalAveragePool", ["summed"], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
        nodes.append(helper.make_node("Concat", ["flat", "flat"], ["twice"], axis=0))
        result, result_shape = "twice", [2, 1]
    graph = helper.make_graph(
        nodes, "depth",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, result_shape)],
        [kernel],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.fixture(params=["onnxruntime", "opencv"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "opencv":
        monkeypatch.setattr(_depth_model, "find_spec", lambda name: None)
    else:
        pytest.importorskip("onnxruntime")
    _depth_model.network.cache_clear()
    return request.param


@pytest.mark.extra("face")
@pytest.mark.parametrize("nearer", ["high", "low"])
def test_a_network_made_here(tmp_path: Path, whole: FaceTrack, runtime: str, nearer: str) -> None:
    pytest.importorskip("onnx")
    path = onnx_file(tmp_path / "depth.onnx", (0.5, 0.3, 0.2), 56)
    made = Depth(depth_model=str(path), depth_size=56, depth_nearer=nearer, size=112)
    picture = next(made.pictures(window_of(whole)))[0]
    assert picture.dtype == np.uint8
    assert (picture[0] == picture[1]).all()
    assert (picture.min(), picture.max()) == (0, 255)
    face = next(FaceFrames(size=112).pictures(window_of(whole)))[0].astype(float)
    small = face.reshape(3, 56, 2, 56, 2).mean(axis=(2, 4))
    mean, std = (np.array(v)[:, None, None] for v in (made.depth_mean, made.depth_std))
    wanted = np.tensordot([0.5, 0.3, 0.2], (small / 255 - mean) / std, axes=1)
    wanted = -wanted if nearer == "low" else wanted
    wanted = 255 * (wanted - wanted.min()) / np.ptp(wanted)
    # places between the coarse pixels are interpolated; where the picture is even, they agree
    even = np.abs(np.gradient(wanted)).max(axis=0) < 0.5
    assert even.sum() > 500
    found = picture[0].reshape(56, 2, 56, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(found[even], wanted[even], atol=2)
    assert made.remarks([window_of(whole)]) == (
        "face: depth estimated by a network from single frames, not a depth camera.",
    )


@pytest.mark.extra("face")
def test_what_the_network_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def run(x: np.ndarray) -> np.ndarray:
        given.append(x)
        return x[:, :1]

    picture = np.empty((64, 64, 3), dtype=np.uint8)
    picture[...] = (10, 20, 30)
    model = _depth_model.DepthModel(
        _depth_model.ModelFile("made.onnx", ""), 32, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0), "high"
    )
    monkeypatch.setattr(_depth_model, "network", lambda file: run)
    model(picture)
    assert given[0].dtype == np.float32
    assert given[0].shape == (1, 3, 32, 32)
    wanted = [(10 / 255 - 0.1) / 0.5, (20 / 255 - 0.2) / 0.25, (30 / 255 - 0.3) / 2.0]
    np.testing.assert_allclose(given[0][0, :, 5, 7], wanted, rtol=1e-6)


@pytest.mark.extra("face")
def test_an_even_picture_has_no_depth(tmp_path: Path, whole: FaceTrack) -> None:
    path = onnx_file(tmp_path / "depth.onnx", (0.0, 0.0, 0.0), 32)
    made = Depth(depth_model=str(path), depth_size=32, size=48)
    assert not next(made.pictures(window_of(whole))).any()


@pytest.mark.extra("fast")
def test_the_file_is_part_of_the_representation(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "depth.onnx", (0.5, 0.3, 0.2), 56)
    made = Depth(depth_model=str(path))
    assert len(made.depth_sha256) == 64
    assert build(REPRESENTATIONS, {"name": "depth", **asdict(made)}) == made
    onnx_file(path, (0.1, 0.3, 0.2), 56)
    with pytest.raises(ConfigError, match=r"depth.onnx has sha256 .*, expected .*before, or leav"):
        build(REPRESENTATIONS, {"name": "depth", **asdict(made)})
    assert Depth(depth_model=str(path)).depth_sha256 != made.depth_sha256


@pytest.mark.extra("face")
def test_files_that_are_no_depth_network(tmp_path: Path, whole: FaceTrack, runtime: str) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.onnx: the file is missing. Give the path"):
        Depth(depth_model=str(tmp_path / "nowhere.onnx"))
    text = tmp_path / "text.onnx"
    text.write_bytes(b"these are not the weights")
    with pytest.raises(ConfigError, match=r"text.onnx: not an ONNX network .*depth_size"):
        Depth(depth_model=str(text))
    vector = onnx_file(tmp_path / "vector.onnx", (0.5, 0.3, 0.2), 56, out="vector")
    with pytest.raises(ConfigError, match=r"vector.onnx: gives \(2, 1\) .*expected one depth map"):
        list(Depth(depth_model=str(vector), depth_size=56).pictures(window_of(whole)))


@pytest.mark.extra("face")
def test_an_input_of_another_size(tmp_path: Path, whole: FaceTrack) -> None:
    pytest.importorskip("onnxruntime")
    _depth_model.network.cache_clear()
    path = onnx_file(tmp_path / "depth.onnx", (0.5, 0.3, 0.2), 56)
    with pytest.raises(ConfigError, match=r"depth.onnx: not an ONNX network .*depth_size"):
        list(Depth(depth_model=str(path), depth_size=64).pictures(window_of(whole)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, "stride is 0, expected 1 or more"),
        ({"depth_nearer": "near"}, "depth_nearer is 'near', expected one of high, low"),
        ({"depth_std": (1.0, 1.0, 0.0)}, r"depth_std \(1.0, 1.0, 0.0\); expected a size"),
        ({"depth_mean": (0.5,)}, r"depth_mean \(0.5,\)"),
        ({"depth_size": 0}, "depth_size 0"),
        ({"min_valid": -0.1}, "min_valid is -0.1"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Depth(**arguments)
