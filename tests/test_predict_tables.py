"""Estimates for new tables: without labels, by name, of the file and of no other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError
from dolorimeter.experiment import experiment_from, predict, read_experiment, train
from dolorimeter.predictor import Predictor
from dolorimeter.samples import Samples
from dolorimeter.synthesis import synthesise

CASE = Path(__file__).parent / "fixtures" / "cases" / "18-predict-one-file"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "data").mkdir()
    shutil.copy(CASE / "train.csv", folder / "data")
    train(
        read_experiment(CASE / "forest.toml", {"classifier.arguments.n_estimators": 20}),
        folder / "data",
        folder / "model",
    )
    return folder / "model"


def test_a_table_without_labels_is_estimated(model: Path) -> None:
    rows = predict(model, [CASE / "new" / "anna.csv"])
    assert rows["subject"].tolist() == ["anna"] * 20
    assert rows["p_pain"].between(0, 1).all()
    assert "missing" not in rows.columns
    assert rows.attrs["notes"] == []


def test_only_the_file_is_read(model: Path, tmp_path: Path) -> None:
    shutil.copy(CASE / "pair" / "berta.csv", tmp_path)
    (tmp_path / "clara.csv").write_text("damaged")
    rows = predict(model, [tmp_path / "berta.csv"])
    assert rows["subject"].tolist() == ["berta"] * 20


@pytest.mark.parametrize("file", ["order/reordered.csv", "further/extra.csv"])
def test_columns_have_names(model: Path, file: str) -> None:
    expected = predict(model, [CASE / "pair" / "berta.csv"])
    rows = predict(model, [CASE / file])
    pd.testing.assert_series_equal(rows["p_pain"], expected["p_pain"])


def test_samples_are_matched_by_name_too(model: Path) -> None:
    predictor = Predictor.load(model)
    samples = Samples.from_arrays(
        pd.DataFrame({"hr": [70.0, 71], "room": [1.0, 2], "scr": [0.1, 2]}), subject=["a", "a"]
    )
    rows = predictor.predict_samples(samples)
    expected = predictor.estimator.predict_proba(np.array([[0.1, 70], [2, 71]]))
    np.testing.assert_array_equal(rows[["p_none", "p_pain"]], expected)
    assert rows.attrs["notes"] == ["features that the model does not know are ignored: room"]
    with pytest.raises(ConfigError, match=r"missing \['scr', 'hr'\], unknown \['x0'\]"):
        predictor.predict_samples(Samples.from_arrays([[1.0]], subject=["a"]))


def test_a_feature_that_is_missing_is_named_in_the_rows(model: Path, tmp_path: Path) -> None:
    table = pd.read_csv(CASE / "new" / "anna.csv").drop(columns="hr")
    table.to_csv(tmp_path / "anna.csv", index=False)
    rows = predict(model, [tmp_path / "anna.csv"])
    assert set(rows["missing"]) == {"hr"}
    assert any(note.startswith("hr is missing in 20 of 20") for note in rows.attrs["notes"])


def test_rows_that_are_left_out_are_counted(model: Path, tmp_path: Path) -> None:
    text = (CASE / "new" / "anna.csv").read_text().replace("anna,", ",", 1)
    (tmp_path / "anna.csv").write_text(text)
    rows = predict(model, [tmp_path / "anna.csv"])
    assert len(rows) == 19
    assert rows.attrs["kept_out"] == ["anna, row 1: no subject"]


def test_another_dialect_gives_the_same_estimates(model: Path, tmp_path: Path) -> None:
    table = pd.read_csv(CASE / "new" / "anna.csv")
    table.to_csv(tmp_path / "anna.csv", index=False, sep=";", decimal=",")
    rows = predict(model, [tmp_path / "anna.csv"])
    expected = predict(model, [CASE / "new" / "anna.csv"])
    pd.testing.assert_frame_equal(rows, expected)
    assert rows.attrs["notes"] == ["anna.csv: read as semicolon-separated, decimal comma"]


def test_a_subject_of_the_training_is_known_in_another_spelling(
    model: Path, tmp_path: Path
) -> None:
    text = (CASE / "new" / "anna.csv").read_text().replace("anna,", "p 00,")
    (tmp_path / "new.csv").write_text(text)
    notes = predict(model, [tmp_path / "new.csv"]).attrs["notes"]
    assert notes[0].startswith("1 of 1 people were in the model's training")


def test_a_table_is_standardised_as_in_training(tmp_path: Path) -> None:
    values = {
        "title": "standardised",
        "dataset": {"name": "feature_table"},
        "task": {"classes": [["none"], ["pain"]]},
        "classifier": {"name": "logistic_regression"},
        "split": {"name": "leave_one_subject_out"},
    }
    (tmp_path / "data").mkdir()
    shutil.copy(CASE / "train.csv", tmp_path / "data")
    scaled = pd.read_csv(CASE / "new" / "anna.csv")
    scaled[["scr", "hr"]] = scaled[["scr", "hr"]] * 3 + 7
    scaled.to_csv(tmp_path / "scaled.csv", index=False)
    asked = experiment_from(values | {"standardise": "all_recording"})
    train(asked, tmp_path / "data", tmp_path / "model")
    rows = predict(tmp_path / "model", [tmp_path / "scaled.csv"])
    expected = predict(tmp_path / "model", [CASE / "new" / "anna.csv"])
    np.testing.assert_allclose(rows["p_pain"], expected["p_pain"], rtol=1e-9)
    baseline = values | {"standardise": "declared_baseline", "baseline": ["none"]}
    train(experiment_from(baseline), tmp_path / "data", tmp_path / "by_baseline")
    assert len(predict(tmp_path / "by_baseline", [CASE / "pair" / "berta.csv"])) == 20
    with pytest.raises(ConfigError, match="no column 'label'"):
        predict(tmp_path / "by_baseline", [CASE / "new" / "anna.csv"])


def test_recordings_are_no_table(model: Path) -> None:
    with pytest.raises(ConfigError, match="fitted on a feature table, and edf holds recordings"):
        predict(model, [CASE / "new"], "edf")


def test_a_modality_that_is_missing_is_named_in_the_rows(tmp_path: Path) -> None:
    root = tmp_path / "look-alike"
    synthesise("biovid", root, subjects=2, per_condition=3, conditions=("BL1", "PA4"), seed=0)
    asked = experiment_from(
        {
            "title": "two modalities",
            "dataset": {"name": "biovid"},
            "task": {"classes": [["BL1"], ["PA4"]]},
            "windows": {"duration": 5.5},
            "streams": [{"modality": "eda"}, {"modality": "emg_trapezius"}],
            "classifier": {"name": "logistic_regression"},
            "split": {"name": "leave_one_subject_out"},
        }
    )
    predictor = train(asked, root)
    recordings = open_dataset("biovid", root).recordings()
    whole = predictor.predict(recordings)
    assert "missing" not in whole.columns
    poorer = [
        replace(r, signals={k: v for k, v in r.signals.items() if k != "emg_trapezius"})
        if i % 2
        else r
        for i, r in enumerate(recordings)
    ]
    rows = predictor.predict(poorer)
    lacking = rows["missing"] == "emg_trapezius"
    assert lacking.sum() == len(recordings) // 2
    assert rows.attrs["notes"][0] == (
        f"emg_trapezius is missing in {len(recordings) // 2} of {len(recordings)} estimates: they "
        "rest on the rest of the model's input"
    )
    alone = predictor.predict([replace(r, signals={"eda": r.signals["eda"]}) for r in recordings])
    assert set(alone["missing"]) == {"emg_trapezius"}
