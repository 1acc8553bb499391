"""Almost the same picture: cut, scaled, re-encoded, relit or mirrored copies of one photo.

Something quick proposes pairs, `by_hash_and_model` or `cells.close_cells`; `near_pairs` keeps those whose pixels or
details agree; `groups` makes groups of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.workshop.curation.copies import keep_first, splits_of, suggestion_for
from mien.workshop.curation.findings import Advance, Finding, Int64, label_name, listed
from mien.workshop.curation.groups import stars
from mien.workshop.curation.hashing import close_pairs, dhash, phash
from mien.workshop.data.base import NO_LABEL, SPLITS

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

PHASH_BITS, DHASH_BITS = 10, 6
"""Pairs are looked at closer up to so many differing bits."""

LOOK_ALIKE = 0.97
"""Pairs are looked at closer from this cosine of their embeddings on."""

BLUR_PX = 2.0

_WHOLE_PX = 48
_EVERY = 4096


def details(picture: UInt8) -> Float32:
    """What blurring takes away; the rim, which a border would change, is left out."""
    values = np.ascontiguousarray(picture, np.float32)
    rim = round(BLUR_PX) + 1
    return np.asarray((values - cv2.GaussianBlur(values, (0, 0), BLUR_PX))[rim:-rim, rim:-rim], np.float32)


@dataclass(frozen=True)
class Likeness:
    """When two pictures are of one photo.

    Args:
        similarity: correlation from which they are, at the best shift.
        shift_px: the furthest shift, in pictures of 48 pixels; larger ones are shifted further.
        least_sd: pictures of less contrast than this, whose correlation is chance, are like no other.
        view: what of a grey picture (H, W) is compared.
    """

    similarity: float
    shift_px: int
    least_sd: float = 0
    view: Callable[[UInt8], UInt8 | Float32] = np.ascontiguousarray


PIXELS = Likeness(0.92, shift_px=4, least_sd=4)
"""The pixels themselves: sure where the light is the same."""

DETAILS = Likeness(0.6, shift_px=2, view=details)
"""Details alone, which neither light nor a dark wall behind a face changes; for pictures of 48×48."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures that are almost the same.

    Args:
        rows: int64 (P, 2), the smaller row first.
        similarity: float32 (P,), the correlation at the best shift.
        mirrored: bool (P,), whether one had to be mirrored.
    """

    rows: Int64
    similarity: Float32
    mirrored: npt.NDArray[np.bool_]


def by_hash_and_model(images: UInt8, neighbours: Int64, cosines: Float32) -> tuple[Int64, Int64]:
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


def correlate(
    images: UInt8, pairs: Int64, likeness: Likeness, *, mirrored: bool = False, advance: Advance | None = None
) -> Float32:
    """Correlation −1–1 of each pair (P,): the middle of the one within the other, at the best shift."""
    margin = max(1, likeness.shift_px * images.shape[1] // _WHOLE_PX)
    flat = images.reshape(len(images), -1).std(axis=1) < likeness.least_sd
    out = np.zeros(len(pairs), np.float32)
    for place, (one, other) in enumerate(pairs.tolist()):
        middle = likeness.view(images[one])[margin:-margin, margin:-margin]
        if not (flat[one] or flat[other] or middle.std() < likeness.least_sd):
            whole = likeness.view(images[other][:, ::-1] if mirrored else images[other])
            out[place] = cv2.matchTemplate(whole, np.ascontiguousarray(middle), cv2.TM_CCOEFF_NORMED).max()
        if advance and place % _EVERY == 0:
            advance(place, len(pairs))
    return out


def near_pairs(
    images: UInt8, proposed: tuple[Int64, Int64], likeness: Likeness = PIXELS, *, advance: Advance | None = None
) -> Pairs:
    """All pairs of almost the same picture, surest first.

    Args:
        images: grey uint8 (N, H, W).
        proposed: int64 (P, 2) each, the pairs to look at as they are, and those to look at mirrored.
        likeness: when two are the same.
        advance: told how many pairs were looked at.
    """
    plain, turned = proposed
    total = len(plain) + len(turned)
    first = correlate(images, plain, likeness, advance=(lambda done, _: advance(done, total)) if advance else None)
    second = correlate(
        images, turned, likeness, mirrored=True,
        advance=(lambda done, _: advance(len(plain) + done, total)) if advance else None,
    )  # fmt: skip
    found = first >= likeness.similarity
    known = set(map(tuple, plain[found].tolist()))
    # A picture that is its own mirror image is no mirrored copy of another.
    new = np.array([pair not in known for pair in map(tuple, turned.tolist())], bool)
    new &= second >= likeness.similarity
    rows = np.concatenate([plain[found], turned[new]])
    similarity = np.concatenate([first[found], second[new]])
    mirrored = np.arange(len(rows)) >= found.sum()
    order = np.argsort(-similarity, kind="stable")
    if advance:
        advance(total, total)
    return Pairs(rows[order], similarity[order], mirrored[order])


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
    for star in stars(pairs.rows):
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
