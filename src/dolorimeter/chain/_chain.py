"""From recordings to samples: preprocessing, windows and representations in a row.

Offline evaluation, `predict` and the live monitor call the same `Pipeline`.
Nothing in it is fitted.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dolorimeter.chain._gate import QualityGate, Usable
from dolorimeter.chain._join import (
    join,
    made_part,
    nothing_left,
    refuse_changed,
    stamps_of,
)
from dolorimeter.chain._kept import keys_of, pack, unpack
from dolorimeter.chain._parts import Part, stream_window, windows_of
from dolorimeter.chain._stream import Stream, margins_of, sources_of
from dolorimeter.clusters import cluster, end_with
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.option_types import check_types
from dolorimeter.preprocessing.standardise import (
    TARGET_ACCESS,
    Reference,
    RunningBaseline,
    within_subject,
)
from dolorimeter.registry import PREPROCESSING, REPRESENTATIONS
from dolorimeter.samples import Samples
from dolorimeter.storage import Cache
from dolorimeter.types import Array, Exclusion, LabelSource, Recording, TargetAccess, Window
from dolorimeter.windows import WindowSpec

ROUNDING = 1e-9
"""Seconds that sums of decimal times may be off."""

BATCH = 128
"""Recordings that are represented at once: features are vectorised over their windows."""
VIDEO_BATCH = 8
"""Recordings at once where an encoder reads videos: what is finished is kept after each batch."""
CLUSTER_BATCHES = 4
"""Batches in flight for each process of a cluster, whose results come all at once."""

MEMORY = 16 * 2**30
"""Bytes that the samples of all recordings may take: frames without an encoder soon take more."""

Progress = Callable[[int, int], None]
"""Called with the count done and the count in all."""


@dataclass(frozen=True)
class Pipeline:
    """From recordings to `Samples`, without anything fitted.

    Parameters
    ----------
    windows : WindowSpec
    streams : tuple of Stream
    standardise : str
        ``none``, or the reference of the standardisation within subject (see
        `preprocessing.standardise`), which decides the samples' `target_access`.
    baseline : tuple of str
        Conditions whose windows are the reference, for ``declared_baseline``.
    """

    windows: WindowSpec
    streams: tuple[Stream, ...]
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
        """Names of the signals and videos that the streams read from a recording, sorted."""
        return sources_of(self.streams)

    @property
    def margins(self) -> tuple[float, float]:
        """Seconds before and after a window that shifted streams reach."""
        return margins_of(self.streams, self.windows.duration)

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
                    "encoder": None if s.encoder is None else asdict(s.encoder),
                    "pooling": s.pooling,
                }
                for s in self.streams
            ],
        }

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the numbers: as `to_dict`, without how an encoder is run."""
        told = self.to_dict()
        for stream in told["streams"]:
            if stream["encoder"] is not None:
                for name in ("batch_size", "threads", "device"):  # they change rounding alone
                    del stream["encoder"][name]
        return told

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pipeline:
        """The chain that `to_dict` wrote."""
        windows: dict[str, Any] = dict(values["windows"])
        return cls(
            WindowSpec(**windows),
            tuple(
                Stream(
                    s["name"],
                    tuple(build(PREPROCESSING, step) for step in s["steps"]),
                    build(REPRESENTATIONS, s["representation"]),
                    s["margin"],
                    None if s.get("encoder") is None else encoder_of(s["encoder"]),
                    s.get("pooling", "none"),
                )
                for s in values["streams"]
            ),
            values["standardise"],
            tuple(values["baseline"]),
        )

    def stream_windows(
        self, recording: Recording
    ) -> tuple[list[dict[str, Window]], tuple[Exclusion, ...]]:
        """Each window of a recording as the streams read it, by stream, before representation.

        Returns
        -------
        list of dict of str to Window, tuple of Exclusion
            What could not be cut is in the second.

        Raises
        ------
        SignalError
            If the recording has none of the signals and videos that the streams read.
        RecordingError
            If a file cannot be read.
        """
        found, processed, _ = windows_of(self.windows, self.streams, recording)
        streams = [
            {s.name: stream_window(window, s, processed, {}) for s in self.streams}
            for window in found.windows
        ]
        return streams, found.exclusions

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
        FileReadError
            If a file cannot be read, or changes while it is read. Then nothing of it is cached,
            and the same call goes on from there.
        """
        batches = self.batches(recordings)
        keys = self.keys(batches, cache)
        parts: list[Part] = []
        done = size = 0
        found = self.parts(batches, keys, cache=cache, workers=workers)
        for batch, part in zip(batches, found, strict=True):
            parts.append(part)
            done += len(batch)
            size += sum(stream.x.nbytes for stream in part.streams.values())
            _check_memory(size, done, len(recordings))
            if progress:
                progress(done, len(recordings))
        if not any(len(part.meta) for part in parts):
            kept_out = (*exclusions, *(e for part in parts for e in part.exclusions))
            raise DatasetError(nothing_left(recordings, kept_out))
        samples = join(parts, label_source, lookalike, tuple(exclusions))
        if not len(samples):
            raise DatasetError(nothing_left(recordings, samples.exclusions))
        if self.standardise == "running":
            reference = self.baseline_samples(
                recordings, QualityGate(), cache=cache, workers=workers
            )
            return self.against_running(samples, reference)[0]
        return self.standardised(samples)

    def baseline_samples(
        self, recordings: Sequence[Recording], gate: QualityGate, **options: Any
    ) -> Samples | None:
        """Windows that a running baseline is made of: those that follow each other.

        They have the length of the pipeline's windows and touch, from the first sample of each
        recording to its end, whatever the stimuli: a live session knows nothing of stimuli, and
        takes the same windows. A modality of low quality is left out of them.

        Parameters
        ----------
        recordings : sequence of Recording
        gate : QualityGate
        **options
            As for `samples`.

        Returns
        -------
        Samples or None
            None where no recording is long enough for one.
        """
        duration = self.windows.duration
        windows = WindowSpec(duration=duration, anchor="recording", step=duration)
        plain = replace(self, windows=windows, standardise="none", baseline=())
        try:
            samples = plain.samples(recordings, **options)
        except DatasetError:
            return None
        return gate.apply(samples, self.streams, gate.trusted(samples, self.streams))

    def against_running(
        self, samples: Samples, reference: Samples | None
    ) -> tuple[Samples, Float[np.ndarray, " window"]]:
        """Standardise each window against the windows of `reference` that ended before it began.

        Parameters
        ----------
        samples : Samples
            Of this pipeline, without standardisation.
        reference : Samples or None
            From `baseline_samples`.

        Returns
        -------
        samples : Samples
            NaN where fewer than three windows of the reference ended before.
        learned : Float[np.ndarray, "window"]
            Seconds of those windows.

        Raises
        ------
        ConfigError
            If the streams are no feature table, or the order of a subject's recordings is unknown.
        """
        table = _table(samples)
        learned = np.zeros(len(samples))
        x = np.full(table.shape, np.nan)
        if reference is not None and _same_features(samples, reference):
            rows = _table(reference)
            place, of_reference = recording_order(samples, reference)
            start = samples.meta["start"].to_numpy(dtype=float)
            begin = reference.meta["start"].to_numpy(dtype=float)
            end = begin + self.windows.duration
            for subject in np.unique(samples.subjects):
                own = np.flatnonzero(samples.subjects == subject)
                earlier = np.flatnonzero(reference.subjects == subject)
                earlier = earlier[np.lexsort([begin[earlier], of_reference[earlier]])]
                baseline, added = RunningBaseline(table.shape[1]), 0
                for row in own[np.lexsort([start[own], place[own]])]:
                    while added < len(earlier) and (
                        of_reference[earlier[added]] < place[row]
                        or (
                            of_reference[earlier[added]] == place[row]
                            and end[earlier[added]] <= start[row] + ROUNDING
                        )
                    ):
                        baseline.add(rows[earlier[added]])
                        added += 1
                    x[row] = baseline.score(table[row])
                    learned[row] = added * self.windows.duration
        return replace(samples, x=x, target_access=self.target_access), learned

    def gated_samples(
        self, recordings: Sequence[Recording], gate: QualityGate, **options: Any
    ) -> tuple[Samples, list[str]]:
        """Samples as a live session sees them, and per window why a model abstains.

        Parameters
        ----------
        recordings : sequence of Recording
        gate : QualityGate
            Modalities of low quality are set to missing before anything is standardised, so that
            they do not enter a running baseline either.
        **options
            As for `samples`.

        Returns
        -------
        samples : Samples
        abstained : list of str
            Empty where there can be an estimate.
        """
        samples = replace(self, standardise="none", baseline=()).samples(recordings, **options)
        trusted = gate.trusted(samples, self.streams)
        samples = gate.apply(samples, self.streams, trusted)
        reasons = [""] * len(samples)
        if self.standardise == "running":
            options.pop("exclusions", None)
            reference = self.baseline_samples(recordings, gate, **options)
            samples, learned = self.against_running(samples, reference)
            reasons = [gate.learning(float(seconds)) for seconds in learned]
        else:
            samples = self.standardised(samples)
        usable = gate.usable(samples, self.streams, trusted)
        few = gate.abstains(usable)
        return samples, [
            reason or (_too_few(samples, usable, gate, row) if few[row] else "")
            for row, reason in enumerate(reasons)
        ]

    def batches(self, recordings: Sequence[Recording]) -> list[list[Recording]]:
        """Runs of recordings of one subject that are represented, and kept, together."""
        long = any(
            s.encoder is not None and getattr(s.representation, "pictures_of_people", False)
            for s in self.streams
        )
        return _batches(recordings, VIDEO_BATCH if long else BATCH)

    def keys(
        self, batches: Sequence[Sequence[Recording]], cache: Cache | None
    ) -> list[str | None]:
        """Address of each batch in the cache; None where it is not to be kept."""
        if cache is None:
            return [None] * len(batches)
        unfitted = replace(self, standardise="none", baseline=()).identity()
        return keys_of(unfitted, self.streams, batches)

    def parts(
        self,
        batches: Sequence[Sequence[Recording]],
        keys: Sequence[str | None],
        *,
        cache: Cache | None,
        workers: int = 1,
        backend: str | None = None,
    ) -> Iterator[Part]:
        """Parts in the order of the batches, one at a time: kept ones are read, others made.

        Parameters
        ----------
        batches, keys
            From `batches` and `keys`.
        cache : Cache, optional
            A new part goes there before it comes out here. A damaged one is made again.
        workers : int
            Processes.
        backend : str, optional
            ``ray`` or ``dask``: batches go to a cluster.
        """
        there = [key is not None and cache is not None and key in cache for key in keys]
        missing = [batch for batch, known in zip(batches, there, strict=True) if not known]
        stamps = {id(batch): stamps_of(batch) for batch in missing if cache is not None}
        made = iter(self._made(missing, workers if len(missing) > 1 else 1, backend))
        for batch, key, known in zip(batches, keys, there, strict=True):
            kept = cache.get(key) if known and cache is not None and key is not None else None
            if kept is not None:
                yield unpack(kept)
                continue
            part = made_part(self.windows, self.streams, batch) if known else next(made)
            if cache is not None and key is not None:
                refuse_changed(stamps.get(id(batch), {}))  # its key is of the bytes from before
                cache.put(key, pack(part))
            yield part

    def _made(
        self, batches: Sequence[Sequence[Recording]], workers: int, backend: str | None
    ) -> Iterable[Part]:
        if workers == 1 and backend is None:
            return (made_part(self.windows, self.streams, batch) for batch in batches)
        from joblib import Parallel, delayed

        if backend is not None:
            jobs = [delayed(made_part)(self.windows, self.streams, batch) for batch in batches]
            return _on_cluster(backend, workers, jobs)
        here = os.getpid()
        jobs = [
            delayed(_made_part_in_worker)(here, self.windows, self.streams, batch)
            for batch in batches
        ]
        parts: Iterable[Part] = Parallel(n_jobs=workers, return_as="generator")(jobs)
        return parts

    def standardised(self, samples: Samples) -> Samples:
        """Return samples of a pipeline without standardisation, standardised as this one does.

        Parameters
        ----------
        samples : Samples
            Of this pipeline, without standardisation.

        Raises
        ------
        ConfigError
            If the samples are no feature table, or the reference is ``running``: its baseline is
            made of windows of the recordings (`against_running`), not of the samples.
        """
        if self.standardise == "none":
            return samples
        if self.standardise == "running":
            raise ConfigError(
                "a running baseline is made of windows of the recordings, not of the samples: use "
                "Pipeline.samples, or baseline_samples and against_running."
            )
        x = _table(samples)
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
            ),
            target_access=self.target_access,
        )


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
    if not isinstance(values["name"], str):
        raise ConfigError(f"{registry.noun}: name is {values['name']!r}, expected a text.")
    entry = registry.get(values["name"])
    known = [field.name for field in fields(entry)]
    for argument in arguments:
        if argument not in known:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it takes: {', '.join(known)}."
            raise ConfigError(
                f"{registry.noun} '{values['name']}' has no argument '{argument}'; {hint}"
            )
    check_types(f"{registry.noun} '{values['name']}'", entry, arguments)
    try:
        return entry(**arguments)
    except TypeError as error:
        given = ", ".join(f"{k} = {v!r}" for k, v in arguments.items())
        raise ConfigError(
            f"{registry.noun} '{values['name']}' cannot be made of {given}: {error}. A value has "
            "the wrong type."
        ) from error


def encoder_of(values: Mapping[str, Any]) -> Any:
    """The `Encoder` that plain values describe.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is refused.
    """
    from dolorimeter.embeddings import Encoder  # brings torch along

    known = Encoder.__dataclass_fields__
    for key in values:
        if key not in known:
            raise ConfigError(f"encoder has no key '{key}'; it takes: {', '.join(known)}.")
    check_types("encoder", Encoder, values)
    try:
        return Encoder(**values)
    except TypeError as error:
        raise ConfigError(f"encoder: {error}.") from error


def _table(samples: Samples) -> Float[np.ndarray, "window feature"]:
    """The samples as one table of features.

    Raises
    ------
    ConfigError
        If they are none.
    """
    x = samples.x
    if not isinstance(x, np.ndarray) or x.ndim != 2:
        raise ConfigError(
            "standardise works on feature tables; these streams are "
            f"{'several arrays' if not isinstance(x, np.ndarray) else x.shape}. "
            "Use representation 'features', or leave standardise out."
        )
    return x.astype(float)


def _same_features(samples: Samples, reference: Samples) -> bool:
    """Whether the windows of a baseline have the columns of the samples: not if a stream lacks."""
    return samples.feature_names == reference.feature_names


def recording_order(samples: Samples, reference: Samples) -> tuple[Array, Array]:
    """Place of the recording of each row among those of its subject, for both tables.

    Raises
    ------
    ConfigError
        If a subject has several recordings and the data set does not say which came first.
    """
    in_time(samples)  # raises where the order is unknown
    if samples.facts is not None and "clip_index" in samples.facts:
        assert reference.facts is not None
        return samples.facts["clip_index"].to_numpy(), reference.facts["clip_index"].to_numpy()
    return np.zeros(len(samples)), np.zeros(len(reference))


def _too_few(samples: Samples, usable: Usable, gate: QualityGate, row: int) -> str:
    """Why too few modalities of a window count."""
    texts = []
    for name, rows in usable.items():
        if not rows[row]:
            quality = samples.meta.get(f"quality_{name}")
            low = quality is not None and float(quality.iloc[row]) < gate.least_quality
            texts.append(
                f"{name}: quality {float(quality.iloc[row]):.2f}"
                if quality is not None and low
                else f"{name}: samples are missing, no feature can be computed"
            )
    return "; ".join(texts)


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


def _check_memory(size: int, done: int, recordings: int) -> None:
    if size > MEMORY:
        raise ConfigError(
            f"samples of {done:,} of {recordings:,} recordings take {size / 2**30:,.1f} GiB, "
            f"expected at most {MEMORY / 2**30:g} GiB for all. Give the stream an encoder, fewer "
            "frames or subjects, or a lower sampling rate."
        )


def _made_part_in_worker(
    driver: int, spec: WindowSpec, streams: Sequence[Stream], batch: Sequence[Recording]
) -> Part:
    end_with(driver)
    return made_part(spec, streams, batch)


def _on_cluster(backend: str, workers: int, jobs: Sequence[Any]) -> Iterator[Part]:
    """Results in order, a few batches a process at a time: they are not all held here."""
    from joblib import Parallel, parallel_config

    step = CLUSTER_BATCHES * workers
    with cluster(backend, workers), parallel_config(backend, n_jobs=workers):
        for first in range(0, len(jobs), step):
            yield from Parallel()(jobs[first : first + step])


def _to_dict(part: Any) -> dict[str, Any]:
    return {"name": part.card.name, **asdict(part)}


def _batches(recordings: Sequence[Recording], most: int) -> list[list[Recording]]:
    """Runs of at most `most` recordings of one subject."""
    batches: list[list[Recording]] = []
    for recording in recordings:
        last = batches[-1] if batches else None
        if last and last[-1].subject == recording.subject and len(last) < most:
            last.append(recording)
        else:
            batches.append([recording])
    return batches
