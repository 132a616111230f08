"""Reports: one self-contained page, the same as Markdown and JSON, and paired comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dolorimeter.audit import Finding
from dolorimeter.errors import ConfigError
from dolorimeter.evaluation import Run
from dolorimeter.report import words
from dolorimeter.report.comparison import Comparison, compare, compare_all
from dolorimeter.report.faces import FaceFindings, write_faces
from dolorimeter.report.html import html
from dolorimeter.report.markdown import markdown, table_markdown
from dolorimeter.report.numbers import numbers
from dolorimeter.report.page import NOT_A_DEVICE, Entry, build, by_question, runs_table
from dolorimeter.report.pseudonyms import hide
from dolorimeter.storage import write_text

__all__ = [
    "Comparison",
    "FaceFindings",
    "ReportPaths",
    "compare",
    "compare_all",
    "markdown_table",
    "table_rows",
    "write_faces",
    "write_report",
]


@dataclass(frozen=True)
class ReportPaths:
    """The three files of a report."""

    html: Path
    markdown: Path
    json: Path


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    findings: Sequence[Sequence[Finding]] | None = None,
    reveal_subjects: bool = False,
    command: str = "",
) -> ReportPaths:
    """Write the report of one or more runs; the first run's question leads.

    Parameters
    ----------
    runs : sequence of Run
    out : Path
        A file ending in ``.html``, or a folder that gets ``report.html``. Markdown and JSON stand
        beside it.
    findings : sequence of sequences of Finding, optional
        What `audit` found, one sequence a run; where it is empty the page says that nobody looked.
    reveal_subjects : bool
        Print subjects' own names instead of S01, S02 and so on.
    command : str
        What made the report, printed at its end.

    Raises
    ------
    ConfigError
        If there is no run, or findings are not one sequence a run.
    """
    if not runs:
        raise ConfigError("a report needs at least one run.")
    found = [()] * len(runs) if findings is None else list(findings)
    if len(found) != len(runs):
        raise ConfigError(f"{len(found)} lists of findings for {len(runs)} runs: give one each.")
    page, entries = build(runs, found, reveal_subjects=reveal_subjects, command=command)
    out = Path(out)
    target = out if out.suffix == ".html" else out / "report.html"
    paths = ReportPaths(target, target.with_suffix(".md"), target.with_suffix(".json"))
    write_text(paths.html, html(page))
    write_text(paths.markdown, markdown(page))
    document = {
        "format": 1,
        "notice": NOT_A_DEVICE,
        "watermark": page.watermark,
        "runs": [_plain_run(entry) for entry in entries],
    }
    write_text(paths.json, json.dumps(_plain(document), indent=1, ensure_ascii=False) + "\n")
    return paths


def table_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """One row a run for the terminal: model, main score, interval, chance, pooled figures."""
    rows = []
    for run in runs:
        n = numbers(run)
        row = {
            "model": run.model,
            "question": run.question.hash,
            "people": str(n.subjects),
            "metric": words.metric_name(n.main.metric),
            "mean of people": words.value(n.main.mean, n.main.metric),
            "95 % interval": words.interval(n.main.low, n.main.high, n.main.metric),
            "chance": words.value(n.chance, n.main.metric),
        }
        pooled = ("accuracy", "auroc") if n.is_classifier else ("mae", "pearson")
        row |= {f"{words.metric_name(m)}, pooled": words.value(n.pooled[m], m) for m in pooled}
        nuisance = n.baselines.get("nuisance")
        if nuisance is not None:
            row["nuisance"] = words.value(nuisance.mean, nuisance.metric)
        row["selection"] = run.question.selection
        row["covered"] = n.coverage
        rows.append(row)
    if not any(row["covered"] for row in rows):
        rows = [{k: v for k, v in row.items() if k != "covered"} for row in rows]
    return rows


def markdown_table(runs: Sequence[Run]) -> str:
    """The table of runs as Markdown, one table a question."""
    if not runs:
        raise ConfigError("a table needs at least one run.")
    _, entries = build(runs, [()] * len(runs))
    parts = []
    for group in by_question(entries):
        question = group[0].run.question
        made = runs_table(group, f"{words.task_words(question)} in {words.data_name(question)}")
        parts.append(f"**{made.caption}**\n\n{table_markdown(made)}")
    if any(run.lookalike for run in runs):
        parts.append("Look-alike data: no statement about people.")
    return "\n\n".join([*parts, NOT_A_DEVICE]) + "\n"


def _plain_run(entry: Entry) -> dict[str, Any]:
    """One run of the JSON document, with subjects under their printed names."""
    run, n = entry.run, asdict(entry.numbers)
    n["scores"] = {entry.names.get(s, s): v for s, v in entry.numbers.scores.items()}
    n["lowest"] = hide(entry.numbers.lowest, entry.names)
    n["remarks"] = [hide(text, entry.names) for text in entry.numbers.remarks]
    excluded = run.exclusions.to_dict("records")
    return {
        "label": entry.label,
        "model": run.model,
        "question": asdict(run.question),
        "question_hash": run.question.hash,
        "lookalike": run.lookalike,
        "label_source": run.label_source,
        "seeds": list(run.seeds),
        "numbers": n,
        "findings": [
            f.to_dict()
            | {
                "where": hide(f.where, entry.names, numbers=True),
                "message": hide(f.message, entry.names),
            }
            for f in entry.findings
        ],
        "exclusions": [
            {
                "subject": entry.names.get(str(row["subject"]), str(row["subject"])),
                "recording": hide(str(row["recording"]), entry.names, numbers=True),
                "what": str(row["what"]),
                "reason": hide(str(row["reason"]), entry.names),
            }
            for row in excluded
        ],
        "notes": [hide(note, entry.names) for note in run.notes],
        "environment": dict(run.environment),
    }


def _plain(value: Any) -> Any:
    """The value as JSON knows it: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
