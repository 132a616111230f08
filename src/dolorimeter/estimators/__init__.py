"""Estimators: scikit-learn's interface, for feature tables and for networks on windows.

Names of the registry `ESTIMATORS` are functions of keyword arguments that return an unfitted
estimator. Those that split inside `fit` (early stopping, calibration, conformal, search) need
``fit(x, y, groups=subjects)``. Importing this package pulls in no torch.
"""

from __future__ import annotations

from dolorimeter.estimators._calibration import IsotonicCalibrated, TemperatureCalibrated
from dolorimeter.estimators._conformal import (
    ConformalClassifier,
    ConformalRegressor,
    SubjectCoverage,
    count_sets,
    coverage_by_subject,
    fewest_subjects,
)
from dolorimeter.estimators._deep import NetworkClassifier
from dolorimeter.estimators._dual import DualStreamClassifier, dual_stream
from dolorimeter.estimators._fusion import FusionClassifier, embedding_fusion
from dolorimeter.estimators._inner import fit_with_groups, groups_parameter
from dolorimeter.estimators._ordinal import OrdinalLogistic, expected_level
from dolorimeter.estimators._saving import load_estimator, save_estimator
from dolorimeter.estimators._score import FeatureScore, feature_score
from dolorimeter.estimators._search import SubjectSearch
from dolorimeter.estimators._shallow import (
    gradient_boosting,
    logistic_regression,
    majority,
    mean,
    network,
    ordinal_logistic,
    painattnnet,
    random_forest,
    random_forest_regressor,
    ridge,
    svm,
)
from dolorimeter.estimators._wrappers import (
    RegisteredSearch,
    calibrated,
    chooses_on_subjects,
    conformal_classifier,
    conformal_regressor,
    notes_of,
    search,
)

__all__ = [
    "ConformalClassifier",
    "ConformalRegressor",
    "DualStreamClassifier",
    "FeatureScore",
    "FusionClassifier",
    "IsotonicCalibrated",
    "NetworkClassifier",
    "OrdinalLogistic",
    "RegisteredSearch",
    "SubjectCoverage",
    "SubjectSearch",
    "TemperatureCalibrated",
    "calibrated",
    "chooses_on_subjects",
    "conformal_classifier",
    "conformal_regressor",
    "count_sets",
    "coverage_by_subject",
    "dual_stream",
    "embedding_fusion",
    "expected_level",
    "feature_score",
    "fewest_subjects",
    "fit_with_groups",
    "gradient_boosting",
    "groups_parameter",
    "load_estimator",
    "logistic_regression",
    "majority",
    "mean",
    "network",
    "notes_of",
    "ordinal_logistic",
    "painattnnet",
    "random_forest",
    "random_forest_regressor",
    "ridge",
    "save_estimator",
    "search",
    "svm",
]
