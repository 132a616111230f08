"""How often each map of PainFormer finds the stretch of a drawn signal that decides the class.

    python benchmarks/picture_maps.py

A signal of seven stretches holds a slow wave in one of them, in both classes, and in class 1 a
fast burst in another. They are drawn, a randomly initialised PainFormer embeds them, a small mixer
learns the class. On drawings that it has not seen, the stretch with the largest share of each map
is compared with that of the burst, and with that of the slow wave, which tells nothing. Occlusion
costs a pass a patch.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.embeddings import Encoder, embed
from dolorimeter.explain import _picture_checks
from dolorimeter.explain._painformer import Parts, case_of, stream_maps
from dolorimeter.explain._question import Counter
from dolorimeter.models import create_model
from dolorimeter.representations import Waveform
from dolorimeter.signals.pictures import waveforms
from dolorimeter.types import Recording, Signal, Stimulus
from dolorimeter.windows import WindowSpec

STRETCHES, RATE, SECONDS = 7, 64.0, 7.0
STREAM = Stream(
    "eda", (), Waveform("eda"), encoder=Encoder("painformer", precision="bf16"), pooling="add"
)


def drawn_from(
    count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Signals, labels, and the stretches of the burst and of the slow wave."""
    time = np.arange(int(SECONDS * RATE)) / RATE
    labels = np.arange(count) % 2
    burst, slow = np.array([rng.permutation(STRETCHES)[:2] for _ in range(count)]).T
    x = 0.1 * rng.normal(size=(count, len(time)))
    for signal, label, b, s in zip(x, labels, burst, slow, strict=True):
        inside = (time >= s) & (time < s + 1)
        signal[inside] += np.sin(np.pi * (time[inside] - s))
        inside = (time >= b) & (time < b + 1)
        signal[inside] += label * np.sin(2 * np.pi * 12 * (time[inside] - b))
    return x, labels, burst, slow


def trained(x: np.ndarray, labels: np.ndarray, seed: int) -> torch.nn.Module:
    """A mixer of one token after 300 steps of 32."""
    torch.manual_seed(seed)
    sizes = {"latents": 8, "width": 32, "heads": 2, "head_width": 16, "factor": 2}
    network = create_model("embedding_mixer", num_classes=2, input_shape=(160,), mixer_args=sizes)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    values, targets = torch.from_numpy(x), torch.from_numpy(labels)
    for _ in range(300):
        rows = torch.randint(len(values), (32,))
        loss = torch.nn.functional.cross_entropy(
            network(values[rows]), targets[rows], label_smoothing=0.1
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def stretches(parts: Parts, signal: np.ndarray) -> dict[str, int]:
    """The stretch with the largest share of each map for class 1; −1 where it is empty."""
    recording = Recording(
        "made", "s", "one", signals={"eda": Signal(signal[None], RATE, "1", True, "other")},
        stimuli=(Stimulus(0.0, SECONDS, ""),),
    )  # fmt: skip
    windows, _ = Pipeline(WindowSpec(duration=SECONDS), (STREAM,)).stream_windows(recording)
    counter = Counter(None, 1)
    case, _ = case_of(parts, windows[0], counter)
    stream = stream_maps(case, "eda", 8)
    occluded = _picture_checks.occlude(case, stream, counter)
    maps = {k: v[1] for k, v in stream.maps.items()}
    maps["occlusion"] = _picture_checks.occlusion(case, stream, case.embeddings["eda"], occluded)[
        1
    ]
    grid = _picture_checks.grid_of(case, "eda")
    found = {}
    for name, values in maps.items():
        share = np.clip(_picture_checks.coarse(values, grid)[0], 0, None).sum(axis=0)
        found[name] = int(share.argmax()) if share.any() else -1
    return found


def main() -> None:
    """Print a line a map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--tested", type=int, default=8, help="drawings with a burst")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(asked.seed)
    x, labels, burst, slow = drawn_from(asked.train + 2 * asked.tested, rng)
    pictures = waveforms(x)
    features = embed(STREAM.encoder, iter(np.array_split(pictures, len(pictures) // 16)))
    network = trained(features[: asked.train], labels[: asked.train], asked.seed)
    rest = slice(asked.train, None)
    with torch.no_grad():
        told = network(torch.from_numpy(features[rest])).argmax(dim=1).numpy()
    parts = Parts((STREAM,), {"eda": STREAM.encoder.build()}, network, {})
    rows = np.flatnonzero(labels[rest] == 1) + asked.train
    found = [stretches(parts, x[i]) for i in rows]
    print(f"accuracy on {2 * asked.tested} others {np.mean(told == labels[rest]):.2f}")
    print(f"share of {len(rows)} drawings; chance {1 / STRETCHES:.2f} each")
    for name in found[0]:
        at = np.array([f[name] for f in found])
        print(
            f"{name}: burst {np.mean(at == burst[rows]):.2f}, slow wave "
            f"{np.mean(at == slow[rows]):.2f}"
        )


if __name__ == "__main__":
    main()
