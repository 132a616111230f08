"""Where a face is and how it is turned: head pose, and the transform to the aligned picture."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from dolorimeter.errors import SignalError
from dolorimeter.preprocessing._face_models import EYES
from dolorimeter.signals.face_mesh import canonical_face, pose_points
from dolorimeter.types import CROP_SIZE

STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327)
"""Corners of the eyes, bridge and base of the nose: they move little with the face's actions. The
mouth, the brows and the chin are left out, since aligning by them would take an action away."""

PIXELS_PER_CENTIMETRE = 10.5
CENTRE = (0.0, -0.8)
"""What the aligned picture shows of MediaPipe's canonical face (centimetres, y upwards): 21.3 cm
around this point, the whole face with a margin of 1.5 cm at forehead and chin."""


def pose(landmarks: Float[np.ndarray, "478 3"]) -> Float32[np.ndarray, "3"]:
    """Yaw, pitch and roll of a head in degrees; zero when it faces the camera upright.

    Yaw is positive when the head is turned to the person's own left (the right of the picture),
    pitch when it looks up, roll when the picture of it is turned clockwise. Turning the picture
    changes the roll alone; mirroring it changes the signs of yaw and roll.

    Notes
    -----
    The rotation that fits the canonical face to the landmarks best in the weighted least-squares
    sense (Kabsch; Umeyama, IEEE TPAMI 13(4), 1991), read as roll after pitch after yaw. The camera
    counts as far away: a face at the edge of a wide picture seems turned by the angle at which
    the camera sees it.
    """
    points, weights = pose_points()
    shares = (weights / weights.sum())[:, None]
    model = canonical_face()[list(points)]
    seen = landmarks[list(points)] * np.array([1.0, -1.0, -1.0])
    model = model - (shares * model).sum(axis=0)
    seen = seen - (shares * seen).sum(axis=0)
    left, _, right = np.linalg.svd((shares * seen).T @ model)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turned = (left * handed) @ right
    yaw = np.arctan2(-turned[2, 0], turned[2, 2])
    pitch = np.arcsin(np.clip(turned[2, 1], -1, 1))
    roll = np.arctan2(-turned[0, 1], turned[1, 1])
    return np.degrees([yaw, -pitch, -roll]).astype(np.float32)


@cache
def template() -> Float64[np.ndarray, "point 2"]:
    """Where the stable points of the canonical face are in the aligned picture."""
    flat = canonical_face()[list(STABLE), :2] - np.array(CENTRE)
    return flat * np.array([1, -1]) * PIXELS_PER_CENTIMETRE + (CROP_SIZE - 1) / 2


def alignment(landmarks: Float[np.ndarray, "478 3"]) -> Float32[np.ndarray, "2 3"]:
    """The similarity transform from the picture to the aligned picture.

    Least squares over the stable points: with points as complex numbers, ``w ≈ a·z + b``.
    """
    seen, wanted = landmarks[list(STABLE), :2] @ (1, 1j), template() @ (1, 1j)
    centred = seen - seen.mean()
    turn = np.vdot(centred, wanted) / np.vdot(centred, centred)
    shift = wanted.mean() - turn * seen.mean()
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32
    )


def align(
    image: UInt8[np.ndarray, "height width 3"],
    alignment: Float[np.ndarray, "2 3"],
    size: int = CROP_SIZE,
) -> UInt8[np.ndarray, "size size 3"]:
    """The aligned face of a picture: eyes level, always at the same place; black outside of it.

    Parameters
    ----------
    image : UInt8[np.ndarray, "height width 3"]
        The frame, upright, with the channels in any order.
    alignment : Float[np.ndarray, "2 3"]
        A row of `FaceTrack.alignment`.
    size : int
        Side in pixels of what is returned.

    Raises
    ------
    SignalError
        If the alignment is not finite (the frame has no face).
    """
    from dolorimeter._extras import cv2

    matrix = np.asarray(alignment, dtype=float)
    if not np.isfinite(matrix).all():
        raise SignalError(
            "the alignment is not finite, so the frame has no face: leave out frames whose "
            "`found` is False."
        )
    scale = size / CROP_SIZE
    if scale != 1:
        to_size = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
        matrix = (to_size @ np.vstack([matrix, [0, 0, 1]]))[:2]
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)


def aligned_points(
    landmarks: Float[np.ndarray, "478 3"], alignment: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "478 2"]:
    """Landmarks in pixels of the aligned picture, flat."""
    return landmarks[:, :2] @ alignment[:, :2].T + alignment[:, 2]


def interocular(landmarks: Float[np.ndarray, "478 3"]) -> float:
    """Distance between the outer corners of the eyes as the picture shows it, in pixels."""
    right, left = landmarks[list(EYES), :2]
    return float(np.linalg.norm(right - left))
