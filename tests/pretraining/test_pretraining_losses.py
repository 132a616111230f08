"""Losses against their formulae, the learned weights, and batch statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dolorimeter import metrics
from dolorimeter.pretraining import _losses
from dolorimeter.pretraining._statistics import (
    GlobalBatchNorm,
    freeze_statistics,
    over_processes,
    processes,
    share_statistics,
)

NAN = math.nan


def test_cross_entropy_is_that_of_smoothed_labels() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 3.0]], dtype=torch.float64)
    found = _losses.class_losses(logits, torch.tensor([1, 0]), smoothing=0.3)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    smooth = np.full((2, 3), 0.1) + np.array([[0, 0.7, 0], [0.7, 0, 0]])
    np.testing.assert_allclose(found.numpy(), -(smooth * np.log(p)).sum(axis=1), rtol=1e-12)


def test_what_is_not_known_costs_nothing_and_gives_no_gradient() -> None:
    output = torch.tensor([[0.5, -2.0], [1.0, 4.0]], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([[1.0, NAN], [0.0, 1.0]], dtype=torch.float64)
    p = 1 / (1 + np.exp(-output.detach().numpy()))
    found = _losses.multi_label_losses(output, label)
    wanted = [-np.log(p[0, 0]), -(np.log(1 - p[1, 0]) + np.log(p[1, 1])) / 2]
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12)
    found.sum().backward()
    assert output.grad is not None
    assert output.grad[0, 1] == 0
    assert output.grad.isfinite().all()
    squared = _losses.squared_losses(output.detach(), label)
    np.testing.assert_allclose(squared.numpy(), [0.25, (1 + 9) / 2], rtol=1e-12)


def test_concordance_is_lins_over_each_column_that_is_known() -> None:
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=(2, 20, 2))
    target += output
    target[3, 0] = target[9, 1] = np.nan
    wanted = []
    for column in range(2):
        known = ~np.isnan(target[:, column])
        wanted.append(1 - metrics.concordance(target[known, column], output[known, column]))
    found, usable = _losses.concordance_loss(
        torch.tensor(output), torch.tensor(target), over_processes
    )
    assert usable
    assert found.item() == pytest.approx(np.mean(wanted), rel=1e-12)


def test_concordance_of_too_few_or_of_nothing_that_varies_is_finite() -> None:
    one = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    loss, usable = _losses.concordance_loss(
        one, torch.zeros(1, 1, dtype=torch.float64), over_processes
    )
    loss.backward()
    assert not usable
    assert loss.item() == 0
    assert one.grad is not None
    assert one.grad.item() == 0
    same = torch.ones(3, 1, dtype=torch.float64)
    loss, usable = _losses.concordance_loss(same, same, over_processes)
    assert usable
    assert loss.item() == 1


@pytest.mark.parametrize(("label", "loss", "c"), [
    ("class", "", 1.0), ("multi_label", "", 1.0), ("continuous", "", 0.5),
    ("continuous", "squared", 0.5), ("continuous", "concordance", 1.0),
])  # fmt: skip
def test_a_weight_follows_kendall_and_so_does_its_gradient(
    label: str, loss: str, c: float
) -> None:
    assert _losses.factor(label, loss) == c
    s = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    mean = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    total = _losses.weighted(mean, s, c)
    assert total.item() == pytest.approx(c * math.exp(-0.7) * 2.5 + 0.35, rel=1e-12)
    total.backward()
    assert s.grad is not None
    assert mean.grad is not None
    assert s.grad.item() == pytest.approx(-c * math.exp(-0.7) * 2.5 + 0.5, rel=1e-12)
    assert mean.grad.item() == pytest.approx(c * math.exp(-0.7), rel=1e-12)


def test_in_one_process_batch_norm_is_pytorchs_and_keeps_its_names() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None), nn.ReLU())
    plain(torch.randn(2, 3, 8, 8))
    shared = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None), nn.ReLU())
    shared.load_state_dict(plain.state_dict())
    assert share_statistics(shared) == 1
    assert isinstance(shared[1], GlobalBatchNorm)
    assert list(shared.state_dict()) == list(plain.state_dict())
    x = torch.randn(5, 3, 8, 8)
    assert torch.equal(shared(x), plain(x))
    for name, value in plain.state_dict().items():
        assert torch.equal(shared.state_dict()[name], value)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_the_shared_arithmetic_is_pytorchs_too(
    momentum: float | None, affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes, of which the other has a copy of the same rows: sums are doubled."""
    torch.manual_seed(1)
    plain = nn.BatchNorm2d(4, momentum=momentum, affine=affine).double()
    shared = GlobalBatchNorm(4, momentum=momentum, affine=affine).double()
    if affine:
        nn.init.normal_(plain.weight)
    shared.load_state_dict(plain.state_dict())
    name = "dolorimeter.pretraining._statistics."
    monkeypatch.setattr(name + "processes", lambda: 2)
    monkeypatch.setattr(name + "over_processes", lambda x: 2 * x)
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64) + 7
    for _ in range(2):
        torch.testing.assert_close(shared(x), plain(torch.cat((x, x)))[:3], rtol=1e-12, atol=1e-12)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[key], value, rtol=1e-12, atol=1e-12)


def test_frozen_statistics_stay_as_they_are() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
    assert freeze_statistics(module.train()) == 1
    before = module[0].running_mean.clone()
    module(torch.randn(4, 3, 2, 2) + 5)
    assert torch.equal(module[0].running_mean, before)
    assert module[1].training


def test_outside_of_processes_a_sum_is_the_value_itself() -> None:
    assert processes() == 1
    x = torch.randn(3)
    assert over_processes(x) is x
