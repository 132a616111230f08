"""One window of a face clip and signals: what is read of both, and what hiding does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from dolorimeter.explain.pictures import COLOURS, heat_maps, overlay, saved, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dolorimeter.explain._dual import Read, Seen

_LINES = {
    "video encoder": "#0072B2",
    "video encoder, each place by itself": "#56B4E9",
    "hybrid attention, video": "#009E73",
    "co-attention, video": "#D55E00",
    "signal encoder": "#0072B2",
    "hybrid attention, signals": "#009E73",
    "co-attention, signals": "#D55E00",
}
_SIDES = {"video": "#0072B2", "signals": "#D55E00"}
_MOST = 120
"""Steps of a signal's attention that can be told apart in a picture."""


def write_sides_figure(
    path: Path,
    read: Read,
    seen: Seen,
    effects: pd.DataFrame,
    class_name: str,
    *,
    title: str,
    caption: str,
) -> None:
    """The face under its attention, each signal over its attention, attention in time, effects."""
    with style():
        from matplotlib.figure import Figure

        heights = [0.8] * len(seen.signals) + [1.6] * len(seen.sides) + [1.6]
        shown = read.face is not None and seen.clip is not None
        figure = Figure(figsize=(10, sum(heights) + 1.7 * shown + 1.4), layout="constrained")
        parts: Any = figure.subfigures(1 + shown, 1, height_ratios=[1.7] * shown + [sum(heights)])
        above, below = parts if shown else (None, parts)
        if read.face is not None and seen.clip is not None:
            _faces(above, read.face, seen.clip, read.times["video encoder"])
        grid = below.subplots(len(heights), 1, height_ratios=heights, sharex=True, squeeze=False)
        free = iter(grid[:, 0])
        _signals(free, read, seen)
        for side in seen.sides:
            _curves(next(free), read, side)
        _effects(next(free), effects, class_name)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
        figure.supxlabel(caption, fontsize=8)
        saved(figure, path)


def _faces(
    figure: Any,
    face: Float[np.ndarray, "moment row column"],
    clip: UInt8[np.ndarray, "frame 3 height width"],
    times: Float[np.ndarray, " moment"],
) -> None:
    each = len(clip) // len(face)
    above = np.clip(face - face.min(), 0, None)
    heat = heat_maps(above, clip.shape[-1])
    for i, axes in enumerate(np.atleast_1d(figure.subplots(1, len(face)))):
        picture = np.ascontiguousarray(clip[i * each].transpose(1, 2, 0))
        axes.imshow(overlay(picture, heat[i]))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{times[i]:.2f} s", fontsize=8)
        axes.set_xlabel(f"{face[i].min():.2f}–{face[i].max():.2f}", fontsize=7.5)
    figure.suptitle("video encoder, last block: least to most of an even share", fontsize=8.5)


def _signals(free: Any, read: Read, seen: Seen) -> None:
    """Each signal's first channel, what is read of the moment in the colour behind it."""
    span = seen.span
    name = "signal encoder" if "signal encoder" in read.curves else "hybrid attention, signals"
    curve = read.curves.get(name)
    for signal, values in seen.signals.items():
        axes = next(free)
        start, stop = seen.spans[signal]
        seconds = start + (np.arange(values.shape[1]) + 0.5) / values.shape[1] * (stop - start)
        axes.plot(seconds, values[0], color="#222222", lw=0.8)
        if curve is not None:
            shown = curve[:: max(1, len(curve) // _MOST)][None]
            low, high = axes.get_ylim()
            axes.imshow(
                shown, extent=(start, stop, low, high), aspect="auto", cmap=COLOURS, alpha=0.6,
                interpolation="nearest",
            )  # fmt: skip
        axes.set_xlim(*span)
        axes.set_yticks([])
        axes.set_ylabel(signal, fontsize=8, rotation=0, ha="right", va="center")
        if curve is not None:
            told = f"colour: {name}, {curve.min():.2f}–{curve.max():.2f} of an even share"
            axes.set_title(told, fontsize=7.5, loc="right", pad=2)


def _curves(axes: Axes, read: Read, side: str) -> None:
    for name, colour in _LINES.items():
        if name in read.curves and (side in name or (side, name) == ("signals", "signal encoder")):
            axes.plot(read.times[name], read.curves[name], color=colour, lw=1.2, label=name)
    axes.axhline(1, color="#999999", ls="--", lw=0.8)
    axes.set_ylabel(f"{side}: received", fontsize=8)
    if len(axes.get_legend_handles_labels()[0]):
        axes.legend(frameon=False, fontsize=7, ncols=2)


def _effects(axes: Axes, effects: pd.DataFrame, class_name: str) -> None:
    """Of each stretch as a bar as wide as it is; of whole sides and signals in words."""
    for side, colour in _SIDES.items():
        own = effects[effects["what"] == side]
        if len(own):
            width = own["to"] - own["from"]
            axes.bar(
                own["from"], own[f"of {class_name}"], width, align="edge", color=colour,
                alpha=0.5, edgecolor=colour, label=side,
            )  # fmt: skip
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set_ylabel("log odds lost", fontsize=8)
    axes.set_xlabel("seconds of the window")
    whole = effects[~effects["what"].isin(list(_SIDES))]
    told = ", ".join(
        f"{row['what'].removeprefix('all of ')} {row[f'of {class_name}']:+.2f}"
        for _, row in whole.iterrows()
    )
    axes.set_title(
        f"hiding a stretch: what {class_name} loses; hiding all: {told}", fontsize=8, loc="left"
    )
    if len(axes.get_legend_handles_labels()[0]):
        axes.legend(frameon=False, fontsize=7, ncols=2)
