"""Relevance to look at: over the face, as one picture of a few frames, and as a video.

One scale for the whole clip: a frame that matters little stays pale. Colours are viridis, whose
lightness rises evenly, with or without colour-vision deficiency (Smith and van der Walt, SciPy
2015). The face below is grey, so that colour is relevance; no colour of the map is grey.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from dolorimeter.errors import ConfigError
from dolorimeter.explain.regions import FACE, OUTSIDE
from dolorimeter.storage import atomic_path
from dolorimeter.types import CROP_SIZE
from dolorimeter.video import VideoWriter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CEILING = 99.5
"""Percentile of the clip's pixels that gets the strongest colour: one patch must not pale all."""
COLOURS = "viridis"
OPACITY = 0.75
"""Of the strongest colour over the face."""

_CURVE_HEIGHT = 96  # pixels of the curve under the video
_DPI = 100
_INK = "#222222"
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#999999"  # Okabe & Ito, as in the reports


@cache
def colours() -> UInt8[np.ndarray, "256 3"]:
    """The colour map as 256 RGB values, from none to most."""
    from matplotlib import colormaps

    table: np.ndarray = colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    table.flags.writeable = False
    return table


def heat_maps(
    patches: Float[np.ndarray, "frame row column"], size: int = CROP_SIZE
) -> Float[np.ndarray, "frame size size"]:
    """Smooth maps between 0 and 1 on one scale for all frames, for the eye only.

    Patches are interpolated linearly between their centres; shares of regions are never computed
    from these.
    """
    from dolorimeter._extras import cv2

    smooth = np.stack(
        [
            cv2.resize(p.astype(float), (size, size), interpolation=cv2.INTER_LINEAR)
            for p in patches
        ]
    )
    top = np.percentile(smooth, CEILING) or smooth.max()
    return np.clip(smooth / top, 0.0, 1.0) if top > 0 else np.zeros_like(smooth)


def overlay(
    picture: UInt8[np.ndarray, "height width 3"], heat: Float[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture in grey with `heat` (0…1) over it; where there is none, nothing is covered."""
    from dolorimeter._extras import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    colour = colours()[np.round(heat * 255).astype(np.uint8)].astype(np.float32)
    opacity = (OPACITY * np.sqrt(heat))[..., None].astype(np.float32)
    return np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)


def spaced(count: int, wanted: int) -> tuple[int, ...]:
    """Positions of at most `wanted` of `count` frames, evenly apart, ends included.

    Raises
    ------
    ConfigError
        If no frame is wanted or there is none.

    Examples
    --------
    >>> spaced(138, 4)
    (0, 46, 91, 137)
    """
    if count < 1 or wanted < 1:
        raise ConfigError(f"{wanted} of {count} frames wanted, expected at least one of each.")
    if wanted == 1:
        return (count // 2,)
    return tuple(int(i) for i in np.unique(np.round(np.linspace(0, count - 1, wanted))))


def write_figure(
    path: Path,
    pictures: UInt8[np.ndarray, "frame height width 3"],
    patches: Float[np.ndarray, "frame row column"],
    relevance: Float[np.ndarray, " frame"],
    times: Float[np.ndarray, " frame"],
    regions: pd.DataFrame,
    *,
    title: str,
    caption: str,
    frames: int = 8,
    attention: Float[np.ndarray, " frame"] | None = None,
) -> None:
    """One PNG: a few frames, their maps, relevance in time, and the shares of the regions.

    Parameters
    ----------
    path : Path
        Written at once or not at all.
    pictures : UInt8[np.ndarray, "frame height width 3"]
        Aligned faces, RGB.
    patches, relevance, times
        Relevance of patches and of frames; seconds.
    regions : pandas.DataFrame
        From `region_table`.
    title : str
        Names the class that is explained.
    caption : str
        What a reader must know: look-alike data, an encoder without training.
    frames : int
        How many are shown, evenly apart.
    attention : Float[np.ndarray, "frame"], optional
        Drawn beside relevance; adds up to 1.
    """
    chosen = spaced(len(pictures), frames)
    heat = heat_maps(patches, pictures.shape[1])
    with style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.35 * max(len(chosen), 5) + 0.6, 6.4), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.05, 1])
        above, below = parts
        above.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=11)
        grid = above.subplots(2, len(chosen), squeeze=False)
        for column, i in enumerate(chosen):
            _picture(grid[0, column], pictures[i])
            _picture(grid[1, column], overlay(pictures[i], heat[i]))
            grid[0, column].set_title(f"{times[i]:.2f} s", fontsize=8.5)
        scale = above.colorbar(  # beside both rows, so that a map stays under its frame
            ScalarMappable(cmap=COLOURS), ax=grid, pad=0.01, aspect=12, shrink=0.45, anchor=(0, 0)
        )
        scale.set_ticks([0.0, 1.0], labels=["none", "most"])
        curve, bars = below.subplots(1, 2, width_ratios=[1.25, 1])
        if attention is not None:
            curve.plot(times, 100 * attention, color=_ORANGE, lw=1.1, ls=":", label="attention")
        _time_curve(curve, times, relevance, chosen)
        _region_bars(bars, regions)
        below.supxlabel(caption, fontsize=8, color=_INK, wrap=True)
        saved(figure, path)


def write_video(
    path: Path,
    pictures: UInt8[np.ndarray, "frame height width 3"],
    patches: Float[np.ndarray, "frame row column"],
    relevance: Float[np.ndarray, " frame"],
    times: Float[np.ndarray, " frame"],
    *,
    title: str,
    caption: str,
) -> None:
    """An MP4: the face, its map beside it, and relevance in time with the moment marked.

    It runs at the pace of the frames, so that it lasts as long as what it shows.
    """
    height, width = pictures.shape[1:3]
    heat = heat_maps(patches, height)
    panel, place = _panel(times, relevance, 2 * width, title, caption)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    size = (height + len(panel), 2 * width)
    with VideoWriter(path, 1 / step, size) as writer:
        for picture, warm, time in zip(pictures, heat, times, strict=True):
            under = panel.copy()
            under[place[1] : place[2], place[0](time)] = (213, 94, 0)
            beside = np.concatenate([picture, overlay(picture, warm)], axis=1)
            writer.write(np.concatenate([beside, under]))


def _picture(axes: Axes, image: UInt8[np.ndarray, "height width 3"]) -> None:
    axes.imshow(image)
    axes.set_axis_off()


def _time_curve(
    axes: Axes,
    times: Float[np.ndarray, " frame"],
    relevance: Float[np.ndarray, " frame"],
    marked: Sequence[int] = (),
) -> None:
    """Each frame's share of the clip's relevance, and what it would be if all were alike."""
    total = relevance.sum()
    share = 100 * relevance / total if total > 0 else np.zeros_like(relevance)
    axes.plot(times, share, color=_BLUE, lw=1.4, label="relevance")
    axes.plot(times[list(marked)], share[list(marked)], "o", ms=4, color=_BLUE)
    axes.axhline(100 / len(times), color=_GREY, ls="--", lw=1, label="all frames alike")
    lines = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()]
    axes.set_ylim(0, 1.15 * float(np.concatenate(lines).max()))
    axes.set_xlabel("time, s")
    axes.set_ylabel("share of the clip, %")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8)


def _region_bars(axes: Axes, regions: pd.DataFrame) -> None:
    """Share of relevance of each region, a mark at its share of the area."""
    rows = regions[regions["region"] != FACE].iloc[::-1]
    if rows.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no face, or no relevance", ha="center", va="center")
        return
    place = np.arange(len(rows))
    axes.barh(place, 100 * rows["relevance_share"], color=_BLUE, height=0.62, label="relevance")
    axes.plot(100 * rows["area_share"], place, "|", ms=13, mew=2.2, color=_INK, label="area")
    for at, (_, row) in enumerate(rows.iterrows()):
        right = 100 * max(row["relevance_share"], row["area_share"])
        axes.text(right, at, f"  ×{row['ratio']:.2f}", va="center", fontsize=8)
    names = [f"{r} *" if r == OUTSIDE else r for r in rows["region"]]
    axes.set_yticks(place, names)
    axes.set_xlim(0, 118 * float(rows[["relevance_share", "area_share"]].to_numpy().max()))
    axes.set_xlabel("share of the face, %   (* of the picture)")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)


def _panel(
    times: Float[np.ndarray, " frame"],
    relevance: Float[np.ndarray, " frame"],
    width: int,
    title: str,
    caption: str,
) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[Any, int, int]]:
    """The part under the video, drawn once, and where in it the mark of a moment goes."""
    with style(font_size=7.0):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        height = _CURVE_HEIGHT + 14 * (1 + caption.count("\n"))
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        canvas: Any = FigureCanvasAgg(figure)
        foot = 0.05 + 0.13 * (1 + caption.count("\n"))
        axes = figure.add_axes((0.09, foot + 0.2, 0.89, 0.83 - foot - 0.2))
        _time_curve(axes, times, relevance)
        axes.legend().remove()
        axes.set_ylabel("%")
        figure.text(0.01, 0.98, title, va="top", weight="bold", fontsize=8)
        figure.text(0.01, 0.02, caption, va="bottom", fontsize=6.5)
        canvas.draw()
        drawn: np.ndarray = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        box = axes.get_window_extent()
        transform = axes.transData

        def column(time: float) -> slice:
            at = round(float(transform.transform((time, 0.0))[0]))
            return slice(max(at - 1, 0), at + 1)

        top, bottom = round(len(drawn) - box.y1), round(len(drawn) - box.y0)
    even = drawn[: len(drawn) - len(drawn) % 2]
    return even, (column, top, bottom)


@contextmanager
def style(font_size: float = 9.0) -> Iterator[None]:
    """How all figures look."""
    import matplotlib as mpl

    style: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": font_size,
        "text.parse_math": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _INK,
    }
    with mpl.rc_context(style), warnings.catch_warnings():
        # a class name in a script that the font lacks is drawn as boxes: no reason to stop
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def saved(figure: Figure, path: Path) -> None:
    """Write a figure at once or not at all."""
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=_DPI * 1.5, metadata={"Software": None})
