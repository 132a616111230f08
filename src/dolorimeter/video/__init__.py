"""Video files → upright RGB frames with their times, one at a time; and frames → an MP4 file.

Decoding and encoding are FFmpeg's, through PyAV. Nothing here holds more than a few frames,
whatever the length of a file.

Notes
-----
What a file says of its pictures is followed: rotation and mirroring (phones), pixels that are not
square, colour matrix (BT.601, BT.709, BT.2020) and range. A file that names no matrix is read as
BT.601, which is what FFmpeg and OpenCV do whatever the size of the picture. Pictures of high
dynamic range are not tone-mapped, and interlaced ones not deinterlaced.
"""

from __future__ import annotations

from dolorimeter.video.reading import Frame, FrameReader, VideoInfo, frame_gaps, probe, read_frames
from dolorimeter.video.writing import VideoWriter

__all__ = [
    "Frame",
    "FrameReader",
    "VideoInfo",
    "VideoWriter",
    "frame_gaps",
    "probe",
    "read_frames",
]
