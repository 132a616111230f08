"""The monitor's store: a commit beside the standard library's sqlite3, and an 8-hour session.

    python benchmarks/monitor_store.py [--sessions 20] [--seconds 20] [--hours 8]

The peer writes the same estimates as one JSON text each, with the same journal mode and the same
syncing, in the same number of transactions; it checks nothing and cannot be queried. Rounds
alternate, so that both see the same disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dolorimeter.monitor.export import FORMATS, read_session, session_files
from dolorimeter.monitor.nouns import Estimate, ModalityState, SessionInfo, now
from dolorimeter.monitor.store import Recorder, Store
from dolorimeter.monitor.web.messages import plain

STEP_S = 0.5
START = datetime(2026, 11, 27, tzinfo=UTC)


def estimate(i: int, session: str) -> Estimate:
    """One estimate on four modalities."""
    p = (i % 100) / 100
    states = tuple(ModalityState(n, 0.9, 0.1, present=True) for n in ("eda", "ecg", "emg", "face"))
    return Estimate(
        START + timedelta(seconds=STEP_S * i),
        session,
        probabilities={"BL1": 1 - p, "PA4": p},
        expected_level=p,
        lower=p / 2,
        upper=(1 + p) / 2,
        coverage=0.9,
        coverage_kind="conformal",
        modalities=states,
        latency_s=0.01,
    )


def info(session: str) -> SessionInfo:
    """A session of two classes."""
    return SessionInfo(session, "nobody", START, "model", "0" * 8, ("BL1", "PA4"), (0.0, 1.0))


def commits(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of single commits of one estimate: ours, the peer's."""
    store = Store(folder / "ours.sqlite")
    token = store.begin(info("s"))
    peer = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        peer.execute(f"PRAGMA {pragma}")
    peer.execute("CREATE TABLE estimates (number INTEGER PRIMARY KEY, told TEXT)")
    ours, theirs = [], []
    for i in range(rounds):
        made = estimate(i, "s")
        begun = time.perf_counter()
        store.append("s", token, [made])
        middle = time.perf_counter()
        peer.execute("BEGIN IMMEDIATE")
        peer.execute("INSERT INTO estimates VALUES (?, ?)", (i, json.dumps(plain(made))))
        peer.execute("COMMIT")
        ours.append(middle - begun)
        theirs.append(time.perf_counter() - middle)
    store.close()
    peer.close()
    return ours, theirs


def many(folder: Path, sessions: int, seconds: float) -> tuple[int, int, float]:
    """Sessions side by side: estimates given, estimates stored, share of one core."""
    with Store(folder / "many.sqlite") as store:
        recorders = [Recorder(store, info(f"s{i}")) for i in range(sessions)]
        begun, used = time.monotonic(), time.process_time()
        given = 0
        while time.monotonic() - begun < seconds:
            for i, recorder in enumerate(recorders):
                recorder(replace(estimate(given, f"s{i}"), time=now()))
            given += 1
            time.sleep(max(0.0, begun + STEP_S * given - time.monotonic()))
        share = (time.process_time() - used) / (time.monotonic() - begun)
        for recorder in recorders:
            recorder.close()
        stored = sum(found.estimates for found in store.sessions())
        return given * sessions, stored, share


def long_session(folder: Path, hours: float) -> None:
    """Size, reading and exports of one long session."""
    count = int(hours * 3600 / STEP_S)
    path = folder / "long.sqlite"
    with Store(path) as store:
        token = store.begin(info("s"))
        store.append("s", token, [estimate(i, "s") for i in range(count)])
        store.end("s")
        begun = time.perf_counter()
        store.estimates("s", limit=1200)
        newest = time.perf_counter() - begun
        begun = time.perf_counter()
        record = read_session(store, "s")
        whole = time.perf_counter() - begun
    size = path.stat().st_size / 1e6
    print(f"\n{hours:g} hours, {count:,} estimates on 4 modalities: {size:.0f} MB; "
          f"the newest 1,200 read in {newest:.2f} s, all in {whole:.1f} s\n")  # fmt: skip
    print("| format | s | MB |\n|---|---|---|")
    for form in FORMATS:
        begun = time.perf_counter()
        files = session_files(record, form)
        took = time.perf_counter() - begun
        print(f"| {form} | {took:.1f} | {sum(map(len, files.values())) / 1e6:.1f} |")


def main() -> None:
    """Print the figures."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--sessions", type=int, default=20)
    given.add_argument("--seconds", type=float, default=20.0)
    given.add_argument("--hours", type=float, default=8.0)
    given.add_argument("--rounds", type=int, default=300)
    told = given.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {platform.machine()} · {os.cpu_count()} cores"
        f" · load {load:.2f} · Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}\n"
    )
    with tempfile.TemporaryDirectory(prefix="dolorimeter-") as name:
        folder = Path(name)
        print("| one estimate, one commit | p50 ms | p95 ms | max ms |\n|---|---|---|---|")
        for who, took in zip(("store", "sqlite3"), commits(folder, told.rounds), strict=True):
            p95 = statistics.quantiles(took, n=20)[-1]
            print(f"| {who} | {1e3 * statistics.median(took):.1f} | {1e3 * p95:.1f} | "
                  f"{1e3 * max(took):.1f} |")  # fmt: skip
        made, stored, share = many(folder, told.sessions, told.seconds)
        print(f"\n{told.sessions} sessions for {told.seconds:g} s: {made} estimates given, "
              f"{stored} stored, {100 * share:.0f} % of one core")  # fmt: skip
        long_session(folder, told.hours)


if __name__ == "__main__":
    main()
