"""EDF, EDF+ and BDF files, read through MNE (extra ``formats``).

European Data Format, Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8. The header is read
here, because MNE brings every channel to the highest rate of the file: channels are asked of it in
groups of one rate, so that no sample is made up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dolorimeter.datasets._files import (
    read_bytes,
    relative,
    require_dir,
    walk_files,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets._open import (
    LIBRARY_FAULTS,
    check_names,
    field_names,
    signal_in_si,
    to_si,
)
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")


@DATASETS.register(
    DatasetCard(
        name="edf",
        summary="EDF, EDF+ and BDF recordings of any lab.",
        paper="Kemp & Olivan 2003",
        doi="10.1016/S1388-2457(03)00123-8",
        licence="the owner's",
        obtain="Your own recordings: a folder of .edf or .bdf files, or one file.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="The texts of the annotations in the file.",
        units_confirmed=False,
    )
)
class Edf(Listed):
    """One recording a file; the file's name (or its ``sub-`` part) is the subject.

    Parameters
    ----------
    root : path
        A folder with ``.edf`` or ``.bdf`` files at any depth, or one file.
    names : mapping of str to str
        Channel label → the field's name (``{"EMG1": "emg_corrugator"}``). Labels of one meaning
        (`_open.NAMES`: ECG, EKG, EDA, GSR, RESP …) are understood without it; any other channel
        keeps its label in lower case.

    Notes
    -----
    Volts and siemens come from the header's physical dimension; any other is kept as it is,
    unconfirmed. Annotations are stimuli, their text the condition; a duration of 0 is unknown.
    """

    def __init__(self, root: str | Path, *, names: Mapping[str, str] | None = None) -> None:
        root = Path(root)
        single = root.is_file() and _is_edf(root)
        self.root = root.parent if single else require_dir(root, dataset="EDF files")
        self.names = dict(names or {})
        self._paths = [root] if single else [p for p in walk_files(self.root) if _is_edf(p)]
        if not self._paths:
            raise DatasetError(
                f"{root}: no .edf or .bdf file in it. Give the folder that holds them."
            )

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        seen: list[str] = []
        for path in self._paths:
            where = relative(path, self.root)
            name = where.rsplit(".", 1)[0]
            subject = next(
                (p.removeprefix("sub-") for p in path.stem.split("_") if p.startswith("sub-")),
                name,
            )
            try:
                header = _header(path)
                stimuli = _annotations(path)
            except RecordingError as error:
                exclusions.append(Exclusion(subject, name, where, str(error)))
                continue
            labels = [channel.label for channel in header]
            given = field_names(labels, self.names)
            seen += labels
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=name,
                    signals=LazySignals(
                        given,
                        partial(_Channels, path, dict(zip(given, header, strict=True))),
                    ),
                    stimuli=stimuli,
                    sources=(path,),
                )
            )
        check_names(self.names, seen, where=self.root)
        return recordings, tuple(exclusions)


@dataclass(frozen=True)
class _Channel:
    label: str
    dimension: str
    sampling_rate: float


class _Channels(Mapping[str, Signal]):
    """Reads a channel when it is asked for, and no other."""

    def __init__(self, path: Path, channels: Mapping[str, _Channel]) -> None:
        self._path, self._channels = path, channels

    def __getitem__(self, name: str) -> Signal:
        channel = self._channels[name]
        raw = _open(self._path, [channel.label])
        try:
            (values,) = raw.get_data(picks=[channel.label], verbose="ERROR")
        except LIBRARY_FAULTS as error:
            raise RecordingError(
                f"{self._path}: the samples of {channel.label} cannot be read "
                f"({type(error).__name__}: {error}). Is the file truncated?"
            ) from error
        rate = float(raw.info["sfreq"])
        if not math.isclose(rate, channel.sampling_rate, rel_tol=1e-6):
            raise RecordingError(
                f"{self._path}: {channel.label} was read at {rate:g} Hz, its header says "
                f"{channel.sampling_rate:g} Hz."
            )
        known = to_si(channel.dimension)
        unit = "V" if known and known[1] == "V" else channel.dimension  # MNE gives volts
        return signal_in_si(name, np.asarray(values, dtype=float), rate, unit)

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)


def _is_edf(path: Path) -> bool:
    return path.suffix.lower() in {".edf", ".bdf"}


def _header(path: Path) -> list[_Channel]:
    """Channels of the file, from its fixed-width header; faults by name."""
    data = read_bytes(path)
    magic = data[:8]
    if not (magic.startswith(b"0       ") or magic == b"\xffBIOSEMI"):
        raise RecordingError(
            f"{path}: starts with {magic!r}, which is neither EDF nor BDF. Export it again."
        )
    try:
        count = int(data[252:256])
        records, seconds = int(data[236:244]), float(data[244:252])
        fields = data[256 : 256 * (count + 1)].decode("latin-1")
        if count < 1 or len(fields) < 256 * count:
            raise ValueError(f"{count} channels")
        labels = [fields[16 * i : 16 * (i + 1)].strip() for i in range(count)]
        dimensions = [fields[96 * count + 8 * i :][:8].strip() for i in range(count)]
        samples = [int(fields[216 * count + 8 * i :][:8]) for i in range(count)]
    except ValueError as error:
        raise RecordingError(f"{path}: damaged header ({error}). Export it again.") from error
    width = 3 if magic.startswith(b"\xff") else 2
    wanted = 256 * (count + 1) + records * sum(samples) * width
    if records > 0 and len(data) < wanted:
        raise RecordingError(
            f"{path}: {len(data):,} bytes, expected {wanted:,} by its header. The file is "
            "truncated: copy it again."
        )
    signals = [
        (label, dimension, n)
        for label, dimension, n in zip(labels, dimensions, samples, strict=True)
        if label not in ANNOTATIONS
    ]
    if not signals or not seconds > 0 or any(n < 1 for _, _, n in signals):
        raise RecordingError(
            f"{path}: {len(signals)} signals in records of {seconds:g} s; expected at least one "
            "signal, with samples."
        )
    if len({label for label, _, _ in signals}) != len(signals):
        raise RecordingError(f"{path}: two channels have one label: {', '.join(labels)}.")
    return [_Channel(label, dimension, n / seconds) for label, dimension, n in signals]


def _open(path: Path, include: Sequence[str] | None = None) -> Any:
    from dolorimeter._extras import mne

    read = mne.io.read_raw_bdf if path.suffix.lower() == ".bdf" else mne.io.read_raw_edf
    try:
        if include is None:
            return read(path, preload=False, verbose="ERROR")
        return read(path, include=list(include), preload=False, verbose="ERROR")
    except LIBRARY_FAULTS as error:
        raise RecordingError(
            f"{path}: MNE cannot read it ({type(error).__name__}: {error}). Export it again."
        ) from error


def _annotations(path: Path) -> tuple[Stimulus, ...]:
    found = _open(path).annotations
    return tuple(
        Stimulus(float(onset), float(duration) or None, str(text))
        for onset, duration, text in zip(
            found.onset, found.duration, found.description, strict=True
        )
    )
