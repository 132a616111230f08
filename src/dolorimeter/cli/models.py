"""Verbs about fitted models: train, predict, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolorimeter.cli._app import Json, Root, Workers, app
from dolorimeter.cli._printing import Progress, options_of, records, show


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A TOML file, see experiments/.")],
    out: Annotated[Path, typer.Option(help="Model folder.")],
    root: Root = None,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many subjects.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Fit on all subjects and write a model folder for ``predict``."""
    from dolorimeter.experiment import read_experiment
    from dolorimeter.experiment import train as fit

    overrides = options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    predictor = fit(
        read_experiment(experiment, overrides),
        root,
        out,
        workers=workers,
        progress=Progress,
    )
    people = sum(len(v) for v in predictor.trained_on.values())
    show(
        {"model": out, "title": predictor.title, "classes": predictor.classes, "subjects": people},
        as_json,
    )


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Model folder written by train.")],
    files: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    data_set: Annotated[
        str | None, typer.Option("--dataset", help="Their format, if not the model's.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE for the reader, such as part=B."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write them as CSV or Parquet.")] = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Estimate every window of the given recordings."""
    from dolorimeter.experiment import predict as predict_files

    found = predict_files(
        model, files, data_set, options=options_of(option), out=out, workers=workers
    )
    show(records(found), as_json, "Research software, not a medical device.")
    for text in found.attrs.get("kept_out", ()):
        typer.echo(f"kept out: {text}", err=True)
    for text in found.attrs.get("notes", ()):
        typer.echo(f"note: {text}.", err=True)


@app.command()
def explain(
    model: Annotated[Path, typer.Argument(help="Model folder written by train.")],
    file: Annotated[Path, typer.Argument(help="A video, or a recording (or a folder of them).")],
    out: Annotated[Path, typer.Option(help="Folder for pictures and tables.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Format of the file, if not the model's.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE for the reader, such as part=B."),
    ] = None,
    window: Annotated[int, typer.Option(min=1, help="Which of the file's windows.")] = 1,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Class to explain; else the predicted one.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames on the strip.")] = 8,
    checks: Annotated[bool, typer.Option(help="Sanity checks and deletion curves.")] = True,
    as_json: Json = False,
) -> None:
    """Show where a model looked, in a face or in drawn signals, and what that map is worth."""
    from dolorimeter.explain import explain_model

    found = explain_model(
        model,
        file,
        out,
        dataset=dataset,
        options=options_of(option),
        window=window,
        class_name=class_name,
        frames=frames,
        checks=checks,
        progress=Progress("explain"),
    )
    show(records(found.summary), as_json, found.summary_title)
    if not as_json:
        for remark in (*found.cautions, *found.remarks):
            typer.echo(f"note: {remark}")
        typer.echo("Research software, not a medical device.")
