"""The masked autoencoder of signals: padding, missing channels, and what it can see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dolorimeter.errors import ConfigError
from dolorimeter.models import create_model
from dolorimeter.models.signal_mae import (
    SignalAutoencoder,
    SignalMAEEncoder,
    StepNorm,
    masked_error,
)


def encoder(channels: int = 2, **changes: object) -> SignalMAEEncoder:
    torch.manual_seed(0)
    sizes = {"width": 8, "heads": 2, "hidden": 16, "layers": 2, "dropout": 0.0}
    module = SignalMAEEncoder(input_shape=(channels, 20), **(sizes | changes)).double()
    for name, values in module.named_buffers():  # as after training, not 0 and 1
        if name.endswith("running_mean"):
            values.uniform_(-0.3, 0.3)
        if name.endswith("running_var"):
            values.uniform_(0.5, 2.0)
    return module.eval()


def autoencoder(channels: int = 2) -> SignalAutoencoder:
    inner = encoder(channels)
    return SignalAutoencoder(inner, heads=2, hidden=16, layers=2, dropout=0.0).double().eval()


def windows(count: int = 3, channels: int = 2, time: int = 20) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, time, generator=drawn, dtype=torch.float64)


def padded(x: torch.Tensor, more: int) -> torch.Tensor:
    return nn.functional.pad(x, (0, more), value=float("nan"))


def test_sizes_are_the_articles() -> None:
    module = create_model("signal_mae", input_shape=(3, 2816))
    assert sum(p.numel() for p in module.parameters()) == 150_400  # "0.1 M"
    assert module.tokens(torch.zeros(1, 3, 30)).shape == (1, 30, 64)
    assert module.eval()(torch.zeros(1, 3, 30)).shape == (1, 64)
    logits = create_model("signal_mae", num_classes=5, input_shape=(1, 9)).eval()
    assert logits(torch.zeros(2, 1, 9)).shape == (2, 5)


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training: bool) -> None:
    short, long = encoder().train(training), encoder().train(training)
    x = windows()
    with torch.no_grad():
        torch.testing.assert_close(long.tokens(padded(x, 9))[:, :20], short.tokens(x))
        assert (long.tokens(padded(x, 9))[:, 20:] == 0).all()
        if training:  # mean and variance that BatchNorm remembers, too
            short.tokens(x)
            for (name, a), b in zip(short.named_buffers(), long.buffers(), strict=True):
                torch.testing.assert_close(a, b, msg=name)
        else:
            torch.testing.assert_close(long(padded(x, 9)), short(x))


def test_windows_of_unequal_length_share_a_batch() -> None:
    module, x = encoder(), windows()
    x[1, :, 12:] = float("nan")
    with torch.no_grad():
        together = module(x)
        torch.testing.assert_close(together[1:2], module(x[1:2, :, :12]))
        torch.testing.assert_close(together[:1], module(x[:1]))


def test_batchnorm_over_steps_is_pytorchs_over_rows() -> None:
    torch.manual_seed(0)
    norm, plain = StepNorm(4).train(), nn.BatchNorm1d(4).train()
    x, valid = torch.randn(3, 5, 4), torch.rand(3, 5) > 0.4
    out = norm(x, valid)
    torch.testing.assert_close(out[valid], plain(x[valid]))
    torch.testing.assert_close(norm.norm.running_var, plain.running_var)
    assert (out[~valid] == 0).all()


def test_a_gap_is_no_padding_and_a_missing_channel_is_told_from_zeros() -> None:
    module, x = encoder(), windows()
    x[0, :, 5:8] = float("nan")
    assert module.steps(x).all()
    zeros, absent = x.clone(), x.clone()
    zeros[1, 0], absent[1, 0] = 0.0, float("nan")
    with torch.no_grad():
        assert module(absent).isfinite().all()
        assert not torch.allclose(module(absent)[1], module(zeros)[1])
        nothing = torch.full((1, 2, 20), float("nan"), dtype=torch.float64)
        assert module(nothing).isfinite().all()


def test_masked_samples_are_not_seen() -> None:
    module, x = autoencoder(), windows()
    masked = torch.rand(3, 2, 20, generator=torch.Generator().manual_seed(0)) < 0.4
    changed = torch.where(masked, x + 3, x)
    with torch.no_grad():
        scaled, painted = module(x, masked)
        assert torch.equal(module(changed, masked)[1], painted)
        assert not torch.equal(module(changed, torch.zeros_like(masked))[1], painted)
    assert torch.equal(scaled, x)


def test_the_error_counts_the_chosen_samples_alone() -> None:
    x, painted = windows(), torch.zeros(3, 2, 20, dtype=torch.float64, requires_grad=True)
    chosen = torch.zeros(3, 2, 20, dtype=torch.bool)
    chosen[0, 1, 4:6] = True
    loss = masked_error(x, painted, chosen)
    torch.testing.assert_close(loss, (x[0, 1, 4:6] ** 2).sum())
    loss.backward()
    assert ((painted.grad != 0) == chosen).all()


@pytest.mark.long
def test_it_learns_to_fill_a_channel_from_another() -> None:
    torch.manual_seed(0)
    module = SignalAutoencoder(
        SignalMAEEncoder(input_shape=(2, 32), width=16, heads=2, hidden=32, layers=1, dropout=0.0),
        heads=2, hidden=32, layers=1, dropout=0.0,
    )  # fmt: skip
    optimiser = torch.optim.Adam(module.parameters(), lr=5e-3)
    drawn = torch.Generator().manual_seed(0)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        first = torch.randn(16, 1, 32, generator=drawn)
        masked = torch.zeros(16, 2, 32, dtype=torch.bool)
        masked[:, 1] = torch.rand(16, 32, generator=drawn) < 0.5
        return torch.cat((first, -first), dim=1), masked

    for _ in range(150):
        x, masked = batch()
        loss = masked_error(*module(x, masked), masked) / masked.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, masked = batch()
    with torch.no_grad():
        error = masked_error(*module.eval()(x, masked), masked) / masked.sum()
    assert error < 0.3 * x[masked].var()


def test_scaling_travels_with_the_weights_and_filling_undoes_it() -> None:
    inner = SignalMAEEncoder(
        input_shape=(2, 20), scaling="train_robust", width=8, heads=2, hidden=16, layers=1
    )
    module = SignalAutoencoder(inner, heads=2, hidden=16, layers=1).eval()
    train = windows(20).numpy() * np.array([[1e-6], [1.0]]) + np.array([[5e-6], [-2.0]])
    inner.learn_scale(train)
    other = SignalMAEEncoder(
        input_shape=(2, 20), scaling="train_robust", width=8, heads=2, hidden=16, layers=1
    ).eval()
    other.load_state_dict(inner.state_dict())
    x = torch.from_numpy(train[:2])
    with torch.no_grad():
        assert torch.equal(other(x.float()), inner.eval()(x.float()))
        scaled, _ = module(x.float(), torch.zeros(2, 2, 20, dtype=torch.bool))
        assert scaled.abs().median() < 2
        x[0, 0, 3:6] = float("nan")
        x[1, :, 15:] = float("nan")
        filled = module.filled(x.float())
    assert filled[0, 0, 3:6].sub(5e-6).abs().max() < 2e-5  # in siemens, near its level
    assert filled[1, :, 15:].isnan().all()
    kept = ~x.isnan()
    assert torch.equal(filled[kept], x.float()[kept])


def test_filling_at_its_edges() -> None:
    """Nothing missing, the ends, a whole channel, nothing there, padding; of any type of float."""
    module = autoencoder().float()
    x = windows(6).float()
    x[1, 0, :4] = x[1, 1, 17:] = float("nan")
    x[2, 1] = float("nan")
    x[3] = float("nan")
    x[4, :, 12:] = float("nan")
    x[5, :, 5:9] = float("nan")
    with torch.no_grad():
        filled = module.filled(x)
        wide = module.filled(x.double())
        alone = module.filled(x[5:])
    assert torch.equal(filled[0], x[0])
    assert not filled[[1, 2, 5]].isnan().any()  # a gap of all channels is none of padding
    assert filled[3].isnan().all()
    assert torch.equal(filled[4].isnan(), x[4].isnan())
    assert torch.equal(filled[~x.isnan()], x[~x.isnan()])
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), filled, equal_nan=True)
    torch.testing.assert_close(alone[0], filled[5], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match=r"expected \(window, 2"):
        module.filled(x[:, :1])


def test_attention_does_not_read_padding() -> None:
    module = encoder()
    with torch.no_grad():
        found = module.attention(padded(windows(), 4))
    assert found.shape == (3, 2, 24, 24)
    assert (found[..., 20:] == 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 2, 24, dtype=torch.float64))


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"windows of shape \(3, 1, 20\), expected \(window, 2"):
        encoder()(windows(channels=1))
    with pytest.raises(ConfigError, match=r"input_shape is \(3,\), expected \(channel, time\)"):
        SignalMAEEncoder(input_shape=(3,))
    with pytest.raises(ConfigError, match="5 heads, or sines"):
        encoder(heads=5)
