"""Missing modalities at test: which columns go, what it costs, and who cannot do without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from dolorimeter.estimators import logistic_regression
from dolorimeter.evaluation import Run, _baselines, baseline_outputs, evaluate, summarise
from dolorimeter.evaluation._degradation import blanked, missing_sets, stream_columns
from dolorimeter.experiment import experiment_from
from dolorimeter.experiment import run as run_experiment
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold, leave_one_subject_out
from dolorimeter.synthesis import synthesise


def in_streams(samples: Samples, *names: str) -> Samples:
    return replace(samples, feature_names=tuple(names))


NAMES = ("eda.mean", "eda.slope", "ecg.rate", "ecg.rmssd")


def test_columns_of_a_stream_are_found_by_name(cohort: Any) -> None:
    samples, _ = cohort()
    found = stream_columns(in_streams(samples, *NAMES))
    assert {k: v.tolist() for k, v in found.items()} == {"eda": [0, 1], "ecg": [2, 3]}
    assert stream_columns(in_streams(samples, "eda.mean", "age", "a.b", "c.d")) == {}
    assert stream_columns(replace(samples, feature_names=())) == {}
    here = np.ones(len(samples), dtype=bool)
    dotted = replace(
        in_streams(samples, "emg.left.rms", "emg.left.max", "emg.x", "emg.y"),
        present={"emg": here, "emg.left": here},
    )
    assert {k: len(v) for k, v in stream_columns(dotted).items()} == {"emg.left": 2, "emg": 2}


def test_few_streams_lose_every_subset_and_many_each_one() -> None:
    assert missing_sets(("a", "b", "c")) == (
        ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"),
    )  # fmt: skip
    assert missing_sets(("a", "b", "c", "d")) == (("a",), ("b",), ("c",), ("d",))


def test_blanking_leaves_the_table_itself() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert np.isnan(blanked(x, np.array([1]))).tolist() == [[False, True, False]] * 2
    assert np.isfinite(x).all()


def test_losing_the_stream_that_knows_costs_what_it_knew(cohort: Any, tmp_path: Path) -> None:
    samples, y = cohort(subjects=8, windows=20, effect=3.0)
    here = np.ones(len(samples), dtype=bool)
    samples = replace(in_streams(samples, *NAMES), present={"eda": here, "ecg": here})
    run = evaluate(logistic_regression(), samples, y, leave_one_subject_out(), degradation=True)
    assert set(run.degradation["missing"]) == {"ecg", "eda"}
    assert len(run.degradation) == 2 * len(run.predictions)
    assert set(run.degradation["modalities_present"]) == {"ecg", "eda"}
    without_eda = run.degradation[run.degradation["missing"] == "eda"]
    assert without_eda["row"].tolist() == run.predictions["row"].tolist()
    s = summarise(run)
    assert list(s.degradation) == ["ecg", "eda"]
    assert s.degradation["eda"].mean < 0.6 < 0.85 < s.degradation["ecg"].mean
    loss = s.degradation_loss["eda"]
    assert loss.mean == pytest.approx(s.by_subject[s.main].mean - s.degradation["eda"].mean)
    assert loss.low > 0
    assert s.degradation_loss["ecg"].low < 0.05
    assert s.degradation_curve[1].mean == pytest.approx(
        (s.degradation["ecg"].mean + s.degradation["eda"].mean) / 2
    )
    run.save(tmp_path)
    assert Run.load(tmp_path).degradation.equals(run.degradation)


def test_the_models_own_rows_stay_what_they_were(cohort: Any) -> None:
    samples, y = cohort()
    samples = in_streams(samples, *NAMES)
    plain = evaluate(logistic_regression(), samples, y, group_k_fold(2))
    more = evaluate(logistic_regression(), samples, y, group_k_fold(2), degradation=True)
    assert plain.degradation.empty
    assert more.predictions.equals(plain.predictions)
    assert more.access.equals(plain.access)


def test_an_estimator_that_refuses_nan_is_noted_once(cohort: Any) -> None:
    samples, y = cohort()
    samples = in_streams(samples, *NAMES)
    run = evaluate(LogisticRegression(), samples, y, group_k_fold(2), degradation=True)
    assert run.degradation.empty
    assert run.failures.empty
    said = [n for n in run.notes if "cannot do without" in n]
    assert len(said) == 1
    assert said[0].startswith("2 × the model cannot do without eda at test: ValueError: Input")
    assert summarise(run).degradation == {}


class OfStreams(LogisticRegression):
    """Streams end to end, NaN as 0 where that is asked for."""

    tolerant = True

    def fit(self, x: Any, y: Any) -> Any:
        return super().fit(self._joined(x), y)

    def predict_proba(self, x: Any) -> Any:
        return super().predict_proba(self._joined(x))

    def _joined(self, x: Any) -> Any:
        table = np.concatenate([v.reshape(len(v), -1) for v in x.values()], axis=1)
        return np.nan_to_num(table) if self.tolerant else table


class Strict(OfStreams):
    tolerant = False


def arrays(samples: Samples) -> Samples:
    """The cohort as three streams of arrays; the first feature knows the class."""
    x = {"eda": samples.x[:, None, :2], "ecg": samples.x[:, 2:3], "emg": samples.x[:, 3:, None]}
    return replace(samples, x=x, feature_names=(), present=None)


def test_arrays_lose_streams_as_tables_lose_columns(cohort: Any) -> None:
    samples, y = cohort(subjects=8, windows=20, effect=3.0)
    here = np.ones(len(samples), dtype=bool)
    of_arrays = replace(arrays(samples), present=dict.fromkeys(("eda", "ecg", "emg"), here))
    names = ("eda.a", "eda.b", "ecg.a", "emg.a")
    table = replace(in_streams(samples, *names), present=of_arrays.present)

    class OfTable(LogisticRegression):
        def predict_proba(self, x: Any) -> Any:
            return super().predict_proba(np.nan_to_num(x))

    run = evaluate(OfStreams(), of_arrays, y, group_k_fold(2), degradation=True)
    same = evaluate(OfTable(), table, y, group_k_fold(2), degradation=True)
    assert set(run.degradation["missing"]) == {
        "eda", "ecg", "emg", "eda+ecg", "eda+emg", "ecg+emg",
    }  # fmt: skip
    columns = ["missing", "row", "modalities_present", "p_0", "p_1"]
    assert run.degradation[columns].equals(same.degradation[columns])
    s = summarise(run)
    assert s.degradation["eda"].mean < 0.6 < 0.85 < s.degradation["ecg+emg"].mean
    assert np.isfinite(of_arrays.x["eda"]).all()


def test_arrays_that_cannot_be_blanked_are_told_and_an_estimator_that_refuses_too(
    cohort: Any,
) -> None:
    samples, y = cohort()
    pictures = arrays(samples)
    pictures = replace(pictures, x=dict(pictures.x) | {"emg": np.zeros((len(y), 2), np.uint8)})
    run = evaluate(OfStreams(), pictures, y, group_k_fold(2), degradation=True)
    assert run.degradation.empty
    assert "missing modalities were not tried: emg are uint8, which has no NaN" in run.notes
    run = evaluate(Strict(), arrays(samples), y, group_k_fold(2), degradation=True)
    assert run.degradation.empty
    assert run.failures.empty
    assert sum("cannot do without eda" in n for n in run.notes) == 1


def test_one_stream_and_oracles_have_nothing_to_lose(cohort: Any) -> None:
    samples, y = cohort()
    one = arrays(samples)
    one = replace(one, x={"eda": one.x["eda"]})
    run = evaluate(OfStreams(), one, y, group_k_fold(2), degradation=True)
    assert run.degradation.empty
    assert not any("missing modalities" in n for n in run.notes)
    alone = evaluate(logistic_regression(), samples, y, group_k_fold(2), degradation=True)
    assert alone.degradation.empty
    assert not any("missing modalities" in n for n in alone.notes)


def test_a_regressor_degrades_too(cohort: Any) -> None:
    samples, y = cohort(subjects=6, effect=3.0)
    samples = in_streams(samples, *NAMES)

    class Tolerant(LinearRegression):
        def predict(self, x: Any) -> Any:
            return super().predict(np.nan_to_num(x))

    run = evaluate(
        Tolerant(), samples, y * 10.0, group_k_fold(3), target_kind="regressor", degradation=True
    )
    s = summarise(run)
    assert s.degradation["eda"].mean < s.degradation["ecg"].mean


def test_a_resumed_run_keeps_its_degradation(cohort: Any, tmp_path: Path) -> None:
    samples, y = cohort()
    samples = in_streams(samples, *NAMES)
    split = group_k_fold(2)
    first = evaluate(logistic_regression(), samples, y, split, degradation=True, run_dir=tmp_path)
    again = evaluate(logistic_regression(), samples, y, split, degradation=True, run_dir=tmp_path)
    assert again.degradation.equals(first.degradation)


def test_a_baseline_that_fails_does_not_cost_the_fold(
    cohort: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, y = cohort()

    def fail(*_: Any) -> Any:
        raise ValueError("facts of no use")

    monkeypatch.setattr(_baselines, "fact_outputs", fail)
    run = evaluate(logistic_regression(), samples, y, group_k_fold(2))
    assert run.failures.empty
    assert len(run.predictions) == len(samples)
    assert set(run.baselines["model"]) == {"majority", "level_before"}
    said = [n for n in run.notes if "baseline" in n]
    assert len(said) == 1
    assert said[0] == "2 × baseline nuisance failed: ValueError: facts of no use"
    rows = np.arange(len(y))
    with pytest.raises(ValueError, match="facts of no use"):
        baseline_outputs(samples, y, rows, rows, "classifier", 2)


def test_an_experiment_of_two_streams_degrades_and_one_of_one_does_not(tmp_path: Path) -> None:
    synthesise("biovid", tmp_path / "cohort", subjects=3, per_condition=4, seed=0)
    values: dict[str, Any] = {
        "title": "two streams",
        "dataset": {"name": "biovid", "options": {"part": "A"}},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda"}, {"modality": "emg_trapezius"}],
        "classifier": {"name": "logistic_regression"},
        "split": {"name": "leave_one_subject_out"},
    }
    found = run_experiment(experiment_from(values), tmp_path / "cohort", cache=False)
    assert set(found.degradation["missing"]) == {"eda", "emg_trapezius"}
    assert set(found.degradation["modalities_present"]) == {"eda", "emg_trapezius"}
    values["streams"] = values["streams"][:1]
    alone = run_experiment(experiment_from(values), tmp_path / "cohort", cache=False)
    assert alone.degradation.empty
