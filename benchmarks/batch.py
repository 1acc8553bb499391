"""`mien batch` against the bare pipeline: what Ray costs, and what a second worker brings, in one run.

    python benchmarks/batch.py PHOTOS [--pictures 1500] [--detector mien]

PHOTOS is a folder; its pictures are linked under as many names as are asked for. Rates are from the end of the first
unit to that of the last, without the seconds in which Ray and the workers start, which are printed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from datetime import date
from pathlib import Path

import cv2

from mien import Pipeline
from mien.apps.batch.run import Batch, Workers
from mien.apps.batch.unit_reader import BatchOptions

UNIT = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--detector", default="mien")
    arguments = parser.parse_args()
    found = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    with tempfile.TemporaryDirectory(prefix="mien-batch-") as root:
        source = Path(root, "in")
        source.mkdir()
        for place in range(arguments.pictures):
            shutil.copy(found[place % len(found)], source / f"{place:07}{found[place % len(found)].suffix}")
        cv2.setNumThreads(1)
        pipeline = Pipeline(detector=arguments.detector, threads=1)
        names = sorted(source.iterdir())
        rates: dict[str, float] = {"bare": read_bare(pipeline, names)}
        starts = {}
        for count in (1, 2):
            rates[f"workers_{count}"], starts[f"workers_{count}"] = read_batch(
                source, Path(root, f"out-{count}"), count, arguments.detector
            )
        rates["bare_again"] = read_bare(pipeline, names)
    bare = (rates["bare"] + rates["bare_again"]) / 2
    print(json.dumps({
        "date": date.today().isoformat(), "pictures": arguments.pictures, "load": os.getloadavg()[0],
        "pictures_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "start_s": {name: round(seconds, 1) for name, seconds in starts.items()},
        "overhead_percent": round(100 * (bare / rates["workers_1"] - 1), 1),
        "two_against_one": round(rates["workers_2"] / rates["workers_1"], 2),
    }, indent=2))  # fmt: skip


def read_bare(pipeline: Pipeline, names: list[Path]) -> float:
    started = time.perf_counter()
    for _ in pipeline.run(names):
        pass
    return len(names) / (time.perf_counter() - started)


def read_batch(source: Path, out: Path, count: int, detector: str) -> tuple[float, float]:
    """Pictures a second once all workers read, and the seconds until the first unit was done."""
    started = time.perf_counter()
    batch = Batch(
        [str(source)], str(out), BatchOptions({"detector": detector}), pictures_a_unit=UNIT, on_notice=lambda _: None
    )
    ends = [(time.perf_counter(), progress.inputs_done) for progress in batch.run(Workers(count))]
    # Each worker's first unit has its start in it.
    (first, before), (last, done) = ends[2 * count], ends[-1]
    return (done - before) / (last - first), ends[0][0] - started


if __name__ == "__main__":
    main()
