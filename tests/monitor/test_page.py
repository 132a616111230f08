"""The page in a real Chromium: it opens, streams, keeps what is entered, says what is wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dolorimeter.errors import StorageError
from dolorimeter.monitor.nouns import SelfReport

from browser import Browser, Page
from monitor_server import Monitor

LEVEL = "/^\\d\\.\\d\\d$/.test(document.querySelector('#level').innerText)"


@pytest.fixture
def page(chromium: Browser, monitor: Monitor) -> Page:
    """A desktop browser that looks at a running session."""
    monitor.hub.start("subject 07")
    made = chromium.page()
    made.open(monitor.url)
    made.wait(LEVEL)
    return made


def says(page: Page, selector: str, text: str) -> None:
    page.wait(f"document.querySelector({selector!r})?.innerText.includes({text!r})")


def drawn(page: Page, canvas: str) -> int:
    """A number that changes with what is drawn."""
    script = (
        f"(() => {{ const c = document.querySelector({canvas!r});"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let h = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) h = (h * 31 + i) | 0;"
        "return h; })()"
    )
    return int(page.run(script))


@pytest.mark.long
def test_it_streams_and_keeps_what_is_entered(page: Page, monitor: Monitor) -> None:
    (session,) = monitor.sessions
    assert "Research software, not a medical device." in page.text("header")
    assert "LOOK-ALIKE" in page.text("#lookalike")
    says(page, "#connection", "live")
    assert "conformal: its promise holds for people like those" in page.text("#promise")
    assert page.text("#quality") == "good (0.90)"
    page.wait("/^0\\.\\d s$/.test(document.querySelector('#age').innerText)")
    before = {c: drawn(page, c) for c in ("#timeline", "[data-signal=ecg] canvas")}
    level = page.text("#level")
    page.wait(f"document.querySelector('#level').innerText !== {level!r}")
    for canvas, was in before.items():
        assert drawn(page, canvas) not in {0, was}, canvas
    page.tap("#nrs button:nth-child(8)")
    says(page, "#entered", "Stored: 7 of 10")
    page.tap("#faces button:nth-child(3)")
    says(page, "#entries", "points at face 4 of 10 (entered by patient)")
    page.tap("#entered button")
    says(page, "#entered", "Withdrawn")
    page.tap("#label")
    page.type("dressing change <b>&")
    page.key("Enter", 13)
    says(page, "#entries", "dressing change <b>&")
    store = monitor.hub.store
    first, second = store.reports(session.info.id)
    assert (first.scale, first.value, first.withdrawn) == ("nrs", 7, False)
    assert (second.scale, second.value, second.withdrawn) == ("faces", 4, True)
    assert [m.label for m in store.marks(session.info.id)] == ["dressing change <b>&"]
    assert store.session(session.info.id).estimates > 240
    assert page.faults() == []


@pytest.mark.long
def test_a_sensor_is_pulled_and_it_says_so(page: Page, monitor: Monitor) -> None:
    (session,) = monitor.sessions
    session.pulled.add("eda")
    says(page, "#remarks", "Goes on without eda: no eda for 3 s.")
    says(page, "[data-signal=eda] h3", "not used: no eda for 3 s")
    assert page.run(LEVEL)
    session.pulled.update(("ecg", "face"))
    says(page, "#abstains", "No estimate")
    says(page, "#why", "no sensor is left")
    says(page, "#face-state", "no face for 3 s")
    assert page.run("document.querySelector('#given').hidden")
    assert "no pain" not in page.text("section.estimate")
    session.pulled.clear()
    page.wait(LEVEL)
    session.fail("the camera is gone")
    says(page, "#trouble", "the session stopped: the camera is gone")
    says(page, "#h-estimate", "the last one, at")
    page.wait("document.querySelector('#estimate').classList.contains('stale')")
    says(page, "#about-session", "Ended: the camera is gone")
    assert page.faults() == []


@pytest.mark.long
def test_the_cameras_picture_is_shown_only_when_asked(page: Page, monitor: Monitor) -> None:
    width = "document.querySelector('#frame').naturalWidth"
    page.wait("!document.querySelector('#face-card').hidden")
    time.sleep(0.6)
    assert page.run("document.querySelector('#frame').hidden")
    assert not page.run("document.querySelector('#frame').hasAttribute('src')")
    page.tap("#ask-frame")
    page.wait(f"{width} === 320 && !document.querySelector('#frame').hidden")
    says(page, "#frame-told", "Shown here only, stored nowhere.")
    assert page.run("document.querySelector('#ask-frame').getAttribute('aria-pressed')") == "true"
    monitor.sessions[0].pulled.add("face")
    says(page, "#frame-told", "The camera gives no picture.")
    assert page.run("document.querySelector('#frame').hidden")
    monitor.sessions[0].pulled.clear()
    page.wait("!document.querySelector('#frame').hidden")
    page.tap("#ask-frame")
    page.wait("document.querySelector('#frame').hidden")
    page.tap("#ask-frame")
    page.wait(f"{width} === 320 && !document.querySelector('#frame').hidden")
    page.call("Page.reload")
    page.wait("document.querySelector('#face-card')?.hidden === false")
    time.sleep(0.6)
    assert page.run("document.querySelector('#frame').hidden")
    assert page.faults() == []


def test_what_is_not_stored_is_said(
    page: Page, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(report: SelfReport) -> None:
        raise StorageError("monitor.sqlite: the disk is full. Make room.")

    monkeypatch.setattr(monitor.hub.store, "add_report", refuse)
    page.tap("#nrs button:nth-child(10)")
    says(page, "#entered", "NOT stored: monitor.sqlite: the disk is full. Make room.")
    monkeypatch.undo()
    page.tap("#entered button")
    says(page, "#entered", "Stored: 9 of 10")
    assert [r.value for r in monitor.hub.store.reports(monitor.sessions[0].info.id)] == [9]


def test_keyboard_reload_and_stop(page: Page, monitor: Monitor) -> None:
    page.key("r")
    for _ in range(3):
        page.key("ArrowRight", 39)
    page.key("Enter", 13)
    says(page, "#entered", "Stored: 3 of 10")
    page.key("n")
    page.key("n")
    assert page.run("document.documentElement.dataset.theme") == "night"
    page.call("Page.reload")
    page.wait("document.querySelector('#entries')?.innerText.includes('says 3 of 10')")
    assert page.run("document.documentElement.dataset.theme") == "night"
    page.tap("#stop")
    assert page.text("#stop") == "Really stop?"
    assert monitor.sessions[0].running
    page.tap("#stop")
    page.wait("document.querySelector('#state').innerText === 'ended'")
    assert not monitor.sessions[0].running


def test_a_phone_and_a_diary(chromium: Browser, monitor: Monitor) -> None:
    phone = chromium.page(390, 844, phone=True)
    phone.open(monitor.url)
    says(phone, "#about-session", "No session is stored yet.")
    phone.run("document.querySelector('#subject').value = 'anna'")
    phone.run("document.querySelector('#kind').value = 'diary'")
    phone.run("document.querySelector('#kind').dispatchEvent(new Event('change'))")
    phone.run("document.querySelector('#reminders').value = '00:00, 12:00'")
    phone.tap("#start button")
    phone.wait("document.body.classList.contains('diary')")
    assert phone.run("document.documentElement.scrollWidth") <= 390
    phone.tap("#nrs button:nth-child(5)")
    says(phone, "#entries", "says 4 of 10")
    (stored,) = monitor.hub.store.sessions("anna")
    assert (stored.info.kind, stored.info.reminders) == ("diary", ("00:00", "12:00"))
    assert [r.value for r in monitor.hub.store.reports(stored.info.id)] == [4]
    sizes = phone.run(
        "[...document.querySelectorAll('#nrs button, #faces button')].map(b =>"
        "{ const r = b.getBoundingClientRect(); return Math.min(r.width, r.height); })"
    )
    assert min(sizes) >= 44  # what a finger hits
    assert phone.faults() == []


@pytest.mark.long
def test_a_token_opens_it_once(chromium: Browser, guarded: Monitor) -> None:
    guarded.hub.start("anna")
    page = chromium.page()
    page.open(guarded.url)
    page.wait("!document.querySelector('#login').hidden")
    assert page.run("document.querySelector('#main').hidden")
    assert "anna" not in page.text("body")
    page.tap("#token")
    page.type("wrong")
    page.key("Enter", 13)
    says(page, "#login-refused", "this is not the token")
    page.open("about:blank")
    page.open(f"{guarded.url}/#token=sesame-sesame-sesame")
    page.wait(f"!document.querySelector('#main').hidden && {LEVEL}")
    assert "sesame" not in page.run("location.href")
    page.call("Page.reload")
    time.sleep(0.1)
    page.wait(LEVEL)


CONTRAST = """
(() => {
  const light = (c) => {
    const v = c.match(/[\\d.]+/g).slice(0, 3).map((x) => x / 255)
      .map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
  };
  const behind = (n) => {
    for (; n; n = n.parentElement) {
      const c = getComputedStyle(n).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(c)) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const n of document.querySelectorAll("body *")) {
    const text = [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
    if (!text || !n.offsetParent || n.closest(".stale")) continue;
    const [a, b] = [light(getComputedStyle(n).color), light(behind(n))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${n.tagName} ${n.className} ${n.innerText}: ${ratio.toFixed(2)}`);
  }
  return found;
})()
"""


@pytest.mark.parametrize("theme", ["day", "night", "auto"])
def test_text_can_be_read(page: Page, theme: str) -> None:
    """Contrast of at least 4.5 (WCAG 2.2, AA); `auto` as a dark device has it."""
    dark: list[dict[str, Any]] = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", features=dark)
    page.run(f"document.documentElement.dataset.theme = {theme!r}")
    assert page.run(CONTRAST) == []


def test_every_control_has_a_name(page: Page, tmp_path: Path) -> None:
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    nameless = [
        node["role"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in {"button", "textbox", "combobox", "radio", "image"}
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
