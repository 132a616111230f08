"""Features of a heart rate that the device gives as a series (Empatica's HR file)."""

from __future__ import annotations

from dolorimeter.representations.features import _levels
from dolorimeter.representations.features._table import Table

TABLE = Table("Heart rate given as a series", "hr", "1/min", _levels.FEATURES, _levels.features)
