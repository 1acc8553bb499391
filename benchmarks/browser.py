"""The page in the browser: bytes, time to the first face from a cold cache, frames a second of a camera, its label.

    python benchmarks/browser.py VIDEO [--seconds 15]

Chromium shows VIDEO as its camera; the built page (`npm run build` in web/) is served from a port of this machine.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "web" / "tests" / "golden" / "whole.png"
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PATIENCE_MS = 120_000


class Static(http.server.SimpleHTTPRequestHandler):
    """The built page with its own headers, as `mien serve` sends them; counts bytes."""

    sent = 0
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def end_headers(self) -> None:
        for name, value in json.loads((Path(self.directory) / "headers.json").read_text()).items():
            self.send_header(name, value)
        super().end_headers()

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() == "content-length":
            Static.sent += int(value)
        super().send_header(keyword, value)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def write_camera(video: Path, target: Path) -> None:
    """A camera's picture, JPEG after JPEG, as Chromium takes it."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(video),
        "-vf",
        "scale=640:-2",
        "-q:v",
        "3",
        "-f",
        "mjpeg",
        str(target),
    ]
    subprocess.run(command, check=True)


def measure_first_face(browser: Any, address: str) -> dict[str, float]:
    """Seconds from opening the page in a fresh profile to the first face of a photo."""
    Static.sent = 0
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    started = time.perf_counter()
    page.goto(address)
    page.click("[data-mode=photos]")
    page.wait_for_selector("#start:enabled")
    ready = time.perf_counter() - started
    page.set_input_files("#files", str(PHOTO))
    page.wait_for_selector("#faces li")
    face = time.perf_counter() - started
    context.close()
    return {"ready_s": round(ready, 2), "first_face_s": round(face, 2), "bytes": Static.sent}


def measure_camera(browser: Any, address: str, seconds: float) -> dict[str, Any]:
    """Frames a second of the camera, and the labels of the largest face."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector("#start:enabled")
    page.click("#start")
    page.wait_for_selector("#faces li")
    page.wait_for_timeout(3000)
    before = int(page.inner_text("#count").split()[0])
    labels: Counter[str] = Counter()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        page.wait_for_timeout(250)
        labels[page.inner_text("#faces li:first-child h3 b") if page.locator("#faces li").count() else "none"] += 1
    spent = time.perf_counter() - started
    after = int(page.inner_text("#count").split()[0])
    threads = page.evaluate("[self.crossOriginIsolated, navigator.hardwareConcurrency]")
    context.close()
    return {"frames_s": round((after - before) / spent, 1), "labels": dict(labels), "isolated, cores": threads}


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    handler = functools.partial(Static, directory=str(ROOT / "web" / "dist"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        camera = Path(folder, "camera.mjpeg")
        write_camera(given.video, camera)
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        for _ in range(2):
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
            found = {**measure_first_face(browser, address), **measure_camera(browser, address, given.seconds)}
            print(json.dumps({**found, "load": [round(value, 1) for value in os.getloadavg()]}))
            browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
