"""The geometry of a face: names of MediaPipe's outputs, regions, eye closure, distances.

Landmarks are the 478 points of MediaPipe's face mesh, in pixels or any other length that is the
same along x, y and z. "Left" is the person's own left. Distances are taken in three dimensions,
so that turning the head changes them little. A frame without a face is NaN everywhere.

References
----------
Kartynnik et al., arXiv 1907.06724 (2019), the mesh; Grishchenko et al., arXiv 2309.05782 (2023),
the blendshapes; Soukupová and Čech, CVWW (2016), the eye aspect ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError

BLENDSHAPES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft",
    "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower",
    "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""The outputs of MediaPipe's blendshape model, in its order; ARKit's names."""

LEFT_EYE = (263, 362)
RIGHT_EYE = (33, 133)
"""Outer and inner corner of each eye."""

Polygon = tuple[int, ...]

REGIONS: Mapping[str, tuple[Polygon, ...]] = MappingProxyType(
    {
        "eyes": (
            (226, 113, 225, 224, 223, 222, 221, 189, 244, 233, 232, 231, 230, 229, 228, 31),
            (446, 342, 445, 444, 443, 442, 441, 413, 464, 453, 452, 451, 450, 449, 448, 261),
        ),
        "brows": (
            (70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300,
             276, 283, 282, 295, 285, 8, 55, 65, 52, 53, 46),
        ),
        "nose": (
            (168, 193, 122, 196, 236, 198, 209, 49, 64, 98, 97,
             2, 326, 327, 294, 279, 429, 420, 456, 419, 351, 417),
        ),
        "mouth": (
            (57, 186, 92, 165, 167, 164, 393, 391, 322, 410,
             287, 273, 335, 406, 313, 18, 83, 182, 106, 43),
        ),
        "cheeks": (
            (116, 117, 118, 119, 120, 100, 142, 203, 206, 216, 212, 214, 192, 213, 147, 123),
            (345, 346, 347, 348, 349, 329, 371, 423, 426, 436, 432, 434, 416, 433, 376, 352),
        ),
        "forehead": (
            (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356,
             300, 293, 334, 296, 336, 9, 107, 66, 105, 63, 70),
        ),
        "jaw": (
            (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288,
             287, 273, 335, 406, 313, 18, 83, 182, 106, 43, 57),
        ),
    }
)  # fmt: skip
"""Regions as polygons of landmarks. The brows reach over the glabella, where a frown folds the
skin; the eyes take in both lids; the mouth takes in the skin around the lips."""

_LIDS = (  # upper and lower lid, three pairs an eye, as in the eye aspect ratio; left, then right
    (LEFT_EYE, ((387, 373), (386, 374), (385, 380))),
    (RIGHT_EYE, ((160, 144), (159, 145), (158, 153))),
)

OPEN_RATIO = 0.30
SHUT_RATIO = 0.10
"""Eye aspect ratios that count as fully open and shut. Halfway, 0.2, is the fixed threshold of
Soukupová and Čech; a blink in ``single_face.mp4`` goes from 0.34 down to 0.09."""

SHUT = 0.5
"""Closure from which an eye counts as shut."""

LONGEST_BLINK = 0.5
"""Seconds. FACS: eyes closed for longer than half a second are AU43, else a blink (AU45)."""

Group = tuple[int, ...]

DISTANCES: Mapping[str, tuple[tuple[Group, Group], ...]] = MappingProxyType(
    {
        "brow_eye": (((336, 296, 334), LEFT_EYE), ((107, 66, 105), RIGHT_EYE)),
        "brow_inner_eye": (((285, 336), (362,)), ((55, 107), (133,))),
        "brow_gap": (((285, 336), (55, 107)),),
        "eye_opening": tuple(((up,), (low,)) for _, pairs in _LIDS for up, low in pairs),
        "cheek_eye": (((425,), LEFT_EYE), ((205,), RIGHT_EYE)),
        "nose_wing_eye": (((358,), (362,)), ((129,), (133,))),
        "upper_lip_eye": (((267,), (362,)), ((37,), (133,))),
        "nose_lip": (((2,), (0,)),),
        "mouth_corner_eye": (((291,), (263,)), ((61,), (33,))),
        "mouth_width": (((291,), (61,)),),
        "mouth_opening": (((13,), (14,)),),
        "jaw_drop": (((2,), (152,)),),
    }
)
"""Named distances: pairs of groups of landmarks, from centre to centre, the mean over pairs."""


def interocular(
    landmarks: Float[np.ndarray, "*frame 478 3"],
) -> Float[np.ndarray, "*frame"]:
    """Distance between the outer corners of the eyes, in the unit of the landmarks."""
    return _distance(landmarks, LEFT_EYE[:1], RIGHT_EYE[:1])


def distances(
    landmarks: Float[np.ndarray, "frame 478 3"],
) -> dict[str, Float[np.ndarray, " frame"]]:
    """Every distance of `DISTANCES` in units of the inter-ocular distance.

    Unchanged by shift, scale and rotation of the picture, and by rotation of the head as far as
    the mesh's depth is right.
    """
    scale = interocular(landmarks)
    return {
        name: np.mean([_distance(landmarks, one, other) for one, other in pairs], axis=0) / scale
        for name, pairs in DISTANCES.items()
    }


def normalised(
    landmarks: Float[np.ndarray, "frame 478 3"],
) -> Float[np.ndarray, "frame 478 3"]:
    """Landmarks with the eyes level: origin between the outer eye corners, unit their distance.

    Shift, scale and in-plane rotation (roll) of the picture are taken out, frame by frame; yaw
    and pitch are left in. x points to the person's left, y downwards, z away from the camera.
    """
    left, right = landmarks[:, LEFT_EYE[0]], landmarks[:, RIGHT_EYE[0]]
    along = left - right
    roll = np.arctan2(along[:, 1], along[:, 0])
    cosine, sine, zero, one = np.cos(roll), np.sin(roll), np.zeros_like(roll), np.ones_like(roll)
    level = np.stack(
        [
            np.stack([cosine, sine, zero], axis=1),
            np.stack([-sine, cosine, zero], axis=1),
            np.stack([zero, zero, one], axis=1),
        ],
        axis=1,
    )
    centred = landmarks - ((left + right) / 2)[:, None]
    return np.einsum("fij,fpj->fpi", level, centred) / interocular(landmarks)[:, None, None]


def region_masks(
    landmarks: Float[np.ndarray, "478 d"], size: int = 224
) -> dict[str, Bool[np.ndarray, "height width"]]:
    """Which pixels of a square picture belong to which region; regions do not overlap.

    Parameters
    ----------
    landmarks : Float[np.ndarray, "478 d"]
        In pixels of the picture (`FaceTrack.aligned_landmarks` of one frame); only x and y are
        read. NaN gives empty masks.
    size : int
        Side of the picture in pixels.

    Raises
    ------
    SignalError
        If there is no such picture (`size` below 1), or no x and y.
    """
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    if size < 1 or landmarks.shape[1] < 2:
        raise SignalError(
            f"region masks asked of {landmarks.shape[1]} coordinates a landmark and {size} pixels "
            "a side, expected at least x and y, and 1 pixel."
        )
    masks = {}
    taken = np.zeros((size, size), dtype=bool)
    seen = bool(np.isfinite(landmarks[:, :2]).all())
    # far outside is as good as just outside, and fits into OpenCV's 16 bits
    points = np.clip(np.round(np.nan_to_num(landmarks[:, :2])), -size, 2 * size).astype(np.int32)
    for name, polygons in REGIONS.items():
        canvas = np.zeros((size, size), dtype=np.uint8)
        if seen:
            for polygon in polygons:
                cv2.fillPoly(canvas, [points[list(polygon)]], (1,))
        masks[name] = canvas.astype(bool) & ~taken
        taken |= masks[name]
    return masks


def eye_closure(
    landmarks: Float[np.ndarray, "frame 478 3"],
) -> Float[np.ndarray, "frame 2"]:
    """How far each eye is shut, left and right: 0 open … 1 shut.

    The eye aspect ratio (height between the lids over width between the corners, in three
    dimensions) on one scale for everybody: `OPEN_RATIO` is 0, `SHUT_RATIO` is 1, and beyond is
    clipped. There is no memory, so a clip that begins with shut eyes reads as shut, and a window
    reads as the whole recording does. The price: narrow eyes read as partly shut at rest; compare
    within a person.

    Unchanged by shift, scale and rotation of the picture; nearly so by moderate yaw.
    """
    columns = []
    for (outer, inner), pairs in _LIDS:
        height = np.mean([_distance(landmarks, (up,), (low,)) for up, low in pairs], axis=0)
        ratio = height / _distance(landmarks, (outer,), (inner,))
        columns.append((OPEN_RATIO - ratio) / (OPEN_RATIO - SHUT_RATIO))
    return np.clip(np.stack(columns, axis=1), 0.0, 1.0)


def blinks(
    closure: Float[np.ndarray, " frame"], times: Float[np.ndarray, " frame"]
) -> Bool[np.ndarray, " frame"]:
    """Frames of closures shorter than half a second: a blink (AU45), not closed eyes (AU43).

    Parameters
    ----------
    closure : Float[np.ndarray, "frame"]
        0 open … 1 shut; shut from `SHUT` on. A missing frame is NaN: up to half a second of them
        between shut frames does not end a closure, and is itself no blink.
    times : Float[np.ndarray, "frame"]
        Seconds, ascending. A frame lasts until the next one, the last one as long as is usual.

    Notes
    -----
    A closure cut by the beginning or end of the frames given is judged by what is seen of it.

    Raises
    ------
    SignalError
        If closures and times differ in number, or times do not ascend.

    References
    ----------
    Ekman, Friesen and Hager, FACS (2002), AU45: closed for more than half a second is scored 43.
    Stern, Walrath and Goldstein, Psychophysiology 21:22 (1984), on the length of blinks.
    """
    shut, long = _closures(closure, times)
    return shut & ~long


def prolonged_closure(
    closure: Float[np.ndarray, " frame"], times: Float[np.ndarray, " frame"]
) -> Float[np.ndarray, " frame"]:
    """AU43 as FACS scores it: 1 in closures of half a second or longer, else 0; NaN if missing.

    Parameters, notes and errors as in `blinks`.
    """
    _, long = _closures(closure, times)
    return np.where(np.isnan(closure), np.nan, long.astype(float))


def _closures(
    closure: Float[np.ndarray, " frame"], times: Float[np.ndarray, " frame"]
) -> tuple[Bool[np.ndarray, " frame"], Bool[np.ndarray, " frame"]]:
    """Frames with shut eyes, and those of them in closures that are no blinks."""
    if closure.shape != times.shape:
        raise SignalError(f"{len(closure)} closures for {len(times)} times, expected one each.")
    steps = np.diff(times)
    if not bool((steps > 0).all()):
        raise SignalError("times of frames do not ascend: sort the frames, and drop doubled ones.")
    shut = closure >= SHUT  # NaN compares as open
    long = np.zeros_like(shut)
    ends = np.append(times[1:], times[-1:] + (np.median(steps) if len(steps) else 0.0))
    frames = np.flatnonzero(shut)
    if not len(frames):
        return shut, long
    # a closure ends where an open frame lies between, or where too long nothing was seen
    opened = np.cumsum(closure < SHUT)[frames]
    unseen = times[frames[1:]] - ends[frames[:-1]]
    breaks = np.flatnonzero((np.diff(opened) > 0) | (unseen > LONGEST_BLINK)) + 1
    for run in np.split(frames, breaks):
        # a millionth of a second, for times that are sums of rounded frame periods
        if ends[run[-1]] - times[run[0]] >= LONGEST_BLINK - 1e-6:
            long[run] = True
    return shut, long


def _distance(
    landmarks: Float[np.ndarray, "*frame 478 3"], one: Group, other: Group
) -> Float[np.ndarray, "*frame"]:
    """Distance between the centres of two groups of landmarks."""
    centres = (landmarks[..., list(group), :].mean(axis=-2) for group in (one, other))
    return np.asarray(np.linalg.norm(next(centres) - next(centres), axis=-1))
