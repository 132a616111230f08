"""What a page draws of the newest samples and of the newest face; no pixel of a frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.chain import FaceRing
from dolorimeter.errors import SignalError
from dolorimeter.monitor.nouns import FaceView, ModalityState, Tail
from dolorimeter.signals.face import BLENDSHAPES
from dolorimeter.types import Signal

CUES = {
    "brow_lowerer": ("browDownLeft", "browDownRight"),
    "cheek_raiser": ("cheekSquintLeft", "cheekSquintRight"),
    "lids_tight": ("eyeSquintLeft", "eyeSquintRight"),
    "eyes_closed": ("eyeBlinkLeft", "eyeBlinkRight"),
    "nose_wrinkler": ("noseSneerLeft", "noseSneerRight"),
    "lip_raiser": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "jaw_open": ("jawOpen",),
}
"""What is shown of a face, as the mean of blendshapes."""


def tail_of(
    name: str, signal: Signal, state: ModalityState, now: float, seconds: float, points: int
) -> Tail:
    """The last seconds of a signal's first channel, thinned by keeping each stretch's extremes."""
    rate = signal.sampling_rate
    held = signal.values[0]
    row = held[-max(1, round(seconds * rate)) :].copy()
    ages = signal.stop - now - np.arange(len(row), 0, -1) / rate
    keep = ages >= -seconds
    row, ages = row[keep], ages[keep]
    chosen = _extremes(row, points)
    return Tail(name, signal.unit, ages[chosen], row[chosen], state)


def _extremes(row: Float[np.ndarray, " time"], points: int) -> np.ndarray:
    """Positions of the lowest and the highest sample of each of ``points / 2`` stretches."""
    if len(row) <= points or points < 2:
        return np.arange(len(row)) if points >= 2 else np.zeros(0, dtype=int)
    width = int(np.ceil(2 * len(row) / points))
    padded = np.full(-(-len(row) // width) * width, np.nan)
    padded[: len(row)] = row
    parts = padded.reshape(-1, width)
    known = np.isfinite(parts)
    low = np.where(known, parts, np.inf).argmin(axis=1)
    high = np.where(known, parts, -np.inf).argmax(axis=1)
    base = np.arange(len(parts)) * width
    found = np.unique(np.concatenate([base + low, base + high]))
    return found[found < len(row)]


def face_view(ring: FaceRing, state: ModalityState) -> FaceView:
    """The newest face of a ring as a drawing."""
    newest = ring.newest
    if newest is None:
        raise SignalError("a view of a face was asked before the first frame.")
    height, width = ring.size
    if not newest.found:
        return FaceView(width / height, None, np.zeros((0, 2)), {}, state)
    points = newest.landmarks[:, :2].astype(float) / (width, height)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = (float(left), float(top), float(right), float(bottom))
    places = {name: i for i, name in enumerate(BLENDSHAPES)}
    cues = {
        cue: float(np.mean([newest.blendshapes[places[shape]] for shape in shapes]))
        for cue, shapes in CUES.items()
    }
    return FaceView(width / height, box, points, cues, state)
