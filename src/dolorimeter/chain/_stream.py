"""One modality of a pipeline: its steps, its representation, and the interval that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dolorimeter.errors import ConfigError

POOLINGS = ("none", "mean", "add", "concat")
"""What can be done with the embeddings of one window."""


@dataclass(frozen=True)
class Stream:
    """One modality on its way: preprocessing steps, a representation, and perhaps an encoder.

    Parameters
    ----------
    name : str
    steps : tuple of preprocessing steps
    representation : a registered representation
    margin : float
        How many seconds before the window its window-wise steps see, for a baseline.
    encoder : Encoder, optional
        Turns the pictures of a representation into embeddings; nothing is trained in it.
    pooling : str
        Of the embeddings of a window: ``none`` keeps (window, picture, feature), ``mean`` and
        ``add`` give (window, feature), ``concat`` one long vector.

    Raises
    ------
    ConfigError
        If a step inside the window stands before one along the recording, the pooling is unknown,
        or the representation gives no pictures that an encoder could take.
    """

    name: str
    steps: tuple[Any, ...]
    representation: Any
    margin: float = 0.0
    encoder: Any = None
    pooling: str = "none"

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ConfigError(
                f"stream '{self.name}': pooling is '{self.pooling}', expected one of "
                f"{', '.join(POOLINGS)}."
            )
        if self.encoder is None and self.pooling != "none":
            raise ConfigError(
                f"stream '{self.name}': pooling = '{self.pooling}' joins embeddings, and there is "
                "no encoder. Give encoder = { name = … }, or leave pooling out."
            )
        if self.encoder is not None and not hasattr(self.representation, "pictures"):
            raise ConfigError(
                f"stream '{self.name}': the encoder {self.encoder.name} takes pictures, and "
                f"{self.representation.card.name} gives none. Take a picture representation "
                "(dolorimeter list representations), or leave the encoder out."
            )
        self._check_size()
        scopes = [step.scope for step in self.steps]
        if "window" in scopes and any(s != "window" for s in scopes[scopes.index("window") :]):
            raise ConfigError(
                f"stream '{self.name}': a step inside the window stands before one along the "
                "recording. Put the steps with mode = 'window' last."
            )

    def _check_size(self) -> None:
        """Refuse pictures of a size that the encoder does not take, before one is drawn."""
        side = getattr(self.representation, "size", None)
        if self.encoder is None or side is None:
            return
        wanted = self.encoder.input.shape[-2:]
        if (side, side) != tuple(wanted):
            raise ConfigError(
                f"stream '{self.name}': {self.representation.card.name} gives pictures of "
                f"{side} × {side}, and the encoder {self.encoder.name} takes "
                f"{' × '.join(map(str, wanted))}. Give both the same size: size = {wanted[0]} of "
                f"the representation, or size = {side} of the encoder if its weights are for that."
            )


def sources_of(streams: Sequence[Stream]) -> tuple[str, ...]:
    """Names of the signals and videos that the streams read from a recording, sorted."""
    names: set[str] = set()
    for stream in streams:
        by_steps = {m for step in stream.steps for m in step.modalities}
        names |= by_steps or {stream.representation.modality}
    return tuple(sorted(names))


def margins_of(streams: Sequence[Stream], duration: float) -> tuple[float, float]:
    """Seconds before and after a window of `duration` seconds that shifted streams reach."""
    before = after = 0.0
    for stream in streams:
        start, length = interval_of(stream, duration)
        before = max(before, stream.margin - start)
        after = max(after, start + length - duration)
    return before, after


def interval_of(stream: Stream, duration: float) -> tuple[float, float]:
    """Start and length, in seconds from the window's start, of what the stream reads."""
    own = stream.representation.duration
    return stream.representation.offset, duration if own is None else own
