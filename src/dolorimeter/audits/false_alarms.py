"""False-alarm rates, written by scripts/audit_false_alarms --write."""

from __future__ import annotations

from collections.abc import Mapping

FALSE_ALARM_RATES: Mapping[str, float] = {
    "subject_in_two_sets": 0.0062,
    "recording_of_two_subjects": 0.0062,
    "stimulus_in_two_sets": 0.0062,
    "overlapping_windows": 0.0062,
    "shared_samples": 0.0062,
    "near_duplicates": 0.0062,
    "copied_subject": 0.0062,
    "mixed_rows": 0.0062,
    "calibration_in_time": 0.0062,
    "fitted_outside_fold": 0.0062,
    "test_data_in_estimator": 0.0062,
    "target_access": 0.0062,
    "selection_on_test": 0.0062,
    "search_without_groups": 0.0062,
    "state_between_folds": 0.0062,
    "label_informed_reference": 0.0062,
    "label_encoding": 0.0062,
    "label_as_feature": 0.0062,
    "counter_as_feature": 0.0062,
    "pretraining_overlap": 0.0062,
    "shuffled_labels": 0.0062,
    "known_labels": 0.0062,
    "unseeded_randomness": 0.0062,
    "order_of_listing": 0.0062,
    "failed_folds": 0.0062,
    "comparison_differs": 0.0062,
    "majority_baseline": 0.0062,
    "nuisance_baseline": 0.012,
    "level_before": 0.0093,
    "file_size": 0.0062,
}
"""Upper 95 % limit of the share of clean runs with a finding of each check."""
