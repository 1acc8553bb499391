"""The data card: what a built data set holds, where it comes from, what was left out, and what it is not."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from mien import __version__
from mien.labels import SEVEN
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.gathering import Opened
from mien.workshop.data.recipes.recipe import LoadedRecipe, Source
from mien.workshop.data.recipes.rows import Ledger, Rows

FORMAT = 1
FEW = 50
"""A class with fewer test faces is measured roughly only; the card says so."""

NOT_FEELINGS = (
    "Labels say which expression people saw in a face, not what the person felt: people express themselves "
    "differently, and a picture shows one moment."
)


def make_card(
    loaded: LoadedRecipe,
    rows: Rows,
    ledger: Ledger,
    opened: Mapping[str, Opened],
    *,
    conflicts: int,
    detector: str,
    fingerprint: str,
) -> dict[str, Any]:
    """Everything that the card says, as plain values; the hashes of the files are added when they are written.

    Args:
        loaded: the recipe.
        rows: what was kept.
        ledger: what was not.
        opened: the sources.
        conflicts: groups of equal pictures with different labels.
        detector: which found the faces, empty if none was asked.
        fingerprint: of the recipe and the content of its sources.
    """
    recipe = loaded.recipe
    lost = ledger.counts()
    return {
        "format": FORMAT,
        "name": recipe.name,
        "version": recipe.version,
        "title": recipe.title or recipe.name,
        "description": recipe.description.strip(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "mien": __version__,
        "fingerprint": fingerprint,
        "rows": len(rows),
        "picture": {"height": rows.images.shape[1], "width": rows.images.shape[2], "channels": recipe.output.channels},
        "counts": {source.name: _counts(rows, source.name) for source in recipe.sources},
        "sources": [_about(source, rows, ledger, lost, opened) for source in recipe.sources],
        "train_on": list(recipe.train_on),
        "detector": detector,
        "duplicates": {
            "find": recipe.duplicates.find,
            "keep": recipe.duplicates.keep,
            "groups_with_several_labels": conflicts,
            "rows_left_out": sum(row.get("duplicate", 0) + row.get("leak", 0) for row in lost.values()),
        },
        "with_votes": int(rows.votes.any(axis=1).sum()),
        "persons": len(np.unique(rows.persons[rows.persons != ""])),
        "limits": [*recipe.limits, *_limits(loaded, rows, conflicts)],
        "recipe": loaded.text,
    }


def _counts(rows: Rows, source: str) -> dict[str, dict[str, int]]:
    """Faces of a source by split and class."""
    mine = rows.sources == source
    return {
        split: {
            name: int((mine & (rows.split == part) & (rows.labels == label)).sum()) for label, name in enumerate(SEVEN)
        }
        for part, split in enumerate(SPLITS)
    }


def _about(
    source: Source, rows: Rows, ledger: Ledger, lost: Mapping[str, Mapping[str, int]], opened: Mapping[str, Opened]
) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "licence": source.licence,
        "citation": source.citation,
        "url": source.url,
        "note": source.note.strip(),
        "sha256": opened[source.name].stamp if source.name in opened else "",
        "given": ledger.given.get(source.name, 0),
        "kept": int((rows.sources == source.name).sum()),
        "left_out": dict(lost.get(source.name, {})),
    }


def _limits(loaded: LoadedRecipe, rows: Rows, conflicts: int) -> list[str]:
    """What can be told from the rows themselves."""
    recipe = loaded.recipe
    said = [NOT_FEELINGS]
    unclear = [source.name for source in recipe.sources if "unknown" in source.licence.lower()]
    if unclear:
        said.append(
            f"The rights in the pictures of {', '.join(unclear)} are not known, wholly or in part: do not pass the "
            "pictures on, and clear the rights before a product depends on them."
        )
    faceless = [s.name for s in recipe.sources if s.kind != "synthetic" and not _knows_persons(rows, s.name)]
    if faceless:
        said.append(
            f"{', '.join(faceless)} does not say who is who: other photographs of one person may stand on "
            "several sides."
        )
    for part in ("train", "test"):
        counts = np.bincount(rows.labels[rows.split == SPLITS.index(part)], minlength=len(SEVEN))
        none = [SEVEN[label] for label in np.flatnonzero(counts == 0)]
        few = [f"{SEVEN[label]} ({counts[label]})" for label in np.flatnonzero((counts > 0) & (counts < FEW))]
        if none:
            said.append(f"No face in {part}: {', '.join(none)}.")
        if few:
            said.append(f"Fewer than {FEW} faces in {part}: {', '.join(few)}. Figures for these classes are rough.")
    if conflicts and recipe.duplicates.conflicts == "keep":
        said.append(f"{conflicts:,} groups of equal pictures had several labels; the picture that stays keeps its own.")
    made = sum(int((rows.sources == source.name).sum()) for source in recipe.sources if source.kind == "synthetic")
    if made:
        said.append(f"{made:,} training rows are worse copies of other training rows: they show no new face.")
    return said


def _knows_persons(rows: Rows, source: str) -> bool:
    """Whether nearly all rows of a source have a person."""
    mine = rows.persons[rows.sources == source]
    return bool(len(mine) == 0 or (mine != "").mean() > 0.9)
