"""Parts of a cohort put together into samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dolorimeter.chain._parts import Part, part_of
from dolorimeter.chain._stream import Stream
from dolorimeter.errors import DatasetError, RecordingError, SignalError
from dolorimeter.representations import Represented, count
from dolorimeter.samples import Samples
from dolorimeter.types import Exclusion, LabelSource, Recording
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
    return merged([made_part(spec, streams, [recording]) for recording in batch])


def merged(parts: Sequence[Part]) -> Part:
    """Join parts. Reasons for missing values stay listed per window, as `store` needs them."""
    full = [part for part in parts if len(part.meta)] or parts[:1]
    known = {name: _known(name, full) for name in full[0].streams}
    joined = Samples.concatenate([part.samples for part in full])
    x, present = joined.x, joined.present or {}
    assert isinstance(x, Mapping)
    notes: Counter[str] = Counter()
    for part in parts:
        notes.update(part.notes)
    of_parts = {name: [part.streams[name] for part in full] for name in known}
    streams = {
        name: Represented(
            x[name],
            stream.names,
            stream.units,
            present[name],
            tuple(dict.fromkeys(r for each in of_parts[name] for r in each.remarks)),
            tuple(entry for each in of_parts[name] for entry in each.undefined),
        )
        for name, stream in known.items()
    }
    exclusions = tuple(e for part in parts for e in part.exclusions)
    assert joined.facts is not None
    assert joined.quality is not None
    return Part(streams, joined.meta, joined.facts, joined.quality, notes, exclusions)


def _known(name: str, parts: Sequence[Part]) -> Represented:
    """The first part's stream that any window has, whose names and shape the others must share.

    Raises
    ------
    SignalError
        If names, units or shapes differ.
    """
    streams = [part.streams[name] for part in parts]
    present = [stream for stream in streams if stream.present.any()] or streams[:1]
    first = present[0]
    for stream in present[1:]:
        if (stream.names, stream.units, stream.x.shape[1:]) != (
            first.names,
            first.units,
            first.x.shape[1:],
        ):
            raise SignalError(
                f"stream '{name}': recordings differ: {_described(stream)} after "
                f"{_described(first)}. Use one representation, sampling rate and set of channels."
            )
    return first


def _described(stream: Represented) -> str:
    return (
        f"{len(stream.names)} × {stream.x.shape[1:]} ({', '.join(stream.names[:3])} … in "
        f"{', '.join(dict.fromkeys(stream.units))})"
    )


def join(
    parts: Sequence[Part],
    label_source: LabelSource | None,
    lookalike: bool,
    exclusions: tuple[Exclusion, ...],
) -> Samples:
    """Return the samples of all parts, as one table where every stream is a table."""
    part = merged(parts)
    streams = {
        name: replace(stream, undefined=count(stream.undefined))
        for name, stream in part.streams.items()
    }
    samples = replace(
        part.samples,
        exclusions=exclusions,
        label_source=label_source,
        notes=(
            *_absent(streams),
            *(f"{note} (windows: {number})" for note, number in sorted(part.notes.items())),
            *(note for stream in streams.values() for note in stream.notes),
        ),
        lookalike=lookalike,
    )
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
