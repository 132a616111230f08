"""Tables of action units, made in the layouts that OpenFace, py-feat and LibreFace write."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.action_unit_tables import OPENFACE3_UNITS, read_action_units
from dolorimeter.errors import ConfigError, FileReadError, RecordingError
from dolorimeter.signals.action_units import pain_expression, pspi_proxy

OPENFACE2 = (
    "frame, timestamp, confidence, success, x_0, AU04_r, AU07_r, AU45_r, AU04_c, AU28_c, AU45_c\n"
    "1, 0.00, 0.98, 1, 5.1, 2.50, 1.00, 3.0, 1, 1, 1\n"
    "2, 0.30, 0.98, 1, 5.1, 0.00, 5.00, 3.0, 0, 0, 1\n"
    "3, 0.60, 0.02, 0, 0.0, 0.00, 0.00, 0.0, 0, 0, 0\n"
    "4, 0.90, 0.98, 1, 5.1, 0.10, 0.20, 0.0, 0, 0, 0\n"
)
OPENFACE3 = (
    "timestamp,image_path,face_id,face_detection,landmarks,emotion,gaze_yaw,gaze_pitch,action_units\n"
    '17.5,a.jpg,0,"[1, 2, 3, 4]","[[1, 2], [3, 4]]",1,0.1,0.2,'
    '"[[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]]"\n'
    '17.6,b.jpg,0,"[1, 2, 3, 4]","[[1, 2], [3, 4]]",1,0.1,0.2,\n'
)
PYFEAT = (
    "FaceRectX,FaceScore,AU01,AU04,AU06,AU07,AU09,AU10,AU12,AU43,anger,input,frame,approx_time\n"
    "10.5,0.99,0.1,0.2,0.3,1.0,0.0,0.5,0.25,0.75,0.05,a.mp4,0,00:00\n"
    ",,,,,,,,,,,a.mp4,5,00:00\n"
)
LIBREFACE = (
    "frame_idx,frame_time_in_ms,yaw,au_1,au_4,au_7,au_10,au_1_intensity,au_4_intensity,facial_expression\n"
    "0,0.0,1.5,0,1,1,0,0.5,2.5,Happiness\n"
    "1,40.0,1.5,0,0,0,1,0.0,5.0,Neutral\n"
    "2,80.0,,,,,,,,\n"
)


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_openface2(tmp_path: Path) -> None:
    au = read_action_units(write(tmp_path, OPENFACE2))
    assert au.names == ("au4", "au7", "au28", "au43")
    assert au.scale == "openface_intensity"
    assert au.unit_scales == {"au28": "presence", "au43": "presence"}
    np.testing.assert_array_equal(au.unit("au4"), [2.5, 0.0, np.nan, 0.1])
    np.testing.assert_array_equal(au.unit("au28"), [1, 0, np.nan, 0])
    np.testing.assert_array_equal(au.times, [0.0, 0.3, 0.6, 0.9])
    assert au.source == "openface2 (t.csv)"
    assert au.trust["au43"] < au.trust["au4"] < 1
    assert pspi_proxy(au).unmeasured == ("au6", "au9", "au10")


def test_openface2s_blink_is_au43_only_where_it_lasts(tmp_path: Path) -> None:
    path = write(tmp_path, OPENFACE2)
    np.testing.assert_array_equal(read_action_units(path).unit("au43"), [1, 1, np.nan, 0])
    fast = read_action_units(path, frame_rate=25.0)
    np.testing.assert_allclose(fast.times, [0.0, 0.04, 0.08, 0.12])
    np.testing.assert_array_equal(fast.unit("au43"), [0, 0, np.nan, 0])


def test_openface3(tmp_path: Path) -> None:
    au = read_action_units(write(tmp_path, OPENFACE3), frame_rate=10.0)
    assert au.names == OPENFACE3_UNITS
    np.testing.assert_allclose(au.values[0], np.arange(8) / 10)
    assert np.isnan(au.values[1]).all()
    assert au.scale == "probability"
    np.testing.assert_allclose(au.times, [0.0, 0.1])
    assert set(au.trust.values()) == {0.3}
    tabs = write(
        tmp_path, OPENFACE3.replace('"', "").replace(", ", "; ").replace(",", "\t"), "t.tsv"
    )
    tabs.write_text(tabs.read_text().replace("; ", ", "))
    np.testing.assert_array_equal(read_action_units(tabs).values, au.values)
    assert np.isnan(read_action_units(tabs).times).all()


def test_pyfeat(tmp_path: Path) -> None:
    path = write(tmp_path, PYFEAT)
    au = read_action_units(path, frame_rate=25.0)
    assert au.scale == "probability"
    assert au.unit_scales == {}
    assert au.unit("au43").tolist()[0] == 0.75
    assert np.isnan(au.values[1]).all()
    np.testing.assert_allclose(au.times, [0.0, 0.2])
    assert np.isnan(read_action_units(path).times).all()  # approx_time has whole seconds only
    wanted = (5 * 0.2 + 0.75 + (1 - 0.25) * (5 * 1.0 + 5 * 0.5)) / 16
    np.testing.assert_allclose(pain_expression(au), [wanted, np.nan])


def test_libreface_has_two_scales(tmp_path: Path) -> None:
    au = read_action_units(write(tmp_path, LIBREFACE))
    assert au.names == ("au1", "au4", "au7", "au10")
    assert au.scale_of("au4") == "libreface_intensity"
    assert au.scale_of("au7") == au.scale_of("au10") == "presence"
    np.testing.assert_array_equal(au.unit("au4"), [2.5, 5.0, np.nan])
    np.testing.assert_array_equal(au.unit("au7"), [1, 0, np.nan])
    np.testing.assert_allclose(au.times, [0.0, 0.04, 0.08])
    proxy = pspi_proxy(au)
    np.testing.assert_allclose(proxy.lower, [(2.5 + 5 + 0) / 16, (5 + 0 + 5) / 16, 0])
    assert np.isnan(proxy.value[2])


def test_gzipped_and_by_name_it_is_the_same(tmp_path: Path) -> None:
    plain = read_action_units(write(tmp_path, PYFEAT), "py-feat")
    packed = tmp_path / "t2.csv.gz"
    packed.write_bytes(gzip.compress(PYFEAT.encode()))
    np.testing.assert_array_equal(read_action_units(packed).values, plain.values)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n1,2\n", ConfigError, "not a table of action units that we know.*'a', 'b'"),
        ("", RecordingError, "empty"),
        (OPENFACE2.replace("2.50", "7.50"), RecordingError, "au4 goes from 0 to 7.5.*0…5"),
        (OPENFACE2.replace("AU07_r", "AU08_r"), RecordingError, "somebody numbered OpenFace 3"),
        (OPENFACE2.replace(" success,", " score,"), RecordingError, "no column success"),
        (OPENFACE2.replace("2.50", "two"), RecordingError, "is not a number"),
        (OPENFACE2.replace("2, 0.30", "1, 0.30"), RecordingError, "2 rows for frame 1"),
        (OPENFACE2.replace("0.90", "0.10"), RecordingError, "do not ascend"),
        (PYFEAT.replace("0.99,0.1", "0.99,1.7"), RecordingError, "au1 goes from 1.7 to 1.7.*0…1"),
        (PYFEAT.replace("0.99,0.1", "0.99,-0.7"), RecordingError, "au1 goes from -0.7"),
        (OPENFACE3.replace(", 0.7]]", "]]"), RecordingError, "line 2: 7 action units, expected 8"),
        (OPENFACE3.replace("[[0.0", "[[zero"), RecordingError, "line 2: action_units is"),
        (OPENFACE3.replace("0.7]]", "1.7]]"), RecordingError, "au26 goes from"),
        (LIBREFACE.replace("0,1,1,0,0.5", "0,1,0.5,0,0.5"), RecordingError, "au7 has the value"),
        (LIBREFACE.replace("2.5,Happ", "9.5,Happ"), RecordingError, "au4 goes from 5 to 9.5"),
    ],
)  # fmt: skip
def test_faults_are_named(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_action_units(write(tmp_path, text))


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, PYFEAT)
    with pytest.raises(ConfigError, match="facereader"):
        read_action_units(path, "facereader")
    with pytest.raises(ConfigError, match="frame_rate is 0"):
        read_action_units(path, frame_rate=0.0)
    with pytest.raises(ConfigError, match="no column face_id or face or Identity"):
        read_action_units(path, face=1)
    with pytest.raises(FileReadError, match=r"missing\.csv"):
        read_action_units(tmp_path / "missing.csv")


def test_of_several_people_one_must_be_named(tmp_path: Path) -> None:
    lines = OPENFACE3.splitlines()
    both = "\n".join([lines[0], lines[1], lines[1].replace(",0,", ",3,", 1).replace("0.7", "0.9")])
    path = write(tmp_path, both.replace("17.5,a.jpg,3", "17.7,a.jpg,3") + "\n")
    with pytest.raises(RecordingError, match=r"2 faces \(face_id 0, 3\), expected one"):
        read_action_units(path)
    assert read_action_units(path, face=3).unit("au26").tolist() == [0.9]
    with pytest.raises(RecordingError, match="no face_id 2; there are 0, 3"):
        read_action_units(path, face=2)


@pytest.mark.shared
def test_a_real_openface_table(data_root: Path) -> None:
    path = data_root / "faces" / "OpenFace_Test.csv"
    au = read_action_units(path, frame_rate=30.0)
    assert len(au) == 100
    assert au.names[:3] == ("au1", "au2", "au4")
    assert not np.isnan(au.values).any()
    assert pspi_proxy(au).unmeasured == ()
    assert np.all(pspi_proxy(au).lower == pspi_proxy(au).upper)
    assert np.all((pain_expression(au) >= 0) & (pain_expression(au) <= 1))
