"""Perceptual hashes of 64 bits, and the pairs of pictures whose hashes hardly differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.images.pictures import resize

UInt8 = npt.NDArray[np.uint8]
UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

BITS = 64
BANDS = 4
SURE_DISTANCE = 2 * BANDS - 1
"""Pairs up to this distance are all found: where at most 7 bits differ, some band differs in at most one."""

_SIDE_PX, _KEPT = 32, 8
_BAND_BITS = BITS // BANDS
_CROWDED = 400


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
        others: hashes of the same pictures seen otherwise, mirrored say; pairs are then between `hashes` and these.
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


def _pack(bits: npt.NDArray[np.bool_]) -> UInt64:
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)[:, 0]


def _cosines(side: int) -> npt.NDArray[np.float32]:
    """The matrix of the discrete cosine transform, type II, rows by frequency."""
    places = (np.arange(side) + 0.5) * np.pi / side
    return np.cos(np.arange(side)[:, None] * places).astype(np.float32)


_POPULATION = np.array([value.bit_count() for value in range(1 << 16)], np.uint8)
