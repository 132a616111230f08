"""Fetching from a manifest, against a local server; the packaged manifests against real files."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolorimeter.datasets import _manifest, fetch, fetchable, open_dataset
from dolorimeter.datasets._manifest import Manifest, ManifestFile, read_manifest
from dolorimeter.errors import DatasetError, StorageError, UnknownNameError
from dolorimeter.registry import DATASETS

FILES = {"data/a b.csv": b"x,y\n1,2\n" * 5000, "LICENSE": b"free\n"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves FILES; the first answer to a path in `cut_once` stops half way."""

    cut_once: set[str]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        path = self.path.removeprefix("/pinned/").replace("%20", " ")
        ranged = self.headers.get("Range")
        self.asked.append((path, ranged))
        if path not in FILES:
            self.send_error(404, "Not Found")
            return
        start = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else 0
        body = FILES[path][start:]
        self.send_response(206 if ranged else 200)
        if ranged:
            end = len(FILES[path])
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path in self.cut_once:
            self.cut_once.discard(path)
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the test output clean."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("dolorimeter.storage.time.sleep", lambda seconds: None)
    Handler.cut_once, Handler.asked = set(), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/pinned/"
        server.shutdown()
        thread.join()


def manifest_of(address: str, *files: ManifestFile) -> Manifest:
    return Manifest("some_set", "abc123", address, "CC0-1.0", files, "nothing")


def pinned(path: str, **changes: object) -> ManifestFile:
    data = FILES.get(path, b"")
    facts = {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return ManifestFile(**{**facts, **changes})  # type: ignore[arg-type]


def test_good_files_are_verified_and_kept(address: str, tmp_path: Path) -> None:
    manifest = manifest_of(address, pinned("data/a b.csv"), pinned("LICENSE"))
    steps: list[tuple[int, int]] = []
    result = fetch("some_set", tmp_path / "x", lambda *s: steps.append(s), manifest=manifest)
    assert result.with_status("verified") == ("data/a b.csv", "LICENSE")
    assert result.rows()[1] == {"file": "LICENSE", "status": "verified"}
    assert (tmp_path / "x" / "data" / "a b.csv").read_bytes() == FILES["data/a b.csv"]
    assert (result.root, result.commit, result.licence) == (tmp_path / "x", "abc123", "CC0-1.0")
    assert steps[-1] == (manifest.size, manifest.size)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    fetch("some_set", tmp_path / "x", manifest=manifest)
    assert len(Handler.asked) == 2, "what is there and right is not fetched again"


def test_the_user_cache_is_the_default_and_is_found_again(address: str, tmp_path: Path) -> None:
    result = fetch("some_set", manifest=manifest_of(address, pinned("LICENSE")))
    assert result.root == tmp_path / "cache" / "data" / "some_set"


def test_without_size_and_hash_a_file_is_unverified(address: str, tmp_path: Path) -> None:
    manifest = manifest_of(address, pinned("LICENSE", size=None, sha256=None))
    result = fetch("some_set", tmp_path, manifest=manifest)
    assert result.with_status("unverified") == ("LICENSE",)


def test_interrupted_then_resumed(address: str, tmp_path: Path) -> None:
    Handler.cut_once = {"data/a b.csv"}
    result = fetch("some_set", tmp_path, manifest=manifest_of(address, pinned("data/a b.csv")))
    assert result.with_status("verified") == ("data/a b.csv",)
    assert Handler.asked == [("data/a b.csv", None), ("data/a b.csv", "bytes=20000-")]


def test_a_wrong_hash_is_an_error_and_leaves_no_file(address: str, tmp_path: Path) -> None:
    manifest = manifest_of(address, pinned("LICENSE", sha256="0" * 64))
    with pytest.raises(StorageError, match=r"SHA-256 is [0-9a-f]{64}, expected 0{64}"):
        fetch("some_set", tmp_path, manifest=manifest)
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"] or not list(tmp_path.glob("LICENSE*"))


def test_a_short_file_is_an_error(address: str, tmp_path: Path) -> None:
    manifest = manifest_of(address, pinned("LICENSE", size=99))
    with pytest.raises(StorageError, match="5 bytes, expected 99"):
        fetch("some_set", tmp_path, manifest=manifest)


def test_a_file_that_is_gone_is_an_error(address: str, tmp_path: Path) -> None:
    manifest = manifest_of(address, pinned("LICENSE"), pinned("gone.csv"))
    with pytest.raises(StorageError, match=r"gone\.csv: the server answered 404"):
        fetch("some_set", tmp_path, manifest=manifest)
    assert (tmp_path / "LICENSE").is_file(), "what was fetched stays"


def test_a_file_that_nobody_confirmed_may_be_absent(address: str, tmp_path: Path) -> None:
    unsure = pinned("gone.csv", size=None, sha256=None, path_from="upstream README")
    result = fetch("some_set", tmp_path, manifest=manifest_of(address, unsure, pinned("LICENSE")))
    assert result.with_status("absent") == ("gone.csv",)
    assert result.with_status("verified") == ("LICENSE",)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x"])
def test_a_path_that_leads_out_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="leads out of its folder"):
        fetch("some_set", tmp_path, manifest=manifest_of("http://127.0.0.1:9/", pinned(path)))


def test_a_licensed_data_set_says_how_to_obtain_it() -> None:
    with pytest.raises(DatasetError, match=r"biovid cannot be fetched\. .*oxazepam_ep"):
        fetch("biovid")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean oxazepam_ep"):
        fetch("oxazepam_eq")


def test_every_open_data_set_has_a_manifest_and_the_reverse() -> None:
    open_sets = {c.name for c in DATASETS.cards() if getattr(c, "openly_available", False)}
    assert open_sets == set(fetchable())


@pytest.mark.parametrize("name", fetchable())
def test_packaged_manifests_are_pinned_and_sound(name: str) -> None:
    manifest = read_manifest(name)
    assert manifest.name == name
    assert manifest.commit in manifest.base_url
    assert len(manifest.commit) == 40
    assert manifest.base_url.startswith("https://raw.githubusercontent.com/")
    assert manifest.licence == DATASETS.card(name).licence
    paths = [file.path for file in manifest.files]
    assert paths == sorted(set(paths))
    for file in manifest.files:
        assert file.sha256 is None or (len(file.sha256) == 64 and file.size is not None)
        assert file.path_from in {"index", "upstream README", "SOURCE.md"}


@pytest.mark.shared
@pytest.mark.parametrize("name", fetchable())
def test_hashes_are_those_of_the_files_at_hand(name: str, data_root: Path) -> None:
    held = {p.name.removesuffix(".gz"): p for p in (data_root / name).rglob("*") if p.is_file()}
    checked = 0
    for file in read_manifest(name).files:
        path = held.get(Path(file.path).name)
        if name == "stress_predict" and file.path.startswith("Raw_data/"):
            path = next(
                (data_root / name / Path(file.path).parent.name).glob(f"{Path(file.path).name}*"),
                None,
            )
        if file.sha256 is None or path is None:
            continue
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256), path
        checked += 1
    assert checked > 0


@pytest.mark.shared
def test_readers_take_the_tree_that_fetch_makes(data_root: Path, tmp_path: Path) -> None:
    """The upstream tree, made from the flat copy as fetch would lay it out."""
    flat = data_root / "oxazepam_fmov"
    (tmp_path / "FMOV").mkdir()
    for name in ("09", "10"):
        packed = (flat / f"{name}_FMOV_preprocessed.txt.gz").read_bytes()
        (tmp_path / "FMOV" / f"{name}_FMOV_preprocessed.txt").write_bytes(gzip.decompress(packed))
    assert open_dataset("oxazepam_fmov", tmp_path).subjects() == ("09", "10")


def test_manifests_are_package_data() -> None:
    folder = Path(_manifest.__file__).parent / "manifests"
    assert {p.stem for p in folder.glob("*.json")} == set(fetchable())
