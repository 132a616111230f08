"""The full transformer: what the paper says of it, and what must hold of any such network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, StorageError, UnknownNameError
from dolorimeter.models import FullTransformer, FullTransformerEndToEnd, create_model
from dolorimeter.models.full_transformer import _positions
from dolorimeter.models.tnt import HEAD, TNT
from dolorimeter.registry import MODELS

TEMPORAL = {"width": 16, "queries": 5, "heads": 4, "hidden": 24, "depth": 2}
TINY = {"image_size": 32, "depth": 1, "width": 24, "heads": 2, "inner_width": 8, "inner_heads": 2}


def temporal(frames: int = 7, seed: int = 0, **arguments: Any) -> FullTransformer:
    torch.manual_seed(seed)
    model = FullTransformer(3, input_shape=(frames, 12), **(TEMPORAL | arguments))
    model.scale.running_mean.uniform_(-1, 1)
    return model.double().eval()


def end_to_end(frames: int = 5, seed: int = 0, **arguments: Any) -> FullTransformerEndToEnd:
    torch.manual_seed(seed)
    model: Any = create_model(
        "full_transformer_end_to_end",
        input_shape=(frames, 3, 32, 32),
        frame_args=TINY,
        temporal_args=TEMPORAL | {"dropout": 0.0},
        **arguments,
    )
    return model.double()


def clips(count: int, frames: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, frames, 3, 32, 32, dtype=torch.float64, generator=generator)


def vectors(count: int, frames: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, frames, 12, dtype=torch.float64, generator=generator)


def test_it_is_as_the_paper_says() -> None:
    model = FullTransformer(5, input_shape=(138, 384))
    assert model.cross.attention.heads == 1
    assert [block.attention.heads for block in model.blocks] == [8, 8]
    assert sum(p.numel() for p in model.parameters()) == 1_689_602 + 3 * 257
    with torch.no_grad():
        maps = model.eval().attention(torch.randn(2, 138, 384))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 32, 138), (2, 8, 32, 32), (2, 8, 32, 32)]


@pytest.mark.parametrize("frames", [1, 35, 46, 69, 138])
def test_weights_are_of_no_length(frames: int) -> None:
    model = temporal(frames)
    model.load_state_dict(temporal(138, seed=1).state_dict())
    with torch.no_grad():
        assert model(vectors(2, frames)).shape == (2, 3)


def test_positions_are_those_of_the_reference() -> None:
    table = _positions(138, 16)
    for frame in (0, 5, 137):
        for i in range(8):
            angle = torch.tensor(frame / 10_000 ** (2 * i / 16))
            assert table[frame, 2 * i].item() == pytest.approx(angle.sin().item(), abs=1e-4)
            assert table[frame, 2 * i + 1].item() == pytest.approx(angle.cos().item(), abs=1e-4)
    assert _positions(3, 7).shape == (3, 7)


def test_the_order_of_frames_matters_and_only_through_positions() -> None:
    model, x = temporal(), vectors(2)
    with torch.no_grad():
        assert not torch.allclose(model(x), model(x.flip(1)))
        model.position.zero_()
        torch.testing.assert_close(model(x), model(x.flip(1)), rtol=1e-9, atol=1e-12)


def test_fused_attention_equals_the_explicit_one() -> None:
    model, x = temporal(), vectors(3)
    with torch.no_grad():
        fused = model(x)
        maps = model.attention(x)
        assert torch.equal(model(x), fused)
        for each in (model.cross.attention, *(block.attention for block in model.blocks)):
            assert each.attention_map is None
            each.keep_attention = True
        torch.testing.assert_close(model(x), fused, rtol=1e-10, atol=1e-12)
    for each in maps:
        torch.testing.assert_close(each.sum(-1), torch.ones_like(each[..., 0]))


def test_gradients_reach_the_kept_maps() -> None:
    model = temporal()
    modules = [model.cross.attention, *(block.attention for block in model.blocks)]
    for each in modules:
        each.keep_attention = True
    score = model(vectors(1))[0, 2]
    for gradient in torch.autograd.grad(score, [m.attention_map for m in modules]):
        assert gradient.abs().max() > 0


def test_each_feature_is_standardised_over_clips_and_frames() -> None:
    model = temporal().train()
    seen: list[torch.Tensor] = []
    model.embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = 5 + 0.01 * vectors(4)
    model(x)
    torch.testing.assert_close(seen[0].mean((0, 1)), torch.zeros(12).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        seen[0].var((0, 1), correction=0), torch.ones(12).double(), rtol=1e-3, atol=0
    )
    model.eval()(x)  # one batch, averaged over all batches: the same numbers but for n / (n - 1)
    torch.testing.assert_close(seen[1], seen[0] * (27 / 28) ** 0.5, rtol=1e-4, atol=1e-9)


@settings(max_examples=5, deadline=None)
@given(row=st.integers(0, 7))
def test_a_batch_of_one_equals_that_row_of_eight(row: int) -> None:
    model, x = temporal(), vectors(8)
    whole, x8 = end_to_end().eval(), clips(8)
    with torch.no_grad():
        for network, batch in ((model, x), (whole, x8)):
            torch.testing.assert_close(
                network(batch[row : row + 1])[0], network(batch)[row], rtol=1e-8, atol=1e-10
            )


def test_every_weight_gets_a_gradient_and_the_seed_decides() -> None:
    for build, x in ((temporal, vectors(2)), (end_to_end, clips(2))):
        model = build().train()
        model(x).square().sum().backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []
        first, again = build().state_dict(), build().state_dict()
        assert all(torch.equal(v, again[n]) for n, v in first.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (12,)}, r"input_shape is \(12,\), expected \(frame, feature\)"),
        ({"input_shape": (4, 3, 32, 32)}, r"expected \(frame, feature\)"),
        ({"input_shape": (4, 12), "width": 20}, "8 heads cannot share a width of 20"),
    ],
)
def test_refuses_sizes_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FullTransformer(2, **arguments)


def test_refuses_other_clips() -> None:
    with pytest.raises(ConfigError, match=r"shape \(8, 12\), expected .* = \(7, 12\)"):
        temporal()(vectors(2, 8))
    with pytest.raises(ConfigError, match=r"shape \(6, 3, 32, 32\), expected .* = \(5, 3, 32, 32"):
        end_to_end()(clips(1, 6))


def test_end_to_end_is_the_encoder_and_then_the_temporal_part() -> None:
    model, x = end_to_end().eval(), clips(2)
    with torch.no_grad():
        frames = torch.stack([model.frame_encoder(clip) for clip in x])
        torch.testing.assert_close(model.vectors(x), frames, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(model(x), model.temporal(frames), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("arguments", [{"frames_at_once": 3}, {"recompute": False}])
def test_chunks_and_recomputation_change_no_gradient(arguments: dict[str, Any]) -> None:
    x = clips(2)
    whole = end_to_end(frames_at_once=100, recompute=True).train()
    other = end_to_end(**arguments).train()
    for model in (whole, other):
        model(x).square().sum().backward()
    for (name, a), b in zip(whole.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-8, atol=1e-12, msg=name)


def test_a_frozen_encoder_does_not_learn() -> None:
    model = end_to_end(frozen_frames=True).train()
    assert not model.frame_encoder.training
    assert model.temporal.training
    before = copy.deepcopy(model.frame_encoder.state_dict())
    model(clips(2)).square().sum().backward()
    assert all(p.grad is None for p in model.frame_encoder.parameters())
    assert all(p.grad is not None for p in model.temporal.parameters())
    assert all(torch.equal(v, before[n]) for n, v in model.frame_encoder.state_dict().items())
    assert model.temporal.scale.momentum is None
    assert end_to_end().temporal.scale.momentum == 0.1


@pytest.mark.parametrize("frozen", [False, True])
def test_kept_maps_hold_all_frames_and_their_gradients(frozen: bool) -> None:
    model, x = end_to_end(frames_at_once=2, frozen_frames=frozen).eval(), clips(2)
    with torch.no_grad():
        wanted = model(x)
    module = model.frame_encoder.blocks[0].attn_out
    module.keep_attention = True
    logits = model(x.requires_grad_())
    torch.testing.assert_close(logits, wanted, rtol=1e-8, atol=1e-10)
    assert module.attention_map.shape == (10, 2, 5, 5)
    (gradient,) = torch.autograd.grad(logits[0, 0], [module.attention_map])
    assert gradient[:5].abs().max() > 0
    assert gradient[5:].abs().max() == 0  # the other clip


def test_the_frame_encoder_starts_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(9)
    source = TNT(1000, **TINY)
    path = tmp_path / "frames.safetensors"
    safetensors.torch.save_file(source.state_dict(), path)
    model = end_to_end(frame_weights=str(path), frame_without=HEAD)
    for name, values in model.frame_encoder.state_dict().items():
        assert torch.equal(values, source.state_dict()[name].double())
    assert model.notes == ()
    assert "was randomly initialised (no frame_weights)" in end_to_end().notes[0]
    assert end_to_end(frozen_frames=True).notes[0].endswith("has learnt nothing")
    with pytest.raises(ConfigError, match=r"2 unexpected: head\.\w+, head\."):
        end_to_end(frame_weights=str(path))
    with pytest.raises(StorageError, match="no such weights file"):
        end_to_end(frame_weights=str(tmp_path / "absent.safetensors"))


def test_the_card_is_of_this_very_network() -> None:
    model = end_to_end()
    assert model.card.name == "full_transformer_end_to_end"
    assert model.card.input is not None
    assert model.card.input.shape == (5, 3, 32, 32)
    assert model.card.input.mean == (0.5, 0.5, 0.5)
    general = MODELS.card("full_transformer_end_to_end")
    assert FullTransformerEndToEnd.card is general
    assert general.input is not None
    assert general.input.shape == (138, 3, 224, 224)
    assert general.differences == MODELS.card("full_transformer").differences


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"frame_encoder": "painattnnet"}, ConfigError, "'painattnnet' gives no features"),
        ({"frame_encoder": "tnt"}, UnknownNameError, "unknown model 'tnt'"),
        ({"frames_at_once": 0}, ConfigError, "frames_at_once is 0"),
        ({"input_shape": (5, 12)}, ConfigError, r"expected \(frame, 3, height, width\)"),
        ({"input_shape": (5, 1, 32, 32)}, ConfigError, r"expected \(frame, 3, height, width\)"),
    ],
)
def test_refuses_arguments_of_the_whole(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    settings_ = {"input_shape": (5, 3, 32, 32), "frame_args": TINY} | arguments
    with pytest.raises(error, match=message):
        create_model("full_transformer_end_to_end", **settings_)
