"""`synthesise`: a cohort in a published layout, whole or not at all, the same for a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

import dolorimeter
from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.storage import atomic_path, write_json, write_parquet
from dolorimeter.synthesis.cohort import Request, Written
from dolorimeter.synthesis.kinds import KINDS
from dolorimeter.synthesis.truth import FOLDER, FRAMES, Truth

SMALLEST, LARGEST = 96, 4096
"""Pixels of a side of the video's picture."""
OF_VIDEO = ("modalities", "size", "confounders")
"""Arguments that are kept only where there is video."""
MARK = "LOOKALIKE.json"
NOTICE = (
    "Synthesised by dolorimeter. There is no person behind these data: every number was drawn "
    "from a model. For tests of software only; results on it say nothing about pain."
)


def synthesise(
    kind: str,
    out: str | Path,
    *,
    seed: int = 0,
    subjects: int | None = None,
    per_condition: int | None = None,
    conditions: Sequence[str] | None = None,
    part: str | None = None,
    modalities: Sequence[str] | None = None,
    effect: float = 1.0,
    noise: float = 1.0,
    movement: float = 0.05,
    artefacts: float = 0.0,
    missing: float = 0.0,
    identity_strength: float = 1.0,
    size: Sequence[int] = (640, 480),
    confounders: float = 1.0,
    workers: int = 1,
) -> Truth:
    """Write a look-alike cohort with known truth. There is no person behind these data.

    The same arguments give the same bytes, whatever the number of workers. Each person and each
    window has random numbers of its own: fewer subjects or conditions give a subset of the files.

    Parameters
    ----------
    kind : str
        A name of `KINDS`: the published layout.
    out : path
        A folder that is empty or absent. It appears when all is written.
    seed : int
    subjects : int, optional
        Number of people; default the published number.
    per_condition : int, optional
        Windows of each condition and person; default the published number.
    conditions : sequence of str, optional
        Those to write. People go through the whole session anyhow.
    part : str, optional
        Of BioVid: ``"A"`` (default) or ``"B"``.
    modalities : sequence of str, optional
        Of BioVid ``"signals"``, ``"video"``; of AI4Pain 2024 ``"fnirs"``, ``"video"``. Default all
        but the video; signals are written in any case, the same with video and without.
    effect : float
        Strength of everything that depends on the level; at 0 nothing does.
    noise : float
        Strength of what instruments and the rest of the body add. The latents have a variation of
        their own that this leaves alone, so the Bayes accuracy does not depend on it.
    movement : float
        Share of windows in which the person moves, at any level alike.
    artefacts : float
        Share of signals that are clipped, flat, have a gap of NaN, or move alone.
    missing : float
        Share of files that are not there.
    identity_strength : float
        How far levels shift in a direction of each person's own. It tells nothing of a person
        never seen, and much of a person whose other windows were trained on: at 1 a split that
        leaves windows, not people, out is inflated by 10 points or more; at 0 by nothing.
    size : (int, int)
        Width and height of the video in pixels; BioVid's published size is 1388 × 1038.
    confounders : float
        Rate of what a face does at any level alike: blink, talk, smile, a hand before the face,
        and how far head and light move. At 0 none of it.
    workers : int
        Processes.

    Returns
    -------
    Truth
        Also kept under ``out/truth``; see `Truth.load`.

    Raises
    ------
    UnknownNameError
        An unknown kind.
    ConfigError
        Arguments that make no sense, or a folder with something in it.
    StorageError
        If it cannot be written.
    """
    whole = {
        "seed": seed,
        "subjects": subjects,
        "per_condition": per_condition,
        "workers": workers,
    }
    numbers = {
        "effect": effect,
        "noise": noise,
        "movement": movement,
        "artefacts": artefacts,
        "missing": missing,
        "identity_strength": identity_strength,
        "confounders": confounders,
    }
    _check_types(whole, numbers, {"conditions": conditions, "modalities": modalities})
    request = _request(
        kind,
        subjects=subjects,
        per_condition=per_condition,
        conditions=conditions,
        part=part,
        effect=effect,
        noise=noise,
        movement=movement,
        artefacts=artefacts,
        missing=missing,
        identity_strength=identity_strength,
        seed=seed,
        modalities=modalities,
        size=size,
        confounders=confounders,
    )
    if workers < 1:
        raise ConfigError(f"synthesise: workers is {workers}, expected ≥ 1.")
    out = Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out}: is {'not empty' if out.is_dir() else 'a file'}, expected a folder that is "
            "empty or absent. Nothing was written; choose another, or empty it yourself."
        )
    with atomic_path(out) as part_path:
        part_path.mkdir()
        truth = _write(request, part_path, workers)
    return replace(truth, root=out)


def _check_types(
    whole: Mapping[str, object], numbers: Mapping[str, object], lists: Mapping[str, object]
) -> None:
    """Values that come from a command line may be of any type.

    Raises
    ------
    ConfigError
    """
    wanted: tuple[tuple[Mapping[str, object], type | tuple[type, ...], str], ...] = (
        (whole, int, "a whole number"),
        (numbers, (int, float), "a number"),
        (lists, (list, tuple, str), "a list of names"),  # of a text more is said below
    )
    for values, types, words in wanted:
        for name, value in values.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, types)):
                raise ConfigError(f"synthesise: {name} is {value!r}, expected {words}.")


def _request(
    kind: str,
    *,
    subjects: int | None,
    per_condition: int | None,
    conditions: Sequence[str] | None,
    part: str | None,
    effect: float,
    noise: float,
    movement: float,
    artefacts: float,
    missing: float,
    identity_strength: float,
    seed: int,
    modalities: Sequence[str] | None,
    size: Sequence[int],
    confounders: float,
) -> Request:
    if kind not in KINDS:
        raise UnknownNameError(f"synthesise: no kind {kind!r}; there are {', '.join(KINDS)}.")
    layout = KINDS[kind]
    if part is not None and part not in layout.parts:
        having = f"expected one of {layout.parts}" if layout.parts else "it has no parts"
        raise ConfigError(f"synthesise {kind}: part is {part!r}; {having}.")
    part = part or (layout.parts[0] if layout.parts else "")
    chosen = layout.conditions if conditions is None else tuple(conditions)
    unknown = sorted(set(chosen) - set(layout.conditions))
    if unknown or not chosen or isinstance(conditions, str):
        raise ConfigError(
            f"synthesise {kind}: conditions are {conditions!r}; expected a list of some of "
            f"{', '.join(layout.conditions)}."
        )
    if layout.whole and set(chosen) != set(layout.conditions):
        raise ConfigError(
            f"synthesise {kind}: conditions are {conditions!r}; its files are continuous and hold "
            f"all of {', '.join(layout.conditions)}. Leave `conditions` out."
        )
    return Request(
        kind=kind,
        part=part,
        subjects=layout.subjects(part) if subjects is None else subjects,
        per_condition=layout.per_condition if per_condition is None else per_condition,
        conditions=tuple(c for c in layout.conditions if c in chosen),
        effect=float(effect),
        noise=float(noise),
        movement=float(movement),
        artefacts=float(artefacts),
        missing=float(missing),
        identity_strength=float(identity_strength),
        seed=seed,
        modalities=_modalities(kind, modalities),
        size=_size(size),
        confounders=float(confounders),
    )


def _modalities(kind: str, chosen: Sequence[str] | None) -> tuple[str, ...]:
    known = KINDS[kind].modalities
    if chosen is None:
        return known[:1]
    if not known:
        raise ConfigError(f"synthesise {kind}: takes no modalities; it writes all its signals.")
    if isinstance(chosen, str) or not chosen or set(chosen) - set(known):
        raise ConfigError(
            f"synthesise {kind}: modalities are {chosen!r}; expected a list of some of "
            f"{', '.join(known)}."
        )
    return tuple(name for name in known if name in {known[0], *chosen})


def _size(size: object) -> tuple[int, int]:
    given = tuple(size) if isinstance(size, Sequence) else ()
    even = all(type(n) is int and SMALLEST <= n <= LARGEST and n % 2 == 0 for n in given)
    if len(given) != 2 or not even:
        raise ConfigError(
            f"synthesise: size is {size}, expected width and height of the video: even numbers of "
            f"{SMALLEST}…{LARGEST} pixels, such as (640, 480)."
        )
    return given[0], given[1]


def _write(request: Request, root: Path, workers: int) -> Truth:
    written = _write_subjects(request, root, workers)
    KINDS[request.kind].write_index(request, root, written)
    parameters: dict[str, object] = {
        name: getattr(request, name) for name in Request.__dataclass_fields__
    }
    if request.video:
        frames = pd.concat([clip for one in written for clip in one.frames], ignore_index=True)
        write_parquet(root / FOLDER / FRAMES, frames)
        parameters |= {name: list(getattr(request, name)) for name in ("modalities", "size")}
    else:  # without video a cohort is what it was before there was any
        parameters = {k: v for k, v in parameters.items() if k not in OF_VIDEO}
    parameters |= {"conditions": list(request.conditions), "version": dolorimeter.__version__}
    truth = Truth(
        design=KINDS[request.kind].design(request),
        parameters=parameters,
        windows=pd.DataFrame([row for one in written for row in one.windows]),
        subjects=pd.DataFrame([one.subject for one in written]),
    )
    truth.save(root)
    about = {"what": NOTICE, "layout": KINDS[request.kind].about, "parameters": parameters}
    write_json(root / MARK, about)
    return truth


def _write_subjects(request: Request, root: Path, workers: int) -> list[Written]:
    layout = KINDS[request.kind]
    numbers = range(request.subjects)
    if workers == 1 or request.subjects == 1:
        return [layout.write_subject(request, number, root) for number in numbers]
    from joblib import Parallel, delayed

    jobs = (delayed(_write_one)(request, number, root) for number in numbers)
    return list(Parallel(n_jobs=min(workers, request.subjects))(jobs))


def _write_one(request: Request, number: int, root: Path) -> Written:
    return KINDS[request.kind].write_subject(request, number, root)
