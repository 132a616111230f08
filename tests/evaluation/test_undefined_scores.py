"""What is not defined is not a number: subjects with one class, and what is said of chance."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC
from typer.testing import CliRunner

from dolorimeter import metrics
from dolorimeter.cli import app
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Run, evaluate, paired_gain, select_oracle, summarise
from dolorimeter.reports import report, statements, table_rows
from dolorimeter.samples import Samples


def study(
    classes: list[tuple[int, ...]], windows: int = 8, effect: float = 0.0, seed: int = 0
) -> tuple[Samples, np.ndarray]:
    """Subjects with these classes, in turn over their windows."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.resize(own, windows) for own in classes])
    x = rng.normal(size=(len(y), 2)) + effect * y[:, None]
    subject = np.repeat([f"s{i:02d}" for i in range(len(classes))], windows)
    return Samples.from_arrays(x, subject=subject), y


PATIENTS = [(0,)] * 45 + [(1,)] * 15
"""One class per subject, as patients and controls, or treatments."""


def run_of(classes: list[tuple[int, ...]], model: object = None, **options: float) -> Run:
    samples, y = study(classes, **options)  # type: ignore[arg-type]
    return evaluate(model or DummyClassifier(strategy="prior"), samples, y)


@pytest.mark.long
def test_a_majority_model_is_not_better_than_chance() -> None:
    """Its recall of the class that a subject has was 75.0 % (63.3–85.0 %), above 50 %."""
    run = run_of(PATIENTS)
    found = run.summary().by_subject["balanced_accuracy"]
    assert found.mean == 0.5
    assert (found.subjects, found.undefined) == (0, 60)
    assert "60 of 60 subjects have no balanced accuracy" in found.pooled
    assert found.reasons == {
        "the subject has one class only (0)": 45,
        "the subject has one class only (1)": 15,
    }
    said = " ".join(statements(run))
    assert "Not distinguishable from chance" in said
    assert "60 of 60 subjects have no balanced accuracy" in said
    rows = run.scores().query("metric == 'balanced_accuracy'")
    assert rows["value"].isna().all()
    assert rows["reason"].str.startswith("the subject has one class only").all()


@pytest.mark.long
def test_some_subjects_without_a_class_are_left_out_and_counted() -> None:
    run = run_of([(0, 1)] * 16 + [(0,)] * 8)
    s = run.summary()
    found = s.by_subject["balanced_accuracy"]
    assert (found.mean, found.subjects, found.undefined, found.pooled) == (0.5, 16, 8, "")
    assert s.gains["majority"].difference == 0
    assert "Better than chance" not in " ".join(statements(run))
    html = report(run).html
    assert "not defined for 8 people" in html
    assert "8 × the subject has one class only (0)" in html


@pytest.mark.long
def test_a_model_that_knows_is_better_than_chance_where_subjects_have_one_class() -> None:
    run = run_of([(0,)] * 15 + [(1,)] * 15, LogisticRegression(), effect=2.0)
    found = run.summary().by_subject["balanced_accuracy"]
    pooled = metrics.balanced_accuracy(run.predictions["label"].to_numpy(), run.probabilities)
    assert found.mean == pytest.approx(pooled, rel=1e-12)
    assert found.low > 0.5
    assert "Better than chance" in statements(run)[0]
    assert "pooled over windows" in statements(run)[0]


@pytest.mark.long
def test_noise_is_not_better_than_a_majority_that_leaving_one_out_turns_round() -> None:
    """Of equal classes the majority of the others is always the other class: it scores 0."""
    run = run_of([(0,)] * 15 + [(1,)] * 15, LogisticRegression(), seed=4)
    s = run.summary()
    assert s.baselines["majority"].mean < 0.01
    assert s.gains["majority"].p < 0.05
    assert "Not shown to be better than chance" in statements(run)[0]


@pytest.mark.long
def test_better_than_chance_is_a_comparison_with_the_majority_by_subject() -> None:
    samples, y = study([(0, 1)] * 24, effect=1.0)
    run = evaluate(LogisticRegression(), samples, y)
    gain = run.summary().gains["majority"]
    each = run.summary().scores["balanced_accuracy"]
    assert gain.difference == pytest.approx(np.mean(list(each.values())) - 0.5, rel=1e-12)
    again = paired_gain(
        run.predictions, run.baselines.query("model == 'majority'"), "balanced_accuracy",
        "classifier",
    )  # fmt: skip
    assert again == gain
    assert f"{100 * gain.difference:+.1f} points person by person" in statements(run)[0]
    loss = paired_gain(run.predictions, run.predictions, "log_loss", "classifier")
    assert loss is not None
    assert loss.difference == 0


@pytest.mark.long
def test_calibration_error_is_not_averaged_over_the_few_windows_of_subjects() -> None:
    """A calibrated model over 16 windows has one of 0.23 in the mean."""
    rng = np.random.default_rng(0)
    p = rng.random(60 * 16)
    label = (rng.random(len(p)) < p).astype(int)
    each = [
        metrics.expected_calibration_error(label[i : i + 16], np.c_[1 - p, p][i : i + 16])
        for i in range(0, len(p), 16)
    ]
    assert np.mean(each) > 0.15
    samples = Samples.from_arrays(p[:, None], subject=np.repeat(np.arange(60).astype(str), 16))
    run = evaluate(LogisticRegression(), samples, label)
    found = run.summary()
    score = found.by_subject["expected_calibration_error"]
    assert math.isnan(score.mean)
    assert "biased upwards" in next(iter(score.reasons))
    assert found.pooled["expected_calibration_error"] < 0.1
    rows = run.scores().query("metric == 'expected_calibration_error'")
    assert rows["reason"].str.startswith("pooled only").all()


@pytest.mark.long
def test_the_main_metric_may_be_one_that_is_pooled_only() -> None:
    samples, y = study([(0, 1)] * 24, effect=1.0)
    run = evaluate(LogisticRegression(), samples, y, scoring="expected_calibration_error")
    found = run.summary().by_subject["expected_calibration_error"]
    assert found.low <= found.mean <= found.high
    assert "pooled only" in found.pooled


def test_unreliable_intervals_are_marked_in_every_output() -> None:
    run = run_of([(0, 1)] * 5, LogisticRegression(), effect=1.0)
    reason = run.summary().by_subject["balanced_accuracy"].unreliable
    assert reason.startswith("5 subjects are too few")
    made = report(run)
    assert "(unreliable)" in made.markdown
    assert "(unreliable)" in made.html
    assert f'"unreliable": "{reason}"' in made.json
    assert table_rows([run])[0]["95 % interval"].endswith("(unreliable)")
    assert "unreliable" in run._repr_html_()


def test_select_oracle_names_what_it_cannot_rank() -> None:
    samples, y = study([(0, 1)] * 6)
    regression = evaluate(Ridge(), samples, y + 0.1 * np.arange(len(y)), target_kind="regressor")
    with pytest.raises(EvaluationError, match="runs of a regressor have no accuracy"):
        select_oracle([regression, regression], "oracle_hyper")
    one, other = (evaluate(LogisticRegression(), samples, labels) for labels in (y, 1 - y))
    few = evaluate(LogisticRegression(), samples.take(np.arange(16)), y[:16])
    assert len(select_oracle([one, other], "oracle_seed").predictions) == len(y)
    with pytest.raises(EvaluationError, match="same subjects, windows and labels"):
        select_oracle([one, few], "oracle_seed")


def test_decisions_that_are_not_the_most_probable_class_are_counted() -> None:
    samples, y = study([(0, 1)] * 6, windows=10, effect=0.1, seed=3)
    run = evaluate(SVC(probability=True), samples, y)
    note = next(n for n in run.notes if "another class than the most probable one" in n)
    model = SVC(probability=True, random_state=0)
    count = int(note.split(" × ")[0])
    assert 0 < count <= len(y)
    assert not any("most probable" in n for n in evaluate(LogisticRegression(), samples, y).notes)
    with pytest.raises(EvaluationError, match="TemperatureCalibrated"):
        evaluate(model.set_params(probability=False), samples, y)


def test_the_command_line_says_what_the_report_says(tmp_path: object) -> None:
    folder = tmp_path
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            {"subject": f"s{i:02d}", "label": "ab"[k % 2], "f": rng.normal() + k % 2}
            for i in range(4)
            for k in range(8)
        ]
    )
    table.to_csv(folder / "table.csv", index=False)  # type: ignore[operator]
    (folder / "e.toml").write_text(  # type: ignore[operator]
        'title = "t"\n[dataset]\nname = "feature_table"\n[task]\nclasses = [["a"], ["b"]]\n'
        '[classifier]\nname = "logistic_regression"\n[split]\nname = "leave_one_subject_out"\n'
    )
    arguments = [
        "evaluate", f"{folder}/e.toml", "--root", f"{folder}/table.csv", "--out", f"{folder}/run",
        "--no-cache",
    ]  # fmt: skip
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    flat = re.sub(r"\s+", " ", said.output)
    run = Run.load(f"{folder}/run")
    for sentence in statements(run)[:1]:
        assert sentence in flat
    assert "The interval is unreliable: 4 subjects are too few" in flat
    assert summarise(run).gains["majority"].subjects == 4
