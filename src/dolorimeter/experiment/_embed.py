"""Recordings to embeddings on disk: what is asked for, from TOML or from words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from dolorimeter.chain import Pipeline, Progress, Stored, store
from dolorimeter.datasets import open_dataset, recordings_of
from dolorimeter.datasets.labels import LABELS
from dolorimeter.datasets.video_files import SUFFIXES
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.evaluation import environment
from dolorimeter.experiment._config import (
    PATH_KEYS,
    DatasetConfig,
    StreamConfig,
    chain_streams,
    checked,
    experiment_from,
    plain,
    read_values,
    window_spec,
)
from dolorimeter.experiment._prepare import (
    chosen_subjects,
    dataset_notes,
    exclusions_of,
    outside,
    sample_cache,
)
from dolorimeter.registry import DATASETS
from dolorimeter.storage import find_root
from dolorimeter.toml_files import absolute_paths, check_paths, override
from dolorimeter.types import Exclusion, LabelSource, Recording, Video
from dolorimeter.video import probe

LABELS_ABOVE = 3
"""How many folders up from a video file a table of labels is looked for."""
CLIP_SECONDS = 1.0
"""Length of the windows of loose video files where nobody says another."""


@dataclass(frozen=True)
class EmbeddingPlan:
    """Whose windows go through which encoders.

    Parameters
    ----------
    dataset : DatasetConfig
    streams : tuple of StreamConfig
        Each with an encoder.
    windows : mapping
        The table ``[windows]``.
    conditions : tuple of str
        Conditions whose windows are embedded; empty means all.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    dataset: DatasetConfig
    streams: tuple[StreamConfig, ...]
    windows: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()

    def chain(self) -> Pipeline:
        """The stages from a recording to embeddings.

        Raises
        ------
        ConfigError
            If a name or an argument is unknown, or no stream has an encoder.
        """
        streams = chain_streams(tuple(s for s in self.streams if s.encoder is not None))
        if not streams:
            raise ConfigError(
                "no stream has an encoder, so there is nothing to embed. Give --encoder NAME "
                "(dolorimeter list models), or encoder = { name = … } in the file."
            )
        return Pipeline(window_spec(self.windows, self.conditions), streams)


def plan_embedding(
    sources: Sequence[str | Path],
    *,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    modality: str | None = None,
    representation: str | None = None,
    duration: float | None = None,
    pooling: str | None = None,
    encoder: Mapping[str, Any] | None = None,
    subjects: int | None = None,
    all_conditions: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[EmbeddingPlan, tuple[Path, ...]]:
    """What is to be embedded, from the words of a command line.

    Parameters
    ----------
    sources : sequence of str or Path
        One TOML file (an experiment, or its tables ``dataset``, ``windows`` and ``streams``
        alone); or the name of one data set; or files and folders of recordings.
    dataset : str, optional
        Format of files; videos need none. Of a TOML file instead of its own.
    options : mapping, optional
        For the reader.
    modality, representation, duration, pooling
        Without a TOML file: the signal or video, how it becomes pictures, seconds of the windows
        (which then touch, from the start of a recording to its end), how the pictures of one are
        joined. By default the aligned face of videos in windows of `CLIP_SECONDS`, and the
        waveform of signals.
    encoder : mapping, optional
        Fields of `embeddings.Encoder` that replace those of every stream that has one; with a
        name, of all streams.
    subjects : int, optional
        Only the first so many subjects.
    all_conditions : bool
        Every window, also of conditions that the experiment does not ask about.
    overrides : mapping, optional
        Dotted keys and values (``{"streams.0.representation.stride": 4}``).

    Returns
    -------
    tuple
        The plan, and the files it is restricted to (none: the whole data set).

    Raises
    ------
    ConfigError
        If the words do not fit together.
    UnknownNameError
        If a name is unknown.
    """
    if not sources:
        raise ConfigError("nothing to embed: give a TOML file, a data set's name, or files.")
    words: dict[str, Any] = {
        "modality": modality,
        "representation": representation,
        "duration": duration,
        "pooling": pooling,
    }
    files: tuple[Path, ...] = ()
    if len(sources) == 1 and str(sources[0]).endswith(".toml"):
        given = [f"--{name}" for name, value in words.items() if value is not None]
        if given:
            raise ConfigError(
                f"{', '.join(given)}: {sources[0]} says so itself. Use --set, such as "
                "--set streams.0.modality=ecg or --set windows.duration=4."
            )
        where = str(sources[0])
        values = read_values(Path(sources[0]))
    else:
        where = "embed"
        name, files = _dataset_of(sources, dataset)
        values = _values(name, bool(files), **words)
        dataset = None
    if dataset is not None:
        values["dataset"] = {**values.get("dataset", {}), "name": dataset}
    for key, value in (options or {}).items():
        values["dataset"].setdefault("options", {})[key] = value
    if subjects is not None:
        values["dataset"]["first"] = subjects
    for key, value in (overrides or {}).items():
        override(values, key, value)
    _set_encoders(values, dict(encoder or {}))
    values = absolute_paths(values, PATH_KEYS)
    if where != "embed":
        check_paths(where, values, PATH_KEYS)
    plan = _plan(values, where, all_conditions)
    DATASETS.get(plan.dataset.name)
    plan.chain()
    return plan, files


def embed(
    plan: EmbeddingPlan,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    files: Sequence[str | Path] = (),
    workers: int = 1,
    backend: str | None = None,
    cache: bool = True,
    progress: Callable[[str], Progress] | None = None,
) -> Stored:
    """Embed recordings into a folder: arrays, a table of the windows, and what they are.

    Memory does not grow with the recordings. What is finished is kept in the user cache, by the
    content of files, chain and weights: the same call after an interruption goes on from there,
    and the same again is quick. `chain.load_embeddings` reads the folder.

    Parameters
    ----------
    plan : EmbeddingPlan
        From `plan_embedding`.
    root : str or Path, optional
        Of the data set; None looks in ``$DOLORIMETER_DATA`` and the user cache.
    out : str or Path
        The folder. One that holds other embeddings is refused.
    files : sequence of str or Path
        Files or folders of recordings in the data set's format, instead of `root`.
    workers : int
        Processes.
    backend : str, optional
        ``ray`` or ``dask``: batches of recordings on a cluster.
    cache : bool
        Keep them in the user cache. Without it they are kept in `out` until it is finished.
    progress : callable, optional
        Given a title, returns what is called with counts done and in all.

    Raises
    ------
    ConfigError
        If no recording has a stream's signal or video, or `out` is missing, lies in the data or
        holds other embeddings.
    DatasetError
        If the data are not there, or no window is left.
    StorageError
        If the weights cannot be read, or `out` cannot be written.
    """
    if out is None:
        raise ConfigError("embeddings need a folder: give --out.")
    config = plan.dataset
    paths = [Path(path) for path in files]
    outside(Path(out), root or (None if paths else find_root(config.name)))
    chain = plan.chain()
    for stream in chain.streams:
        _ = stream.encoder.digest  # weights that are not there stop this before a file is read
    found = _from_files(config, paths) if paths else _from_root(config, root)
    _check_modalities(chain, found.recordings)
    return store(
        chain,
        found.recordings,
        Path(out),
        told={
            "dataset": plain(config),
            "conditions": list(plan.conditions),
            "files": sorted(path.name for path in paths),
        },
        versions=environment() | _runtimes(chain),
        label_source=found.label_source,
        lookalike=found.lookalike,
        exclusions=found.exclusions,
        notes=found.notes,
        cache=sample_cache() if cache else None,
        workers=workers,
        backend=backend,
        progress=progress and progress("embed"),
    )


@dataclass(frozen=True)
class _Found:
    recordings: list[Recording]
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    label_source: LabelSource
    lookalike: bool


def _from_root(config: DatasetConfig, root: str | Path | None) -> _Found:
    reader = open_dataset(config.name, root, **config.options)
    if not hasattr(reader, "recordings"):
        raise ConfigError(
            f"data set '{config.name}' is a feature table: it has no recordings that could be "
            "embedded (dolorimeter list datasets)."
        )
    chosen = chosen_subjects(reader, config.subjects)[: config.first or None]
    recordings = reader.recordings(chosen)
    kept_out = exclusions_of(reader, config, chosen)
    lookalike = bool(getattr(reader, "lookalike", False))
    notes = dataset_notes(reader, chosen, kept_out)
    return _Found(recordings, kept_out, notes, reader.card.label_source, lookalike)


def _from_files(config: DatasetConfig, files: Sequence[Path]) -> _Found:
    for path in files:
        if not path.exists():
            raise DatasetError(f"{path}: no such file or folder.")
    read: list[tuple[list[Recording], tuple[Exclusion, ...]]] = []
    faults: list[RecordingError] = []
    for path in files:
        try:
            loose = config.name == "video_files" and _is_loose(path)
            read.append(
                ([_clip(path)], ()) if loose else recordings_of(config.name, path, config.options)
            )
        except RecordingError as error:  # a broken file must not cost the others
            faults.append(error)
            broken = Exclusion(path.stem, path.stem, path.name, str(error))
            read.append(([], (broken,)))
    if len(faults) == len(files):
        raise faults[0]
    recordings = [r for found, _ in read for r in found]
    twice = [k for k, n in Counter((r.subject, r.name) for r in recordings).items() if n > 1]
    if twice:
        subject, name = twice[0]
        raise ConfigError(
            f"two of the files are recording '{name}' of subject '{subject}', so that their rows "
            "could not be told apart. Give the folder above them, or call once for each."
        )
    people = list(dict.fromkeys(r.subject for r in recordings))[: config.first or None]
    return _Found(
        [r for r in recordings if r.subject in people],
        tuple(e for _, exclusions in read for e in exclusions),
        (),
        DATASETS.get(config.name).card.label_source,
        False,
    )


def _is_loose(path: Path) -> bool:
    """Whether a video file lies by itself: then the videos around it are not looked at."""
    near = path.resolve().parents[:LABELS_ABOVE]
    return path.is_file() and not any(
        (folder / name).is_file() for folder in near for name in (LABELS, f"{LABELS}.gz")
    )


def _clip(path: Path) -> Recording:
    """A video file as the reader of a folder gives a flat one: a person of its name."""
    info = probe(path)
    facts = {"duration": info.duration}
    if info.frames is not None:
        facts["frame_count"] = float(info.frames)
    return Recording(
        "video_files",
        path.stem,
        path.stem,
        videos={"face": Video(path)},
        sources=(path,),
        facts=facts,
    )


def _check_modalities(chain: Pipeline, recordings: Sequence[Recording]) -> None:
    """Refuse a modality that no recording has before any of them is read."""
    have = {name for r in recordings for name in (*r.signals, *r.videos)}
    for stream in chain.streams:
        wanted = stream.representation.modality
        made = {m for step in stream.steps for m in step.modalities}
        if recordings and not have & {wanted, *made}:
            raise ConfigError(
                f"stream '{stream.name}': none of {len(recordings):,} recordings has {wanted}; "
                f"they have: {', '.join(sorted(have)) or 'nothing'}. Give --modality, or modality "
                "of the stream."
            )


def _runtimes(chain: Pipeline) -> dict[str, str]:
    """Versions of what runs the encoders besides PyTorch."""
    found = {}
    packages = {"onnx": "onnxruntime", "openvino": "openvino"}
    for runtime in {stream.encoder.runtime for stream in chain.streams} & set(packages):
        try:
            found[packages[runtime]] = version(packages[runtime])
        except PackageNotFoundError:
            found[packages[runtime]] = "not installed"
    return found


def _dataset_of(
    sources: Sequence[str | Path], dataset: str | None
) -> tuple[str, tuple[Path, ...]]:
    """The data set's name, and the files where they are files."""
    if len(sources) == 1 and dataset is None and str(sources[0]) in DATASETS.names():
        return str(sources[0]), ()
    paths = tuple(Path(source) for source in sources)
    absent = [path for path in paths if not path.exists()]
    if absent and len(sources) == 1 and len(absent[0].parts) == 1 and not absent[0].suffix:
        DATASETS.get(str(sources[0]))  # says which names are near
    if absent:
        raise DatasetError(
            f"{absent[0]}: no such file or folder. Give a TOML file, the name of a data set "
            "(dolorimeter list), or recordings."
        )
    if dataset is None and not all(_is_video(path) for path in paths):
        raise ConfigError(
            f"{next(p for p in paths if not _is_video(p))}: of which format is it? Give --dataset "
            "NAME (dolorimeter list datasets); only videos need none."
        )
    return dataset or "video_files", paths


def _is_video(path: Path) -> bool:
    if path.is_dir():
        return any(p.suffix.lower() in SUFFIXES for p in path.rglob("*"))
    return path.suffix.lower() in SUFFIXES


def _values(
    name: str,
    loose: bool,
    *,
    modality: str | None,
    representation: str | None,
    duration: float | None,
    pooling: str | None,
) -> dict[str, Any]:
    """A plan in plain values: windows that touch, along the whole of each recording."""
    videos = name == "video_files"
    if modality is None and not videos:
        raise ConfigError("which signal or video? Give --modality, such as eda, ecg or face.")
    if duration is None and not (videos and loose):
        raise ConfigError("how long is a window? Give --duration in seconds.")
    modality = modality or "face"
    stream: dict[str, Any] = {"modality": modality}
    faces = modality == "face" and representation in (None, "face_frames", "face_clip", "depth")
    if faces:
        stream["preprocessing"] = [{"name": "face_track"}]
    usual = "face_frames" if modality == "face" else "waveform"
    stream["representation"] = {"name": representation or usual}
    stream["pooling"] = pooling or "none"
    windows = {
        "duration": CLIP_SECONDS if duration is None else duration,
        "anchor": "sliding",
        "inside_stimulus": False,
    }
    return {"dataset": {"name": name}, "windows": windows, "streams": [stream]}


def _set_encoders(values: Mapping[str, Any], given: dict[str, Any]) -> None:
    """Replace fields of the streams' encoders; a stream without one gets one if it is named."""
    if not given:
        return
    for stream in values.get("streams", ()):
        own = stream.get("encoder")
        if own is None and "name" not in given:
            continue
        named = given.get("name", own and own.get("name"))
        kept = own if own is not None and own.get("name") == named else {}
        stream["encoder"] = {**kept, **given}


def _plan(values: Mapping[str, Any], where: str, all_conditions: bool) -> EmbeddingPlan:
    if "classifier" not in values:
        told: EmbeddingPlan = checked(EmbeddingPlan, values, where)
        return told
    experiment = experiment_from(values, where)
    chain = experiment.chain()
    conditions = () if all_conditions or chain is None else tuple(chain.windows.conditions)
    return EmbeddingPlan(experiment.dataset, experiment.streams, experiment.windows, conditions)
