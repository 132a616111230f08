"""SNIRF files of near-infrared spectroscopy, read through MNE (extra ``formats``).

Shared Near Infrared Spectroscopy Format, https://github.com/fNIRS/snirf. MNE reads the signals;
what it does not say clearly (a file without samples) or does not scale (stimuli and the first
sample in another time unit than seconds) is read from the HDF5 tree here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dolorimeter._extras import load
from dolorimeter.datasets._files import (
    relative,
    require_dir,
    walk_files,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets._open import LIBRARY_FAULTS
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

TIME_UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "unknown": 1.0}

KINDS: Mapping[str, tuple[str, str, str]] = {
    "fnirs_cw_amplitude": ("fnirs", "raw_intensity", "a.u."),
    "fnirs_od": ("fnirs", "optical_density", "1"),
    "hbo": ("fnirs_hbo", "hbo", "mol/L"),
    "hbr": ("fnirs_hbr", "hbr", "mol/L"),
}
"""MNE's channel type → name, quantity, unit."""


@DATASETS.register(
    DatasetCard(
        name="snirf",
        summary="Near-infrared spectroscopy in SNIRF files, of any lab.",
        paper="Tucker et al. 2023, Neurophotonics 10(1):013507",
        doi="10.1117/1.NPh.10.1.013507",
        code="https://github.com/fNIRS/snirf",
        licence="the owner's",
        obtain="Your own recordings: a folder of .snirf files, or one file.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="The names of the stimuli in the file.",
        units={name: unit for name, _, unit in KINDS.values()},
        units_confirmed=False,
    )
)
class Snirf(Listed):
    """One recording a file; the file's name (or its ``sub-`` part) is the subject.

    Parameters
    ----------
    root : path
        A folder with ``.snirf`` files at any depth, or one file.

    Notes
    -----
    ``fnirs`` is raw intensity (``a.u.``) or optical density, ``fnirs_hbo`` and ``fnirs_hbr`` are
    haemoglobin in mol/L (`Signal.quantity` says which). Channels are named as MNE does
    (``"S1_D1 760"``). Source–detector distances are facts ``"distance S1_D1"`` in metres. The
    first sample's time in the file is `Signal.start`.
    """

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        single = root.is_file() and root.suffix == ".snirf"
        self.root = root.parent if single else require_dir(root, dataset="SNIRF files")
        self._paths = [root] if single else _snirf_files(self.root)
        if not self._paths:
            raise DatasetError(f"{root}: no .snirf file in it. Give the folder that holds them.")

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for path in self._paths:
            where = relative(path, self.root)
            name = where.removesuffix(".snirf")
            subject = next(
                (p.removeprefix("sub-") for p in path.stem.split("_") if p.startswith("sub-")),
                name,
            )
            try:
                content = _describe(path)
            except RecordingError as error:
                exclusions.append(Exclusion(subject, name, where, str(error)))
                continue
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=name,
                    signals=LazySignals(content.names, partial(_signals, path, content.start)),
                    stimuli=content.stimuli,
                    sources=(path,),
                    facts=content.distances,
                )
            )
        return recordings, tuple(exclusions)


@DATASETS.register(
    DatasetCard(
        name="fnirs_snirf_samples",
        summary="Reference files of the SNIRF format: a finger-tapping run and edge cases.",
        code="https://github.com/fNIRS/snirf-samples",
        licence="public domain",
        obtain="dolorimeter fetch fnirs_snirf_samples",
        sharing="Free (public domain).",
        label_source="procedure",
        labels="Stimulus numbers; finger tapping in neuro_run01.",
        units={name: unit for name, _, unit in KINDS.values()},
        units_confirmed=False,
        openly_available=True,
    )
)
class FnirsSnirfSamples(Snirf):
    """The sample files; ``minimum_example.snirf`` has no samples and is an exclusion."""


def _snirf_files(root: Path) -> list[Path]:
    return [path for path in walk_files(root) if path.suffix == ".snirf"]


@dataclass(frozen=True)
class _Content:
    names: tuple[str, ...]
    start: float
    stimuli: tuple[Stimulus, ...]
    distances: Mapping[str, float]


def _describe(path: Path) -> _Content:
    from dolorimeter._extras import h5py

    try:
        with h5py.File(path, "r") as tree:
            start, stimuli = _clock(path, tree)
    except LIBRARY_FAULTS as error:
        raise RecordingError(
            f"{path}: not an HDF5 file, or a truncated one ({error}). Copy it again."
        ) from error
    raw = _open(path)
    kinds = list(dict.fromkeys(raw.get_channel_types()))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise RecordingError(
            f"{path}: channels of type {', '.join(unknown)}; understood are {', '.join(KINDS)}."
        )
    distances = load("mne.preprocessing.nirs").source_detector_distances(raw.info)
    facts = {
        f"distance {name.split(' ')[0]}": float(distance)
        for name, distance in zip(raw.ch_names, distances, strict=True)
        if np.isfinite(distance)
    }
    return _Content(tuple(KINDS[kind][0] for kind in kinds), start, stimuli, facts)


def _clock(path: Path, tree: Any) -> tuple[float, tuple[Stimulus, ...]]:
    """Time of the first sample and the stimuli, in seconds."""
    if "nirs/data1/dataTimeSeries" not in tree:
        raise RecordingError(
            f"{path}: no nirs/data1/dataTimeSeries in it, so that it holds no samples. Was the "
            "export complete?"
        )
    written = tree.get("nirs/metaDataTags/TimeUnit")
    unit = _text(written[()]) if written is not None else "s"
    if unit not in TIME_UNITS:
        raise RecordingError(
            f"{path}: time unit {unit!r}, expected one of {', '.join(TIME_UNITS)}."
        )
    times = np.atleast_1d(np.asarray(tree.get("nirs/data1/time", [0.0]), dtype=float))
    start = float(times[0]) * TIME_UNITS[unit] if times.size else 0.0
    stimuli: list[Stimulus] = []
    for key in sorted(k for k in tree["nirs"] if k.startswith("stim")):
        group = tree[f"nirs/{key}"]
        if "data" not in group or "name" not in group:
            continue
        # one event may be written as a vector instead of a row
        rows = np.atleast_2d(np.asarray(group["data"], dtype=float))
        if rows.size == 0 or rows.shape[1] < 2:
            continue
        name = _text(group["name"][()])
        scale = TIME_UNITS[unit]
        stimuli += [Stimulus(float(r[0]) * scale, float(r[1]) * scale, name) for r in rows]
    return start, tuple(sorted(stimuli, key=lambda s: s.onset or 0.0))


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _open(path: Path) -> Any:
    from dolorimeter._extras import mne

    try:
        return mne.io.read_raw_snirf(path, preload=False, verbose="ERROR")
    except LIBRARY_FAULTS as error:
        raise RecordingError(
            f"{path}: MNE cannot read it ({type(error).__name__}: {error}). Check it with a SNIRF "
            "validator."
        ) from error


def _signals(path: Path, start: float) -> dict[str, Signal]:
    raw = _open(path)
    try:
        values = np.asarray(raw.get_data(verbose="ERROR"), dtype=float)
    except LIBRARY_FAULTS as error:
        raise RecordingError(f"{path}: its samples cannot be read ({error}).") from error
    types = np.array(raw.get_channel_types())
    signals = {}
    for kind in dict.fromkeys(types.tolist()):
        name, quantity, unit = KINDS[kind]
        rows = np.flatnonzero(types == kind)
        signals[name] = Signal(
            values[rows],
            float(raw.info["sfreq"]),
            unit,
            quantity != "raw_intensity",
            quantity,
            channels=tuple(raw.ch_names[i] for i in rows),
            start=start,
        )
    return signals
