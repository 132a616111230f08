"""Scores of predictions: pure functions of float64 arrays, checked against other references.

Where scikit-learn has the same number, the tests compare; what it lacks is named with its source.
A score that is not defined (one class only, no variance) is NaN, never a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dolorimeter.errors import EvaluationError
from dolorimeter.types import TargetKind

Labels = Int[np.ndarray, " sample"]
Probabilities = Float[np.ndarray, "sample class"]
Values = Float[np.ndarray, " sample"]

Metric = Callable[[Labels, Probabilities], float]

NAN = float("nan")


def accuracy(label: Labels, probability: Probabilities) -> float:
    """Share of samples whose most probable class is the label."""
    _checked(label, probability)
    return float((probability.argmax(axis=1) == label).mean())


def balanced_accuracy(label: Labels, probability: Probabilities) -> float:
    """Mean recall of the classes that occur; NaN unless two classes occur.

    Of one class it would be the recall of that class, which a constant answer makes 1.
    """
    counts = confusion(label, probability)
    occur = counts.sum(axis=1)
    present = occur > 0
    if present.sum() < 2:
        return NAN
    return float((counts.diagonal()[present] / occur[present]).mean())


def confusion(label: Labels, probability: Probabilities) -> Int[np.ndarray, "class class"]:
    """Counts, true class by row, most probable class by column.

    The counting is ours: scikit-learn's checks of arguments, once per subject and metric, would
    take most of the time of a summary.
    """
    _checked(label, probability)
    n = probability.shape[1]
    cells = np.bincount(label * n + probability.argmax(axis=1), minlength=n * n)
    counts: Int[np.ndarray, "class class"] = cells.reshape(n, n)
    return counts


def macro_precision(label: Labels, probability: Probabilities) -> float:
    """Mean precision of the classes; a class that is never predicted has 0.

    NaN if a class does not occur: a perfect answer would not reach 1.
    """
    counts = confusion(label, probability)
    if not counts.any(axis=1).all():
        return NAN
    return float((counts.diagonal() / np.maximum(counts.sum(axis=0), 1)).mean())


def macro_recall(label: Labels, probability: Probabilities) -> float:
    """Mean recall of the classes that occur; NaN unless two classes occur."""
    return balanced_accuracy(label, probability)


def macro_f1(label: Labels, probability: Probabilities) -> float:
    """Mean F1 of the classes, ``2·TP / (2·TP + FP + FN)``; 0 where a class is all missed.

    NaN if a class does not occur: a perfect answer would not reach 1.
    """
    counts = confusion(label, probability)
    if not counts.any(axis=1).all():
        return NAN
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2.0 * counts.diagonal() / both).mean())


def mcc(label: Labels, probability: Probabilities) -> float:
    """Matthews correlation of labels and most probable classes; NaN with one class only.

    0 where one class is predicted only, as in scikit-learn.
    """
    counts = confusion(label, probability).astype(float)
    true, predicted, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    if (true > 0).sum() < 2:
        return NAN
    covariance = counts.trace() * n - true @ predicted
    scale = float(np.sqrt((n * n - predicted @ predicted) * (n * n - true @ true)))
    return float(covariance) / scale if scale > 0 else 0.0


def quadratic_kappa(label: Labels, probability: Probabilities) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968); NaN with one class only."""
    counts = confusion(label, probability).astype(float)
    if (counts.sum(axis=1) > 0).sum() < 2:
        return NAN
    place = np.arange(len(counts))
    weight = (place[:, None] - place) ** 2
    by_chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return float(1.0 - (weight * counts).sum() / (weight * by_chance).sum())


def auroc(label: Labels, probability: Probabilities) -> float:
    """Area under the ROC curve: of class 1 for two classes, else mean of one against the rest.

    Ties count one half. NaN when a class does not occur.
    """
    _checked(label, probability)
    n = probability.shape[1]
    if n == 2:
        return auroc_of_score(label, probability[:, 1])
    each = [auroc_of_score((label == k).astype(int), probability[:, k]) for k in range(n)]
    return float(np.mean(each))


def auroc_of_score(label: Labels, score: Values) -> float:
    """Probability that a sample of class 1 scores above one of class 0 (Mann–Whitney)."""
    from scipy.stats import rankdata

    _same_length(label, score)
    positive = int((label == 1).sum())
    negative = len(label) - positive
    if not positive or not negative:
        return NAN
    ranks = rankdata(score)[label == 1].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def log_loss(label: Labels, probability: Probabilities) -> float:
    """Mean negative natural logarithm of the probability of the label, clipped at 1e-15."""
    _checked(label, probability)
    of_label = probability[np.arange(len(label)), label]
    return float(-np.log(np.clip(of_label, 1e-15, 1.0)).mean())


def brier(label: Labels, probability: Probabilities) -> float:
    """Mean squared distance of probabilities to the label, summed over classes, halved.

    For two classes this is the usual Brier score of class 1.
    """
    _checked(label, probability)
    truth = np.eye(probability.shape[1])[label]
    return float(((probability - truth) ** 2).sum(axis=1).mean() / 2)


def expected_calibration_error(label: Labels, probability: Probabilities, bins: int = 10) -> float:
    """Mean gap of confidence and accuracy over bins of equal mass (Nguyen & O'Connor 2015).

    Confidence is the probability of the most probable class. Samples of equal confidence are in
    one bin, so that the order of samples does not matter.
    """
    _checked(label, probability)
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == label
    groups = equal_mass_bins(confidence, bins)
    gaps = [abs(confidence[g].mean() - right[g].mean()) * len(g) for g in groups]
    return float(sum(gaps) / len(label))


def equal_mass_bins(values: Values, bins: int = 10) -> list[Int[np.ndarray, " member"]]:
    """Return the rows of each of at most `bins` bins of about equal size, values rising.

    Rows of equal value are in one bin: the one in which the middle of them lies.

    Parameters
    ----------
    values : Float[np.ndarray, "sample"]
    bins : int, default 10

    Returns
    -------
    list of int array
        Rows of `values` by bin; no bin is empty.

    Examples
    --------
    >>> import numpy as np
    >>> [rows.tolist() for rows in equal_mass_bins(np.array([0.5, 0.9, 0.5, 0.7]), bins=2)]
    [[0, 2], [3, 1]]
    """
    # values that differ by rounding errors are equal: 0.1 + 0.2 and 0.3
    _, level, count = np.unique(np.round(values, 12), return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    place = np.minimum((middle * min(bins, len(values)) / len(values)).astype(int), bins - 1)
    of_row = place[level]
    order = np.argsort(level, kind="stable")
    return [order[of_row[order] == b] for b in np.unique(of_row)]


def sensitivity_at_specificity(
    label: Labels, probability: Probabilities, specificity: float = 0.9
) -> float:
    """Highest sensitivity for class 1 at a specificity of at least `specificity`; two classes.

    NaN for more classes, or when one does not occur.
    """
    _checked(label, probability)
    if probability.shape[1] != 2 or len(np.unique(label)) < 2:
        return NAN
    score = probability[:, 1]
    thresholds = np.unique(score)
    negatives, positives = np.sort(score[label == 0]), np.sort(score[label == 1])
    false_alarm = 1 - np.searchsorted(negatives, thresholds, side="left") / len(negatives)
    hit = 1 - np.searchsorted(positives, thresholds, side="left") / len(positives)
    allowed = hit[1 - false_alarm >= specificity - 1e-12]
    return float(allowed.max()) if len(allowed) else 0.0


def net_benefit(
    label: Labels, probability: Probabilities, thresholds: Float[np.ndarray, " threshold"]
) -> Float[np.ndarray, " threshold"]:
    """Decision curve of class 1 (Vickers & Elkin 2006): ``TP/n − FP/n · t/(1−t)``."""
    _checked(label, probability)
    if probability.shape[1] != 2:
        raise EvaluationError(
            f"net benefit of {probability.shape[1]} classes: it is defined for two."
        )
    if ((thresholds <= 0) | (thresholds >= 1)).any():
        raise EvaluationError("net benefit: thresholds must lie strictly between 0 and 1.")
    alarm = probability[:, 1][None] >= thresholds[:, None]
    hits = (alarm & (label == 1)[None]).mean(axis=1)
    false = (alarm & (label == 0)[None]).mean(axis=1)
    curve: Float[np.ndarray, " threshold"] = hits - false * thresholds / (1 - thresholds)
    return curve


def risk_coverage(
    label: Labels, probability: Probabilities
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Coverage, and error among the samples kept, as the least confident are abstained from.

    Samples of equal confidence, that of the most probable class, enter together.
    """
    _checked(label, probability)
    confidence = probability.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    wrong = (probability.argmax(axis=1) != label)[order]
    last = np.append(np.diff(confidence[order]) != 0, True)
    kept = np.arange(1, len(label) + 1)
    return (kept / len(label))[last], (np.cumsum(wrong) / kept)[last]


def expected_level_of(probability: Probabilities) -> Values:
    """Σ class · probability: the expected level of an ordinal model."""
    level: Values = probability @ np.arange(probability.shape[1], dtype=float)
    return level


def mae(target: Values, prediction: Values) -> float:
    """Mean absolute error, in the target's unit."""
    _same_length(target, prediction)
    return float(np.abs(target - prediction).mean())


def rmse(target: Values, prediction: Values) -> float:
    """Root of the mean squared error, in the target's unit."""
    _same_length(target, prediction)
    return float(np.sqrt(((target - prediction) ** 2).mean()))


def pearson(target: Values, prediction: Values) -> float:
    """Pearson's correlation; NaN when one of them does not vary."""
    _same_length(target, prediction)
    a, b = target - target.mean(), prediction - prediction.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if len(target) > 1 and _varies(target, prediction) else NAN


def concordance(target: Values, prediction: Values) -> float:
    """Lin's concordance correlation (Lin 1989, eq. 1), moments divided by n.

    NaN when neither varies and both are one number.
    """
    _same_length(target, prediction)
    if not _varies(target) and not _varies(prediction):
        return NAN if target[0] == prediction[0] else 0.0
    shift = (target.mean() - prediction.mean()) ** 2
    scale = target.var() + prediction.var() + shift
    covariance = ((target - target.mean()) * (prediction - prediction.mean())).mean()
    return float(2 * covariance / scale)


def icc_3_1(target: Values, prediction: Values) -> float:
    """ICC(3,1): consistency of two fixed raters (Shrout & Fleiss 1979); NaN without variance."""
    _same_length(target, prediction)
    n = len(target)
    if n < 2 or not (_varies(target) or _varies(prediction)):
        return NAN
    table = np.stack([target, prediction], axis=1)
    rows = 2 * ((table.mean(axis=1) - table.mean()) ** 2).sum() / (n - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    error = (residual**2).sum() / (n - 1)
    return float((rows - error) / (rows + error))


CLASSIFICATION = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "auroc": auroc,
    "macro_f1": macro_f1,
    "macro_precision": macro_precision,
    "macro_recall": macro_recall,
    "mcc": mcc,
    "quadratic_kappa": quadratic_kappa,
    "log_loss": log_loss,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
    "sensitivity_at_90_specificity": sensitivity_at_specificity,
}
"""Metrics of class probabilities by name; the first is the main one."""

REGRESSION = {
    "concordance": concordance,
    "pearson": pearson,
    "icc_3_1": icc_3_1,
    "mae": mae,
    "rmse": rmse,
}
"""Metrics of numbers by name; the first is the main one."""


def _of_level(metric: Callable[[Values, Values], float]) -> Metric:
    """A metric of numbers, of the class index and the expected level."""

    def score(label: Labels, probability: Probabilities) -> float:
        _checked(label, probability)
        return metric(label.astype(float), expected_level_of(probability))

    return score


ORDINAL: dict[str, Metric] = CLASSIFICATION | {
    name: _of_level(metric) for name, metric in REGRESSION.items()
}
"""Metrics of an ordinal model by name: those of its classes, then of its expected level."""


def by_kind(target_kind: TargetKind) -> dict[str, Callable[..., float]]:
    """The metrics of a kind of target by name; the first is the main one."""
    tables: dict[str, dict[str, Callable[..., float]]] = {
        "classifier": {**CLASSIFICATION},
        "ordinal": {**ORDINAL},
        "regressor": {**REGRESSION},
    }
    return tables[target_kind]


RANGES = {
    "balanced_accuracy": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "auroc": (0.0, 1.0),
    "macro_f1": (0.0, 1.0),
    "macro_precision": (0.0, 1.0),
    "macro_recall": (0.0, 1.0),
    "mcc": (-1.0, 1.0),
    "quadratic_kappa": (-1.0, 1.0),
    "log_loss": (0.0, float("inf")),
    "brier": (0.0, 1.0),
    "expected_calibration_error": (0.0, 1.0),
    "sensitivity_at_90_specificity": (0.0, 1.0),
    "concordance": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "icc_3_1": (-1.0, 1.0),
    "mae": (0.0, float("inf")),
    "rmse": (0.0, float("inf")),
}
"""Lowest and highest value that each metric can take."""

POOLED_ONLY = {
    "expected_calibration_error": "pooled only: over the windows of one subject it is biased "
    "upwards, also for a model that is calibrated",
    "sensitivity_at_90_specificity": "pooled only: the threshold is chosen on the windows that "
    "are scored, which inflates it over the windows of one subject",
}
"""Metrics that are reported over all windows only, with the reason."""

SKLEARN_NAMES = {
    "roc_auc": "auroc",
    "roc_auc_ovr": "auroc",
    "recall_macro": "macro_recall",
    "matthews_corrcoef": "mcc",
    "neg_log_loss": "log_loss",
    "neg_brier_score": "brier",
    "neg_mean_absolute_error": "mae",
    "neg_root_mean_squared_error": "rmse",
}
"""Names of scikit-learn's scorers and the metrics they stand for. Losses stay positive here.

Macro F1 and precision of scikit-learn leave out classes that a subject lacks. Ours are undefined
then, so that only our names select them.
"""


def named(scoring: Any, target_kind: TargetKind) -> tuple[str, ...]:
    """Return the names of metrics, with scikit-learn's names translated.

    Parameters
    ----------
    scoring : str or sequence of str
    target_kind : {"classifier", "ordinal", "regressor"}

    Raises
    ------
    EvaluationError
        If a name is unknown for this kind of target.

    Examples
    --------
    >>> named("roc_auc", "classifier")
    ('auroc',)
    """
    known = by_kind(target_kind)
    requested = tuple(scoring) if isinstance(scoring, list | tuple) else (scoring,)
    names = tuple(
        SKLEARN_NAMES.get(name, name) if isinstance(name, str) else name for name in requested
    )
    for name in names:
        if name not in known:
            raise EvaluationError(
                f"scoring: {name!r} is not a metric of a {target_kind}; known: {', '.join(known)}."
            )
    return tuple(dict.fromkeys(names))


def chance_level(metric: str, n_classes: int) -> float:
    """Return what guessing every class with equal probability scores; NaN if it is not fixed.

    For correlations it is 0, which a constant number has.

    Examples
    --------
    >>> chance_level("balanced_accuracy", 4), chance_level("auroc", 4)
    (0.25, 0.5)
    """
    levels = {
        "accuracy": 1 / n_classes,
        "balanced_accuracy": 1 / n_classes,
        "macro_recall": 1 / n_classes,
        "auroc": 0.5,
        "mcc": 0.0,
        "quadratic_kappa": 0.0,
        "concordance": 0.0,
        "pearson": 0.0,
        "icc_3_1": 0.0,
    }
    return levels.get(metric, NAN)


LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error", "mae", "rmse"})


def _varies(*arrays: Values) -> bool:
    return all(np.ptp(a) > 0 for a in arrays)


def _same_length(a: np.ndarray, b: np.ndarray) -> None:
    if len(a) != len(b) or not len(a):
        raise EvaluationError(
            f"{len(a)} labels and {len(b)} predictions: give one each, not none."
        )


def _checked(
    label: Int[np.ndarray, " label"], probability: Float[np.ndarray, "row class"]
) -> None:
    _same_length(label, probability)
    if label.min() < 0 or label.max() >= probability.shape[1]:
        raise EvaluationError(
            f"labels from {label.min()} to {label.max()} for {probability.shape[1]} columns of "
            "probabilities: labels are class indices from 0."
        )
