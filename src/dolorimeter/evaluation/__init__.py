"""Evaluation: prediction rows, access record, baselines and scores.

Names are imported on first use: a verb that fits nothing does not wait for scikit-learn.
"""

from dolorimeter._on_demand import on_demand

_HOMES = {
    "_baselines": (
        "BASELINES",
        "SIGNAL_FACTS",
        "baseline_outputs",
        "fact_outputs",
        "stimulus_order",
    ),
    "_environment": ("environment",),
    "_evaluate": ("evaluate", "select_oracle"),
    "_folds": ("fit_fold", "fold_seed"),
    "_label_units": ("LabelUnits", "label_units", "permuted_labels", "permuted_within"),
    "_labels": ("encode_labels", "labels_of", "lagged_targets", "targets_after"),
    "_overlap": ("refuse_overlap", "seen_subjects", "subjects_by_namespace"),
    "_permutation": ("permutation_test",),
    "_rows": (
        "ROW_COLUMNS",
        "SCORE_COLUMNS",
        "aggregate",
        "headline",
        "pooled_score",
        "probabilities_of",
        "scores_by_subject",
    ),
    "_run": ("Question", "Run"),
    "_summary": (
        "Coverage",
        "Permutations",
        "Score",
        "Summary",
        "coverage_of",
        "paired_gain",
        "summarise",
    ),
    "_thinning": ("THINNED", "thin_classes"),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return list(__all__)
