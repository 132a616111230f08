"""The dual-stream transformer: tokens of a face clip and of signals, joined by co-attention.

Nguyen, Yang, Dao, Kim S., Kim S., Shin, Nguyen N.A.T., Nguyen T.: *Dual-stream transformer
approach for pain assessment using visual-physiological data modeling*. PeerJ Computer Science
11:e3158, 2025, doi:10.7717/peerj-cs.3158. The authors' code (mducducd/Multimodal_Pain at 3b5e185)
has no licence: this file is written from the article, and where the code differs stands in the
Card.

::

    face clip → frozen encoder → tokens (1568, 384) ┐   each: hybrid positional attention, Linear
    signals   → signal encoder → tokens (time, 64)  ┘   → F, A of width 128
    2 ×  S = F W Aᵀ; F reads A by softmax(S), A reads F by softmax(Sᵀ)
         F ← F + ReLU(Linear[F, read]), A likewise
    mean of both → Linear
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._hybrid_attention import HybridPositionalAttention
from dolorimeter.models._prior import log_prior, or_prior
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.models._sides import side_parts, side_sizes, sides_there
from dolorimeter.models._weights import load_weights
from dolorimeter.registry import MODELS, Card

NAME = "the dual-stream network"
FUSIONS = ("co_attention", "concat", "late")


class Side(nn.Module):
    """Tokens of one modality at the common width.

    Parameters
    ----------
    features, tokens : int
        Of what comes in.
    width : int
        Of what comes out.
    hybrid : bool
        Whether the tokens go through hybrid positional attention first.
    hybrid_args : mapping
        Further arguments of `HybridPositionalAttention`.
    encoder : nn.Module, optional
        Its ``tokens(x)`` stands before all that.
    """

    def __init__(
        self,
        features: int,
        tokens: int,
        width: int,
        hybrid: bool,
        hybrid_args: Mapping[str, Any],
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        if encoder is not None:
            tokens, features = _steps_and_features(encoder, (features, tokens))
        self.tokens = tokens
        self.hybrid = (
            HybridPositionalAttention(features, tokens, **hybrid_args) if hybrid else None
        )
        inner = features if self.hybrid is None else self.hybrid.norm.normalized_shape[0]
        self.project = nn.Linear(inner, width)
        self.absent = nn.Parameter(torch.zeros(1, 1, width))

    def forward(
        self, x: Float[Tensor, "window _feature _token"], present: Bool[Tensor, " window"]
    ) -> Float[Tensor, "window token width"]:
        """Tokens; of a window without the modality the learned one, over and over.

        Windows without it do not reach the BatchNorms.
        """
        out = self.absent.to(x.dtype).expand(len(x), self.tokens, -1)
        if not bool(present.any()):
            return out
        there = x[present]  # (there, feature, token)
        if self.encoder is not None:
            there = cast(Any, self.encoder).tokens(there).mT  # (there, feature, token)
        steps = there.mT if self.hybrid is None else self.hybrid(there)  # (there, token, inner)
        projected = self.project(steps)  # (there, token, width)
        if bool(present.all()):
            return projected
        return out.to(projected.dtype).index_copy(0, present.nonzero()[:, 0], projected)


class CoAttention(nn.Module):
    """One layer of dense co-attention (Algorithm 1): each side reads the other.

    Neither map is made: softmax(S) A and softmax(Sᵀ) F are two calls of fused attention, with F W
    as query of the one and key of the other.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.affinity = nn.Linear(width, width, bias=False)  # W
        self.fuse_video = nn.Linear(2 * width, width)
        self.fuse_signals = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        # S = F W Aᵀ of tokens of about 1 would have a deviation of √width with Glorot's W
        nn.init.normal_(self.affinity.weight, std=1 / width)

    def forward(
        self,
        video: Float[Tensor, "window token width"],
        signals: Float[Tensor, "window step width"],
    ) -> tuple[Float[Tensor, "window token width"], Float[Tensor, "window step width"]]:
        """Both sides after they have read each other."""
        asked = self.affinity(video)  # F W
        from_signals = _attend(asked, signals, signals)  # (window, token, width)
        from_video = _attend(signals, asked, video)  # (window, step, width)
        joined = self.fuse_video(torch.cat([video, from_signals], dim=2))
        answered = self.fuse_signals(torch.cat([signals, from_video], dim=2))
        return (
            video + self.dropout(functional.relu(joined)),
            signals + self.dropout(functional.relu(answered)),
        )

    def maps(
        self,
        video: Float[Tensor, "window token width"],
        signals: Float[Tensor, "window step width"],
    ) -> tuple[Float[Tensor, "window token step"], Float[Tensor, "window step token"]]:
        """softmax(S) and softmax(Sᵀ): each row sums to 1."""
        affinity = self.affinity(video) @ signals.mT  # (window, token, step)
        return affinity.softmax(-1), affinity.mT.softmax(-1)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query · keyᵀ) value, not scaled."""
    q, k, v = (part[:, None] for part in (query, key, value))  # one head
    return functional.scaled_dot_product_attention(q, k, v, scale=1.0)[:, 0]


@MODELS.register("dual_stream")
class DualStream(nn.Module):
    """The joint part of the system, with a signal encoder of its own where one is named.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int, optional
        ``(number,)`` of a packed window, `packed`; checked where it is given.
    video : tuple of int
        ``(token, feature)`` of the frozen video encoder; empty: no video.
    signals : tuple of int
        ``(channel, time)``; empty: no signals.
    fusion : str
        ``co_attention``; ``concat``: the means of both sides, without reading each other;
        ``late``: each side decides, and probabilities are averaged.
    hybrid : bool
        Whether tokens go through hybrid positional attention.
    width, layers : int
        Of the common tokens; of the co-attention.
    signal_encoder : str
        Name in `MODELS` of a network with ``tokens(x)`` from ``(window, channel, time)``, NaN
        where a sample is missing, to ``(window, step, feature)``; it is trained along, and scales
        its input itself. Empty: channels are the features, and samples the steps.
    signal_args : mapping, optional
        Its arguments.
    signal_weights : str
        Path of a weights file for it, needed at the start of a fit only; empty: fresh weights.
        The scale that it was pre-trained with stays.
    signal_without : sequence of str
        Names that are not taken from that file.
    frozen_signals : bool
        The signal encoder does not learn, and stays in evaluation mode.
    scaling : str
        Of the signals: ``none`` (scaled before), ``train_robust`` or ``train_standard``.
    standardise_video : bool
        Each video feature minus its mean over its deviation, of the training windows.
    stream_dropout : float
        Probability that a side of a training window is left out; one always stays.
    prior : sequence of float, optional
        Probability of each class for a window without either side; None: all the same.
    dropout : float
        Of what co-attention adds, and of the vector before the classifier.
    hybrid_args : mapping, optional
        Further arguments of `HybridPositionalAttention`.

    Examples
    --------
    >>> model = DualStream(2, video=(1568, 384), signals=(3, 2816))
    >>> model.parameter_counts()
    {'hybrid positional attention': 486576, 'projection': 4608, 'co-attention': 164352}
    """

    card: Card
    takes_missing = True
    takes_packed = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...] | None = None,
        video: Sequence[int] = (),
        signals: Sequence[int] = (),
        fusion: str = "co_attention",
        hybrid: bool = True,
        width: int = 128,
        layers: int = 2,
        signal_encoder: str = "",
        signal_args: Mapping[str, Any] | None = None,
        signal_weights: str = "",
        signal_without: Sequence[str] = (),
        frozen_signals: bool = False,
        scaling: str = "none",
        standardise_video: bool = True,
        stream_dropout: float = 0.0,
        prior: Sequence[float] | None = None,
        dropout: float = 0.1,
        hybrid_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.video, self.signals = _pair("video", video), _pair("signals", signals)
        self.sizes = side_sizes(NAME, self.video, self.signals, input_shape)
        _check(fusion, layers, stream_dropout)
        self.fusion, self.stream_dropout, self.frozen_signals = (
            fusion, stream_dropout, frozen_signals
        )  # fmt: skip
        made = dict(hybrid_args or {})
        if self.video:
            tokens, features = self.video
            scale = "train_standard" if standardise_video else "none"
            self.video_scale = ChannelScale(features, scale)
            self.video_side = Side(features, tokens, width, hybrid, made)
        if self.signals:
            channels, time = self.signals
            given = {"scaling": scaling} | dict(signal_args or {})
            encoder = _signal_encoder(signal_encoder, self.signals, given)
            self.scale_is_loaded = bool(signal_weights)
            if encoder is None:
                self.signal_scale = ChannelScale(channels, scaling)
            elif signal_weights:
                load_weights(encoder, signal_weights, without=signal_without)
            self.signal_side = Side(channels, time, width, hybrid, made, encoder)
            if encoder is not None:
                encoder.requires_grad_(not frozen_signals)
        several = len(self.sizes) == 2
        self.layers = nn.ModuleList(
            CoAttention(width, dropout)
            for _ in range(layers if several and fusion == "co_attention" else 0)
        )
        self.dropout = nn.Dropout(dropout)
        late = several and fusion == "late"
        joint = 2 * width if several and not late else width
        self.heads = nn.ModuleList(nn.Linear(joint, num_classes) for _ in range(1 + late))
        self.register_buffer("log_prior", log_prior(prior, num_classes))

    def train(self, mode: bool = True) -> DualStream:
        """Training or evaluation mode; a frozen signal encoder stays in the latter."""
        super().train(mode)
        if self.signals and self.signal_side.encoder is not None:
            self.signal_side.encoder.train(mode and not self.frozen_signals)
        return self

    def learn_scale(self, x: Float[np.ndarray, "window number"]) -> None:
        """What the training windows teach of signals and video features; called once, before."""
        parts = self._parts(x)
        if self.video:
            self.video_scale.learn(parts[0].reshape(len(x), *self.video).swapaxes(1, 2))
        if self.signals and not self.scale_is_loaded:
            encoder = self.signal_side.encoder
            learner = self.signal_scale.learn if encoder is None else _learner(encoder)
            learner(parts[-1].reshape(len(x), *self.signals))

    def forward(self, x: Float[Tensor, "window number"]) -> Float[Tensor, "window class"]:
        """Logits; of late fusion the logarithms of the mean probabilities.

        Parameters
        ----------
        x : Float[Tensor, "window number"]
            Both sides of each window in one row (`packed`). A side with nothing but NaN is
            missing; a single missing sample or feature is 0 after scaling.

        Raises
        ------
        ConfigError
            If the rows have another length.
        """
        sides, there = self._sides(x)
        return self._decided(sides, there)

    def co_attention(
        self, x: Float[Tensor, "window number"]
    ) -> list[tuple[Float[Tensor, "window token step"], Float[Tensor, "window step token"]]]:
        """Maps of each layer, in order: what video tokens read of signals, and the other way.

        Raises
        ------
        ConfigError
            If there are no two sides that read each other, or rows have another length.
        """
        if not len(self.layers):
            raise ConfigError("co-attention needs video and signals, and fusion 'co_attention'.")
        (video, signals), _ = self._sides(x)
        maps = []
        for layer in cast(Iterable[CoAttention], self.layers):
            maps.append(layer.maps(video, signals))
            video, signals = layer(video, signals)
        return maps

    def attention_received(
        self, x: Float[Tensor, "window number"]
    ) -> dict[str, Float[Tensor, "window _step"]]:
        """How much each token or step is read, by part of the network; 1 is an even share.

        Means over heads and over all that read, times the number of steps. ``signal encoder``: of
        its last block, where it has ``attention``; ``hybrid attention, video`` and ``…, signals``,
        learned numbers of offsets included; ``co-attention, video`` and ``…, signals``: what the
        other side reads of it in the last layer. For windows that have all sides.

        Raises
        ------
        ConfigError
            If the rows have another length.
        """
        sides, _ = self._sides(x)
        found: dict[str, Tensor] = {}
        for name, side, given in self._given(x):
            tokens = given
            if side.encoder is not None:
                if hasattr(side.encoder, "attention"):
                    read = cast(Any, side.encoder).attention(given).mean(dim=(1, 2))
                    found["signal encoder"] = read * read.shape[1]
                tokens = cast(Any, side.encoder).tokens(given).mT
            if side.hybrid is not None:
                found[f"hybrid attention, {name}"] = side.hybrid.received(tokens) * tokens.shape[2]
        for layer in cast(Iterable[CoAttention], self.layers):
            of_signals, of_video = layer.maps(sides[0], sides[1])
            found["co-attention, video"] = of_video.mean(dim=1) * of_video.shape[2]
            found["co-attention, signals"] = of_signals.mean(dim=1) * of_signals.shape[2]
            sides = list(layer(sides[0], sides[1]))
        return found

    def mean_tokens(
        self, x: Float[Tensor, "window number"]
    ) -> dict[str, Float[Tensor, "window _feature"]]:
        """Mean token of each window in each part, in order: what an `embedding_map` shows.

        ``video encoder`` and ``signal encoder``: as they come; ``video side``, ``signals side``:
        after hybrid attention, at the common width; ``joint``: what the classifier reads (not of
        late fusion). For windows that have all sides.

        Raises
        ------
        ConfigError
            If the rows have another length.
        """
        sides, _ = self._sides(x)
        found: dict[str, Tensor] = {}
        if self.video:
            found["video encoder"] = self._parts(x)[0].reshape(len(x), *self.video).mean(dim=1)
        for name, side, given in self._given(x):
            if side.encoder is not None:
                found["signal encoder"] = cast(Any, side.encoder).tokens(given).mean(dim=1)
            found[f"{name} side"] = sides[0 if name == "video" else -1].mean(dim=1)
        if len(self.heads) == 1:
            for layer in self.layers:
                sides = list(layer(*sides))
            found["joint"] = torch.cat([side.mean(dim=1) for side in sides], dim=1)
        return found

    def _given(self, x: Tensor) -> list[tuple[str, Side, Tensor]]:
        """Name and part of each side, and what goes into it: (window, feature, token)."""
        parts, found = self._parts(x), []
        if self.video:
            tokens = self.video_scale(parts[0].reshape(len(x), *self.video).mT)
            found.append(("video", self.video_side, tokens))
        if self.signals:
            samples = parts[-1].reshape(len(x), *self.signals)
            if self.signal_side.encoder is None:
                samples = self.signal_scale(samples)
            found.append(("signals", self.signal_side, samples))
        return found

    def parameter_counts(self) -> dict[str, int]:
        """Parameters of each part that the article counts, and of those in between."""
        sides = [side for side in self.children() if isinstance(side, Side)]
        counts = {
            "hybrid positional attention": sum(_count(side.hybrid) for side in sides),
            "projection": sum(_count(side.project) + side.absent.numel() for side in sides),
            "co-attention": _count(self.layers),
        }
        if self.signals and self.signal_side.encoder is not None:
            counts["signal encoder"] = _count(self.signal_side.encoder)
        return counts

    def _parts(self, x: Any) -> list[Any]:
        return side_parts(NAME, x, self.video, self.signals)

    def _sides(self, x: Tensor) -> tuple[list[Tensor], Bool[Tensor, "window side"]]:
        """Tokens of each side, and which windows have it."""
        parts = self._parts(x)
        there = sides_there(parts)
        seen = self._left(there)
        return [
            side(given, seen[:, i]) for i, (_, side, given) in enumerate(self._given(x))
        ], there

    def _decided(self, sides: list[Tensor], there: Tensor) -> Tensor:
        if len(self.heads) == 2:
            each = [
                head(self.dropout(side.mean(dim=1))).log_softmax(dim=1)
                for head, side in zip(self.heads, sides, strict=True)
            ]
            decisions = torch.stack(each, dim=1)  # (window, side, class)
            seen = there | ~there.any(dim=1, keepdim=True)
            decisions = decisions.masked_fill(~seen[..., None], -math.inf)
            logits = decisions.logsumexp(dim=1) - seen.sum(dim=1, keepdim=True).log()
        else:
            if len(sides) == 2:
                for layer in self.layers:
                    sides = list(layer(*sides))
            means = torch.cat([side.mean(dim=1) for side in sides], dim=1)  # (window, joint)
            logits = self.heads[0](self.dropout(means))
        return or_prior(logits, there, cast(Tensor, self.log_prior))  # (window, class)

    def _left(self, there: Bool[Tensor, "window side"]) -> Bool[Tensor, "window side"]:
        """Sides left when each is dropped at random in training; the last one never is."""
        if not self.training or not self.stream_dropout or there.shape[1] < 2:
            return there
        draw = torch.rand(there.shape, device=there.device).masked_fill(~there, -1.0)
        last = draw == draw.max(dim=1, keepdim=True).values
        return there & ((draw >= self.stream_dropout) | last)


def packed(
    video: Float[Tensor, "window token feature"] | None = None,
    signals: Float[Tensor, "window channel time"] | None = None,
) -> Float[Tensor, "window number"]:
    """Both sides of each window in one row, as `DualStream` takes them.

    Examples
    --------
    >>> packed(torch.zeros(2, 8, 4), torch.zeros(2, 3, 10)).shape
    torch.Size([2, 62])
    """
    parts = [part.flatten(1) for part in (video, signals) if part is not None]
    if not parts:
        raise ConfigError("nothing to pack: give video tokens, signals, or both.")
    return torch.cat(parts, dim=1)


def _signal_encoder(
    name: str, shape: tuple[int, ...], arguments: Mapping[str, Any]
) -> nn.Module | None:
    if not name:
        return None
    entry = MODELS.get(name)
    if not hasattr(entry, "tokens"):
        raise ConfigError(f"the model '{name}' gives no tokens: choose another signal_encoder.")
    given = dict(arguments)
    known = inspect.signature(entry).parameters
    if "input_shape" in known:
        given.setdefault("input_shape", shape)
    if "num_classes" in known:
        given.setdefault("num_classes", 0)
    if "scaling" not in known:
        del given["scaling"]
    encoder: nn.Module = entry(**given)
    return encoder


def _learner(encoder: nn.Module) -> Callable[[np.ndarray], None]:
    """What an encoder learns its scale by; nothing where it has none."""
    return cast(Any, getattr(encoder, "learn_scale", lambda _: None))


def _steps_and_features(encoder: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Asked of the encoder itself, with one window of zeros."""
    before = encoder.training
    with torch.no_grad():
        tokens = cast(Any, encoder.eval()).tokens(torch.zeros(1, *shape))
    encoder.train(before)
    if tokens.ndim != 3:
        raise ConfigError(
            f"the signal encoder gives tokens of shape {tuple(tokens.shape)}, expected (window, "
            "step, feature)."
        )
    return int(tokens.shape[1]), int(tokens.shape[2])


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def _pair(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    found = tuple(int(n) for n in shape)
    if len(found) not in (0, 2) or (found and min(found) < 1):
        axes = "(token, feature)" if name == "video" else "(channel, time)"
        raise ConfigError(f"{name} is {found}, expected {axes}, or nothing where there is none.")
    return found


def _check(
    fusion: str,
    layers: int,
    stream_dropout: float,
) -> None:
    if fusion not in FUSIONS:
        raise ConfigError(f"fusion is '{fusion}', expected one of {', '.join(FUSIONS)}.")
    if layers < 1:
        raise ConfigError(
            f"layers is {layers}, expected at least 1; without any, fusion = 'concat'."
        )
    if not 0 <= stream_dropout < 1:
        raise ConfigError(f"stream_dropout is {stream_dropout}, expected 0 or more, below 1.")
