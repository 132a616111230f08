"""What is taken away at test: streams of a mapping, or the columns of a table that are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from dolorimeter.samples import Samples
from dolorimeter.types import Array

EVERY_SUBSET_UP_TO = 3
"""Streams up to which every subset is taken away; from there each stream by itself."""

Columns = Int[np.ndarray, " column"]
Missing = Columns | tuple[str, ...]
"""Columns of a table, or names of streams of a mapping."""


def missing_parts(samples: Samples) -> tuple[dict[str, Missing], str]:
    """What to blank for each set of missing streams, or why nothing can be.

    Returns
    -------
    tuple
        Sets of streams joined by ``+`` (fewest first) to columns or streams of ``samples.x``; and
        a note that is empty unless there are several streams that cannot be blanked.
    """
    if isinstance(samples.x, Mapping):
        return _missing_streams(samples.x)
    streams = stream_columns(samples)
    if len(streams) < 2:
        return {}, ""
    return {
        "+".join(names): np.sort(np.concatenate([streams[n] for n in names]))
        for names in missing_sets(tuple(streams))
    }, ""


def _missing_streams(x: Mapping[str, Array]) -> tuple[dict[str, Missing], str]:
    if len(x) < 2:
        return {}, ""
    whole = [name for name, values in x.items() if values.dtype.kind != "f"]
    if whole:
        return {}, (
            f"missing modalities were not tried: {', '.join(whole)} are {x[whole[0]].dtype}, "
            "which has no NaN"
        )
    return {"+".join(names): names for names in missing_sets(tuple(x))}, ""


def stream_columns(samples: Samples) -> dict[str, Columns]:
    """Columns of each stream, by the part of a feature's name before its dot.

    Empty when a name has no dot: then the table does not come from several streams.
    """
    names = samples.feature_names
    if not names or not all("." in name for name in names):
        return {}
    known = tuple(samples.present or ())
    owners = [_owner(name, known) for name in names]
    return {
        stream: np.array([i for i, owner in enumerate(owners) if owner == stream])
        for stream in dict.fromkeys(owners)
    }


def _owner(feature: str, streams: Sequence[str]) -> str:
    """The stream of a feature: the longest that is its prefix, since names may hold dots."""
    fitting = [s for s in streams if feature.startswith(f"{s}.")]
    return max(fitting, key=len) if fitting else feature.partition(".")[0]


def missing_sets(streams: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Every proper subset of few streams, or each of many by itself; fewest missing first.

    >>> missing_sets(("ecg", "eda"))
    (('ecg',), ('eda',))
    """
    most = len(streams) - 1 if len(streams) <= EVERY_SUBSET_UP_TO else 1
    return tuple(names for k in range(1, most + 1) for names in combinations(streams, k))


def blanked(
    x: Float[np.ndarray, "sample feature"] | Mapping[str, Array], missing: Missing
) -> Float[np.ndarray, "sample feature"] | dict[str, Array]:
    """A table with the given columns unknown, or a mapping with the given streams unknown."""
    if isinstance(x, Mapping):
        return {k: np.full_like(v, np.nan) if k in missing else v for k, v in x.items()}
    assert not isinstance(missing, tuple)  # streams are blanked in mappings only
    out = x.copy()
    out[:, missing] = np.nan
    return out
