"""Verbs about fitted models: train, predict, explain, attention, embedding-map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dolorimeter.cli._app import (
    AsLive,
    ExperimentFile,
    FirstSubjects,
    Json,
    Overrides,
    ReaderOptions,
    Root,
    Workers,
    app,
)
from dolorimeter.cli._printing import Progress, options_of, records, show

FileFormat = Annotated[
    str | None, typer.Option("--dataset", help="Format of the files, if not the model's.")
]
ModelFolder = Annotated[Path, typer.Argument(help="Model folder written by train.")]
RecordingFiles = Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")]


@app.command()
def train(
    experiment: ExperimentFile,
    out: Annotated[Path, typer.Option(help="Model folder.")],
    root: Root = None,
    subjects: FirstSubjects = None,
    override: Overrides = None,
    as_live: AsLive = False,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Fit on all subjects and write a model folder for ``predict``."""
    from dolorimeter.experiment import read_experiment
    from dolorimeter.experiment import train as fit

    overrides = options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    if as_live:
        overrides["as_live"] = True
    predictor = fit(
        read_experiment(experiment, overrides, paths_exist=True),
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
    model: ModelFolder,
    files: RecordingFiles,
    data_set: Annotated[
        str | None, typer.Option("--dataset", help="Their format, if not the model's.")
    ] = None,
    option: ReaderOptions = None,
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
    model: ModelFolder,
    file: Annotated[Path, typer.Argument(help="A video, or a recording (or a folder of them).")],
    out: Annotated[Path, typer.Option(help="Folder for pictures and tables.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Format of the file, if not the model's.")
    ] = None,
    option: ReaderOptions = None,
    window: Annotated[int, typer.Option(min=1, help="Which of the file's windows.")] = 1,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Class to explain; else the predicted one.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames on the strip.")] = 8,
    checks: Annotated[bool, typer.Option(help="Sanity checks and deletion curves.")] = True,
    as_json: Json = False,
) -> None:
    """Show where a model looked, in a face or in signals, and what that map is worth."""
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
    _show_explained(found, as_json)


@app.command()
def attention(
    model: Annotated[Path, typer.Argument(help="Model folder of train, of a dual_stream.")],
    files: RecordingFiles,
    out: Annotated[Path, typer.Option(help="Folder for a picture and tables.")],
    dataset: FileFormat = None,
    option: ReaderOptions = None,
    level: Annotated[
        list[str] | None,
        typer.Option(help="Condition, the one to compare with first; repeatable."),
    ] = None,
    permutations: Annotated[
        int, typer.Option(min=19, help="How often levels are shuffled within each person.")
    ] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffles.")] = 0,
    as_json: Json = False,
) -> None:
    """Attention over a window's time, level against level, and against shuffled levels."""
    from dolorimeter.explain import attention_over_time

    found = attention_over_time(
        model,
        files,
        out,
        dataset=dataset,
        options=options_of(option),
        levels=level or (),
        permutations=permutations,
        seed=seed,
        progress=Progress("attention"),
    )
    _show_explained(found, as_json)


@app.command("embedding-map")
def embedding_map(
    source: Annotated[Path, typer.Argument(help="Folder of embed, or a dual_stream model's.")],
    out: Annotated[Path, typer.Option(help="Folder for a picture and a table.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="For a model: recordings, or folders of them.")
    ] = None,
    method: Annotated[str, typer.Option(help="pca, or umap if umap-learn is installed.")] = "pca",
    dataset: FileFormat = None,
    option: ReaderOptions = None,
    seed: Annotated[int, typer.Option(min=0, help="Of UMAP.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw embeddings by level and by person, with both silhouettes."""
    from dolorimeter.explain import embedding_map as draw

    found = draw(
        source,
        files,
        out,
        method=method,
        dataset=dataset,
        options=options_of(option),
        seed=seed,
        progress=Progress("embed"),
    )
    _show_explained(found, as_json)
    for one in found.maps if not as_json else ():
        typer.echo(f"{one.name}: {one.verdict}")


def _show_explained(found: Any, as_json: bool) -> None:
    show(records(found.summary), as_json, found.summary_title)
    if not as_json:
        for remark in (*found.cautions, *found.remarks):
            typer.echo(f"note: {remark}")
        typer.echo("Research software, not a medical device.")
