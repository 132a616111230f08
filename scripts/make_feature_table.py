"""Write docs/features.md from the tables of features.

python scripts/make_feature_table.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from dolorimeter.representations.features import TABLES, Feature, Table

TARGET = Path(__file__).parent.parent / "docs" / "features.md"

HEAD = """# Features

<!-- Made by scripts/make_feature_table.py from the code. Do not edit. -->

Each window gives one row for each modality. Names carry the modality: `eda_scr_count`. A number
that a window cannot carry is NaN, and the report says which, why, and in how many windows:

- the window is shorter than *least duration*, or the signal slower than *least rate*;
- samples are missing inside the window (the preprocessing step `bridge` fills short gaps);
- the stimulus onset is not known (latency), or nothing was found to measure (rise time);
- the threshold is absolute and the signal is in arbitrary units.

Where a unit is not confirmed by the publisher, features marked † (an absolute threshold) may be
wrong, and the report says so. Signals with several channels give each feature for each channel,
near-infrared ones also the mean over channels. Nothing is filtered here beyond what a definition
states: drift, mains and movement belong to preprocessing.

Intervals between beats that differ by more than 30 % from the median of their neighbours (a
missed, doubled or ectopic beat) are replaced before a rate or a variability is computed. Where
more than a third of them differ there is no rate, and where more than a fifth no variability.
There is neither where the beats do not look alike (mean correlation with their median below 0.5)
or cover less than 30 % of the window. Rates are followed up to 260 per minute, and ECG and pulse
may be upside down; a rhythm above 300 per minute gives NaN.

Responses of the skin are not counted where the noise of the window (from fourth differences) is
above a fifth of the threshold, or its resolution is coarser than half of it. At 4 Hz, white noise
of a fifth still gives 0.2 false responses per minute. Rectified muscle activity keeps the sign
that a subtracted baseline gives it, also after the steps `rectify` and `envelope`.
"""


def document() -> str:
    """The whole page."""
    return HEAD + "".join(_section(table) for table in TABLES)


def _section(table: Table) -> str:
    names = ", ".join(f"`{name}`" for name in table.modalities.split(", "))
    unit = table.unit or "the signal's own unit"
    lines = [
        "",
        f"## {table.title}",
        "",
        f"For {names}; computed in {unit}.",
        "",
        "| feature | unit | definition | source | least duration | least rate |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(feature, table) for feature in table.features]
    return "\n".join(lines) + "\n"


def _row(feature: Feature, table: Table) -> str:
    mark = " †" if feature.absolute_threshold else ""
    unit = feature.unit.format(unit=table.unit or "unit")
    what = f"NaN: {feature.refused}" if feature.refused else feature.definition
    duration = f"{feature.min_duration:g} s" if feature.min_duration else "–"
    rate = f"{feature.min_sampling_rate:g} Hz" if feature.min_sampling_rate else "–"
    cells = (f"`{feature.name}`{mark}", unit, what, feature.source, duration, rate)
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Write the page, or with ``--check`` say whether it is out of date."""
    page = document()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != page:
            print(f"{TARGET} is out of date: run python scripts/make_feature_table.py")
            return 1
        return 0
    TARGET.write_text(page, encoding="utf-8")
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
