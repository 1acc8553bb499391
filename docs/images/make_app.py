"""Makes app-analyze.png, -dark.png and -phone.png: the page of `mien app` with its example.

    python docs/images/make_app.py              needs Chromium and pip install "mien[web]" playwright

The portrait is Eileen Collins, NASA, in the public domain.
"""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
PATIENCE_S = 60
PICTURES = {"": (1200, 930, "light"), "-dark": (1200, 930, "dark"), "-phone": (390, 1330, "light")}


def main() -> None:
    """Show the page, and take each picture of it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([sys.executable, "-m", "mien", "app", "--no-browser", "--port", str(port)])
    try:
        wait_for(address)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name in PICTURES:
                take(browser, address, name)
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str) -> None:
    """Return as soon as something answers there."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def take(browser: Browser, address: str, name: str) -> None:
    """Take one picture."""
    width, height, scheme = PICTURES[name]
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(address, timeout=1000 * PATIENCE_S)
    page.get_by_text("Example", exact=True).first.click(timeout=1000 * PATIENCE_S)
    page.get_by_text("probability").first.wait_for(timeout=1000 * PATIENCE_S)
    page.mouse.move(width - 2, height // 2)
    page.wait_for_timeout(2000)
    data = page.screenshot()
    page.close()
    # A palette halves the file.
    Image.open(io.BytesIO(data)).convert("RGB").quantize(256).save(HERE / f"app-analyze{name}.png", optimize=True)


if __name__ == "__main__":
    main()
