"""Mien beside the PyPI package `fer`, measured in the same run on the same pictures; prints one Markdown table.

    python benchmarks/peers.py [--data FOLDER] [--photos FOLDER] [--home FOLDER] [--model NAME] [--out peers.json]

`fer` goes into a virtual environment of its own (--venv; 7.5 GB, some minutes) and answers through peers_fer.py. Its
weights come with the package. Both sides run on the CPU.
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
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from peers_material import Material, Measured, load_material, score
from reading import REPOSITORY, measure_install, portrait, run_process

PACKAGES = ("fer==25.10.3", "opencv-contrib-python<5", "setuptools<81")
"""What pip installs: fer imports pkg_resources, and finds faces by the cascades that OpenCV 5 came without."""

READ_BY_FER = "import sys; from fer.fer import FER; print(FER().detect_emotions(sys.argv[1]))"
TITLES = {
    "labels_accuracy": "FER2013 labels, PublicTest + PrivateTest ({labels_rows:,} rows): accuracy, %",
    "crowd_accuracy": "FER+ majority, PrivateTest ({crowd_rows:,} rows): accuracy, %",
    "faces_found": "photos: faces found, of {faces}",
    "faces_false": "photos: false faces",
    "expressions_right": "photos: expressions right, of {expressions} beyond doubt",
    "start_s": "one 512×512 picture, whole process: s",
    "start_mb": "one 512×512 picture, whole process: peak memory, MB",
    "frame_ms": "a 1280×720 frame with one face: ms",
    "install_mb": "installed, with Python's environment: MB",
}
"""Rows of the table; what stands in braces is counted by the run."""


@dataclass
class Comparison:
    """What a run has found: a column for each side, counts of the material, remarks and versions."""

    sides: dict[str, Measured] = field(default_factory=lambda: {"mien": {}, "fer": {}})
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def table(self) -> str:
        """The rows that either side has a figure for, in Markdown."""
        lines = ["| | Mien | fer |", "|---|---:|---:|"]
        for key, title in TITLES.items():
            values = [self.sides[side].get(key) for side in ("mien", "fer")]
            if any(value is not None for value in values):
                lines.append(f"| {title.format(**self.counts)} | {' | '.join(map(written, values))} |")
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)])


def written(value: float | None) -> str:
    """Counts as they are, large figures whole, others with one or two digits."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def install(venv: Path) -> None:
    """Make the peer's environment, or complete it; pip leaves alone what is there."""
    if not interpreter(venv).exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(interpreter(venv)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)


def interpreter(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_mien(model_name: str | None, material: Material, repeats: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Mien's answers, as peers_fer.py gives those of fer: classes by name for the crops, faces for the photos."""
    from importlib.metadata import version
    from time import perf_counter

    from mien import Pipeline, __version__
    from mien.structures import Frame

    pipeline = Pipeline(model_name)
    frame = Frame(material.frame)
    took = []
    for _ in range(repeats + 2):
        started = perf_counter()
        found = pipeline.analyze_frame(frame)
        took.append(1000 * (perf_counter() - started))
    photos = {name: pipeline.analyze(path) for name, path in material.photos.items()}
    answer: dict[str, Any] = {
        "frame_ms": statistics.median(took[2:]),
        "frame_faces": len(found),
        "photos": {name: [{"box": face.box, "top": face.top} for face in faces] for name, faces in photos.items()},
    }
    if material.faces is not None:
        model = pipeline.model
        logits = model.run(model.prepare(material.faces))
        for head, values in logits.items():
            answer[head] = np.array(model.heads[head])[values.argmax(axis=1)]
    versions = {name: version(name) for name in ("onnxruntime", "opencv-python-headless", "numpy")}
    reader = f"{pipeline.model.name} {pipeline.model.version}, detector {pipeline.detector.name}"
    return answer, {"mien": f"{__version__} ({reader})"} | {f"mien: {name}": text for name, text in versions.items()}


def run_fer(venv: Path, material: Material, repeats: int) -> tuple[dict[str, Any], dict[str, str]]:
    """fer's answers, from a process of its own environment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "frame.npy", material.frame[:, :, ::-1], allow_pickle=False)
        if material.faces is not None:
            np.save(folder / "faces.npy", material.faces, allow_pickle=False)
        job = {"photos": {key: str(path.resolve()) for key, path in material.photos.items()}, "repeats": repeats}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        worker = [str(interpreter(venv)), str(Path(__file__).with_name("peers_fer.py")), str(folder)]
        done = subprocess.run(worker, env=quiet_environment(), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(worker)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        if material.faces is not None:
            probabilities = np.load(folder / "probabilities.npy", allow_pickle=False)
            answer["fer2013"] = answer["crowd"] = np.array(answer["labels"])[probabilities.argmax(axis=1)]
    versions = answer["versions"]
    return answer, {"fer": versions.pop("fer")} | {f"fer: {key}": text for key, text in versions.items()}


def quiet_environment() -> dict[str, str]:
    """CPU alone, and compiled modules are kept: a start is that of a package in use."""
    environment = dict(os.environ) | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def measure_start(commands: dict[str, list[str]], repeats: int) -> dict[str, Measured]:
    """Median seconds and highest peak memory of whole processes, in turns, after one round to warm up."""
    runs: dict[str, list[tuple[float, float]]] = {side: [] for side in commands}
    for _ in range(repeats + 1):
        for side, command in commands.items():
            runs[side].append(run_process(command, quiet_environment()))
    return {
        side: {"start_s": statistics.median(s for s, _ in found[1:]), "start_mb": max(mb for _, mb in found[1:])}
        for side, found in runs.items()
    }


def compare(arguments: argparse.Namespace) -> Comparison:
    from mien.artifact.catalog import resolve
    from mien.errors import MienError

    result = Comparison()
    commands = {"fer": [str(interpreter(arguments.venv)), "-c", READ_BY_FER]}
    try:
        model = resolve(arguments.model)
        commands["mien"] = [sys.executable, "-m", "mien", "analyze", "--model", str(model)]
    except MienError as error:
        result.notes.append(f"Mien is left out: {error}")
    with tempfile.TemporaryDirectory() as name:
        picture = arguments.photos / "astronaut.png" if arguments.photos else portrait(Path(name))
        # Before the data is loaded: a child's peak memory is never under that of the process that starts it.
        starts = measure_start({s: [*c, str(picture)] for s, c in commands.items()}, arguments.start_repeats)
        material = load_material(arguments.data, arguments.photos, picture, arguments.rows)
        for side in commands:
            answer, versions = (
                run_mien(model, material, arguments.repeats)
                if side == "mien"
                else run_fer(arguments.venv, material, arguments.repeats)
            )
            result.versions |= versions
            result.sides[side] |= starts[side] | score(answer, material)
    describe(result, material)
    return result


def describe(result: Comparison, material: Material) -> None:
    """Count the material and say how the figures come about."""
    if material.labels is not None:
        result.counts["labels_rows"] = len(material.labels)
        result.notes.append("Both classify the 48×48 crops alone, without a detector; fer by its own preprocessing.")
    else:
        result.notes.append("No --data: without FER2013 there are no rows of accuracy.")
    if material.crowd is not None:
        result.counts["crowd_rows"] = int((material.crowd >= 0).sum())
        result.notes.append("FER+ has eight classes; fer knows seven of them, so faces of contempt count as wrong.")
    if material.truth:
        faces = [face for entry in material.truth.values() for face in entry]
        result.counts["faces"] = len(faces)
        result.counts["expressions"] = sum(face["expression"] is not None for face in faces)
        result.notes.append("Photos: a face that is not found counts as a wrong expression too.")
    for side, found in result.sides.items():
        if found.get("frame_faces", 1) != 1:
            result.notes.append(f"{side} finds {found['frame_faces']} faces in the frame with one.")


def disk_mb(folder: Path) -> float:
    """Disk space that the files of a folder take, as `du` counts it."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks * 512 for path in files) / 1e6


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=REPOSITORY / ".venv-peers", help="the peer's environment")
    parser.add_argument("--skip-install", action="store_true", help="use --venv as it is; leave out Mien's size")
    parser.add_argument("--data", type=Path, help="folder with fer2013.csv and ferplus.csv")
    parser.add_argument("--photos", type=Path, help="folder with photos and truth.json")
    parser.add_argument("--home", type=Path, help="MIEN_HOME, a folder that may hold YuNet")
    parser.add_argument("--model", help="Mien's model: a name or an artifact's folder")
    parser.add_argument("--rows", type=int, help="classify so many rows, evenly picked, instead of all")
    parser.add_argument("--repeats", type=int, default=15, help="of the frame")
    parser.add_argument("--start-repeats", type=int, default=5, help="of the whole process")
    parser.add_argument("--out", type=Path, help="JSON file to write; the table goes beside it as .md")
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if arguments.home:
        os.environ["MIEN_HOME"] = str(arguments.home.resolve())
    around = {"date": date.today().isoformat(), "machine": machine()}
    if not arguments.skip_install:
        install(arguments.venv)
    elif not interpreter(arguments.venv).exists():
        raise SystemExit(f"{arguments.venv} holds no environment: leave out --skip-install")
    result = compare(arguments)
    result.sides["fer"]["install_mb"] = disk_mb(arguments.venv)
    if not arguments.skip_install:
        result.sides["mien"]["install_mb"] = measure_install()["install_mb"]
    busy = around["machine"]["load_before"] / (os.cpu_count() or 1)
    if busy > 0.5:
        result.notes.append(f"The machine was busy ({100 * busy:.0f} % of its cores): times may be too long.")
    result.notes.append(
        f"{around['date']}, {around['machine']['cpu']}, {around['machine']['cores']} cores; "
        f"Mien {result.versions.get('mien', 'left out')}, fer {result.versions['fer']}."
    )
    table = result.table() + "\n"
    print(table)
    if arguments.out:
        parts = {"versions": result.versions, "counts": result.counts, **result.sides, "notes": result.notes}
        arguments.out.write_text(json.dumps(around | parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        arguments.out.with_suffix(".md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
