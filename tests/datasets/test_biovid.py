"""BioVid: exact recordings from files in the published tree, and each fault by its message."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.biovid import BioVid
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.experiment._prepare import dataset_notes
from dolorimeter.types import Stimulus
from dolorimeter.video import VideoWriter

WOMAN, MAN = "071309_w_21", "080309_m_29"
HEADER = "time\tgsr\tecg\temg_trapezius"
SAMPLE = """time\tgsr\tecg\temg_trapezius
0\t1.5\t-300.0\t12.25
1953.125\t1.25\t-100.5\t-0.5
3906.25\t1.125\t250.0\t3.0
5859.375\t1.0\t0.0\t0.0
"""


def clip_text(seed: int, n: int = 2816, *, wide: bool = False, rate: float = 512.0) -> str:
    rng = np.random.default_rng(seed)
    lines = [HEADER + ("\temg_corrugator\temg_zygomaticus" if wide else "")]
    for i, row in enumerate(rng.normal(5, 1, (n, 5 if wide else 3))):
        lines.append("\t".join([f"{i * 1e6 / rate:.3f}", *(f"{v:.4f}" for v in row)]))
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def part_a(tmp_path: Path) -> Path:
    """Two subjects of three clips, with samples.csv and one video."""
    root = tmp_path / "PartA"
    listed = ["subject_id\tsubject_name\tclass_id\tclass_name\tsample_id\tsample_name"]
    for k, subject in enumerate((WOMAN, MAN)):
        for c, (token, level) in enumerate((("PA4", 4), ("BL1", 0), ("PA1", 1))):
            name = f"{subject}-{token}-{c + 7:03d}"
            write(root / "biosignals_raw" / subject / f"{name}_bio.csv", clip_text(10 * k + c))
            listed.append(f"{k}\t{subject}\t{level}\t{token}\t{c}\t{name}")
    write(root / "video" / WOMAN / f"{WOMAN}-PA4-007.mp4", "video")
    write(root / "starting_point" / "samples.csv", "\n".join(listed) + "\n")
    return root


def clip(root: Path, name: str) -> Path:
    return root / "biosignals_raw" / name.split("-")[0] / f"{name}_bio.csv"


def test_a_clip_is_read_exactly(part_a: Path) -> None:
    reader = BioVid(part_a)
    recordings = reader.recordings()
    assert reader.subjects() == (WOMAN, MAN)
    assert [r.name for r in recordings[:3]] == [
        f"{WOMAN}-BL1-008", f"{WOMAN}-PA1-009", f"{WOMAN}-PA4-007",
    ]  # fmt: skip
    first = recordings[2]
    assert (first.dataset, first.part, first.subject) == ("biovid", "A", WOMAN)
    assert first.stimuli == (Stimulus(None, None, "PA4", 4, {"counter": 7, "modality": "heat"}),)
    assert recordings[0].stimuli == (Stimulus(None, None, "BL1", 0, {"counter": 8}),)
    assert first.subject_info == {"sex": "female", "age": 21.0}
    assert recordings[3].subject_info == {"sex": "male", "age": 29.0}
    assert first.facts == {}  # the counter tells the class and is no order in time
    assert first.sources == (clip(part_a, f"{WOMAN}-PA4-007"),)
    assert first.videos["face"].frame_rate == 25.0
    assert recordings[1].videos == {}
    table = np.loadtxt(first.sources[0], skiprows=1)
    eda = first.signals["eda"]
    assert (eda.unit, eda.sampling_rate, eda.quantity) == ("S", 512.0, "conductance")
    assert (eda.duration, eda.unit_confirmed) == (5.5, False)
    np.testing.assert_allclose(eda.values, table[None, :, 1] * 1e-6, rtol=1e-15)
    np.testing.assert_allclose(first.signals["ecg"].values, table[None, :, 2] * 1e-6, rtol=1e-15)
    assert first.signals["emg_trapezius"].unit == "V"
    assert list(first.load().signals) == ["eda", "ecg", "emg_trapezius"]
    assert not reader.lookalike


def test_a_sample_written_by_hand(tmp_path: Path) -> None:
    """Part C takes any length, so five lines are enough to see values and units."""
    write(tmp_path / "biosignals_raw" / f"{WOMAN}_bio.csv", SAMPLE)
    (recording,) = BioVid(tmp_path, part="C").recordings()
    assert (recording.name, recording.part, recording.stimuli) == (f"C/{WOMAN}", "C", ())
    np.testing.assert_allclose(
        recording.signals["eda"].values, [[1.5e-6, 1.25e-6, 1.125e-6, 1e-6]], rtol=1e-15
    )
    np.testing.assert_allclose(
        recording.signals["emg_trapezius"].values, [[1.225e-5, -5e-7, 3e-6, 0]], rtol=1e-15
    )


def test_the_parent_folder_and_a_missing_samples_csv(part_a: Path) -> None:
    (part_a / "starting_point" / "samples.csv").unlink()
    reader = BioVid(part_a.parent, part="A")
    assert len(reader.recordings()) == 6
    assert len(reader.recordings([MAN])) == 3
    assert reader.exclusions == ()


def test_samples_csv_at_the_root_and_filtered_signals(part_a: Path) -> None:
    (part_a / "starting_point" / "samples.csv").rename(part_a / "samples.csv")
    (part_a / "biosignals_raw").rename(part_a / "biosignals_filtered")
    filtered = BioVid(part_a, source="filtered").recordings()
    assert len(filtered) == 6
    told = {name: signal.filtered for name, signal in filtered[0].signals.items()}
    assert told == {
        "eda": "",
        "ecg": "band-pass 0.1–250 Hz",
        "emg_trapezius": "band-pass 20–250 Hz",
    }
    with pytest.raises(
        DatasetError, match=r"has biosignals_filtered but no biosignals_raw\. Use s"
    ):
        BioVid(part_a)


def test_part_b_has_two_more_signals(tmp_path: Path) -> None:
    path = tmp_path / "PartB" / "biosignals_raw" / MAN / f"{MAN}-PA2-001_bio.csv"
    write(path, clip_text(0, wide=True))
    (recording,) = BioVid(tmp_path, part="B").recordings()
    assert list(recording.signals)[3:] == ["emg_corrugator", "emg_zygomaticus"]
    write(path, clip_text(0))
    (recording,) = BioVid(tmp_path, part="B").recordings()
    with pytest.raises(RecordingError, match="missing 'emg_corrugator' 'emg_zygomaticus'"):
        recording.load()
    assert (
        "subjects asked for: 1 of the 1 in the folder (86 in the full data set)"
        in dataset_notes(BioVid(tmp_path, part="B"), ["one"])
    )


def test_recordings_travel_to_other_processes(part_a: Path) -> None:
    recording = BioVid(part_a).recordings()[0]
    copy = pickle.loads(pickle.dumps(recording))
    assert np.array_equal(copy.signals["ecg"].values, recording.signals["ecg"].values)


@pytest.mark.parametrize(
    ("change", "reason", "kind"),
    [
        (lambda p: p.unlink(), "no file, although in samples.csv", "missing"),
        (lambda p: write(p, clip_text(1, 2560)), "2,560 rows, fewer than 2,816", "short"),
        (lambda p: write(p, clip_text(1, 3000)), "3,000 rows, more than 2,816", "version"),
        (lambda p: write(p, ""), "cannot be read: the file is empty. Fetch or copy it again.",
         "unreadable"),
    ],
)  # fmt: skip
def test_what_listing_leaves_out(part_a: Path, change, reason: str, kind: str) -> None:  # type: ignore[no-untyped-def]
    name = f"{MAN}-BL1-008"
    change(clip(part_a, name))
    reader = BioVid(part_a)
    assert len(reader.recordings()) == 5
    (exclusion,) = reader.exclusions
    assert (exclusion.subject, exclusion.recording) == (MAN, name)
    assert exclusion.reason == reason
    problem = next(p for p in reader.check().problems if p.severity == "fault")
    assert (problem.path, problem.kind) == (f"biosignals_raw/{MAN}/{name}_bio.csv", kind)


def test_files_and_samples_csv_that_disagree(part_a: Path) -> None:
    listing = part_a / "starting_point" / "samples.csv"
    text = listing.read_text().replace(f"4\tPA4\t0\t{MAN}", f"3\tPA3\t0\t{MAN}")
    text += "9\t100914_m_39\t0\tBL1\t0\t100914_m_39-BL1-001\n"
    listing.write_text(text)
    write(clip(part_a, f"{WOMAN}-PA2-050"), clip_text(9))
    write(clip(part_a, f"{WOMAN}-odd"), "x")
    reader = BioVid(part_a)
    assert len(reader.recordings()) == 5
    assert [(e.recording, e.reason) for e in reader.exclusions] == [
        ("", "in samples.csv, no folder"),
        (f"{WOMAN}-PA2-050", "file is not in samples.csv"),
        (f"{WOMAN}-odd", f"name is not {WOMAN}-<BL1|PA1…PA4>-<3 digits>"),
        (f"{MAN}-PA4-007", "samples.csv says class 3 PA3, the name PA4"),
    ]
    kinds = [p.kind for p in reader.check().problems if p.severity == "fault"]
    assert kinds == ["missing", "label", "stray", "label"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (clip_text(1, 2560), r"2,560 samples of eda, expected 2,816 \(5.5 s at 512 Hz\)"),
        (clip_text(1).replace("\t", ","), "It looks comma-separated"),
        (clip_text(1).replace("gsr", "eda"), "missing 'gsr'"),
        (clip_text(1).replace(".", ","), "line 2: '0,000' is not a number. Decimal mark ','"),
        (clip_text(1)[:-2] + "\0\n", "binary file"),
        (clip_text(1)[:60], "not a number|cells, expected|samples of eda"),
        (clip_text(1, rate=256.0), r"advances by 3,906.25 µs a row, expected 1,953.1 \(512 Hz\)"),
    ],
)
def test_reading_names_the_fault(part_a: Path, text: str, message: str) -> None:
    recording = BioVid(part_a).recordings()[0]
    recording.sources[0].write_text(text)
    with pytest.raises(RecordingError, match=message):
        recording.load()
    with pytest.raises(RecordingError, match=message):
        _ = recording.signals["eda"]


def test_check_reads_everything(part_a: Path) -> None:
    lines = clip_text(3).splitlines()
    cells = [line.split("\t") for line in lines]
    for row in cells[1:]:
        row[1] = "2.0"
        row[2] = f"{min(float(row[2]), 5.2):.4f}" if float(row[2]) < 5.2 else "5.2"
    for row in cells[100:200]:
        row[2] = "5.2"
    cells[7][3] = "NaN"
    write(clip(part_a, f"{WOMAN}-PA4-007"), "\n".join("\t".join(row) for row in cells) + "\n")
    write(clip(part_a, f"{WOMAN}-BL1-008"), clip(part_a, f"{WOMAN}-PA1-009").read_text())
    write(clip(part_a, f"{MAN}-PA4-007"), clip_text(1, wide=True))
    write(clip(part_a, f"{MAN}-BL1-008"), clip_text(1).replace("5.", "5,"))
    write(part_a / "biosignals_raw" / WOMAN / "notes.txt", "stray")
    write(part_a / "extra" / "file", "stray")
    report = BioVid(part_a).check()
    assert (report.subjects_found, report.subjects_expected, report.recordings) == (2, 87, 6)
    found = {(p.path.split("/")[-1], p.kind): p.what for p in report.problems}
    assert found[f"{WOMAN}-PA4-007_bio.csv", "flat"] == "eda: flat (one value only)"
    assert found[f"{WOMAN}-PA4-007_bio.csv", "clipped"] == "ecg: clipped"
    assert found[f"{WOMAN}-PA4-007_bio.csv", "nan"] == "emg_trapezius: missing samples (NaN)"
    assert f"{WOMAN}-BL1-008" in found[f"{WOMAN}-PA1-009_bio.csv", "duplicate"]
    assert "emg_corrugator" in found[f"{MAN}-PA4-007_bio.csv", "version"]
    assert "Decimal mark ','" in found[f"{MAN}-BL1-008_bio.csv", "unreadable"]
    assert ("notes.txt", "stray") in found
    assert ("extra", "stray") in found
    assert "1 of BL1" in found[WOMAN, "missing"]
    assert report.count("duplicate") == 1


def film(path: Path, frames: int, rate: float = 25.0) -> None:
    with VideoWriter(path, rate, (16, 16)) as writer:
        for i in range(frames):
            writer.write(np.full((16, 16, 3), i % 200, np.uint8))


@pytest.mark.extra("face")
def test_check_lists_videos_and_opens_them_when_asked(part_a: Path) -> None:
    videos = part_a / "video"
    film(videos / WOMAN / f"{WOMAN}-PA4-007.mp4", 139)
    film(videos / WOMAN / f"{WOMAN}-BL1-008.mp4", 100)
    film(videos / WOMAN / f"{WOMAN}-PA1-009.mp4", 139, rate=30.0)
    write(videos / MAN / f"{MAN}-PA4-007.mp4", "no video")
    film(videos / MAN / f"{MAN}-BL1-008.mp4", 276, rate=50.0)
    write(videos / MAN / f"{WOMAN}-PA1-009.mp4", "another's")
    write(videos / MAN / "notes.txt", "stray")
    write(videos / "odd" / "clip.mp4", "stray")
    listed = BioVid(part_a).check()
    opened = BioVid(part_a, check_videos=True).check()
    assert listed.recordings == opened.recordings == 6
    about = [(p.path, p.what, p.kind) for p in listed.problems if p.path.startswith("video")]
    strays = [f"video/{MAN}/{WOMAN}-PA1-009.mp4", f"video/{MAN}/notes.txt", "video/odd"]
    assert sorted(about) == sorted([
        *((path, "not a file of this data set", "stray") for path in strays),
        (f"video/{MAN}", "no video of 1 of 3 clips", "missing"),
    ])  # fmt: skip
    more = [p for p in opened.problems if p not in listed.problems]
    assert {p.severity for p in more} == {"warning"}
    found = [(p.path.removeprefix("video/").split("/")[1], p.kind, p.what[:60]) for p in more]
    assert found == [
        (f"{WOMAN}-BL1-008.mp4", "short", "100 frames, expected 138 ± 1"),
        (f"{WOMAN}-PA1-009.mp4", "version", "frame rate 30 Hz, expected 25 Hz"),
        (f"{MAN}-BL1-008.mp4", "version", "276 frames, expected 138 ± 1"),
        (f"{MAN}-BL1-008.mp4", "version", "frame rate 50 Hz, expected 25 Hz"),
        (f"{MAN}-PA4-007.mp4", "unreadable", found[-1][2]),
    ]
    assert found[-1][2].startswith("not a video that FFmpeg can read")


def test_no_videos_are_no_problem(part_a: Path) -> None:
    for path in sorted((part_a / "video").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (part_a / "video").rmdir()
    assert not [p for p in BioVid(part_a).check().problems if "video" in p.path + p.what]


def test_wrong_roots_and_options(part_a: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part is 'Z'; expected one of 'A', 'B', 'C'"):
        BioVid(part_a, part="Z")
    with pytest.raises(ConfigError, match="source is 'x'; expected one of 'raw', 'filtered'"):
        BioVid(part_a, source="x")
    with pytest.raises(DatasetError, match="is part A, asked for part B"):
        BioVid(part_a, part="B")
    with pytest.raises(DatasetError, match="looked for PartB/biosignals_raw or biosignals_raw"):
        BioVid(part_a.parent, part="B")
    with pytest.raises(DatasetError, match="is not there"):
        BioVid(tmp_path / "no")
    with pytest.raises(DatasetError, match="no subject '071309_w_22' among the 2 found"):
        BioVid(part_a).recordings(["071309_w_22"])


def test_named_subject_lists_and_the_hold_out(part_a: Path) -> None:
    lists = BioVid.SUBJECT_LISTS
    assert (len(lists["low_reactive"]), len(lists["hold_out_validation"])) == (20, 26)
    assert len(set(lists["low_reactive"])) == 20
    assert len(set(lists["hold_out_validation"])) == 26
    assert len(set(lists["low_reactive"]) & set(lists["hold_out_validation"])) == 5
    split = BioVid(part_a).official_splits()["hold_out"]
    assert split.train == (WOMAN,)
    assert split.validation == lists["hold_out_validation"]


def test_a_lookalike_says_so(part_a: Path) -> None:
    (part_a.parent / "LOOKALIKE.json").write_text("{}")
    assert BioVid(part_a).lookalike
    assert BioVid(part_a.parent).lookalike
    assert BioVid(part_a).check().lookalike
