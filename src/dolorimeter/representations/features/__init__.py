"""Hand-made features: a documented table for every modality, computed for whole batches.

A number that a window cannot carry is NaN, and the notes say of which feature, why, and how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dolorimeter.errors import ConfigError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._represented import Represented
from dolorimeter.representations.features import (
    ecg,
    eda,
    emg,
    fnirs,
    hr,
    ppg,
    resp,
    spo2,
    temperature,
)
from dolorimeter.representations.features._extract import extract
from dolorimeter.representations.features._table import Feature, Table
from dolorimeter.types import Window

__all__ = ["TABLES", "Feature", "Features", "Table", "table_of"]

TABLES: tuple[Table, ...] = (
    eda.TABLE,
    ecg.TABLE,
    emg.TABLE,
    emg.RECTIFIED_TABLE,
    resp.TABLE,
    ppg.TABLE,
    spo2.TABLE,
    fnirs.HAEMOGLOBIN,
    fnirs.OTHER,
    temperature.TABLE,
    hr.TABLE,
)
"""Every table, in the order of the documentation."""

_BY_NAME = {
    name: table for table in TABLES for name in table.modalities.split(", ") if "*" not in name
}


def table_of(modality: str) -> Table:
    """The table of features of a modality.

    Raises
    ------
    ConfigError
        If no table serves it, naming those that exist.

    Examples
    --------
    >>> table_of("emg_corrugator_rectified").title
    'Rectified electromyogram'
    """
    if modality in _BY_NAME:
        return _BY_NAME[modality]
    if modality.startswith("emg_"):
        return emg.RECTIFIED_TABLE if modality.endswith("_rectified") else emg.TABLE
    known = ", ".join(table.modalities for table in TABLES)
    raise ConfigError(
        f"no table of features for the modality '{modality}'; there is one for: {known}. Use the "
        "representation 'raw', or add a table (CONTRIBUTING.md)."
    )


@REPRESENTATIONS.register(
    Card(
        name="features",
        summary="Documented features of one modality, each with its source: (window, feature).",
    )
)
@dataclass(frozen=True)
class Features:
    """The table of features of one modality, for any number of windows.

    Parameters
    ----------
    modality : str
        Name of the signal (``"eda"``, ``"emg_corrugator"``).
    offset : float
        Seconds added to the start of every window; skin conductance lags by seconds.
    duration : float, optional
        Seconds; None keeps the window's own.
    channels : sequence of str, optional
        Of a signal with several channels: which ones, in which order. Empty: those found.
    """

    card: ClassVar[Card]
    modality: str
    offset: float = 0.0
    duration: float | None = None
    channels: Sequence[str] = ()

    def __post_init__(self) -> None:
        table_of(self.modality)
        if self.duration is not None and not self.duration > 0:
            raise ConfigError(
                f"features {self.modality}: duration is {self.duration}, expected above 0 s."
            )

    def __call__(self, windows: Sequence[Window]) -> Represented:
        """The windows as ``(window, feature)``; NaN rows where the modality is missing.

        Raises
        ------
        SignalError
            If the signal's unit does not convert to the table's, or windows differ in unit.
        """
        return extract(
            windows,
            self.modality,
            table_of(self.modality),
            offset=self.offset,
            duration=self.duration,
            channels=tuple(self.channels),
        )
