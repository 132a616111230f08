"""A frame of a camera as a picture for one browser that asked for it; it is stored nowhere."""

from __future__ import annotations

import base64

import numpy as np
from jaxtyping import UInt8

WIDTH = 320
"""Pixels: enough to see how a camera stands."""
QUALITY = 70
"""Of JPEG, up to 100."""


def picture_of(frame: UInt8[np.ndarray, "height width 3"], width: int = WIDTH) -> str:
    """A frame (RGB) as JPEG in base64, at most `width` pixels wide."""
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    if frame.shape[1] > width:
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(frame[:, :, ::-1]), options)
    return base64.b64encode(content.tobytes()).decode()
