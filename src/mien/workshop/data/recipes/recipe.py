"""A recipe: which sources a data set is made of, and by which rules; a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from mien.arrays import Bool, Float32, Int8, Int64, Str, UInt8
from mien.artifact.input import InputSpec
from mien.errors import ConfigError
from mien.labels import SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.toml_sections import Section, explain, read_toml

NAME = r"^[a-z0-9][a-z0-9._-]*$"
DROP = "drop"
SHIPPED = Path(__file__).parent

KIND_KEYS = {
    "fer2013": {"path", "labels_from", "keep_splits", "split"},
    "folder": {"path", "detect", "several", "keep_splits", "split", "person", "max_unreadable"},
    "table": {"path", "table", "columns", "detect", "several", "keep_splits", "split", "person", "max_unreadable"},
    "video": {
        "path", "table", "columns", "detect", "several", "keep_splits", "split", "person", "every_s", "max_unreadable",
    },
    "synthetic": {"of", "make", "share", "classes"},
}  # fmt: skip
"""What a source of each kind may hold beside its name, kind, licence and labels."""

COMMON_KEYS = {"name", "kind", "licence", "citation", "url", "note", "labels"}

FREE = -1
"""The split of a row that has none yet."""
REASONS = {
    "unreadable": "the file or frame cannot be read",
    "no face": "the detector found no face",
    "several faces": "more than one face was found, and the recipe refuses such pictures",
    "label": "the recipe drops this label",
    "no majority": "no label has more than half of the votes",
    "unclear": "most annotators could not name the expression",
    "not a face": "most annotators saw no face",
    "flat": "the picture is one colour all over",
    "drop list": "a list of rows to drop names it",
    "duplicate": "the same face is kept in another row",
    "conflict": "pictures of the same face have different labels",
    "leak": "the same face, person or clip is in a split that is tested on",
    "not trained on": "its source is kept out of training",
    "balance": "its class or source has more training rows than the recipe allows",
}
"""Why a row can be left out, in the order of the steps."""


class Shares(Section):
    """How the groups of a source without splits of its own are divided."""

    train: float = Field(0.8, ge=0, le=1)
    validation: float = Field(0.1, ge=0, le=1)
    test: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError(f"train, validation and test sum to 1, not {self.train + self.validation + self.test:g}")
        return self

    @property
    def values(self) -> tuple[float, float, float]:
        """In the order of `base.SPLITS`."""
        return (self.train, self.validation, self.test)


class Source(Section):
    """One source of pictures; which keys it takes depends on its kind."""

    name: str = Field(pattern=NAME)
    kind: Literal["fer2013", "folder", "table", "video", "synthetic"]
    licence: str = Field("", description='terms of use, or "unknown"')
    citation: str = ""
    url: str = ""
    note: str = ""
    path: str = Field("", description="file or folder, relative to the recipe; --data gives it otherwise")
    table: str = Field("", description="csv with a line a picture or a clip")
    columns: dict[str, str] = Field(default_factory=dict, description="the table's names for file, label, …")
    labels: dict[str, str] = Field(default_factory=dict, description="its words for Mien's, or drop")
    labels_from: Literal["majority", "labels"] = "majority"
    detect: bool = Field(False, description="find the face in each picture; else it is a crop already")
    several: Literal["largest", "drop"] = Field("largest", description="where more than one face is found")
    keep_splits: bool = Field(False, description="the source's own splits stay")
    split: Shares | None = None
    person: str = Field("", description="regular expression whose group finds the person in the file's name")
    every_s: float = Field(1.0, gt=0, description="seconds between the frames that are taken")
    max_unreadable: float = Field(0.05, ge=0, le=1, description="share of unreadable pictures that is an error")
    of: str = Field("", description="the source whose training faces are copied")
    make: tuple[Literal["dark", "rotated", "blurred", "coarse", "compressed"], ...] = ()
    share: float = Field(0.1, gt=0, le=1, description="of the faces that are copied, for each of `make`")
    classes: tuple[str, ...] = Field((), description="copied classes; all if none is named")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        # One section for all kinds: pydantic alone would accept the keys of another kind, and nothing would use them.
        strange = sorted(self.model_fields_set - KIND_KEYS[self.kind] - COMMON_KEYS)
        if strange:
            known = ", ".join(sorted(KIND_KEYS[self.kind] | COMMON_KEYS))
            raise ValueError(f"unknown key {strange[0]} for kind {self.kind!r}: expected one of {known}")
        if not self.licence.strip():
            raise ValueError(
                f"source {self.name!r} has no licence: write under which terms its pictures may be used, "
                'or licence = "unknown" if nobody knows'
            )
        wrong = {word: label for word, label in self.labels.items() if label not in (*SEVEN, DROP)}
        for word, label in wrong.items():
            raise ValueError(f"labels.{word} = {label!r}: expected one of {', '.join((*SEVEN, DROP))}")
        if self.kind == "table" and not self.table:
            raise ValueError(f"source {self.name!r} of kind 'table' needs table, its csv")
        if self.kind == "synthetic" and not (self.of and self.make):
            raise ValueError(f"source {self.name!r} of kind 'synthetic' needs of (a source) and make (what to make)")
        for label in self.classes:
            if label not in SEVEN:
                raise ValueError(f"classes: {label!r} is not one of {', '.join(SEVEN)}")
        try:
            re.compile(self.person)
        except re.error as error:
            raise ValueError(f"person: no regular expression: {error}") from error
        return self


class Output(Section):
    """The pictures that are written, as a model's input expects them."""

    size: int = Field(48, ge=16, le=512, description="side in pixels")
    channels: Literal[1, 3] = 1
    crop_scale: float = Field(InputSpec().crop_scale, gt=0.2, le=3, description="side of a crop, in box heights")
    detector: Literal["auto", "mien", "yunet", "haar"] = "auto"


class Duplicates(Section):
    """How equal pictures are found, and what becomes of them."""

    find: Literal["near", "exact", "none"] = "near"
    keep: Literal["one", "all"] = Field("one", description="one picture of a group, or all of them on one side")
    similarity: float = Field(0.6, gt=0.3, le=1, description="agreement of details from which two are the same")
    conflicts: Literal["keep", "drop"] = Field("keep", description="groups whose pictures have several labels")


class Filter(Section):
    """Which rows are left out."""

    flat: bool = True
    non_faces: bool = Field(True, description="pictures that most annotators marked as no face")
    drop_lists: tuple[str, ...] = ()


class Balance(Section):
    """The most training rows of a class, and of a source; 0 for no limit."""

    per_class: int = Field(0, ge=0)
    per_source: dict[str, int] = Field(default_factory=dict)


class Recipe(Section):
    """Everything that decides a data set, except where its sources are."""

    name: str = Field(pattern=NAME)
    version: str = "1.0"
    title: str = ""
    description: str = ""
    limits: tuple[str, ...] = Field((), description="what a user of the data has to know")
    seed: int = Field(0, ge=0)
    train_on: tuple[str, ...] = Field((), description="sources whose rows may be trained on; all if none is named")
    output: Output = Output()
    sources: tuple[Source, ...] = Field(min_length=1)
    duplicates: Duplicates = Duplicates()
    filter: Filter = Filter()
    split: Shares = Shares()
    balance: Balance = Balance()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}: give each a name of its own")
        real = [source.name for source in self.sources if source.kind != "synthetic"]
        # Only sources with pictures of their own can be trained on alone, or copied; a limit can be on any.
        asked = [*self.train_on, *self.balance.per_source]
        asked += [source.of for source in self.sources if source.kind == "synthetic"]
        unknown = [name for name in asked if name not in (names if name in self.balance.per_source else real)]
        if unknown:
            raise ValueError(f"no source is called {unknown[0]!r}: expected one of {', '.join(real)}")
        if not real:
            raise ValueError("every source is synthetic: expected one with pictures of its own")
        return self


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with its text and the place of each source's `path` and `table`."""

    recipe: Recipe
    text: str
    paths: Mapping[str, Path]
    tables: Mapping[str, Path]


def shipped() -> list[str]:
    """Names of the recipes that come with Mien."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_recipe(name: str, data: Mapping[str, Path] | None = None, *, train_on: tuple[str, ...] = ()) -> LoadedRecipe:
    """Read a recipe and find its sources.

    Args:
        name: a TOML file, or the name of a recipe that comes with Mien.
        data: the place of a source by its name, instead of the recipe's: the folder of its `path` and `table`
            for a source with a table, else what `path` is.
        train_on: instead of the recipe's own.

    Raises:
        ConfigError: no such recipe, an unknown key, a value out of range, or a source that is not there.
    """
    file = Path(name)
    if not file.is_file():
        file = SHIPPED / f"{name}.toml"
        if not file.is_file():
            raise ConfigError(f"{name}: no such recipe: expected a TOML file, or one of {', '.join(shipped())}")
    values = read_toml(file)
    recipe = parse_recipe(values | ({"train_on": list(train_on)} if train_on else {}), name=str(file))
    given = dict(data or {})
    names = [source.name for source in recipe.sources if source.kind != "synthetic"]
    unknown = [key for key in given if key not in names]
    if unknown:
        raise ConfigError(
            f"--data {unknown[0]}=…: {recipe.name} has no such source: expected one of {', '.join(names)}"
        )
    # A shipped recipe is in the package, where nobody keeps data.
    base = None if file.parent == SHIPPED else file.parent
    places = {s.name: _places(s, base, given.get(s.name)) for s in recipe.sources if s.kind != "synthetic"}
    return LoadedRecipe(
        recipe,
        file.read_text(encoding="utf-8"),
        {key: path for key, (path, _) in places.items()},
        {key: table for key, (_, table) in places.items() if table is not None},
    )


def parse_recipe(values: dict[str, Any], *, name: str = "recipe") -> Recipe:
    """Check plain values.

    Raises:
        ConfigError: an unknown key or a value out of range; the message names it.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error, Recipe)}") from error


def _places(source: Source, base: Path | None, given: Path | None) -> tuple[Path, Path | None]:
    """Where a source's pictures are, and its table."""
    hint = f"give it by --data {source.name}=PATH"
    if given is None and (base is None or not source.path):
        raise ConfigError(f"source {source.name!r}: the recipe has no path for it: {hint}")
    if source.table:
        folder = given if given is not None else base
        assert folder is not None
        path, table = folder / source.path, folder / source.table
    else:
        path, table = given if given is not None else Path(base or "") / source.path, None
    for place in filter(None, (path, table)):
        if not place.exists():
            raise ConfigError(f"source {source.name!r}: {place} is not there: {hint}")
    return path, table


@dataclass(frozen=True)
class Rows:
    """Faces of every source, a row each.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: int64 (N,), index into `labels.SEVEN`, or -1.
        split: int8 (N,), index into `base.SPLITS`, or `FREE`.
        ids: str (N,), unique within a source.
        sources: str (N,).
        persons: str (N,), empty where nobody knows.
        clips: str (N,), the video that a frame is from, or empty.
        votes: uint8 (N, 10), all 0 where there are none.
        boxes: float32 (N, 4), xyxy pixels of the original picture, NaN for what was a crop already.
        groups: int64 (N,), the same number for pictures of the same face.
    """

    images: UInt8
    labels: Int64
    split: Int8
    ids: Str
    sources: Str
    persons: Str
    clips: Str
    votes: UInt8
    boxes: Float32
    groups: Int64

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, picked: Any) -> Rows:
        """The rows that a mask or index array picks."""
        return replace(self, **{part.name: getattr(self, part.name)[picked] for part in fields(self)})

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        """The rows of all parts, one after the other."""
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)})

    def dataset(self, name: str, sha256: str = "") -> FaceDataset:
        """As evaluation and training take it."""
        votes = self.votes if self.votes.any() else None
        return FaceDataset(
            name, self.images, self.labels, self.split, self.ids, votes=votes, sha256=sha256, sources=self.sources
        )


@dataclass(frozen=True)
class Loss:
    """A row that was left out: its source and id, one of `REASONS`, and a detail."""

    source: str
    id: str
    reason: str
    detail: str = ""


@dataclass
class Ledger:
    """What each source gave, and which of it was left out."""

    given: dict[str, int] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)

    def without(self, rows: Rows, lost: Bool, reason: str, details: Any = None) -> Rows:
        """The rows that stay; those of the mask are written down.

        Args:
            rows: all rows.
            lost: bool (N,), which of them go.
            reason: one of `REASONS`.
            details: a sentence for each row, or None.
        """
        assert reason in REASONS
        for row in np.flatnonzero(lost):
            detail = "" if details is None else str(details[row])
            self.losses.append(Loss(str(rows.sources[row]), str(rows.ids[row]), reason, detail))
        # All pictures would be copied for nothing.
        return rows[~lost] if lost.any() else rows

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows left out by source and reason, in the order of `REASONS`."""
        table: dict[str, dict[str, int]] = {source: {} for source in self.given}
        for reason in REASONS:
            for loss in self.losses:
                if loss.reason == reason:
                    row = table.setdefault(loss.source, {})
                    row[reason] = row.get(reason, 0) + 1
        return table
