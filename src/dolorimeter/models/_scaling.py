"""Scaling that is learned from training windows and kept among a network's weights."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError

Scaling = Literal["none", "train_robust", "train_standard"]

_IQR_TO_SD = 0.741301
"""Standard deviation of a Gaussian over its interquartile range."""
MOST = 1_000_000
"""Samples of a channel that quantiles are taken of; of more, every so many windows count."""


class ChannelScale(nn.Module):
    """Each channel minus a centre, over a spread; a sample that is missing becomes 0.

    Parameters
    ----------
    channels : int
    scaling : str
        ``train_robust``: median and interquartile range (as of a Gaussian with that deviation) of
        the training windows. ``train_standard``: mean and standard deviation. ``none``: as it is.

    Notes
    -----
    `learn` is called once, before training, with the windows that are trained on and no other;
    what it finds are buffers, and so travels with the weights. A channel that never moves in
    training becomes 0. Level and amplitude of a window stay, which scaling each window by itself
    erases.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, channels: int, scaling: str = "none") -> None:
        super().__init__()
        if scaling not in get_args(Scaling):
            raise ConfigError(
                f"scaling is '{scaling}', expected one of {', '.join(get_args(Scaling))}."
            )
        self.scaling = scaling
        # float64: microsiemens kept in siemens around a level far above their changes
        self.register_buffer("centre", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(channels, dtype=torch.float64))

    def learn(self, x: Float[np.ndarray, "window channel time"]) -> None:
        """Centre and spread of each channel over training windows; missing samples count not."""
        if self.scaling == "none":
            return
        every = max(1, x.shape[0] * x.shape[2] // MOST)
        for channel in range(x.shape[1]):
            samples = x[::every, channel].astype(np.float64)
            samples = samples[np.isfinite(samples)]
            if not len(samples):
                self.centre[channel], self.spread[channel] = 0.0, torch.inf
                continue
            if self.scaling == "train_robust":
                low, middle, high = np.quantile(samples, (0.25, 0.5, 0.75))
                spread = _IQR_TO_SD * (high - low) or samples.std()
            else:
                middle, spread = samples.mean(), samples.std()
            still = spread <= 1e-12 * np.abs(samples).max()
            self.centre[channel] = float(middle)
            self.spread[channel] = torch.inf if still else float(spread)

    def forward(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window channel time"]:
        """Scaled samples."""
        if self.scaling != "none":
            centre, spread = self.centre[:, None].to(x.device), self.spread[:, None].to(x.device)
            x = ((x.double() - centre) / spread).to(x.dtype)
        return torch.nan_to_num(x, nan=0.0)
