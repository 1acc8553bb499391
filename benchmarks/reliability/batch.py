"""`mien batch` under fire: a worker, the raylet or the driver is killed at random times, and the run is resumed.

    python benchmarks/reliability/batch.py PHOTOS [--times 20] [--pictures 400] [--seed 0]
    python benchmarks/reliability/batch.py PHOTOS --memory --pictures 100000

PHOTOS is a folder; its pictures are linked under as many names as are asked for. After each kill the batch is resumed
until it ends, and every input must have its rows exactly once. `--memory` reads them all once and prints the memory of
driver and workers over time.
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
from collections import Counter
from pathlib import Path

import pyarrow.dataset as ds
from harness import resident_mb

PATIENCE_S = 1800.0
KINDS = ("worker", "raylet", "driver")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="mien-batch-") as root:
        pictures = link(arguments.photos, Path(root, "in"), arguments.pictures)
        (Path(root, "in") / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
        out = Path(root, "out")
        if arguments.memory:
            print(json.dumps(measure_memory(Path(root, "in"), out, arguments.workers)))
            return int(not is_whole(out, pictures))
        wrong = 0
        for number in range(arguments.times):
            shutil.rmtree(out, ignore_errors=True)
            kind = KINDS[number % len(KINDS)]
            kills = run_under_fire(Path(root, "in"), out, arguments.workers, kind, chance)
            whole = is_whole(out, pictures)
            wrong += not whole
            print(json.dumps({"run": number, "killed": kind, "kills": kills, "whole": whole}), flush=True)
    print(json.dumps({"seed": arguments.seed, "runs": arguments.times, "wrong": wrong}))
    return int(wrong > 0)


def link(photos: Path, folder: Path, count: int) -> list[str]:
    """As many pictures as asked for, under names of their own."""
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    folder.mkdir()
    names = [folder / f"{place:07}{found[place % len(found)].suffix}" for place in range(count)]
    for place, name in enumerate(names):
        os.link(found[place % len(found)], name) if same_disk(photos, folder) else shutil.copy(
            found[place % len(found)], name
        )
    return [str(name) for name in names]


def same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def start(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mien", "batch", str(source), "--out", str(out), "--workers", str(workers)]
    command += ["--pictures", "20", "--quiet"] + (["--resume"] if (out / "batch.json").exists() else [])
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def run_under_fire(source: Path, out: Path, workers: int, kind: str, chance: random.Random) -> int:
    """Kill once at a random time, then go on until the batch has ended; how many kills hit."""
    process, kills = start(source, out, workers), 0
    deadline = time.monotonic() + PATIENCE_S
    target = chance.uniform(0.02, 0.9)
    total = len(list(source.iterdir())) / 20
    while process.poll() is None and time.monotonic() < deadline:
        if not kills and len(list(out.glob("pictures/[!_]*"))) >= target * total:
            kills += kill(process, kind, chance)
        time.sleep(0.05)
    while process.returncode not in (0, 3):
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError(f"the batch did not end: {process.returncode}")
        process = start(source, out, workers)
        process.wait(PATIENCE_S)
    return kills


def kill(driver: subprocess.Popen[bytes], kind: str, chance: random.Random) -> int:
    """SIGKILL to a process of the run; how many."""
    if kind == "driver":
        os.killpg(driver.pid, signal.SIGKILL)
        return 1
    word = {"worker": "UnitReader", "raylet": "raylet/raylet"}[kind]
    found = [pid for pid in below(driver.pid) if word in command_line(pid)]
    if found:
        os.kill(chance.choice(found), signal.SIGKILL)
    return len(found[:1])


def below(pid: int) -> list[int]:
    """The processes of the same session: Ray's are no children for ever."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if os.getsid(int(path.name)) == pid:
                    found.append(int(path.name))
            except OSError:
                continue
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_whole(out: Path, pictures: list[str]) -> bool:
    """Whether every picture has its rows, each face once, and the broken one is the only error."""
    table = ds.dataset(out / "pictures").to_table(columns=["source", "face"])
    rows = Counter(zip(table["source"].to_pylist(), table["face"].to_pylist(), strict=True))
    errors = ds.dataset(out / "errors").to_table()["source"].to_pylist()
    return (
        {source for source, _ in rows} == set(pictures)
        and max(rows.values()) == 1
        and [Path(name).name for name in errors] == ["broken.jpg"]
    )


def measure_memory(source: Path, out: Path, workers: int) -> dict[str, object]:
    """Memory of driver and workers, MB, at ten moments."""
    started, samples = time.monotonic(), []
    process = start(source, out, workers)
    while process.poll() is None:
        readers = [pid for pid in below(process.pid) if "UnitReader" in command_line(pid)]
        if readers:
            samples.append((time.monotonic() - started, resident_mb(process.pid), max(map(resident_mb, readers))))
        time.sleep(2)
    step = max(1, len(samples) // 10)
    return {
        "seconds": round(time.monotonic() - started), "code": process.returncode,
        "driver_mb": [round(driver) for _, driver, _ in samples[::step]],
        "worker_mb": [round(worker) for _, _, worker in samples[::step]],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
