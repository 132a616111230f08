"""The checks of `sanity`, asked of a clip and the two networks that it runs through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dolorimeter.explain.relevance import CHUNK, Relevance, embed_frames, relevance_maps
from dolorimeter.explain.sanity import (
    FEWEST_ORDERS,
    Curves,
    Maps,
    Sanity,
    blurred,
    deletion_insertion,
    layers_of,
    sanity_check,
)

BLOCKS_AT_ONCE = 3
"""Encoder blocks randomised together: one at a time tells little more and costs three times."""
PATCH_SHARES, PATCH_ORDERS = (0.03, 0.15, 0.5, 0.85, 0.97), FEWEST_ORDERS
"""Points and random orders of curves over patches: each point of each order is a pass."""
FRAME_ORDERS = 99
"""Random orders of curves over frames, which need no pass through the encoder."""


@dataclass(frozen=True)
class Case:
    """A clip, the networks and the class whose map is checked.

    Parameters
    ----------
    frame_encoder, temporal : nn.Module
    pictures : Float[Tensor, "frame 3 height width"]
        Normalised.
    embeddings : Float[Tensor, "frame feature"]
        Of the pictures.
    relevance : Relevance
        Of all frames and all their patches.
    target : int
        Class.
    watched : tuple of int
        Frames whose patches are checked: all would cost hours and tell the same.
    """

    frame_encoder: nn.Module
    temporal: nn.Module
    pictures: Float[Tensor, "frame 3 height width"]
    embeddings: Float[Tensor, "frame feature"]
    relevance: Relevance
    target: int
    watched: tuple[int, ...]

    @property
    def row(self) -> int:
        """Place of the class in the arrays of `relevance`."""
        return self.relevance.targets.index(self.target)

    def probability(self, embeddings: Float[Tensor, "frame feature"]) -> float:
        """Of the class, by the temporal network alone."""
        with torch.no_grad():
            logits = self.temporal(embeddings[None])[0].double()
        return float(logits.softmax(dim=0)[self.target])


def randomised(case: Case, *, seed: int = 0, counted: Callable[[int], None]) -> Sanity:
    """Cascading randomisation: the map of the frames, and of the patches of the watched ones."""
    groups, of_temporal = layer_groups(case.frame_encoder, case.temporal)
    both = nn.ModuleDict({"temporal": case.temporal, "encoder": case.frame_encoder})
    layers = layers_of(both, [names for _, names in groups])
    named = [(title, p) for (title, _), (_, p) in zip(groups, layers, strict=True)]

    def maps(random: Sequence[str]) -> Maps:
        known = case.embeddings
        if len(random) > of_temporal:
            known = embed_frames(case.frame_encoder, case.pictures)
            counted(len(case.pictures))
        found = relevance_maps(
            case.frame_encoder,
            case.temporal,
            case.pictures,
            case.target,
            only=case.watched,
            embeddings=known,
        )
        counted(len(case.watched))
        return {"frames": found.frames, "patches": found.patches[0].reshape(len(case.watched), -1)}

    return sanity_check(maps, named, seed=seed)


def layer_groups(
    frame_encoder: nn.Module, temporal: nn.Module
) -> tuple[list[tuple[str, list[str]]], int]:
    """Layers from the top, each a title and names of modules; and how many are temporal."""
    own = len(list(temporal.get_submodule("blocks").children()))
    groups = [("classifier", ["temporal.fc", "temporal.norm"])]
    groups += [(f"self-attention {i + 1}", [f"temporal.blocks.{i}"]) for i in reversed(range(own))]
    groups += [
        ("cross-attention", ["temporal.cross"]),
        ("frame projection", ["temporal.embed"]),
    ]
    of_temporal = len(groups)
    depth = len(list(frame_encoder.get_submodule("blocks").children()))
    for last in range(depth, 0, -BLOCKS_AT_ONCE):
        first = max(last - BLOCKS_AT_ONCE, 0)
        names = [f"encoder.blocks.{i}" for i in range(first, last)]
        top = ["encoder.norm"] if last == depth else []
        title = (
            f"encoder blocks {last}–{first + 1}" if last > first + 1 else f"encoder block {last}"
        )
        groups.append((title, names + top))
    below = [n for n, _ in frame_encoder.named_children() if n not in ("blocks", "norm", "head")]
    loose = [n for n, _ in frame_encoder.named_parameters() if "." not in n]
    groups.append(("encoder input", [f"encoder.{n}" for n in below + loose]))
    return groups, of_temporal


def patch_curves(case: Case, *, seed: int = 0, counted: Callable[[int], None]) -> Curves:
    """Patches of the watched frames, blurred in order of relevance and in random orders."""
    watched = list(case.watched)
    sharp = case.pictures[watched]
    soft = blurred(sharp)
    maps = case.relevance.patches[case.row][watched]
    side = maps.shape[1]
    tile = sharp.shape[2] // side

    def score(out: Bool[np.ndarray, " item"]) -> float:
        grid = torch.from_numpy(out.reshape(len(watched), 1, side, side))
        mask = grid.repeat_interleave(tile, dim=2).repeat_interleave(tile, dim=3)
        embeddings = case.embeddings.clone()
        with torch.autocast("cpu", torch.bfloat16):  # its rounding falls on all orders alike
            found = embed_frames(case.frame_encoder, torch.where(mask, soft, sharp))
        embeddings[watched] = found.float()
        counted(len(watched))
        return case.probability(embeddings)

    return deletion_insertion(
        score,
        maps.flatten(),
        items="patches",
        shares=PATCH_SHARES,
        repeats=PATCH_ORDERS,
        seed=seed,
    )


def without(case: Case, *, counted: Callable[[int], None]) -> Float[Tensor, "frame feature"]:
    """Embeddings of all frames, blurred."""
    parts = [blurred(part) for part in torch.split(case.pictures, CHUNK)]
    counted(len(case.pictures))
    return torch.cat([embed_frames(case.frame_encoder, part) for part in parts])


def frame_curves(case: Case, soft: Float[Tensor, "frame feature"], *, seed: int = 0) -> Curves:
    """Whole frames, blurred in order of relevance and in random orders."""

    def score(out: Bool[np.ndarray, " item"]) -> float:
        return case.probability(torch.where(torch.from_numpy(out)[:, None], soft, case.embeddings))

    return deletion_insertion(
        score,
        case.relevance.frames[case.row],
        items="frames",
        repeats=FRAME_ORDERS,
        seed=seed,
    )


def frame_effects(case: Case, soft: Float[Tensor, "frame feature"]) -> Float[np.ndarray, " frame"]:
    """How much the probability falls when one frame alone is blurred."""
    whole = case.probability(case.embeddings)
    found = np.zeros(len(soft))
    for i in range(len(soft)):
        embeddings = case.embeddings.clone()
        embeddings[i] = soft[i]
        found[i] = whole - case.probability(embeddings)
    return found


def work(case: Case, foremost: int) -> int:
    """Passes of a picture through the encoder that all checks take.

    Parameters
    ----------
    case : Case
    foremost : int
        Frames whose patches are taken out.
    """
    groups, of_temporal = layer_groups(case.frame_encoder, case.temporal)
    frames, watched = len(case.pictures), len(case.watched)
    randomising = (len(groups) - of_temporal) * frames + (len(groups) + 1) * watched
    return randomising + frames + foremost * ((PATCH_ORDERS + 2) * len(PATCH_SHARES) + 2)
