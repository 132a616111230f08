"""Checks that fit again: what a second run, another order or shuffled labels change.

Only the fold with the fewest training rows is fitted again (and one that was fitted after
another), by `evaluate` itself, with the fold's own number and seed.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.audits.case import Case
from dolorimeter.audits.findings import Finding, passed, some, unverified
from dolorimeter.audits.parts import shared_state
from dolorimeter.evaluation import Run, evaluate, fit_fold, permuted_within, scores_by_subject
from dolorimeter.metrics import balanced_accuracy
from dolorimeter.samples import Samples, take_rows
from dolorimeter.types import Array

SAME = 1e-8
"""Largest difference between two runs of the same fold; sums in another order reach 1e-12."""

SAME_FLOAT32 = 1e-5
"""The same for float32 networks, whose kernels depend on the size of the batch."""

SINGLE_ROWS = 12
"""Rows predicted one at a time: enough to meet any statistic of the batch."""

PERMUTATION_SUBJECTS = 12
"""Subjects in the subsample on which labels are shuffled."""


@dataclass(frozen=True)
class OnlyFolds:
    """A split reduced to some of its folds, which keep their numbers (and so their seeds)."""

    base: Any
    wanted: tuple[int, ...]

    @property
    def name(self) -> str:
        """The split's own name."""
        return str(self.base.name)

    @property
    def params(self) -> Any:
        """The split's own parameters."""
        return self.base.params

    @property
    def target_access(self) -> Any:
        """The split's own access to the target subject."""
        return self.base.target_access

    def folds(self, meta: pd.DataFrame, y: Array) -> list[Any]:
        """The wanted folds, in the order they were asked for."""
        by_index = {fold.index: fold for fold in self.base.folds(meta, y)}
        return [by_index[i] for i in self.wanted]


def prediction_depends_on_batch(case: Case) -> Iterator[Finding]:
    """Predictions of single windows that differ from those of the same windows in a batch.

    A model that standardises over the test batch, ranks it or fits something on it looks at the
    test subject as a whole. One fold is fitted, then asked for up to 12 rows one at a time.
    """
    check = "target_access"
    if not _can_rerun(case):
        yield unverified(
            check, "the estimator was not handed over: predicting row by row untried."
        )
        return
    assert case.samples is not None
    fold = _folds(case)[0]
    model = _fitted(case)[0]
    rows = np.asarray(fold.test, dtype=int)[:SINGLE_ROWS]
    together = _predict(model, take_rows(case.samples.x, np.asarray(fold.test, dtype=int)))
    apart = np.concatenate(
        [_predict(model, take_rows(case.samples.x, rows[i : i + 1])) for i in range(len(rows))]
    )
    difference = float(np.nanmax(np.abs(together[: len(rows)] - apart), initial=0.0))
    if difference <= SAME_FLOAT32:
        yield passed(
            check,
            "recomputed",
            f"{len(rows)} windows predicted one at a time give the same as in a batch.",
            f"fold {fold.index}",
        )
    elif case.target_access == "none":
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"fold {fold.index}",
            f"a window predicted alone differs by up to {difference:.3g} from the same "
            "window in its batch: the model looks at the other test windows, but the "
            "run says target_access = none.",
        )
    else:
        yield Finding(
            check,
            "declared",
            "recomputed",
            f"fold {fold.index}",
            f"the model looks at the other test windows, as declared ({case.target_access}).",
        )


def second_run(case: Case) -> Iterator[Finding]:
    """A fold fitted again: equal to the run, or at least to a further one, or not seeded."""
    check = "unseeded_randomness"
    if not _can_rerun(case):
        yield unverified(check, "the estimator was not handed over: no second run.")
        return
    index = _folds(case)[-1].index
    if _difference(_again(case), case.run.predictions) <= SAME:
        yield passed(check, "recomputed", "a second run gives the same.", f"fold {index}")
        return
    difference = _difference(_again(case), _further(case))
    if difference > SAME:
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"fold {index}",
            f"two runs of this fold differ by up to {difference:.3g}: some randomness is not "
            "seeded (a generator without a random_state), or a fit changes what the next one "
            "finds.",
        )
    else:
        yield passed(check, "recomputed", "two further runs give the same.", f"fold {index}")


def state_between_folds(case: Case) -> Iterator[Finding]:
    """What a fold finds of the folds fitted before it.

    (a) A fit must not change class attributes, globals or closures of the estimator, which every
    clone shares. (b) A fold fitted again, and where clones share anything also in a fresh process,
    must give what the run gave (unless its randomness is not seeded, which is another finding).
    """
    check = "state_between_folds"
    if not _can_rerun(case):
        yield unverified(check, "the estimator was not handed over: no fold was fitted alone.")
        return
    fold = _folds(case)[-1]
    if changed := _fitted(case)[1]:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(changed),
            "fitting changes what all clones of the estimator share, so that a fold meets the "
            "subjects of earlier folds. Keep what is learnt on the instance.",
        )
        return
    how, alone = "fitted again", _again(case)
    if shared_state(case.estimator, plain=False):
        how = "fitted alone in a fresh process"
        try:
            alone = _in_fresh_process(case, fold.index)
        except (ImportError, AttributeError, pickle.PicklingError, RuntimeError) as error:
            yield unverified(check, f"the estimator could not be sent to a fresh process: {error}")
            return
    difference = _difference(alone, case.run.predictions)
    if difference > SAME and _difference(_again(case), _further(case)) <= SAME:
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"fold {fold.index}",
            f"the fold {how} differs by up to {difference:.3g} from the run: it depends on the "
            "folds fitted before it, or the run was made with other data or versions.",
        )
    elif difference > SAME:
        yield unverified(check, "two runs differ anyway; see unseeded_randomness.")
    else:
        yield passed(
            check,
            "recomputed",
            f"a fold {how} gives what the run gave; a fit changes nothing that clones share.",
            f"fold {fold.index}",
        )


def order_of_listing(case: Case) -> Iterator[Finding]:
    """The folds of the same samples listed in reverse: the same people must stay together."""
    check = "order_of_listing"
    if case.split is None or case.samples is None or case.y is None:
        yield unverified(check, "the split was not handed over.")
        return
    backwards = np.arange(len(case.y))[::-1]
    forward = case.split.folds(case.samples.meta, case.y)
    meta = case.samples.meta.iloc[backwards].reset_index(drop=True)
    reverse = case.split.folds(meta, case.y[backwards])
    here = sorted(tuple(sorted(map(int, f.test))) for f in forward)
    there = sorted(tuple(sorted(int(backwards[i]) for i in f.test)) for f in reverse)
    if here == there:
        yield passed(check, "recomputed", "listing the samples in reverse gives the same folds.")
    else:
        yield Finding(
            check,
            "fault",
            "recomputed",
            str(getattr(case.split, "name", "split")),
            "listing the samples in reverse gives other folds: on another file system "
            "the figure changes. Sort the subjects before drawing folds.",
        )


def shuffled_labels(case: Case) -> Iterator[Finding]:
    """The whole pipeline, refitted on labels shuffled within subject, must score at chance.

    At most 12 subjects are kept. The mean balanced accuracy over permutations may lie above
    chance by 4 standard errors of that mean (odds of 1 in 30,000) and by at least 0.01.
    """
    check = "shuffled_labels"
    if case.rerun < 1:
        yield unverified(check, "labels were not shuffled (audit --rerun 20 does).")
        return
    if not case.is_classifier:
        yield unverified(check, "looked for in classes only; chance is not defined here.")
        return
    if not _can_rerun(case):
        yield unverified(check, "the estimator, the samples or the split were not handed over.")
        return
    scores = permutation_scores(case)
    assert case.y is not None
    chance = 1.0 / len(np.unique(case.y))
    error = scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
    excess = float(scores.mean() - chance)
    words = f"{scores.mean():.3f} ± {error:.3f} (chance {chance:.3f}, {len(scores)} permutations)"
    if excess > max(0.01, 4 * error):
        yield Finding(
            check,
            "fault",
            "recomputed",
            "all folds",
            f"with labels shuffled within subject the pipeline still scores {words}: "
            "test labels reach it.",
        )
    else:
        yield passed(check, "recomputed", f"shuffled labels score {words}.")


def permutation_scores(case: Case) -> Float[np.ndarray, " permutation"]:
    """Mean over subjects of balanced accuracy, one number a permutation."""
    assert case.samples is not None
    assert case.y is not None
    rng = np.random.default_rng(case.seed)
    names = np.unique(case.samples.subjects)
    kept = rng.permutation(names)[:PERMUTATION_SUBJECTS]
    rows = np.flatnonzero(np.isin(case.samples.subjects, kept))
    samples, y = case.samples.take(rows), case.y[rows]
    scores = []
    for _ in range(case.rerun):
        shuffled = permuted_within(y, samples.subjects, rng)
        run = _evaluate(case, samples, shuffled, _fitting(case.split, samples, shuffled))
        scores.append(float(scores_by_subject(run.predictions, balanced_accuracy).mean()))
    return np.array(scores)


def _fitting(split: Any, samples: Samples, y: Array) -> Any:
    """The split itself where it suits the subsample, else leave one subject out."""
    from dolorimeter.errors import SplitError
    from dolorimeter.splits import leave_one_subject_out

    try:
        split.folds(samples.meta, y)
    except SplitError:
        return leave_one_subject_out()
    return split


def _can_rerun(case: Case) -> bool:
    return not (
        case.estimator is None or case.samples is None or case.y is None or case.split is None
    )


def _folds(case: Case) -> list[Any]:
    """Folds of the split that the run has, the cheapest first and the last fitted last."""
    assert case.samples is not None
    tested = set(case.run.predictions["fold"].unique())
    folds = [f for f in case.split.folds(case.samples.meta, case.y) if f.index in tested]
    cheapest = min(folds, key=lambda f: (len(f.fit_rows), f.index))
    return [cheapest, max(folds, key=lambda f: f.index)]


def _evaluate(case: Case, samples: Samples, y: Array, split: Any) -> Run:
    return evaluate(
        deepcopy(case.estimator),
        samples,
        y,
        split,
        target_kind=case.run.target_kind,
        selection=case.run.question.selection,
        seed=_seed(case),
        workers=1,
        baselines=False,
    )


def _seed(case: Case) -> int:
    return int(case.run.predictions["seed"].min())


def _run_fold(case: Case, index: int) -> pd.DataFrame:
    assert case.samples is not None
    assert case.y is not None
    return _evaluate(case, case.samples, case.y, OnlyFolds(case.split, (index,))).predictions


def _in_fresh_process(case: Case, index: int) -> pd.DataFrame:
    """The fold fitted where no other fold has been: a new worker that imports everything anew."""
    from joblib.externals.loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(max_workers=1)
    try:
        return pool.submit(_run_fold, replace(case, memo={}), index).result()
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _again(case: Case) -> pd.DataFrame:
    """The last fold fitted a second time, once an audit."""
    if "again" not in case.memo:
        case.memo["again"] = _run_fold(case, _folds(case)[-1].index)
    return case.memo["again"]


def _further(case: Case) -> pd.DataFrame:
    """The last fold fitted a third time, once an audit and only where it is needed."""
    if "further" not in case.memo:
        case.memo["further"] = _run_fold(case, _folds(case)[-1].index)
    return case.memo["further"]


def _fitted(case: Case) -> tuple[Any, list[str]]:
    """The cheapest fold fitted as `evaluate` does, and what that fit changed that clones share."""
    if "fitted" not in case.memo:
        assert case.samples is not None
        assert case.y is not None
        before = shared_state(case.estimator)
        with warnings.catch_warnings():  # evaluate has already noted them in the run
            warnings.simplefilter("ignore")
            model = fit_fold(case.estimator, case.samples, case.y, _folds(case)[0], _seed(case))
        after = shared_state(case.estimator)
        changed = sorted(path for path, value in after.items() if before.get(path) != value)
        case.memo["fitted"] = (model, changed)
    return case.memo["fitted"]


def _predict(model: Any, x: Any) -> Float[np.ndarray, "row output"]:
    """Probabilities, or predictions as one column."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x), dtype=float)
    return np.asarray(model.predict(x), dtype=float).reshape(-1, 1)


def _probability_columns(predictions: pd.DataFrame) -> list[str]:
    return [c for c in predictions.columns if c.startswith("p_") and c[2:].isdigit()]


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Largest difference between the outputs of the rows that both have."""
    outputs = _probability_columns(a) or ["prediction"]
    keys = ["fold", "row", "seed"]
    both = a[keys + outputs].merge(b[keys + outputs], on=keys, suffixes=("_a", "_b"))
    left = both[[f"{c}_a" for c in outputs]].to_numpy(dtype=float)
    right = both[[f"{c}_b" for c in outputs]].to_numpy(dtype=float)
    return float(np.nanmax(np.abs(left - right), initial=0.0))
