"""Verbs about encoders: embed with them, export them, pre-train them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dolorimeter.cli._app import Json, Overrides, ReaderOptions, Root, Workers, app
from dolorimeter.cli._printing import Progress, leaving_out, options_of, show

Calibration = Annotated[
    str | None, typer.Option(help="For int8: .npy of uint8 pictures of other people.")
]
LeftOut = Annotated[
    list[str] | None, typer.Option(help="Name that is left out of the file; repeatable.")
]
Precision = Annotated[str | None, typer.Option(help="f32, bf16 or int8.")]
ResumedFolder = Annotated[Path, typer.Option(help="Folder; the same command goes on from it.")]
Size = Annotated[int | None, typer.Option(min=1, help="Side of the pictures; else the Card's.")]
WeightsFile = Annotated[
    str | None, typer.Option(help="Weights file, or 'published'; else random.")
]


@app.command()
def embed(
    sources: Annotated[
        list[str],
        typer.Argument(help="A TOML file; or a data set's name; or recordings, such as clip.mp4."),
    ],
    out: ResumedFolder,
    root: Root = None,
    data_set: Annotated[
        str | None, typer.Option("--dataset", help="Format of the files; videos need none.")
    ] = None,
    option: ReaderOptions = None,
    modality: Annotated[
        str | None, typer.Option(help="Signal or video, such as eda; else the face of videos.")
    ] = None,
    representation: Annotated[
        str | None, typer.Option(help="Pictures; else face_frames or waveform.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Seconds of a window; else 1 for loose videos.")
    ] = None,
    pooling: Annotated[
        str | None, typer.Option(help="none, mean, add or concat: pictures of a window.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Network (dolorimeter list models).")] = None,
    weights: WeightsFile = None,
    without: LeftOut = None,
    runtime: Annotated[str | None, typer.Option(help="torch, onnx or openvino.")] = None,
    precision: Precision = None,
    calibration: Calibration = None,
    size: Size = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures at once.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or auto for a GPU.")] = None,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many subjects.")
    ] = None,
    all_conditions: Annotated[
        bool, typer.Option("--all-conditions", help="Also windows the experiment leaves out.")
    ] = False,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE, streams.0.representation.stride=4."),
    ] = None,
    workers: Workers = 1,
    cluster: Annotated[str | None, typer.Option(help="ray or dask: on a cluster.")] = None,
    cache: Annotated[bool, typer.Option(help="Keep embeddings in the cache.")] = True,
    as_json: Json = False,
) -> None:
    """Turn recordings into embeddings: arrays, a table of the windows, and what they are."""
    from dolorimeter.experiment import embed as write
    from dolorimeter.experiment import plan_embedding

    asked = {
        "name": encoder,
        "weights": weights,
        "without": without or None,
        "runtime": runtime,
        "precision": precision,
        "calibration": calibration,
        "size": size,
        "batch_size": batch_size,
        "device": device,
    }
    plan, files = plan_embedding(
        sources,
        dataset=data_set,
        options=options_of(option),
        modality=modality,
        representation=representation,
        duration=duration,
        pooling=pooling,
        encoder={name: value for name, value in asked.items() if value is not None},
        subjects=subjects,
        all_conditions=all_conditions,
        overrides=options_of(override),
    )
    found = write(
        plan,
        root,
        out,
        files=files,
        workers=workers,
        backend=cluster,
        cache=cache,
        progress=Progress,
    )
    _show_embeddings(found, as_json)


def _show_embeddings(found: Any, as_json: bool) -> None:
    """One row a stream; what was kept out, with reasons; what must be said of the numbers."""
    told = found.description
    rows = [
        {
            "stream": stream["name"],
            "file": stream["file"],
            "shape": stream["shape"],
            "axes": stream["axes"],
            "windows with it": stream["present"],
            "encoder": stream["encoder"]["name"],
            "weights": stream["encoder"]["weights"] or "random",
        }
        for stream in told["streams"]
    ]
    if as_json:
        more = {"made": found.recordings_made, "kept": found.recordings_kept}
        show(dict(told) | {"folder": found.folder, "damaged": found.damaged} | more, True)
        return
    seconds = told["asked"]["chain"]["windows"]["duration"]
    show(rows, False, f"{found.folder}: {told['windows']:,} windows of {seconds:g} s")
    typer.echo(
        f"recordings: {found.recordings_made:,} embedded now, {found.recordings_kept:,} as kept"
    )
    for reason, number in told["exclusions"].items():
        typer.echo(f"kept out: {number:,} × {reason}")
    for text in found.damaged:
        typer.echo(f"damaged, made again: {text}")
    for note in told["notes"]:
        typer.echo(f"note: {note}")
    if told["lookalike"]:
        typer.echo("Look-alike data: no statement about people.")
    typer.echo("Research software, not a medical device.")


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="Name of a network, or a model folder of train.")],
    out: Annotated[Path, typer.Option(help="Folder; files of the same names are replaced.")],
    weights: WeightsFile = None,
    without: LeftOut = None,
    runtime: Annotated[
        str | None, typer.Option(help="openvino: OpenVINO's own files beside the ONNX file.")
    ] = None,
    precision: Precision = None,
    calibration: Calibration = None,
    size: Size = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Check on these: .npy of uint8 pictures.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an encoder as an ONNX file with its Card, checked against PyTorch."""
    from dolorimeter.experiment import export as write

    asked = {
        "weights": weights,
        "without": without or None,
        "runtime": runtime,
        "precision": precision,
        "calibration": calibration,
        "size": size,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if precision is not None and runtime is None:
        given["runtime"] = "openvino" if precision == "bf16" else "onnx"
    found = write(source, out, encoder=given, pictures=pictures)
    rows = [
        {
            "encoder": name,
            "checked with": runtime_name,
            "cosine, least": agreed.cosine,
            "centred": agreed.centred_cosine,
            "largest difference": agreed.largest,
            "pictures": agreed.pictures,
            "files": [str(file) for file in exported.files],
        }
        for name, exported in found.items()
        for runtime_name, agreed in exported.agreement.items()
    ]
    if not as_json:
        rows = [leaving_out([row], "files")[0] | {"cosine, least": f"{row['cosine, least']:.7f}",
                "centred": f"{row['centred']:.7f}"} for row in rows]  # fmt: skip
    show(rows, as_json, "agreement with PyTorch in float32")
    if not as_json:
        for file in (file for exported in found.values() for file in exported.files):
            typer.echo(f"written: {file} ({file.stat().st_size:,} bytes)")
        for remark in dict.fromkeys(r for e in found.values() for r in e.remarks):
            typer.echo(f"note: {remark}")


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="A TOML file, experiments/pretrain_*.toml.")],
    out: ResumedFolder,
    override: Overrides = None,
    as_json: Json = False,
) -> None:
    """Train one encoder on many tasks; its weights say whom they have met."""
    from dolorimeter._extras import accelerate
    from dolorimeter.pretraining import pretrain as fit
    from dolorimeter.pretraining import read_pretraining

    settings = read_pretraining(config, options_of(override), paths_exist=True)
    found = fit(settings, out, progress=Progress("steps"))
    if not accelerate.PartialState().is_main_process:
        return  # one table for all processes
    rows = [vars(task) for task in found.tasks]
    show(rows, as_json, f"{found.steps} steps, {found.weights}")
    if not as_json:
        for remark in found.remarks:
            typer.echo(f"note: {remark}")
