"""What happens to the figure when a modality fails at test, in words and a table."""

from __future__ import annotations

from dolorimeter.report import words
from dolorimeter.report.blocks import Table, table
from dolorimeter.report.numbers import Degraded, Estimate, Numbers


def missing_table(label: str, n: Numbers) -> Table | None:
    """Score with each set of streams missing at test, and what it costs; None if not tried."""
    if not n.degradation:
        return None
    metric = n.main.metric
    rows = [("nothing", "0", *_cells(n.main), "–", "–", "")]
    rows += [
        (
            d.missing.replace("+", " + "),
            str(d.missing.count("+") + 1),
            *_cells(d.score),
            *_cells(d.loss),
            _read(n, d),
        )
        for d in n.degradation
    ]
    return table(
        f"{label}: modalities missing at test",
        (
            "Missing",
            "How many",
            words.capital(words.metric_name(metric)),
            "95 % interval",
            "Loss, person by person",
            "95 % interval",
            "Read",
        ),
        rows,
        numeric=(1, 2, 3, 4, 5),
        note="The model is the same, trained on everything; the features of what is missing are "
        "unknown in every test window. A loss below 0 is a gain.",
    )


def _cells(e: Estimate) -> tuple[str, str]:
    return words.value(e.mean, e.metric), words.interval(e.low, e.high, e.metric)


def _read(n: Numbers, d: Degraded) -> str:
    """What a reader may take from one row."""
    if d.loss.low > 0:
        said = "it is missed"
    elif d.loss.high < 0:
        said = "better without: look why"
    else:
        said = "no loss shown"
    if n.chance is not None and not d.score.low > n.chance:
        return f"{said}; no longer better than chance"
    return said
