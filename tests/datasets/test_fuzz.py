"""Mutated files: a reader succeeds, or raises one of our errors; the root stays as it was.

`TINY` holds, for each registered reader, a function that writes a tiny valid root. A reader that
is registered must be in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, time
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pytest
from scipy.io import savemat

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DolorimeterError
from dolorimeter.registry import DATASETS
from dolorimeter.types import Recording
from dolorimeter.video import VideoWriter

Options = dict[str, str]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def rows(table: np.ndarray, delimiter: str, header: str, fmt: str = "%.4f") -> str:
    lines = [delimiter.join(fmt % value for value in row) for row in table]
    return "\n".join([header, *lines]) + "\n"


def wave(n: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(5.0, 1.0, (n, columns))


def tiny_biovid(root: Path) -> Options:
    subject = "071309_w_21"
    listed = ["subject_id\tsubject_name\tclass_id\tclass_name\tsample_id\tsample_name"]
    for k, (token, level) in enumerate((("BL1", 0), ("PA4", 4)), start=1):
        name = f"{subject}-{token}-00{k}"
        table = np.column_stack([np.arange(2816) * 1e6 / 512, wave(2816, 3, k)])
        text = rows(table, "\t", "time\tgsr\tecg\temg_trapezius", "%.2f")
        write(root / "biosignals_raw" / subject / f"{name}_bio.csv", text)
        listed.append(f"1\t{subject}\t{level}\t{token}\t{k}\t{name}")
    write(root / "starting_point" / "samples.csv", "\n".join(listed) + "\n")
    return {}


def tiny_ai4pain_2024(root: Path) -> Options:
    for split, subject, markers in (("Train", "3", ("B1", "L1", "H1")), ("Test", "6", ("S1",))):
        lines = [",".join(str(i) for i in range(1, 51))]
        for i, row in enumerate(wave(60, 48, int(subject))):
            marker = markers[i // 20] if i % 20 == 0 and i // 20 < len(markers) else ""
            lines.append(",".join([str(i), *(f"{v:.3f}" for v in row), marker]))
        write(root / split / "fnirs" / f"{subject}.csv", "\n".join(lines) + "\n")
    write(root / "Train" / "video" / "3" / "L1.mp4", "no video")
    return {}


def tiny_ai4pain_2025(root: Path) -> Options:
    for split in ("train", "test"):
        for k, modality in enumerate(("Bvp", "Eda", "Resp", "SpO2")):
            table = wave(120, 3, k) + (90 if modality == "SpO2" else 0)
            text = rows(table, ",", "4_Baseline_1,4_LOW_1,4_HIGH_1")
            text += ",1.0,\n,2.0,\n"
            write(root / split / modality / f"{4 if split == 'train' else 5}.csv", text)
    return {}


def tiny_unbc_mcmaster(root: Path) -> Options:
    place = "042-ll042/ll042t1aaaff"
    for k in range(1, 5):
        name = f"ll042t1aaaff{k:03d}"
        write(root / "Frame_Labels/PSPI" / place / f"{name}_facs.txt", f"  {float(k):.7e}\n")
        text = f"  4.0000000e+00  {float(k):.7e}  0.0 0.0\n" if k else ""
        write(root / "Frame_Labels/FACS" / place / f"{name}_facs.txt", text)
        write(root / "Images" / place / f"{name}.png", f"image {k}")
    for scale in ("AFF", "OPR", "SEN", "VAS"):
        write(root / "Sequence_Labels" / scale / f"{place}.txt", "  3.0000000e+00\n")
    return {"frame_rate": 25.0}


PAINMONIT = "Seconds;Bvp;Eda_E4;Tmp;Ibi;Hr;Resp;Eda_RB;Ecg;Emg;Heater [C];COVAS;Heater_cleaned"


def tiny_painmonit(root: Path) -> Options:
    table = np.column_stack([np.arange(1000) / 250, wave(1000, 12, 1)])
    table[:, 12] = np.repeat([32.0, 45.0], 500)
    write(root / "S_01.csv", rows(table, ";", PAINMONIT, "%.3f").replace(".", ","))
    return {}


def tiny_x_ite(root: Path) -> Options:
    root.mkdir(parents=True, exist_ok=True)
    codes = np.repeat([0, 1, 0, -4, -10], 100)[:, None]
    savemat(root / "S001.mat", {"data": wave(500, 5, 1), "stimuli": codes}, do_compression=True)
    savemat(root / "S002.mat", {"data": wave(500, 5, 2), "stimuli": codes})
    return {}


def tiny_bids_physio(root: Path) -> Options:
    stem = root / "sub-01" / "func" / "sub-01_task-heat"
    table = rows(wave(40, 2, 1), "\t", "x").split("\n", 1)[1]
    write(Path(f"{stem}_physio.tsv"), table)
    sidecar = {"SamplingFrequency": 10, "StartTime": -1.5, "Columns": ["eda", "cardiac"]}
    write(Path(f"{stem}_physio.json"), json.dumps(sidecar))
    write(Path(f"{stem}_events.tsv"), "onset\tduration\ttrial_type\n0.5\t1\thot\n2\tn/a\twarm\n")
    return {}


def tiny_biosppy_examples(root: Path) -> Options:
    header = "# Simple Text Format\n# Sampling Rate (Hz):= 100.00\n# Resolution:= 12\n# Labels:= "
    for name in ("ECG", "EDA"):
        values = "".join(f"{v:.1f}\n" for v in wave(50, 1, len(name))[:, 0] * 100)
        write(root / f"{name.lower()}.txt", f"{header}{name}\n{values}")
    return {}


def tiny_edf(root: Path) -> Options:
    def fields(values: Sequence[object], width: int) -> bytes:
        return b"".join(str(value).ljust(width).encode() for value in values)

    head = fields(["0"], 8) + fields(["X X X X", "Startdate 01-JAN-2020 X X X"], 80)
    head += fields(["01.01.20", "10.00.00", 768, ""], 8)[:24] + b" " * 44
    head += fields([4, 1], 8) + fields([2], 4)
    head += fields(["EDA", "ECG"], 16) + fields(["", ""], 80) + fields(["uS", "mV"], 8)
    for low in (-100, 100, -32768, 32767):
        head += fields([low, low], 8)
    head += fields(["", ""], 80) + fields([10, 50], 8) + fields(["", ""], 32)
    samples = (wave(240, 1, 4)[:, 0] * 100).astype("<i2").tobytes()
    root.mkdir(parents=True, exist_ok=True)
    (root / "s01.edf").write_bytes(head + samples)
    return {}


def tiny_e4(folder: Path, tags: str) -> None:
    for name, rate in (("EDA", 4), ("HR", 1), ("BVP", 64), ("TEMP", 4)):
        values = "".join(f"{v:.3f}\n" for v in wave(60 * rate, 1, rate)[:, 0])
        write(folder / f"{name}.csv", f"1644226061.000000\n{rate}.000000\n{values}")
    write(folder / tags, "1644226071.0\n1644226081.0\n")


def tiny_empatica_e4(root: Path) -> Options:
    tiny_e4(root / "s01", "tags.csv")
    return {}


def tiny_stress_predict(root: Path) -> Options:
    tiny_e4(root / "S01", "tags_S01.csv")
    tasks = (
        "Baseline/Questionniare", "Stroop Test", "Relax", "Interview", "Relax",
        "Hyperventilation", "Relax", "Relax/Baseline",
    )  # fmt: skip
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["S. ID.", *(cell for task in tasks for cell in (task, None)), "Date"])
    sheet.append([None, *(["Start", "End"] * len(tasks)), None])
    clock = [time(9, 27, 42 + 2 * (k // 2) + k % 2) for k in range(2 * len(tasks))]
    sheet.append(["S01", *clock, datetime(2022, 2, 7)])
    book.save(root / "Time_logs.xlsx")
    return {}


def tiny_feature_table(root: Path) -> Options:
    lines = [f"s{k % 3},{'pain' if k % 2 else 'rest'},{k / 4},{k * k / 8}" for k in range(12)]
    write(root / "table.csv", "\n".join(["subject,label,scl,rate", *lines]) + "\n")
    return {}


def tiny_neurokit_data(root: Path) -> Options:
    write(root / "bio_resting_5min_100hz.csv", rows(wave(60, 3, 1), ",", "ECG,PPG,RSP"))
    table = wave(60, 4, 2)
    table[:, 2] = np.repeat([5.0, 0.0, 5.0], 20)
    write(root / "bio_eventrelated_100hz.csv", rows(table, ",", "ECG,EDA,Photosensor,RSP"))
    return {}


def tiny_oxazepam_ep(root: Path) -> Options:
    trials = [(s, c, i) for s in (9, 10) for c in ("Self", "Other") for i in ("High", "Low") * 2]
    scr = [f'"{s}","{c}","{i}","{k / 50}"' for k, (s, c, i) in enumerate(trials)]
    ratings = [f'{s},"{c}","{i}",{k},{k + 1}' for k, (s, c, i) in enumerate(trials)]
    people = ['9,"Oxazepam",0', '10,"Placebo",1']
    write(root / "SCR.csv", "\n".join(['"Subject","Condition","Stimulus","SCR"', *scr]))
    head = '"Subject","Condition","Stimulus","Unpleasantness","Intensity"'
    write(root / "Ratings.csv", "\n".join([head, *ratings]))
    write(root / "demographics.csv", "\n".join(['"Subject","Treatment","Wave"', *people]))
    return {}


def tiny_oxazepam_fmov(root: Path) -> Options:
    table = wave(60, 8, 3)
    table[:, 5:] = 0
    for column, first in ((5, 5), (6, 20), (7, 40)):
        table[first : first + 8, column] = 5.0
    lines = ["\t".join(f"{v:.5g}" for v in row) + "\t" for row in table]
    write(root / "24_FMOV_preprocessed.txt", "\n".join(lines) + "\n")
    return {}


def tiny_snirf(root: Path) -> Options:
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "sub-01.snirf", "w") as file:
        file["formatVersion"] = "1.0"
        tags = {"SubjectID": "s01", "MeasurementDate": "2020-01-01", "LengthUnit": "mm"}
        tags |= {"MeasurementTime": "10:00:00Z", "TimeUnit": "s", "FrequencyUnit": "Hz"}
        for key, value in tags.items():
            file[f"nirs/metaDataTags/{key}"] = value
        file["nirs/data1/dataTimeSeries"] = np.abs(wave(30, 2, 1))
        file["nirs/data1/time"] = np.arange(30) / 10
        for k in (1, 2):
            numbers = {"sourceIndex": 1, "detectorIndex": 1, "wavelengthIndex": k}
            for key, value in (numbers | {"dataType": 1, "dataTypeIndex": 1}).items():
                file[f"nirs/data1/measurementList{k}/{key}"] = value
        file["nirs/probe/wavelengths"] = np.array([760.0, 850.0])
        file["nirs/probe/sourcePos3D"] = np.array([[0.0, 0.0, 0.0]])
        file["nirs/probe/detectorPos3D"] = np.array([[30.0, 0.0, 0.0]])
        file["nirs/stim1/name"] = "heat"
        file["nirs/stim1/data"] = np.array([[0.5, 1.0, 1.0], [2.0, 0.5, 1.0]])
    return {}


def tiny_video_files(root: Path) -> Options:
    for subject in ("s1", "s2"):
        with VideoWriter(root / subject / "clip.mp4", 25.0, (16, 16)) as writer:
            for level in (20, 90, 160):
                writer.write(np.full((16, 16, 3), level, np.uint8))
    lines = ["file,subject,condition,level,onset,duration,vas,age"]
    lines += [f"s{k}/clip.mp4,s{k},pain,{k},0.0,0.1,{k}.5,4{k}" for k in (1, 2)]
    write(root / "labels.csv", "\n".join(lines) + "\n")
    return {}


TINY: dict[str, Callable[[Path], Options]] = {
    "ai4pain_2024": tiny_ai4pain_2024,
    "ai4pain_2025": tiny_ai4pain_2025,
    "bids_physio": tiny_bids_physio,
    "biosppy_examples": tiny_biosppy_examples,
    "biovid": tiny_biovid,
    "edf": tiny_edf,
    "empatica_e4": tiny_empatica_e4,
    "feature_table": tiny_feature_table,
    "fnirs_snirf_samples": tiny_snirf,
    "neurokit_data": tiny_neurokit_data,
    "oxazepam_ep": tiny_oxazepam_ep,
    "oxazepam_fmov": tiny_oxazepam_fmov,
    "painmonit": tiny_painmonit,
    "snirf": tiny_snirf,
    "stress_predict": tiny_stress_predict,
    "unbc_mcmaster": tiny_unbc_mcmaster,
    "video_files": tiny_video_files,
    "x_ite": tiny_x_ite,
}
WITHOUT_WRITER = {"acqknowledge"}
"""Nothing free writes ``.acq``; the tests of that reader damage the files they make."""


# ── mutations ───────────────────────────────────────────────────────────────────────────────────

TOKENS = (b"nan", b"inf", b"-1e308", b"1e999", b"", b"\t", b";", b",", b'"', b"\xff\xfe", b"\r")


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def empty(data: bytes, rng: np.random.Generator) -> bytes:
    return b""


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    if changed.size:
        where = rng.integers(
            0, min(changed.size, rng.choice([64, changed.size])), rng.integers(1, 9)
        )
        changed[where] = rng.integers(0, 256, where.size)
    return changed.tobytes()


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    first, last = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:first] + data[last:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    first, last = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:last] + data[first:]


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + TOKENS[rng.integers(len(TOKENS))] + data[at:]


def swap_marks(data: bytes, rng: np.random.Generator) -> bytes:
    old, new = ((b".", b","), (b",", b"."), (b"\t", b","), (b",", b";"), (b"\n", b"\r\n"))[
        rng.integers(5)
    ]
    return data.replace(old, new)


def other_cell(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    k = int(rng.integers(len(lines)))
    words = lines[k].split(b"\t" if b"\t" in lines[k] else b",")
    words[rng.integers(len(words))] = TOKENS[rng.integers(len(TOKENS))]
    lines[k] = (b"\t" if b"\t" in lines[k] else b",").join(words)
    return b"\n".join(lines)


def drop_line(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    del lines[int(rng.integers(len(lines)))]
    return b"\n".join(lines)


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 2000)))


MUTATIONS = (
    truncate, empty, flip, cut_out, repeat, insert, swap_marks, other_cell, drop_line, noise,
)  # fmt: skip


# ── the test ────────────────────────────────────────────────────────────────────────────────────


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def exercise(name: str, root: Path, options: Options) -> None:
    """Ask a reader for all that it offers; each call may end in one of our errors."""
    try:
        reader = open_dataset(name, root, **options)
    except DolorimeterError:
        return
    calls: list[Callable[[], object]] = [reader.subjects, reader.official_splits, reader.check]
    calls.append(lambda: reader.exclusions)
    if hasattr(reader, "samples"):
        calls.append(reader.samples)
    recordings: list[Recording] = []
    if hasattr(reader, "recordings"):
        calls.append(lambda: recordings.extend(reader.recordings()))
    for call in calls:
        attempt(call)
    for recording in recordings:
        attempt(recording.load)


def attempt(call: Callable[[], object]) -> None:
    """One of our errors passes, if its message says something."""
    message = ""
    try:
        call()
    except DolorimeterError as error:
        message = str(error)
    assert not message or len(message) > 20, f"a message that says nothing: {message}"


def fuzz(name: str, root: Path, mutants: int, seed: int) -> None:
    options = TINY[name](root)
    before = snapshot(root)
    exercise(name, root, options)
    assert snapshot(root) == before
    rng = np.random.default_rng(seed)
    for i in range(mutants):
        file = sorted(before)[rng.integers(len(before))]
        mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
        mutated = mutation(before[file], rng)
        path = root / file
        path.write_bytes(mutated)
        try:
            exercise(name, root, options)
        except Exception as error:
            raise AssertionError(
                f"{name}: {mutation.__name__} of {file} (mutant {i}, seed {seed}) "
                f"raised {type(error).__name__}: {error}"
            ) from error
        assert path.read_bytes() == mutated, f"{name}: {file} was written to"
        path.write_bytes(before[file])
    assert snapshot(root) == before


def test_every_registered_reader_is_fuzzed() -> None:
    assert set(TINY) | WITHOUT_WRITER == set(DATASETS.names())


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_tiny_root_is_valid(name: str, tmp_path: Path) -> None:
    reader = open_dataset(name, tmp_path, **TINY[name](tmp_path))
    assert len(reader.subjects()) > 0
    found = reader.recordings() if hasattr(reader, "recordings") else reader.samples()
    assert len(found) > 0
    assert not [p for p in reader.check().problems if p.kind == "unreadable"]


@pytest.mark.parametrize("name", sorted(TINY))
def test_mutated_files_give_our_errors_only(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, mutants=-(-200 // len(TINY)), seed=2)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", sorted(TINY))
def test_many_mutated_files_give_our_errors_only(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, mutants=-(-5000 // len(TINY)), seed=3)
