"""Look-alikes of BioVid, parts A and B: a tab-separated file a clip of 5.5 s at 512 Hz, and video.

The layout is written from the published description (Walter et al. 2013,
doi:10.1109/CYBConf.2013.6617456). Dates of the published subject names lie in the second half of
the year; these lie in the first half of the year 99, so no name is anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError
from dolorimeter.synthesis import physiology
from dolorimeter.synthesis.cohort import (
    BODY,
    FACE_RESPONSE,
    LOSS,
    WINDOW,
    Kind,
    Request,
    Subject,
    Written,
    draw_subject,
    sample_times,
    subject_row,
    window_row,
    write_columns,
    write_table,
)
from dolorimeter.synthesis.disturbance import disturb
from dolorimeter.synthesis.population import Design, Response, Trait

if TYPE_CHECKING:
    from dolorimeter.synthesis.face_video import FaceVideo
else:
    from typing import Any as FaceVideo

SAMPLING_RATE = 512.0
ROWS = 2816
"""5.5 s."""
CONDITIONS = ("BL1", "PA1", "PA2", "PA3", "PA4")
DOSES = (0.0, 0.1, 0.25, 0.55, 1.0)
SUBJECTS = {"A": 87, "B": 86}
FRAMES, FRAME_RATE = 138, 25.0
"""Of a clip's video."""
STIMULUS = -1.0
"""Seconds from a clip's start at which its stimulus began: clips are cut after it."""
YEAR = "99"
DAYS = 28
MONTHS = 6

SKIN_LEVEL, SKIN_SCALE = 4.0, 0.04
"""Microsiemens at the middle person, and logarithm for one unit of the trait."""
SCR_AMPLITUDE, SCR_SCALE = 0.03, 0.6
"""Microsiemens at response 0, and logarithm for one unit: amplitudes are lognormal."""
HEART_RATE, HEART_SCALE = 72.0, 1.0
HEART_RISE = 2.0
"""Per minute, for one unit of the response."""
MUSCLES = {"trapezius": (6.0, 0.25), "corrugator": (3.0, 0.5), "zygomaticus": (3.0, 0.3)}
"""Tone in microvolts at the middle person, and burst (of the tone) at response 0."""
TONE_SCALE, BURST_SCALE = 0.06, 0.6
"""Logarithm for one unit of the trait, and of the response."""
R_WAVE = 900.0
"""Microvolts at the middle person."""
LEAKAGE = 0.02
"""Share of the ECG in the trapezius EMG, at the middle person: the heart's field reaches
muscles of the trunk (Drake & Callaghan 2006, J Electromyogr Kinesiol 16:175–187)."""


def design(request: Request) -> Design:
    """Sessions of all five levels in random order; part B has two facial muscles more."""
    responses = [
        Response("scr", ("eda",), 4.2),
        Response("heart_rise", ("ecg", "emg_trapezius"), 1.5),
        Response("burst_trapezius", ("emg_trapezius",), 1.5),
    ]
    if request.part == "B":
        responses += [
            Response("burst_corrugator", ("emg_corrugator",), 1.3),
            Response("burst_zygomaticus", ("emg_zygomaticus",), 0.6),
        ]
    if request.video:
        responses.append(FACE_RESPONSE)
    traits = (
        Trait("skin_level", ("eda",), 20.0, 9.0),
        Trait("heart_rate", ("ecg", "emg_trapezius"), 12.0, 7.0),
        Trait("tone_trapezius", ("emg_trapezius",), 16.0, 9.0),
    )
    return Design(
        CONDITIONS,
        DOSES,
        tuple(responses),
        traits,
        _Order(request.per_condition),
        request.effect,
        request.identity_strength,
    )


class _Order:
    """All levels, equally often, in random order; equal and hashable by its count."""

    def __init__(self, per_condition: int) -> None:
        self.per_condition = per_condition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Order) and other.per_condition == self.per_condition

    def __hash__(self) -> int:
        return hash(self.per_condition)

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(np.repeat(np.arange(len(CONDITIONS)), self.per_condition))


def subject_name(number: int, sex: str, age: int) -> str:
    """``MMDDYY_sex_age`` on a day of the first half of the year 99 (then 98, 97 …)."""
    year, day = divmod(number, DAYS * MONTHS)
    month, day = divmod(day, DAYS)
    return f"{month + 1:02d}{day + 1:02d}{int(YEAR) - year:02d}_{sex}_{age}"


def columns(part: str) -> tuple[str, ...]:
    """Names of the signals in a file of that part."""
    face = ("emg_corrugator", "emg_zygomaticus") if part == "B" else ()
    return ("gsr", "ecg", "emg_trapezius", *face)


def clips(
    request: Request, latents: Design, subject: Subject, trials: Sequence[int]
) -> dict[str, Float[np.ndarray, "window time"]]:
    """Signals of some windows of a person, undisturbed, in microsiemens and microvolts."""
    body = request.rng(subject.number, BODY)
    own = request.identity_strength * body.standard_normal(6)
    breathing, rsa = 0.25 * np.exp(0.15 * own[0]), 2.5 * np.exp(0.3 * own[1])
    r_wave, leakage = R_WAVE * np.exp(0.25 * own[2]), LEAKAGE * np.exp(0.5 * own[3])
    facial = {"tone_corrugator": 5.0 * own[4], "tone_zygomaticus": 5.0 * own[5]}
    rows = list(trials)
    rngs = [request.rng(subject.number, WINDOW, trial) for trial in rows]
    times, noise = sample_times(ROWS, SAMPLING_RATE), request.noise
    answer = {r.name: subject.session.responses[rows, k] for k, r in enumerate(latents.responses)}
    trait = {t.name: subject.session.traits[rows, m] for m, t in enumerate(latents.traits)}
    found = {
        "gsr": physiology.skin_conductance(
            times,
            SKIN_LEVEL * np.exp(SKIN_SCALE * trait["skin_level"]),
            SCR_AMPLITUDE * np.exp(SCR_SCALE * answer["scr"]),
            STIMULUS,
            rngs,
            noise,
        )
    }
    heart = physiology.heart(
        times,
        HEART_RATE + HEART_SCALE * trait["heart_rate"],
        HEART_RISE * answer["heart_rise"],
        breathing * np.exp(0.05 * physiology.normal(rngs)),
        rsa,
        rngs,
    )
    found["ecg"] = physiology.electrocardiogram(times, heart, r_wave, rngs, noise)
    for column in columns(request.part)[2:]:
        name = column.removeprefix("emg_")
        tone, burst = MUSCLES[name]
        level = trait.get(f"tone_{name}", np.full(len(rows), facial.get(f"tone_{name}", 0.0)))
        size = burst * np.exp(BURST_SCALE * answer[f"burst_{name}"])
        found[column] = physiology.electromyogram(
            times, tone * np.exp(TONE_SCALE * level), size, rngs, noise
        )
    found["emg_trapezius"] += leakage * found["ecg"]
    return found


def counters(conditions: Sequence[str]) -> list[int]:
    """Return the number in each clip's name: pain clips from 1 in their order, baselines after.

    File names that published code shows have every baseline in 081…100 and every pain clip below.

    Parameters
    ----------
    conditions : sequence of str
        Of a session's trials in the order of time.

    Examples
    --------
    >>> counters(["BL1", "PA4", "BL1", "PA1"])
    [3, 1, 4, 2]
    """
    pain = sum(condition != CONDITIONS[0] for condition in conditions)
    following = {True: 1, False: pain + 1}
    numbers = []
    for condition in conditions:
        is_pain = condition != CONDITIONS[0]
        numbers.append(following[is_pain])
        following[is_pain] += 1
    return numbers


def write_subject(request: Request, number: int, root: Path) -> Written:
    """All clips of one person."""
    latents = design(request)
    subject = draw_subject(request, latents, number, subject_name)
    names = [CONDITIONS[c] for c in subject.session.condition]
    trials = [t for t, name in enumerate(names) if name in request.conditions]
    signals = clips(request, latents, subject, trials)
    folder = root / f"Part{request.part}" / "biosignals_raw" / subject.name
    folder.mkdir(parents=True)
    time = np.rint(sample_times(ROWS, SAMPLING_RATE) * 1e6).astype(np.int64)
    face = _face(request, subject)
    numbers = counters(names)
    windows, frames = [], []
    for i, trial in enumerate(trials):
        sample = f"{subject.name}-{names[trial]}-{numbers[trial]:03d}"
        one = {column: values[i] for column, values in signals.items()}
        loss = request.rng(number, LOSS, trial)
        missing = bool(loss.random() < request.missing)
        moved, artefact = disturb(
            one, movement=request.movement, artefacts=request.artefacts, rng=loss
        )
        if not missing:
            table = {c: np.round(v, 4 if c == "gsr" else 2) for c, v in one.items()}
            write_columns(folder / f"{sample}_bio.csv", {"time": time, **table}, "\t")
        row = window_row(
            latents, subject, trial, sample, moved=moved, artefact=artefact, missing=missing
        )
        if face is not None:
            video = root / f"Part{request.part}" / "video" / subject.name / f"{sample}.mp4"
            frames.append(face.write(video, sample, trial, moved=moved))
            row["missing_video"] = face.missing(trial)
        windows.append(row)
    return Written(subject_row(latents, subject), windows, frames)


def _face(request: Request, subject: Subject) -> FaceVideo | None:
    """The person's face, where video is asked for: OpenCV is imported for nothing else here."""
    if not request.video:
        return None
    from dolorimeter.synthesis.face_video import FaceVideo

    return FaceVideo(request, subject, FRAMES, FRAME_RATE, STIMULUS)


def write_index(request: Request, root: Path, written: Sequence[Written]) -> None:
    """``samples.csv`` and ``subjects.csv``; files that are missing are listed all the same."""
    folder = root / f"Part{request.part}" / "starting_point"
    people = [
        {
            "subject_id": i,
            "subject_name": one.subject["subject"],
            "age": one.subject["age"],
            "sex": one.subject["sex"],
        }
        for i, one in enumerate(written, start=1)
    ]
    samples = [
        {
            "subject_id": i,
            "subject_name": window["subject"],
            "class_id": window["level"],
            "class_name": window["condition"],
            "sample_id": 0,
            "sample_name": window["recording"],
        }
        for i, one in enumerate(written, start=1)
        for window in sorted(one.windows, key=lambda w: str(w["recording"]))
    ]
    for sample_id, row in enumerate(samples, start=1):
        row["sample_id"] = sample_id
    write_table(folder / "subjects.csv", people, "\t")
    write_table(folder / "samples.csv", samples, "\t")


def subjects(part: str) -> int:
    """Published number of people."""
    if part not in SUBJECTS:
        raise ConfigError(f"synthesise biovid: part is {part!r}, expected 'A' or 'B'.")
    return SUBJECTS[part]


KIND = Kind(
    conditions=CONDITIONS,
    subjects=subjects,
    per_condition=20,
    design=design,
    write_subject=write_subject,
    write_index=write_index,
    about="BioVid Heat Pain Database: layout of biosignals_raw, after Walter et al. 2013.",
    parts=("A", "B"),
    modalities=("signals", "video"),
)
