"""The tree of an experiment, read from TOML and checked at one boundary."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pydantic
import tomli_w
from jaxtyping import Bool

from dolorimeter import splits
from dolorimeter._on_demand import notice
from dolorimeter.chain import (
    Pipeline,
    Stream,
    build,
    encoder_of,
    reference_of,
)
from dolorimeter.errors import ConfigError, did_you_mean
from dolorimeter.option_types import check_types
from dolorimeter.registry import DATASETS, ESTIMATORS, PREPROCESSING, REPRESENTATIONS
from dolorimeter.samples import Samples
from dolorimeter.storage import write_text
from dolorimeter.toml_files import absolute_paths, parse_toml, read_toml
from dolorimeter.types import Array, Exclusion, Selection, TargetKind
from dolorimeter.windows import WindowSpec

if TYPE_CHECKING:
    from dolorimeter.evaluation import Question

_STRICT = {"extra": "forbid"}

PATH_KEYS = re.compile(
    r"streams\.\d+\.(encoder\.(weights|calibration)|representation\.depth_model)"
    r"|classifier\.arguments\.(.+\.)?\w+_weights"
)
"""Keys of an experiment that hold paths: arguments of estimators are those named ``…_weights``."""


@dataclass(frozen=True)
class DatasetConfig:
    """Which data set, which of its people, and the options of its reader.

    `subjects` is ``"all"``, the name of one of the reader's lists (``"low_reactive"``), that name
    after ``"without "``, or a list of subjects; `first` keeps only so many of them (0: all).
    `columns` names the features of a table.
    """

    __pydantic_config__: ClassVar = _STRICT
    name: str
    subjects: str | tuple[str, ...] = "all"
    first: int = 0
    columns: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def people(self) -> str:
        """Who is asked for, in words that a question can hold."""
        wanted = self.subjects
        text = wanted if isinstance(wanted, str) else " ".join(sorted(wanted))
        return f"{text}, first {self.first}" if self.first else text


@dataclass(frozen=True)
class Task:
    """What is asked of a window.

    `classes` lists the conditions of each class, in order; `names` names the classes. A regressor
    has a `target` instead: a numeric column of the samples' table (``pain_intensity``,
    ``rating_vas``), and `conditions` may restrict it. `lag` pairs each window with the target
    that many seconds later (see `dolorimeter.evaluation.lagged_targets`), default 0.
    """

    __pydantic_config__: ClassVar = _STRICT
    kind: TargetKind = "classifier"
    classes: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] = ()
    target: str = ""
    conditions: tuple[str, ...] = ()
    aggregation: Literal["window", "stimulus", "recording"] = "window"
    lag: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lag) and self.lag >= 0):
            raise ConfigError(f"[task] lag is {self.lag}, expected seconds of at least 0.")
        if self.lag and self.kind != "regressor":
            raise ConfigError(
                f"[task] lag is {self.lag:g} with kind '{self.kind}'; it needs kind = "
                "'regressor', a target that varies in time."
            )
        if self.kind == "regressor":
            if not self.target or self.classes:
                raise ConfigError(
                    "[task] of kind 'regressor' needs target = \"<column>\" and no classes."
                )
            return
        if len(self.classes) < 2:
            raise ConfigError(
                f"[task] has {len(self.classes)} classes, expected at least 2: "
                'classes = [["BL1"], ["PA4"]].'
            )
        flat = [c for group in self.classes for c in group]
        if len(set(flat)) != len(flat):
            raise ConfigError("[task] classes: a condition stands in two classes.")
        if self.names and len(self.names) != len(self.classes):
            raise ConfigError(
                f"[task] has {len(self.names)} names for {len(self.classes)} classes."
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The given names, or the conditions of each class joined by ``/``."""
        return self.names or tuple("/".join(group) for group in self.classes)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Conditions that take part; empty means all."""
        return self.conditions or tuple(c for group in self.classes for c in group)

    def label(self, samples: Samples) -> tuple[Samples, Array]:
        """Samples that take part, and their class indices or targets.

        Raises
        ------
        ConfigError
            If a condition or the target column does not occur.
        """
        found = samples.meta["condition"].astype(str)
        absent = [c for c in self.wanted if c not in set(found)]
        if absent:
            raise ConfigError(
                f"[task] condition(s) {', '.join(absent)} do not occur in the data; of what was "
                f"asked for they have: {', '.join(sorted(set(found)))}."
            )
        part = found.isin(self.wanted).to_numpy() if self.wanted else np.ones(len(found), bool)
        if self.kind == "regressor":
            return self._target(samples, part)
        samples = samples.take(part)
        index = {c: i for i, group in enumerate(self.classes) for c in group}
        return samples, samples.meta["condition"].map(index).to_numpy(dtype=int)

    def _target(
        self, samples: Samples, part: Bool[np.ndarray, " sample"]
    ) -> tuple[Samples, Array]:
        """Samples of `part` whose target is known; the others of `part` are exclusions."""
        if self.target not in samples.meta.columns:
            numeric = samples.meta.select_dtypes("number").columns
            raise ConfigError(
                f"[task] target '{self.target}' is not a column of the samples; numeric columns: "
                f"{', '.join(map(str, numeric))}."
            )
        target = pd.to_numeric(samples.meta[self.target], errors="coerce").to_numpy(dtype=float)
        reason = f"no {self.target}"
        if self.lag:
            from dolorimeter.evaluation import targets_after  # brings scikit-learn along

            target = targets_after(samples, target, self.lag)
            reason += f" {self.lag:g} s later"
        known = np.isfinite(target)
        lost = samples.meta[part & ~known]
        kept_out = tuple(
            Exclusion(str(s), str(r), "window", reason)
            for s, r in zip(lost["subject"], lost["recording"], strict=True)
        )
        notes = samples.notes
        if self.lag:
            notes += (f"the target of each window is {self.target} {self.lag:g} s later",)
        samples = replace(samples, exclusions=samples.exclusions + kept_out, notes=notes)
        return samples.take(part & known), target[part & known]


@dataclass(frozen=True)
class StreamConfig:
    """One modality: which signal or video, how it is preprocessed, how it is represented.

    `margin` is how many seconds before the window its window-wise steps see, for a baseline.
    Each entry of `preprocessing`, and `representation`, is a table with a ``name`` and the
    arguments of that step. `encoder` is a table with the fields of `embeddings.Encoder`; `pooling`
    says how the embeddings of a window are joined.
    """

    __pydantic_config__: ClassVar = _STRICT
    modality: str
    name: str = ""
    margin: float = 0.0
    preprocessing: tuple[Mapping[str, Any], ...] = ()
    representation: Mapping[str, Any] = field(default_factory=lambda: {"name": "features"})
    encoder: Mapping[str, Any] | None = None
    pooling: str = "none"


@dataclass(frozen=True)
class Named:
    """A registered name and its arguments."""

    __pydantic_config__: ClassVar = _STRICT
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One question and one way to answer it: the tree that a TOML file spells out.

    `standardise` is ``none`` or the reference of a standardisation within subject; a
    ``declared_baseline`` names its conditions in `baseline`. `demographics` names
    columns (``sex``, ``treatment``) whose score gaps are reported. `seeds` gives one run of every
    fold per seed.
    `as_live` applies the quality gate of a live session to every window, in training and in test:
    modalities of low quality are missing, and windows on which a session abstains are exclusions.
    `target_access` declares that self-supervised weights may have met the people under test, as
    ``unlabelled_target``; without it such weights are refused.
    """

    __pydantic_config__: ClassVar = _STRICT
    title: str
    dataset: DatasetConfig
    task: Task
    classifier: Named
    split: Named
    test_dataset: DatasetConfig | None = None
    windows: Mapping[str, Any] = field(default_factory=dict)
    streams: tuple[StreamConfig, ...] = ()
    standardise: str = "none"
    baseline: tuple[str, ...] = ()
    as_live: bool = False
    selection: Selection = "fixed"
    seeds: tuple[int, ...] = (0,)
    demographics: tuple[str, ...] = ()
    target_access: Literal["none", "unlabelled_target"] = "none"
    paper: str = ""
    note: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """Old name of `demographics`."""
        notice("Experiment.groups", "Experiment.demographics")
        return self.demographics

    def chain(self) -> Pipeline | None:
        """The stages that the experiment names, or None for a feature table.

        Raises
        ------
        ConfigError
            If a name or an argument is unknown.
        """
        if not self.streams:
            if self.windows:  # what the user states of a table's windows goes into the question
                self._window_spec()
            return None
        streams = chain_streams(self.streams)
        if self.standardise != "none":
            reference_of(self.standardise)
        return Pipeline(self._window_spec(), streams, self.standardise, self.baseline)

    def _window_spec(self) -> WindowSpec:
        check_types("[windows]", WindowSpec, self.windows)
        everything = self.standardise == "all_recording" or not self.task.wanted
        conditions = () if everything else (*self.task.wanted, *self.baseline)
        return window_spec(self.windows, conditions)

    def estimator(self) -> Any:
        """A new estimator, not fitted.

        Raises
        ------
        ConfigError
            If the name or an argument is unknown.
        """
        entry = ESTIMATORS.get(self.classifier.name)
        arguments = dict(self.classifier.arguments)
        where = f"estimator '{self.classifier.name}'"
        _check_arguments(where, entry, arguments)
        try:
            return entry(**arguments)
        except TypeError as error:
            raise ConfigError(f"{where}: {error}.") from error

    def question(self, part: str = "") -> Question:
        """What is asked, in the form that is hashed and compared.

        Parameters
        ----------
        part : str, default ""
            Of the data set.
        """
        from dolorimeter.evaluation import Question  # brings scikit-learn along

        shifted = {
            s.name or s.modality: {
                k: s.representation[k] for k in ("offset", "duration") if k in s.representation
            }
            for s in self.streams
            if {"offset", "duration"} & set(s.representation)
        }
        source = self.dataset.options.get("source", "")
        subset = self.dataset.people
        if self.test_dataset is not None:
            options = "".join(f", {k} {v}" for k, v in sorted(self.test_dataset.options.items()))
            subset += f"; tested on {self.test_dataset.name}, {self.test_dataset.people}{options}"
        return Question(
            dataset=self.dataset.name,
            part=part,
            subset=subset,
            windows=dict(self.windows)
            | {"shifted": shifted, "source": source}
            | ({"as_live": True} if self.as_live else {}),
            task={
                "kind": self.task.kind,
                "classes": [list(group) for group in self.task.classes],
                "names": list(self.task.class_names),
                "target": self.task.target,
                "conditions": list(self.task.wanted),
            }
            | ({"lag": self.task.lag} if self.task.lag else {}),
            split={"name": self.split.name, "arguments": dict(self.split.arguments)},
            selection=self.selection,
            aggregation=self.task.aggregation,
        )


def split_of(split: Named) -> Any:
    """The split that is named, of `dolorimeter.splits`.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown.
    """
    if split.name not in splits.SPLITS:
        raise ConfigError(
            f"[split] name is '{split.name}'; "
            f"{did_you_mean(split.name, [*splits.SPLITS, 'official'], 'expected one of:')}"
        )
    make: Any = splits.SPLITS[split.name]
    _check_arguments(f"[split] {split.name}", make, split.arguments)
    try:
        return make(**split.arguments)
    except TypeError as error:
        known = ", ".join(inspect.signature(make).parameters) or "none"
        raise ConfigError(
            f"[split] {split.name} takes the arguments: {known}. ({error})"
        ) from error


def _check_arguments(where: str, make: Any, arguments: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an argument that a class or function does not take."""
    parameters = inspect.signature(make).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return  # it checks its arguments itself
    for name in arguments:
        if name not in parameters:
            raise ConfigError(
                f"{where} takes no argument '{name}'; "
                f"{did_you_mean(name, parameters, 'it takes:')}"
            )


def chain_streams(streams: Sequence[StreamConfig]) -> tuple[Stream, ...]:
    """What the `StreamConfig` tables describe.

    Raises
    ------
    ConfigError
        If a name or an argument is unknown, or two streams have the same name.
    """
    found = []
    for stream in streams:
        encoder = None if stream.encoder is None else encoder_of(stream.encoder)
        found.append(
            Stream(
                stream.name or stream.modality,
                tuple(_step(step, stream.modality) for step in stream.preprocessing),
                _represented(stream, encoder),
                stream.margin,
                encoder,
                stream.pooling,
            )
        )
    names = [s.name for s in found]
    if len(set(names)) != len(names):
        raise ConfigError(f"[[streams]] names are {names}: give each stream its own name.")
    return tuple(found)


def window_spec(windows: Mapping[str, Any], conditions: Sequence[str]) -> WindowSpec:
    """What the table ``[windows]`` describes, for these conditions (none: all).

    Raises
    ------
    ConfigError
        If a key is unknown, or there is no duration.
    """
    if "duration" not in windows:
        raise ConfigError("[windows] needs duration = <seconds>.")
    known = {f.name for f in fields(WindowSpec)} - {"conditions"}
    for key in windows:
        if key not in known:
            raise ConfigError(
                f"[windows] has no key '{key}'; {did_you_mean(key, sorted(known), 'it takes:')}"
            )
    return WindowSpec(**windows, conditions=tuple(dict.fromkeys(conditions)))


def _represented(stream: StreamConfig, encoder: Any) -> Any:
    """The representation; one that says no size draws what the encoder takes."""
    values = {"modality": stream.modality, **stream.representation}
    entry = REPRESENTATIONS.get(values["name"]) if isinstance(values.get("name"), str) else None
    if encoder is not None and "size" in getattr(entry, "__dataclass_fields__", ()):
        values = {"size": encoder.input.shape[-1], **values}
    return build(REPRESENTATIONS, values)


def _step(values: Mapping[str, Any], modality: str) -> Any:
    """A preprocessing step that acts on the stream's own modality unless it names others."""
    step = build(PREPROCESSING, values)
    return step if step.modalities else step.only(modality)


def read_experiment(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    paths_exist: bool = False,
) -> Experiment:
    """Read an experiment from TOML.

    Paths in the file are relative to it. The experiment has them as absolute paths.

    Parameters
    ----------
    path : str or Path
        The file.
    overrides : mapping, optional
        Dotted keys and values that replace those of the file
        (``{"classifier.arguments.epochs": 5}``). Their paths are relative to the current folder.
    paths_exist : bool, default False
        Whether to raise if a path leads nowhere, before anything is computed.

    Raises
    ------
    ConfigError
        Naming the file, the key, its value and the expected value.
    """
    return experiment_from(read_values(path, overrides, paths_exist=paths_exist), str(path))


def read_values(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    paths_exist: bool = False,
) -> dict[str, Any]:
    """Read the plain values of an experiment file; see `read_experiment`."""
    return read_toml(path, overrides, path_keys=PATH_KEYS, paths_exist=paths_exist)


def of_epochs(path: str | Path, epochs: int) -> dict[str, Any]:
    """Overrides that train an experiment's network for so many epochs.

    They are set where the file has them: a fusion or a wrapper holds a network's inside its own
    arguments. Its warm-up keeps its share of them, rounded down: 5 of 50 become 1 of 10 and 0 of
    1.

    Raises
    ------
    ConfigError
        If there is no such file, or it is no TOML.
    """
    arguments = parse_toml(path).get("classifier", {}).get("arguments", {})
    place, arguments = _outermost("epochs", "classifier.arguments", arguments)
    found = {f"{place}.epochs": epochs}
    own, warm = arguments.get("epochs"), arguments.get("warmup_epochs")
    if isinstance(own, int) and isinstance(warm, int) and own > 0:
        found[f"{place}.warmup_epochs"] = warm * epochs // own
    return found


def _outermost(key: str, place: str, table: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The outermost table that holds a key, and its dotted place; the first where none does."""
    waiting = [(place, table)]
    for at, each in waiting:  # grows as it goes
        if key in each:
            return at, each
        waiting += [(f"{at}.{name}", v) for name, v in each.items() if isinstance(v, dict)]
    return place, table


def experiment_from(values: Mapping[str, Any], where: str = "experiment") -> Experiment:
    """Check plain values and make the experiment they describe.

    Relative paths are those of the current folder.

    Raises
    ------
    ConfigError
        One line a fault: the key, what was found, what was wanted.
    """
    if "groups" in values:
        notice(f"{where}: the key groups", "demographics", stacklevel=3)
        values = {"demographics" if k == "groups" else k: v for k, v in values.items()}
    experiment: Experiment = checked(Experiment, absolute_paths(values, PATH_KEYS), where)
    experiment.chain()
    experiment.estimator()
    if experiment.split.name != "official":  # those are the reader's
        split_of(experiment.split)
    DATASETS.get(experiment.dataset.name)
    return experiment


def checked(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    """The dataclass `kind` made of plain values.

    Raises
    ------
    ConfigError
        One line a fault: the key, what was found, what was wanted.
    """
    try:
        return pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        faults = [_fault(e) for e in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(faults)) from error


def write_experiment(path: str | Path, experiment: Experiment) -> None:
    """Write the experiment as TOML that `read_experiment` reads back.

    Its paths are written as absolute paths, so that the file may be moved.
    """
    write_text(Path(path), tomli_w.dumps(absolute_paths(plain(experiment), PATH_KEYS)))


def plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value)})
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def _fault(error: Any) -> str:
    """One pydantic error in the project's words."""
    key = ".".join(str(part) for part in error["loc"]) or "(top level)"
    if error["type"] == "unexpected_keyword_argument":
        parent = error["loc"][:-1]
        return f"unknown key '{key}'; {did_you_mean(str(error['loc'][-1]), _keys(parent))}"
    if error["type"] in ("missing", "missing_argument"):
        return f"'{key}' is missing"
    found = str(error.get("input"))[:60]
    if error["type"] in ("tuple_type", "list_type"):
        example = ' such as [["none"], ["pain"]]' if key.startswith("task.classes") else ""
        return f"'{key}' is {found!r}, expected a list{example}"
    if error["type"] in ("dict_type", "dataclass_type", "mapping_type"):
        return f"'{key}' is {found!r}, expected a table such as {{ name = \"{found}\" }}"
    return f"'{key}' is {found!r}: {error['msg']}"


def _keys(parent: Sequence[Any]) -> list[str]:
    tables = {
        "dataset": DatasetConfig,
        "test_dataset": DatasetConfig,
        "task": Task,
        "streams": StreamConfig,
        "classifier": Named,
        "split": Named,
    }
    table = tables.get(str(parent[0]), Experiment) if parent else Experiment
    return [f.name for f in fields(table)]
