"""PainAttnNet against what the authors' code computes (tests/fixtures/parity/SOURCE.md)."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models.painattnnet import CausalTCN, PainAttnNet
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
def filled() -> PainAttnNet:
    module = PainAttnNet().double().eval()
    fill_by_rule(module)
    return module


def outputs(module: PainAttnNet, x: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        multiscale = module.mscn(x)
        recalibrated = module.seresnet(multiscale)
        return {
            "multiscale_mean": multiscale.mean(2).numpy(),
            "recalibrated_mean": recalibrated.mean(2).numpy(),
            "encoded_mean": module.encoderWrapper(recalibrated).mean(2).numpy(),
            "logits": module(x).numpy(),
        }


@pytest.fixture(scope="module")
def wanted() -> dict[str, np.ndarray]:
    path = Path(__file__).parents[1] / "fixtures" / "parity" / "painattnnet.npz"
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def test_agrees_with_the_authors_code(filled: PainAttnNet, wanted: dict[str, np.ndarray]) -> None:
    found = outputs(filled, input_by_rule(4, 1, 2816))
    assert sorted(found) == sorted(wanted)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-6, err_msg=name)


def test_agrees_with_the_authors_code_in_float32(
    filled: PainAttnNet, wanted: dict[str, np.ndarray]
) -> None:
    """All rows up to the attention; after it, the rows that float32 can carry.

    The rule's weights saturate the attention in rows 1 and 2 (scores in the thousands, two nearly
    equal): there, rounding the *input* to float32 moves the float64 logits by 4e-6 and more, a
    hundred times what it does in rows 0 and 3, and the several hundred roundings of a float32
    forward pass up to 2e-3. No float32 network with these weights can agree there.
    """
    x = input_by_rule(4, 1, 2816)
    found = outputs(copy.deepcopy(filled).float(), x.float())
    moved = np.abs(outputs(filled, x.float().double())["logits"] - wanted["logits"]).max(axis=1)
    sound = moved < 1e-6
    assert sound.tolist() == [True, False, False, True]
    for name, values in found.items():
        rows = np.arange(4) if name in ("multiscale_mean", "recalibrated_mean") else sound
        np.testing.assert_allclose(
            values[rows], wanted[name][rows], rtol=1e-3, atol=1e-4, err_msg=name
        )


def test_state_dict_has_the_authors_names_in_their_order(fixtures: Path) -> None:
    wanted = json.loads((fixtures / "parity" / "painattnnet_keys.json").read_text())
    state = PainAttnNet().state_dict()
    assert list(state) == list(wanted)
    assert {name: list(v.shape) for name, v in state.items()} == wanted


def test_number_of_parameters() -> None:
    assert sum(p.numel() for p in PainAttnNet(num_classes=2).parameters()) == 558_308
    assert PainAttnNet(num_classes=5)(torch.ones(2, 1, 2816)).shape == (2, 5)


def test_the_card_says_what_the_weights_expect() -> None:
    card = MODELS.card("painattnnet")
    assert card is PainAttnNet.card
    assert card.input is not None
    assert (card.input.shape, card.input.sampling_rate) == ((1, 2816), 512)
    assert (card.input.unit, card.input.scaling) == ("uS", "none")


@pytest.mark.parametrize("shape", [(2, 1, 2560), (2, 2, 2816), (2, 2816)])
def test_refuses_other_windows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"shape .*expected \(window, 1, 2816\).*5\.5 s"):
        PainAttnNet()(torch.ones(shape))


def test_attention_maps_sum_to_one_and_change_nothing(filled: PainAttnNet) -> None:
    x = input_by_rule(3, 1, 2816)
    with torch.no_grad():
        before = filled(x)
        maps = filled.attention(x)
        after = filled(x)
    assert maps.shape == (2, 3, 5, 75, 75)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 3, 5, 75, dtype=torch.float64))
    assert torch.equal(before, after)
    with pytest.raises(ConfigError, match="expected"):
        filled.attention(x[:, :, 1:])


@settings(max_examples=5)
@given(row=st.integers(0, 7))
def test_a_batch_of_one_equals_that_row_of_eight(filled: PainAttnNet, row: int) -> None:
    x = input_by_rule(8, 1, 2816)
    with torch.no_grad():
        torch.testing.assert_close(
            filled(x[row : row + 1])[0], filled(x)[row], rtol=1e-9, atol=1e-12
        )


@settings(max_examples=10)
@given(step=st.integers(1, 39))
def test_causal_convolutions_do_not_see_ahead(step: int) -> None:
    torch.manual_seed(0)
    module = CausalTCN(3).double().eval()
    x = torch.randn(2, 3, 40, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, step:] += 1
    with torch.no_grad():
        torch.testing.assert_close(module(changed)[:, :, :step], module(x)[:, :, :step])
        assert not torch.allclose(module(changed)[:, :, step:], module(x)[:, :, step:])


def test_fresh_weights_are_drawn_as_the_authors_draw_them() -> None:
    torch.manual_seed(0)
    state = PainAttnNet().state_dict()
    assert state["mscn.long_scale.0.weight"].std() == pytest.approx(0.02, rel=0.02)
    scales = torch.cat([state[f"mscn.{b}_scale.6.weight"] for b in ("short", "medium", "long")])
    assert scales.mean() == pytest.approx(1.0, abs=0.01)
    assert scales.std() == pytest.approx(0.02, rel=0.15)
    assert not state["mscn.short_scale.1.bias"].any()


def test_only_the_discarded_layer_norm_gets_no_gradient() -> None:
    module = PainAttnNet().train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module(input_by_rule(2, 1, 2816).float()).sum().backward()
    idle = [name for name, p in module.named_parameters() if p.grad is None]
    assert idle == [
        f"encoderWrapper.layers.{i}.sublayer_output.0.norm.{kind}"
        for i in (0, 1)
        for kind in ("weight", "bias")
    ]
