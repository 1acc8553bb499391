"""What `mien data curate` finds in FER2013, how long it takes, and how much memory: the bars as a table.

python benchmarks/curation.py FOLDER [--out issues.csv] [--yunet] [--measured issues.csv]

FOLDER holds fer2013.csv and ferplus.csv. The command runs in a process of its own with an empty cache; YuNet's file is
taken along if MIEN_HOME has it and --yunet is given. With --measured nothing is run: a table that is there is scored.
The votes are read here to score the finder; the finder itself does not look at them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from mien.artifact import store
from mien.labels import CROWD, SEVEN, VOTE_COLUMNS
from mien.workshop.curation.issues import IssueTable
from mien.workshop.curation.table import read_table
from mien.workshop.data.base import FaceDataset, flat, leaked, picture_groups
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import majority

FIRST = 600


def run(folder: Path, out: Path, *, yunet: bool) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of the command with an empty cache."""
    with tempfile.TemporaryDirectory() as home:
        if yunet and (found := store.find(store.YUNET)):
            shutil.copy(found, home)
        arguments = [sys.executable, "-m", "mien", "data", "curate", str(folder), "--out", str(out), "--overwrite"]
        started = time.perf_counter()
        process = subprocess.Popen(arguments, env={**os.environ, "MIEN_HOME": home})
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        code = process.wait()
        watcher.join()
        if code:
            sys.exit(code)
        return time.perf_counter() - started, peak[0]


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Keep the highest resident size that the system states while the process lives."""
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            return
        peak[0] = max([peak[0], *(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.2)


def bars(table: IssueTable, dataset: FaceDataset) -> list[tuple[str, str, str]]:
    """What was asked for, the bar, what came out."""
    groups = picture_groups(dataset.images)
    copies = {int(groups[i.rows[0]]) for kind in ("leak", "duplicate", "conflict") for i in table.of_kind(kind)}
    sizes = np.bincount(groups, minlength=len(groups))
    exact = {group for group in copies if sizes[group] > 1}
    in_leaks = {int(groups[row]) for issue in table.of_kind("leak") for row in issue.rows}
    found = leaked(dataset) & np.isin(groups, list(in_leaks))
    flats = {issue.rows[0] for issue in table.of_kind("flat")} & set(np.flatnonzero(flat(dataset)).tolist())
    by_split = " + ".join(str(found[dataset.split == part].sum()) for part in (1, 2))
    rows = [
        ("groups of identical pictures", "1,516", f"{len(exact):,}"),
        ("leaked faces of PublicTest and PrivateTest", "280 + 288", by_split),
        ("flat pictures", "12", str(len(flats))),
    ]
    if dataset.votes is not None:
        nobody = dataset.votes[:, VOTE_COLUMNS.index("NF")] >= 10
        first = [issue.rows[0] for issue in table.of_kind("no-face")][:FIRST]
        share = nobody[first].sum() / nobody.sum()
        bar = f"80 % of {nobody.sum()}"
        rows.append((f"all ten votes NF, in the first {FIRST} of no-face", bar, f"{share:.1%} ({nobody[first].sum()})"))
        rows += _labels(table, dataset)
    return rows


def _labels(table: IssueTable, dataset: FaceDataset) -> list[tuple[str, str, str]]:
    """How often the FER+ majority is the label that is suggested, and the one that is there."""
    assert dataset.votes is not None
    crowd = np.array([*(SEVEN.index(name) if name in SEVEN else -2 for name in CROWD), -1])[majority(dataset.votes)]
    lines = []
    for split, name in enumerate(("Training", "PublicTest", "PrivateTest")):
        issues = [i for i in table.of_kind("label") if i.suggestion == "relabel" and dataset.split[i.rows[0]] == split]
        judged = [i for i in issues if crowd[i.rows[0]] != -1]
        right = sum(SEVEN[crowd[i.rows[0]]] == i.label for i in judged if crowd[i.rows[0]] >= 0)
        before = sum(int(crowd[i.rows[0]]) == int(dataset.labels[i.rows[0]]) for i in judged)
        shares = [f"{count / max(len(judged), 1):.1%}" for count in (right, before)]
        said = f"{len(issues):,}; of {len(judged):,} with a majority {shares[0]}, as labelled {shares[1]}"
        lines.append((f"relabelled as most annotators say, {name}", "", said))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--yunet", action="store_true", help="with YuNet's file")
    parser.add_argument("--measured", type=Path, help="score this table, run nothing")
    options = parser.parse_args()
    cost: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = options.measured or options.out or Path(folder, "issues.csv")
        if options.measured is None:
            seconds, mib = run(options.folder, path, yunet=options.yunet)
            cost = [("wall time", "600 s", f"{seconds:.0f} s"), ("peak memory", "2,048 MiB", f"{mib:,.0f} MiB")]
            page = path.with_suffix(".html").stat().st_size / 2**20
            cost.append(("the page", "5 MiB", f"{page:.1f} MiB"))
        table, dataset = read_table(path), load_dataset(options.folder)
    print("| what | bar | found |\n|---|---:|---:|")
    for line in [*bars(table, dataset), *cost]:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
