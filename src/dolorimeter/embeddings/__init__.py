"""Pictures to numbers: a frozen network behind one call, whatever runs it.

`Encoder` says which network, with which weights, run by what; `embed` turns any stream of uint8
pictures into one array. Nothing is trained here, and nothing here knows what the pictures show.
"""

from dolorimeter._extras import torch  # noqa: F401  # raises if it is missing
from dolorimeter.embeddings._encoder import PRECISIONS, Encoder, provenance_of
from dolorimeter.embeddings._engine import embed, embed_stream
from dolorimeter.embeddings._export import Exported, export
from dolorimeter.embeddings.runtimes import Agreement, agreement
from dolorimeter.registry import PUBLISHED

__all__ = [
    "PRECISIONS",
    "PUBLISHED",
    "Agreement",
    "Encoder",
    "Exported",
    "agreement",
    "embed",
    "embed_stream",
    "export",
    "provenance_of",
]
