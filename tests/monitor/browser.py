"""The system's Chromium, driven over its own protocol: no further program is needed."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
DEADLINE_S = 60.0


class Browser:
    """One Chromium process with a profile of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        port_file = profile / "DevToolsActivePort"
        end = time.monotonic() + DEADLINE_S
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert self._process.poll() is None, "Chromium ended at once"
            assert time.monotonic() < end, "Chromium did not open its port"
            time.sleep(0.02)
        port, path = port_file.read_text().splitlines()[:2]
        self._open = ExitStack()
        address = f"ws://127.0.0.1:{port}{path}"
        self._socket: ClientConnection = self._open.enter_context(
            connect(address, max_size=None, open_timeout=DEADLINE_S, ping_interval=None)
        )
        self._number = 0
        self._contexts: list[str] = []
        self.events: list[dict[str, Any]] = []

    def close_pages(self) -> None:
        """Close what `page` has opened: an open page draws on, which costs a processor."""
        for context in self._contexts:
            self.call("Target.disposeBrowserContext", browserContextId=context)
        self._contexts.clear()

    def close(self) -> None:
        self._open.close()
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    def page(self, width: int = 1280, height: int = 900, *, phone: bool = False) -> Page:
        """A new page, in a profile that shares nothing with the others."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        self._contexts.append(context)
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        found = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, found["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height, phone=phone)
        return page

    def call(self, method: str, session: str | None = None, **given: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            answer = json.loads(self._socket.recv(timeout=DEADLINE_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)
        raise AssertionError(f"{method} was not answered")


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def call(self, method: str, **given: Any) -> Any:
        return self.browser.call(method, self.session, **given)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait(self, script: str, seconds: float = DEADLINE_S) -> Any:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tried = f"(() => {{ try {{ return {script} }} catch {{ return false }} }})()"
            if value := self.run(tried):  # it throws while a page is still loading
                return value
            time.sleep(0.05)
        raise AssertionError(
            f"not true in {seconds:g} s: {script}; page: {self.text('body')[:800]}"
        )

    def tap(self, selector: str) -> None:
        """A finger (or the mouse) on the middle of an element."""
        script = (
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            "node.scrollIntoView({block: 'center'}); const b = node.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        x, y = self.run(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, key: str, code: int = 0) -> None:
        given: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        if len(key) == 1:
            given["text"] = key
        if key == "Enter":
            given["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def faults(self) -> list[str]:
        """Errors on the console, and addresses that were asked for and are not the page's."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"])[:500])
            if event["method"] == "Log.entryAdded" and told["entry"]["level"] == "error":
                found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            if event["method"] == "Network.requestWillBeSent":
                url = told["request"]["url"]
                if not url.startswith(("http://127.0.0.1:", "data:", "about:", "blob:")):
                    found.append(f"asked for {url}")
        return found
