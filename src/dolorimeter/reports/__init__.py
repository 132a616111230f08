"""Reports: one self-contained page, the same as Markdown and JSON, and paired comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from dolorimeter._on_demand import notice
from dolorimeter.audits import Finding
from dolorimeter.errors import ConfigError
from dolorimeter.evaluation import Run
from dolorimeter.reports import words
from dolorimeter.reports.comparison import Comparison, compare, compare_all
from dolorimeter.reports.faces import FaceFindings, write_faces
from dolorimeter.reports.html import html
from dolorimeter.reports.markdown import markdown, table_markdown
from dolorimeter.reports.numbers import numbers
from dolorimeter.reports.page import (
    NOT_A_DEVICE,
    Entry,
    build,
    by_question,
    runs_table,
    verdict,
)
from dolorimeter.storage import write_text

__all__ = [
    "Comparison",
    "FaceFindings",
    "Report",
    "ReportPaths",
    "compare",
    "compare_all",
    "markdown_table",
    "report",
    "statements",
    "table_rows",
    "write_faces",
    "write_report",
]


@dataclass(frozen=True)
class ReportPaths:
    """Files of a saved report: HTML, Markdown and JSON."""

    html: Path
    markdown: Path
    json: Path


@dataclass(frozen=True)
class Report:
    """Report of one or more runs, as text that is ready to be saved or shown in a notebook.

    Parameters
    ----------
    html, markdown : str
        The self-contained page, and the same content as Markdown.
    json : str
        The numbers behind the page, as a JSON document.
    paths : ReportPaths, optional
        Files the report was saved to; None if it was not saved.
    """

    html: str
    markdown: str
    json: str
    paths: ReportPaths | None = None

    def save(self, out: str | Path) -> ReportPaths:
        """Write the three files.

        Parameters
        ----------
        out : str or Path
            A file ending in ``.html``, or a folder that gets ``report.html``. Markdown and JSON
            are written beside it.

        Returns
        -------
        ReportPaths
        """
        out = Path(out)
        target = out if out.suffix == ".html" else out / "report.html"
        paths = ReportPaths(target, target.with_suffix(".md"), target.with_suffix(".json"))
        write_text(paths.html, self.html)
        write_text(paths.markdown, self.markdown)
        write_text(paths.json, self.json)
        return paths

    def __str__(self) -> str:
        """Return the report as Markdown: the HTML page is no text to read."""
        return self.markdown

    def __repr__(self) -> str:
        """Return where the report is, in one line."""
        where = "not saved" if self.paths is None else f"saved as {self.paths.html}"
        return f"Report({where}; {len(json.loads(self.json)['runs'])} runs)"

    def _repr_html_(self) -> str:
        """Return the page as an iframe, so that its styles do not change the notebook."""
        return (
            f'<iframe srcdoc="{escape(self.html, quote=True)}" title="dolorimeter report" '
            'style="width:100%;height:40em;border:1px solid #ccc"></iframe>'
        )


def report(
    run_or_runs: Any,
    out: str | Path | None = None,
    *,
    findings: Sequence[Finding] | Sequence[Sequence[Finding]] | None = None,
    reveal_subjects: bool = False,
    command: str = "",
) -> Report:
    """Make the report of one or more runs.

    Parameters
    ----------
    run_or_runs : Run or sequence of Run
        The question of the first run leads the report.
    out : str or Path, optional
        A file ending in ``.html``, or a folder that gets ``report.html``. Markdown and JSON are
        written beside it. With None (the default) nothing is written.
    findings : sequence of Finding, or one such sequence per run, optional
        Results of `audit`. Without them the page says that the run was not audited.
    reveal_subjects : bool, default False
        Print the subjects' own names instead of S01, S02 and so on.
    command : str, default ""
        Command that made the report, printed at its end.

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        If there is no run, or not one sequence of findings per run.

    Examples
    --------
    >>> import dolorimeter as dl
    >>> dl.report([])
    Traceback (most recent call last):
    dolorimeter.errors.ConfigError: a report needs at least one run.
    """
    runs = list(run_or_runs) if isinstance(run_or_runs, list | tuple) else [run_or_runs]
    for each in runs:
        if not isinstance(each, Run):
            raise ConfigError(
                f"a report is made of runs, and one is {each!r}: pass the result of evaluate, or "
                "Run.load(folder)."
            )
    if out is not None and Path(out).suffix not in ("", ".html") and not Path(out).is_dir():
        raise ConfigError(f"{out}: expected a file ending in .html, or a folder.")
    if not runs:
        raise ConfigError("a report needs at least one run.")
    of_runs = _findings_of_runs(findings, len(runs))
    page, entries = build(runs, of_runs, reveal_subjects=reveal_subjects, command=command)
    document = {
        "format": 1,
        "notice": NOT_A_DEVICE,
        "watermark": page.watermark,
        "runs": [_plain_run(entry) for entry in entries],
    }
    text_report = Report(
        html(page),
        markdown(page),
        json.dumps(_plain(document), indent=1, ensure_ascii=False) + "\n",
    )
    return text_report if out is None else replace(text_report, paths=text_report.save(out))


def _findings_of_runs(
    findings: Sequence[Finding] | Sequence[Sequence[Finding]] | None, runs: int
) -> list[Sequence[Finding]]:
    """Findings as one sequence per run; a plain list of findings belongs to a single run."""
    if findings is None:
        return [()] * runs
    lists: list[Any] = list(findings)
    if runs == 1 and all(isinstance(each, Finding) for each in lists):
        return [lists]
    if len(lists) != runs:
        raise ConfigError(
            f"{len(lists)} lists of findings for {runs} runs: pass one list per run."
        )
    return lists


def write_report(runs: Sequence[Run], out: str | Path, **options: Any) -> ReportPaths:
    """Write a report. Old name of `report`, kept for one release."""
    notice("dolorimeter.write_report", "dolorimeter.report")
    paths = report(runs, out, **options).paths
    assert paths is not None
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
            "failed folds": str(n.failed_folds or ""),
            "kept out": str(n.excluded or ""),
            "metric": words.metric_name(n.main.metric),
            "mean of people": words.value(n.main.mean, n.main.metric)
            + (" (pooled)" if n.main.pooled else ""),
            "95 % interval": words.interval(
                n.main.low, n.main.high, n.main.metric, n.main.unreliable
            ),
            "chance": words.value(n.chance, n.main.metric),
        }
        pooled = ("accuracy", "auroc") if n.is_classifier else ("mae", "pearson")
        row |= {f"{words.metric_name(m)}, pooled": words.value(n.pooled[m], m) for m in pooled}
        nuisance = n.baselines.get("nuisance")
        if nuisance is not None:
            row["nuisance"] = words.value(nuisance.mean, nuisance.metric)
        before = n.baselines.get("level_before")
        if before is not None:
            row["previous stimulus"] = words.value(before.mean, before.metric)
        row["selection"] = run.question.selection
        row["covered"] = n.coverage
        rows.append(row)
    if not any(row["covered"] for row in rows):
        rows = [{k: v for k, v in row.items() if k != "covered"} for row in rows]
    return rows


def statements(run: Run, findings: Sequence[Finding] = ()) -> list[str]:
    """Return what a report says first of a run: chance, baselines, reliability and audit.

    Parameters
    ----------
    run : Run
    findings : sequence of Finding
        Results of `audit`; without them the run counts as not audited.

    Returns
    -------
    list of str
        Sentences, without names of subjects.
    """
    entry = Entry("A", run, numbers(run), tuple(findings))
    return list(verdict(entry, run).sentences)


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
    """One run of the JSON document, under pseudonyms."""
    run = entry.run
    return {
        "label": entry.label,
        "model": run.model,
        "question": asdict(run.question),
        "question_hash": run.question.hash,
        "lookalike": run.lookalike,
        "label_source": run.label_source,
        "seeds": list(run.seeds),
        "numbers": asdict(entry.numbers),
        "findings": [f.to_dict() for f in entry.findings],
        "exclusions": run.exclusions.to_dict("records"),
        "notes": list(run.notes),
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
