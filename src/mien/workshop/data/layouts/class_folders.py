"""Pictures or videos in folders by class, in splits or not: the form in which most copies are handed around.

    train/happy/…  val/happy/…  test/happy/…      in splits: train(ing), val(id)(ation), test, or FER2013's Usages
    happy/…  Sadness/…  0/…                       without: all rows train, and evaluation tests all of them
    images/train/happy/…   archive/images/…       wrapped: up to three folders around the above

| part | read as |
|---|---|
| name of a class | a word of `labels.EIGHT` or another word for one (`Anger`, `Surprised`, `fearful`), in any case |
| number of a class | by FER2013's coding (0–6), AffectNet's (all of 0–7) or RAF-DB's (all of 1–7): `codings` |
| `PublicTest_….png` in a test folder | validation, as the folder form of FER2013 marks its two test splits |
| folders below a class | the frames of one clip each |
| videos | each is a clip with one label, where there are no pictures |

So are handed out: FER2013 (Kaggle: msambare/fer2013, jonathanoheix's with `images/train`), FER+ by split, AffectNet by
numbers or words, CK+48, VFEM-like folders, and many more. Contempt has no place in a data set of seven classes; its
faces are kept for the head of eight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mien.errors import DataError
from mien.labels import ALIASES, EIGHT
from mien.workshop.data.base import SPLIT_NAMES
from mien.workshop.data.file_tree import FileTree, count_endings, is_picture, is_video
from mien.workshop.data.layouts.codings import LEFT_OUT, Classes, Reading, read_classes, to_label
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, counted, place

WRAPPERS = 3
"""Folders around the data set that are looked through."""

PUBLIC = "publictest_"
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "readme", "readme.md", "readme.txt", "license", "license.txt"})
"""Files that no one misses."""


def find_class_folders(files: FileTree, classes: Collection[str] = ()) -> str | None:
    """The folder that holds splits or classes, also ones of these names."""

    def fits(name: str) -> bool:
        return name in classes or _is_split(name) or _is_class(name)

    root = ""
    for _ in range(WRAPPERS + 1):
        tops = _folders(files.samples, root)
        if any(map(fits, tops)):
            return root
        # Beside folders of other things there may be one that goes on.
        deeper = [top for top in tops if any(map(fits, _folders(files.samples, f"{root}{top}/")))]
        following = deeper or list(tops)
        if len(following) != 1:
            return None
        root = f"{root}{following[0]}/"
    return None


def read_class_folders(files: FileTree, root: str, classes: Classes | None = None) -> Listing:
    """List the pictures, or where there are none the videos, of folders by class.

    Args:
        files: the tree.
        root: where splits or classes begin.
        classes: names or numbers with a label each; they come before all that is known.

    Raises:
        DataError: a folder beside splits is no split, one beside classes no class, or numbers follow no known coding.
    """
    pile = _Pile(files, root, classes or {})
    names = files.below(root)
    kind = is_picture if any(map(is_picture, names)) else is_video
    found = [name for name in names if kind(name)]
    splits = {top for top in _folders(found, root) if _is_split(top)}
    if splits:
        pile.refuse_beside(splits, _folders(found, root))
    for name in found:
        parts = name.removeprefix(root).split("/")
        if splits:
            pile.add(name, parts[1:], SPLIT_NAMES[parts[0].lower()] if len(parts) > 1 else "")
        else:
            pile.add(name, parts, "train" if len(parts) > 1 else "")
    read = set(found)
    others = [name for name in files.names if name not in read]
    return pile.listing(others, videos=kind is is_video, splits=bool(splits))


@dataclass
class _Pile:
    """Samples as they come, with what is passed over."""

    files: FileTree
    root: str
    classes: Mapping[str, str]
    found: list[tuple[str, str, str, list[str]]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def refuse_beside(self, splits: set[str], tops: Iterable[str]) -> None:
        for top in tops:
            if top not in splits:
                raise DataError(
                    f"{place(self.files, self.root + top)}: not a split: beside {min(splits)}/ expected "
                    f"{', '.join(SPLIT_NAMES)}"
                )

    def add(self, name: str, parts: list[str], split: str) -> None:
        """A file in the folders `parts[:-1]`, the first of which is its class."""
        if not split or len(parts) < 2:
            self.outside.append(name)
            return
        if split == "test" and parts[-1].lower().startswith(PUBLIC):
            split = "validation"
        self.found.append((name, parts[0].strip(), split, parts[1:-1]))

    def listing(self, others: list[str], *, videos: bool, splits: bool) -> Listing:
        words = list(dict.fromkeys(word for _, word, _, _ in self.found))
        reading = self._read(words)
        labels = reading.labels
        samples = [
            Sample(name, labels[word], split, clip=self._clip(name, between, videos=videos))
            for name, word, split, between in self.found
            if labels[word] != LEFT_OUT
        ]
        notes = [*reading.notes]
        left_out = Counter(word for _, word, _, _ in self.found if labels[word] == LEFT_OUT)
        notes += [f"{counted(count, 'file')} of {word} left out, as given." for word, count in left_out.items()]
        contempt = sum(sample.label == EIGHT[-1] for sample in samples)
        if contempt:
            notes.append(contempt_note(contempt))
        passed = [name for name in [*self.outside, *others] if PurePosixPath(name).name.lower() not in CLUTTER]
        if passed:
            notes.append(f"{counted(len(passed), 'file')} passed over: {count_endings(passed)}.")
        detail = f"{'videos' if videos else 'pictures'} by class{', in splits' if splits else ''}"
        return Listing(
            tuple(samples),
            crops=not videos,
            detail=detail,
            notes=tuple(notes),
            coding=reading.coding,
            splits="own" if splits else "none",
        )

    def _clip(self, name: str, between: list[str], *, videos: bool) -> str:
        if videos:
            return name
        return name.rpartition("/")[0] if between else ""

    def _read(self, words: list[str]) -> Reading:
        """What each folder's name means."""
        name, where = self.files.path.resolve().name, place(self.files, self.root)
        reading = read_classes(words, name, self.classes, where=where, what="folders")
        for word, label in reading.labels.items():
            if not label:
                raise DataError(
                    f"{self._place(word)}: {word!r} is not a class: expected {', '.join(EIGHT)}, FER2013's numbers "
                    f"0–6, another word for one of them ({', '.join(ALIASES)}), or splits (train, validation, test); "
                    f"--classes {word}=LABEL says what it is, and --classes {word}={LEFT_OUT} leaves it out"
                )
        return reading

    def _place(self, word: str) -> str:
        """Where a class is, for messages."""
        name = next(name for name, found, _, _ in self.found if found == word)
        parts = name.split("/")
        return place(self.files, "/".join(parts[: [part.strip() for part in parts].index(word) + 1]))


def contempt_note(count: int) -> str:
    """What becomes of faces labelled contempt."""
    return (
        f"{counted(count, 'face')} labelled contempt: not one of the seven classes; only a head with eight is "
        "evaluated on them."
    )


def _folders(names: Iterable[str], root: str) -> dict[str, None]:
    """The folders directly below the root that hold pictures or videos, in order."""
    below = (
        name.removeprefix(root) for name in names if name.startswith(root) and (is_picture(name) or is_video(name))
    )
    return dict.fromkeys(name.partition("/")[0] for name in below if "/" in name)


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_NAMES


def _is_class(name: str) -> bool:
    """Whether a folder may be called after a class, by word or number."""
    bare = name.strip()
    return bool(to_label(bare)) or (bare.isdecimal() and len(bare) == 1)


FOLDERS = Layout("folders", "pictures by class", find_class_folders, read_class_folders, clips="whole")
