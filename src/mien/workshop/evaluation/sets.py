"""Which faces a model is tested on, and what counts as right for them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from mien.arrays import Bool, Float32, Int64, UInt8
from mien.errors import ConfigError, DataError
from mien.labels import CROWD, EIGHT, SEVEN, canonical
from mien.workshop.data.base import NO_LABEL, SPLITS, FaceDataset, leaked
from mien.workshop.data.fer2013 import distribution, majority

CHALLENGE_ROWS = 3_589
"""Rows of PublicTest, and of PrivateTest."""


@dataclass(frozen=True)
class LabelledSet:
    """Some rows of a data set with the answers that count as right.

    Args:
        key: short name for files and JSON, `crowd-test`.
        title: name for people, `PrivateTest`.
        head: the head that answers.
        classes: names of the classes that `truth` counts in.
        labels_from: where the answers come from.
        rows: int64 (N,), positions in the data set.
        truth: int64 (N,), index into `classes`.
        shares: float32 (N, K), how people divided over the classes, or None; calibration is against them if given.
        without: true classes whose faces are left out.
    """

    key: str
    title: str
    head: str
    classes: tuple[str, ...]
    labels_from: str
    rows: Int64
    truth: Int64
    shares: Float32 | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    key: str
    title: str
    rows: Bool


def labelled_sets(
    dataset: FaceDataset, heads: Collection[str], *, without: Collection[str] = (), required: bool = True
) -> tuple[list[LabelledSet], list[str]]:
    """The sets that `dataset` holds for these heads, and a sentence for each that is left out.

    Head `fer2013` answers for the data set's own labels on validation, test, both together, and test without
    the faces that are also in train; and for the majority of the FER+ votes, where that is one of its seven
    classes, on all of these but both together. Head `crowd` answers for that majority in eight classes, for the
    votes themselves (right is what most chose; calibration is against the shares), and, projected on the seven
    classes, for the data set's own labels on both together and on test. Where test faces come from several sources,
    each head answers for the labels of each source's as well. A data set with a protocol of its own is scored by that
    first; where it has contempt, head `crowd` answers for its labels in eight classes, too.

    Args:
        dataset: the faces.
        heads: names of the heads that answer.
        without: true classes whose faces are left out of every set; a model may still answer them. The keys and
            titles of the sets say so.
        required: raise where no row has a label or a majority; otherwise there are no sets.

    Raises:
        ConfigError: `without` names what is no class, or all of them.
        DataError: when no row of validation or test has a label or a majority.
    """
    left_out = classes_by_name(without)
    parts, notes = _parts(dataset)
    sets: list[LabelledSet] = []
    if "fer2013" in heads:
        sets += [_own_labels(dataset, part, "fer2013", f"fer2013-{part.key}") for part in parts]
        sets += _majority_sets(dataset, parts, "fer2013", SEVEN, "fer2013-majority")
    if "crowd" in heads:
        sets += _crowd_sets(dataset, parts)
        sets += _eight_sets(dataset, parts)
    sets += _sets_by_source(dataset, heads)
    if dataset.votes is None:
        notes.append(f"{dataset.name} comes without FER+ votes: the sets by majority are left out.")
    if left_out:
        sets = [_without(found, left_out) for found in sets]
        notes.append(f"Faces whose true class is {' or '.join(left_out)} are left out of every set.")
    filled = [found for found in sets if len(found.rows)]
    empty = [f"{s.title}, {s.labels_from}: no row has one, left out." for s in sets if not len(s.rows)]
    # A data set of values alone would repeat that for every part and head.
    notes += dict.fromkeys(empty) if filled else [f"{dataset.name} has no labels: no expression is scored."]
    if not filled and required:
        raise DataError(
            f"{dataset.name}: no face to test on: {len(dataset):,} rows, none in validation or test has a "
            f"label for the heads {', '.join(heads) or '(none)'}"
        )
    return filled, notes


def classes_by_name(names: Collection[str]) -> tuple[str, ...]:
    """The vocabulary's words for classes to leave out, each once, in its order.

    Raises:
        ConfigError: one is no class, or they are all seven.
    """
    try:
        found = {canonical(name) for name in names}
    except KeyError as error:
        raise ConfigError(f"{error.args[0]!r} is no class to leave out: expected some of {', '.join(EIGHT)}") from None
    if found >= set(SEVEN):
        raise ConfigError("all seven classes cannot be left out: no face remains to test on")
    return tuple(name for name in EIGHT if name in found)


def _parts(dataset: FaceDataset) -> tuple[list[_Part], list[str]]:
    train, validation, test = (dataset.split == part for part in range(len(SPLITS)))
    if not (validation.any() or test.any() or dataset.measured is not None):
        raise DataError(
            f"{dataset.name}: {len(dataset):,} rows, but the splits validation and test are empty: "
            "expected at least one face to test on"
        )
    names = _titles(int(validation.sum()), int(test.sum()))
    parts = [_Part("validation", names[0], validation), _Part("test", names[1], test)]
    parts = [part for part in parts if part.rows.any()]
    parts, protocol = _with_protocol(dataset, parts)
    if len(parts) - len(protocol) == 2:
        parts.append(_Part("both", " + ".join(names), validation | test))
    # By pixels, not by ID: FER2013 holds the same pictures under several rows.
    seen = leaked(dataset) & test
    if seen.any() and (test & ~seen).any():
        parts.append(_Part("test-unseen", f"{names[1]}, unseen in train", test & ~seen))
        return parts, [f"{seen.sum():,} faces of {names[1]} are also in train, pixel by pixel."]
    return parts, [_why_no_unseen(names[1], train, test, seen)]


def _with_protocol(dataset: FaceDataset, parts: list[_Part]) -> tuple[list[_Part], list[_Part]]:
    """The parts with that of the data set's own protocol: one of them by its name, or one more; and that one more."""
    if dataset.measured is None or dataset.origin is None:
        return parts, []
    title = dataset.origin.protocol
    known = _labelled(dataset)
    for part in parts:
        if np.array_equal(part.rows & known, dataset.measured & known):
            return [replace(other, title=title) if other is part else other for other in parts], []
    own = _Part("protocol", title, dataset.measured)
    return [own, *parts], [own]


def _labelled(dataset: FaceDataset) -> Bool:
    """Rows with a label, contempt included."""
    known: Bool = dataset.labels != NO_LABEL
    return known if dataset.contempt is None else known | dataset.contempt


def _titles(validation: int, test: int) -> tuple[str, str]:
    """The challenge's names where the numbers of rows are the challenge's."""
    # By the numbers of rows: a folder of pictures may hold FER2013 too, and does not say so.
    if (validation, test) == (CHALLENGE_ROWS, CHALLENGE_ROWS):
        return "PublicTest", "PrivateTest"
    if (validation, test) == (0, 2 * CHALLENGE_ROWS):
        return "", "test (PublicTest + PrivateTest)"
    return "validation", "test"


def _why_no_unseen(title: str, train: Bool, test: Bool, seen: Bool) -> str:
    if not test.any():
        return "There is no test split."
    if not train.any():
        return f"{title} without the faces that are also in train: left out, the data set has no train split."
    if not seen.any():
        return f"No face of {title} is also in train."
    return f"Every face of {title} is also in train: the set without them is empty."


def _own_labels(dataset: FaceDataset, part: _Part, head: str, key: str) -> LabelledSet:
    rows = np.flatnonzero(part.rows & (dataset.labels != NO_LABEL))
    return LabelledSet(key, part.title, head, SEVEN, f"{dataset.name} labels", rows, dataset.labels[rows])


def _sets_by_source(dataset: FaceDataset, heads: Collection[str]) -> list[LabelledSet]:
    """The test faces of each source, by the data set's own labels, where there are several sources."""
    test = dataset.split == SPLITS.index("test")
    names = [] if dataset.sources is None else [str(name) for name in np.unique(dataset.sources[test])]
    if len(names) < 2:
        return []
    keys = {"fer2013": "fer2013-test", "crowd": "crowd-on-labels-test"}
    parts = [(name, _Part(name, f"test, from {name}", test & (dataset.sources == name))) for name in names]
    return [
        _own_labels(dataset, part, head, f"{key}-{name}") for head, key in keys.items() if head in heads
        for name, part in parts
    ]  # fmt: skip


def _majority_sets(
    dataset: FaceDataset, parts: list[_Part], head: str, classes: tuple[str, ...], key: str
) -> list[LabelledSet]:
    """By the majority of the votes, on the faces where it is one of these classes."""
    if dataset.votes is None:
        return []
    places = np.array([classes.index(name) if name in classes else NO_LABEL for name in CROWD] + [NO_LABEL])
    # A face without a majority has -1, which picks the last place.
    top = places[majority(dataset.votes)]
    sets = []
    for part in parts:
        if part.key not in ("both", "protocol"):
            rows = np.flatnonzero(part.rows & (top != NO_LABEL))
            sets.append(LabelledSet(f"{key}-{part.key}", part.title, head, classes, "FER+ majority", rows, top[rows]))
    return sets


def _crowd_sets(dataset: FaceDataset, parts: list[_Part]) -> list[LabelledSet]:
    sets = _majority_sets(dataset, parts, "crowd", CROWD, "crowd")
    if dataset.votes is not None:
        sets += [_by_votes(dataset.votes, part) for part in parts if part.key in ("validation", "test")]
    both = [part for part in parts if part.key == "both"]
    first = [part for part in parts if part.key != "protocol"][:1]
    whole = [part for part in parts if part.key == "protocol"]
    whole += [*both, *(part for part in parts if part.key == "test")] if both else first
    return [*sets, *(_own_labels(dataset, part, "crowd", f"crowd-on-labels-{part.key}") for part in whole)]


def _eight_sets(dataset: FaceDataset, parts: list[_Part]) -> list[LabelledSet]:
    """The data set's own labels with contempt as the eighth, where it has that."""
    if dataset.contempt is None:
        return []
    order = np.array([CROWD.index(name) for name in EIGHT] + [NO_LABEL])
    truth = order[np.where(dataset.contempt, EIGHT.index("contempt"), dataset.labels)]
    sets = []
    for part in parts:
        rows = np.flatnonzero(part.rows & (truth != NO_LABEL))
        if part.key in ("protocol", "validation", "test") and dataset.contempt[rows].any():
            labels_from = f"{dataset.name} labels, eight classes"
            sets.append(
                LabelledSet(f"crowd-eight-{part.key}", part.title, "crowd", CROWD, labels_from, rows, truth[rows])
            )
    return sets


def _without(faces: LabelledSet, classes: tuple[str, ...]) -> LabelledSet:
    """The set without the faces of these true classes."""
    kept = ~np.isin(faces.truth, [faces.classes.index(name) for name in classes if name in faces.classes])
    return replace(
        faces,
        key="-".join((faces.key, "without", *classes)),
        title=f"{faces.title} without {', '.join(classes)}",
        rows=faces.rows[kept],
        truth=faces.truth[kept],
        shares=None if faces.shares is None else faces.shares[kept],
        without=classes,
    )


def _by_votes(votes: UInt8, part: _Part) -> LabelledSet:
    """Every face with enough votes for emotions, whether or not one of them has a majority."""
    shares, enough = distribution(votes)
    rows = np.flatnonzero(part.rows & enough)
    truth = shares[rows].argmax(axis=1).astype(np.int64)
    return LabelledSet(f"crowd-votes-{part.key}", part.title, "crowd", CROWD, "FER+ votes", rows, truth, shares[rows])
