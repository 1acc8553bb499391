"""Copies of one picture: pixel by pixel, or cut, scaled, re-encoded, relit or mirrored.

Something quick proposes pairs of near copies, `by_hash_and_model` or `similarity.close_cells`; `near_pairs` keeps those
whose pixels or details agree; `stars` and `connected` make groups of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from mien.arrays import Bool, Float32, Int8, Int64, UInt8
from mien.errors import MissingExtraError
from mien.workshop.curation.issues import Finding, by_group, label_name, listed
from mien.workshop.curation.similarity import close_pairs, dhash, phash
from mien.workshop.data.base import NO_LABEL, SPLITS, TRAIN
from mien.workshop.progress import OnProgress

PHASH_BITS, DHASH_BITS = 10, 6
"""Pairs are looked at closer up to so many differing bits."""
LOOK_ALIKE = 0.97
"""Pairs are looked at closer from this cosine of their embeddings on."""
BLUR_PX = 2.0
_WHOLE_PX = 48
_EVERY = 4096


def find_copies(groups: Int64, labels: Int64, split: Int8) -> list[Finding]:
    """Every group of identical pictures, as one or several of `leak`, `conflict` and `duplicate`.

    - A group in several splits is a **leak**. The suggestion drops the rows of train and keeps those that
      scores are measured on: a published test set stays comparable only as a whole, and a model may not learn a face
      that it is asked about later. Between validation and test nothing is dropped.
    - Within a split the group is a **duplicate**; in train all but the first go, elsewhere they stay, for the same
      reason. Where a leak removes all of them from train anyway, that is not reported twice.
    - Different labels make it a **conflict**, whatever else it is. The copy that is kept is one that the leak or
      duplicate keeps, of the label that most copies have.

    Args:
        groups: int64 (N,), the first identical row for each row, as `base.picture_groups` gives it.
        labels: int64 (N,), -1 for none.
        split: int8 (N,), index into `SPLITS`.
    """
    return [found for rows in by_group(groups) for found in _describe(rows, labels, split)]


def _describe(rows: Int64, labels: Int64, split: Int8) -> Iterator[Finding]:
    ordered = keep_first(rows, labels, split)
    names = splits_of(rows, split)
    held_out = bool((split[rows] != TRAIN).any())
    if len(names) > 1:
        yield leak(ordered, split, 1.0, f"the same pixels in {listed(names)}")
    if len(set(labels[rows].tolist()) - {NO_LABEL}) > 1:
        detail = f"the same pixels, labelled {_labels_of(rows, labels, split)}"
        yield Finding("conflict", tuple(ordered.tolist()), 1.0, suggestion_for(ordered, split), "", detail)
    for part in np.unique(split[rows]):
        same = ordered[split[ordered] == part]
        if len(same) > 1 and not (part == TRAIN and held_out):
            there = f"{len(same)} times the same pixels in {SPLITS[part]}"
            yield Finding("duplicate", tuple(same.tolist()), 1.0, suggestion_for(same, split), "", there)


def leak(ordered: Int64, split: Int8, score: float, detail: str) -> Finding:
    """A leak of rows that `keep_first` ordered: one that is kept, then those of train, or all if there are none."""
    trained = ordered[split[ordered] == TRAIN]
    rows = np.concatenate([ordered[:1], trained]) if len(trained) else ordered
    return Finding("leak", tuple(rows.tolist()), score, suggestion_for(rows, split), "", detail)


def suggestion_for(ordered: Int64, split: Int8) -> str:
    """`drop` when all rows but the first are train's: what is measured on stays as it is."""
    return "drop" if (split[ordered[1:]] == TRAIN).all() else "keep"


def keep_first(rows: Int64, labels: Int64, split: Int8) -> Int64:
    """The rows of a group, first the one to keep: test before validation before train, then the commonest label."""
    found = labels[rows]
    common = np.array([-(found == label).sum() if label != NO_LABEL else 0 for label in found])
    # `lexsort` sorts by its last key first.
    return np.asarray(rows[np.lexsort((rows, common, -split[rows]))])


def splits_of(rows: Int64, split: Int8) -> list[str]:
    """The names of the splits that rows are in."""
    return [SPLITS[part] for part in np.unique(split[rows])]


def _labels_of(rows: Int64, labels: Int64, split: Int8) -> str:
    return listed(f"{label_name(int(labels[row]))} in {SPLITS[split[row]]}" for row in rows)


def connected(n: int, pairs: Int64) -> Int64:
    """The lowest number that is connected with each of 0 … n - 1 by pairs (P, 2), directly or through others.

    Raises:
        MissingExtraError: without SciPy.

    >>> connected(5, np.array([[3, 1], [3, 4]])).tolist()
    [0, 1, 2, 1, 1]
    """
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError as error:
        raise MissingExtraError("SciPy", "train") from error
    if not n:
        return np.zeros(0, np.int64)
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    of_row = connected_components(links, directed=False)[1]
    # Not SciPy's own numbers, which depend on the order of the pairs.
    return np.asarray(np.unique(of_row, return_index=True)[1][of_row], np.int64)


def stars(pairs: Int64) -> list[Int64]:
    """Groups of positions around one that is paired with all others of the group, the centre first.

    What hangs together by a chain only, a is like b and b like c but a is not like c, is cut: the position with the
    most pairs and all that it is paired with, and so on.

    >>> [star.tolist() for star in stars(np.array([[0, 1], [1, 2], [2, 3], [3, 4]]))]
    [[1, 0, 2], [3, 4]]
    """
    links: dict[int, set[int]] = {}
    for one, other in pairs.tolist():
        links.setdefault(one, set()).add(other)
        links.setdefault(other, set()).add(one)
    # Part by part, since a cut looks at all that is left of a part.
    root = connected(int(pairs.max()) + 1 if len(pairs) else 0, pairs).tolist()
    joined: dict[int, set[int]] = {}
    for member in links:
        joined.setdefault(root[member], set()).add(member)
    return [np.array(star, np.int64) for members in joined.values() for star in _cut(members, links)]


def _cut(left: set[int], links: dict[int, set[int]]) -> Iterator[list[int]]:
    while len(left) > 1:
        # Equally linked pictures go by number, so that groups are the same each time.
        centre = max(left, key=lambda member: (len(links[member] & left), -member))
        star = {centre} | (links[centre] & left)
        left = left - star
        if len(star) > 1:
            yield [centre, *sorted(star - {centre})]


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


# Of random pairs of FER2013 judged by eye, all 80 from 0.92 on were of one photo, and 18 of 20 from 0.90 to 0.92.
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
    mirrored: Bool


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
    # An embedding hardly tells a face from its mirror image, so these are looked at both ways.
    row, column = np.nonzero((cosines >= LOOK_ALIKE) & (neighbours >= 0))
    alike = np.sort(np.stack([row, neighbours[row, column]], axis=1), axis=1)
    return (
        np.unique(np.concatenate([*plain, alike]), axis=0),
        np.unique(np.concatenate([*turned, alike]), axis=0),
    )


def correlate(
    images: UInt8, pairs: Int64, likeness: Likeness, *, mirrored: bool = False, on_progress: OnProgress | None = None
) -> Float32:
    """Correlation −1–1 of each pair (P,): the middle of the one within the other, at the best shift."""
    margin = max(1, likeness.shift_px * images.shape[1] // _WHOLE_PX)
    flat = images.reshape(len(images), -1).std(axis=1) < likeness.least_sd
    out = np.zeros(len(pairs), np.float32)
    for place, (one, other) in enumerate(pairs.tolist()):
        middle = likeness.view(images[one])[margin:-margin, margin:-margin]
        if not (flat[one] or flat[other] or middle.std() < likeness.least_sd):
            # The middle of one moved over the whole of the other: a shift shows as a peak.
            whole = likeness.view(images[other][:, ::-1] if mirrored else images[other])
            out[place] = cv2.matchTemplate(whole, np.ascontiguousarray(middle), cv2.TM_CCOEFF_NORMED).max()
        if on_progress and place % _EVERY == 0:
            on_progress(place, len(pairs))
    return out


def near_pairs(
    images: UInt8, proposed: tuple[Int64, Int64], likeness: Likeness = PIXELS, *, on_progress: OnProgress | None = None
) -> Pairs:
    """All pairs of almost the same picture, most similar first.

    Args:
        images: grey uint8 (N, H, W).
        proposed: int64 (P, 2) each, the pairs to look at as they are, and those to look at mirrored.
        likeness: when two are the same.
        on_progress: called as `on_progress(done, total)` now and then, in pairs.
    """
    plain, turned = proposed
    total = len(plain) + len(turned)
    first = correlate(
        images, plain, likeness, on_progress=(lambda done, _: on_progress(done, total)) if on_progress else None
    )
    second = correlate(
        images, turned, likeness, mirrored=True,
        on_progress=(lambda done, _: on_progress(len(plain) + done, total)) if on_progress else None,
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
    if on_progress:
        on_progress(total, total)
    return Pairs(rows[order], similarity[order], mirrored[order])


def find_near(pairs: Pairs, groups: Int64, labels: Int64, split: Int8) -> list[Finding]:
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
        found += _describe_near(rows, score, turned, labels, split)
    return found


def _describe_near(rows: Int64, score: float, turned: bool, labels: Int64, split: Int8) -> Iterator[Finding]:
    ordered = keep_first(np.sort(rows), labels, split)
    there = listed(splits_of(rows, split))
    alike = f"correlation {score:.3f}{', mirrored' if turned else ''}; in {there}"
    suggestion = suggestion_for(ordered, split)
    yield Finding("near-duplicate", tuple(ordered.tolist()), score, suggestion, "", alike)
    if len(set(labels[rows].tolist()) - {NO_LABEL}) > 1:
        detail = f"almost the same picture, labelled {_labels_of(ordered, labels, split)}"
        # Below 1, which is for identical pixels.
        yield Finding("conflict", tuple(ordered.tolist()), min(score, 0.999), suggestion, "", detail)
