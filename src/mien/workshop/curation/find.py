"""Everything that can be found wrong with a data set, as one table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.artifact import store
from mien.artifact.artifact import Artifact
from mien.errors import DataError
from mien.images.pictures import to_grey
from mien.labels import SEVEN
from mien.workshop.curation import copies, lettering, mislabelled, near, noface, quality, sizes
from mien.workshop.curation.alike import nearest
from mien.workshop.curation.embedding import Embedder, Embedding, embed
from mien.workshop.curation.findings import Advance, Finding, Int64, number
from mien.workshop.curation.foretold import foretell
from mien.workshop.curation.groups import stars
from mien.workshop.curation.issues import IssueTable
from mien.workshop.data.base import NO_LABEL, FaceDataset
from mien.workshop.data.splits import picture_groups

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

Step = Callable[[str], Advance]
"""Told the name of a step that begins; gives what is told how far it is."""

KNOWS_FER2013 = (
    "the embeddings of {model} know FER2013's labels and the FER+ votes of its Training rows, on which it was trained: "
    "on FER2013 suggestions are not independent of either; --model takes another artifact"
)


def find_issues(dataset: FaceDataset, artifact: Artifact, *, data: Path, step: Step | None = None) -> IssueTable:
    """Look for all kinds of issues.

    Args:
        dataset: any; its votes are not looked at.
        artifact: the model by whose embedding pictures are compared.
        data: where the data set was read from.
        step: shows progress.

    Raises:
        DataError: the data set is empty.
        ArtifactError: the model's graph cannot be used.
        MissingExtraError: without onnx, scikit-learn or cleanlab.
    """
    if not len(dataset):
        raise DataError(f"{data}: the data set is empty: expected at least one picture")
    search = _Search(dataset, artifact, step or (lambda name: lambda done, total: None))
    findings = [*search.copies(), *search.near(), *search.labels(), *search.faceless(), *search.quality()]
    findings += _sizes(dataset, data, search.notes)
    issues = number(findings)
    rows = np.unique(np.array([row for issue in issues for row in issue.rows], np.int64))
    manifest = artifact.manifest
    return IssueTable(
        issues,
        str(Path(data).resolve()),
        dataset.name,
        dataset.sha256,
        len(dataset),
        {int(row): str(dataset.ids[row]) for row in rows},
        f"{manifest.name} {manifest.version}",
        datetime.now(UTC).isoformat(timespec="seconds"),
        SEVEN,
        rows,
        search.foretold[rows],
        search.neighbours[rows],
        tuple(search.notes),
    )


@dataclass
class _Search:
    """What several finders need, made once: grey pictures, identical groups, embedding, neighbours, probabilities."""

    dataset: FaceDataset
    artifact: Artifact
    step: Step
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        images = self.dataset.images
        self.grey: UInt8 = images if images.ndim == 3 else np.stack([to_grey(image) for image in images])
        self.groups: Int64 = picture_groups(self.dataset)
        self.firsts: Int64 = np.unique(self.groups)
        self.embedder = Embedder(self.artifact)
        self.embedding: Embedding = embed(self.dataset, self.embedder, advance=self.step("embedding"))
        self.neighbours, self.cosines = self._nearest()
        self.together = self.groups.copy()
        self.foretold: Float32 = np.zeros((len(self.dataset), len(SEVEN)), np.float32)
        self.notes.append(KNOWS_FER2013.format(model=self.artifact.manifest.name))

    def _nearest(self) -> tuple[Int64, Float32]:
        """Rows of the nearest pictures (N, J) with their cosines; identical pictures are no neighbours."""
        places, cosines = nearest(self.embedding.vectors[self.firsts], advance=self.step("neighbours"))
        place = np.searchsorted(self.firsts, self.groups)
        rows = np.where(places >= 0, self.firsts[places], -1)
        return rows[place], cosines[place]

    def copies(self) -> list[Finding]:
        return copies.find_copies(self.groups, self.dataset.labels, self.dataset.split)

    def near(self) -> list[Finding]:
        """Near duplicates; from then on their rows count as of one group."""
        firsts = self.firsts
        places = np.where(self.neighbours[firsts] >= 0, np.searchsorted(firsts, self.neighbours[firsts]), -1)
        grey, advance = self.grey[firsts], self.step("near duplicates")
        pairs = near.near_pairs(grey, near.by_hash_and_model(grey, places, self.cosines[firsts]), advance=advance)
        pairs = near.Pairs(firsts[pairs.rows], pairs.similarity, pairs.mirrored)
        for star in stars(pairs.rows):
            self.together[np.isin(self.groups, star)] = star.min()
        return near.find_near(pairs, self.groups, self.dataset.labels, self.dataset.split)

    def labels(self) -> list[Finding]:
        labels = self.dataset.labels
        if len(np.unique(labels[labels != NO_LABEL])) < 2:
            self.notes.append("no labels were doubted: that needs rows of at least two classes")
            return []
        advance = self.step("labels")
        self.foretold = foretell(self.embedding.vectors, labels, self.together, classes=len(SEVEN), advance=advance)
        named = np.array([SEVEN.index(name) if name in SEVEN else -1 for name in self.embedder.head.labels])
        opinion = named[self.embedding.logits.argmax(axis=1)]
        evidence = mislabelled.Evidence(self.foretold, self.neighbours, opinion)
        return mislabelled.find_mislabelled(labels, evidence)

    def faceless(self) -> list[Finding]:
        detectors = [(noface.haar(), noface.HAAR_WEIGHT)]
        path = store.find(store.YUNET)
        if path:
            detectors.append((noface.yunet(str(path)), noface.YUNET_WEIGHT))
        seen_by = "Haar's cascade and YuNet" if path else "Haar's cascade; YuNet's file is not there"
        self.notes.append(f"pictures without a face: suspects were looked at by {seen_by}")
        judged = noface.judge(
            self.grey, self.embedding, self._embed_made, tuple(detectors), advance=self.step("pictures without a face")
        )
        return noface.find_faceless(judged)

    def _embed_made(self, made: UInt8) -> Embedding:
        """The embedding of made pictures, through the cache too."""
        rows = len(made)
        sheet = FaceDataset(
            "made", made, np.full(rows, NO_LABEL, np.int64), np.zeros(rows, np.int8), np.arange(rows).astype(np.str_),
            sha256=hashlib.sha256(made.tobytes()).hexdigest(),
        )  # fmt: skip
        return embed(sheet, self.embedder, advance=self.step("made pictures"))

    def quality(self) -> list[Finding]:
        self.step("light, focus, lettering")
        return [*quality.find_poor(quality.measure(self.grey)), *lettering.find_lettering(self.grey)]


def _sizes(dataset: FaceDataset, data: Path, notes: list[str]) -> list[Finding]:
    found = sizes.find_small_classes(dataset.labels)
    root = Path(data)
    if root.is_dir() and len(dataset) and (root / str(dataset.ids[0])).is_file():
        return [*found, *sizes.find_odd_sizes(root, dataset.ids.tolist())]
    notes.append("sizes were not looked at: all pictures of this data set are of one size")
    return found
