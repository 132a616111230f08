"""Files → `Recording` (or `Samples`): one data set or format, one file, one class.

Importing this package registers every reader in `dolorimeter.registry.DATASETS`. Readers never
write into a root, list in sorted order, and read a signal only when it is asked for.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from dolorimeter.datasets import (  # noqa: F401  (importing registers them)
    acqknowledge,
    ai4pain_2024,
    ai4pain_2025,
    bids_physio,
    biosppy_examples,
    biovid,
    edf,
    empatica_e4,
    feature_table,
    neurokit_data,
    oxazepam_ep,
    oxazepam_fmov,
    painmonit,
    snirf,
    stress_predict,
    unbc_mcmaster,
    video_files,
    x_ite,
)
from dolorimeter.datasets._files import CheckReport, OfficialSplit, Problem
from dolorimeter.datasets._manifest import FetchResult, fetch, fetchable
from dolorimeter.datasets.action_unit_tables import read_action_units
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.storage import find_root, root_places

__all__ = [
    "CheckReport",
    "FetchResult",
    "OfficialSplit",
    "Problem",
    "fetch",
    "fetchable",
    "open_dataset",
    "read_action_units",
]


def open_dataset(name: str, root: str | Path | None = None, **options: Any) -> Any:
    """The reader of a registered data set, opened on a folder.

    Parameters
    ----------
    name : str
        Registry name (``"biovid"``).
    root : path, optional
        Its folder; None looks in ``$DOLORIMETER_DATA/<name>``, then in the user cache.
    options
        Of the reader (``part="A"``).

    Raises
    ------
    UnknownNameError
        If no reader has that name.
    ConfigError
        If the reader has no such option, or not with that value.
    DatasetError
        If the folder is nowhere, or is not that data set.
    """
    reader = DATASETS.get(name)
    known = [p for p in inspect.signature(reader).parameters if p != "root"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"{name}: no option {', '.join(map(repr, unknown))}; "
            f"its options are {', '.join(known) or 'none'}."
        )
    if root is None:
        root = find_root(name)
    if root is None:
        places = " and ".join(str(place) for place in root_places(name))
        card = DATASETS.card(name)
        obtain = card.obtain if isinstance(card, DatasetCard) else ""
        raise DatasetError(
            f"{name}: not found; looked in {places}. Give its folder with --root. {obtain}".strip()
        )
    return reader(root, **options)
