"""The store against real SQLite files and a real PostgreSQL server: crashes, faults, purge."""

from __future__ import annotations

import json
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa

from dolorimeter.errors import StorageError
from dolorimeter.monitor.nouns import Estimate, Mark, RawChunk, SelfReport, now
from dolorimeter.monitor.store import Recorder, Store, default_store, purge
from dolorimeter.monitor.store import _tables as tables
from dolorimeter.monitor.store.recorder import COMMIT_S

from known_sessions import NOON, estimates, info

if TYPE_CHECKING:
    from conftest import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, memory: Path) -> str | Path:
    """A fresh store of each kind."""
    if request.param == "sqlite":
        return memory / "store" / "monitor.sqlite"
    return emptied(request.getfixturevalue("postgres"))


def emptied(url: str) -> str:
    """A server without our tables."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+pg8000:"))
    tables.TABLES.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def file(memory: Path) -> Path:
    """A store that is a file."""
    return memory / "monitor.sqlite"


def test_everything_comes_back_as_it_was_given(place: str | Path) -> None:
    given = estimates(12)
    mark = Mark(NOON, "s1", "dressing change — Ärzte 👩‍⚕️", "nurse")
    report = SelfReport(NOON + timedelta(seconds=3), "s1", "faces", 6, "patient")
    with Store(place) as store:
        token = store.begin(info())
        store.append("s1", token, given[:1])
        store.append("s1", token, given[1:])
        store.add_mark(mark)
        store.add_report(report)
        store.end("s1", NOON + timedelta(seconds=6))
    with Store(place) as store:
        assert store.estimates("s1") == given
        assert store.estimates("s1", limit=3) == given[-3:]
        assert store.estimates("s1", since=given[9].time) == given[9:]
        assert store.marks("s1") == [mark]
        assert store.reports("s1") == [report]
        stored = store.session("s1")
        assert (stored.estimates, stored.state) == (12, "ended")
        assert stored.info.ended == NOON + timedelta(seconds=6)
        assert [s.info.id for s in store.sessions("anna")] == ["s1"]
        assert store.sessions("berta") == []


def test_a_mistake_is_kept_and_marked(place: str | Path) -> None:
    report = SelfReport(NOON, "s1", "nrs", 9, "patient")
    with Store(place) as store:
        store.begin(info())
        store.add_report(report)
        store.withdraw("s1", report.id)
        (kept,) = store.reports("s1")
        assert (kept.value, kept.withdrawn) == (9, True)
        with pytest.raises(StorageError, match="no mark or self-report 'ffff'"):
            store.withdraw("s1", "ffff")
        with pytest.raises(StorageError, match="no session 'other'"):
            store.add_report(SelfReport(NOON, "other", "nrs", 1, "patient"))


def test_raw_signals_only_where_asked(place: str | Path) -> None:
    chunk = RawChunk("eda", 0.0, 4.0, "S", np.array([1e-6, np.nan, 3e-6]))
    with Store(place) as store:
        token = store.begin(info())
        with pytest.raises(StorageError, match="session s1 keeps no raw signals"):
            store.append_signals("s1", token, [chunk])
        token = store.begin(info("s2"), keep_signals=True)
        store.append_signals("s2", token, [chunk])
        (kept,) = store.signals("s2")
        np.testing.assert_array_equal(kept.samples, chunk.samples)
        assert (kept.name, kept.start, kept.sampling_rate, kept.unit) == ("eda", 0.0, 4.0, "S")


def test_two_writers_of_one_session(place: str | Path) -> None:
    with Store(place) as one, Store(place) as two:
        first = one.begin(info())
        one.append("s1", first, estimates(1))
        with pytest.raises(StorageError, match=r"written \d\.\d s ago by another process"):
            two.resume("s1")
        one.end("s1")
        second = two.resume("s1")
        two.append("s1", second, estimates(2))
        with pytest.raises(StorageError, match="another process now writes session s1"):
            one.append("s1", first, estimates(1))
        assert len(one.estimates("s1")) == 3
        with pytest.raises(StorageError, match="has written the same rows"):
            two.begin(info())


def test_two_writers_of_two_sessions_lose_nothing(place: str | Path) -> None:
    def write(session: str) -> None:
        with Store(place) as store:
            token = store.begin(info(session))
            for estimate in estimates(30, session):
                store.append(session, token, [estimate])

    threads = [threading.Thread(target=write, args=(f"s{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store(place) as store:
        for i in range(3):
            assert store.estimates(f"s{i}") == estimates(30, f"s{i}")


WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from known_sessions import estimates, info
from dolorimeter.monitor.store import Recorder, Store
place = sys.argv[1]
recorder = Recorder(Store(place if "://" in place else Path(place)), info())
for estimate in estimates(100_000):
    recorder(estimate)
    time.sleep(0.01)
"""


@pytest.mark.long
def test_a_killed_process_loses_only_what_was_not_committed(place: str | Path) -> None:
    assert COMMIT_S <= 1  # seconds of estimates that a killed process may lose
    command = [sys.executable, "-c", WRITER, str(place), str(Path(__file__).parent)]
    with Store(place) as store, subprocess.Popen(command) as process:
        try:
            _wait_until(lambda: bool(store.sessions()))
            first = store.session("s1").estimates
            _wait_until(lambda: store.session("s1").estimates > first)  # it commits as it goes
            committed = store.session("s1").estimates
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    with Store(place) as store:
        kept = store.estimates("s1")
        assert kept == estimates(len(kept))  # whole rows, in order, none twice
        assert len(kept) >= committed
        with pytest.raises(StorageError, match="by another process"):
            store.resume("s1")  # it may still live
        _silence(store)
        assert store.session("s1").state == "interrupted"
        with Recorder(store, info()) as recorder:  # opens again and goes on
            recorder(estimates(1)[0])
        assert len(store.estimates("s1")) == len(kept) + 1
        assert store.session("s1").state == "ended"


def _silence(store: Store) -> None:
    """Let the last word of the writer be a minute old."""
    ago = now() - timedelta(minutes=1)
    with store._database.write() as connection:
        connection.execute(sa.update(tables.SESSIONS).values(seen=ago))


def _wait_until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in 60 s")


def test_a_full_disk_is_named_and_nothing_is_lost(file: Path) -> None:
    with Store(file) as store:
        recorder = Recorder(store, info())
        recorder(estimates(1)[0])
        _wait_until(lambda: store.session("s1").estimates == 1)
        pages = sqlite3.connect(file).execute("PRAGMA page_count").fetchone()[0]
        _limit(store, pages)
        for estimate in estimates(400)[1:]:
            recorder(estimate)
        _wait_until(lambda: "the disk is full. Make room" in recorder.trouble)
        with pytest.raises(StorageError, match=r"monitor\.sqlite: the disk is full\. Make room"):
            _fill(store)
        assert store.estimates("s1") == estimates(1)
        _limit(store, 1 << 30)
        _wait_until(lambda: not recorder.trouble)
        assert store.estimates("s1") == estimates(400)
        recorder.close()


def _fill(store: Store) -> None:
    for _ in range(400):
        store.add_mark(Mark(NOON, "s1", "x" * 400))


def _limit(store: Store, pages: int) -> None:
    """SQLite's own limit: beyond it, it reports a full disk."""

    def set_limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    store._database.engine.dispose()
    sa.event.listen(store._database.engine, "connect", set_limit)


def test_a_locked_database_is_named_and_nothing_is_lost(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.monitor.store._database.BUSY_S", 0.1)
    with Store(file) as store:
        recorder = Recorder(store, info())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for estimate in estimates(10):
            recorder(estimate)
        _wait_until(lambda: "locked by another program" in recorder.trouble)
        with pytest.raises(StorageError, match="locked by another program"):
            store.add_mark(Mark(NOON, "s1", "turn"))
        assert store.estimates("s1") == []  # readers are not held up
        other.execute("ROLLBACK")
        _wait_until(lambda: store.session("s1").estimates == 10)
        _wait_until(lambda: not recorder.trouble)
        recorder.close()
        other.close()


def test_too_long_a_refusal_is_counted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolorimeter.monitor.store.recorder.WAITING", 5)
    with Store(file) as store, Recorder(store, info()) as recorder:
        for estimate in estimates(8):
            recorder(estimate)
        _wait_until(lambda: recorder.trouble.startswith("3 estimates or pieces"))
        assert store.estimates("s1") == estimates(8)[3:]


def test_a_session_that_is_refused_holds_no_other_up(file: Path) -> None:
    with Store(file) as store, Recorder(store, info("s2")) as good:
        lost = Recorder(store, info("s1"))
        _silence(store)
        store.resume("s1")  # as another process would
        for one, two in zip(estimates(3), estimates(3, "s2"), strict=True):
            lost(one)
            good(two)
        _wait_until(lambda: store.session("s2").estimates == 3)
        _wait_until(lambda: "another process now writes session s1" in lost.trouble)
        assert (good.trouble, store.estimates("s1")) == ("", [])
        with pytest.raises(StorageError, match="another process now writes session s1"):
            lost.close()


def test_why_a_session_ended(file: Path) -> None:
    with Store(file) as store:
        with pytest.raises(ValueError, match="cable"), Recorder(store, info()):
            raise ValueError("cable")
        assert store.session("s1").ended_because == "ValueError: cable"


def test_purge_leaves_no_trace(file: Path) -> None:
    secret = "Gesine Unverwechselbar"
    with Store(file) as store:
        for session, subject in (("s1", secret), ("s2", "berta")):
            token = store.begin(info(session, subject), keep_signals=True)
            store.append(session, token, estimates(50, session))
            chunk = RawChunk("eda", 0.0, 4.0, "S", np.full(200, np.pi))
            store.append_signals(session, token, [chunk])
            store.add_mark(Mark(NOON, session, f"visit of {subject}"))
            store.add_report(SelfReport(NOON, session, "nrs", 7, subject))
        with pytest.raises(StorageError, match="session s1 of Gesine Unverwechselbar is running"):
            store.purge(secret)
        store.end("s1")
        assert secret.encode() in _all_bytes(file)
        gone = store.purge(secret)
        assert (gone.sessions, gone.rows) == (1, 50 + 100 + 3)
        assert secret.encode() not in _all_bytes(file)
        assert len(store.estimates("s2")) == 50
        with pytest.raises(StorageError, match="nothing of a subject"):
            store.purge(secret)
    assert secret.encode() not in _all_bytes(file)


def _all_bytes(file: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(file.parent.glob(f"{file.name}*")))


def test_purge_under_a_reader_says_so_and_can_be_repeated(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.monitor.store._database.BUSY_S", 0.1)
    with Store(file) as store:
        store.begin(info(subject="Gesine"))
        store.end("s1")
        reader = sqlite3.connect(file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM dolorimeter_sessions").fetchall()
        with pytest.raises(StorageError, match=r"Close it and purge again|locked by another"):
            store.purge("Gesine")
        assert b"Gesine" in _all_bytes(file)
        reader.close()
    assert purge("Gesine", where=file).rows == 0
    assert b"Gesine" not in _all_bytes(file)


def test_purge_takes_what_another_program_left_in_freed_pages(file: Path) -> None:
    """``secure_delete`` overwrites only what it deletes itself: the rewriting takes the rest."""
    secret = "Gesine Unverwechselbar"
    with Store(file) as store:
        store.begin(info("s1", secret))
        for number in range(200):
            store.add_mark(Mark(NOON, "s1", f"{number} {secret} " + "x" * 300))
        store.end("s1")
    other = sqlite3.connect(file)  # a database browser
    other.execute("PRAGMA secure_delete=OFF")
    other.execute("DELETE FROM dolorimeter_marks")
    other.execute("UPDATE dolorimeter_sessions SET subject = 'Gesine'")
    other.commit()
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert other.execute("PRAGMA freelist_count").fetchone()[0] > 10
    other.close()
    assert _all_bytes(file).count(secret.encode()) > 50
    purge("Gesine", where=file)
    assert _all_bytes(file).count(secret.encode()) == 0


def test_a_purge_that_was_cut_short_is_made_good_at_the_next_opening(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with Store(file) as store:
        store.begin(info(subject="Gesine"))
        store.end("s1")
        monkeypatch.setattr("dolorimeter.monitor.store.store.remove_remnants", killed)
        with pytest.raises(KeyboardInterrupt):
            store.purge("Gesine")
    monkeypatch.undo()
    facts = "SELECT key FROM dolorimeter_meta"
    with sqlite3.connect(file) as raw:
        assert ("purge_unfinished",) in raw.execute(facts).fetchall()
    raw.close()
    Store(file).close()
    with sqlite3.connect(file) as raw:
        assert raw.execute(facts).fetchall() == [("schema_version",)]
    raw.close()
    assert b"Gesine" not in _all_bytes(file)


AWAY = r"no server answers|the server has gone away"


def test_a_server_that_dies_is_named_and_nothing_is_lost(
    postgres_server: PostgresServer,
) -> None:
    given = estimates(30)
    with Store(emptied(postgres_server.url)) as store:
        recorder = Recorder(store, info())
        for estimate in given[:10]:
            recorder(estimate)
        _wait_until(lambda: store.session("s1").estimates == 10)
        postgres_server.die()
        try:
            for estimate in given[10:]:
                recorder(estimate)
            _wait_until(lambda: bool(recorder.trouble))
            assert "server" in recorder.trouble
            with pytest.raises(StorageError, match=AWAY):
                store.add_mark(Mark(NOON, "s1", "turn"))
            with pytest.raises(StorageError, match=AWAY):
                recorder.close()
            assert recorder.unsaved == 20
        finally:
            postgres_server.start()
        _wait_until(lambda: not recorder.trouble and not recorder.unsaved)
        assert store.estimates("s1") == given
        recorder.close()
        assert store.session("s1").state == "ended"


def test_a_servers_full_disk_is_named_whatever_language_it_speaks(postgres: str) -> None:
    given = estimates(20)
    with Store(emptied(postgres)) as store, Recorder(store, info()) as recorder:
        recorder(given[0])
        _wait_until(lambda: store.session("s1").estimates == 1)
        with store._database.write() as connection:  # says what a full disk makes the server say
            connection.exec_driver_sql(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
                "EXCEPTION 'konnte Datei nicht erweitern: Auf dem Gerät ist kein Speicherplatz' "
                "USING ERRCODE = 'disk_full'; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER full_disk BEFORE INSERT ON dolorimeter_estimates "
                "FOR EACH ROW EXECUTE FUNCTION full_disk()"
            )
        for estimate in given[1:]:
            recorder(estimate)
        _wait_until(lambda: "the server's disk is full. Make room" in recorder.trouble)
        assert store.estimates("s1") == given[:1]
        with store._database.write() as connection:
            connection.exec_driver_sql("DROP FUNCTION full_disk CASCADE")
        _wait_until(lambda: not recorder.trouble and not recorder.unsaved)
        assert store.estimates("s1") == given


def test_raw_signals_come_back_whatever_their_clock_did(place: str | Path) -> None:
    rate = 512.0
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal(40 * 10) for name in ("fnirs.1", "fnirs.2")}
    with Store(place) as store, Recorder(store, info(), keep_signals=True) as recorder:
        for number in range(40):
            for name, values in given.items():
                start = 10 * (number % 20) / rate  # set back by 20 pieces half-way
                piece = values[10 * number : 10 * number + 10]
                recorder.add_signal(RawChunk(name, start, rate, "M", piece))
        recorder(estimates(1)[0])
        _wait_until(lambda: not recorder.unsaved)
        assert recorder.trouble == ""
        kept = store.signals("s1")
        assert len(kept) < 20  # joined, not a row for each look at the source
        starts = [(chunk.name, chunk.start) for chunk in kept]
        assert len(set(starts)) == len(starts)
        for name, values in given.items():
            found = np.concatenate([c.samples for c in kept if c.name == name])
            np.testing.assert_array_equal(np.sort(found), np.sort(values))


def test_the_default_place_may_be_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLORIMETER_STORE", "postgresql://anna:pa55@127.0.0.1:1/x")
    with pytest.raises(StorageError, match="no server answers there"):
        Store(default_store())


def test_purge_on_a_server(postgres: str) -> None:
    with Store(postgres) as store:
        token = store.begin(info("s9", "carla"))
        store.append("s9", token, estimates(3, "s9"))
        store.end("s9")
        assert store.purge("carla").sessions == 1
        assert store.sessions("carla") == []


def test_another_schema_is_refused_and_untouched(file: Path) -> None:
    Store(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE dolorimeter_meta SET value = '2'")
    raw.close()
    with pytest.raises(StorageError, match=r"schema 2, this version .* schema 1\. .*newer"):
        Store(file)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("mysql://localhost/x", "expected a path, sqlite:///PATH or postgresql://"),
        ("sqlite://", "would be lost at a crash"),
        ("postgresql://anna:pa55@127.0.0.1:1/x", "no server answers there"),
    ],
)
def test_places_that_are_refused(where: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        Store(where)
    assert "pa55" not in str(caught.value)


def test_files_that_are_no_store(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, " * 100)
    with pytest.raises(StorageError, match="not a database of SQLite"):
        Store(text)
    assert text.read_text() == "not a database, " * 100
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE birds (name)")
    raw.close()
    with pytest.raises(StorageError, match=r"database of something else .*birds"):
        Store(other)
    with pytest.raises(StorageError, match="cannot be made"):
        Store(text / "below")


def test_the_file_is_its_owners_alone(file: Path) -> None:
    with Store(file) as store:
        store.begin(info())
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in file.parent.glob("monitor*")}
    assert set(modes.values()) == {0o600}
    assert f"{file.name}-wal" in modes


def test_an_estimate_that_is_no_noun_stops_nothing_else(file: Path) -> None:
    """A whole batch is stored, or none of it."""
    with Store(file) as store:
        token = store.begin(info())
        good = estimates(2)
        object.__setattr__(good[1], "time", "never")
        broken: list[Estimate] = good
        with pytest.raises((StorageError, AttributeError)):
            store.append("s1", token, broken)
        assert store.estimates("s1") == []


def test_the_verbs_list_and_purge(file: Path) -> None:
    with Store(file) as store:
        store.begin(info())
        store.end("s1")
    rows = _verb("monitor", "sessions", "--store", str(file), "--json")
    assert [(r["session"], r["subject"], r["state"]) for r in rows] == [("s1", "anna", "ended")]
    gone = _verb("monitor", "purge", "anna", "--yes", "--store", str(file), "--json")
    assert (gone["subject"], gone["sessions"]) == ("anna", 1)
    assert _verb("monitor", "sessions", "--store", str(file), "--json") == []


def _verb(*arguments: str) -> Any:
    from typer.testing import CliRunner

    from dolorimeter.cli import app

    out = CliRunner().invoke(app, list(arguments))
    assert out.exit_code == 0, out.output
    return json.loads(out.stdout)


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no such file\. Give the place"):
        purge("anna", where=tmp_path / "nothing.sqlite")
    assert list(tmp_path.iterdir()) == []
