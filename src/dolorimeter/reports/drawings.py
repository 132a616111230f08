"""Which figures a run gets, and what a reader should see in each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dolorimeter.evaluation import Run, probabilities_of
from dolorimeter.reports import curves, figures, words
from dolorimeter.reports.blocks import Figure
from dolorimeter.reports.numbers import Numbers


def of_run(letter: str, run: Run, n: Numbers, watermark: str) -> Iterator[Figure]:
    """Figures of one run.

    Parameters
    ----------
    letter : str
        Of the run on the page; keeps the figures' identifiers apart.
    watermark : str
        Across every figure when not empty.
    """
    name = f"fig{letter}".lower()
    metric, unit = _axis(n)
    if not n.main.pooled:  # dots of a few subjects beside a pooled figure would mislead
        yield Figure(
            figures.per_subject(
                f"{name}-people",
                {_short(s): unit * v for s, v in n.scores.items()},
                chance=None if n.chance is None else unit * n.chance,
                mean=unit * n.main.mean,
                interval=(unit * n.main.low, unit * n.main.high) if n.main.has_interval else None,
                metric=metric,
                watermark=watermark,
            ),
            f"Each dot is one person. {_spread(n)}",
        )
    yield from (
        _of_classes(name, run, n, watermark)
        if n.is_classifier
        else _of_target(name, run, watermark)
    )
    yield from _of_missing(name, n, watermark)
    yield from _of_groups(name, n, watermark)
    yield from _of_seeds(name, n, watermark)


def _axis(n: Numbers) -> tuple[str, float]:
    """Name of the main metric on an axis, and what its values are multiplied with."""
    name = words.metric_name(n.main.metric)
    return (f"{name}, %", 100.0) if n.main.metric in words.SHARES else (name, 1.0)


def _spread(n: Numbers) -> str:
    """What the dots say."""
    if n.chance is None or not n.scores:
        return "The band is the 95 % interval of the mean."
    below = sum(v <= n.chance for v in n.scores.values())
    return f"{below} of {len(n.scores)} people are at or below chance."


def _of_classes(name: str, run: Run, n: Numbers, watermark: str) -> Iterator[Figure]:
    p = probabilities_of(run.predictions)
    label = run.predictions["label"].to_numpy(dtype=int)
    guess = p.argmax(axis=1)
    counts = np.zeros((len(n.classes), len(n.classes)), dtype=int)
    np.add.at(counts, (label, guess), 1)
    yield Figure(
        figures.confusion(f"{name}-confusion", counts, n.classes, watermark),
        "Rows are what was, columns what was predicted; per cent are of the row.",
    )
    positives = [1] if len(n.classes) == 2 else range(len(n.classes))
    lines = {n.classes[c]: curves.roc_points(label == c, p[:, c]) for c in positives}
    lines = {k: v for k, v in lines.items() if len(v[0])}
    if lines:
        yield Figure(
            figures.roc(f"{name}-roc", lines, watermark),
            "All windows pooled, each class against the others.",
        )
    right, sure = guess == label, p.max(axis=1)
    happened, given = (label == 1, p[:, 1]) if len(n.classes) == 2 else (right, sure)
    yield Figure(
        figures.reliability(
            f"{name}-reliability", *curves.reliability_points(happened, given), watermark
        ),
        "On the dashed line a probability means what it says; below it, the model is too sure."
        if len(n.classes) > 2
        else f"Probability of {n.classes[1]}: on the dashed line it means what it says.",
    )
    yield Figure(
        figures.risk_coverage(
            f"{name}-risk", {run.model: curves.risk_coverage_points(label, p)}, watermark
        ),
        "A model that knows when it is unsure has a line that rises to the right: left of it, "
        "it keeps silent on the windows that it would get wrong.",
    )
    if len(n.classes) == 2:
        yield Figure(
            figures.decision(f"{name}-decision", *curves.decision_points(label, p), watermark),
            f"Net benefit of acting when the probability of {n.classes[1]} is above a threshold. "
            "The model helps where its line lies above both others; to the left false alarms "
            "are cheap, to the right they are dear.",
        )


def _of_target(name: str, run: Run, watermark: str) -> Iterator[Figure]:
    rows = run.predictions.dropna(subset=["target", "prediction"])
    yield Figure(
        figures.scatter(
            f"{name}-scatter",
            rows["target"].to_numpy(dtype=float),
            rows["prediction"].to_numpy(dtype=float),
            watermark,
        ),
        "Each dot is one window; a useful model follows the dashed line.",
    )


def _of_missing(name: str, n: Numbers, watermark: str) -> Iterator[Figure]:
    if not n.degradation:
        return
    metric, unit = _axis(n)
    sets = [
        (d.missing, unit * d.score.mean, unit * d.score.low, unit * d.score.high)
        for d in n.degradation
    ]
    means = {0: unit * n.main.mean} | {k: unit * e.mean for k, e in n.degradation_curve.items()}
    yield Figure(
        figures.degradation(
            f"{name}-missing",
            ("", unit * n.main.mean, unit * n.main.low, unit * n.main.high),
            sets,
            means,
            metric=metric,
            chance=None if n.chance is None else unit * n.chance,
            watermark=watermark,
        ),
        "The same model with modalities missing at test: each point is a set of missing ones with "
        "its 95 % interval over people, the line is the mean of so many missing.",
    )


def _of_groups(name: str, n: Numbers, watermark: str) -> Iterator[Figure]:
    if not n.group_estimates:
        return
    metric, unit = _axis(n)
    yield Figure(
        figures.intervals(
            f"{name}-groups",
            [
                (label, unit * e.mean, unit * e.low, unit * e.high)
                for label, e in n.group_estimates
            ],
            metric=metric,
            title="Groups of people",
            chance=None if n.chance is None else unit * n.chance,
            watermark=watermark,
        ),
        "Mean and 95 % interval of each group; a gap is only as sure as these intervals.",
    )


def _of_seeds(name: str, n: Numbers, watermark: str) -> Iterator[Figure]:
    if len(n.seed_scores) < 2:
        return
    metric, unit = _axis(n)
    rows = [(f"seed {s}", unit * v, np.nan, np.nan) for s, v in n.seed_scores.items()]
    yield Figure(
        figures.intervals(
            f"{name}-seeds",
            rows,
            metric=metric,
            title="Seeds",
            watermark=watermark,
        ),
        "The same model from other starting points: differences smaller than this spread mean "
        "nothing.",
    )


def _short(name: str, longest: int = 24) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
