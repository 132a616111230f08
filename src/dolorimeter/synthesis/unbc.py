"""Look-alikes of UNBC-McMaster's labels: FACS and PSPI of frames, ratings of sequences; no images.

The layout is written from the published description (Lucey et al. 2011, Face and Gesture, and
Prkachin & Solomon 2008, Pain 139:267–274, for PSPI). Published people have numbers up to 124;
these begin at 901, with the initials zz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dolorimeter.synthesis.cohort import (
    LOSS,
    WINDOW,
    Kind,
    Request,
    Subject,
    Written,
    draw_subject,
    subject_row,
    window_row,
)
from dolorimeter.synthesis.population import Design, Response

CONDITIONS = ("unaff", "aff")
DOSES = (0.0, 1.0)
FIRST_ID = 901
FRAMES = (90, 394)
"""Fewest and most frames of a sequence; 242 on average, as published (48,398 in 200)."""
MOVEMENTS = ("aa", "ae", "af", "ai", "pa", "pe", "pf", "pi")
"""Active or passive; abduction, external rotation, flexion, internal rotation."""
SCALES: Mapping[str, tuple[float, float]] = {
    "AFF": (15.0, 1.0),
    "OPR": (5.0, 0.5),
    "SEN": (15.0, 1.0),
    "VAS": (10.0, 0.6),
}
"""Highest value, and how far a rating strays, as a share of a tenth of it."""
PAIN_UNITS = (4, 6, 7, 9, 10, 43)
OTHER_UNITS = (12, 20, 25, 26, 45)
"""Coded too, without a part in PSPI: 45 is a blink, which is not 43."""


class _Tests:
    """Tests of the affected and the other shoulder in random order."""

    def __init__(self, per_condition: int) -> None:
        self.per_condition = per_condition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tests) and other.per_condition == self.per_condition

    def __hash__(self) -> int:
        return hash(self.per_condition)

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(np.repeat([0, 1], self.per_condition))


def design(request: Request) -> Design:
    """One latent: the pain of a sequence. Labels tell nobody apart, so there is no trait."""
    return Design(
        CONDITIONS,
        DOSES,
        (Response("pain", ("labels",), 2.5),),
        (),
        _Tests(request.per_condition),
        request.effect,
        request.identity_strength,
    )


def sequence_names(subject: Subject) -> list[str]:
    """``zz901t1aaaff``: initials and number, trial, movement, shoulder."""
    initials = subject.name.partition("-")[2]
    names = []
    counts = [0, 0]
    for number in subject.session.condition:
        trial, movement = divmod(counts[number], len(MOVEMENTS))
        names.append(f"{initials}t{trial + 1}{MOVEMENTS[movement]}{CONDITIONS[number]}")
        counts[number] += 1
    return names


def action_units(
    pain: float, frames: int, noise: float, rng: np.random.Generator
) -> dict[int, Int[np.ndarray, " frame"]]:
    """FACS intensity of each frame, 0 to 5 (AU43 0 or 1): none of it most of the time.

    Parameters
    ----------
    pain : float
        Of the sequence, 0 to 10.
    """
    at = np.arange(frames)
    coded = {unit: np.zeros(frames, dtype=np.int64) for unit in (*PAIN_UNITS, *OTHER_UNITS)}
    for _ in range(rng.poisson(0.45 * pain)):
        centre, half = rng.uniform(0, frames), rng.uniform(15, 45)
        shape = np.maximum(1 - ((at - centre) / half) ** 2, 0.0)
        peak = np.clip(0.35 * pain + noise * rng.normal(), 0.0, 5.0)
        for unit in PAIN_UNITS[:-1]:
            if rng.random() < 0.55:
                level = np.rint(shape * peak * rng.uniform(0.6, 1.1)).astype(np.int64)
                coded[unit] = np.clip(np.maximum(coded[unit], level), 0, 5)
        if rng.random() < 0.3:
            coded[43] = np.maximum(coded[43], (shape > 0.5).astype(np.int64))
    for unit in OTHER_UNITS:
        for _ in range(rng.poisson(0.6)):
            first = int(rng.integers(frames))
            length = int(rng.integers(2, 6) if unit == 45 else rng.integers(10, 60))
            coded[unit][first : first + length] = int(rng.integers(1, 4))
    return coded


def pspi(coded: Mapping[int, Int[np.ndarray, " frame"]]) -> Int[np.ndarray, " frame"]:
    """AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, 0 to 16."""
    upper, lower = np.maximum(coded[6], coded[7]), np.maximum(coded[9], coded[10])
    return coded[4] + upper + lower + coded[43]


def ratings(pain: float, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """Ratings of a sequence on its four scales."""
    found = {}
    for scale, (highest, stray) in SCALES.items():
        value = highest / 10 * (pain + noise * stray * rng.standard_normal())
        found[scale] = float(np.clip(np.rint(value), 0.0, highest))
    return found


def write_subject(request: Request, number: int, root: Path) -> Written:
    """Labels of all sequences of one person."""
    latents = design(request)
    subject = draw_subject(request, latents, number, _name)
    windows = []
    for trial, name in enumerate(sequence_names(subject)):
        condition = CONDITIONS[subject.session.condition[trial]]
        if condition not in request.conditions:
            continue
        rng = request.rng(number, WINDOW, trial)
        pain = float(np.clip(1.0 + 1.4 * subject.session.responses[trial, 0], 0.0, 10.0))
        frames = int(rng.integers(*FRAMES, endpoint=True))
        coded = action_units(pain, frames, request.noise, rng)
        lost = request.rng(number, LOSS, trial)
        gone = _write_frames(root, subject.name, name, coded, lost, request.missing)
        _write_ratings(root, subject.name, name, ratings(pain, request.noise, rng))
        row = window_row(latents, subject, trial, name)
        windows.append({**row, "frames": frames, "missing_frames": gone, "pain": pain})
    return Written(subject_row(latents, subject), windows)


def _name(number: int, _sex: str, _age: int) -> str:
    return f"{FIRST_ID + number}-zz{FIRST_ID + number}"


def _write_frames(
    root: Path,
    subject: str,
    sequence: str,
    coded: Mapping[int, Int[np.ndarray, " frame"]],
    lost: np.random.Generator,
    missing: float,
) -> int:
    """Two files a frame; how many frames have none."""
    folders = [root / "Frame_Labels" / tree / subject / sequence for tree in ("PSPI", "FACS")]
    for folder in folders:
        folder.mkdir(parents=True)
    score = pspi(coded)
    gone = lost.random(len(score)) < missing
    for frame in np.flatnonzero(~gone):
        file = f"{sequence}{frame + 1:03d}_facs.txt"
        (folders[0] / file).write_bytes(_line(float(score[frame])))
        units = [(unit, values[frame]) for unit, values in coded.items() if values[frame]]
        lines = [_line(float(unit), float(value), 0.0, 0.0) for unit, value in units]
        (folders[1] / file).write_bytes(b"".join(lines))
    return int(gone.sum())


def _write_ratings(root: Path, subject: str, sequence: str, values: Mapping[str, float]) -> None:
    for scale, value in values.items():
        folder = root / "Sequence_Labels" / scale / subject
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{sequence}.txt").write_bytes(_line(value))


def _line(*numbers: float) -> bytes:
    return ("".join(f"   {number:.7e}" for number in numbers) + "\n").encode()


def _no_index(_request: Request, _root: Path, _written: Sequence[Written]) -> None:
    """There are no files about everybody."""


def _subjects(_part: str) -> int:
    return 25


KIND = Kind(
    conditions=CONDITIONS,
    subjects=_subjects,
    per_condition=4,
    design=design,
    write_subject=write_subject,
    write_index=_no_index,
    about="UNBC-McMaster shoulder pain archive: labels of frames and sequences; no images.",
)
