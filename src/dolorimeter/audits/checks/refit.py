"""Checks that fit again, in a fresh process: what a second run or shuffled labels change."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.audits.fresh_process import Answer, FreshProcessError, run_fresh
from dolorimeter.audits.refitting import (
    OnlyFolds,
    Settings,
    Watched,
    fit_and_watch,
    refit_shuffled,
)
from dolorimeter.errors import SplitError
from dolorimeter.splits import Fold, group_k_fold
from dolorimeter.types import Array

SAME = 1e-6
"""Largest difference between two fits of one fold; sums in another order reach 1e-12."""

SAME_FLOAT32 = 1e-5
"""The same between batches, since kernels of float32 networks depend on the size of the batch."""

PERMUTATION_SUBJECTS = 12
"""Subjects in the subsample on which labels are shuffled."""

PERMUTATION_FOLDS = 3
"""Folds of the subsample, where the split has more. Each set of labels is tried on one of them."""

MIN_PERMUTATIONS = 3
"""Sets of shuffled labels below which nothing is concluded."""

ALPHA = 1e-3
"""One-sided level of the tests on shuffled labels: a t-test over the sets, and a test with the
standard error of so many independent guesses, since a few sets may agree by chance."""

MIN_EXCESS = 0.03
"""Smallest excess over chance that is reported, in balanced accuracy or correlation."""


def prediction_depends_on_batch(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Compare predictions of single windows with those of the same windows in their batch.

    A model that standardises or ranks the test batch, or fits something to it, uses the test
    subject as a whole. Up to 12 rows of one fold are predicted one at a time.
    """
    check = "target_access"
    answer = yield from _watched(case, check)
    if answer is None:
        return
    watched, where = answer.value, f"fold {_last_fold(case).index}"
    if watched.batch_error or not len(watched.alone):
        yield not_checked(check, f"predicting single rows failed: {watched.batch_error}")
        return
    difference = float(np.nanmax(np.abs(watched.together - watched.alone), initial=0.0))
    if difference <= SAME_FLOAT32:
        yield passed(
            check,
            "recomputed",
            f"{len(watched.alone)} windows predicted one at a time give the same as in a batch.",
            where,
        )
    elif case.target_access == "none":
        yield Finding(
            check,
            "fault",
            "recomputed",
            where,
            f"a window predicted alone differs by up to {difference:.3g} from the same window in "
            "its batch: the model uses the other test windows, but the run declares "
            "target_access = none.",
        )
    else:
        yield Finding(
            check,
            "declared",
            "recomputed",
            where,
            f"the model uses the other test windows, as declared ({case.target_access}).",
        )


def second_run(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Compare a fold fitted in a fresh process with the run, or else with a second such fit."""
    check = "unseeded_randomness"
    answer = yield from _watched(case, check)
    if answer is None:
        return
    where = f"fold {_last_fold(case).index}"
    if _difference_to_run(case, answer.value) <= SAME:
        yield passed(check, "recomputed", "a second run gives the same.", where)
        return
    difference = _between_fresh(case)
    if difference > SAME:
        yield Finding(
            check,
            "fault",
            "recomputed",
            where,
            f"two runs of this fold in fresh processes differ by up to {difference:.3g}: some "
            "randomness is not seeded (a generator without a random_state).",
        )
    else:
        yield passed(check, "recomputed", "two runs in fresh processes give the same.", where)


def state_between_folds(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Compare the last fold of the run with the same fold fitted alone in a fresh process.

    Variables of modules, builtins, attributes of functions and classes, and files with a relative
    path do not exist there. Classes that cannot be imported (of a notebook) bring their variables
    along: for them the fold is fitted twice in one process, once after another fold.
    """
    check = "state_between_folds"
    answer = yield from _watched(case, check)
    if answer is None:
        return
    watched, where = answer.value, f"fold {_last_fold(case).index}"
    found = False
    if watched.rewritten:
        found = True
        yield Finding(
            check,
            "fault",
            "observed",
            some(watched.rewritten),
            "a fit reads these files and writes them again, so that a fold depends on the fits "
            "before it. Keep what is learnt on the instance.",
        )
    to_run = _difference_to_run(case, watched)
    after = 0.0 if watched.again is None else _difference(watched.output, watched.again)
    if max(to_run, after) > SAME:
        if _between_fresh(case) > SAME:
            yield not_checked(check, "two runs differ anyway; see unseeded_randomness.")
            return
        yield Finding(
            check,
            "fault",
            "recomputed",
            where,
            f"the fold fitted alone in a fresh process differs by up to {to_run:.3g} from the run"
            + (f", and by {after:.3g} from a fit after another fold" if after > SAME else "")
            + ": it depends on the folds fitted before it, or the run was made with other data or "
            "versions. Keep what is learnt on the instance.",
        )
    elif not found:
        yield passed(
            check,
            "recomputed",
            "the fold fitted alone in a fresh process gives what the run gave."
            + (
                f" Variables of {some(answer.by_value)} were sent along, because these modules "
                "cannot be imported: state that an earlier fit left there is not excluded."
                if answer.by_value
                else ""
            )
            + ("" if answer.own_directory else " State in files was not excluded."),
            where,
        )


def inner_splits_of_fit(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report splits of scikit-learn inside ``fit`` that put one subject on both sides.

    A hold-out set of single windows (`train_test_split`, as early stopping uses it) is a warning.
    """
    check = "search_without_groups"
    answer = yield from _watched(case, check)
    if answer is None:
        return
    splits = answer.value.splits
    where = f"fold {_last_fold(case).index}"
    shared = [s for s in splits if s.shared]
    faults = sorted({f"{s.splitter}, {s.shared} subjects" for s in shared if not s.single})
    warned = sorted({s.splitter for s in shared if s.single})
    if faults:
        yield Finding(
            check,
            "fault",
            "observed",
            f"{where}: {some(faults)}",
            "a split inside fit puts windows of one subject on both sides, so that it chooses "
            "what fits known subjects. Pass a splitter by group, such as GroupKFold.",
        )
    if warned:
        yield Finding(
            check,
            "warning",
            "observed",
            f"{where}: {some(warned)}",
            "fit holds out single windows, not subjects (early stopping): it stops too late. "
            "Prefer an estimator that takes groups.",
        )
    if not shared:
        yield passed(
            check,
            "observed",
            f"{len(splits)} splits of scikit-learn inside fit keep subjects apart."
            if splits
            else "fit makes no split with scikit-learn.",
            where,
        )


def shuffled_labels(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Test whether the pipeline, refitted on shuffled labels, scores above chance on them."""
    yield from _score_of_shuffled(
        case,
        "shuffled_labels",
        "shuffled",
        "with labels shuffled within subject the pipeline still scores {words}: labels of the "
        "tested windows reach it.",
    )


def known_labels(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Test whether the pipeline, refitted on shuffled labels, predicts the true ones.

    Shuffled labels are drawn independent of the true ones within each subject, so that only a
    pipeline that has the true labels from elsewhere (a look-up table, an evaluation set that it
    stops on) scores above chance on them.
    """
    yield from _score_of_shuffled(
        case,
        "known_labels",
        "true",
        "fitted on shuffled labels, the pipeline scores {words} on the true labels, which it was "
        "never given: it has them from elsewhere (a look-up table, an evaluation set, a file).",
    )


def _score_of_shuffled(
    case: EvaluationUnderAudit, check: str, column: str, fault: str
) -> Iterator[Finding]:
    if case.rerun < 1:
        yield not_checked(check, "no refits on shuffled labels (audit --rerun 20).")
        return
    if not case.can_refit:
        yield not_checked(check, "samples, labels, estimator or split were not passed.")
        return
    if case.rerun < MIN_PERMUTATIONS:
        yield not_checked(
            check, f"{case.rerun} sets of shuffled labels; at least {MIN_PERMUTATIONS} are needed."
        )
        return
    try:
        excess = _permutations(case)[column].to_numpy(dtype=float)
    except (FreshProcessError, SplitError) as error:
        yield not_checked(check, f"refits on shuffled labels failed: {error}")
        return
    excess = excess[np.isfinite(excess)]
    if len(excess) < MIN_PERMUTATIONS:
        yield not_checked(check, "no subject of the subsample has labels that can be shuffled.")
        return
    mean, spread = float(excess.mean()), float(excess.std(ddof=1)) / np.sqrt(len(excess))
    least = (0.5 if case.is_classifier else 1.0) / np.sqrt(case.memo["guesses"])
    limit = max(
        stats.t.ppf(1 - ALPHA, len(excess) - 1) * spread, stats.norm.ppf(1 - ALPHA) * least
    )
    unit = "in balanced accuracy" if case.is_classifier else "in correlation"
    words = f"{mean:+.3f} above chance {unit} (standard error {spread:.3f}, {len(excess)} sets)"
    if mean > max(MIN_EXCESS, float(limit)):
        yield Finding(check, "fault", "recomputed", "all folds", fault.format(words=words))
    else:
        yield passed(check, "recomputed", f"{column} labels score {words}.")


def _permutations(case: EvaluationUnderAudit) -> pd.DataFrame:
    """Excess over chance on the shuffled and on the true labels, one row per set; cached."""
    if "permutations" in case.memo:
        return case.memo["permutations"]
    assert case.samples is not None
    assert case.y is not None
    rng = np.random.default_rng(case.seed)
    kept = rng.permutation(np.unique(case.subjects))[:PERMUTATION_SUBJECTS]
    rows = np.flatnonzero(np.isin(case.subjects, kept))
    samples, y, subjects = case.samples.take(rows), case.y[rows], case.subjects[rows]
    sets = [independent_shuffle(y, subjects, rng, case.is_classifier) for _ in range(case.rerun)]
    split = _split_of_subsample(case, samples, y)
    tables = run_fresh(
        refit_shuffled,
        {"settings": _settings(case), "samples": samples, "labels": sets, "split": split},
    ).value
    by_subject = _labels_vary_within(y, subjects)
    scores = []
    for shuffled, table in zip(sets, tables, strict=True):
        tested = table["row"].to_numpy(dtype=int)
        guess = _guess(table, case.is_classifier)
        groups = subjects[tested] if by_subject else np.zeros(len(tested))
        scores.append(
            {
                "shuffled": _excess(guess, shuffled[tested], groups, case.is_classifier),
                "true": _excess(guess, y[tested], groups, case.is_classifier),
            }
        )
    case.memo["guesses"] = sum(
        len(table) if by_subject else table["subject"].nunique() for table in tables
    )
    case.memo["permutations"] = pd.DataFrame(scores)
    return case.memo["permutations"]


def independent_shuffle(
    y: Array, subjects: Array, rng: np.random.Generator, is_classifier: bool
) -> Array:
    """Return labels shuffled within each subject, as independent of `y` as their counts allow.

    Where no subject has two labels, whole subjects exchange their labels.

    Parameters
    ----------
    y, subjects : array (sample,)
    rng : numpy.random.Generator
    is_classifier : bool
        Whether `y` holds classes.

    Returns
    -------
    array (sample,)

    Examples
    --------
    >>> y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> shuffled = independent_shuffle(y, np.zeros(8), np.random.default_rng(0), True)
    >>> [int(shuffled[y == label].sum()) for label in (0, 1)]
    [2, 2]
    """
    if not _labels_vary_within(y, subjects):
        names, first, place = np.unique(subjects, return_index=True, return_inverse=True)
        return _independent(y[first], rng, is_classifier)[place] if len(names) else y
    shuffled = y.copy()
    for subject in np.unique(subjects):
        mine = np.flatnonzero(subjects == subject)
        shuffled[mine] = _independent(y[mine], rng, is_classifier)
    return shuffled


def _independent(y: Array, rng: np.random.Generator, is_classifier: bool) -> Array:
    """A permutation of `y` with little association with `y`: the best of a few draws."""
    draws = [rng.permutation(len(y)) for _ in range(2 if len(y) < 3 else 40)]
    names, codes = np.unique(y, return_inverse=True)
    share = np.bincount(codes) / len(y)
    expected = np.outer(share, share).ravel() * len(y)

    def association(draw: Array) -> float:
        if not is_classifier:
            return abs(float(np.dot(y[draw] - y.mean(), y - y.mean())))
        pairs = codes * len(names) + codes[draw]
        return float(np.abs(np.bincount(pairs, minlength=len(expected)) - expected).sum())

    values = np.array([association(draw) for draw in draws])
    best = np.flatnonzero(values <= values.min() + 1e-12)
    return y[draws[int(rng.choice(best))]]


def _labels_vary_within(y: Array, subjects: Array) -> bool:
    """Whether at least two subjects, or the only one, have two labels."""
    labels = pd.Series(y).groupby(subjects)
    return int((labels.max() != labels.min()).sum()) >= min(2, labels.ngroups)


def _guess(table: pd.DataFrame, is_classifier: bool) -> Array:
    if not is_classifier:
        return table["prediction"].to_numpy(dtype=float)
    columns = [c for c in table.columns if c.startswith("p_") and c[2:].isdigit()]
    return table[columns].to_numpy(dtype=float).argmax(axis=1)


def _excess(guess: Array, labels: Array, groups: Array, is_classifier: bool) -> float:
    """Mean over groups of balanced accuracy minus chance, or of the correlation.

    Chance is one over the number of classes that occur in the group; groups with one label are
    left out.
    """
    values = []
    for group in np.unique(groups):
        mine = groups == group
        truth, said = labels[mine], guess[mine]
        names = np.unique(truth)
        if len(names) < 2:
            continue
        if is_classifier:
            recalls = [(said[truth == name] == name).mean() for name in names]
            values.append(float(np.mean(recalls)) - 1 / len(names))
        elif np.ptp(said) > 0 and len(truth) > 2:
            values.append(float(np.corrcoef(said, truth)[0, 1]))
        else:
            values.append(0.0)
    return float(np.mean(values)) if values else float("nan")


def _split_of_subsample(case: EvaluationUnderAudit, samples: Any, y: Array) -> Any:
    """The split itself where it has few folds, else some of its folds or as many groups."""
    try:
        folds = case.split.folds(samples.meta, y)
    except SplitError:
        folds = []
    if 0 < len(folds) <= PERMUTATION_FOLDS + 1:
        return case.split
    if folds and case.split.target_access != "none":
        picked = np.linspace(0, len(folds) - 1, PERMUTATION_FOLDS + 1).round().astype(int)
        return OnlyFolds(case.split, tuple(folds[i].index for i in picked))
    subjects = len(np.unique(samples.subjects.astype(str)))
    return group_k_fold(min(PERMUTATION_FOLDS, subjects))


def _last_fold(case: EvaluationUnderAudit) -> Fold:
    """The fold of the run that was fitted last."""
    return _folds(case)[-1]


def _folds(case: EvaluationUnderAudit) -> list[Fold]:
    assert case.samples is not None
    if "folds" not in case.memo:
        tested = set(case.run.predictions["fold"].unique())
        folds = [f for f in case.split.folds(case.samples.meta, case.y) if f.index in tested]
        case.memo["folds"] = sorted(folds, key=lambda f: f.index)
    return case.memo["folds"]


def _settings(case: EvaluationUnderAudit) -> Settings:
    run = case.run
    threads = run.environment.get("threads_per_fold", 1)
    return Settings(
        estimator=case.estimator,
        target_kind=run.target_kind,
        selection=run.question.selection,
        seed=int(run.predictions["seed"].min()),
        threads=int(threads) if isinstance(threads, int) else 1,
        n_classes=len(_outputs(run.predictions)) if run.target_kind != "regressor" else 0,
    )


def _watched(case: EvaluationUnderAudit, check: str) -> Generator[Finding, None, Answer | None]:
    """Yield the finding that the fold could not be fitted, or return the answer."""
    if not case.can_refit:
        yield not_checked(check, "samples, labels, estimator or split were not passed.")
        return None
    answer = _fit_once(case, "first")
    if isinstance(answer, str):
        yield not_checked(check, answer)
        return None
    return answer


def _fit_once(case: EvaluationUnderAudit, name: str) -> Answer | str:
    """The last fold in a fresh process, once per `name`; or why there is none."""
    if name not in case.memo:
        try:
            case.memo[name] = _send(case)
        except (FreshProcessError, SplitError) as error:
            case.memo[name] = f"the last fold could not be fitted again: {error}"
    return case.memo[name]


def _send(case: EvaluationUnderAudit) -> Answer:
    folds = _folds(case)
    if not folds:
        raise FreshProcessError("the split has none of the run's folds")
    arguments = {
        "settings": _settings(case),
        "samples": case.samples,
        "y": case.y,
        "fold": folds[-1],
    }
    if case.run.question.selection in ("oracle_global_epoch", "oracle_hyper", "oracle_seed"):
        raise FreshProcessError(f"{case.run.question.selection} chooses over all folds")
    by_value = ("__main__",) if _in_main(case.estimator) else ()
    before = folds[0] if by_value and len(folds) > 1 else None
    answer = run_fresh(fit_and_watch, arguments | {"before": before})
    if answer.by_value and before is None and len(folds) > 1:
        answer = run_fresh(fit_and_watch, arguments | {"before": folds[0]})
    return replace(answer, by_value=(*by_value, *answer.by_value))


def _in_main(estimator: Any) -> bool:
    """Whether a part of the estimator is of a class of the notebook or script."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return any(getattr(type(part), "__module__", "") == "__main__" for part in parts)


def _difference_to_run(case: EvaluationUnderAudit, watched: Watched) -> float:
    """Largest difference between a fit and the run, over the rows of the last fold."""
    fold, table = _last_fold(case), case.run.predictions
    rows = table[(table["fold"] == fold.index) & (table["seed"] == table["seed"].min())]
    rows = rows.set_index("row").reindex(np.asarray(fold.test, dtype=int))
    return _difference(rows[_outputs(table)].to_numpy(dtype=float), watched.output)


def _between_fresh(case: EvaluationUnderAudit) -> float:
    """Largest difference between two fits in fresh processes."""
    first, second = _fit_once(case, "first"), _fit_once(case, "second")
    if isinstance(first, str) or isinstance(second, str):
        return float("inf")
    return _difference(first.value.output, second.value.output)


def _difference(a: Float[np.ndarray, "row output"], b: Float[np.ndarray, "row other"]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0))


def _outputs(predictions: pd.DataFrame) -> list[str]:
    columns = [c for c in predictions.columns if c.startswith("p_") and c[2:].isdigit()]
    return columns or ["prediction"]
