"""Where PainFormer looked in a picture: attention of stages 3 and 4, and what speaks for a class.

Stages 1 and 2 mix all places of a picture in the frequency domain before the first attention is
paid, so that a token of stage 3 or 4 is no longer the patch of the picture below it. No map here
can undo that; `sanity` and the curves say what is left of it.

`attention N` is that of the last block of a stage, mean over heads and over the tokens that ask.
`rollout N` follows it through all blocks of the stage: half of a block's output counts as its
input (Abnar and Zuidema, *Quantifying Attention Flow in Transformers*, ACL 2020, section 3). Both
are of no class. `attention gradient` is the rule of `relevance` through the class block and stage
4, weighted with the gradient of the class's log odds; `token gradient` is gradient ⊙ token summed
over the channels of stage 4, its positive part (Selvaraju et al., *Grad-CAM*, ICCV 2017, without
the mean over places).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dolorimeter.explain.relevance import gathered, weighted_attention
from dolorimeter.models.painformer import Block, ClassBlock, PainFormer, SelfAttention

FREE = ("attention 3", "rollout 3", "attention 4", "rollout 4")
"""Maps of no class."""
BY_GRADIENT = ("attention gradient", "token gradient")
"""Maps of a class, from one pass and its gradient."""
OCCLUSION = "occlusion"
"""Map of a class from a pass a patch: the fall of its log odds without that patch."""
CHUNK = 4
"""Pictures at once: maps of stage 3 take 18 MB a picture."""


@dataclass(frozen=True)
class Third:
    """What is known of pictures after the third stage.

    Parameters
    ----------
    tokens : Float[Tensor, "picture token 320"]
    height, width : int
        Of the grid.
    maps : dict of str to Float[np.ndarray, "picture row column"]
        ``attention 3`` and ``rollout 3``.
    """

    tokens: Float[Tensor, "picture token width"]
    height: int
    width: int
    maps: dict[str, Float[np.ndarray, "picture row column"]]


@dataclass(frozen=True)
class StreamMaps:
    """All maps of one stream's pictures.

    Parameters
    ----------
    name, drawing : str
        Of the stream, and of its representation.
    labels : tuple of str
        A name for each picture: a channel, or a moment.
    extent : (float, float, float, float)
        Seconds of the window at the left and right edge of a signal's picture, hertz at the lower
        and upper one; NaN where an axis is none.
    times : Float[np.ndarray, "picture"]
        Seconds on the video's clock; NaN of signals.
    signal : bool
    watched : tuple of int
        Pictures that are checked.
    maps : dict of str to Float[np.ndarray, "class picture row column"]
        Maps of no class are the same for all; ``occlusion`` is NaN where it was not asked.
    """

    name: str
    drawing: str
    labels: tuple[str, ...]
    extent: tuple[float, float, float, float]
    times: Float[np.ndarray, " picture"]
    signal: bool
    watched: tuple[int, ...]
    maps: dict[str, Float[np.ndarray, "class picture _row _column"]]


def third_stage(
    encoder: PainFormer, pictures: Float[Tensor, "picture 3 height width"], chunk: int = CHUNK
) -> Third:
    """Tokens and maps after the third stage, without a graph."""
    tokens, last, flow = [], [], []
    height = width = 0
    with torch.no_grad(), _kept(_mixers(encoder.block3)) as mixers:
        for part in torch.split(pictures, chunk):
            found, height, width = encoder.three_stages(part)
            layers = [_map(mixer).mean(dim=1) for mixer in mixers]  # (picture, query, key) each
            tokens.append(found)
            last.append(layers[-1].mean(dim=1))
            flow.append(rollout(layers))
    maps = {"attention 3": torch.cat(last), "rollout 3": torch.cat(flow)}
    return Third(
        torch.cat(tokens), height, width, {k: _grid(v, height, width) for k, v in maps.items()}
    )


def fourth_stage(
    encoder: PainFormer,
    third: Third,
    gradients: Float[Tensor, "target picture 160"],
) -> dict[str, Float[np.ndarray, "target picture row column"]]:
    """Maps of stage 4; those of no class are the same for every target.

    Parameters
    ----------
    encoder : PainFormer
    third : Third
    gradients : Float[Tensor, "target picture 160"]
        Of each class's score with regard to the embedding of each picture.
    """
    mixers = _mixers(encoder.block4)
    reading = [cast(ClassBlock, block).attn for block in encoder.post_network]
    assert len(reading) == 1  # one class block, as published
    with torch.enable_grad(), _kept([*mixers, *reading]):
        tokens = encoder.fourth_stage(
            third.tokens.detach().requires_grad_(), third.height, third.width
        )
        embeddings = encoder.read(tokens)
        layers, read = [_map(mixer) for mixer in mixers], _map(reading[0])
        by_class = []
        for gradient in gradients:
            of_tokens, of_read, *of_layers = torch.autograd.grad(
                embeddings, [tokens, read, *layers], gradient, retain_graph=True
            )
            weighted = [
                weighted_attention(m.detach(), g) for m, g in zip(layers, of_layers, strict=True)
            ]
            readout = weighted_attention(read.detach(), of_read)[:, 0]  # (picture, 1 + token)
            by_class.append(
                (
                    _rests_on(readout, weighted),
                    (of_tokens * tokens.detach()).sum(dim=2).clamp(min=0),
                )
            )
    plain = [layer.detach().mean(dim=1) for layer in layers]
    free = {"attention 4": plain[-1].mean(dim=1), "rollout 4": rollout(plain)}
    high, wide = third.height // 2, third.width // 2
    maps = {k: torch.stack([v] * len(by_class)) for k, v in free.items()}
    for name, found in zip(BY_GRADIENT, zip(*by_class, strict=True), strict=True):
        maps[name] = torch.stack(list(found))
    return {k: _grid(v, high, wide) for k, v in maps.items()}


def embeddings_of(encoder: PainFormer, third: Third) -> Float[Tensor, "picture 160"]:
    """Embeddings from what is known after the third stage."""
    with torch.no_grad():
        tokens = encoder.fourth_stage(third.tokens, third.height, third.width)
        return encoder.read(tokens)


def rollout(
    layers: Sequence[Float[Tensor, "picture query key"]],
) -> Float[Tensor, "picture key"]:
    """What the mean of the last block's tokens rests on, if attention alone moved anything."""
    picture, count, _ = layers[0].shape
    rests = torch.full((picture, count), 1 / count, dtype=layers[0].dtype)
    for layer in reversed(layers):
        rests = (rests + (rests[:, None] @ layer)[:, 0]) / 2
    return rests


def _rests_on(
    readout: Float[Tensor, "picture place"], layers: Sequence[Tensor]
) -> Float[Tensor, "picture token"]:
    """What the class token, at first the mean of all tokens, gathered by attention."""
    count = readout.shape[1] - 1
    mean = torch.full_like(readout[:, 1:], 1 / count)
    start = (1 + readout[:, :1]) * mean + readout[:, 1:]
    # the tokens' plain mean is the same for all places and no finding
    return gathered(start, layers) - (1 + readout[:, :1]) * mean


def _grid(
    values: Float[Tensor, "*picture token"], height: int, width: int
) -> Float[np.ndarray, "*picture row column"]:
    return values.reshape(*values.shape[:-1], height, width).double().numpy()


def _map(mixer: SelfAttention) -> Tensor:
    return cast(Tensor, mixer.attention_map)


def _mixers(blocks: Iterable[object]) -> list[SelfAttention]:
    return [cast(SelfAttention, cast(Block, block).attn) for block in blocks]


@contextmanager
def _kept(mixers: Sequence[SelfAttention]) -> Iterator[Sequence[SelfAttention]]:
    """They keep their maps meanwhile."""
    try:
        for mixer in mixers:
            mixer.keep_attention = True
        yield mixers
    finally:
        for mixer in mixers:
            mixer.keep_attention = False
            mixer.attention_map = None
