"""One pipeline in other processes: gunicorn, joblib, pools, forks, threads, Ray, Celery, Jupyter; the same answers?

    python benchmarks/reliability/processes.py [NAME …] [--requests 1000]

Prints one line of JSON a name. What is not installed is skipped and says so. Nothing leaves 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import functools
import http.client
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from harness import free_port, started

import mien
from mien.images.pictures import encode

PATIENCE_S = 240
PICTURES = list(np.random.default_rng(5).integers(0, 256, (4, 90, 80, 3), np.uint8))

Answers = list[list[dict[str, float]]]


@functools.cache
def shared_pipeline() -> mien.Pipeline:
    """The same in every process that asks; `none` reads each picture as a face."""
    return mien.Pipeline("mien-xs", detector="none", threads=1)


def answer(pipeline: mien.Pipeline, repeats: int = 1) -> Answers:
    for _ in range(repeats):
        answers = [[face.probabilities for face in pipeline.analyze(picture)] for picture in PICTURES]
    return answers


def by_threads(count: int) -> list[Answers]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: answer(shared_pipeline()), range(count)))


def by_pool(method: str, count: int) -> list[Answers]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        return list(pool.map(answer, [shared_pipeline()] * count))


def by_asyncio(count: int) -> list[Answers]:
    async def ask() -> list[Answers]:
        return await asyncio.gather(*(asyncio.to_thread(answer, shared_pipeline()) for _ in range(count)))

    return asyncio.run(ask())


def by_joblib(backend: str, count: int) -> list[Answers]:
    import joblib

    work = joblib.Parallel(2, backend=backend)
    return list(work(joblib.delayed(answer)(shared_pipeline()) for _ in range(count)))


def by_ray(count: int) -> list[Answers]:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Workers get the path that this process has: the harness may run from a checkout.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    ray.init(
        num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="ERROR", log_to_driver=False
    )
    try:
        reader = ray.remote(Reader)
        actors = [reader.remote() for _ in range(2)]
        by_actor = ray.get([actors[number % 2].read.remote() for number in range(count // 2)], timeout=PATIENCE_S)
        task = ray.remote(answer)
        by_task = ray.get([task.remote(shared_pipeline()) for _ in range(count // 2)], timeout=PATIENCE_S)
        return [*by_actor, *by_task]
    finally:
        ray.shutdown()


class Reader:
    """An actor with a pipeline of its own."""

    def __init__(self) -> None:
        self.pipeline = mien.Pipeline("mien-xs", detector="none", threads=1)

    def read(self) -> Answers:
        return answer(self.pipeline)


CELERY_APP = """
import sys
sys.path.insert(0, {here!r})
import celery
from processes import answer, shared_pipeline

answer(shared_pipeline())  # loaded and used before the workers are forked
app = celery.Celery("app", broker="filesystem://", backend="file://{folder}/results")
app.conf.broker_transport_options = {{
    "data_folder_in": "{folder}/queue", "data_folder_out": "{folder}/queue", "control_folder": "{folder}/control",
}}

@app.task
def read():
    return answer(shared_pipeline())
"""


def by_celery(count: int) -> list[Answers]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("results", "queue", "control"):
            (Path(folder) / name).mkdir()
        program = CELERY_APP.format(here=str(Path(__file__).parent), folder=folder)
        (Path(folder) / "reader_app.py").write_text(program)
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "reader_app",
            "worker",
            "--concurrency",
            "2",
            "--loglevel",
            "ERROR",
        ]
        with started([*command, "--without-gossip", "--without-mingle"], Path(folder)):
            sys.path.insert(0, folder)
            import reader_app  # type: ignore[import-not-found]

            waiting = [reader_app.read.delay() for _ in range(count)]
            return [one.get(timeout=PATIENCE_S) for one in waiting]


def by_jupyter(count: int) -> list[Answers]:
    """A notebook whose cells are run again and again, as people do."""
    import nbclient
    import nbformat

    here = str(Path(__file__).parent)
    cells = [
        f"import sys; sys.path.insert(0, {here!r})\nimport json, mien\nfrom processes import answer, shared_pipeline"
    ]
    for _ in range(count):
        cells += [
            "pipeline = mien.Pipeline('mien-xs', detector='none', threads=1)",
            "print(json.dumps(answer(pipeline)))",
            "pipeline.analyze(__import__('processes').PICTURES[0])",
        ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=PATIENCE_S, kernel_name="python3").execute()
    printed = [out for cell in book.cells for out in cell.outputs]
    shown = [out["data"] for out in printed if "data" in out]
    assert len(shown) == count, shown
    assert all("<img" in data.get("text/html", "") for data in shown), shown
    return [json.loads(out["text"]) for out in printed if out.get("name") == "stdout"]


GUNICORN_APP = """
import json
import mien
from mien.errors import MienError

pipeline = mien.Pipeline("mien-xs", detector="none", threads=1)
pipeline.analyze({picture!r})  # used in the master, before the fork

def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    try:
        status, answer = "200 OK", [face.probabilities for face in pipeline.analyze(body)]
    except MienError as error:
        status, answer = "422 Unprocessable Content", str(error)
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""


def run_gunicorn(requests: int) -> dict[str, Any]:
    """`gunicorn --preload`: requests from 8 clients; the workers have to answer alike and end when told."""
    bodies = [encode(picture, "png") for picture in PICTURES]
    expected = answer(shared_pipeline())
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        picture.write_bytes(bodies[0])
        (Path(folder) / "wsgi_app.py").write_text(GUNICORN_APP.format(picture=str(picture)))
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--timeout", "30", "--bind"]
        with started([*command, f"127.0.0.1:{port}", "wsgi_app:application"], Path(folder)) as server:
            wait_for(port)
            left = iter(range(requests))
            lock = threading.Lock()

            def client() -> None:
                while True:
                    with lock:
                        number = next(left, None)
                    if number is None:
                        return
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                    try:
                        connection.request("POST", "/", bodies[number % len(bodies)])
                        response = connection.getresponse()
                        alike = json.loads(response.read()) == expected[number % len(bodies)]
                        outcomes[f"{response.status} {'same' if alike else 'different'}"] += 1
                    except OSError as error:
                        outcomes[type(error).__name__] += 1
                    finally:
                        connection.close()

            begun = time.monotonic()
            clients = [threading.Thread(target=client) for _ in range(8)]
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            seconds = time.monotonic() - begun
            server.send_signal(signal.SIGTERM)
            code, ended = server.wait(30), time.monotonic() - begun - seconds
        log = (Path(folder) / "log.txt").read_text()
    return {
        "requests": requests, "outcomes": dict(outcomes), "seconds": round(seconds, 1), "exit": code,
        "ended_after_s": round(ended, 2), "worker_timeouts": log.count("WORKER TIMEOUT"),
        "ok": outcomes == {"200 same": requests} and code == 0 and "WORKER TIMEOUT" not in log,
    }  # fmt: skip


def run_one_output(pairs: int) -> dict[str, Any]:
    """Two commands that write the same table at the same time: it is whole, and whoever did not write it says so."""
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        for number, picture in enumerate(PICTURES):
            (folder / "photos" / f"{number}.png").write_bytes(encode(picture, "png"))
        command = [sys.executable, "-m", "mien", "analyze", "photos", "--out", "rows.csv", "-q", "--detector", "none"]
        subprocess.run(command, cwd=folder, check=True)
        whole = (folder / "rows.csv").read_bytes()
        for _ in range(pairs):
            (folder / "rows.csv").unlink()
            both = [subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) for _ in range(2)]
            said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
            codes = sorted(process.returncode for process in both)
            told = all(
                text.startswith("error: ") for text, process in zip(said, both, strict=True) if process.returncode
            )
            same = (folder / "rows.csv").read_bytes() == whole
            left = {path.name for path in folder.iterdir()} == {"photos", "rows.csv"}
            outcomes[f"{codes}, {'whole' if same and left else 'not whole'}, {'told' if told else 'not told'}"] += 1
    good = all(" whole, told" in outcome and "not" not in outcome for outcome in outcomes)
    return {"pairs": pairs, "outcomes": dict(outcomes), "ok": good}


def wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/", encode(PICTURES[0], "png"))
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


WAYS: dict[str, tuple[str | None, Callable[[int], list[Answers]]]] = {
    "threads": (None, by_threads),
    "asyncio": (None, by_asyncio),
    "spawn": (None, functools.partial(by_pool, "spawn")),
    "fork": (None, functools.partial(by_pool, "fork")),
    "forkserver": (None, functools.partial(by_pool, "forkserver")),
    "joblib-loky": ("joblib", functools.partial(by_joblib, "loky")),
    "joblib-multiprocessing": ("joblib", functools.partial(by_joblib, "multiprocessing")),
    "joblib-threading": ("joblib", functools.partial(by_joblib, "threading")),
    "ray": ("ray", by_ray),
    "celery": ("celery", by_celery),
    "jupyter": ("nbclient", by_jupyter),
}
OWN = {"gunicorn": "gunicorn", "one-output": None}
"""What is run otherwise, and what it needs."""
COUNT = {"jupyter": 5, "celery": 40, "ray": 40}


def run(name: str, requests: int) -> dict[str, Any]:
    needed = OWN[name] if name in OWN else WAYS[name][0]
    if needed and importlib.util.find_spec(needed) is None:
        return {"name": name, "skipped": f"needs {needed}"}
    version = importlib.metadata.version(needed) if needed else sys.version.split()[0]
    if name == "gunicorn":
        return {"name": name, "version": version, **run_gunicorn(requests)}
    if name == "one-output":
        return {"name": name, "version": version, **run_one_output(10)}
    expected = answer(shared_pipeline())
    begun = time.monotonic()
    count = COUNT.get(name, 64)
    found = WAYS[name][1](count)
    same = sum(one == expected for one in found)
    seconds = round(time.monotonic() - begun, 1)
    return {"name": name, "version": version, "calls": count, "same": same, "seconds": seconds, "ok": same == count}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*WAYS, *OWN, []], help="all by default")
    parser.add_argument("--requests", type=int, default=1000, help="to gunicorn")
    options = parser.parse_args()
    good = True
    for name in options.names or [*OWN, *WAYS]:
        result = run(name, options.requests)
        good &= bool(result.get("ok", True))
        print(json.dumps(result), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
