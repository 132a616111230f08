"""The frames of a video in which a face has changed: keyframes from landmarks.

References
----------
Nguyen et al., *Dual-stream transformer approach for pain assessment using visual-physiological
data modeling*, PeerJ Computer Science 11:e3158 (2025).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from dolorimeter.errors import ConfigError, SignalError

THRESHOLD, STEP = 0.03, 0.008
"""First threshold and what it is lowered by, in distances between the eyes. The released values
(15 and 4 pixels over 68 stacked points) at about 65 pixels between the eyes."""

FEWEST, MOST = 16, 100
"""Keyframes wanted at least, and kept at most."""

REFERENCES = ("keyframe", "previous")


def keyframes(
    landmarks: Float[np.ndarray, "frame point axis"],
    found: Bool[np.ndarray, " frame"],
    eye_distance: float,
    *,
    threshold: float = THRESHOLD,
    step: float = STEP,
    fewest: int = FEWEST,
    most: int = MOST,
    reference: str = "keyframe",
) -> Int[np.ndarray, " keyframe"]:
    """Frames that differ from the keyframe before by more than a threshold.

    The first frame with a face is a keyframe; then each whose landmarks have moved by more than
    the threshold: root mean square over the points, in distances between the eyes. The threshold
    is lowered until there are `fewest` keyframes or it is no longer above 0.

    Parameters
    ----------
    landmarks : Float[np.ndarray, "frame point axis"]
        Of any kind, on the aligned face, in pixels; NaN where there is no face.
    found : Bool[np.ndarray, "frame"]
        Whether there is a face.
    eye_distance : float
        Pixels between the centres of the eyes.
    threshold, step : float
        First threshold and what it is lowered by, in distances between the eyes.
    fewest, most : int
        Keyframes at which the threshold is low enough, and at which a pass ends.
    reference : {"keyframe", "previous"}
        Movement since the last keyframe (the article), or since the previous frame with a face
        (the released code).

    Returns
    -------
    Int[np.ndarray, "keyframe"]
        Ascending positions; none without a face, fewer than `fewest` of a face that hardly moves.

    Raises
    ------
    ConfigError
        If the reference is unknown, or threshold, step or counts make no sense.
    SignalError
        If the distance between the eyes is not positive, or a frame with a face has no landmarks.

    Examples
    --------
    >>> path = np.zeros((5, 1, 2))
    >>> path[:, 0, 0] = [0.0, 1.0, 4.0, 5.0, 9.0]
    >>> keyframes(path, np.ones(5, dtype=bool), 65.0, fewest=2).tolist()
    [0, 2, 4]
    """
    _check(threshold, step, fewest, most, reference)
    rows = np.flatnonzero(found)
    if not len(rows):
        return rows
    if not eye_distance > 0 or not bool(np.isfinite(landmarks[rows]).all()):
        raise SignalError(
            f"keyframes of landmarks at {eye_distance:g} px between the eyes; expected a distance "
            "above 0 and landmarks in every frame with a face. Set found to False elsewhere."
        )
    paths = landmarks[rows] / eye_distance
    chosen = rows[:1]
    for sweep in range(math.ceil(threshold / step)):
        limit = threshold - sweep * step
        if limit <= 0:
            break
        passed = _since_keyframe if reference == "keyframe" else _since_previous
        chosen = rows[passed(paths, limit, most)]
        if len(chosen) >= fewest:
            break
    return chosen


def _since_keyframe(
    paths: Float[np.ndarray, "frame point axis"], limit: float, most: int
) -> Int[np.ndarray, " keyframe"]:
    chosen = [0]
    for row in range(1, len(paths)):
        if len(chosen) == most:
            break
        if _moved(paths[row : row + 1] - paths[chosen[-1]])[0] > limit:
            chosen.append(row)
    return np.array(chosen)


def _since_previous(
    paths: Float[np.ndarray, "frame point axis"], limit: float, most: int
) -> Int[np.ndarray, " keyframe"]:
    moved = _moved(np.diff(paths, axis=0)) > limit
    return np.append(0, np.flatnonzero(moved) + 1)[:most]


def _moved(change: Float[np.ndarray, "frame point axis"]) -> Float[np.ndarray, " frame"]:
    """Root mean square over points of how far each has moved."""
    return np.sqrt((change**2).sum(axis=2).mean(axis=1))


def _check(threshold: float, step: float, fewest: int, most: int, reference: str) -> None:
    if reference not in REFERENCES:
        raise ConfigError(
            f"keyframes: reference is '{reference}', expected one of {', '.join(REFERENCES)}."
        )
    if not (0 < threshold < math.inf and 0 < step < math.inf and 1 <= fewest <= most):
        raise ConfigError(
            f"keyframes: threshold {threshold}, step {step}, {fewest} to {most} keyframes; "
            "expected threshold and step above 0, and 1 ≤ fewest ≤ most."
        )
