"""Look-alikes of AI4Pain 2024 (fNIRS, video) and 2025 (EDA, pulse, respiration, SpO2).

Layouts are written from published descriptions (Fernandez Rojas et al. 2024, the AI4Pain grand
challenge). Published people have the numbers 1 to 65; these begin at 901.

Every segment is made by itself, from its own latents. In the continuous fNIRS file no answer
reaches into the next segment: else the segment after a stimulus would tell of it, and the Bayes
accuracy would not be a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

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
)
from dolorimeter.synthesis.disturbance import disturb
from dolorimeter.synthesis.population import Design, Response, Trait

if TYPE_CHECKING:
    from dolorimeter.synthesis.face_video import FaceVideo
else:
    from typing import Any as FaceVideo

CONDITIONS = ("no_pain", "low_pain", "high_pain")
DOSES = (0.0, 0.35, 1.0)
LETTERS = ("R", "L", "H")
SPLITS = (("train", 41), ("validation", 12), ("test", 12))
"""Published numbers of people."""
FIRST_ID = 901

FNIRS_RATE = 10.0
FNIRS_ROWS = 100
"""Of a segment of 10 s."""
FRAMES, FRAME_RATE = 300, 30.0
"""Of a segment's video."""
LEAD_ROWS = 30
"""Before the first marker."""
PAIRS = 24
"""Channels 1–24 are oxygenated, 25–48 deoxygenated haemoglobin here; the published order is not in
our description."""
HBO_SCALE, HBR_SHARE = 0.12, -0.35
"""Micromolar for one unit of the response; deoxygenated haemoglobin falls by about a third
(Obrig & Villringer 2003, J Cereb Blood Flow Metab 23:1–18)."""
HBR_LAG = 1.0

RATE = 100.0
LENGTHS, LENGTH_SHARES = (990, 1022, 1118), (0.03, 0.94, 0.03)
"""Rows of a segment in the 2025 edition, and how often."""
FLAT_SPO2 = 349 / 1908
"""Flat SpO2 segments counted in the 2026 edition."""
FOLDERS = {"Eda": "eda", "Bvp": "ppg", "Resp": "resp", "SpO2": "spo2"}
DECIMALS = {"Eda": 4, "Bvp": 4, "Resp": 4, "SpO2": 2}


class _Alternating:
    """A baseline, then low and high in random order with a rest between two."""

    def __init__(self, per_condition: int) -> None:
        self.per_condition = per_condition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alternating) and other.per_condition == self.per_condition

    def __hash__(self) -> int:
        return hash(self.per_condition)

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        stimuli = rng.permutation(np.repeat([1, 2], self.per_condition))
        session = np.zeros(2 * len(stimuli), dtype=np.int64)
        session[1::2] = stimuli
        return session


def _design(request: Request, responses: Sequence[Response], traits: Sequence[Trait]) -> Design:
    return Design(
        CONDITIONS,
        DOSES,
        tuple(responses),
        tuple(traits),
        _Alternating(request.per_condition),
        request.effect,
        request.identity_strength,
    )


def design_2024(request: Request) -> Design:
    """Haemoglobin answers; heart rate, pulse and breathing in it tell people apart."""
    return _design(
        request,
        [Response("hbo", ("fnirs",), 3.0), *([FACE_RESPONSE] if request.video else [])],
        [
            Trait("heart_rate", ("fnirs",), 9.0, 6.0),
            Trait("pulse", ("fnirs",), 9.0, 6.0),
            Trait("breath", ("fnirs",), 9.0, 6.0),
        ],
    )


def design_2025(request: Request) -> Design:
    """Skin, heart rate, vessels and breathing answer; SpO2 does not."""
    return _design(
        request,
        [
            Response("scr", ("eda",), 3.0),
            Response("heart_rise", ("ppg",), 1.0),
            Response("vessels", ("ppg",), 1.3),
            Response("breath", ("resp", "ppg"), 0.8),
        ],
        [
            Trait("skin_level", ("eda",), 12.0, 6.0),
            Trait("heart_rate", ("ppg",), 9.0, 6.0),
            Trait("breath_rate", ("resp", "ppg"), 9.0, 6.0),
        ],
    )


def clip_names(condition: Sequence[int]) -> list[str]:
    """``B1``, ``L1`` …, ``R1`` …: the segments of a session in their order."""
    counts = dict.fromkeys(LETTERS, 0)
    names = ["B1"]
    for number in condition[1:]:
        letter = LETTERS[number]
        counts[letter] += 1
        names.append(f"{letter}{counts[letter]}")
    return names


def split_of(number: int, subjects: int, splits: Sequence[tuple[str, int]]) -> str:
    """The split of person `number`: the published shares of however many people there are."""
    at = (number + 0.5) * sum(size for _, size in splits) / subjects
    for name, size in splits[:-1]:
        if at < size:
            return name
        at -= size
    return splits[-1][0]


def _name(number: int, _sex: str, _age: int) -> str:
    return str(FIRST_ID + number)


# ── 2024 ────────────────────────────────────────────────────────────────────────────────────────


def fnirs(
    request: Request, subject: Subject
) -> tuple[Float[np.ndarray, "channel time"], list[tuple[bool, str]]]:
    """A session of haemoglobin in micromolar, and what was disturbed in each segment."""
    trials = len(subject.session.condition)
    rngs = [request.rng(subject.number, WINDOW, trial) for trial in range(trials)]
    body = request.rng(subject.number, BODY)
    weight = np.exp(0.5 * request.identity_strength * body.standard_normal(PAIRS))
    offset = 0.8 * request.identity_strength * body.standard_normal(2 * PAIRS)
    times = sample_times(FNIRS_ROWS, FNIRS_RATE)
    rhythm = _rhythms(request, subject, body, trials)
    curve = physiology.haemodynamic_response(times)
    late = physiology.haemodynamic_response(times - HBR_LAG)
    recording = np.zeros((2 * PAIRS, LEAD_ROWS + trials * FNIRS_ROWS))
    recording += offset[:, None] + _drift(body, recording.shape, request.noise)
    share = np.concatenate([np.ones(PAIRS), np.full(PAIRS, HBR_SHARE)])
    recording += share[:, None] * rhythm
    found = []
    for trial, rng in enumerate(rngs):
        rows = slice(LEAD_ROWS + trial * FNIRS_ROWS, LEAD_ROWS + (trial + 1) * FNIRS_ROWS)
        size = HBO_SCALE * subject.session.responses[trial, 0]
        segment = recording[:, rows]
        segment[:PAIRS] += size * weight[:, None] * curve
        segment[PAIRS:] += size * HBR_SHARE * weight[:, None] * late
        segment += request.noise * 0.05 * rng.standard_normal(segment.shape)
        loss = request.rng(subject.number, LOSS, trial)
        channels = {f"hb_{i + 1}": segment[i] for i in range(2 * PAIRS)}
        moved, artefact = disturb(
            channels, movement=request.movement, artefacts=request.artefacts, rng=loss
        )
        found.append((moved, artefact))
    return recording, found


def _rhythms(
    request: Request, subject: Subject, body: np.random.Generator, trials: int
) -> Float[np.ndarray, " time"]:
    """Heart beat, breathing and Mayer waves; their strength and rate change at each marker."""
    trait = subject.session.traits
    rows = np.arange(LEAD_ROWS + trials * FNIRS_ROWS) - LEAD_ROWS
    at = np.maximum(rows // FNIRS_ROWS, 0)
    beats = np.clip(72.0 + 1.1 * trait[at, 0], 45.0, 140.0) / 60.0
    pulse = 0.12 * np.exp(0.06 * trait[at, 1])
    breath = 0.10 * np.exp(0.06 * trait[at, 2])
    phases = body.uniform(0, 1, 3)
    slow = 0.12 * request.noise * _wave(physiology.MAYER_HZ * _wander(body, at), phases[0])
    wave = breath * _wave(0.25 * _wander(body, at), phases[1])
    return slow + wave + pulse * _wave(beats, phases[2])


def _wave(hertz: Float[np.ndarray, " time"], phase: float) -> Float[np.ndarray, " time"]:
    return np.sin(2 * np.pi * (np.cumsum(hertz) / FNIRS_RATE + phase))


def _wander(body: np.random.Generator, at: Int[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """A factor of frequency for each sample, another in each segment.

    Without it a rhythm of 10 s, or of 4 s, would meet every second segment at the same phase, and
    rest and stimulus take turns.
    """
    return np.exp(0.25 * body.standard_normal(int(at.max()) + 1))[at]


def _drift(
    body: np.random.Generator, shape: tuple[int, ...], noise: float
) -> Float[np.ndarray, "channel time"]:
    """Slow drift of the optodes: a sum of slow waves."""
    times = np.linspace(0.0, 1.0, shape[1])
    drift = np.zeros(shape)
    for cycles in (0.5, 1.0, 2.0, 3.0):
        phase = body.uniform(0, 2 * np.pi, (shape[0], 1))
        drift += noise * 0.2 / cycles * np.sin(2 * np.pi * cycles * times + phase)
    return drift


def write_subject_2024(request: Request, number: int, root: Path) -> Written:
    """One person's fNIRS file, with a marker where each segment begins, and video of each."""
    latents = design_2024(request)
    subject = draw_subject(request, latents, number, _name)
    clips = clip_names(subject.session.condition.tolist())
    recording, disturbed = fnirs(request, subject)
    split = split_of(number, request.subjects, SPLITS)
    missing = bool(request.rng(number, LOSS).random() < request.missing)
    folder = root / split.capitalize() / "fnirs"
    folder.mkdir(parents=True, exist_ok=True)
    markers: list[str | None] = [None] * recording.shape[1]
    shown = [f"S{n}" for n in range(1, len(clips) + 1)] if split == "test" else clips
    for trial, name in enumerate(shown):  # test labels are not published
        markers[LEAD_ROWS + trial * FNIRS_ROWS] = name
    columns: dict[str, np.ndarray | Sequence[str | None]] = {
        "1": np.arange(1, recording.shape[1] + 1)
    }
    columns |= {str(i + 2): np.round(row, 4) for i, row in enumerate(recording)}
    if not missing:
        write_columns(folder / f"{subject.name}.csv", {**columns, "50": markers}, ",")
    windows = [
        window_row(latents, subject, trial, clip, moved=moved, artefact=artefact, missing=missing)
        for trial, (clip, (moved, artefact)) in enumerate(zip(clips, disturbed, strict=True))
    ]
    frames = []
    if (face := _face(request, subject)) is not None:
        videos = root / split.capitalize() / "video" / subject.name
        for trial, (name, row) in enumerate(zip(shown, windows, strict=True)):
            moved = disturbed[trial][0]
            frames.append(face.write(videos / f"{name}.mp4", clips[trial], trial, moved=moved))
            row["missing_video"] = face.missing(trial)
    return Written({**subject_row(latents, subject), "split": split}, windows, frames)


def _face(request: Request, subject: Subject) -> FaceVideo | None:
    """The person's face, where video is asked for: OpenCV is imported for nothing else here."""
    if not request.video:
        return None
    from dolorimeter.synthesis.face_video import FaceVideo

    return FaceVideo(request, subject, FRAMES, FRAME_RATE, 0.0)


# ── 2025 ────────────────────────────────────────────────────────────────────────────────────────


def segment_names(subject: Subject, split: str) -> list[str]:
    """Columns of a person: the state is in the name, except in the test set."""
    words = {"B": "Baseline", "R": "REST", "L": "LOW", "H": "HIGH"}
    names = []
    for order, clip in enumerate(clip_names(subject.session.condition.tolist()), start=1):
        state = f"S{order}" if split == "test" else f"{words[clip[0]]}_{clip[1:]}"
        names.append(f"{subject.name}_{state}")
    return names


def segments(request: Request, subject: Subject) -> dict[str, Float[np.ndarray, "window time"]]:
    """Signals of all segments, as long as the longest; keys are folders."""
    latents = design_2025(request)
    trials = len(subject.session.condition)
    rngs = [request.rng(subject.number, WINDOW, trial) for trial in range(trials)]
    times, noise = sample_times(max(LENGTHS), RATE), request.noise
    answer = {r.name: subject.session.responses[:, k] for k, r in enumerate(latents.responses)}
    trait = {t.name: subject.session.traits[:, m] for m, t in enumerate(latents.traits)}
    eda = physiology.skin_conductance(
        times,
        3.0 * np.exp(0.05 * trait["skin_level"]),
        0.03 * np.exp(0.6 * answer["scr"]),
        0.0,
        rngs,
        noise,
    )
    heart = physiology.heart(
        times,
        72.0 + 1.1 * trait["heart_rate"],
        2.0 * answer["heart_rise"],
        0.25 * np.exp(0.03 * trait["breath_rate"]),
        2.5,
        rngs,
    )
    unit = np.ones(trials)
    pulse = physiology.pulse_wave(times, heart, unit, 0.12 * answer["vessels"], rngs, noise)
    breath = physiology.breathing_wave(times, heart, 0.12 * answer["breath"], rngs, noise)
    flat = np.array([bool(rng.random() < FLAT_SPO2) for rng in rngs])
    return {
        "Eda": eda,
        "Bvp": pulse,
        "Resp": breath,
        "SpO2": physiology.saturation(len(times), RATE, flat, rngs),
    }


def write_subject_2025(request: Request, number: int, root: Path) -> Written:
    """One person's files: one a modality, one column a segment."""
    latents = design_2025(request)
    subject = draw_subject(request, latents, number, _name)
    split = split_of(number, request.subjects, SPLITS)
    names = segment_names(subject, split)
    conditions = [CONDITIONS[c] for c in subject.session.condition]
    signals = segments(request, subject)
    trials = [t for t, name in enumerate(conditions) if name in request.conditions]
    lost = request.rng(number, LOSS)
    missing = {folder: bool(lost.random() < request.missing) for folder in FOLDERS}
    columns: dict[str, dict[str, np.ndarray | Sequence[str | None]]] = {f: {} for f in FOLDERS}
    windows = []
    for trial in trials:
        loss = request.rng(number, LOSS, trial)
        length = int(loss.choice(LENGTHS, p=LENGTH_SHARES))
        one = {FOLDERS[folder]: signals[folder][trial, :length] for folder in FOLDERS}
        moved, artefact = disturb(
            one, movement=request.movement, artefacts=request.artefacts, rng=loss
        )
        for folder, values in signals.items():
            values[trial, length:] = np.nan
            columns[folder][names[trial]] = np.round(values[trial], DECIMALS[folder])
        row = window_row(latents, subject, trial, names[trial], moved=moved, artefact=artefact)
        gone = " ".join(FOLDERS[folder] for folder in FOLDERS if missing[folder])
        windows.append({**row, "missing": all(missing.values()), "missing_modalities": gone})
    _write_modalities(root / split, subject.name, columns, missing)
    return Written({**subject_row(latents, subject), "split": split}, windows)


def _write_modalities(
    folder: Path,
    name: str,
    columns: Mapping[str, Mapping[str, np.ndarray | Sequence[str | None]]],
    missing: Mapping[str, bool],
) -> None:
    for modality, segments_of in columns.items():
        (folder / modality).mkdir(parents=True, exist_ok=True)
        if not missing[modality]:
            write_columns(folder / modality / f"{name}.csv", segments_of, ",")


def _no_index(_request: Request, _root: Path, _written: Sequence[Written]) -> None:
    """Neither edition has files about everybody."""


def _subjects(_part: str) -> int:
    return sum(size for _, size in SPLITS)


KIND_2024 = Kind(
    conditions=CONDITIONS,
    subjects=_subjects,
    per_condition=12,
    design=design_2024,
    write_subject=write_subject_2024,
    write_index=_no_index,
    about="AI4Pain 2024: fNIRS files with sparse markers, and video of each segment if asked for.",
    whole=True,
    modalities=("fnirs", "video"),
)
KIND_2025 = Kind(
    conditions=CONDITIONS,
    subjects=_subjects,
    per_condition=12,
    design=design_2025,
    write_subject=write_subject_2025,
    write_index=_no_index,
    about="AI4Pain 2025: one file a subject and modality, one column a segment.",
)
