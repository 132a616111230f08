"""The page: what a busy reader sees first, and what must never be shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dolorimeter as dl
from dolorimeter.audits import Finding
from dolorimeter.errors import ConfigError, EvaluationError, UnknownNameError
from dolorimeter.evaluation import Question, Run
from dolorimeter.reports import compare, compare_all, markdown_table, report, table_rows

HOSTILE = '<script>alert("x")</script>|`*'


def made_run(
    *,
    subjects: tuple[str, ...] = ("anna", "bert", "cleo", "dora", HOSTILE),
    right: float = 0.8,
    kind: str = "classifier",
    seed: int = 0,
    **changes: Any,
) -> Run:
    """A run that nobody computed: `right` of each subject's ten windows are right."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold, subject in enumerate(subjects):
        for i in range(10):
            label = i % 2
            p = 0.7 if rng.uniform() < right else 0.3
            row = {
                "subject": subject, "recording": f"{subject}-1", "stimulus": f"{subject}#{i}",
                "window_start": 10.0 * i, "duration": 5.5, "modalities_present": "eda",
                "fold": fold, "seed": 0, "target_access": "none", "selection": "fixed",
                "row": 10 * fold + i,
            }  # fmt: skip
            if kind == "classifier":
                row |= {"label": label, "p_0": p if label == 0 else 1 - p}
                row["p_1"] = 1 - row["p_0"]
            else:
                row |= {"target": 10.0 * i, "prediction": 10.0 * i + rng.normal(scale=20)}
            rows.append(row)
    predictions = pd.DataFrame(rows)
    baseline = predictions.assign(model="nuisance", **(
        {"p_0": 0.6, "p_1": 0.4} if kind == "classifier" else {"prediction": 45.0}
    ))  # fmt: skip
    values: dict[str, Any] = {
        "question": Question(
            "biovid", "A", "all", {"duration": 5.5},
            {"kind": kind, "classes": [["BL1"], ["PA4"]], "names": ["BL1", "PA4"]}
            if kind == "classifier" else {"kind": kind, "target": "pain"},
            {"name": "leave_one_subject_out", "arguments": {}}, "fixed", "window",
        ),
        "model": "logistic_regression",
        "salt": "of the tests",
        "predictions": predictions,
        "access": pd.DataFrame(columns=["fold", "stage", "method", "row"]),
        "baselines": baseline,
        "failures": pd.DataFrame(columns=["fold", "seed", "subjects", "error", "traceback"]),
        "exclusions": pd.DataFrame(
            [("anna", "anna-1", "window", "eda is flat"), ("zoe", "zoe-1", "recording", HOSTILE)],
            columns=["subject", "recording", "what", "reason"],
        ),
        "classes": ("BL1", "PA4") if kind == "classifier" else (),
        "target_kind": kind,
        "label_source": "stimulus",
        "notes": ("subject anna has a flat eda", "the unit of eda is not confirmed"),
        "environment": {"python": "3.11"},
    }  # fmt: skip
    return Run(**(values | changes))


def written(tmp_path: Path, *runs: Run, **options: Any) -> tuple[str, str, dict[str, Any]]:
    paths = report(list(runs), tmp_path / "report.html", **options).paths
    assert paths
    texts = [p.read_text(encoding="utf-8") for p in (paths.html, paths.markdown, paths.json)]
    return texts[0], texts[1], json.loads(texts[2])


class Elements(HTMLParser):
    """Names of all elements, and attributes that could ask for something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action")]


def test_the_page_stands_alone_and_runs_nothing(tmp_path: Path) -> None:
    html, _, _ = written(tmp_path, made_run(), reveal_subjects=True)
    assert "anna" in html
    page = Elements()
    page.feed(html)
    assert not page.names & {"script", "link", "iframe", "img", "object", "form", "base"}
    assert all(link.startswith(("#", "data:image/png")) for link in page.links)
    assert "http://" not in html
    assert "https://" not in html
    assert len(html) < 1_500_000


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    html, markdown, _ = written(
        tmp_path, made_run(model=HOSTILE, classes=(HOSTILE, "PA4")), reveal_subjects=True
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<script" not in markdown


Texts = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    return written(tmp_path_factory.mktemp("plain"), made_run())


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, plain_page: Texts) -> None:
    assert written(tmp_path, made_run()) == plain_page


def test_subjects_have_other_names_unless_asked(plain_page: Texts) -> None:
    for text in (*plain_page[:2], json.dumps(plain_page[2])):
        assert not re.search(r"\b(anna|bert|cleo|dora|zoe)\b", text)
        assert "S01" in text


def test_the_verdict_says_figure_interval_people_chance_and_baseline(tmp_path: Path) -> None:
    few, _, _ = written(tmp_path, made_run(right=1.0))
    assert (
        "Balanced accuracy 100.0 % (95 % interval over 5 people: 47.8–100.0 % (unreliable); "
        "chance 50.0 %)" in few
    )
    # of a subject with one class there is no score, and no share in the interval
    run = made_run(right=1.0)
    one_class = (run.predictions["subject"] == "anna") & (run.predictions["label"] == 1)
    html, _, _ = written(tmp_path, replace(run, predictions=run.predictions[~one_class]))
    assert "(95 % interval over 4 of 5 people: " in html
    # of five people a sign-flip test cannot give a p below 2/2⁵
    assert "Not distinguishable from chance" in few
    many = tuple(f"p{i:02d}" for i in range(22))
    html, markdown, _ = written(tmp_path, made_run(right=0.9, subjects=many))
    assert "Better than chance" in html
    assert "From facts that are not signal" in html
    assert "they are not the pain that was felt" in html
    assert "Research software, not a medical device" in html
    assert "Better than chance" in markdown


def test_an_encoder_without_weights_stands_beside_the_figure(tmp_path: Path) -> None:
    note = "tnt_s_patch16_224 is randomly initialised (seed 0): no weights were given"
    html, markdown, _ = written(tmp_path, made_run(right=1.0, notes=(note, "another note")))
    for page in (html, markdown):
        text = page.replace("\\_", "_")  # Markdown escapes it
        assert text.index(f"Encoder: {note}.") < text.index("another note")


def test_a_fault_comes_first_and_takes_the_praise_away(tmp_path: Path) -> None:
    fault = Finding(
        "near_duplicates", "fault", "recomputed", "anna-1 / bert-1", "the same windows"
    )
    said = Finding("pretraining_overlap", "declared", "declared", "", "declared, not verified: x")
    html, _, plain = written(tmp_path, made_run(right=1.0), findings=[[fault, said]])
    assert "Do not use this figure: nearly the same window" in html
    assert "Better than chance" not in html
    assert "anna" not in html
    assert "not verified" in html
    assert plain["runs"][0]["findings"][0]["severity"] == "fault"


def test_no_audit_is_said(plain_page: Texts) -> None:
    assert "leakage has not been looked for" in plain_page[0]


def test_a_few_people_do_not_stand_beside_the_whole_data_set(plain_page: Texts) -> None:
    assert "No published figure shares" in plain_page[0]


def test_chance_is_called_chance(tmp_path: Path) -> None:
    assert "Not distinguishable from chance" in written(tmp_path, made_run(right=0.5, seed=3))[0]


def test_look_alikes_are_loud_and_not_compared_with_people(tmp_path: Path) -> None:
    html, markdown, plain = written(tmp_path, made_run(lookalike=True, modalities=("eda",)))
    assert html.count("LOOK-ALIKE DATA") > 4
    assert "published figures are of real people" in html
    assert "Published figures that share" not in html
    assert "LOOK-ALIKE DATA" in markdown
    assert "LOOK-ALIKE" in plain["watermark"]


def test_runs_of_other_questions_stand_apart_with_the_reason(tmp_path: Path) -> None:
    other = made_run(question=replace(made_run().question, selection="oracle_fold_epoch"))
    html, _, _ = written(tmp_path, made_run(), other)
    assert (
        "Another question (differs in selection (fixed / oracle_fold_epoch)): not comparable"
        in html
    )
    assert "Do not use this figure: it was chosen on the labels" in html


@pytest.mark.long
def test_published_rows_that_share_the_question_stand_beside_it(tmp_path: Path) -> None:
    people = tuple(f"p{i:02d}" for i in range(87))
    html, _, _ = written(tmp_path, made_run(subjects=people, modalities=("eda",)))
    beside = html[html.index("Published figures that share") :]
    assert "CNN (Thiam et al.)" in beside[: beside.index("published figures of other questions")]


def test_exclusions_and_failures_are_counted(tmp_path: Path) -> None:
    failed = pd.DataFrame(
        [(9, 0, "bert", "ValueError: no", "")],
        columns=["fold", "seed", "subjects", "error", "traceback"],
    )
    html, _, plain = written(tmp_path, made_run(failures=failed))
    assert "2 things kept out" in html
    assert "1 folds failed: these people are not in the figures" in html
    other_seed = pd.concat([failed, failed.assign(fold=0, seed=1)])
    html, _, _ = written(tmp_path, made_run(failures=other_seed))
    assert "2 folds failed: the people of 1 are in no figure, those of the others by" in html
    assert "bert" not in html
    assert len(plain["runs"][0]["exclusions"]) == 2


def test_the_checklist_leaves_blank_what_a_machine_cannot_know(plain_page: Texts) -> None:
    html = plain_page[0]
    assert html.count("— to be filled by the authors —") > 30
    assert re.search(r"1\d of 5\d items filled by machine", html)


def test_a_regression_has_its_own_page(tmp_path: Path) -> None:
    html, _, plain = written(tmp_path, made_run(kind="regressor"))
    assert "Concordance (Lin)" in html
    assert "constant guess, which agrees with 0" in html
    assert plain["runs"][0]["numbers"]["main"]["metric"] == "concordance"


def test_a_report_needs_runs_and_findings_one_to_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one run"):
        report([], tmp_path)
    with pytest.raises(ConfigError, match="2 lists of findings for 1 runs"):
        report([made_run()], tmp_path, findings=[[], []])
    paths = report(made_run(), tmp_path / "folder").paths
    assert paths
    assert paths.html.name == "report.html"


def test_a_report_without_a_folder_is_text_and_a_notebook_shows_it(tmp_path: Path) -> None:
    made = report(made_run())
    assert made.paths is None
    assert made.html.startswith("<!DOCTYPE html>")
    assert json.loads(made.json)["format"] == 1
    shown = made._repr_html_()
    assert shown.startswith('<iframe srcdoc="')
    assert str(made) == made.markdown  # print(report) shows text
    assert repr(made) == "Report(not saved; 1 runs)"
    assert made.html not in shown  # escaped, so that quotes in the page do not end the attribute
    assert made.save(tmp_path / "r.html").html.read_text(encoding="utf-8") == made.html


def test_findings_of_a_single_run_need_no_outer_list() -> None:
    findings = [Finding("near_duplicates", "warning", "recomputed", "P1", "two windows are equal")]
    run = made_run()
    assert report(run, findings=findings).html == report([run], findings=[findings]).html


def test_the_old_name_still_writes_and_gives_a_notice(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="now dolorimeter.report"):
        paths = dl.write_report([made_run()], tmp_path / "r.html")
    assert paths.html.is_file()


def test_tables_for_the_terminal() -> None:
    rows = table_rows([made_run(), made_run(kind="regressor")])
    assert rows[0]["metric"] == "balanced accuracy"
    assert rows[0]["chance"] == "50.0 %"
    assert rows[1]["metric"] == "concordance (Lin)"
    table = markdown_table([made_run(lookalike=True)])
    assert "logistic\\_regression" in table
    assert "Look-alike data" in table


def test_comparing_pairs_people_and_says_what_could_have_been_seen() -> None:
    people = tuple(f"p{i}" for i in range(12))
    good = made_run(subjects=people, right=0.9, model="good")
    poor = made_run(subjects=people[2:], right=0.55, seed=1, model="poor")
    found = compare(good, poor)
    assert (found.paired.subjects, found.only_first, found.only_second) == (10, 2, 0)
    assert found.first_mean - found.second_mean == pytest.approx(found.paired.difference)
    assert found.paired.difference > 0
    assert found.to_dict()["smallest_detectable"] > 0
    assert compare(good, poor, metric="auroc").metric == "auroc"
    with pytest.raises(
        UnknownNameError, match="unknown metric 'f2'; these runs have: balanced_acc"
    ):
        compare(good, poor, metric="f2")


def test_other_questions_are_refused_with_the_fields_that_differ() -> None:
    first = made_run()
    second = made_run(question=replace(first.question, windows={"duration": 4.0}, part="B"))
    with pytest.raises(EvaluationError, match=r"part \(A / B\), windows.duration \(5.5 / 4.0\)"):
        compare(first, second)
    assert "different questions" in compare(first, second, across_protocols=True).notes[0]


def test_too_few_shared_people_are_refused() -> None:
    with pytest.raises(EvaluationError, match="share 0 people"):
        compare(made_run(subjects=("a", "b")), made_run(subjects=("c", "d")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.assign(label=1 - p["label"]), "10 of 10 labels differ"),
        (lambda p: p[p["window_start"] < 50], "10 and 5 windows"),
        (lambda p: p.assign(window_start=p["window_start"] + 1), "other windows"),
    ],
)
def test_runs_of_other_labels_or_windows_are_not_compared(change: Any, message: str) -> None:
    """The question's hash is the same: it does not hold labels and windows."""
    one = made_run()
    other = replace(one, predictions=change(one.predictions).reset_index(drop=True))
    assert one.question.hash == other.question.hash
    with pytest.raises(EvaluationError, match=rf"same labels and windows.*{message}"):
        compare(one, other)
    found = compare(one, other, across_protocols=True)
    assert message in " ".join(found.notes)


def test_the_order_of_rows_does_not_part_two_runs() -> None:
    one = made_run()
    shuffled = one.predictions.sample(frac=1.0, random_state=0).reset_index(drop=True)
    assert compare(one, replace(one, predictions=shuffled)).paired.difference == 0


def test_tables_say_who_is_not_in_the_figure(tmp_path: Path) -> None:
    """Failed folds, exclusions and subjects without a score are columns of the table of runs."""
    failures = pd.DataFrame(
        [(7, 0, "zoe", "ValueError: x", "")],
        columns=["fold", "seed", "subjects", "error", "traceback"],
    )
    run = made_run(failures=failures)
    predictions = run.predictions
    predictions.loc[predictions["subject"] == "anna", "label"] = 1
    lines = markdown_table([run]).splitlines()
    head = next(line for line in lines if line.startswith("| Run"))
    row = next(line for line in lines if line.startswith("| A "))
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert [cells[k] for k in ("People", "Without score", "Failed folds", "Kept out")] == [
        "5", "1", "1", "2",
    ]  # fmt: skip
    assert table_rows([run])[0]["failed folds"] == "1"
    assert "95 % interval over 4 of 5 people" in written(tmp_path, run)[1]  # anna has no score


def test_many_comparisons_are_adjusted_together() -> None:
    people = tuple(f"p{i}" for i in range(12))
    runs = [made_run(subjects=people, right=r, seed=i) for i, r in enumerate((0.9, 0.7, 0.5))]
    found = compare_all(runs)
    assert len(found) == 3
    assert all(c.holm_p >= c.paired.p for c in found)


def test_subjects_who_share_the_lowest_score_are_counted() -> None:
    """Naming one of several subjects would single somebody out by the order of names."""
    page = report(made_run(right=1.0)).markdown
    assert "Lowest score: 100.0 %, of 5 people." in page
    assert "Lowest person" not in page
