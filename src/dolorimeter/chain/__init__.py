"""From recordings to samples: preprocessing, windows and representations in a row.

Offline evaluation, `predict` and the live monitor call the same `Chain`. Nothing in it is fitted.
"""

from dolorimeter.chain._chain import (
    BATCH,
    Chain,
    ChainStream,
    Progress,
    build,
    encoder_of,
    in_time,
    reference_of,
)
from dolorimeter.chain._live import LiveChain, check_live
from dolorimeter.chain._parts import interval_of
from dolorimeter.chain._rings import FaceRing, SignalRing
from dolorimeter.chain._stored import Stored, load_embeddings, store
from dolorimeter.chain._values import check_types

__all__ = [
    "BATCH",
    "Chain",
    "ChainStream",
    "FaceRing",
    "LiveChain",
    "Progress",
    "SignalRing",
    "Stored",
    "build",
    "check_live",
    "check_types",
    "encoder_of",
    "in_time",
    "interval_of",
    "load_embeddings",
    "reference_of",
    "store",
]
