"""False-alarm rates, written by scripts/audit_false_alarms --write."""

from __future__ import annotations

from collections.abc import Mapping

FALSE_ALARM_RATES: Mapping[str, float] = {}
"""Upper 95 % limit of the share of clean runs with a finding of each check."""
