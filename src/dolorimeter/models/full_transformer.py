"""The full transformer on face video: a vector for each frame, then a transformer over the frames.

Stefanos Gkikas, Manolis Tsiknakis: *A Full Transformer-based Framework for Automatic Pain
Estimation using Videos*. EMBC 2023, arXiv:2412.15095. No code was released; this file is written
from the paper, and what the paper leaves open stands in the Card under `differences`.

The frames' vectors (from Transformer in Transformer, 384 numbers each) go through a
cross-attention block whose query is a learned matrix, so that its cost grows with the number of
frames and not with its square, and then through self-attention blocks over that matrix's rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from dolorimeter.errors import ConfigError
from dolorimeter.models._weights import load_weights
from dolorimeter.registry import MODELS, Card


class Attention(nn.Module):
    """Multi-head attention of `x` to `y`.

    Attributes
    ----------
    keep_attention : bool
        False: fused attention, which makes no map. True: the same attention step by step; the map
        of the last forward pass is then in `attention_map`, as a part of the graph, so that
        ``torch.autograd.grad(score, module.attention_map)`` gives its gradient.
    attention_map : Tensor or None
        ``(clip, head, query, key)``; each row sums to 1. Set to None to free its memory.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(
        self, x: Float[Tensor, "clip query width"], y: Float[Tensor, "clip key width"]
    ) -> Float[Tensor, "clip query width"]:
        """Attended values."""
        q, k, v = self._split(self.query(x)), self._split(self.key(y)), self._split(self.value(y))
        if self.keep_attention:
            self.attention_map = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
            attended = self.attention_map @ v  # (clip, head, query, width / head)
        else:
            attended = functional.scaled_dot_product_attention(q, k, v)
        return self.out(attended.transpose(1, 2).flatten(2))  # (clip, query, width)

    def _split(self, x: Tensor) -> Tensor:
        clip, token, width = x.shape
        x = x.reshape(clip, token, self.heads, width // self.heads)
        return x.transpose(1, 2)  # (clip, head, token, width / head)


class FeedForward(nn.Module):
    """Two linear layers with GELU and dropout between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.gelu = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "clip query width"]) -> Float[Tensor, "clip query width"]:
        """The same for every row."""
        hidden = self.dropout(self.gelu(self.fc1(x)))  # (clip, query, hidden)
        return self.fc2(hidden)


class CrossBlock(nn.Module):
    """A learned matrix reads the frames; then a feed-forward layer. Norms come first."""

    def __init__(self, queries: int, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.empty(1, queries, width))
        self.norm_query = nn.LayerNorm(width)
        self.norm_frames = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, frames: Float[Tensor, "clip frame width"]
    ) -> Float[Tensor, "clip query width"]:
        """What the rows of the matrix read."""
        x = self.matrix.expand(len(frames), -1, -1)  # (clip, query, width)
        read = self.attention(self.norm_query(x), self.norm_frames(frames))
        x = x + self.dropout(read)
        return x + self.dropout(self.feed_forward(self.norm(x)))


class SelfBlock(nn.Module):
    """The rows read each other; then a feed-forward layer. Norms come first."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "clip query width"]) -> Float[Tensor, "clip query width"]:
        """Mixed rows."""
        normed = self.norm_attention(x)
        x = x + self.dropout(self.attention(normed, normed))
        return x + self.dropout(self.feed_forward(self.norm(x)))


@MODELS.register("full_transformer")
class FullTransformer(nn.Module):
    """The temporal part, on frame vectors of a frozen encoder.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(frame, feature)`` of one clip.
    width, queries : int
        Width of the blocks; rows of the learned matrix.
    cross_heads, heads : int
        Heads of the cross-attention and of the self-attention.
    depth : int
        Self-attention blocks.
    hidden : int
        Width inside the feed-forward layers.
    dropout : float
        Share left out in training: of hidden units, of what each sub-layer adds, and of the
        clip's vector before the classifier.
    momentum : float, optional
        Of the running mean and deviation of each feature. None: the average over all batches,
        which is exact while the vectors do not change (a frozen encoder).

    Notes
    -----
    The weights do not depend on the number of frames, 35 to 138 in the paper. Missing frames must
    be filled before; a NaN would reach every logit. Fresh weights of linear layers are
    Glorot's; with N(0, 0.02) the embedded frames were small beside their positions, and fitting a
    made-up response of a few frames took longer.

    Examples
    --------
    >>> model = FullTransformer(2, input_shape=(138, 384))
    >>> sum(p.numel() for p in model.parameters())
    1689602
    """

    card: Card

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        width: int = 256,
        queries: int = 32,
        cross_heads: int = 1,
        heads: int = 8,
        depth: int = 2,
        hidden: int = 512,
        dropout: float = 0.1,
        momentum: float | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = _frames_and_features(input_shape)
        for count in (cross_heads, heads):
            if width % count:
                raise ConfigError(f"{count} heads cannot share a width of {width}: change either.")
        frames, features = self.input_shape
        # a variance of 1e-8 is noise of float32 beside vectors that a LayerNorm made
        self.scale = nn.BatchNorm1d(features, eps=1e-8, momentum=momentum, affine=False)
        self.embed = nn.Linear(features, width)
        self.register_buffer("position", _positions(frames, width), persistent=False)
        self.cross = CrossBlock(queries, width, cross_heads, hidden, dropout)
        self.blocks = nn.ModuleList(
            [SelfBlock(width, heads, hidden, dropout) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)
        self.apply(_draw_weights)
        nn.init.trunc_normal_(self.cross.matrix, std=0.02)

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "clip frame feature"]
            Vectors of the frames, in their order.

        Raises
        ------
        ConfigError
            If the clips have another shape than `input_shape`.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            raise ConfigError(
                f"the full transformer was given clips of shape {tuple(x.shape[1:])}, expected "
                f"(frame, feature) = {self.input_shape}: build it with input_shape="
                f"{tuple(x.shape[1:])} where that is what you mean; its weights fit any number of "
                "frames."
            )
        x = self.scale(x.flatten(0, 1)).reshape(x.shape)  # (clip, frame, feature)
        x = self.embed(x) + cast(Tensor, self.position)  # (clip, frame, width)
        x = self.cross(x)  # (clip, query, width)
        for block in self.blocks:
            x = block(x)  # (clip, query, width)
        x = self.norm(x).mean(dim=1)  # (clip, width)
        return self.fc(self.dropout(x))  # (clip, class)

    def attention(
        self, x: Float[Tensor, "clip ..."]
    ) -> list[Float[Tensor, "clip head query key"]]:
        """Attention maps: of the learned matrix to the frames, then of each self-attention block.

        Each row sums to 1. The maps belong to the graph unless gradients are off. For relevance,
        set `keep_attention` on the modules ``cross.attention`` and ``block.attention`` and read
        `attention_map` after a forward pass.

        Raises
        ------
        ConfigError
            If the clips have another shape than `input_shape`.
        """
        modules = [self.cross.attention]
        modules += [block.attention for block in cast(Iterable[SelfBlock], self.blocks)]
        before = [module.keep_attention for module in modules]
        try:
            for module in modules:
                module.keep_attention = True
            self(x)
            return [cast(Tensor, module.attention_map) for module in modules]
        finally:
            for module, kept in zip(modules, before, strict=True):
                module.keep_attention = kept
                if not kept:
                    module.attention_map = None


@MODELS.register("full_transformer_end_to_end")
class FullTransformerEndToEnd(nn.Module):
    """A frame encoder and the temporal part, trained together.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(frame, 3, height, width)`` of one clip.
    frame_encoder : str
        Name in `MODELS` of a network that gives features with ``num_classes=0``.
    frame_args : mapping, optional
        Its further arguments.
    frame_weights : str
        Path of a weights file for it; empty: fresh weights. Needed at the start of a fit only.
    frame_without : sequence of str
        Names that are not taken from that file (`load_weights`), such as those of its head.
    frozen_frames : bool
        The frame encoder does not learn, and stays in evaluation mode.
    frames_at_once : int
        Frames that go through the encoder together: with `recompute`, what memory grows with.
    recompute : bool
        Activations of the frames are computed again for the gradients and not kept: about a third
        more time, and memory that does not grow with the number of frames. Results are the same.
    temporal_args : mapping, optional
        Further arguments of `FullTransformer`.

    Attributes
    ----------
    card : Card
        Of this very network: its `input` has the shape of the clips, and mean and std are those
        of its frame encoder.
    notes : tuple of str
        What a report must say of it: that its frame encoder began without weights.

    Notes
    -----
    Input is normalised outside (``NetworkClassifier`` does so, batch by batch, from uint8).
    While `keep_attention` is set in the frame encoder, all frames go through it at once, so that
    one map holds them all (frame after frame, clip after clip), and nothing is recomputed. Where
    the frames are frozen, their maps are in the graph if the input requires a gradient.

    Examples
    --------
    >>> model = FullTransformerEndToEnd(2, input_shape=(138, 3, 224, 224))
    >>> sum(p.numel() for p in model.parameters())
    25073186
    """

    card: Card

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        frame_encoder: str = "tnt_s_patch16_224",
        frame_args: Mapping[str, Any] | None = None,
        frame_weights: str = "",
        frame_without: Sequence[str] = (),
        frozen_frames: bool = False,
        frames_at_once: int = 16,
        recompute: bool = True,
        temporal_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = _pictures(input_shape)
        if frames_at_once < 1:
            raise ConfigError(f"frames_at_once is {frames_at_once}, expected at least 1.")
        entry = MODELS.get(frame_encoder)
        if not getattr(entry, "gives_features", False):
            raise ConfigError(f"the model '{frame_encoder}' gives no features: choose another.")
        encoder: nn.Module = entry(num_classes=0, **(frame_args or {}))
        if frame_weights:
            load_weights(encoder, frame_weights, without=frame_without)
        self.notes = () if frame_weights else (_untrained(frame_encoder, frozen_frames),)
        self.frame_encoder = encoder
        self.frozen_frames = frozen_frames
        self.frames_at_once = frames_at_once
        self.recompute = recompute
        encoder.requires_grad_(not frozen_frames)
        # an encoder that learns moves its vectors: their mean and deviation must follow
        settings = {"momentum": None if frozen_frames else 0.1} | dict(temporal_args or {})
        shape = (self.input_shape[0], int(cast(int, encoder.width)))
        self.temporal = FullTransformer(num_classes, input_shape=shape, **settings)
        spec = MODELS.card(frame_encoder).input
        self.card = replace(
            type(self).card, input=None if spec is None else replace(spec, shape=self.input_shape)
        )

    def train(self, mode: bool = True) -> FullTransformerEndToEnd:
        """Training or evaluation mode; a frozen frame encoder stays in the latter."""
        super().train(mode)
        self.frame_encoder.train(mode and not self.frozen_frames)
        return self

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "clip frame 3 height width"]
            RGB, in the frame encoder's scaling.

        Raises
        ------
        ConfigError
            If the clips have another shape than `input_shape`.
        """
        return self.temporal(self.vectors(x))  # (clip, class)

    def vectors(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip frame feature"]:
        """Vectors of the frames.

        Raises
        ------
        ConfigError
            If the clips have another shape than `input_shape`.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            raise ConfigError(
                f"the full transformer was given clips of shape {tuple(x.shape[1:])}, expected "
                f"(frame, 3, height, width) = {self.input_shape}: build it with that input_shape."
            )
        pictures = x.flatten(0, 1)  # (clip · frame, 3, height, width)
        kept = any(getattr(m, "keep_attention", False) for m in self.frame_encoder.modules())
        size = len(pictures) if kept else self.frames_at_once
        parts = [self._encode(part, kept) for part in torch.split(pictures, size)]
        return torch.cat(parts).reshape(len(x), self.input_shape[0], -1)

    def _encode(self, pictures: Tensor, kept: bool) -> Tensor:
        learns = pictures.requires_grad or not self.frozen_frames
        if self.recompute and torch.is_grad_enabled() and learns and not kept:
            out: Tensor = checkpoint(self.frame_encoder, pictures, use_reentrant=False)
            return out
        return self.frame_encoder(pictures)


def _untrained(name: str, frozen: bool) -> str:
    learnt = "has learnt nothing" if frozen else "has learnt from the training windows alone"
    return f"the frame encoder {name} was randomly initialised (no frame_weights) and {learnt}"


def _frames_and_features(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ConfigError(
            f"input_shape is {tuple(shape)}, expected (frame, feature) of one clip: the vectors "
            "of its frames (a representation of pictures, embedded)."
        )
    return int(shape[0]), int(shape[1])


def _pictures(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) != 4 or shape[1] != 3 or min(shape) < 1:
        raise ConfigError(
            f"input_shape is {tuple(shape)}, expected (frame, 3, height, width) of one clip of "
            "RGB pictures."
        )
    return tuple(int(n) for n in shape)


def _positions(frames: int, width: int) -> Float[Tensor, "frame width"]:
    """Sines and cosines of the frame's number, as in Vaswani et al. 2017, section 3.5."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(frames)[:, None] * rate  # (frame, width / 2 rounded up)
    both = torch.stack((angle.sin(), angle.cos()), dim=2)
    return both.flatten(1)[:, :width]  # (frame, width)


def _draw_weights(module: nn.Module) -> None:
    # so that the embedded vectors are as large as the positions that are added to them
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
