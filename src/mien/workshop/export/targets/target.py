"""What goes to a target and what comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mien.arrays import Float32, UInt8
from mien.artifact.manifest import Manifest

Run = Callable[[UInt8], dict[str, Float32]]
"""Outputs by name of prepared faces (N, C, H, W)."""


@dataclass(frozen=True)
class Request:
    """A model on its way to another format.

    Args:
        manifest: the artifact's.
        graph: its ONNX file with metadata, and with the decision rule where that is asked for.
        outputs: the labels of each output's columns.
        metadata: what the graph says of itself, for formats that have a place for it.
    """

    manifest: Manifest
    graph: bytes
    outputs: dict[str, tuple[str, ...]]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Written:
    """What a target wrote.

    Args:
        name: the file or folder, within the export's folder.
        run: answers as the written file does; None where its runtime does not exist on this system.
        exact: the format computes what the graph computes; else an int8 graph is there as float32.
        note: what users should know of the file.
    """

    name: str
    run: Run | None
    exact: bool = True
    note: str = ""


def is_int8(graph: bytes) -> bool:
    """Whether a graph rounds between its layers, as the int8 ones do."""
    return b"DequantizeLinear" in graph
