"""The interface on a real server: what it gives, and everything it refuses."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dolorimeter.errors import ConfigError, MonitorError
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.nouns import NOT_A_DEVICE, Estimate, SessionInfo, now
from dolorimeter.monitor.store import Store
from dolorimeter.monitor.web.guard import check_address
from dolorimeter.monitor.web.server import serve

from monitor_server import Monitor, memory_folder, running


def begin(monitor: Monitor, subject: str = "anna") -> str:
    status, told = monitor.ask("/api/sessions", {"subject": subject})
    assert status == 201, told
    return str(told["id"])


def live(monitor: Monitor, session: str, **given: Any) -> ClientConnection:
    address = monitor.url.replace("http:", "ws:") + f"/api/sessions/{session}/live"
    # unread messages must not hold up the closing handshake
    return connect(address, max_queue=None, **given)


def hear(socket: ClientConnection, kind: str) -> Any:
    """The next message of a kind."""
    for _ in range(200):
        told = json.loads(socket.recv(timeout=60))
        if told["kind"] == kind:
            return told
    raise AssertionError(f"no {kind} in 200 messages")


@pytest.mark.long
def test_a_session_from_start_to_export(monitor: Monitor) -> None:
    status, about = monitor.ask("/api/about")
    assert (status, about["notice"], about["token_needed"]) == (200, NOT_A_DEVICE, False)
    session = begin(monitor)
    status, mark = monitor.ask(f"/api/sessions/{session}/marks", {"label": "turn"})
    assert status == 201
    given = {"scale": "nrs", "value": 7, "entered_by": "patient"}
    status, report = monitor.ask(f"/api/sessions/{session}/reports", given)
    assert (status, report["value"]) == (201, 7)
    status, _ = monitor.ask(f"/api/sessions/{session}/entries/{mark['id']}/withdraw", {})
    assert status == 204
    assert monitor.ask(f"/api/sessions/{session}/marks")[1][0]["withdrawn"] is True
    status, told = monitor.ask(f"/api/sessions/{session}/stop", {})
    assert (status, told["state"], told["here"]) == (200, "ended", False)
    status, estimates = monitor.ask(f"/api/sessions/{session}/estimates?limit=20000")
    assert len(estimates) == told["estimates"] >= 240
    assert estimates[0]["modalities"][0]["name"] == "eda"
    for form in about["formats"]:
        status, content = monitor.ask(f"/api/sessions/{session}/export?format={form}&every_s=10")
        assert status == 200
        archive = zipfile.ZipFile(io.BytesIO(content))
        assert archive.testzip() is None
        assert NOT_A_DEVICE in "".join(
            archive.read(name).decode() for name in archive.namelist() if name.endswith(".json")
        )
    assert f'"session-{session}-fhir-r4b.zip"' in monitor.headers["content-disposition"]


def test_what_the_page_may_load(monitor: Monitor) -> None:
    status, page = monitor.ask("/")
    assert status == 200
    policy = monitor.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = page.decode()
    assert NOT_A_DEVICE in text
    assert not re.findall(r"""(?:src|href)=["'](?!/|#)[^"']*""", text)
    assert "<script>" not in text
    assert " style=" not in text
    for path in ("/page.js", "/draw.js", "/page.css"):
        status, content = monitor.ask(path)
        assert status == 200
        assert not re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", content)


@pytest.fixture(scope="module")
def shared() -> Iterator[Monitor]:
    """A monitor for what changes nothing."""
    with memory_folder() as folder, running(folder / "monitor.sqlite") as made:
        yield made


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/docs",
        "/redoc",
        "/static/",
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/page.js/../../app.py",
        "/api/sessions/..%2f..%2fetc%2fpasswd",
        "/api/sessions/%00",
        "/api/sessions/nothing",
        "/api/sessions/nothing/estimates",
        "/api/sessions/nothing/export?format=csv",
    ],
)
def test_no_path_reaches_the_disk(shared: Monitor, path: str) -> None:
    host = urllib.parse.urlsplit(shared.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path)  # as it is: urllib would tidy it up
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status in {404, 422}
    assert b"root:" not in content
    assert set(json.loads(content)) == {"detail"}


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"host": "evil.example"}, 421, "not reached under the name 'evil.example'"),
        ({"origin": "http://evil.example"}, 403, "a page from elsewhere"),
        ({"origin": "null"}, 403, "a page from elsewhere"),
        ({"x_forwarded_for": "10.0.0.7"}, 421, "behind a proxy: start it with --token"),
        ({"content_type": "text/plain"}, 415, "not application/json"),
    ],
)
def test_who_may_not_ask(
    shared: Monitor, headers: dict[str, str], status: int, reason: str
) -> None:
    before = shared.ask("/api/sessions")
    found, told = shared.ask("/api/sessions", {"subject": "anna"}, **headers)
    assert (found, reason in told["detail"]) == (status, True)
    assert shared.ask("/api/sessions") == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"scale": "nrs", "value": 11, "entered_by": "patient"}, "self-report is 11"),
        ({"scale": "nrs", "value": 7.5, "entered_by": "patient"}, "value: Input should be"),
        ({"scale": "nrs", "value": "7", "entered_by": "patient"}, "value: Input should be"),
        ({"scale": "nrs", "value": True, "entered_by": "patient"}, "value: Input should be"),
        ({"scale": "vas", "value": 7, "entered_by": "patient"}, "scale: Input should be"),
        ({"scale": "nrs", "value": 7}, "entered_by: Field required"),
        ({"scale": "nrs", "value": 7, "entered_by": "a\nb"}, "on one line"),
        ({"scale": "nrs", "value": 7, "entered_by": "\ud800"}, "valid string"),
        ({"scale": "nrs", "value": 7, "entered_by": "a", "pain": 1}, "pain: Extra inputs"),
        ({"scale": "nrs", "value": 7, "entered_by": "a", "time": "2026-01-01T00:00:00"}, "time:"),
        ([1, 2], "valid dictionary"),
        ("text", "valid dictionary"),
    ],
)
def test_self_reports_that_are_refused(shared: Monitor, body: Any, reason: str) -> None:
    if not shared.sessions:
        begin(shared)
    session = shared.sessions[0].info.id
    status, told = shared.ask(f"/api/sessions/{session}/reports", body)
    assert (status, reason in told["detail"]) == (422, True), told
    assert shared.ask(f"/api/sessions/{session}/reports") == (200, [])


def test_bodies_are_bounded(monitor: Monitor) -> None:
    session = begin(monitor)
    status, told = monitor.ask(f"/api/sessions/{session}/marks", {"label": "x" * 20_000})
    assert (status, "at most 16384 are read" in told["detail"]) == (413, True)
    host = urllib.parse.urlsplit(monitor.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    pieces = (b" " * 4096 for _ in range(64))  # no length is said, so it is counted
    headers = {"content-type": "application/json"}
    connection.request(
        "POST", f"/api/sessions/{session}/marks", pieces, headers, encode_chunked=True
    )
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, AssertionError)):
        assert connection.getresponse().status < 400
    connection.close()
    assert monitor.ask(f"/api/sessions/{session}/marks") == (200, [])


def test_what_cannot_be_done_is_said(monitor: Monitor) -> None:
    status, told = monitor.ask("/api/sessions", {"subject": "nobody"})
    assert (status, told["detail"]) == (409, "the sensor is not there. Plug it in.")
    session = begin(monitor)
    monitor.ask(f"/api/sessions/{session}/stop", {})
    with Store(monitor.hub.store.place) as other:  # as another process would
        other.begin(SessionInfo("s9", "berta", now()))
    status, told = monitor.ask("/api/sessions/s9/stop", {})
    assert (status, "does not run in this process" in told["detail"]) == (409, True)
    monitor.hub.store._database.engine.dispose()
    Path(monitor.hub.store.place).write_bytes(b"no database any more " * 1000)
    status, told = monitor.ask("/api/sessions")
    assert status == 503
    assert "not a database" in told["detail"] or "damaged" in told["detail"]


@pytest.mark.long
def test_a_live_connection_tells_what_is_new(monitor: Monitor) -> None:
    session = begin(monitor)
    with live(monitor, session) as one, live(monitor, session) as two:
        first = hear(one, "estimates")
        assert first["first"] is True
        assert len(first["estimates"]) >= 240
        times = [e["time"] for e in first["estimates"]]
        assert times == sorted(set(times))
        more = hear(one, "estimates")
        assert more["estimates"][0]["time"] > times[-1]
        signals = hear(two, "signals")
        assert [s["name"] for s in signals["signals"]] == ["eda", "ecg"]
        assert len(signals["signals"][0]["values"]) == 400
        assert signals["face"]["cues"]["eyes_closed"] == 0.75
        one.send(json.dumps({"kind": "show", "seconds": 5, "points": 60}))
        for _ in range(20):
            signals = hear(one, "signals")
            if len(signals["signals"][0]["values"]) == 60:
                break
        assert signals["signals"][0]["seconds"][0] == -5.0
        monitor.ask(f"/api/sessions/{session}/marks", {"label": "turn"})
        for socket in (one, two):  # an entry of one browser is seen in the other
            while not (found := hear(socket, "entries"))["marks"]:
                pass
            assert found["marks"][0]["label"] == "turn"
        monitor.sessions[0].pulled.add("eda")
        hear(two, "signals")
        state = hear(two, "signals")["signals"][0]
        assert state["state"]["reasons"] == ["no eda for 3 s"]
        assert state["values"][-1] is None
        monitor.sessions[0].fail("the camera is gone")
        gone = hear(one, "state")
        assert (gone["running"], gone["stopped_because"]) == (False, "the camera is gone")
    time.sleep(1.0)
    assert monitor.ask(f"/api/sessions/{session}")[1]["ended_because"] == "the camera is gone"


@pytest.mark.long
def test_a_frame_is_sent_only_to_who_asks_for_it(monitor: Monitor) -> None:
    session = begin(monitor)
    with live(monitor, session) as asking, live(monitor, session) as other:
        for _ in range(6):
            assert json.loads(asking.recv(timeout=60))["kind"] != "frame"
        asking.send(json.dumps({"kind": "show", "frames": True}))
        content = base64.b64decode(hear(asking, "frame")["jpeg"])
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (240, 320, 3)
        assert picture[120, 310].tolist()[2] > 200  # red grows to the right
        assert picture[120, 310].tolist()[0] < 40
        for _ in range(6):
            assert json.loads(other.recv(timeout=60))["kind"] != "frame"
        monitor.sessions[0].pulled.add("face")
        while (found := hear(asking, "frame"))["jpeg"] is not None:
            pass
        assert found["jpeg"] is None
        asking.send(json.dumps({"kind": "show", "frames": False}))
        kinds = [json.loads(asking.recv(timeout=60))["kind"] for _ in range(16)]
        assert "frame" not in kinds[-6:]
        asking.send(json.dumps({"kind": "show", "frames": 1}))
        assert "frames" in hear(asking, "refused")["detail"]
    place = Path(monitor.hub.store.place)
    stored = b"".join(p.read_bytes() for p in place.parent.iterdir())
    assert stored
    assert b"\xff\xd8\xff" not in stored  # how a JPEG begins


def test_an_entry_of_a_time_that_has_not_come_is_refused(monitor: Monitor) -> None:
    session = begin(monitor)
    ahead = (now() + timedelta(minutes=5)).isoformat()
    report = {"scale": "nrs", "value": 3, "entered_by": "patient", "time": ahead}
    for path, body in (("reports", report), ("marks", {"label": "turn", "time": ahead})):
        status, told = monitor.ask(f"/api/sessions/{session}/{path}", body)
        assert (status, "which has not come yet" in told["detail"]) == (422, True)
        assert monitor.ask(f"/api/sessions/{session}/{path}") == (200, [])


def test_sessions_are_bounded(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolorimeter.monitor.hub.MAX_RUNNING", 2)
    begin(monitor)
    first = begin(monitor)
    status, told = monitor.ask("/api/sessions", {"subject": "anna"})
    assert (status, told["detail"]) == (409, "2 sessions are running already: stop one first.")
    monitor.ask(f"/api/sessions/{first}/stop", {})
    begin(monitor)


def test_ended_sessions_do_not_fill_the_memory(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.monitor.hub.MOST_ENDED", 2)
    running = begin(monitor)
    ended = [begin(monitor) for _ in range(4)]
    for session in ended:
        assert monitor.ask(f"/api/sessions/{session}/stop", {})[0] == 200
    held = [session for session in (running, *ended) if monitor.hub.feed(session) is not None]
    assert held == [running, *ended[-2:]]
    first = f"/api/sessions/{ended[0]}"
    assert monitor.ask(first)[1]["state"] == "ended"
    assert len(monitor.ask(f"{first}/estimates")[1]) >= 240
    with live(monitor, ended[0]) as socket:
        assert hear(socket, "estimates")["estimates"]


def test_a_sink_that_fails_ends_no_session(monitor: Monitor) -> None:
    asked = []

    def sink(_: Estimate) -> None:
        asked.append(1)
        raise OSError("the network is gone")

    monitor.hub._outlets = (lambda _: sink,)
    session = begin(monitor)
    before = monitor.hub.store.session(session).estimates
    for _ in range(100):
        if monitor.hub.store.session(session).estimates > before + 2:
            break
        time.sleep(0.05)
    assert monitor.sessions[0].running
    assert len(asked) == 1
    told = "estimates are stored, and no longer sent to sink: the network is gone"
    assert monitor.ask(f"/api/sessions/{session}")[1]["trouble"] == told
    assert f'store_refuses{{session="{session}"}} 0.0' in monitor.hub.metrics_text()


def test_messages_that_make_no_sense_stop_nothing(monitor: Monitor) -> None:
    session = begin(monitor)
    with live(monitor, session) as other, live(monitor, session) as socket:
        for text in ("{", "[]", '{"kind":"stop"}', '{"kind":"show","seconds":1e9}', "\x00"):
            socket.send(text)
            assert hear(socket, "refused")["detail"]
        assert hear(socket, "estimates")
        for _ in range(20):
            socket.send("{")
        with pytest.raises(ConnectionClosed) as caught:
            hear(socket, "never")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008
        with live(monitor, session) as third:
            third.send("x" * 100_000)
            with pytest.raises(ConnectionClosed):
                hear(third, "never")
        assert hear(other, "estimates")
    assert monitor.sessions[0].running
    with pytest.raises(InvalidStatus, match="HTTP 403"), live(monitor, "nothing"):
        pass


def test_a_token_is_asked_for(guarded: Monitor) -> None:
    assert guarded.ask("/api/about")[1]["token_needed"] is True
    for path in ("/api/sessions", "/metrics", "/api/openapi.json"):
        status, told = guarded.ask(path)
        assert (status, "a token is needed" in told["detail"]) == (401, True)
    assert guarded.ask("/api/sessions", {"subject": "anna"})[0] == 401
    status, told = guarded.ask("/api/login", {"token": "sesame"})
    assert (status, "not the token" in told["detail"]) == (401, True)
    assert guarded.ask("/api/login", {"token": "sesame-sesame-sesame"})[0] == 204
    cookie = guarded.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "sesame" not in cookie
    given = cookie.partition(";")[0]
    assert guarded.ask("/api/sessions", cookie=given) == (200, [])
    assert guarded.ask("/api/sessions", cookie="dolorimeter=guess")[0] == 401
    assert guarded.ask("/metrics", authorization="Bearer sesame-sesame-sesame")[0] == 200
    assert guarded.ask("/metrics", authorization="Bearer sesame")[0] == 401
    with pytest.raises(InvalidStatus, match="HTTP 403"), live(guarded, "s1"):
        pass


def test_addresses_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"on 0\.0\.0\.0 others could open .*--tls-cert"):
        check_address("0.0.0.0", None)
    with pytest.raises(ConfigError, match="the token has 5 characters"):
        check_address("127.0.0.1", "short")
    for host in ("127.0.0.1", "localhost", "::1", "[::1]"):
        check_address(host, None)
    check_address("0.0.0.0", "sesame-sesame-sesame")
    with Store(tmp_path / "monitor.sqlite") as store:
        hub = Hub(store)
        with pytest.raises(ConfigError, match=r"on 10\.0\.0\.1 others could open"):
            serve(hub, host="10.0.0.1")
        with pytest.raises(ConfigError, match="TLS needs both"):
            serve(hub, tls_cert=tmp_path / "cert.pem")
        with pytest.raises(MonitorError, match="no session can be started here"):
            hub.start("anna")
        hub.close()


def test_a_port_that_is_taken(monitor: Monitor) -> None:
    port = urllib.parse.urlsplit(monitor.url).port
    assert port is not None
    with pytest.raises(MonitorError, match=f"127.0.0.1:{port}: cannot be listened on"):
        serve(monitor.hub, port=port)


def test_the_description_is_whole(monitor: Monitor) -> None:
    told = monitor.ask("/api/openapi.json")[1]
    assert NOT_A_DEVICE in told["info"]["description"]
    for path, methods in told["paths"].items():
        for method, facts in methods.items():
            assert facts.get("description"), (path, method)
    assert "/api/sessions/{session}/reports" in told["paths"]
    status, _ = monitor.ask("/metrics")
    assert (status, monitor.headers["content-type"]) == (
        200, "text/plain; version=0.0.4; charset=utf-8"
    )  # fmt: skip
    begin(monitor)
    assert b"dolorimeter_expected_level" in monitor.ask("/metrics")[1]


def test_a_diary(monitor: Monitor) -> None:
    given = {"subject": "anna", "kind": "diary", "reminders": ["00:00"], "timezone": "Asia/Tokyo"}
    status, diary = monitor.ask("/api/sessions", given)
    assert (status, diary["kind"], diary["state"], diary["due_since"]) == (
        201, "diary", "running", None
    )  # fmt: skip
    with live(monitor, diary["id"]) as socket:
        assert hear(socket, "entries")["reports"] == []
        report = {"scale": "faces", "value": 4, "entered_by": "patient"}
        assert monitor.ask(f"/api/sessions/{diary['id']}/reports", report)[0] == 201
        assert hear(socket, "entries")["reports"][0]["value"] == 4
    assert monitor.ask(f"/api/sessions/{diary['id']}/stop", {})[1]["state"] == "ended"
    status, told = monitor.ask("/api/sessions", {**given, "timezone": "Mars/Olympus"})
    assert (status, "time zone 'Mars/Olympus'" in told["detail"]) == (422, True)


SLOW = """
import time
import dolorimeter.monitor.web.app as app
whole = app._zipped
app._zipped = lambda *given: (time.sleep(5), whole(*given))[1]
from dolorimeter.cli import main
main()
"""
"""The verb, with exports that outlast the server's patience when it is asked to end."""


@pytest.mark.long
def test_the_verb_serves_until_it_is_interrupted(memory: Path) -> None:
    command = [sys.executable, "-c", SLOW, "monitor", "page"]
    place = ["--store", str(memory / "monitor.sqlite"), "--port", "0"]
    with subprocess.Popen([*command, *place], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[1]
        monitor = Monitor(address.rstrip("/"), None, [])  # type: ignore[arg-type]  # no hub here
        for _ in range(100):  # it listens from the first line on, and answers soon after
            if monitor.ask("/api/about")[1]["can_start"] is False:
                break
        status, diary = monitor.ask("/api/sessions", {"subject": "anna", "kind": "diary"})
        assert status == 201
        report = {"scale": "nrs", "value": 3, "entered_by": "patient", "seconds_ago": 3600}
        before = now()
        assert monitor.ask(f"/api/sessions/{diary['id']}/reports", report)[0] == 201
        after = now()
        status, told = monitor.ask("/api/sessions", {"subject": "anna"})
        assert (status, "no session can be started here" in told["detail"]) == (409, True)
        answers: list[int] = []
        slow = f"/api/sessions/{diary['id']}/export?format=csv"
        asking = threading.Thread(target=lambda: answers.append(monitor.ask(slow)[0]))
        asking.start()
        with live(monitor, diary["id"]) as socket:
            hear(socket, "entries")
            process.send_signal(signal.SIGINT)
            told = process.stderr.read()
            assert process.wait(60) == 0
        asking.join()
        assert answers == [503]
        # Ctrl-C is how it ends: nobody is told of tasks that were cancelled for it
        assert told.splitlines() == ["Research software, not a medical device. Ctrl-C ends it."]
    with Store(memory / "monitor.sqlite") as store:
        (kept,) = store.reports(diary["id"])
        assert kept.value == 3
        assert before <= kept.time + timedelta(seconds=3600) <= after
