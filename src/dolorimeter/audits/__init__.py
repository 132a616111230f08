"""Leakage checks: each has a name, a kind of evidence, and a test that plants its fault.

Three kinds of evidence. *Observed*: in the record of the rows that each fit and predict touched.
*Recomputed*: found again in the samples, in the estimator's parts, or by fitting again.
*Declared*: only said; such a finding is never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dolorimeter.audits import (
    by_rerun,
    in_context,
    in_data,
    in_estimator,
    in_rows,
)
from dolorimeter.audits.case import Case
from dolorimeter.audits.findings import CHECKS, Evidence, Finding, Severity, has_fault
from dolorimeter.audits.leakometer import LeakOMeter, independent_epochs_bound, leak_o_meter
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Run, labels_of
from dolorimeter.samples import Samples
from dolorimeter.splits import as_split

__all__ = [
    "CHECKS",
    "Evidence",
    "Finding",
    "LeakOMeter",
    "Severity",
    "audit",
    "has_fault",
    "independent_epochs_bound",
    "leak_o_meter",
]

_LOOKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    in_rows.subject_in_two_sets,
    in_rows.stimulus_in_two_sets,
    in_rows.overlapping_windows,
    in_rows.fit_touched_test_rows,
    in_rows.inner_splits,
    in_rows.selection_on_test,
    in_data.fitted_outside_fold,
    in_data.target_access,
    in_data.label_informed_reference,
    in_data.label_as_feature,
    in_data.near_duplicates,
    in_estimator.prefitted_parts,
    in_estimator.test_data_in_estimator,
    in_estimator.search_without_groups,
    in_estimator.pretraining_overlap,
    by_rerun.prediction_depends_on_batch,
    by_rerun.second_run,
    by_rerun.state_between_folds,
    by_rerun.order_of_listing,
    by_rerun.shuffled_labels,
    in_context.comparison_differs,
    in_context.majority_baseline,
    in_context.baselines_beat_chance,
)


def audit(
    run: Run,
    *,
    samples: Samples | None = None,
    y: Any = None,
    estimator: Any = None,
    split: Any = None,
    rerun: int = 0,
    declared: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """Look for leakage in a run.

    The more is handed over, the more is looked at: with the samples their numbers, with the
    estimator its parts, with all four one fold is fitted again. What could not be looked at is
    listed as declared, never as passed.

    Parameters
    ----------
    run : Run
        What `evaluate` returned or `Run.load` read.
    samples : Samples, optional
        The samples of the run.
    y : array-like of shape (n_samples,), optional
        Their labels, of any type that `evaluate` takes.
    estimator : scikit-learn estimator, optional
        The estimator, as it was passed to `evaluate`.
    split : str, split or scikit-learn splitter, optional
        The split, as it was passed to `evaluate`.
    rerun : int, default 0
        How often the pipeline is refitted on labels shuffled within subject (20 is usual).
    declared : mapping, optional
        What only the user can say: ``trained_on`` (person namespace → subject ids; None means
        unknown) of pre-trained weights, ``compared_with`` (fields of the question of a published
        figure).

    Returns
    -------
    list of Finding
        At least one for every check in `CHECKS`, in their order.

    Raises
    ------
    EvaluationError
        If an argument is of another kind, or the samples or labels are not those of the run.
    """
    if not isinstance(run, Run):
        raise EvaluationError(
            f"run is {run!r}, expected a Run: the result of evaluate, or Run.load(folder)."
        )
    if samples is not None and not isinstance(samples, Samples):
        raise EvaluationError(
            f"samples is a {type(samples).__name__}, expected Samples: make them with "
            "Samples.from_arrays."
        )
    if not isinstance(rerun, int) or rerun < 0:
        raise EvaluationError(f"rerun is {rerun!r}, expected an integer from 0.")
    rows = int(run.predictions["row"].max()) + 1
    for name, count in (("samples", samples), ("y", y)):
        if count is not None and (not hasattr(count, "__len__") or len(count) < rows):
            have = len(count) if hasattr(count, "__len__") else repr(count)
            raise EvaluationError(
                f"{name} has {have} rows and the run has predictions of row {rows - 1}: pass the "
                "samples and labels that were evaluated."
            )
    if y is not None:
        y = labels_of(run, y)
    split = None if split is None else as_split(split, run.seeds[0])
    case = Case(run, samples, y, estimator, split, rerun, dict(declared or {}))
    found = [finding for look in _LOOKS for finding in look(case)]
    order = list(CHECKS)
    return sorted(found, key=lambda finding: order.index(finding.check))
