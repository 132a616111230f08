"""Which frames, and which patches of them, a class's score rests on: attention relevance.

Hila Chefer, Shir Gur, Lior Wolf: *Generic Attention-model Explainability for Interpreting Bi-Modal
and Encoder-Decoder Transformers*. ICCV 2021, arXiv:2103.15679. Equations are numbered as there:

- (5) weighted attention Ā: mean over heads of the positive part of gradient ⊙ attention, the
  gradient being that of the class's logit;
- (6, 7) tokens that read each other: R ← R + Ā R;
- (8, 9) R̄ = (R − I) / row sum + I: what a token gathered weighs as much as the token itself;
- (10) tokens that read others: R ← R + R̄(readers)ᵀ Ā R̄(read).

The clip runs through two networks. The frame encoder gives one vector a picture, its class token;
the temporal network reads these vectors by a learned matrix whose rows then read each other, and
the classifier takes their mean. Before that reading, rows of the matrix rest on nothing else, so
their R̄ is I in (10); the R̄ of what is read is that of each frame's tokens.

A gradient with regard to attention inside the encoder is a vector–Jacobian product: the temporal
network gives the vector (the gradient of the logit with regard to a frame's embedding), and the
encoder runs over a few frames at a time. The result is that of the joint graph, in the memory of
those few frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError
from dolorimeter.models import full_transformer, tnt

CHUNK = 4
"""Frames in the encoder at once."""

Progress = Callable[[int, int], None]
"""Called with the count done and the count in all."""


@dataclass(frozen=True)
class Relevance:
    """What the scores of a clip rest on.

    Parameters
    ----------
    logits : Float[np.ndarray, "class"]
        Of the temporal network.
    targets : tuple of int
        The classes explained, in the order of the first axes below.
    frames : Float[np.ndarray, "target frame"]
        Relevance of each frame; not negative, in no unit.
    patches : Float[np.ndarray, "target picture row column"]
        Relevance of the patches of the frames in `pictures`: that of the frame, shared among its
        patches as the encoder's class token has gathered from them. What it gathered from itself
        belongs to no patch, so the patches of a frame add up to at most its relevance.
    pictures : tuple of int
        Which frames have patches.
    """

    logits: Float[np.ndarray, " class"]
    targets: tuple[int, ...]
    frames: Float[np.ndarray, "target frame"]
    patches: Float[np.ndarray, "target picture row column"]
    pictures: tuple[int, ...]


def relevance_maps(
    frame_encoder: nn.Module,
    temporal: nn.Module,
    pictures: Float[Tensor, "frame channel height width"],
    target: int | Sequence[int] | None = None,
    *,
    only: Sequence[int] | None = None,
    chunk: int = CHUNK,
    embeddings: Float[Tensor, "frame feature"] | None = None,
    progress: Progress | None = None,
) -> Relevance:
    """Relevance of the frames of a clip, and of their patches, for one or more classes.

    Parameters
    ----------
    frame_encoder : TNT
        Without a head: pictures to class tokens.
    temporal : FullTransformer
        A clip of embeddings to logits.
    pictures : Float[Tensor, "frame 3 224 224"]
        As the encoder's Card wants them (scaled, mean and standard deviation applied).
    target : int or sequence of int, optional
        Classes to explain; None for all.
    only : sequence of int, optional
        Frames whose patches are wanted; None for all. The frames themselves are always all.
    chunk : int
        Frames in the encoder at once. It changes the memory, not the result.
    embeddings : Float[Tensor, "frame feature"], optional
        What the encoder gives for `pictures`, where that is known.
    progress : callable, optional
        Called with frames done and frames in all.

    Raises
    ------
    ConfigError
        If the networks are others, a class or a frame does not exist, or chunk is below 1.
    """
    if chunk < 1:
        raise ConfigError(f"chunk is {chunk} frames, expected at least 1.")
    chosen = list(range(len(pictures))) if only is None else list(only)
    if not chosen or not all(0 <= i < len(pictures) for i in chosen):
        raise ConfigError(f"frames {chosen} asked of a clip with {len(pictures)} frames.")
    check_networks(frame_encoder, temporal)
    if embeddings is None:
        embeddings = embed_frames(frame_encoder, pictures, chunk)
    logits, targets, frames, gradients = frame_relevance(temporal, embeddings, target)
    parts = []
    for first in range(0, len(chosen), chunk):
        part = chosen[first : first + chunk]
        parts.append(_of_patches(frame_encoder, pictures[part], gradients[:, part]))
        if progress:
            progress(first + len(part), len(chosen))
    patches = frames[:, chosen, None] * torch.cat(parts, dim=1)  # (target, picture, patch)
    side = round(patches.shape[2] ** 0.5)
    return Relevance(
        logits.double().numpy(),
        targets,
        frames.double().numpy(),
        patches.reshape(*patches.shape[:2], side, side).double().numpy(),
        tuple(chosen),
    )


def check_networks(frame_encoder: nn.Module, temporal: nn.Module) -> None:
    """Refuse networks through which relevance is not known to pass.

    Raises
    ------
    ConfigError
        Naming both.
    """
    headless = isinstance(frame_encoder, tnt.TNT) and isinstance(frame_encoder.head, nn.Identity)
    if not headless or not isinstance(temporal, full_transformer.FullTransformer):
        raise ConfigError(
            f"relevance asked of {type(frame_encoder).__name__} under {type(temporal).__name__}: "
            "it is known for a TNT without a head (num_classes=0) under a FullTransformer."
        )


def embed_frames(
    frame_encoder: nn.Module,
    pictures: Float[Tensor, "frame channel height width"],
    chunk: int = CHUNK,
) -> Float[Tensor, "frame feature"]:
    """Embeddings of the pictures, in evaluation mode and without a graph."""
    with _evaluated(frame_encoder), torch.no_grad():
        return torch.cat([frame_encoder(part) for part in torch.split(pictures, chunk)])


def weighted_attention(
    attention: Float[Tensor, "sample head query key"],
    gradient: Float[Tensor, "sample head query key"],
) -> Float[Tensor, "sample query key"]:
    """Equation 5: mean over heads of the positive part of gradient ⊙ attention."""
    return (gradient * attention).clamp(min=0).mean(dim=1)


def gathered(
    readout: Float[Tensor, "sample token"], layers: Sequence[Float[Tensor, "sample token token"]]
) -> Float[Tensor, "sample token"]:
    """What the tokens in `readout` rest on, after all layers: equation 6, one row of it.

    From R = I, the rule R ← R + Ā R gives (I + Ā of the last layer) … (I + Ā of the first). Of
    that product only ``readout @ R`` is wanted, so it is built from the left, a vector at a time.
    """
    for weighted in reversed(layers):
        readout = readout + (readout[:, None] @ weighted)[:, 0]
    return readout


def frame_relevance(
    temporal: nn.Module,
    embeddings: Float[Tensor, "frame feature"],
    target: int | Sequence[int] | None = None,
) -> tuple[
    Float[Tensor, " class"],
    tuple[int, ...],
    Float[Tensor, "target frame"],
    Float[Tensor, "target frame feature"],
]:
    """Logits, classes, relevance of frames, and gradients with regard to their embeddings.

    The part of `relevance_maps` that needs no picture.

    Raises
    ------
    ConfigError
        If a class does not exist.
    """
    cross, *blocks = _temporal_attention(temporal)
    leaf = embeddings.detach().clone().requires_grad_()
    with _evaluated(temporal), _kept([cross, *blocks]) as maps, torch.enable_grad():
        logits = temporal(leaf[None])[0]
        targets = _targets(target, len(logits))
        frames, gradients = [], []
        for c in targets:
            found = torch.autograd.grad(logits[c], [leaf, *maps()], retain_graph=True)
            gradients.append(found[0])
            read, *own = map(weighted_attention, (m.detach() for m in maps()), found[1:])
            queries = read.shape[1]
            rows = gathered(torch.full_like(read[:, :, 0], 1 / queries), own)  # (1, query)
            frames.append((rows[:, None] @ read)[0, 0])  # (frame)
    return logits.detach(), targets, torch.stack(frames), torch.stack(gradients)


def frame_attention(
    temporal: nn.Module, embeddings: Float[Tensor, "frame feature"]
) -> Float[np.ndarray, " frame"]:
    """Attention to each frame, the mean over rows of the learned matrix and heads; adds up to 1.

    It is of no class. Relevance beside it shows what the gradient adds, or takes away.
    """
    cross = _temporal_attention(temporal)[0]
    with _evaluated(temporal), _kept([cross]) as maps, torch.no_grad():
        temporal(embeddings[None])
        return maps()[0][0].mean(dim=(0, 1)).double().numpy()


def _of_patches(
    frame_encoder: nn.Module,
    pictures: Float[Tensor, "picture channel height width"],
    gradients: Float[Tensor, "target picture feature"],
) -> Float[Tensor, "target picture patch"]:
    """Share of each patch in what the class token rests on (equations 8 and 9)."""
    outer = _encoder_attention(frame_encoder)
    shares = []
    with _evaluated(frame_encoder), _kept(outer) as maps, torch.enable_grad():
        # The inner transformers read no outer token: without a graph through them, memory and
        # time are those of the outer ones, in which alone relevance moves between patches.
        frame_encoder.get_parameter("patch_pos").requires_grad_()
        embeddings = frame_encoder(pictures)
        for gradient in gradients:
            found = torch.autograd.grad(embeddings, maps(), gradient, retain_graph=True)
            layers = list(map(weighted_attention, (m.detach() for m in maps()), found))
            start = torch.zeros_like(layers[0][:, 0])
            start[:, 0] = 1  # the class token
            own = gathered(start, layers) - start
            total = own.sum(dim=1, keepdim=True)
            shares.append(torch.where(total > 0, own / total, torch.zeros_like(own))[:, 1:])
    return torch.stack(shares)


def _targets(target: int | Sequence[int] | None, classes: int) -> tuple[int, ...]:
    if target is None:
        return tuple(range(classes))
    targets = (target,) if isinstance(target, int) else tuple(target)
    if not targets or not all(0 <= c < classes for c in targets):
        raise ConfigError(f"class {target} asked of a network with {classes} classes.")
    return targets


def _temporal_attention(temporal: nn.Module) -> list[full_transformer.Attention]:
    """The attention of the learned matrix to the frames, then that of its rows."""
    known = cast(full_transformer.FullTransformer, temporal)
    blocks = cast(Iterable[full_transformer.SelfBlock], known.blocks)
    return [known.cross.attention, *(block.attention for block in blocks)]


def _encoder_attention(frame_encoder: nn.Module) -> list[tnt.Attention]:
    """The attention of each outer transformer; the inner ones stay within a patch."""
    blocks = cast(Iterable[tnt.Block], cast(tnt.TNT, frame_encoder).blocks)
    return [block.attn_out for block in blocks]


@contextmanager
def _kept(
    modules: Sequence[tnt.Attention | full_transformer.Attention],
) -> Iterator[Callable[[], list[Tensor]]]:
    """The modules keep their maps; gives a function that returns those of the last pass."""
    try:
        for module in modules:
            module.keep_attention = True
        yield lambda: [cast(Tensor, module.attention_map) for module in modules]
    finally:
        for module in modules:
            module.keep_attention = False
            module.attention_map = None


@contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients for parameters; as it was before on leaving."""
    training = [m for m in module.modules() if m.training]
    learning = [p for p in module.parameters() if p.requires_grad]
    try:
        module.eval().requires_grad_(False)
        yield
    finally:
        module.requires_grad_(False)
        for parameter in learning:
            parameter.requires_grad_()
        for part in training:
            part.training = True
