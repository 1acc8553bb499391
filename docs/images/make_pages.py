"""Makes the pictures of all pages: `mien app`, and `/live` and `/read/` of `mien serve`; and the annotated portrait.

    python docs/images/make_pages.py            needs Chromium, pip install "mien[web,service]" playwright, make web

The portrait is Eileen Collins, NASA, in the public domain, as shipped by scikit-image; the camera shows it, too.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import skimage
from make_watch import write_clip
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import mien
from mien.images.pictures import encode, read, resize

HERE = Path(__file__).parent
PORTRAIT = Path(skimage.__file__).parent / "data" / "astronaut.png"
PATIENCE_S = 120
LOOKED_AT_S, CLIP_S = 15.2, 26


def main() -> None:
    """Show each page, and take each picture of it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    mien.analyze(str(PORTRAIT)).save(HERE / "astronaut.jpg")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clip, camera = Path(folder, "portrait.mp4"), Path(folder, "camera.mjpeg")
        write_clip(clip)
        image = read(PORTRAIT)
        camera.write_bytes(encode(resize(image, 480, 480), "jpeg") * 10)
        flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                 f"--use-file-for-fake-video-capture={camera}"]  # fmt: skip
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        with serving("app", "--no-browser") as address:
            take(browser, address, "app-analyze.jpg", (1200, 930), analyze)
            take(browser, address, "app-analyze-dark.jpg", (1200, 930), analyze, dark=True)
            take(browser, address, "app-analyze-phone.jpg", (390, 1330), analyze)
            take(browser, f"{address}/video", "app-video.jpg", (1200, 1500), lambda page: play(page, clip))
        with serving("serve") as address:
            take(browser, f"{address}/live", "live.jpg", (1120, 760), record)
            take(browser, f"{address}/live", "live-phone.jpg", (390, 844), record, dark=True)
            take(browser, f"{address}/read/", "page-on-device.jpg", (1120, 760), read_photo)
            take(browser, f"{address}/read/", "page-on-device-phone.jpg", (390, 844), read_photo, dark=True)


@contextlib.contextmanager
def serving(*command: str) -> Iterator[str]:
    """A command of Mien that listens, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "mien", *command, "--port", str(port)], stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address)
        yield address
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


def analyze(page: Page) -> None:
    """The example on the Analyze page."""
    page.get_by_text("Example", exact=True).first.click()
    page.get_by_text("probability").first.wait_for()


def play(page: Page, clip: Path) -> None:
    """The clip, analyzed, and a place in its timeline."""
    page.locator('input[type="file"]').first.set_input_files(clip)
    page.get_by_role("button", name="Analyze video").click()
    rail = page.get_by_role("slider", name="Time in the video")
    rail.wait_for()
    page.wait_for_timeout(1000)
    width = (rail.bounding_box() or {"width": 0})["width"]
    rail.click(position={"x": width * LOOKED_AT_S / CLIP_S, "y": 40})
    # Without the ring of the focus.
    rail.evaluate("rail => rail.blur()")


def record(page: Page) -> None:
    """The camera's portrait."""
    page.click("#start")
    page.wait_for_selector("#faces li")
    # What Chromium calls a camera made of a file is its path.
    page.eval_on_selector("#camera option", "option => { option.textContent = 'Camera 1'; }")


def read_photo(page: Page) -> None:
    """The portrait on the device."""
    page.get_by_role("button", name="Photos").click()
    # It loads the model first.
    page.locator("#start:enabled").wait_for()
    page.set_input_files("#files", PORTRAIT)
    page.wait_for_selector("#faces li")


def take(
    browser: Browser, address: str, name: str, size: tuple[int, int], act: Callable[[Page], None], *, dark: bool = False
) -> None:
    """Take one picture."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", bypass_csp=True
    )
    page.set_default_timeout(1000 * PATIENCE_S)
    page.goto(address)
    act(page)
    page.mouse.move(size[0] - 2, size[1] // 2)
    page.wait_for_timeout(2500)
    data = page.screenshot()
    page.close()
    # A palette would change the colours of expressions, and PNG is four times as large.
    Image.open(io.BytesIO(data)).convert("RGB").save(HERE / name, quality=88, subsampling=0)


if __name__ == "__main__":
    main()
