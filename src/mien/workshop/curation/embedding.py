"""What a model makes of a picture on the way to its answer: the numbers in which pictures are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.artifact.artifact import INPUT_NAME, Artifact
from mien.artifact.input import prepare
from mien.artifact.onnx_file import require_whole
from mien.artifact.session import Session
from mien.errors import ArtifactError, MissingExtraError
from mien.workshop.curation.findings import Advance
from mien.workshop.data import cache
from mien.workshop.data.base import FaceDataset

Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

BATCH = 128
BLOCK = 2048
"""Pictures after which a long run is kept, so that an interrupted one goes on from there."""

MAP_SIDE, MAP_VALUES = 3, 2048
"""Maps are averaged down to so many cells a side, and projected at random where they hold more values."""

_LINEAR = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "QGemm")
_POOLING = ("ReduceMean", "GlobalAveragePool", "AveragePool", "GlobalMaxPool")


@dataclass(frozen=True)
class Embedding:
    """What a model makes of pictures.

    Args:
        vectors: float32 (N, D), the input of the default head's last linear layer.
        maps: float16 (N, M), what was pooled into the vectors, cell by cell: it tells where in the picture things are.
            M is 0 for a graph that pools nothing.
        logits: float32 (N, K), the default head's answer.
    """

    vectors: Float32
    maps: Float16
    logits: Float32


class Embedder:
    """A model with the two more outputs.

    Raises:
        ArtifactError: the graph has no linear layer before its head, or cannot be loaded.
        MissingExtraError: without onnx.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest = artifact.manifest
        self.head = self.manifest.heads[self.manifest.default_head]
        graph, self.vector, self.map = with_embedding(artifact.graph, self.manifest.default_head)
        self.session = Session(graph)

    def __call__(self, images: UInt8, advance: Advance | None = None) -> Embedding:
        """The embedding of pictures uint8 (N, H, W) or (N, H, W, 3), N at least 1."""
        parts: list[tuple[Float32, Float16, Float32]] = []
        for start in range(0, len(images), BATCH):
            faces = prepare(images[start : start + BATCH], self.manifest.input)
            found = self.session.run({INPUT_NAME: faces})
            vectors = found[self.vector].reshape(len(faces), -1).astype(np.float32)
            maps = _condense(found[self.map]) if self.map else np.zeros((len(faces), 0), np.float16)
            parts.append((vectors, maps, found[self.manifest.default_head].astype(np.float32)))
            if advance:
                advance(start + len(faces), len(images))
        return _joined(parts)

    def opinion(self, logits: Float32) -> Float32:
        """Calibrated probabilities (N, K) of logits, in the order of the head's classes."""
        return self.head.calibration.probabilities(logits)


def embed(dataset: FaceDataset, embedder: Embedder, *, advance: Advance | None = None) -> Embedding:
    """The embedding of all pictures; what was done before comes out of the cache.

    The cache lies in MIEN_HOME, in blocks, under the hashes of the data and of the graph.

    Raises:
        ArtifactError: the graph cannot run.
    """
    folder = cache.default_cache_dir()
    parts = []
    for start in range(0, len(dataset), BLOCK):
        images = dataset.images[start : start + BLOCK]
        key = f"embedding-{dataset.sha256[:24]}-{embedder.manifest.sha256[:24]}-{start}-{len(images)}"
        part = _kept(folder, key, len(images)) if dataset.sha256 else None
        if part is None:
            part = embedder(images, _shifted(advance, start, len(dataset)))
            if dataset.sha256:
                cache.save(folder, key, {"vectors": part.vectors, "maps": part.maps, "logits": part.logits})
        parts.append((part.vectors, part.maps, part.logits))
        if advance:
            advance(start + len(images), len(dataset))
    return _joined(parts)


def with_embedding(graph: bytes, head: str) -> tuple[bytes, str, str]:
    """A graph that also gives the input of the last linear layer before `head`, and what was pooled into that.

    Returns:
        The new graph's bytes and the names of its new outputs; the second is empty where nothing is pooled.

    Raises:
        ArtifactError: there is no such layer.
        MissingExtraError: without onnx.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    require_whole(graph)
    model = onnx.load_model_from_string(graph)
    makers = {output: node for node in model.graph.node for output in node.output}

    def back(name: str) -> Iterator[onnx.NodeProto]:
        while (node := makers.get(name)) is not None:
            yield node
            name = node.input[0] if node.input else ""

    linear = next((node for node in back(head) if node.op_type in _LINEAR), None)
    if linear is None:
        raise ArtifactError(f"the graph has no linear layer before its head {head!r}: its pictures cannot be compared")
    vector = str(linear.input[0])
    pooling = next((node for node in back(vector) if node.op_type in _POOLING), None)
    pooled = "" if pooling is None else str(pooling.input[0])
    for name in {vector, pooled} - {"", *(output.name for output in model.graph.output)}:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    return bytes(model.SerializeToString()), vector, pooled


def _condense(maps: Float32) -> Float16:
    """Maps (N, C, H, W) as rows (N, M), at most `MAP_VALUES` long; any other shape gives none."""
    if maps.ndim != 4:
        return np.zeros((len(maps), 0), np.float16)
    for axis in (2, 3):
        parts = np.array_split(maps, min(MAP_SIDE, maps.shape[axis]), axis=axis)
        maps = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    rows = maps.reshape(len(maps), -1)
    if rows.shape[1] > MAP_VALUES:
        projection = np.random.default_rng(0).normal(0, MAP_VALUES**-0.5, (rows.shape[1], MAP_VALUES))
        rows = rows @ projection.astype(np.float32)
    return np.clip(rows, -6e4, 6e4).astype(np.float16)


def _joined(parts: list[tuple[Float32, Float16, Float32]]) -> Embedding:
    if not parts:
        return Embedding(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float16), np.zeros((0, 0), np.float32))
    vectors, maps, logits = zip(*parts, strict=True)
    return Embedding(np.concatenate(vectors), np.concatenate(maps), np.concatenate(logits))


def _kept(folder: Path, key: str, rows: int) -> Embedding | None:
    """What an earlier run kept, None if nothing or if it does not fit."""
    found = cache.load(folder, key, ("vectors", "maps", "logits"))
    if found is None or any(array.ndim != 2 or len(array) != rows for array in found.values()):
        return None
    return Embedding(found["vectors"], found["maps"], found["logits"])


def _shifted(advance: Advance | None, start: int, total: int) -> Advance | None:
    return (lambda done, _: advance(start + done, total)) if advance else None
