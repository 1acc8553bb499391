"""Builds a data set by a recipe, from its sources to the finished folder."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from mien.errors import DataError, OutputError
from mien.faces.detectors import create_detector
from mien.files import replacing, write_whole
from mien.images import pictures as images
from mien.labels import SEVEN
from mien.workshop.data import lists
from mien.workshop.data.base import SPLITS, csv_bytes
from mien.workshop.data.built import CARD, COLUMNS, PACKED, TABLE
from mien.workshop.data.recipes.card import card_blocks, lead, make_card
from mien.workshop.data.recipes.reading import Opened, Progress, gather, open_sources
from mien.workshop.data.recipes.recipe import Ledger, LoadedRecipe, Recipe, Rows, load_recipe
from mien.workshop.data.recipes.selecting import (
    balanced,
    filtered,
    find_conflicts,
    find_groups,
    keep_one,
    split_rows,
    trained_on,
    with_synthetic,
)
from mien.workshop.progress import OnProgress, OnStage, no_stage
from mien.workshop.reports.document import pictures, to_html, to_markdown

LEFT_OUT = "left-out.csv"
_LONGEST_NAME = 100
_STEP = 512


@dataclass(frozen=True)
class Built:
    """A finished data set: its folder, its card, and whether it had been there already."""

    folder: Path
    card: dict[str, Any]
    found: bool = False


@dataclass(frozen=True)
class BuildOptions:
    """How a data set is built.

    Args:
        resume: take a finished folder of the same recipe and sources as it is.
        overwrite: replace a folder that is there, once the new one is finished.
        jobs: threads.
    """

    resume: bool = False
    overwrite: bool = False
    jobs: int = 2


def build_dataset(
    recipe: Path | str,
    data: Mapping[str, Path] = MappingProxyType({}),
    out: Path | str | None = None,
    options: BuildOptions = BuildOptions(),
    *,
    train_on: Sequence[str] = (),
    on_stage: OnStage = no_stage,
) -> Built:
    """Build a data set from several sources; the same call resumes a build that was stopped.

    Args:
        recipe: a TOML file, or the name of a recipe that comes with Mien.
        data: where each source of the recipe is, by name.
        out: the new folder; the recipe's name for None.
        options: what becomes of a folder that is there, and how many threads work.
        train_on: train on these sources alone; the other splits stay.
        on_stage: hears of each stage.

    Raises:
        ConfigError: the recipe is wrong, or the folder is there or cannot be written.
        DataError: a source is not what it should be, or no face is left.
    """
    loaded = load_recipe(str(recipe), dict(data), train_on=tuple(train_on))
    running: dict[str, OnProgress] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in running:
            running[stage] = on_stage(stage)
        running[stage](done, total)

    return build(loaded, Path(out or loaded.recipe.name), options, progress)


def build(loaded: LoadedRecipe, out: Path, options: BuildOptions, progress: Progress) -> Built:
    """As `build_dataset`, of a recipe that was loaded.

    Pieces that were read are kept in a folder beside `out` until all is done; the result appears as a whole.
    """
    # Asked before the sources are opened, which takes a while.
    _require_place(out, options)
    opened = open_sources(loaded)
    try:
        detector = _detector_name(loaded.recipe)
        fingerprint = _fingerprint(loaded.recipe, opened, detector)
        # Beside the result, on the same disk: a finished folder is renamed into place and not copied.
        work = out.parent / f".{out.name}.part"
        if out.exists() and not options.overwrite:
            found = _found(out, fingerprint)
            # Left by a build that was killed with the result in its place.
            shutil.rmtree(work, ignore_errors=True)
            return found
        try:
            work.mkdir(parents=True, exist_ok=True)
            return _make(loaded, opened, out, work, options, progress, detector, fingerprint)
        except OSError as error:
            raise OutputError(
                f"{out} cannot be written: {error.strerror or error}: what was read so far is kept in {work}, "
                "the same command resumes from there"
            ) from error
    finally:
        for one in opened.values():
            one.close()


def make_rows(
    recipe: Recipe, opened: Mapping[str, Opened], work: Path, ledger: Ledger, *, workers: int, progress: Progress
) -> tuple[Rows, int]:
    """All steps but the writing: the rows of the data set, and how many groups of equal pictures disagreed."""
    rows = gather(opened, recipe.output, work, ledger, workers=workers, progress=progress)
    # Before copies are searched for: flat pictures would all be copies of one another.
    rows = filtered(rows, recipe.filter, ledger)
    groups = find_groups(rows.images, recipe.duplicates, progress)
    rows = Rows(**{**vars(rows), "groups": groups})
    conflicts = find_conflicts(rows)
    if recipe.duplicates.conflicts == "drop":
        rows = ledger.without(rows, np.isin(rows.groups, conflicts), "conflict")
    if recipe.duplicates.keep == "one":
        rows = keep_one(rows, ledger)
    rows = split_rows(rows, recipe, ledger)
    # After the split: validation and test are the same whatever is trained on.
    rows = trained_on(rows, recipe.train_on, ledger)
    rows = balanced(rows, recipe.balance, recipe.seed, ledger)
    # Last, so that only faces that stay are copied.
    rows = with_synthetic(rows, recipe, ledger)
    if not len(rows):
        raise DataError(f"{recipe.name}: no face is left: {_where_they_went(ledger)}")
    if not (rows.split == SPLITS.index("train")).any() and not recipe.train_on:
        raise DataError(f"{recipe.name}: no face is left to train on: {_where_they_went(ledger)}")
    return rows, len(conflicts)


def _make(
    loaded: LoadedRecipe, opened: Mapping[str, Opened], out: Path, work: Path, options: BuildOptions,
    progress: Progress, detector: str, fingerprint: str,
) -> Built:  # fmt: skip
    pieces = work / f"pieces-{_reading_fingerprint(loaded.recipe, opened, detector)}"
    pieces.mkdir(exist_ok=True)
    ledger = Ledger()
    rows, conflicts = make_rows(loaded.recipe, opened, pieces, ledger, workers=options.jobs, progress=progress)
    card = make_card(loaded, rows, ledger, opened, conflicts=conflicts, detector=detector, fingerprint=fingerprint)
    final = Path(tempfile.mkdtemp(prefix="final-", dir=work))
    card["files"] = write_rows(rows, ledger, final, workers=options.jobs, progress=progress)
    write_card(card, final)
    # `mkdtemp` makes a folder for its owner alone.
    final.chmod(0o755)
    _put(final, out, work)
    shutil.rmtree(work, ignore_errors=True)
    return Built(out, card)


def write_card(card: dict[str, Any], folder: Path) -> None:
    """Write card.json, card.html and card.md with its picture."""
    blocks = card_blocks(card)
    write_whole(folder / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(folder / "card.html", to_html(card["title"], blocks, lead=lead(card)).encode())
    write_whole(folder / "card.md", to_markdown(card["title"], blocks, lead=lead(card)).encode())
    for name, png in pictures(blocks).items():
        write_whole(folder / name, png)


def _require_place(out: Path, options: BuildOptions) -> None:
    """Raise OutputError where nothing can be written, before the work begins."""
    if not out.name:
        raise OutputError(f"--out {out}: expected the name of a new folder")
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out} is a file: expected a folder")
    if out.exists() and not options.overwrite and not options.resume:
        raise OutputError(
            f"--out {out} already exists: choose another folder, add --overwrite to replace it, "
            "or --resume to keep it if it is finished"
        )
    if options.overwrite and out.exists() and any(out.iterdir()) and not (out / CARD).is_file():
        raise OutputError(f"--out {out} is not a built data set (it has no {CARD}), so it is not overwritten")


def _found(out: Path, fingerprint: str) -> Built:
    try:
        card = json.loads((out / CARD).read_text(encoding="utf-8"))
        same = card["fingerprint"] == fingerprint
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"--out {out} is not a built data set ({error}): choose another folder") from error
    if not same:
        raise OutputError(
            f"--out {out} was built by another recipe or from other data: add --overwrite to replace it, "
            "or choose another folder"
        )
    return Built(out, card, found=True)


def _put(final: Path, out: Path, work: Path) -> None:
    """The finished folder in its place; the older one goes last."""
    old = work / "old"
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        # A folder cannot be renamed onto one that holds files.
        out.rename(old)
    try:
        final.rename(out)
    except OSError:
        # The older data set goes back to its place.
        if old.exists():
            old.rename(out)
        raise


def _detector_name(recipe: Recipe) -> str:
    """The detector that raw photographs of the recipe need, or nothing."""
    if not any(source.detect for source in recipe.sources):
        return ""
    return create_detector(recipe.output.detector).name


def _fingerprint(recipe: Recipe, opened: Mapping[str, Opened], detector: str) -> str:
    listed = [lists.find_list(name).sha256 for name in recipe.filter.drop_lists]
    parts = [recipe.model_dump_json(), detector, *(one.stamp for one in opened.values()), *listed]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reading_fingerprint(recipe: Recipe, opened: Mapping[str, Opened], detector: str) -> str:
    """Of what decides the pieces alone: another balance, say, needs no picture to be read again."""
    settings = [(s.name, s.kind, s.detect, s.several, s.every_s) for s in recipe.sources]
    parts = [repr(settings), recipe.output.model_dump_json(), detector, *(one.stamp for one in opened.values())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _where_they_went(ledger: Ledger) -> str:
    """What became of all rows, in words."""
    counts: dict[str, int] = {}
    for row in ledger.counts().values():
        for reason, count in row.items():
            counts[reason] = counts.get(reason, 0) + count
    given = sum(ledger.given.values())
    return f"{given:,} were given, left out: {', '.join(f'{n:,} {reason}' for reason, n in counts.items()) or 'none'}"


def write_rows(rows: Rows, ledger: Ledger, folder: Path, *, workers: int, progress: Progress) -> dict[str, str]:
    """Write pictures, table, packed pictures and the list of what was left out.

    Returns:
        SHA-256 of the table and of the packed pictures, by file name.

    Raises:
        OSError: the disk is full, or not to be written to.
    """
    files = file_names(rows)
    for place in {PurePosixPath(name).parent for name in files}:
        (folder / place).mkdir(parents=True, exist_ok=True)

    def write(start: int) -> int:
        for name, picture in zip(files[start : start + _STEP], rows.images[start : start + _STEP], strict=True):
            (folder / name).write_bytes(images.encode(picture))
        return start

    # Threads: OpenCV encodes outside of Python's lock.
    with ThreadPoolExecutor(workers) as pool:
        for start in pool.map(write, range(0, len(rows), _STEP)):
            progress("write", min(start + _STEP, len(rows)), len(rows))
    table = _table(rows, files)
    write_whole(folder / TABLE, table)
    with replacing(folder / PACKED) as file:
        np.savez(file, allow_pickle=False, files=np.array(files, np.str_), images=rows.images)
    write_whole(folder / LEFT_OUT, _left_out(ledger))
    with (folder / PACKED).open("rb") as file:
        packed = hashlib.file_digest(file, "sha256").hexdigest()
    return {TABLE: hashlib.sha256(table).hexdigest(), PACKED: packed}


def file_names(rows: Rows) -> list[str]:
    """A name of its own for each row's picture: `images/train/happy/<source>-<id>.png`."""
    names: list[str] = []
    taken: set[str] = set()
    for split, label, source, one in zip(rows.split, rows.labels, rows.sources, rows.ids, strict=True):
        # `#` and `@` begin what a copy or a frame adds to the name of its file.
        stem = re.sub(r"\.(?:png|jpe?g|bmp|webp|tiff?)(?=$|[#@])", "", str(one), flags=re.IGNORECASE)
        # A dot or underscore in front would hide the picture from readers of folders.
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{source}-{stem}").strip("._")[-_LONGEST_NAME:]
        base = f"images/{SPLITS[split]}/{SEVEN[label]}/{plain}"
        name, number = base, 1
        # Windows and macOS take names that differ by case for one file.
        while name.lower() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        names.append(f"{name}.png")
    return names


def _table(rows: Rows, files: list[str]) -> bytes:
    lines: list[Sequence[Any]] = [COLUMNS]
    for row, file in enumerate(files):
        x1, y1, x2, y2 = rows.boxes[row].tolist()
        box = ["", "", "", ""] if np.isnan(x1) else [f"{value:.1f}" for value in (x1, y1, x2 - x1, y2 - y1)]
        votes = rows.votes[row].tolist() if rows.votes[row].any() else [""] * rows.votes.shape[1]
        lines.append([
            file, SEVEN[rows.labels[row]], SPLITS[rows.split[row]], rows.sources[row], rows.ids[row],
            rows.persons[row], rows.clips[row], int(rows.groups[row]), *box, *votes,
        ])  # fmt: skip
    return csv_bytes(lines)


def _left_out(ledger: Ledger) -> bytes:
    lines = [[loss.source, loss.id, loss.reason, loss.detail] for loss in ledger.losses]
    return csv_bytes([["source", "id", "reason", "detail"], *lines])
