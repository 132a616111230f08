"""An evaluation that is killed goes on with the same call, to the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from dolorimeter.audits import audit
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Run, evaluate
from dolorimeter.samples import Samples
from dolorimeter.splits import leave_one_subject_out

Cohort = Callable[..., tuple[Samples, np.ndarray]]


class Killed(RandomForestClassifier):
    """Stops everything when the marker lies there and one person is not in training."""

    def __init__(self, marker: str = "", n_estimators: int = 5, random_state: int = 0) -> None:
        super().__init__(n_estimators=n_estimators, random_state=random_state)
        self.marker = marker

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Killed:
        if "p03" not in groups and Path(self.marker).is_file():
            Path(self.marker).unlink()
            raise KeyboardInterrupt
        super().fit(X, y)
        return self


def saved(run: Run, folder: Path) -> dict[str, bytes]:
    run.save(folder)
    return {
        p.name: p.read_bytes()
        for p in sorted(folder.iterdir())
        if p.is_file() and p.suffix in (".parquet", ".json")
    }


def test_a_killed_run_goes_on_and_gives_the_same_bytes(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort()
    marker = tmp_path / "marker"
    model, split = Killed(str(marker)), leave_one_subject_out()
    whole = saved(evaluate(model, samples, y, split, seed=(0, 1)), tmp_path / "whole")
    marker.touch()
    run_dir = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, samples, y, split, seed=(0, 1), run_dir=run_dir)
    assert len(list((run_dir / "folds").glob("*.predictions.parquet"))) == 3
    with pytest.raises(EvaluationError, match=r"not a finished run, run.json is missing.*goes on"):
        Run.load(run_dir)
    told: list[int] = []
    again = evaluate(
        model,
        samples,
        y,
        split,
        seed=(0, 1),
        run_dir=run_dir,
        progress=lambda d, n: told.append(d),
    )
    assert told == [4, 5, 6, 7, 8, 9, 10]
    assert saved(again, run_dir) == whole
    told.clear()
    third = evaluate(
        model,
        samples,
        y,
        split,
        seed=(0, 1),
        run_dir=run_dir,
        progress=lambda d, n: told.append(d),
    )
    assert told == []
    assert saved(third, tmp_path / "third") == whole


def test_a_failed_fold_is_tried_again(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort()
    marker = tmp_path / "marker"

    class Unlucky(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Unlucky:
            if "p03" not in groups and marker.is_file():
                marker.unlink()
                raise ValueError("once")
            super().fit(X, y)
            return self

    marker.touch()
    first = evaluate(Unlucky(), samples, y, leave_one_subject_out(), run_dir=tmp_path / "r")
    assert first.failures["subjects"].tolist() == ["p03"]
    again = evaluate(Unlucky(), samples, y, leave_one_subject_out(), run_dir=tmp_path / "r")
    assert not len(again.failures)
    assert len(again.predictions) == 40
    (told,) = [f for f in audit(again) if f.check == "failed_folds"]
    assert told.severity == "warning"
    assert told.message.startswith(
        "folds that failed in an earlier call and were fitted again: 1."
    )
    assert told.where == "fold_0003_seed_0"


@pytest.mark.parametrize(
    "what", ["data", "labels", "model", "seed", "facts", "demographics", "baselines"]
)
def test_folds_of_another_experiment_are_refused(
    cohort: Cohort, tmp_path: Path, what: str
) -> None:
    from dataclasses import replace

    samples, y = cohort(subjects=3)
    split = leave_one_subject_out()
    evaluate(LogisticRegression(), samples, y, split, run_dir=tmp_path, baselines=False)
    model = LogisticRegression(C=2.0 if what == "model" else 1.0)
    if what == "data":
        samples = replace(samples, x=samples.x + 1)
    if what == "facts":
        samples = replace(samples, facts=None)
    labels = np.roll(y, 1) if what == "labels" else y
    with pytest.raises(EvaluationError, match="holds folds of another experiment"):
        evaluate(
            model,
            samples,
            labels,
            split,
            run_dir=tmp_path,
            seed=int(what == "seed"),
            demographics=("sex",) if what == "demographics" else (),
            baselines=what == "baselines",
        )


def test_models_that_were_not_kept_are_fitted_again(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort(subjects=3)
    model, split = LogisticRegression(), leave_one_subject_out()
    first = evaluate(model, samples, y, split, run_dir=tmp_path)
    again = evaluate(model, samples, y, split, run_dir=tmp_path, keep_models=True)
    assert len(list((tmp_path / "models").iterdir())) == 3
    assert again.predictions.equals(first.predictions)
    assert again.access.equals(first.access)


def test_a_damaged_fold_is_fitted_again_and_said(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort(subjects=3)
    model, split = LogisticRegression(), leave_one_subject_out()
    first = evaluate(model, samples, y, split, run_dir=tmp_path, baselines=False)
    (tmp_path / "folds" / "fold_0001_seed_0.predictions.parquet").write_bytes(b"PAR1")
    fitted: list[int] = []
    again = evaluate(
        model,
        samples,
        y,
        split,
        run_dir=tmp_path,
        baselines=False,
        progress=lambda d, n: fitted.append(d),
    )
    assert fitted == [3]
    assert again.predictions.equals(first.predictions)
    assert "the stored fold_0001_seed_0 was damaged and has been fitted again" in again.notes
