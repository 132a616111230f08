"""What do embeddings lie together by: the level, or the person? Drawn flat, and measured.

A drawing in two dimensions can be made to show much. What counts is printed beside it: the
silhouette (Rousseeuw 1987) of the levels and of the people, in all dimensions. Of most encoders
the second is the larger one: identity dominates, and a random split of windows would be rewarded
for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from dolorimeter import __version__
from dolorimeter.chain import Progress, load_embeddings
from dolorimeter.errors import ConfigError, DolorimeterError, RecordingError
from dolorimeter.explain import _dual
from dolorimeter.explain._explanation import NOT_A_DEVICE, plain
from dolorimeter.explain._painformer import LOOKALIKE, UNTRAINED
from dolorimeter.explain.over_time import (
    dual_parts,
    model_conditions,
    recordings_asked,
    windows_of_levels,
)
from dolorimeter.explain.pictures import saved, style
from dolorimeter.predictor import Predictor
from dolorimeter.storage import check_writable, write_json, write_text

METHODS = ("pca", "umap")
APART = 0.1
"""A silhouette below this is no grouping at all."""
MOST = 5000
"""Windows that silhouettes and UMAP are computed of at most; of more, so many drawn evenly."""
FILES = ("embedding_map.png", "embedding_map.csv", "embedding_map.json")
_LEVELS = "viridis"
_PEOPLE = "tab20"


@dataclass(frozen=True)
class EmbeddingMap:
    """Embeddings in two dimensions, with what holds in all of them.

    Parameters
    ----------
    name : str
        Of what is shown.
    method : str
    points : Float[np.ndarray, "window 2"]
    levels, subjects : tuple of str
        Of each window.
    level_silhouette, subject_silhouette : float
        −1…1, in all dimensions: 0 where groups lie in each other. NaN where there is one group.
    level_within : float
        Of the levels once each person's mean is taken away.
    explained : tuple of float
        Share of the variance that each axis holds; empty for UMAP.
    dimensions, windows : int
        Of the embeddings; windows before any were left out.
    """

    name: str
    method: str
    points: Float[np.ndarray, "window 2"]
    levels: tuple[str, ...]
    subjects: tuple[str, ...]
    level_silhouette: float
    subject_silhouette: float
    level_within: float
    explained: tuple[float, ...]
    dimensions: int
    windows: int

    @property
    def verdict(self) -> str:
        """Which of the two the embeddings lie together by, in a sentence."""
        level, subject = self.level_silhouette, self.subject_silhouette
        if np.isnan(level) or np.isnan(subject):
            return "There is one level or one person only: nothing can be compared."
        if max(subject, level) < APART:
            return "Windows lie together neither by level nor by person."
        if subject > level:
            return (
                "Identity dominates: windows lie together by person more than by level. Splits "
                "must be by person."
            )
        return "Windows lie together by level at least as much as by person."

    @property
    def row(self) -> dict[str, Any]:
        """What to print."""
        return {
            "embeddings": self.name,
            "windows": self.windows,
            "people": len(set(self.subjects)),
            "dimensions": self.dimensions,
            "silhouette of levels": self.level_silhouette,
            "silhouette of people": self.subject_silhouette,
            "of levels within people": self.level_within,
            "variance drawn": sum(self.explained) if self.explained else np.nan,
        }


def map_embeddings(
    x: Float[np.ndarray, "window *shape"],
    levels: Sequence[str],
    subjects: Sequence[str],
    *,
    name: str = "embeddings",
    method: str = "pca",
    seed: int = 0,
) -> EmbeddingMap:
    """Embeddings drawn flat, and silhouettes of levels and of people.

    Parameters
    ----------
    x : Float[np.ndarray, "window feature"]
        Of several tokens or pictures ``(window, token, feature)`` the mean is taken. Rows with NaN
        are left out.
    levels, subjects : sequence of str
        Of each window.
    name : str
    method : str
        ``pca``, or ``umap`` where umap-learn is installed.
    seed : int
        Of UMAP, and of which windows are taken where there are more than `MOST`.

    Raises
    ------
    ConfigError
        If lengths differ, fewer than three windows have an embedding, or the method is unknown.
    DependencyError
        If umap-learn is asked for and not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> subjects = np.repeat(["s1", "s2", "s3"], 20)
    >>> x = rng.normal(size=(60, 5)) + 9 * np.arange(3).repeat(20)[:, None]
    >>> found = map_embeddings(x, ["BL", "PA4"] * 30, subjects.tolist())
    >>> found.subject_silhouette > 0.8 > 0.1 > found.level_silhouette
    True
    """
    if method not in METHODS:
        raise ConfigError(f"method is '{method}', expected one of {', '.join(METHODS)}.")
    if not len(x) == len(levels) == len(subjects):
        raise ConfigError(
            f"{len(x)} embeddings, {len(levels)} levels and {len(subjects)} subjects: expected "
            "one of each for a window."
        )
    flat = np.asarray(x, dtype=np.float64)
    while flat.ndim > 2:
        flat = flat.mean(axis=1)
    if flat.ndim != 2:
        raise ConfigError(f"embeddings of shape {np.shape(x)}, expected (window, feature).")
    there = np.flatnonzero(np.isfinite(flat).all(axis=1))
    windows = len(there)
    if windows < 3:
        raise ConfigError(f"{name}: {windows} windows have an embedding, expected 3 or more.")
    if windows > MOST:
        there = np.sort(np.random.default_rng(seed).choice(there, MOST, replace=False))
    flat = flat[there]
    level = np.asarray([str(v) for v in levels])[there]
    who = np.asarray([str(v) for v in subjects])[there]
    points, explained = _flat(flat, method, seed)
    return EmbeddingMap(
        name=name,
        method=method,
        points=points,
        levels=tuple(level.tolist()),
        subjects=tuple(who.tolist()),
        level_silhouette=_silhouette(flat, level),
        subject_silhouette=_silhouette(flat, who),
        level_within=_silhouette(_without_person(flat, who), level),
        explained=explained,
        dimensions=flat.shape[1],
        windows=windows,
    )


def _silhouette(x: Float[np.ndarray, "window feature"], label: np.ndarray) -> float:
    groups = len(set(label.tolist()))
    return float(silhouette_score(x, label)) if 1 < groups < len(x) else float("nan")


def _without_person(
    x: Float[np.ndarray, "window feature"], who: np.ndarray
) -> Float[np.ndarray, "window feature"]:
    means = pd.DataFrame(x).groupby(who).transform("mean").to_numpy()
    left: np.ndarray = x - means
    return left


def _flat(
    x: Float[np.ndarray, "window feature"], method: str, seed: int
) -> tuple[Float[np.ndarray, "window 2"], tuple[float, ...]]:
    """Two coordinates a window, and the share of variance on each axis of PCA."""
    if method == "umap":
        return _umap(x, seed), ()
    if np.ptp(x, axis=0).max() == 0:
        return np.zeros((len(x), 2)), (0.0, 0.0)
    count = min(2, x.shape[1])
    pca = PCA(n_components=count, svd_solver="full" if x.shape[1] < 2000 else "arpack")
    points = np.zeros((len(x), 2))
    points[:, :count] = pca.fit_transform(x)
    return points, tuple(float(v) for v in pca.explained_variance_ratio_)


def _umap(x: Float[np.ndarray, "window feature"], seed: int) -> Float[np.ndarray, "window 2"]:
    from dolorimeter._extras import umap

    with warnings.catch_warnings():  # with a seed it runs in one thread, and warns of that
        warnings.simplefilter("ignore")
        made = umap.UMAP(n_components=2, n_neighbors=min(15, len(x) - 1), random_state=seed)
        points: np.ndarray = np.asarray(made.fit_transform(x), dtype=np.float64)
    return points


@dataclass(frozen=True)
class EmbeddingMaps:
    """Maps of every kind of embedding in a source.

    Parameters
    ----------
    source : str
    maps : tuple of EmbeddingMap
    cautions, remarks : tuple of str
    """

    source: str
    maps: tuple[EmbeddingMap, ...]
    cautions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """A row a map: both silhouettes."""
        return pd.DataFrame([one.row for one in self.maps])

    @property
    def summary_title(self) -> str:
        """Over `summary`."""
        return f"embeddings of {self.source}: by level, and by person"

    def write(self, out: Path) -> None:
        """Write `FILES` into a folder.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        tables = [
            pd.DataFrame(
                {
                    "embeddings": one.name, "level": one.levels, "subject": one.subjects,
                    "x": one.points[:, 0], "y": one.points[:, 1],
                }
            )
            for one in self.maps
        ]  # fmt: skip
        write_text(out / "embedding_map.csv", pd.concat(tables).to_csv(index=False))
        told = {
            "format": 1,
            "dolorimeter": __version__,
            "warning": NOT_A_DEVICE,
            "source": self.source,
            "method": self.maps[0].method,
            "maps": [one.row | {"verdict": one.verdict} for one in self.maps],
            "cautions": list(self.cautions),
            "remarks": list(self.remarks),
        }
        write_json(out / "embedding_map.json", plain(told))
        _draw(out / "embedding_map.png", self)


def embedding_map(
    source: str | Path | Predictor,
    files: Sequence[str | Path] | None = None,
    out: str | Path | None = None,
    *,
    method: str = "pca",
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> EmbeddingMaps:
    """Whether embeddings lie together by level or by person: pictures and both silhouettes.

    Parameters
    ----------
    source : str, Path or Predictor
        A folder that ``dolorimeter embed`` has written; or a model folder of the classifier
        ``dual_stream``, of which mean tokens of each part are taken (`files` says of what).
    files : sequence of str or Path, optional
        Recordings for a model.
    out : str or Path, optional
        Folder for `FILES`; None writes nothing.
    method : str
        ``pca``, or ``umap`` where umap-learn is installed.
    dataset, options
        Format of the files, and options of its reader; None: of the model.
    seed : int
        Of UMAP.
    progress : callable, optional
        Called with recordings done and recordings in all.

    Raises
    ------
    ConfigError
        If the source is neither, `method` is unknown, or files are missing.
    DependencyError
        If umap-learn is asked for and not installed.
    RecordingError
        If no window can be read.
    StorageError
        If a folder is damaged, or `out` cannot be written.
    """
    if method not in METHODS:
        raise ConfigError(f"method is '{method}', expected one of {', '.join(METHODS)}.")
    if out is not None:
        check_writable(Path(out) / FILES[0])
    if not isinstance(source, Predictor) and (Path(source) / "predictor.json").is_file():
        source = Predictor.load(Path(source))
    if isinstance(source, Predictor):
        found = _of_model(source, files or (), method, dataset, options, seed, progress)
    elif files:
        raise ConfigError(
            f"{source}: no model folder, and embeddings need no further files: leave them out."
        )
    else:
        found = _of_folder(Path(source), method, seed)
    if out is not None:
        found.write(Path(out))
    return found


def _of_folder(folder: Path, method: str, seed: int) -> EmbeddingMaps:
    samples = load_embeddings(folder)
    streams = samples.x if isinstance(samples.x, Mapping) else {"embeddings": samples.x}
    level = samples.meta["condition"].astype(str).tolist()
    maps = tuple(
        map_embeddings(x, level, samples.subjects.tolist(), name=name, method=method, seed=seed)
        for name, x in streams.items()
    )
    return EmbeddingMaps(folder.name, maps, (LOOKALIKE,) * samples.lookalike, tuple(samples.notes))


def _of_model(
    predictor: Predictor,
    files: Sequence[str | Path],
    method: str,
    dataset: str | None,
    options: Mapping[str, Any] | None,
    seed: int,
    progress: Progress | None,
) -> EmbeddingMaps:
    parts = dual_parts(predictor)
    recordings, asked = recordings_asked(predictor, files, dataset, options)
    rows: dict[str, list[np.ndarray]] = {}
    meta: dict[str, list[tuple[str, str]]] = {}
    reasons: list[str] = []
    for done, recording in enumerate(recordings):
        try:
            for windows in windows_of_levels(predictor, recording, model_conditions(predictor)):
                window = next(iter(windows.values()))
                assert window.stimulus is not None  # `windows_of_levels` has looked
                seen = _dual.seen_of(parts, windows)
                for name, mean in _dual.means_of(parts, seen).items():
                    rows.setdefault(name, []).append(mean)
                    place = (window.stimulus.condition, recording.subject)
                    meta.setdefault(name, []).append(place)
        except DolorimeterError as error:
            reasons.append(f"{recording.name}: {error}")
        if progress is not None:
            progress(done + 1, len(recordings))
    if not rows:
        told = "; ".join(dict.fromkeys(reasons[:3])) or "no window with a condition"
        raise RecordingError(f"{', '.join(map(str, files))}: {told}. Nothing can be shown.")
    maps = []
    for name, means in rows.items():
        level, subject = zip(*meta[name], strict=True)
        maps.append(
            map_embeddings(np.stack(means), level, subject, name=name, method=method, seed=seed)
        )
    lookalike = predictor.lookalike or any(one.lookalike for one in asked)
    return EmbeddingMaps(
        predictor.title,
        tuple(maps),
        (LOOKALIKE,) * lookalike + (UNTRAINED,) * _dual.untrained(parts),
        (
            *(f"{len(reasons)} recordings left out, first: {r}" for r in reasons[:1]),
            *_dual.encoder_remarks(parts),
        ),
    )


def _draw(path: Path, found: EmbeddingMaps) -> None:
    """A row a map: by level on the left, by person on the right."""
    with style():
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 2.6 * len(found.maps) + 0.9), layout="constrained")
        grid = figure.subplots(len(found.maps), 2, squeeze=False)
        for axes, one in zip(grid, found.maps, strict=True):
            groups = (one.levels, one.subjects)
            names = ("level", "person")
            scores = (one.level_silhouette, one.subject_silhouette)
            for axis, labels, name, score in zip(axes, groups, names, scores, strict=True):
                kinds = sorted(set(labels))
                of_levels = name == "level"
                colours = colormaps[_LEVELS if of_levels else _PEOPLE]
                for i, kind in enumerate(kinds):
                    place = i / max(len(kinds) - 1, 1) * 0.9 if of_levels else i % 20
                    own = np.asarray([label == kind for label in labels])
                    axis.scatter(
                        *one.points[own].T, s=14, color=colours(place), alpha=0.8, lw=0,
                        label=kind if of_levels else None,
                    )  # fmt: skip
                axis.set_title(
                    f"{one.name}: by {name}, silhouette {score:.2f}", loc="left", fontsize=9
                )
                axis.set_xticks([])
                axis.set_yticks([])
            axes[0].legend(frameon=False, fontsize=8)
            axes[1].set_xlabel(f"{len(set(one.subjects))} people, a colour each", fontsize=8)
            shares = " and ".join(f"{share:.0%}" for share in one.explained)
            axes[0].set_xlabel(f"axes hold {shares} of the variance" if shares else "UMAP")
        figure.suptitle(found.source, x=0.01, ha="left", weight="bold")
        told = "Silhouettes are of all dimensions, not of the drawing."
        caption = "\n".join((told, *found.cautions, NOT_A_DEVICE))
        figure.supxlabel(caption, fontsize=7.5)
        saved(figure, path)
