"""Figures of a report, as SVG that stands inside a page.

Every function takes plain arrays and returns one ``<svg>`` element: no script, no address, no
date, identifiers that depend on the content only, text left as text, and ink in the page's own
colour (readable on a dark page). Colours are those of Okabe & Ito (2008), safe for colour-blind
readers; shape or position always says the same thing as the colour.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
"""Okabe & Ito's colours without yellow, which is too pale for lines, plus a brown."""

INK = "#010203"
"""Stands for the page's text colour until the figure is written (`currentColor`)."""

_MARKERS = "sD^vPX<>"
"""Shapes that tell points apart beside their colours."""

WIDTH, HEIGHT = 5.2, 3.3
"""Inches: at 72 points an inch, a figure as wide as a phone keeps its text above 9 px."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dolorimeter",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
}


class Canvas:
    """Axes of a figure being drawn, and the figure's SVG once it is finished."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def canvas(
    name: str, title: str, *, watermark: str = "", height: float = HEIGHT
) -> Iterator[Canvas]:
    """Axes to draw on; leaving the block writes ``.svg``.

    Parameters
    ----------
    name : str
        Short ASCII name, unique on the page: it keeps the identifiers of figures apart.
    title : str
        What a screen reader says, and what hovering shows.
    watermark : str
        Printed across the figure when not empty.
    height : float
        Inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A class name in a script that the measuring font lacks is still drawn by the browser.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        drawn = Canvas(figure.subplots())
        yield drawn
        if watermark:
            figure.text(
                0.5,
                0.52,
                watermark,
                ha="center",
                va="center",
                rotation=24,
                fontsize=21,
                color=PALETTE[1],
                alpha=0.35,
                weight="bold",
            )
        stream = io.StringIO()
        figure.savefig(
            stream,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    drawn.svg = _inline(stream.getvalue(), name, title)


def _inline(svg: str, name: str, title: str) -> str:
    """Only the ``<svg>`` element, its identifiers prefixed, sized by the page."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"#010203", "currentColor", svg, flags=re.IGNORECASE)
    svg = re.sub(r"font-family: [^;\"]*|font: ([\d.]+px)[^;\"]*", _font, svg)
    head = re.sub(r' (width|height)="[^"]*"', "", svg[: svg.index(">")])
    text = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'{head} role="img"><title>{text}</title>{svg[svg.index(">") + 1 :]}'


def _font(match: re.Match[str]) -> str:
    """The page's own font instead of the list of fonts on the machine that drew."""
    if match.group(1):
        return f"font: {match.group(1)} system-ui, sans-serif"
    return "font-family: system-ui, sans-serif"


def per_subject(
    name: str,
    scores: Mapping[str, float],
    *,
    chance: float | None,
    mean: float,
    interval: tuple[float, float] | None,
    metric: str,
    watermark: str = "",
) -> str:
    """Score of each subject, lowest first, with the mean, its interval and chance.

    Parameters
    ----------
    scores : mapping of subject to score
        One number a subject, the unit of the statistics.
    chance : float or None
        What guessing gives; None for a score without such a figure.
    mean : float
        The mean over subjects.
    interval : (float, float) or None
        95 % interval of the mean over subjects.
    metric : str
        Name of the score, for the axis.
    """
    ordered = sorted(scores.items(), key=lambda item: (item[1], item[0]))
    values = np.array([value for _, value in ordered], dtype=float)
    rows = np.arange(len(values))
    height = float(np.clip(1.1 + 0.17 * len(values), 2.2, 7.5))
    with canvas(name, f"{metric} of each subject", watermark=watermark, height=height) as drawn:
        axes = drawn.axes
        if interval is not None and np.isfinite(interval).all():
            axes.axvspan(*interval, color=PALETTE[0], alpha=0.15, lw=0, label="95 % interval")
        axes.axvline(mean, color=PALETTE[0], label=f"mean {mean:.3g}")
        if chance is not None:
            axes.axvline(chance, color=PALETTE[1], ls="--", label=f"chance {chance:.3g}")
        axes.plot(values, rows, "o", ms=4.5, color=INK)
        axes.set_xlabel(metric)
        if len(values) <= 40:
            axes.set_yticks(rows, [subject for subject, _ in ordered], fontsize=7.5)
        else:
            axes.set_yticks([])
            axes.set_ylabel(f"{len(values)} people, lowest first")
        axes.legend(loc="lower right" if len(values) > 8 else "best")
    return drawn.svg


def confusion(
    name: str,
    counts: Int[np.ndarray, "true predicted"],
    classes: Sequence[str],
    watermark: str = "",
) -> str:
    """Confusion matrix: counts, shaded by the share of each true class (row)."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with canvas(name, "Confusion matrix", watermark=watermark) as drawn:
        axes = drawn.axes
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (true, predicted), count in np.ndenumerate(counts):
            value = share[true, predicted]
            axes.text(
                predicted,
                true,
                f"{count}\n{100 * value:.0f} %",
                ha="center",
                va="center",
                color="white" if value > 0.55 else "black",
            )
        axes.set_xticks(range(len(classes)), [_short(c) for c in classes])
        axes.set_yticks(range(len(classes)), [_short(c) for c in classes])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(False)
    return drawn.svg


def roc(
    name: str,
    curves: Mapping[str, tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]],
    watermark: str = "",
) -> str:
    """Receiver operating characteristics: label → (false-positive rate, true-positive rate)."""
    with canvas(name, "ROC curve, pooled over windows", watermark=watermark) as drawn:
        axes = drawn.axes
        for colour, (label, (false, true)) in zip(_colours(), curves.items(), strict=False):
            axes.plot(false, true, color=colour, label=_short(label, 34))
        axes.plot([0, 1], [0, 1], ls="--", lw=1, color=INK, label="chance")
        axes.set_xlabel("false alarms (1 − specificity)")
        axes.set_ylabel("found (sensitivity)")
        axes.set_aspect("equal")
        axes.legend(loc="lower right")
    return drawn.svg


def reliability(
    name: str,
    predicted: Float[np.ndarray, " bin"],
    observed: Float[np.ndarray, " bin"],
    count: Int[np.ndarray, " bin"],
    watermark: str = "",
) -> str:
    """Reliability: what share was right among windows given about the same probability."""
    with canvas(name, "Reliability", watermark=watermark) as drawn:
        axes = drawn.axes
        axes.plot([0, 1], [0, 1], ls="--", lw=1, color=INK, label="perfect")
        axes.plot(predicted, observed, color=PALETTE[0], lw=1)
        size = 12 + 60 * count / max(int(count.max(initial=1)), 1)
        axes.scatter(predicted, observed, s=size, color=PALETTE[0], label="bin (area: windows)")
        axes.set_xlabel("probability given")
        axes.set_ylabel("share that was so")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.legend(loc="upper left")
    return drawn.svg


def intervals(
    name: str,
    rows: Sequence[tuple[str, float, float, float]],
    *,
    metric: str,
    title: str,
    chance: float | None = None,
    watermark: str = "",
) -> str:
    """Named scores with intervals, top to bottom: groups of people, seeds, models.

    Each row is (label, mean, low, high); low and high are NaN where there is no interval.
    """
    positions = np.arange(len(rows))[::-1]
    height = float(np.clip(1.0 + 0.32 * len(rows), 1.7, 6.5))
    with canvas(name, title, watermark=watermark, height=height) as drawn:
        axes = drawn.axes
        if chance is not None:
            axes.axvline(chance, color=PALETTE[1], ls="--", label=f"chance {chance:.3g}")
        for position, (_, mean, low, high) in zip(positions, rows, strict=True):
            if np.isfinite([low, high]).all():
                axes.plot([low, high], [position, position], color=PALETTE[0])
            axes.plot(mean, position, "o", ms=6, color=PALETTE[0])
        axes.set_yticks(positions, [_short(label, 30) for label, *_ in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(metric)
        if chance is not None:
            axes.legend(loc="best")
    return drawn.svg


def risk_coverage(
    name: str,
    curves: Mapping[str, tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]],
    watermark: str = "",
) -> str:
    """Share wrong when only the surest windows are answered: label → (coverage, risk)."""
    with canvas(name, "Risk and coverage", watermark=watermark) as drawn:
        axes = drawn.axes
        for colour, (label, (coverage, risk)) in zip(_colours(), curves.items(), strict=False):
            axes.plot(coverage, risk, color=colour, label=_short(label, 34))
        axes.set_xlabel("share of windows answered, surest first")
        axes.set_ylabel("share wrong among them")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")
    return drawn.svg


def decision(
    name: str,
    thresholds: Float[np.ndarray, " threshold"],
    model: Float[np.ndarray, " threshold"],
    always: Float[np.ndarray, " threshold"],
    watermark: str = "",
) -> str:
    """Decision curve: net benefit of acting on the model, on every window, and on none."""
    with canvas(name, "Decision curve", watermark=watermark) as drawn:
        axes = drawn.axes
        axes.plot(thresholds, model, color=PALETTE[0], label="act on the model")
        axes.plot(thresholds, always, color=PALETTE[1], ls="--", label="act on every window")
        axes.axhline(0, color=INK, lw=1, ls=":", label="never act")
        top = float(max(model.max(), always.max(), 0.05))
        axes.set_ylim(-0.3 * top, 1.1 * top)
        axes.set_xlim(0, 1)
        axes.set_xlabel("threshold on the probability")
        axes.set_ylabel("net benefit per window")
        axes.legend(loc="best")
    return drawn.svg


def degradation(
    name: str,
    whole: tuple[str, float, float, float],
    sets: Sequence[tuple[str, float, float, float]],
    means: Mapping[int, float],
    *,
    metric: str,
    chance: float | None = None,
    watermark: str = "",
) -> str:
    """Score over the number of modalities missing at test.

    Parameters
    ----------
    whole, sets
        Missing modalities joined by ``+``, mean, low and high; `whole` misses none.
    means : mapping of number missing to score
        The line.
    """
    with canvas(name, "Modalities missing at test", watermark=watermark, height=3.8) as drawn:
        axes = drawn.axes
        if chance is not None:
            axes.axhline(chance, color=PALETTE[1], ls="--", label=f"chance {chance:.3g}")
        axes.plot(list(means), list(means.values()), color=PALETTE[0], lw=1, label="mean")
        axes.errorbar(
            [0],
            [whole[1]],
            _arms([whole]),
            fmt="o",
            color=PALETTE[0],
            capsize=3,
            label="all there",
        )
        counts = [found[0].count("+") + 1 for found in sets]
        for place, (found, count) in enumerate(zip(sets, counts, strict=True)):
            mates = [i for i, c in enumerate(counts) if c == count]
            shift = 0.26 * (mates.index(place) - (len(mates) - 1) / 2)
            colour = PALETTE[2:][place % (len(PALETTE) - 2)]
            axes.errorbar(
                [count + shift],
                [found[1]],
                _arms([found]),
                fmt=_MARKERS[place % len(_MARKERS)],
                color=colour,
                capsize=3,
                label="no " + _short(found[0].replace("+", ", "), 34),
            )
        axes.set_xticks(range(max(counts) + 1))
        axes.set_xlim(-0.5, max(counts) + 0.6)
        axes.set_xlabel("modalities missing at test")
        axes.set_ylabel(metric)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
    return drawn.svg


def _arms(rows: Sequence[tuple[str, float, float, float]]) -> Any:
    """Lengths of error bars, none where there is no interval."""
    arms = [[mean - low, high - mean] for _, mean, low, high in rows]
    return np.clip(np.nan_to_num(np.array(arms, dtype=float)), 0.0, None).T


def scatter(
    name: str,
    target: Float[np.ndarray, " window"],
    prediction: Float[np.ndarray, " window"],
    watermark: str = "",
) -> str:
    """Predicted against true value of a regression, with the line of equality.

    At most 2,000 windows are drawn, evenly spaced in the order given, to keep the page small.
    """
    step = max(1, int(np.ceil(len(target) / 2000)))
    with canvas(name, "Predicted against true", watermark=watermark) as drawn:
        axes = drawn.axes
        both = np.concatenate([target, prediction])
        ends = [float(np.nanmin(both)), float(np.nanmax(both))] if both.size else [0.0, 1.0]
        axes.plot(ends, ends, ls="--", lw=1, color=INK, label="equal")
        axes.plot(
            target[::step],
            prediction[::step],
            ".",
            ms=4,
            alpha=0.45,
            color=PALETTE[0],
            label="one window",
            rasterized=len(target) > 800,
        )
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.legend(loc="best")
    return drawn.svg


def _colours() -> Iterator[str]:
    while True:
        yield from PALETTE


def _short(text: Any, length: int = 18) -> str:
    """A label that fits, on one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"
