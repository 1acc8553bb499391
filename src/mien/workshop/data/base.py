"""The in-memory container that every data set is read into."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.arrays import Bool, Float32, Int8, Int64, Str, UInt8
from mien.errors import ConfigError, DataError
from mien.labels import SEVEN, VOTE_COLUMNS
from mien.workshop.data.affect_columns import check_affect

SPLITS = ("train", "validation", "test")
"""FER2013's Training, PublicTest and PrivateTest."""

SPLIT_NAMES = {
    "train": "train", "training": "train", "train_set": "train", "fer2013train": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "val_set": "validation",
    "publictest": "validation", "fer2013valid": "validation",
    "test": "test", "privatetest": "test", "test_set": "test", "fer2013test": "test",
}  # fmt: skip
"""Names that a split may have in folders and tables, in small letters."""

NO_LABEL = -1

TRAIN, VALIDATION = SPLITS.index("train"), SPLITS.index("validation")
HELD_OUT = 0.1
"""The share of the train rows that trainings validate with where a data set has no validation split."""


@dataclass(frozen=True)
class Origin:
    """What was recognised when a data set was read.

    Args:
        layout: short name of the layout, `raf_db`.
        line: what it was recognised as, a sentence for people.
        notes: how labels were read and what was left out, a sentence each.
        protocol: what the measured rows are, in words; empty for a data set without a protocol of its own.
        coding: whose numbers the labels were read as, one of `layouts.codings.CODINGS`; empty for words.
        splits: whether it is divided; otherwise all rows train, and evaluation tests all of them.
        crops: whether its images were face crops already; otherwise faces were found in them.
        large: whether most of its images were larger than face crops usually are.
    """

    layout: str
    line: str
    notes: tuple[str, ...] = ()
    protocol: str = ""
    coding: str = ""
    splits: bool = True
    crops: bool = True
    large: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """All that people should know, a sentence each."""
        return (self.line, *self.notes)


@dataclass(frozen=True)
class FaceDataset:
    """Face pictures with their labels and votes, a row each.

    Args:
        name: what it is called in reports.
        images: uint8 (N, H, W) grey or (N, H, W, 3) RGB; FER2013's are (N, 48, 48).
        labels: int64 (N,), index into `labels.SEVEN`, or -1 where there is none.
        split: int8 (N,), index into `SPLITS`.
        ids: str (N,), which row or file a picture comes from.
        votes: uint8 (N, 10) in the order of `labels.VOTE_COLUMNS`, or None; a row of zeros has none.
        sha256: hash of the files that it was read from.
        sources: str (N,), which of several sources a picture comes from, or None for a data set of one.
        persons: str (N,), who each face is of, empty where nobody knows; or None.
        contempt: bool (N,), faces labelled contempt, for which `labels` has no number: it is -1 there; or None.
        measured: bool (N,), the rows of the data set's own protocol, which `origin` names; or None.
        origin: what was recognised when it was read, or None.
        affect: float32 (N, 3), valence, arousal and intensity as `data.affect_columns` has them, NaN where a row has
            none; or None.
        whole: fingerprint of the data set of which these are all rows that a training looks at, empty for one that is
            whole itself; a training on either is the same.

    Raises:
        DataError: when the parts do not fit one another.
    """

    name: str
    images: UInt8
    labels: Int64
    split: Int8
    ids: Str
    votes: UInt8 | None = None
    sha256: str = ""
    sources: Str | None = None
    whole: str = ""
    affect: Float32 | None = None
    persons: Str | None = None
    contempt: Bool | None = None
    measured: Bool | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4):
            raise DataError(
                f"{self.name}: images are uint8 (N, H, W) or (N, H, W, 3), not {self.images.dtype} {self.images.shape}"
            )
        for part in ("labels", "split", "ids"):
            if getattr(self, part).shape != (n,):
                raise DataError(f"{self.name}: {n} images but {part} of shape {getattr(self, part).shape}")
        if self.votes is not None and self.votes.shape != (n, len(VOTE_COLUMNS)):
            raise DataError(f"{self.name}: {n} images but votes of shape {self.votes.shape}, expected ({n}, 10)")
        for part in ("sources", "persons", "contempt", "measured"):
            values = getattr(self, part)
            if values is not None and values.shape != (n,):
                raise DataError(f"{self.name}: {n} images but {part} of shape {values.shape}")
        if self.affect is not None:
            check_affect(self.affect, n, self.name)
        if n and not (self.labels.min() >= NO_LABEL and self.labels.max() < len(SEVEN)):
            raise DataError(f"{self.name}: expected labels in -1–6, got {self.labels.min()}–{self.labels.max()}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> FaceDataset:
        """The rows that a mask, slice or index array picks."""
        names = ("votes", "sources", "affect", "persons", "contempt", "measured")
        optional = {name: getattr(self, name) for name in names}
        picked: dict[str, Any] = {name: None if part is None else part[rows] for name, part in optional.items()}
        # Not `whole`: a part must not pass for all that a training looks at.
        return replace(
            self, images=self.images[rows], labels=self.labels[rows], split=self.split[rows],
            ids=self.ids[rows], whole="", **picked,
        )  # fmt: skip

    def part(self, *names: str) -> FaceDataset:
        """The rows of one or several splits, in their order: `part("validation", "test")`."""
        return self[np.isin(self.split, [SPLITS.index(name) for name in names])]


def picture_groups(images: UInt8) -> Int64:
    """The first picture with the very same pixels, for each of (N, H, W) or (N, H, W, 3); int64 (N,)."""
    first: dict[bytes, int] = {}
    groups = [first.setdefault(image.tobytes(), row) for row, image in enumerate(images)]
    return np.array(groups, np.int64)


def leaked(dataset: FaceDataset) -> Bool:
    """Rows outside train whose pixels are identical to those of a row in it; a mask (N,).

    FER2013 has 280 of them in PublicTest and 288 in PrivateTest.
    """
    groups = picture_groups(dataset.images)
    trained = dataset.split == TRAIN
    return np.asarray(~trained & np.isin(groups, groups[trained]))


def repeated(dataset: FaceDataset) -> Bool:
    """Rows whose pixels are identical to those of an earlier row; a mask (N,). FER2013 has 1,853."""
    return np.asarray(picture_groups(dataset.images) < np.arange(len(dataset)), np.bool_)


def flat(dataset: FaceDataset) -> Bool:
    """Rows whose picture is one colour all over; a mask (N,). FER2013 has 12."""
    same = dataset.images == dataset.images[:, :1, :1]
    return np.asarray(same.all(axis=tuple(range(1, same.ndim))))


def hold_out(dataset: FaceDataset, share: float, seed: int) -> FaceDataset:
    """Move a share of each class from train to validation, where a data set has no validation split.

    Identical pictures stay together, so none of them is trained on and validated with. Where all persons are known,
    a share of the persons is moved instead, for the same reason.

    Args:
        dataset: any; one that has a validation split comes back as it is.
        share: of the train rows, between 0 and 1.
        seed: the same one picks the same rows.

    Raises:
        ConfigError: for another share.
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share to hold out is between 0 and 1, not {share}")
    if (dataset.split == VALIDATION).any():
        return dataset
    groups = picture_groups(dataset.images)
    trained = np.flatnonzero(dataset.split == TRAIN)
    if dataset.persons is not None and len(trained) and dataset.persons[trained].all():
        return _hold_out_persons(dataset, share, seed, groups)
    # One of each group is drawn; its copies follow below.
    firsts = np.unique(groups[trained], return_index=True)[1]
    candidates = trained[firsts]
    generator = np.random.default_rng(seed)
    chosen: list[Int64] = []
    for label in np.unique(dataset.labels[candidates]):
        rows = generator.permutation(candidates[dataset.labels[candidates] == label])
        chosen.append(rows[: round(share * len(rows))])
    return _move(dataset, np.concatenate(chosen) if chosen else trained[:0], groups)


def _hold_out_persons(dataset: FaceDataset, share: float, seed: int, groups: Int64) -> FaceDataset:
    """A share of the persons, at least one, but never the last one that is left to train on."""
    assert dataset.persons is not None
    trained = dataset.split == TRAIN
    names = np.random.default_rng(seed).permutation(np.unique(dataset.persons[trained]))
    chosen = names[: min(max(1, round(share * len(names))), len(names) - 1)]
    return _move(dataset, np.flatnonzero(trained & np.isin(dataset.persons, chosen)), groups)


def _move(dataset: FaceDataset, rows: Int64, groups: Int64) -> FaceDataset:
    """These train rows, and those of the same pictures, moved to validation."""
    moved = np.isin(groups, groups[rows]) & (dataset.split == TRAIN)
    return replace(dataset, split=np.where(moved, VALIDATION, dataset.split).astype(np.int8))


def csv_bytes(lines: Iterable[Sequence[Any]]) -> bytes:
    """Lines as a csv. Names of files need not be Unicode, so their odd bytes are kept."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue().encode("utf-8", "surrogateescape")


def parse_votes(words: Sequence[str], where: str) -> tuple[int, ...]:
    """The votes in the cells of a table, in the order of `labels.VOTE_COLUMNS`; an empty cell means no vote.

    Args:
        words: the cells.
        where: file and line, for the message.

    Raises:
        DataError: they are no numbers 0–255.
    """
    try:
        # `bytes` refuses all numbers but 0–255.
        return tuple(bytes(int(word or 0) for word in words))
    except ValueError:
        raise DataError(f"{where}: votes are numbers 0–255, or nothing, found {' '.join(words)!r}") from None


def read_csv_rows(path: Path, what: str, *, errors: str = "strict") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a csv, without the space around its names, and its rows with their line numbers.

    Args:
        path: the file; empty lines are skipped.
        what: the file should be, for the message: `a csv of labels`.
        errors: how bytes that are not UTF-8 are taken, as `open` has it.

    Raises:
        DataError: it cannot be read, or is not a csv.
    """
    try:
        # Spreadsheets begin a csv with a byte-order mark.
        with path.open(newline="", encoding="utf-8-sig", errors=errors) as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            # The reader's own count: a quoted cell may hold line ends.
            return header, [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as {what}: {error}") from error
