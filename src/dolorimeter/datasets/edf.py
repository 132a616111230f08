"""EDF, EDF+ and BDF files.

European Data Format, Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8, and BioSemi's 24-bit
variant. Files are read here, because MNE brings every channel to the highest rate of the file,
joins the records of a discontinuous file (EDF+D) without a gap, and refuses a file with one
annotation that is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.datasets._files import read_bytes, reading
from dolorimeter.datasets._listed import Content, RecordingFiles
from dolorimeter.datasets._open import field_names
from dolorimeter.datasets.recording_time import Clock, blocks
from dolorimeter.datasets.units import signal_in_si
from dolorimeter.errors import RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Remark, Signal, Stimulus

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
LATIN_1 = "annotations that are not UTF-8 were read as Latin-1"
UNTIMED = "the times of the records contradict the header (continuous), which is followed"


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
class Edf(RecordingFiles):
    """One recording per file.

    Parameters
    ----------
    root : path
        A folder with ``.edf`` or ``.bdf`` files at any depth, or one file.
    names : mapping of str to str, optional
        Channel label → the field's name (``{"EMG1": "emg_corrugator"}``). Labels of one meaning
        (`_open.NAMES`: ECG, EKG, EDA, GSR, RESP …) are understood without it; any other channel
        keeps its label in lower case. A second channel of the same label gets a number
        (``emg_2``).
    subject : str, optional
        Pattern of file names (``"{subject}_day{session}"``) or a participants table. By default
        the ``sub-`` part of the file name, else the whole name.
    unit : mapping of str to str, optional
        The field's name → unit, where the header states none or a wrong one
        (``{"eda": "uS"}``).

    Notes
    -----
    Volts and siemens come from the header's physical dimension, and skin resistance becomes
    conductance; any other dimension stays as it is, unconfirmed. Annotations are stimuli, their
    text the condition; a duration of 0 is unknown. The records of a discontinuous file (EDF+D) are
    placed at their times: between them samples are missing (NaN).
    """

    ENDINGS: ClassVar[tuple[str, ...]] = (".edf", ".bdf")
    FORMAT: ClassVar[str] = "EDF"

    def _content(self, path: Path) -> Content:
        header = _read_header(path)
        stamps, stimuli, remarks = _annotations(path, header)
        starts, timed = _record_starts(path, header, stamps)
        names = field_names([channel.label for channel in header.channels], self.names)
        channels, left_out = {}, []
        for name, channel in zip(names, header.channels, strict=True):
            if channel.digital[0] == channel.digital[1]:
                why = f"{path}: its digital minimum equals its maximum, so that it has no scale."
                left_out.append((f"channel {channel.label}", why))
                continue
            channels[name] = channel
        if not channels:
            raise RecordingError(f"{path}: no channel with a scale. Export it again.")
        clock = _clock(path, header, starts)
        stated = {name: self.unit[name] for name in channels if name in self.unit}
        return Content(
            names=tuple(channels),
            load=partial(_Channels, path, header, tuple(starts), channels, stated),
            stimuli=stimuli,
            labels=tuple(channel.label for channel in header.channels),
            remarks=(*clock.remarks, *timed, *remarks),
            left_out=tuple(left_out),
        )


@dataclass(frozen=True)
class _Channel:
    """One signal of a file: `first` is its place in a record in bytes, `count` its samples."""

    label: str
    dimension: str
    digital: tuple[float, float]
    physical: tuple[float, float]
    first: int
    count: int


@dataclass(frozen=True)
class _Header:
    """Fixed-width header: `size` in bytes, `seconds` per record, `width` bytes per sample."""

    size: int
    records: int
    seconds: float
    width: int
    record_bytes: int
    discontinuous: bool
    channels: tuple[_Channel, ...]
    annotations: tuple[_Channel, ...]


class _Channels(Mapping[str, Signal]):
    """Signals of a file, each read when it is asked for."""

    def __init__(
        self,
        path: Path,
        header: _Header,
        starts: Sequence[float],
        channels: Mapping[str, _Channel],
        unit: Mapping[str, str],
    ) -> None:
        self._path, self._header, self._starts = path, header, starts
        self._channels, self._unit = channels, unit

    def __getitem__(self, name: str) -> Signal:
        path, header, channel = self._path, self._header, self._channels[name]
        with reading(path, f"the samples of {channel.label} cannot be read", "Copy it again."):
            values = _samples(path, header, channel)
        rate = channel.count / header.seconds
        clock = blocks(self._starts, channel.count, rate, where=path)
        return signal_in_si(
            name,
            clock.place(values[None])[0],
            rate,
            channel.dimension,
            start=clock.start,
            stated=self._unit.get(name),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)


def _read_header(path: Path) -> _Header:
    """Return the fixed-width header; faults by name."""
    data = _first_bytes(path, 256)
    magic = data[:8]
    if not (magic.startswith(b"0       ") or magic == b"\xffBIOSEMI"):
        raise RecordingError(
            f"{path}: starts with {magic!r}, which is neither EDF nor BDF. Export it again."
        )
    width = 3 if magic.startswith(b"\xff") else 2
    try:
        count = int(data[252:256])
        records, seconds = int(data[236:244]), _decimal(data[244:252])
        fields = _first_bytes(path, 256 * (count + 1))[256:]
        if count < 1 or len(fields) < 256 * count:
            raise ValueError(f"{count} channels")
        labels = _column(fields, count, 0, 16)
        dimensions = _column(fields, count, 96, 8)
        limits = [
            [_decimal(cell.encode()) for cell in _column(fields, count, at, 8)]
            for at in (104, 112, 120, 128)
        ]
        samples = [int(cell) for cell in _column(fields, count, 216, 8)]
    except ValueError as error:
        raise RecordingError(f"{path}: damaged header ({error}). Export it again.") from error
    record_bytes = sum(samples) * width
    size = 256 * (count + 1)
    whole = _length(path)
    if records < 0 and record_bytes:  # a recording that was not closed
        records = (whole - size) // record_bytes
    if whole < size + records * record_bytes:
        raise RecordingError(
            f"{path}: {whole:,} bytes, expected {size + records * record_bytes:,} by its header. "
            "The file is truncated: copy it again."
        )
    channels: list[_Channel] = []
    annotations: list[_Channel] = []
    first = 0
    for i, (label, n) in enumerate(zip(labels, samples, strict=True)):
        physical, digital = (limits[0][i], limits[1][i]), (limits[2][i], limits[3][i])
        channel = _Channel(label, dimensions[i], digital, physical, first, n)
        (annotations if label in ANNOTATIONS else channels).append(channel)
        first += n * width
    if not channels or not seconds > 0 or records < 1 or any(c.count < 1 for c in channels):
        raise RecordingError(
            f"{path}: {len(channels)} signals in {records} records of {seconds:g} s; expected at "
            "least one signal, with samples."
        )
    return _Header(
        size,
        records,
        seconds,
        width,
        record_bytes,
        data[192:236].startswith((b"EDF+D", b"BDF+D")),
        tuple(channels),
        tuple(annotations),
    )


def _decimal(cell: bytes) -> float:
    return float(cell.decode("ascii", "replace").strip().replace(",", "."))


def _column(fields: bytes, count: int, at: int, width: int) -> list[str]:
    """Return one header field of every signal; text is UTF-8, or else Latin-1."""
    cells = (fields[at * count + width * i :][:width] for i in range(count))
    return [_text(cell)[0].strip("\0 ") for cell in cells]


def _text(data: bytes) -> tuple[str, bool]:
    """Return decoded text, and whether it is UTF-8."""
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode("latin-1"), False


def _first_bytes(path: Path, count: int) -> bytes:
    if not path.is_file() or path.suffix.lower() == ".gz":
        return read_bytes(path)[:count]  # names a missing file, too
    with path.open("rb") as file:
        return file.read(count) or read_bytes(path)  # an empty file is named


def _length(path: Path) -> int:
    return len(read_bytes(path)) if path.suffix.lower() == ".gz" else path.stat().st_size


def _records(path: Path, header: _Header) -> UInt8[np.ndarray, "record byte"]:
    shape = (header.records, header.record_bytes)
    if path.suffix.lower() == ".gz":
        data = np.frombuffer(read_bytes(path), np.uint8)
        return data[header.size : header.size + shape[0] * shape[1]].reshape(shape)
    return np.memmap(path, np.uint8, "r", offset=header.size, shape=shape)


def _samples(path: Path, header: _Header, channel: _Channel) -> Float[np.ndarray, " sample"]:
    """Return the samples of a channel in its physical dimension, records joined."""
    stop = channel.first + channel.count * header.width
    data = np.ascontiguousarray(_records(path, header)[:, channel.first : stop])
    if header.width == 2:
        digital = data.view("<i2").astype(float).ravel()
    else:  # 24 bits, in the upper three bytes of 32
        wide = np.zeros((data.size // 3, 4), np.uint8)
        wide[:, 1:] = data.reshape(-1, 3)
        digital = (wide.view("<i4").ravel() >> 8).astype(float)
    (low, high), (bottom, top) = channel.digital, channel.physical
    return (digital - low) * ((top - bottom) / (high - low)) + bottom


def _annotations(
    path: Path, header: _Header
) -> tuple[list[float | None], tuple[Stimulus, ...], tuple[Remark, ...]]:
    """Return the time of each record, the stimuli, and what was odd about their text."""
    stamps: list[float | None] = [None] * header.records
    stimuli: list[Stimulus] = []
    latin = 0
    records = _records(path, header) if header.annotations else ()
    for number, record in enumerate(records):
        for channel in header.annotations:
            stop = channel.first + channel.count * header.width
            lists = record[channel.first : stop].tobytes().split(b"\x00")
            for place, entry in enumerate(lists):
                if not entry:
                    continue
                onset, duration, texts = _entry(path, entry)
                if channel is header.annotations[0] and place == 0 and not texts[0]:
                    stamps[number] = onset
                for data in texts:
                    if data:
                        text, plain = _text(data)
                        latin += not plain
                        stimuli.append(Stimulus(onset, duration or None, text))
    remarks = (Remark(LATIN_1, f"{latin} annotations"),) if latin else ()
    return stamps, tuple(stimuli), remarks


def _entry(path: Path, entry: bytes) -> tuple[float, float, list[bytes]]:
    """Return onset, duration (0 if none) and texts of a time-stamped annotations list."""
    head, *texts = entry.split(b"\x14")
    onset, _, duration = head.partition(b"\x15")
    try:
        return float(onset), float(duration or 0), texts or [b""]
    except ValueError:
        raise RecordingError(
            f"{path}: an annotation begins with {head[:20]!r}, expected its time (+12.5). The "
            "annotations are damaged: export it again."
        ) from None


def _clock(path: Path, header: _Header, starts: Sequence[float]) -> Clock:
    """Return the clock of the fastest channel, in which the shortest gaps show."""
    count = max(channel.count for channel in header.channels)
    return blocks(starts, count, count / header.seconds, where=path)


def _record_starts(
    path: Path, header: _Header, stamps: Sequence[float | None]
) -> tuple[list[float], tuple[Remark, ...]]:
    """Return the start of each record in seconds, by its time stamp where there is one."""
    timed = [stamp for stamp in stamps if stamp is not None]
    continuous = [(timed[0] if timed else 0.0) + i * header.seconds for i in range(header.records)]
    if len(timed) == header.records:
        try:
            _clock(path, header, timed)
        except RecordingError:
            if header.discontinuous:
                raise
            return continuous, (Remark(UNTIMED),)
        return timed, ()
    if header.discontinuous:
        raise RecordingError(
            f"{path}: discontinuous (EDF+D), but {header.records - len(timed)} of "
            f"{header.records} records have no time. Export it again."
        )
    return continuous, ()
