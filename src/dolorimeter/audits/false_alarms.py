"""False-alarm rates, written by scripts/audit_false_alarms --write."""

from __future__ import annotations

from collections.abc import Mapping

FALSE_ALARM_RATES: Mapping[str, float] = {
    "subject_in_two_sets": 0.0218,
    "recording_of_two_subjects": 0.0218,
    "stimulus_in_two_sets": 0.0218,
    "overlapping_windows": 0.0218,
    "shared_samples": 0.0218,
    "near_duplicates": 0.0218,
    "copied_subject": 0.0218,
    "mixed_rows": 0.0218,
    "calibration_in_time": 0.0218,
    "fitted_outside_fold": 0.0218,
    "test_data_in_estimator": 0.0218,
    "target_access": 0.0218,
    "selection_on_test": 0.0218,
    "search_without_groups": 0.0218,
    "state_between_folds": 0.0218,
    "label_informed_reference": 0.0218,
    "label_encoding": 0.0218,
    "label_as_feature": 0.0218,
    "counter_as_feature": 0.0218,
    "pretraining_overlap": 0.0218,
    "shuffled_labels": 0.0218,
    "known_labels": 0.0218,
    "unseeded_randomness": 0.0218,
    "order_of_listing": 0.0218,
    "failed_folds": 0.0218,
    "comparison_differs": 0.0218,
    "majority_baseline": 0.0218,
    "nuisance_baseline": 0.0328,
    "level_before": 0.0218,
    "file_size": 0.0218,
}
"""Upper 95 % limit of the share of clean runs with a finding of each check."""
