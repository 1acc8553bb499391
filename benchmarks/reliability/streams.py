"""A live stream for hours, and sources that are lost and come back: memory, threads and open files stay as they were.

    python benchmarks/reliability/streams.py hours [--minutes 120] [--rate 10] [--log hours.csv]
    python benchmarks/reliability/streams.py outages [--times 50] [--seed 1]

A `ReadingSession`, which the command and the window use, reads 720p from end to end. For hours FFmpeg sends a clip of
faces that come and go, H.264 in MPEG-TS over HTTP on 127.0.0.1. A camera, an RTSP server and that FFmpeg are lost and
come back. Prints one line of JSON a part.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import open_files, resident_mb
from senders import HEIGHT, SENDERS, WIDTH, Sender, sending

from mien.reading.pipeline import Pipeline
from mien.reading.session import ReadingSession
from mien.sources.camera import open_camera
from mien.sources.live import LiveSource
from mien.sources.opening import open_source

MOST_GROWTH_MB = 30
LOG_EVERY_S = 30
PATIENCE_S = 60


def run_hours(minutes: float, rate_hz: int, log: Path) -> dict[str, Any]:
    """The same reading for so long: memory after the first minute and the most after it."""
    with tempfile.TemporaryDirectory() as folder, log.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["minute", "frames", "faces", "memory_mb", "open_files", "processor_s"])
        measured: list[tuple[float, float]] = []
        notices: list[str] = []
        with (
            sending("http", Path(folder), rate_hz) as sender,
            ReadingSession(Pipeline(threads=1), sender.address, on_notice=notices.append) as session,
        ):
            begun, processor_s, due = time.monotonic(), time.process_time(), 0.0
            for _ in session:
                passed = time.monotonic() - begun
                if passed >= due:
                    due += LOG_EVERY_S
                    measured.append((passed / 60, resident_mb()))
                    spent = round(time.process_time() - processor_s, 1)
                    row = round(passed / 60, 2), session.frames, session.faces, round(measured[-1][1], 1)
                    table.writerow([*row, open_files(), spent])
                    file.flush()
                if passed >= 60 * minutes:
                    break
            measured.append((passed / 60, resident_mb()))
        share = (time.process_time() - processor_s) / passed
    settled = [memory for minute, memory in measured if minute >= 1]
    growth = max(settled) - settled[0]
    return {
        "part": "hours", "minutes": round(passed / 60, 1), "frames": session.frames, "faces": session.faces,
        "tracks": len(session.summary().tracks), "size": f"{WIDTH}x{HEIGHT}",
        "rate_hz": round(session.frames / passed, 2), "processor_share": round(share, 3), "notices": notices,
        "memory_after_1_min_mb": round(settled[0], 1), "most_growth_mb": round(growth, 1),
        "end_mb": round(settled[-1], 1), "ok": growth <= MOST_GROWTH_MB and not notices and session.error is None,
    }  # fmt: skip


class Outages(threading.Thread):
    """Takes a source away so often, and brings it back up to 1.5 s after that was noticed."""

    def __init__(
        self, sender: Sender, source: LiveSource, session: ReadingSession, times: int, draw: random.Random
    ) -> None:
        super().__init__()
        self.measured: list[tuple[float, int, int]] = []
        self.error = ""
        self._sender, self._source, self._session, self._times, self._draw = sender, source, session, times, draw

    def run(self) -> None:
        """Ends early where the stream does not go on."""
        for _ in range(self._times):
            self._sender.stop()
            # What is still on its way comes first.
            if not self._wait(lambda: self._source.state == "lost"):
                return
            time.sleep(self._draw.uniform(0, 1.5))
            self._sender.start()
            wanted = self._session.frames + 6
            if not self._wait(lambda wanted=wanted: self._session.frames >= wanted):  # type: ignore[misc]
                return
            self.measured.append((resident_mb(), threading.active_count(), open_files()))

    def _wait(self, is_so: Callable[[], bool]) -> bool:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > until:
                self.error = f"{self._source.state} for {PATIENCE_S} s after {len(self.measured)} times"
                return False
            time.sleep(0.02)
        return True


def run_outages(name: str, times: int, seed: int) -> dict[str, Any]:
    """Lost and back so often: every time the stream goes on, and nothing is left over from the connections before."""
    notices: list[str] = []
    with tempfile.TemporaryDirectory() as folder, sending(name, Path(folder), 10) as sender:
        opened = open_camera if name == "camera" else open_source
        source = opened(sender.address, on_notice=notices.append)
        assert isinstance(source, LiveSource), "a live source"
        with ReadingSession(Pipeline(threads=1), source, on_notice=notices.append) as session:
            outages = Outages(sender, source, session, times, random.Random(f"{seed} {name}"))
            outages.start()
            for _ in session:
                if not outages.is_alive():
                    break
        outages.join()
    back = sum("back again" in notice for notice in notices)
    settled = outages.measured[min(len(outages.measured) - 1, 5) :]
    growth = [round(max(values) - values[0], 1) for values in zip(*settled, strict=True)] or [0, 0, 0]
    return {
        "part": "outages", "source": name, "seed": seed, "lost": times, "back": back, "frames": session.frames,
        "faces": session.faces, "memory_growth_mb": growth[0], "threads_more": growth[1], "files_more": growth[2],
        "error": outages.error, "ok": back == times and growth[0] <= MOST_GROWTH_MB and growth[1:] == [0, 0],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["hours", "outages"])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=int, default=10, help="frames a second that are sent for hours")
    parser.add_argument("--log", type=Path, default=Path("hours.csv"), help="memory every 30 s")
    parser.add_argument("--source", choices=SENDERS, action="append", help="all by default")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    if options.part == "hours":
        results = iter([run_hours(options.minutes, options.rate, options.log)])
    else:
        results = (run_outages(name, options.times, options.seed) for name in options.source or SENDERS)
    for result in results:
        good &= bool(result["ok"])
        print(json.dumps(result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
