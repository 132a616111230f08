"""The dual-stream classifier on made-up tokens and signals whose truth is known.

Each window has two hidden numbers, one that its video tokens show and one that its signals show;
the class is which side of zero their sum lies on. Whoever sees one of them alone is right in 75 %
of the windows at most (1/2 + arcsin(√½)/π), whoever sees both could always be. People differ in
level and size of both. A third of the people are tested, drawn by the seed. The network is the
reduced one of experiments/dual_stream_lookalike.toml; no frame and no recording takes part, so
this shows that the fusion fuses, and nothing about pain.

    python scripts/dual_stream_shown.py            # 10 seeds: some minutes on one core
    python scripts/dual_stream_shown.py --seeds 3
"""

from __future__ import annotations

import argparse
import platform
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import stats

from dolorimeter.registry import ESTIMATORS
from dolorimeter.splits import inner_validation

PEOPLE, WINDOWS = 24, 20
TOKENS, FEATURES, CHANNELS, TIME = 8, 12, 3, 96
WHOLE = "both, co-attention"
PLAIN = {"hybrid": False}
STOPPED = {"epochs": 30, "early_stopping": True, "patience": 5}
"""Of the network: the epoch is chosen on some of the training people."""
Variant = tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]
VARIANTS: dict[str, Variant] = {
    WHOLE: (("face", "eda"), {}, {}),
    "both, without hybrid attention": (("face", "eda"), PLAIN, {}),
    "both, means joined (concat)": (("face", "eda"), {"fusion": "concat"}, {}),
    "both, late fusion": (("face", "eda"), {"fusion": "late"}, {}),
    "video alone": (("face",), {}, {}),
    "video alone, without hybrid attention": (("face",), PLAIN, {}),
    "video alone, stopped early": (("face",), {}, STOPPED),
    "signals alone": (("eda",), {}, {}),
    "signals alone, without hybrid attention": (("eda",), PLAIN, {}),
}


def cohort(seed: int, effect: float) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Streams, classes and people."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(PEOPLE), WINDOWS)
    seen, felt = rng.normal(size=(2, len(groups)))
    y = (seen + felt > 0).astype(int)
    size = rng.uniform(0.7, 1.3, (2, PEOPLE))[:, groups]
    level = rng.normal(size=(2, PEOPLE))[:, groups]
    face = rng.normal(size=(len(groups), TOKENS, FEATURES))
    face[:, 2:6, 3] += 2 * effect * (size[0] * seen)[:, None]
    face[..., 7] += level[0][:, None]
    eda = rng.normal(size=(len(groups), CHANNELS, TIME)) + level[1][:, None, None]
    rise = np.clip((np.arange(TIME) - 40) / 30, 0, 1)
    eda[:, 0] += effect * (size[1] * felt)[:, None] * rise
    streams = {"face": face.astype(np.float32), "eda": eda.astype(np.float32)}
    return streams, y, groups


def accuracy(variant: str, seed: int, effect: float) -> tuple[float, float]:
    """Share of windows that are told right: of people held out, and of those trained on."""
    names, module, network = VARIANTS[variant]
    streams, y, groups = cohort(seed, effect)
    train, test = inner_validation(groups, 1 / 3, seed, y)
    model = ESTIMATORS.get("dual_stream")(
        video="face" if "face" in names else "",
        network={
            "epochs": 12, "batch_size": 32, "learning_rate": 5e-3, "early_stopping": False,
            "random_state": seed, "threads": 1,
            "module_args": {"width": 32, "hybrid_args": {"hidden": 32}, **module}, **network,
        },
    )  # fmt: skip
    model.fit({n: streams[n][train] for n in names}, y[train], groups[train])
    told, learned = (
        float((model.predict({n: streams[n][rows] for n in names}) == y[rows]).mean())
        for rows in (test, train)
    )
    return told, learned


def interval(values: np.ndarray) -> str:
    """Mean and 95 % interval over seeds."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return (
        f"{100 * values.mean():.1f} ({100 * (values.mean() - half):.1f} to "
        f"{100 * (values.mean() + half):.1f})"
    )


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {platform.machine()} · {len(seeds)} seeds")
    for effect in (1.0, 0.0):
        found, learned = {}, {}
        for variant in VARIANTS if effect else (WHOLE, "both, late fusion"):
            both = np.array([accuracy(variant, seed, effect) for seed in seeds])
            found[variant], learned[variant] = both.T
            sys.stderr.write(f"{effect} {variant}: {found[variant].mean():.3f}\n")
        whole = found[WHOLE]
        print(f"\nEffect {effect:g}\n")
        print(
            "| what is read | accuracy in % | co-attention minus this, paired | in training |\n"
            "|---|---|---|---|"
        )
        for variant, values in found.items():
            apart = "–" if values is whole else interval(whole - values)
            seen = 100 * learned[variant].mean()
            print(f"| {variant} | {interval(values)} | {apart} | {seen:.1f} |")


if __name__ == "__main__":
    main()
