"""Two services and two workers over one PostgreSQL database; a worker is killed in the middle of a job, ten times.

    python benchmarks/reliability/jobs.py postgresql://mien@127.0.0.1/mien CLIP.mp4 [--rounds 10] [--videos 4]

Each round sends videos to both services by turns, kills one worker while it reads, and starts it again. Every job must
end as done with each frame once. Prints a line of JSON a round and one at the end; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import httpx
from harness import end, free_port, started

PATIENCE_S = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    begun, lost, killed = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="mien-jobs-") as root, contextlib.ExitStack() as stack:
        settings = {"MIEN_SERVICE_JOBS": arguments.database, "MIEN_SERVICE_STATE_DIR": f"{root}/state"}
        ports = [free_port(), free_port()]
        for port in ports:
            folder = Path(root, f"service-{port}")
            folder.mkdir()
            command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
            stack.enter_context(started(command, folder, MIEN_SERVICE_VIDEO_WORKERS="0", **settings))
        workers = [stack.enter_context(Worker(Path(root, f"worker-{place}"), settings)) for place in range(2)]
        clients = [stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)) for port in ports]
        for client in clients:
            wait(lambda client=client: ready(client))
        frames = None
        for number in range(arguments.rounds):
            data = arguments.clip.read_bytes()
            jobs = [
                clients[place % 2].post("/v1/videos", content=data, headers={"Content-Type": "video/mp4"}).json()["id"]
                for place in range(arguments.videos)
            ]
            wait(lambda jobs=jobs: any(client_state(clients[0], job)["frames"] for job in jobs))
            time.sleep(chance.uniform(0, 1))
            # Whichever is reading: with two workers and more videos both are.
            workers[chance.randrange(2)].restart()
            killed += 1
            ended = [wait(lambda job=job: over(clients[chance.randrange(2)], job)) for job in jobs]
            counts = [
                [row["frame"] for row in clients[place % 2].get(f"/v1/jobs/{job}/result").json().get("rows", [])]
                for place, job in enumerate(jobs)
            ]
            frames = frames or counts[0]
            whole = sum(
                state["state"] == "done" and count == frames for state, count in zip(ended, counts, strict=True)
            )
            lost += len(jobs) - whole
            print(json.dumps({"round": number, "jobs": len(jobs), "whole": whole, "frames": len(frames)}), flush=True)
    print(json.dumps({
        "seed": arguments.seed, "killed": killed, "lost": lost, "seconds": round(time.monotonic() - begun),
    }))  # fmt: skip
    return int(lost > 0)


class Worker:
    """`mien worker`, which can be killed and started again."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        folder.mkdir()
        self._folder, self._settings = folder, settings

    def __enter__(self) -> Worker:
        self._stack = contextlib.ExitStack()
        command = [sys.executable, "-m", "mien", "worker"]
        self._process = self._stack.enter_context(started(command, self._folder, **self._settings))
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


def client_state(client: httpx.Client, job: str) -> dict[str, object]:
    return dict(client.get(f"/v1/jobs/{job}").json())


def over(client: httpx.Client, job: str) -> dict[str, object] | None:
    state = client_state(client, job)
    return None if state["state"] in ("queued", "running") else state


def wait(look):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


if __name__ == "__main__":
    sys.exit(main())
