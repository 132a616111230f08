"""Windows to arrays: the signal itself, or hand-made features.

A representation is a frozen dataclass registered in `REPRESENTATIONS`; called with windows it
gives a `Represented`.
"""

from dolorimeter.representations._represented import Represented, Undefined, concatenate
from dolorimeter.representations.face_numbers import FaceActivity, Landmarks
from dolorimeter.representations.features import Features
from dolorimeter.representations.raw import Raw

__all__ = [
    "FaceActivity",
    "Features",
    "Landmarks",
    "Raw",
    "Represented",
    "Undefined",
    "concatenate",
]
