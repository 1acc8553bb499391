"""How long the report of `mien model evaluate` takes, and how large it is, in a process of its own.

    python benchmarks/evaluation.py DATA [--model mien-s] [--runs 3] [--cores 2] [--run DIR] [--json FILE]

Wall time, processor time, the most memory and the bytes of report.html; the limits are 60 s of wall time on two idle
cores and 5 MB. Processor time is what to compare on a machine that does other things as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S, LIMIT_BYTES = 60.0, 5_000_000


def measure(arguments: argparse.Namespace, out: Path) -> dict[str, float]:
    """One run: seconds, seconds of the processor, the report's bytes and all files' bytes."""
    command = [
        sys.executable,
        "-m",
        "mien",
        "model",
        "evaluate",
        arguments.model,
        str(arguments.data),
        "--out",
        str(out),
    ]
    command += ["--overwrite", *(["--run", str(arguments.run)] if arguments.run else [])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": wall,
        "processor_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory_mb": after.ru_maxrss / 1024,
        "report_bytes": (out / "report.html").stat().st_size,
        "all_bytes": sum(path.stat().st_size for path in out.iterdir()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="FER2013's csv or a folder with it")
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--run", type=Path, help="folder of the training, for Grad-CAM")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="processor cores to use, where the system lets one choose")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(arguments, Path(folder) / "report") for _ in range(arguments.runs)]
    best = {name: min(row[name] for row in found) for name in found[0]}
    print(f"{arguments.model} on {arguments.data}, the best of {arguments.runs}, load before {load:.1f}")
    print(f"  wall time        {best['wall_s']:7.1f} s    limit {LIMIT_S:.0f} s")
    print(f"  processor time   {best['processor_s']:7.1f} s")
    print(f"  memory           {best['memory_mb']:7.0f} MB")
    print(f"  report.html      {best['report_bytes'] / 1e6:7.2f} MB   limit {LIMIT_BYTES / 1e6:.0f} MB")
    print(f"  all files        {best['all_bytes'] / 1e6:7.2f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps({"load": load, "runs": found}, indent=1) + "\n", encoding="utf-8")
    held = best["wall_s"] <= LIMIT_S and best["report_bytes"] <= LIMIT_BYTES
    print("within the limits" if held else "NOT within the limits")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
