"""Where samples and frames of a live session come from, behind one protocol.

A session opens several at once and asks each, many times a second, for what is new.
"""

from dolorimeter.monitor.sources._items import (
    Begins,
    Chunk,
    Item,
    Lost,
    Picture,
    Source,
    VideoBegins,
)
from dolorimeter.monitor.sources._words import open_sources
from dolorimeter.monitor.sources.camera import Camera
from dolorimeter.monitor.sources.lsl import LslSource
from dolorimeter.monitor.sources.replay import Replay
from dolorimeter.monitor.sources.synthetic import Synthetic

__all__ = [
    "Begins",
    "Camera",
    "Chunk",
    "Item",
    "Lost",
    "LslSource",
    "Picture",
    "Replay",
    "Source",
    "Synthetic",
    "VideoBegins",
    "open_sources",
]
