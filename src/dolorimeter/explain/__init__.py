"""Where a model looked: relevance maps, their shares by region of the face, and their checks."""

from __future__ import annotations

from dolorimeter.explain._explanation import FILES, Explanation
from dolorimeter.explain._video import explain_video
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
    "Relevance",
    "Sanity",
    "deletion_insertion",
    "explain_video",
    "frame_attention",
    "frame_relevance",
    "region_table",
    "regions_by_frame",
    "relevance_maps",
    "sanity_check",
]
