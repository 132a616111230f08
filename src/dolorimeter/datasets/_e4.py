"""Files of an Empatica E4 wristband: one CSV a sensor, each with its own rate and start.

Line 1 is the time of the first sample in Unix seconds (UTC), line 2 the sampling rate in hertz,
then one sample a line (the ``info.txt`` that the device writes). ``tags*.csv`` has the Unix time
of each button press. ``IBI.csv`` (irregular) and ``ACC.csv`` (movement) are not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dolorimeter.datasets._files import (
    count_rows,
    find_optional,
    is_zip,
    list_files,
    read_bytes,
    read_numbers,
    relative,
)
from dolorimeter.errors import RecordingError
from dolorimeter.types import Exclusion, LazySignals, Signal, Signals, Stimulus

MICROSIEMENS = 1e-6
"""EDA.csv is "expressed as microsiemens" (info.txt)."""


@dataclass(frozen=True)
class _Sensor:
    file: str
    unit: str
    factor: float
    confirmed: bool
    quantity: str


SENSORS: Mapping[str, _Sensor] = {
    "eda": _Sensor("EDA.csv", "S", MICROSIEMENS, True, "conductance"),
    "hr": _Sensor("HR.csv", "1/min", 1.0, True, "rate"),
    "ppg": _Sensor("BVP.csv", "a.u.", 1.0, False, "pulse"),
    "temperature": _Sensor("TEMP.csv", "degC", 1.0, True, "temperature"),
}


@dataclass(frozen=True)
class Session:
    """A session folder or zip archive after a look at its first lines; signals are unread.

    `origin` is the Unix time at which the earliest sensor starts: zero of the recording's clock.
    `rates` has start and sampling rate of each file.
    """

    origin: float
    rates: Mapping[str, tuple[float, float]]
    files: Mapping[str, Path]
    tags: tuple[Stimulus, ...]
    sources: tuple[Path, ...]
    exclusions: tuple[Exclusion, ...]

    @property
    def signals(self) -> Signals:
        """Signals by the field's names, each file read when it is asked for."""
        return LazySignals(tuple(self.files), partial(_SensorFiles, self.files, self.origin))

    @property
    def stop(self) -> float:
        """When the first sensor ends, in seconds on the recording's clock, from line counts."""
        stops = []
        for name, path in self.files.items():
            start, rate = self.rates[name]
            try:
                count = count_rows(path, header=False) - 2
            except RecordingError:
                continue  # named when its signal is asked for
            stops.append(start - self.origin + count / rate)
        return min(stops, default=0.0)


def open_session(subject: str, folder: Path, root: Path, *, name: str | None = None) -> Session:
    """Return which sensors are there, when they start, and when the button was pressed.

    A file whose first line cannot be read is left out and is in `Session.exclusions`; without any
    file the origin is NaN.

    Parameters
    ----------
    subject : str
        For exclusions.
    folder : Path
        Folder of a session, or its zip archive.
    root : Path
        Folder of the data set.
    name : str, optional
        Name of the recording, for exclusions; default `subject`.
    """
    name = subject if name is None else name
    files, rates, left_out = {}, {}, []
    for sensor_name, sensor in SENSORS.items():
        path = find_optional(folder, sensor.file)
        if path is None:
            continue
        try:
            rates[sensor_name] = _first_lines(path)
            files[sensor_name] = path
        except RecordingError as error:
            left_out.append(Exclusion(subject, name, relative(path, root), str(error)))
    origin = min((start for start, _ in rates.values()), default=math.nan)
    tags: list[Stimulus] = []
    tag_files = _tag_files(folder)
    for path in tag_files:
        try:
            tags += _tags(path, origin)
        except RecordingError as error:
            left_out.append(Exclusion(subject, name, relative(path, root), str(error)))
    tags = [
        replace(tag, attributes={"counter": i})
        for i, tag in enumerate(sorted(tags, key=lambda tag: tag.onset or 0.0))
    ]
    sources = (folder,) if is_zip(folder) else (*files.values(), *tag_files)
    return Session(origin, rates, files, tuple(tags), sources, tuple(left_out))


def _tag_files(folder: Path) -> list[Path]:
    if is_zip(folder):
        path = find_optional(folder, "tags.csv")
        return [] if path is None else [path]
    return [f for f in list_files(folder, ".csv") if f.name.lower().startswith("tags")]


def is_session(folder: Path) -> bool:
    """Return whether a folder or zip archive has a file of at least one sensor."""
    return any(find_optional(folder, sensor.file) for sensor in SENSORS.values())


class _SensorFiles(Mapping[str, Signal]):
    """Reads a sensor's file when it is asked for, and no other."""

    def __init__(self, files: Mapping[str, Path], origin: float) -> None:
        self._files, self._origin = files, origin

    def __getitem__(self, name: str) -> Signal:
        return _read_sensor(self._files[name], SENSORS[name], self._origin)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _first_lines(path: Path) -> tuple[float, float]:
    """Return the Unix time of the first sample and the sampling rate, from the first two lines."""
    if path.is_file() and path.suffix.lower() != ".gz" and path.stat().st_size:
        with path.open("rb") as file:
            head = file.read(400)  # the rest is read with the signal
    else:
        head = read_bytes(path)[:400]
    lines = [*head.decode("utf-8-sig", "replace").splitlines(), "", ""]
    cells = [line.split(",")[0].strip() for line in lines[:2]]
    start, rate = (_number(cell) for cell in cells)
    if not 0 < start < 1e11:
        raise RecordingError(
            f"{path}, line 1: {cells[0][:40]!r}; expected the start time in Unix seconds, as the "
            "E4 writes it."
        )
    if not 0 < rate <= 1000:
        raise RecordingError(
            f"{path}, line 2: {cells[1][:40]!r}; expected the sampling rate in hertz, as the E4 "
            "writes it."
        )
    return start, rate


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _read_sensor(path: Path, sensor: _Sensor, origin: float) -> Signal:
    start, rate = _first_lines(path)
    _, column = read_numbers(path, delimiter=",", columns=("value",), header=False)
    if len(column) < 3:
        raise RecordingError(
            f"{path}: {len(column)} lines; expected start time, sampling rate and samples."
        )
    return Signal(
        column[None, 2:, 0] * sensor.factor,
        rate,
        sensor.unit,
        sensor.confirmed,
        sensor.quantity,
        start=start - origin,
    )


def _tags(path: Path, origin: float) -> list[Stimulus]:
    if path.is_file() and path.stat().st_size == 0:
        return []  # nobody pressed the button
    try:
        _, times = read_numbers(path, delimiter=",", columns=("time",), header=False)
    except RecordingError as error:
        if "file is empty" in str(error):
            return []
        raise
    return [Stimulus(float(t) - origin, None, "tag") for t in times[:, 0] if np.isfinite(t)]
