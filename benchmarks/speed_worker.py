"""One runtime, one graph, one number of threads, in a process of its own: the measuring part of speed.py.

    python speed_worker.py JOB.json

The job names the `runtime` (onnxruntime, openvino, litert or gemm), `graph`, `threads`, `batches`, `shape` and `dtype`
of a crop, and `seconds` a batch. Printed is JSON: milliseconds a call by batch. Needs NumPy and the runtime alone,
not Mien.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 1536
"""Of the matrices whose product is taken as the machine's limit."""

Call = Callable[[np.ndarray], object]


def onnxruntime_call(job: dict[str, Any]) -> Call:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = job["threads"]
    options.inter_op_num_threads = 1
    for key, value in job.get("options", {}).items():
        options.add_session_config_entry(key, value)
    options.enable_cpu_mem_arena = job.get("arena", True)
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, job.get("level", "ORT_ENABLE_ALL"))
    session = ort.InferenceSession(job["graph"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda faces: session.run(None, {name: faces})


def openvino_call(job: dict[str, Any]) -> Call:
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": job["threads"], "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.read_model(job["graph"])
    compiled: dict[int, Any] = {}

    def call(faces: np.ndarray) -> object:
        if len(faces) not in compiled:
            fixed = core.read_model(job["graph"])
            fixed.reshape({model.inputs[0].any_name: list(faces.shape)})
            compiled[len(faces)] = core.compile_model(fixed, "CPU", hints).create_infer_request()
        return compiled[len(faces)].infer([faces])

    return call


def litert_call(job: dict[str, Any]) -> Call:
    """TensorFlow Lite's interpreter from its own small package, or from TensorFlow; it reads a crop at a time."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite import Interpreter
    interpreter = Interpreter(model_path=job["graph"], num_threads=job["threads"])
    interpreter.allocate_tensors()
    place, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    crop = np.zeros(place["shape"], place["dtype"])

    def call(faces: np.ndarray) -> object:
        for _ in faces:
            interpreter.set_tensor(place["index"], crop)
            interpreter.invoke()
            interpreter.get_tensor(out["index"])
        return None

    return call


def gemm_ms(job: dict[str, Any]) -> dict[str, dict[str, float]]:
    """A large product of matrices: by NumPy in float32, by ONNX Runtime in float32 and int8; the quicker counts."""
    square = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    found = {"float32": timed(lambda: square @ square, job["seconds"])}
    for kind, graph in job["graphs"].items():
        call = onnxruntime_call(job | {"graph": graph})
        rows = (255 * square).astype(np.uint8) if kind == "int8" else square
        took = timed(lambda call=call, rows=rows: call(rows), job["seconds"])
        if kind not in found or took["best_ms"] < found[kind]["best_ms"]:
            found[kind] = took
    return found


def timed(call: Callable[[], object], seconds: float) -> dict[str, float]:
    """Best, median and 95th percentile in milliseconds, and the least processor time, which is proof against others."""
    call()
    call()
    wall, cpu = [], []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(wall) < 5:
        started, worked = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    low, middle, high = 1e3 * np.quantile(wall, [0, 0.5, 0.95])
    return {"best_ms": low, "median_ms": middle, "p95_ms": high, "cpu_ms": 1e3 * min(cpu), "calls": len(wall)}


CALLS = {"onnxruntime": onnxruntime_call, "openvino": openvino_call, "litert": litert_call}
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if job["runtime"] == "gemm":
        print(json.dumps(gemm_ms(job)))
        return
    call = CALLS[job["runtime"]](job)
    random = np.random.default_rng(0)
    found = {}
    for batch in job["batches"]:
        faces = random.integers(0, 256, (batch, *job["shape"]), dtype=np.uint8)
        if job.get("dtype") == "float32":
            faces = faces.astype(np.float32) / 255
        found[str(batch)] = timed(lambda faces=faces: call(faces), job["seconds"])
    try:
        name = version(PACKAGES[job["runtime"]])
    except ModuleNotFoundError:
        name = ""
    print(json.dumps({"batches": found, "version": name}))


if __name__ == "__main__":
    main()
