"""The published layouts by name."""

from __future__ import annotations

from collections.abc import Mapping

from dolorimeter.synthesis import ai4pain, biovid, unbc
from dolorimeter.synthesis.cohort import Kind

KINDS: Mapping[str, Kind] = {
    "biovid": biovid.KIND,
    "ai4pain_2024": ai4pain.KIND_2024,
    "ai4pain_2025": ai4pain.KIND_2025,
    "unbc_mcmaster": unbc.KIND,
}
"""The published layouts that can be written."""
