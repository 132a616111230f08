"""SNIRF files made with h5py, and the reference files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError, DependencyError, RecordingError
from dolorimeter.types import Stimulus

h5py = pytest.importorskip("h5py")
pytest.importorskip("mne")

SAMPLES = np.array([[1.0, 2.0], [1.1, 2.2], [1.2, 2.4], [1.3, 2.6]])


def write_snirf(path: Path, **changes: object) -> None:
    """One source, one detector 30 mm away, two wavelengths, four samples at 10 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, object] = {
        "formatVersion": "1.0",
        "nirs/metaDataTags/SubjectID": "s01",
        "nirs/metaDataTags/MeasurementDate": "2020-01-01",
        "nirs/metaDataTags/MeasurementTime": "10:00:00Z",
        "nirs/metaDataTags/LengthUnit": "mm",
        "nirs/metaDataTags/TimeUnit": "s",
        "nirs/metaDataTags/FrequencyUnit": "Hz",
        "nirs/data1/dataTimeSeries": SAMPLES,
        "nirs/data1/time": 0.5 + np.arange(4) / 10,
        "nirs/probe/wavelengths": np.array([760.0, 850.0]),
        "nirs/probe/sourcePos3D": np.array([[0.0, 0.0, 0.0]]),
        "nirs/probe/detectorPos3D": np.array([[30.0, 0.0, 0.0]]),
        "nirs/stim1/name": "heat",
        "nirs/stim1/data": np.array([[0.6, 0.1, 1.0], [0.7, 0.2, 1.0]]),
    }
    for k in (1, 2):
        numbers = {"sourceIndex": 1, "detectorIndex": 1, "wavelengthIndex": k, "dataType": 1}
        for key, value in (numbers | {"dataTypeIndex": 1}).items():
            content[f"nirs/data1/measurementList{k}/{key}"] = value
    with h5py.File(path, "w") as file:
        for key, value in (content | changes).items():
            if value is not None:
                file[key] = value


def test_the_exact_recording(tmp_path: Path) -> None:
    write_snirf(tmp_path / "sub-07" / "sub-07_task-heat_nirs.snirf")
    reader = open_dataset("snirf", tmp_path)
    (recording,) = reader.recordings(["07"])
    assert recording.name == "sub-07/sub-07_task-heat_nirs"
    assert recording.stimuli == (Stimulus(0.6, 0.1, "heat"), Stimulus(0.7, 0.2, "heat"))
    assert recording.facts == {"distance S1_D1": pytest.approx(0.03)}
    assert list(recording.signals) == ["fnirs"]
    signal = recording.signals["fnirs"]
    np.testing.assert_array_equal(signal.values, SAMPLES.T)
    assert signal.channels == ("S1_D1 760", "S1_D1 850")
    assert (signal.quantity, signal.unit, signal.unit_confirmed) == (
        "raw_intensity",
        "a.u.",
        False,
    )
    assert (signal.start, signal.sampling_rate) == (0.5, pytest.approx(10.0))
    assert reader.check().problems == ()
    assert reader.subjects() == ("07",)


def test_haemoglobin_is_in_moles_per_litre(tmp_path: Path) -> None:
    labels = {
        f"nirs/data1/measurementList{k}/{key}": value
        for k, name in ((1, "HbO"), (2, "HbR"))
        for key, value in {"dataType": 99999, "dataTypeLabel": name, "dataUnit": "uM"}.items()
    }
    write_snirf(tmp_path / "a.snirf", **labels)
    (recording,) = open_dataset("snirf", tmp_path / "a.snirf").recordings()
    assert list(recording.signals) == ["fnirs_hbo", "fnirs_hbr"]
    hbo, hbr = recording.signals["fnirs_hbo"], recording.signals["fnirs_hbr"]
    np.testing.assert_allclose(hbo.values, [SAMPLES[:, 0] * 1e-6], rtol=1e-12)
    assert (hbo.unit, hbo.quantity, hbr.quantity) == ("mol/L", "hbo", "hbr")


def test_a_single_event_written_as_a_vector(tmp_path: Path) -> None:
    write_snirf(tmp_path / "a.snirf", **{"nirs/stim1/data": np.array([0.6, 0.1, 1.0])})
    (recording,) = open_dataset("snirf", tmp_path).recordings()
    assert recording.stimuli == (Stimulus(0.6, 0.1, "heat"),)


def test_times_in_milliseconds(tmp_path: Path) -> None:
    write_snirf(
        tmp_path / "a.snirf",
        **{
            "nirs/metaDataTags/TimeUnit": "ms",
            "nirs/data1/time": 500.0 + 100 * np.arange(4),
            "nirs/stim1/data": np.array([[600.0, 100.0, 1.0]]),
        },
    )
    (recording,) = open_dataset("snirf", tmp_path).recordings()
    (stimulus,) = recording.stimuli
    assert (stimulus.onset, stimulus.duration) == pytest.approx((0.6, 0.1))
    assert recording.signals["fnirs"].start == 0.5
    assert recording.signals["fnirs"].sampling_rate == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nirs/data1/dataTimeSeries": None}, "no nirs/data1/dataTimeSeries in it"),
        ({"nirs/metaDataTags/TimeUnit": "weeks"}, "time unit 'weeks', expected one of"),
        ({"nirs/probe/wavelengths": None}, "MNE cannot read it"),
    ],
)
def test_a_faulty_file_is_left_out_and_counted(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    write_snirf(tmp_path / "bad.snirf", **changes)
    write_snirf(tmp_path / "good.snirf")
    reader = open_dataset("snirf", tmp_path)
    assert reader.subjects() == ("good",)
    assert reason in reader.exclusions[0].reason


@pytest.mark.parametrize("data", [b"", b"no HDF5 at all", None], ids=["empty", "text", "cut"])
def test_what_is_no_hdf5(tmp_path: Path, data: bytes | None) -> None:
    write_snirf(tmp_path / "a.snirf")
    whole = (tmp_path / "a.snirf").read_bytes()
    (tmp_path / "a.snirf").write_bytes(whole[: len(whole) // 2] if data is None else data)
    (exclusion,) = open_dataset("snirf", tmp_path).exclusions
    expected = "the file is empty" if data == b"" else "not an HDF5 file, or a truncated one"
    assert expected in exclusion.reason


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    write_snirf(tmp_path / "a.snirf")
    (recording,) = open_dataset("snirf", tmp_path).recordings()
    (tmp_path / "a.snirf").unlink()
    with pytest.raises(RecordingError, match=r"a\.snirf: MNE cannot read it"):
        recording.load()


def test_a_root_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.snirf file in it"):
        open_dataset("snirf", tmp_path)


def test_the_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snirf(tmp_path / "a.snirf")
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(DependencyError, match=r'need MNE.*pip install "dolorimeter\[formats\]"'):
        open_dataset("snirf", tmp_path).recordings()


@pytest.mark.shared
def test_the_reference_files(data_root: Path) -> None:
    reader = open_dataset("fnirs_snirf_samples", data_root / "fnirs_snirf_samples")
    assert reader.subjects() == ("Simple_Probe", "neuro_run01")
    (exclusion,) = reader.exclusions
    assert exclusion.what == "minimum_example.snirf"
    assert "holds no samples" in exclusion.reason
    run = reader.recordings(["neuro_run01"])[0]
    signal = run.signals["fnirs"]
    assert signal.values.shape == (18, 8000)
    assert signal.sampling_rate == pytest.approx(20.03, abs=0.01)
    assert [s.condition for s in run.stimuli].count("1") == 4
    assert len(run.facts) == 9


def stim(rows: object, **more: object) -> dict[str, object]:
    return {"nirs/stim1/data": np.asarray(rows, dtype=float)} | more


@pytest.mark.parametrize(
    ("data", "onsets"),
    [
        ([[0.5, 0.6, 0.7], [0.1, 0.1, 0.1], [1, 1, 1]], [0.1, 0.5, 1.0]),  # 3 × 3: as the format
        ([[0.5, 0.6], [0.1, 0.1], [1, 1]], [0.1, 0.5, 1.0]),  # onset and duration per row
        ([0.5, 0.6], [0.5, 0.6]),  # onsets as a vector
        ([[0.5, 0.1, 1, 7], [0.6, 0.1, 1, 7]], None),  # four columns without labels
        (np.zeros((0, 3)), []),
    ],
)
def test_shapes_of_stimuli(tmp_path: Path, data: object, onsets: list[float] | None) -> None:
    write_snirf(tmp_path / "a.snirf", **stim(data))
    reader = open_dataset("snirf", tmp_path)
    (recording,) = reader.recordings()
    if onsets is None:
        assert recording.stimuli == ()
        (exclusion,) = reader.exclusions
        assert "data of shape (2, 4)" in exclusion.reason
    else:
        assert [s.onset for s in recording.stimuli] == pytest.approx(onsets)


def test_labels_of_columns_decide(tmp_path: Path) -> None:
    labels = np.array([b"onset", b"duration", b"value", b"code"])
    write_snirf(
        tmp_path / "a.snirf",
        **stim([[0.5, 0.1, 1, 7], [0.6, 0.1, 1, 7]], **{"nirs/stim1/dataLabels": labels}),
    )
    (recording,) = open_dataset("snirf", tmp_path).recordings()
    assert [(s.onset, s.duration) for s in recording.stimuli] == [(0.5, 0.1), (0.6, 0.1)]


def test_a_duration_of_zero_is_unknown_and_said_so(tmp_path: Path) -> None:
    write_snirf(tmp_path / "a.snirf", **stim([[0.5, 0.0, 1], [0.6, 0.1, 1]]))
    reader = open_dataset("snirf", tmp_path)
    (recording,) = reader.recordings()
    assert [(s.onset, s.duration) for s in recording.stimuli] == [(0.5, None), (0.6, 0.1)]
    assert any("duration 0, which is unknown" in note for note in reader.notes)


def test_what_is_left_out_of_stimuli_is_counted(tmp_path: Path) -> None:
    write_snirf(
        tmp_path / "a.snirf",
        **stim([[0.5], [np.nan]], **{"nirs/stim2/name": "rest"}),
    )
    reader = open_dataset("snirf", tmp_path)
    assert len(reader.recordings()[0].stimuli) == 1
    assert [e.what for e in reader.exclusions] == ["a.snirf, stim1", "a.snirf, stim2"]


def test_a_stimulus_in_two_groups_counts_once(tmp_path: Path) -> None:
    twice = {"nirs/stim2/name": "heat", "nirs/stim2/data": np.array([[0.6, 0.1, 1.0]])}
    write_snirf(tmp_path / "a.snirf", **twice)
    reader = open_dataset("snirf", tmp_path)
    assert [s.onset for s in reader.recordings()[0].stimuli] == [0.6, 0.7]
    (exclusion,) = reader.exclusions
    assert exclusion.what == "event heat at 0.6 s"


def test_a_gap_in_the_time_vector(tmp_path: Path) -> None:
    write_snirf(tmp_path / "a.snirf", **{"nirs/data1/time": np.array([0.5, 0.6, 1.0, 1.1])})
    (recording,) = open_dataset("snirf", tmp_path).recordings()
    signal = recording.signals["fnirs"]
    assert (signal.start, signal.sampling_rate) == (0.5, 10.0)
    expected = np.full((2, 7), np.nan)
    expected[:, [0, 1, 5, 6]] = SAMPLES.T
    np.testing.assert_array_equal(signal.values, expected)
    assert recording.remarks[0].detail == "0.3 s in 1 gap: 0.7–1 s"


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0.5, 0.6, 0.4, 0.5], "time runs backwards, from 0.6 to 0.4 s"),
        ([0.5, 0.6, 0.7], "3 times for 4 samples"),
        ([0.0, 0.0, 0.0, 0.1], "time stamps repeat"),
        ([0.5, np.nan, 0.7, 0.8], "1 of 4 time stamps are missing"),
    ],
)
def test_impossible_times(tmp_path: Path, times: list[float], reason: str) -> None:
    write_snirf(tmp_path / "a.snirf", **{"nirs/data1/time": np.array(times)})
    (exclusion,) = open_dataset("snirf", tmp_path).exclusions
    assert reason in exclusion.reason


def test_start_and_step_instead_of_all_times(tmp_path: Path) -> None:
    write_snirf(tmp_path / "a.snirf", **{"nirs/data1/time": np.array([2.0, 0.1])})
    signal = open_dataset("snirf", tmp_path).recordings()[0].signals["fnirs"]
    assert (signal.start, signal.sampling_rate) == (2.0, 10.0)


def test_haemoglobin_without_a_unit_is_not_confirmed(tmp_path: Path) -> None:
    labels = {
        f"nirs/data1/measurementList{k}/{key}": value
        for k, name in ((1, "HbO"), (2, "HbR"))
        for key, value in {"dataType": 99999, "dataTypeLabel": name}.items()
    }
    write_snirf(tmp_path / "a.snirf", **labels)
    hbo = open_dataset("snirf", tmp_path).recordings()[0].signals["fnirs_hbo"]
    assert (hbo.unit, hbo.unit_confirmed) == ("a.u.", False)


def test_channels_in_different_units(tmp_path: Path) -> None:
    labels = {
        f"nirs/data1/measurementList{k}/{key}": value
        for k, name, unit in ((1, "HbO", "uM"), (2, "HbR", "M"))
        for key, value in {"dataType": 99999, "dataTypeLabel": name, "dataUnit": unit}.items()
    }
    write_snirf(tmp_path / "a.snirf", **labels)
    (exclusion,) = open_dataset("snirf", tmp_path).exclusions
    assert "different units ('M', 'uM')" in exclusion.reason
