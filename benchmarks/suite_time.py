"""Processor time of the tests by file, for `pytest -p suite_time`: wall time lies where others use the machine.

    PYTHONPATH=benchmarks make test ARGS="-p suite_time"

Prints the costliest files; SUITE_TIME names a JSON file for all of them and for the costliest tests. What the children
of a test used counts once they have ended and were waited for.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

SHOWN, KEPT_TESTS = 25, 500
THEN = pytest.StashKey[float]()
_cpu_s: dict[str, float] = defaultdict(float)
_wall_s: dict[str, float] = defaultdict(float)
_tests_s: dict[str, float] = defaultdict(float)
_started_s = time.time()


def used_s() -> float:
    """Processor seconds of this process and of the children that it has waited for."""
    return time.process_time() + sum(os.times()[2:4])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[THEN] = used_s()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    now_s = used_s()
    report = yield
    # An attribute travels to the process that sums.
    report.__dict__["cpu_s"] = now_s - item.stash.get(THEN, now_s)
    item.stash[THEN] = used_s()
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    cpu_s = float(report.__dict__.get("cpu_s", 0.0))
    file = report.nodeid.partition("::")[0]
    _cpu_s[file] += cpu_s
    _wall_s[file] += report.duration
    _tests_s[f"{report.when} {report.nodeid}"] += cpu_s


def costliest(seconds: dict[str, float]) -> list[tuple[str, float]]:
    """Names with their seconds, most first."""
    return sorted(seconds.items(), key=lambda entry: -entry[1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    terminalreporter.section("processor time")
    terminalreporter.line(
        f"{sum(_cpu_s.values()):.0f} s of the processor in {time.time() - _started_s:.0f} s, load {loads}"
    )
    for file, cpu_s in costliest(_cpu_s)[:SHOWN]:
        terminalreporter.line(f"{cpu_s:7.1f} s  {_wall_s[file]:7.1f} s wall  {file}")
    if path := os.environ.get("SUITE_TIME"):
        document = {"cpu": costliest(_cpu_s), "wall": costliest(_wall_s), "tests": costliest(_tests_s)[:KEPT_TESTS]}
        Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
