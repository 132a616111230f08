"""Published rows: which may stand beside a run, and why the others may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dolorimeter.evaluation import Question
from dolorimeter.reports import literature

BIOVID = Question(
    "biovid", "A", "all", {"duration": 5.5},
    {"kind": "classifier", "classes": [["BL1"], ["PA4"]]},
    {"name": "leave_one_subject_out", "arguments": {}}, "fixed", "window",
)  # fmt: skip


def test_the_table_is_read_with_its_range_and_gaps() -> None:
    table = literature.published()
    assert len(table) > 70
    assert table["accuracy_text"].str.contains("–").sum() == 1
    assert table["accuracy"].between(0, 100).sum() == len(table) - 1


def test_rows_that_share_everything_are_found() -> None:
    rows = literature.matching(BIOVID, modalities=["eda"], subjects=87, majority=0.5)
    shared = rows[rows["shared"]]
    assert shared["accuracy"].tolist() == [83.30, 84.57]
    assert rows["shared"].tolist() == sorted(rows["shared"], reverse=True)
    assert (rows["reason"] == "").tolist() == rows["shared"].tolist()


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ({"part": "B"}, {}, "part A, here B"),
        ({"task": {"classes": [["BL1"], ["PA3"]]}}, {}, "task BL vs PA4, here BL1 vs PA3"),
        ({"task": {"classes": [["BL1", "PA1"], ["PA4"]]}}, {}, "here BL1+PA1 vs PA4"),
        ({"split": {"name": "group_k_fold"}}, {}, "protocol leave_one_subject_out, here group"),
        ({"aggregation": "recording"}, {}, "one decision a window, here recording"),
        ({"subset": "low_reactive"}, {}, "the subset 'low_reactive'"),
        ({}, {"modalities": ["ecg"]}, "modality eda, here ecg"),
        ({}, {"modalities": []}, "modality not comparable"),
        ({}, {"subjects": 6}, "here 6 of 87"),
        ({}, {"majority": 0.6}, "majority rate 50.0 %, here 60.0 %"),
    ],
)
def test_every_difference_is_named(change: dict, options: dict, reason: str) -> None:
    known = {"modalities": ["eda"], "subjects": 87, "majority": 0.5} | options
    rows = literature.matching(replace(BIOVID, **change), **known)
    of_eda = rows[rows["method"] == "SVM (Pouromran et al.)"].iloc[0]
    assert reason in of_eda["reason"]
    assert not of_eda["shared"]


def test_rows_of_unknown_composition_are_never_beside() -> None:
    question = replace(
        BIOVID, dataset="ai4pain_2024", part="",
        task={"classes": [["no_pain"], ["low_pain"], ["high_pain"]]},
        split={"name": "hold_out", "official": "official test"},
    )  # fmt: skip
    rows = literature.matching(question, modalities=["fnirs_hbo", "fnirs_hbr"])
    organisers = rows[rows["method"].str.contains("organisers") & (rows["modality"] == "fnirs")]
    assert len(organisers) == 2
    assert set(organisers["shared"]) == {False}
    assert "class composition unknown" in organisers.iloc[1]["reason"]


def test_a_data_set_without_rows_gives_an_empty_table() -> None:
    assert literature.matching(replace(BIOVID, dataset="stress_predict")).empty
