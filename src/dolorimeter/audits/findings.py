"""What an audit says: named findings, each with its kind of evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["fault", "warning", "declared", "passed"]
Evidence = Literal["observed", "recomputed", "declared"]

CHECKS: Mapping[str, str] = {
    "subject_in_two_sets": "a person is on both sides of a split",
    "stimulus_in_two_sets": "windows of one stimulus are on both sides of a split",
    "overlapping_windows": "windows that share signal are on both sides of a split",
    "fitted_outside_fold": "a scaler, PCA, threshold or calibrator learnt outside the fold",
    "test_data_in_estimator": "the estimator carries data it is tested on",
    "target_access": "the model looked at the test subject as a whole",
    "selection_on_test": "epoch, checkpoint or hyper-parameter chosen on the test fold",
    "search_without_groups": "an inner split puts one person on both sides",
    "state_between_folds": "a fold depends on the folds fitted before it",
    "label_informed_reference": "a reference that was chosen by label",
    "pretraining_overlap": "weights have met the people they are tested on",
    "shuffled_labels": "shuffled labels do not score at chance",
    "near_duplicates": "nearly the same window is on both sides of a split",
    "unseeded_randomness": "a second run gives other predictions",
    "order_of_listing": "the folds depend on the order in which files were listed",
    "comparison_differs": "classes, windows or aggregation are not those of the question",
    "majority_baseline": "the majority class is not shown",
    "nuisance_baseline": "facts that are not signal predict the label",
    "level_before": "the previous stimulus predicts the label",
    "label_as_feature": "a feature tells the label by itself",
}
"""Every check by name, with the pitfall it looks for."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    check : str
        A name in `CHECKS`.
    severity : {"fault", "warning", "declared", "passed"}
        A fault makes the figure unusable. A warning stands beside it. ``declared`` means that the
        audit could not verify what was said, or that nobody has said anything: it is never passed.
    evidence : {"observed", "recomputed", "declared"}
        Seen in the access record, found again in the data or by a second run, or only said.
    where : str
        Fold, subject, column or part of the estimator.
    message : str
        What was found and what to do, in sentences.
    """

    check: str
    severity: Severity
    evidence: Evidence
    where: str
    message: str

    def __post_init__(self) -> None:
        assert self.check in CHECKS, self.check
        assert not (self.severity == "passed" and self.evidence == "declared")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Finding:
        """The finding that `to_dict` wrote."""
        return cls(**{str(k): v for k, v in values.items()})


def passed(check: str, evidence: Evidence, message: str, where: str = "all folds") -> Finding:
    """The check looked and found nothing."""
    return Finding(check, "passed", evidence, where, message)


def unverified(check: str, message: str) -> Finding:
    """The audit had nothing to look at."""
    return Finding(check, "declared", "declared", "", f"declared, not verified: {message}")


def has_fault(findings: Iterable[Finding]) -> bool:
    """Whether any finding makes the figure unusable (the exit status of ``audit``)."""
    return any(finding.severity == "fault" for finding in findings)


def some(items: Iterable[Any], limit: int = 5) -> str:
    """The first few of a list, in words, with the number left out.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    texts = [str(item) for item in items]
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"
