"""Hybrid positional attention against the authors' computation and its own definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models import _hybrid_attention
from dolorimeter.models._hybrid_attention import (
    ConvEmbedding,
    HybridPositionalAttention,
    RelativeAttention,
    materialised,
    relative_term,
)

NAMES = {
    "embed_layer.0": "embedding.time",
    "embed_layer.1": "embedding.time_norm",
    "embed_layer2.0": "embedding.across",
    "embed_layer2.1": "embedding.across_norm",
    "attention_layer.relative_bias_table": "attention.offsets",
    "attention_layer.key": "attention.key",
    "attention_layer.value": "attention.value",
    "attention_layer.query": "attention.query",
    "attention_layer.to_out": "attention.norm",
    "LayerNorm": "attention_norm",
    "LayerNorm2": "norm",
    "FeedForward.0": "fc1",
    "FeedForward.3": "fc2",
}
"""The authors' names and ours."""
COMPUTED = ("Fix_Position.pe", "attention_layer.relative_index")
"""Tables that both compute; ours are not in the state dict, and relative offsets need no index."""
BEYOND = ("out.weight", "out.bias")
"""The classifier behind the block, which the vectors stop before."""


def ours(name: str) -> str:
    part = max((n for n in NAMES if name == n or name.startswith(f"{n}.")), key=len)
    return NAMES[part] + name.removeprefix(part)


def values_by_rule(name: str, j: int, shape: tuple[int, ...]) -> np.ndarray:
    """Entry j of the authors' state dict, as the vectors' README says."""
    count = int(np.prod(shape))
    u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
    b = 2 * (u - np.floor(u)) - 1
    if name.endswith("running_var"):
        found = 1 + 0.5 * b**2
    elif name.endswith("running_mean"):
        found = 0.1 * b
    elif len(shape) >= 2:
        found = b * np.sqrt(6 * shape[0] / count)
    elif name.endswith("weight"):
        found = 1 + 0.1 * b
    else:
        found = 0.1 * b
    return found.reshape(shape)


def input_by_rule(*shape: int) -> torch.Tensor:
    i = np.arange(np.prod(shape))
    k = i // np.prod(shape[1:])
    x = np.sin(0.0137 * i) + 0.5 * np.sin(0.331 * i)
    x = x * (1 + 2 * k) + 4 * k * np.sin(0.00021 * i)
    return torch.from_numpy(x.reshape(shape))


@pytest.fixture(scope="module")
def keys(fixtures: Path) -> dict[str, list[int]]:
    path = fixtures / "parity" / "hybrid_positional_attention_keys.json"
    found: dict[str, list[int]] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def wanted(fixtures: Path) -> np.ndarray:
    with np.load(fixtures / "parity" / "hybrid_positional_attention.npz") as stored:
        return np.array(stored["output"])


@pytest.fixture(scope="module")
def filled(keys: dict[str, list[int]]) -> HybridPositionalAttention:
    """The block with the weights of the vectors, put under our names."""
    module = HybridPositionalAttention(5, 200).double().eval()
    state = module.state_dict()
    numbers = ("num_batches_tracked",)
    floats = sorted(n for n in keys if n not in COMPUTED and not n.endswith(numbers))
    for j, name in enumerate(floats):
        if name not in BEYOND:
            values = values_by_rule(name, j, tuple(keys[name]))
            state[ours(name)] = torch.from_numpy(values).reshape(state[ours(name)].shape)
    module.load_state_dict(state)
    return module


def test_agrees_with_the_authors_code(
    filled: HybridPositionalAttention, wanted: np.ndarray
) -> None:
    with torch.no_grad():
        found = filled(input_by_rule(3, 200, 5).mT).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


def test_agrees_with_the_authors_code_in_float32(
    filled: HybridPositionalAttention, wanted: np.ndarray
) -> None:
    module = HybridPositionalAttention(5, 200).eval()
    module.load_state_dict(filled.state_dict())
    with torch.no_grad():
        found = module(input_by_rule(3, 200, 5).mT.float()).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_every_name_of_the_authors_has_one_of_ours(keys: dict[str, list[int]]) -> None:
    state = HybridPositionalAttention(5, 200).state_dict()
    theirs = {ours(n): shape for n, shape in keys.items() if n not in (*COMPUTED, *BEYOND)}
    assert {name: list(v.shape) for name, v in state.items()} == theirs


@settings(max_examples=20, deadline=None)
@given(time=st.integers(1, 40), heads=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_the_relative_term_is_that_of_the_materialised_bias(
    time: int, heads: int, seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    w = torch.randn(2 * time - 1, heads, dtype=torch.float64, generator=draw)
    v = torch.randn(2, heads, time, 3, dtype=torch.float64, generator=draw)
    torch.testing.assert_close(relative_term(w, v), materialised(w) @ v, rtol=1e-10, atol=1e-11)
    if time > 1:  # offset 1 (i = j + 1) is one entry after the middle
        assert materialised(w)[0, 1, 0] == w[time, 0]


def test_gradients_are_those_of_the_materialised_bias() -> None:
    draw = torch.Generator().manual_seed(1)
    w = torch.randn(33, 4, dtype=torch.float64, generator=draw).requires_grad_()
    v = torch.randn(2, 4, 17, 2, dtype=torch.float64, generator=draw).requires_grad_()
    weight = torch.randn(2, 4, 17, 2, dtype=torch.float64, generator=draw)
    by_transform = torch.autograd.grad((relative_term(w, v) * weight).sum(), [w, v])
    by_bias = torch.autograd.grad(((materialised(w) @ v) * weight).sum(), [w, v])
    for found, expected in zip(by_transform, by_bias, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


def test_the_map_gives_what_forward_gives(filled: HybridPositionalAttention) -> None:
    attention: RelativeAttention = filled.attention
    x = input_by_rule(2, 200, 16)
    with torch.no_grad():
        v = attention.value(x).unflatten(2, (8, -1)).transpose(1, 2)
        by_map = attention.norm((attention.attention(x) @ v).transpose(1, 2).flatten(2))
        torch.testing.assert_close(by_map, attention(x), rtol=1e-9, atol=1e-10)
        rows = attention.attention(x).sum(-1)[0, 3]
        reach = materialised(attention.offsets)[3].sum(-1)
    torch.testing.assert_close(rows, 1 + reach)


@pytest.mark.parametrize("cells", [1, 3 * 16 * 64, 2**20])
def test_channels_go_through_the_embedding_a_few_at_a_time(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hybrid_attention, "CELLS", cells)
    torch.manual_seed(0)
    module = ConvEmbedding(7).double()
    x = input_by_rule(4, 7, 16)
    module.train()(2 * x)  # running mean and variance are no longer 0 and 1
    module.eval()
    with torch.no_grad():
        whole = module._whole(torch.nn.functional.pad(x, (3, 4)))
        torch.testing.assert_close(module(x), whole, rtol=1e-10, atol=1e-12)


def test_at_the_start_there_is_no_relative_term_and_it_learns() -> None:
    torch.manual_seed(0)
    module = HybridPositionalAttention(3, 12)
    assert (module.attention.offsets == 0).all()
    module(torch.randn(4, 3, 12)).square().mean().backward()
    assert module.attention.offsets.grad is not None
    assert module.attention.offsets.grad.abs().max() > 0


def test_half_precision_keeps_the_transform_in_float32() -> None:
    torch.manual_seed(0)
    module = HybridPositionalAttention(3, 50).eval()
    torch.nn.init.normal_(module.attention.offsets, std=0.2)
    x = torch.randn(2, 3, 50)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = module(x)
    with torch.no_grad():
        torch.testing.assert_close(half.float(), module(x), rtol=0.1, atol=0.1)


def test_another_length_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="was given 30 steps, expected 20"):
        HybridPositionalAttention(3, 20)(torch.zeros(1, 3, 30))
    with pytest.raises(ConfigError, match="8 heads cannot share a width of 12"):
        HybridPositionalAttention(3, 20, width=12)


@pytest.mark.parametrize("cells", [40, 2**20])
def test_what_is_received_is_the_mean_of_the_maps_columns(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hybrid_attention, "CELLS", cells)
    torch.manual_seed(0)
    block = HybridPositionalAttention(3, 21, width=8, heads=4, hidden=8).double().eval()
    torch.nn.init.normal_(block.attention.offsets)
    x = torch.randn(2, 3, 21, dtype=torch.float64)
    columns = block.attention_map(x).mean(dim=(1, 2))
    torch.testing.assert_close(block.received(x), columns, rtol=1e-10, atol=1e-12)
