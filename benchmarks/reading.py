"""Speed, memory and size of reading, each against a floor measured in the same run.

    python benchmarks/reading.py [--photos FOLDER] [--home FOLDER] [--install] [--out results.json]

The floor is a Python process that imports NumPy, OpenCV and ONNX Runtime and ends. `--install` makes a fresh virtual
environment from this checkout and measures the disk it takes. With PYTHONPATH at another checkout's `src`, that one is
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

FLOOR = "import numpy, cv2, onnxruntime"
REPOSITORY = Path(__file__).resolve().parents[1]
PHOTOS = 400
"""Of a folder's, by name."""


def run_process(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak resident MB of a whole process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * (1024 if sys.platform == "linux" else 1) / 1e6


def measure_start(photo: Path, environment: dict[str, str], repeats: int) -> dict[str, float]:
    """Median wall time of the whole command and of the floor, in turns; peak memory of both."""
    commands = {
        "floor": [sys.executable, "-c", FLOOR],
        "import mien": [sys.executable, "-c", "import mien"],
        "analyze": [sys.executable, "-m", "mien", "analyze", str(photo)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, float] = dict.fromkeys(commands, 0.0)
    for _ in range(repeats):
        for name, command in commands.items():
            took, peak = run_process(command, environment)
            seconds[name].append(took)
            memory[name] = max(memory[name], peak)
    found = {f"{name}_s": statistics.median(values) for name, values in seconds.items()}
    return (
        found
        | {f"{name}_mb": value for name, value in memory.items()}
        | {"analyze_over_floor": found["analyze_s"] / found["floor_s"]}
    )


def measure_model(name: str | None, repeats: int) -> dict[str, float]:
    """Milliseconds of one crop, crops a second of 64, through `Model.predict` with its own resizing."""
    from mien.reading.classifier import load_model

    model = load_model(name)
    crops = np.random.default_rng(0).integers(0, 256, (64, 48, 48, 3), dtype=np.uint8)
    found = {}
    for count in (1, 64):
        took = []
        for _ in range(repeats * (10 if count == 1 else 1) + 3):
            started = time.perf_counter()
            model.predict(crops[:count])
            took.append(time.perf_counter() - started)
        found[count] = statistics.median(took[3:])
    return {"one_crop_ms": 1000 * found[1], "crops_a_second_at_64": 64 / found[64]}


def measure_detectors(photo: Path, repeats: int) -> dict[str, float]:
    """Milliseconds of every detector that is there, on the photo at 1280×720."""
    from mien.errors import MienError
    from mien.faces.detectors import create_detector
    from mien.images.pictures import read, resize

    frame = resize(read(photo), 720, 1280)
    found = {}
    for name in ("mien", "yunet", "haar"):
        try:
            detector = create_detector(name)
        except MienError:
            continue
        took = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            detector.detect(frame)
            took.append(time.perf_counter() - started)
        found[f"{name}_720p_ms"] = 1000 * statistics.median(took[2:])
    return found


def list_photos(folder: Path) -> list[str]:
    """The first photos of a folder."""
    from mien.images.pictures import SUFFIXES

    names = [str(path) for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES][:PHOTOS]
    if not names:
        raise SystemExit(f"{folder}: expected a folder with photos")
    return names


def measure_photos(names: list[str], repeats: int) -> dict[str, float]:
    """Processor time of a photo, read, searched and estimated with one thread: the median of several rounds."""
    from mien.reading.pipeline import Pipeline

    pipeline, took = Pipeline(threads=1), []
    for _ in range(max(2, repeats // 3)):
        started = time.process_time()
        for _ in pipeline.run(names):
            pass
        took.append(time.process_time() - started)
    return {"photos": len(names), "photo_ms": 1000 * statistics.median(took[1:]) / len(names)}


def measure_install() -> dict[str, float]:
    """MB on disk and seconds of the base install in a fresh virtual environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        started = time.perf_counter()
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(REPOSITORY / "constraints.txt"), str(REPOSITORY)], check=True)
        seconds = time.perf_counter() - started
        files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
        return {"install_mb": sum(path.stat().st_blocks * 512 for path in files) / 1e6, "install_s": seconds}


def portrait(folder: Path) -> Path:
    """scikit-image's astronaut, 512×512."""
    from importlib.util import find_spec

    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this benchmark reads scikit-image's astronaut.png: pip install scikit-image")
    target = folder / "astronaut.png"
    target.write_bytes(Path(spec.submodule_search_locations[0], "data", "astronaut.png").read_bytes())
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--home", type=Path, help="MIEN_HOME, a folder that may hold YuNet")
    parser.add_argument("--photos", type=Path, help=f"a folder of photos, of which {PHOTOS} at most are read")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.home:
        os.environ["MIEN_HOME"] = str(arguments.home.resolve())
    # Before all that takes long.
    photos = list_photos(arguments.photos) if arguments.photos else []
    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as folder:
        photo = portrait(Path(folder))
        # Both sides start as Mien does: without ONNX Runtime's telemetry.
        quiet = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
        # An installed wheel has its bytecode, and so has a checkout after its first start.
        quiet.pop("PYTHONDONTWRITEBYTECODE", None)
        found |= measure_start(photo, quiet, arguments.repeats)
        found |= measure_model(arguments.model, arguments.repeats)
        found |= measure_detectors(photo, arguments.repeats)
    if photos:
        found |= measure_photos(photos, arguments.repeats)
    if arguments.install:
        found |= measure_install()
    for name, value in found.items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
