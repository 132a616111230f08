"""X-ITE: MATLAB files read here, and compared with what SciPy writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from dolorimeter.datasets.x_ite import XITE, read_stimuli, read_subject
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.types import Stimulus

DATA = np.arange(2000.0).reshape(400, 5) / 8
CODES = np.repeat([0, 2, 0, 6, -1, -5, -10, -11], 50)


def save(path: Path, **variables: object) -> Path:
    variables = {"data": DATA, "stimuli": CODES[:, None], **variables}
    savemat(path, {k: v for k, v in variables.items() if v is not None})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save(tmp_path / "S001.mat", extra={"a": 1}, note="text", empty=np.empty((0, 0)))


def test_a_recording_is_read_exactly(path: Path) -> None:
    reader = XITE(path.parent)
    (recording,) = reader.recordings()
    assert (recording.subject, recording.name) == ("S001", "S001")
    signals = recording.load().signals
    names = ["emg_corrugator", "emg_zygomaticus", "emg_trapezius", "eda", "ecg"]
    assert list(signals) == names
    for i, name in enumerate(names):
        np.testing.assert_array_equal(signals[name].values, DATA[None, :, i])
        assert (signals[name].sampling_rate, signals[name].unit) == (1000.0, "a.u.")
    heat, electric = {"modality": "heat"}, {"modality": "electric"}
    assert recording.stimuli == (
        Stimulus(0.0, 0.05, "baseline", 0, {"code": 0}),
        Stimulus(0.05, 0.05, "phasic_heat_2", 2, {"code": 2, **heat}),
        Stimulus(0.1, 0.05, "baseline", 0, {"code": 0}),
        Stimulus(0.15, 0.05, "tonic_heat_3", 3, {"code": 6, **heat}),
        Stimulus(0.2, 0.05, "phasic_electric_1", 1, {"code": -1, **electric}),
        Stimulus(0.25, 0.05, "tonic_electric_2", 2, {"code": -5, **electric}),
    )
    assert [(e.subject, e.what, e.reason) for e in reader.exclusions] == [
        ("S001", "stretch", "code -10, 0.3–0.35 s"),
        ("S001", "stretch", "code -11, 0.35–0.4 s"),
    ]


@given(
    dtype=st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]),
    compress=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_numeric_type_scipy_writes(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, compress: bool, seed: int
) -> None:
    path = tmp_path_factory.mktemp("mat") / "S001.mat"
    data = np.random.default_rng(seed).integers(0, 100, (7, 5)).astype(dtype)
    variables = {"note": "x", "data": data, "stimuli": np.zeros((1, 7))}
    savemat(path, variables, do_compression=compress)
    values = np.concatenate([s.values for s in read_subject(path).values()])
    np.testing.assert_array_equal(values, data.T)
    assert read_stimuli(path) == ((Stimulus(0.0, 0.007, "baseline", 0, {"code": 0}),), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.write_text("a,b\n" * 99), "not a MATLAB file of level 5"),
        (lambda p: p.write_bytes(p.read_bytes()[:-99]), "a damaged or truncated MATLAB file"),
        (lambda p: p.write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200)), r"MATLAB 7\.3 \(HDF5\)"),
        (lambda p: save(p, stimuli=None), "no numeric variable stimuli; it has data"),
        (lambda p: save(p, stimuli=np.array([[0.5], [1.0]])), "not one whole number a sample"),
        (lambda p: save(p, stimuli=np.array([[0], [7]])), "stimulus code 7 at 0.001 s; expected"),
        (lambda p: save(p, stimuli=np.empty((0, 1))), "the variable stimuli is empty"),
        (lambda p: save(p, stimuli=np.array([[0.0], [np.inf]])), "holds infinite numbers"),
    ],
)
def test_unreadable_files_are_left_out_and_counted(path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    change(path)
    with pytest.raises(RecordingError, match=message):
        read_stimuli(path)
    reader = XITE(path.parent)
    assert reader.recordings() == []
    assert reader.exclusions[0].what == "recording"
    assert reader.check().problems[0].kind == "unreadable"


def test_reading_names_a_wrong_shape(path: Path) -> None:
    save(path, data=DATA[:, :4])
    (recording,) = XITE(path.parent).recordings()
    with pytest.raises(
        RecordingError, match=r"data has shape \(400, 4\), expected \(samples, 5\)"
    ):
        recording.load()


def test_check_reads_everything(path: Path) -> None:
    data = DATA.copy()
    data[:, 3] = 2.0
    data[9, 4] = np.nan
    save(path, data=data)
    (path.parent / "S002.mat").write_bytes(path.read_bytes())
    (path.parent / "other.mat").write_text("stray")
    report = XITE(path.parent).check()
    found = [(p.path, p.kind, p.what) for p in report.problems]
    assert ("S001.mat", "flat", "eda: flat (one value only)") in found
    assert ("S001.mat", "nan", "ecg: missing samples (NaN)") in found
    assert ("S001.mat", "missing", "invalid: code -10, 0.3–0.35 s") in found
    assert ("S002.mat", "duplicate", "the same bytes as S001.mat") in found
    assert ("other.mat", "stray", "not a file of this data set") in found
    assert (report.subjects_found, report.subjects_expected, report.recordings) == (2, None, 2)


def test_wrong_roots(path: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match=r"is not X-ITE: looked for S###\.mat"):
        XITE(empty)
    with pytest.raises(DatasetError, match="no subject 'S999' among the 1 found"):
        XITE(tmp_path).recordings(["S999"])
    assert XITE(tmp_path).official_splits() == {}
    assert not XITE(tmp_path).lookalike
