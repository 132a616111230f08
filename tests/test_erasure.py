"""Erasing one subject: afterwards no file names the subject, and what it takes is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from dolorimeter.cli import app
from dolorimeter.errors import ConfigError
from dolorimeter.evaluation import Question, Run, evaluate
from dolorimeter.experiment import erase_subject, experiment_from, read_findings, run, train
from dolorimeter.predictor import Predictor
from dolorimeter.reports import report
from dolorimeter.splits import hold_out
from dolorimeter.storage import Cache, damaged_files
from dolorimeter.synthesis import synthesise


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run, report, model and cache of a small cohort, as a user's folder."""
    place = tmp_path_factory.mktemp("written")
    root = place / "data"
    synthesise("biovid", root, subjects=4, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOLORIMETER_CACHE", str(place / "work" / "cache"))
        asked = experiment_from(experiment_of(root))
        run(asked, root, place / "work" / "run", keep_models=True)
        report(Run.load(place / "work" / "run"), place / "work" / "run", reveal_subjects=True)
        train(asked, root, place / "work" / "model")
    return place


def experiment_of(root: Path) -> dict[str, object]:
    return {
        "title": "small",
        "dataset": {"name": "biovid", "options": {}},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda", "representation": {"name": "features"}}],
        "classifier": {"name": "logistic_regression"},
        "split": {"name": "leave_one_subject_out"},
    }


def holding(place: Path, word: str) -> list[str]:
    return [
        str(path.relative_to(place))
        for path in sorted(place.rglob("*"))
        if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    ]


def test_a_run_of_a_table_loses_the_subject(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ("pat-0417", "pat-0418", "pat-0419")
    who = np.repeat(names, 8)
    notes = {"subset": "pat-0417 pat-0418", "dataset": "own"}
    made = evaluate(
        LogisticRegression(),
        rng.normal(size=(24, 2)),
        np.tile([0, 1], 12),
        hold_out(names[:2]),
        groups=who,
        question=Question(**notes, split={"arguments": {"test_subjects": list(names[:2])}}),
        run_dir=tmp_path / "run",
        keep_models=True,
    )
    made.save(tmp_path / "run")
    salt = (tmp_path / "run" / "pseudonyms.salt").read_text()
    report(made, tmp_path / "run", reveal_subjects=True)
    assert holding(tmp_path, "pat-0417")
    erased = erase_subject("PAT-417", [tmp_path])
    assert set(erased.spellings) == {"PAT-417", "pat-0417"}
    assert holding(tmp_path, "pat-0417") == []
    assert erased.remaining == ()
    assert [Path(p).name for p in erased.retrain] == ["fold_0000_seed_0"]
    kept = Run.load(tmp_path / "run")
    assert kept.subjects == ("pat-0418",)
    assert kept.cohort == ("pat-0418", "pat-0419")
    assert kept.fingerprint == ""
    assert kept.question.split["arguments"]["test_subjects"] == ["pat-0418"]
    assert kept.salt != salt
    assert not (tmp_path / "run" / "folds" / "fingerprint.json").exists()


@pytest.mark.long
def test_erasing_leaves_the_name_nowhere_and_counts_what_went(written: Path) -> None:
    place = written / "work"
    run_folder, model, cache = place / "run", place / "model", place / "cache"
    before = Run.load(run_folder)
    gone = before.subjects[1]
    entries = len(list(cache.rglob("*.npz")))
    rows = int((before.predictions["subject"] == gone).sum())
    assert holding(place, gone)  # else the test would show nothing

    erased = erase_subject(gone, [place])

    assert holding(place, gone) == []
    assert erased.remaining == ()
    assert erased.rows >= 2 * rows  # predictions and baselines
    assert 0 < erased.cached < entries
    assert erased.cached == entries - len(list(cache.rglob("*.npz")))
    assert str(model) in erased.retrain
    assert len([p for p in erased.retrain if Path(p).parent.name == "models"]) == 4
    assert {Path(p).name for p in erased.removed} == {
        "folds",
        "report.html",
        "report.md",
        "report.json",
    }
    after = Run.load(run_folder)
    assert set(after.subjects) == set(before.subjects) - {gone}
    others = before.predictions[before.predictions["subject"] != gone].reset_index(drop=True)
    pd.testing.assert_frame_equal(after.predictions.reset_index(drop=True), others)
    assert any("was erased" in note for note in after.notes)
    assert damaged_files(run_folder) == []
    assert read_findings(run_folder)
    loaded = Predictor.load(model)
    assert "(erased)" in next(iter(loaded.trained_on.values()))
    assert any("Train it again" in note for note in loaded.notes)
    assert erase_subject(gone, [place]).rows == 0


def test_every_spelling_of_an_identifier_of_digits_goes_and_other_numbers_stay(
    tmp_path: Path,
) -> None:
    table = pd.DataFrame({"subject": ["003", "3", "13", "30"], "n": [3, 3, 3, 3]})
    table.to_parquet(tmp_path / "a.parquet")
    table.to_csv(tmp_path / "a.csv", index=False)
    told = {
        "trained_on": {"own": ["3", "13"]},
        "seeds": [3],
        "units": ["3"],
        "notes": ["3 windows of subject 3 are short, subject 13 has 3"],
        "rows": [{"subject": "003", "value": 1}, {"subject": "30", "value": 3}],
    }
    (tmp_path / "a.json").write_text(json.dumps(told))
    erased = erase_subject("3", [tmp_path])
    assert set(erased.spellings) == {"3", "003"}
    assert pd.read_parquet(tmp_path / "a.parquet")["subject"].tolist() == ["13", "30"]
    kept = pd.read_csv(tmp_path / "a.csv", dtype=str)
    assert kept["subject"].tolist() == ["13", "30"]
    assert kept["n"].tolist() == ["3", "3"]
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "trained_on": {"own": ["(erased)", "13"]},
        "seeds": [3],
        "units": ["3"],
        "notes": ["3 windows of subject (erased) are short, subject 13 has 3"],
        "rows": [{"subject": "30", "value": 3}],
    }
    assert erased.rows == 5
    assert len(erased.retrain) == 1


def test_cache_entries_that_name_nobody_go_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("a" * 64, {"features": np.ones((2, 3), np.float32)})
    erased = erase_subject("anna", [tmp_path])
    assert erased.unattributed == 1
    assert not list(tmp_path.rglob("*.npz"))


def test_recordings_are_never_changed_but_named(tmp_path: Path) -> None:
    (tmp_path / "s07_rest.edf").write_bytes(b"0       s07 recording")
    erased = erase_subject("s07", [tmp_path])
    assert (tmp_path / "s07_rest.edf").read_bytes() == b"0       s07 recording"
    assert erased.remaining == (str(tmp_path / "s07_rest.edf"),)


@pytest.mark.parametrize(("subject", "message"), [("a", "expected existing"), (" ", "is empty")])
def test_what_cannot_be_erased_is_named(tmp_path: Path, subject: str, message: str) -> None:
    folder = tmp_path / ("missing" if subject == "a" else "")
    with pytest.raises(ConfigError, match=message):
        erase_subject(subject, [folder])


def test_the_verb_asks_counts_and_exits_with_1_where_something_remains(tmp_path: Path) -> None:
    pd.DataFrame({"subject": ["anna", "bert"]}).to_parquet(tmp_path / "a.parquet")
    line = ["purge", "subject", "anna", "--in", str(tmp_path)]
    refused = CliRunner().invoke(app, line, input="n\n")
    assert refused.exit_code
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == 2
    done = CliRunner().invoke(app, [*line, "--yes", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 1
    (tmp_path / "anna.log").write_text("x")
    again = CliRunner().invoke(app, [*line, "--yes"])
    assert again.exit_code == 1
    assert "remains:" in again.stdout
