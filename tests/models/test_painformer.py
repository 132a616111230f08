"""PainFormer against what the authors' code computes (tests/fixtures/parity/SOURCE.md)."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from dolorimeter.errors import ConfigError
from dolorimeter.models import load_weights
from dolorimeter.models.painformer import HEAD, PainFormer, SpectralGating
from dolorimeter.registry import MODELS


def fill_by_rule(module: torch.nn.Module) -> None:
    """Give every floating-point entry of the state dict the weights of the parity vectors."""
    state = module.state_dict()
    for j, name in enumerate(sorted(n for n, v in state.items() if v.is_floating_point())):
        shape, count = state[name].shape, state[name].numel()
        u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
        b = 2 * (u - np.floor(u)) - 1
        if name.endswith("running_var"):
            values = 1 + 0.5 * b**2
        elif name.endswith("running_mean"):
            values = 0.1 * b
        elif name.endswith("complex_weight"):
            values = b
        elif len(shape) >= 2:
            values = b * np.sqrt(6 * shape[0] / count)
        elif name.endswith("weight"):
            values = 1 + 0.1 * b
        else:
            values = 0.1 * b
        state[name] = torch.from_numpy(values.reshape(tuple(shape)))
    module.load_state_dict(state)


def input_by_rule(*shape: int) -> torch.Tensor:
    """The input of the parity vectors."""
    i = np.arange(np.prod(shape))
    k = i // np.prod(shape[1:])
    x = np.sin(0.0137 * i) + 0.5 * np.sin(0.331 * i)
    x = x * (1 + 2 * k) + 4 * k * np.sin(0.00021 * i)
    return torch.from_numpy(x.reshape(shape))


@pytest.fixture(scope="module")
def filled() -> PainFormer:
    module = PainFormer(num_classes=1000).double().eval()
    fill_by_rule(module)
    return module


@pytest.fixture(scope="module")
def wanted() -> dict[str, np.ndarray]:
    path = Path(__file__).parents[1] / "fixtures" / "parity" / "painformer.npz"
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture(scope="module")
def small() -> PainFormer:
    """One block per stage, in float64."""
    module = PainFormer(num_classes=7).double().eval()
    for blocks in (module.block1, module.block2, module.block3, module.block4):
        del blocks[1:]
    fill_by_rule(module)
    return module


def outputs(module: PainFormer, x: torch.Tensor) -> dict[str, np.ndarray]:
    headless = copy.deepcopy(module)
    headless.head = torch.nn.Identity()
    with torch.no_grad():
        maps = module.attention(x)
        assert [m.shape[2] for m in maps] == [196] * 12 + [49] * 3
        return {
            "embedding": headless(x).numpy(),
            "logits": module(x)[:, :50].numpy(),
            "tokens_mean": module.tokens(x).mean(1).numpy(),
            "attention_first_row0": maps[0][:, :, 0].numpy(),
            "attention_last": maps[-1][:, :, 0].numpy(),
        }


def test_agrees_with_the_authors_code(filled: PainFormer, wanted: dict[str, np.ndarray]) -> None:
    found = outputs(filled, input_by_rule(2, 3, 224, 224))
    assert sorted(found) == sorted(wanted)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-6, atol=1e-12, err_msg=name)


def test_agrees_with_the_authors_code_in_float32(
    filled: PainFormer, wanted: dict[str, np.ndarray]
) -> None:
    found = outputs(copy.deepcopy(filled).float(), input_by_rule(2, 3, 224, 224).float())
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_state_dict_has_the_authors_names_and_shapes(fixtures: Path) -> None:
    wanted = json.loads((fixtures / "parity" / "painformer_keys.json").read_text())
    state = PainFormer(num_classes=1000).state_dict()
    assert {name: list(v.shape) for name, v in state.items()} == wanted


def test_number_of_parameters() -> None:
    assert sum(p.numel() for p in PainFormer().parameters()) == 19_596_704


@pytest.mark.parametrize(
    ("name", "size"), [pytest.param("filled", 224, marks=pytest.mark.long), ("small", 64)]
)
def test_the_matrix_form_gives_the_same_numbers(
    request: pytest.FixtureRequest, name: str, size: int
) -> None:
    module = request.getfixturevalue(name)
    x = input_by_rule(1, 3, size, size)
    twin = module.exportable(size)
    larger = size // 4 + 8
    with torch.no_grad():
        np.testing.assert_allclose(twin(x).numpy(), module(x).numpy(), rtol=1e-9, atol=1e-10)
        message = f"was made for a grid of {size // 4}, found {larger} × {larger}"
        with pytest.raises(ConfigError, match=message):
            twin(torch.zeros(1, 3, 4 * larger, 4 * larger, dtype=torch.float64))


def test_other_sizes_take_weights_of_the_same_frequencies(small: PainFormer) -> None:
    """A gate that only scales by frequency must scale a wave alike on a finer grid.

    The weight is linear in |frequency| (cycles a picture), which bilinear interpolation keeps.
    """
    gate = SpectralGating(1, 56).double()
    rows = torch.fft.fftfreq(56).abs().double()[:, None] * 56
    columns = torch.arange(29).double()[None] * 1.0
    with torch.no_grad():
        gate.complex_weight.zero_()
        gate.complex_weight[:, :, 0, 0] = rows + columns
    for height, width in ((56, 56), (28, 28)):
        found = gate.weight_for(height, width)
        want = torch.fft.fftfreq(height).abs().double()[:, None] * 56
        want = want + torch.fft.rfftfreq(width).double()[None] * 56
        assert found.shape == (height, width // 2 + 1, 1)
        inner = slice(0, height // 2 - 1)
        torch.testing.assert_close(found[inner, :, 0].real, want[inner], rtol=0, atol=1e-4)
    with torch.no_grad():
        assert small(torch.zeros(1, 3, 128, 96).double()).shape == (1, 7)


@pytest.mark.long
def test_the_authors_kind_of_file_loads_strictly(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = PainFormer(num_classes=1000)
    torch.save({"model_state_dict": source.state_dict()}, tmp_path / "painformer.pth")
    safetensors.torch.save_file(source.state_dict(), tmp_path / "painformer.safetensors")
    for name in ("painformer.pth", "painformer.safetensors"):
        model = PainFormer()
        load_weights(model, tmp_path / name, without=HEAD)
        for key, value in model.state_dict().items():
            assert torch.equal(value, source.state_dict()[key]), key
    damaged = dict(source.state_dict())
    damaged["norm4.weight"] = torch.zeros(161)
    damaged["surplus"] = damaged.pop("norm4.bias")
    torch.save({"model_state_dict": damaged}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"norm4\.bias.*surplus.*norm4\.weight \(161,\)"):
        load_weights(PainFormer(), tmp_path / "other.pth", without=HEAD)


@pytest.mark.parametrize(
    "shape", [(2, 1, 224, 224), (2, 3, 225, 224), (3, 224, 224), (1, 3, 16, 16)]
)
def test_refuses_other_shapes(small: PainFormer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected \(image, 3, 224, 224\)"):
        small(torch.zeros(shape))


def test_attention_rows_sum_to_one_and_leave_nothing_behind(small: PainFormer) -> None:
    with torch.no_grad():
        maps = small.attention(input_by_rule(1, 3, 64, 64))
    assert [m.shape for m in maps] == [(1, 10, 16, 16), (1, 16, 4, 4)]
    for one in maps:
        torch.testing.assert_close(one.sum(-1), torch.ones(one.shape[:-1], dtype=torch.float64))
    kept = [m.attention_map for m in small.modules() if hasattr(m, "attention_map")]
    assert kept == [None] * len(kept)


def test_a_batch_of_one_equals_a_row_of_a_batch(small: PainFormer) -> None:
    x = input_by_rule(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(small(x)[1:2], small(x[1:2]))


def test_the_card_says_what_the_weights_expect() -> None:
    card = MODELS.card("painformer")
    assert card is PainFormer.card
    assert card.input is not None
    assert card.input.mean == (0.6068, 0.4517, 0.3800)
