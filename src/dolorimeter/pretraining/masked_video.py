"""Pre-training of a video encoder: paint nine in ten tubes of a clip, before a critic.

After Nguyen et al., *Dual-stream transformer approach for pain assessment using
visual-physiological data modeling*, PeerJ Computer Science 11:e3158 (2025).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from dolorimeter.embeddings import Encoder
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.models import VideoAutoencoder, VideoMAEEncoder
from dolorimeter.models.video_mae import PatchCritic, critic_loss, masked_patches, patches
from dolorimeter.pretraining._checkpoint import settings_that_count
from dolorimeter.pretraining._clips import Clips
from dolorimeter.pretraining._masked_config import MaskedVideo
from dolorimeter.pretraining._masked_loop import Arrays, Descend, Job, Part, computing
from dolorimeter.pretraining._masked_run import Material, run_masked
from dolorimeter.pretraining._masks import tube_mask
from dolorimeter.pretraining._result import Pretrained
from dolorimeter.pretraining._runtime import Progress, spread
from dolorimeter.registry import MODELS
from dolorimeter.storage import digest
from dolorimeter.training import cosine, warm_up

BETAS = (0.9, 0.95)
WHOLE_BATCH = 256
"""The batch that the learning rate is stated for."""
HELD = 7
"""First number of the seed of a mask that validates."""


def pretrain_masked_video(
    config: MaskedVideo, out: str | Path, *, progress: Progress | None = None
) -> Pretrained:
    """Train a video encoder on clips without labels; see `pretrain`."""
    if not issubclass(MODELS.get(config.encoder.name), VideoMAEEncoder):
        raise ConfigError(
            f"the encoder is {config.encoder.name}, which is no encoder of a masked autoencoder "
            "of video. Take video_mae_tiny, _small, _base or _large."
        )
    start = Encoder(
        config.encoder.name,
        weights=config.encoder.weights,
        without=config.encoder.without,
        seed=config.seed,
    )
    encoder = cast(VideoMAEEncoder, start.build())
    clips = Clips(config, encoder.frames, encoder.image_size)
    train, held = clips.listing.split(config.validation, config.seed)
    rows = [f"{w.recording.name} {w.start:.6f} {w.duration:.6f}" for w in clips.windows]
    people = ["\t".join(person) for person in clips.listing.people]
    material = Material(
        listing=clips.listing,
        train=train,
        held=held,
        met=start.trained_on,
        modality=config.video,
        labels=(),
        substituted=lambda: Counter(clips.short.values()),
        identity=digest(
            "masked video 1",
            settings_that_count(config.plain()),
            start.digest,
            "\n".join(rows),
            "\n".join(people),
            train,
        ),
    )
    return run_masked(
        config,
        out,
        material,
        lambda device: VideoJob(config, encoder, clips, train, held, device),
        progress,
    )


class VideoJob(Job):
    """The autoencoder, and the critic where it has a weight; AdamW for both."""

    def __init__(
        self,
        config: MaskedVideo,
        encoder: VideoMAEEncoder,
        clips: Clips,
        train: Int64[np.ndarray, " row"],
        held: Int64[np.ndarray, " held"],
        device: torch.device,
    ) -> None:
        self.config, self.clips, self.train, self.device = config, clips, train, device
        self.held = spread(held, config.validation_rows)
        self.grid = encoder.grid
        self.autoencoder = VideoAutoencoder(
            encoder.requires_grad_(True),
            depth=config.decoder_depth,
            width=config.decoder_width,
            heads=config.decoder_heads,
        )
        self.module = nn.ModuleDict({"autoencoder": self.autoencoder})
        if config.adversarial:
            self.critic = PatchCritic()
            self.module["critic"] = self.critic
        if config.precision == "float64":
            self.module.double()
        self.module.to(device)
        highest = config.learning_rate * config.batch_size / WHOLE_BATCH
        rate = warm_up(cosine(highest, config.steps, config.warm_up), config.warm_up)
        self.parts = [
            Part(name, _adamw(module, config.weight_decay), rate)
            for name, module in self.module.items()
        ]

    def load(self, row: int, rng: np.random.Generator) -> Arrays:
        """A clip, and its tubes that are hidden."""
        hidden = tube_mask(self.grid, self.config.ratio, rng)
        return self.clips.clip(row, rng), hidden

    def collate(self, samples: Sequence[Arrays]) -> tuple[Tensor, ...]:
        """Clips as (clip, 3, frame, side, side) of uint8, and their masks."""
        x = np.stack([clip for clip, _ in samples]).transpose(0, 2, 1, 3, 4)
        hidden = np.stack([mask for _, mask in samples])
        return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(hidden)

    def learn(self, batch: tuple[Tensor, ...], total: int, descend: Descend) -> dict[str, Tensor]:
        """One step of the painter, and one of the critic."""
        config, (x, hidden) = self.config, batch
        share = len(x) / total
        cut = patches(self._normalised(x))
        asked = self._asked(hidden)
        with computing(config, self.device):
            painted = self.autoencoder.painted(cut, hidden, asked)
        painted = painted.to(cut.dtype)  # (clip, asked, 1536)
        real = masked_patches(cut, asked, standardised=config.standardised)
        masked = (painted - real).square().mean() * share
        if not config.adversarial:
            descend(("autoencoder",), masked)
            return {"masked": masked}
        seen = self._seen(real.shape[1])
        real, fake = (v[:, seen].flatten(0, 1) for v in (real, painted))
        fooled = -self.critic(fake).mean() * share
        descend(("autoencoder",), masked + config.adversarial * fooled)
        between = torch.rand(len(real), dtype=real.dtype, device=real.device)
        critic = critic_loss(self.critic, real, fake, between, config.gradient_penalty) * share
        descend(("critic",), critic)
        return {"masked": masked, "adversarial": fooled, "critic": critic}

    def validate(self) -> list[tuple[str, float, int]]:
        """Error on hidden patches of clips from the middle, with masks that stay the same."""
        total, count = 0.0, 0
        for row in self.held.tolist():
            rng = np.random.default_rng([self.config.seed, HELD, row])
            try:
                clip = self.clips.clip(row, None)
            except RecordingError:
                continue
            sample = (clip, tube_mask(self.grid, self.config.ratio, rng))
            x, hidden = (t.to(self.device) for t in self.collate([sample]))
            with torch.inference_mode(), computing(self.config, self.device):
                cut = patches(self._normalised(x))
                painted = self.autoencoder.painted(cut, hidden)
                real = masked_patches(cut, hidden, standardised=self.config.standardised)
                total += float((painted.to(real.dtype) - real).square().mean())
            count += 1
        return [("masked", total / count, count)] if count else []

    def _normalised(self, x: Tensor) -> Tensor:
        kind = torch.float64 if self.config.precision == "float64" else torch.float32
        return (x.to(kind) / 255 - 0.5) / 0.5

    def _asked(self, hidden: Tensor) -> Tensor:
        """Which of the hidden patches are painted in this step."""
        if self.config.painted == 1:
            return hidden
        count = max(1, round(self.config.painted * int(hidden[0].sum())))
        draw = torch.rand(hidden.shape, device=hidden.device).masked_fill(~hidden, -1.0)
        return torch.zeros_like(hidden).scatter(1, draw.topk(count, dim=1).indices, value=True)

    def _seen(self, patches_hidden: int) -> Tensor:
        """Patches that the critic sees in this step."""
        order = torch.randperm(patches_hidden, device=self.device)
        return order[: self.config.critic_patches or patches_hidden]


def _adamw(module: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """Weight decay on matrices and larger."""
    learning = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
        ],
        betas=BETAS,
    )
