"""Whether a map says anything about the model: checks that it can fail.

Two questions. Does the map depend on what the model has learnt? Its layers are randomised one
after the other from the top; a map that survives is a picture of the input, not of the model. Does
the map name what the model uses? Patches are taken out in its order; the score must fall faster
than with patches taken out in random orders.

References
----------
Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, Sanity Checks for Saliency Maps, NeurIPS 2018,
section 3 (cascading randomisation). Petsiuk, Das, Saenko, RISE, BMVC 2018, section 4.2 (deletion
and insertion).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from scipy.integrate import trapezoid
from torch import Tensor, nn

from dolorimeter.errors import ConfigError

DESTROYED = 0.3
"""A map is destroyed when the rank correlation with the original is nearer to 0 than this: the
two then share less than a tenth of the variance of their ranks."""
CHANCE = 1.96
"""Standard deviations within which 95 % of the rank correlations of unrelated maps lie."""

LEVEL = 0.05
"""Largest p of an order that counts as better than random."""
FEWEST_ORDERS = 19
"""With fewer random orders no p could be as small."""
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
"""What is taken out at the points of a curve between none and all. Close together at both ends: an
order that has the one item that decides in front must be told from one that has it among the
first third."""

_ROUNDING = 1e-9  # differences of areas under a curve that are no difference

Progress = Callable[[int, int], None]
"""Called with the count done and the count in all."""

Maps = Mapping[str, Float[np.ndarray, "row item"]]
"""Maps by name; correlations are taken within each row and averaged."""


@dataclass(frozen=True)
class Sanity:
    """Outcome of `sanity_check`.

    Parameters
    ----------
    table : pandas.DataFrame
        ``layer`` (up to which everything above is random too, ``none`` first), and one column a
        map: its mean rank correlation with the original.
    passed : bool
        Whether every map is destroyed once all layers are random.
    verdict : str
        The same in a sentence, with the threshold. It is ``Undecided`` where a map has so few
        items that chance alone reaches what was found.
    """

    table: pd.DataFrame
    passed: bool
    verdict: str


def sanity_check(
    maps: Callable[[Sequence[str]], Maps],
    layers: Sequence[tuple[str, Sequence[nn.Parameter]]],
    *,
    repeats: int = 1,
    seed: int = 0,
    threshold: float = DESTROYED,
    progress: Progress | None = None,
) -> Sanity:
    """Randomise layers from the top, one after the other, and see whether the maps survive.

    A layer is randomised by shuffling the entries of each of its tensors: their distribution
    stays, so that no signal dies or explodes, and what was learnt is gone. The weights are put
    back at the end, whatever happens.

    Parameters
    ----------
    maps : callable
        Gives the maps with the weights as they are then; it is told which layers are random, so
        that what lies below them need not be computed again. A map may be left out of the lower
        layers, where it would cost too much: then the last layer it is given for decides.
    layers : sequence of (name, parameters)
        From the output to the input.
    repeats : int
        Cascades, each with other shuffles; correlations are averaged.
    seed : int
        Of the shuffles.
    threshold : float
        Largest absolute correlation that counts as destroyed.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If there is nothing to randomise or repeats is below 1.
    """
    if not layers or repeats < 1:
        raise ConfigError(
            f"{len(layers)} layers and {repeats} repeats: a sanity check needs one of each."
        )
    original = {name: np.array(rows) for name, rows in maps(()).items()}
    found = np.zeros((repeats, len(layers), len(original)))
    kept = [(p, p.detach().clone()) for _, parameters in layers for p in parameters]
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        try:
            for i, (_, parameters) in enumerate(layers):
                for parameter in parameters:
                    _shuffle(parameter, rng)
                now = maps([name for name, _ in layers[: i + 1]])
                found[repeat, i] = [
                    rank_correlation(v, now[k]) if k in now else np.nan
                    for k, v in original.items()
                ]
                if progress:
                    progress(repeat * len(layers) + i + 1, repeats * len(layers))
        finally:
            for parameter, value in kept:
                parameter.data.copy_(value)
    table = pd.DataFrame(found.mean(axis=0), columns=list(original))
    table.insert(0, "layer", [name for name, _ in layers])
    first = {"layer": "none"} | {k: rank_correlation(v, v) for k, v in original.items()}
    table = pd.concat([pd.DataFrame([first]), table], ignore_index=True)
    return Sanity(table, *_verdict(table, original, threshold, repeats))


def rank_correlation(
    one: Float[np.ndarray, "row item"], other: Float[np.ndarray, "row item"]
) -> float:
    """Mean over rows of Spearman's correlation; 0 for a row that is constant in either.

    Examples
    --------
    >>> rank_correlation(np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 3.0, 9.0]]))
    1.0
    """
    values = []
    for a, b in zip(one, other, strict=True):
        ranked = stats.rankdata(a), stats.rankdata(b)
        constant = np.ptp(ranked[0]) == 0 or np.ptp(ranked[1]) == 0
        values.append(0.0 if constant else float(np.corrcoef(*ranked)[0, 1]))
    return round(float(np.mean(values)), 12)


def _shuffle(parameter: nn.Parameter, rng: np.random.Generator) -> None:
    flat = parameter.data.flatten()
    order = torch.from_numpy(rng.permutation(flat.numel()))
    parameter.data.copy_(flat[order].reshape(parameter.shape))


def _verdict(
    table: pd.DataFrame, original: Mapping[str, np.ndarray], threshold: float, repeats: int
) -> tuple[bool, str]:
    empty = [name for name, rows in original.items() if np.ptp(rows) == 0]
    if empty:
        return False, (
            f"Failed: the map of {' and '.join(empty)} is the same everywhere, so there is "
            "nothing that randomising could destroy. The model may not look at its input."
        )
    last = table[list(original)].ffill().iloc[-1]
    chance = {name: _by_chance(rows, repeats) for name, rows in original.items()}
    few = ", ".join(
        f"{rows.shape[1]} {name} up to {chance[name]:.2f}"
        for name, rows in original.items()
        if chance[name] > threshold
    )
    doubt = f" But chance alone gives {few}: few items tell little." if few else ""
    survived = [name for name in original if not abs(last[name]) < threshold]
    numbers = ", ".join(f"{name} {last[name]:.2f}" for name in original)
    found = f"with all layers random the rank correlation with the map is {numbers}"
    if any(abs(last[name]) > chance[name] for name in survived):
        return False, (
            f"Failed: {found}; below {threshold:g} was wanted. What survives shows the input, not "
            "what was learnt."
        )
    if survived:
        return False, f"Undecided: {found}; below {threshold:g} was wanted.{doubt}"
    return True, f"Passed: {found}, below {threshold:g}.{doubt}"


def _by_chance(rows: Float[np.ndarray, "row item"], repeats: int) -> float:
    """What the mean rank correlation of unrelated maps stays below in 95 of 100 cases.

    Its variance is 1 / (items − 1) in one row of one cascade (Kendall and Gibbons 1990). Nearly
    1 is no unrelated map, however few the items are.
    """
    items = max(rows.shape[1] - 1, 1) * len(rows) * repeats
    return min(CHANCE / items**0.5, 1 - _ROUNDING)


@dataclass(frozen=True)
class Curves:
    """Score of a class while items (patches, frames) are taken out or put in.

    Parameters
    ----------
    items : str
        What is taken out, in the plural.
    shares : Float[np.ndarray, "step"]
        Share of the items taken out (deletion) or put in (insertion), from 0 to 1.
    deletion, insertion : Float[np.ndarray, "step"]
        In order of relevance, the highest first.
    random_deletion, random_insertion : Float[np.ndarray, "repeat step"]
        In random orders.
    """

    items: str
    shares: Float[np.ndarray, " step"]
    deletion: Float[np.ndarray, " step"]
    insertion: Float[np.ndarray, " step"]
    random_deletion: Float[np.ndarray, "repeat step"]
    random_insertion: Float[np.ndarray, "repeat step"]

    def table(self) -> pd.DataFrame:
        """Areas under the curves against those of random orders.

        Returns
        -------
        pandas.DataFrame
            ``items``, ``curve``, ``auc``, ``random`` (mean of the random orders), ``low`` and
            ``high`` (what 95 % of them lie between), ``p``: the share of orders, this one among
            them, with an area at least as good, low for deletion and high for insertion. That is
            an exact test of the order being a random one. ``better``: whether p is at most
            `LEVEL`.
        """
        rows = []
        for curve, sign in (("deletion", -1), ("insertion", 1)):
            auc = _area(self.shares, getattr(self, curve))
            others = np.array([_area(self.shares, c) for c in getattr(self, f"random_{curve}")])
            as_good = int((sign * (others - auc) >= -_ROUNDING).sum())
            p = (1 + as_good) / (1 + len(others))
            low, high = np.quantile(others, [0.025, 0.975])
            rows.append(
                (self.items, curve, auc, others.mean(), float(low), float(high), p, p <= LEVEL)
            )
        columns = ["items", "curve", "auc", "random", "low", "high", "p", "better"]
        return pd.DataFrame(rows, columns=columns)

    def points(self) -> pd.DataFrame:
        """Every point: ``items``, ``curve``, ``order``, ``share`` and ``score``.

        The order is ``relevance``, ``random 1``, ``random 2`` …
        """
        parts = []
        for curve in ("deletion", "insertion"):
            named = [("relevance", getattr(self, curve))]
            named += [
                (f"random {i + 1}", c) for i, c in enumerate(getattr(self, f"random_{curve}"))
            ]
            parts += [
                pd.DataFrame(
                    {
                        "items": self.items,
                        "curve": curve,
                        "order": order,
                        "share": self.shares,
                        "score": scores,
                    }
                )
                for order, scores in named
            ]
        return pd.concat(parts, ignore_index=True)


def deletion_insertion(
    score: Callable[[Bool[np.ndarray, " item"]], float],
    relevance: Float[np.ndarray, " item"],
    *,
    items: str = "patches",
    shares: Sequence[float] = SHARES,
    repeats: int = FEWEST_ORDERS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Curves:
    """Take items out in order of relevance and in random orders, and put them in again.

    Parameters
    ----------
    score : callable
        The class's score when the items of the mask are taken out (replaced by blur).
    relevance : Float[np.ndarray, "item"]
        Equal values are ordered at random.
    items : str
        What they are, in the plural.
    shares : sequence of float
        Points of the curves between 0 and 1, the same from either end.
    repeats : int
        Random orders. What is left when an order takes out its first items is what the reversed
        order has put in: each order gives a deletion and an insertion curve.
    seed : int
    progress : callable, optional

    Raises
    ------
    ConfigError
        If there are fewer than 2 items or `FEWEST_ORDERS` repeats, or the shares are not the same
        from either end.
    """

    def scored(
        out: Bool[np.ndarray, "mask item"],
    ) -> Float[np.ndarray, " mask"]:
        found = []
        for mask in out:
            found.append(float(score(mask)))
            if progress:
                progress(len(found), len(out))
        return np.array(found)

    return curves_of(scored, {items: relevance}, shares=shares, repeats=repeats, seed=seed)[items]


def curves_of(
    score: Callable[[Bool[np.ndarray, "mask item"]], Float[np.ndarray, " mask"]],
    maps: Mapping[str, Float[np.ndarray, " item"]],
    *,
    shares: Sequence[float] = SHARES,
    repeats: int = FEWEST_ORDERS,
    seed: int = 0,
) -> dict[str, Curves]:
    """`deletion_insertion` of several maps of the same items against the same random orders.

    Parameters
    ----------
    score : callable
        The class's scores when the items of each mask are taken out. It is called once, with all
        masks, so that it may take them together.
    maps : mapping of str to Float[np.ndarray, "item"]
        By what they are called in the curves. Equal values are ordered at random.
    shares, repeats, seed
        As in `deletion_insertion`, as are the errors.
    """
    ends = _ends(maps, shares, repeats)
    count = int(ends[-1])
    rng = np.random.default_rng(seed)
    own = {n: np.lexsort((rng.permutation(count), -values)) for n, values in maps.items()}
    orders = [o for order in own.values() for o in (order, order[::-1])]
    orders += [rng.permutation(count) for _ in range(repeats)]
    masks = np.zeros((len(orders), len(ends) - 2, count), dtype=bool)
    for order, rows in zip(orders, masks, strict=True):
        for end, mask in zip(ends[1:-1], rows, strict=True):
            mask[order[:end]] = True
    both = np.stack([np.zeros(count, dtype=bool), np.ones(count, dtype=bool)])
    scores = np.asarray(score(np.concatenate([both, masks.reshape(-1, count)])), dtype=float)
    whole, nothing = scores[:2]
    curves = np.full((len(orders), len(ends)), whole)
    curves[:, 1:-1] = scores[2:].reshape(len(orders), -1)
    curves[:, -1] = nothing
    random = curves[2 * len(maps) :]
    return {
        name: Curves(
            name, ends / count, curves[2 * i], curves[2 * i + 1][::-1], random, random[:, ::-1]
        )
        for i, name in enumerate(maps)
    }


def scores_wanted(
    count: int, maps: int, shares: Sequence[float] = SHARES, repeats: int = FEWEST_ORDERS
) -> int:
    """Masks that `curves_of` asks the score of, for `count` items and so many maps."""
    ends = _ends({str(i): np.zeros(count) for i in range(maps)}, shares, repeats)
    return 2 + (2 * maps + repeats) * (len(ends) - 2)


def _ends(
    maps: Mapping[str, Float[np.ndarray, " item"]], shares: Sequence[float], repeats: int
) -> Int[np.ndarray, " step"]:
    """How many items are out at each point of a curve, none and all included."""
    items, relevance = next(iter(maps.items()))
    count = len(relevance)
    if count < 2 or repeats < FEWEST_ORDERS:
        raise ConfigError(
            f"{count} {items} and {repeats} random orders: at least 2 and {FEWEST_ORDERS} are "
            "wanted."
        )
    inner = np.sort(np.asarray(shares, dtype=float))
    if not np.allclose(inner, 1 - inner[::-1]) or not ((inner > 0) & (inner < 1)).all():
        raise ConfigError(
            f"shares are {tuple(shares)}, expected numbers between 0 and 1 that are the same from "
            "either end, such as (0.1, 0.5, 0.9)."
        )
    low = np.ceil(count * inner[: (len(inner) + 1) // 2]).astype(int)  # never nobody
    return np.unique(np.concatenate([[0], low, count - low, [count]]))


def _area(shares: Float[np.ndarray, " step"], scores: Float[np.ndarray, " step"]) -> float:
    return float(trapezoid(scores, shares))


def layers_of(
    module: nn.Module, names: Sequence[Sequence[str]]
) -> list[tuple[str, list[nn.Parameter]]]:
    """Parameters of `module` by groups of submodule or parameter names, in the order given.

    Raises
    ------
    ConfigError
        If a parameter is in no group or in two, or a name is none.
    """
    own = dict(module.named_parameters())
    free = set(own)
    layers = []
    for group in names:
        taken = [name for name in own if any(name == g or name.startswith(f"{g}.") for g in group)]
        if not taken or not free.issuperset(taken):
            raise ConfigError(f"layer {' + '.join(group)}: no parameters, or in another layer.")
        free -= set(taken)
        layers.append((" + ".join(group), [own[name] for name in taken]))
    if free:
        raise ConfigError(f"parameters in no layer: {', '.join(sorted(free)[:5])}.")
    return layers


def blurred(
    pictures: Float[Tensor, "picture channel height width"], sigma: float = 10.0
) -> Float[Tensor, "picture channel height width"]:
    """Pictures without what could be recognised in them: a Gaussian blur, `sigma` in pixels."""
    from dolorimeter._extras import cv2

    made = torch.empty_like(pictures)
    for i, picture in enumerate(pictures):
        planes = picture.permute(1, 2, 0).numpy()
        soft = cv2.GaussianBlur(planes, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        made[i] = torch.from_numpy(soft).permute(2, 0, 1)
    return made
