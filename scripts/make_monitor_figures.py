"""The pictures of the monitor's page: real sessions on made-up sources, in a real Chromium.

python scripts/make_monitor_figures.py docs/images

The demo's model on a made-up body; the same page on a phone at night; signals with the portrait
that is vendored (it moves as a camera's picture would); and the same with a sensor pulled. Nothing
in them is about a person's pain: the models are fitted on look-alikes, or on made-up labels.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "monitor"))
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from monitor import MovingPortrait, model

from dolorimeter.monitor.demo_model import demo_model
from dolorimeter.monitor.feed import Attach, Feed
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.live import sessions
from dolorimeter.monitor.session import Session
from dolorimeter.monitor.sources import Item, Lost, Synthetic
from dolorimeter.monitor.store import Store
from dolorimeter.monitor.web.app import create_app

from browser import Browser, Page

LEVEL = "/^\\d\\.\\d\\d$/.test(document.querySelector('#level').innerText)"
NIGHT = "localStorage.setItem('theme', 'night'); location.reload()"
STRIDE = 2


class Pullable(Synthetic):
    """A made-up body whose sensor of sweat can be pulled off."""

    pulled = False

    def read(self, now: float) -> Sequence[Item]:
        """All that has come, but for what is pulled."""
        items = super().read(now)
        if not self.pulled:
            return items
        lost = [Lost("eda", "the sensor was unplugged")]
        return [*(item for item in items if item.modality != "eda"), *lost]


def with_face(body: Pullable) -> Callable[[str, Attach], Feed]:
    """What starts a session of four signals and the moving portrait."""
    fitted = model("logistic_regression", STRIDE)

    def start(subject: str, attach: Attach) -> Feed:
        return Session(fitted, [body, MovingPortrait()], subject).start(attach)

    return start


@contextmanager
def served(start: Callable[[str, Attach], Feed], subject: str) -> Iterator[str]:
    """A page over one session of a store that is thrown away."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        hub = Hub(store, start)
        hub.start(subject)
        config = uvicorn.Config(create_app(hub), log_level="error", ws="websockets-sansio")
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


def opened(browser: Browser, url: str, **size: bool) -> Page:
    """A page on which an estimate stands."""
    page = browser.page(*((390, 844) if size else (1180, 900)), **size)
    page.open(url)
    page.wait(LEVEL, 300)
    return page


def enter(page: Page) -> None:
    """A self-report and a mark."""
    page.tap("#nrs button:nth-child(5)")
    page.wait("document.querySelector('#entered').innerText.includes('Stored')")
    page.tap("#label")
    page.type("dressing change")
    page.key("Enter", 13)
    page.wait("document.querySelector('#entries').innerText.includes('dressing')")
    page.run("document.activeElement.blur()")


def main(out: Path) -> None:
    """Take the four pictures."""
    program = shutil.which("chromium")
    assert program is not None, "needs chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        with served(sessions(demo_model(), ["synthetic"]), "look-alike 07") as url:
            page = opened(browser, url)
            enter(page)
            time.sleep(20)
            page.picture(out / "monitor-desktop.png")
            phone = opened(browser, url, phone=True)
            phone.run(NIGHT)
            time.sleep(2)
            phone.wait(LEVEL)
            time.sleep(2)
            phone.picture(out / "monitor-phone-night.png", whole=False)
            browser.close_pages()
        body = Pullable(3)
        with served(with_face(body), "look-alike 08") as url:
            page = opened(browser, url)
            enter(page)
            page.wait("!document.querySelector('#face-card').hidden")
            time.sleep(20)
            page.picture(out / "monitor-face.png")
            body.pulled = True
            page.wait("document.querySelector('#remarks').innerText.includes('without eda')")
            time.sleep(4)
            page.picture(out / "monitor-pulled.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
