"""Files → `Recording` (or `Samples`): one data set or format, one file, one class.

Importing this package registers every reader in `dolorimeter.registry.DATASETS`. Readers never
write into a root, list in sorted order, and read a signal only when it is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
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
from dolorimeter.datasets._event_checks import check
from dolorimeter.datasets._files import CheckReport, OfficialSplit, Problem
from dolorimeter.datasets._manifest import FetchResult, fetch, fetchable
from dolorimeter.datasets.action_unit_tables import read_action_units
from dolorimeter.datasets.video_files import SUFFIXES
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.storage import find_root, root_places
from dolorimeter.types import Exclusion, Recording, Video
from dolorimeter.video import probe

__all__ = [
    "CheckReport",
    "FetchResult",
    "OfficialSplit",
    "Problem",
    "check",
    "fetch",
    "fetchable",
    "open_dataset",
    "read_action_units",
    "recordings_of",
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


def recordings_of(
    name: str, path: str | Path, options: Mapping[str, Any], *, loose: bool = False
) -> tuple[list[Recording], tuple[Exclusion, ...]]:
    """Recordings of a folder and what its reader left out, or those a single file belongs to.

    A file is looked for in the data set that the nearest of its parent folders is. With `loose`, a
    video file that is in none is a recording of its own, of a person of its name.

    Raises
    ------
    DatasetError
        If there is nothing of that data set.
    RecordingError
        If a video of its own cannot be read.
    """
    path = Path(path)
    faults = []
    for folder in (path, *path.resolve().parents)[:6]:
        if not folder.is_dir():
            continue
        try:
            reader = open_dataset(name, folder, **options)
            found: list[Recording] = reader.recordings()
        except DatasetError as error:
            faults.append(str(error))
            continue
        if folder == path:
            return found, tuple(reader.exclusions)
        inside = [r for r in found if any(_within(s, path) for s in r.sources)]
        if inside:
            return inside, ()
    if loose and path.is_file() and path.suffix.lower() in SUFFIXES:
        probe(path)
        video = {"face": Video(path)}
        return [Recording("video_files", path.stem, path.stem, videos=video, sources=(path,))], ()
    raise DatasetError(f"{path}: no recording of {name} here. {faults[0] if faults else ''}")


def _within(source: Path, path: Path) -> bool:
    return source.resolve().is_relative_to(path.resolve())
