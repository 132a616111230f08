"""Leakage checks: each has a name, a kind of evidence, and a test that plants its fault.

Three kinds of evidence. *Observed*: in the record of the rows that each fit and predict touched.
*Recomputed*: found again in the samples, in the estimator's parts, or by fitting again.
*Declared*: only said; such a finding is never passed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dolorimeter.audits.checks import copies, estimator, features, question, refit, splits
from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.false_alarms import FALSE_ALARM_RATES
from dolorimeter.audits.findings import (
    CHECKS,
    NOT_DETECTABLE,
    Evidence,
    Finding,
    Severity,
    has_fault,
    not_checked,
)
from dolorimeter.audits.leakometer import LeakOMeter, independent_epochs_bound, leak_o_meter
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Run, labels_of
from dolorimeter.samples import Samples
from dolorimeter.splits import as_split

__all__ = [
    "CHECKS",
    "FALSE_ALARM_RATES",
    "NOT_DETECTABLE",
    "Evidence",
    "Finding",
    "LeakOMeter",
    "Severity",
    "audit",
    "has_fault",
    "independent_epochs_bound",
    "leak_o_meter",
]

Check = Callable[[EvaluationUnderAudit], Iterator[Finding]]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("subject_in_two_sets", splits.subject_in_two_sets),
    ("recording_of_two_subjects", splits.recording_of_two_subjects),
    ("stimulus_in_two_sets", splits.stimulus_in_two_sets),
    ("overlapping_windows", splits.overlapping_windows),
    ("shared_samples", copies.shared_samples),
    ("near_duplicates", copies.near_duplicates),
    ("copied_subject", copies.copied_subject),
    ("mixed_rows", copies.mixed_rows),
    ("calibration_in_time", splits.calibration_in_time),
    ("fitted_outside_fold", splits.fit_touched_test_rows),
    ("fitted_outside_fold", features.fitted_outside_fold),
    ("fitted_outside_fold", estimator.prefitted_parts),
    ("test_data_in_estimator", estimator.data_in_parameters),
    ("target_access", features.target_access),
    ("target_access", refit.prediction_depends_on_batch),
    ("selection_on_test", splits.selection_on_test),
    ("search_without_groups", splits.inner_splits_of_record),
    ("search_without_groups", refit.inner_splits_of_fit),
    ("state_between_folds", refit.state_between_folds),
    ("label_informed_reference", features.label_informed_reference),
    ("label_encoding", features.label_encoding),
    ("label_as_feature", features.label_as_feature),
    ("counter_as_feature", features.counter_as_feature),
    ("pretraining_overlap", estimator.pretraining_overlap),
    ("shuffled_labels", refit.shuffled_labels),
    ("known_labels", refit.known_labels),
    ("unseeded_randomness", refit.second_run),
    ("order_of_listing", splits.order_of_listing),
    ("failed_folds", splits.failed_folds),
    ("comparison_differs", question.comparison_differs),
    ("majority_baseline", question.majority_baseline),
    ("nuisance_baseline", question.nuisance_baseline),
    ("level_before", question.level_before),
    ("file_size", question.file_size),
)
"""Every check, under the name in `CHECKS` that its findings have."""


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
    case = EvaluationUnderAudit(
        run, samples, y, estimator, split, rerun, {} if declared is None else dict(declared)
    )
    findings = [finding for name, check in _CHECKS for finding in _findings(name, check, case)]
    order = list(CHECKS)
    return sorted(findings, key=lambda finding: order.index(finding.check))


def _findings(name: str, check: Check, case: EvaluationUnderAudit) -> list[Finding]:
    """Findings of one check; a check that fails is reported as not checked, with the reason."""
    findings: list[Finding] = []
    try:
        with warnings.catch_warnings():  # of arrays that have no finite value, and the like
            warnings.simplefilter("ignore")
            for finding in check(case):
                findings.append(finding)
    except Exception as error:  # noqa: BLE001  # data and objects of a user may be anything
        words = " ".join(str(error).split())
        findings.append(not_checked(name, f"{type(error).__name__}: {words}"[:400]))
    return findings
