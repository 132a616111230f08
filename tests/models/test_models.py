"""Building networks by name and loading their weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dolorimeter.errors import ConfigError, StorageError, UnknownNameError
from dolorimeter.models import PainAttnNet, Perceptron, create_model, load_weights, model_arguments


def small() -> torch.nn.Module:
    return create_model("perceptron", input_shape=(3,), hidden=4)


def test_create_model() -> None:
    assert isinstance(create_model("painattnnet", num_classes=3), PainAttnNet)
    assert isinstance(small(), Perceptron)
    assert model_arguments("painattnnet") == ("num_classes",)


def test_create_model_refuses() -> None:
    with pytest.raises(UnknownNameError, match="did you mean painattnnet"):
        create_model("painatnet")
    with pytest.raises(ConfigError, match=r"takes no argument 'num_clases'; did you mean num_cl"):
        create_model("painattnnet", num_clases=2)
    with pytest.raises(ConfigError, match=r"takes no argument 'zzz'; it takes num_classes"):
        create_model("painattnnet", zzz=2)
    with pytest.raises(ConfigError, match="needs input_shape"):
        create_model("perceptron")
    with pytest.raises(ConfigError, match="num_classes is 0"):
        create_model("painattnnet", num_classes=0)


def test_perceptron_refuses_another_width() -> None:
    with pytest.raises(ConfigError, match=r"shape \(4,\), expected \(3,\)"):
        small()(torch.ones(2, 4))


@pytest.mark.parametrize("kind", ["safetensors", "torch", "nested"])
def test_weights_round_trip(tmp_path: Path, kind: str) -> None:
    first, second = small(), small()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    state = first.state_dict()
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state if kind == "torch" else {"state_dict": state, "epoch": 3}, path)
    load_weights(second, path)
    assert all(torch.equal(a, second.state_dict()[name]) for name, a in state.items())


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = dict(small().state_dict())
    state["extra"] = state.pop("fc.bias")
    state["fc.weight"] = torch.zeros(3, 4)
    safetensors.torch.save_file(state, path)
    target = small()
    before = {name: v.clone() for name, v in target.state_dict().items()}
    with pytest.raises(
        ConfigError,
        match=r"1 missing: fc\.bias; 1 unexpected: extra; 1 of another shape: fc\.weight \(3, 4\) "
        r"\(expected \(2, 4\)\)",
    ):
        load_weights(target, path)
    assert all(torch.equal(v, target.state_dict()[name]) for name, v in before.items())


def test_long_lists_of_names_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=r"194 missing: .* and 189 more"):
        load_weights(PainAttnNet(), path)


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such weights file"):
        load_weights(small(), tmp_path / "absent.pt")
    for name in ("w.pt", "w.safetensors"):
        # the unpickler meets a missing memo, an empty stack, no text, an unknown opcode, no end
        for content in (b"hi", b"b\n", b"V\xff\n", b"not weights", b""):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(StorageError, match=r"not a weights file .* \(.+\)\. Give"):
                load_weights(small(), tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(StorageError, match="holds list, expected a state dict"):
        load_weights(small(), tmp_path / "list.pt")
    torch.save(small(), tmp_path / "module.pt")  # a pickled object, which would run code
    with pytest.raises(StorageError, match=r"without running code \(no pickle of tensors alone\)"):
        load_weights(small(), tmp_path / "module.pt")


@pytest.mark.long
def test_importing_estimators_pulls_in_no_torch() -> None:
    code = "import sys, dolorimeter.estimators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
