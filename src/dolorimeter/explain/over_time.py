"""Where in a window's time a model of clips and signals looks, level by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dolorimeter import __version__
from dolorimeter.chain import Progress
from dolorimeter.datasets import recordings_of
from dolorimeter.errors import ConfigError, DolorimeterError, RecordingError
from dolorimeter.explain import _dual
from dolorimeter.explain._explanation import NOT_A_DEVICE, plain
from dolorimeter.explain._model import NotThisWayError
from dolorimeter.explain._painformer import LOOKALIKE, UNTRAINED
from dolorimeter.explain._window import Asked
from dolorimeter.explain.levels import PERMUTATIONS, LevelCurves, compare_levels
from dolorimeter.explain.pictures import saved, style
from dolorimeter.predictor import Predictor
from dolorimeter.statistics import holm
from dolorimeter.storage import check_writable, write_json, write_text
from dolorimeter.types import Recording, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 32
"""Steps of a signal's curve at most: neighbouring samples say the same."""
FILES = ("attention.png", "attention.csv", "attention.json")
_LINES = ("#555555", "#56B4E9", "#E69F00", "#D55E00", "#000000", "#009E73", "#CC79A7")


@dataclass(frozen=True)
class AttentionOverTime:
    """Attention of each part of a model over the window's time, level against level.

    Parameters
    ----------
    model : str
        Its title.
    parts : mapping of str to LevelCurves
        By part; 1 is an even share.
    times : mapping of str to array
        Middle of each step, in seconds from the start of the window, mean over windows.
    windows : int
    cautions, remarks : tuple of str
        What stands under the picture, and what else a reader must know.
    """

    model: str
    parts: Mapping[str, LevelCurves]
    times: Mapping[str, np.ndarray]
    windows: int
    cautions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """A row a part, level and step; differences are from the first level."""
        rows = []
        for name, found in self.parts.items():
            for i, level in enumerate(found.levels):
                rows += [
                    {
                        "part": name, "level": level, "second": time,
                        "attention": found.curves[i, step],
                        "difference": found.differences[i - 1, step] if i else np.nan,
                        "null_low": found.low[i - 1, step] if i else np.nan,
                        "null_high": found.high[i - 1, step] if i else np.nan,
                        "limit": found.limit[i - 1, step] if i else np.nan,
                    }
                    for step, time in enumerate(self.times[name])
                ]  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def summary(self) -> pd.DataFrame:
        """A row a part and level: its largest difference, when, p, and p over all rows (Holm)."""
        rows = []
        for name, found in self.parts.items():
            for i, level in enumerate(found.levels[1:]):
                step = int(found.strongest[i])
                rows.append(
                    {
                        "part": name, "level": level, "against": found.levels[0],
                        "largest difference": found.differences[i, step],
                        "at second": self.times[name][step],
                        "p": found.p[i], "people": found.people, "stimuli": found.blocks,
                    }
                )  # fmt: skip
        table = pd.DataFrame(rows)
        table.insert(len(rows[0]) - 2, "p over parts", holm(table["p"].tolist()))
        return table

    @property
    def summary_title(self) -> str:
        """Over `summary`."""
        return f"attention over time, {_dual.SCALE}: {self.model}, {self.windows} windows"

    def write(self, out: Path) -> None:
        """Write `FILES` into a folder.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        write_text(out / "attention.csv", self.table.to_csv(index=False))
        told = {
            "format": 1,
            "dolorimeter": __version__,
            "warning": NOT_A_DEVICE,
            "model": self.model,
            "windows": self.windows,
            "summary": self.summary.to_dict(orient="records"),
            "permutations": max(f.permutations for f in self.parts.values()),
            "smallest_p": max(f.smallest_p for f in self.parts.values()),
            "cautions": list(self.cautions),
            "remarks": list(self.remarks),
        }
        write_json(out / "attention.json", plain(told))
        _draw(out / "attention.png", self)


def attention_over_time(
    model: str | Path | Predictor,
    files: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    levels: Sequence[str] = (),
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> AttentionOverTime:
    """Whether a model of clips and signals looks at other moments when the level is another.

    Last-block attention of the video encoder and of the signal encoder, hybrid positional
    attention of both sides and the last layer of co-attention, as far as the model has them:
    how much each moment is read. Mean over windows, people and levels, and each level's difference
    from the first against levels shuffled within each person (`levels.compare_levels`).

    Parameters
    ----------
    model : str, Path or Predictor
        A folder written by ``train``, with the classifier ``dual_stream``.
    files : sequence of str or Path
        Recordings, or folders of them, with stimuli of two levels at least.
    out : str or Path, optional
        Folder for `FILES`; None writes nothing.
    dataset : str, optional
        Format of the files; None: of the data set that the model was trained on.
    options : mapping, optional
        For its reader.
    levels : sequence of str
        Conditions, the one to compare with first; empty: those of the model, by level.
    permutations : int
        How often levels are shuffled.
    seed : int
        Of the shuffles.
    progress : callable, optional
        Called with recordings done and recordings in all.

    Raises
    ------
    ConfigError
        If the model is of another kind, there is one level only, or nobody has two.
    RecordingError
        If no window can be read.
    StorageError
        If `out` cannot be written.
    """
    if out is not None:
        check_writable(Path(out) / FILES[0])
    predictor = model if isinstance(model, Predictor) else Predictor.load(Path(model))
    parts = dual_parts(predictor)
    found = _Gathered(levels or model_conditions(predictor))
    recordings, asked = recordings_asked(predictor, files, dataset, options)
    reasons: list[str] = []
    for done, recording in enumerate(recordings):
        try:
            for windows in windows_of_levels(predictor, recording, found.wanted):
                found.add(parts, windows)
        except DolorimeterError as error:
            reasons.append(f"{recording.name}: {error}")
        if progress is not None:
            progress(done + 1, len(recordings))
    if not found.meta:
        told = "; ".join(dict.fromkeys(reasons[:3])) or "no window of these levels"
        raise RecordingError(f"{', '.join(map(str, files))}: {told}. Nothing can be shown.")
    people = {who for _, who, _ in found.meta}
    explanation = AttentionOverTime(
        predictor.title,
        *found.compared(permutations, seed),
        len(found.meta),
        (LOOKALIKE,) * (predictor.lookalike or any(a.lookalike for a in asked))
        + (UNTRAINED,) * _dual.untrained(parts),
        (
            *_met(predictor, people),
            *(f"{len(reasons)} recordings left out, first: {r}" for r in reasons[:1]),
            *_dual.encoder_remarks(parts),
        ),
    )
    explanation = _with_limits(explanation)
    if out is not None:
        explanation.write(Path(out))
    return explanation


class _Gathered:
    """Curves of all windows, by part."""

    def __init__(self, levels: Sequence[str]) -> None:
        self.order = tuple(levels)
        self.wanted = self.order
        self.known: dict[str, int] = {}
        self.curves: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.times: dict[str, list[np.ndarray]] = {}
        self.meta: list[tuple[str, str, str]] = []

    def add(self, parts: _dual.Parts, windows: Mapping[str, Window]) -> None:
        window = next(iter(windows.values()))
        stimulus = window.stimulus
        assert stimulus is not None  # `windows_of_levels` has looked
        read = _dual.read_of(parts, _dual.seen_of(parts, windows))
        row = len(self.meta)
        for name, curve in read.curves.items():
            self.curves.setdefault(name, []).append((row, _dual.coarse(curve, BINS)))
            self.times.setdefault(name, []).append(_dual.coarse(read.times[name], BINS))
        place = f"{window.recording.name} {stimulus.onset} {stimulus.condition}"
        self.meta.append((stimulus.condition, window.recording.subject, place))
        if stimulus.level is not None:
            self.known[stimulus.condition] = stimulus.level

    def compared(
        self, permutations: int, seed: int
    ) -> tuple[dict[str, LevelCurves], dict[str, np.ndarray]]:
        """Each part's curves level against level, and its times."""
        seen = {level for level, _, _ in self.meta}
        if len(seen) < 2:
            raise ConfigError(
                f"windows of {', '.join(sorted(seen))} alone: give recordings of two levels."
            )
        order = [level for level in self.order if level in seen]
        order += sorted(seen - set(order), key=lambda name: (self.known.get(name, 99), name))
        results = {}
        for name, rows in self.curves.items():
            level, subject, stimulus = zip(*(self.meta[i] for i, _ in rows), strict=True)
            results[name] = compare_levels(
                np.stack([curve for _, curve in rows]), level, subject, stimulus=stimulus,
                levels=order, permutations=permutations, seed=seed,
            )  # fmt: skip
        return results, {k: np.mean(v, axis=0) for k, v in self.times.items()}


def dual_parts(predictor: Predictor) -> _dual.Parts:
    """The networks of a model of clips and signals.

    Raises
    ------
    ConfigError
        If it is another model.
    """
    try:
        return _dual.parts_of(predictor)
    except NotThisWayError as reason:
        raise ConfigError(
            f"model '{predictor.title}': {reason}. What can be shown: {_dual.KNOWN}."
        ) from reason


def windows_of_levels(
    predictor: Predictor, recording: Recording, conditions: Sequence[str]
) -> Iterator[Mapping[str, Window]]:
    """The windows that the model cuts of a recording, of these conditions (none: of all)."""
    assert predictor.chain is not None  # `dual_parts` has looked
    chain = predictor.chain
    windows = replace(chain.windows, conditions=tuple(conditions))
    for streams in replace(chain, windows=windows).stream_windows(recording)[0]:
        window = next(iter(streams.values()))
        if window.stimulus is not None and window.stimulus.condition:
            yield streams


def model_conditions(predictor: Predictor) -> tuple[str, ...]:
    """Conditions that the model was trained on; empty: all."""
    return () if predictor.chain is None else tuple(predictor.chain.windows.conditions)


def recordings_asked(
    predictor: Predictor,
    files: Sequence[str | Path],
    dataset: str | None,
    options: Mapping[str, Any] | None,
) -> tuple[list[Recording], list[Asked]]:
    """All recordings of some files.

    Raises
    ------
    ConfigError
        If there is no file, or nothing says of which format they are.
    RecordingError
        If one is not there.
    """
    name = dataset or predictor.dataset.get("name")
    if not files or name is None:
        raise ConfigError(
            f"{len(files)} files of the format {name}: give recordings, and --dataset NAME where "
            "the model does not say it."
        )
    own = predictor.dataset.get("options", {}) if name == predictor.dataset.get("name") else {}
    asked = [Asked(Path(file)) for file in files]
    for one in asked:
        if not one.file.exists():
            raise RecordingError(f"{one.file}: no such file or folder.")
    found = [recordings_of(name, a.file, dict(own) | dict(options or {}))[0] for a in asked]
    return [r for recordings in found for r in recordings], asked


def _met(predictor: Predictor, people: set[str]) -> tuple[str, ...]:
    trained = {str(one) for met in predictor.trained_on.values() for one in met}
    met = len(people & trained)
    if not met:
        return ()
    return (
        f"{met} of {len(people)} people were in the model's training: what it has learnt by heart "
        "of them may look like attention to a level.",
    )


def _with_limits(found: AttentionOverTime) -> AttentionOverTime:
    """What the shuffles can show at all, and who was left out."""
    told = []
    smallest = max(f.smallest_p for f in found.parts.values())
    if smallest > 0.05:
        told.append(f"So few stimuli that no p can be below {smallest:.2g}.")
    alone = sorted({name for f in found.parts.values() for name in f.left_out})
    if alone:
        told.append(f"{len(alone)} people have one level only and are left out of differences.")
    told.append(
        "p is corrected for the steps and levels of its row's part, 'p over parts' for all rows."
    )
    return replace(found, remarks=(*found.remarks, *told))


def _draw(path: Path, found: AttentionOverTime) -> None:
    """A row a part: each level's curve, and its difference from the first with the null."""
    with style():
        from matplotlib.figure import Figure

        count = len(found.parts)
        figure = Figure(figsize=(10, 2.1 * count + 1.0), layout="constrained")
        grid = figure.subplots(count, 2, squeeze=False)
        for axes, (name, one) in zip(grid, found.parts.items(), strict=True):
            times = found.times[name]
            for i, level in enumerate(one.levels):
                colour = _LINES[i % len(_LINES)]
                axes[0].plot(times, one.curves[i], color=colour, label=level, lw=1.4)
                if i:
                    axes[1].plot(times, one.differences[i - 1], color=colour, lw=1.4)
            _null(axes[1], times, one)
            axes[0].set_title(name, loc="left", fontsize=9, weight="bold")
            told = ", ".join(
                f"{level} p = {p:.3f}" for level, p in zip(one.levels[1:], one.p, strict=True)
            )
            axes[1].set_title(f"minus {one.levels[0]}: {told}", loc="left", fontsize=8.5)
            axes[0].axhline(1, color="#999999", ls="--", lw=0.8)
        grid[0, 0].legend(frameon=False, fontsize=8, ncols=3)
        for axes in grid[-1]:
            axes.set_xlabel("seconds of the window")
        figure.suptitle(
            f"Attention received, {_dual.SCALE}: {found.model}", x=0.01, ha="left", weight="bold"
        )
        told = (
            "Grey: between these lie 95 % of the differences with levels shuffled within each "
            "person; dotted: what only 5 % of the shuffles exceed anywhere."
        )
        figure.supxlabel("\n".join((told, " ".join((*found.cautions, NOT_A_DEVICE)))), fontsize=8)
        saved(figure, path)


def _null(axes: Axes, times: np.ndarray, one: LevelCurves) -> None:
    axes.fill_between(times, one.low.min(axis=0), one.high.max(axis=0), color="#DDDDDD", lw=0)
    for sign in (1, -1):
        axes.plot(times, sign * one.limit.max(axis=0), color="#777777", ls=":", lw=1)
    axes.axhline(0, color="#999999", ls="--", lw=0.8)
