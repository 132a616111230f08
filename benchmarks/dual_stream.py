"""Seconds of a full forward pass of the dual-stream system: clip and signals to a decision.

One window at a time, as a session at the bedside would: 16 pictures of 224 × 224 through the
frozen Small video encoder, three signals of 2,816 samples through the signal encoder, both through
hybrid positional attention, co-attention and the classifier, at the article's sizes and with
random weights, which change no time. Float32 and bfloat16 autocast in turn, each round.

    python benchmarks/dual_stream.py             # a minute on 2 cores
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from datetime import UTC, datetime

import torch

from dolorimeter import training
from dolorimeter.models import create_model
from dolorimeter.models.dual_stream import DualStream, packed
from dolorimeter.models.video_mae import VideoMAEEncoder

SIGNALS = (3, 2816)


def parts(encoder: VideoMAEEncoder, joint: DualStream, half: bool) -> dict[str, float]:
    """Seconds of one window, by part."""
    clip, signals = torch.randn(1, 3, 16, 224, 224), torch.randn(1, *SIGNALS)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        start = time.perf_counter()
        tokens = encoder.tokens(clip)
        seen = time.perf_counter()
        joint(packed(tokens.float(), signals))
        done = time.perf_counter()
    return {"video encoder": seen - start, "all behind it": done - seen, "whole": done - start}


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {platform.machine()}, {os.cpu_count()} cores")
    print(f"PyTorch {torch.__version__}")
    encoder = create_model("video_mae_small").eval()
    joint = create_model(
        "dual_stream", video=(1568, 384), signals=SIGNALS, signal_encoder="signal_mae"
    ).eval()
    assert isinstance(encoder, VideoMAEEncoder)
    assert isinstance(joint, DualStream)
    counts = {"video encoder": sum(p.numel() for p in encoder.parameters())}
    counts |= joint.parameter_counts()
    print("parameters: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    for threads in (1, 2):
        with training.threads(threads):
            print(f"\nseconds a window, threads: {threads}\n")
            print(
                "| precision | " + " | ".join(("video encoder", "all behind it", "whole")) + " |"
            )
            print("|---|---|---|---|")
            parts(encoder, joint, False)
            found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
            for _ in range(rounds):
                for half, rows in found.items():
                    rows.append(parts(encoder, joint, half))
            for half, rows in found.items():
                cells = []
                for name in rows[0]:
                    seconds = [row[name] for row in rows]
                    cells.append(
                        f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
                    )
                print(f"| {'bfloat16' if half else 'float32'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
