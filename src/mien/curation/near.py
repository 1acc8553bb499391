"""Almost the same picture: cut, scaled, re-encoded or mirrored copies of one photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.curation.copies import keep_first, splits_of, suggestion_for
from mien.curation.findings import Advance, Finding, Int64, label_name, listed
from mien.curation.hashing import close_pairs, dhash, phash
from mien.datasets.base import NO_LABEL, SPLITS

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

PHASH_BITS, DHASH_BITS = 10, 6
"""Pairs are looked at closer up to so many differing bits."""

LOOK_ALIKE = 0.97
"""Pairs are looked at closer from this cosine of their embeddings on."""

SIMILAR = 0.92
"""Correlation from which two pictures are of one photo."""

_MARGIN_PX = 4
_FLAT_SD = 4.0
_EVERY = 4096


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures that are almost the same.

    Args:
        rows: int64 (P, 2), the smaller row first.
        similarity: float32 (P,), the correlation of the pixels at the best of 81 shifts.
        mirrored: bool (P,), whether one had to be mirrored.
    """

    rows: Int64
    similarity: Float32
    mirrored: npt.NDArray[np.bool_]


def candidates(images: UInt8, neighbours: Int64, cosines: Float32) -> tuple[Int64, Int64]:
    """Pairs worth a closer look, as they are and mirrored: by two perceptual hashes, and by the model's embeddings.

    Args:
        images: grey uint8 (N, H, W), no two the same.
        neighbours: int64 (N, J), nearest pictures by embedding.
        cosines: float32 (N, J), how near.
    """
    mirror = np.ascontiguousarray(images[:, :, ::-1])
    plain, turned = [], []
    for function, limit in ((phash, PHASH_BITS), (dhash, DHASH_BITS)):
        hashes = function(images)
        plain.append(close_pairs(hashes, limit=limit))
        turned.append(close_pairs(hashes, function(mirror), limit=limit))
    row, column = np.nonzero((cosines >= LOOK_ALIKE) & (neighbours >= 0))
    alike = np.sort(np.stack([row, neighbours[row, column]], axis=1), axis=1)
    return (
        np.unique(np.concatenate([*plain, alike]), axis=0),
        np.unique(np.concatenate([*turned, alike]), axis=0),
    )


def correlate(images: UInt8, pairs: Int64, *, mirrored: bool = False, advance: Advance | None = None) -> Float32:
    """Correlation −1–1 of each pair (P,): the middle of the one within the other, at the best of 9×9 shifts.

    Pictures of nearly one colour, whose correlation is chance, get 0.
    """
    margin = max(1, _MARGIN_PX * images.shape[1] // 48)
    flat = images.reshape(len(images), -1).std(axis=1) < _FLAT_SD
    out = np.zeros(len(pairs), np.float32)
    for place, (one, other) in enumerate(pairs.tolist()):
        if not (flat[one] or flat[other]):
            second = np.ascontiguousarray(images[other][:, ::-1]) if mirrored else images[other]
            middle = images[one][margin:-margin, margin:-margin]
            if middle.std() >= _FLAT_SD:
                out[place] = cv2.matchTemplate(second, middle, cv2.TM_CCOEFF_NORMED).max()
        if advance and place % _EVERY == 0:
            advance(place, len(pairs))
    return out


def near_pairs(
    images: UInt8, neighbours: Int64, cosines: Float32, *, threshold: float = SIMILAR, advance: Advance | None = None
) -> Pairs:
    """All pairs of almost the same picture, surest first; arguments as `candidates`."""
    plain, turned = candidates(images, neighbours, cosines)
    total = len(plain) + len(turned)
    first = correlate(images, plain, advance=(lambda done, _: advance(done, total)) if advance else None)
    # A picture that is its own mirror image is no mirrored copy of another.
    second = correlate(
        images, turned, mirrored=True, advance=(lambda done, _: advance(len(plain) + done, total)) if advance else None
    )
    known = {pair for pair, value in zip(map(tuple, plain.tolist()), first, strict=True) if value >= threshold}
    new = np.array([pair not in known for pair in map(tuple, turned.tolist())], bool)
    rows = np.concatenate([plain[first >= threshold], turned[(second >= threshold) & new]])
    similarity = np.concatenate([first[first >= threshold], second[(second >= threshold) & new]])
    mirrored = np.arange(len(rows)) >= (first >= threshold).sum()
    order = np.argsort(-similarity, kind="stable")
    return Pairs(rows[order], similarity[order], mirrored[order])


def group(pairs: Pairs) -> list[Int64]:
    """Groups of positions around a picture that all others of the group were found alike to.

    Union-find joins what is linked; a joined set that hangs together by a chain only, a is like b and b like c but a
    is not like c, is cut into stars: the picture with the most links and all that are linked to it, and so on.
    """
    links: dict[int, set[int]] = {}
    for one, other in pairs.rows.tolist():
        links.setdefault(one, set()).add(other)
        links.setdefault(other, set()).add(one)
    return [np.array(star, np.int64) for joined in _joined(pairs.rows) for star in _stars(joined, links)]


def _joined(rows: Int64) -> list[set[int]]:
    """Sets of positions that are linked, directly or not."""
    parent: dict[int, int] = {}

    def root(of: int) -> int:
        while parent.setdefault(of, of) != of:
            parent[of] = of = parent[parent[of]]
        return of

    for one, other in rows.tolist():
        parent[root(one)] = root(other)
    sets: dict[int, set[int]] = {}
    for member in parent:
        sets.setdefault(root(member), set()).add(member)
    return list(sets.values())


def _stars(joined: set[int], links: dict[int, set[int]]) -> Iterator[list[int]]:
    left = set(joined)
    while len(left) > 1:
        centre = max(left, key=lambda member: (len(links[member] & left), -member))
        star = {centre} | (links[centre] & left)
        left -= star
        if len(star) > 1:
            yield [centre, *sorted(star - {centre})]


def find_near(pairs: Pairs, groups: Int64, labels: Int64, split: npt.NDArray[np.int8]) -> list[Finding]:
    """Groups of almost the same picture as findings, and as conflicts where their labels differ.

    Args:
        pairs: of rows, none of which has an identical earlier row.
        groups: int64 (N,), the first identical row for each row; the copies are named with the group.
        labels, split: of all rows.
    """
    certain = {tuple(pair): place for place, pair in enumerate(pairs.rows.tolist())}
    copies: dict[int, list[int]] = {}
    for row, first in enumerate(groups.tolist()):
        copies.setdefault(first, []).append(row)
    found: list[Finding] = []
    for star in group(pairs):
        centre, *others = star.tolist()
        places = [certain[min(centre, other), max(centre, other)] for other in others]
        score = float(min(pairs.similarity[places]))
        turned = bool(pairs.mirrored[places].any())
        rows = np.array([row for member in star.tolist() for row in copies[member]], np.int64)
        found += _describe(rows, score, turned, labels, split)
    return found


def _describe(rows: Int64, score: float, turned: bool, labels: Int64, split: npt.NDArray[np.int8]) -> Iterator[Finding]:
    ordered = keep_first(np.sort(rows), labels, split)
    there = listed(splits_of(rows, split))
    alike = f"correlation {score:.3f}{', mirrored' if turned else ''}; in {there}"
    suggestion = suggestion_for(ordered, split)
    yield Finding("near-duplicate", tuple(ordered.tolist()), score, suggestion, "", alike)
    if len(set(labels[rows].tolist()) - {NO_LABEL}) > 1:
        said = listed(f"{label_name(int(labels[row]))} in {SPLITS[split[row]]}" for row in ordered)
        yield Finding(
            "conflict",
            tuple(ordered.tolist()),
            min(score, 0.999),
            suggestion,
            "",
            f"almost the same picture, labelled {said}",
        )
