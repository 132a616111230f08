"""A run as a small table for a notebook."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from dolorimeter import metrics

NOT_A_DEVICE = "Research software, not a medical device."


def run_html(run: Any, summary: Any) -> str:
    """Return the main numbers of a run as HTML, without scripts or assets from outside.

    Parameters
    ----------
    run : Run
    summary : Summary

    Returns
    -------
    str
        A title, one row per metric and baseline, and below it what was left out, failed folds,
        notes and the notice.
    """
    names = run.scoring or tuple(metrics.by_kind(run.target_kind))
    rows = [(run.model, name, summary.by_subject[name]) for name in names]
    rows += [(model, summary.main, score) for model, score in summary.baselines.items()]
    body = "".join(
        f"<tr><td>{escape(model)}</td><td>{escape(name.replace('_', ' '))}</td>"
        f"<td>{_number(score.mean)}{' (pooled)' if score.pooled else ''}</td>"
        f"<td>{_number(score.low)} – {_number(score.high)}"
        f"{' (unreliable)' if score.unreliable else ''}</td>"
        f"<td>{score.subjects}</td><td>{score.undefined or ''}</td></tr>"
        for model, name, score in rows
    )
    head = "".join(
        f"<th>{text}</th>"
        for text in ("model", "metric", "mean of subjects", "95 % interval", "subjects",
                     "undefined")
    )  # fmt: skip
    lines = [*_lines(run, summary), NOT_A_DEVICE]
    return (
        f"<div><p><b>{escape(run.model)}</b>: {summary.subjects} subjects, "
        f"{summary.windows} samples"
        f"{', classes ' + escape(', '.join(run.classes)) if run.classes else ''}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></div>"
    )


def _lines(run: Any, summary: Any) -> list[str]:
    """What a reader must know beside the numbers."""
    lines = []
    if run.lookalike:
        lines.append("Look-alike data: no statement about people.")
    main = summary.by_subject[summary.main]
    if main.unreliable:
        lines.append(f"The interval is unreliable: {main.unreliable}.")
    if main.pooled:
        lines.append(f"There is no mean of subjects: {main.pooled}.")
    level = summary.chance.get("main", math.nan)
    if math.isfinite(level):
        lines.append(f"Chance in {summary.main.replace('_', ' ')}: {level:.3f}.")
    if run.question.selection.startswith("oracle"):
        lines.append(f"{run.question.selection}: chosen on the labels that are reported.")
    if len(run.failures):
        lines.append(f"{len(run.failures)} folds failed: {run.failures['error'].iloc[0]}")
    if len(run.exclusions):
        lines.append(f"{len(run.exclusions)} windows or recordings were left out.")
    return [*lines, *run.notes]


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"
