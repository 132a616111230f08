"""Tables beyond the figure: a modality that fails, a model that keeps silent, and its worth."""

from __future__ import annotations

from collections.abc import Iterator

from dolorimeter.reports import words
from dolorimeter.reports.blocks import Table, table
from dolorimeter.reports.numbers import Degraded, Estimate, Numbers


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


def fragile(n: Numbers) -> Iterator[str]:
    """A sentence for the one modality that is missed most, and for thinned classes."""
    single = [d for d in n.degradation if "+" not in d.missing and d.loss.low > 0]
    if single:
        worst = max(single, key=lambda d: d.loss.mean)
        value, between = _cells(worst.score)
        yield f"If {worst.missing} is missing at test: {value} ({between}){_lost(n, worst.score)}."
    if n.thinned is not None:
        value, between = _cells(n.thinned)
        yield (
            "If nine of ten windows of the test person are of one class: "
            f"{value} ({between}){_lost(n, n.thinned)}."
        )


def _lost(n: Numbers, score: Estimate) -> str:
    """Whether a figure that was better than chance no longer is."""
    gone = n.chance is not None and n.main.low > n.chance >= score.low
    return ", no longer better than chance" if gone else ""


def silence_table(label: str, n: Numbers) -> Table | None:
    """Share wrong when only the surest windows are answered; None for a regressor."""
    if not n.abstention:
        return None
    return table(
        f"{label}: errors when the model may keep silent",
        ("Windows answered, surest first", "Wrong among them"),
        [(f"{100 * share:g} %", f"{100 * risk:.1f} %") for share, risk in n.abstention.items()],
        numeric=(0, 1),
        folded=True,
    )


def worth_table(label: str, n: Numbers) -> Table | None:
    """Net benefit at some thresholds; None unless there are two classes."""
    if not n.net_benefit:
        return None
    return table(
        f"{label}: decision curve",
        ("Act from a probability of", "Act on the model", "Act on every window", "Never act"),
        [
            (f"{threshold:g}", f"{model:.3f}", f"{always:.3f}", "0")
            for threshold, (model, always) in n.net_benefit.items()
        ],
        numeric=(0, 1, 2, 3),
        folded=True,
        note="Net benefit per window, in right alarms (Vickers and Elkin 2006): a threshold of "
        "0.2 means that one right alarm is worth four false ones.",
    )


def _cells(e: Estimate) -> tuple[str, str]:
    return words.value(e.mean, e.metric), words.interval(e.low, e.high, e.metric, e.unreliable)


def _read(n: Numbers, d: Degraded) -> str:
    """What a reader may take from one row."""
    if d.loss.low > 0:
        said = "it is missed"
    elif d.loss.high < 0:
        said = "better without: look why"
    else:
        said = "no loss shown"
    return said + _lost(n, d.score).replace(",", ";", 1)
