"""Evaluation: every row of an answer, what each call touched, and what stands beside the model."""

from dolorimeter.evaluation._baselines import BASELINES, baseline_outputs, stimulus_order
from dolorimeter.evaluation._environment import environment
from dolorimeter.evaluation._evaluate import evaluate, select_oracle
from dolorimeter.evaluation._folds import fit_fold, fold_seed
from dolorimeter.evaluation._labels import encode_labels, labels_of
from dolorimeter.evaluation._overlap import (
    refuse_overlap,
    seen_subjects,
    subjects_by_namespace,
)
from dolorimeter.evaluation._permutation import permutation_test, permuted_within
from dolorimeter.evaluation._rows import (
    ROW_COLUMNS,
    SCORE_COLUMNS,
    aggregate,
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
    summarise,
)
from dolorimeter.evaluation._thinning import THINNED, thin_classes

__all__ = [
    "BASELINES",
    "ROW_COLUMNS",
    "SCORE_COLUMNS",
    "THINNED",
    "Coverage",
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
    "fit_fold",
    "fold_seed",
    "labels_of",
    "permutation_test",
    "permuted_within",
    "probabilities_of",
    "refuse_overlap",
    "scores_by_subject",
    "seen_subjects",
    "select_oracle",
    "stimulus_order",
    "subjects_by_namespace",
    "summarise",
    "thin_classes",
]
