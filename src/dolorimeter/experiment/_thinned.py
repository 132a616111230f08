"""The model on test people whose classes are far from even."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from dolorimeter.evaluation import THINNED, Question, evaluate, thin_classes
from dolorimeter.experiment._config import Experiment
from dolorimeter.experiment._prepare import Prepared, gathered, standardised_table
from dolorimeter.preprocessing.standardise import TARGET_ACCESS
from dolorimeter.samples import Samples
from dolorimeter.splits import Fold
from dolorimeter.storage import Cache
from dolorimeter.types import TargetAccess


def thinned_rows(
    experiment: Experiment,
    prepared: Prepared,
    question: Question,
    root: str | Path | None = None,
    *,
    test_root: str | Path | None = None,
    cache: Cache | None = None,
    workers: int = 1,
    threads_per_fold: int = 1,
) -> pd.DataFrame:
    """Rows of the model on test people thinned to 90/10 before they were standardised.

    Training people stay as they are: the same folds are fitted again, and the held-out person's
    thinned windows take the place of the full ones.

    Returns
    -------
    pandas.DataFrame
        As those of ``Run.baselines``, with ``model`` ``thinned_90_10``; ``row`` is the row of
        ``prepared.samples`` that a thinned window was.
    """
    thinned, y, rows = _thinned(experiment, root, test_root, cache, workers)
    full = prepared.samples
    found = evaluate(
        experiment.estimator(),
        Samples.concatenate([full, thinned]),
        np.concatenate([prepared.y, y]),
        ThinnedTest(prepared.split, len(full)),
        target_kind=experiment.task.kind,
        classes=experiment.task.class_names,
        selection=experiment.selection,
        question=question,
        seed=experiment.seeds,
        workers=workers,
        threads_per_fold=threads_per_fold,
        baselines=False,
    )
    table = found.predictions
    origin = rows[table["row"].to_numpy() - len(full)]
    return table.assign(model=THINNED, row=origin)


def _thinned(
    experiment: Experiment,
    root: str | Path | None,
    test_root: str | Path | None,
    cache: Cache | None,
    workers: int,
) -> tuple[Samples, Int[np.ndarray, " kept"], Int[np.ndarray, " kept"]]:
    """Thinned and then standardised samples, their classes, and their rows among the full ones."""
    chain = experiment.chain()
    # a running baseline is of the recording, whichever windows are tested: thinning comes after it
    after = chain is not None and chain.standardise == "running"
    raw, _ = gathered(
        experiment, root, test_root=test_root, cache=cache, workers=workers, standardise=after
    )
    index = {c: i for i, group in enumerate(experiment.task.classes) for c in group}
    classes = raw.meta["condition"].map(index).fillna(-1).to_numpy(dtype=int)
    if experiment.task.conditions:
        classes[~raw.meta["condition"].isin(experiment.task.conditions).to_numpy()] = -1
    keep = thin_classes(classes, raw.subjects, np.random.default_rng(experiment.seeds[0]))
    places = np.cumsum(classes >= 0) - 1
    fewer = raw.take(keep)
    if not after:
        fewer = chain.standardised(fewer) if chain else standardised_table(experiment, fewer)
    fewer, y = experiment.task.label(fewer)
    return fewer, y, places[keep & (classes >= 0)]


@dataclass(frozen=True)
class ThinnedTest:
    """A split of the first `full` rows whose test people are found among the rows below them."""

    split: Any
    full: int

    @property
    def name(self) -> str:
        """The split's own name: it is the same question."""
        return str(self.split.name)

    @property
    def target_access(self) -> TargetAccess:
        """What the split hands out, and the standardisation has seen."""
        own: TargetAccess = self.split.target_access
        return own if own != "none" else TARGET_ACCESS["task_windows"]

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """The split's folds, each tested on the thinned rows of its test people."""
        who = meta["subject"].astype(str).to_numpy()
        below = np.arange(self.full, len(meta))
        found = self.split.folds(meta.iloc[: self.full].reset_index(drop=True), y[: self.full])
        return [
            replace(fold, test=below[np.isin(who[below], np.unique(who[fold.test]))])
            for fold in found
        ]
