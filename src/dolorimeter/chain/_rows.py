"""What is known of a window besides its signals: place, facts that are not signal, quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dolorimeter.errors import SignalError
from dolorimeter.preprocessing.quality import Quality, window_quality
from dolorimeter.types import (
    FaceTrack,
    Signal,
    Window,
)

LOW_QUALITY = 0.5
"""Windows whose quality is below this are named in the notes."""


def meta_of(window: Window) -> dict[str, Any]:
    """Place, condition and subject of a window; `RatingsOf` adds its ratings."""
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
    return row | {k: v for k, v in recording.subject_info.items() if k not in row}


def facts_of(window: Window, modalities: Sequence[str]) -> dict[str, float]:
    """Numbers that are not signal: what a model could learn without looking at a person."""
    recording = window.recording
    signals = [recording.signals[m] for m in modalities if m in recording.signals]
    faces = [recording.faces[m] for m in modalities if m in recording.faces]
    seen = {m for m in modalities if m in recording.signals or m in recording.videos}
    lengths = [s.duration for s in signals] + [f.stop - f.start for f in faces]
    shares = [_nan_share(s, window) for s in signals] + [_faceless(f, window) for f in faces]
    facts = {
        "window_start": float(window.start),
        "segment_length": max(lengths, default=float("nan")),
        "file_size": float(sum(p.stat().st_size for p in recording.sources if p.is_file())),
        "modalities_missing": float(len(modalities) - len(seen)),
        "nan_share": float(np.mean(shares or [1.0])),
        "since_last_stimulus": _since_last(window),
    }
    return facts | {k: float(v) for k, v in recording.facts.items()}


def _nan_share(signal: Signal, window: Window) -> float:
    try:
        values = signal.crop(window.start, window.duration).values
    except SignalError:
        return 1.0
    return float(np.isnan(values).mean())


def _faceless(track: FaceTrack, window: Window) -> float:
    """Share of the window's frames without a face."""
    try:
        found = track.crop(window.start, window.duration).found
    except SignalError:
        return 1.0
    return float(1 - found.mean()) if len(found) else 1.0


def _since_last(window: Window) -> float:
    """Seconds from the start of the stimulus before; NaN for the first and for cut clips."""
    onset = window.stimulus.onset if window.stimulus else None
    if onset is None:
        return float("nan")
    before = [s.onset for s in window.recording.stimuli if s.onset is not None and s.onset < onset]
    return onset - max(before) if before else float("nan")


def quality_of(
    window: Window, modalities: Sequence[str], row: dict[str, Any], notes: dict[str, int]
) -> float:
    """Lowest quality over the modalities; each one's own goes into the meta table."""
    scores = []
    for modality in modalities:
        if modality in window.recording.faces:
            score = _face_quality(window.recording.faces[modality], window, row, notes, modality)
            scores.append(score)
            continue
        if modality in window.recording.videos:  # nobody has looked for a face in it
            continue
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
        elif found.missing:
            note = f"{modality} of subject {window.recording.subject}: samples are missing"
            notes[note] = notes.get(note, 0) + 1
        elif found.inverted:
            note = f"{modality}: the pulse points downwards; features turn it upright"
            notes[note] = notes.get(note, 0) + 1
    return min(scores, default=0.0)


def _face_quality(
    track: FaceTrack, window: Window, row: dict[str, Any], notes: dict[str, int], modality: str
) -> float:
    """Mean quality of the window's frames, 0 where there is no face; both go into the row."""
    try:
        part = track.crop(window.start, window.duration)
    except SignalError:
        row[f"quality_{modality}"] = 0.0
        return 0.0
    score = float(part.quality.mean()) if len(part) else 0.0
    row[f"quality_{modality}"] = score
    row[f"found_{modality}"] = float(part.found.mean()) if len(part) else 0.0
    for remark in part.remarks:
        notes[f"{modality}: {remark}"] = notes.get(f"{modality}: {remark}", 0) + 1
    if score < LOW_QUALITY:
        note = f"{modality} of subject {window.recording.subject}: {_face_fault(part)}"
        notes[note] = notes.get(note, 0) + 1
    return score


def _face_fault(track: FaceTrack) -> str:
    """What lowers the quality of a face most, in words without numbers."""
    if not track.found.mean() >= LOW_QUALITY:
        return "mostly no face"
    found = track.found
    means = {
        "blurred": float(track.blur[found].mean()),
        "covered": float(track.occlusion[found].mean()),
        "too dark or too bright": float(track.exposure[found].mean()),
    }
    return min(means, key=lambda name: means[name])


def _fault(quality: Quality) -> str:
    """What lowers the quality most, in words without numbers, so that windows can be counted."""
    shares = {"flat": quality.flat, "clipped": quality.clipped, "missing": quality.missing}
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] >= LOW_QUALITY:
        return f"mostly {worst}"
    reasons = " ".join(quality.reasons)
    if "the unit is wrong" in reasons:
        return "values that no body gives: is the unit right?"
    return "no contact with the skin" if "contact" in reasons else "low quality"
