"""Readers of pictures: files as people have them, with what is wrong with them counted."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.pretraining._pictures import decode, fit
from dolorimeter.pretraining._shards import NpzShards, TarShards
from dolorimeter.pretraining._sources import Block, ImageFolders, Source, Table


def picture(value: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """A gradient that tells red, green and blue apart."""
    red = np.linspace(0, 200, size[1])[None] + np.zeros((size[0], 1))
    return np.stack((red, np.full(size, value), 255 - red), axis=2).astype(np.uint8)


def encoded(value: int, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, picture(value)[..., ::-1])[1].tobytes()


def write(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(value, path.suffix))


def listed(source: Source, *columns: str) -> list[Block]:
    return list(source.blocks(columns))


def test_a_picture_is_rgb_its_middle_square_and_of_the_size_asked_for() -> None:
    found = fit(decode(encoded(90), "x.png"), 20)
    assert found.shape == (3, 20, 20)
    middle = picture(90)[:, 4:44]
    wanted = cv2.resize(middle, (20, 20), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    assert (found == wanted).all()
    assert (fit(picture(1), 40) == picture(1)[:, 4:44].transpose(2, 0, 1)).all()
    assert fit(picture(1), 64).shape == (3, 64, 64)


def test_grey_and_transparent_pictures_become_rgb() -> None:
    grey = cv2.imencode(".png", np.full((8, 8), 77, np.uint8))[1].tobytes()
    clear = cv2.imencode(".png", np.full((8, 8, 4), 77, np.uint8))[1].tobytes()
    for content in (grey, clear):
        assert (decode(content, "x") == np.full((8, 8, 3), 77)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x: an empty file"),
        (b"GIF89a nothing", "x: not a picture that OpenCV reads"),
        (encoded(3, ".jpg")[:-80], "x: a JPEG that is cut short"),
        (encoded(3)[:-20], "x: a PNG that is cut short"),
        (encoded(3)[:60] + b"\0" + encoded(3)[61:], "x: a PNG whose checksum is wrong"),
    ],
)
def test_a_damaged_picture_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        decode(content, "x")


def test_folders_are_people_and_classes(tmp_path: Path) -> None:
    for who in ("anna", "ben"):
        for kind in ("pain", "rest"):
            write(tmp_path / who / kind / "1.png", 10 if kind == "rest" else 20)
    write(tmp_path / "anna" / "pain" / "late" / "2.jpg", 30)
    write(tmp_path / "anna" / "loose.png", 5)
    (tmp_path / "anna" / "pain" / "notes.txt").write_text("?")
    (tmp_path / ".cache").mkdir()
    write(tmp_path / ".cache" / "x" / "1.png", 0)
    source = ImageFolders(str(tmp_path), "identity/class")
    (block,) = listed(source, "class")
    assert block.labels == {"class": ["pain", "pain", "rest", "pain", "rest"]}
    assert block.people == ["anna", "anna", "anna", "ben", "ben"]
    assert block.faults == {
        "a file that is no picture": 1,
        "a picture outside the folders identity/class": 1,
    }
    assert source.picture(0, 2, 40)[1, 0, 0] == 10
    (only,) = listed(ImageFolders(str(tmp_path), "class"), "class")
    assert only.people is None
    assert set(only.labels["class"]) == {"anna", "ben"}
    turned = ImageFolders(str(tmp_path), "class/identity")
    assert listed(turned, "identity")[0].people == ["pain", "pain", "rest", "pain", "rest"]


def test_folders_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        listed(ImageFolders(str(tmp_path / "absent"), "class"), "class")
    with pytest.raises(DatasetError, match="no pictures in folders class; expected files"):
        listed(ImageFolders(str(tmp_path), "class"), "class")
    with pytest.raises(ConfigError, match="no column 'age'; there are 'class'"):
        listed(ImageFolders(str(tmp_path), "class"), "age")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_gives_paths_labels_and_people(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "faces" / "1.png", 1)
    table = pd.DataFrame(
        {"path": ["faces/1.png", "faces/2.png"], "au4": [0, 3], "subject": ["01", "NA"]}
    )
    path = tmp_path / f"labels.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    source = Table(str(path), identity="subject")
    (block,) = listed(source, "au4")
    assert [float(v) for v in block.labels["au4"]] == [0, 3]
    assert block.people == ["01", "NA"]
    assert source.picture(0, 0, 40)[1, 0, 0] == 1
    with pytest.raises(RecordingError, match=r"2.png: cannot be read"):
        source.picture(0, 1, 40)
    moved = Table(str(path), root=str(tmp_path / "faces" / ".."))
    listed(moved, "au4")
    assert moved.picture(0, 0, 40).shape == (3, 40, 40)


def test_a_wrong_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(DatasetError, match="cannot be read as a table"):
        listed(Table(str(path)), "au4")
    path.write_text("path,au4\n")
    with pytest.raises(DatasetError, match="no rows"):
        listed(Table(str(path)), "au4")
    with pytest.raises(ConfigError, match="no column 'who'; there are 'path', 'au4'"):
        listed(Table(str(path), identity="who"), "au4")


def test_archives_give_arrays(tmp_path: Path) -> None:
    grey = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    colour = np.stack((grey, grey + 1, grey + 2), axis=1)
    for name, pictures in (("a", grey), ("b", colour), ("c", colour.transpose(0, 2, 3, 1))):
        np.savez(tmp_path / f"{name}.npz", faces=pictures, who=["x", "y"], age=[1.5, 2.5])
    source = NpzShards((str(tmp_path / "*.npz"),), pictures="faces", identity="who", at_once=1)
    blocks = listed(source, "age")
    assert [block.labels["age"] for block in blocks] == [[1.5, 2.5]] * 3
    assert blocks[0].people == ["x", "y"]
    assert (source.picture(0, 1, 8) == grey[1]).all()
    assert (source.picture(1, 1, 8) == colour[1]).all()
    assert (source.picture(2, 1, 8) == colour[1]).all()
    assert len(source._kept) == 1


def test_a_damaged_archive_costs_its_own_rows(tmp_path: Path) -> None:
    good = tmp_path / "0.npz"
    np.savez(good, pictures=np.zeros((2, 8, 8, 3), np.uint8), kind=["a", "b"])
    cut = good.read_bytes()
    (tmp_path / "1.npz").write_bytes(cut[: len(cut) // 2])
    np.savez(tmp_path / "2.npz", pictures=np.zeros((1, 8, 8, 3)), kind=["a", "b"])
    changed = bytearray(cut)
    changed[200] ^= 255  # inside the pictures: the labels are whole, the checksum is not
    (tmp_path / "3.npz").write_bytes(bytes(changed))
    source = NpzShards((str(tmp_path / "*.npz"),))
    blocks = listed(source, "kind")
    assert [len(block) for block in blocks] == [2, 0, 2, 2]
    ((reason, count),) = blocks[1].faults.items()
    assert count == 1
    assert reason.startswith("1.npz: the shard cannot be read")
    with pytest.raises(
        RecordingError, match=r"pictures are float64 \(1, 8, 8, 3\), expected uint8"
    ):
        source.picture(2, 0, 8)
    for _ in range(2):
        with pytest.raises(RecordingError, match=r"3.npz: the shard's pictures cannot be read"):
            source.picture(3, 0, 8)


def test_archives_that_make_no_sense_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such shard"):
        listed(NpzShards((str(tmp_path / "*.npz"),)), "kind")
    with pytest.raises(DatasetError, match="shards is empty"):
        listed(NpzShards(()), "kind")
    with pytest.raises(ConfigError, match="at_once is 0"):
        NpzShards(("x",), at_once=0)
    np.savez(tmp_path / "0.npz", pictures=np.zeros((2, 8, 8, 3), np.uint8), kind=["a"], who=[1, 2])
    with pytest.raises(ConfigError, match="no column 'age'; there are 'pictures', 'kind', 'who'"):
        listed(NpzShards((str(tmp_path / "0.npz"),)), "age")
    with pytest.raises(DatasetError, match="expected one a picture"):
        listed(NpzShards((str(tmp_path / "0.npz"),), identity="who"), "kind")
    (tmp_path / "0.npz").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match="none of 1 shards can be read"):
        listed(NpzShards((str(tmp_path / "0.npz"),)), "kind")


def tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))


def sample(name: str, value: int, **labels: object) -> dict[str, bytes]:
    return {f"{name}.png": encoded(value), f"{name}.json": json.dumps(labels).encode()}


def test_tar_shards_give_samples_by_name(tmp_path: Path) -> None:
    tar(tmp_path / "0.tar", sample("a/1", 7, kind="x", who="p") | sample("a/2", 8, who="q"))
    tar(tmp_path / "1.tar", {"1.jpg": encoded(200, ".jpg"), "1.cls": b"3\n"})
    source = TarShards((str(tmp_path / "?.tar"),), identity="who")
    first, second = listed(source, "kind", "class")
    assert first.labels == {"kind": ["x", None], "class": [None, None]}
    assert first.people == ["p", "q"]
    assert second.labels == {"kind": [None], "class": ["3"]}
    assert second.people == [None]
    assert source.picture(0, 0, 40)[1, 0, 0] == 7
    assert source.picture(0, 1, 40)[1, 0, 0] == 8
    assert source.picture(1, 0, 40).shape == (3, 40, 40)


def test_what_is_wrong_in_a_tar_is_counted_each_time_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    files = sample("1", 1, kind="x") | sample("2", 2, kind="y") | {"3.png": encoded(3)}
    files |= {"4.json": b'{"kind": "z"}', "5.png": encoded(5), "5.json": b"[1"}
    files |= {"6.png": encoded(6)[:-30], "6.json": b'{"kind": "x"}', "README": b"?"}
    tar(path, files)
    for _ in range(2):  # scanned, then from the cache
        source = TarShards((str(path),))
        (block,) = listed(source, "kind")
        assert block.labels == {"kind": ["x", "y", None, "x"]}
        assert block.faults == {
            "a .json that holds no label": 1,
            "a picture without labels": 1,
            "labels, no picture": 1,
        }
        with pytest.raises(RecordingError, match=r"0.tar, byte \d+: a PNG that is cut short"):
            source.picture(0, 3, 40)


def test_a_tar_that_is_cut_short_keeps_what_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    tar(path, sample("1", 1, kind="x") | sample("2", 2, kind="y"))
    with tarfile.open(path) as archive:
        second = archive.getmember("2.png").offset_data
    path.write_bytes(path.read_bytes()[: second + 50])
    source = TarShards((str(path),))
    (block,) = listed(source, "kind")
    assert block.labels == {"kind": ["x"]}
    reasons = [reason for reason in block.faults if reason.startswith("0.tar: damaged after ")]
    assert len(reasons) == 1


def test_a_tar_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    tar(path, sample("1", 1, kind="x"))
    assert listed(TarShards((str(path),)), "kind")[0].labels == {"kind": ["x"]}
    tar(path, sample("1", 1, kind="y") | sample("2", 1, kind="y"))
    assert listed(TarShards((str(path),)), "kind")[0].labels == {"kind": ["y", "y"]}


def test_tars_that_make_no_sense_are_named(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    path.write_bytes(b"no tar" * 200)
    with pytest.raises(DatasetError, match=r"no sample in 1 shards \(0\.tar: damaged after 0 "):
        listed(TarShards((str(path),)), "kind")
    tar(path, sample("1", 1, kind="x"))
    with pytest.raises(ConfigError, match="no column 'age'; there are 'kind'"):
        listed(TarShards((str(path),)), "age")
    with pytest.raises(ConfigError, match="no column 'who'"):
        listed(TarShards((str(path),), identity="who"), "kind")
