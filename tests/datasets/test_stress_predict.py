"""Stress-Predict: clock times of the log on the recording's clock."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import openpyxl
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError, DependencyError, RecordingError

TASKS = (
    "Consent", "Baseline/Questionniare", "Stroop Test", "Relax", "Interview", "Relax",
    "Hyperventilation", "Relax", "Questionniare", "Relax/Baseline",
)  # fmt: skip


def write_log(path: Path, rows: list[list[object]], tasks: tuple[str, ...] = TASKS) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    heads = [cell for task in tasks for cell in (task, None)]
    sheet.append(["S. ID.", "Start Time", "End Time", "Session ID", *heads, None, "Date"])
    sheet.append([None] * 4 + ["Start", "End"] * len(tasks) + [None, None])
    for row in rows:
        sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def log_row(subject: str, day: datetime, hour: int, minute: int) -> list[object]:
    """Ten tasks of one minute each, one after another."""
    clock = [time(hour, minute + k + end) for k in range(len(TASKS)) for end in (0, 1)]
    return [subject, None, None, 1, *clock, "Day 1", day]


def write_session(folder: Path, start: datetime, seconds: int) -> None:
    folder.mkdir(parents=True)
    unix = int(start.timestamp())
    lines = "".join(f"{0.1 + i % 7}\n" for i in range(4 * seconds))
    (folder / "EDA.csv").write_text(f"{unix}\n4\n{lines}")


def test_the_exact_phases(tmp_path: Path) -> None:
    """A winter morning and a summer afternoon, written on a 12-hour clock."""
    winter, summer = datetime(2022, 2, 7), datetime(2022, 7, 4)  # a date only
    write_log(
        tmp_path / "Time_logs.xlsx", [log_row("S1", winter, 9, 0), log_row("S10", summer, 1, 30)]
    )
    write_session(tmp_path / "S10", datetime(2022, 7, 4, 12, 30, tzinfo=UTC), 700)
    write_session(tmp_path / "S1", datetime(2022, 2, 7, 9, 0, 30, tzinfo=UTC), 500)
    reader = open_dataset("stress_predict", tmp_path)
    assert reader.subjects() == ("S1", "S10")
    first, tenth = reader.recordings()
    assert [(s.onset, s.duration, s.condition, s.attributes["group"]) for s in tenth.stimuli] == [
        (60.0, 60.0, "baseline", "other"),
        (120.0, 60.0, "stroop", "stress"),
        (180.0, 60.0, "relax1", "relax"),
        (240.0, 60.0, "interview", "stress"),
        (300.0, 60.0, "relax2", "relax"),
        (360.0, 60.0, "hyperventilation", "stress"),
        (420.0, 60.0, "relax3", "relax"),
        (540.0, 60.0, "relax_baseline", "other"),
    ]
    assert first.stimuli[0].onset == 30.0
    (exclusion,) = reader.exclusions
    assert (exclusion.subject, exclusion.what) == ("S1", "relax_baseline")
    assert exclusion.reason == "510 to 570 s by the log, not inside the recording's 0 to 500 s"
    assert reader.check().subjects_expected == 35
    assert reader.official_splits() == {}


def test_upstreams_tree_and_a_subject_without_a_row(tmp_path: Path) -> None:
    winter = datetime(2022, 2, 7)  # a date only
    write_log(tmp_path / "Processed_data" / "Time_logs.xlsx", [log_row("S1", winter, 9, 0)])
    write_session(tmp_path / "Raw_data" / "S2", datetime(2022, 2, 7, 9, 0, tzinfo=UTC), 700)
    reader = open_dataset("stress_predict", tmp_path)
    (recording,) = reader.recordings()
    assert recording.stimuli == ()
    assert "no row S2 in Time_logs.xlsx" in reader.exclusions[0].reason


def test_a_time_that_is_missing_leaves_its_phase_out(tmp_path: Path) -> None:
    row = log_row("S1", datetime(2022, 2, 7), 9, 0)  # a date only
    row[8] = None
    write_log(tmp_path / "Time_logs.xlsx", [row])
    write_session(tmp_path / "S1", datetime(2022, 2, 7, 9, 0, tzinfo=UTC), 700)
    (exclusion,) = open_dataset("stress_predict", tmp_path).exclusions
    assert (exclusion.what, exclusion.reason) == ("stroop", "no start or end in Time_logs.xlsx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK but no workbook", "not an Excel workbook"),
        (None, "no heading 'Stroop Test' for stroop"),
    ],
)
def test_a_faulty_log(tmp_path: Path, content: bytes | None, message: str) -> None:
    row = log_row("S1", datetime(2022, 2, 7), 9, 0)  # a date only
    write_log(tmp_path / "Time_logs.xlsx", [row], tasks=(*TASKS[:2], "Strop", *TASKS[3:]))
    if content is not None:
        (tmp_path / "Time_logs.xlsx").write_bytes(content)
    write_session(tmp_path / "S1", datetime(2022, 2, 7, 9, 0, tzinfo=UTC), 10)
    with pytest.raises(RecordingError, match=message):
        open_dataset("stress_predict", tmp_path).recordings()


def test_a_system_without_time_zones_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_zone(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    row = log_row("S1", datetime(2022, 2, 7), 9, 0)
    write_log(tmp_path / "Time_logs.xlsx", [row])
    write_session(tmp_path / "S1", datetime(2022, 2, 7, 9, 0, tzinfo=UTC), 10)
    monkeypatch.setattr("dolorimeter.datasets.stress_predict.ZoneInfo", no_zone)
    with pytest.raises(DependencyError, match=r'Europe/Dublin.*pip install "tzdata"'):
        open_dataset("stress_predict", tmp_path).recordings()


def test_a_root_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not Stress-Predict: looked for Time_logs\.xlsx"):
        open_dataset("stress_predict", tmp_path)
    write_log(tmp_path / "Time_logs.xlsx", [])
    with pytest.raises(DatasetError, match="no folder of a subject"):
        open_dataset("stress_predict", tmp_path)


@pytest.mark.shared
def test_the_real_sessions(data_root: Path) -> None:
    reader = open_dataset("stress_predict", data_root / "stress_predict")
    recordings = reader.recordings()
    assert (len(recordings), reader.card.subjects) == (25, 35)
    tasks = [s for r in recordings for s in r.stimuli if s.attributes["group"] != "other"]
    assert len(tasks) == 25 * 6, "every stress and relax phase lies inside its recording"
    assert {e.what for e in reader.exclusions} == {"baseline", "relax_baseline"}
    first = recordings[0].stimuli[0]
    assert (first.condition, first.onset, first.duration) == ("stroop", 79.0, 300.0)
    # the participant pressed the button at the start of that very phase
    assert recordings[0].subject == "S01"
