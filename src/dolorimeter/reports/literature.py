"""Published figures, and which of them answer the question that a run asks.

A published row stands beside a run only when data set, part, task, modality, protocol,
aggregation and class composition agree. Every other row of the same data set is kept, apart, with
the reason. Rows are never ranked: the column `selection` says how the published epoch was chosen,
and an oracle choice is no honest competitor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd

from dolorimeter.evaluation import Question

WINDOW_AGGREGATIONS = frozenset({"", "none", "window", "stimulus"})
"""Aggregations that give one decision a stimulus window, which is what the table holds."""

CHANCE_TOLERANCE = 0.6
"""Percentage points: 33.3 is printed for one third, and a lost clip moves 50.0 to 49.9."""

_CONDITION = re.compile(r"[^a-z0-9]+")


def published() -> pd.DataFrame:
    """The table of published results, in per cent, one row a figure.

    Returns
    -------
    pandas.DataFrame
        The columns of ``assets/results.csv``; `accuracy_text` keeps what was printed (one row is a
        range), numbers that are not given are NaN, texts that are not given are empty.
    """
    source = files("dolorimeter") / "assets" / "results.csv"
    with source.open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, dtype=str, keep_default_na=False)
    table["accuracy_text"] = table["accuracy"]
    for column in ("accuracy", "accuracy_sd", "precision", "recall", "f1", "chance"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def condition_name(condition: str) -> str:
    """A condition's name as tables of results print it: ``BL1`` → ``bl``, ``no_pain`` → ``no``."""
    name = _CONDITION.sub("", condition.lower()).removesuffix("pain")
    return {"bl1": "bl", "baseline": "bl", "nopain": "no"}.get(name, name)


def task_classes(task: str) -> tuple[str, ...]:
    """Classes of a published task, or an empty tuple when its text does not list them.

    >>> task_classes("BL vs PA4"), task_classes("no/low/high")
    (('bl', 'pa4'), ('no', 'low', 'high'))
    >>> task_classes("PSPI classes, frame level")
    ()
    """
    if any(mark in task for mark in ("…", ",", "(")):
        return ()
    parts = re.split(r"\s+vs\s+|/", task)
    return tuple(condition_name(part) for part in parts) if len(parts) > 1 else ()


def question_classes(question: Question) -> tuple[str, ...]:
    """Classes of a question, one condition each; empty when a class joins several conditions."""
    classes = question.task.get("classes") or ()
    names = []
    for group in classes:
        conditions = [group] if isinstance(group, str) else [str(c) for c in group]
        if len(conditions) != 1:
            return ()
        names.append(condition_name(conditions[0]))
    return tuple(names)


def modality_families(modalities: Iterable[str]) -> frozenset[str]:
    """Modalities as tables of results name them: ``emg_trapezius`` → ``emg``.

    >>> sorted(modality_families(["emg_trapezius", "fnirs_hbo", "eda"]))
    ['eda', 'emg', 'fnirs']
    """
    return frozenset(name.split("_")[0].lower() for name in modalities if name)


def matching(
    question: Question,
    *,
    modalities: Sequence[str] = (),
    subjects: int | None = None,
    majority: float | None = None,
) -> pd.DataFrame:
    """Published rows of the question's data set, and whether each may stand beside a run.

    Parameters
    ----------
    question : Question
        What was asked.
    modalities : sequence of str
        Signals that the model saw (``eda``, ``emg_trapezius`` …); empty when nobody has said.
    subjects : int, optional
        How many people were tested; compared with the size of the data set.
    majority : float, optional
        Share of the largest class, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        `published()` rows of the data set with `shared` (bool) and `reason` (empty when shared),
        shared rows first, otherwise in the table's order.
    """
    table = published()
    table = table[table["dataset"].isin(_table_names(question.dataset))].copy()
    asked = _Asked(question, modality_families(modalities), subjects, majority)
    table["reason"] = [asked.reason(row) for row in table.to_dict("records")]
    table["shared"] = table["reason"] == ""
    return table.sort_values("shared", ascending=False, kind="stable").reset_index(drop=True)


def _table_names(dataset: str) -> tuple[str, str]:
    """A data set's registry name and its name in the table: ``ai4pain_2024`` → ``ai4pain``."""
    return dataset, re.sub(r"_(19|20)\d\d$", "", dataset)


class _Asked:
    """What a run asks, in the words of the table of results."""

    def __init__(
        self,
        question: Question,
        modalities: frozenset[str],
        subjects: int | None,
        majority: float | None,
    ) -> None:
        self.question = question
        edition = re.search(r"_((19|20)\d\d)$", question.dataset)
        self.part = question.part or (edition.group(1) if edition else "")
        self.classes = question_classes(question)
        self.modalities = modalities
        self.subjects = subjects
        self.majority = majority
        self.protocols = protocol_names(question.split)

    def reason(self, row: Mapping[Any, Any]) -> str:
        """Why the row does not share the question; empty when it does."""
        differs = [text for text in self._differences(row) if text]
        return "; ".join(differs)

    def _differences(self, row: Mapping[Any, Any]) -> list[str]:
        theirs = modality_families(str(row["modality"]).split("+"))
        classes = task_classes(str(row["task"]))
        found = []
        if str(row["part"]) != self.part:
            found.append(f"part {row['part'] or '(none)'}, here {self.part or '(none)'}")
        if not classes or classes != self.classes:
            found.append(f"task {row['task']}, here {_task_words(self.question)}")
        if "signals" in theirs or not self.modalities:
            found.append("modality not comparable: it is not known on one of the two sides")
        elif theirs != self.modalities:
            found.append(f"modality {row['modality']}, here {'+'.join(sorted(self.modalities))}")
        if str(row["protocol"]) not in self.protocols:
            found.append(f"protocol {row['protocol']}, here {', '.join(self.protocols)}")
        if self.question.aggregation not in WINDOW_AGGREGATIONS:
            found.append(f"one decision a window, here {self.question.aggregation}")
        return [*found, self._people(), self._composition(row)]

    def _people(self) -> str:
        """People: a published row is on the whole data set."""
        if self.question.subset not in ("", "all"):
            return f"all people, here the subset '{self.question.subset}'"
        whole = _dataset_size(self.question.dataset)
        if whole is not None and self.subjects is not None and self.subjects < whole:
            return f"all people of the data set, here {self.subjects} of {whole}"
        return ""

    def _composition(self, row: Mapping[Any, Any]) -> str:
        if pd.isna(row["chance"]):
            return "class composition unknown"
        if self.majority is None:
            return ""
        if abs(float(row["chance"]) - 100 * self.majority) > CHANCE_TOLERANCE:
            return f"majority rate {row['chance']:.1f} %, here {100 * self.majority:.1f} %"
        return ""


def protocol_names(split: Mapping[str, Any]) -> tuple[str, ...]:
    """Names under which a table of results may list a split."""
    name = str(split.get("name", "unstated split"))
    return (name, *sorted(str(split[key]) for key in ("official", "protocol") if key in split))


def _task_words(question: Question) -> str:
    classes = question.task.get("classes") or ()
    if not classes:
        return str(question.task.get("target", "a continuous target"))
    return " vs ".join(
        group if isinstance(group, str) else "+".join(str(c) for c in group) for group in classes
    )


def _dataset_size(dataset: str) -> int | None:
    """People in the full data set by its Card, or None for a data set that has none."""
    from dolorimeter.registry import DATASETS

    return (
        getattr(DATASETS.card(dataset), "subjects", None) if dataset in DATASETS.names() else None
    )
