"""Samples made from arrays, and joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from dolorimeter.errors import ConfigError, EvaluationError
from dolorimeter.evaluation import evaluate
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.splits import leave_one_subject_out
from dolorimeter.types import Exclusion


def table(subjects: Any = ("a", "b"), dataset: str = "lab", **more: Any) -> Samples:
    x = np.arange(len(subjects) * 2, dtype=float).reshape(-1, 2)
    meta = {"dataset": np.full(len(subjects), dataset)}
    return Samples.from_arrays(
        x, subject=list(subjects), feature_names=["f", "g"], meta=meta, **more
    )


def test_unknown_columns_are_unknown_and_not_made_up() -> None:
    samples = Samples.from_arrays([[1.0], [2.0]], subject=[1, 2])
    assert list(samples.meta.columns) == list(META_COLUMNS)
    row = samples.meta.iloc[0]
    assert (row["subject"], row["recording"], row["stimulus"], row["condition"]) == (
        "1", "1", "", "",
    )  # fmt: skip
    assert np.isnan(row["start"])
    assert np.isnan(row["duration"])
    assert samples.present is None
    assert samples.facts is None


def test_subjects_that_a_missing_value_elsewhere_made_floats_keep_their_names() -> None:
    assert Samples.from_arrays(np.ones((2, 1)), subject=[7.0, 12.0]).subjects.tolist() == [
        "7", "12",
    ]  # fmt: skip


def test_signals_and_streams_keep_their_shape() -> None:
    signals = Samples.from_arrays(np.zeros((3, 2, 50)), subject=list("abc"))
    assert signals.x.shape == (3, 2, 50)
    assert signals.feature_names == ()
    streams = Samples.from_arrays(
        {"eda": np.zeros((3, 1, 50)), "face": np.zeros((3, 8), dtype=np.float32)},
        subject=list("abc"),
    )
    assert isinstance(streams.x, dict)
    assert streams.x["face"].dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": [1.0]}, "start has 1 values for 2 samples"),
        ({"start": ["soon", "later"]}, "start is not numbers"),
        ({"start": pd.to_datetime(["2026-01-01", "2026-01-02"])}, "start holds dates"),
        ({"start": [0.0, np.inf]}, "start is inf s in row 1, expected a finite number"),
        ({"duration": [1.0, -1.0]}, "duration is -1 s in row 1, expected a positive number"),
        ({"meta": {"subject": ["a", "b"]}}, "meta has a column 'subject'"),
        ({"meta": {"sex": ["f"]}}, r"meta\['sex'\] has 1 values for 2 samples"),
        ({"meta": 5}, "meta is a int, expected a DataFrame"),
        ({"feature_names": ["a"]}, "1 feature names for 2 columns"),
        ({"feature_names": ["a", "a"]}, "feature names occur twice: a"),
        ({"subject": np.array([["a"], ["b"]])}, r"subject has the shape \(2, 1\)"),
        ({"recording": [None, "r"]}, "recording is missing in 1 of 2 samples"),
    ],
)
def test_bad_columns_are_named(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Samples.from_arrays(np.zeros((2, 2)), **({"subject": ["a", "b"]} | arguments))


def test_joined_samples_hold_every_row_and_everything_that_is_known() -> None:
    lost = Exclusion("c", "c", "recording", "damaged")
    first = replace(
        table(("a", "b")),
        quality=np.array([0.5, 1.0]),
        facts=pd.DataFrame({"size": [1.0, 2.0]}),
        notes=("note 1", "note 2"),
        label_source="stimulus",
    )
    second = replace(
        table(("c",)),
        exclusions=(lost,),
        notes=("note 2", "note 3"),
        target_access="unlabelled_target",
        lookalike=True,
        label_source="self_report",
    )
    joined = Samples.concatenate([first, second])
    assert joined.subjects.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(joined.x, np.concatenate([first.x, second.x]))
    assert joined.notes == (
        "labels come from several sources: self_report, stimulus", "note 1", "note 2", "note 3",
    )  # fmt: skip
    assert joined.exclusions == (lost,)
    assert joined.target_access == "unlabelled_target"
    assert joined.lookalike
    assert joined.label_source is None
    assert joined.quality is not None
    assert np.isnan(joined.quality[2])
    assert joined.facts is not None
    assert joined.facts["size"].isna().tolist() == [False, False, True]
    assert joined.meta.index.tolist() == [0, 1, 2]


def test_one_name_in_two_data_sets_is_not_guessed_to_be_one_person() -> None:
    parts = [table(("01", "02"), "lab"), table(("01", "03"), "clinic")]
    with pytest.raises(ConfigError, match=r"subjects 01 \(1 in all\) occur in several data sets"):
        Samples.concatenate(parts)
    assert Samples.concatenate(parts, same_subjects=True).subjects.tolist() == [
        "01", "02", "01", "03",
    ]  # fmt: skip
    assert Samples.concatenate(parts, same_subjects=False).subjects.tolist() == [
        "lab:01", "lab:02", "clinic:01", "clinic:03",
    ]  # fmt: skip
    again = Samples.concatenate([table(("01",)), table(("01",))])  # one data set, one person
    assert again.subjects.tolist() == ["01", "01"]


def test_a_stream_that_a_part_lacks_takes_the_shape_of_the_others() -> None:
    def part(subject: str, channels: int, present: bool) -> Samples:
        x = {"eda": np.ones((1, channels, 4)), "ecg": np.ones((1, 1, 8))}
        masks = {"eda": np.array([present]), "ecg": np.array([True])}
        return replace(Samples.from_arrays(x, subject=[subject]), present=masks)

    joined = Samples.concatenate([part("a", 1, present=False), part("b", 3, present=True)])
    assert isinstance(joined.x, dict)
    assert joined.x["eda"].shape == (2, 3, 4)
    assert np.isnan(joined.x["eda"][0]).all()
    assert joined.present is not None
    assert joined.present["eda"].tolist() == [False, True]
    with pytest.raises(ConfigError, match=r"stream 'eda' has different shapes per sample: \(1, 4"):
        Samples.concatenate([part("a", 1, present=True), part("b", 3, present=True)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, feature_names=("f", "h")), r"different features .*\(g, h in one of"),
        (lambda s: replace(s, feature_names=("g", "f")), r"different features .*\(another order"),
        (lambda s: replace(s, feature_units=("V", "S")), "different units"),
        (lambda s: replace(s, x={"a": np.zeros((2, 2))}), "has the streams a, part 1 has one arr"),
        (lambda s: replace(s, x=np.zeros((2, 3))), "x has different shapes per sample"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Samples.concatenate([table(), change(table(("c", "d")))])


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(ConfigError, match="no samples to concatenate"):
        Samples.concatenate([])


def test_time_differences_become_seconds() -> None:
    start = pd.to_timedelta(["1s", "1min"])
    samples = Samples.from_arrays(np.zeros((2, 1)), subject=["a", "b"], start=start)
    assert samples.meta["start"].tolist() == [1.0, 60.0]


def test_rows_of_two_tables_are_not_matched_by_position_if_their_labels_differ() -> None:
    x = pd.DataFrame({"f": [1.0, 2.0]})
    meta = pd.DataFrame({"sex": ["f", "m"]}, index=[1, 0])
    with pytest.raises(ConfigError, match="X and meta have different row labels"):
        Samples.from_arrays(x, subject=["a", "b"], meta=meta)


def test_the_old_home_gives_a_notice() -> None:
    from dolorimeter import types

    with pytest.warns(FutureWarning, match="dolorimeter.types.Samples is now"):
        assert types.Samples is Samples


@pytest.mark.parametrize("kind", [pd.DataFrame, list, pd.Series])
def test_values_that_are_no_array_are_refused_at_once(kind: Any) -> None:
    whole = Samples.from_arrays(np.ones((4, 2)), subject=list("aabb"))
    values = kind(np.ones(4) if kind is pd.Series else np.ones((4, 2)))
    object.__setattr__(whole, "x", values)  # tests check types before the class can
    with pytest.raises(ConfigError, match=rf"x is a {kind.__name__}, expected a NumPy array"):
        whole.__post_init__()


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("column", ["subject", "recording", "stimulus", "condition"])
def test_a_missing_name_is_the_empty_text(missing: object, column: str) -> None:
    """Neither a subject called "nan" (pandas 2) nor a number among names (pandas 3)."""
    samples = Samples.from_arrays(np.zeros((4, 2)), subject=["a", "a", "b", "b"])
    names = samples.meta[column].astype(object)
    names[1] = missing
    changed = replace(samples, meta=samples.meta.assign(**{column: names}))
    assert changed.meta[column].tolist()[1] == ""
    assert all(isinstance(name, str) for name in changed.meta[column])


def test_samples_without_a_subject_are_not_evaluated() -> None:
    samples = Samples.from_arrays(np.zeros((4, 2)), subject=["a", "a", "b", "b"])
    unnamed = replace(samples, meta=samples.meta.assign(subject=["a", "a", None, "b"]))
    with pytest.raises(EvaluationError, match=r"the subject is missing in 1 of 4 samples.*row 2"):
        evaluate(DummyClassifier(), unnamed, [0, 1, 0, 1], leave_one_subject_out())
