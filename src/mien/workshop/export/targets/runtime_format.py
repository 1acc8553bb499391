"""ONNX, and ONNX Runtime's own format for phones and browsers."""

from __future__ import annotations

from pathlib import Path

from mien.artifact.artifact import GRAPH_FILE, INPUT_NAME
from mien.artifact.runtime import Session, run_ort_format, to_ort_format
from mien.workshop.export.targets.target import Request, Written


def write_onnx(request: Request, folder: Path) -> Written:
    """`model.onnx` with metadata, and with the decision rule if it is asked for."""
    (folder / GRAPH_FILE).write_bytes(request.graph)
    return Written(GRAPH_FILE, lambda faces: Session(request.graph, threads=1).run({INPUT_NAME: faces}))


def write_ort(request: Request, folder: Path) -> Written:
    """`model.ort`: optimized for any processor, so that little is left to do where it is loaded."""
    content = to_ort_format(request.graph)
    (folder / "model.ort").write_bytes(content)
    return Written("model.ort", lambda faces: run_ort_format(content, {INPUT_NAME: faces})[0])
