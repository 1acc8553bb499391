"""Processor time of the tests by file, for `pytest -p suite_time`: wall time lies where others use the machine.

    PYTHONPATH=benchmarks make test ARGS="-p suite_time"

Prints the costliest files and writes all of them, with the slowest tests, to the file that SUITE_TIME names. What a
test's child processes used counts once they have ended and were waited for.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest


def used() -> float:
    """Processor seconds of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


class _Sums:
    def __init__(self) -> None:
        self.cpu: Counter[str] = Counter()
        self.wall: Counter[str] = Counter()
        self.tests: Counter[str] = Counter()


_sums = _Sums()
_started = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    now = used()
    report = yield
    report.cpu = now - getattr(item.config, "_cpu_then", now)
    item.config._cpu_then = used()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None: ...


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config._cpu_then = used()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    cpu = getattr(report, "cpu", 0.0)
    file = report.nodeid.partition("::")[0]
    _sums.cpu[file] += cpu
    _sums.wall[file] += report.duration
    _sums.tests[f"{report.when} {report.nodeid}"] += cpu


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("processor time")
    wall, load = time.time() - _started, os.getloadavg()
    total = sum(_sums.cpu.values())
    terminalreporter.line(
        f"{total:.0f} s of the processor in {wall:.0f} s, load {load[0]:.1f}, {load[1]:.1f}, {load[2]:.1f}"
    )
    for file, cpu in _sums.cpu.most_common(25):
        terminalreporter.line(f"{cpu:7.1f} s  {_sums.wall[file]:7.1f} s wall  {file}")
    if path := os.environ.get("SUITE_TIME"):
        document = {
            "cpu": _sums.cpu.most_common(),
            "wall": _sums.wall.most_common(),
            "tests": _sums.tests.most_common(500),
        }
        Path(path).write_text(json.dumps(document, indent=1))
