"""Two services and two workers over one PostgreSQL database; a worker is killed in the middle of a job, ten times.

    python benchmarks/reliability/jobs.py postgresql://mien@127.0.0.1/mien CLIP.mp4 [--rounds 10] [--videos 4]
    python benchmarks/reliability/jobs.py … --files s3://bucket/mien       # each process with a state folder of its own

Each round sends videos to both services by turns, cancels one by the other service while it is read, kills one worker
while it reads, and starts it again. Every other job must end as done with each frame once, progress must be seen by the
service that did not accept it, and nothing must be left of the cancelled one. Prints a line of JSON a round and one at
the end; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from harness import end, free_port, started

PATIENCE_S = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--files", help="a bucket for uploads and results, rather than a shared folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    begun, lost, killed = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="mien-jobs-") as root, contextlib.ExitStack() as stack:
        places = [Place(Path(root, name), arguments) for name in ("service-0", "service-1", "worker-0", "worker-1")]
        ports = [free_port(), free_port()]
        for port, place in zip(ports, places[:2], strict=True):
            command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
            stack.enter_context(started(command, place.folder, MIEN_SERVICE_VIDEO_WORKERS="0", **place.settings))
        workers = [stack.enter_context(Worker(place)) for place in places[2:]]
        clients = [stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)) for port in ports]
        for client in clients:
            wait(lambda client=client: ready(client))
        frames: list[int] = []
        for number in range(arguments.rounds):
            told = run_round(clients, workers, arguments, chance)
            frames = frames or told["counts"][0]
            killed += 1
            wrong = [count != frames for count in told.pop("counts")]
            lost += sum(wrong) + (not told["cancelled"]) + (not told["progress_elsewhere"])
            print(json.dumps({"round": number, "jobs": len(wrong), "whole": wrong.count(False), **told}), flush=True)
        left = strays(places[2].settings, clients[0]) if not arguments.files else []
    print(json.dumps({
        "date": str(date.today()), "seed": arguments.seed, "files": arguments.files, "killed": killed, "lost": lost,
        "frames": len(frames), "left_behind": left, "seconds": round(time.monotonic() - begun),
    }))  # fmt: skip
    return int(lost > 0 or bool(left))


def run_round(
    clients: list[httpx.Client], workers: list[Worker], arguments: argparse.Namespace, chance: random.Random
) -> dict[str, Any]:
    """Videos, one cancelled and one worker killed; the frames of each result, and what else was seen."""
    data = arguments.clip.read_bytes()
    doomed, *jobs = [send(clients[place % 2], data) for place in range(arguments.videos + 1)]
    # Of the first, which the first service accepted, the second hears.
    wait(lambda: client_state(clients[1], doomed)["progress"])
    progress = client_state(clients[1], doomed)
    clients[1].delete(f"/v1/jobs/{doomed}")
    wait(lambda: any(client_state(clients[0], job)["frames"] for job in jobs))
    time.sleep(chance.uniform(0, 1))
    # Whichever is reading: with two workers and more videos both are.
    workers[chance.randrange(2)].restart()
    ended = [wait(lambda job=job: over(clients[chance.randrange(2)], job)) for job in jobs]
    results = [clients[place % 2].get(f"/v1/jobs/{job}/result") for place, job in enumerate(jobs)]
    return {
        "counts": [[row["frame"] for row in result.json().get("rows", [])] for result in results],
        "states": sorted({str(state["state"]) for state in ended}),
        "cancelled": all(client_state(client, doomed)["state"] == "cancelled" for client in clients),
        "progress_elsewhere": progress["state"] == "running" and 0 < float(progress["progress"]) < 1,
    }


def send(client: httpx.Client, data: bytes) -> str:
    answer = client.post("/v1/videos", content=data, headers={"Content-Type": "video/mp4"})
    return str(answer.raise_for_status().json()["id"])


def strays(settings: dict[str, str], client: httpx.Client) -> list[str]:
    """Folders of jobs that were cancelled, and uploads of those that are done."""
    folders = list(Path(settings["MIEN_SERVICE_STATE_DIR"], "jobs").iterdir())
    done = [path for path in folders if client_state(client, path.name)["state"] == "done"]
    return [path.name for path in folders if path not in done or (path / "upload").exists()]


class Place:
    """Where a process is: a folder, and its settings."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        folder.mkdir()
        self.folder = folder
        state = folder / "state" if arguments.files else folder.parent / "state"
        self.settings = {"MIEN_SERVICE_JOBS": arguments.database, "MIEN_SERVICE_STATE_DIR": str(state)}
        if arguments.files:
            self.settings["MIEN_SERVICE_FILES"] = arguments.files


class Worker:
    """`mien worker`, which can be killed and started again."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> Worker:
        self._stack = contextlib.ExitStack()
        command = [sys.executable, "-m", "mien", "worker"]
        self._process = self._stack.enter_context(started(command, self._place.folder, **self._place.settings))
        return self

    def restart(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stack.close()
        self.__enter__()

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._stack.close()


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def client_state(client: httpx.Client, job: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/jobs/{job}").json())


def over(client: httpx.Client, job: str) -> dict[str, Any] | None:
    state = client_state(client, job)
    return None if state["state"] in ("queued", "running") else state


def wait(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


if __name__ == "__main__":
    sys.exit(main())
