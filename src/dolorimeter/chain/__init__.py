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
from dolorimeter.chain._stored import Stored, load_embeddings, store
from dolorimeter.chain._values import check_types

__all__ = [
    "BATCH",
    "Chain",
    "ChainStream",
    "Progress",
    "Stored",
    "build",
    "check_types",
    "encoder_of",
    "in_time",
    "load_embeddings",
    "reference_of",
    "store",
]
