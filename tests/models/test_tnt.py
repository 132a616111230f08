"""TNT-S against what timm computes (tests/fixtures/parity/SOURCE.md)."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models import create_model, load_weights
from dolorimeter.models.tnt import HEAD, TNT, Attention
from dolorimeter.registry import MODELS


def fill_by_rule(module: torch.nn.Module) -> None:
    """Give every floating-point entry of the state dict the weights of the parity vectors."""
    state = module.state_dict()
    for j, name in enumerate(sorted(state)):
        shape, count = state[name].shape, state[name].numel()
        u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
        b = 2 * (u - np.floor(u)) - 1
        if len(shape) >= 2:
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


def small(num_classes: int = 3, **sizes: int) -> TNT:
    torch.manual_seed(0)
    sizes = {"image_size": 48, "depth": 2, "width": 24, "heads": 3, "inner_width": 8, **sizes}
    return TNT(num_classes, **sizes).eval()


@pytest.fixture(scope="module")
def filled() -> TNT:
    module = TNT().double().eval()
    fill_by_rule(module)
    return module


@pytest.fixture(scope="module")
def wanted() -> dict[str, np.ndarray]:
    path = Path(__file__).parents[1] / "fixtures" / "parity" / "tnt_s.npz"
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def outputs(module: TNT, x: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        tokens = module.tokens(x)
        return {
            "logits": module.head(tokens[:, 0])[:, :50].numpy(),
            "features_first": tokens[:, 0].numpy(),
            "features_mean": tokens.mean(1).numpy(),
        }


def test_agrees_with_timm(filled: TNT, wanted: dict[str, np.ndarray]) -> None:
    found = outputs(filled, input_by_rule(2, 3, 224, 224))
    assert sorted(found) == sorted(wanted)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-6, err_msg=name)


def test_agrees_with_timm_in_float32(filled: TNT, wanted: dict[str, np.ndarray]) -> None:
    found = outputs(copy.deepcopy(filled).float(), input_by_rule(2, 3, 224, 224).float())
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_state_dict_has_the_names_of_timm_in_their_order(fixtures: Path) -> None:
    wanted = json.loads((fixtures / "parity" / "tnt_s_keys.json").read_text())
    state = TNT().state_dict()
    assert list(state) == list(wanted)
    assert {name: list(v.shape) for name, v in state.items()} == wanted
    bare = create_model("tnt_s_patch16_224", num_classes=0).state_dict()
    assert set(wanted) - set(bare) == set(HEAD)


def test_the_card_says_what_the_weights_expect() -> None:
    card = MODELS.card("tnt_s_patch16_224")
    assert card is TNT.card
    assert card.input is not None
    assert card.input.shape == (3, 224, 224)
    assert card.input.mean == card.input.std == (0.5, 0.5, 0.5)


def test_without_a_head_it_gives_the_class_token() -> None:
    x = torch.randn(2, 3, 48, 48)
    bare, whole = small(0), small(3)
    bare.load_state_dict({n: v for n, v in whole.state_dict().items() if n not in HEAD})
    with torch.no_grad():
        assert torch.equal(bare(x), whole.tokens(x)[:, 0])
        assert torch.equal(whole.head(bare(x)), whole(x))
    assert bare(x).shape == (2, bare.width) == (2, 24)


def test_the_head_is_left_out_by_name_and_by_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "thousand.safetensors"
    source = small(1000)
    safetensors.torch.save_file(source.state_dict(), path)
    same = small(1000, depth=2)
    load_weights(same, path)
    for classes in (0, 3):
        target = small(classes)
        with pytest.raises(ConfigError, match=r"head\.weight.*left out \(without=…\)"):
            load_weights(target, path)
        own = {n: v.clone() for n, v in target.state_dict().items() if n in HEAD}
        load_weights(target, path, without=HEAD)
        for name, values in target.state_dict().items():
            wanted = own[name] if name in HEAD else source.state_dict()[name]
            assert torch.equal(values, wanted)
    with pytest.raises(ConfigError, match=r"head\.weigth should be left out"):
        load_weights(small(0), path, without=("head.weigth", "head.bias"))
    with pytest.raises(ConfigError, match="missing: blocks"):
        load_weights(small(0, depth=3), path, without=HEAD)


def test_fused_attention_equals_the_explicit_one(filled: TNT) -> None:
    x = input_by_rule(1, 3, 224, 224)
    modules = [m for m in filled.modules() if isinstance(m, Attention)]
    assert len(modules) == 24
    with torch.no_grad():
        fused = filled.tokens(x)
        for module in modules:
            module.keep_attention = True
        explicit = filled.tokens(x)
        for module in modules:
            module.keep_attention, module.attention_map = False, None
    torch.testing.assert_close(fused, explicit, rtol=1e-9, atol=1e-10)


def test_attention_maps_sum_to_one_and_change_nothing() -> None:
    module, x = small(), torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        before = module(x)
        maps = module.attention(x)
        assert torch.equal(before, module(x))
    assert [tuple(m.shape) for m in maps] == [(2, 3, 10, 10)] * 2
    for each in maps:
        torch.testing.assert_close(each.sum(-1), torch.ones(2, 3, 10))
    kept = [
        m for m in module.modules() if isinstance(m, Attention) and m.attention_map is not None
    ]
    assert kept == []


def test_gradients_reach_the_kept_maps() -> None:
    module, x = small(), torch.randn(1, 3, 48, 48)
    outer = [block.attn_out for block in module.blocks]
    for each in outer:
        each.keep_attention = True
    score = module(x)[0, 1]
    gradients = torch.autograd.grad(score, [m.attention_map for m in outer])
    for each, gradient in zip(outer, gradients, strict=True):
        assert gradient.shape == each.attention_map.shape
        assert gradient.abs().max() > 0


def test_words_of_a_patch_do_not_see_the_next_patch() -> None:
    module = small().double()
    x = torch.randn(1, 3, 48, 48, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, :, 16:] += 1
    with torch.no_grad():
        words = [module.pixel_embed(each, module.pixel_pos) for each in (x, changed)]
    same = (words[0] == words[1]).flatten(1).all(1).reshape(3, 3)
    assert same.tolist() == [[True, False, False]] * 3


@settings(max_examples=4, deadline=None)
@given(row=st.integers(0, 7))
def test_a_batch_of_one_equals_that_row_of_eight(row: int) -> None:
    module, x = small().double(), input_by_rule(8, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            module(x[row : row + 1])[0], module(x)[row], rtol=1e-9, atol=1e-12
        )


def test_the_seed_decides_the_weights_and_every_weight_gets_a_gradient() -> None:
    first, second = small().state_dict(), small().state_dict()
    assert all(torch.equal(v, second[name]) for name, v in first.items())
    assert first["blocks.0.mlp.fc1.weight"].std() == pytest.approx(0.02, rel=0.1)
    module = small().train()
    module(torch.randn(2, 3, 48, 48)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("shape", [(2, 3, 64, 48), (2, 1, 48, 48), (3, 48, 48)])
def test_refuses_other_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"shape .*expected \(image, 3, 48, 48\)"):
        small()(torch.ones(shape))


def test_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="image_size is 50, expected a multiple of 16"):
        small(image_size=50)
    with pytest.raises(ConfigError, match="5 heads cannot share a width of 24"):
        small(heads=5)
