"""Windows to arrays: the signal itself, hand-made features, or pictures.

A representation is a frozen dataclass registered in `REPRESENTATIONS`; called with windows it
gives a `Represented`. Those of pictures also give them in batches, for an encoder.
"""

from dolorimeter.representations._pictures import FacePictures, window_faces
from dolorimeter.representations._represented import Represented, Undefined, count
from dolorimeter.representations._sampling import clip_positions
from dolorimeter.representations.depth import Depth
from dolorimeter.representations.face_numbers import FaceActivity, Landmarks
from dolorimeter.representations.face_pictures import FaceClip, FaceFrames
from dolorimeter.representations.features import Features
from dolorimeter.representations.raw import Raw
from dolorimeter.representations.signal_pictures import (
    SpectrogramAngle,
    SpectrogramPhase,
    SpectrogramPSD,
    Waveform,
)
from dolorimeter.representations.video_frames import VideoFrames

__all__ = [
    "Depth",
    "FaceActivity",
    "FaceClip",
    "FaceFrames",
    "FacePictures",
    "Features",
    "Landmarks",
    "Raw",
    "Represented",
    "SpectrogramAngle",
    "SpectrogramPSD",
    "SpectrogramPhase",
    "Undefined",
    "VideoFrames",
    "Waveform",
    "clip_positions",
    "count",
    "window_faces",
]
