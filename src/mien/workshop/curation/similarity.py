"""What pictures are compared by: a model's embedding, perceptual hashes, and a few cells of light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.arrays import Bool, Float16, Float32, Int64, UInt8, UInt64
from mien.artifact.artifact import INPUT_NAME, Artifact
from mien.artifact.input import prepare
from mien.artifact.onnx_file import require_whole
from mien.artifact.runtime import Session
from mien.errors import ArtifactError, MissingExtraError
from mien.images.pictures import resize
from mien.workshop.data import cache
from mien.workshop.data.base import FaceDataset
from mien.workshop.progress import OnProgress

BATCH = 128
BLOCK = 2048
"""Pictures after which a long run is cached, so that an interrupted one resumes from there."""

MAP_SIDE, MAP_VALUES = 3, 2048
"""Maps are averaged down to so many cells a side, and projected at random where they hold more values."""

# The last three are what ONNX Runtime's quantiser makes of the others.
_LINEAR = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "QGemm")
_POOLING = ("ReduceMean", "GlobalAveragePool", "AveragePool", "GlobalMaxPool")

NEIGHBOURS = 10
_NEAREST_BLOCK, _RUN = 512, 32
BITS = 64
BANDS = 4
SURE_DISTANCE = 2 * BANDS - 1
"""Pairs up to this distance are all found: where at most 7 bits differ, some band differs in at most one."""
_SIDE_PX, _KEPT = 32, 8
_BAND_BITS = BITS // BANDS
_CROWDED = 400
_POPULATION = np.array([value.bit_count() for value in range(1 << 16)], np.uint8)
CELLS = 12
"""Pictures are compared as so many cells a side."""
COARSE = 0.93
"""Correlation of the cells from which a pair is worth a closer look: frontal faces before a dark wall reach 0.96 and
are not the same."""
_CELLS_BLOCK = 1024
_LEAST_CONTRAST = 1e-3


@dataclass(frozen=True)
class Embedding:
    """A model's features and answers for pictures.

    Args:
        vectors: float32 (N, D), the input of the default head's last linear layer.
        maps: float16 (N, M), what was pooled into the vectors, cell by cell: it shows where in the picture things are.
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

    def __call__(self, images: UInt8, on_progress: OnProgress | None = None) -> Embedding:
        """The embedding of pictures uint8 (N, H, W) or (N, H, W, 3), N at least 1."""
        parts: list[tuple[Float32, Float16, Float32]] = []
        for start in range(0, len(images), BATCH):
            faces = prepare(images[start : start + BATCH], self.manifest.input)
            found = self.session.run({INPUT_NAME: faces})
            vectors = found[self.vector].reshape(len(faces), -1).astype(np.float32)
            maps = _condense(found[self.map]) if self.map else np.zeros((len(faces), 0), np.float16)
            parts.append((vectors, maps, found[self.manifest.default_head].astype(np.float32)))
            if on_progress:
                on_progress(start + len(faces), len(images))
        return _joined(parts)

    def probabilities(self, logits: Float32) -> Float32:
        """Calibrated probabilities (N, K) of logits, in the order of the head's classes."""
        return self.head.calibration.probabilities(logits)


def embed(dataset: FaceDataset, embedder: Embedder, *, on_progress: OnProgress | None = None) -> Embedding:
    """The embedding of all pictures, from the cache where an earlier run left it.

    The cache is in MIEN_HOME, in blocks, under the hashes of the data and of the graph.
    """
    folder = cache.default_cache_dir()
    parts = []
    for start in range(0, len(dataset), BLOCK):
        images = dataset.images[start : start + BLOCK]
        key = f"embedding-{dataset.sha256[:24]}-{embedder.manifest.sha256[:24]}-{start}-{len(images)}"
        # Without a hash nobody could tell whose embedding it is.
        part = _kept(folder, key, len(images)) if dataset.sha256 else None
        if part is None:
            part = embedder(images, _shifted(on_progress, start, len(dataset)))
            if dataset.sha256:
                cache.save(folder, key, {"vectors": part.vectors, "maps": part.maps, "logits": part.logits})
        parts.append((part.vectors, part.maps, part.logits))
        if on_progress:
            on_progress(start + len(images), len(dataset))
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
    # A graph must not name an output twice. No type is given: ONNX Runtime infers it.
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
        # Always the same projection, or maps from the cache would not compare with new ones.
        projection = np.random.default_rng(0).normal(0, MAP_VALUES**-0.5, (rows.shape[1], MAP_VALUES))
        rows = rows @ projection.astype(np.float32)
    # Half precision ends at 65,504.
    return np.clip(rows, -6e4, 6e4).astype(np.float16)


def _joined(parts: list[tuple[Float32, Float16, Float32]]) -> Embedding:
    if not parts:
        return Embedding(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float16), np.zeros((0, 0), np.float32))
    vectors, maps, logits = zip(*parts, strict=True)
    return Embedding(np.concatenate(vectors), np.concatenate(maps), np.concatenate(logits))


def _kept(folder: Path, key: str, rows: int) -> Embedding | None:
    """What an earlier run cached, None if nothing or if it does not fit."""
    found = cache.load(folder, key, ("vectors", "maps", "logits"))
    if found is None or any(array.ndim != 2 or len(array) != rows for array in found.values()):
        return None
    return Embedding(found["vectors"], found["maps"], found["logits"])


def _shifted(on_progress: OnProgress | None, start: int, total: int) -> OnProgress | None:
    return (lambda done, _: on_progress(start + done, total)) if on_progress else None


def directions(vectors: Float32) -> Float32:
    """Vectors (N, D) from their mean, of unit length, so that their products are cosines; float32."""
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def nearest(
    vectors: Float32, *, count: int = NEIGHBOURS, on_progress: OnProgress | None = None
) -> tuple[Int64, Float32]:
    """For each picture the others in the most similar direction, nearest first.

    Args:
        vectors: float32 (N, D).
        count: how many to name.

    Returns:
        Positions int64 (N, count), -1 where there are too few, and cosines float32 (N, count).
    """
    units = directions(vectors)
    wanted = min(count, max(len(units) - 1, 0))
    found = np.full((len(units), count), -1, np.int64)
    cosines = np.full((len(units), count), -1, np.float32)
    # A block at a time: all cosines of 36,000 pictures at once would take 5 GB.
    for start in range(0, len(units) if wanted else 0, _NEAREST_BLOCK):
        block = units[start : start + _NEAREST_BLOCK] @ units.T
        # Below any cosine: no picture is its own neighbour.
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        best = _largest(block, wanted)
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        found[start : start + _NEAREST_BLOCK, :wanted] = np.take_along_axis(best, order, axis=1)
        cosines[start : start + _NEAREST_BLOCK, :wanted] = np.take_along_axis(values, order, axis=1)
        if on_progress:
            on_progress(start + len(block), len(units))
    return found, cosines


def _largest(block: Float32, count: int) -> Int64:
    """Columns of the `count` largest values of each row, in any order.

    They are in the runs of columns with the largest maxima, so that only those are searched: faster than
    `argpartition` of whole rows.
    """
    runs = -(-block.shape[1] // _RUN)
    # Lower than even the −2 by which `nearest` rules a picture out for itself.
    padded = np.full((len(block), runs * _RUN), -3, np.float32)
    padded[:, : block.shape[1]] = block
    peaks = padded.reshape(len(block), runs, _RUN).max(axis=2)
    few = min(count, runs)
    best_runs = np.argpartition(peaks, runs - few, axis=1)[:, runs - few :]
    columns = (best_runs[:, :, None] * _RUN + np.arange(_RUN)).reshape(len(block), -1)
    values = np.take_along_axis(padded, columns, axis=1)
    best = np.argpartition(values, values.shape[1] - count, axis=1)[:, values.shape[1] - count :]
    return np.asarray(np.take_along_axis(columns, best, axis=1), np.int64)


def phash(images: UInt8) -> UInt64:
    """The signs of the 64 lowest frequencies around their median, uint64 (N,); images are grey (N, H, W).

    The cosine transform of the picture at 32×32 (Zauner, 2010), the constant part left out of the median.
    """
    wave = _cosines(_SIDE_PX)[:_KEPT]
    out = np.empty(len(images), np.uint64)
    for start in range(0, len(images), 4096):
        block = images[start : start + 4096]
        small = np.stack([resize(image, _SIDE_PX, _SIDE_PX) for image in block]).astype(np.float32)
        low = (wave @ small @ wave.T).reshape(len(block), BITS)
        out[start : start + len(block)] = _pack(low > np.median(low[:, 1:], axis=1, keepdims=True))
    return out


def dhash(images: UInt8) -> UInt64:
    """Whether each of 8×8 cells is brighter than the one to its left, uint64 (N,); images are grey (N, H, W)."""
    out = np.empty(len(images), np.uint64)
    for start in range(0, len(images), 4096):
        small = np.stack([resize(image, 8, 9) for image in images[start : start + 4096]]).astype(np.int16)
        out[start : start + len(small)] = _pack((small[:, :, 1:] > small[:, :, :-1]).reshape(len(small), -1))
    return out


def distance(one: UInt64, other: UInt64) -> Int64:
    """How many bits differ, element by element.

    >>> distance(np.uint64([0b1011, 7]), np.uint64([0b0001, 7])).tolist()
    [2, 0]
    """
    parts = np.ascontiguousarray(one ^ other).view(np.uint16).reshape(*np.shape(one), BITS // 16)
    return np.asarray(_POPULATION[parts].sum(axis=-1, dtype=np.int64))


def close_pairs(hashes: UInt64, others: UInt64 | None = None, *, limit: int = SURE_DISTANCE) -> Int64:
    """Pairs (P, 2) of positions whose hashes differ in at most `limit` bits, each pair once, smaller position first.

    Up to `SURE_DISTANCE` bits all pairs are found, except among the few hundred pictures that share one band's value
    with very many others (blank pictures do): there each is compared with its next neighbours in order only.

    Args:
        hashes: uint64 (N,).
        others: hashes of the same pictures in another form, as mirrored; pairs are then between `hashes` and these.
        limit: the greatest number of differing bits.
    """
    second = hashes if others is None else others
    found = [np.zeros((0, 2), np.int64)]
    for band in range(BANDS):
        shift = np.uint64(band * _BAND_BITS)
        keys = ((hashes >> shift) & np.uint64(0xFFFF)).astype(np.uint16)
        targets = ((second >> shift) & np.uint64(0xFFFF)).astype(np.uint16)
        order = np.argsort(targets, kind="stable")
        ordered = targets[order]
        # One differing bit in some band is enough: see SURE_DISTANCE.
        for flip in (0, *(1 << bit for bit in range(_BAND_BITS))):
            left, right = _equal(keys ^ np.uint16(flip), ordered)
            right = order[right]
            kept = (left != right) & (distance(hashes[left], second[right]) <= limit)
            found.append(np.sort(np.stack([left[kept], right[kept]], axis=1), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _equal(probes: npt.NDArray[np.uint16], ordered: npt.NDArray[np.uint16]) -> tuple[Int64, Int64]:
    """Positions (probe, place in `ordered`) of all equal values."""
    first = np.searchsorted(ordered, probes, side="left")
    count = np.minimum(np.searchsorted(ordered, probes, side="right") - first, _CROWDED)
    left = np.repeat(np.arange(len(probes)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return left, np.repeat(first, count) + within


def _pack(bits: Bool) -> UInt64:
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)[:, 0]


def _cosines(side: int) -> Float32:
    """The matrix of the discrete cosine transform, type II, rows by frequency."""
    places = (np.arange(side) + 0.5) * np.pi / side
    return np.cos(np.arange(side)[:, None] * places).astype(np.float32)


def close_cells(images: UInt8, *, on_progress: OnProgress | None = None) -> tuple[Int64, Int64]:
    """Pairs (P, 2) whose cells correlate by more than `COARSE`, as they are and mirrored; the smaller position first.

    The time grows with the square of N: 31,412 pictures take eight seconds of one core.

    Args:
        images: grey uint8 (N, H, W), H and W multiples of `CELLS`.
        on_progress: called as `on_progress(done, total)` after each block of pictures.
    """
    cells, mirrored = _cells(images), _cells(images[:, :, ::-1])
    found: tuple[list[Int64], list[Int64]] = ([np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)])
    for start in range(0, len(images), _CELLS_BLOCK):
        for others, pairs in zip((cells, mirrored), found, strict=True):
            # From `start` on: earlier blocks have compared themselves with these.
            one, other = np.nonzero(cells[start : start + _CELLS_BLOCK] @ others[start:].T > COARSE)
            pairs.append(start + np.stack([one, other], axis=1)[one < other])
        if on_progress:
            on_progress(min(start + _CELLS_BLOCK, len(images)), len(images))
    return np.concatenate(found[0]), np.concatenate(found[1])


def _cells(images: UInt8) -> Float32:
    """Each picture as few cells, a vector of mean 0 and length 1, float32 (N, cells); 0 for a flat one."""
    height, width = (side // CELLS for side in images.shape[1:])
    means = images.reshape(len(images), CELLS, height, CELLS, width).mean(axis=(2, 4), dtype=np.float32)
    vectors = means.reshape(len(images), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.where(length > _LEAST_CONTRAST, vectors / np.maximum(length, _LEAST_CONTRAST), 0), np.float32)
