"""The 3-D ViT against what the authors' code computes, and the masked autoencoder's properties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models import create_model
from dolorimeter.models.video_mae import (
    PatchCritic,
    VideoAutoencoder,
    VideoMAEEncoder,
    VideoMAESmall,
    critic_loss,
    from_patches,
    masked_patches,
    patches,
)
from dolorimeter.registry import MODELS


def fill_by_rule(module: torch.nn.Module) -> None:
    """Give every entry of the state dict but the table of positions the vectors' weights."""
    state = module.state_dict()
    for j, name in enumerate(sorted(n for n in state if n != "pos_embedding.emb")):
        shape, count = state[name].shape, state[name].numel()
        u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
        b = 2 * (u - np.floor(u)) - 1
        if len(shape) >= 2:
            values = b * np.sqrt(6 * shape[0] / count)
        else:
            values = 0.1 * b + name.endswith("weight")
        state[name] = torch.from_numpy(values.reshape(tuple(shape)))
    module.load_state_dict(state)


def input_by_rule(*shape: int) -> torch.Tensor:
    """The input of the parity vectors, for a batch of one."""
    i = np.arange(np.prod(shape))
    return torch.from_numpy((np.sin(0.0137 * i) + 0.5 * np.sin(0.331 * i)).reshape(shape))


def encoder(num_classes: int = 0) -> VideoMAEEncoder:
    """4 frames of 32×32 pixels: 2 × 2 × 2 tokens."""
    torch.manual_seed(0)
    sizes = {"frames": 4, "image_size": 32, "depth": 2, "width": 24, "heads": 3}
    return VideoMAEEncoder(num_classes, **sizes).double().eval()


def autoencoder() -> VideoAutoencoder:
    inner = encoder()
    return VideoAutoencoder(inner, depth=2, width=12, heads=3).double().eval()


def clips(count: int = 2, seed: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 4, 32, 32, generator=drawn, dtype=torch.float64)


TUBES = torch.tensor([[False, True, True, True] * 2, [True, True, False, True] * 2])
"""Three of four places masked, through time."""


def test_agrees_with_the_authors_code(fixtures: Path) -> None:
    module = VideoMAESmall().double().eval()
    fill_by_rule(module)
    with torch.inference_mode():
        tokens = module.tokens(input_by_rule(1, 3, 16, 224, 224))
    with np.load(fixtures / "parity" / "video_mae_encoder.npz") as wanted:
        np.testing.assert_allclose(tokens.mean(1).numpy(), wanted["mean"], rtol=1e-6)
        chosen = tokens[0, [0, 1, 97, 783, 1567]].numpy()
        np.testing.assert_allclose(chosen, wanted["tokens"], rtol=1e-6)


def test_state_dict_has_the_authors_names_in_their_order(fixtures: Path) -> None:
    wanted = json.loads((fixtures / "parity" / "video_mae_encoder_keys.json").read_text())
    with torch.device("meta"):
        module = create_model("video_mae_small")
    state = module.state_dict()
    assert list(state) == list(wanted)
    assert {name: list(v.shape) for name, v in state.items()} == wanted
    assert sum(p.numel() for p in module.parameters()) == 21_879_936
    assert state["pos_embedding.emb"].numel() == 602_112


@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 5.6), ("small", 21.9), ("base", 86.2), ("large", 303.9)]
)
def test_the_cards_say_how_large_they_are(size: str, millions: float) -> None:
    with torch.device("meta"):
        module = create_model(f"video_mae_{size}")
    count = sum(p.numel() for p in module.parameters())
    card = MODELS.card(f"video_mae_{size}")
    assert round(count / 1e6, 1) == millions
    assert f"{millions} M" in card.summary
    assert card.input is not None
    assert card.input.shape == (3, 16, 224, 224)


def test_patches_are_what_a_convolution_sees_and_come_back() -> None:
    module, x = encoder(), clips()
    cut = patches(x)
    assert cut.shape == (2, 8, 1536)
    assert torch.equal(from_patches(cut, 4, 32), x)
    with torch.no_grad():
        by_convolution = module.patch_embedding.projection(x).flatten(2).mT
        torch.testing.assert_close(module.patch_embedding(cut), by_convolution)
    one = torch.zeros(1, 3, 4, 32, 32)
    one[0, :, 2:, :16, 16:] = 1  # second in time, first row, second column
    assert patches(one).sum(dim=2).argmax() == 1 * 4 + 0 * 2 + 1


def test_the_encoder_sees_the_visible_patches_alone() -> None:
    module, x = autoencoder(), clips()
    seen: list[torch.Size] = []
    hooks = [
        block.register_forward_hook(lambda m, a, out: seen.append(out.shape))
        for block in module.encoder.blocks
    ]
    cut = patches(x)
    with torch.no_grad():
        before = module.painted(cut, TUBES)
        changed = torch.where(TUBES[..., None], torch.randn_like(cut), cut)
        assert torch.equal(module.painted(changed, TUBES), before)
        visible = cut.clone()
        visible[0, 0] += 1
        assert not torch.equal(module.painted(visible, TUBES)[0], before[0])
        assert torch.equal(module.painted(visible, TUBES)[1], before[1])
    assert seen[:2] == [(2, 2, 24)] * 2  # two of eight tokens, in both blocks
    assert before.shape == (2, 6, 1536)
    for hook in hooks:
        hook.remove()


def test_without_a_mask_the_visible_path_is_the_whole_one() -> None:
    module, x = encoder(), clips()
    everything = torch.arange(8).expand(2, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            module.visible_tokens(patches(x), everything), module.tokens(x), rtol=1e-9, atol=1e-12
        )


def test_painted_patches_stand_where_the_masked_ones_are() -> None:
    """A decoder that copies places would fail here: each answer is compared to its own patch."""
    real = masked_patches(patches(clips()), TUBES)
    cut = patches(clips())
    assert torch.equal(real[1], cut[1][TUBES[1]])
    module = autoencoder()
    with torch.no_grad():
        told = module.painted(cut, TUBES)
        other = module.painted(cut[:, :], torch.flip(TUBES, (0,)))
    assert not torch.allclose(told, other)
    standard = masked_patches(cut, TUBES, standardised=True)
    torch.testing.assert_close(standard.mean(2), torch.zeros(2, 6, dtype=torch.float64))
    assert standard.var(2).sub(1).abs().max() < 1e-4


def test_of_the_masked_patches_some_can_be_asked_for() -> None:
    module, cut = autoencoder(), patches(clips())
    asked = TUBES.clone()
    asked[:, 4:] = False  # of the first moment alone
    with torch.no_grad():
        some = module.painted(cut, TUBES, asked)
        assert some.shape == (2, 3, 1536)
        assert torch.equal(module.painted(cut, TUBES, TUBES), module.painted(cut, TUBES))
        # the decoder mixes what it computes: without the others an answer differs, a little
        assert not torch.equal(some, module.painted(cut, TUBES)[:, :3])


def test_it_learns_a_clip_by_heart() -> None:
    torch.manual_seed(0)
    module = autoencoder().train()
    x = clips(1)
    masked = TUBES[:1]
    real = masked_patches(patches(x), masked)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = (module(x, masked) - real).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert [n for n, p in module.named_parameters() if p.grad is None] == []


def test_attention_of_the_last_block_and_along_time() -> None:
    module, x = encoder(), clips()
    with torch.no_grad():
        before = module(x)
        found = module.attention(x)
        along = module.temporal_attention(x)
        assert torch.equal(module(x), before)
    assert found.shape == (2, 3, 8, 8)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 3, 8, dtype=torch.float64))
    assert module.blocks[-1].attn.attention_map is None
    assert along.shape == (2, 3, 2, 2, 2, 2)
    # the same scores as the joint map, of one place, summed to one again
    place = found.reshape(2, 3, 2, 4, 2, 4)[:, :, :, 3, :, 3]
    torch.testing.assert_close(along[:, :, 1, 1], place / place.sum(-1, keepdim=True))


def test_fused_attention_equals_the_explicit_one() -> None:
    module, x = encoder(), clips()
    with torch.no_grad():
        fused = module.tokens(x)
        for block in module.blocks:
            block.attn.keep_attention = True
        torch.testing.assert_close(module.tokens(x), fused, rtol=1e-9, atol=1e-12)


@settings(max_examples=4, deadline=None)
@given(row=st.integers(0, 3))
def test_a_batch_of_one_equals_that_row(row: int) -> None:
    module, x = encoder(3), clips(4)
    with torch.no_grad():
        torch.testing.assert_close(module(x[row : row + 1])[0], module(x)[row])


def test_the_critics_loss_is_what_its_formula_says() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(width=8).double()
    real, fake = torch.randn(2, 5, 1536, dtype=torch.float64)
    fake.requires_grad_(True)
    share = torch.rand(5, dtype=torch.float64)
    bare = critic(fake).mean() - critic(real).mean()
    torch.testing.assert_close(critic_loss(critic, real, fake, share, 0.0), bare)
    slopes = []
    for s, r, f in zip(share, real, fake.detach(), strict=True):
        # the slope of two layers by hand: the weights, gated by the sign inside
        at = s * r + (1 - s) * f
        inside = critic.fc1(at)
        gate = torch.where(inside > 0, 1.0, 0.2).double()
        slopes.append(((critic.fc2.weight[0] * gate) @ critic.fc1.weight).norm())
    wanted = bare + 10 * ((torch.stack(slopes) - 1) ** 2).mean()
    loss = critic_loss(critic, real, fake, share)
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert fake.grad is None  # the critic does not teach the painter here
    assert critic.fc1.weight.grad is not None


def test_a_trained_critic_tells_real_from_painted() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(width=16)
    real = torch.randn(64, 1536)
    fake = torch.zeros(64, 1536)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for _ in range(40):
        loss = critic_loss(critic, real, fake, torch.rand(64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert critic(real).mean() > critic(fake).mean() + 0.5


@pytest.mark.parametrize("shape", [(2, 3, 3, 32, 32), (2, 3, 4, 48, 48), (3, 4, 32, 32)])
def test_refuses_other_clips(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"clips of shape .*expected \(clip, 3, 4, 32, 32\)"):
        encoder()(torch.ones(shape))
    with pytest.raises(ConfigError, match="clips of shape"):
        autoencoder()(torch.ones(shape), TUBES[:1].expand(shape[0], -1))


def test_refuses_masks_that_do_not_fit() -> None:
    uneven = TUBES.clone()
    uneven[0, 0] = True
    with pytest.raises(ConfigError, match="masks with 1, 2 visible tokens, expected as many"):
        autoencoder()(clips(), uneven)
    with pytest.raises(ConfigError, match="masks with 0, 0 visible tokens"):
        autoencoder()(clips(), torch.ones(2, 8, dtype=torch.bool))


def test_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="image_size is 50, expected a multiple of 16"):
        VideoMAEEncoder(image_size=50)
    with pytest.raises(ConfigError, match="frames is 15, expected an even number"):
        create_model("video_mae_tiny", frames=15)
    with pytest.raises(ConfigError, match="5 heads cannot share a width of 24"):
        VideoAutoencoder(encoder(), width=24, heads=5)
