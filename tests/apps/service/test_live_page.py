"""`/live` in a real browser with a made-up camera: what people see, and what they are told when it does not work."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from service_runs import Process, running, serving

from mien.apps.live.parts import FOLDER
from mien.apps.service.admission import hash_key
from mien.apps.service.reading_page import CHECKOUT
from mien.images.pictures import encode, read, resize
from mien.reading.drawing import PALETTE, UNSURE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
KEY = "key-of-ann"
PATIENCE_MS = 120_000


def write_camera(path: Path, image: Path) -> Path:
    """A camera that shows one image: JPEG after JPEG, as Chromium takes it."""
    image = read(image)
    jpeg = encode(resize(image, 480 * image.shape[0] // image.shape[1] // 2 * 2, 480), "jpeg")
    path.write_bytes(jpeg * 10)
    return path


@pytest.fixture(scope="module")
def service(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("live")
    keys = {"ann": hash_key(KEY)}
    settings: dict[str, Any] = {"detector": "haar", "state_dir": str(folder / "state"), "api_keys": keys}
    with serving("mien-s", folder, **settings) as process:  # type: ignore[arg-type]
        yield process


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """Start Chromium with a camera."""
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
def smiling(launch: Callable[..., Browser], shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    image = shared / "data" / "photos" / "single_face.jpg"
    return launch(write_camera(tmp_path_factory.mktemp("camera") / "face.mjpeg", image))


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console says, errors and refusals of the page's own policy included."""
    return []


@pytest.fixture
def open_page(service: Process, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def open_in(browser: Browser, *, script: str = "", **options: Any) -> Page:
        context = browser.new_context(permissions=["camera"], **options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(f"http://127.0.0.1:{service.port}/live")
        pages.append(page)
        return page

    yield open_in
    for page in pages:
        page.context.close()
    assert complaints == []


def wait_until(page: Page, expression: str) -> None:
    """Playwright's own `wait_for_function` evaluates strings in the page, which the page's policy forbids."""
    for _ in range(PATIENCE_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def give_key(page: Page) -> None:
    page.wait_for_selector("#key-form:visible")
    page.fill("#key", KEY)
    page.press("#key", "Enter")


@pytest.mark.data
def test_a_smile_is_seen(smiling: Browser, open_page: Callable[..., Page]) -> None:
    page = open_page(smiling, viewport={"width": 1200, "height": 800})
    assert "Nothing is stored" in page.inner_text("footer")
    page.click("#start")
    give_key(page)
    page.wait_for_selector("#faces li")
    assert page.locator("#faces li").count() == 1
    assert page.inner_text("#faces h2 b") == "happy"
    assert page.inner_text("#faces h2 span") == "face 1"
    wait_until(page, "Number(document.getElementById('rate').textContent) > 0")
    assert "mien-s" in page.inner_text("#made-by")
    # The box is drawn: the overlay has pixels in the colour of the label.
    wait_until(
        page,
        "(() => { const c = document.getElementById('overlay');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) })()",
    )
    page.fill("#threshold", "90")
    page.dispatch_event("#threshold", "input")
    page.uncheck("#mirror")
    assert not page.evaluate("document.getElementById('video').classList.contains('mirrored')")
    page.click("#pause")
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    assert page.is_visible("#paused")
    page.click("#pause")
    page.click("#stop")
    assert page.is_visible("#welcome")
    assert page.evaluate("document.getElementById('video').srcObject") is None


@pytest.mark.data
@pytest.mark.skipif(not (CHECKOUT / "headers.json").is_file(), reason="needs the built page: make web")
def test_the_same_on_the_device(smiling: Browser, open_page: Callable[..., Page]) -> None:
    page = open_page(smiling)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.select_option("#where", "device")
    assert "on this device" in page.inner_text("#where-text")
    page.click("#start")
    # No key is asked for: nothing is sent.
    page.wait_for_selector("#faces li")
    assert page.inner_text("#faces li:first-child h2 b") == "happy"
    assert "detector mien" in page.inner_text("#made-by")
    assert not sockets


@pytest.mark.data
def test_a_phone_and_keys_alone(smiling: Browser, open_page: Callable[..., Page]) -> None:
    page = open_page(smiling, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "start"
    page.keyboard.press("Enter")
    wait_until(page, "document.activeElement.id === 'key'")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#faces li")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wait_until(page, "document.getElementById('spoken').textContent.includes('happy')")


@pytest.mark.data
def test_an_unsure_face_and_none_at_all(smiling: Browser, open_page: Callable[..., Page]) -> None:
    """A server that answers what it is told to: the page alone is looked at."""
    page = open_page(smiling, script=FAKE_SOCKET)
    page.click("#start")
    page.wait_for_selector("#faces li")
    page.fill("#threshold", "40")
    page.dispatch_event("#threshold", "input")
    assert page.inner_text("#faces h2 b") == "not sure"
    page.evaluate("window.answer.faces = []")
    wait_until(page, "document.querySelectorAll('#faces li').length === 0")
    assert page.inner_text("#none") == "No face in view."
    page.evaluate("window.sockets[0].onclose()")
    assert "trying again" in page.inner_text("#trouble-text")
    wait_until(page, "window.sockets.length === 2")


FAKE_SOCKET = """
const probabilities = {angry: .3, disgust: 0, fear: 0, happy: .3, sad: .2, surprise: 0, neutral: .2};
window.answer = {event: "result", width: 480, height: 300, faces: [{face: 0, track_id: 1, top: "angry", confidence: .3,
  abstained: false, probabilities, box: {x: 10, y: 10, width: 50, height: 60}}]};
window.sockets = [];
window.WebSocket = class {
  static OPEN = 1;
  constructor() {
    this.readyState = 1;
    window.sockets.push(this);
    const ready = {event: "ready", labels: Object.keys(probabilities), model: "toy 1.0", detector: "fake"};
    setTimeout(() => this.onmessage({data: JSON.stringify(ready)}));
  }
  send() { setTimeout(() => this.onmessage({data: JSON.stringify(window.answer)})); }
  close() {}
};
"""


@pytest.mark.data
@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "denied"),
        ("NotFoundError", "No camera"),
        ("NotReadableError", "in use"),
        ("WhateverError", "Cannot open"),
    ],
)
def test_a_camera_that_does_not_open(smiling: Browser, open_page: Callable[..., Page], error: str, words: str) -> None:
    script = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{error}'));"
    page = open_page(smiling, script=script)
    page.click("#start")
    page.wait_for_selector("#trouble:visible")
    assert words in page.inner_text("#trouble-title")
    assert page.evaluate("document.activeElement.id") == "again"


@pytest.mark.data
def test_a_page_without_https(smiling: Browser, open_page: Callable[..., Page]) -> None:
    page = open_page(smiling, script="Object.defineProperty(navigator, 'mediaDevices', {value: undefined});")
    page.click("#start")
    page.wait_for_selector("#trouble:visible")
    assert "HTTPS" in page.inner_text("#trouble-text")


def test_the_page_holds_all_it_needs(toy_artifact: Path, tmp_path: Path) -> None:
    # Playwright runs an event loop in this thread for as long as a browser is there.
    with ThreadPoolExecutor() as thread:
        thread.submit(check_parts, toy_artifact, tmp_path).result()


def check_parts(toy_artifact: Path, tmp_path: Path) -> None:
    # Where the page for the device was not built.
    with running(toy_artifact, state_dir=tmp_path, page_dir=tmp_path) as service:
        page = service.get("/live")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert parts
        for part in parts:
            assert service.get(f"/{part}").status_code == 200
        for missing in ("nothing.js", "..%2Flive_page.py", "index.html%00", "__init__.py"):
            assert service.get(f"/live/{missing}").status_code == 404


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    for path in filter(Path.is_file, FOLDER.iterdir()):
        text = path.read_text("utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w", text), path
        assert "innerHTML" not in text


def test_colours_are_those_of_annotated_images() -> None:
    text = (FOLDER / "faces.js").read_text("utf-8")
    shown = dict(re.findall(r'(\w+): "#([0-9a-f]{6})"', text))
    assert shown == {label: bytes(colour).hex() for label, colour in PALETTE.items()}
    assert f'UNSURE = "#{bytes(UNSURE).hex()}"' in text


@pytest.mark.data
def test_the_reference_tries_an_operation(smiling: Browser, service: Process, shared: Path) -> None:
    context = smiling.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"http://127.0.0.1:{service.port}/docs")
    trial = page.locator("details.trial").first
    trial.locator("summary").click()
    trial.locator("input[type=file]").set_input_files(shared / "data" / "photos" / "single_face.jpg")
    trial.get_by_role("button", name="Send").click()
    trial.get_by_text("401 Unauthorized").wait_for()
    page.fill("#key", KEY)
    trial.locator("select[name=labels]").select_option("eight")
    trial.get_by_role("button", name="Send").click()
    trial.get_by_text("200 OK").wait_for()
    assert "contempt" in trial.locator(".body").inner_text()
    assert trial.locator(".curl").inner_text().endswith("/v1/analyze?labels=eight'")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
