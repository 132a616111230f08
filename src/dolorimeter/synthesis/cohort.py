"""What a cohort is asked to be, where its randomness comes from, how its tables are written."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.errors import ConfigError
from dolorimeter.synthesis.population import (
    Design,
    Person,
    Response,
    Session,
    draw_person,
    draw_session,
    is_low_reactive,
)

PERSON, SESSION, BODY, LOSS, WINDOW, EVERYBODY, FACE = range(7)
"""Streams of random numbers of one person."""

SEX_AND_AGE = ("w", "m"), (20, 65)
"""BioVid's people are women and men of 20 to 65 years."""

FACE_RESPONSE = Response("face", ("face",), 2.5, last=True)
"""What face video is driven by; in the design only when video is asked for."""


@dataclass(frozen=True)
class Request:
    """All arguments of a cohort, checked; see `dolorimeter.synthesis.synthesise`."""

    kind: str
    part: str
    subjects: int
    per_condition: int
    conditions: tuple[str, ...]
    effect: float
    noise: float
    movement: float
    artefacts: float
    missing: float
    identity_strength: float
    seed: int
    modalities: tuple[str, ...] = ()
    size: tuple[int, int] = (640, 480)
    confounders: float = 1.0

    def __post_init__(self) -> None:
        for name in ("subjects", "per_condition"):
            if getattr(self, name) < 1:
                raise ConfigError(f"synthesise: {name} is {getattr(self, name)}, expected ≥ 1.")
        for name in ("effect", "noise", "identity_strength", "confounders"):
            value = getattr(self, name)
            if not (np.isfinite(value) and 0 <= value <= 10):
                raise ConfigError(f"synthesise: {name} is {value}, expected a number in 0…10.")
        for name in ("movement", "artefacts", "missing"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"synthesise: {name} is {value}, expected a rate in 0…1.")
        if self.seed < 0:
            raise ConfigError(f"synthesise: seed is {self.seed}, expected a number ≥ 0.")

    @property
    def video(self) -> bool:
        """Whether face video is written."""
        return "video" in self.modalities

    def rng(self, subject: int, *stream: int) -> np.random.Generator:
        """A generator of one person's stream; the same whatever else is drawn.

        The number of people, the conditions written and the number of workers play no part.
        """
        kind = int.from_bytes(f"{self.kind}{self.part}".encode(), "little")
        return np.random.default_rng([self.seed, kind, subject, *stream])


def request_of(parameters: Mapping[str, object]) -> Request:
    """The request that `parameters` of a truth were made from."""
    fields = {k: v for k, v in parameters.items() if k in Request.__dataclass_fields__}
    lists = {k: tuple(v) for k, v in fields.items() if isinstance(v, list)}
    return Request(**{**fields, **lists})  # type: ignore[arg-type]  # from JSON


@dataclass(frozen=True)
class Subject:
    """One person of a cohort, with latents of the whole session."""

    number: int
    name: str
    sex: str
    age: int
    person: Person
    session: Session


@dataclass(frozen=True)
class Written:
    """What the truth keeps of one person: a row, a row for each window, frames of each video."""

    subject: Mapping[str, object]
    windows: Sequence[Mapping[str, object]]
    frames: Sequence[pd.DataFrame] = ()


@dataclass(frozen=True)
class Kind:
    """One published layout.

    Parameters
    ----------
    conditions : tuple of str
    subjects : callable
        ``(part) -> int``: the published number of people.
    per_condition : int
        The published number of windows of a person.
    design : callable
        ``(request) -> Design``.
    write_subject : callable
        ``(request, subject number, root) -> Written``; called in any process.
    write_index : callable
        ``(request, root, all written)``: files about everybody.
    parts : tuple of str
        Parts the layout has; empty where it has none.
    about : str
        Layout and source, for ``LOOKALIKE.json``.
    whole : bool
        Whether all conditions must be written, since files are continuous.
    modalities : tuple of str
        What can be chosen from, the first being written in any case; empty where nothing can.
    """

    conditions: tuple[str, ...]
    subjects: Callable[[str], int]
    per_condition: int
    design: Callable[[Request], Design]
    write_subject: Callable[[Request, int, Path], Written]
    write_index: Callable[[Request, Path, Sequence[Written]], None]
    about: str
    parts: tuple[str, ...] = ()
    whole: bool = False
    modalities: tuple[str, ...] = ()


def draw_subject(
    request: Request, design: Design, number: int, name: Callable[[int, str, int], str]
) -> Subject:
    """Person `number` of a cohort.

    `name` makes the identifier from number, sex and age.
    """
    rng = request.rng(number, PERSON)
    sexes, ages = SEX_AND_AGE
    sex, age = sexes[int(rng.integers(2))], int(rng.integers(ages[0], ages[1] + 1))
    start = float(request.rng(0, EVERYBODY).random())
    person = draw_person(design, is_low_reactive(number, start), rng)
    session = draw_session(design, person, request.rng(number, SESSION))
    return Subject(number, name(number, sex, age), sex, age, person, session)


def subject_row(design: Design, subject: Subject) -> dict[str, object]:
    """The person's row of the truth."""
    row: dict[str, object] = {
        "subject": subject.name,
        "sex": subject.sex,
        "age": subject.age,
        "low_reactive": subject.person.low_reactive,
        "gain": subject.person.gain,
    }
    for i, trait in enumerate(design.traits):
        row[f"base_{trait.name}"] = float(subject.person.base[i])
        row[f"shift_{trait.name}"] = float(subject.person.shift[i])
    return row


def window_row(
    design: Design,
    subject: Subject,
    trial: int,
    recording: str,
    *,
    moved: bool = False,
    artefact: str = "",
    missing: bool = False,
) -> dict[str, object]:
    """A window's row of the truth."""
    session = subject.session
    number = int(session.condition[trial])
    row: dict[str, object] = {
        "subject": subject.name,
        "recording": recording,
        "trial": trial + 1,
        "condition": design.conditions[number],
        "level": number,
        "previous": design.conditions[int(session.condition[trial - 1])] if trial else "",
        "missing": missing,
        "movement": moved,
        "artefact": artefact,
        "drive": float(session.drive[trial]),
    }
    for k, response in enumerate(design.responses):
        row[f"response_{response.name}"] = float(session.responses[trial, k])
    for m, trait in enumerate(design.traits):
        row[f"trait_{trait.name}"] = float(session.traits[trial, m])
    return row


def sample_times(count: int, sampling_rate: float) -> Float[np.ndarray, " time"]:
    """Times of samples in seconds."""
    return np.arange(count) / sampling_rate


def write_columns(
    path: Path, columns: Mapping[str, np.ndarray | Sequence[str | None]], delimiter: str
) -> None:
    """Columns as delimited text with a header, numbers as short as they come, NaN as ``NaN``.

    Round the numbers first: this writes the shortest text that reads back as the same number.
    """
    import pyarrow as pa
    from pyarrow import csv

    arrays = []
    for values in columns.values():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and np.isnan(values).any():
            text = pa.array(values).cast(pa.string()).to_pylist()
            arrays.append(pa.array(["NaN" if word == "nan" else word for word in text]))
        else:
            arrays.append(pa.array(values))
    buffer = io.BytesIO()
    buffer.write((delimiter.join(columns) + "\n").encode())
    table = pa.Table.from_arrays(arrays, names=list(columns))
    options = csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none")
    csv.write_csv(table, buffer, options)
    path.write_bytes(buffer.getvalue())


def write_table(path: Path, rows: Sequence[Mapping[str, object]], delimiter: str) -> None:
    """A small table as delimited text with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = pd.DataFrame(list(rows)).to_csv(sep=delimiter, index=False, lineterminator="\n")
    path.write_text(text, encoding="utf-8", newline="\n")
