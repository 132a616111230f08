"""The dual-stream network: Algorithm 1, gaps, ablations, scaling; ConvTran beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.models import ConvTran, DualStream, create_model
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.models.dual_stream import CoAttention, packed

VIDEO, SIGNALS = (6, 5), (3, 20)
SIZE = 6 * 5 + 3 * 20


def small(**arguments: Any) -> DualStream:
    torch.manual_seed(0)
    given = {"video": VIDEO, "signals": SIGNALS, "width": 12} | arguments
    return DualStream(3, **given).double().eval()


def windows(count: int = 8, size: int = SIZE, seed: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, dtype=torch.float64, generator=draw)


def test_a_layer_is_algorithm_1() -> None:
    torch.manual_seed(1)
    layer = CoAttention(12, 0.0).double().eval()
    torch.nn.init.normal_(layer.affinity.weight)
    video, signals = windows(2, 72).reshape(2, 6, 12), windows(2, 48, 5).reshape(2, 4, 12)
    found = layer(video, signals)
    s = video @ layer.affinity.weight.T @ signals.mT  # F W Aᵀ
    for side, (own, read, fuse) in enumerate(
        (
            (video, s.softmax(-1) @ signals, layer.fuse_video),
            (signals, s.mT.softmax(-1) @ video, layer.fuse_signals),
        )
    ):
        expected = own + torch.relu(fuse(torch.cat([own, read], dim=2)))
        torch.testing.assert_close(found[side], expected, rtol=1e-10, atol=1e-12)
    for got, want in zip(layer.maps(video, signals), (s, s.mT), strict=True):
        torch.testing.assert_close(got, want.softmax(-1), rtol=1e-10, atol=1e-12)


def test_parameters_of_each_part_at_the_articles_sizes() -> None:
    model = create_model("dual_stream", video=(1568, 384), signals=(64, 2816))
    assert model.parameter_counts() == {
        "hybrid positional attention": 549_040,  # 0.9 M in the article
        "projection": 4_608,
        "co-attention": 164_352,  # 0.83 M in the article
    }


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({}, {"hybrid positional attention", "projection", "co-attention"}),
        ({"hybrid": False}, {"projection", "co-attention"}),
        ({"fusion": "concat"}, {"hybrid positional attention", "projection"}),
        ({"fusion": "late"}, {"hybrid positional attention", "projection"}),
        ({"signals": ()}, {"hybrid positional attention", "projection"}),
        ({"video": ()}, {"hybrid positional attention", "projection"}),
        ({"layers": 1}, {"hybrid positional attention", "projection", "co-attention"}),
    ],
    ids=["whole", "no hpa", "no dcan", "late", "video", "signals", "one layer"],
)
def test_every_ablation_runs_and_everything_in_it_learns(
    arguments: dict[str, Any], parts: set[str]
) -> None:
    model = small(stream_dropout=0.4, **arguments)
    assert {n for n, count in model.parameter_counts().items() if count} == parts
    model.train()
    x = windows(8, sum(model.sizes))
    if len(model.sizes) == 2:
        x[0, :30] = torch.nan  # the learned token of an absent side takes part
        x[1, 30:] = torch.nan
    loss = torch.nn.functional.cross_entropy(model(x), torch.arange(8) % 3)
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # a window without its one side gets the prior: its learned token is never read
    assert still == [n for n, _ in model.named_parameters() if "absent" in n][: len(still)]
    assert len(still) == (len(model.sizes) == 1)


@settings(max_examples=10, deadline=None)
@given(row=st.integers(0, 7), lost=st.sampled_from(["", "video", "signals"]))
def test_a_batch_of_one_equals_that_row_of_eight(row: int, lost: str) -> None:
    model, x = small(), windows()
    if lost:
        x[row, slice(None, 30) if lost == "video" else slice(30, None)] = torch.nan
    with torch.no_grad():
        torch.testing.assert_close(model(x[row : row + 1])[0], model(x)[row])


def test_a_window_without_one_side_is_decided_by_the_other() -> None:
    for fusion in ("co_attention", "concat", "late"):
        model, x = small(fusion=fusion), windows()
        x[2, :30] = torch.nan
        other = x.clone()
        other[2, 30:] += 1
        with torch.no_grad():
            assert model(x).isfinite().all()
            assert not torch.allclose(model(x)[2], model(other)[2])


def test_a_window_without_either_gets_the_prior() -> None:
    prior = [0.5, 0.3, 0.2]
    for arguments in ({}, {"fusion": "late"}, {"signals": ()}):
        model = small(prior=prior, **arguments)
        x = windows(2, sum(model.sizes))
        x[1] = torch.nan
        with torch.no_grad():
            assert model(x)[1].softmax(0).tolist() == pytest.approx(prior)


def test_windows_without_a_side_do_not_reach_its_batch_norms() -> None:
    x = windows()
    x[5:, 30:] = torch.nan
    with_gaps, without = small().train(), small().train()
    with torch.no_grad():
        with_gaps(x)
        without(x[:5])
    for name, values in with_gaps.signal_side.state_dict().items():
        assert torch.equal(values, without.signal_side.state_dict()[name]), name


def test_late_fusion_is_the_mean_of_probabilities() -> None:
    model, x = small(fusion="late"), windows(1)
    with torch.no_grad():
        sides, _ = model._sides(x)
        each = [h(s.mean(1)).softmax(1) for h, s in zip(model.heads, sides, strict=True)]
        torch.testing.assert_close(model(x).exp(), (each[0] + each[1]) / 2)
        x[:, :30] = torch.nan
        torch.testing.assert_close(model(x).exp(), each[1])


def test_maps_of_each_layer_are_those_of_the_forward_pass() -> None:
    model, x = small(), windows(2)
    with torch.no_grad():
        maps = model.co_attention(x)
        assert [tuple(m.shape) for pair in maps for m in pair] == [(2, 6, 20), (2, 20, 6)] * 2
        (video, signals), _ = model._sides(x)
        video, signals = model.layers[0](video, signals)
        torch.testing.assert_close(maps[1][0], model.layers[1].maps(video, signals)[0])
    with pytest.raises(ConfigError, match="co-attention needs video and signals"):
        small(fusion="late").co_attention(x)


def test_a_signal_encoder_is_trained_along_or_frozen() -> None:
    model = small(signal_encoder="convtran", signal_args={"width": 8, "heads": 2})
    assert model.signal_side.encoder.width == 8
    assert model.parameter_counts()["signal encoder"] > 1000
    model.train()(windows()).sum().backward()
    assert model.signal_side.encoder.block.fc1.weight.grad.abs().max() > 0
    frozen = small(signal_encoder="convtran", frozen_signals=True).train()
    assert not frozen.signal_side.encoder.training
    frozen(windows()).sum().backward()
    assert frozen.signal_side.encoder.block.fc1.weight.grad is None
    x = windows() * 5 + 2
    x[0, 40] = torch.nan
    scaled = small(signal_encoder="convtran", scaling="train_robust")
    scaled.learn_scale(x.numpy())
    assert 3 < scaled.signal_side.encoder.scale.spread.min() < 7
    with torch.no_grad():
        assert scaled(x).isfinite().all()
    with pytest.raises(ConfigError, match="'perceptron' gives no tokens"):
        small(signal_encoder="perceptron")


def test_a_pre_trained_signal_encoder_keeps_its_scale(tmp_path: Path) -> None:
    before = small(signal_encoder="convtran", scaling="train_standard").signal_side.encoder
    before.learn_scale((windows() * 9).numpy()[:, 30:].reshape(8, 3, 20))
    path = tmp_path / "signals.safetensors"
    safetensors.torch.save_file(before.state_dict(), path)
    model = small(signal_encoder="convtran", scaling="train_standard", signal_weights=str(path))
    model.learn_scale(windows().numpy())
    after = model.signal_side.encoder
    torch.testing.assert_close(after.scale.spread, before.scale.spread)
    torch.testing.assert_close(after.block.fc1.weight, before.block.fc1.weight.double())
    assert model.video_scale.spread.ne(1).all()


def test_sides_are_dropped_in_training_alone_and_never_both() -> None:
    model = small(stream_dropout=0.5)
    there = torch.tensor([[True, True]] * 400 + [[True, False]] * 4)
    assert torch.equal(model._left(there), there)
    left = model.train()._left(there)
    assert left.any(dim=1).all()
    assert left[400:].tolist() == [[True, False]] * 4
    # either alone with 1/4, and where both would go the one that was drawn larger stays
    assert 0.3 < (left[:400].sum(1) == 1).float().mean() < 0.9


def test_scaling_learned_in_training_makes_the_unit_not_matter() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(30, 3, 20)) * [[[2.0], [1.0], [0.0]]] + [[[5.0], [-1.0], [7.0]]]
    signal[4, 0, 3] = np.nan
    for scaling in ("train_robust", "train_standard"):
        found = []
        for unit in (1.0, 1e-6):
            model = small(video=(), scaling=scaling)
            x = (signal * unit).reshape(30, -1)
            model.learn_scale(x)
            with torch.no_grad():
                found.append(model(torch.from_numpy(x)))
        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)
    scale = ChannelScale(3, "train_robust").double()
    scale.learn(signal)
    out = scale(torch.from_numpy(signal))
    assert (out[:, 2] == 0).all()  # never moves
    assert out[4, 0, 3] == 0  # missing
    assert 0.8 < float(out[:, 0].std()) < 1.2
    assert abs(np.median(out[:, 1].numpy())) < 1e-12
    with pytest.raises(ConfigError, match="scaling is 'robust', expected one of none, train_rob"):
        ChannelScale(3, "robust")


def test_scale_travels_with_the_weights() -> None:
    model, twin = small(scaling="train_standard"), small(scaling="train_standard")
    x = windows(20) * 3 + 1
    model.learn_scale(x.numpy())
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(twin(x), model(x))
    assert not torch.allclose(model.video_scale.centre, torch.zeros(5, dtype=torch.float64))


def test_packed_is_what_it_takes() -> None:
    video, signals = torch.rand(2, 6, 5), torch.rand(2, 3, 20)
    assert packed(video, signals).shape == (2, SIZE)
    assert torch.equal(packed(video=video), video.flatten(1))
    with pytest.raises(ConfigError, match="nothing to pack"):
        packed()
    model = small().float()
    with pytest.raises(ConfigError, match=r"expected rows of 90 numbers: .*'video': \(6, 5\)"):
        model(torch.zeros(2, 89))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"video": (), "signals": ()}, "needs video, signals, or both"),
        ({"video": (6,)}, r"video is \(6,\), expected \(token, feature\)"),
        ({"input_shape": (91,)}, r"input_shape is \(91,\), expected \(90,\)"),
        ({"fusion": "early"}, "fusion is 'early', expected one of co_attention, concat, late"),
        ({"layers": 0}, "layers is 0, expected at least 1"),
        ({"stream_dropout": 1.0}, "stream_dropout is 1.0, expected 0 or more, below 1"),
        ({"prior": [1.0]}, r"prior is \[1.0\], expected a share of each of 3 classes"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        small(**arguments)


def test_convtran_is_the_block_and_a_mean() -> None:
    torch.manual_seed(0)
    model = ConvTran(2, input_shape=(3, 20)).double().eval()
    x = windows(4, 60).reshape(4, 3, 20)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.out(model.block(x).mean(1)))
        assert model.attention(x).shape == (4, 8, 20, 20)
        features = create_model("convtran", num_classes=0, input_shape=(3, 20)).double().eval()
        assert features(x).shape == (4, 16)
    with pytest.raises(ConfigError, match=r"input_shape is \(60,\), expected \(channel, time\)"):
        ConvTran(2, input_shape=(60,))


def test_what_each_part_reads_and_its_mean_tokens() -> None:
    model = small(
        signal_encoder="signal_mae",
        signal_args={"width": 8, "heads": 2, "hidden": 16, "layers": 1},
        hybrid_args={"width": 8, "heads": 2, "hidden": 8},
    )
    x = windows()
    with torch.no_grad():
        read, means = model.attention_received(x), model.mean_tokens(x)
        maps = model.co_attention(x)
        logits = model(x)
    assert list(read) == [
        "hybrid attention, video", "signal encoder", "hybrid attention, signals",
        "co-attention, video", "co-attention, signals",
    ]  # fmt: skip
    of_signals, of_video = maps[-1]
    torch.testing.assert_close(read["co-attention, video"], 6 * of_video.mean(1))
    torch.testing.assert_close(read["co-attention, signals"], 20 * of_signals.mean(1))
    torch.testing.assert_close(read["signal encoder"].mean(1), torch.ones(8).double())
    torch.testing.assert_close(means["video encoder"], x[:, :30].reshape(8, 6, 5).mean(1))
    assert {k: v.shape[1] for k, v in means.items()} == {
        "video encoder": 5, "video side": 12, "signal encoder": 8, "signals side": 12, "joint": 24,
    }  # fmt: skip
    torch.testing.assert_close(model.heads[0](means["joint"]), logits)
    late = small(fusion="late", hybrid=False)
    assert late.attention_received(x) == {}
    assert list(late.mean_tokens(x)) == ["video encoder", "video side", "signals side"]
