"""`mien batch` under fire: a worker, a raylet or the driver is killed at random times, and the batch is resumed.

    python benchmarks/reliability/batch.py PHOTOS [--times 20] [--pictures 400] [--seed 0]
    python benchmarks/reliability/batch.py PHOTOS --memory --pictures 100000 [--out FOLDER]

PHOTOS is a folder; its pictures are scaled to `--side` and linked under as many names as are asked for, a broken one
after every thousand. The first form reads them on three nodes of a Ray cluster on this machine, kills once a run, and
resumes until the batch has ended; every input must then have its rows exactly once. The second reads them by two
workers and prints the memory of driver and workers; with `--out` it can be ended and started again.
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
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from harness import free_port, processor_s, resident_mb, scale_photos

PATIENCE_S = 1800.0
KINDS = ("worker", "raylet", "driver")
NODES = 3

BROKEN_EVERY = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--side", type=int, default=160, help="pixels")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mien-batch-") as root:
        folder = arguments.out or Path(root)
        folder.mkdir(parents=True, exist_ok=True)
        pictures, broken = link(arguments.photos, folder / "in", arguments.pictures, arguments.side)
        if arguments.memory:
            measured = measure_memory(folder / "in", folder / "out")
            faults = compare(folder / "out", pictures, broken)
            rows = ds.dataset(folder / "out" / "pictures").count_rows()
            size = sum(path.stat().st_size for path in (folder / "out" / "pictures").iterdir())
            print(json.dumps({
                "date": str(date.today()), "pictures": len(pictures), "broken": len(broken), **measured,
                "rows": rows, "bytes_a_row": round(size / rows), "faults": faults,
            }))  # fmt: skip
            return int(bool(faults))
        return fire(folder, pictures, broken, arguments.times, random.Random(arguments.seed))


def fire(folder: Path, pictures: list[str], broken: list[str], times: int, chance: random.Random) -> int:
    """Every run with one kill; a line of JSON each, and 1 if any lost or doubled something."""
    wrong, hit, started = 0, Counter[str](), time.monotonic()
    with Nodes() as nodes:
        for number in range(times):
            out = folder / f"out-{number}"
            kind = KINDS[number % len(KINDS)]
            told = run_under_fire(folder / "in", out, nodes, kind, chance)
            faults = compare(out, pictures, broken)
            wrong += bool(faults)
            hit[kind] += bool(told["kills"])
            print(json.dumps({"run": number, "killed": kind, **told, "faults": faults}), flush=True)
            shutil.rmtree(out)
    print(json.dumps({
        "date": str(date.today()), "runs": times, "pictures": len(pictures), "hit": hit, "wrong": wrong,
        "seconds": round(time.monotonic() - started),
    }))  # fmt: skip
    return int(wrong > 0)


def link(photos: Path, folder: Path, count: int, side_px: int) -> tuple[list[str], list[str]]:
    """As many small pictures as asked for, under names of their own, and the broken ones among them."""
    folder.mkdir(exist_ok=True)
    originals = scale_photos(photos, folder.parent / "small", side_px)
    names = [folder / f"{place // 1000:04}" / f"{place:07}.jpg" for place in range(count)]
    broken = [folder / f"{place:04}" / "broken.jpg" for place in range(-(-count // BROKEN_EVERY))]
    for place, name in enumerate(names):
        name.parent.mkdir(exist_ok=True)
        if not name.exists():
            os.link(originals[place % len(originals)], name)
    for name in broken:
        name.write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return list(map(str, names)), list(map(str, broken))


class Nodes:
    """Three machines of one core each, in processes of this one."""

    def __init__(self) -> None:
        # Behind a token of its own, without a word to Ray's makers.
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=os.urandom(16).hex(),
                          RAY_worker_niceness="5")  # fmt: skip
        # Ray takes 127.0.0.1 for the machine's own address, except where it fears firewalls.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        self._folder = ""
        wait_for_no_agent()

    def __enter__(self) -> Nodes:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        from ray.cluster_utils import Cluster

        self._folder = tempfile.mkdtemp(prefix="mien-nodes-", dir="/tmp")
        # Where Ray leaves a note of the cluster's address.
        os.environ["RAY_TMPDIR"] = self._folder
        Path(self._folder, "ray").mkdir()
        self._cluster: Any = Cluster()
        self.mend()

    def _end(self) -> None:
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def mend(self) -> None:
        """Put a new node in place of each that was killed; all are new if the first was."""
        head = self._cluster.head_node
        if head is not None and not self._alive(head):
            self._end()
            return self._start()
        for node in [node for node in self._cluster.worker_nodes if not self._alive(node)]:
            self._cluster.remove_node(node)
        while len(self._cluster.list_all_nodes()) < NODES:
            self._cluster.add_node(
                num_cpus=1, include_dashboard=False, temp_dir=self._folder, node_ip_address="127.0.0.1",
                runtime_env_agent_port=free_port(), object_store_memory=80 << 20,
            )  # fmt: skip

    def _alive(self, node: Any) -> bool:
        return all(found.process.poll() is None for found in node.all_processes["raylet"])

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def raylets(self) -> list[int]:
        return [found.process.pid for node in self._cluster.list_all_nodes() for found in node.all_processes["raylet"]]

    def workers(self) -> list[int]:
        """The processes that hold a pipeline."""
        raylets = self.raylets()
        return [pid for pid in processes() if parent(pid) in raylets and "UnitReader" in command_line(pid)]


def wait_for_no_agent() -> None:
    """A raylet gives up if its agents do not tell their ports within 15 s, which on a busy machine they do not.

    What is said in their place is what they say where Ray's dashboard is not installed: none.
    """
    from ray import _raylet
    from ray._private.node import Node

    start_raylet = Node.start_raylet
    names = [
        getattr(_raylet, f"{name}_PORT_NAME") for name in ("METRICS_AGENT", "METRICS_EXPORT", "DASHBOARD_AGENT_LISTEN")
    ]

    def start(node: Any, *arguments: Any, **options: Any) -> None:
        for name in names:
            _raylet.persist_port(node._session_dir, node._node_id, name, -1)
        start_raylet(node, *arguments, **options)

    Node.start_raylet = start


def start(source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mien", "batch", str(source), "--out", str(out), "--detector", "mien", *more]
    if (out / "batch.json").exists():
        command.append("--resume")
    with (out.parent / "told.txt").open("ab") as told:
        return subprocess.Popen(command, stderr=told, stdout=told, start_new_session=True)


def run_under_fire(source: Path, out: Path, nodes: Nodes, kind: str, chance: random.Random) -> dict[str, Any]:
    """Kill once at a random time, then go on until the batch has ended."""
    told = out.parent / "told.txt"
    told.write_bytes(b"")
    more = ("--pictures", "10", "--quiet", "--address", nodes.address)
    begun = time.monotonic()
    process, kills = start(source, out, *more), 0
    ends: list[int] = []
    deadline, target = begun + PATIENCE_S, chance.uniform(0.02, 0.9)
    units = sum(1 for _ in source.rglob("*.jpg")) / 10
    try:
        while not ends or ends[-1] not in (0, 3):
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the batch did not end: {ends}, {told.read_text(errors='replace')}")
                if not kills and len(list(out.glob("pictures/[!_]*"))) >= target * units:
                    kills += kill(process, nodes, kind, chance)
                time.sleep(0.02)
            ends.append(process.returncode)
            nodes.mend()
            if ends[-1] not in (0, 3):
                process = start(source, out, *more[:-1], nodes.address)
    finally:
        if process.poll() is None:
            process.kill()
    return {
        "kills": kills, "at": round(target, 2), "codes": ends, "seconds": round(time.monotonic() - begun),
        "told": [line for line in told.read_text(errors="replace").splitlines() if "broken.jpg" not in line],
    }  # fmt: skip


def kill(driver: subprocess.Popen[bytes], nodes: Nodes, kind: str, chance: random.Random) -> int:
    """SIGKILL to a process of the run; how many."""
    found = {"driver": lambda: [driver.pid], "worker": nodes.workers, "raylet": nodes.raylets}[kind]()
    if found:
        os.kill(chance.choice(found), signal.SIGKILL)
    return len(found[:1])


def processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def parent(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid"))


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def compare(out: Path, pictures: list[str], broken: list[str]) -> list[str]:
    """What is wrong: a picture without its rows, a row that is there twice, an error too many or too few."""
    table = ds.dataset(out / "pictures").to_table(columns=["source", "face"])
    rows = Counter(zip(table["source"].to_pylist(), table["face"].to_pylist(), strict=True))
    errors = ds.dataset(out / "errors").to_table()["source"].to_pylist() if any((out / "errors").iterdir()) else []
    seen = {source for source, _ in rows}
    return [
        f"{len(found)} {what}, {sorted(found)[0]}" for what, found in {
            "without rows": set(pictures) - seen, "unknown": seen - set(pictures),
            "rows twice": {f"{source} {face}" for (source, face), count in rows.items() if count > 1},
            "wrong errors": set(errors) ^ set(broken),
            "errors twice": {name for name, count in Counter(errors).items() if count > 1},
        }.items() if found
    ]  # fmt: skip


def measure_memory(source: Path, out: Path) -> dict[str, Any]:
    """Memory of the driver and of the larger worker, MB, by share of the inputs read; processor time of all."""
    started, samples, folder = time.monotonic(), [], out / "pictures"
    names = sum(1 for _ in source.rglob("*.jpg"))
    process = start(source, out, "--workers", "2")
    begun: tuple[float, float, float] = (0.0, 0.0, 0.0)
    while process.poll() is None:
        ours = [pid for pid in processes() if session(pid) == process.pid]
        readers = [pid for pid in ours if "UnitReader" in command_line(pid)]
        if len(readers) == 2:
            share = sum(1 for path in folder.iterdir() if not path.name.startswith("_")) / -(-names // 250)
            spent = (share, sum(map(processor_s, readers)), sum(map(processor_s, ours)))
            begun = spent if not samples else begun
            samples.append((share, resident_mb(process.pid), max(map(resident_mb, readers)), spent))
        time.sleep(5)
    if not samples:
        raise RuntimeError((out.parent / "told.txt").read_text(errors="replace"))
    moments = {share: min(samples, key=lambda sample: abs(sample[0] - share)) for share in (0.1, 0.5, 1.0)}
    last = samples[-1][3]
    read = (last[0] - begun[0]) * names
    return {
        "seconds": round(time.monotonic() - started), "code": process.returncode, "load": round(os.getloadavg()[0], 1),
        "driver_mb": {share: round(sample[1]) for share, sample in moments.items()},
        "worker_mb": {share: round(sample[2]) for share, sample in moments.items()},
        "workers_processor_ms": round(1000 * (last[1] - begun[1]) / read, 2),
        "all_processor_ms": round(1000 * (last[2] - begun[2]) / read, 2),
    }  # fmt: skip


def session(pid: int) -> int:
    """That of the run: Ray's processes are no children for ever."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
