"""From windows to rows of features: grouping, units, and a reason for every NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError
from dolorimeter.representations._represented import Represented, Undefined, count
from dolorimeter.representations._units import ARBITRARY, conversion
from dolorimeter.representations._windows import channel_names, read
from dolorimeter.representations.features._table import Feature, Table
from dolorimeter.types import RECTIFIED, Array, Signal, Window

BATCH = 128
"""Windows computed at once: enough to leave Python behind, few enough to stay in the cache."""

LARGEST = 1e100
"""Beyond it squares overflow; such a sample is counted as missing."""


@dataclass(frozen=True)
class _Kind:
    """What windows must share to be computed together."""

    sampling_rate: float
    samples: int
    channels: tuple[str, ...]
    unit: str
    unit_confirmed: bool
    rectified: bool

    def table(self, table: Table) -> Table:
        """The table for signals of this kind."""
        return table.rectified if self.rectified and table.rectified is not None else table


@dataclass(frozen=True)
class _Block:
    """A computed batch: which windows, and ``(window, channel, feature)``."""

    kind: _Kind
    rows: list[int]
    values: Float[np.ndarray, "window channel feature"]
    gaps: Bool[np.ndarray, "window channel"]
    onset: Float[np.ndarray, " window"]


def extract(
    windows: Sequence[Window],
    modality: str,
    table: Table,
    *,
    offset: float,
    duration: float | None,
    channels: tuple[str, ...],
) -> Represented:
    """Features of one modality for each window, in the order of the windows.

    Raises
    ------
    SignalError
        If a unit does not convert, or windows differ in unit.
    """
    absent: list[Undefined] = []
    waiting: dict[_Kind, list[tuple[int, Array, float]]] = {}
    blocks: list[_Block] = []
    for row, signal in read(windows, modality, offset, duration):
        if isinstance(signal, str):
            absent.append(Undefined(modality, signal, 1))
            continue
        batch = waiting.setdefault(_kind(signal, modality), [])
        batch.append((row, signal.values, _onset(windows[row], offset)))
        if len(batch) == BATCH:
            kind = _kind(signal, modality)
            blocks.append(_compute(kind, waiting.pop(kind), modality, table))
    blocks += [_compute(kind, batch, modality, table) for kind, batch in waiting.items()]
    return _assemble(blocks, absent, len(windows), modality, table, channels)


def _kind(signal: Signal, modality: str) -> _Kind:
    return _Kind(
        float(signal.sampling_rate),
        signal.values.shape[1],
        channel_names(signal, modality),
        signal.unit,
        signal.unit_confirmed,
        signal.quantity == RECTIFIED,
    )


def _onset(window: Window, offset: float) -> float:
    """Seconds from the start of the stretch that is looked at to the stimulus; NaN: unknown."""
    if window.stimulus is None or window.stimulus.onset is None:
        return float("nan")
    return window.stimulus.onset - (window.start + offset)


def _compute(
    kind: _Kind, batch: list[tuple[int, Array, float]], modality: str, table: Table
) -> _Block:
    table = kind.table(table)
    factor = conversion(kind.unit, _unit(kind.unit, table), modality)
    signals = np.stack([values for _, values, _ in batch]).astype(np.float64)
    if factor != 1.0:
        with np.errstate(over="ignore"):  # what becomes infinite is a gap, like all above LARGEST
            signals *= factor
    windows, channels, samples = signals.shape
    onset = np.array([start for _, _, start in batch])
    flat = signals.reshape(windows * channels, samples)
    gaps = ~(np.abs(flat) < LARGEST).all(axis=1)
    values = np.full((windows * channels, len(table.features)), np.nan)
    if not gaps.all():
        arguments = [np.repeat(onset, channels)[~gaps]] if table.takes_onset else []
        values[~gaps] = table.compute(flat[~gaps], kind.sampling_rate, *arguments)
    if kind.unit == ARBITRARY and table.unit is not None:
        values[:, [feature.absolute_threshold for feature in table.features]] = np.nan
    return _Block(
        kind,
        [row for row, _, _ in batch],
        values.reshape(windows, channels, len(table.features)),
        gaps.reshape(windows, channels),
        onset,
    )


def _unit(found: str, table: Table) -> str:
    """The unit that the table computes in, for a signal in `found`."""
    return found if table.unit is None or found == ARBITRARY else table.unit


def _assemble(
    blocks: list[_Block],
    absent: list[Undefined],
    windows: int,
    modality: str,
    table: Table,
    channels: tuple[str, ...],
) -> Represented:
    found = tuple(dict.fromkeys(name for block in blocks for name in block.kind.channels))
    several = len(found) > 1 or bool(channels)
    kept = channels or found or (modality,)
    each = {c: f"{modality}_{c}" if several else modality for c in kept}
    cube = np.full((windows, len(kept), len(table.features)), np.nan)
    present = np.zeros(windows, dtype=bool)
    undefined = list(absent)
    for block in blocks:
        present[block.rows] = True
        for i, channel in enumerate(kept):
            if channel not in block.kind.channels:
                reason = f"the recording has no channel {channel}"
                undefined.append(Undefined(each[channel], reason, len(block.rows)))
                continue
            at = block.kind.channels.index(channel)
            cube[block.rows, i] = block.values[:, at]
            undefined += _reasons(block, at, table, each[channel])
    names = [f"{prefix}_{f.name}" for prefix in each.values() for f in table.features]
    x = cube.reshape(windows, len(names))
    unit = _agreed_unit(blocks, modality, table)
    units = [f.unit.format(unit=unit) for _ in each for f in table.features]
    if table.pooled and several:
        pooled = _pooled(cube)
        x = np.concatenate([pooled, x], axis=1)
        names = [f"{modality}_{f.name}" for f in table.features] + names
        units = units[: len(table.features)] + units
        undefined += _pooled_reasons(pooled, present, modality, table)
    return Represented(
        x=x,
        names=tuple(names),
        units=tuple(units),
        present=present,
        remarks=tuple(_remarks(blocks, modality, table)),
        undefined=count(undefined),
    )


def _agreed_unit(blocks: list[_Block], modality: str, table: Table) -> str:
    found = sorted({_unit(block.kind.unit, table) for block in blocks})
    if len(found) > 1:
        raise SignalError(
            f"{modality} is in {' and in '.join(found)} in different windows: the features would "
            "not be comparable. Read the recordings with one unit, or evaluate them apart."
        )
    return found[0] if found else table.unit or ARBITRARY


def _reasons(block: _Block, channel: int, table: Table, prefix: str) -> Iterator[Undefined]:
    """Each NaN of one channel of a block under exactly one reason, the most general first."""
    duration = block.kind.samples / block.kind.sampling_rate
    arbitrary = block.kind.unit == ARBITRARY and table.unit is not None
    for i, feature in enumerate(block.kind.table(table).features):
        name = f"{prefix}_{feature.name}"
        left = np.isnan(block.values[:, channel, i])
        for reason, applies in _candidates(feature, block, channel, duration, arbitrary):
            yield Undefined(name, reason, int((left & applies).sum()))
            left = left & ~applies


def _candidates(
    feature: Feature, block: _Block, channel: int, duration: float, arbitrary: bool
) -> Iterator[tuple[str, Bool[np.ndarray, " window"]]]:
    everywhere = np.ones(len(block.rows), dtype=bool)
    if limit := feature.limit(duration, block.kind.sampling_rate):
        yield limit, everywhere
    if arbitrary and feature.absolute_threshold:
        yield "its threshold is absolute, the signal is in arbitrary units", everywhere
    yield "samples are missing or not finite", block.gaps[:, channel]
    if feature.needs_onset:
        yield "the stimulus onset is not known", np.isnan(block.onset)
    yield feature.undefined or "it is not defined for such a signal", everywhere


def _pooled(
    cube: Float[np.ndarray, "window channel feature"],
) -> Float[np.ndarray, "window feature"]:
    """Mean over the channels that have a value; NaN where none has."""
    known = np.isfinite(cube)
    total = np.where(known, cube, 0.0).sum(axis=1)
    counted = known.sum(axis=1)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def _pooled_reasons(
    pooled: Float[np.ndarray, "window feature"],
    present: Bool[np.ndarray, " window"],
    modality: str,
    table: Table,
) -> Iterator[Undefined]:
    for i, feature in enumerate(table.features):
        missing = int((np.isnan(pooled[:, i]) & present).sum())
        yield Undefined(f"{modality}_{feature.name}", "no channel has a value", missing)


def _remarks(blocks: list[_Block], modality: str, table: Table) -> Iterator[str]:
    doubtful = sorted({b.kind.unit for b in blocks if not b.kind.unit_confirmed} - {ARBITRARY})
    if not doubtful:
        return
    absolute = [f"{modality}_{f.name}" for f in table.features if f.absolute_threshold]
    hint = f": {', '.join(absolute)} use absolute thresholds and may be wrong" if absolute else ""
    yield f"the unit of {modality} ({', '.join(doubtful)}) is not confirmed{hint}."
