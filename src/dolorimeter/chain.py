"""From recordings to samples: preprocessing, windows and representations in a row.

Offline evaluation, `predict` and the live monitor call the same `Chain`. Nothing in it is fitted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.errors import ConfigError, DatasetError, DolorimeterError, SignalError
from dolorimeter.preprocessing.quality import Quality, window_quality
from dolorimeter.preprocessing.standardise import TARGET_ACCESS, Reference, within_subject
from dolorimeter.registry import PREPROCESSING, REPRESENTATIONS
from dolorimeter.representations import Represented, Undefined, concatenate
from dolorimeter.storage import Cache, digest
from dolorimeter.types import (
    META_COLUMNS,
    Array,
    Exclusion,
    LabelSource,
    LazySignals,
    Recording,
    Samples,
    Signal,
    TargetAccess,
    Window,
)
from dolorimeter.windows import WindowSpec, cut

BATCH = 128
"""Recordings that are represented at once: features are vectorised over their windows."""

LOW_QUALITY = 0.5
"""Windows whose quality is below this are named in the notes."""

Progress = Callable[[int, int], None]
"""Called with the count done and the count in all."""


@dataclass(frozen=True)
class ChainStream:
    """One modality on its way: preprocessing steps, then a representation.

    `margin` is how many seconds before the window its window-wise steps see, for a baseline.

    Raises
    ------
    ConfigError
        If a step inside the window stands before one along the recording.
    """

    name: str
    steps: tuple[Any, ...]
    representation: Any
    margin: float = 0.0

    def __post_init__(self) -> None:
        scopes = [step.scope for step in self.steps]
        if "window" in scopes and any(s != "window" for s in scopes[scopes.index("window") :]):
            raise ConfigError(
                f"stream '{self.name}': a step inside the window stands before one along the "
                "recording. Put the steps with mode = 'window' last."
            )


@dataclass(frozen=True)
class Chain:
    """From recordings to `Samples`, without anything fitted.

    Parameters
    ----------
    windows : WindowSpec
    streams : tuple of ChainStream
    standardise : str
        ``none``, or the reference of the standardisation within subject (see
        `preprocessing.standardise`), which decides the samples' `target_access`.
    baseline : tuple of str
        Conditions whose windows are the reference, for ``declared_baseline``.
    """

    windows: WindowSpec
    streams: tuple[ChainStream, ...]
    standardise: str = "none"
    baseline: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.standardise == "declared_baseline") != bool(self.baseline):
            raise ConfigError(
                f"standardise = '{self.standardise}' with baseline = {list(self.baseline)}: a "
                "declared baseline needs the conditions that are it, and nothing else does."
            )

    @property
    def target_access(self) -> TargetAccess:
        """What making the samples has seen of the subject they belong to."""
        return (
            "none" if self.standardise == "none" else TARGET_ACCESS[reference_of(self.standardise)]
        )

    @property
    def live_obstacles(self) -> tuple[str, ...]:
        """Steps that need the whole recording, each with its live substitute."""
        found = [
            f"stream '{stream.name}': {step.card.name} ({step.live_substitute})"
            for stream in self.streams
            for step in stream.steps
            if step.scope == "recording"
        ]
        if self.standardise not in ("none", "running"):
            found.append(f"standardise = '{self.standardise}' (use 'running')")
        return tuple(found)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the signals that the streams read from a recording, sorted."""
        found = set()
        for stream in self.streams:
            by_steps = {m for step in stream.steps for m in step.modalities}
            found |= by_steps or {stream.representation.modality}
        return tuple(sorted(found))

    @property
    def margins(self) -> tuple[float, float]:
        """Seconds before and after a window that shifted streams reach."""
        before = after = 0.0
        for stream in self.streams:
            start, duration = _interval(stream, self.windows.duration)
            before = max(before, stream.margin - start)
            after = max(after, start + duration - self.windows.duration)
        return before, after

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return {
            "windows": asdict(self.windows),
            "standardise": self.standardise,
            "baseline": list(self.baseline),
            "streams": [
                {
                    "name": s.name,
                    "margin": s.margin,
                    "steps": [_to_dict(step) for step in s.steps],
                    "representation": _to_dict(s.representation),
                }
                for s in self.streams
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chain:
        """The chain that `to_dict` wrote."""
        windows: dict[str, Any] = dict(values["windows"])
        return cls(
            WindowSpec(**windows),
            tuple(
                ChainStream(
                    s["name"],
                    tuple(build(PREPROCESSING, step) for step in s["steps"]),
                    build(REPRESENTATIONS, s["representation"]),
                    s["margin"],
                )
                for s in values["streams"]
            ),
            values["standardise"],
            tuple(values["baseline"]),
        )

    def samples(
        self,
        recordings: Sequence[Recording],
        *,
        label_source: LabelSource | None = None,
        lookalike: bool = False,
        exclusions: Iterable[Exclusion] = (),
        cache: Cache | None = None,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> Samples:
        """Represent every window of `recordings`.

        A recording or window that cannot be used is kept out and listed in
        ``Samples.exclusions``.

        Parameters
        ----------
        recordings : sequence of Recording
        label_source, lookalike, exclusions
            What the data set says of itself, handed on.
        cache : Cache, optional
            Addressed by the files' bytes and this chain.
        workers : int
            Processes.
        progress : callable, optional
            Called with recordings done and recordings in all.

        Raises
        ------
        DatasetError
            If no window at all is left.
        """
        batches = _batches(recordings)
        parts: list[_Part] = []
        done = 0
        for batch, part in zip(batches, self._parts(batches, cache, workers), strict=True):
            parts.append(part)
            done += len(batch)
            if progress:
                progress(done, len(recordings))
        kept_out = (*exclusions, *(e for part in parts for e in part.exclusions))
        parts = [part for part in parts if len(part.meta)]
        if not parts:
            raise DatasetError(_nothing_left(recordings, kept_out))
        return self.standardised(_join(parts, label_source, lookalike, kept_out))

    def _parts(
        self, batches: Sequence[Sequence[Recording]], cache: Cache | None, workers: int
    ) -> Iterator[_Part]:
        """Parts in the order of the batches: kept ones are read here, the others made."""
        keys = [None if cache is None else _key(self, batch) for batch in batches]
        kept = [None if k is None or cache is None else cache.get(k) for k in keys]
        missing = [batch for batch, found in zip(batches, kept, strict=True) if found is None]
        made = iter(self._made(missing, workers if len(missing) > 1 else 1))
        for key, found in zip(keys, kept, strict=True):
            if found is not None:
                yield _unpack(found)
                continue
            part = next(made)
            if cache is not None and key is not None:
                cache.put(key, _pack(part))
            yield part

    def _made(self, batches: Sequence[Sequence[Recording]], workers: int) -> Iterable[_Part]:
        if workers == 1:
            return (_part(self, batch) for batch in batches)
        from joblib import Parallel, delayed

        jobs = (delayed(_part)(self, batch) for batch in batches)
        parts: Iterable[_Part] = Parallel(n_jobs=workers, return_as="generator")(jobs)
        return parts

    def standardised(self, samples: Samples) -> Samples:
        """Samples of a chain without standardisation, standardised as this one does."""
        if self.standardise == "none":
            return samples
        x = samples.x
        if not isinstance(x, np.ndarray) or x.ndim != 2:
            raise ConfigError(
                "standardise works on feature tables; these streams are "
                f"{'several arrays' if not isinstance(x, np.ndarray) else x.shape}. "
                "Use representation 'features', or leave standardise out."
            )
        reference = reference_of(self.standardise)
        return replace(
            samples,
            x=within_subject(
                x,
                samples.subjects,
                reference,
                rows=samples.meta["condition"].isin(self.baseline).to_numpy()
                if self.baseline
                else None,
                order=in_time(samples) if reference == "running" else None,
            ),
            target_access=self.target_access,
        )


@dataclass(frozen=True)
class _Part:
    """Samples of one batch of recordings, before they are joined."""

    streams: Mapping[str, Represented]
    meta: pd.DataFrame
    facts: pd.DataFrame
    quality: Array
    notes: Mapping[str, int]
    exclusions: tuple[Exclusion, ...]


def build(registry: Any, values: Mapping[str, Any]) -> Any:
    """The registered dataclass `values["name"]`, with the other values as its arguments.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown, or a value is refused.
    """
    arguments = {
        k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "name"
    }
    if "name" not in values:
        raise ConfigError(f"a {registry.noun} needs a name; found {dict(values)}.")
    entry = registry.get(values["name"])
    known = entry.__dataclass_fields__
    for argument in arguments:
        if argument not in known:
            raise ConfigError(
                f"{registry.noun} '{values['name']}' has no argument '{argument}'; "
                f"it takes: {', '.join(known) or 'none'}."
            )
    try:
        return entry(**arguments)
    except TypeError as error:
        raise ConfigError(f"{registry.noun} '{values['name']}': {error}.") from error


def reference_of(standardise: str) -> Reference:
    """The reference of a standardisation within subject, checked.

    Raises
    ------
    ConfigError
        If there is no such reference.
    """
    for known in TARGET_ACCESS:
        if standardise == known:
            return known
    raise ConfigError(
        f"standardise is '{standardise}', expected none, {', '.join(TARGET_ACCESS)}."
    )


def in_time(samples: Samples) -> Array:
    """Place of each window in the order in which its person was recorded.

    Never by the names of recordings or the rows of a table: those of cut clips hold the condition,
    tables are sorted by it, and the order would tell the label.

    Raises
    ------
    ConfigError
        If the data set does not say in what order a person's windows were recorded.
    """
    keys = [samples.meta["start"].to_numpy(dtype=float)]
    people = samples.meta[["subject", "recording"]].drop_duplicates()["subject"]
    if samples.facts is not None and "clip_index" in samples.facts:
        keys.append(samples.facts["clip_index"].to_numpy(dtype=float))
    elif people.duplicated().any() or np.isnan(keys[0]).any():
        raise ConfigError(
            "standardise = 'running' needs to know in what order a person's windows were "
            "recorded, and this data set does not say. Use 'task_windows', or data with one "
            "recording a person and the start of each window."
        )
    place = np.empty(len(samples.meta), dtype=int)
    place[np.lexsort(keys)] = np.arange(len(place))
    return place


def _to_dict(part: Any) -> dict[str, Any]:
    return {"name": part.card.name, **asdict(part)}


def _interval(stream: ChainStream, duration: float) -> tuple[float, float]:
    """Start and length, in seconds from the window's start, of what the stream reads."""
    own = stream.representation.duration
    return stream.representation.offset, duration if own is None else own


def _batches(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Runs of at most `BATCH` recordings of one subject."""
    batches: list[list[Recording]] = []
    for recording in recordings:
        last = batches[-1] if batches else None
        if last and last[-1].subject == recording.subject and len(last) < BATCH:
            last.append(recording)
        else:
            batches.append([recording])
    return batches


def _key(chain: Chain, batch: Sequence[Recording]) -> str | None:
    """Digest of the code, the chain, what the reader said, and the bytes of the files.

    None when a file cannot be read: then the part is made, and says why.
    """
    told = [
        json.dumps(asdict(replace(r, signals={}, videos={}, sources=())), default=str)
        + _signals_told(r)
        for r in batch
    ]
    try:
        return digest(
            _code(),
            json.dumps(replace(chain, standardise="none", baseline=()).to_dict(), sort_keys=True),
            *told,
            *(path for r in batch for path in r.sources),
        )
    except OSError:
        return None


def _signals_told(recording: Recording) -> str:
    """What decides the signals besides the bytes of the files.

    Of lazy signals the names, in order, and what their loader is given, without folders: options
    of a reader (a frame rate, names of channels) change signals and no file. Of others the values.
    """
    signals = recording.signals
    if isinstance(signals, LazySignals):
        return json.dumps([list(signals), signals.arguments], sort_keys=True, default=_plain)
    return digest(
        *(
            part
            for name, s in sorted(signals.items())
            for part in (name, s.values, repr(replace(s, values=np.empty((0, 0)))))
        )
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else repr(value)


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of the source of every stage here: changed code never meets an old cache entry."""
    here = Path(__file__).parent
    files = [here / name for name in ("chain.py", "types.py", "windows.py")]
    for stage in ("datasets", "preprocessing", "representations", "signals"):
        files += sorted((here / stage).rglob("*.py"))
    return digest(*files)


def _part(chain: Chain, batch: Sequence[Recording]) -> _Part:
    """Load, cut and represent one batch."""
    exclusions: list[Exclusion] = []
    windows: dict[str, list[Window]] = {s.name: [] for s in chain.streams}
    rows: list[dict[str, Any]] = []
    facts: list[dict[str, float]] = []
    quality: list[float] = []
    notes: dict[str, int] = {}
    for recording in batch:
        try:
            loaded = _with_modalities(recording.load(), chain.sources)
            found = cut(loaded, chain.windows, margins=chain.margins)
            processed = {s.name: _whole(loaded, s.steps) for s in chain.streams}
        except DolorimeterError as error:
            exclusions.append(
                Exclusion(recording.subject, recording.name, "recording", str(error))
            )
            continue
        exclusions += found.exclusions
        for window in found.windows:
            rows.append(_meta(window))
            facts.append(_facts(window, chain.sources))
            quality.append(_quality(window, chain.sources, rows[-1], notes))
            for stream in chain.streams:
                windows[stream.name].append(_stream_window(window, stream, processed, notes))
    represented = {s.name: s.representation(windows[s.name]) for s in chain.streams if rows}
    return _Part(
        represented,
        pd.DataFrame(rows, columns=None if rows else list(META_COLUMNS)),
        pd.DataFrame(facts),
        np.array(quality, dtype=float),
        notes,
        tuple(exclusions),
    )


def _with_modalities(recording: Recording, modalities: Sequence[str]) -> Recording:
    """Only the signals asked for: a short unrelated signal must not cost windows."""
    kept = {name: recording.signals[name] for name in modalities if name in recording.signals}
    if not kept:
        have = ", ".join(sorted(recording.signals)) or "none"
        raise SignalError(
            f"recording {recording.name} has none of {', '.join(modalities)}; it has: {have}."
        )
    return replace(recording, signals=kept)


def _whole(recording: Recording, steps: Sequence[Any]) -> Recording:
    for step in steps:
        if step.scope != "window":
            recording = step(recording)
    return recording


def _stream_window(
    window: Window,
    stream: ChainStream,
    processed: Mapping[str, Recording],
    notes: dict[str, int],
) -> Window:
    """The window on the stream's own preprocessed recording, window-wise steps applied."""
    recording = processed[stream.name]
    modality = stream.representation.modality
    signal = recording.signals.get(modality)
    if signal is None:
        return replace(window, recording=recording)
    offset, duration = _interval(stream, window.duration)
    try:
        part = signal.crop(window.start + offset - stream.margin, duration + stream.margin)
    except SignalError:
        note = f"{modality} does not cover the window and counts as missing"
        notes[note] = notes.get(note, 0) + 1
        return replace(window, recording=replace(recording, signals={}))
    window_steps = [step for step in stream.steps if step.scope == "window"]
    if window_steps:
        recording = replace(recording, signals={modality: part})
        for step in window_steps:
            recording = step(recording)
    return replace(window, recording=recording)


def _meta(window: Window) -> dict[str, Any]:
    recording, stimulus = window.recording, window.stimulus
    row: dict[str, Any] = {
        "dataset": recording.dataset,
        "part": recording.part,
        "subject": recording.subject,
        "recording": recording.name,
        "stimulus": window.stimulus_id,
        "start": float(window.start),
        "duration": float(window.duration),
        "condition": stimulus.condition if stimulus else "",
        "level": stimulus.level if stimulus else None,
    }
    row |= {k: v for k, v in recording.subject_info.items() if k not in row}
    for rating in recording.ratings:
        row.setdefault(f"rating_{rating.scale}", float(rating.value))
    return row


def _facts(window: Window, modalities: Sequence[str]) -> dict[str, float]:
    """Numbers that are not signal: what a model could learn without looking at a person."""
    recording = window.recording
    signals = [recording.signals[m] for m in modalities if m in recording.signals]
    facts = {
        "window_start": float(window.start),
        "segment_length": max((s.duration for s in signals), default=float("nan")),
        "file_size": float(sum(p.stat().st_size for p in recording.sources if p.is_file())),
        "modalities_missing": float(len(modalities) - len(signals)),
        "nan_share": float(np.mean([_nan_share(s, window) for s in signals] or [1.0])),
        "since_last_stimulus": _since_last(window),
    }
    return facts | {k: float(v) for k, v in recording.facts.items()}


def _nan_share(signal: Signal, window: Window) -> float:
    try:
        values = signal.crop(window.start, window.duration).values
    except SignalError:
        return 1.0
    return float(np.isnan(values).mean())


def _since_last(window: Window) -> float:
    """Seconds from the start of the stimulus before; NaN for the first and for cut clips."""
    onset = window.stimulus.onset if window.stimulus else None
    if onset is None:
        return float("nan")
    before = [s.onset for s in window.recording.stimuli if s.onset is not None and s.onset < onset]
    return onset - max(before) if before else float("nan")


def _quality(
    window: Window, modalities: Sequence[str], row: dict[str, Any], notes: dict[str, int]
) -> float:
    """Lowest quality over the modalities; each one's own goes into the meta table."""
    scores = []
    for modality in modalities:
        signal = window.recording.signals.get(modality)
        if signal is None:
            row[f"quality_{modality}"] = 0.0
            continue
        try:
            found = window_quality(signal.crop(window.start, window.duration), modality)
        except SignalError:
            row[f"quality_{modality}"] = 0.0
            continue
        row[f"quality_{modality}"] = found.score
        scores.append(found.score)
        if found.score < LOW_QUALITY:
            note = f"{modality} of subject {window.recording.subject}: {_fault(found)}"
            notes[note] = notes.get(note, 0) + 1
    return min(scores, default=0.0)


def _fault(quality: Quality) -> str:
    """What lowers the quality most, in words without numbers, so that windows can be counted."""
    shares = {"flat": quality.flat, "clipped": quality.clipped, "missing": quality.missing}
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] >= LOW_QUALITY:
        return f"mostly {worst}"
    return "no contact with the skin" if "contact" in " ".join(quality.reasons) else "low quality"


def _join(
    parts: Sequence[_Part],
    label_source: LabelSource | None,
    lookalike: bool,
    exclusions: tuple[Exclusion, ...],
) -> Samples:
    streams = {}
    for name in parts[0].streams:
        try:
            streams[name] = concatenate([part.streams[name] for part in parts])
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
    return _flattened(samples, streams)


def _flattened(samples: Samples, streams: Mapping[str, Represented]) -> Samples:
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


def _nothing_left(recordings: Sequence[Recording], exclusions: Sequence[Exclusion]) -> str:
    if not recordings:
        return "no recordings were given: check the subjects asked for."
    reasons = sorted({e.reason for e in exclusions})
    shown = "; ".join(reasons[:3]) or "no stimulus has a condition that was asked for"
    return (
        f"none of {len(recordings)} recordings gave a window ({len(exclusions)} exclusions). "
        f"First reasons: {shown}"
    )


def _pack(part: _Part) -> dict[str, Array]:
    """Arrays that the cache can hold; tables and texts as JSON bytes."""
    told = {
        "meta": part.meta.to_dict(orient="split"),
        "facts": part.facts.to_dict(orient="split"),
        "notes": part.notes,
        "exclusions": [asdict(e) for e in part.exclusions],
        "streams": [
            {
                "stream": name,
                "names": stream.names,
                "units": stream.units,
                "remarks": stream.remarks,
                "undefined": [asdict(u) for u in stream.undefined],
            }
            for name, stream in part.streams.items()
        ],
    }
    text = json.dumps(told).encode()
    arrays = {"told": np.frombuffer(text, dtype=np.uint8), "quality": part.quality}
    for i, stream in enumerate(part.streams.values()):
        arrays |= {f"x{i}": stream.x, f"present{i}": stream.present}
    return arrays


def _unpack(arrays: Mapping[str, Array]) -> _Part:
    told = json.loads(arrays["told"].tobytes().decode())
    return _Part(
        {
            s["stream"]: Represented(
                arrays[f"x{i}"],
                tuple(s["names"]),
                tuple(s["units"]),
                arrays[f"present{i}"],
                tuple(s["remarks"]),
                tuple(Undefined(**u) for u in s["undefined"]),
            )
            for i, s in enumerate(told["streams"])
        },
        pd.DataFrame(**told["meta"]),
        pd.DataFrame(**told["facts"]),
        arrays["quality"],
        told["notes"],
        tuple(Exclusion(**e) for e in told["exclusions"]),
    )
