"""SNIRF files of near-infrared spectroscopy, read through MNE (extra ``formats``).

Shared Near Infrared Spectroscopy Format, https://github.com/fNIRS/snirf. MNE reads the signals;
time, stimuli and units are read from the HDF5 tree here, because MNE ignores gaps of the time
vector and reads stimuli of another shape or time unit wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter._extras import load
from dolorimeter.datasets._files import read_bytes, reading
from dolorimeter.datasets._listed import Content, RecordingFiles
from dolorimeter.datasets.recording_time import Clock, clock_of
from dolorimeter.errors import RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Remark, Signal, Stimulus

TIME_UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "unknown": 1.0}

KINDS: Mapping[str, tuple[str, str, str]] = {
    "fnirs_cw_amplitude": ("fnirs", "raw_intensity", "a.u."),
    "fnirs_od": ("fnirs", "optical_density", "1"),
    "hbo": ("fnirs_hbo", "hbo", "mol/L"),
    "hbr": ("fnirs_hbr", "hbr", "mol/L"),
}
"""MNE's channel type → name, quantity, unit."""

IN_FILE_UNIT = "stimuli are written in the file's time unit, which the format does not allow"
NO_TIME_UNIT = "the time unit is stated as unknown and was read as seconds"
SIDEWAYS = "a table of stimuli is transposed and was turned"
NO_DURATION = "stimuli of duration 0, which is unknown here: each ends at the next marker"
ONSETS_ONLY = "a table of stimuli has onsets only, so that durations are unknown"
ONE_BLOCK = "only the first block of data (nirs/data1) is read"


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
class Snirf(RecordingFiles):
    """One recording per file.

    Parameters
    ----------
    root : path
        A folder with ``.snirf`` files at any depth, or one file.
    subject : str, optional
        Pattern of file names (``"{subject}_day{session}"``) or a participants table. By default
        the ``sub-`` part of the file name, else the whole name.

    Notes
    -----
    ``fnirs`` is raw intensity (``a.u.``) or optical density, ``fnirs_hbo`` and ``fnirs_hbr`` are
    haemoglobin in mol/L (`Signal.quantity` says which); haemoglobin whose unit the file does not
    state is in ``a.u.``, unconfirmed. Channels are named as MNE does (``"S1_D1 760"``).
    Source–detector distances are facts ``"distance S1_D1"`` in metres. The first sample's time in
    the file is `Signal.start`. Gaps of the time vector are missing samples (NaN).

    Stimuli are in seconds, as the format says, whatever the time unit of the samples is. They are
    read in the unit of the samples only if that alone puts all of them inside the recording.
    """

    ENDINGS: ClassVar[tuple[str, ...]] = (".snirf",)
    FORMAT: ClassVar[str] = "SNIRF"

    def __init__(self, root: str | Path, *, subject: str | None = None) -> None:
        super().__init__(root, subject=subject)

    def _content(self, path: Path) -> Content:
        from dolorimeter._extras import h5py

        read_bytes(path)  # names a missing or empty file
        with (
            reading(path, "not an HDF5 file, or a truncated one", "Copy it again."),
            h5py.File(path, "r") as tree,
        ):
            _check_layout(path, tree)
            clock, remarks = _clock(path, tree)
            stimuli, about_stimuli, left_out = _stimuli(tree, clock)
            stated = _data_unit(path, tree) != ""
        raw = _open(path)
        kinds = list(dict.fromkeys(raw.get_channel_types()))
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise RecordingError(
                f"{path}: channels of type {', '.join(unknown)}; understood are "
                f"{', '.join(KINDS)}."
            )
        distances = load("mne.preprocessing.nirs").source_detector_distances(raw.info)
        facts = {
            f"distance {name.split(' ')[0]}": float(distance)
            for name, distance in zip(raw.ch_names, distances, strict=True)
            if np.isfinite(distance)
        }
        return Content(
            names=tuple(KINDS[kind][0] for kind in kinds),
            load=partial(_signals, path, stated),
            stimuli=stimuli,
            remarks=(*clock.remarks, *remarks, *about_stimuli),
            left_out=left_out,
            facts=facts,
        )


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


def _check_layout(path: Path, tree: Any) -> None:
    """Raise if there are no samples, or fewer or more times than samples."""
    if "nirs" not in tree:
        there = ", ".join(sorted(tree)) or "nothing"
        raise RecordingError(
            f"{path}: no group nirs at its top; there is {there}. One recording per file is "
            "read: export each alone."
        )
    if "nirs/data1/dataTimeSeries" not in tree:
        raise RecordingError(
            f"{path}: no nirs/data1/dataTimeSeries in it, so that it holds no samples. Was the "
            "export complete?"
        )
    samples = tree["nirs/data1/dataTimeSeries"].shape[0]
    times = _times(tree)
    if times.size not in {2, samples}:
        raise RecordingError(
            f"{path}: {times.size} times for {samples} samples; expected one per sample, or start "
            "and step. Are the samples transposed?"
        )


def _times(tree: Any) -> Float[np.ndarray, " sample"]:
    return np.asarray(tree.get("nirs/data1/time", [0.0]), dtype=float).reshape(-1)


def _clock(path: Path, tree: Any) -> tuple[Clock, tuple[Remark, ...]]:
    """Return the clock of the samples in seconds, and remarks on the file's time."""
    scale = _time_scale(path, tree)
    times = _times(tree) * scale
    samples = tree["nirs/data1/dataTimeSeries"].shape[0]
    if times.size == 2 != samples:
        times = times[0] + times[1] * np.arange(samples)
    remarks = [Remark(ONE_BLOCK)] if "nirs/data2" in tree else []
    if _time_unit(tree) == "unknown":
        remarks.append(Remark(NO_TIME_UNIT))
    return clock_of(times, where=path), tuple(remarks)


def _time_unit(tree: Any) -> str:
    written = tree.get("nirs/metaDataTags/TimeUnit")
    return "s" if written is None else _text(written[()]).strip()


def _time_scale(path: Path, tree: Any) -> float:
    unit = _time_unit(tree)
    if unit not in TIME_UNITS:
        raise RecordingError(
            f"{path}: time unit {unit!r}, expected one of {', '.join(TIME_UNITS)}."
        )
    return TIME_UNITS[unit]


def _data_unit(path: Path, tree: Any) -> str:
    """Return the unit of the samples; empty where the file states none."""
    data = tree["nirs/data1"]
    units = {
        _text(data[key]["dataUnit"][()]).strip() if "dataUnit" in data[key] else ""
        for key in data
        if key.startswith("measurementList") and hasattr(data[key], "keys")
    }
    if len(units) > 1:  # MNE applies the first one to all
        raise RecordingError(
            f"{path}: its channels have different units ({', '.join(sorted(map(repr, units)))}), "
            "which is not read here. Export them in one unit."
        )
    return units.pop() if units else ""


@dataclass(frozen=True)
class _Events:
    """Onsets and durations of one condition, as written."""

    condition: str
    onsets: Float[np.ndarray, " event"]
    durations: Float[np.ndarray, " event"]


def _stimuli(
    tree: Any, clock: Clock
) -> tuple[tuple[Stimulus, ...], tuple[Remark, ...], tuple[tuple[str, str], ...]]:
    """Return the stimuli in seconds, remarks on how they are written, and what was left out."""
    tables: list[_Events] = []
    remarks: list[Remark] = []
    left_out: list[tuple[str, str]] = []
    for key in sorted(k for k in tree["nirs"] if k.startswith("stim")):
        group = tree[f"nirs/{key}"]
        if "data" not in group or "name" not in group:
            left_out.append((key, "a stimulus without name or data"))
            continue
        name = _text(group["name"][()])
        data = np.asarray(group["data"], dtype=float)
        labelled = len(group["dataLabels"]) if "dataLabels" in group else None
        rows, remark = _rows(data, labelled)
        if rows is None:
            why = f"stimulus {name}: data of shape {data.shape}, expected (events, 3)"
            left_out.append((key, why))
            continue
        if remark:
            remarks.append(Remark(remark, name))
        if (rows[:, 1] == 0).any():
            remarks.append(Remark(NO_DURATION, name))
        timed = np.isfinite(rows[:, 0])
        if not timed.all():
            left_out.append((key, f"{int((~timed).sum())} events of {name} without an onset"))
        tables.append(_Events(name, rows[timed, 0], rows[timed, 1]))
    scale = _stimulus_scale(tables, clock, TIME_UNITS[_time_unit(tree)])
    if scale != 1.0:
        remarks.append(Remark(IN_FILE_UNIT, _time_unit(tree)))
    stimuli = [
        Stimulus(
            float(onset) * scale,
            float(duration) * scale if duration > 0 else None,
            table.condition,
        )
        for table in tables
        for onset, duration in zip(table.onsets, table.durations, strict=True)
    ]
    ordered = tuple(sorted(stimuli, key=lambda s: s.onset or 0.0))
    return ordered, tuple(remarks), tuple(left_out)


def _rows(
    data: Float[np.ndarray, "..."], labelled: int | None
) -> tuple[Float[np.ndarray, "event 2"] | None, str]:
    """Return onset and duration of each event, and a remark if the table is written otherwise.

    Parameters
    ----------
    data : Float[np.ndarray, "..."]
        As written; the format says one row per event: onset, duration, value.
    labelled : int or None
        Number of column labels, if the file has them.

    Returns
    -------
    rows : Float[np.ndarray, "event 2"] or None
        None if the shape leaves the meaning open.
    remark : str
        Empty if the table is as the format says.
    """
    if data.ndim == 1 and data.size == 3 and labelled in {None, 3}:
        data = data[None]  # one event as a vector
    if data.size == 0:
        return np.empty((0, 2)), ""
    onsets_only = data.ndim == 1 or (data.ndim == 2 and data.shape[1] == 1)
    if onsets_only:
        onsets = data.reshape(-1)
        return np.stack([onsets, np.full(onsets.size, np.nan)], axis=1), ONSETS_ONLY
    if data.ndim != 2:
        return None, ""
    if data.shape[1] in {2, 3} or data.shape[1] == labelled:
        return data[:, :2], ""
    if data.shape[0] == 3 or data.shape[0] == labelled:
        return data[:2].T, SIDEWAYS
    return None, ""


def _stimulus_scale(tables: Sequence[_Events], clock: Clock, unit: float) -> float:
    """Return the factor from written stimulus times to seconds: 1, or the unit of the samples.

    The format fixes seconds. Some writers use the unit of the samples for both; then only that
    unit puts every onset inside the recording.
    """
    onsets = np.concatenate([t.onsets for t in tables]) if tables else np.empty(0)
    stop = clock.start + (clock.index[-1] + 1) / clock.sampling_rate
    if onsets.size == 0 or unit == 1.0:
        return 1.0
    inside = [bool(((onsets * s >= clock.start) & (onsets * s < stop)).all()) for s in (1.0, unit)]
    return unit if inside == [False, True] else 1.0


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0] if value.size else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _open(path: Path) -> Any:
    from dolorimeter._extras import mne

    with reading(path, "MNE cannot read it", "Check it with a SNIRF validator."):
        return mne.io.read_raw_snirf(path, preload=False, verbose="ERROR")


def _signals(path: Path, unit_stated: bool) -> dict[str, Signal]:
    from dolorimeter._extras import h5py

    raw = _open(path)
    with reading(path, "its samples cannot be read", "Copy it again."):
        values = np.asarray(raw.get_data(verbose="ERROR"), dtype=float)
        with h5py.File(path, "r") as tree:
            clock, _ = _clock(path, tree)
    placed = clock.place(values)
    types = np.array(raw.get_channel_types())
    signals = {}
    for kind in dict.fromkeys(types.tolist()):
        name, quantity, unit = KINDS[kind]
        rows = np.flatnonzero(types == kind)
        confirmed = quantity == "optical_density" or (unit_stated and quantity in {"hbo", "hbr"})
        signals[name] = Signal(
            placed[rows],
            clock.sampling_rate,
            unit if confirmed else "a.u.",
            confirmed,
            quantity,
            channels=tuple(raw.ch_names[i] for i in rows),
            start=clock.start,
        )
    return signals
