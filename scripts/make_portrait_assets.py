"""Make assets/astronaut_landmarks.npz and assets/astronaut_regions.png from assets/astronaut.png.

Run in an environment of its own: pip install mediapipe; python scripts/make_portrait_assets.py
Both files are kept in the repository; this is how they were made.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

ASSETS = Path(__file__).parent.parent / "src" / "dolorimeter" / "assets"
CROPS = ((100, 0, 356, 256), (80, 0, 380, 300), (120, 10, 340, 230))
SCALES = (2, 3, 4)
"""The landmarks are the mean over these views: they differ by 0.1 pixel (standard deviation)."""
ROWS = 330
"""Rows of the portrait that are cut out; what lies below is never shown."""
ZOOM = 2
"""Regions are cut out in the enlarged portrait."""

# Polygons in pixels of the portrait, drawn by hand: where the cut may lie, and where it may not.
PERSON = [(140, 95), (150, 50), (175, 15), (230, 5), (285, 25), (308, 70), (305, 105), (285, 135),
          (272, 142), (300, 165), (318, 200), (420, 260), (430, 512), (0, 512), (0, 330),
          (40, 250), (90, 215), (100, 180), (130, 148), (170, 140), (150, 115)]  # fmt: skip
CORE = ([(165, 60), (190, 35), (250, 30), (285, 60), (290, 95), (275, 110), (270, 90), (250, 80),
         (190, 80), (175, 95)],
        [(190, 140), (265, 140), (262, 200), (300, 200), (250, 290), (330, 330), (300, 512),
         (60, 512), (60, 260), (130, 240), (120, 190), (190, 190)])  # fmt: skip
WALL = ([(140, 40), (160, 15), (200, 0), (0, 0), (0, 150), (80, 180), (110, 150), (140, 110)],
        [(268, 138), (260, 152), (258, 173), (272, 179), (284, 192), (295, 205), (303, 220),
         (330, 225), (330, 140), (272, 143)],
        [(0, 240), (44, 240), (42, 300), (0, 330)],
        [(365, 0), (512, 0), (512, 512), (365, 512)])  # fmt: skip
SKIN_MAYBE = [(160, 60), (290, 60), (290, 200), (160, 200)]
SKIN = ([(188, 92), (205, 85), (225, 86), (250, 90), (262, 100), (266, 130), (258, 155),
         (240, 172), (222, 176), (200, 165), (188, 145), (184, 120)],
        [(192, 165), (250, 175), (250, 184), (222, 188), (200, 180)])  # fmt: skip
NO_SKIN = ([(0, 0), (512, 0), (512, 75), (265, 86), (250, 84), (232, 79), (215, 79), (200, 78),
            (188, 78), (182, 95), (172, 118), (0, 118)],
           [(270, 90), (275, 125), (320, 125), (320, 60), (262, 75)],
           [(0, 190), (190, 186), (220, 192), (250, 190), (512, 180), (512, 512),
            (0, 512)])  # fmt: skip
NECK_ROW = 146
"""Above it, what is not skin is hair; below, clothing."""


def landmarks(rgb: np.ndarray) -> np.ndarray:
    """478 points in pixels of the portrait; z in the same unit, towards the viewer negative."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(ASSETS / "face_landmarker.task"))
    )
    model = vision.FaceLandmarker.create_from_options(options)
    found = []
    for scale in SCALES:
        for left, top, right, bottom in CROPS:
            crop = rgb[top:bottom, left:right]
            large = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(large))
            size = right - left, bottom - top, right - left
            points = model.detect(image).face_landmarks[0]
            shares = np.array([(p.x, p.y, p.z) for p in points])
            found.append(shares * size + (left, top, 0))
    return np.mean(found, axis=0).astype(np.float32)


def _draw(mask: np.ndarray, polygon: list[tuple[int, int]], value: int) -> None:
    cv2.fillPoly(mask, [np.array(polygon, dtype=np.int32) * ZOOM], value)


def _cut(image: np.ndarray, mask: np.ndarray, rounds: int) -> np.ndarray:
    cv2.setRNGSeed(0)
    cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), rounds,
                cv2.GC_INIT_WITH_MASK)  # fmt: skip
    return ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)


def _largest(mask: np.ndarray) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def regions(bgr: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Shares of clothing, hair and skin (as blue, green, red) in each pixel, in 16 steps."""
    image = cv2.resize(bgr, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    mask = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    _draw(mask, PERSON, cv2.GC_PR_FGD)
    hull = cv2.convexHull(np.ascontiguousarray(points[:, :2]))[:, 0]
    for polygon in ([(int(x), int(y)) for x, y in hull], *CORE):
        _draw(mask, polygon, cv2.GC_FGD)
    for polygon in WALL:
        _draw(mask, polygon, cv2.GC_BGD)
    person = _largest(cv2.morphologyEx(_cut(image, mask, 8), cv2.MORPH_OPEN, np.ones((3, 3))))
    person = cv2.erode(1 - _largest(1 - person), np.ones((3, 3)))  # without holes
    mask = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    _draw(mask, SKIN_MAYBE, cv2.GC_PR_FGD)
    for polygon in SKIN:
        _draw(mask, polygon, cv2.GC_FGD)
    for polygon in NO_SKIN:
        _draw(mask, polygon, cv2.GC_BGD)
    skin = _largest(cv2.morphologyEx(_cut(image, mask, 6) * person, cv2.MORPH_CLOSE,
                                     np.ones((9, 9))))  # fmt: skip
    above = np.arange(len(image))[:, None] < NECK_ROW * ZOOM
    rest = (person > 0) & (skin == 0)
    parts = np.stack([rest & ~above, rest & above, skin], axis=-1).astype(np.float32)
    soft = cv2.resize(cv2.GaussianBlur(parts, (0, 0), 2.0), None, fx=1 / ZOOM, fy=1 / ZOOM,
                      interpolation=cv2.INTER_AREA)[:ROWS]  # fmt: skip
    return (np.rint(soft * 15) * 17).astype(np.uint8)


def main() -> None:
    """Write both files."""
    bgr = cv2.imread(str(ASSETS / "astronaut.png"))
    points = landmarks(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    np.savez_compressed(ASSETS / "astronaut_landmarks.npz", landmarks=points)
    cv2.imwrite(str(ASSETS / "astronaut_regions.png"), regions(bgr, points),
                [cv2.IMWRITE_PNG_COMPRESSION, 9])  # fmt: skip


if __name__ == "__main__":
    main()
