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
from dolorimeter.datasets._files import CheckReport, OfficialSplit, Problem, relative
from dolorimeter.datasets._manifest import FetchResult, fetch, fetchable
from dolorimeter.datasets.action_unit_tables import read_action_units
from dolorimeter.datasets.video_files import SUFFIXES
from dolorimeter.errors import ConfigError, DatasetError, did_you_mean
from dolorimeter.option_types import check_types
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
        Of the reader (``part="A"``). A key with a point is an entry of a mapping:
        ``**{"unit.eda": "uS"}`` is ``unit={"eda": "uS"}``.

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
    options = _nested(options)
    known = [p for p in inspect.signature(reader).parameters if p != "root"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"{name}: no option {', '.join(map(repr, unknown))}; "
            f"{did_you_mean(unknown[0], known, 'its options are:')}"
        )
    check_types(name, reader.__init__, options)
    if root is None:
        root = find_root(name)
    if root is None:
        places = " and ".join(str(place) for place in root_places(name))
        card = DATASETS.card(name)
        obtain = card.obtain if isinstance(card, DatasetCard) else ""
        raise DatasetError(
            f"{name}: not found; looked in {places}. Give its folder. {obtain}".strip()
        )
    return reader(root, **options)


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with ``unit.eda`` as the entry ``eda`` of the mapping ``unit``."""
    nested: dict[str, Any] = {}
    for key, value in options.items():
        option, point, entry = key.partition(".")
        if not point:
            nested[key] = value
        elif isinstance(nested.setdefault(option, {}), dict):
            nested[option] = {**nested[option], entry: value}
        else:
            raise ConfigError(f"option {option!r} is given as a whole and by its entry {entry!r}.")
    return nested


def recordings_of(
    name: str, path: str | Path, options: Mapping[str, Any], *, loose: bool = False
) -> tuple[list[Recording], tuple[Exclusion, ...]]:
    """Recordings of a folder and what its reader left out, or those a single file belongs to.

    A file is opened by itself if the format allows it; else it is looked for in the data set that
    the nearest of its parent folders is, two folders up at most for a format of any lab, which
    takes every folder for its own. With `loose`, a video file that is in none is a recording of
    its own, of a subject of its name.

    Raises
    ------
    DatasetError
        If there is nothing of that data set, or the reader has left the file out.
    RecordingError
        If a video of its own cannot be read.
    """
    path = Path(path)
    card = DATASETS.card(name)
    absolute = path.absolute()  # a link belongs where it lies
    parents = list(absolute.parents)
    faults = []
    for folder in (path, *parents[: 2 if card.licence == "the owner's" else 5]):
        try:
            reader = open_dataset(name, folder, **options)
            found: list[Recording] = reader.recordings()
        except DatasetError as error:
            faults.append(str(error))
            continue
        if folder == path:
            return found, tuple(reader.exclusions)
        inside = [r for r in found if any(_within(s, path) for s in r.sources)]
        where = relative(absolute, folder)
        left_out = tuple(e for e in reader.exclusions if e.what.split(",")[0] == where)
        if inside:
            return inside, left_out
        if left_out:
            raise DatasetError(f"{path}: left out by the reader of {name}: {left_out[0].reason}")
        faults = [f"{folder} is {name}, and the file is not one of its recordings."]
        break
    if loose and path.is_file() and path.suffix.lower() in SUFFIXES:
        probe(path)
        video = {"face": Video(path)}
        return [Recording("video_files", path.stem, path.stem, videos=video, sources=(path,))], ()
    raise DatasetError(f"{path}: no recording of {name} here. {faults[0] if faults else ''}")


def _within(source: Path, path: Path) -> bool:
    return source.resolve().is_relative_to(path.resolve())
