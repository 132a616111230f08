"""The command line: verbs that open files and print. The rest is the function each verb names.

Heavy modules are imported inside the verbs, so that ``--help`` stays quick.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dolorimeter import __version__
from dolorimeter.errors import ConfigError, DolorimeterError, RecordingError

if TYPE_CHECKING:
    import pandas as pd

VERBS: dict[str, str] = {
    "list": "dolorimeter.registry:Registry.cards",
    "fetch": "dolorimeter.datasets:fetch",
    "check": "dolorimeter.datasets:open_dataset",
    "synthesise": "dolorimeter.synthesis:synthesise",
    "faces": "dolorimeter.report:write_faces",
    "embed": "dolorimeter.experiment:embed",
    "export": "dolorimeter.experiment:export",
    "evaluate": "dolorimeter.experiment:run",
    "sweep": "dolorimeter.experiment:sweep",
    "occlusion": "dolorimeter.experiment:occlusion",
    "relevance": "dolorimeter.experiment:relevance",
    "pretrain": "dolorimeter.pretraining:pretrain",
    "train": "dolorimeter.experiment:train",
    "predict": "dolorimeter.experiment:predict",
    "report": "dolorimeter.report:write_report",
    "compare": "dolorimeter.report:compare",
    "explain": "dolorimeter.explain:explain_model",
    "audit": "dolorimeter.experiment:audit_run",
    "monitor": "dolorimeter.monitor.live:monitor",
    "monitor-export": "dolorimeter.monitor.export:export_session",
    "monitor-page": "dolorimeter.monitor.web.server:serve_store",
    "monitor-sessions": "dolorimeter.monitor.store:list_sessions",
    "purge": "dolorimeter.monitor.store:purge",
    "sys-info": "dolorimeter.evaluation:environment",
}
"""The library function that each verb calls."""

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as shells have it."""

app = typer.Typer(
    name="dolorimeter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the data set; else $DOLORIMETER_DATA/NAME, then the user cache."),
]
StorePlace = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="File, or postgresql://USER:PASSWORD@HOST/DATABASE; else $DOLORIMETER_STORE, then "
        "the user's folder.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]


def main() -> None:
    """Run the command line; faults become one line on standard error, never a traceback."""
    # loky restarts a worker whose memory has grown, as a network's does; no fold is lost
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    try:
        code = app(standalone_mode=False)  # typer returns the code of an Exit, and 130 of Ctrl-C
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)
    except DolorimeterError as error:
        _stop(f"error: {error}", 2)
    except typer.Abort:
        _stop("stopped.", INTERRUPTED)
    except KeyboardInterrupt:
        _stop(
            "stopped; what was finished is kept, the same command goes on from there.", INTERRUPTED
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # the last boundary before a user
        if hasattr(error, "format_message"):
            _stop(f"error: {error.format_message()}\nTry: dolorimeter --help", 2)
        if os.environ.get("DOLORIMETER_TRACEBACK"):
            raise
        _stop(
            f"error: this is a fault of dolorimeter {__version__}, not yours: "
            f"{type(error).__name__}: {error}\n"
            "Run it again with DOLORIMETER_TRACEBACK=1 and report what it prints.",
            70,
        )


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _print(rows: Any, as_json: bool, title: str = "") -> None:
    """Print a table (a list of mappings, or a mapping), or the same as JSON."""
    if as_json:
        typer.echo(json.dumps(_plain(rows), indent=2, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    if isinstance(rows, Mapping):
        rows = [{"": key, " ": value} for key, value in rows.items()]
    table = Table(title=title or None, title_justify="left", show_lines=False)
    for place, column in enumerate(rows[0] if rows else ()):
        table.add_column(str(column), overflow="fold", min_width=None if place else 24)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    """Values that strict JSON can hold: NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


class _Progress:
    """A bar on a terminal, a plain line every tenth in a log."""

    def __init__(self, what: str) -> None:
        self.what, self.shown = what, -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        end = "\n" if done >= total else ""
        if sys.stderr.isatty():
            bar = "█" * (2 * tenth) + "░" * (20 - 2 * tenth)
            sys.stderr.write(f"\r{self.what} {bar} {done}/{total}{end}")
        elif tenth != self.shown:
            sys.stderr.write(f"{self.what} {done}/{total}\n")
        self.shown = tenth
        sys.stderr.flush()


def _version(value: bool | None) -> None:
    if value:
        typer.echo(f"dolorimeter {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    """Automatic pain assessment with honest evidence. Research software, not a medical device."""


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
        _print({k: v for k, v in card.items() if v not in ("", None, (), {})}, as_json, name)
        return
    rows = [
        {"name": c.name, "summary": c.summary, "licence": c.licence} for c in kinds[kind].cards()
    ]
    _print(rows, as_json, kind)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="An openly available data set.")],
    to: Annotated[Path | None, typer.Option(help="Folder; else the user cache.")] = None,
    as_json: Json = False,
) -> None:
    """Download an open data set, each file checked against its manifest."""
    from dolorimeter.datasets import fetch as fetch_dataset

    result = fetch_dataset(name, to, progress=_Progress(f"fetch {name}"))
    _print(result.rows(), as_json, f"{name} in {result.root}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of the data set (see: dolorimeter list).")],
    root: Annotated[Path | None, typer.Argument(help="Its folder.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE for the reader, such as part=B."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a data set through: what is missing, flat, clipped, short, of another version."""
    from dolorimeter.datasets import open_dataset

    report = open_dataset(name, root, **_options_of(option)).check()
    rows = [
        {"severity": p.severity, "kind": p.kind, "file": str(p.path), "what": p.what}
        for p in report.problems
    ]
    summary = {
        "data set": report.dataset,
        "root": str(report.root),
        "subjects": f"{report.subjects_found} of {report.subjects_expected or '?'}",
        "recordings": report.recordings,
        "problems": len(rows),
    }
    if as_json:
        _print(summary | {"problems": rows}, True)
        return
    _print(summary, False, f"check {name}")
    if rows:
        _print(rows, False, "problems")


def _options_of(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; values are read as TOML where that works, else as text."""
    import tomllib

    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{pair}' is not KEY=VALUE.")
        try:
            options[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            options[key] = value
    return options


@app.command()
def synthesise(
    kind: Annotated[
        str, typer.Argument(help="biovid, ai4pain_2024, ai4pain_2025, unbc_mcmaster.")
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
    from dolorimeter.synthesis import synthesise as make

    truth = make(kind, out, seed=seed, **_options_of(option))
    _print({"look-alike": kind, "root": out} | truth.summary(), as_json)


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
    from dolorimeter.report import write_faces

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
                progress=_Progress(video.name),
            )
        except RecordingError as error:  # a broken file must not cost what is known of others
            failed.append(error)
            continue
        rows.append(found.summary)
    if rows or as_json:
        _print(rows, as_json, f"faces in {out}")
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


@app.command()
def evaluate(
    experiment: Annotated[Path, typer.Argument(help="A TOML file, see experiments/.")],
    out: Annotated[Path, typer.Option(help="Run folder; the same command resumes it.")],
    root: Root = None,
    test_root: Annotated[
        Path | None, typer.Option(help="Root of the second data set, across data sets.")
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many subjects.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs of a network; its warm-up keeps its share of them."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    workers: Workers = 1,
    cluster: Annotated[str | None, typer.Option(help="ray or dask: folds on a cluster.")] = None,
    threads_per_fold: Annotated[int, typer.Option(min=1, help="Threads of each fold.")] = 1,
    keep_models: Annotated[bool, typer.Option(help="Keep the fitted model of each fold.")] = False,
    permutations: Annotated[
        int,
        typer.Option(min=0, help="Refit on shuffled labels so many times, for a p-value (999)."),
    ] = 0,
    cache: Annotated[bool, typer.Option(help="Keep represented windows in the cache.")] = True,
    as_json: Json = False,
) -> None:
    """Run an experiment: every fold, its predictions, its access record, its audit."""
    from dolorimeter.experiment import of_epochs, read_experiment, run

    overrides = {} if epochs is None else of_epochs(experiment, epochs)
    overrides |= _options_of(override)
    if subjects is not None:
        overrides["dataset.first"] = subjects
    found = run(
        read_experiment(experiment, overrides),
        root,
        out,
        test_root=test_root,
        workers=workers,
        backend=cluster,
        threads_per_fold=threads_per_fold,
        keep_models=keep_models,
        cache=cache,
        permutations=permutations,
        progress=_Progress,
    )
    _show_runs([found], as_json, [out])


def _show_runs(runs: Sequence[Any], as_json: bool, folders: Sequence[Path]) -> None:
    """One row a run; what every one of them says in its notes once."""
    from dolorimeter.report import table_rows

    rows = table_rows(runs)
    if as_json:
        told = [{"run": str(f), "notes": r.notes} for f, r in zip(folders, runs, strict=True)]
        _print([row | more for row, more in zip(rows, told, strict=True)], True)
        return
    told = rows if len({row["question"] for row in rows}) > 1 else _without(rows, "question")
    _print(told, False)
    if len(runs) == 1:
        if len(runs[0].exclusions):
            typer.echo(f"kept out, with reasons in the report: {len(runs[0].exclusions)}")
        for note in runs[0].notes:
            typer.echo(f"note: {note}")
    if any(run.lookalike for run in runs):
        typer.echo("Look-alike data: no statement about people.")
    typer.echo("Research software, not a medical device.")


def _without(rows: Sequence[Mapping[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != column} for row in rows]


@app.command()
def sweep(
    experiment: Annotated[Path, typer.Argument(help="A TOML file, see experiments/.")],
    key: Annotated[str, typer.Argument(help="DOTTED.KEY, streams.0.representation.stride.")],
    values: Annotated[list[str], typer.Argument(help="Its values, one run each.")],
    out: Annotated[Path, typer.Option(help="Folder: one run folder a value.")],
    root: Root = None,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many subjects.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    workers: Workers = 1,
    threads_per_fold: Annotated[int, typer.Option(min=1, help="Threads of each fold.")] = 1,
    as_json: Json = False,
) -> None:
    """Run an experiment once for each value of a key: score and run time, nothing from cache."""
    from dolorimeter.experiment import sweep as run_each

    overrides = _options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    parsed = [_options_of([f"v={value}"])["v"] for value in values]
    table = run_each(
        experiment,
        key,
        parsed,
        root,
        out,
        overrides=overrides,
        workers=workers,
        threads_per_fold=threads_per_fold,
        progress=_Progress,
    )
    _print(_records(table), as_json, f"{key} of {experiment}")
    _close(table, as_json)


@app.command()
def occlusion(
    experiment: Annotated[Path, typer.Argument(help="A TOML file, see experiments/.")],
    out: Annotated[Path, typer.Option(help="Run folder; keeps each fold's model.")],
    region: Annotated[
        list[str] | None,
        typer.Option(help="eyes, brows, nose, mouth, upper, lower, left, right; repeatable."),
    ] = None,
    share: Annotated[
        list[float] | None, typer.Option(help="Share of it that is covered; repeatable.")
    ] = None,
    root: Root = None,
    subjects: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many subjects.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    workers: Workers = 1,
    threads_per_fold: Annotated[int, typer.Option(min=1, help="Threads of each fold.")] = 1,
    as_json: Json = False,
) -> None:
    """Test models of clear faces on faces that are partly covered: score against region, share."""
    from dolorimeter.experiment import occlusion as cover
    from dolorimeter.experiment import read_experiment

    overrides = _options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    given: dict[str, Any] = {} if not region else {"regions": region}
    given |= {} if not share else {"shares": share}
    table = cover(
        read_experiment(experiment, overrides),
        root,
        out,
        workers=workers,
        threads_per_fold=threads_per_fold,
        progress=_Progress,
        **given,
    )
    _print(_records(table), as_json, f"occlusion of {experiment}")
    _close(table, as_json)


@app.command()
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
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Relevance of face regions against their area, in models of rest against each level."""
    from dolorimeter.experiment import read_experiment
    from dolorimeter.experiment import relevance as of_levels

    given: dict[str, Any] = {} if not level else {"levels": level}
    table = of_levels(
        read_experiment(experiment, _options_of(override)),
        root,
        out,
        people=people,
        clips=clips,
        workers=workers,
        progress=_Progress,
        **given,
    )
    _print(_records(table), as_json, f"relevance by region, {experiment}")
    for text in table.attrs["notes"] if not as_json else ():
        typer.echo(f"note: {text}")
    _close(table, as_json)


def _close(table: pd.DataFrame, as_json: bool) -> None:
    """What must be said under the table of a study."""
    if as_json:
        return
    if table["look-alike"].any():
        typer.echo("Look-alike data: no statement about people.")
    typer.echo("Research software, not a medical device.")


@app.command()
def embed(
    sources: Annotated[
        list[str],
        typer.Argument(help="A TOML file; or a data set's name; or recordings, such as clip.mp4."),
    ],
    out: Annotated[Path, typer.Option(help="Folder; the same command goes on from it.")],
    root: Root = None,
    data_set: Annotated[
        str | None, typer.Option("--dataset", help="Format of the files; videos need none.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="KEY=VALUE for the reader, such as part=B."),
    ] = None,
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
    weights: Annotated[
        str | None, typer.Option(help="Weights file, or 'published'; else random.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Name that is left out of the file; repeatable.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="torch, onnx or openvino.")] = None,
    precision: Annotated[str | None, typer.Option(help="f32, bf16 or int8.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="For int8: .npy of uint8 pictures of other people.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of the pictures; else the Card's.")
    ] = None,
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
        options=_options_of(option),
        modality=modality,
        representation=representation,
        duration=duration,
        pooling=pooling,
        encoder={name: value for name, value in asked.items() if value is not None},
        subjects=subjects,
        all_conditions=all_conditions,
        overrides=_options_of(override),
    )
    found = write(
        plan,
        root,
        out,
        files=files,
        workers=workers,
        backend=cluster,
        cache=cache,
        progress=_Progress,
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
        _print(dict(told) | {"folder": found.folder, "damaged": found.damaged} | more, True)
        return
    seconds = told["asked"]["chain"]["windows"]["duration"]
    _print(rows, False, f"{found.folder}: {told['windows']:,} windows of {seconds:g} s")
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
    weights: Annotated[
        str | None, typer.Option(help="Weights file, or 'published'; else random.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Name that is left out of the file; repeatable.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="openvino: OpenVINO's own files beside the ONNX file.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="f32, bf16 or int8.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="For int8: .npy of uint8 pictures of other people.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of the pictures; else the Card's.")
    ] = None,
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
        rows = [_without([row], "files")[0] | {"cosine, least": f"{row['cosine, least']:.7f}",
                "centred": f"{row['centred']:.7f}"} for row in rows]  # fmt: skip
    _print(rows, as_json, "agreement with PyTorch in float32")
    if not as_json:
        for file in (file for exported in found.values() for file in exported.files):
            typer.echo(f"written: {file} ({file.stat().st_size:,} bytes)")
        for remark in dict.fromkeys(r for e in found.values() for r in e.remarks):
            typer.echo(f"note: {remark}")


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="A TOML file, experiments/pretrain_*.toml.")],
    out: Annotated[Path, typer.Option(help="Folder; the same command goes on from it.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train one encoder on many tasks; its weights say whom they have met."""
    from dolorimeter.experiment import read_values
    from dolorimeter.pretraining import pretrain as fit
    from dolorimeter.pretraining import pretraining_from

    values = read_values(config, _options_of(override))
    found = fit(pretraining_from(values, str(config)), out, progress=_Progress("steps"))
    rows = [vars(task) for task in found.tasks]
    _print(rows, as_json, f"{found.steps} steps, {found.weights}")
    if not as_json:
        for remark in found.remarks:
            typer.echo(f"note: {remark}")


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

    overrides = _options_of(override) | ({} if subjects is None else {"dataset.first": subjects})
    predictor = fit(
        read_experiment(experiment, overrides),
        root,
        out,
        workers=workers,
        progress=_Progress,
    )
    people = sum(len(v) for v in predictor.trained_on.values())
    _print(
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
        model, files, data_set, options=_options_of(option), out=out, workers=workers
    )
    _print(_records(found), as_json, "Research software, not a medical device.")
    for text in found.attrs.get("kept_out", ()):
        typer.echo(f"kept out: {text}", err=True)
    for text in found.attrs.get("notes", ()):
        typer.echo(f"note: {text}.", err=True)


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
    from dolorimeter.report import write_report

    loaded = [Run.load(run) for run in runs]
    paths = write_report(
        loaded,
        out or runs[0] / "report.html",
        findings=[read_findings(run) for run in runs],
        reveal_subjects=reveal_subjects,
    )
    _show_runs(loaded, as_json, runs)
    if not as_json:
        typer.echo(f"report: {paths.html}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Run folder.")],
    metric: Annotated[str, typer.Option(help="Metric that is compared by subject.")] = "",
    across_protocols: Annotated[bool, typer.Option(help="Allow different questions.")] = False,
    as_json: Json = False,
) -> None:
    """Compare two runs over the subjects they share."""
    from dolorimeter.evaluation import Run
    from dolorimeter.report import compare as compare_runs

    found = compare_runs(
        Run.load(first), Run.load(second), metric=metric, across_protocols=across_protocols
    )
    _print(found.to_dict(), as_json, f"{first} against {second}")


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
        options=_options_of(option),
        window=window,
        class_name=class_name,
        frames=frames,
        checks=checks,
        progress=_Progress("explain"),
    )
    _print(_records(found.summary), as_json, found.summary_title)
    if not as_json:
        for remark in (*found.cautions, *found.remarks):
            typer.echo(f"note: {remark}")
        typer.echo("Research software, not a medical device.")


@app.command()
def audit(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    root: Root = None,
    rerun: Annotated[
        int, typer.Option(min=0, help="Refit with shuffled labels so many times (20 is usual).")
    ] = 0,
    leak_o_meter: Annotated[
        bool, typer.Option(help="Show how much choosing the epoch on the test fold inflates.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for leakage in a run. Exits with 1 when a fault is found."""
    from dolorimeter.audit import has_fault
    from dolorimeter.experiment import audit_run

    findings, meter = audit_run(run, root, rerun=rerun, leak_o_meter=leak_o_meter)
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
        _print({"findings": rows, "leak_o_meter": meter}, True)
    else:
        _print(rows, False, f"audit of {run}")
        if meter:
            _print(meter, False, "leak-o-meter")
    if has_fault(findings):
        raise typer.Exit(1)


@app.command()
def monitor(
    model: Annotated[
        Path | None, typer.Option(help="Model folder; else the demo's, fitted on look-alikes.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="synthetic, replay:PATH[,recording=NAME,speed=2], lsl[:name=…,eda=CHANNEL], "
            "camera[:0|PATH|URL]; repeatable. Default: synthetic.",
        ),
    ] = None,
    subject: Annotated[str, typer.Option(help="Whom it follows.")] = "subject",
    headless: Annotated[bool, typer.Option(help="One line an estimate, and no page.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Headless: end after so long.")] = None,
    step: Annotated[float, typer.Option(help="Seconds from one estimate to the next.")] = 0.5,
    levels: Annotated[
        str | None, typer.Option(help="LOWEST,HIGHEST of what a regressor predicts.")
    ] = None,
    alert: Annotated[
        float | None, typer.Option(help="Expected level from which the alert is on.")
    ] = None,
    keep_signals: Annotated[bool, typer.Option(help="Also store raw signals.")] = False,
    outlet: Annotated[bool, typer.Option(help="Also send the LSL stream PainEstimate.")] = False,
    store: StorePlace = None,
    host: Annotated[str, typer.Option(help="Any but loopback needs --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(envvar="DOLORIMETER_TOKEN", help="At least 16 characters."),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve TLS by itself.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
) -> None:
    """Follow one person live: signals or a camera in, an estimate each half second out."""
    from dolorimeter.monitor.live import monitor as follow

    because = follow(
        model,
        sources,
        subject=subject,
        headless=headless,
        seconds=seconds,
        step=step,
        levels=_pair(levels),
        alert=alert,
        keep_signals=keep_signals,
        outlet=outlet,
        store=store,
        host=host,
        port=port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        begun=_show_session,
        said=_show_estimate if headless else None,
        ready=lambda address: typer.echo(f"Open {address}\nCtrl-C ends it.", err=True),
    )
    if because:
        typer.echo(f"ended: {because}", err=True)


def _pair(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--levels {text}: expected two numbers, such as 0,10.") from None
    return low, high


def _show_session(info: Any) -> None:
    """What a session is, before its first estimate."""
    typer.echo(f"session {info.id}: {info.model}, {'; '.join(info.sources)}", err=True)
    for note in info.notes:
        typer.echo(f"note: {note}", err=True)
    if info.lookalike:
        typer.echo("LOOK-ALIKE: no statement about people.", err=True)
    typer.echo("Research software, not a medical device.", err=True)


def _show_estimate(estimate: Any) -> None:
    """One line an estimate."""
    states = ", ".join(
        f"{m.name} {m.quality:.2f}" + (f" ({'; '.join(m.reasons)})" if m.reasons else "")
        for m in estimate.modalities
    )
    if estimate.abstained:
        told = f"no estimate: {estimate.abstained}"
    else:
        interval = (
            "" if estimate.lower is None else f" [{estimate.lower:.1f}, {estimate.upper:.1f}]"
        )
        told = f"level {estimate.expected_level:.2f}{interval}"
    alert = " ALERT" if estimate.alert else ""
    age = "" if estimate.age_s is None else f" age {estimate.age_s:.2f} s"
    typer.echo(f"{estimate.start + estimate.duration:8.1f} s  {told}{alert}{age} | {states}")
    for remark in estimate.remarks:
        typer.echo(f"          {remark}")


@app.command("monitor-export")
def monitor_export(
    session: Annotated[str, typer.Argument(help="See: dolorimeter monitor-sessions.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    form: Annotated[
        str, typer.Option("--format", help="csv, parquet, bids, fhir-r5 or fhir-r4b.")
    ],
    every_s: Annotated[
        float,
        typer.Option("--every", help="Keep one estimate of each so many seconds; 0 keeps all."),
    ] = 0.0,
    store: StorePlace = None,
) -> None:
    """Write a session of the live monitor as files that others read."""
    from dolorimeter.monitor.export import export_session
    from dolorimeter.monitor.store import default_store

    where = store or default_store()
    for path in export_session(session, out, form, where=where, every_s=every_s):
        typer.echo(path)
    typer.echo("Research software, not a medical device.", err=True)


@app.command("monitor-page")
def monitor_page(
    store: StorePlace = None,
    host: Annotated[str, typer.Option(help="Any but loopback needs --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(envvar="DOLORIMETER_TOKEN", help="At least 16 characters."),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve TLS by itself.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
) -> None:
    """Look at stored sessions and keep diaries of self-reports, without a model."""
    from dolorimeter.monitor.store import default_store
    from dolorimeter.monitor.web.server import serve_store

    serve_store(
        store or default_store(),
        host=host,
        port=port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        ready=lambda address: typer.echo(
            f"Open {address}\nResearch software, not a medical device. Ctrl-C ends it.", err=True
        ),
    )


@app.command("monitor-sessions")
def monitor_sessions(
    subject: Annotated[str | None, typer.Option(help="Only of this subject.")] = None,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Sessions that the live monitor has stored."""
    from dolorimeter.monitor.store import default_store, list_sessions

    rows = [
        {
            "session": found.info.id,
            "subject": found.info.subject,
            "kind": found.info.kind,
            "started": found.info.started.isoformat(timespec="seconds"),
            "state": found.state,
            "because": found.ended_because,
            "estimates": found.estimates,
            "look-alike": found.info.lookalike,
        }
        for found in list_sessions(subject, where=store or default_store())
    ]
    _print(rows, as_json, "Research software, not a medical device.")


@app.command()
def purge(
    subject: Annotated[str, typer.Argument(help="Whose sessions to remove, wholly.")],
    store: StorePlace = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove everything that the live monitor has stored of one subject."""
    from dataclasses import asdict

    from dolorimeter.monitor.store import default_store
    from dolorimeter.monitor.store import purge as purge_subject

    where = store or default_store()
    if not yes:
        typer.confirm(f"Remove everything of subject '{subject}'?", abort=True, err=True)
    _print(asdict(purge_subject(subject, where=where)), as_json)


@app.command("sys-info")
def sys_info(as_json: Json = False) -> None:
    """Versions and machine, for a methods section or a bug report."""
    from dolorimeter.evaluation import environment

    _print(environment(), as_json)
