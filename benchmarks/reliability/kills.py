"""kill -9 in the middle, and the same command again: the same result as without, nothing left behind.

    python benchmarks/reliability/kills.py [WORK …] [--kills 20] [--seed 1]

Each piece of work is done once undisturbed. Then it is killed at drawn times and started again until it ends.
Prints one line of JSON a piece.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from works import OUT, WORKS, files_of, make_material

MOST_STARTS = 60
PATIENCE_S = 600


def run(name: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """One piece of work: killed so often in all, and what came of it each time that it ended."""
    work, draw = WORKS[name], random.Random(f"{seed} {name}")
    environment = os.environ | {"MIEN_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    make_material(folder)
    out = folder / OUT
    out.mkdir()
    if work.prepare:
        subprocess.run(work.prepare, cwd=folder, env=environment, capture_output=True, check=True)
    prepared = shutil.copytree(out, folder / "prepared")
    begun = time.monotonic()
    done = subprocess.run(work.command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lasts_s = time.monotonic() - begun
    if done.returncode:
        return {"work": name, "ok": False, "error": done.stderr[-500:]}
    expected, names = work.result(out), set(files_of(out))
    killed, finished, different, left = 0, 0, 0, set()
    while killed < kills:
        shutil.rmtree(out)
        shutil.copytree(prepared, out)
        command = work.command
        for _ in range(MOST_STARTS):
            patience_s = draw.uniform(0.1, 1.1) * lasts_s if killed < kills else PATIENCE_S
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            try:
                _, complaint = process.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed += 1
                command = work.resumed
                continue
            if process.returncode:
                return {"work": name, "ok": False, "killed": killed, "error": complaint.decode(errors="replace")[-500:]}
            break
        finished += 1
        different += work.result(out) != expected
        left |= {path for path in set(files_of(out)) ^ names if not path.endswith(("-wal", "-shm"))}
    return {
        "work": name, "seed": seed, "killed": killed, "finished": finished, "different": different,
        "left_or_missing": sorted(left), "undisturbed_s": round(lasts_s, 1), "ok": not different and not left,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", help=f"all by default: {', '.join(WORKS)}")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    for name in options.works or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            result = run(name, options.kills, options.seed, Path(folder))
        good &= result["ok"]
        print(json.dumps(result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
