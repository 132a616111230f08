"""X-ITE: phasic and tonic, heat and electric pain; EMG, skin conductance and ECG at 1000 Hz.

One MATLAB file a subject. The layout is written from published descriptions and has not been met
with the real files by this project: see ``docs/datasets-licensed.md``.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    duplicate_problems,
    is_lookalike,
    list_files,
    read_bytes,
    relative,
    require_dir,
    select_subjects,
    signal_problems,
    stray_problems,
    without_path,
)
from dolorimeter.datasets._open import time_problems, unit_problems
from dolorimeter.datasets.units import check_stated, signal_in_si
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

SAMPLING_RATE = 1000.0
SIGNALS = (
    ("emg_corrugator", "voltage"),
    ("emg_zygomaticus", "voltage"),
    ("emg_trapezius", "voltage"),
    ("eda", "conductance"),
    ("ecg", "voltage"),
)
"""Columns of ``data``, in order. Units are not in our description: read as they are."""

INVALID = (-10, -11)
KINDS = {
    range(1, 4): ("phasic_heat", "heat", 0),
    range(4, 7): ("tonic_heat", "heat", 3),
    range(-3, 0): ("phasic_electric", "electric", 0),
    range(-6, -3): ("tonic_electric", "electric", 3),
}
"""Codes of ``stimuli`` → kind, modality, what to take off the code's size to have the level."""

_NAME = re.compile(r"S\d{3}")

# MAT-file level 5: "MAT-File Format", The MathWorks; types of data elements and array classes.
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800


@DATASETS.register(
    DatasetCard(
        name="x_ite",
        summary="Phasic and tonic, heat and electric pain: EMG, skin conductance, ECG.",
        paper="Gruss et al. 2019, Multi-Modal Signals for Analyzing Pain Responses to Thermal "
        "and Electrical Stimuli",
        doi="10.3791/59057",
        licence="Agreement; not open",
        obtain="Ask the publishers for the agreement and sign it; `fetch` cannot get it.",
        sharing="No frame, sample, label list or weight derived from it may be shared.",
        label_source="stimulus",
        labels="Stimulus levels 1 to 3 of heat and electric pain, short and long; they are not "
        "felt pain.",
        protocols=("leave_one_subject_out",),
        units={name: "a.u." for name, _ in SIGNALS},
        units_confirmed=False,
        person_namespace="x_ite",
        subjects=None,
        differences=("Units are not in our description: signals are read in arbitrary units.",),
    )
)
class XITE:
    """Reader of ``S###.mat``.

    Parameters
    ----------
    root : path
        The folder with the MATLAB files.
    unit : mapping of str to str, optional
        Name of a signal → unit that you know it to have (``{"eda": "uS"}``): the publishers state
        none.

    Raises
    ------
    DatasetError
        If there is no ``S###.mat`` in the root.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path, *, unit: Mapping[str, str] | None = None) -> None:
        self.root = require_dir(root, dataset="X-ITE")
        self.unit = dict(unit or {})
        check_stated(self.unit, (name for name, _ in SIGNALS))
        if not self._files():
            raise DatasetError(
                f"{self.root}: is not X-ITE: looked for S###.mat (S001.mat), found none. "
                "Give the folder that holds them."
            )
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Names of the files without their ending (``S001``), sorted."""
        return tuple(self._files())

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording a subject, with a stimulus for each run of one code.

        Stretches marked invalid (−10, −11) and files that cannot be read are left out and counted
        in `exclusions`.
        """
        files = self._files()
        excluded = []
        found = []
        for subject in select_subjects(subjects, self.subjects(), dataset="x_ite"):
            path = files[subject]
            try:
                stimuli, invalid = read_stimuli(path)
            except RecordingError as error:
                reason = without_path(error, path)
                excluded.append(Exclusion(subject, subject, "recording", reason))
                continue
            excluded += [
                Exclusion(subject, subject, "stretch", f"code {code}, {start:g}–{stop:g} s")
                for code, start, stop in invalid
            ]
            found.append(
                Recording(
                    dataset="x_ite",
                    subject=subject,
                    name=subject,
                    signals=LazySignals(
                        [n for n, _ in SIGNALS], partial(read_subject, path, self.unit)
                    ),
                    stimuli=stimuli,
                    sources=(path,),
                )
            )
        self._exclusions = tuple(excluded)
        return found

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What the last listing left out and why (lists everything when nothing was yet)."""
        if self._exclusions is None:
            self.recordings()
        assert self._exclusions is not None
        return self._exclusions

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None are known to us."""
        return {}

    def check(self) -> CheckReport:
        """Read every file, and report what is wrong by file."""
        files = self._files()
        recordings = self.recordings()
        problems = [
            Problem(
                relative(files[e.subject], self.root),
                f"invalid: {e.reason}" if e.what == "stretch" else e.reason,
                "missing" if e.what == "stretch" else "unreadable",
                "warning" if e.what == "stretch" else "fault",
            )
            for e in self.exclusions
        ]
        for recording in recordings:
            name = relative(recording.sources[0], self.root)
            try:
                signals = recording.load().signals
            except RecordingError as error:
                what = without_path(error, recording.sources[0])
                problems.append(Problem(name, what, "unreadable"))
                continue
            problems += signal_problems(name, {k: s.values for k, s in signals.items()})
            problems += unit_problems(name, signals, self.card.units)
            covered = {k: (s.start, s.stop) for k, s in signals.items()}
            problems += time_problems(name, recording, covered)
        problems += duplicate_problems(files.values(), self.root)
        problems += stray_problems(self.root, files.values())
        return CheckReport(
            dataset="x_ite",
            root=self.root,
            subjects_found=len(files),
            subjects_expected=None,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    def _files(self) -> dict[str, Path]:
        paths = list_files(self.root, ".mat")
        return {bare_name(p): p for p in paths if _NAME.fullmatch(bare_name(p))}


def read_subject(path: Path, unit: Mapping[str, str] | None = None) -> dict[str, Signal]:
    """Read the five signals of one file, in the units of the file.

    Parameters
    ----------
    path : Path
        The file.
    unit : mapping of str to str, optional
        Name of a signal → unit that the user states; such a signal is in SI.

    Raises
    ------
    RecordingError
        If the file is not a MATLAB file (before 7.3) with the published variables.
    """
    data = _variable(path, "data")
    if data.ndim != 2 or data.shape[1] != len(SIGNALS) or data.shape[0] < 2:
        raise RecordingError(
            f"{path}: data has shape {data.shape}, expected (samples, {len(SIGNALS)}): "
            f"{', '.join(name for name, _ in SIGNALS)}."
        )
    signals = {}
    for i, (name, quantity) in enumerate(SIGNALS):
        values = np.array(data[:, i])
        stated = (unit or {}).get(name)
        if stated is not None:
            signals[name] = signal_in_si(name, values, SAMPLING_RATE, "", stated=stated)
        else:
            signals[name] = Signal(values[None], SAMPLING_RATE, "a.u.", False, quantity)
    return signals


def read_stimuli(
    path: Path,
) -> tuple[tuple[Stimulus, ...], tuple[tuple[int, float, float], ...]]:
    """Runs of one code in ``stimuli``, one code a sample.

    Returns
    -------
    stimuli : tuple of Stimulus
        ``baseline`` (level 0), ``phasic_heat_1`` … ``tonic_electric_3``; seconds from the first
        sample.
    invalid : tuple of (code, start, stop)
        Stretches with the codes −10 and −11, in seconds.

    Raises
    ------
    RecordingError
        If the file is not readable, or a code is unknown.
    """
    codes = _variable(path, "stimuli").ravel()
    if codes.size < 2 or not np.array_equal(codes, np.round(codes)):
        raise RecordingError(f"{path}: stimuli is not one whole number a sample.")
    starts = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1))
    stops = np.concatenate((starts[1:], [codes.size]))
    stimuli = []
    invalid = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        code = int(codes[start])
        onset, duration = start / SAMPLING_RATE, (stop - start) / SAMPLING_RATE
        if code in INVALID:
            invalid.append((code, onset, stop / SAMPLING_RATE))
        else:
            stimuli.append(_stimulus(path, code, onset, duration))
    return tuple(stimuli), tuple(invalid)


def _stimulus(path: Path, code: int, onset: float, duration: float) -> Stimulus:
    if code == 0:
        return Stimulus(onset, duration, "baseline", 0, {"code": 0})
    for codes, (kind, modality, offset) in KINDS.items():
        if code in codes:
            level = abs(code) - offset
            attributes: dict[str, str | int | float] = {"code": code, "modality": modality}
            return Stimulus(onset, duration, f"{kind}_{level}", level, attributes)
    raise RecordingError(
        f"{path}: stimulus code {code} at {onset:g} s; expected −6 to 6, −10 or −11."
    )


def _variable(path: Path, name: str) -> Float[np.ndarray, "..."]:
    """One numeric variable of a MATLAB file of level 5 (``-v6``, ``-v7``), as float64.

    Read here and not by `scipy.io.loadmat`, which can end the process (a segmentation fault in
    SciPy 1.17) on a damaged file.
    """
    data = read_bytes(path)
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if data[:10] == b"MATLAB 7.3":
        raise RecordingError(
            f"{path}: MATLAB 7.3 (HDF5), which is not read here. Save it again with -v7."
        )
    if order is None:
        raise RecordingError(f"{path}: not a MATLAB file of level 5 (-v6 or -v7).")
    try:
        found = dict(_arrays(data[128:], order, name))
    except (ValueError, struct.error, zlib.error) as error:
        raise RecordingError(f"{path}: a damaged or truncated MATLAB file ({error}).") from error
    if name not in found:
        raise RecordingError(
            f"{path}: no numeric variable {name}; it has {', '.join(sorted(found)) or 'none'}."
        )
    values = found[name]
    if not values.size:
        raise RecordingError(f"{path}: the variable {name} is empty.")
    if np.isinf(values).any():
        raise RecordingError(f"{path}: the variable {name} holds infinite numbers.")
    return values


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each data element; elements begin at multiples of eight bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: type, size and up to four bytes share one tag
            kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            start = at + 8
            step = 8 + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise ValueError(f"{size:,} bytes promised, {len(data) - start:,} left")
        yield kind, data[start : start + size]
        at += step


def _arrays(
    data: bytes, order: str, wanted: str
) -> Iterator[tuple[str, Float[np.ndarray, "..."]]]:
    """Name and values of each real numeric array; values of others than `wanted` are empty."""
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            yield from _arrays(zlib.decompress(content), order, wanted)
        elif kind == _MATRIX:
            parts = list(_elements(content, order))
            if len(parts) < 4 or len(parts[0][1]) < 8:
                continue
            flags = struct.unpack_from(f"{order}I", parts[0][1])[0]
            if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX:
                continue
            name = parts[2][1].decode("latin-1")
            if name != wanted:
                yield name, np.empty(0)
                continue
            shape = np.frombuffer(parts[1][1], f"{order}i4").tolist()
            number, numbers = parts[3]
            if number not in _NUMBERS:
                raise ValueError(f"numbers of the unknown type {number}")
            values = np.frombuffer(numbers, order + _NUMBERS[number])
            if values.size != math.prod(shape) or min(shape, default=-1) < 0:
                raise ValueError(f"{values.size:,} numbers for the shape {shape}")
            yield name, values.astype(float).reshape(shape, order="F")
