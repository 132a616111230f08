"""Draw docs/images/synthesis-biovid.png: one made-up person at rest and at the strongest heat.

Run: python scripts/make_synthesis_figure.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd

from dolorimeter.synthesis import synthesise

OUT = Path(__file__).parent.parent / "docs" / "images" / "synthesis-biovid.png"
COLOURS = {"BL1": "#4c6a92", "PA4": "#b5473c"}
SIGNALS = {"gsr": "skin conductance, µS", "ecg": "ECG, µV", "emg_trapezius": "trapezius EMG, µV"}


def main() -> None:
    """Write a small cohort to a temporary folder and draw some of its clips."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "cohort"
        truth = synthesise("biovid", root, subjects=6, conditions=["BL1", "PA4"], seed=1)
        people = truth.subjects
        person = people[~people["low_reactive"]].sort_values("gain")["subject"].iloc[-2]
        clips = root / "PartA" / "biosignals_raw" / person
        figure, axes = plt.subplots(len(SIGNALS), 2, figsize=(9, 6), sharex=True, sharey="row")
        for column, (condition, colour) in enumerate(COLOURS.items()):
            files = sorted(clips.glob(f"*-{condition}-*_bio.csv"))[:6]
            for row, (name, label) in enumerate(SIGNALS.items()):
                axis = axes[row, column]
                for order, file in enumerate(files if name == "gsr" else files[:1]):
                    table = pd.read_csv(file, sep="\t")
                    values = table[name] - (table[name].iloc[0] if name == "gsr" else 0)
                    alpha = 1.0 if order == 0 else 0.55
                    axis.plot(table["time"] / 1e6, values, color=colour, lw=0.9, alpha=alpha)
                axis.spines[["top", "right"]].set_visible(False)
                if column == 0:
                    axis.set_ylabel(f"{label}\n(from start)" if name == "gsr" else label)
            axes[0, column].set_title(condition)
            axes[-1, column].set_xlabel("seconds from the start of the clip")
        figure.align_ylabels()
        figure.tight_layout()
        OUT.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(OUT, dpi=110, metadata={"Software": ""})


if __name__ == "__main__":
    main()
