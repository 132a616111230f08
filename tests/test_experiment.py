"""Experiments: every fault of a TOML file is named, and a run on disk is a run on disk."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.audits import audit
from dolorimeter.datasets import OfficialSplit
from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    EvaluationError,
    OverlapError,
    UnknownNameError,
)
from dolorimeter.evaluation import Run
from dolorimeter.experiment import (
    audit_run,
    experiment_from,
    of_epochs,
    predict,
    prepare,
    read_experiment,
    read_findings,
    run,
    train,
    write_experiment,
)
from dolorimeter.experiment._prepare import gathered, official_hold_out
from dolorimeter.experiment._thinned import _thinned
from dolorimeter.predictor import Predictor
from dolorimeter.registry import DATASETS, Weights
from dolorimeter.synthesis import synthesise

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
DEEP = re.compile(
    "painformer|dual_stream(?!_baseline)|dual_stream_baseline_mte|full_transformer(?!_end)"
)
"""Experiments whose estimator looks at the class of its network, which needs PyTorch."""

TABLE = {
    "title": "table",
    "dataset": {"name": "feature_table"},
    "task": {"classes": [["low"], ["high"]]},
    "classifier": {"name": "logistic_regression"},
    "split": {"name": "leave_one_subject_out"},
}


def table_file(folder: Path, subjects: int = 5, each: int = 8, seed: int = 0) -> Path:
    """A CSV of two features that tell low from high, and a rating."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(subjects):
        for i in range(each):
            high = i % 2
            a, b = rng.normal(high, 0.7), rng.normal()
            label = ("low", "high")[high]
            rows.append({"subject": f"s{s}", "label": label, "a": a, "b": b})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, id=p.stem, marks=pytest.mark.extra("deep") if DEEP.match(p.stem) else ())
        for p in sorted(EXPERIMENTS.rglob("*.toml"))
        if not p.stem.startswith("pretrain_")
    ],
)
def test_every_experiment_of_the_project_is_sound(path: Path, tmp_path: Path) -> None:
    experiment = read_experiment(path)
    experiment.estimator()
    write_experiment(tmp_path / "again.toml", experiment)
    assert read_experiment(tmp_path / "again.toml") == experiment
    if "epochs" in experiment.classifier.arguments:
        short = read_experiment(path, of_epochs(path, 1)).classifier.arguments
        assert (short["epochs"], short.get("warmup_epochs", 0)) == (1, 0)


def test_fewer_epochs_warm_up_for_as_large_a_share(tmp_path: Path) -> None:
    arguments = {"module": "perceptron", "epochs": 50, "warmup_epochs": 5}
    network = {"classifier": {"name": "network", "arguments": arguments}}
    write_experiment(tmp_path / "e.toml", experiment_from(TABLE | network))
    short = read_experiment(tmp_path / "e.toml", of_epochs(tmp_path / "e.toml", 10))
    assert short.classifier.arguments == arguments | {"epochs": 10, "warmup_epochs": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"dataset": {"name": "biovid", "rot": 1}}, "unknown key 'dataset.rot'"),
        ({"task": {"classes": [["a"], ["b"]], "class": 1}}, "unknown key 'task.class'; did you"),
        ({"split": {"name": "x", "argument": {}}}, "unknown key 'split.argument'; did you mean"),
        ({"task": {"classes": [["a"]]}}, "has 1 classes, expected at least 2"),
        ({"task": {"classes": [["a"], ["a"]]}}, "a condition stands in two classes"),
        ({"task": {"classes": [["a"], ["b"]], "names": ["x"]}}, "1 names for 2 classes"),
        ({"task": {"kind": "regressor"}}, "needs target"),
        ({"task": {"kind": "regresor"}}, "'task.kind' is 'regresor'"),
        ({"seeds": "none"}, "'seeds' is 'none'"),
        ({"selection": "best"}, "'selection' is 'best'"),
        ({"streams": [{"modality": "eda"}]}, r"\[windows\] needs duration"),
        (
            {"streams": [{"modality": "eda"}], "windows": {"duration": 1, "lenght": 2}},
            r"\[windows\] has no key 'lenght'",
        ),
        (
            {"streams": [{"modality": "eda"}], "windows": {"duration": "5.5"}},
            r"\[windows\]: duration is '5\.5', expected a finite number",
        ),
        (
            {"streams": [{"modality": "eda"}, {"modality": "eda"}], "windows": {"duration": 1}},
            "give each stream its own name",
        ),
        (
            {
                "windows": {"duration": 1},
                "streams": [{"modality": "eda", "preprocessing": [{"name": "lowpass", "cot": 1}]}],
            },
            "'lowpass' has no argument 'cot'",
        ),
        (
            {"split": {"name": "k_fold"}},
            r"\[split\] name is 'k_fold'; did you mean 'group_k_fold'",
        ),
        (
            {"split": {"name": "group_k_fold", "arguments": {"n": 3}}},
            r"\[split\] group_k_fold takes no argument 'n'; did you mean 'n_splits'",
        ),
        (  # before an hour of video is looked at
            {"classifier": {"name": "network", "arguments": {"epochs": 5, "warmup_epochs": 5}}},
            "warmup_epochs is 5 of 5 epochs",
        ),
        (
            {"classifier": {"name": "network", "arguments": {"augment": ["mixup"]}}},
            "unknown augmentation 'mixup'",
        ),
    ],
)
def test_faults_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment_from(TABLE | change)


@pytest.mark.parametrize("table", ["dataset", "classifier"])
def test_unknown_names_suggest_the_nearest(table: str) -> None:
    wrong = {"dataset": {"name": "biovit"}, "classifier": {"name": "logistic_regresion"}}
    with pytest.raises(UnknownNameError, match="did you mean"):
        experiment_from(TABLE | {table: wrong[table]})


def test_a_missing_key_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'split' is missing"):
        experiment_from({k: v for k, v in TABLE.items() if k != "split"})
    with pytest.raises(ConfigError, match="no such file"):
        read_experiment(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("title = ")
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_experiment(tmp_path / "bad.toml")


def test_overrides_replace_what_stands_in_the_file(tmp_path: Path) -> None:
    write_experiment(tmp_path / "e.toml", experiment_from(TABLE))
    changed = read_experiment(tmp_path / "e.toml", {"classifier.arguments.C": 0.5, "title": "new"})
    assert changed.classifier.arguments == {"C": 0.5}
    assert changed.title == "new"


@pytest.mark.extra("deep")
@pytest.mark.parametrize(
    ("name", "place"),
    [("painformer_biovid_eda", ()), ("painformer_biovid_fusion_1", ("network",))],
)
def test_epochs_are_set_where_the_network_has_them(name: str, place: tuple[str, ...]) -> None:
    path = EXPERIMENTS / f"{name}.toml"
    overrides = of_epochs(path, 20), {}
    found, file = (read_experiment(path, more).classifier.arguments for more in overrides)
    for inner in place:
        assert "epochs" not in found
        found, file = found[inner], file[inner]
    assert file["warmup_epochs"] == 5
    assert found == file | {"epochs": 20, "warmup_epochs": 2}


def test_a_run_is_written_read_and_audited(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    experiment = experiment_from(TABLE)
    found = run(experiment, root, tmp_path / "run")
    again = Run.load(tmp_path / "run")
    pd.testing.assert_frame_equal(found.predictions, again.predictions)
    assert read_experiment(tmp_path / "run" / "experiment.toml").title == "table"
    assert not [f for f in read_findings(tmp_path / "run") if f.severity == "fault"]
    findings, meter = audit_run(tmp_path / "run", root)
    assert meter is None
    assert not [f for f in findings if f.severity == "fault"]


def test_the_same_call_again_finds_the_run_finished(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    first = run(experiment_from(TABLE), root, tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").glob("*.*")}
    again = run(experiment_from(TABLE), root, tmp_path / "run")
    assert again.fingerprint == first.fingerprint
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").glob("*.*")} == before
    table_file(tmp_path / "data", seed=1)
    with pytest.raises(EvaluationError, match="holds folds of another experiment"):
        run(experiment_from(TABLE), root, tmp_path / "run")


@pytest.mark.long
def test_permutations_stay_where_none_are_asked_for(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    first = run(experiment_from(TABLE), root, tmp_path / "run", permutations=2)
    again = run(experiment_from(TABLE), root, tmp_path / "run")
    assert again.permutation == first.permutation is not None


@pytest.mark.long
def test_the_p_of_several_seeds_is_of_the_figure_that_is_reported(tmp_path: Path) -> None:
    """A forest differs per seed: `observed` was the score of the first seed alone."""
    root = table_file(tmp_path / "data").parent
    forest = {"name": "random_forest", "arguments": {"n_estimators": 5}}
    values = TABLE | {"classifier": forest, "seeds": [1, 2, 3]}
    found = run(experiment_from(values), root, permutations=1)
    scores = found.scores().query("metric == 'balanced_accuracy'")
    per_seed = scores.groupby("seed")["value"].mean()
    assert len(set(per_seed)) > 1
    assert found.permutation is not None
    assert found.permutation.observed == pytest.approx(per_seed.mean(), abs=1e-12)
    assert found.permutation.observed == pytest.approx(
        found.summary().by_subject["balanced_accuracy"].mean, abs=1e-12
    )


def test_an_audit_refuses_data_that_are_not_those_of_the_run(tmp_path: Path) -> None:
    """Row numbers mean nothing in other data: every check would look at the wrong rows."""
    run(experiment_from(TABLE), table_file(tmp_path / "data").parent, tmp_path / "run")
    other = table_file(tmp_path / "other", subjects=6, each=4).parent
    with pytest.raises(DatasetError, match="data at hand are not those of the run"):
        audit_run(tmp_path / "run", other)


def test_running_standardisation_of_a_table_without_times_is_refused(tmp_path: Path) -> None:
    """Its rows may be sorted by condition: in their order every low would come before a high."""
    root = table_file(tmp_path / "data").parent
    with pytest.raises(ConfigError, match="'running' needs to know in what order"):
        prepare(experiment_from(TABLE | {"standardise": "running"}), root)


@pytest.mark.long
def test_one_data_set_trains_and_another_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "biovid", tmp_path / "ai4pain"
    synthesise("biovid", one, subjects=2, per_condition=3, conditions=("BL1", "PA4"), seed=0)
    synthesise("ai4pain_2025", other, subjects=2, seed=0)
    names = {"train": "biovid", "test": "ai4pain_2025"}
    told = TABLE | {
        "dataset": {"name": "biovid"},
        "test_dataset": {"name": "ai4pain_2025"},
        "task": {"classes": [["BL1", "no_pain"], ["PA4", "high_pain"]]},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda"}],
        "split": {"name": "cross_dataset", "arguments": names},
    }
    asked = experiment_from(told)
    out = tmp_path / "run"
    found = run(asked, one, out, test_root=other, cache=False)
    assert set(found.predictions["dataset"]) == {"ai4pain_2025"}
    with_data, _ = audit_run(out, one, test_root=other)
    assert not any("no samples were passed" in f.message for f in with_data)
    assert any("no samples were passed" in f.message for f in audit(found))
    assert all(who.startswith("ai4pain_2025:") for who in found.subjects)
    for seen in ({"ai4pain": ()}, {"ai4pain": (found.subjects[0].split(":")[1],)}):
        weights = (Weights("w", None, seen),)
        monkeypatch.setattr("dolorimeter.experiment._run._weights_of", lambda _, w=weights: w)
        with pytest.raises(OverlapError, match=r"subjects under test .* of ai4pain"):
            run(asked, one, test_root=other, cache=False)
    trained = (Weights("w", None, {"biovid": ()}),)  # not under test
    monkeypatch.setattr("dolorimeter.experiment._run._weights_of", lambda _: trained)
    assert len(run(asked, one, test_root=other, cache=False).predictions)
    fewer = told | {"test_dataset": {"name": "ai4pain_2025", "first": 1}}
    assert experiment_from(fewer).question().hash != asked.question().hash
    raw = [{"modality": "eda", "representation": {"name": "raw", "unit": "uS"}}]
    with pytest.raises(ConfigError, match="different shapes per sample"):
        prepare(experiment_from(told | {"streams": raw}), one, test_root=other)


def test_demographics_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    with pytest.raises(
        EvaluationError, match=r"the samples have no column 'sex'; they have: .*participants"
    ):
        run(experiment_from(TABLE | {"demographics": ["sex"]}), root)


def test_the_old_key_groups_is_read_with_a_notice() -> None:
    with pytest.warns(FutureWarning, match="the key groups is now demographics"):
        old = experiment_from(TABLE | {"groups": ["sex"]})
    assert old == experiment_from(TABLE | {"demographics": ["sex"]})


def test_another_question_does_not_overwrite_a_run(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    run(experiment_from(TABLE), root, tmp_path / "run")
    other = TABLE | {"split": {"name": "group_k_fold", "arguments": {"n_splits": 2}}}
    with pytest.raises(ConfigError, match="another experiment"):
        run(experiment_from(other), root, tmp_path / "run")
    path = tmp_path / "run" / "experiment.toml"  # of another version: refused by its folder's name
    path.write_text(path.read_text().replace("leave_one", "left_one"))
    with pytest.raises(ConfigError, match=r"run: holds another experiment"):
        run(experiment_from(TABLE), root, tmp_path / "run")


def test_trained_models_predict_and_refuse_other_features(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    experiment = experiment_from(TABLE)
    predictor = train(experiment, root, tmp_path / "model")
    assert sum(map(len, predictor.trained_on.values())) == 5
    found = predict(tmp_path / "model", [root])
    samples = prepare(experiment, root).samples
    expected = predictor.estimator.predict_proba(samples.x)
    assert np.array_equal(found[["p_low", "p_high"]].to_numpy(), expected)
    assert found.attrs["notes"][0].startswith("5 of 5 people were in the model's training")
    other = pd.read_csv(root / "table.csv").rename(columns={"b": "c"})
    (tmp_path / "other").mkdir()
    other.to_csv(tmp_path / "other" / "table.csv", index=False)
    lacking = predict(tmp_path / "model", [tmp_path / "other"])
    assert set(lacking["missing"]) == {"b"}
    assert lacking.attrs["notes"][:2] == [
        "Columns that the model does not know are ignored: c",
        f"b is missing in {len(lacking)} of {len(lacking)} estimates: they rest on the rest of "
        "the model's input",
    ]
    other.rename(columns={"a": "d"}).to_csv(tmp_path / "other" / "table.csv", index=False)
    with pytest.raises(DatasetError, match=r"none of the model's features \('a', 'b'\)"):
        predict(tmp_path / "model", [tmp_path / "other"])
    with pytest.raises(ConfigError, match=r"no predictor\.json here"):
        Predictor.load(root)
    with pytest.raises(DatasetError, match="no such file or folder"):
        predict(tmp_path / "model", [tmp_path / "nothing"])


def test_a_model_that_standardises_within_people_takes_all_of_a_person_at_once(
    tmp_path: Path,
) -> None:
    """One file at a time has nothing to be standardised by: every answer would be the same."""
    root = tmp_path / "look-alike"
    synthesise("biovid", root, subjects=3, per_condition=4, conditions=("BL1", "PA4"), seed=0)
    asked = experiment_from(
        TABLE
        | {
            "dataset": {"name": "biovid"},
            "task": {"classes": [["BL1"], ["PA4"]]},
            "windows": {"duration": 5.5},
            "streams": [{"modality": "eda"}],
            "standardise": "task_windows",
        }
    )
    train(asked, root, tmp_path / "model")
    whole = predict(tmp_path / "model", [root])
    person = str(whole["subject"].iloc[0])
    files = sorted(root.rglob(f"{person}-*_bio.csv"))
    found = predict(tmp_path / "model", files)
    expected = whole[whole["subject"] == person]
    assert len(found) == len(expected) == 8
    assert sorted(found["p_PA4"]) == pytest.approx(sorted(expected["p_PA4"]))
    with pytest.raises(ConfigError, match=f"standardises within each person .*{person} there are"):
        predict(tmp_path / "model", files[:1])
    files[0].write_text("nothing\n")
    rows = predict(tmp_path / "model", [root])
    assert len(rows) == len(whole) - 1
    assert rows.attrs["kept_out"][0].startswith(files[0].stem.removesuffix("_bio"))


def test_subjects_can_be_chosen_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    chosen = experiment_from(
        TABLE | {"dataset": {"name": "feature_table", "subjects": ["s1", "s3"]}}
    )
    assert sorted(set(prepare(chosen, root).samples.subjects)) == ["s1", "s3"]
    first = experiment_from(TABLE | {"dataset": {"name": "feature_table", "first": 3}})
    assert sorted(set(prepare(first, root).samples.subjects)) == ["s0", "s1", "s2"]
    assert first.question().hash != experiment_from(TABLE).question().hash
    wrong = experiment_from(TABLE | {"dataset": {"name": "feature_table", "subjects": ["s9"]}})
    with pytest.raises(ConfigError, match="subjects s9 are not in feature_table"):
        prepare(wrong, root)


def test_conditions_that_do_not_occur_are_named(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    wrong = experiment_from(TABLE | {"task": {"classes": [["low"], ["hihg"]]}})
    with pytest.raises(
        ConfigError, match=r"condition\(s\) hihg do not occur in the data; of what"
    ):
        prepare(wrong, root)


def test_nothing_is_written_into_a_data_root(tmp_path: Path) -> None:
    root = table_file(tmp_path / "data").parent
    before = sorted(root.rglob("*"))
    for action in (run, train):
        with pytest.raises(ConfigError, match="where nothing is ever written"):
            action(experiment_from(TABLE), root, root / "out")
    assert sorted(root.rglob("*")) == before


def test_a_model_across_data_sets_is_refused(tmp_path: Path) -> None:
    across = TABLE | {"test_dataset": {"name": "feature_table"}}
    with pytest.raises(ConfigError, match=r"take its \[test_dataset\] out"):
        train(experiment_from(across), tmp_path)


# ── official splits, thinning, order of clips ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "modality", "options"),
    [("ai4pain_2025", "eda", {}), ("ai4pain_2024", "fnirs", {"modalities": ["fnirs"]})],
)
def test_the_official_split_runs_on_a_complete_copy(
    tmp_path: Path, name: str, modality: str, options: dict[str, Any]
) -> None:
    synthesise(name, tmp_path / "data", subjects=8, per_condition=2, **options)
    experiment = experiment_from(
        {
            "title": "challenge",
            "dataset": {"name": name},
            "task": {"classes": [["no_pain"], ["high_pain"]]},
            "classifier": {"name": "majority"},
            "split": {"name": "official", "arguments": {"which": "challenge"}},
            "windows": {"duration": 9.0},
            "streams": [{"modality": modality}],
        }
    )
    prepared = prepare(experiment, tmp_path / "data")
    (fold,) = prepared.split.folds(prepared.samples.meta, prepared.y)
    splits = prepared.samples.meta["split"].to_numpy()
    assert set(splits[fold.train]) == {"train"}
    assert set(splits[fold.test]) == {"validation"}
    assert any("test subjects are unlabelled; validation is tested" in n
               for n in prepared.samples.notes)  # fmt: skip
    assert prepared.samples.exclusions == ()  # labels that are withheld are no fault of the data
    assert any("unlabelled (8 in 1 subject)" in note for note in prepared.samples.notes)


def test_an_official_split_leaves_out_who_is_not_there_and_says_so() -> None:
    official = OfficialSplit(("a", "b", "c"), ("d", "e"))
    split, notes = official_hold_out(official, np.array(["a", "b", "d", "d", "x"]))
    assert (split.train_subjects, split.test_subjects) == (("a", "b"), ("d",))
    assert [note.split(" subjects")[0] for note in notes] == [
        "official split: 1 of 3 training",
        "official split: 1 of 2 validation",
    ]
    labelled = OfficialSplit(("a",), ("b",), ("c",))
    split, notes = official_hold_out(labelled, np.array(["a", "b", "c"]))
    assert (split.test_subjects, split.validation_subjects, notes) == (("c",), ("b",), ())
    with pytest.raises(ConfigError, match="0 of 3 training, 1 of 2 validation, 0 of 0 test"):
        official_hold_out(official, np.array(["d", "x"]))


def test_the_hold_out_of_biovid_runs_without_the_low_reactive() -> None:
    from dolorimeter.datasets.biovid import HOLD_OUT_VALIDATION, LOW_REACTIVE

    train = tuple(f"0{i}0199_w_30" for i in range(1, 4))
    official = OfficialSplit((*train, *(s for s in LOW_REACTIVE if s not in HOLD_OUT_VALIDATION)),
                             HOLD_OUT_VALIDATION)  # fmt: skip
    there = [s for s in (*train, *HOLD_OUT_VALIDATION) if s not in LOW_REACTIVE]
    split, notes = official_hold_out(official, np.array(there))
    assert not set(split.test_subjects) & set(LOW_REACTIVE)
    assert split.train_subjects == train
    assert len(notes) == 2


@pytest.mark.parametrize("standardise", ["all_recording", "task_windows"])
def test_thinned_windows_are_standardised_over_the_same_conditions_as_the_others(
    tmp_path: Path, standardise: str
) -> None:
    synthesise("biovid", tmp_path / "data", subjects=2, per_condition=3)
    experiment = experiment_from(
        {
            "title": "thinned",
            "dataset": {"name": "biovid", "options": {"part": "A"}},
            "task": {"classes": [["BL1"], ["PA4"]]},
            "classifier": {"name": "majority"},
            "split": {"name": "leave_one_subject_out"},
            "standardise": standardise,
            "windows": {"duration": 5.5},
            "streams": [{"modality": "eda"}],
        }
    )
    full, _ = gathered(experiment, tmp_path / "data")
    raw, _ = gathered(experiment, tmp_path / "data", standardise=False)
    conditions = {"BL1", "PA1", "PA2", "PA3", "PA4"} if standardise == "all_recording" else {
        "BL1", "PA4"
    }  # fmt: skip
    assert set(raw.meta["condition"]) == set(full.meta["condition"]) == conditions
    thinned, y, rows = _thinned(experiment, tmp_path / "data", None, None, 1)
    assert len(thinned) == len(y) == len(rows)
    labelled, _ = experiment.task.label(raw)
    assert thinned.meta["recording"].tolist() == labelled.meta["recording"].iloc[rows].tolist()
    keep = raw.meta["recording"].isin(thinned.meta["recording"]) | ~raw.meta["condition"].isin(
        ["BL1", "PA4"]
    )
    assert isinstance(raw.x, np.ndarray)
    own = (raw.subjects == raw.subjects[0]) & keep.to_numpy()
    mine = thinned.subjects == raw.subjects[0]
    column = list(raw.feature_names).index("eda_mean")
    values = raw.x[own, column]
    wanted = (values - values.mean()) / values.std()
    tested = raw.meta["condition"][own].isin(["BL1", "PA4"]).to_numpy()
    assert isinstance(thinned.x, np.ndarray)
    np.testing.assert_allclose(thinned.x[mine, column], wanted[tested], rtol=1e-6)


def test_the_counter_of_biovid_is_no_fact_and_no_order(tmp_path: Path) -> None:
    synthesise("biovid", tmp_path / "data", subjects=2, per_condition=2)
    names = [p.name for p in (tmp_path / "data").rglob("*_bio.csv")]
    counters = {c: {int(n[-11:-8]) for n in names if f"-{c}-" in n} for c in ("BL1", "PA4")}
    assert counters["BL1"] == {9, 10}
    assert max(counters["PA4"]) <= 8
    experiment = {
        "title": "order",
        "dataset": {"name": "biovid", "options": {"part": "A"}},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "classifier": {"name": "majority"},
        "split": {"name": "leave_one_subject_out"},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda"}],
    }
    facts = prepare(experiment_from(experiment), tmp_path / "data").samples.facts
    assert facts is not None
    assert "clip_index" not in facts
    with pytest.raises(ConfigError, match="this data set does not say"):
        prepare(experiment_from(experiment | {"standardise": "running"}), tmp_path / "data")


def test_as_live_windows_on_which_a_session_abstains_are_exclusions(tmp_path: Path) -> None:
    """A clip whose only signal is flat: `evaluate --as-live` counts it, and trains without it."""
    root = tmp_path / "data"
    synthesise("biovid", root, subjects=2, per_condition=3, conditions=("BL1", "PA4"), seed=0)
    spoilt = sorted(root.rglob("*_bio.csv"))[0]
    table = pd.read_csv(spoilt, sep="\t")
    table["gsr"] = table["gsr"].iloc[0]
    table.to_csv(spoilt, sep="\t", index=False)
    values = {
        "title": "as live",
        "dataset": {"name": "biovid"},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda"}],
        "classifier": {"name": "logistic_regression"},
        "split": {"name": "leave_one_subject_out"},
    }
    experiment = experiment_from(values)
    usual, live = prepare(experiment, root), prepare(replace(experiment, as_live=True), root)
    assert len(live.samples) == len(usual.samples) - 1
    (lost,) = [e for e in live.samples.exclusions if e.reason.startswith("as live: ")]
    assert lost.reason == "as live: eda: quality 0.00"
    assert any("abstains on 1 of 12" in note for note in live.samples.notes)
    with pytest.raises(ConfigError, match=r"cannot run live.*use 'running'"):
        prepare(experiment_from(values | {"standardise": "task_windows", "as_live": True}), root)
    with pytest.raises(
        ConfigError, match=r"as_live = true needs an experiment with \[\[streams\]\]"
    ):
        prepare(experiment_from(TABLE | {"as_live": True}), tmp_path)
    gated = experiment_from(values | {"as_live": True})
    run(gated, root, tmp_path / "run", cache=False)
    stored = Run.load(tmp_path / "run")
    assert stored.question.windows["as_live"] is True
    assert stored.question.hash != experiment_from(values).question("A").hash
    findings, _ = audit_run(tmp_path / "run", root)  # of the windows on which a session speaks
    assert not [f for f in findings if f.message.startswith("not checked: samples")]


@pytest.mark.parametrize("as_live", [False, True])
def test_evaluate_trains_on_the_windows_that_train_fits(tmp_path: Path, as_live: bool) -> None:
    """Half of the skin conductance has no contact: with and without the gate, one table."""
    root = tmp_path / "data"
    synthesise("biovid", root, subjects=3, per_condition=4, conditions=("BL1", "PA4"), seed=0)
    for spoilt in sorted(root.rglob("*_bio.csv"))[::2]:
        table = pd.read_csv(spoilt, sep="\t")
        table["gsr"] = table["gsr"].iloc[0]
        table.to_csv(spoilt, sep="\t", index=False)
    experiment = experiment_from(
        {
            "title": "as live",
            "dataset": {"name": "biovid"},
            "task": {"classes": [["BL1"], ["PA4"]]},
            "windows": {"duration": 5.5},
            "streams": [{"modality": "eda"}, {"modality": "ecg"}],
            "classifier": {"name": "logistic_regression"},
            "split": {"name": "leave_one_subject_out"},
            "as_live": as_live,
        }
    )
    samples, y = (found := prepare(experiment, root)).samples, found.y
    assert samples.present is not None
    gated = ~samples.present["eda"]
    assert gated.sum() == (12 if as_live else 0)
    predictor = train(experiment, root)
    fitted = experiment.estimator().fit(samples.x, y)
    np.testing.assert_allclose(
        predictor.estimator.predict_proba(samples.x), fitted.predict_proba(samples.x), rtol=1e-9
    )


@pytest.mark.shared
@pytest.mark.long
@pytest.mark.parametrize("standardise", ["none", "running"])
def test_evaluate_as_live_tests_the_windows_that_predict_estimates(
    standardise: str, data_root: Path
) -> None:
    """A recorded wristband: the same windows, the same silence, the same features."""
    root = data_root / "stress_predict"
    values = {
        "title": "as live",
        "dataset": {"name": "stress_predict", "subjects": ["S02", "S03"]},
        "task": {"classes": [["relax1", "relax2"], ["stroop", "interview"]]},
        "windows": {"duration": 10.0, "anchor": "sliding", "inside_stimulus": True},
        "streams": [{"modality": "ppg"}],
        "classifier": {"name": "logistic_regression"},
        "split": {"name": "leave_one_subject_out"},
        "standardise": standardise,
        "as_live": True,
    }
    experiment = experiment_from(values)
    samples = prepare(experiment, root).samples
    predictor = train(experiment, root)
    rows = predictor.predict(DATASETS.get("stress_predict")(root).recordings(("S02", "S03")))
    said = dict(
        zip(rows["recording"] + rows["start"].map(" {:g}".format), rows["abstained"], strict=True)
    )
    place = ["subject", "recording", "start"]
    rows = rows.merge(samples.meta[[*place]].assign(row=range(len(samples))), on=place)
    assert len(rows) == len(samples) > 40
    assert (rows["abstained"] == "").all()
    x = np.asarray(samples.x)[rows["row"].to_numpy()]
    np.testing.assert_allclose(
        rows["p_stroop/interview"], predictor.estimator.predict_proba(x)[:, 1], rtol=1e-9
    )
    silent = [e for e in samples.exclusions if e.reason.startswith("as live: ")]
    assert silent
    for lost in silent:
        key = f"{lost.recording} {lost.what.removeprefix('window at ').removesuffix(' s')}"
        assert lost.reason == f"as live: {said[key]}"


@pytest.mark.shared
@pytest.mark.long
def test_thinned_windows_keep_the_running_baseline_of_their_recording(data_root: Path) -> None:
    root = data_root / "stress_predict"
    experiment = experiment_from(
        {
            "title": "thinned",
            "dataset": {"name": "stress_predict", "subjects": ["S02"]},
            "task": {"classes": [["relax1", "relax2"], ["stroop", "interview"]]},
            "windows": {"duration": 30.0, "anchor": "sliding", "inside_stimulus": True},
            "streams": [{"modality": "eda"}],
            "classifier": {"name": "majority"},
            "split": {"name": "leave_one_subject_out"},
            "standardise": "running",
        }
    )
    full = prepare(experiment, root).samples
    thinned, y, rows = _thinned(experiment, root, None, None, 1)
    assert 0 < len(y) < len(full)
    np.testing.assert_array_equal(np.asarray(thinned.x), np.asarray(full.x)[rows])
