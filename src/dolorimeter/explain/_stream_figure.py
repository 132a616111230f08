"""Maps over the pictures of one stream: what is drawn, each map over it, shares in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from dolorimeter.explain.maps import BY_GRADIENT, StreamMaps
from dolorimeter.explain.pictures import COLOURS, heat_maps, overlay, saved, spaced, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")


def write_stream_figure(
    path: Path,
    stream: StreamMaps,
    pictures: UInt8[np.ndarray, "picture height width 3"],
    target: int,
    *,
    title: str,
    caption: str,
    checks: pd.DataFrame,
    checked_class: str,
    pictures_shown: int,
) -> None:
    """One PNG: a row a picture, a column a map; under it shares in time and the checks.

    Parameters
    ----------
    path : Path
        Written at once or not at all.
    stream : StreamMaps
    pictures : UInt8[np.ndarray, "picture height width 3"]
    target : int
        Place of the class.
    title, caption : str
    checks : pandas.DataFrame
        Of this stream; empty without checks.
    checked_class : str
        Class that the checks are of.
    pictures_shown : int
        At most so many rows.
    """
    rows = _rows(stream, pictures_shown)
    names = list(stream.maps)
    with style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.figure import Figure

        width, high = 1.5 * (len(names) + 1) + 0.6, 1.75 * len(rows)
        figure = Figure(figsize=(width, high + 3.2), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[high + 0.5, 2.6])
        above, below = parts
        above.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
        grid = above.subplots(len(rows), len(names) + 1, squeeze=False)
        for axes, place in zip(grid, rows, strict=True):
            _row(axes, stream, pictures[place], place, target, first=place == rows[0])
        scale = above.colorbar(ScalarMappable(cmap=COLOURS), ax=grid[:, 1:], pad=0.01, aspect=14)
        scale.set_ticks([0.0, 1.0], labels=["least", "most"])
        left, right = below.subplots(1, 2, width_ratios=[1, 1.5])
        _shares(left, stream, rows, target)
        _outcomes(right, checks, checked_class)
        below.supxlabel(caption, fontsize=8, wrap=True)
        saved(figure, path)


def _rows(stream: StreamMaps, wanted: int) -> list[int]:
    """Of a signal's channels the first ones; of a video those that were checked, and others."""
    count = len(stream.labels)
    if stream.signal:
        return list(range(min(count, wanted)))
    rest = spaced(count, max(wanted // 2, 1))
    return sorted({*stream.watched, *rest})[:wanted]


def _row(
    axes: Any,
    stream: StreamMaps,
    picture: UInt8[np.ndarray, "height width 3"],
    place: int,
    target: int,
    *,
    first: bool,
) -> None:
    axes[0].imshow(picture)
    axes[0].set_ylabel(stream.labels[place], fontsize=8)
    for axis, (name, maps) in zip(axes[1:], stream.maps.items(), strict=True):
        values = np.clip(maps[target, place], 0, None)
        there = bool(np.isfinite(values).all())
        axis.imshow(overlay(picture, _heat(values, picture.shape[0])) if there else picture)
        told = "not asked" if not there else "empty" if not values.any() else _peak(values)
        axis.set_xlabel(told, fontsize=7.5)
        if first:
            axis.set_title(name, fontsize=8.5)
    if first:
        axes[0].set_title("seen", fontsize=8.5)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])


def _heat(values: Float[np.ndarray, "row column"], size: int) -> Float[np.ndarray, "size size"]:
    """What is above the map's least: where all is nearly even, the peak below says so."""
    if np.ptp(values) == 0:
        return np.zeros((size, size))
    heat: np.ndarray = heat_maps((values - values.min())[None], size)[0]
    return heat


def _peak(values: Float[np.ndarray, "row column"]) -> str:
    return f"peak {values.max() / values.mean():.2f} × mean"


def _shares(axes: Axes, stream: StreamMaps, rows: list[int], target: int) -> None:
    """Of a signal what each stretch of time takes of a map, of a video what each picture takes."""
    if stream.signal:
        axes.set_xlabel("seconds of the window")
        for name, shares in _by_stretch(stream, rows, target):
            edges = np.linspace(*stream.extent[:2], len(shares) + 1)
            axes.stairs(shares, edges, label=name, color=_colour(stream, name), lw=1.2)
    else:
        timed = bool(np.isfinite(stream.times).all())
        axes.set_xlabel("seconds of the video" if timed else "picture")
        moments = stream.times if timed else np.arange(1, len(stream.labels) + 1)
        for name, shares in _by_picture(stream, target):
            axes.plot(moments, shares, "o-", label=name, color=_colour(stream, name), lw=1.2, ms=3)
    axes.axhline(1, color="#999999", ls="--", lw=1)
    axes.set_ylabel("times an even share")
    if len(axes.get_legend_handles_labels()[0]):
        axes.legend(fontsize=6.5, frameon=False, ncols=2)


def _colour(stream: StreamMaps, name: str) -> str:
    return _LINES[list(stream.maps).index(name)]


def _by_stretch(
    stream: StreamMaps, rows: list[int], target: int
) -> Iterator[tuple[str, Float[np.ndarray, " column"]]]:
    for name, maps in stream.maps.items():
        values = np.clip(maps[target][rows], 0, None)
        found = values[np.isfinite(values).all(axis=(1, 2))].sum(axis=(0, 1))
        if found.sum() > 0:
            yield name, len(found) * found / found.sum()


def _by_picture(
    stream: StreamMaps, target: int
) -> Iterator[tuple[str, Float[np.ndarray, " picture"]]]:
    """Maps by gradient alone: attention adds up to 1 in each picture."""
    for name in BY_GRADIENT:
        found = np.clip(stream.maps[name][target], 0, None).sum(axis=(1, 2))
        if found.sum() > 0:
            yield name, len(found) * found / found.sum()


def _outcomes(axes: Axes, checks: pd.DataFrame, checked_class: str) -> None:
    axes.set_axis_off()
    if checks.empty:
        axes.text(0, 1, "No checks were made: --no-checks.", va="top", fontsize=8.5)
        return
    head = f"Checks, for {checked_class} (random layers: rank correlation that is left; p)"
    axes.text(0, 1.02, head, va="top", fontsize=8, weight="bold")
    step = 0.94 / (len(checks) + 1)
    columns = (0.0, 0.22, 0.31, 0.4, 0.49)
    texts = [("map", "random", "del. p", "ins. p", "verdict")]
    texts += [
        (
            str(row["map"]),
            f"{row['with_random_layers']:.2f}",
            f"{row['deletion_p']:.2f}",
            f"{row['insertion_p']:.2f}",
            str(row["verdict"]),
        )
        for _, row in checks.iterrows()
    ]
    for i, cells in enumerate(texts):
        for x, cell in zip(columns, cells, strict=True):
            axes.text(x, 0.9 - i * step, cell, va="top", fontsize=7)
