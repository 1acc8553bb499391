"""The service under load, against the bare pipeline in the same run; its memory, its end, its start; bad input.

    python benchmarks/service.py --photos FOLDER [--home FOLDER] [--out results.json]
    python benchmarks/service.py --photos FOLDER --only fuzz --fuzz 5000
    python benchmarks/service.py --photos FOLDER --only schemathesis --schemathesis 300

All traffic goes to 127.0.0.1. The load generator (`service_load.py`, bare asyncio with prepared bytes) is a process of
its own and shares the cores with the service; the CPU time it takes is told. The bare pipeline reads the same bytes in
this machine's cores in two ways: `Pipeline.run`, as users have it, and one `Pipeline.run` a core at the same time, each
with OpenCV and the model on one thread, which is the most that can be had of the cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from mien.errors import SourceError
from mien.images.pictures import encode, read

HERE = Path(__file__).parent
PARTS = ("speed", "memory", "end", "start", "fuzz", "schemathesis")
PATIENCE_S = 60.0

BARE = """
import json, sys, threading, time
import cv2
from pathlib import Path
from mien.reading.classifier import load_model
from mien.reading.pipeline import Pipeline
images = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
count, threads = int(sys.argv[2]), int(sys.argv[3])
if threads > 1:
    cv2.setNumThreads(1)
model = load_model(threads=1 if threads > 1 else None)
pipelines = [Pipeline(model) for _ in range(threads)]
def work(pipeline, share):
    for result in pipeline.run(images[number % len(images)] for number in range(share)):
        assert result.error is None
for pipeline in pipelines:
    work(pipeline, len(images))
started = time.perf_counter()
workers = [threading.Thread(target=work, args=(pipeline, count // threads)) for pipeline in pipelines]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
print(json.dumps(threads * (count // threads) / (time.perf_counter() - started)))
"""


class Server:
    """`mien serve` on a free port."""

    def __init__(self, log: Path, **settings: object) -> None:
        names = {f"MIEN_SERVICE_{name.upper()}": value for name, value in ({"port": 0} | settings).items()}
        variables = {name: value if isinstance(value, str) else json.dumps(value) for name, value in names.items()}
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mien", "serve"], stderr=file, env=os.environ | variables
            )
        started = time.perf_counter()
        self.port = int(self._wait(lambda: re.search(r"running on http://127.0.0.1:(\d+)", log.read_text()))[1])
        self._wait(lambda: httpx.get(f"{self.address}/readyz").status_code == 200)
        self.ready_s = time.perf_counter() - started

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory_mb(self) -> float:
        """Resident memory."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def answered(self) -> int:
        """Images that were read and logged as answered."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return sum(line.get("route") == "/v1/analyze" and line["status"] == 200 for line in lines)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def _wait(self, look: Any) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the service did not start:\n{self.log.read_text()}")
            time.sleep(0.005)
        return found


@contextlib.contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Server]:
    server = Server(folder / "service.log", **settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def start_load(port: int, images: Path, clients: int, requests: int, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "service_load.py"), str(port), str(images)]
    options = ["--clients", str(clients), "--requests", str(requests), *flags]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the load generator failed")
    return json.loads(out)


def run_bare(images: Path, count: int, threads: int) -> float:
    """Images a second of the bare pipeline in a process of its own, its start not counted."""
    command = [sys.executable, "-c", BARE, str(images), str(count), str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_speed(images: Path, folder: Path, requests: int, clients: int, rounds: int) -> dict[str, Any]:
    """Bare pipelines and the service in turns; medians over the rounds, latencies over all requests."""
    cores = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {"bare": [], "bare_cores": [], "service": []}
    seconds: list[float] = []
    outcomes: Counter[str] = Counter()
    client_cpu = server_cpu = 0.0
    with serving(folder) as server:
        finish(start_load(server.port, images, clients, 2 * clients))
        for _ in range(rounds):
            rates["bare"].append(run_bare(images, requests, 1))
            rates["bare_cores"].append(run_bare(images, requests, cores))
            before = server.cpu_s
            load = finish(start_load(server.port, images, clients, requests))
            server_cpu += server.cpu_s - before
            client_cpu += load["client_cpu_s"]
            rates["service"].append(load["outcomes"].get("200", 0) / load["wall_s"])
            seconds += load["seconds"]
            outcomes.update(load["outcomes"])
        alone = finish(start_load(server.port, images, 1, max(len(list(images.iterdir())), requests // 10)))
    ordered = sorted(seconds)
    found = {name: statistics.median(values) for name, values in rates.items()}
    return found | {
        "cores": cores, "clients": clients, "requests": sum(outcomes.values()), "outcomes": dict(outcomes),
        "p50_s": ordered[len(ordered) // 2], "p99_s": ordered[int(0.99 * len(ordered))],
        "alone_p50_s": statistics.median(alone["seconds"]),
        "server_cpu_s": server_cpu / sum(outcomes.values()), "client_cpu_s": client_cpu / sum(outcomes.values()),
    }  # fmt: skip


def measure_memory(folder: Path, requests: int) -> dict[str, Any]:
    """Resident memory over many small images, in ten parts."""
    images = folder / "small"
    images.mkdir()
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), np.uint8)
        (images / f"{number}.jpg").write_bytes(encode(cv2.GaussianBlur(pixels, (0, 0), 3), "jpeg"))
    outcomes: Counter[str] = Counter()
    with serving(folder) as server:
        memory = []
        for _ in range(10):
            outcomes.update(finish(start_load(server.port, images, 16, requests // 10))["outcomes"])
            memory.append(server.memory_mb)
    return {"requests": sum(outcomes.values()), "outcomes": dict(outcomes), "memory_mb": memory}


def measure_end(images: Path, folder: Path, times: int) -> dict[str, Any]:
    """SIGTERM in the middle of the load: what was read to the end must have been answered."""
    dice = random.Random(0)
    outcomes: Counter[str] = Counter()
    codes: list[int] = []
    logged = 0
    for _ in range(times):
        with serving(folder) as server:
            load = start_load(server.port, images, 16, 100_000, "--stop-on-refusal")
            time.sleep(2 + dice.random())
            codes.append(server.stop())
            outcomes.update(finish(load)["outcomes"])
            logged += server.answered()
    return {"times": times, "codes": codes, "outcomes": dict(outcomes), "logged_as_answered": logged}


def measure_start(folder: Path, times: int) -> dict[str, float]:
    """Seconds from the start of the process until /readyz says 200."""
    seconds = []
    for _ in range(times):
        with serving(folder) as server:
            seconds.append(server.ready_s)
    return {"median_s": statistics.median(seconds), "longest_s": max(seconds)}


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A few bits flipped, bytes written over, put in or cut off, half of them in the header."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(min(len(changed), dice.choice([48, 128, len(changed)])))
        match dice.randrange(5):
            case 0 | 1:
                changed[at] ^= 1 << dice.randrange(8)
            case 2:
                word = dice.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"])
                changed[at : at + len(word)] = word
            case 3:
                del changed[max(at, 1) :]
            case 4:
                changed[at:at] = dice.randbytes(dice.randint(1, 16))
    return bytes(changed)


def make_seeds(images: Path) -> list[bytes]:
    """Small images in each format that is read, GIF included."""
    paths = sorted(images.iterdir())[:4]
    small = [cv2.resize(read(path), (64, 48)) for path in paths]
    seeds = [encode(image, kind) for image in small for kind in ("jpeg", "png", "webp", "bmp", "tiff")]
    animation = cv2.Animation()
    animation.frames, animation.durations = small, [100] * len(small)
    seeds.append(cv2.imencodeanimation(".gif", animation)[1].tobytes())
    seeds.append(cv2.imencode(".jpg", small[0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    return seeds


def measure_fuzz(images: Path, folder: Path, count: int) -> dict[str, Any]:
    """Mutated images, four clients at a time; only 200 and 4xx may come back, and soon."""
    seeds, statuses, longest = make_seeds(images), Counter[str](), [0.0]
    lock = threading.Lock()

    def send(number: int, share: int, address: str) -> None:
        dice = random.Random(number)
        with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
            for _ in range(share):
                started = time.perf_counter()
                try:
                    body = mutate(dice.choice(seeds), dice)
                    response = client.post(
                        "/v1/analyze", content=body, headers={"Content-Type": "application/octet-stream"}
                    )
                    status = str(response.status_code)
                except httpx.HTTPError as error:
                    status = type(error).__name__
                with lock:
                    statuses[status] += 1
                    longest[0] = max(longest[0], time.perf_counter() - started)

    with serving(folder) as server:
        before = server.memory_mb
        threads = [threading.Thread(target=send, args=(n, count // 4, server.address)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alive = httpx.get(f"{server.address}/readyz").status_code == 200
        after = server.memory_mb
    return {
        "images": 4 * (count // 4), "statuses": dict(statuses), "longest_s": longest[0], "alive": alive,
        "memory_mb": [before, after],
    }  # fmt: skip


def run_schemathesis(folder: Path, examples: int) -> dict[str, Any]:
    """Made-up requests by the OpenAPI description; `st` prints what it finds."""
    with serving(folder, max_body_mb=1) as server:
        checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
        command = ["st", "run", f"{server.address}/openapi.json", "--max-examples", str(examples), "--checks", checks]
        result = subprocess.run([*command, "--exclude-path-regex", "videos|jobs"], cwd=folder)
        metrics = httpx.get(f"{server.address}/metrics").text
    # While it starts, /readyz says 503.
    failed = re.findall(r'mien_requests_total\{.*route="(?!/readyz).*status="5\d\d"\} ([\d.]+)', metrics)
    total = sum(float(value) for value in re.findall(r"mien_requests_total\{.*\} ([\d.]+)", metrics))
    return {"requests": int(total), "5xx": int(sum(map(float, failed))), "exit": result.returncode}


def table(found: dict[str, Any]) -> str:
    """The figures with their bars, as Markdown."""
    lines = ["| figure | measured | bar |", "|---|---|---|"]
    if speed := found.get("speed"):
        share, most = speed["service"] / speed["bare"], speed["service"] / speed["bare_cores"]
        good = speed["outcomes"].get("200", 0)
        lines += [
            f"| bare `Pipeline.run`, images/s | {speed['bare']:.1f} | |",
            f"| bare, one pipeline a core ({speed['cores']}), images/s | {speed['bare_cores']:.1f} | |",
            f"| service, {speed['clients']} clients, images/s | {speed['service']:.1f} | |",
            f"| service / bare `Pipeline.run` | {share:.0%} | ≥ 85 % |",
            f"| service / one pipeline a core | {most:.0%} | |",
            f"| p50, p99 with {speed['clients']} clients | {speed['p50_s']:.3f} s, {speed['p99_s']:.3f} s "
            f"({speed['p99_s'] / speed['p50_s']:.1f} ×) | ≤ 5 × |",
            f"| p50 of one client alone | {1000 * speed['alone_p50_s']:.0f} ms | |",
            f"| CPU a request, service and load generator | {1000 * speed['server_cpu_s']:.1f} ms, "
            f"{1000 * speed['client_cpu_s']:.1f} ms | |",
            f"| failed of {speed['requests']:,} requests | {speed['requests'] - good} | 0 |",
        ]
    if memory := found.get("memory"):
        values = memory["memory_mb"]
        lines += [
            f"| memory after each tenth of {memory['requests']:,} requests, MB | "
            f"{', '.join(f'{value:.0f}' for value in values)} | flat |",
            f"| failed of them | {memory['requests'] - memory['outcomes'].get('200', 0)} | 0 |",
        ]
    if end := found.get("end"):
        lost = sum(count for name, count in end["outcomes"].items() if name not in ("200", "refused"))
        lines += [
            f"| SIGTERM under load, {end['times']} times: answered, logged as answered | "
            f"{end['outcomes'].get('200', 0):,}, {end['logged_as_answered']:,} | equal |",
            f"| sent and not answered | {lost} | 0 |",
            f"| exit codes | {sorted(set(end['codes']))} | 0 |",
        ]
    if start := found.get("start"):
        lines.append(
            f"| start to ready, median, longest | {start['median_s']:.2f} s, {start['longest_s']:.2f} s | ≤ 2 s |"
        )
    if fuzz := found.get("fuzz"):
        before, after = fuzz["memory_mb"]
        lines += [
            f"| {fuzz['images']:,} mutated images | {fuzz['statuses']} | 200 and 4xx |",
            f"| longest, memory before and after | {fuzz['longest_s']:.2f} s, {before:.0f} and {after:.0f} MB | |",
        ]
    if tried := found.get("schemathesis"):
        lines.append(f"| schemathesis: requests, 5xx | {tried['requests']:,}, {tried['5xx']} | 0 |")
    return "\n".join(lines)


def copy_readable(photos: Path, folder: Path) -> Path:
    """The photos that can be read and are of an ordinary size, in a folder of their own."""
    target = folder / "photos"
    target.mkdir()
    for path in sorted(photos.iterdir()):
        with contextlib.suppress(SourceError, OSError):
            height, width = read(path).shape[:2]
            if height * width < 2_000_000:
                (target / path.name).write_bytes(path.read_bytes())
    if not list(target.iterdir()):
        raise SystemExit(f"no image in {photos}")
    return target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with photos of people")
    parser.add_argument("--home", type=Path, help="MIEN_HOME, a folder that may hold YuNet")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS[:4], help="what to measure")
    parser.add_argument("--requests", type=int, default=1000, help="of each round of the load")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small-requests", type=int, default=20_000, help="of the memory's measurement")
    parser.add_argument("--fuzz", type=int, default=5000, help="mutated images")
    parser.add_argument("--schemathesis", type=int, default=100, help="examples an operation")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table goes beside it as .md")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.home:
        os.environ["MIEN_HOME"] = str(arguments.home.resolve())
    found: dict[str, Any] = {"date": date.today().isoformat(), "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = copy_readable(arguments.photos, folder)
        measures = {
            "speed": lambda: measure_speed(photos, folder, arguments.requests, arguments.clients, arguments.rounds),
            "memory": lambda: measure_memory(folder, arguments.small_requests),
            "end": lambda: measure_end(photos, folder, 5),
            "start": lambda: measure_start(folder, 5),
            "fuzz": lambda: measure_fuzz(photos, folder, arguments.fuzz),
            "schemathesis": lambda: run_schemathesis(folder, arguments.schemathesis),
        }
        for part in arguments.only:
            found[part] = measures[part]()
    text = table(found)
    print(f"{text}\n\n{found['date']}, {found['cores']} cores")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        arguments.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
