"""Files beside hand-written samples of each published format, and read back by the readers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.ai4pain_2024 import TRAIN, VALIDATION, AI4Pain2024
from dolorimeter.datasets.ai4pain_2025 import AI4Pain2025
from dolorimeter.datasets.biovid import BioVid
from dolorimeter.datasets.unbc_mcmaster import UNBCMcMaster
from dolorimeter.synthesis import ai4pain, biovid, synthesise

BIOVID_A = """\
time\tgsr\tecg\temg_trapezius
0\t2.3012\t-14.21\t3.5
1953\t2.3009\t-12.0\t-1.25
3906\t2.301\t-9.87\t0.75
5859\t2.3015\t-11.4\t6.02
"""
BIOVID_B = """\
time\tgsr\tecg\temg_trapezius\temg_corrugator\temg_zygomaticus
0\t2.3012\t-14.21\t3.5\t1.25\t-0.5
1953\t2.3009\t-12.0\t-1.25\t0.5\t0.75
3906\t2.301\t-9.87\t0.75\t-2.5\t0.25
5859\t2.3015\t-11.4\t6.02\t-1.0\t1.5
"""
BIOVID_SAMPLES = """\
subject_id\tsubject_name\tclass_id\tclass_name\tsample_id\tsample_name
1\t071309_w_21\t0\tBL1\t1\t071309_w_21-BL1-081
1\t071309_w_21\t0\tBL1\t2\t071309_w_21-BL1-089
1\t071309_w_21\t1\tPA1\t3\t071309_w_21-PA1-003
1\t071309_w_21\t4\tPA4\t4\t071309_w_21-PA4-043
"""
EDA_2025 = """\
7_Baseline_1,7_LOW_1,7_REST_1,7_HIGH_1
0.8123,0.8012,0.8123,0.9012
0.8122,0.8011,0.8125,0.9103
0.8124,0.8013,0.8126,0.9178
0.8123,NaN,0.8127,NaN
"""
PSPI = "   3.0000000e+00\n"
FACS = """\
   4.0000000e+00   1.0000000e+00   0.0000000e+00   0.0000000e+00
   6.0000000e+00   2.0000000e+00   0.0000000e+00   0.0000000e+00
"""


def kind_of(cell: str) -> str:
    """What a cell of a text table is."""
    for kind, pattern in (
        ("whole", r"-?\d+"),
        ("number", r"-?\d+\.\d+"),
        ("scientific", r"-?\d\.\d{7}e[+-]\d\d"),
        ("none", "NaN|"),
        ("date", r"\d{6}_[wm]_\d{2}"),
        ("sample", r"\d{6}_[wm]_\d{2}-(BL1|PA[1-4])-\d{3}"),
    ):
        if re.fullmatch(pattern, cell):
            return kind
    return "word"


def form(text: str, delimiter: str) -> list[set[str]]:
    """Kinds of cell in each column below the header; whole numbers are numbers too."""
    rows = [line.split(delimiter) for line in text.splitlines()[1:]]
    columns = [{kind_of(cell) for cell in column} for column in zip(*rows, strict=True)]
    return [column - {"whole"} if "number" in column else column for column in columns]


@pytest.fixture(scope="module")
def part_a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("biovid") / "out"
    synthesise("biovid", root, subjects=2, per_condition=2, seed=2)
    return root


@pytest.fixture(scope="module")
def edition_2025(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("2025") / "out"
    synthesise("ai4pain_2025", root, subjects=6, per_condition=2, seed=2)
    return root


@pytest.mark.parametrize(("part", "sample"), [("A", BIOVID_A), ("B", BIOVID_B)])
def test_biovid_clips_are_like_the_sample(part: str, sample: str, tmp_path: Path) -> None:
    synthesise("biovid", tmp_path / "o", subjects=1, per_condition=1, part=part)
    files = sorted((tmp_path / "o" / f"Part{part}" / "biosignals_raw").rglob("*_bio.csv"))
    assert len(files) == 5
    for file in files:
        text = file.read_bytes().decode("ascii")
        lines = text.split("\n")
        assert lines[0] == sample.split("\n")[0]
        assert len(lines) == 2816 + 2
        assert lines[-1] == ""
        times = [line.split("\t")[0] for line in lines[1:5]]
        assert times == [line.split("\t")[0] for line in sample.split("\n")[1:5]]
        assert form(text, "\t") == form(sample, "\t")


def test_biovid_lists_are_like_the_sample(part_a: Path) -> None:
    text = (part_a / "PartA" / "starting_point" / "samples.csv").read_text()
    assert text.splitlines()[0] == BIOVID_SAMPLES.splitlines()[0]
    assert form(text, "\t") == form(BIOVID_SAMPLES, "\t")
    subjects = (part_a / "PartA" / "starting_point" / "subjects.csv").read_text()
    assert len(subjects.splitlines()) == 3
    assert "subject_name" in subjects.splitlines()[0].split("\t")


def test_biovid_is_read_by_its_reader(part_a: Path) -> None:
    reader = BioVid(part_a)
    recordings = reader.recordings()
    assert reader.lookalike
    assert len(recordings) == 20
    assert not reader.exclusions
    eda = recordings[0].signals["eda"]
    assert eda.values.shape == (1, 2816)
    assert 0.1e-6 < float(np.median(eda.values)) < 40e-6
    assert 200e-6 < float(np.ptp(recordings[0].signals["ecg"].values)) < 5e-3


def test_missing_files_are_listed_and_found_missing(tmp_path: Path) -> None:
    truth = synthesise("biovid", tmp_path / "o", subjects=2, per_condition=4, missing=0.3)
    reader = BioVid(tmp_path / "o")
    gone = truth.windows.loc[truth.windows["missing"], "recording"]
    assert 0 < len(gone) < 40
    assert len(reader.recordings()) == 40 - len(gone)
    assert {e.recording for e in reader.exclusions} == set(gone)


def test_no_name_is_anybodys() -> None:
    names = [biovid.subject_name(n, "w", 30) for n in range(400)]
    assert len(set(names)) == 400
    assert all(re.fullmatch(r"0[1-6]\d\d9\d_w_30", name) for name in names)
    published = set().union(*BioVid.SUBJECT_LISTS.values())
    assert not {name[:4] for name in names} & {name[:4] for name in published}
    real = {int(name) for name in (*TRAIN, *VALIDATION)}
    assert max(real) < ai4pain.FIRST_ID


def test_2025_is_like_the_sample(edition_2025: Path) -> None:
    files = sorted(edition_2025.rglob("*.csv"))
    folders = {file.parent.relative_to(edition_2025).as_posix() for file in files}
    assert folders == {
        f"{split}/{modality}"
        for split in ("train", "validation", "test")
        for modality in ("Bvp", "Eda", "Resp", "SpO2")
    }
    state = re.compile(r"(\d+)_(Baseline_1|LOW_\d+|REST_\d+|HIGH_\d+)")
    assert all(state.fullmatch(name) for name in EDA_2025.splitlines()[0].split(","))
    for file in files:
        text = file.read_text(encoding="ascii")
        names = text.splitlines()[0].split(",")
        assert len(names) == len(set(names)) == 8
        if "test" not in file.parts:
            assert all(state.fullmatch(name)[1] == file.stem for name in names)  # type: ignore[index]
        if file.parent.name == "Eda":
            kinds = set().union(*form(text, ","))
            assert kinds <= set().union(*form(EDA_2025, ","))


def test_2025_is_read_by_its_reader(edition_2025: Path) -> None:
    reader = AI4Pain2025(edition_2025)
    recordings = reader.recordings()
    assert reader.lookalike
    assert not reader.exclusions
    assert len(recordings) == 6 * 8
    assert {r.signals["eda"].values.shape[1] for r in recordings} <= {990, 1022, 1118}
    conditions = {r.stimuli[0].condition for r in recordings}
    assert conditions == {"no_pain", "low_pain", "high_pain", "unlabelled"}
    first = recordings[0].signals
    assert 0.9 < float(first["spo2"].values.mean()) < 1.0


def test_2024_is_like_the_sample_and_read(tmp_path: Path) -> None:
    truth = synthesise("ai4pain_2024", tmp_path / "o", subjects=6, per_condition=3, seed=1)
    file = tmp_path / "o" / "Train" / "fnirs" / "901.csv"
    lines = file.read_text(encoding="ascii").splitlines()
    assert lines[0] == ",".join(str(i) for i in range(1, 51))
    head = [line.split(",") for line in lines[1:5]]
    assert [cells[0] for cells in head] == ["1", "2", "3", "4"]
    assert all(len(cells) == 50 and cells[-1] == "" for cells in head)
    assert {kind_of(cell) for cells in head for cell in cells[1:-1]} <= {"number", "whole"}
    marked = [line.split(",")[-1] for line in lines[1:] if not line.endswith(",")]
    assert marked[0] == "B1"
    assert sorted(m[0] for m in marked) == ["B", *"HHH", *"LLL", *"RRRRR"]
    assert not list(tmp_path.rglob("video"))
    reader = AI4Pain2024(tmp_path / "o")
    recordings = {r.subject: r for r in reader.recordings()}
    assert not reader.exclusions
    table = truth.windows[truth.windows["subject"] == "901"]
    stimuli = recordings["901"].stimuli
    assert [s.condition for s in stimuli] == table["condition"].tolist()
    assert {s.duration for s in stimuli} == {10.0}
    assert recordings["906"].stimuli[0].condition == "unlabelled"


@pytest.mark.long
def test_unbc_is_like_the_sample_and_read(tmp_path: Path) -> None:
    truth = synthesise("unbc_mcmaster", tmp_path / "o", subjects=2, per_condition=1, seed=1)
    for tree, sample in (("PSPI", PSPI), ("FACS", FACS)):
        files = sorted((tmp_path / "o" / "Frame_Labels" / tree).rglob("*.txt"))
        assert len(files) == int(truth.windows["frames"].sum())
        assert re.fullmatch(r"zz901t1aa(un)?aff001_facs.txt", files[0].name)
        wanted = {(len(line), len(line.split())) for line in sample.splitlines()}
        written = "".join(file.read_text(encoding="ascii") for file in files)
        assert {(len(line), len(line.split())) for line in written.splitlines()} == wanted
        assert {kind_of(cell) for cell in written.split()} == {"scientific"}
    reader = UNBCMcMaster(tmp_path / "o", frame_rate=25.0)
    recordings = reader.recordings()
    assert len(recordings) == 4
    assert {rating.scale for rating in recordings[0].ratings} == {"aff", "opr", "sen", "vas"}
    wrong = [p for p in reader.check().problems if not p.path.startswith("truth/")]
    assert not wrong  # the reader recomputes PSPI from FACS
