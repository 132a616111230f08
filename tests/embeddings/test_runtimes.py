"""Every runtime gives what PyTorch gives in float32, or is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.embeddings import PRECISIONS, Encoder, agreement, embed, runtimes
from dolorimeter.errors import ConfigError, DependencyError, StorageError
from dolorimeter.storage import user_cache

Make = Callable[..., np.ndarray]


@pytest.fixture
def calibration(pictures: Make, tmp_path: Path) -> str:
    path = tmp_path / "calibration.npy"
    np.save(path, pictures(16, seed=99))
    return str(path)


@pytest.mark.parametrize(
    ("precision", "names", "least", "centred"),
    [
        ("f32", ("onnx", "openvino"), 0.9999999, 0.9999999),
        ("bf16", ("torch", "openvino"), 0.9995, 0.999),
        ("int8", ("onnx", "openvino"), 0.999, 0.99),
    ],
)
def test_runtimes_agree_with_torch(
    pictures: Make,
    calibration: str,
    precision: str,
    names: tuple[str, ...],
    least: float,
    centred: float,
) -> None:
    kept = calibration if precision == "int8" else ""
    for name in names:
        encoder = Encoder("small_tnt", runtime=name, precision=precision, calibration=kept)
        found = agreement(encoder, pictures(7, seed=5))
        assert found.pictures == 7
        assert found.cosine >= least
        assert found.centred_cosine >= centred
        assert found.largest > 0  # it was another computation


@pytest.mark.long
def test_the_number_of_pictures_is_free(pictures: Make) -> None:
    x = pictures(8)
    for runtime in PRECISIONS:
        encoder = Encoder("small_tnt", runtime=runtime, threads=2)
        together = embed(encoder, [x])
        alone = np.concatenate([embed(encoder, [x[i : i + 1]]) for i in range(8)])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_int8_without_calibration_takes_ranges_from_the_batch(pictures: Make) -> None:
    encoder = Encoder("small_tnt", runtime="onnx", precision="int8", threads=1)
    assert agreement(encoder, pictures(4)).cosine >= 0.999


def test_a_file_is_made_once_and_shared_by_f32_and_bf16(pictures: Make) -> None:
    for runtime, precision in (("onnx", "f32"), ("openvino", "f32"), ("openvino", "bf16")):
        embed(Encoder("colours", runtime=runtime, precision=precision), [pictures(1)])
    (file,) = user_cache().rglob("model.onnx")
    made = file.stat().st_mtime_ns
    seals = sorted(path.name for path in file.parent.glob("*.json"))
    assert seals == ["onnx-f32.json", "openvino-bf16.json", "openvino-f32.json"]
    runtimes._loaded.cache_clear()
    embed(Encoder("colours", runtime="onnx"), [pictures(1)])
    assert file.stat().st_mtime_ns == made
    embed(Encoder("colours", runtime="onnx", seed=1), [pictures(1)])
    assert len(list(user_cache().rglob("model.onnx"))) == 2


def test_an_operator_that_runtimes_lack(pictures: Make) -> None:
    with pytest.raises(ConfigError, match=r"fourier cannot be written as ONNX: .*fft"):
        embed(Encoder("fourier", runtime="onnx"), [pictures(1)])
    assert not list(user_cache().rglob("*.onnx"))
    found = agreement(Encoder("exportable_fourier", runtime="onnx"), pictures(3))
    assert found.cosine > 0.999999


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_batch_size_that_became_a_constant(pictures: Make, runtime: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot run fixed_batch on 1 pictures .*x\.shape\[0\]"):
        embed(Encoder("fixed_batch", runtime=runtime), [pictures(2)])


def test_a_runtime_that_disagrees_is_refused(pictures: Make, monkeypatch) -> None:
    monkeypatch.setitem(runtimes.LEAST_COSINE, "bf16", 1.1)
    encoder = Encoder("colours", runtime="openvino", precision="bf16")
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(ConfigError, match=r"openvino in bf16 .* expected at least 1\.1"):
            embed(encoder, [pictures(1)])


@pytest.mark.parametrize(
    ("runtime", "package", "need"),
    [
        ("onnx", "onnxruntime", "runtime 'onnx' needs ONNX Runtime"),
        ("openvino", "openvino", "runtime 'openvino' needs OpenVINO"),
        ("onnx", "onnx", "ONNX files need onnx"),
    ],
)
def test_a_missing_package(
    pictures: Make, monkeypatch, runtime: str, package: str, need: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf'{need}, which is not installed\. .*pip install "dolorimeter\[fast\]"'
    with pytest.raises(DependencyError, match=message):
        embed(Encoder("colours", runtime=runtime), [pictures(1)])


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (np.zeros((2, 3, 16, 16), np.uint8), ConfigError, r"holds uint8 \(2, 3, 16, 16\)"),
        (np.zeros((2, 3, 32, 32), np.float32), ConfigError, "holds float32"),
        (np.zeros((0, 3, 32, 32), np.uint8), ConfigError, "holds no picture"),
        (np.ones((2, 3, 32, 32), np.uint8), ConfigError, "nothing but 0 and 1, expected 0…255"),
        (None, StorageError, "cannot be read as pictures"),
    ],
)
def test_calibration_pictures_that_do_not_fit(
    pictures: Make, tmp_path: Path, content: np.ndarray | None, error: type, message: str
) -> None:
    path = tmp_path / "calibration.npy"
    path.write_bytes(b"no array")
    if content is not None:
        np.save(path, content)
    encoder = Encoder("small_tnt", runtime="openvino", precision="int8", calibration=str(path))
    with pytest.raises(error, match=message):
        embed(encoder, [pictures(1)])


def test_other_calibration_pictures_are_another_encoder(calibration: str) -> None:
    encoder = Encoder("small_tnt", runtime="onnx", precision="int8", calibration=calibration)
    before = encoder.digest
    np.save(calibration, np.load(calibration)[:5])
    assert encoder.digest != before
    assert encoder.digest != replace(encoder, calibration="").digest


def test_compared_is_hard_to_please() -> None:
    a = np.random.default_rng(0).normal(size=(5, 4)) + 50
    same = runtimes.compared(a, a)
    assert (same.cosine, same.centred_cosine, same.largest) == (1.0, 1.0, 0.0)
    mixed = runtimes.compared(a, a[::-1])
    assert mixed.cosine > 0.99  # they are all alike …
    assert mixed.centred_cosine < 0.9  # … and yet each is another's
    turned = a.copy()
    turned[3] *= -1
    assert runtimes.compared(a, turned).cosine == pytest.approx(-1)
    assert runtimes.compared(a, 0 * a).cosine == 0
    assert np.isnan(runtimes.compared(a[:1], a[:1]).centred_cosine)
    with pytest.raises(ConfigError, match="no pictures to compare"):
        runtimes.compared(a[:0], a[:0])
