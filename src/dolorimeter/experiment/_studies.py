"""Studies: one experiment run many times, with one thing changed from run to run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.chain import Progress
from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.estimators import load_estimator
from dolorimeter.evaluation import Run, summarise
from dolorimeter.experiment._config import Experiment, read_experiment
from dolorimeter.experiment._prepare import Prepared, prepare, sample_cache
from dolorimeter.experiment._run import run, same_experiment
from dolorimeter.storage import digest, write_json, write_text

Titled = Callable[[str], Progress]


def sweep(
    experiment: str | Path,
    key: str,
    values: Sequence[Any],
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    workers: int = 1,
    threads_per_fold: int = 1,
    progress: Titled | None = None,
) -> pd.DataFrame:
    """Run an experiment once for each value of one key: score and run time.

    Samples are made anew for every value, from files to embeddings, since what that costs is one
    of the results. A value that is finished in `out` is not run again; one that was interrupted
    goes on, and its seconds are missing, since no one knows them.

    Parameters
    ----------
    experiment : str or Path
        A TOML file.
    key : str
        Dotted key (``streams.0.representation.stride``).
    values : sequence
    root : str or Path, optional
        Of the data set.
    out : str or Path, optional
        One run folder a value, and ``sweep.json``.
    overrides : mapping, optional
        Other keys that differ from the file, the same in every run.

    Returns
    -------
    pandas.DataFrame
        value, metric, mean of people, low, high, windows, look-alike, seconds.

    Raises
    ------
    ConfigError
        If there is no value, a value is given twice, or `out` holds a sweep of another key, data
        set or experiment.
    """
    if not values or len({repr(v) for v in values}) != len(values):
        raise ConfigError(f"{key}: values are {list(values)}, expected one or more, each once.")
    experiments = [
        read_experiment(experiment, {**(overrides or {}), key: value}, paths_exist=True)
        for value in values
    ]
    where = "" if root is None else str(Path(root).resolve())
    kept = _rows_of(None if out is None else Path(out), key, where)
    rows = []
    for value, one in zip(values, experiments, strict=True):
        name = _folder_of(key, value)
        folder = None if out is None else Path(out) / name
        row = kept.get(name) if folder is not None and (folder / "run.json").is_file() else None
        if row is not None and folder is not None:
            same_experiment(folder, one)
        if row is None:
            resumed = folder is not None and folder.exists()
            begun = time.perf_counter()
            found = run(
                one,
                root,
                folder,
                workers=workers,
                threads_per_fold=threads_per_fold,
                cache=False,
                progress=progress,
            )
            seconds = None if resumed else time.perf_counter() - begun
            row = {"value": value} | scores_of(found) | {"seconds": seconds}
            kept[name] = row
            if out is not None:
                told = {"key": key, "root": where, "rows": kept}
                write_json(Path(out) / "sweep.json", told)
        rows.append(row)
    return pd.DataFrame(rows)


def _folder_of(key: str, value: Any) -> str:
    """Name of the run folder of a value: a path or a list among them must not become folders."""
    told = str(value)
    plain = re.sub(r"[^\w.+-]+", "_", told).strip("_.")
    name = f"{key.rpartition('.')[2]}-{plain}"
    return name if plain == told else f"{name}-{digest(told)[:6]}"


def _rows_of(out: Path | None, key: str, root: str) -> dict[str, dict[str, Any]]:
    """Rows that an earlier call has finished.

    Raises
    ------
    ConfigError
        If the folder holds a sweep of another key, or over other data.
    """
    path = None if out is None else Path(out) / "sweep.json"
    if path is None or not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        own, rows = told["key"], dict(told["rows"])
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{path}: not what a sweep has written ({error!r}). Remove that file: finished runs "
            "beside it are kept, their seconds are not."
        ) from error
    if own != key:
        raise ConfigError(f"{out}: holds a sweep of {own}, not of {key}. Give another out.")
    if told.get("root", root) != root:
        raise ConfigError(
            f"{out}: holds a sweep over the data in {told['root'] or 'the default folder'}, not "
            f"in {root or 'the default folder'}. Give another out."
        )
    return rows


def scores_of(found: Run) -> dict[str, Any]:
    """The main metric of a run as columns of a table, and whether its people exist."""
    summary = summarise(found)
    main = summary.by_subject[summary.main]
    return {
        "metric": summary.main,
        "mean of people": main.mean,
        "low": main.low,
        "high": main.high,
        "windows": summary.windows,
        "look-alike": found.lookalike,
    }


def occlusion(
    experiment: Experiment,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    regions: Sequence[str] = ("eyes", "mouth", "brows", "nose"),
    shares: Sequence[float] = (0.5, 1.0),
    workers: int = 1,
    threads_per_fold: int = 1,
    progress: Titled | None = None,
) -> pd.DataFrame:
    """How a model that was trained on clear faces does on faces that are partly covered.

    Every fold's own model predicts its test people again, with a share of one region of the face
    covered with grey in every frame. Nothing is trained on covered faces.

    Parameters
    ----------
    experiment : Experiment
        With one video stream whose representation can `occlude`.
    out : str or Path
        Run folder; the folds' models are kept in it, and ``occlusion.csv``.
    regions : sequence of str
        What to cover: as the representation's ``occlude`` takes it.
    shares : sequence of float
        Shares of the region's area, above 0 and up to 1.

    Returns
    -------
    pandas.DataFrame
        region, share, metric, mean of people, low, high, windows, look-alike, loss; the first
        row is the clear face.

    Raises
    ------
    ConfigError
        If there is no such stream, `out` is missing, or a share is out of range.
    """
    if out is None:
        raise ConfigError("occlusion needs out: the folder that keeps each fold's model.")
    if not regions or not shares or not all(0 < share <= 1 for share in shares):
        raise ConfigError(
            f"occlusion of {list(regions)} by {list(shares)}: expected at least one region, and "
            "shares above 0 and up to 1."
        )
    covered = {(r, s): _covered(experiment, r, s) for r in regions for s in shares}
    given: dict[str, Any] = {"workers": workers}
    found = run(
        experiment,
        root,
        out,
        keep_models=True,
        threads_per_fold=threads_per_fold,
        progress=progress,
        **given,
    )
    clear = scores_of(found)
    rows = [{"region": "none", "share": 0.0} | clear | {"loss": 0.0}]
    for (region, share), other in covered.items():
        prepared = prepare(
            other,
            root,
            cache=sample_cache(),
            progress=progress and progress(f"{region} {share:g}"),
            **given,
        )
        score = scores_of(_predicted_again(found, prepared, Path(out)))
        loss = clear["mean of people"] - score["mean of people"]
        rows.append({"region": region, "share": share} | score | {"loss": loss})
    table = pd.DataFrame(rows)
    write_text(Path(out) / "occlusion.csv", table.to_csv(index=False))
    return table


def _covered(experiment: Experiment, region: str, share: float) -> Experiment:
    """The experiment with a region covered in every stream that can cover one."""
    streams = []
    changed = False
    chain = experiment.chain()
    for stream, made in zip(experiment.streams, chain.streams if chain else (), strict=True):
        if hasattr(made.representation, "occlude"):
            cover = {"occlude": region, "occluded_share": share}
            streams.append(replace(stream, representation={**stream.representation, **cover}))
            changed = True
        else:
            streams.append(stream)
    if not changed:
        raise ConfigError(
            f"'{experiment.title}' has no stream of face pictures: nothing can be covered. Take "
            "an experiment with the representation face_frames or face_clip."
        )
    other = replace(experiment, streams=tuple(streams))
    other.chain()
    return other


def _predicted_again(found: Run, prepared: Prepared, out: Path) -> Run:
    """The run with every fold's model asked again, of other pictures of the same windows."""
    rows = found.predictions
    meta = prepared.samples.meta
    asked = rows["row"].to_numpy(dtype=int)
    same = len(meta) > asked.max(initial=-1) and np.array_equal(
        meta["recording"].astype(str).to_numpy()[asked], rows["recording"].astype(str).to_numpy()
    )
    if not same:
        raise ConfigError(
            "the covered pictures are not of the same windows as the clear ones: some were kept "
            "out. Lower min_valid, or cover less."
        )
    parts = []
    for fold, seed in sorted(set(zip(rows["fold"].tolist(), rows["seed"].tolist(), strict=True))):
        model = load_estimator(out / "models" / f"fold_{fold:04d}_seed_{seed}")
        own = rows[(rows["fold"] == fold) & (rows["seed"] == seed)].copy()
        x = prepared.samples.take(own["row"].to_numpy(dtype=int)).x
        if found.target_kind == "regressor":
            own["prediction"] = model.predict(x)
        else:
            said = model.predict_proba(x)
            own[[f"p_{i}" for i in range(said.shape[1])]] = said
        parts.append(own)
    empty = pd.DataFrame()
    return replace(
        found, predictions=pd.concat(parts), baselines=empty, degradation=empty, permutation=None
    )
