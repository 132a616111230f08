"""An explanation of a look-alike clip beside the clip's truth: relevance in frames of pain.

    dolorimeter explain MODEL ROOT/PartA/video/SUBJECT/CLIP.mp4 --class PA4 --out EXPLAINED
    python scripts/relevance_truth.py EXPLAINED ROOT --picture docs/images/relevance.png

Prints Markdown. Frames are compared in time, not places: what moved in the face is known, and how
much of the picture it changed is not. Frames follow each other smoothly, so a correlation over
them is a description of one clip and nothing that a test of significance could be made of.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import spearmanr

from dolorimeter.synthesis import Truth

PAIN = 1.0
"""FACS intensity from which an action of pain counts as shown, as in scripts/face_checks."""
COLOURS = 160
"""Of the picture, so that it takes little room in the repository."""
FLAGS = ("blink", "talk", "smile", "occluded")


def joined(explained: Path, root: Path) -> tuple[pd.DataFrame, str, str]:
    """Frames of the explanation with the truth of the nearest frame; the clip and the class."""
    told = json.loads((explained / "explanation.json").read_text(encoding="utf-8"))
    frames = pd.read_csv(explained / "frames.csv")
    clip = Path(told["video"]).stem
    truth = Truth.load(root).frames()
    truth = truth[truth["recording"] == clip].astype({"time": float}).sort_values("time")
    if truth.empty:
        raise SystemExit(f"{root}: its truth has no clip {clip}")
    both = pd.merge_asof(frames, truth, on="time", direction="nearest", tolerance=0.02)
    if both["pain"].isna().any():
        raise SystemExit(f"{explained}: has frames at other times than the truth of {clip}")
    return both, clip, told["class_name"]


def main() -> None:
    """Print what is known and what the map says, side by side."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("explained", type=Path, help="folder that dolorimeter explain wrote")
    parser.add_argument("root", type=Path, help="the look-alike cohort")
    parser.add_argument("--picture", type=Path, help="relevance.png in few colours goes here")
    arguments = parser.parse_args()
    if arguments.picture:
        drawn = Image.open(arguments.explained / "relevance.png").convert("RGB")
        few = drawn.quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
        few.save(arguments.picture, optimize=True)
    frames, clip, name = joined(arguments.explained, arguments.root)
    pain = frames["pain"].to_numpy()
    shown = pain > PAIN
    when = frames.loc[shown, "time"]
    print(
        f"{clip} (look-alike): pain above intensity {PAIN:g} in {shown.sum()} of {len(frames)} "
        f"frames, {when.min():.2f}–{when.max():.2f} s; largest PSPI {frames['pspi'].max():.1f}"
    )
    seen = [f"{flag} in {int(frames[flag].sum())}" for flag in FLAGS if frames[flag].any()]
    print(f"Other actions: {', '.join(seen) or 'none'}\n")
    print("| by frame | share in frames of pain | rank correlation with pain |\n|---|---|---|")
    print(f"| an even map | {shown.mean():.2f} | – |")
    for column in (f"relevance_{name}", "attention", "effect"):
        values = frames[column].to_numpy()
        if not np.isfinite(values).all():
            continue  # effects are there where the checks were
        weights = values.clip(0)  # an effect may be negative: blurring a frame may help
        share = f"{weights[shown].sum() / weights.sum():.2f}" if weights.any() else "–"
        print(f"| {column} | {share} | {spearmanr(values, pain).statistic:.2f} |")


if __name__ == "__main__":
    main()
