"""Oxazepam and empathy for pain: electric shocks, skin-conductance responses and pain ratings.

78 people, 40 trials each: high and low shocks to oneself and to another. Half of them took 25 mg
of oxazepam. Nilsonne et al., data and code:
https://github.com/GNilsonne/Data-and-analysis-code-Oxazepam-and-emotion (CC0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    find,
    natural_key,
    one_of,
    read_table,
    relative,
    require_dir,
    select_subjects,
)
from dolorimeter.errors import RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import Exclusion

MICROSIEMENS = 1e-6
"""SCR.csv holds microsiemens (the folder's SOURCE.md; the codebook says "amplitude" only)."""

TRIALS = 10
"""Trials of each subject, condition and stimulus."""

LEVELS: Mapping[str, int] = {"Low": 1, "High": 2}

NOT_PROMISED = (
    "Ratings are joined to skin conductance by their order within subject, condition and "
    "stimulus, which both files share but the codebook does not promise."
)


@DATASETS.register(
    DatasetCard(
        name="oxazepam_ep",
        summary="Skin-conductance amplitude and ratings of 78 people to 40 electric shocks each.",
        paper="Nilsonne et al., oxazepam and empathy for pain",
        code="https://github.com/GNilsonne/Data-and-analysis-code-Oxazepam-and-emotion",
        licence="CC0-1.0",
        obtain="dolorimeter fetch oxazepam_ep",
        sharing="Free (CC0).",
        label_source="stimulus",
        labels=(
            "Shock intensity set per person between ratings of 10 and 80 of 100, to oneself or to "
            "another; ratings are the person's own. Half took a sedative."
        ),
        protocols=("leave one subject out, high against low shock to self",),
        units={"scr_amplitude": "S"},
        units_confirmed=False,
        person_namespace="oxazepam",
        subjects=78,
        openly_available=True,
    )
)
class OxazepamEP:
    """A table of trials: one skin-conductance amplitude, two ratings.

    Parameters
    ----------
    root : path
        Folder with ``SCR.csv``, ``Ratings.csv`` and ``demographics.csv``.
    treatment : {"all", "placebo", "oxazepam"}
        Which arm.
    wave : {"all", "1", "2"}
        Which wave of data collection.
    condition : {"all", "self", "other"}
        Shocks to whom.

    Notes
    -----
    Conditions are ``self_high``, ``self_low``, ``other_high``, ``other_low``, levels 2 and 1.
    `samples` has the columns ``intensity`` (pain, 0–100, self only) and ``unpleasantness``
    (0–100), ``treatment``, ``wave``, ``trial`` (0–9 within subject, condition and stimulus: the
    order in the file). A trial without an amplitude is an exclusion.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "no_amplitude": ("13", "25", "26", "27", "48", "55", "64", "72", "73", "75", "77")
    }
    """``no_amplitude``: the eleven without one usable amplitude to shocks to self. All are marked
    ``Included_EP = FALSE`` by the authors, who say no more of the reason."""

    def __init__(
        self,
        root: str | Path,
        *,
        treatment: str = "all",
        wave: str | int = "all",
        condition: str = "all",
    ) -> None:
        name = self.card.name
        self.root = require_dir(root, "SCR.csv", dataset=name)
        self.treatment = one_of(
            "treatment", treatment, ("all", "placebo", "oxazepam"), dataset=name
        )
        self.wave = one_of("wave", str(wave), ("all", "1", "2"), dataset=name)
        self.condition = one_of("condition", condition, ("all", "self", "other"), dataset=name)

    @cached_property
    def _trials(self) -> pd.DataFrame:
        """Every trial of the chosen arm, wave and condition, with NaN where a number is absent."""
        trials = _read_trials(self.root)
        keep = pd.Series(data=True, index=trials.index)
        if self.treatment != "all":
            keep &= trials["treatment"] == self.treatment
        if self.wave != "all":
            keep &= trials["wave"] == self.wave
        if self.condition != "all":
            keep &= trials["condition"].str.startswith(self.condition)
        return trials[keep].reset_index(drop=True)

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Trials without an amplitude."""
        return _missing(self._trials)

    def subjects(self) -> tuple[str, ...]:
        """Subjects of the chosen arm and wave, in natural order."""
        return tuple(sorted(self._trials["subject"].unique(), key=natural_key))

    def samples(self, subjects: Sequence[str] | None = None) -> Samples:
        """Trials with an amplitude, in natural order of subjects, then condition, then trial.

        Raises
        ------
        DatasetError
            If a subject asked for is not there.
        RecordingError
            If a file is not what the codebook says.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        trials = self._trials[self._trials["subject"].isin(chosen)]
        present = trials[trials["scr"].notna()].reset_index(drop=True)
        values: Float[np.ndarray, "sample 1"] = present[["scr"]].to_numpy(float) * MICROSIEMENS
        return Samples(
            x=values,
            meta=self._meta(present),
            feature_names=("scr_amplitude",),
            feature_units=("S",),
            facts=present[["trial"]].astype(float),
            exclusions=_missing(trials),
            label_source=self.card.label_source,
            notes=(
                NOT_PROMISED,
                "scr_amplitude: the codebook does not state the unit; taken as microsiemens.",
            ),
        )

    def _meta(self, trials: pd.DataFrame) -> pd.DataFrame:
        stimulus = (
            trials["subject"] + "#" + trials["condition"] + "-" + trials["trial"].astype(str)
        )
        meta = pd.DataFrame(
            {
                "dataset": self.card.name,
                "part": "",
                "subject": trials["subject"],
                "recording": trials["subject"],
                "stimulus": stimulus,
                "start": np.nan,
                "duration": np.nan,
                "condition": trials["condition"],
            }
        )[list(META_COLUMNS)]
        extra = ["level", "intensity", "unpleasantness", "treatment", "wave", "trial"]
        return pd.concat([meta, trials[extra]], axis=1)

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None published."""
        return {}

    def check(self) -> CheckReport:
        """Read the three files and count what is missing."""
        trials = self._trials
        where = relative(find(self.root, "SCR.csv"), self.root)
        gone = trials["scr"].isna().groupby(trials["subject"]).sum()
        problems = [
            Problem(where, f"subject {s}: {int(n)} trials without an amplitude", "nan", "warning")
            for s, n in gone.items()
            if n
        ]
        return CheckReport(
            self.card.name,
            self.root,
            len(self.subjects()),
            self.card.subjects,
            len(trials),
            tuple(problems),
        )


def _missing(trials: pd.DataFrame) -> tuple[Exclusion, ...]:
    gone = trials[trials["scr"].isna()]
    return tuple(
        Exclusion(s, s, f"{c} trial {t}", "no skin-conductance amplitude (NA)")
        for s, c, t in zip(gone["subject"], gone["condition"], gone["trial"], strict=True)
    )


def _read_trials(root: Path) -> pd.DataFrame:
    key = ["Subject", "Condition", "Stimulus"]
    scr = _read(root, "SCR.csv", [*key, "SCR"], ["SCR"])
    ratings = _read(
        root, "Ratings.csv", [*key, "Unpleasantness", "Intensity"], ["Unpleasantness", "Intensity"]
    )
    people = _read(root, "demographics.csv", ["Subject", "Treatment", "Wave"], [])
    joined = scr.merge(ratings, on=[*key, "trial"], how="left", validate="one_to_one")
    about = people[["Subject", "Treatment", "Wave"]]
    if about["Subject"].duplicated().any():
        raise RecordingError(f"{root}: demographics.csv lists a subject twice. Fetch it again.")
    joined = joined.merge(about, on="Subject", how="left", validate="many_to_one")
    condition = joined["Condition"].str.lower() + "_" + joined["Stimulus"].str.lower()
    trials = pd.DataFrame(
        {
            "subject": joined["Subject"],
            "condition": condition,
            "trial": joined["trial"],
            "level": joined["Stimulus"].map(LEVELS),
            "scr": joined["SCR"],
            "intensity": joined["Intensity"],
            "unpleasantness": joined["Unpleasantness"],
            "treatment": joined["Treatment"].str.lower().fillna("unknown"),
            "wave": joined["Wave"].fillna("unknown"),
        }
    )
    order = sorted(trials["subject"].unique(), key=natural_key)
    rank = trials["subject"].map({s: i for i, s in enumerate(order)})
    return (
        trials.assign(rank=rank)
        .sort_values(["rank", "condition", "trial"], kind="stable")
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def _read(root: Path, name: str, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """One of the files, its numbers parsed (NA is NaN), trials numbered by their order."""
    path = find(root, name)
    table = read_table(path, delimiter=",", columns=columns)[list(columns)]
    for column in numbers:
        text = table[column].where(~table[column].isin(["NA", ""]))
        values = pd.to_numeric(text, errors="coerce")
        wrong = text.notna() & ~np.isfinite(values.to_numpy(float, na_value=np.nan))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise RecordingError(
                f"{path}, row {row + 1}: {column} is {text.iloc[row]!r}, expected a number or NA."
            )
        table[column] = values.astype(float)
    if "Condition" in columns:
        _check_trials(path, table)
        table["trial"] = table.groupby(["Subject", "Condition", "Stimulus"]).cumcount()
    return table


def _check_trials(path: Path, table: pd.DataFrame) -> None:
    for column, known in (("Condition", {"Self", "Other"}), ("Stimulus", set(LEVELS))):
        odd = sorted(set(table[column]) - known)
        if odd:
            raise RecordingError(
                f"{path}: {column} has {', '.join(map(repr, odd))}, expected "
                f"{' and '.join(sorted(known))}. Is it another version?"
            )
    counts = table.groupby(["Subject", "Condition", "Stimulus"]).size()
    many = counts[counts > TRIALS]
    if len(many):
        subject, condition, stimulus = many.index[0]
        raise RecordingError(
            f"{path}: subject {subject} has {many.iloc[0]} trials of {condition} {stimulus}, "
            f"expected {TRIALS}: rows are duplicated. Fetch it again."
        )
