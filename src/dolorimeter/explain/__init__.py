"""Where a model looked: maps of faces and of signals, in time and by level, and their checks."""

from __future__ import annotations

from dolorimeter._extras import torch  # noqa: F401  # raises if it is missing
from dolorimeter.explain._explain import explain_model
from dolorimeter.explain._explanation import FILES, Explanation
from dolorimeter.explain._seen import PictureExplanation
from dolorimeter.explain._sides import SidesExplanation
from dolorimeter.explain.embedding_map import (
    EmbeddingMap,
    EmbeddingMaps,
    embedding_map,
    map_embeddings,
)
from dolorimeter.explain.levels import LevelCurves, compare_levels
from dolorimeter.explain.maps import StreamMaps
from dolorimeter.explain.over_time import AttentionOverTime, attention_over_time
from dolorimeter.explain.regions import region_table, regions_by_frame
from dolorimeter.explain.relevance import (
    Relevance,
    frame_attention,
    frame_relevance,
    relevance_maps,
)
from dolorimeter.explain.sanity import Curves, Sanity, deletion_insertion, sanity_check

__all__ = [
    "FILES",
    "AttentionOverTime",
    "Curves",
    "EmbeddingMap",
    "EmbeddingMaps",
    "Explanation",
    "LevelCurves",
    "PictureExplanation",
    "Relevance",
    "Sanity",
    "SidesExplanation",
    "StreamMaps",
    "attention_over_time",
    "compare_levels",
    "deletion_insertion",
    "embedding_map",
    "explain_model",
    "frame_attention",
    "frame_relevance",
    "map_embeddings",
    "region_table",
    "regions_by_frame",
    "relevance_maps",
    "sanity_check",
]
