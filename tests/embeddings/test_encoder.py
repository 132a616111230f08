"""What an encoder says of itself, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, StorageError, UnknownNameError
from dolorimeter.models import create_model
from dolorimeter.registry import MODELS, Card, Weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(7)
    path = tmp_path / "small_tnt.safetensors"
    safetensors.torch.save_file(create_model("small_tnt").state_dict(), path)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_it_survives_json_and_can_be_a_key() -> None:
    encoder = Encoder("small_tnt", weights="w.pth", without=["head.weight"], threads=2)
    told = json.loads(json.dumps(asdict(encoder)))
    assert Encoder(**told) == encoder
    assert hash(Encoder(**told)) == hash(encoder)
    assert encoder.without == ("head.weight",)


def test_the_digest_is_of_the_numbers() -> None:
    encoder = Encoder("small_tnt")
    for same in ({"batch_size": 5}, {"threads": 1}, {"device": "auto"}):
        assert replace(encoder, **same).digest == encoder.digest
    others = [
        replace(encoder, **change).digest
        for change in (
            {"name": "colours"},
            {"seed": 1},
            {"precision": "bf16"},
            {"runtime": "onnx"},
            {"runtime": "openvino"},
        )
    ]
    assert len({encoder.digest, *others}) == 6


def test_the_digest_follows_the_content_of_the_weights(weights: Path, tmp_path: Path) -> None:
    encoder = Encoder("small_tnt", str(weights))
    before = encoder.digest
    assert before != Encoder("small_tnt").digest
    assert replace(encoder, seed=3).digest == before
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    assert Encoder("small_tnt", str(copy)).digest == before
    copy.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    assert Encoder("small_tnt", str(copy)).digest != before


def test_missing_weights_are_named_when_they_are_needed() -> None:
    encoder = Encoder("small_tnt", "nowhere.pth")
    with pytest.raises(StorageError, match=r"nowhere\.pth: cannot be read"):
        _ = encoder.digest
    with pytest.raises(StorageError, match=r"nowhere\.pth: no such weights file"):
        encoder.build()


def test_the_width_is_asked_of_the_network() -> None:
    assert Encoder("small_tnt").width == 48
    assert Encoder("colours").width == 3
    with pytest.raises(ConfigError, match=r"map gives \(1, 3, 32, 32\) for one picture"):
        _ = Encoder("map").width


def test_random_weights_are_said_and_are_those_of_the_seed() -> None:
    encoder = Encoder("small_tnt", seed=4)
    assert encoder.remarks == (
        "small_tnt is randomly initialised (seed 4): no weights were given",
    )
    assert encoder.trained_on == {}
    state = torch.get_rng_state()
    first, again = encoder.build().state_dict(), encoder.build().state_dict()
    other = Encoder("small_tnt", seed=5).build().state_dict()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["proj.weight"], other["proj.weight"])


def test_the_network_is_frozen() -> None:
    module = Encoder("small_tnt").build()
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())


def test_a_file_beside_the_weights_says_whom_they_met(weights: Path) -> None:
    encoder = Encoder("small_tnt", str(weights))
    assert encoder.trained_on is None
    assert encoder.remarks == (f"small_tnt: nobody has said whom the weights {weights} have met",)
    beside = weights.with_name(weights.name + ".json")
    beside.write_text('{"trained_on": {"biovid": ["a", "b"]}, "self_supervised": true}')
    assert encoder.trained_on == {"biovid": ("a", "b")}
    assert encoder.provenance.self_supervised
    assert encoder.remarks == ()
    beside.write_text('["biovid"]')
    with pytest.raises(StorageError, match="cannot be read as what the weights have met"):
        _ = encoder.trained_on


def test_weights_load_strictly_but_for_what_is_listed(tmp_path: Path) -> None:
    module = create_model("small_tnt", num_classes=2)
    path = tmp_path / "with_head.pth"
    torch.save({"state_dict": module.state_dict()}, path)
    with pytest.raises(ConfigError, match="2 unexpected: head"):
        Encoder("small_tnt", str(path)).build()
    built = Encoder("small_tnt", str(path), without=("head.weight", "head.bias")).build()
    assert torch.equal(built.state_dict()["cls_token"], module.state_dict()["cls_token"])


def test_published_weights_are_fetched_once_and_checked(
    weights: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = weights.read_bytes()
    known = hashlib.sha256(content).hexdigest()

    def card(sha256: str | None) -> Card:
        spec = Encoder("small_tnt").input
        found = Weights(f"{server}/small_tnt.safetensors", sha256, trained_on={"imagenet": ()})
        return Card("small_tnt", "for tests", input=spec, weights=found)

    encoder = Encoder("small_tnt", "published")
    with pytest.raises(ConfigError, match="the Card of small_tnt names none"):
        encoder.build()
    monkeypatch.setitem(MODELS._cards, "small_tnt", card("0" * 64))
    with pytest.raises(StorageError, match="SHA-256 is"):
        encoder.build()
    monkeypatch.setitem(MODELS._cards, "small_tnt", card(known))
    built = encoder.build()
    weights.unlink()
    again = encoder.build()
    assert torch.equal(built.state_dict()["proj.weight"], again.state_dict()["proj.weight"])
    assert encoder.remarks == ()
    assert encoder.trained_on == {"imagenet": ()}
    monkeypatch.setitem(MODELS._cards, "small_tnt", card(None))
    assert "unverified" in encoder.remarks[0]


def test_precision_is_said() -> None:
    assert "run in bfloat16 by torch" in Encoder("colours", precision="bf16").remarks[1]
    int8 = Encoder("colours", runtime="onnx", precision="int8")
    assert int8.remarks[1] == "colours was run in int8 by onnx (dynamic ranges)"
    assert "calibrated on c.npy" in replace(int8, calibration="c.npy").remarks[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runtime": "tensorrt"}, "runtime is 'tensorrt', expected one of torch, onnx, openvino"),
        ({"precision": "int8"}, "precision is 'int8', and torch runs f32, bf16"),
        ({"runtime": "onnx", "precision": "bf16"}, "and onnx runs f32, int8"),
        ({"runtime": "openvino", "precision": "int8"}, "openvino needs calibration pictures"),
        ({"calibration": "c.npy"}, "calibration pictures are for int8"),
        ({"without": ("head",)}, "no weights are given"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"threads": 0}, "threads is 0, expected at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"device": "cuda:3"}, "device is 'cuda:3', expected 'cpu' or 'auto'"),
        ({"runtime": "onnx", "device": "auto"}, "onnx runs on the processor"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Encoder("small_tnt", **values)


def test_models_that_are_no_encoders() -> None:
    with pytest.raises(UnknownNameError, match="did you mean small_tnt"):
        Encoder("smal_tnt")
    with pytest.raises(ConfigError, match="painattnnet is no encoder of pictures"):
        Encoder("painattnnet")
