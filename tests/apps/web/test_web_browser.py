"""The page in a real browser, from `mien app` on."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')
playwright_api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")

from portraits import PORTRAIT, write_portrait_clip
from ports import free_port

from mien.images.pictures import decode

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT_MS = 120_000
TOLERATED = ("_stcore/health", "_stcore/host-config", "/media/", "Blocked script execution", "Content Security Policy")
"""Streamlit's page looks for its server below the path of a page that was opened directly, before the right place, and
for pictures that the next run of the page has replaced; and Chromium tells that a report was kept from running its
script and loading its picture."""


@pytest.fixture(scope="module")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return path


@pytest.fixture(scope="module")
def camera_video(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """What Chromium takes for a camera; None without FFmpeg."""
    if shutil.which("ffmpeg") is None:
        return None
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    command = ["ffmpeg", "-loglevel", "error", "-loop", "1", "-i", str(PORTRAIT), "-t", "2", "-r", "10"]
    subprocess.run([*command, "-pix_fmt", "yuvj420p", "-f", "mjpeg", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, camera_video: Path | None) -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    if camera_video:
        arguments.append(f"--use-file-for-fake-video-capture={camera_video}")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mien app`, which must end with 0 on Ctrl-C and leave no temporary file."""
    folder = tmp_path_factory.mktemp("app")
    reports, temporary = folder / "reports", folder / "temporary"
    reports.mkdir()
    temporary.mkdir()
    script = "<script>document.body.textContent = 'ran'</script><img src='http://192.0.2.1/seen.png'>"
    (reports / "study.html").write_text(f"<h1>A study</h1>{script}")
    port = free_port()
    command = [sys.executable, "-m", "mien", "app", "--no-browser", "--port", str(port), "--reports", str(reports)]
    environment = os.environ | {"MIEN_HOME": str(folder / "home"), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0, (folder / "log").read_text()
        assert "Traceback" not in (folder / "log").read_text()
        assert not list(temporary.glob("mien-*"))
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "mien app ended by itself"
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise AssertionError("mien app did not start")


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A visitor, who must see no error in the console and load nothing from elsewhere."""
    width = getattr(request, "param", 1200)
    context = browser.new_context(viewport={"width": width, "height": 850}, permissions=["camera"])
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda told: errors.append(f"{told.text} {told.location}") if told.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda sent: foreign.append(sent.url) if _is_foreign(sent.url) else None)
    yield page
    context.close()
    assert not [error for error in errors if not any(known in error for known in TOLERATED)]
    assert not foreign


def _is_foreign(url: str) -> bool:
    return url.split(":")[0] in ("http", "https", "ws", "wss") and "//127.0.0.1:" not in url


def _open(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for()


def _drop(page: Page, *files: Path) -> None:
    page.locator('input[type="file"]').first.set_input_files(list(files))


def _take_photo(page: Page) -> None:
    """Click until there is a picture: before the first frame of the camera a click on the button does nothing."""
    page.wait_for_function("(document.querySelector('video')?.currentTime ?? 0) > 0")
    taken = page.get_by_role("button", name="Clear photo")
    button = page.get_by_role("button", name="Take photo")
    deadline = time.monotonic() + WAIT_MS / 1000
    while not taken.is_visible():
        assert time.monotonic() < deadline, "the camera gave no picture"
        with contextlib.suppress(playwright_api.TimeoutError):
            button.click(timeout=1000)
            taken.wait_for(timeout=5000)


def _width_needed(page: Page) -> int:
    return int(
        page.evaluate("Math.max(document.documentElement.scrollWidth, document.querySelector('.stMain').scrollWidth)")
    )


def test_a_dropped_portrait_is_happy_and_can_be_taken_away(page: Page, address: str, tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data", reason="needs pip install scikit-image")
    portrait = Path(data.__file__).with_name("astronaut.png")
    _open(page, address)
    (tmp_path / "notes.txt").write_text("no picture")
    _drop(page, portrait, tmp_path / "notes.txt")
    page.locator(".mien-verdict").wait_for()
    assert page.locator(".mien-verdict").inner_text() == "happy"
    page.get_by_text("notes.txt: starts with").wait_for()
    page.get_by_role("img", name="astronaut.png with 1 face").wait_for()
    taken = {}
    for label in ("CSV", "JSON", "Annotated photo"):
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        taken[label] = tmp_path / download.value.suggested_filename
        download.value.save_as(taken[label])
    (row,) = csv.DictReader(taken["CSV"].read_text().splitlines())
    assert (row["source"], row["top"]) == ("astronaut.png", "happy")
    assert [entry.get("error", "")[:9] for entry in json.loads(taken["JSON"].read_text())] == ["", "notes.txt"]
    assert decode(taken["Annotated photo"].read_bytes()).shape == (512, 512, 3)
    page.get_by_role("button", name="Forget everything").click()
    page.locator(".mien-verdict").wait_for(state="detached")
    assert page.get_by_text("astronaut.png").count() == 0


def test_a_picture_of_the_camera(page: Page, address: str, camera_video: Path | None) -> None:
    if camera_video is None:
        pytest.skip("needs FFmpeg for a video in the camera's place")
    _open(page, address)
    page.get_by_text("Camera", exact=True).click()
    _take_photo(page)
    page.locator(".mien-verdict").wait_for()
    assert page.locator(".mien-verdict").inner_text() == "happy"


def test_a_video_over_time(page: Page, address: str, tmp_path: Path) -> None:
    _open(page, f"{address}/video")
    _drop(page, write_portrait_clip(tmp_path / "clip.mp4"))
    page.get_by_role("button", name="Analyze video").click()
    page.get_by_text("Face 1: visible for").wait_for()
    page.get_by_role("button", name="Rows, CSV").wait_for()
    # MPEG-4 Part 2, which no browser plays.
    page.get_by_text("This browser cannot play").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Intervals, CSV").click()
    download.value.save_as(tmp_path / "episodes.csv")
    assert {row["label"] for row in csv.DictReader((tmp_path / "episodes.csv").read_text().splitlines())} == {"happy"}


def test_the_timeline_leads_the_video_and_follows_it(page: Page, address: str) -> None:
    _open(page, f"{address}/video")
    page.get_by_role("button", name="Example video").click()
    page.get_by_text("Face 1: visible for").wait_for()
    rail = page.get_by_role("slider", name="Time in the video")
    video = page.get_by_label("The video", exact=True)
    _until(page, lambda: video.evaluate("video => video.readyState") >= 2, "the video did not load")
    rail.click(position={"x": (rail.bounding_box() or {"width": 0})["width"] / 4, "y": 40})
    _until(page, lambda: video.evaluate("video => video.currentTime") == pytest.approx(2, abs=0.1), "no jump")
    assert (rail.get_attribute("aria-valuetext") or "").startswith("0:02.0, face 1 happy")
    for key, there in (("ArrowRight", 3), ("Home", 0), ("PageUp", 8), ("PageDown", 0)):
        rail.press(key)
        _until(page, lambda there=there: abs(float(rail.get_attribute("aria-valuenow") or -9) - there) < 0.2, key)
    rail.press(" ")
    _until(page, lambda: float(rail.get_attribute("aria-valuenow") or 0) > 0.3, "the playhead does not follow")
    rail.press(" ")
    assert video.evaluate("video => video.paused")
    page.get_by_role("button", name="Play from 0:00.0: face 1 happy").click()
    _until(page, lambda: not video.evaluate("video => video.paused"), "an interval is not played")
    # Box and label are drawn over the picture.
    drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert page.locator(".stage canvas").evaluate(drawn)
    page.get_by_label("Boxes").uncheck()
    assert not page.locator(".stage canvas").evaluate(drawn)


def _until(page: Page, is_so: Callable[[], bool], trouble: str) -> None:
    deadline = time.monotonic() + WAIT_MS / 1000
    while not is_so():
        assert time.monotonic() < deadline, trouble
        page.wait_for_timeout(50)


@pytest.mark.parametrize("page", [1200, 390], indirect=True)
def test_a_live_camera_is_asked_for_by_a_click_and_read(page: Page, address: str, camera_video: Path | None) -> None:
    if camera_video is None:
        pytest.skip("needs FFmpeg for a video in the camera's place")
    _open(page, f"{address}/camera")
    live = page.frame_locator("iframe[title='Live camera']")
    live.get_by_text("Nothing is stored.", exact=True).wait_for()
    assert live.locator("video").evaluate("video => video.srcObject") is None
    live.get_by_role("button", name="Start camera").click()
    live.get_by_role("heading", name="happy").wait_for()
    assert _width_needed(page) <= page.viewport_size["width"]  # type: ignore[index]
    live.get_by_role("button", name="Stop").click()
    assert live.locator("video").evaluate("video => video.srcObject") is None


def test_a_video_is_stopped(page: Page, address: str, tmp_path: Path) -> None:
    _open(page, f"{address}/video")
    _drop(page, write_portrait_clip(tmp_path / "long.mp4", frames=1200))
    page.get_by_role("button", name="Analyze video").click()
    live = page.get_by_alt_text("The latest frame")
    live.wait_for()
    assert (live.get_attribute("src") or "").startswith("data:"), "a frame that is fetched may be gone by then"
    page.get_by_role("button", name="Stop analysis").click()
    page.get_by_text("Stopped").wait_for()


@pytest.mark.parametrize("page", [390], indirect=True)
def test_nothing_is_wider_than_a_phone(page: Page, address: str) -> None:
    _open(page, address)
    page.get_by_text("Example", exact=True).click()
    page.locator(".mien-verdict").wait_for()
    assert _width_needed(page) <= 390
    for path in ("models", "about", "video", "camera"):
        _open(page, f"{address}/{path}")
        page.get_by_role("button", name="Forget everything").wait_for()
        assert _width_needed(page) <= 390, path


def test_a_report_is_shown_and_can_do_nothing(page: Page, address: str) -> None:
    _open(page, f"{address}/reports")
    report = page.frame_locator("iframe").frame_locator("iframe")
    report.get_by_role("heading", name="A study").wait_for()
    assert "ran" not in report.locator("body").inner_text()


@pytest.mark.data
def test_photographs_of_several_people_and_of_none(page: Page, address: str, shared: Path) -> None:
    photos = shared / "data" / "photos"
    _open(page, address)
    _drop(page, photos / "multi_face.jpg", photos / "truncated.jpg", photos / "coffee.png")
    page.get_by_text("No face found").wait_for()
    assert page.locator(".mien-face").count() >= 4
    page.get_by_text("truncated.jpg: a JPEG that is cut off").wait_for()
