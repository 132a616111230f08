"""False-alarm rates, written by scripts/audit_false_alarms --write."""

from __future__ import annotations

from collections.abc import Mapping

FALSE_ALARM_RATES: Mapping[str, float] = {
    "subject_in_two_sets": 0.05,
    "recording_of_two_subjects": 0.05,
    "stimulus_in_two_sets": 0.05,
    "overlapping_windows": 0.05,
    "shared_samples": 0.05,
    "near_duplicates": 0.05,
    "copied_subject": 0.05,
    "mixed_rows": 0.05,
    "calibration_in_time": 0.05,
    "fitted_outside_fold": 0.05,
    "test_data_in_estimator": 0.05,
    "target_access": 0.05,
    "selection_on_test": 0.05,
    "search_without_groups": 0.05,
    "state_between_folds": 0.05,
    "label_informed_reference": 0.05,
    "label_encoding": 0.05,
    "label_as_feature": 0.05,
    "counter_as_feature": 0.05,
    "pretraining_overlap": 0.05,
    "shuffled_labels": 0.05,
    "known_labels": 0.05,
    "unseeded_randomness": 0.05,
    "order_of_listing": 0.05,
    "failed_folds": 0.05,
    "comparison_differs": 0.05,
    "majority_baseline": 0.05,
    "nuisance_baseline": 0.075,
    "level_before": 0.05,
    "file_size": 0.05,
}
"""Upper 95 % limit of the share of clean runs with a finding of each check."""
