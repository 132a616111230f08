"""Checks of a map: they pass where they should, and above all they can fail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from dolorimeter.errors import ConfigError
from dolorimeter.explain.sanity import (
    SHARES,
    blurred,
    deletion_insertion,
    layers_of,
    rank_correlation,
    sanity_check,
)

ITEMS = 200


class Network(nn.Module):
    """Two layers; the saliency of an input is gradient times input."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Linear(ITEMS, 16)
        self.second = nn.Linear(16, 2)
        self.x = torch.randn(3, ITEMS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))

    def saliency(self, random: Sequence[str] = ()) -> dict[str, np.ndarray]:
        x = self.x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self(x)[:, 1].sum(), x)
        return {"inputs": (gradient * x).detach().double().numpy()}

    def layers(self) -> list[tuple[str, list[nn.Parameter]]]:
        return layers_of(self, [["second"], ["first"]])


def test_a_map_of_the_model_is_destroyed() -> None:
    network = Network()
    found = sanity_check(network.saliency, network.layers(), repeats=3)
    assert found.passed, found.verdict
    assert list(found.table["layer"]) == ["none", "second", "first"]
    assert found.table["inputs"][0] == 1
    assert abs(found.table["inputs"].iloc[-1]) < 0.3
    assert "below 0.3" in found.verdict


def test_a_map_of_the_input_survives_and_fails() -> None:
    network = Network()
    edges = {"inputs": np.abs(np.diff(network.x.double().numpy(), axis=1))}
    found = sanity_check(lambda random: edges, network.layers())
    assert not found.passed
    assert found.verdict.startswith("Failed")
    assert (found.table["inputs"] == 1).all()


def test_a_fixed_random_map_fails() -> None:
    network, noise = Network(), {"inputs": np.random.default_rng(0).uniform(size=(3, ITEMS))}
    assert not sanity_check(lambda random: noise, network.layers()).passed


def test_so_few_items_that_chance_decides_are_said() -> None:
    """Unrelated maps of 6 items agree by more than 0.3 every other time; equal ones never."""
    network, rng = Network(), np.random.default_rng(1)
    told = []
    for _ in range(60):
        one, other = rng.uniform(size=(2, 1, 6))
        found = sanity_check(lambda random: {"frames": other if random else one}, network.layers())  # noqa: B023
        assert found.passed == found.verdict.startswith("Passed")
        assert "6 frames up to 0.88" in found.verdict or found.verdict.startswith("Failed")
        told.append(found.verdict.partition(":")[0])
    assert told.count("Failed") <= 6  # 3 of 60 are expected
    assert told.count("Undecided") > 15
    fixed = sanity_check(lambda random: {"frames": one}, network.layers())
    assert fixed.verdict.startswith("Failed")


def test_a_model_that_ignores_its_input_fails() -> None:
    network = Network()
    with torch.no_grad():
        network.second.weight.zero_()
    found = sanity_check(network.saliency, network.layers())
    assert not found.passed
    assert "the same everywhere" in found.verdict


def test_one_map_that_survives_is_enough_to_fail() -> None:
    network = Network()
    found = sanity_check(
        lambda random: network.saliency() | {"picture": np.arange(10.0)[None]}, network.layers()
    )
    assert not found.passed


def test_weights_are_put_back_even_after_an_error() -> None:
    network = Network()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    sanity_check(network.saliency, network.layers(), repeats=2)
    calls = iter(range(2))

    def failing(random: Sequence[str]) -> dict[str, np.ndarray]:
        if next(calls):
            raise RuntimeError("no map")
        return network.saliency()

    with pytest.raises(RuntimeError, match="no map"):
        sanity_check(failing, network.layers())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_same_seed_gives_the_same_table() -> None:
    network = Network()
    one, two, other = (
        sanity_check(network.saliency, network.layers(), seed=s).table for s in (1, 1, 2)
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_shuffling_keeps_the_distribution_of_weights() -> None:
    network = Network()
    before = network.first.weight.detach().flatten().sort().values
    seen, told = [], []

    def watched(random: Sequence[str]) -> dict[str, np.ndarray]:
        seen.append(network.first.weight.detach().clone())
        told.append(tuple(random))
        return network.saliency()

    sanity_check(watched, network.layers())
    assert torch.equal(seen[-1].flatten().sort().values, before)
    assert not torch.equal(seen[-1], seen[0])
    assert torch.equal(seen[1], seen[0])  # only the layer above is random yet
    assert told == [(), ("second",), ("second", "first")]


def test_rank_correlation_is_spearmans_within_rows() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(4, 30)), rng.normal(size=(4, 30))
    from scipy.stats import spearmanr

    expected = np.mean([spearmanr(a, b)[0] for a, b in zip(one, other, strict=True)])
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-9)
    assert rank_correlation(one, np.zeros((4, 30))) == 0
    assert rank_correlation(one, -one) == -1


def test_layers_must_cover_every_parameter_once() -> None:
    network = Network()
    with pytest.raises(ConfigError, match="in no layer: first"):
        layers_of(network, [["second"]])
    with pytest.raises(ConfigError, match="layer third: no parameters"):
        layers_of(network, [["second"], ["first"], ["third"]])
    with pytest.raises(ConfigError, match="in another layer"):
        layers_of(network, [["second", "first"], ["first"]])
    with pytest.raises(ConfigError, match="0 layers"):
        sanity_check(network.saliency, [])


WEIGHTS = np.linspace(1, 0, 50) ** 3


def additive(out: np.ndarray) -> float:
    """A score that each item adds its own weight to."""
    return float(WEIGHTS[~out].sum())


def test_the_true_order_is_better_than_random_both_ways() -> None:
    table = deletion_insertion(additive, WEIGHTS, items="frames").table().set_index("curve")
    assert table["better"].all()
    assert table.loc["deletion", "auc"] < table.loc["deletion", "low"]
    assert table.loc["insertion", "auc"] > table.loc["insertion", "high"]
    assert set(table["items"]) == {"frames"}


def test_areas_are_those_computed_by_hand() -> None:
    weights = np.array([3.0, 1.0])
    curves = deletion_insertion(lambda out: float(weights[~out].sum()), weights)
    assert curves.shares.tolist() == [0, 0.5, 1]
    assert curves.deletion.tolist() == [4, 1, 0]
    assert curves.insertion.tolist() == [0, 3, 4]
    auc = curves.table().set_index("curve")["auc"]
    assert auc["deletion"] == pytest.approx(1.5)  # (4 + 1) / 4 + (1 + 0) / 4
    assert auc["insertion"] == pytest.approx(2.5)


def test_random_maps_are_better_than_random_no_more_often_than_said() -> None:
    better = [
        deletion_insertion(
            additive, np.random.default_rng(1000 + seed).uniform(size=50), seed=seed
        ).table()["better"]
        for seed in range(200)
    ]
    assert 0.0 < np.mean(better) < 0.09  # 5 % are expected, of 400 that are pairwise alike


def test_the_reversed_order_is_worse_than_random() -> None:
    table = deletion_insertion(additive, -WEIGHTS).table().set_index("curve")
    assert not table["better"].any()
    assert table.loc["deletion", "auc"] > table.loc["deletion", "high"]


def test_a_model_that_ignores_its_input_is_never_better() -> None:
    table = deletion_insertion(lambda out: 0.7, WEIGHTS).table()
    assert not table["better"].any()
    assert np.allclose(table["auc"], 0.7)


def test_a_flat_map_is_taken_out_in_a_random_order() -> None:
    """Not row by row from the top, which would be an order of its own."""
    first_out: list[int] = []

    def watch(out: np.ndarray) -> float:
        if out.sum() == 1:
            first_out.append(int(np.flatnonzero(out)[0]))
        return additive(out)

    deletion_insertion(watch, np.zeros(50), shares=(0.02, 0.98))
    own = first_out[:2]  # of the map's own order, forwards and backwards
    assert own != [0, 49]
    assert len(set(first_out)) > 5


def test_every_point_is_in_the_table_of_points() -> None:
    points = deletion_insertion(additive, WEIGHTS, shares=(0.2, 0.8)).points()
    assert len(points) == 2 * 20 * 4
    assert set(points["order"]) == {"relevance", *(f"random {i + 1}" for i in range(19))}
    whole = points[(points["curve"] == "insertion") & (points["share"] == 1)]
    assert np.allclose(whole["score"], WEIGHTS.sum())


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 patches"):
        deletion_insertion(additive, np.ones(1))
    with pytest.raises(ConfigError, match="18 random orders"):
        deletion_insertion(additive, WEIGHTS, repeats=18)
    for shares in ((0.1, 0.5), (0.0, 1.0), (0.2, 0.7)):
        with pytest.raises(ConfigError, match="the same from either end"):
            deletion_insertion(additive, WEIGHTS, shares=shares)


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    pictures = torch.randn(2, 3, 64, 64)
    soft = blurred(pictures, 10.0)
    assert soft.shape == pictures.shape
    assert float(soft.std()) < 0.1
    assert torch.allclose(blurred(torch.ones(1, 3, 32, 32)), torch.ones(1, 3, 32, 32))


def test_one_item_that_decides_is_found_however_random_orders_scatter() -> None:
    """Areas of random orders are then spread evenly from 0 to 1."""
    table = deletion_insertion(
        lambda out: float(not out[7]), np.eye(200)[7], shares=(0.005, *SHARES, 0.995), repeats=99
    ).table()
    assert table["better"].all()
    assert (table["high"] - table["low"] > 0.4).all()
