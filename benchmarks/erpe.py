"""The relative term of eRPE as a product of Fourier transforms, beside the bias written out.

Baseline: attention as the formula says, `softmax(q kᵀ) + bias`, times the values, the bias of each
pair of steps picked from the table of offsets by an index of (time · time, head), as the names and
shapes of the authors' state dict show theirs to be (their code is not vendored). "Written out" is
the same with the bias made head by head, which is as fast as we could make it. Beside both:
PyTorch's fused attention plus `relative_term`, and the same without filling up narrow heads. Each
variant of each round runs in a process of its own, in turn, so that a busy machine slows all
alike, and the peak of resident memory is that variant's own. Memory is counted from a process that
has made the input alone.

    python benchmarks/erpe.py                    # 2,800 steps, 8 heads, 5 rounds: under 2 minutes
    python benchmarks/erpe.py --time 1400 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime

BASELINE, OURS = "picked by index (baseline)", "fused and transformed"
WAYS = (BASELINE, "written out", OURS, "  with heads of two numbers")
NOTHING = "nothing"
REPEATS = 3


def one(way: str, steps: int, heads: int, width: int, backward: bool) -> dict[str, float]:
    """Processor seconds (the best of three), and the peak of resident memory in MiB."""
    import torch
    from torch.nn import functional

    from dolorimeter.models._hybrid_attention import fused_attention, materialised, relative_term

    torch.manual_seed(0)
    depth = width // heads
    q, k, v = (torch.randn(1, heads, steps, depth, requires_grad=backward) for _ in range(3))
    w = torch.randn(2 * steps - 1, heads).mul_(0.1).requires_grad_(backward)
    scale = width**-0.5

    step = torch.arange(steps) if way == BASELINE else torch.zeros(0, dtype=torch.long)
    index = (step[:, None] - step + steps - 1).reshape(-1, 1)  # kept by the module, as theirs

    def picked() -> torch.Tensor:
        bias = w.gather(0, index.expand(-1, heads)).reshape(steps, steps, heads).permute(2, 0, 1)
        return ((q @ k.mT * scale).softmax(-1) + bias) @ v

    def written_out() -> torch.Tensor:
        return ((q @ k.mT * scale).softmax(-1) + materialised(w)) @ v

    def ours() -> torch.Tensor:
        return fused_attention(q, k, v, scale) + relative_term(w, v)

    def narrow() -> torch.Tensor:
        attended = functional.scaled_dot_product_attention(q, k, v, scale=scale)
        return attended + relative_term(w, v)

    runs = dict(zip(WAYS, (picked, written_out, ours, narrow), strict=True))
    took, total = [0.0], 0.0
    if way != NOTHING:
        run, took = runs[way], []
        with torch.set_grad_enabled(backward):
            for _ in range(REPEATS):
                start = time.process_time()
                out = run()
                if backward:
                    out.square().sum().backward()
                took.append(time.process_time() - start)
                total = float(out.detach().double().square().sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": min(took), "peak": peak, "total": total}


def elsewhere(way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """`one` in a process of its own."""
    command = [sys.executable, __file__, "--only", way, "--time", str(arguments.time)]
    command += ["--heads", str(arguments.heads), "--width", str(arguments.width)]
    command += ["--backward"] if arguments.backward else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=int, default=2800)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backward", action="store_true", help="with the gradients")
    parser.add_argument("--only", choices=(NOTHING, *WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        found = one(
            arguments.only, arguments.time, arguments.heads, arguments.width, arguments.backward
        )
        sys.stdout.write(json.dumps(found))
        return
    import torch

    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {platform.machine()}, {os.cpu_count()} cores")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"PyTorch {torch.__version__}, threads: {torch.get_num_threads()} · load: {load}")
    what = "forward and backward" if arguments.backward else "forward"
    print(f"{arguments.time:,} steps, {arguments.heads} heads, width {arguments.width}: {what}\n")
    ways = (NOTHING, *WAYS)
    rounds = [{way: elsewhere(way, arguments) for way in ways} for _ in range(arguments.rounds)]
    rows = {way: [r[way] for r in rounds] for way in ways}
    least = min(r["peak"] for r in rows[NOTHING])
    print("| way | median processor s | min | max | MiB above the input |\n|---|---|---|---|---|")
    for way in WAYS:
        seconds = [r["seconds"] for r in rows[way]]
        memory = statistics.median(r["peak"] for r in rows[way]) - least
        print(
            f"| {way} | {statistics.median(seconds):.3f} | {min(seconds):.3f} "
            f"| {max(seconds):.3f} | {memory:,.0f} |"
        )
    print()
    for way in WAYS[:2]:
        told(way, rows[way], rows[OURS], least)


def told(
    way: str, slow: list[dict[str, float]], fast: list[dict[str, float]], least: float
) -> None:
    """How ours compares with another way, round by round."""
    faster = [a["seconds"] / b["seconds"] for a, b in zip(slow, fast, strict=True)]
    less = [(b["peak"] - least) / (a["peak"] - least) for a, b in zip(slow, fast, strict=True)]
    apart = max(abs(a["total"] / b["total"] - 1) for a, b in zip(slow, fast, strict=True))
    print(
        f"beside '{way.strip()}': {statistics.median(faster):.1f} times as fast "
        f"({min(faster):.1f}–{max(faster):.1f}), {statistics.median(less):.3f} of the memory "
        f"({min(less):.3f}–{max(less):.3f}); sums of squares agree to {apart:.1e}"
    )


if __name__ == "__main__":
    main()
