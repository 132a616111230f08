"""Verbs about data: what there is, whether it is whole, look-alikes, faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from dolorimeter.cli._app import Json, ReaderOptions, app
from dolorimeter.cli._printing import Progress, options_of, records, show
from dolorimeter.errors import ConfigError, RecordingError, did_you_mean


@app.command("list")
def list_names(
    kind: Annotated[
        str,
        typer.Argument(help="datasets, preprocessing, representations, models or estimators."),
    ] = "datasets",
    name: Annotated[str, typer.Argument(help="One of them: its whole Card.")] = "",
    as_json: Json = False,
) -> None:
    """What exists under which name, and what to cite."""
    from dataclasses import asdict

    from dolorimeter import registry

    kinds = {
        "datasets": registry.DATASETS,
        "preprocessing": registry.PREPROCESSING,
        "representations": registry.REPRESENTATIONS,
        "models": registry.MODELS,
        "estimators": registry.ESTIMATORS,
    }
    if kind not in kinds:
        raise ConfigError(f"unknown kind '{kind}'; known: {', '.join(kinds)}.")
    if name:
        card = asdict(kinds[kind].card(name))
        show({k: v for k, v in card.items() if v not in ("", None, (), {})}, as_json, name)
        return
    rows = [
        {"name": c.name, "summary": c.summary, "licence": c.licence} for c in kinds[kind].cards()
    ]
    show(rows, as_json, kind)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="An openly available data set.")],
    to: Annotated[Path | None, typer.Option(help="Folder; else the user cache.")] = None,
    as_json: Json = False,
) -> None:
    """Download an open data set, each file checked against its manifest."""
    from dolorimeter.datasets import fetch as fetch_dataset

    result = fetch_dataset(name, to, progress=Progress(f"fetch {name}"))
    show(result.rows(), as_json, f"{name} in {result.root}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of the data set (see: dolorimeter list).")],
    root: Annotated[Path | None, typer.Argument(help="Its folder.")] = None,
    option: ReaderOptions = None,
    as_json: Json = False,
) -> None:
    """Read a data set through: what is missing, flat, clipped, short. Exits with 1 on faults."""
    from dolorimeter.datasets import check as check_dataset
    from dolorimeter.datasets import open_dataset

    report, counts = check_dataset(open_dataset(name, root, **options_of(option)))
    rows = [
        {"severity": p.severity, "kind": p.kind, "file": str(p.path), "what": p.what}
        for p in report.problems
    ]
    severities = Counter(p.severity for p in report.problems)
    summary = {
        "data set": report.dataset,
        "root": str(report.root),
        "subjects": f"{report.subjects_found} of {report.subjects_expected}"
        if report.subjects_expected
        else report.subjects_found,
        "recordings": report.recordings,
        "faults": severities["fault"],
        "warnings": severities["warning"],
    }
    table = [] if counts is None else records(counts.reset_index())
    if as_json:
        show(summary | {"problems": rows, "stimuli": table}, True)
    else:
        show(summary, False, f"check {name}")
        if rows:
            show(rows, False, "problems")
        if counts is not None and counts.nunique().gt(1).any():  # subjects differ
            show(table, False, "stimuli per subject and condition")
    if severities["fault"]:
        raise typer.Exit(1)


@app.command()
def synthesise(
    kind: Annotated[
        str,
        typer.Argument(
            help="biovid, ai4pain_2024, ai4pain_2025, unbc_mcmaster; adversarial: a cohort that "
            "breaks common assumptions."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A folder that is empty or absent.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE, such as subjects=12 or effect=0.5."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a look-alike cohort with known truth. There is no person behind these data."""
    from dolorimeter import synthesis

    make: Any = synthesis.adversarial_cohort
    if kind != "adversarial":
        make = partial(synthesis.synthesise, kind)
    options = options_of(option)
    known = [name for name in signature(make).parameters if name not in ("out", "seed")]
    for name in options:
        if name not in known:
            raise ConfigError(f"--option: no option '{name}'; {did_you_mean(name, known)}")
    truth = make(out, seed=seed, **options)
    show({"look-alike": kind, "root": out} | truth.summary(), as_json)


@app.command()
def faces(
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Annotated[Path, typer.Option(help="Folder: a table, a summary and pictures each.")],
    stride: Annotated[int, typer.Option(min=1, help="Look at every so many frames.")] = 1,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="Also write the aligned face as a video.")
    ] = False,
    preview: Annotated[bool, typer.Option(help="Draw a strip of the aligned face.")] = True,
    as_json: Json = False,
) -> None:
    """Find the face in each video: landmarks, action cues, quality, and what they look like."""
    from dolorimeter.reports import write_faces

    _refuse_namesakes(videos)
    rows: list[dict[str, Any]] = []
    failed: list[RecordingError] = []
    for video in videos:
        try:
            found = write_faces(
                video,
                out,
                stride=stride,
                aligned=aligned,
                preview=preview,
                progress=Progress(video.name),
            )
        except RecordingError as error:  # a broken file must not cost what is known of others
            failed.append(error)
            continue
        rows.append(found.summary)
    if rows or as_json:
        show(rows, as_json, f"faces in {out}")
    if rows and not as_json:
        typer.echo("Research software, not a medical device.")
    for fault in failed:
        typer.echo(f"error: {fault}", err=True)
    if failed:
        raise typer.Exit(2)


def _refuse_namesakes(videos: Sequence[Path]) -> None:
    """Videos of one name would overwrite each other's files."""
    seen: dict[str, Path] = {}
    for video in videos:
        if video.stem in seen:
            raise ConfigError(
                f"{seen[video.stem]} and {video} would both be written as '{video.stem}-…'. Give "
                "them in two calls with another --out each."
            )
        seen[video.stem] = video
