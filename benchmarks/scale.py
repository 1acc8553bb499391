"""What a picture costs, what a pod of the service carries, what a second one brings, and what the database costs.

    python benchmarks/scale.py pictures PHOTOS [--sides 160 640 1280 1920]
    python benchmarks/scale.py plan [--names 300000]
    python benchmarks/scale.py pods PHOTOS [--clients 1 16 64] [--requests 150]
    python benchmarks/scale.py database postgresql://mien@127.0.0.1/mien [--jobs 200] [--threads 4]

Figures are processor time and ratios within one run, because the machine may be busy otherwise. Pods are processes of
`mien serve` with one thread for pictures and one for the model; PHOTOS are sent in turns, scaled to 640 px. The life of
a job in the database is: added, claimed, reported four times, ended, shown three times, forgotten; without its video.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import httpx

from mien import Pipeline
from mien.images.pictures import read

sys.path.insert(0, str(Path(__file__).parent / "reliability"))
from harness import free_port, processor_s, resident_mb, scale_photos, started

SIDE_PX = 640
PATIENCE_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    pictures = commands.add_parser("pictures")
    pictures.add_argument("photos", type=Path)
    pictures.add_argument("--sides", type=int, nargs="+", default=[160, 640, 1280, 1920])
    pictures.set_defaults(measure=measure_pictures)
    plan = commands.add_parser("plan")
    plan.add_argument("--names", type=int, default=300_000)
    plan.set_defaults(measure=measure_plan)
    pods = commands.add_parser("pods")
    pods.add_argument("photos", type=Path)
    pods.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    pods.add_argument("--requests", type=int, default=150)
    pods.set_defaults(measure=measure_pods)
    database = commands.add_parser("database")
    database.add_argument("url")
    database.add_argument("--jobs", type=int, default=200)
    database.add_argument("--threads", type=int, default=4)
    database.set_defaults(measure=measure_database)
    given = parser.parse_args()
    told = {"date": str(date.today()), "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    print(json.dumps(told | given.measure(given), indent=2))


def measure_pictures(given: argparse.Namespace) -> dict[str, Any]:
    """Processor time of a picture with one thread, from its file to its rows, and the part that decodes it."""
    cv2.setNumThreads(1)
    found: dict[str, Any] = {}
    for side in given.sides:
        with tempfile.TemporaryDirectory(prefix="mien-scale-") as root:
            names = scale_photos(given.photos, Path(root), side)
            found[f"{side}_px"] = {"pictures": len(names), "decode_ms": spent_ms(read, names)}
            for detector in ("mien", "yunet"):
                pipeline = Pipeline(detector=detector, threads=1)
                faces = sum(len(result.faces) for result in pipeline.run(names))
                each_ms = spent_ms(lambda name, pipeline=pipeline: pipeline.analyze(name), names)
                found[f"{side}_px"][detector] = {"ms": each_ms, "faces": round(faces / len(names), 2)}
    return found


def measure_plan(given: argparse.Namespace) -> dict[str, Any]:
    """What a batch's driver needs for a million names, from a table of paths to a plan on disk."""
    from mien.apps.batch.inputs import find_inputs
    from mien.apps.batch.plan import Ledger, divide
    from mien.apps.storage import Storage

    with tempfile.TemporaryDirectory(prefix="mien-scale-") as root:
        table = Path(root, "names.txt")
        table.write_text(
            "\n".join(f"s3://photos/2026/{number // 1000:06}/{number:09}.jpg" for number in range(given.names))
        )
        ledger = Ledger(Storage(f"{root}/out"))
        ledger.begin({}, resume=False, overwrite=False)
        memory_mb, before = resident_mb(os.getpid()), time.process_time()
        units = divide(find_inputs([str(table)], print))
        ledger.add(units)
        millions = given.names / 1e6
        return {
            "names": given.names, "units": len(units),
            "memory_mb_a_million": round((resident_mb(os.getpid()) - memory_mb) / millions),
            "processor_s_a_million": round((time.process_time() - before) / millions, 1),
        }  # fmt: skip


def spent_ms(work: Callable[[Path], object], names: list[Path]) -> float:
    """Processor time of each, milliseconds: the least of three rounds, since others disturb caches."""
    rounds = []
    for _ in range(3):
        before = time.process_time()
        for name in names:
            work(name)
        rounds.append(1000 * (time.process_time() - before) / len(names))
    return round(min(rounds), 1)


def measure_pods(given: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mien-scale-") as root, contextlib.ExitStack() as stack:
        pictures = Path(root, "pictures")
        scale_photos(given.photos, pictures, SIDE_PX)
        found = [stack.enter_context(pod(Path(root, f"pod-{number}"))) for number in range(2)]
        for started_pod in found:
            load([started_pod], pictures, 1, given.requests // 5)
        one = {clients: load(found[:1], pictures, clients, given.requests) for clients in given.clients}
        # By turns: the load of others changes meanwhile.
        rounds = [
            [load(found[:count], pictures, given.clients[-1], given.requests) for count in (1, 2)] for _ in range(3)
        ]
    by_count = [statistics.median(part[place]["processor_ms"] for part in rounds) for place in range(2)]
    return {
        "one_pod": one, "two_pods": rounds[-1][1], "processor_ms": by_count,
        # As many times the requests of one on cores that are free: they share nothing but the balancer.
        "two_against_one": round(2 * by_count[0] / by_count[1], 2),
    }  # fmt: skip


@contextlib.contextmanager
def pod(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a service."""
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
    settings = {"WORKERS": "1", "VIDEO_QUEUE": "0", "DETECTOR": "mien", "QUEUE_S": "600", "REQUEST_TIMEOUT_S": "600"}
    with started(command, folder, **{f"MIEN_SERVICE_{name}": value for name, value in settings.items()}) as process:
        end = time.monotonic() + PATIENCE_S
        while not is_ready(port):
            if time.monotonic() > end:
                raise TimeoutError(f"no service on port {port}")
            time.sleep(0.2)
        yield port, process.pid


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def load(pods: list[tuple[int, int]], pictures: Path, clients: int, requests: int) -> dict[str, Any]:
    """Clients by turns at these pods, as a balancer would send them."""
    before = sum(processor_s(pid) for _, pid in pods)
    begun = time.perf_counter()
    share = [str(max(1, clients // len(pods))), "--requests", str(requests // len(pods))]
    script = str(Path(__file__).with_name("service_load.py"))
    running = [
        subprocess.Popen([sys.executable, script, str(port), str(pictures), "--clients", *share], stdout=-1)
        for port, _ in pods
    ]
    told = [json.loads(process.communicate()[0]) for process in running]
    wall_s = max(answer["wall_s"] for answer in told)
    seconds = sorted(second for answer in told for second in answer["seconds"])
    return {
        "answered": len(seconds), "refused": sum(sum(answer["outcomes"].values()) for answer in told) - len(seconds),
        "requests_a_second": round(len(seconds) / wall_s, 2),
        "processor_ms": round(1000 * (sum(processor_s(pid) for _, pid in pods) - before) / len(seconds), 1),
        "cores_it_got": round((sum(processor_s(pid) for _, pid in pods) - before) / (time.perf_counter() - begun), 2),
        "p50_s": round(statistics.median(seconds), 2), "p99_s": round(seconds[int(0.99 * len(seconds))], 2),
        "memory_mb": [round(resident_mb(pid)) for _, pid in pods],
    }  # fmt: skip


def measure_database(given: argparse.Namespace) -> dict[str, Any]:
    from mien.apps.service.jobs_postgres import NAMESPACE, PostgresJobs
    from mien.apps.service.jobs_store import JobStore

    with tempfile.TemporaryDirectory(prefix="mien-scale-") as root:
        stores = {
            "sqlite": JobStore(Path(root, "sqlite"), keep_s=1e6, max_queued=10**6),
            "postgresql": PostgresJobs(given.url, Path(root, "postgresql"), keep_s=1e6, max_queued=10**6),
        }
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in stores}
        for _ in range(3):
            for name, store in stores.items():
                rounds[name].append(live(store, given.jobs, given.threads))
        found = {
            name: {key: round(statistics.median(part[key] for part in parts), 2) for key in parts[0]}
            for name, parts in rounds.items()
        }
        ours, theirs = found["postgresql"], found["sqlite"]
        stores["postgresql"].close()
        import psycopg

        with psycopg.connect(given.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA {NAMESPACE} CASCADE")
    return {
        "threads": given.threads, "jobs": given.jobs, **found,
        "jobs_a_second_postgresql_against_sqlite": round(ours["jobs_a_second"] / theirs["jobs_a_second"], 2),
    }  # fmt: skip


def live(store: Any, jobs: int, threads: int) -> dict[str, float]:
    """Lives of jobs in so many threads: how many a second, and the processor time of each."""

    def life(number: int) -> None:
        upload = store.incoming / f"{number}.part"
        upload.write_bytes(b"")
        store.add(upload, owner="", name="film.mp4", options={})
        job = store.claim()
        for step in range(4):
            store.report(job, frames=step, faces=step, progress=step / 4)
        store.finish(job)
        for _ in range(3):
            store.get(job.id, "")
        store.delete(job)

    connected = servers(store)
    begun, before = time.perf_counter(), time.process_time()
    theirs = sum(map(processor_s, connected))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(life, range(jobs)))
    seconds = time.perf_counter() - begun
    after = servers(store)
    return {
        "jobs_a_second": jobs / seconds, "processor_ms": 1000 * (time.process_time() - before) / jobs,
        "database_processor_ms": 1000 * (sum(map(processor_s, after)) - theirs) / jobs, "connections": len(after),
    }  # fmt: skip


def servers(store: Any) -> list[int]:
    """The database's processes that serve this one."""
    if not store.shared:
        return []
    with store._connect() as database:
        found = database.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    return [pid for (pid,) in found]


if __name__ == "__main__":
    main()
