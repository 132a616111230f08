"""From recordings to samples: preprocessing, windows and representations in a row.

Offline evaluation, `predict` and the live monitor call the same `Pipeline`.
Nothing in it is fitted.
"""

from typing import Any

from dolorimeter._on_demand import notice
from dolorimeter.chain._chain import (
    BATCH,
    Pipeline,
    Progress,
    build,
    encoder_of,
    in_time,
    reference_of,
)
from dolorimeter.chain._gate import QualityGate, needed_of
from dolorimeter.chain._live import LiveChain, check_live
from dolorimeter.chain._rings import FaceRing, SignalRing
from dolorimeter.chain._stored import Stored, load_embeddings, store
from dolorimeter.chain._stream import Stream, interval_of

__all__ = [
    "BATCH",
    "FaceRing",
    "LiveChain",
    "Pipeline",
    "Progress",
    "QualityGate",
    "SignalRing",
    "Stored",
    "Stream",
    "build",
    "check_live",
    "encoder_of",
    "in_time",
    "interval_of",
    "load_embeddings",
    "needed_of",
    "reference_of",
    "store",
]

_RENAMED = {"Chain": "Pipeline", "ChainStream": "Stream"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    notice(f"{__name__}.{name}", f"{__name__}.{_RENAMED[name]}")
    return globals()[_RENAMED[name]]
