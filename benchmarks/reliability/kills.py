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
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Before PyTorch is imported: its threads would not survive a fork.
os.environ["OMP_NUM_THREADS"] = "1"
from works import OUT, WORKS, files_of, is_named_anew, make_material, start

MOST_STARTS = 60
PATIENCE_S = 600


def run(name: str, kills: int, seed: int, folder: Path, keep: Path | None) -> dict[str, Any]:
    """One piece of work: killed so often in all, and what came of it each time that it ended.

    Results that differ from the undisturbed one are copied to `keep`, with it.
    """
    work, draw = WORKS[name], random.Random(f"{seed} {name}")
    os.environ["MIEN_HOME"] = str(folder / "home")
    make_material(folder)
    out = folder / OUT
    out.mkdir()
    if work.prepare:
        finish(work.prepare, folder)
    prepared = shutil.copytree(out, folder / "prepared")
    finish(work.command, folder)
    expected, names = work.result(out), set(files_of(out))
    if keep:
        shutil.copytree(out, keep / f"{name}-undisturbed")
    # Once more, with all modules there, to see how long it takes.
    renew(out, prepared)
    begun = time.monotonic()
    finish(work.command, folder)
    lasts_s = time.monotonic() - begun
    killed, finished, different, left = 0, 0, int(work.result(out) != expected), set()
    while killed < kills:
        renew(out, prepared)
        command = work.command
        for _ in range(MOST_STARTS):
            process = start(command, folder)
            code = process.wait(draw.uniform(0.02, 1.1) * lasts_s if killed < kills else PATIENCE_S)
            if code is None:
                process.kill()
                killed += 1
                command = work.resumed
                continue
            if code:
                return {"work": name, "seed": seed, "ok": False, "killed": killed, "error": process.stderr[-1500:]}
            break
        finished += 1
        differs = work.result(out) != expected
        different += differs
        if differs and keep:
            shutil.copytree(out, keep / f"{name}-{finished}")
        left |= {path for path in set(files_of(out)) ^ names if not is_named_anew(path)}
    return {
        "work": name, "seed": seed, "killed": killed, "finished": finished, "different": different,
        "left_or_missing": sorted(left), "undisturbed_s": round(lasts_s, 1), "ok": not different and not left,
    }  # fmt: skip


def finish(command: list[str], folder: Path) -> None:
    """Undisturbed; its modules are there from now on."""
    process = start(command, folder)
    code = process.wait(PATIENCE_S)
    if code != 0:
        raise RuntimeError(f"{command[:2]} ended with {code}: {process.stderr[-1500:]}")
    process.import_its_modules()


def renew(out: Path, prepared: Path) -> None:
    """The folder as it was before the work."""
    shutil.rmtree(out)
    shutil.copytree(prepared, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", help=f"all by default: {', '.join(WORKS)}")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for results that differ")
    options = parser.parse_args()
    good = True
    for name in options.works or WORKS:
        with tempfile.TemporaryDirectory() as folder:
            result = run(name, options.kills, options.seed, Path(folder), options.keep)
        good &= result["ok"]
        print(json.dumps(result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
