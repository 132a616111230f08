"""Recording → Recording: steps with a declared scope, quality, standardisation within subject.

Importing this package registers every step in `dolorimeter.registry.PREPROCESSING`.
"""

from typing import Any

from dolorimeter._on_demand import notice
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.preprocessing.baseline import BaselineCorrect
from dolorimeter.preprocessing.bridge import Bridge
from dolorimeter.preprocessing.eda import Phasic, Tonic
from dolorimeter.preprocessing.emg import EmdDenoise, Envelope, Rectify
from dolorimeter.preprocessing.faces import FaceFrame, FaceTracker, FaceTracking, track_face
from dolorimeter.preprocessing.filters import Bandpass, Highpass, Lowpass, Notch
from dolorimeter.preprocessing.fnirs import Haemoglobin, OpticalDensity
from dolorimeter.preprocessing.quality import Quality, window_quality
from dolorimeter.preprocessing.resampling import Resample
from dolorimeter.preprocessing.standardise import (
    TARGET_ACCESS,
    RunningBaseline,
    StandardiseWithinRecording,
    within_subject,
)

__all__ = [
    "TARGET_ACCESS",
    "Bandpass",
    "BaselineCorrect",
    "Bridge",
    "EmdDenoise",
    "Envelope",
    "FaceFrame",
    "FaceTracker",
    "FaceTracking",
    "Haemoglobin",
    "Highpass",
    "Lowpass",
    "Notch",
    "OpticalDensity",
    "Phasic",
    "Quality",
    "Rectify",
    "Resample",
    "RunningBaseline",
    "SignalStream",
    "StandardiseWithinRecording",
    "Step",
    "Tonic",
    "track_face",
    "window_quality",
    "within_subject",
]


def __getattr__(name: str) -> Any:
    if name != "Stream":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    notice(f"{__name__}.Stream", f"{__name__}.SignalStream")
    return SignalStream
