"""Pre-training of a signal encoder: paint what a Markov chain has hidden.

After Nguyen et al., *Dual-stream transformer approach for pain assessment using
visual-physiological data modeling*, PeerJ Computer Science 11:e3158 (2025); lengths in seconds are
ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from dolorimeter.embeddings import provenance_of
from dolorimeter.models import SignalAutoencoder, SignalMAEEncoder, load_weights
from dolorimeter.models.signal_mae import masked_error
from dolorimeter.pretraining._checkpoint import settings_that_count
from dolorimeter.pretraining._masked_config import MaskedSignal
from dolorimeter.pretraining._masked_loop import Arrays, Descend, Job, Part, computing
from dolorimeter.pretraining._masked_run import Material, run_masked
from dolorimeter.pretraining._masks import markov_mask
from dolorimeter.pretraining._result import Pretrained
from dolorimeter.pretraining._runtime import Progress, spread
from dolorimeter.pretraining._signal_rows import SignalRows
from dolorimeter.pretraining._statistics import over_processes, share_statistics
from dolorimeter.storage import digest
from dolorimeter.training import drop_after, warm_up

BETAS = (0.5, 0.9)
"""Of Adam, for the encoder."""
HELD = 7
"""First number of the seed of a mask that validates."""
INTERPOLATED = "interpolated "
"""Before a channel's name in the log: the error of a straight line across the same gaps."""


def pretrain_masked_signal(
    config: MaskedSignal, out: str | Path, *, progress: Progress | None = None
) -> Pretrained:
    """Train a signal encoder on windows without labels; see `pretrain`."""
    rows = SignalRows(config)
    train, held = rows.listing.split(config.validation, config.seed)
    start = provenance_of(Path(config.weights)).trained_on if config.weights else {}
    content = "" if not config.weights else digest(Path(config.weights))
    material = Material(
        listing=rows.listing,
        train=train,
        held=held,
        met=start,
        modality=", ".join(rows.names),
        labels=config.channel_names,
        substituted=lambda: rows.substituted,
        identity=digest(
            "masked signal 1",
            settings_that_count(config.plain()),
            content,
            *(rows.samples[row] for row in train.tolist()),
        ),
    )

    def job(device: torch.device) -> Job:
        return SignalJob(config, rows, train, held, device)

    return run_masked(config, out, material, job, progress)


class SignalJob(Job):
    """Encoder by Adam, decoder by RAdam; the error on hidden samples alone."""

    def __init__(
        self,
        config: MaskedSignal,
        rows: SignalRows,
        train: Int64[np.ndarray, " row"],
        held: Int64[np.ndarray, " held"],
        device: torch.device,
    ) -> None:
        self.config, self.rows, self.train, self.device = config, rows, train, device
        self.held = spread(held, config.validation_rows)
        sizes: dict[str, Any] = {
            "heads": config.heads,
            "hidden": config.hidden,
            "layers": config.layers,
            "dropout": config.dropout,
        }
        scaling = "train_robust" if config.scaling == "train_robust" else "none"
        shape = (len(config.channel_names), max(s.shape[1] for s in rows.samples))
        encoder = SignalMAEEncoder(input_shape=shape, scaling=scaling, width=config.width, **sizes)
        if config.weights:
            load_weights(encoder, config.weights)
        else:
            encoder.learn_scale(padded([rows.samples[row] for row in train.tolist()]))
        self.module = SignalAutoencoder(encoder, **sizes)
        if config.precision == "float64":
            self.module.double()
        share_statistics(self.module)
        self.module.to(device)
        rate = warm_up(drop_after(config.learning_rate, {}), config.warm_up)
        inner = list(encoder.parameters())
        known = set(map(id, inner))
        outer = [p for p in self.module.parameters() if id(p) not in known]
        self.parts = [
            Part("encoder", torch.optim.Adam(inner, betas=BETAS), rate),
            Part("decoder", torch.optim.RAdam(outer), rate),
        ]

    def load(self, row: int, rng: np.random.Generator) -> Arrays:
        """A window, and what of it is hidden."""
        samples = self.rows.samples[row]
        return samples, hidden_of(self.config, samples, rng)

    def collate(self, samples: Sequence[Arrays]) -> tuple[Tensor, ...]:
        """Windows, padded to the longest, and their masks."""
        x = torch.from_numpy(padded([window for window, _ in samples]))
        hidden = np.zeros(x.shape, dtype=bool)
        for number, (_, mask) in enumerate(samples):
            hidden[number, :, : mask.shape[1]] = mask
        kind = torch.float64 if self.config.precision == "float64" else torch.float32
        return x.to(kind), torch.from_numpy(hidden)

    def learn(self, batch: tuple[Tensor, ...], total: int, descend: Descend) -> dict[str, Tensor]:
        """One step of both."""
        del total  # samples count, not windows
        x, hidden = batch
        chosen = hidden & ~x.isnan()
        count = over_processes(chosen.sum().to(x.dtype)).clamp(min=1)
        with computing(self.config, self.device):
            scaled, painted = self.module(x, hidden)
        loss = masked_error(scaled, painted.to(scaled.dtype), chosen) / count
        descend(("encoder", "decoder"), loss)
        return {"masked": loss}

    def validate(self) -> list[tuple[str, float, int]]:
        """Errors by channel of the network, and of straight lines across the same gaps."""
        if not len(self.held):
            return []
        samples = [self.rows.samples[row] for row in self.held.tolist()]
        hidden = [
            hidden_of(self.config, window, np.random.default_rng([self.config.seed, HELD, row]))
            for window, row in zip(samples, self.held.tolist(), strict=True)
        ]
        assert isinstance(self.module, SignalAutoencoder)
        found = errors_by_channel(self.module, samples, hidden, self.config.batch_size)
        entries = []
        for name, (network, line, count) in zip(self.config.channel_names, found, strict=True):
            if count:
                entries += [(name, network, count), (INTERPOLATED + name, line, count)]
        return entries


def hidden_of(
    config: MaskedSignal, samples: Float32[np.ndarray, "channel time"], rng: np.random.Generator
) -> Bool[np.ndarray, "channel time"]:
    """What of a window is hidden, channel by channel."""
    length = samples.shape[1]
    return np.stack([markov_mask(length, config.ratio, mean, rng) for mean in config.mask_lengths])


def padded(
    windows: Sequence[Float32[np.ndarray, "channel _time"]],
) -> Float32[np.ndarray, "window channel longest"]:
    """Windows in one array; what a window lacks at its end is NaN."""
    longest = max(window.shape[1] for window in windows)
    x = np.full((len(windows), len(windows[0]), longest), np.nan, dtype=np.float32)
    for number, window in enumerate(windows):
        x[number, :, : window.shape[1]] = window
    return x


def interpolated(
    x: Float[np.ndarray, "channel time"], hidden: Bool[np.ndarray, "channel time"]
) -> Float[np.ndarray, "channel time"]:
    """Straight lines from the last sample that is seen to the next, at the ends level."""
    out = np.zeros_like(x)
    time = np.arange(x.shape[1])
    for channel, (row, mask) in enumerate(zip(x, hidden, strict=True)):
        known = ~mask & np.isfinite(row)
        if known.any():
            out[channel] = np.interp(time, time[known], row[known])
    return out


def errors_by_channel(
    module: SignalAutoencoder,
    samples: Sequence[Float32[np.ndarray, "channel _time"]],
    hidden: Sequence[Bool[np.ndarray, "channel _time"]],
    batch_size: int = 64,
) -> list[tuple[float, float, int]]:
    """Mean squared error of hidden samples, scaled: the network's, a straight line's, how many."""
    module.eval()
    device = next(module.parameters()).device
    kind = next(module.parameters()).dtype
    sums = np.zeros((module.encoder.channels, 3))
    with torch.inference_mode():
        for first in range(0, len(samples), batch_size):
            own = slice(first, first + batch_size)
            x = torch.from_numpy(padded(samples[own]))
            masks = np.zeros(x.shape, dtype=bool)
            for number, mask in enumerate(hidden[own]):
                masks[number, :, : mask.shape[1]] = mask
            told = module(x.to(device, kind), torch.from_numpy(masks).to(device))
            scaled, painted = (v.double().cpu().numpy() for v in told)
            scaled[x.isnan().numpy()] = np.nan
            for row, paint, mask in zip(scaled, painted, masks, strict=True):
                chosen = mask & np.isfinite(row)
                line = interpolated(row, mask)
                for place, guess in enumerate((paint, line)):
                    error = np.where(chosen, (guess - row) ** 2, 0.0)
                    sums[:, place] += error.sum(axis=1)
                sums[:, 2] += chosen.sum(axis=1)
    return [(float(a / n) if n else 0.0, float(b / n) if n else 0.0, int(n)) for a, b, n in sums]
