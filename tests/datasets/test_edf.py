"""EDF and EDF+ files, written here byte by byte."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, DependencyError
from dolorimeter.types import Stimulus

pytest.importorskip("mne")

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
    write_edf(tmp_path / "a.edf", labels=("GSR", "GSR", "x"))
    (exclusion,) = open_dataset("edf", tmp_path).exclusions
    assert "two channels have one label" in exclusion.reason


def test_a_root_without_such_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no \.edf or \.bdf file in it"):
        open_dataset("edf", tmp_path)


def test_the_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_edf(tmp_path / "a.edf")
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(DependencyError, match=r'pip install "dolorimeter\[formats\]"'):
        open_dataset("edf", tmp_path).recordings()
