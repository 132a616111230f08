"""Relevance against computations that share nothing with it: NumPy and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax
from torch import nn

from dolorimeter.errors import ConfigError
from dolorimeter.explain.relevance import (
    embed_frames,
    gathered,
    relevance_maps,
    weighted_attention,
)
from dolorimeter.models import tnt
from dolorimeter.models.full_transformer import FullTransformer
from dolorimeter.models.tnt import TNT

FRAMES, CLASSES = 3, 2


def networks(seed: int = 0, frames: int = FRAMES) -> tuple[TNT, FullTransformer]:
    """Small ones in float64, with weights large enough for attention that is not flat."""
    torch.manual_seed(seed)
    encoder = TNT(0, image_size=32, depth=2, width=12, heads=2, inner_width=4, inner_heads=2)
    temporal = FullTransformer(
        CLASSES, input_shape=(frames, 12), width=8, queries=4, heads=2, depth=2, hidden=16
    )
    for module in (encoder, temporal):
        module.double().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.4 * torch.randn_like(parameter))
    return encoder, temporal


def clip(frames: int = FRAMES, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 3, 32, 32, generator=generator, dtype=torch.float64)


def weighted(maps: list[np.ndarray], gradients: list[np.ndarray]) -> list[np.ndarray]:
    """Equation 5, for maps (head, query, key)."""
    return [np.maximum(a * g, 0).mean(axis=0) for a, g in zip(maps, gradients, strict=True)]


# ── the temporal network, written again in NumPy ──────────────────────────────────────────────


def temporal_numpy(
    weights: dict[str, np.ndarray], x: np.ndarray, bump: dict[tuple[int, ...], float]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits and maps of `FullTransformer`; `bump` adds numbers to (layer, head, query, key)."""
    maps: list[np.ndarray] = []

    def norm(name: str, y: np.ndarray) -> np.ndarray:
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
        return y * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(name: str, y: np.ndarray) -> np.ndarray:
        return y @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def attend(name: str, heads: int, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        q, k, v = (
            linear(f"{name}.{part}", of) for part, of in (("query", y), ("key", z), ("value", z))
        )
        size = q.shape[1] // heads
        parts, kept = [], []
        for h in range(heads):
            cut = slice(h * size, (h + 1) * size)
            a = softmax(q[:, cut] @ k[:, cut].T / np.sqrt(size), axis=1)
            for (layer, head, query, key), by in bump.items():
                if (layer, head) == (len(maps), h):
                    a[query, key] += by
            kept.append(a)
            parts.append(a @ v[:, cut])
        maps.append(np.stack(kept))
        return linear(f"{name}.out", np.concatenate(parts, axis=1))

    def forward(name: str, y: np.ndarray) -> np.ndarray:
        hidden = linear(f"{name}.fc1", y)
        hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        return linear(f"{name}.fc2", hidden)

    variance = weights["scale.running_var"] + 1e-8
    x = linear("embed", (x - weights["scale.running_mean"]) / np.sqrt(variance))
    place = np.arange(len(x))[:, None] * 10_000.0 ** (-np.arange(0, x.shape[1], 2) / x.shape[1])
    x = x + np.stack([np.sin(place), np.cos(place)], axis=2).reshape(x.shape)
    y = weights["cross.matrix"][0]
    y = y + attend("cross.attention", 1, norm("cross.norm_query", y), norm("cross.norm_frames", x))
    y = y + forward("cross.feed_forward", norm("cross.norm", y))
    for i in range(2):
        normed = norm(f"blocks.{i}.norm_attention", y)
        y = y + attend(f"blocks.{i}.attention", 2, normed, normed)
        y = y + forward(f"blocks.{i}.feed_forward", norm(f"blocks.{i}.norm", y))
    return linear("fc", norm("norm", y).mean(axis=0)), maps


def test_frames_equal_the_rule_in_numpy_with_finite_differences() -> None:
    encoder, temporal = networks()
    pictures = clip()
    found = relevance_maps(encoder, temporal, pictures)
    weights = {k: v.numpy() for k, v in temporal.state_dict().items()}
    x = embed_frames(encoder, pictures).numpy()
    logits, maps = temporal_numpy(weights, x, {})
    # positions are float32 numbers in the network
    assert np.allclose(found.logits, logits, rtol=1e-6)
    gradients = []
    for layer, a in enumerate(maps):
        gradient = np.zeros((CLASSES, *a.shape))
        for place in np.ndindex(*a.shape):
            high, low = (
                temporal_numpy(weights, x, {(layer, *place): by})[0] for by in (1e-5, -1e-5)
            )
            gradient[:, *place] = (high - low) / 2e-5
        gradients.append(gradient)
    assert found.frames.max() > 1e-4  # one class may have no positive relevance at all
    for target in range(CLASSES):
        cross, first, second = weighted(maps, [g[target] for g in gradients])
        frames = cross  # R̄ of queries and of frames is I: equation 10
        for a in (first, second):
            frames = frames + a @ frames  # equation 7
        expected = pytest.approx(frames.mean(axis=0), rel=1e-5, abs=1e-12)
        assert found.frames[target] == expected


# ── the whole, by finite differences through the networks ─────────────────────────────────────


class Bumped(tnt.Attention):
    """Attention whose map has a number added to some entry before it is used."""

    bump: torch.Tensor | float = 0.0

    @property  # type: ignore[override]  # an attribute there
    def attention_map(self) -> torch.Tensor | None:
        return self.kept

    @attention_map.setter
    def attention_map(self, value: torch.Tensor | None) -> None:
        self.kept = None if value is None else value + self.bump


def by_bumping(
    modules: Sequence[Bumped], logits: Callable[[int], np.ndarray], shape: tuple[int, ...]
) -> list[np.ndarray]:
    """Gradients (class, *shape) of the logits with regard to the maps of modules.

    Every entry is bumped up and down, each in a copy of the clip of its own.
    """
    for module in modules:
        module.keep_attention = True
    entries = int(np.prod(shape))
    eye = torch.eye(entries, dtype=torch.float64).reshape(entries, *shape) * 1e-5
    found = []
    for module in modules:
        module.bump = torch.cat([eye, -eye]).flatten(0, 1)
        up, down = np.split(logits(2 * entries), 2)
        module.bump = 0.0
        found.append(((up - down) / 2e-5).T.reshape(-1, *shape))
    for module in modules:
        module.keep_attention = False
    return found


def test_patches_equal_the_rule_with_finite_differences_through_both_networks() -> None:
    encoder, temporal = networks()
    pictures = clip()

    def logits(copies: int) -> np.ndarray:
        with torch.no_grad():
            vectors = encoder(pictures.repeat(copies, 1, 1, 1))
            return temporal(vectors.reshape(copies, FRAMES, -1)).numpy()

    for block in encoder.blocks:
        block.attn_out.__class__ = Bumped
    modules = [block.attn_out for block in encoder.blocks]
    gradients = by_bumping(modules, logits, (FRAMES, 2, 5, 5))
    maps = [a.detach().numpy() for a in encoder.attention(pictures)]
    found = relevance_maps(encoder, temporal, pictures)
    assert found.frames.max() > 1e-3
    for target in range(CLASSES):
        for frame in range(FRAMES):
            relevance = np.eye(5)
            for a in weighted([m[frame] for m in maps], [g[target, frame] for g in gradients]):
                relevance = relevance + a @ relevance  # equation 6
            own = relevance[0] - np.eye(5)[0]
            normalised = own / max(own.sum(), 1e-300)  # equations 8 and 9, of the class token
            expected = found.frames[target, frame] * normalised[1:]
            got = found.patches[target, frame].flatten()
            assert got == pytest.approx(expected, rel=1e-4, abs=1e-12)


def test_chunks_give_what_the_joint_graph_gives() -> None:
    encoder, temporal = networks(seed=1, frames=5)
    pictures = clip(5, seed=1)
    outer = [block.attn_out for block in encoder.blocks]
    for module in outer:
        module.keep_attention = True
    logits = temporal(encoder(pictures)[None])[0]
    maps = [module.attention_map for module in outer]
    for module in outer:
        module.keep_attention = False
    for target in range(CLASSES):
        gradients = torch.autograd.grad(logits[target], maps, retain_graph=True)
        layers = [weighted_attention(m.detach(), g) for m, g in zip(maps, gradients, strict=True)]
        start = torch.eye(5, dtype=torch.float64)[:1].expand(5, -1)
        own = gathered(start, layers) - start
        share = (own / own.sum(dim=1, keepdim=True))[:, 1:].numpy()
        for chunk in (1, 2, 5, 7):
            found = relevance_maps(encoder, temporal, pictures, chunk=chunk)
            expected = found.frames[target][:, None] * share
            assert found.patches[target].reshape(5, 4) == pytest.approx(expected, rel=1e-9)
            assert np.allclose(found.logits, logits.detach().numpy())


def test_all_classes_and_chosen_frames_are_parts_of_the_same() -> None:
    encoder, temporal = networks(seed=2)
    whole = relevance_maps(encoder, temporal, clip())
    assert whole.targets == (0, 1)
    assert whole.pictures == (0, 1, 2)
    one = relevance_maps(encoder, temporal, clip(), 1, only=[2, 0], chunk=1)
    assert one.pictures == (2, 0)
    assert np.allclose(one.frames[0], whole.frames[1])
    assert np.allclose(one.patches[0], whole.patches[1][[2, 0]])
    known = embed_frames(encoder, clip())
    given = relevance_maps(encoder, temporal, clip(), 1, only=[2, 0], embeddings=known)
    assert np.allclose(given.patches, one.patches)


def test_a_frame_has_no_more_relevance_on_its_patches_than_it_has() -> None:
    for seed in range(5):
        found = relevance_maps(*networks(seed), clip(seed=seed))
        on_patches = found.patches.sum(axis=(2, 3))
        assert (found.patches >= 0).all()
        assert (on_patches <= found.frames * (1 + 1e-9)).all()


def test_classes_have_maps_of_their_own() -> None:
    found = relevance_maps(*networks(), clip())
    assert not np.allclose(found.frames[0], found.frames[1], rtol=0.1)


def test_a_network_that_ignores_its_input_has_no_relevance() -> None:
    encoder, temporal = networks()
    with torch.no_grad():
        temporal.fc.weight.zero_()
    found = relevance_maps(encoder, temporal, clip())
    assert (found.frames == 0).all()
    assert (found.patches == 0).all()


def test_a_frame_that_is_not_read_has_no_relevance() -> None:
    encoder, temporal = networks()
    with torch.no_grad():  # keys are frame numbers, and every query wants the lowest
        temporal.embed.weight.zero_()
        temporal.embed.bias.zero_()
        temporal.position.zero_()
        temporal.position[2, 0] = 1
        temporal.cross.norm_frames.weight.fill_(1)
        temporal.cross.norm_frames.bias.zero_()
        temporal.cross.attention.key.weight.zero_()
        temporal.cross.attention.key.weight[:, 0] = 50
        temporal.cross.attention.query.weight.zero_()
        temporal.cross.attention.query.bias.fill_(-1)
        temporal.cross.attention.value.weight.add_(torch.randn(8, 8))
    found = relevance_maps(encoder, temporal, clip())
    assert (found.frames[:, 2] < 1e-9).all()
    assert (found.patches[:, 2] < 1e-9).all()
    assert (found.frames[:, :2] > 1e-9).any()


def test_the_networks_are_left_as_they_were() -> None:
    encoder, temporal = networks()
    temporal.train()
    encoder.blocks.requires_grad_(False)
    before = [p.requires_grad for p in encoder.parameters()]
    relevance_maps(encoder, temporal, clip())
    assert temporal.training
    assert temporal.cross.attention.training
    assert not encoder.training
    assert [p.requires_grad for p in encoder.parameters()] == before
    assert all(p.requires_grad for p in temporal.parameters())
    assert all(p.grad is None for p in [*encoder.parameters(), *temporal.parameters()])
    attention = [m for m in [*encoder.modules(), *temporal.modules()] if hasattr(m, "heads")]
    assert not any(m.keep_attention for m in attention)
    assert all(m.attention_map is None for m in attention)


def test_dropout_plays_no_part() -> None:
    encoder, temporal = networks()
    quiet = relevance_maps(encoder, temporal, clip())
    temporal.train()
    assert np.array_equal(relevance_maps(encoder, temporal, clip()).frames, quiet.frames)


def test_what_cannot_be_explained_is_refused() -> None:
    encoder, temporal = networks()
    with pytest.raises(ConfigError, match="relevance asked of Linear under FullTransformer"):
        relevance_maps(nn.Linear(2, 2), temporal, clip())
    headed = TNT(2, image_size=32, depth=1, width=12, heads=2, inner_width=4, inner_heads=2)
    with pytest.raises(ConfigError, match="without a head"):
        relevance_maps(headed, temporal, clip())
    with pytest.raises(ConfigError, match="class 2 asked of a network with 2"):
        relevance_maps(encoder, temporal, clip(), 2)
    with pytest.raises(ConfigError, match="frames \\[3\\] asked of a clip with 3"):
        relevance_maps(encoder, temporal, clip(), only=[3])
    with pytest.raises(ConfigError, match="chunk is 0"):
        relevance_maps(encoder, temporal, clip(), chunk=0)
