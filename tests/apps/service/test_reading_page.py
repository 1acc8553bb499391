"""The page that analyzes in the browser: what it reads, that it sends nothing, and that it needs no network."""

from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from service_runs import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WEB = Path(__file__).resolve().parents[3] / "web"
DIST, GOLDEN = WEB / "dist", WEB / "tests" / "golden"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PATIENCE_MS = 120_000

built = pytest.mark.skipif(
    not (DIST / "headers.json").is_file(), reason="needs the built page: npm ci && npm run build in web/"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A static host that knows nothing of the page: no policy, no isolation."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Host:
    """The built page on a port of this machine, until `stop`."""

    def __init__(self) -> None:
        handler = functools.partial(Quiet, directory=str(DIST))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """Start Chromium, with a camera if there is a file for it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with ExitStack() as stack:
        started = stack.enter_context(playwright.sync_playwright())

        def start(camera: Path | None = None) -> Browser:
            flags = [*FLAGS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])]
            browser: Browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
            stack.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser]) -> Browser:
    return launch()


def open_page(browser: Browser, origin: str, **options: Any) -> Page:
    page = browser.new_context(accept_downloads=True, **options).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{origin}/")
    return page


def read_photos(page: Page, *names: str) -> list[dict[str, str]]:
    """The rows of the CSV that the page gives for these pictures."""
    page.click("[data-mode=photos]")
    page.wait_for_selector("#start:enabled")
    page.set_input_files("#files", [str(GOLDEN / name) for name in names])
    page.wait_for_selector(f"#photos li:nth-child({len(names)})")
    with page.expect_download() as download:
        page.click("#csv")
    return list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))


def wait_until(page: Page, expression: str) -> None:
    """Playwright's own `wait_for_function` evaluates strings in the page, which the page's policy forbids."""
    for _ in range(PATIENCE_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


@built
def test_pictures_are_read_as_in_python_and_nothing_is_sent(browser: Browser, host: Host) -> None:
    golden = json.loads((GOLDEN / "own.json").read_text("utf-8"))
    page = open_page(browser, host.origin)
    asked = []
    page.context.on("request", lambda request: asked.append((request.method, request.url, request.post_data)))
    rows = read_photos(page, *golden["photos"])
    for name, expected in golden["photos"].items():
        found = [row for row in rows if row["source"] == name and row["success"] == "1"]
        assert len(found) == len(expected["faces"]), name
        for row, face in zip(found, expected["faces"], strict=True):
            assert row["top"] == face["top"]
            assert float(row["x"]) == pytest.approx(face["box"][0], abs=0.2)
            assert float(row["height"]) == pytest.approx(face["box"][3] - face["box"][1], abs=0.3)
            for label, value in face["probabilities"].items():
                assert float(row[label]) == pytest.approx(value, abs=0.01)
    assert list(rows[0]) == golden["table"]["csv"].split("\n")[0].split(",")
    assert all(method == "GET" and not body for method, _, body in asked)
    assert all(url.startswith((host.origin, "blob:")) for _, url, _ in asked)
    page.context.close()


@built
def test_the_page_and_its_worker_may_connect_to_nothing_else(browser: Browser, host: Host) -> None:
    elsewhere = Host()
    try:
        page = open_page(browser, host.origin)
        page.wait_for_selector("#start:enabled")
        # The second visit is served by the service worker, which gives the worker its policy on any host.
        wait_until(page, "navigator.serviceWorker.controller !== null")
        page.reload()
        page.wait_for_selector("#start:enabled")
        assert page.evaluate("self.crossOriginIsolated")
        attempt = f"fetch('{elsewhere.origin}/icon.svg', {{mode: 'no-cors'}}).then(() => 'sent', () => 'refused')"
        assert page.evaluate(attempt) == "refused"
        (worker,) = [worker for worker in page.workers if "worker.js" in worker.url]
        assert worker.evaluate(attempt) == "refused"
        image = (
            "new Promise((done) => { const image = new Image(); image.onload = () => done('sent'); "
            f"image.onerror = () => done('refused'); image.src = '{elsewhere.origin}/icon-192.png'; }})"
        )
        assert page.evaluate(image) == "refused"
        page.context.close()
    finally:
        elsewhere.stop()


@built
def test_a_photo_is_read_without_a_network(browser: Browser, host: Host) -> None:
    page = open_page(browser, host.origin)
    page.wait_for_selector("#start:enabled")
    wait_until(page, "navigator.serviceWorker.controller !== null")
    host.stop()
    page.reload()
    rows = read_photos(page, "close.png")
    assert rows[0]["top"] == "happy"
    page.context.close()


@built
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everyone_can_use_it(browser: Browser, host: Host, width: int, scheme: Any) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci in web/")
    page = open_page(browser, host.origin, viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.wait_for_selector("#start:enabled")
    check_access(page)
    read_photos(page, "whole.png", "close.png")
    check_access(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    # By keys alone: the modes, then what is to be chosen.
    page.focus("[data-mode=camera]")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_attribute("[data-mode=video]", "aria-pressed") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start"
    check_access(page)
    page.context.close()


def check_access(page: Page) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run().then((found) => found.violations)")
    serious = [
        f"{entry['id']}: {entry['help']}: {entry['nodes'][0]['html'][:120]}"
        for entry in found
        if entry["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)


@built
def test_a_file_that_is_no_image(browser: Browser, host: Host, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff no image")
    page = open_page(browser, host.origin)
    page.click("[data-mode=photos]")
    page.wait_for_selector("#start:enabled")
    page.set_input_files("#files", str(broken))
    page.wait_for_selector("#trouble:visible")
    assert "broken.jpg" in page.inner_text("#trouble-text")
    assert "expected JPEG" in page.inner_text("#trouble-text")
    page.context.close()


@built
@pytest.mark.data
def test_a_camera_and_a_video_are_read(
    launch: Callable[..., Browser], host: Host, shared: Path, tmp_path: Path
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    source, camera, video = (
        shared / "data" / "photos" / "single_face.jpg",
        tmp_path / "camera.mjpeg",
        tmp_path / "a.webm",
    )
    still = ["ffmpeg", "-v", "error", "-loop", "1", "-i", str(source), "-vf", "scale=480:-2", "-r", "10"]
    subprocess.run([*still, "-t", "2", "-q:v", "3", "-f", "mjpeg", str(camera)], check=True)
    subprocess.run([*still, "-t", "1", "-c:v", "libvpx", "-b:v", "2M", str(video)], check=True)
    page = open_page(launch(camera), host.origin, permissions=["camera"])
    page.wait_for_selector("#start:enabled")
    page.click("#start")
    page.wait_for_selector("#faces li")
    assert page.inner_text("#faces li:first-child h2 b") == "happy"
    page.click("#stop")
    page.click("[data-mode=video]")
    page.select_option("#sampling", "5")
    page.set_input_files("#files", str(video))
    page.wait_for_selector("#stop:disabled")
    wait_until(page, "document.getElementById('count').textContent.startsWith('5 frames')")
    with page.expect_download() as download:
        page.click("#json")
    rows = [json.loads(line) for line in download.value.path().read_text("utf-8").splitlines()]
    first = [row for row in rows if row["track_id"] == 1]
    assert {row["top"] for row in first} == {"happy"}
    assert [row["time_s"] for row in first] == [0, 0.2, 0.4, 0.6, 0.8]
    assert {"raw_happy", "raw_top"} <= rows[0].keys()
    page.context.close()


def test_the_service_shows_the_page_where_it_was_built(toy_artifact: Path, tmp_path: Path) -> None:
    # Playwright runs an event loop in this thread for as long as a browser is there.
    with ThreadPoolExecutor() as thread:
        thread.submit(check_service, toy_artifact, tmp_path).result()


def check_service(toy_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    with running(toy_artifact, state_dir=tmp_path, page_dir=folder) as service:
        refused = service.get("/read/")
        assert refused.status_code == 404
        assert "npm run build" in refused.json()["detail"]
        assert "read/" not in service.get("/").text
        (folder / "headers.json").write_text(json.dumps({"Content-Security-Policy": "default-src 'none'"}))
        (folder / "index.html").write_text("<h1>page</h1>")
        (folder / "secret.txt").write_text("not of the page")
        assert "read/" in service.get("/").text
        assert service.get("/read").headers["location"].endswith("/read/")
        page = service.get("/read/")
        assert page.text == "<h1>page</h1>"
        assert page.headers["content-security-policy"] == "default-src 'none'"
        for missing in ("secret.txt", "nothing.js", "..%2Fpages.py"):
            assert service.get(f"/read/{missing}").status_code == 404
        assert 'class="on-device"' in service.get("/live").text
