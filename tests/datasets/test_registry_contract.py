"""Every registered data set has a complete Card and the interface that the stages rely on."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import dolorimeter.datasets as package
from dolorimeter.datasets import CheckReport, OfficialSplit, open_dataset
from dolorimeter.errors import ConfigError, DatasetError, UnknownNameError
from dolorimeter.registry import DATASETS, DatasetCard

NAMES = DATASETS.names()
REQUIRED = (
    "ai4pain_2024", "ai4pain_2025", "biovid", "painmonit", "unbc_mcmaster", "x_ite",
)  # fmt: skip


def test_the_required_data_sets_are_registered() -> None:
    assert set(REQUIRED) <= set(NAMES)


def test_every_module_is_imported_by_the_package() -> None:
    folder = Path(inspect.getfile(package)).parent
    modules = {p.stem for p in folder.glob("*.py") if not p.name.startswith("_")}
    shared = {  # no data set behind them
        "action_unit_tables",
        "labels",
        "participants",
        "recording_time",
        "text_tables",
        "units",
    }
    assert modules - shared <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    card = DATASETS.card(name)
    assert isinstance(card, DatasetCard)
    assert card.name == name
    for field in ("summary", "licence", "obtain", "sharing", "labels"):
        assert getattr(card, field), f"{name}: the Card says nothing of {field}"
    for field in ("summary", "sharing", "labels"):
        assert getattr(card, field).endswith("."), f"{name}: {field} is a sentence"
    assert DATASETS.get(name).card is card
    if card.subjects is not None:
        assert card.person_namespace, f"{name}: whose people are these?"
    if card.openly_available:
        assert "fetch" in card.obtain


@pytest.mark.parametrize("name", NAMES)
def test_the_class_has_the_interface(name: str) -> None:
    reader = DATASETS.get(name)
    parameters = list(inspect.signature(reader).parameters.values())
    assert parameters[0].name == "root"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[1:])
    assert callable(getattr(reader, "recordings", None)) or callable(reader.samples)
    for method in ("subjects", "official_splits", "check"):
        assert callable(getattr(reader, method)), f"{name} lacks {method}"
    assert isinstance(inspect.getattr_static(reader, "exclusions"), property)
    for subjects in reader.SUBJECT_LISTS.values():
        assert isinstance(subjects, tuple)
        assert len(set(subjects)) == len(subjects) > 0
    assert reader.__doc__
    if hasattr(reader, "recordings"):
        assert list(inspect.signature(reader.recordings).parameters) == ["self", "subjects"]


@pytest.mark.parametrize("name", NAMES)
def test_a_root_that_is_nowhere_or_wrong(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        open_dataset(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["ai4pain_2024", "ai4pain_2025", "biovid", "unbc_mcmaster"])
def test_formats_that_are_synthesised_know_lookalikes(name: str) -> None:
    assert "lookalike" in inspect.getsource(DATASETS.get(name))


def test_opening_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLORIMETER_DATA", str(tmp_path))
    with pytest.raises(
        DatasetError, match=r"biovid: not found; looked in .*biovid and .*Give its folder"
    ):
        open_dataset("biovid")
    with pytest.raises(UnknownNameError, match="did you mean biovid"):
        open_dataset("biovod")
    with pytest.raises(ConfigError, match="biovid: no option 'prt'; did you mean 'part'"):
        open_dataset("biovid", prt="A")
    with pytest.raises(ConfigError, match="ai4pain_2024: no option 'part'; its options are: unit"):
        open_dataset("ai4pain_2024", part="A")
    (tmp_path / "biovid" / "biosignals_raw").mkdir(parents=True)
    reader = open_dataset("biovid", part="A")
    assert reader.subjects() == ()
    assert isinstance(reader.check(), CheckReport)
    assert isinstance(reader.official_splits()["hold_out"], OfficialSplit)
