"""Features of skin temperature."""

from __future__ import annotations

from dolorimeter.representations.features import _levels
from dolorimeter.representations.features._table import Table

TABLE = Table("Skin temperature", "temperature", "degC", _levels.FEATURES, _levels.features)
