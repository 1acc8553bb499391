"""Damaged files of every kind that Mien opens: no crash, no hang, no gigabyte, no exception but a MienError.

    python benchmarks/reliability/fuzz.py [TARGET …] --out FOLDER [--count N] [--seconds S] [--seed 1]

Each target runs in a process of its own, which is watched: 30 s of processor time a case, 1 GB above where it began.
What offends is noted in FOLDER with its number, and the run goes on behind it; `--show N` writes the file of case N.
Run the same command again to go on where it stopped.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HANG_S, MOST_MB = 30.0, 1024.0
"""Of processor time for a case, and of memory above the beginning."""
SILENCE_S = 300.0
"""A case that waits for something for ever uses no processor."""


def work(name: str, seed: int, start: int, stop: int, line: Connection) -> None:
    """Cases one after another; each is announced before, and told about after."""
    import logging

    from fuzz_targets import TARGETS, cases

    from mien.errors import MienError

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("MIEN_HOME", tempfile.mkdtemp(prefix="mien-fuzz-"))
    # Decoders of C write to stderr past Python.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    target = TARGETS[name]()
    before_mb = _peak_mb()
    for number, data in cases(target, name, seed, start, stop):
        line.send(("begin", number, 0, ""))
        begun = time.process_time()
        with tempfile.TemporaryDirectory(prefix="mien-fuzz-") as folder:
            try:
                target.attempt(data, Path(folder))
                outcome, detail = "read", ""
            except MienError as error:
                outcome, detail = type(error).__name__, ""
            except Exception:
                outcome, detail = "foreign", traceback.format_exc()[-1500:]
        seconds = time.process_time() - begun
        if seconds > HANG_S:
            outcome, detail = "slow", f"{seconds:.0f} s of processor time"
        if _peak_mb() - before_mb > MOST_MB:
            outcome, detail = "memory", f"{_peak_mb() - before_mb:.0f} MB above the beginning"
            before_mb = _peak_mb()
        line.send(("end", number, seconds, (outcome, detail)))
    line.send(("done", stop, _peak_mb(), ""))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Run:
    """One target's run, with its state on disk."""

    def __init__(self, name: str, seed: int, out: Path) -> None:
        self.name, self.seed, self.out = name, seed, out
        self.path = out / f"{name}-{seed}.json"
        self.state: dict[str, Any] = {"next": 0, "outcomes": {}, "offences": [], "slowest_s": 0.0, "peak_mb": 0.0}
        if self.path.is_file():
            self.state = json.loads(self.path.read_text())
        self.outcomes = collections.Counter(self.state["outcomes"])

    def go(self, count: int | None, until: float) -> None:
        from fuzz_targets import TARGETS

        stop = TARGETS[self.name]().count if count is None else count
        while self.state["next"] < stop and time.monotonic() < until:
            self._session(stop, until)
            self.save()

    def _session(self, stop: int, until: float) -> None:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(self.name, self.seed, self.state["next"], stop, theirs))
        process.start()
        theirs.close()
        current, begun = None, time.monotonic()
        try:
            while time.monotonic() < until or current is not None:
                # The first message waits for the imports.
                patience = SILENCE_S if current is not None else 2 * SILENCE_S
                if not mine.poll(max(0.0, begun + patience - time.monotonic())):
                    self._finish(current, "hang", f"no answer within {patience:.0f} s")
                    return
                try:
                    kind, number, value, outcome = mine.recv()
                except EOFError:
                    process.join()
                    self._finish(current, "crash", f"exit code {process.exitcode}")
                    return
                begun = time.monotonic()
                if kind == "done":
                    self.state["peak_mb"] = max(self.state["peak_mb"], round(value))
                    return
                if kind == "begin":
                    current = number
                else:
                    current = None
                    self.state["slowest_s"] = max(self.state["slowest_s"], round(value, 2))
                    self._finish(number, *outcome)
                    if number % 200 == 0:
                        self.save()
        finally:
            process.kill()
            process.join()

    def _finish(self, number: int | None, outcome: str, detail: str) -> None:
        if number is None:
            raise SystemExit(f"{self.name}: the worker did not begin: {outcome} {detail}")
        self.outcomes[outcome] += 1
        self.state["next"] = number + 1
        if detail:
            self.state["offences"].append({"number": number, "outcome": outcome, "detail": detail})

    def save(self) -> None:
        self.state["outcomes"] = dict(self.outcomes)
        self.out.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1))
        part.replace(self.path)

    def summary(self) -> dict[str, Any]:
        bad = [one["outcome"] for one in self.state["offences"]]
        return {
            "target": self.name, "seed": self.seed, "cases": self.state["next"], **dict(self.outcomes.most_common()),
            "slowest_s": self.state["slowest_s"], "peak_mb": self.state["peak_mb"], "offences": len(bad),
        }  # fmt: skip


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    from fuzz_targets import TARGETS, cases

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", help=f"all by default: {', '.join(TARGETS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder of the state and of what offends")
    parser.add_argument("--count", type=int, help="cases of each target; its own number without it")
    parser.add_argument("--seconds", type=float, default=3600, help="of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, metavar="N", help="write case N of the target to FOLDER instead")
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"unknown target {unknown[0]}: expected one of {', '.join(TARGETS)}")
    offences = 0
    for name in options.targets or TARGETS:
        if options.show is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"{name}-{options.seed}-{options.show}.bin"
            (case,) = cases(TARGETS[name](), name, options.seed, options.show, options.show + 1)
            path.write_bytes(case[1])
            print(path)
            continue
        run = Run(name, options.seed, options.out)
        run.go(options.count, time.monotonic() + options.seconds)
        print(json.dumps(run.summary()), flush=True)
        offences += len(run.state["offences"])
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
