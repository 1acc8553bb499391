"""kill -9 in the middle, and the same command again: the same result as without, nothing left behind.

    python benchmarks/reliability/kills.py [WORK …] [--kills 20] [--seed 1]

Each piece of work is done once undisturbed. Then it is killed at drawn times and started again until it ends.
Prints one line of JSON a piece.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_targets import PORTRAIT

MIEN = [sys.executable, "-m", "mien"]
MOST_STARTS = 60


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Args:
        command: in the folder with the material; the first time.
        again: after a kill.
        result: what came out of it, to compare.
    """

    command: list[str]
    again: list[str]
    result: Callable[[Path], Any]


def make_material(folder: Path) -> None:
    import av

    from mien.images.pictures import read, resize, write

    portrait = resize(read(PORTRAIT), 240, 240)
    (folder / "photos").mkdir()
    for number in range(12):
        write(folder / "photos" / f"{number:02}.png", np.roll(portrait, 7 * number, axis=1))
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height = stream.width = 240
        stream.pix_fmt = "yuv420p"
        for number in range(150):
            frame = av.VideoFrame.from_ndarray(np.roll(portrait, number, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    draw = np.random.default_rng(0)
    labels = np.arange(640) % 7
    faces = (draw.normal(90, 30, (640, 48, 48)) + 12 * labels[:, None, None]).clip(0, 255).astype(np.uint8)
    np.savez(folder / "faces.npz", images=faces, label=labels, usage=np.repeat([0, 1, 2], [512, 64, 64]))
    (folder / "train.toml").write_text(
        '[model]\narch = "shallow_cnn"\noptions = { widths = [8, 8, 8], dense = 8 }\n'
        "[heads]\ncrowd = 0\n[fit]\nepochs = 6\nbatch_size = 32\nseed = 3\n"
    )


def rows_of(path: Path) -> Any:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def weights_of(folder: Path) -> Any:
    from mien.workshop.networks.checkpoint import load_tensors

    (best,) = folder.rglob("best.safetensors")
    return {name: value.numpy().tobytes() for name, value in load_tensors(best)[0].items()}


WORKS: dict[str, Work] = {
    "photos": Work(
        [*MIEN, "analyze", "photos", "--out", "rows.csv", "-q"],
        [*MIEN, "analyze", "photos", "--out", "rows.csv", "-q", "--resume"],
        lambda folder: rows_of(folder / "rows.csv"),
    ),
    "video": Work(
        [*MIEN, "analyze", "clip.mp4", "--out", "rows.csv", "-q"],
        [*MIEN, "analyze", "clip.mp4", "--out", "rows.csv", "-q", "--resume"],
        lambda folder: [row[:4] for row in rows_of(folder / "rows.csv")],
    ),
    "training": Work(
        [*MIEN, "train", "train.toml", "faces.npz", "--out", "run"],
        [*MIEN, "train", "train.toml", "faces.npz", "--out", "run"],
        lambda folder: weights_of(folder / "run"),
    ),
    "curation": Work(
        [*MIEN, "data", "curate", "faces.npz", "--out", "issues.csv", "--overwrite"],
        [*MIEN, "data", "curate", "faces.npz", "--out", "issues.csv", "--overwrite"],
        lambda folder: (folder / "issues.csv").read_bytes(),
    ),
}
LEFT_BEHIND = ("*.part", "*.tmp", ".*.tmp*", "*.lock")


def run(name: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    work, draw = WORKS[name], random.Random(f"{seed} {name}")
    environment = os.environ | {"MIEN_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    whole = folder / "whole"
    whole.mkdir()
    make_material(whole)
    begun = time.monotonic()
    done = subprocess.run(work.command, cwd=whole, env=environment, capture_output=True, text=True, check=False)
    lasts_s = time.monotonic() - begun
    if done.returncode:
        return {"work": name, "ok": False, "error": done.stderr[-500:]}
    expected = work.result(whole)
    killed, finished, wrong, left = 0, 0, 0, set()
    while killed < kills:
        place = folder / "again"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place, ignore=shutil.ignore_patterns("rows.csv", "run", "issues*"))
        command = work.command
        for _ in range(MOST_STARTS):
            process = subprocess.Popen(
                command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            try:
                _, complaint = process.communicate(timeout=draw.uniform(0.1, 1.1) * lasts_s if killed < kills else 600)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed += 1
                command = work.again
                continue
            if process.returncode:
                return {"work": name, "ok": False, "killed": killed, "error": complaint.decode(errors="replace")[-500:]}
            break
        finished += 1
        wrong += work.result(place) != expected
        left |= {path.name for pattern in LEFT_BEHIND for path in place.rglob(pattern)}
    return {
        "work": name, "seed": seed, "killed": killed, "finished": finished, "different": wrong, "left": sorted(left),
        "undisturbed_s": round(lasts_s, 1), "ok": not wrong and not left,
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
