"""The pictures of the monitor's page: a real session on the synthetic source, in a real Chromium.

dolorimeter monitor --port 8097 --subject "look-alike 07" &
python scripts/make_monitor_figures.py http://127.0.0.1:8097 docs/images
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "monitor"))

from browser import Browser

LEVEL = "/^\\d\\.\\d\\d$/.test(document.querySelector('#level').innerText)"
NIGHT = "localStorage.setItem('theme', 'night'); location.reload()"


def main(url: str, out: Path) -> None:
    """Wait for an estimate, enter a mark and a self-report, and take the pictures."""
    program = shutil.which("chromium")
    assert program is not None, "needs chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, Path(profile))
        page = browser.page(1180, 900)
        page.open(url)
        page.wait(LEVEL, 300)
        page.tap("#nrs button:nth-child(5)")
        page.wait("document.querySelector('#entered').innerText.includes('Stored')")
        page.tap("#label")
        page.type("dressing change")
        page.key("Enter", 13)
        page.wait("document.querySelector('#entries').innerText.includes('dressing')")
        page.run("document.activeElement.blur()")
        time.sleep(20)
        page.picture(out / "monitor-desktop.png")
        phone = browser.page(390, 844, phone=True)
        phone.open(url)
        phone.wait(LEVEL)
        phone.run(NIGHT)
        time.sleep(2)
        phone.wait(LEVEL)
        time.sleep(2)
        phone.picture(out / "monitor-phone-night.png", whole=False)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
