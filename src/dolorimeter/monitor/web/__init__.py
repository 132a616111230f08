"""The page and its HTTP and WebSocket interface (extra ``monitor``)."""

from dolorimeter._extras import fastapi  # noqa: F401  # raises if it is missing
