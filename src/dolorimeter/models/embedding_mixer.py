"""The Embedding-Mixer, the Video-Encoder and three fusions: PainFormer's embeddings to a class.

Stefanos Gkikas, Raul Fernandez Rojas, Manolis Tsiknakis: *PainFormer: a Vision Foundation Model
for Automatic Pain Assessment*. IEEE Transactions on Affective Computing, 2025,
doi:10.1109/TAFFC.2025.3605475, arXiv:2505.01571. The authors' code (GkikasStefanos/PainFormer at
45f5963) has the encoder only; this file is written from its figures, and what they leave open
stands in the Cards under `differences`.

An embedding is a token of 160 numbers. Tokens with a NaN are missing (a frame without a face, a
sensor that came off): no attention sees them. A window without any token gets the prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._prior import log_prior, or_prior
from dolorimeter.registry import MODELS, Card

EMBEDDING = 160
"""Numbers in one of PainFormer's embeddings."""
FUSIONS = ("fusion_1", "fusion_2", "fusion_n")


class Attention(nn.Module):
    """Multi-head attention of `x` to those rows of `y` that are present.

    Attributes
    ----------
    keep_attention : bool
        False: fused attention, which makes no map. True: step by step; the map of the last forward
        pass is then in `attention_map`, as a part of the graph.
    attention_map : Tensor or None
        ``(window, head, query, key)``; each row sums to 1.
    """

    def __init__(self, width: int, source: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, heads * head_width)
        self.key = nn.Linear(source, heads * head_width)
        self.value = nn.Linear(source, heads * head_width)
        self.out = nn.Linear(heads * head_width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(
        self,
        x: Float[Tensor, "window query width"],
        y: Float[Tensor, "window key source"],
        present: Bool[Tensor, "window key"] | None = None,
    ) -> Float[Tensor, "window query width"]:
        """Attended values. Each window needs a row that is present."""
        q, k, v = self._split(self.query(x)), self._split(self.key(y)), self._split(self.value(y))
        mask = None if present is None else present[:, None, None]  # (window, 1, 1, key)
        if self.keep_attention:
            scores = q @ k.mT * q.shape[-1] ** -0.5
            scores = scores if mask is None else scores.masked_fill(~mask, -math.inf)
            self.attention_map = scores.softmax(-1)
            attended = self.attention_map @ v  # (window, head, query, head_width)
        else:
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(attended.transpose(1, 2).flatten(2))  # (window, query, width)

    def _split(self, x: Tensor) -> Tensor:
        x = x.reshape(*x.shape[:2], self.heads, -1)
        return x.transpose(1, 2)  # (window, head, row, head_width)


class GatedFeedForward(nn.Module):
    """GEGLU: a linear layer, half of whose output gates the other through GELU, and another one.

    References
    ----------
    Shazeer: GLU Variants Improve Transformer. arXiv:2002.05202.
    """

    def __init__(self, width: int, factor: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * factor * width)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(factor * width, width)

    def forward(self, x: Float[Tensor, "window row width"]) -> Float[Tensor, "window row width"]:
        """The same for every row."""
        value, gate = self.fc1(x).chunk(2, dim=-1)  # (window, row, factor · width) each
        return self.fc2(self.dropout(value * functional.gelu(gate)))


class CrossBlock(nn.Module):
    """Latents read the tokens with one head; then a GEGLU layer. Norms come first."""

    def __init__(
        self, width: int, source: int, head_width: int, factor: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_latents = nn.LayerNorm(width)
        self.norm_tokens = nn.LayerNorm(source)
        self.attention = Attention(width, source, 1, head_width)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width, factor, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "window latent width"],
        tokens: Float[Tensor, "window token source"],
        present: Bool[Tensor, "window token"],
    ) -> Float[Tensor, "window latent width"]:
        """Latents with what they read."""
        read = self.attention(self.norm_latents(x), self.norm_tokens(tokens), present)
        x = x + self.dropout(read)
        return x + self.dropout(self.feed_forward(self.norm(x)))


class SelfBlock(nn.Module):
    """Latents read each other; then a GEGLU layer. Norms come first."""

    def __init__(
        self, width: int, heads: int, head_width: int, factor: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, width, heads, head_width)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = GatedFeedForward(width, factor, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "window latent width"]
    ) -> Float[Tensor, "window latent width"]:
        """Mixed latents."""
        normed = self.norm_attention(x)
        x = x + self.dropout(self.attention(normed, normed))
        return x + self.dropout(self.feed_forward(self.norm(x)))


class Repetition(nn.Module):
    """Cross-attention, self-attention, self-attention: what the figure draws twice."""

    def __init__(
        self, width: int, source: int, heads: int, head_width: int, factor: int, dropout: float
    ) -> None:
        super().__init__()
        self.cross = CrossBlock(width, source, head_width, factor, dropout)
        self.first = SelfBlock(width, heads, head_width, factor, dropout)
        self.second = SelfBlock(width, heads, head_width, factor, dropout)

    def forward(
        self,
        x: Float[Tensor, "window latent width"],
        tokens: Float[Tensor, "window token source"],
        present: Bool[Tensor, "window token"],
    ) -> Float[Tensor, "window latent width"]:
        """Latents that have read the tokens and each other, twice."""
        return self.second(self.first(self.cross(x, tokens, present)))


class Mixer(nn.Module):
    """The Embedding-Mixer itself, on standardised tokens.

    Parameters
    ----------
    num_classes, source : int
        Number of logits; width of a token.
    latents, width : int
        Rows of the learned array, and its width.
    heads, head_width : int
        Heads of the self-attention (the cross-attention has one); width of a head.
    factor : int
        Width inside the feed-forward layers, as a multiple of `width`.
    repetitions : int
        How often cross-attention and twice self-attention come, each time with weights of its own.
    dropout : float
        Share left out in training: of hidden units, of what each sub-layer adds, and of the vector
        before the classifier.
    """

    def __init__(
        self,
        num_classes: int,
        source: int = EMBEDDING,
        *,
        latents: int = 64,
        width: int = 256,
        heads: int = 8,
        head_width: int = 64,
        factor: int = 4,
        repetitions: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, latents, width))
        self.repetitions = nn.ModuleList(
            [
                Repetition(width, source, heads, head_width, factor, dropout)
                for _ in range(repetitions)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)
        self.apply(_draw_weights)
        nn.init.trunc_normal_(self.latents, std=0.02)

    def forward(
        self, tokens: Float[Tensor, "window token source"], present: Bool[Tensor, "window token"]
    ) -> Float[Tensor, "window class"]:
        """Logits; those of a window without a token mean nothing."""
        tokens = tokens + _positions(tokens)  # (window, token, source)
        seen = _never_none(present)
        x = self.latents.expand(len(tokens), -1, -1)  # (window, latent, width)
        for repetition in self.repetitions:
            x = repetition(x, tokens, seen)  # (window, latent, width)
        x = self.norm(x.mean(dim=1))  # (window, width)
        return self.fc(self.dropout(x))  # (window, class)

    @property
    def attentions(self) -> list[Attention]:
        """Attention modules in the order of the forward pass."""
        blocks = [
            (r.cross, r.first, r.second) for r in cast(Iterable[Repetition], self.repetitions)
        ]
        return [block.attention for three in blocks for block in three]


class VideoEncoder(nn.Module):
    """Fewer tokens from the many of a video: one cross-attention with one head, one GEGLU layer.

    Parameters
    ----------
    source : int
        Width of a token, which is also that of the output.
    latents : int
        Tokens that come out.
    head_width, factor : int
        Of the attention; of the feed-forward layer.
    dropout : float
    """

    def __init__(
        self,
        source: int = EMBEDDING,
        *,
        latents: int = 8,
        head_width: int = 64,
        factor: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, latents, source))
        self.cross = CrossBlock(source, source, head_width, factor, dropout)
        self.apply(_draw_weights)
        nn.init.trunc_normal_(self.latents, std=0.02)

    def forward(
        self, tokens: Float[Tensor, "window token source"], present: Bool[Tensor, "window token"]
    ) -> Float[Tensor, "window latent source"]:
        """Tokens of the video; those of a window without a frame mean nothing."""
        x = self.latents.expand(len(tokens), -1, -1)  # (window, latent, source)
        return self.cross(x, tokens + _positions(tokens), _never_none(present))


class Standardise(nn.Module):
    """Each feature minus its mean, over its deviation, by stream: of all tokens met in training.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each stream, one stream after the other.
    width : int
        Features of a token.
    """

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        shape = (len(self.sizes), width)
        # float64: long sums of squares of features that move little around their mean
        self.register_buffer("count", torch.zeros(len(self.sizes), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(shape, dtype=torch.float64))

    def forward(
        self, x: Float[Tensor, "window token width"], present: Bool[Tensor, "window token"]
    ) -> Float[Tensor, "window token width"]:
        """Standardised tokens; missing ones become zeros."""
        parts = torch.split(x, self.sizes, dim=1)  # (window, token of the stream, width) each
        masks = torch.split(present, self.sizes, dim=1)
        out = []
        for stream, (part, mask) in enumerate(zip(parts, masks, strict=True)):
            if self.training:
                self._meet(stream, part.detach()[mask].double())  # (row, width)
            count = self.count[stream]
            # a variance of 1e-8 is noise of float32 beside vectors that a LayerNorm made
            deviation = (self.square[stream] / count.clamp(min=1) + 1e-8).sqrt()
            deviation = torch.where(count > 1, deviation, 1.0)
            scaled = ((part - self.mean[stream]) / deviation).to(x.dtype)
            out.append(torch.where(mask[..., None], scaled, 0.0))
        return torch.cat(out, dim=1)

    def _meet(self, stream: int, rows: Tensor) -> None:
        """Add tokens to what is known of the stream (Chan, Golub, LeVeque 1983)."""
        if not len(rows):
            return
        known, total = self.count[stream], self.count[stream] + len(rows)
        mean = rows.mean(dim=0)
        shift = mean - self.mean[stream]
        self.square[stream] += (rows - mean).square().sum(dim=0)
        self.square[stream] += shift.square() * known * len(rows) / total
        self.mean[stream] += shift * len(rows) / total
        self.count[stream] = total


@MODELS.register("embedding_mixer")
class EmbeddingMixer(nn.Module):
    """The Embedding-Mixer on one stream of embeddings.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(token, feature)``, or ``(feature,)`` of one long vector.
    embedding_width : int
        How many numbers of a long vector are one token.
    prior : sequence of float, optional
        Probability of each class for a window without a token; None: all the same.
    mixer_args : mapping, optional
        Further arguments of `Mixer`.

    Notes
    -----
    The weights do not depend on the number of tokens.

    Examples
    --------
    >>> model = EmbeddingMixer(2, input_shape=(138, 160))
    >>> sum(p.numel() for p in model.parameters())
    6968322
    """

    card: Card
    takes_missing = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        embedding_width: int = EMBEDDING,
        prior: Sequence[float] | None = None,
        mixer_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = tuple(int(n) for n in input_shape)
        self.tokens, self.width = _tokens_and_width(self.input_shape, embedding_width)
        self.scale = Standardise([self.tokens], self.width)
        self.mixer = Mixer(num_classes, self.width, **(mixer_args or {}))
        self.register_buffer("log_prior", log_prior(prior, num_classes))

    def forward(self, x: Float[Tensor, "window ..."]) -> Float[Tensor, "window class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "window token feature"] or Float[Tensor, "window feature"]
            Embeddings; a token with a NaN is missing.

        Raises
        ------
        ConfigError
            If the windows have another shape than `input_shape`.
        """
        _check_shape(x, self.input_shape, "the Embedding-Mixer")
        x, present = _present(x.reshape(len(x), self.tokens, self.width))
        x = self.scale(x, present)  # (window, token, width)
        logits = self.mixer(x, present)  # (window, class)
        return or_prior(logits, present, cast(Tensor, self.log_prior))

    def attention(
        self, x: Float[Tensor, "window ..."]
    ) -> list[Float[Tensor, "window head query key"]]:
        """Attention maps: of each repetition, to the tokens and then twice among the latents.

        Each row sums to 1. The maps belong to the graph unless gradients are off.

        Raises
        ------
        ConfigError
            If the windows have another shape than `input_shape`.
        """
        modules = self.mixer.attentions
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


@MODELS.register("embedding_fusion")
class EmbeddingFusion(nn.Module):
    """Several streams of embeddings, each of which may be missing, to one decision.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(token, feature)``: the tokens of all streams, one stream after the other.
    streams : mapping of str to int
        Tokens of each stream, in their order.
    fusion : str
        ``fusion_1``: each stream's tokens are added, the streams are added, the mixer reads the
        one token that is left. ``fusion_2``: each stream's tokens go through the mixer, the
        probabilities are averaged. ``fusion_n``: the videos are added frame by frame, the
        Video-Encoder shrinks them, and the mixer reads them beside the other streams' tokens.
    shared : bool
        Of ``fusion_2``: one mixer for all streams. False: one each.
    video : sequence of str
        Of ``fusion_n``: which streams are videos.
    stream_dropout : float
        Probability that a stream of a training window is left out; one always stays.
    prior : sequence of float, optional
        Probability of each class for a window without a token; None: all the same.
    mixer_args, video_args : mapping, optional
        Further arguments of `Mixer` and of `VideoEncoder`.

    Examples
    --------
    >>> model = EmbeddingFusion(2, input_shape=(142, 160), streams={"face": 138, "eda": 4})
    >>> model(torch.full((1, 142, 160), torch.nan)).softmax(1).tolist()
    [[0.5, 0.5]]
    """

    card: Card
    takes_missing = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        streams: Mapping[str, int],
        fusion: str = "fusion_1",
        shared: bool = True,
        video: Sequence[str] = (),
        stream_dropout: float = 0.0,
        prior: Sequence[float] | None = None,
        mixer_args: Mapping[str, Any] | None = None,
        video_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = tuple(int(n) for n in input_shape)
        self.streams = {name: int(count) for name, count in streams.items()}
        _check_streams(self.input_shape, self.streams)
        if not 0 <= stream_dropout < 1:
            raise ConfigError(f"stream_dropout is {stream_dropout}, expected 0 or more, below 1.")
        self.fusion, self.shared, self.stream_dropout = fusion, shared, stream_dropout
        self.sizes = list(self.streams.values())
        width = self.input_shape[1]
        self.video = _videos(fusion, self.streams, video)
        added = fusion == "fusion_1"
        self.scale = Standardise([1] * len(self.sizes) if added else self.sizes, width)
        several = len(self.sizes) if fusion == "fusion_2" and not shared else 1
        self.mixers = nn.ModuleList(
            [Mixer(num_classes, width, **(mixer_args or {})) for _ in range(several)]
        )
        if self.video:
            self.video_encoder = VideoEncoder(width, **(video_args or {}))
        self.register_buffer("log_prior", log_prior(prior, num_classes))

    def forward(self, x: Float[Tensor, "window ..."]) -> Float[Tensor, "window class"]:
        """Logits; of ``fusion_2`` the logarithms of the mean probabilities.

        Parameters
        ----------
        x : Float[Tensor, "window token feature"]
            Embeddings of all streams, one stream after the other; a token with a NaN is missing.

        Raises
        ------
        ConfigError
            If the windows have another shape than `input_shape`.
        """
        _check_shape(x, self.input_shape, "the fusion of embeddings")
        x, present = _present(x)
        if self.fusion == "fusion_1":
            x, present = self._added(x, present)  # (window, stream, width)
        x = self.scale(x, present)
        present = self._left(present)
        if self.fusion == "fusion_1":
            kept = torch.where(present[..., None], x, 0.0).sum(dim=1, keepdim=True)
            logits = self.mixers[0](kept, present.any(dim=1, keepdim=True))
        elif self.fusion == "fusion_2":
            logits = self._decided(x, present)
        else:
            logits = self.mixers[0](*self._beside(x, present))
        return or_prior(logits, present, cast(Tensor, self.log_prior))  # (window, class)

    def _added(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the tokens of each stream that are present, and whether there is any."""
        parts, masks = torch.split(x, self.sizes, dim=1), torch.split(present, self.sizes, dim=1)
        counts = torch.stack([mask.sum(dim=1) for mask in masks], dim=1)  # (window, stream)
        sums = torch.stack([part.sum(dim=1) for part in parts], dim=1)  # missing ones are zeros
        return sums / counts.clamp(min=1)[..., None], counts > 0

    def _left(self, present: Tensor) -> Tensor:
        """Which tokens are left when whole streams are dropped in training."""
        if not self.training or not self.stream_dropout:
            return present
        sizes = self.scale.sizes
        there = torch.stack(
            [mask.any(dim=1) for mask in torch.split(present, sizes, dim=1)], dim=1
        )
        kept = keep_streams(there, self.stream_dropout)  # (window, stream)
        counts = torch.tensor(sizes, device=present.device)
        return present & kept.repeat_interleave(counts, dim=1)  # (window, token)

    def _decided(self, x: Tensor, present: Tensor) -> Tensor:
        """Logarithms of the mean probabilities of the streams that are present."""
        mixers = list(self.mixers) * (len(self.sizes) if self.shared else 1)
        masks = torch.split(present, self.sizes, dim=1)
        each = [
            mixer(part, mask).log_softmax(dim=1)
            for mixer, part, mask in zip(
                mixers, torch.split(x, self.sizes, dim=1), masks, strict=True
            )
        ]
        decisions = torch.stack(each, dim=1)  # (window, stream, class)
        there = _never_none(torch.stack([mask.any(dim=1) for mask in masks], dim=1))
        decisions = decisions.masked_fill(~there[..., None], -math.inf)
        return decisions.logsumexp(dim=1) - there.sum(dim=1, keepdim=True).log()

    def _beside(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of the Video-Encoder, then those of the other streams, and which are present."""
        parts = dict(zip(self.streams, torch.split(x, self.sizes, dim=1), strict=True))
        masks = dict(zip(self.streams, torch.split(present, self.sizes, dim=1), strict=True))
        seen = torch.stack([masks[name] for name in self.video], dim=1)  # (window, video, frame)
        frames = torch.stack([parts[name] for name in self.video], dim=1)
        frames = torch.where(seen[..., None], frames, 0.0).sum(dim=1)  # (window, frame, width)
        shown = seen.any(dim=1)  # (window, frame)
        shrunk = self.video_encoder(frames, shown)  # (window, latent, width)
        others = [name for name in self.streams if name not in self.video]
        there = shown.any(dim=1, keepdim=True).expand(-1, shrunk.shape[1])  # (window, latent)
        return (
            torch.cat([shrunk, *(parts[name] for name in others)], dim=1),
            torch.cat([there, *(masks[name] for name in others)], dim=1),
        )


def keep_streams(
    present: Bool[Tensor, "window stream"], p: float
) -> Bool[Tensor, "window stream"]:
    """Streams left when each is dropped with probability `p`, but the last of a window never."""
    draw = torch.rand(present.shape, device=present.device).masked_fill(~present, -1.0)
    last = draw == draw.max(dim=1, keepdim=True).values
    return present & ((draw >= p) | last)


def _present(
    x: Float[Tensor, "window token width"],
) -> tuple[Float[Tensor, "window token width"], Bool[Tensor, "window token"]]:
    """Tokens with zeros in the place of those that hold a NaN, and which do not."""
    present = ~x.isnan().any(dim=2)
    return torch.where(present[..., None], x, 0.0), present


def _never_none(present: Bool[Tensor, "window key"]) -> Bool[Tensor, "window key"]:
    """The same, but all where there is none: attention to nothing would be NaN."""
    return present | ~present.any(dim=1, keepdim=True)


def _positions(tokens: Float[Tensor, "window token width"]) -> Float[Tensor, "token width"]:
    """Sines and cosines of the token's number, as in Vaswani et al. 2017, section 3.5."""
    count, width = tokens.shape[1:]
    number = torch.arange(count, device=tokens.device, dtype=tokens.dtype)
    step = torch.arange(0, width, 2, device=tokens.device, dtype=tokens.dtype)
    angle = number[:, None] * torch.exp(step * (-math.log(10_000.0) / width))
    both = torch.stack((angle.sin(), angle.cos()), dim=2)  # (token, width / 2 rounded up, 2)
    return both.flatten(1)[:, :width]  # (token, width)


def _tokens_and_width(shape: Sequence[int], embedding_width: int) -> tuple[int, int]:
    if len(shape) == 2 and min(shape) > 0:
        return shape[0], shape[1]
    if len(shape) == 1 and embedding_width > 0 and shape[0] and shape[0] % embedding_width == 0:
        return shape[0] // embedding_width, embedding_width
    raise ConfigError(
        f"input_shape is {tuple(shape)}, expected (token, feature), or one vector of embeddings "
        f"of {embedding_width} numbers each. Give embedding_width where they have another size."
    )


def _check_shape(x: Tensor, expected: tuple[int, ...], who: str) -> None:
    if tuple(x.shape[1:]) != expected:
        raise ConfigError(
            f"{who} was given windows of shape {tuple(x.shape[1:])}, expected {expected}: build "
            f"it with input_shape={tuple(x.shape[1:])} where that is what you mean."
        )


def _check_streams(shape: tuple[int, ...], streams: Mapping[str, int]) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ConfigError(f"input_shape is {shape}, expected (token, feature) of all streams.")
    if not streams or min(streams.values()) < 1 or sum(streams.values()) != shape[0]:
        raise ConfigError(
            f"streams are {dict(streams)} and there are {shape[0]} tokens: give the number of "
            "tokens of each stream, at least 1."
        )


def _videos(fusion: str, streams: Mapping[str, int], video: Sequence[str]) -> tuple[str, ...]:
    """The streams that the Video-Encoder reads; none unless the fusion is N."""
    if fusion not in FUSIONS:
        raise ConfigError(f"fusion is '{fusion}', expected one of {', '.join(FUSIONS)}.")
    if fusion != "fusion_n":
        return ()
    names = tuple(video)
    if isinstance(video, str) or not names or not set(names) <= set(streams):
        raise ConfigError(
            f"fusion_n: video is {video!r}, expected names of the streams that are videos, out of "
            f'{", ".join(streams)}: video = ["face"].'
        )
    counts = {name: streams[name] for name in names}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            f"fusion_n adds videos frame by frame, and they have {counts}: give their "
            "representations the same duration, frame_rate and stride."
        )
    return names


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
