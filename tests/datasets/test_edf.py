"""EDF and EDF+ files, written here byte by byte."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.types import Stimulus

RECORDS = 3
RAMP = np.arange(-150, 150)


def fields(values: Sequence[object], width: int) -> bytes:
    return b"".join(str(value).ljust(width).encode("latin-1") for value in values)


def write_edf(
    path: Path,
    *,
    labels: Sequence[str] = ("GSR", "EKG", "Foo 1"),
    units: Sequence[str] = ("uS", "mV", "parsec"),
    rates: Sequence[int] = (10, 50, 100),
    annotations: bool = False,
) -> None:
    """Three one-second records; a physical unit is a tenth of a digital one."""
    names, dims, counts = list(labels), list(units), list(rates)
    if annotations:
        names, dims, counts = [*names, "EDF Annotations"], [*dims, ""], [*counts, 30]
    n = len(names)
    head = fields(["0"], 8) + fields(["X X X X", "Startdate 01-JAN-2020 X X X"], 80)
    head += fields(["01.01.20", "10.00.00", 256 * (n + 1)], 8)
    head += fields(["EDF+C" if annotations else ""], 44) + fields([RECORDS, 1], 8) + fields([n], 4)
    head += fields(names, 16) + fields([""] * n, 80) + fields(dims, 8)
    for limit in (-3276.8, 3276.7, -32768, 32767):
        head += fields([limit] * n, 8)
    head += fields([""] * n, 80) + fields(counts, 8) + fields([""] * n, 32)
    body = b""
    for record in range(RECORDS):
        for name, rate in zip(names, counts, strict=True):
            if name == "EDF Annotations":
                text = f"+{record}\x14\x14\x00".encode()
                if record == 0:
                    text += b"+0.5\x151.5\x14heat\x14\x00+2\x14press\x14\x00"
                body += text.ljust(2 * rate, b"\x00")
            else:
                body += RAMP[record * rate : (record + 1) * rate].astype("<i2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + body)


def test_the_exact_recording(tmp_path: Path) -> None:
    write_edf(tmp_path / "sub-03_task-heat_eeg.edf")
    reader = open_dataset("edf", tmp_path)
    (recording,) = reader.recordings(["03"])
    assert recording.name == "sub-03_task-heat_eeg"
    assert list(recording.signals) == ["eda", "ecg", "foo_1"]
    eda, ecg, foo = (recording.signals[k] for k in ("eda", "ecg", "foo_1"))
    assert [s.sampling_rate for s in (eda, ecg, foo)] == [10.0, 50.0, 100.0]
    np.testing.assert_allclose(eda.values, [RAMP[:30] * 0.1e-6], rtol=1e-9)
    np.testing.assert_allclose(ecg.values, [RAMP[:150] * 0.1e-3], rtol=1e-9)
    np.testing.assert_allclose(foo.values, [RAMP * 0.1], rtol=1e-9)
    assert (eda.unit, eda.unit_confirmed, eda.quantity) == ("S", True, "conductance")
    assert (ecg.unit, ecg.unit_confirmed, ecg.quantity) == ("V", True, "voltage")
    assert (foo.unit, foo.unit_confirmed, foo.quantity) == ("parsec", False, "other")
    assert recording.stimuli == ()
    assert reader.check().problems == ()
    assert reader.official_splits() == {}


@pytest.mark.parametrize("name", ["sub-01.edf", "sub-01.EDF", "sub-01_ses-1_eeg.edf"])
def test_a_name_of_bids_gives_the_subject(tmp_path: Path, name: str) -> None:
    write_edf(tmp_path / name)
    (recording,) = open_dataset("edf", tmp_path).recordings()
    assert (recording.subject, recording.name) == ("01", name[:-4])


def test_annotations_are_stimuli(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", annotations=True)
    (recording,) = open_dataset("edf", tmp_path / "a.edf").recordings()
    assert recording.stimuli == (Stimulus(0.5, 1.5, "heat"), Stimulus(2.0, None, "press"))
    assert list(recording.signals) == ["eda", "ecg", "foo_1"]


def test_names_are_mapped_as_told(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", units=("uS", "mV", "uV"))
    reader = open_dataset("edf", tmp_path, names={"Foo 1": "emg_corrugator"})
    signal = reader.recordings()[0].signals["emg_corrugator"]
    assert (signal.unit, signal.quantity) == ("V", "voltage")
    np.testing.assert_allclose(signal.values, [RAMP * 0.1e-6], rtol=1e-9)
    with pytest.raises(ConfigError, match=r"names= asks for 'Bar'.*there are 'EKG', 'Foo 1'"):
        open_dataset("edf", tmp_path, names={"Bar": "emg_corrugator"}).recordings()


def test_skin_conductance_in_volts_is_no_conductance(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", units=("mV", "mV", "uV"))
    eda = open_dataset("edf", tmp_path).recordings()[0].signals["eda"]
    assert (eda.unit, eda.unit_confirmed, eda.quantity) == ("V", False, "other")


def damaged(data: bytes, kind: str) -> bytes:
    return {
        "empty": b"",
        "text": b"time,eda\n0,1\n" * 100,
        "cut": data[:-100],
        "header cut": data[:300],
        "count": data[:252] + b"abcd" + data[256:],
        "rate": data.replace(fields([10, 50, 100], 8), fields([0, 50, 100], 8)),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "the file is empty"),
        ("text", "which is neither EDF nor BDF"),
        ("cut", "bytes, expected 1,"),
        ("header cut", "damaged header"),
        ("count", "damaged header"),
        ("rate", "expected at least one signal, with samples"),
    ],
)
def test_a_damaged_file_is_left_out_and_counted(tmp_path: Path, kind: str, reason: str) -> None:
    write_edf(tmp_path / "good.edf")
    (tmp_path / "bad.edf").write_bytes(damaged((tmp_path / "good.edf").read_bytes(), kind))
    reader = open_dataset("edf", tmp_path)
    assert reader.subjects() == ("good",)
    (exclusion,) = reader.exclusions
    assert exclusion.what == "bad.edf"
    assert reason in exclusion.reason


def test_two_channels_of_one_label(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", labels=("GSR", "GSR", "x"), units=("uS", "mS", "uS"))
    (recording,) = open_dataset("edf", tmp_path).recordings()
    assert list(recording.signals) == ["eda", "eda_2", "x"]
    np.testing.assert_allclose(recording.signals["eda_2"].values, [RAMP[:150] * 0.1e-3])
    assert recording.signals["eda_2"].quantity == "conductance"


def test_a_channel_without_a_scale_is_left_out_alone(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf")
    data = bytearray((tmp_path / "a.edf").read_bytes())
    at = 256 + 128 * 3  # digital maximum of the first channel
    data[at : at + 8] = fields([-32768], 8)
    (tmp_path / "a.edf").write_bytes(bytes(data))
    reader = open_dataset("edf", tmp_path)
    assert list(reader.recordings()[0].signals) == ["ecg", "foo_1"]
    (exclusion,) = reader.exclusions
    assert exclusion.what == "a.edf, channel GSR"
    assert "no scale" in exclusion.reason


def test_a_root_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.edf or \.bdf file in it"):
        open_dataset("edf", tmp_path)


@pytest.mark.extra("formats")
def test_the_samples_are_those_of_mne(tmp_path: Path) -> None:
    import mne

    write_edf(tmp_path / "a.edf", rates=(100, 100, 100), annotations=True)
    raw = mne.io.read_raw_edf(tmp_path / "a.edf", preload=True, verbose="ERROR")
    signals = open_dataset("edf", tmp_path).recordings()[0].signals
    np.testing.assert_allclose(signals["ecg"].values, raw.get_data(["EKG"]), rtol=1e-9)
    np.testing.assert_allclose(signals["foo_1"].values, raw.get_data(["Foo 1"]), rtol=1e-9)


def write_bdf(path: Path, values: np.ndarray) -> None:
    """One channel of 24 bits, 100 Hz, in microvolts; a physical unit is a digital one."""
    head = b"\xffBIOSEMI" + fields(["", "Startdate"], 80)
    head += fields(["01.01.20", "10.00.00", 512], 8) + fields(["24BIT"], 44)
    head += fields([len(values) // 100, 1], 8) + fields([1], 4)
    head += fields(["EMG"], 16) + fields([""], 80) + fields(["uV"], 8)
    head += fields([-8388608, 8388607, -8388608, 8388607], 8)
    head += fields([""], 80) + fields([100], 8) + fields([""], 32)
    body = b"".join(int(v).to_bytes(3, "little", signed=True) for v in values)
    path.write_bytes(head + body)


def test_a_bdf_file_has_24_bits(tmp_path: Path) -> None:
    values = np.array([-8388608, -1, 0, 1, 8388607, 70000, -70000, 255, 256, -256] * 20)
    write_bdf(tmp_path / "a.BDF", values)
    (recording,) = open_dataset("edf", tmp_path).recordings()
    np.testing.assert_allclose(recording.signals["emg"].values, [values * 1e-6], rtol=1e-9)


@pytest.mark.extra("formats")
def test_bdf_samples_are_those_of_mne(tmp_path: Path) -> None:
    import mne

    values = np.random.default_rng(0).integers(-8_000_000, 8_000_000, 300)
    write_bdf(tmp_path / "a.bdf", values)
    raw = mne.io.read_raw_bdf(tmp_path / "a.bdf", preload=True, verbose="ERROR")
    ours = open_dataset("edf", tmp_path).recordings()[0].signals["emg"].values
    np.testing.assert_allclose(ours, raw.get_data(), rtol=1e-9)


def test_a_gzipped_file(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", annotations=True)
    plain = open_dataset("edf", tmp_path / "a.edf").recordings()[0].load()
    (tmp_path / "b.edf.gz").write_bytes(gzip.compress((tmp_path / "a.edf").read_bytes()))
    (tmp_path / "a.edf").unlink()
    (zipped,) = open_dataset("edf", tmp_path).recordings()
    assert zipped.stimuli == plain.stimuli
    np.testing.assert_array_equal(zipped.signals["eda"].values, plain.signals["eda"].values)


def test_a_recording_that_was_not_closed_has_no_count(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf")
    data = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(data[:236] + fields([-1], 8) + data[244:])
    (recording,) = open_dataset("edf", tmp_path).recordings()
    assert recording.signals["foo_1"].values.shape == (1, 300)


def with_stamps(path: Path, stamps: Sequence[str], *, kind: str = "EDF+D") -> None:
    """A file with annotations whose records begin at `stamps`."""
    write_edf(path, annotations=True)
    data = path.read_bytes().replace(b"EDF+C", kind.encode(), 1)
    for record, stamp in enumerate(stamps):
        old = f"+{record}\x14\x14\x00".encode()
        new = f"+{stamp}\x14\x14\x00".encode()
        assert data.count(old) == 1
        # the list is padded with zeros, so that its length can change
        at = data.index(old)
        end = at + 60
        entry = data[at:end].replace(old, new)
        data = data[:at] + entry[:60].ljust(60, b"\0") + data[end:]
    path.write_bytes(data)


def test_a_gap_shorter_than_a_record(tmp_path: Path) -> None:
    with_stamps(tmp_path / "a.edf", ["0", "1.25", "2.25"])
    (recording,) = open_dataset("edf", tmp_path).recordings()
    foo = recording.signals["foo_1"]
    assert foo.values.shape == (1, 325)
    assert np.isnan(foo.values[0]).nonzero()[0].tolist() == list(range(100, 125))
    np.testing.assert_allclose(foo.values[0, 125:], RAMP[100:] * 0.1, rtol=1e-9)
    assert recording.remarks[0].detail == "0.25 s in 1 gap: 1–1.25 s"


def test_records_that_begin_late_move_the_clock(tmp_path: Path) -> None:
    with_stamps(tmp_path / "a.edf", ["0.5", "1.5", "2.5"], kind="EDF+C")
    (recording,) = open_dataset("edf", tmp_path).recordings()
    assert {s.start for s in recording.signals.values()} == {0.5}
    assert recording.remarks == ()


def test_records_that_overlap(tmp_path: Path) -> None:
    with_stamps(tmp_path / "a.edf", ["0", "0.5", "1.5"])
    (exclusion,) = open_dataset("edf", tmp_path).exclusions
    assert "begins before the block before it ends" in exclusion.reason
    with_stamps(tmp_path / "a.edf", ["0", "0.5", "1.5"], kind="EDF+C")
    (recording,) = open_dataset("edf", tmp_path).recordings()
    assert recording.signals["foo_1"].values.shape == (1, 300), "the header says: continuous"
    assert "contradict the header" in recording.remarks[0].kind


def test_a_clock_that_was_set(tmp_path: Path) -> None:
    with_stamps(tmp_path / "a.edf", ["0", "1", "999999"])
    (exclusion,) = open_dataset("edf", tmp_path).exclusions
    assert "was the clock set" in exclusion.reason


def test_an_annotation_that_is_written_twice(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", annotations=True)
    data = (tmp_path / "a.edf").read_bytes()
    old = b"+0.5\x151.5\x14heat\x14\x00+2\x14press\x14\x00"
    new = b"+0.5\x151.5\x14heat\x14heat\x14\x00+2\x14press\x14\x00"
    assert old in data
    padded = data.replace(old + b"\0" * 5, new)
    (tmp_path / "a.edf").write_bytes(padded)
    reader = open_dataset("edf", tmp_path)
    assert reader.recordings()[0].stimuli == (
        Stimulus(0.5, 1.5, "heat"),
        Stimulus(2.0, None, "press"),
    )
    (exclusion,) = reader.exclusions
    assert exclusion.what == "event heat at 0.5 s"
    (problem,) = [p for p in reader.check().problems if p.kind == "event"]
    assert (problem.path, problem.severity) == ("a, event heat at 0.5 s", "warning")


def test_the_user_states_a_unit(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", units=("", "mV", ""))
    plain = open_dataset("edf", tmp_path)
    eda = plain.recordings()[0].signals["eda"]
    assert (eda.unit, eda.unit_confirmed) == ("a.u.", False)
    (problem,) = [p for p in plain.check().problems if p.kind == "unit"]
    assert "--option unit.eda=" in problem.what
    stated = open_dataset("edf", tmp_path, unit={"eda": "uS"})
    signal = stated.recordings()[0].signals["eda"]
    np.testing.assert_allclose(signal.values, [RAMP[:30] * 0.1e-6], rtol=1e-9)
    assert (signal.unit, signal.unit_confirmed) == ("S", True)
    assert stated.recordings()[0].remarks[0].detail == "eda: uS"
    with pytest.raises(ConfigError, match=r"no file has the signal 'eta'.*mean 'eda'"):
        open_dataset("edf", tmp_path, unit={"eta": "uS"}).recordings()


def test_sessions_of_one_subject(tmp_path: Path) -> None:
    for name in ("P01_day1", "P01_day2", "P02_day1"):
        write_edf(tmp_path / f"{name}.edf")
    reader = open_dataset("edf", tmp_path, subject="{subject}_day{session}")
    assert reader.subjects() == ("P01", "P02")
    assert [r.name for r in reader.recordings(["P01"])] == ["P01_day1", "P01_day2"]
    undeclared = open_dataset("edf", tmp_path)
    assert undeclared.subjects() == ("P01_day1", "P01_day2", "P02_day1")
    assert any("look like recordings of one subject" in note for note in undeclared.notes)
    assert undeclared.check().count("label") == 1
