"""Baselines on raw signals: LSTM, Transformer and ConvTran take the same windows the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import NetworkClassifier
from dolorimeter.models import create_model
from dolorimeter.models.transformer import EncoderLayer
from dolorimeter.registry import MODELS

NAMES = ("convtran", "lstm", "transformer")
SHAPE = (3, 96)


def made(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=2, input_shape=SHAPE, **arguments).double().eval()


def windows(count: int = 8) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("name", NAMES)
def test_what_all_of_them_promise(name: str) -> None:
    model, x = made(name), windows()
    with torch.no_grad():
        whole = model(x)
        assert whole.shape == (8, 2)
        torch.testing.assert_close(model(x[3:4])[0], whole[3])
        assert not torch.allclose(model(x.flip(2)), whole)  # time has a direction
        x[0, 1, 40:60] = torch.nan
        gap = x.clone()
        gap[0, 1, 40:60] = 0.0
        assert torch.equal(model(x), model(gap))  # what is missing is the middle
    model.train()(windows()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert MODELS.card(name).differences


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_they_learn_a_bump_and_its_unit_does_not_matter(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = rng.normal(size=(80, *SHAPE)).astype(np.float32)
    x[y == 1, 1, 32:64] += 1.5
    proba = []
    for unit in (1.0, 1e-6):
        model = NetworkClassifier(
            name, module_args={"scaling": "train_robust"}, epochs=10, batch_size=16,
            learning_rate=3e-3, learning_rate_drops=(), early_stopping=False, threads=1,
        ).fit(x * np.float32(unit), y)  # fmt: skip
        proba.append(model.predict_proba(x * np.float32(unit)))
        assert (proba[-1].argmax(1) == y).mean() > 0.85
    np.testing.assert_allclose(proba[0], proba[1], atol=0.02)


def test_a_layer_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours = EncoderLayer(16, 4, 32, 0.1).double().eval()
    theirs = nn.TransformerEncoderLayer(16, 4, 32, 0.1, batch_first=True).double()
    names = {
        "query_key_value.weight": "self_attn.in_proj_weight",
        "query_key_value.bias": "self_attn.in_proj_bias",
        "out.weight": "self_attn.out_proj.weight",
        "out.bias": "self_attn.out_proj.bias",
        "fc1.weight": "linear1.weight",
        "fc1.bias": "linear1.bias",
        "fc2.weight": "linear2.weight",
        "fc2.bias": "linear2.bias",
        "attention_norm.weight": "norm1.weight",
        "attention_norm.bias": "norm1.bias",
        "norm.weight": "norm2.weight",
        "norm.bias": "norm2.bias",
    }
    theirs.load_state_dict({names[n]: v for n, v in ours.state_dict().items()})
    x = windows()[:2].reshape(2, 18, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_shapes_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"input_shape is \(3,\) with"):
        create_model(name, input_shape=(3,))
    with pytest.raises(ConfigError, match=r"input_shape is \(3, 4\) with \d+ samples a step"):
        create_model(name, input_shape=(3, 4))


def test_a_transformer_is_of_one_length() -> None:
    with pytest.raises(ConfigError, match="was given 3 steps, expected 6"):
        made("transformer")(windows()[..., :48])
    with pytest.raises(ConfigError, match="3 heads cannot share a width of 64"):
        made("transformer", heads=3)
