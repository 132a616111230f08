"""Where models of several questions look: relevance of face regions, question by question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from dolorimeter.chain import Progress
from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError
from dolorimeter.experiment._config import Experiment
from dolorimeter.experiment._models import train
from dolorimeter.experiment._prepare import chosen_subjects
from dolorimeter.predictor import Predictor
from dolorimeter.storage import find_root, write_text
from dolorimeter.types import Recording

Titled = Callable[[str], Progress]
SHARES = ["relevance_share", "area_share", "ratio"]
COLUMNS = ["level", "region", "of", *SHARES, "low", "high", "clips", "right", "look-alike"]


def relevance(
    experiment: Experiment,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    levels: Sequence[str] = ("PA1", "PA2", "PA3", "PA4"),
    people: int = 2,
    clips: int = 1,
    workers: int = 1,
    progress: Titled | None = None,
) -> pd.DataFrame:
    """Each region's share of relevance against its area, in models of rest against each level.

    For every level a model is fitted to tell it from the experiment's first class, without the
    last people of the data set; their clips of that level are then explained, for its class.
    Attention-relevance propagation as in `explain_model`, without its checks.

    Parameters
    ----------
    experiment : Experiment
        With two classes and a model that can be explained; the second class is put aside.
    out : str or Path, optional
        Folder: a model folder a level, and ``relevance.csv`` with a row a clip and region.
    levels : sequence of str
        Conditions, one question each.
    people : int
        How many people are kept out of the fit, and explained.
    clips : int
        Of each of them and each level.

    Returns
    -------
    pandas.DataFrame
        level, region, of, means over clips of relevance_share, area_share and ratio, low and high
        (the least and largest ratio of a clip), clips, right (how many of them the model gave to
        the level), look-alike. What else must be said stands in ``attrs["notes"]``.

    Raises
    ------
    ConfigError
        For other than two classes, no level, too few people for both parts, or a level of which
        nobody who is kept out has a video.
    """
    from dolorimeter.explain import Explanation, explain_model  # brings torch along

    if len(experiment.task.classes) != 2 or not levels or people < 1 or clips < 1:
        raise ConfigError(
            f"relevance of {len(experiment.task.classes)} classes, {len(levels)} levels, {people} "
            f"people and {clips} clips: expected two classes, and at least one of the others."
        )
    folder = root or find_root(experiment.dataset.name)
    reader: Any = open_dataset(experiment.dataset.name, folder, **experiment.dataset.options)
    everyone = chosen_subjects(reader, experiment.dataset.subjects)
    everyone = everyone[: experiment.dataset.first or None]
    if len(everyone) < people + 2:
        raise ConfigError(
            f"{len(everyone)} people, of whom {people} are to be explained: at least two must be "
            "left to fit on. Explain fewer."
        )
    kept_out = everyone[-people:]
    fitted_on = replace(experiment.dataset, subjects=everyone[:-people], first=0)
    recordings: list[Recording] = reader.recordings(kept_out)
    rows: list[pd.DataFrame] = []
    notes: dict[str, None] = {}
    for level in levels:
        predictor = train(
            replace(_question(experiment, level), dataset=fitted_on),
            root,
            None if out is None else Path(out) / level,
            workers=workers,
            progress=progress,
        )
        for video, recording in _videos(recordings, predictor, level, clips):
            told = progress and progress(f"{level}, {recording.name}")
            found = explain_model(predictor, video, class_name=level, checks=False, progress=told)
            if not isinstance(found, Explanation):
                raise ConfigError(
                    f"model '{predictor.title}' has several maps a picture, and this study adds "
                    "up the relevance of a full transformer: explain its clips one by one."
                )
            notes |= dict.fromkeys(found.cautions)
            table = found.regions[found.regions["class"] == level].drop(columns="class")
            if table.empty:
                notes[f"{recording.name}: nothing speaks for {level}, its map is empty"] = None
            rows.append(
                table.assign(
                    level=level,
                    subject=recording.subject,
                    recording=recording.name,
                    right=found.classes[int(found.probabilities.argmax())] == level,
                    lookalike=predictor.lookalike,
                )
            )
    each = pd.concat(rows, ignore_index=True)
    if out is not None:
        write_text(Path(out) / "relevance.csv", each.to_csv(index=False))
    found_rows = _summary(each)
    found_rows.attrs["notes"] = tuple(notes)
    return found_rows


def _question(experiment: Experiment, level: str) -> Experiment:
    rest, _ = experiment.task.classes
    names = (experiment.task.class_names[0], level)
    return replace(
        experiment,
        title=f"{experiment.title}: {names[0]} against {level}",
        task=replace(experiment.task, classes=(rest, (level,)), names=names),
    )


def _videos(
    recordings: Sequence[Recording], predictor: Predictor, level: str, clips: int
) -> list[tuple[Path, Recording]]:
    """The first clips of a level, of each person as many.

    Raises
    ------
    ConfigError
        If there is none.
    """
    chain = predictor.chain
    source = "face" if chain is None else chain.streams[0].representation.modality
    found: dict[str, list[tuple[Path, Recording]]] = {}
    for recording in recordings:
        if source in recording.videos and any(s.condition == level for s in recording.stimuli):
            own = found.setdefault(recording.subject, [])
            own += [(recording.videos[source].path, recording)] if len(own) < clips else []
    if not found:
        people = ", ".join(sorted({r.subject for r in recordings}))
        raise ConfigError(
            f"none of {people} has a video '{source}' of {level}: nothing can be explained. Take "
            "another level, or more people."
        )
    return [pair for own in found.values() for pair in own]


def _summary(each: pd.DataFrame) -> pd.DataFrame:
    """Means over clips, level by level and region by region."""
    rows = []
    for (level, region), own in each.groupby(["level", "region"], sort=False):
        means = own[SHARES].mean().to_dict()
        rows.append(
            {"level": level, "region": region, "of": own["of"].iloc[0]}
            | means
            | {
                "low": own["ratio"].min(),
                "high": own["ratio"].max(),
                "clips": len(own),
                "right": int(own["right"].sum()),
                "look-alike": bool(own["lookalike"].any()),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)
