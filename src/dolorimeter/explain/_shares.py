"""Maps of pictures as tables: which seconds, which hertz, which region of the face.

A share is a part of what is positive in a map: of a picture whose every place counts alike it is
that of the seconds, hertz or area themselves, so that only the ratio of the two says something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.explain.maps import FREE, StreamMaps
from dolorimeter.explain.regions import region_table, regions_by_frame

TIMES = ["stream", "picture", "map", "class", "start", "stop", "share", "even_share", "ratio"]
FREQUENCIES = ["stream", "picture", "map", "class", "low", "high", "share", "even_share", "ratio"]


def time_table(streams: Iterable[StreamMaps], classes: Sequence[str]) -> pd.DataFrame:
    """Share of each stretch of time, of every picture of a signal; seconds of the window."""
    rows: list[tuple[object, ...]] = []
    for stream in streams:
        left, right, _, _ = stream.extent
        if not stream.signal:
            continue
        for place, label, name, class_name, values in _maps(stream, classes):
            del place
            edges = np.linspace(left, right, values.shape[1] + 1)
            rows += _rows((stream.name, label, name, class_name), edges, values.sum(axis=0))
    return pd.DataFrame(rows, columns=TIMES)


def frequency_table(streams: Iterable[StreamMaps], classes: Sequence[str]) -> pd.DataFrame:
    """Share of each band, of every spectrogram; hertz, from below."""
    rows: list[tuple[object, ...]] = []
    for stream in streams:
        low, high = stream.extent[2:]
        if not np.isfinite(low):
            continue
        for _, label, name, class_name, values in _maps(stream, classes):
            edges = np.clip(np.linspace(low, high, len(values) + 1), 0, None)
            rows += _rows((stream.name, label, name, class_name), edges, values.sum(axis=1)[::-1])
    return pd.DataFrame(rows, columns=FREQUENCIES)


def regions_of(
    stream: StreamMaps,
    classes: Sequence[str],
    landmarks: Float[np.ndarray, "picture 478 axis"],
    side: int,
) -> pd.DataFrame:
    """`region_table` of every map, over the pictures that have it."""
    found = []
    for name, maps in stream.maps.items():
        for place, class_name in _classes(name, classes):
            values = np.clip(maps[place], 0, None)
            there = np.isfinite(values).all(axis=(1, 2))
            table = region_table(regions_by_frame(values[there], landmarks[there], size=side))
            table.insert(0, "class", class_name)
            table.insert(0, "map", name)
            table.insert(0, "stream", stream.name)
            found.append(table)
    return pd.concat(found, ignore_index=True)


def _maps(
    stream: StreamMaps, classes: Sequence[str]
) -> Iterator[tuple[int, str, str, str, Float[np.ndarray, "row column"]]]:
    """Positive parts of all maps there are: picture, its label, map, class, values."""
    for name, maps in stream.maps.items():
        for target, class_name in _classes(name, classes):
            for place, label in enumerate(stream.labels):
                values = maps[target, place]
                if np.isfinite(values).all():
                    yield place, label, name, class_name, np.clip(values, 0, None)


def _classes(name: str, classes: Sequence[str]) -> list[tuple[int, str]]:
    """A map of no class stands once."""
    return [(0, "")] if name in FREE else list(enumerate(classes))


def _rows(
    named: tuple[str, ...], edges: Float[np.ndarray, " edge"], values: Float[np.ndarray, " part"]
) -> list[tuple[object, ...]]:
    total = values.sum()
    shares = values / total if total > 0 else np.full(len(values), np.nan)
    even = np.diff(edges) / (edges[-1] - edges[0])
    return [
        (*named, float(a), float(b), float(share), float(e), float(share / e))
        for a, b, share, e in zip(edges, edges[1:], shares, even, strict=False)
    ]
