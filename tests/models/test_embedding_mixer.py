"""The Embedding-Mixer and its fusions: what the figure says, and what holds with gaps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models import EmbeddingFusion, EmbeddingMixer, VideoEncoder, create_model
from dolorimeter.models.embedding_mixer import Standardise, keep_streams

SMALL = {"latents": 5, "width": 16, "heads": 2, "head_width": 4, "factor": 2}
STREAMS = {"face": 4, "depth": 4, "eda": 2, "ecg": 1}
FUSIONS: list[dict[str, Any]] = [
    {"fusion": "fusion_1"},
    {"fusion": "fusion_2"},
    {"fusion": "fusion_2", "shared": False},
    {"fusion": "fusion_n", "video": ["face", "depth"]},
]
NAMES = ["1", "2 shared", "2 apart", "n"]


def tokens(windows: int, count: int = 7, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(windows, count, 12, dtype=torch.float64, generator=generator)


def trained(model: Any, count: int) -> Any:
    """The model after it has met some tokens, in evaluation mode and float64."""
    model = model.double().train()
    with torch.no_grad():
        model(3 + 2 * tokens(20, count, seed=9))
    return model.eval()


def mixer(shape: tuple[int, ...] = (7, 12), **arguments: Any) -> EmbeddingMixer:
    torch.manual_seed(0)
    given = {"mixer_args": SMALL} | arguments
    model = EmbeddingMixer(3, input_shape=shape, embedding_width=12, **given)
    return model.double().eval()


def fusion(**arguments: Any) -> EmbeddingFusion:
    torch.manual_seed(0)
    model = EmbeddingFusion(
        3,
        input_shape=(11, 12),
        streams=STREAMS,
        mixer_args=SMALL,
        video_args={"latents": 3, "head_width": 4},
        **arguments,
    )
    model: EmbeddingFusion = trained(model, 11)
    return model


def without(x: torch.Tensor, *streams: str) -> torch.Tensor:
    out = x.clone()
    start = 0
    for name, count in STREAMS.items():
        if name in streams:
            out[:, start : start + count] = torch.nan
        start += count
    return out


def test_it_is_as_the_figure_says() -> None:
    model = create_model("embedding_mixer", input_shape=(138, 160))
    assert sum(p.numel() for p in model.parameters()) == 6_968_322
    with torch.no_grad():
        maps = model.eval().attention(torch.randn(2, 138, 160))
    one = [(2, 1, 64, 138), (2, 8, 64, 64), (2, 8, 64, 64)]
    assert [tuple(m.shape) for m in maps] == one + one
    assert model.mixer.attentions[0].query.out_features == 64
    assert model.mixer.attentions[1].query.out_features == 512
    assert model.mixer.repetitions[0].cross.feed_forward.fc1.out_features == 2 * 4 * 256


def test_a_long_vector_is_its_tokens() -> None:
    sequence = trained(mixer((7, 12)), 7)
    vector = mixer((84,))
    vector.load_state_dict(sequence.state_dict())
    x = tokens(4)
    with torch.no_grad():
        assert torch.equal(vector(x.flatten(1)), sequence(x))
        assert mixer((12,))(x[:, 0]).shape == (4, 3)
    assert EmbeddingMixer(2, input_shape=(22_080,)).tokens == 138


@pytest.mark.parametrize("count", [1, 4, 48])
def test_weights_are_of_no_length(count: int) -> None:
    model = mixer((count, 12))
    model.load_state_dict(trained(mixer((7, 12)), 7).state_dict())
    with torch.no_grad():
        assert model(tokens(2, count)).shape == (2, 3)


def test_gradients_and_maps_of_fused_and_explicit_attention_agree() -> None:
    model, x = mixer(), tokens(3)
    x[1, 2:5] = torch.nan
    fused = model(x)
    for module in model.mixer.attentions:
        module.keep_attention = True
    kept = model(x)
    torch.testing.assert_close(kept, fused, rtol=1e-10, atol=1e-12)
    maps = [m.attention_map for m in model.mixer.attentions]
    assert (maps[0][1, :, :, 2:5] == 0).all()
    for each in maps:
        torch.testing.assert_close(each.sum(-1), torch.ones_like(each[..., 0]))
    for gradient in torch.autograd.grad(kept[0, 1], maps):
        assert gradient.abs().max() > 0


@settings(max_examples=10, deadline=None)
@given(row=st.integers(0, 7), lost=st.sets(st.integers(0, 6)))
def test_a_batch_of_one_equals_that_row_of_eight(row: int, lost: set[int]) -> None:
    model, x = mixer(), tokens(8)
    x[row, list(lost)] = torch.nan
    with torch.no_grad():
        alone = model(x[row : row + 1])[0]
        torch.testing.assert_close(alone, model(x)[row], rtol=1e-8, atol=1e-10)
        assert torch.isfinite(alone).all()


def test_missing_tokens_at_the_end_are_as_if_they_were_not_there() -> None:
    long, short = trained(mixer((7, 12)), 7), mixer((4, 12))
    short.load_state_dict(long.state_dict())
    x = tokens(3)
    x[:, 4:] = torch.nan
    with torch.no_grad():
        torch.testing.assert_close(long(x), short(x[:, :4]), rtol=1e-9, atol=1e-11)
        partly = x.clone()
        partly[:, 4:, 1:] = 0.7  # one NaN makes a token missing
        assert torch.equal(long(partly), long(x))


def test_the_order_of_tokens_matters() -> None:
    model, x = mixer(), tokens(2)
    with torch.no_grad():
        assert not torch.allclose(model(x), model(x.flip(1)))


def test_a_window_without_a_token_gets_the_prior_and_teaches_nothing() -> None:
    prior = [0.5, 0.3, 0.2]
    for model, count in (
        (mixer(prior=prior), 7),
        *((fusion(prior=prior, **f), 11) for f in FUSIONS),
    ):
        x = tokens(4, count)
        x[2] = torch.nan
        logits = model(x)
        expected = torch.tensor(prior, dtype=torch.float64)
        torch.testing.assert_close(logits.softmax(1)[2], expected, rtol=1e-6, atol=0)
        assert torch.isfinite(logits).all()
        model.zero_grad()
        logits[2].sum().backward()
        assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    with torch.no_grad():
        nothing = mixer()(torch.full((1, 7, 12), torch.nan, dtype=torch.float64))
    torch.testing.assert_close(nothing.softmax(1), torch.full((1, 3), 1 / 3).double())


def test_standardising_is_that_of_all_tokens_met() -> None:
    layer = Standardise([2, 1], 3).train()
    x = (5 + 1e-3 * torch.randn(40, 3, 3, generator=torch.Generator().manual_seed(1))).float()
    present = torch.rand(40, 3, generator=torch.Generator().manual_seed(2)) > 0.3
    for rows in torch.arange(40).split(7):
        layer(x[rows], present[rows])
    layer.eval()
    out = layer(x, present)
    for stream in (slice(0, 2), slice(2, 3)):
        met = x[:, stream][present[:, stream]].double()
        expected = (x[:, stream].double() - met.mean(0)) / (met.var(0, correction=0) + 1e-8).sqrt()
        expected[~present[:, stream]] = 0
        torch.testing.assert_close(out[:, stream].double(), expected, rtol=1e-5, atol=1e-5)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    layer(x + 1, present)
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())


def test_a_stream_that_training_never_met_passes_as_it_is() -> None:
    layer = Standardise([1, 1], 3).train()
    x = torch.randn(5, 2, 3)
    layer(x, torch.tensor([[True, False]]).expand(5, 2))
    out = layer.eval()(x, torch.ones(5, 2, dtype=torch.bool))
    torch.testing.assert_close(out[:, 1], x[:, 1])


def test_fusion_1_reads_the_sum_of_means() -> None:
    model, x = fusion(fusion="fusion_1"), tokens(3, 11)
    x[0, 1] = torch.nan
    parts = [part.nanmean(dim=1) for part in x.split(list(STREAMS.values()), dim=1)]
    scaled = model.scale(torch.stack(parts, dim=1), torch.ones(3, 4, dtype=torch.bool))
    one = torch.ones(3, 1, dtype=torch.bool)
    with torch.no_grad():
        expected = model.mixers[0](scaled.sum(dim=1, keepdim=True), one)
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-11)
        expected = model.mixers[0](scaled[:, [2]], one)
        only = without(x, "face", "depth", "ecg")
        torch.testing.assert_close(model(only), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shared", [True, False])
def test_fusion_2_is_the_mean_probability_of_the_streams_there_are(shared: bool) -> None:
    model, x = fusion(fusion="fusion_2", shared=shared), tokens(3, 11)
    assert len(model.mixers) == (1 if shared else 4)
    with torch.no_grad():
        apart = {name: model(without(x, *(set(STREAMS) - {name}))).softmax(1) for name in STREAMS}
        together = model(x).softmax(1)
        torch.testing.assert_close(together, sum(apart.values()) / 4, rtol=1e-9, atol=0)
        two = model(without(x, "face", "eda")).softmax(1)
        torch.testing.assert_close(two, (apart["depth"] + apart["ecg"]) / 2, rtol=1e-9, atol=0)
        assert not torch.allclose(apart["face"], apart["depth"])


def test_fusion_n_shrinks_the_sum_of_videos_and_puts_it_beside_the_rest() -> None:
    model, x = fusion(**FUSIONS[3]), tokens(3, 11)
    assert model.video == ("face", "depth")
    with torch.no_grad():
        scaled = model.scale(x, torch.ones(3, 11, dtype=torch.bool))
        there = torch.ones(3, 4, dtype=torch.bool)
        shrunk = model.video_encoder(scaled[:, :4] + scaled[:, 4:8], there)
        assert shrunk.shape == (3, 3, 12)
        both = torch.cat([shrunk, scaled[:, 8:]], dim=1)
        expected = model.mixers[0](both, torch.ones(3, 6, dtype=torch.bool))
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-11)
        blind = model(without(x, "face", "depth"))
        present = torch.tensor([[False] * 3 + [True] * 3]).expand(3, 6)
        torch.testing.assert_close(blind, model.mixers[0](both, present), rtol=1e-9, atol=1e-11)
        assert not torch.allclose(model(without(x, "depth")), model(x))


@pytest.mark.parametrize("arguments", FUSIONS, ids=NAMES)
def test_every_weight_gets_a_gradient_with_streams_missing(arguments: dict[str, Any]) -> None:
    model = fusion(stream_dropout=0.3, **arguments).train()
    x = tokens(12, 11)
    x[:3] = without(x[:3], "face")
    x[3:6] = without(x[3:6], "eda", "ecg")
    model(x).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), p=st.floats(0, 0.99))
def test_dropping_streams_never_drops_the_last_nor_adds_one(seed: int, p: float) -> None:
    torch.manual_seed(seed)
    present = torch.rand(50, 3) > 0.4
    kept = keep_streams(present, p)
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(dim=1), present.any(dim=1))


def test_streams_are_dropped_as_often_as_asked_and_in_training_only() -> None:
    torch.manual_seed(0)
    kept = keep_streams(torch.ones(20_000, 6, dtype=torch.bool), 0.3)
    assert kept.double().mean().item() == pytest.approx(0.7, abs=0.01)
    assert keep_streams(torch.ones(9, 2, dtype=torch.bool), 0.0).all()
    model, x = fusion(stream_dropout=0.9), tokens(6, 11)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        model.train()
        model.mixers.eval()  # no other dropout
        assert not torch.allclose(model(x), model(x))


def test_the_video_encoder_ignores_missing_frames() -> None:
    torch.manual_seed(0)
    encoder = VideoEncoder(12, latents=2, head_width=4).double().eval()
    x, present = tokens(2), torch.ones(2, 7, dtype=torch.bool)
    present[0, 3:] = False
    changed = x.clone()
    changed[0, 3:] += 5
    with torch.no_grad():
        assert encoder(x, present).shape == (2, 2, 12)
        assert torch.equal(encoder(x, present), encoder(changed, present))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (170,)}, r"input_shape is \(170,\), expected .* of 160 numbers each"),
        ({"input_shape": (1, 2, 3)}, r"expected \(token, feature\)"),
        ({"input_shape": (7, 160), "prior": [0.5]}, "prior is .* a share of each of 2 classes"),
    ],
)
def test_the_mixer_refuses_sizes_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EmbeddingMixer(2, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "fusion_3"}, "fusion is 'fusion_3', expected one of fusion_1, fusion_2"),
        ({"fusion": "fusion_n"}, r"video is \(\), expected names of the streams"),
        ({"fusion": "fusion_n", "video": ["rgb"]}, r"\['rgb'\], expected .* out of face, depth"),
        ({"fusion": "fusion_n", "video": "face"}, "video is 'face', expected names"),
        ({"fusion": "fusion_n", "video": ["face", "eda"]}, "frame by frame, and they have"),
        ({"streams": {"face": 4}}, r"streams are {'face': 4} and there are 11 tokens"),
        ({"stream_dropout": 1.0}, "stream_dropout is 1.0, expected 0 or more, below 1"),
        ({"input_shape": (132,)}, r"input_shape is \(132,\), expected \(token, feature\)"),
    ],
)
def test_the_fusion_refuses_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"input_shape": (11, 12), "streams": STREAMS, "mixer_args": SMALL}
    with pytest.raises(ConfigError, match=message):
        EmbeddingFusion(2, **(given | arguments))


def test_refuses_other_windows() -> None:
    with pytest.raises(ConfigError, match=r"shape \(8, 12\), expected \(7, 12\)"):
        mixer()(tokens(2, 8))
    with pytest.raises(ConfigError, match=r"shape \(7, 12\), expected \(11, 12\)"):
        fusion()(tokens(2, 7))
