"""The page in a real browser, with a server that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from suspects import make_table

from mien.workshop.curation.decisions import Decisions, decisions_path
from mien.workshop.curation.issues import IssueTable

CHROMIUM = shutil.which("chromium")
LONG_MS = 120_000


@pytest.fixture
def browser() -> Iterator[Any]:
    pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs the browser chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Server:
    """`mien data review` in a process of its own, on one port as often as it is started."""

    def __init__(self, issues: Path) -> None:
        self.issues = issues
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mien", "data", "review", str(self.issues), "--no-browser",
             "--port", str(self.port)],
            stdout=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert "22 issues of FER2013" in self.process.stdout.readline()
        wait_for(self._answers)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture
def review(tmp_path: Path) -> Iterator[tuple[Server, Decisions, IssueTable]]:
    path, table, _ = make_table(tmp_path)
    server = Server(path)
    yield server, Decisions(decisions_path(path), table), table
    server.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_MS / 1000
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


class Page:
    """One reviewer's tab."""

    def __init__(self, browser: Any, url: str) -> None:
        self.context = browser.new_context(viewport={"width": 1366, "height": 650})
        self.page = self.context.new_page()
        self.page.set_default_timeout(LONG_MS)
        self.faults: list[str] = []
        self.page.on("console", lambda told: self.faults.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.goto(url)

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.faults.append(f"asked {url}")

    def shows(self, issue: int) -> None:
        self.page.wait_for_selector(f'.card[data-issue="{issue}"] h2', timeout=LONG_MS)

    def press(self, key: str, then: int) -> None:
        self.page.keyboard.press(key)
        self.shows(then)

    def says(self, selector: str, text: str) -> None:
        self.page.locator(selector).filter(has_text=text).wait_for()


def choices(log: Decisions) -> list[tuple[int, str]]:
    return [(line.issue, line.choice) for line in log.log()]


def test_two_reviewers_decide_by_key_and_nothing_is_lost(
    browser: Any, review: tuple[Server, Decisions, IssueTable]
) -> None:
    server, log, table = review
    order = [issue.number for issue in table.issues]
    server.start()
    ada = Page(browser, f"{server.url}?reviewer=Ada")
    ada.shows(order[0])
    sent = ["d", "k", "Enter", "4", "u", "3", "K", "Enter", "d", "ArrowRight", "ArrowLeft", "u"]
    place = 0
    for key in sent:
        place += -1 if key == "ArrowLeft" else 1
        ada.press(key, order[place])
    wait_for(lambda: len(log.log()) == 10)
    assert choices(log) == [
        (1, "drop"), (2, "keep"), (3, "relabel:happy"), (5, "relabel:happy"), (7, "unsure"), (9, "relabel:fear"),
        (11, "keep"), (13, "relabel:neutral"), (15, "drop"), (17, "unsure"),
    ]  # fmt: skip
    ada.says(".count", "10 of 22 decided")
    assert ada.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    ada.page.set_viewport_size({"width": 800, "height": 650})
    right = ada.page.locator(".who").bounding_box()
    assert right["x"] + right["width"] <= 800, "the chips of all kinds push the page wider than its window"
    ada.page.set_viewport_size({"width": 1366, "height": 650})

    ada.page.reload()
    ada.shows(order[10])
    ada.says(".count", "1 of 12 here")
    ada.press("z", order[9])
    wait_for(lambda: choices(log)[-1] == (17, "undo"))
    ada.says(".count", "9 of 22 decided")
    ada.page.get_by_role("button", name="Drop").click()
    ada.shows(order[10])
    wait_for(lambda: choices(log)[-1] == (17, "drop"))

    bo = Page(browser, server.url)
    bo.says(".error", "Enter your name")
    bo.page.keyboard.press("k")
    bo.page.get_by_label("Reviewer").fill("Bo")
    bo.page.get_by_label("Reviewer").press("Enter")
    bo.page.locator(".error").wait_for(state="hidden")
    bo.shows(order[0])
    for place, key in enumerate("dk", 1):
        bo.press(key, order[place])
    bo.page.keyboard.press("n")
    bo.page.keyboard.type("dark duck")
    bo.page.keyboard.press("Enter")
    bo.press("d", order[3])
    wait_for(lambda: len(log.log()) == 15)
    assert (log.log()[-1].note, log.log()[-1].reviewer) == ("dark duck", "Bo")
    bo.says(".kappa", "with Ada: κ 0.50, 67 % the same of 3")
    bo.page.get_by_label("Which issues").select_option("disputed")
    bo.shows(order[2])
    bo.says(".count", "1 of 1 here")
    assert ada.faults == []
    assert bo.faults == []
    bo.context.close()

    server.kill()
    ada.press("k", order[11])
    assert len(log.log()) == 15
    server.start()
    wait_for(lambda: len(log.log()) == 16)
    assert choices(log)[-1] == (order[10], "keep")
    ada.page.reload()
    ada.shows(order[11])
    ada.says(".count", "11 of 22 decided")
    ada.context.close()
