"""Parts of a cohort put together into samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dolorimeter.chain._parts import NO_SHAPE, Part, content_fault, part_of
from dolorimeter.chain._stream import Stream
from dolorimeter.errors import DatasetError, FileReadError, RecordingError, SignalError
from dolorimeter.representations import Represented, count
from dolorimeter.samples import Samples
from dolorimeter.types import Exclusion, LabelSource, Recording
from dolorimeter.windows import WindowSpec


def made_part(spec: WindowSpec, streams: Sequence[Stream], batch: Sequence[Recording]) -> Part:
    """Return `part_of` a batch, where faulty content costs only its own recording.

    Raises
    ------
    FileReadError
        If a file cannot be read, or changes while it is read: that is no fault of the data.
    """
    stamps = stamps_of(batch)
    try:
        part = part_of(spec, streams, batch)
    except (RecordingError, SignalError) as error:
        if len(batch) == 1:
            fault = content_fault(batch[0], error)
            part = replace(part_of(spec, streams, ()), exclusions=(fault,))
        else:
            part = merged([made_part(spec, streams, [recording]) for recording in batch])
    except OSError as error:
        raise FileReadError(
            f"{error.filename or batch[0].name}: cannot be read ({error.strerror or error}). "
            "Nothing was excluded because of it. Make the file readable and run the same command "
            "again."
        ) from error
    refuse_changed(stamps)
    return part


_Stamps = Mapping[Path, tuple[int, int] | None]


def stamps_of(batch: Sequence[Recording]) -> _Stamps:
    """Size and time of change of the files of some recordings; None without an answer."""
    return {
        path: _stamp(path)
        for recording in batch
        for path in (*recording.sources, *(video.path for video in recording.videos.values()))
    }


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def refuse_changed(stamps: _Stamps) -> None:
    """Raise if a source file is not what it was when `stamps_of` looked at it.

    Raises
    ------
    FileReadError
        Names the file.
    """
    for path, stamp in stamps.items():
        if _stamp(path) != stamp:
            raise FileReadError(
                f"{path}: changed or disappeared while it was read, so that what was read of it "
                "cannot be trusted. Run the same command again when it is complete."
            )


def merged(parts: Sequence[Part]) -> Part:
    """Join parts. Reasons for missing values stay listed per window, as `store` needs them."""
    parts = _agreeing(parts)
    full = [part for part in parts if len(part.meta)] or parts[:1]
    known = {name: _known([part.streams[name] for part in full]) for name in full[0].streams}
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


def _known(streams: Sequence[Represented]) -> Represented:
    """The first stream that any window has, else the first: its names hold for all."""
    return next((stream for stream in streams if stream.present.any()), streams[0])


def _agreeing(parts: Sequence[Part]) -> list[Part]:
    """Parts whose streams fit into one array, and the others as exclusions.

    One recording in another unit or at another sampling rate must not end the run of all
    others. The form that more than half of the subjects have is the one that counts; where
    two have it in as many subjects, the one of more windows.

    Raises
    ------
    SignalError
        If no form is that of more than half of the subjects, or two are equally frequent.
    """
    agreeing = list(parts)
    for name in next((tuple(part.streams) for part in parts if len(part.meta)), ()):
        forms: dict[_Form, set[str]] = {}
        windows: Counter[_Form] = Counter()
        for part in agreeing:
            if (form := _form(part, name)) is not None:
                forms.setdefault(form, set()).update(part.meta["subject"].astype(str))
                windows[form] += len(part.meta)
        if len(forms) < 2:
            continue
        subjects = set().union(*forms.values())
        ranks = {form: (len(forms[form]), windows[form]) for form in forms}
        usual, second = sorted(ranks, key=ranks.__getitem__, reverse=True)[:2]
        if 2 * len(forms[usual]) <= len(subjects) or ranks[usual] == ranks[second]:
            one, other = list(forms)[:2]
            raise SignalError(
                f"stream '{name}': recordings differ: {_described(other)} after "
                f"{_described(one)}. Use one representation, sampling rate and set of channels."
            )
        agreeing = [
            part if _form(part, name) in (None, usual) else _left_out(part, name, usual)
            for part in agreeing
        ]
    return agreeing


_Form = tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]
"""Names, units and shape of a window of a stream."""


def _form(part: Part, name: str) -> _Form | None:
    """Form of a stream of a part; None where no window has it."""
    stream = part.streams.get(name)
    if stream is None or not stream.present.any():
        return None
    return stream.names, stream.units, stream.x.shape[1:]


def _left_out(part: Part, name: str, usual: _Form) -> Part:
    """A part without windows, and an exclusion per recording that says how it differs."""
    form = _form(part, name)
    assert form is not None
    rows = part.meta[["subject", "recording"]].drop_duplicates()
    reason = f"stream '{name}' is {_described(form)}, that of the others {_described(usual)}"
    faults = tuple(
        Exclusion(str(subject), str(recording), "recording", reason)
        for subject, recording in rows.itertuples(index=False)
    )
    return Part({}, part.meta.iloc[:0], part.facts.iloc[:0], part.quality[:0], {},
                part.exclusions + faults)  # fmt: skip


def _described(form: _Form) -> str:
    names, units, shape = form
    return (
        f"{len(names)} × {shape} ({', '.join(names[:3])} … in {', '.join(dict.fromkeys(units))})"
    )


def join(
    parts: Sequence[Part],
    label_source: LabelSource | None,
    lookalike: bool,
    exclusions: tuple[Exclusion, ...],
) -> Samples:
    """Return the samples of all parts, as one table where every stream is a table.

    Parameters
    ----------
    parts : sequence of Part
    label_source, lookalike
        What the data set says of itself.
    exclusions : tuple of Exclusion
        Those of the reader; those of the parts follow.
    """
    part = merged(parts)
    streams = {
        name: replace(stream, undefined=count(stream.undefined))
        for name, stream in part.streams.items()
    }
    samples = replace(
        part.samples,
        exclusions=exclusions + part.exclusions,
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
        if stream.x.shape[1:] == NO_SHAPE and not all(s.x.shape[1:] == NO_SHAPE
                                                      for s in streams.values()):  # fmt: skip
            raise DatasetError(
                f"stream '{name}': no recording has the signal, so the shape of its windows is "
                "unknown. Leave the stream out, or check its modality and the files."
            )
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
