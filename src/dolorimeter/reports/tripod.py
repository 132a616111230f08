"""The TRIPOD+AI checklist: what a machine can fill, and what it must leave to people.

References
----------
Collins et al. 2024, TRIPOD+AI statement, BMJ 385:e078378 (27 items, some with parts). Items are
named here in our own words.
"""

from __future__ import annotations

from collections.abc import Mapping

from dolorimeter.reports.blocks import Row, Table, table

ITEMS: tuple[tuple[str, str], ...] = (
    ("1", "Title: model, target population, outcome"),
    ("2", "Abstract"),
    ("3a", "Background and rationale"),
    ("3b", "Target population, purpose and place in care, intended users"),
    ("3c", "Known health inequalities"),
    ("4", "Objectives: development, evaluation or both"),
    ("5a", "Sources of data"),
    ("5b", "Dates of collection"),
    ("6a", "Setting, number and location of centres"),
    ("6b", "Eligibility criteria"),
    ("6c", "Treatments received"),
    ("7", "Data preparation and quality checks"),
    ("8a", "Outcome: definition, how and when assessed"),
    ("8b", "Qualifications of outcome assessors, if subjective"),
    ("8c", "Blinding of outcome assessment"),
    ("9a", "Choice of predictors"),
    ("9b", "Definition and measurement of predictors"),
    ("9c", "Qualifications of predictor assessors, if subjective"),
    ("10", "Sample size: how arrived at"),
    ("11", "Missing data"),
    ("12a", "Partitioning of the data"),
    ("12b", "Handling of predictors"),
    ("12c", "Type of model, building steps, tuning, internal validation"),
    ("12d", "Heterogeneity between clusters (people, centres)"),
    ("12e", "Performance measures"),
    ("12f", "Model updating"),
    ("12g", "How predictions were calculated"),
    ("13", "Class imbalance"),
    ("14", "Fairness"),
    ("15", "Output of the model and thresholds"),
    ("16", "Differences between training and evaluation data"),
    ("17", "Ethical approval and consent"),
    ("18a", "Funding"),
    ("18b", "Conflicts of interest"),
    ("18c", "Protocol"),
    ("18d", "Registration"),
    ("18e", "Availability of data"),
    ("18f", "Availability of code"),
    ("19", "Patient and public involvement"),
    ("20a", "Flow of participants"),
    ("20b", "Characteristics of participants"),
    ("20c", "Comparison of development and evaluation data"),
    ("21", "Participants and outcome events in each analysis"),
    ("22", "Full specification of the model"),
    ("23a", "Performance with intervals, also in subgroups"),
    ("23b", "Heterogeneity of performance between clusters"),
    ("24", "Results of model updating"),
    ("25", "Interpretation, also of fairness"),
    ("26", "Limitations"),
    ("27a", "Poor-quality or unavailable input in use"),
    ("27b", "Interaction with users and their expertise"),
    ("27c", "Next steps"),
)

BLANK = "— to be filled by the authors —"
"""What stands where a machine knows nothing."""


def checklist(known: Mapping[str, str]) -> Table:
    """The checklist with the items in `known` (number → text) filled and the others blank."""
    assert set(known) <= {number for number, _ in ITEMS}
    rows = [
        Row((number, item, known.get(number, BLANK)), "plain" if number in known else "quiet")
        for number, item in ITEMS
    ]
    filled = f"{len(known)} of {len(ITEMS)} items filled by machine"
    return table(
        f"TRIPOD+AI checklist: {filled}",
        ("Item", "What", "Here"),
        rows,
        folded=True,
        note="Collins et al. 2024, BMJ 385:e078378. An item filled here still needs reading.",
    )
