"""AcqKnowledge files, made here field by field (version 3.8.1, uncompressed, little-endian)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, DependencyError
from dolorimeter.types import Stimulus

headers = pytest.importorskip("bioread.headers")

REVISION = 41


def header(kind: type, **fields: object) -> bytes:
    """One header of the format, its length field first, everything unnamed zero."""
    made = kind.for_revision(REVISION, "<")  # type: ignore[attr-defined]
    values = made._struct_class()
    for name, value in fields.items():
        setattr(values, name, value)
    return bytes(values)


def write_acq(path: Path, *, markers: bytes = b"") -> None:
    """EDA as 16-bit counts of 0.01 microsiemens, ECG as floats in mV, 50 samples at 100 Hz."""
    graph = header(headers.GraphHeader, lVersion=REVISION, nChannels=2, dSampleTime=10.0)
    length = len(graph)
    graph = header(
        headers.GraphHeader,
        lVersion=REVISION,
        lExtItemHeaderLen=length,
        nChannels=2,
        dSampleTime=10.0,
    )
    channels = b""
    for order, (name, unit, scale) in enumerate(
        ((b"GSR", b"microsiemens", 0.01), (b"ECG", b"mV", 1.0))
    ):
        size = len(header(headers.ChannelHeader))
        channels += header(
            headers.ChannelHeader,
            lChanHeaderLen=size,
            nNum=order,
            szCommentText=name,
            szUnitsText=unit,
            lBufLength=50,
            dAmplScale=scale,
            nChanOrder=order,
            nVarSampleDivider=1,
        )
    foreign = header(headers.ForeignHeader, nLength=4)
    kinds = struct.pack("<hhhh", 2, 2, 8, 1)
    data = b"".join(struct.pack("<hd", 100 + i, i / 10) for i in range(50))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph + channels + foreign + kinds + data + markers)


def test_the_exact_recording(tmp_path: Path) -> None:
    write_acq(tmp_path / "lab" / "p01.acq")
    reader = open_dataset("acqknowledge", tmp_path)
    (recording,) = reader.recordings()
    assert (recording.subject, recording.name) == ("lab/p01", "lab/p01")
    assert list(recording.signals) == ["eda", "ecg"]
    eda, ecg = recording.signals["eda"], recording.signals["ecg"]
    np.testing.assert_allclose(eda.values, [(100 + np.arange(50)) * 0.01 * 1e-6], rtol=1e-12)
    np.testing.assert_allclose(ecg.values, [np.arange(50) / 10 * 1e-3], rtol=1e-12)
    assert (eda.unit, eda.unit_confirmed, eda.quantity) == ("S", True, "conductance")
    assert (ecg.unit, ecg.sampling_rate, ecg.quantity) == ("V", 100.0, "voltage")
    assert reader.check().problems == ()
    assert reader.official_splits() == {}
    assert reader.subjects() == ("lab/p01",)


def test_a_single_file_and_other_names(tmp_path: Path) -> None:
    write_acq(tmp_path / "p01.acq")
    reader = open_dataset("acqknowledge", tmp_path / "p01.acq", names={"ECG": "emg_trapezius"})
    (recording,) = reader.recordings(["p01"])
    assert list(recording.signals) == ["eda", "emg_trapezius"]


def test_markers_are_stimuli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_acq(tmp_path / "p01.acq")
    bioread = pytest.importorskip("bioread")
    data = bioread.read(str(tmp_path / "p01.acq"))
    marker = type("Marker", (), {"sample_index": 25, "text": "heat on"})
    data.event_markers = [marker, type("Marker", (), {"sample_index": 40, "text": " "})]
    monkeypatch.setattr(bioread, "read", lambda path: data)
    (recording,) = open_dataset("acqknowledge", tmp_path).recordings()
    assert recording.stimuli == (Stimulus(0.25, None, "heat on"), Stimulus(0.4, None, "event"))


def test_a_channel_that_no_file_has_cannot_be_renamed(tmp_path: Path) -> None:
    write_acq(tmp_path / "p01.acq")
    with pytest.raises(ConfigError, match=r"names= asks for 'EMG'.*there are 'ECG', 'GSR'"):
        open_dataset("acqknowledge", tmp_path, names={"EMG": "emg_trapezius"}).recordings()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "zeros"])
def test_a_damaged_file_is_left_out_and_counted(tmp_path: Path, damage: str) -> None:
    write_acq(tmp_path / "good.acq")
    data = (tmp_path / "good.acq").read_bytes()
    bad = {"cut": data[:900], "empty": b"", "text": b"time,eda\n0,1\n" * 90, "zeros": bytes(5000)}
    (tmp_path / "bad.acq").write_bytes(bad[damage])
    reader = open_dataset("acqknowledge", tmp_path)
    assert reader.subjects() == ("good",)
    (exclusion,) = reader.exclusions
    assert (exclusion.subject, exclusion.what) == ("bad", "bad.acq")
    assert "empty" in exclusion.reason or "truncated" in exclusion.reason
    assert reader.check().count("unreadable") == 1


def test_a_root_without_such_files(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1")
    with pytest.raises(DatasetError, match=r"no \.acq file in it"):
        open_dataset("acqknowledge", tmp_path)


def test_the_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_acq(tmp_path / "p01.acq")
    monkeypatch.setitem(__import__("sys").modules, "bioread", None)
    with pytest.raises(DependencyError, match=r'pip install "dolorimeter\[formats\]"'):
        open_dataset("acqknowledge", tmp_path).recordings()


def with_markers(
    path: Path, monkeypatch: pytest.MonkeyPatch, *markers: tuple[int, str, str, float | None]
) -> None:
    """Let the file have markers: sample, text, type, and second at which it was set."""
    bioread = pytest.importorskip("bioread")
    event = pytest.importorskip("bioread.biopac").EventMarker
    read = bioread.read

    def read_with_markers(name: str) -> object:
        data = read(name)
        data.event_markers = [
            event(at / 100, at, text, None, None, None if when is None else int(1000 * when), kind)
            for at, text, kind, when in markers
        ]
        return data

    write_acq(path)
    monkeypatch.setattr(bioread, "read", read_with_markers)


def test_markers_of_version_5_are_no_stimuli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_markers(
        tmp_path / "p01.acq",
        monkeypatch,
        (0, "Segment 1", "apnd", 1.6e9),
        (10, "", "qrs ", 1.6e9),
        (20, "", "defl", 1.6e9),
        (30, "heat", "usr1", 1.6e9),
    )
    (recording,) = open_dataset("acqknowledge", tmp_path).recordings()
    assert recording.stimuli == (
        Stimulus(0.1, None, "QRS Peak"),
        Stimulus(0.2, None, "event"),
        Stimulus(0.3, None, "heat"),
    )
    assert recording.remarks == ()


def test_a_pause_of_known_length_becomes_missing_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_markers(
        tmp_path / "p01.acq",
        monkeypatch,
        (0, "Segment 1", "apnd", 1.6e9),
        (10, "before", "defl", 1.6e9 + 0.1),
        (20, "Segment 2", "apnd", 1.6e9 + 0.2 + 2.0),  # 2 s of pause
        (40, "after", "defl", 1.6e9 + 2.4),
    )
    (recording,) = open_dataset("acqknowledge", tmp_path).recordings()
    assert [(s.condition, s.onset) for s in recording.stimuli] == [
        ("before", pytest.approx(0.1)),
        ("after", pytest.approx(2.4)),
    ]
    ecg = recording.signals["ecg"].values[0]
    truth = np.concatenate([np.arange(20), np.full(200, np.nan), np.arange(20, 50)]) / 1e4
    np.testing.assert_allclose(ecg, truth, rtol=1e-12)
    assert recording.remarks[0].detail == "2 s in 1 gap: 0.2–2.2 s"


def test_a_pause_of_unknown_length_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_markers(
        tmp_path / "p01.acq",
        monkeypatch,
        (0, "Segment 1", "apnd", None),
        (20, "Segment 2", "apnd", None),
    )
    (recording,) = open_dataset("acqknowledge", tmp_path).recordings()
    ecg = recording.signals["ecg"].values[0]
    assert np.flatnonzero(np.isnan(ecg)).tolist() == [20]
    assert "interrupted for an unknown time" in recording.remarks[0].kind


def test_a_pause_that_no_clock_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_markers(
        tmp_path / "p01.acq",
        monkeypatch,
        (0, "Segment 1", "apnd", 1.6e9),
        (20, "Segment 2", "apnd", 1.5e9),
    )
    (exclusion,) = open_dataset("acqknowledge", tmp_path).exclusions
    assert "Was the clock set" in exclusion.reason


def test_a_strange_exception_of_the_library_costs_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StrangeError(Exception):
        """No class that a reader knows."""

    bioread = pytest.importorskip("bioread")
    read = bioread.read

    def read_or_fail(name: str) -> object:
        if "bad" in name:
            raise StrangeError("odd")
        return read(name)

    write_acq(tmp_path / "bad.acq")
    write_acq(tmp_path / "good.acq")
    monkeypatch.setattr(bioread, "read", read_or_fail)
    reader = open_dataset("acqknowledge", tmp_path)
    assert reader.subjects() == ("good",)
    (exclusion,) = reader.exclusions
    assert "bad.acq: bioread cannot read it (StrangeError: odd)" in exclusion.reason
