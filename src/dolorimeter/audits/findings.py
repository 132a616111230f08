"""Findings: the result of every check, its evidence and its false-alarm rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dolorimeter.audits.false_alarms import FALSE_ALARM_RATES

Severity = Literal["fault", "warning", "declared", "passed"]
Evidence = Literal["observed", "recomputed", "declared"]

CHECKS: Mapping[str, str] = {
    "subject_in_two_sets": "a subject is on both sides of a split",
    "recording_of_two_subjects": "one recording has rows of two subjects",
    "stimulus_in_two_sets": "windows of one stimulus are on both sides of a split",
    "overlapping_windows": "windows that share time are on both sides of a split",
    "shared_samples": "signals on both sides of a split contain the same samples",
    "near_duplicates": "nearly the same window is on both sides of a split",
    "copied_subject": "one subject is a copy of another",
    "mixed_rows": "rows are mixtures of rows on the other side of a split",
    "calibration_in_time": "labelled windows of the test subject do not precede the tested ones",
    "fitted_outside_fold": "a scaler, PCA, threshold or calibrator was fitted outside the fold",
    "test_data_in_estimator": "parameters of the estimator hold data it is tested on",
    "target_access": "the model uses the test subject as a whole",
    "selection_on_test": "epoch, checkpoint or hyper-parameter chosen on the test fold",
    "search_without_groups": "an inner split puts one subject on both sides",
    "state_between_folds": "a fold depends on the folds fitted before it",
    "label_informed_reference": "a reference was chosen by label",
    "label_encoding": "a feature is the mean label of a group of rows",
    "label_as_feature": "a single feature tells the label",
    "counter_as_feature": "a feature counts rows, sessions or time",
    "pretraining_overlap": "weights were trained on subjects they are tested on",
    "shuffled_labels": "shuffled labels do not score at chance",
    "known_labels": "the pipeline predicts labels it was never given",
    "unseeded_randomness": "a second run gives other predictions",
    "order_of_listing": "the folds depend on the order in which files were listed",
    "failed_folds": "folds failed, and their subjects are not in the scores",
    "comparison_differs": "classes, windows or aggregation are not those of the question",
    "majority_baseline": "the majority class is not shown",
    "nuisance_baseline": "facts that are not signal predict the label",
    "level_before": "the previous stimulus predicts the label",
    "file_size": "the size of the file tells the label",
}
"""Every check by name, with the pitfall it looks for."""

NOT_DETECTABLE: tuple[str, ...] = (
    "Features selected, or missing values imputed, on all subjects before the table was passed.",
    "Thresholds, hyper-parameters and seeds chosen on test results and typed in as numbers.",
    "Caches and state in files with an absolute path.",
    "Transformed copies of subjects in feature tables (other features of the same recording).",
    "Two sessions of one subject under unrelated identifiers.",
    "Encoders under a false name, or whose training subjects are not declared.",
    "Inner splits drawn with a generator of the estimator's own code, not with scikit-learn.",
    "Statistics over all rows of a table from which rows were removed afterwards.",
)
"""Leaks that no check can detect. The report prints this list under every audit."""


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Parameters
    ----------
    check : str
        A name in `CHECKS`.
    severity : {"fault", "warning", "declared", "passed"}
        ``fault``: the figure is not usable. ``warning``: it must be read with the finding.
        ``declared``: the check could not run, or rests on a declaration that cannot be verified.
    evidence : {"observed", "recomputed", "declared"}
        ``observed``: in the access record or during a fit. ``recomputed``: in the data or by
        fitting again. ``declared``: only stated by the user.
    where : str
        Fold, subject, column or part of the estimator.
    message : str
        What the check observed and what to do.
    false_alarm_rate : float or None, optional
        Upper limit of the 95 % interval of the share of clean runs in which this check reports a
        fault or a warning. By default the measured value (``docs/audit.md``).
    """

    check: str
    severity: Severity
    evidence: Evidence
    where: str
    message: str
    false_alarm_rate: float | None = None

    def __post_init__(self) -> None:
        assert self.check in CHECKS, self.check
        assert not (self.severity == "passed" and self.evidence == "declared")
        if self.false_alarm_rate is None:
            object.__setattr__(self, "false_alarm_rate", FALSE_ALARM_RATES.get(self.check))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """Return the finding that `to_dict` wrote."""
        return cls(**{str(k): v for k, v in values.items()})


def passed(check: str, evidence: Evidence, message: str, where: str = "all folds") -> Finding:
    """Return the finding of a check that ran and has nothing to report."""
    return Finding(check, "passed", evidence, where, message)


def not_checked(check: str, reason: str) -> Finding:
    """Return the finding of a check that could not run, with the reason."""
    return Finding(check, "declared", "declared", "", f"not checked: {reason}")


def has_fault(findings: Iterable[Finding]) -> bool:
    """Return whether any finding is a fault (the exit status of ``audit``)."""
    return any(finding.severity == "fault" for finding in findings)


def some(items: Iterable[Any], limit: int = 5) -> str:
    """Return the first items as text, with the number of the others.

    Examples
    --------
    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    texts = [str(item) for item in items]
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"
