"""Parts of a cohort put together into samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dolorimeter.chain._parts import Part, part_of
from dolorimeter.chain._stream import Stream
from dolorimeter.errors import DatasetError, RecordingError, SignalError
from dolorimeter.representations import Represented, concatenate
from dolorimeter.samples import Samples
from dolorimeter.types import Array, Exclusion, LabelSource, Recording
from dolorimeter.windows import WindowSpec


def made_part(spec: WindowSpec, streams: Sequence[Stream], batch: Sequence[Recording]) -> Part:
    """`part_of`, where a file that breaks while it is read costs only its own recording."""
    try:
        return part_of(spec, streams, batch)
    except RecordingError as error:
        if len(batch) == 1:
            (recording,) = batch
            fault = Exclusion(recording.subject, recording.name, "recording", str(error))
            return replace(part_of(spec, streams, ()), exclusions=(fault,))
    return _merged([made_part(spec, streams, [recording]) for recording in batch])


def _merged(parts: Sequence[Part]) -> Part:
    """Parts of one batch as one."""
    full = [part for part in parts if len(part.meta)] or parts[:1]
    notes: Counter[str] = Counter()
    for part in parts:
        notes.update(part.notes)
    streams = {}
    for name in full[0].streams:
        found = [part.streams[name] for part in full]
        undefined = tuple(entry for stream in found for entry in stream.undefined)
        # not counted together: `store` wants the reason of each window
        streams[name] = replace(concatenate(shaped_alike(found)), undefined=undefined)
    return Part(
        streams,
        pd.concat([part.meta for part in full], ignore_index=True),
        pd.concat([part.facts for part in full], ignore_index=True),
        np.concatenate([part.quality for part in full]),
        notes,
        tuple(e for part in parts for e in part.exclusions),
    )


def join(
    parts: Sequence[Part],
    label_source: LabelSource | None,
    lookalike: bool,
    exclusions: tuple[Exclusion, ...],
) -> Samples:
    streams = {}
    for name in parts[0].streams:
        try:
            streams[name] = concatenate(shaped_alike([part.streams[name] for part in parts]))
        except SignalError as error:
            raise SignalError(f"stream '{name}': {error}") from error
    notes: Counter[str] = Counter()
    for part in parts:
        notes.update(part.notes)
    samples = Samples(
        x={name: stream.x for name, stream in streams.items()},
        meta=pd.concat([part.meta for part in parts], ignore_index=True),
        present={name: stream.present for name, stream in streams.items()},
        facts=pd.concat([part.facts for part in parts], ignore_index=True),
        quality=np.concatenate([part.quality for part in parts]),
        exclusions=exclusions,
        label_source=label_source,
        notes=(
            *(f"{note} (windows: {count})" for note, count in sorted(notes.items())),
            *(note for stream in streams.values() for note in stream.notes),
        ),
        lookalike=lookalike,
    )
    samples = replace(samples, notes=(*_absent(streams), *samples.notes))
    return _without_empty(flattened(samples, streams), streams)


def _absent(streams: Mapping[str, Represented]) -> tuple[str, ...]:
    """A note for each stream that no window has.

    Raises
    ------
    DatasetError
        If there is no other: all rows would be NaN, and a model of them score like honest chance.
    """
    notes = []
    for name, stream in streams.items():
        if not stream.present.any():
            reasons = "; ".join(dict.fromkeys(u.reason for u in stream.undefined)) or "missing"
            notes.append(
                f"stream '{name}' is in none of {len(stream.present):,} windows: {reasons}"
            )
    if len(notes) == len(streams):
        raise DatasetError(
            f"{'. '.join(notes)}. Check modality and preprocessing of the stream, and the files."
        )
    return tuple(notes)


def shaped_alike(parts: Sequence[Represented]) -> list[Represented]:
    """Parts in which no window has the modality, as NaN in the shape that the others have."""
    known = next((part for part in parts if part.present.any()), None)
    if known is None:
        return list(parts)
    return [
        part
        if part.present.any()
        else replace(
            part,
            x=nothing(len(part.x), known.x),
            names=known.names,
            units=known.units,
        )
        for part in parts
    ]


def nothing(rows: int, like: Array) -> Array:
    """Rows without content: NaN, or zeros where the array is of pictures."""
    empty = np.nan if np.issubdtype(like.dtype, np.floating) else 0
    return np.full((rows, *like.shape[1:]), empty, dtype=like.dtype)


def flattened(samples: Samples, streams: Mapping[str, Represented]) -> Samples:
    """One table when every stream is a table, one array when there is one stream."""
    if all(stream.x.ndim == 2 for stream in streams.values()):
        return replace(
            samples,
            x=np.concatenate([stream.x for stream in streams.values()], axis=1),
            feature_names=tuple(
                f"{name}.{n}" if len(streams) > 1 else n
                for name, stream in streams.items()
                for n in stream.names
            ),
            feature_units=tuple(u for stream in streams.values() for u in stream.units),
        )
    if len(streams) == 1:
        (stream,) = streams.values()
        return replace(samples, x=stream.x, feature_units=stream.units)
    return samples


def _without_empty(samples: Samples, streams: Mapping[str, Represented]) -> Samples:
    """Keep out windows without the only modality there is, where the samples are an array.

    A table's missing numbers can be filled in, a network's input cannot.
    """
    ((name, stream), *others) = streams.items()
    if others or stream.x.ndim == 2 or stream.present.all():
        return samples
    lost = samples.meta[~stream.present]
    reason = "; ".join(dict.fromkeys(u.reason for u in stream.undefined)) or "it is missing"
    kept_out = tuple(
        Exclusion(str(subject), str(recording), f"window at {start:g} s", f"no {name}: {reason}")
        for subject, recording, start in zip(
            lost["subject"], lost["recording"], lost["start"], strict=True
        )
    )
    samples = replace(samples, exclusions=samples.exclusions + kept_out)
    return samples.take(stream.present)


def nothing_left(recordings: Sequence[Recording], exclusions: Sequence[Exclusion]) -> str:
    if not recordings:
        return "no recordings were given: check the subjects asked for."
    reasons = sorted({e.reason for e in exclusions})
    shown = "; ".join(reasons[:3]) or "no stimulus has a condition that was asked for"
    return (
        f"none of {len(recordings)} recordings gave a window ({len(exclusions)} exclusions). "
        f"First reasons: {shown}"
    )
