"""Where a model looked: maps of faces and of drawn signals, their shares, and their checks."""

from __future__ import annotations

from dolorimeter.explain._explain import explain_model
from dolorimeter.explain._explanation import FILES, Explanation
from dolorimeter.explain._seen import PictureExplanation, StreamMaps
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
    "Curves",
    "Explanation",
    "PictureExplanation",
    "Relevance",
    "Sanity",
    "StreamMaps",
    "deletion_insertion",
    "explain_model",
    "frame_attention",
    "frame_relevance",
    "region_table",
    "regions_by_frame",
    "relevance_maps",
    "sanity_check",
]
