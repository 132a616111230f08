"""Verbs about runs: evaluate, study, report, compare, audit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dolorimeter.cli._app import (
    AsLive,
    ExperimentFile,
    FirstSubjects,
    Json,
    Overrides,
    Root,
    Workers,
    app,
    purge,
    study,
)
from dolorimeter.cli._printing import Progress, close, leaving_out, options_of, records, show

KEPT_OUT_SHOWN = 5
"""Reasons that `evaluate` prints; the report has all of them."""

RunFolder = Annotated[Path, typer.Argument(help="Run folder.")]
ThreadsPerFold = Annotated[int, typer.Option(min=1, help="Threads of each fold.")]


@app.command()
def evaluate(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="Run folder; the same command resumes it.")],
    root: Root = None,
    test_root: Annotated[
        Path | None, typer.Option(help="Root of the second data set, across data sets.")
    ] = None,
    subjects: FirstSubjects = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs of a network; its warm-up keeps its share of them."),
    ] = None,
    override: Overrides = None,
    workers: Workers = 1,
    cluster: Annotated[str | None, typer.Option(help="ray or dask: folds on a cluster.")] = None,
    cluster_address: Annotated[
        str | None, typer.Option(help="Address of a running cluster; else a local one.")
    ] = None,
    threads_per_fold: ThreadsPerFold = 1,
    keep_models: Annotated[bool, typer.Option(help="Keep the fitted model of each fold.")] = False,
    permutations: Annotated[
        int,
        typer.Option(min=0, help="Refit on shuffled labels so many times, for a p-value (999)."),
    ] = 0,
    demographics: Annotated[
        list[str] | None,
        typer.Option(help="Column of facts of the subjects, such as sex; repeatable."),
    ] = None,
    as_live: AsLive = False,
    cache: Annotated[bool, typer.Option(help="Keep represented windows in the cache.")] = True,
    as_json: Json = False,
) -> None:
    """Run an experiment: every fold, its predictions, its access record, its audit."""
    from dolorimeter.experiment import of_epochs, read_experiment, run

    overrides = {} if epochs is None else of_epochs(experiment, epochs)
    overrides |= options_of(override)
    if subjects is not None:
        overrides["dataset.first"] = subjects
    if demographics:
        overrides["demographics"] = demographics
    if as_live:
        overrides["as_live"] = True
    found = run(
        read_experiment(experiment, overrides, paths_exist=True),
        root,
        out,
        test_root=test_root,
        workers=workers,
        backend=cluster,
        cluster_address=cluster_address,
        threads_per_fold=threads_per_fold,
        keep_models=keep_models,
        cache=cache,
        permutations=permutations,
        progress=Progress,
    )
    _show_runs([found], as_json, [out])


def _show_runs(runs: Sequence[Any], as_json: bool, folders: Sequence[Path]) -> None:
    """One row a run; what every one of them says in its notes once."""
    from dolorimeter.experiment import read_findings
    from dolorimeter.reports import statements, table_rows

    rows = table_rows(runs)
    sentences = [
        statements(run, read_findings(folder)) for run, folder in zip(runs, folders, strict=True)
    ]
    if as_json:
        told = [
            {
                "run": str(folder),
                "notes": run.notes,
                "kept_out": len(run.exclusions),
                "kept_out_reasons": _kept_out(run.exclusions),
                "statements": said,
            }
            for folder, run, said in zip(folders, runs, sentences, strict=True)
        ]
        show([row | more for row, more in zip(rows, told, strict=True)], True)
        return
    told = rows if len({row["question"] for row in rows}) > 1 else leaving_out(rows, "question")
    show(told, False)
    for run, said in zip(runs, sentences, strict=True):
        prefix = f"{run.model}: " if len(runs) > 1 else ""
        for sentence in said:
            if sentence != "Look-alike data: no statement about people.":  # said below
                typer.echo(f"{prefix}{sentence}")
    if len(runs) == 1:
        if len(runs[0].exclusions):
            typer.echo(f"kept out, with reasons in the report: {len(runs[0].exclusions)}")
            for row in _kept_out(runs[0].exclusions)[:KEPT_OUT_SHOWN]:
                names = row["subjects"]
                shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
                typer.echo(f"  {row['count']} (subjects: {shown or 'none'}): {row['reason']}")
        for note in runs[0].notes:
            typer.echo(f"note: {note}")
    if any(run.lookalike for run in runs):
        typer.echo("Look-alike data: no statement about people.")
    typer.echo("Research software, not a medical device.")


def _kept_out(exclusions: Any) -> list[dict[str, Any]]:
    """Exclusions counted by reason, the most frequent first."""
    counted = [
        {
            "reason": str(reason),
            "count": len(part),
            "subjects": sorted({str(s) for s in part["subject"] if str(s)}),
        }
        for reason, part in exclusions.groupby("reason", sort=True)
    ]
    return sorted(counted, key=lambda row: -row["count"])


@study.command()
def sweep(
    experiment: ExperimentFile,
    key: Annotated[str, typer.Argument(help="DOTTED.KEY, streams.0.representation.stride.")],
    values: Annotated[list[str], typer.Argument(help="Its values, one run each.")],
    out: Annotated[Path, typer.Option(help="Folder: one run folder a value.")],
    root: Root = None,
    subjects: FirstSubjects = None,
    override: Overrides = None,
    workers: Workers = 1,
    threads_per_fold: ThreadsPerFold = 1,
    as_json: Json = False,
) -> None:
    """Run an experiment once for each value of a key: score and run time, nothing from cache."""
    from dolorimeter.experiment import sweep as run_each

    overrides = options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    parsed = [options_of([f"v={value}"])["v"] for value in values]
    table = run_each(
        experiment,
        key,
        parsed,
        root,
        out,
        overrides=overrides,
        workers=workers,
        threads_per_fold=threads_per_fold,
        progress=Progress,
    )
    show(records(table), as_json, f"{key} of {experiment}")
    close(table, as_json)


@study.command()
def occlusion(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="Run folder; keeps each fold's model.")],
    region: Annotated[
        list[str] | None,
        typer.Option(help="eyes, brows, nose, mouth, upper, lower, left, right; repeatable."),
    ] = None,
    share: Annotated[
        list[float] | None, typer.Option(help="Share of it that is covered; repeatable.")
    ] = None,
    root: Root = None,
    subjects: FirstSubjects = None,
    override: Overrides = None,
    workers: Workers = 1,
    threads_per_fold: ThreadsPerFold = 1,
    as_json: Json = False,
) -> None:
    """Test models of clear faces on faces that are partly covered: score against region, share."""
    from dolorimeter.experiment import occlusion as cover
    from dolorimeter.experiment import read_experiment

    overrides = options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    given: dict[str, Any] = {} if not region else {"regions": region}
    given |= {} if not share else {"shares": share}
    table = cover(
        read_experiment(experiment, overrides, paths_exist=True),
        root,
        out,
        workers=workers,
        threads_per_fold=threads_per_fold,
        progress=Progress,
        **given,
    )
    show(records(table), as_json, f"occlusion of {experiment}")
    close(table, as_json)


@study.command()
def relevance(
    experiment: Annotated[Path, typer.Argument(help="A TOML file with two classes.")],
    out: Annotated[Path, typer.Option(help="Folder: a model a level, and relevance.csv.")],
    level: Annotated[
        list[str] | None,
        typer.Option(help="Told from the first class; repeatable; default PA1 to PA4."),
    ] = None,
    people: Annotated[int, typer.Option(min=1, help="Kept out of the fit, explained.")] = 2,
    clips: Annotated[int, typer.Option(min=1, help="Of each of them and each level.")] = 1,
    root: Root = None,
    override: Overrides = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Relevance of face regions against their area, in models of rest against each level."""
    from dolorimeter.experiment import read_experiment
    from dolorimeter.experiment import relevance as of_levels

    given: dict[str, Any] = {} if not level else {"levels": level}
    table = of_levels(
        read_experiment(experiment, options_of(override), paths_exist=True),
        root,
        out,
        people=people,
        clips=clips,
        workers=workers,
        progress=Progress,
        **given,
    )
    show(records(table), as_json, f"relevance by region, {experiment}")
    for text in table.attrs["notes"] if not as_json else ():
        typer.echo(f"note: {text}")
    close(table, as_json)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option(help="HTML file; else report.html in the first run.")
    ] = None,
    reveal_subjects: Annotated[bool, typer.Option(help="Do not pseudonymise subjects.")] = False,
    as_json: Json = False,
) -> None:
    """Make one self-contained page of one or more runs, beside the published figures."""
    from dolorimeter.evaluation import Run
    from dolorimeter.experiment import read_findings
    from dolorimeter.reports import report as make_report

    loaded = [Run.load(run) for run in runs]
    made = make_report(
        loaded,
        out or runs[0] / "report.html",
        findings=[read_findings(run) for run in runs],
        reveal_subjects=reveal_subjects,
    )
    _show_runs(loaded, as_json, runs)
    if not as_json and made.paths:
        typer.echo(f"report: {made.paths.html}")


@app.command()
def compare(
    first: RunFolder,
    second: RunFolder,
    metric: Annotated[str, typer.Option(help="Metric that is compared by subject.")] = "",
    across_protocols: Annotated[bool, typer.Option(help="Allow different questions.")] = False,
    as_json: Json = False,
) -> None:
    """Compare two runs over the subjects they share."""
    from dolorimeter.evaluation import Run
    from dolorimeter.reports import compare as compare_runs

    found = compare_runs(
        Run.load(first), Run.load(second), metric=metric, across_protocols=across_protocols
    )
    show(found.to_dict(), as_json, f"{first} against {second}")


@app.command()
def audit(
    run: RunFolder,
    root: Root = None,
    test_root: Annotated[
        Path | None, typer.Option(help="Root of the second data set, across data sets.")
    ] = None,
    rerun: Annotated[
        int, typer.Option(min=0, help="Refit with shuffled labels so many times (20 is usual).")
    ] = 0,
    leak_o_meter: Annotated[
        bool, typer.Option(help="Show how much choosing the epoch on the test fold inflates.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for leakage in a run. Exits with 1 when a fault is found."""
    from dolorimeter.audits import has_fault
    from dolorimeter.experiment import audit_run

    findings, meter = audit_run(
        run, root, test_root=test_root, rerun=rerun, leak_o_meter=leak_o_meter
    )
    rows = [
        {
            "check": f.check,
            "result": f.severity,
            "evidence": f.evidence,
            "where": f.where,
            "message": f.message,
        }
        for f in findings
    ]
    if as_json:
        rates = [{"false_alarm_rate": f.false_alarm_rate} for f in findings]
        detailed = [row | rate for row, rate in zip(rows, rates, strict=True)]
        show({"findings": detailed, "leak_o_meter": meter}, True)
    else:
        show(rows, False, f"audit of {run}")
        if meter:
            show(meter, False, "leak-o-meter")
    if has_fault(findings):
        raise typer.Exit(1)


@purge.command("subject")
def purge_subject(
    subject: Annotated[str, typer.Argument(help="Identifier of the subject.")],
    folders: Annotated[
        list[Path],
        typer.Option("--in", help="Run, model, embedding or cache folder, or a folder of these."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase one subject from caches, embeddings, runs, models' lists and monitor stores.

    Exits with 1 when a file still names the subject, or a model was trained on the subject.
    """
    from dataclasses import asdict

    from dolorimeter.experiment import erase_subject

    if not yes:
        places = ", ".join(map(str, folders))
        typer.confirm(
            f"Erase everything of subject '{subject}' in {places}?", abort=True, err=True
        )
    erased = erase_subject(subject, folders)
    of_stores = [_purge_store(store, erased.spellings) for store in erased.stores]
    show(asdict(erased) | {"stores": [found for found in of_stores if found]}, as_json)
    if not as_json:
        for model in erased.retrain:
            typer.echo(f"retrain: {model} was trained on the subject; its weights still are.")
        for path in erased.remaining:
            typer.echo(f"remains: {path} names the subject. Remove or rename it.")
    if erased.retrain or erased.remaining:
        raise typer.Exit(1)


def _purge_store(path: str, spellings: Sequence[str]) -> dict[str, Any] | None:
    """Purge one store of the monitor; None if it is none, or holds nothing of the subject."""
    from dolorimeter.errors import StorageError
    from dolorimeter.monitor.store import list_sessions
    from dolorimeter.monitor.store import purge as purge_sessions

    try:
        subjects = {found.info.subject for found in list_sessions(where=path)}
    except StorageError:
        return None
    done = [purge_sessions(name, where=path) for name in sorted(subjects & set(spellings))]
    if not done:
        return None
    return {
        "store": path,
        "sessions": sum(each.sessions for each in done),
        "rows": sum(each.rows for each in done),
    }
