"""Which modalities of a window count, and when a model abstains: the same offline and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool

from dolorimeter.chain._stream import Stream, sources_of
from dolorimeter.errors import ConfigError
from dolorimeter.samples import Samples, empty_rows
from dolorimeter.types import Array

Usable = Mapping[str, Bool[np.ndarray, " window"]]
"""Modality to which windows it counts in."""


@dataclass(frozen=True)
class QualityGate:
    """Settings of the gate; they belong to a model and are stored with it.

    Parameters
    ----------
    least_quality : float
        A modality of lower quality in a window counts as missing there. Default 0.5.
    least_share : float
        Share of the modalities below which the model abstains. Default 0.5. It also abstains
        without any.
    warm_up : float
        Seconds of windows that a running baseline needs before the first estimate. Default 30.

    Raises
    ------
    ConfigError
        If a share is not between 0 and 1, or the seconds are negative.
    """

    least_quality: float = 0.5
    least_share: float = 0.5
    warm_up: float = 30.0

    def __post_init__(self) -> None:
        for name in ("least_share", "least_quality"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 1.")
        if not 0 <= self.warm_up < np.inf:
            raise ConfigError(f"warm_up is {self.warm_up}, expected 0 or more seconds.")

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> QualityGate:
        """The gate that `dataclasses.asdict` wrote; unknown keys are ignored."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    def trusted(self, samples: Samples, streams: Sequence[Stream]) -> Usable:
        """Return in which windows each modality is good enough.

        Parameters
        ----------
        samples : Samples
            From `Pipeline.samples`, with a column ``quality_<modality>`` in ``meta``.
        streams : sequence of Stream
            Of the model.
        """
        found = {}
        for name in needed_of(streams):
            column = samples.meta.get(f"quality_{name}")
            if column is None:  # a video that is represented without looking for a face
                found[name] = np.ones(len(samples), dtype=bool)
                continue
            quality = column.to_numpy(dtype=float)
            found[name] = np.isnan(quality) | (quality >= self.least_quality)
        return found

    def apply(self, samples: Samples, streams: Sequence[Stream], trusted: Usable) -> Samples:
        """Return the samples with the streams of modalities that do not count set to missing."""
        lost = {
            stream.name: ~np.logical_and.reduce([trusted[m] for m in needed_of([stream])])
            for stream in streams
        }
        if not any(rows.any() for rows in lost.values()):
            return samples
        present = dict(samples.present or {})
        for stream in streams:
            there = present.get(stream.name, np.ones(len(samples), dtype=bool))
            present[stream.name] = there & ~lost[stream.name]
        if isinstance(samples.x, np.ndarray):
            x = samples.x.copy()
            for stream in streams:
                columns = _columns(samples, stream.name, len(streams) > 1)
                empty = empty_rows(int(lost[stream.name].sum()), x[:, columns])
                x[np.ix_(lost[stream.name], columns)] = empty
            return replace(samples, x=x, present=present)
        streams_x = dict(samples.x)
        for name, rows in lost.items():
            values = streams_x[name].copy()
            values[rows] = empty_rows(int(rows.sum()), values)
            streams_x[name] = values
        return replace(samples, x=streams_x, present=present)

    def usable(self, samples: Samples, streams: Sequence[Stream], trusted: Usable) -> Usable:
        """Return in which windows each modality counts: trusted, and at least one known value."""
        known = {name: np.zeros(len(samples), dtype=bool) for name in needed_of(streams)}
        for stream in streams:
            there = _known(samples, stream.name, len(streams) > 1)
            if samples.present is not None:
                there = there & samples.present[stream.name]
            for name in needed_of([stream]):
                known[name] |= there
        return {name: trusted[name] & known[name] for name in known}

    def abstains(self, usable: Usable) -> Bool[np.ndarray, " window"]:
        """Return for which windows too few modalities count."""
        share = np.mean([usable[name] for name in usable], axis=0)
        return np.asarray((share < self.least_share) | (share == 0))

    def learning(self, learned: float) -> str:
        """Return why a running baseline of `learned` seconds is too short; empty if it is not."""
        if learned >= self.warm_up:
            return ""
        return f"the baseline of the subject is too short: {learned:.0f} of {self.warm_up:.0f} s"


def needed_of(streams: Sequence[Stream]) -> tuple[str, ...]:
    """Modalities that the representations read, or that what they read is derived from, sorted.

    A step may act on more (the steps for muscle activity act on three muscles): without those
    nothing is missing.
    """
    names: set[str] = set()
    for stream in streams:
        own, sources = stream.representation.modality, sources_of([stream])
        names |= {own} if own in sources else set(sources)
    return tuple(sorted(names))


def _columns(samples: Samples, stream: str, several: bool) -> Array:
    if several and samples.feature_names:
        return np.flatnonzero([n.startswith(f"{stream}.") for n in samples.feature_names])
    return np.arange(np.asarray(samples.x).shape[1])


def _known(samples: Samples, stream: str, several: bool) -> Bool[np.ndarray, " window"]:
    """Windows in which a stream has at least one value, or one that cannot be missing."""
    if isinstance(samples.x, np.ndarray):
        values = samples.x[:, _columns(samples, stream, several)]
    else:
        values = np.asarray(samples.x[stream])
    if values.dtype.kind != "f" or not values[0:1].size:
        return np.ones(len(samples), dtype=bool)
    return np.isfinite(values.reshape(len(values), -1)).any(axis=1)
