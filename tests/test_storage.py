"""Atomic writes, digests, the cache and downloads against a local server."""

from __future__ import annotations

import errno
import http.server
import json
import os
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter import storage
from dolorimeter.errors import ConfigError, StorageError, StorageWarning


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def write_half_a_file(path: Path) -> None:
    with storage.atomic_path(path) as part:
        part.write_bytes(b"ne")
        raise RuntimeError("half way")


def write_half_a_folder(path: Path) -> None:
    with storage.atomic_path(path) as part:
        part.mkdir()
        (part / "a").write_text("1")
        raise RuntimeError("stop")


class TestAtomicWrites:
    def test_a_write_makes_the_folder_and_the_file(self, tmp_path: Path) -> None:
        storage.write_text(tmp_path / "a" / "b.txt", "ñandú\n")
        assert (tmp_path / "a" / "b.txt").read_bytes() == "ñandú\n".encode()
        assert left_in(tmp_path / "a") == ["b.txt"]

    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "x.bin"
        storage.write_bytes(path, b"old")
        with pytest.raises(RuntimeError, match="half way"):
            write_half_a_file(path)
        assert path.read_bytes() == b"old"
        assert left_in(tmp_path) == ["x.bin"]

    def test_a_block_that_writes_nothing_is_an_error(self, tmp_path: Path) -> None:
        with (
            pytest.raises(StorageError, match="nothing was written"),
            storage.atomic_path(tmp_path / "x"),
        ):
            pass

    def test_a_folder_can_be_made_whole_too(self, tmp_path: Path) -> None:
        with storage.atomic_path(tmp_path / "model") as part:
            part.mkdir()
            (part / "a").write_text("1")
        assert left_in(tmp_path / "model") == ["a"]

    def test_a_half_made_folder_is_removed(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="stop"):
            write_half_a_folder(tmp_path / "model")
        assert left_in(tmp_path) == []

    def test_a_folder_that_is_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"file/x.*cannot be written"):
            storage.write_bytes(tmp_path / "file" / "x", b"")

    def test_json_is_sorted_and_refuses_nan(self, tmp_path: Path) -> None:
        storage.write_json(tmp_path / "a.json", {"b": 1, "a": [None, "é"]})
        text = (tmp_path / "a.json").read_text(encoding="utf-8")
        assert text == '{\n  "a": [\n    null,\n    "é"\n  ],\n  "b": 1\n}\n'
        with pytest.raises(StorageError, match="cannot be written as JSON"):
            storage.write_json(tmp_path / "a.json", {"a": float("nan")})
        with pytest.raises(StorageError, match="cannot be written as JSON"):
            storage.write_json(tmp_path / "a.json", {"a": object()})


class TestParquet:
    def test_the_same_content_gives_the_same_bytes(self, tmp_path: Path) -> None:
        table = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None], "c": [1, 2]})
        storage.write_parquet(tmp_path / "1.parquet", table)
        storage.write_parquet(tmp_path / "2.parquet", table.set_axis([7, 9], axis=0).copy())
        one, two = (tmp_path / n for n in ("1.parquet", "2.parquet"))
        assert one.read_bytes() == two.read_bytes()
        pd.testing.assert_frame_equal(pd.read_parquet(one), table)

    def test_a_column_of_two_kinds_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot be written as Parquet"):
            storage.write_parquet(tmp_path / "x.parquet", pd.DataFrame({"a": [1, "x"]}))
        assert left_in(tmp_path) == []


class TestDigest:
    def test_order_kind_and_cuts_count(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"ab")
        several = [
            storage.digest("ab"),
            storage.digest(b"ab"),
            storage.digest("a", "b"),
            storage.digest("b", "a"),
            storage.digest(path),
            storage.digest(np.array([1, 2])),
            storage.digest(np.array([[1, 2]])),
            storage.digest(np.array([1.0, 2.0])),
            storage.digest(),
        ]
        assert len(set(several)) == len(several)
        assert {len(one) for one in several} == {64}

    def test_an_array_counts_by_content_not_by_layout(self) -> None:
        x = np.arange(6.0).reshape(2, 3)
        assert storage.digest(x) == storage.digest(np.asfortranarray(x))

    def test_what_cannot_be_digested_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="nowhere: cannot be read"):
            storage.digest(tmp_path / "nowhere")
        with pytest.raises(ConfigError, match="Python objects"):
            storage.digest(np.array([None]))

    @given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
    def test_equal_exactly_where_the_parts_are(self, a: list[str], b: list[str]) -> None:
        assert (storage.digest(*a) == storage.digest(*b)) == (a == b)


class TestCache:
    KEY = "0123456789abcdef"

    def test_what_was_put_comes_back(self, tmp_path: Path) -> None:
        cache = storage.Cache(tmp_path)
        arrays = {"file": np.arange(3), "seal": np.eye(2, dtype=np.float32), "t": np.array(["é"])}
        cache.put(self.KEY, arrays)
        found = cache.get(self.KEY)
        assert found is not None
        assert sorted(found) == sorted(arrays)
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values, strict=True)
        assert cache.get("f" * 16) is None

    def test_it_lives_in_the_user_cache_by_default(self) -> None:
        assert storage.Cache().root == storage.user_cache() / "arrays"

    @pytest.mark.parametrize("damage", ["empty", "cut", "bit", "junk", "other key"])
    def test_a_damaged_entry_is_a_miss_and_goes(self, tmp_path: Path, damage: str) -> None:
        cache = storage.Cache(tmp_path)
        cache.put(self.KEY, {"x": np.arange(100.0)})
        path = tmp_path / "01" / f"{self.KEY}.npz"
        data = path.read_bytes()
        key = "01" + "f" * 14 if damage == "other key" else self.KEY
        path = path.with_name(f"{key}.npz")
        middle = len(data) // 2
        path.write_bytes(
            {
                "empty": b"",
                "cut": data[:middle],
                "bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                "junk": b"junk" * 20,
                "other key": data,
            }[damage]
        )
        assert cache.get(key) is None
        assert not path.exists()

    @given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
    def test_a_flipped_byte_never_gives_a_wrong_number(
        self, at: int, flip: int, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        root = tmp_path_factory.mktemp("cache")
        cache = storage.Cache(root)
        cache.put(self.KEY, {"x": np.arange(20.0)})
        path = root / "01" / f"{self.KEY}.npz"
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= flip
        path.write_bytes(bytes(data))
        found = cache.get(self.KEY)
        if found is not None:
            np.testing.assert_array_equal(found["x"], np.arange(20.0), strict=True)

    def test_a_key_that_is_a_path_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is not a digest"):
            storage.Cache(tmp_path).get("../../etc")


class TestSeals:
    @given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
    def test_a_flipped_bit_never_gives_other_content(
        self, at: int, bit: int, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("sealed") / "a.json"
        storage.write_sealed(path, {"b": 1.5, "a": ["ñ", None, True]})
        whole = storage.read_sealed(path)
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 1 << bit
        path.write_bytes(bytes(data))
        with suppress(StorageError):
            assert storage.read_sealed(path) == whole

    def test_a_manifest_names_what_has_changed(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("1")
        (tmp_path / "b").write_text("2")
        storage.seal_folder(tmp_path, ["a"])
        storage.seal_folder(tmp_path, ["b", "none"])
        assert storage.damaged_files(tmp_path) == []
        (tmp_path / "a").write_text("3")
        (tmp_path / "b").unlink()
        assert storage.damaged_files(tmp_path) == ["a is damaged", "b is missing"]
        assert storage.damaged_files(tmp_path, ["b"]) == ["b is missing"]
        assert storage.damaged_files(tmp_path / "elsewhere") == []


class TestLocks:
    def test_a_second_thread_is_refused_and_the_same_one_is_not(self, tmp_path: Path) -> None:
        said: list[str] = []

        def other() -> None:
            try:
                with storage.locked(tmp_path, "it"):
                    said.append("locked")
            except StorageError as error:
                said.append(str(error))

        with storage.locked(tmp_path, "it"), storage.locked(tmp_path, "it"):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        assert f"process {os.getpid()} on" in said[0]
        assert left_in(tmp_path) == []
        other()
        assert said[1] == "locked"

    @pytest.mark.parametrize("holder", ["none", "gone", "reused", "here", "elsewhere"])
    def test_without_flock_the_file_tells(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str
    ) -> None:
        monkeypatch.setattr(storage, "_try_flock", lambda file: "none")
        here = storage._this_process()
        ended = subprocess.Popen(["true"])
        ended.wait()
        told = {
            "none": "",
            "gone": json.dumps(here | {"pid": ended.pid, "since": ""}),
            "reused": json.dumps(here | {"since": "1"}),
            "here": json.dumps(here),
            "elsewhere": json.dumps(here | {"host": "another", "pid": ended.pid}),
        }[holder]
        (tmp_path / ".lock").write_text(told)
        if holder in ("here", "elsewhere"):
            with (
                pytest.raises(StorageError, match="is writing there"),
                storage.locked(tmp_path, "it"),
            ):
                pass
            assert (tmp_path / ".lock").read_text() == told
        else:
            with storage.locked(tmp_path, "it"):
                assert json.loads((tmp_path / ".lock").read_text()) == here
            assert left_in(tmp_path) == []


class TestReplacedFolder:
    KNOWN = ("a", "b")

    def write(self, folder: Path, *, fail: bool = False) -> None:
        with storage.replaced_folder(folder, self.KNOWN) as part:
            (part / "a").write_text("new")
            if fail:
                raise RuntimeError("half way")

    def test_the_old_one_goes_as_a_whole_and_strangers_stay(self, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        for name in ("a", "b", "notes.txt"):
            (folder / name).write_text("old")
        with pytest.raises(RuntimeError, match="half way"):
            self.write(folder, fail=True)
        assert {p.name: p.read_text() for p in folder.iterdir()} == dict.fromkeys(
            ("a", "b", "notes.txt"), "old"
        )
        self.write(folder)
        assert {p.name: p.read_text() for p in folder.iterdir()} == {
            "a": "new",
            "notes.txt": "old",
        }
        assert left_in(tmp_path) == ["model"]

    def test_a_process_that_dies_between_the_renames_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "model"
        self.write(folder)
        real = Path.rename

        def stop(path: Path, target: Path) -> Path:
            if target == folder and not path.name.endswith("-before"):
                raise KeyboardInterrupt
            return real(path, target)

        monkeypatch.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            self.write(folder)
        assert left_in(tmp_path) == ["model"]
        assert (folder / "a").read_text() == "new"

    def test_a_link_to_a_folder_stays_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "there")
        self.write(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "a").read_text() == "new"
        assert left_in(tmp_path) == ["link", "there"]

    def test_a_mount_point_is_filled_in_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "a").write_text("old")
        monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
        self.write(folder)
        assert (folder / "a").read_text() == "new"
        assert left_in(tmp_path) == ["model"]


class TestBlame:
    def test_an_error_about_another_file_is_that_error(self, tmp_path: Path) -> None:
        with (
            pytest.raises(FileNotFoundError, match="input"),
            storage.atomic_path(tmp_path / "out") as part,
        ):
            part.write_bytes((tmp_path / "input").read_bytes())
        assert left_in(tmp_path) == []

    def test_a_full_disk_is_about_the_target(self, tmp_path: Path) -> None:
        with (
            pytest.raises(StorageError, match=r"out: cannot be written .*No space left"),
            storage.atomic_path(tmp_path / "out"),
        ):
            raise OSError(errno.ENOSPC, "No space left on device")

    def test_a_cache_that_cannot_be_written_warns_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = storage.Cache(tmp_path / "cache")
        (tmp_path / "cache").write_text("a file is in the way")
        with pytest.warns(UserWarning, match="nothing more is cached"):
            assert cache.put("a" * 64, {"x": np.ones(2)}) is False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert cache.put("b" * 64, {"x": np.ones(2)}) is False
        assert cache.get("a" * 64) is None

    def test_the_command_line_says_it_in_one_line(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from dolorimeter.cli import _showing_notices

        show = _showing_notices(lambda *_: None)
        show(StorageWarning("nothing more is cached"), StorageWarning, "storage.py", 1)
        assert capsys.readouterr().err == "warning: nothing more is cached\n"

    def test_a_secret_is_for_its_owner_and_stays(self, tmp_path: Path) -> None:
        storage.write_secret(tmp_path / "s", "one")
        storage.write_secret(tmp_path / "s", "two")
        assert (tmp_path / "s").read_text() == "one"
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


class TestPlaces:
    def test_the_variable_comes_first_then_the_cache(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOLORIMETER_DATA", str(tmp_path / "data"))
        cached = storage.user_cache() / "data" / "some_set"
        assert storage.find_root("some_set") is None
        cached.mkdir(parents=True)
        assert storage.find_root("some_set") == cached
        (tmp_path / "data" / "some_set").mkdir(parents=True)
        assert storage.find_root("some_set") == tmp_path / "data" / "some_set"
        monkeypatch.delenv("DOLORIMETER_DATA")
        assert storage.find_root("some_set") == cached

    def test_a_path_is_no_name(self) -> None:
        with pytest.raises(ConfigError, match="is no name of a data set"):
            storage.find_root("../etc")

    @pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
    def test_the_platform_cache(
        self, platform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("DOLORIMETER_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        assert storage.user_cache().is_relative_to(tmp_path)
        assert storage.user_cache().name == "dolorimeter"


CONTENT = bytes(range(256)) * 1000
SHA = storage.hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT in the way that the path names."""

    protocol_version = "HTTP/1.0"
    seen: list[tuple[str, str | None]]
    failures: dict[str, int]

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        asked = self.headers.get("Range")
        self.seen.append((kind, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if kind == "absent":
            self.send_error(404, "Not Found")
            return
        if kind == "busy" and self.failures.setdefault(kind, 0) < 1:
            self.failures[kind] += 1
            self.send_error(503, "Busy")
            return
        if start >= len(CONTENT):
            self.send_error(416, "Range Not Satisfiable")
            return
        ranged = asked is not None and kind != "no-ranges"
        body = CONTENT[start:] if ranged else CONTENT
        self.send_response(206 if ranged else 200)
        if ranged:
            first = 5 if kind == "shifted" else start
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if kind != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = kind == "always-cut" or (kind == "cut-once" and not asked)
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen, Handler.failures = [], {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


class TestDownload:
    def test_good(self, server: str, tmp_path: Path) -> None:
        target, steps = tmp_path / "a" / "x.bin", []
        size = len(CONTENT)
        verified = storage.download(
            f"{server}/good",
            target,
            sha256=SHA,
            size=size,
            progress=lambda *s: steps.append(s),
        )
        assert verified is True
        assert target.read_bytes() == CONTENT
        assert steps[-1] == (size, size)
        assert left_in(tmp_path / "a") == ["x.bin"]
        assert storage.download(f"{server}/good", target, sha256=SHA) is True
        assert len(Handler.seen) == 1, "a file that is there and right is not fetched again"

    def test_without_a_hash_it_is_unverified(self, server: str, tmp_path: Path) -> None:
        assert storage.download(f"{server}/good", tmp_path / "x", size=len(CONTENT)) is False

    def test_size_unknown(self, server: str, tmp_path: Path) -> None:
        steps: list[tuple[int, int | None]] = []
        storage.download(
            f"{server}/no-length", tmp_path / "x", progress=lambda *s: steps.append(s)
        )
        assert (tmp_path / "x").read_bytes() == CONTENT
        assert steps[-1] == (len(CONTENT), None)

    def test_wrong_hash(self, server: str, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"SHA-256 is .* expected 0000"):
            storage.download(f"{server}/good", tmp_path / "x", sha256="0" * 64)
        assert left_in(tmp_path) == []

    def test_wrong_size(self, server: str, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="256,000 bytes, expected 7"):
            storage.download(f"{server}/good", tmp_path / "x", size=7)
        assert left_in(tmp_path) == []

    def test_not_found(self, server: str, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="absent: the server answered 404 Not Found"):
            storage.download(f"{server}/absent", tmp_path / "x")
        assert len(Handler.seen) == 1, "what is not there is not asked for again"

    def test_a_busy_server_is_asked_again(self, server: str, tmp_path: Path) -> None:
        assert storage.download(f"{server}/busy", tmp_path / "x", sha256=SHA, pause=0.0)
        assert len(Handler.seen) == 2

    def test_interrupted_then_resumed(self, server: str, tmp_path: Path) -> None:
        assert storage.download(f"{server}/cut-once", tmp_path / "x", sha256=SHA, pause=0.0)
        assert Handler.seen == [("cut-once", None), ("cut-once", "bytes=128000-")]
        assert left_in(tmp_path) == ["x"]

    def test_short_keeps_what_arrived_for_a_later_run(self, server: str, tmp_path: Path) -> None:
        url = f"{server}/always-cut"
        with pytest.raises(StorageError, match=r"cut short at 128,000 of 256,000 bytes, after 1"):
            storage.download(url, tmp_path / "x", sha256=SHA, attempts=1)
        (part,) = left_in(tmp_path)
        assert part.endswith(".part")
        with pytest.raises(StorageError, match=r"cut short at 192,000 of 256,000 bytes, after 1"):
            storage.download(url, tmp_path / "x", sha256=SHA, attempts=1)
        assert Handler.seen[-1] == ("always-cut", "bytes=128000-")

    @pytest.mark.parametrize("kind", ["good", "no-ranges"])
    @pytest.mark.parametrize(
        "kept", [CONTENT[:1000], b"?" * 1000, CONTENT, CONTENT + b"more"], ids=len
    )
    def test_a_part_of_an_earlier_run_is_used_or_thrown_away(
        self, server: str, tmp_path: Path, kind: str, kept: bytes
    ) -> None:
        url = f"{server}/{kind}"
        (tmp_path / f"x.{storage.digest(url)[:8]}.part").write_bytes(kept)
        size = len(CONTENT)
        assert storage.download(url, tmp_path / "x", sha256=SHA, size=size, pause=0.0)
        assert (tmp_path / "x").read_bytes() == CONTENT

    def test_a_part_longer_than_the_file_of_unknown_size(
        self, server: str, tmp_path: Path
    ) -> None:
        url = f"{server}/good"
        (tmp_path / f"x.{storage.digest(url)[:8]}.part").write_bytes(CONTENT + b"more")
        assert storage.download(url, tmp_path / "x", sha256=SHA, pause=0.0)
        assert (tmp_path / "x").read_bytes() == CONTENT

    def test_a_server_that_resumes_elsewhere(self, server: str, tmp_path: Path) -> None:
        url = f"{server}/shifted"
        (tmp_path / f"x.{storage.digest(url)[:8]}.part").write_bytes(CONTENT[:1000])
        assert storage.download(url, tmp_path / "x", sha256=SHA, pause=0.0)
        assert (tmp_path / "x").read_bytes() == CONTENT

    def test_another_file_at_the_target_is_kept_and_named(
        self, server: str, tmp_path: Path
    ) -> None:
        (tmp_path / "x").write_bytes(b"mine")
        with pytest.raises(StorageError, match="x: 4 bytes, expected 256,000"):
            storage.download(f"{server}/good", tmp_path / "x", size=len(CONTENT))
        assert (tmp_path / "x").read_bytes() == b"mine"

    def test_out_of_reach(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"cannot be reached .*after 2 attempts"):
            storage.download("http://127.0.0.1:9/x", tmp_path / "x", attempts=2, pause=0.0)

    def test_only_the_web(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="only http and https"):
            storage.download("file:///etc/hostname", tmp_path / "x")

    def test_a_target_that_cannot_be_written(self, server: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="cannot be written"):
            storage.download(f"{server}/good", tmp_path / "file" / "x")


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.csv").touch()
    storage.check_writable(tmp_path / "file.csv")  # it would be replaced
    storage.check_writable(tmp_path / "new" / "deep" / "table.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["file.csv"]  # nothing is made
    with pytest.raises(StorageError, match=r"file\.csv is a file, and a folder is needed"):
        storage.check_writable(tmp_path / "file.csv" / "table.csv")
    monkeypatch.setattr(storage.os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(StorageError, match="cannot be written in"):
        storage.check_writable(tmp_path / "new" / "table.csv")
