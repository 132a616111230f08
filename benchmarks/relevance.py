"""How often relevance names the frame that a network has learnt to look for.

    python benchmarks/relevance.py

Networks learn to tell clips of noise with one moved frame from clips without. On clips that they
have not seen, the frame that each rule puts first is compared with the moved one: relevance
(Chefer et al. 2021), the attention of the learned matrix alone, and the change of the score when
one frame is taken out. The last costs a pass a frame.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from dolorimeter.explain import frame_attention, frame_relevance
from dolorimeter.models.full_transformer import FullTransformer

FRAMES, FEATURES, CLIPS = 12, 16, 80
SIZES = {
    "width 16, 1 block": {"width": 16, "queries": 4, "heads": 2, "depth": 1, "hidden": 32},
    "width 64, 2 blocks": {"width": 64, "queries": 16, "heads": 4, "depth": 2, "hidden": 128},
}


def clips(count: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Noise; in every second clip one frame is moved. Also labels, and places of that frame."""
    x = torch.randn(count, FRAMES, FEATURES, generator=generator)
    labels = torch.arange(count) % 2
    places = torch.randint(FRAMES, (count,), generator=generator)
    x[torch.arange(count), places, :4] += 3.0 * labels[:, None]
    return x, labels, places


def trained(seed: int, size: dict[str, int], generator: torch.Generator) -> FullTransformer:
    """A network after 400 batches of 32 clips."""
    torch.manual_seed(seed)
    network = FullTransformer(2, input_shape=(FRAMES, FEATURES), momentum=0.1, **size)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    for _ in range(400):
        x, labels, _ = clips(32, generator)
        loss = torch.nn.functional.cross_entropy(network(x), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def by_relevance(network: FullTransformer, x: torch.Tensor) -> np.ndarray:
    """Frames that relevance puts first, −1 where there is none."""
    found = np.stack([frame_relevance(network, clip, 1)[2][0].numpy() for clip in x])
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)


def by_attention(network: FullTransformer, x: torch.Tensor) -> np.ndarray:
    """Frames that the learned matrix attends to most."""
    return np.array([frame_attention(network, clip).argmax() for clip in x])


def by_occlusion(network: FullTransformer, x: torch.Tensor) -> np.ndarray:
    """Frames without which the logit falls most."""
    with torch.no_grad():
        without = []
        for frame in range(FRAMES):
            cut = x.clone()
            cut[:, frame] = 0
            without.append(network(cut)[:, 1])
        return torch.stack(without, dim=1).argmin(dim=1).numpy()


def main() -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    print(f"share of clips whose moved frame comes first; chance {1 / FRAMES:.2f}")
    for title, size in SIZES.items():
        for seed in range(seeds):
            generator = torch.Generator().manual_seed(seed)
            network = trained(seed, size, generator)
            x, labels, places = clips(CLIPS, generator)
            with torch.no_grad():
                right = (network(x).argmax(dim=1) == labels).float().mean()
            moved, truth = x[labels == 1], places[labels == 1].numpy()
            shares = [
                f"{name} {np.mean(rule(network, moved) == truth):.2f}"
                for name, rule in (
                    ("relevance", by_relevance),
                    ("attention", by_attention),
                    ("occlusion", by_occlusion),
                )
            ]
            print(f"{title}, seed {seed}: accuracy {right:.2f}, {', '.join(shares)}")


if __name__ == "__main__":
    main()
