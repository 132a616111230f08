"""Labels as numbers, and who is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.pretraining._config import TaskConfig
from dolorimeter.pretraining._tasks import Rows, list_rows, split


def table(
    folder: Path, content: Mapping[str, Sequence[Any]], name: str = "t", **more: Any
) -> Rows:
    """Rows of a task whose reader is a table with these columns."""
    rows = len(next(iter(content.values())))
    path = folder / f"{name}.csv"
    pd.DataFrame({"path": ["x.png"] * rows, **content}).to_csv(path, index=False)
    options = {"table": str(path)} | ({"identity": "who"} if "who" in content else {})
    return list_rows(TaskConfig(name=name, reader="table", options=options, **more))


def test_classes_are_all_labels_in_order_and_rows_without_one_are_counted(tmp_path: Path) -> None:
    rows = table(tmp_path, {"class": ["b", "a", "", "b"], "who": list("pqrs")}, label="class")
    assert rows.names == ("a", "b")
    assert rows.classes is not None
    assert rows.classes.tolist() == [1, 0, 1]
    assert rows.place.tolist() == [0, 1, 3]
    assert [rows.people[i][1] for i in rows.person] == ["p", "q", "s"]
    assert rows.faults == {"a row without a label": 1}


def test_classes_can_be_grouped_and_others_are_left_out(tmp_path: Path) -> None:
    columns = {"class": ["b", "a", "c", "d"], "who": list("pqrs")}
    rows = table(tmp_path, columns, label="class", classes=(("d", "b"), ("a",)))
    assert rows.names == ("d/b", "a")
    assert rows.classes is not None
    assert rows.classes.tolist() == [0, 1, 0]
    assert rows.faults == {"a row of no class that is asked for": 1}
    with pytest.raises(ConfigError, match="task 't': no row is of class e"):
        table(tmp_path, columns, label="class", classes=(("a",), ("e",)))


def test_several_labels_may_be_unknown_each_for_itself(tmp_path: Path) -> None:
    columns = {"au4": ["1", "", "", "0"], "au6": ["true", "0", "", "1.0"], "who": list("pqrs")}
    rows = table(tmp_path, columns, label="multi_label", columns=("au4", "au6"))
    assert rows.values is not None
    np.testing.assert_array_equal(rows.values, [[1, 1], [np.nan, 0], [0, 1]])
    assert rows.faults == {"a row without a label": 1}


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("multi_label", "2", "label 'au4' is '2', expected 0 or 1"),
        ("multi_label", "maybe", "label 'au4' is 'maybe', expected 0 or 1"),
        ("continuous", "high", "label 'au4' is 'high', expected a number"),
        ("continuous", "inf", "label 'au4' is 'inf', expected a number"),
    ],
)
def test_a_label_of_another_kind_is_named(
    tmp_path: Path, label: Any, value: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"task 't': {message}"):
        table(tmp_path, {"au4": [value, "0"]}, label=label, columns=("au4",))


def test_labels_that_teach_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="task 't': no row has a label"):
        table(tmp_path, {"class": ["", ""]}, label="class")
    with pytest.raises(ConfigError, match=r"task 't': one class alone \(a\)"):
        table(tmp_path, {"class": ["a", "a"]}, label="class")
    columns = {"vas": ["1", "1", "2"], "who": ["p", "p", "q"]}
    rows = table(tmp_path, columns, label="continuous", columns=("vas",))
    with pytest.raises(ConfigError, match="'vas' does not vary in the rows trained on"):
        split([rows], 0.4, 0)  # one of two people is left, and neither has two values


def test_targets_are_standardised_by_those_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, size=60)
    who = [f"p{i % 10}" for i in range(60)]
    columns = {"vas": values.tolist(), "who": who}
    (task,) = split(
        [table(tmp_path, columns, label="continuous", columns=("vas",))], share=0.3, seed=0
    )
    found = task.targets(task.train)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    assert found.std() == pytest.approx(1)
    trained = values[task.train]
    wanted = (values[task.held] - trained.mean()) / trained.std()
    np.testing.assert_allclose(task.targets(task.held)[:, 0], wanted)


def test_a_person_is_on_one_side_in_every_task_of_the_namespace(tmp_path: Path) -> None:
    def of(name: str, people: Sequence[str], namespace: str) -> Rows:
        columns = {"class": ["a", "b"] * len(people), "who": [p for p in people for _ in "ab"]}
        return table(tmp_path, columns, name, label="class", person_namespace=namespace)

    people = [f"p{i}" for i in range(20)]
    one, two, other = split(
        [of("one", people, "n"), of("two", people[10:], "n"), of("other", people, "m")], 0.3, 7
    )
    held = {task.config.name: task.people(task.held) for task in (one, two, other)}
    assert len(held["one"]["n"]) == len(held["other"]["m"]) == 6
    assert set(held["two"]["n"]) == set(held["one"]["n"]) & set(people[10:])
    assert held["other"]["m"] != held["one"]["n"]  # another draw for other people
    for task in (one, two, other):
        ((namespace, trained),) = task.people(task.train).items()
        assert not set(trained) & set(held[task.config.name][namespace])
        assert len(task.train) + len(task.held) == len(task.rows)
    fewer = split([of("one", people[1:], "n")], 0.3, 7)[0]
    gone = set(held["one"]["n"]) ^ set(fewer.people(fewer.held)["n"])
    assert len(gone) <= 2  # one person less moves at most one other


def test_pictures_are_split_where_nobody_says_who_is_shown(tmp_path: Path) -> None:
    rows = table(tmp_path, {"class": ["a", "b"] * 20}, label="class", split="picture")
    (task,) = split([rows], 0.25, 1)
    assert (len(task.train), len(task.held)) == (30, 10)
    assert task.people(task.train) == {"t": ()}  # anybody of it


def test_splits_that_cannot_be_are_named(tmp_path: Path) -> None:
    unknown = table(tmp_path, {"class": ["a", "b"], "who": ["p", ""]}, label="class")
    with pytest.raises(ConfigError, match="nobody says who is shown in 1 of 2 rows"):
        split([unknown], 0.1, 0)
    known = table(tmp_path, {"class": ["a", "b"], "who": ["p", "q"]}, label="class")
    pictures = TaskConfig(**(vars(known.config) | {"name": "u", "split": "picture"}))
    other = Rows(**(vars(known) | {"config": pictures}))
    with pytest.raises(ConfigError, match="split by person in one task and by picture"):
        split([known, other], 0.1, 0)
    folders = TaskConfig(
        name="faces",
        reader="image_folders",
        label="class",
        columns=("identity",),
        options={"root": str(tmp_path), "layout": "identity"},
    )
    for who in ("p", "q"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "1.png").touch()
    with pytest.raises(ConfigError, match="recognises people"):
        split([list_rows(folders)], 0.1, 0)
    alone = table(tmp_path, {"class": ["a", "b"], "who": ["p", "p"]}, label="class")
    (task,) = split([alone], 0.5, 0)
    assert len(task.train) == 2  # somebody is always left to train on


def test_no_validation_holds_nobody_out(tmp_path: Path) -> None:
    rows = table(tmp_path, {"class": ["a", "b"], "who": ["p", "q"]}, label="class")
    (task,) = split([rows], 0.0, 0)
    assert not len(task.held)


def test_the_digest_knows_labels_people_and_order(tmp_path: Path) -> None:
    columns = {"class": ["a", "b", "a"], "who": ["p", "q", "r"]}
    first = table(tmp_path, columns, label="class").digest
    assert table(tmp_path, columns, label="class").digest == first
    for change in ({"class": ["a", "b", "b"]}, {"who": ["p", "q", "q"]}):
        assert table(tmp_path, columns | change, label="class").digest != first
