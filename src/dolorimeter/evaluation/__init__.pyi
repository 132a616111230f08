"""Evaluation: prediction rows, access record, baselines and scores."""

from dolorimeter.evaluation._baselines import (
    BASELINES,
    SIGNAL_FACTS,
    baseline_outputs,
    fact_outputs,
    stimulus_order,
)
from dolorimeter.evaluation._environment import environment
from dolorimeter.evaluation._evaluate import evaluate, select_oracle
from dolorimeter.evaluation._folds import fit_fold, fold_seed
from dolorimeter.evaluation._label_units import (
    LabelUnits,
    label_units,
    permuted_labels,
    permuted_within,
)
from dolorimeter.evaluation._labels import (
    encode_labels,
    labels_of,
    lagged_targets,
    targets_after,
)
from dolorimeter.evaluation._overlap import (
    refuse_overlap,
    seen_subjects,
    subjects_by_namespace,
)
from dolorimeter.evaluation._permutation import permutation_test
from dolorimeter.evaluation._rows import (
    ROW_COLUMNS,
    SCORE_COLUMNS,
    aggregate,
    headline,
    pooled_score,
    probabilities_of,
    scores_by_subject,
)
from dolorimeter.evaluation._run import Question, Run
from dolorimeter.evaluation._summary import (
    Coverage,
    Permutations,
    Score,
    Summary,
    coverage_of,
    paired_gain,
    summarise,
)
from dolorimeter.evaluation._thinning import THINNED, thin_classes

__all__ = [
    "BASELINES",
    "ROW_COLUMNS",
    "SCORE_COLUMNS",
    "SIGNAL_FACTS",
    "THINNED",
    "Coverage",
    "LabelUnits",
    "Permutations",
    "Question",
    "Run",
    "Score",
    "Summary",
    "aggregate",
    "baseline_outputs",
    "coverage_of",
    "encode_labels",
    "environment",
    "evaluate",
    "fact_outputs",
    "fit_fold",
    "fold_seed",
    "headline",
    "label_units",
    "labels_of",
    "lagged_targets",
    "paired_gain",
    "permutation_test",
    "permuted_labels",
    "permuted_within",
    "pooled_score",
    "probabilities_of",
    "refuse_overlap",
    "scores_by_subject",
    "seen_subjects",
    "select_oracle",
    "stimulus_order",
    "subjects_by_namespace",
    "summarise",
    "targets_after",
    "thin_classes",
]
