"""Exported files do what the encoder does, or are not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest

from dolorimeter.embeddings import Encoder, embed, export, runtimes
from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.storage import sha256

Make = Callable[..., np.ndarray]


def test_onnx_with_its_card(pictures: Make, tmp_path: Path) -> None:
    encoder, x = Encoder("small_tnt", seed=2), pictures(3)
    found = export(encoder, tmp_path / "out", pictures=pictures(5, seed=1))
    names = [path.name for path in found.files]
    assert names == ["small_tnt.onnx", "small_tnt.json"]
    session = onnxruntime.InferenceSession(tmp_path / "out" / "small_tnt.onnx")
    (out,) = session.run(["features"], {"pictures": x})
    np.testing.assert_allclose(out, embed(encoder, [x]), rtol=1e-5, atol=1e-5)
    told = json.loads(found.files[-1].read_text(encoding="utf-8"))
    assert told["card"]["name"] == "small_tnt"
    assert told["encoder"]["seed"] == 2
    assert told["input"]["shape"] == ["picture", 3, 32, 32]
    assert told["input"]["mean"] == [0.5, 0.4, 0.3]
    assert told["output"]["shape"] == ["picture", 48]
    assert told["files"] == {"small_tnt.onnx": sha256(found.files[0])}
    assert told["agreement_with_torch_f32"]["onnx"]["pictures"] == 5
    assert told["agreement_with_torch_f32"]["onnx"]["largest"] < 1e-4
    assert "randomly initialised" in told["remarks"][0]


def test_openvino_writes_both(pictures: Make, tmp_path: Path) -> None:
    encoder, x = Encoder("small_tnt", runtime="openvino", precision="bf16"), pictures(3)
    found = export(encoder, str(tmp_path))
    assert [path.suffix for path in found.files] == [".onnx", ".xml", ".bin", ".json"]
    compiled = openvino.Core().compile_model(
        tmp_path / "small_tnt.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    wanted = embed(Encoder("small_tnt"), [x])
    np.testing.assert_allclose(compiled({0: x})[0], wanted, rtol=1e-4, atol=1e-4)
    assert found.agreement["onnx"].cosine > found.agreement["openvino"].cosine > 0.999


def test_int8_is_smaller(pictures: Make, tmp_path: Path) -> None:
    whole = export(Encoder("small_tnt"), tmp_path / "f32").files[0]
    small = export(Encoder("small_tnt", runtime="onnx", precision="int8"), tmp_path / "int8")
    assert small.files[0].stat().st_size < whole.stat().st_size
    assert small.agreement["onnx"].largest > 0


def test_how_pytorch_was_run_is_not_said_of_the_files(tmp_path: Path) -> None:
    found = export(Encoder("colours", precision="bf16"), tmp_path)
    assert not any("bfloat16" in remark for remark in found.remarks)
    card = json.loads((tmp_path / "colours.json").read_text(encoding="utf-8"))
    assert (card["encoder"]["runtime"], card["encoder"]["precision"]) == ("onnx", "f32")


def test_a_file_that_disagrees_is_not_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(runtimes.LEAST_COSINE, "bf16", 1.1)
    encoder = Encoder("colours", runtime="openvino", precision="bf16")
    with pytest.raises(ConfigError, match=r"colours\.xml: openvino in bf16 has a cosine of 1"):
        export(encoder, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            np.zeros((3, 3, 48, 48), np.uint8),
            r"check the files on, for colours: .* \(picture, 3, 32,",
        ),
        (np.ones((3, 3, 32, 32), np.uint8), "pictures of nothing but 0 and 1, expected 0…255"),
    ],
)
def test_pictures_to_check_on_are_as_the_encoder_takes_them(
    content: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SignalError, match=message):
        export(Encoder("colours"), tmp_path / "out", pictures=content)
    assert not (tmp_path / "out").exists()


def test_two_pictures_are_needed(pictures: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        export(Encoder("colours"), tmp_path, pictures=pictures(1))
