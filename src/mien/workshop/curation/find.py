"""Everything that can be found wrong with a data set, as one table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mien.arrays import Float32, Int64, UInt8
from mien.artifact import store
from mien.artifact.artifact import Artifact, load_artifact
from mien.artifact.catalog import resolve
from mien.errors import DataError
from mien.images.pictures import to_grey
from mien.labels import SEVEN
from mien.workshop.curation import copies, mislabelled, noface, quality
from mien.workshop.curation.issues import Finding, IssueTable, number
from mien.workshop.curation.similarity import Embedder, Embedding, embed, nearest
from mien.workshop.curation.table import require_free_table, write_table
from mien.workshop.data.base import NO_LABEL, FaceDataset, picture_groups
from mien.workshop.data.factory import LoadOptions, load_dataset
from mien.workshop.data.layouts.codings import Classes
from mien.workshop.progress import OnStage, no_stage
from mien.workshop.reports.curation_page import write_page

KNOWS_FER2013 = (
    "{model} was trained on FER2013's labels and the FER+ votes of its Training rows, and its embeddings reflect them: "
    "on FER2013 suggestions are not independent of either; --model takes another artifact"
)


def curate(
    data: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    page: bool = True,
    overwrite: bool = False,
    classes: Classes | None = None,
    on_stage: OnStage = no_stage,
) -> tuple[IssueTable, list[Path]]:
    """Find copies, doubtful labels and bad pictures of a data set, and write them as a table. The data stays as it is.

    Args:
        data: what `load_dataset` reads.
        out: the table, .csv or .parquet; a .json and an .npz are written beside it.
        model: a bundled name or an artifact's folder, to compare pictures by; the default model for None.
        page: write an .html page with the pictures, too.
        overwrite: replace files that are there.
        classes: what names or numbers of the data's classes mean, as `LoadOptions` has it.
        on_stage: hears of each stage.

    Returns:
        The table, and the files that were written.

    Raises:
        DataError: the data set is empty, or not what it should be.
        OutputError: a file is there already.
        MissingExtraError: without onnx, scikit-learn or cleanlab.
    """
    out, source = Path(out), Path(data)
    require_free_table(out, overwrite=overwrite)
    artifact = load_artifact(resolve(None if model is None else str(model)))
    on_stage("reading the data set")
    dataset = load_dataset(source, LoadOptions(classes or {}))
    table = find_issues(dataset, artifact, data=source, on_stage=on_stage)
    read = dataset.origin.lines if dataset.origin else ()
    table = replace(table, mapping=dict(classes or {}), notes=(*read, *table.notes))
    # Whether that may be was asked at the start.
    files = write_table(table, out, overwrite=True)
    if page:
        on_stage("page")
        files.append(write_page(table, dataset, out))
    else:
        # An older page would show what this table does not hold.
        out.with_suffix(".html").unlink(missing_ok=True)
    return table, files


def find_issues(dataset: FaceDataset, artifact: Artifact, *, data: Path, on_stage: OnStage = no_stage) -> IssueTable:
    """Find all kinds of issues of a data set that was read from `data`; see `curate`. Its votes are not used.

    Raises:
        ArtifactError: the model's graph cannot be used.
    """
    if not len(dataset):
        raise DataError(f"{data}: the data set is empty: expected at least one picture")
    search = _Search(dataset, artifact, on_stage)
    # Near copies before labels: `together` keeps a picture from being judged by a model that learned its copy.
    findings = [*search.copies(), *search.near(), *search.labels(), *search.faceless(), *search.quality()]
    findings += _sizes(dataset, data, search.notes)
    issues = number(findings)
    rows = np.unique(np.array([row for issue in issues for row in issue.rows], np.int64))
    manifest = artifact.manifest
    return IssueTable(
        issues, str(Path(data).resolve()), dataset.name, dataset.sha256, len(dataset),
        {int(row): str(dataset.ids[row]) for row in rows}, f"{manifest.name} {manifest.version}",
        datetime.now(UTC).isoformat(timespec="seconds"), SEVEN,
        rows, search.out_of_fold[rows], search.neighbours[rows], tuple(search.notes),
    )  # fmt: skip


@dataclass
class _Search:
    """What several finders need, computed once: grey pictures, groups, embedding, neighbours, probabilities."""

    dataset: FaceDataset
    artifact: Artifact
    on_stage: OnStage
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        images = self.dataset.images
        self.grey: UInt8 = images if images.ndim == 3 else np.stack([to_grey(image) for image in images])
        self.groups: Int64 = picture_groups(self.dataset.images)
        # One of each group of identical pictures, or the nearest neighbours would be nothing but copies.
        self.firsts: Int64 = np.unique(self.groups)
        self.embedder = Embedder(self.artifact)
        self.embedding: Embedding = embed(self.dataset, self.embedder, on_progress=self.on_stage("embedding"))
        self.neighbours, self.cosines = self._nearest()
        self.together = self.groups.copy()
        self.out_of_fold: Float32 = np.zeros((len(self.dataset), len(SEVEN)), np.float32)
        self.notes.append(KNOWS_FER2013.format(model=self.artifact.manifest.name))

    def _nearest(self) -> tuple[Int64, Float32]:
        """Rows of the nearest pictures (N, J) with their cosines; identical pictures are no neighbours."""
        places, cosines = nearest(self.embedding.vectors[self.firsts], on_progress=self.on_stage("neighbours"))
        place = np.searchsorted(self.firsts, self.groups)
        rows = np.where(places >= 0, self.firsts[places], -1)
        return rows[place], cosines[place]

    def copies(self) -> list[Finding]:
        return copies.find_copies(self.groups, self.dataset.labels, self.dataset.split)

    def near(self) -> list[Finding]:
        """Near duplicates; from here on their rows count as one group."""
        firsts = self.firsts
        places = np.where(self.neighbours[firsts] >= 0, np.searchsorted(firsts, self.neighbours[firsts]), -1)
        grey, on_progress = self.grey[firsts], self.on_stage("near duplicates")
        pairs = copies.near_pairs(
            grey, copies.by_hash_and_model(grey, places, self.cosines[firsts]), on_progress=on_progress
        )
        pairs = copies.Pairs(firsts[pairs.rows], pairs.similarity, pairs.mirrored)
        for star in copies.stars(pairs.rows):
            # All identical rows with them: a star names only the first of each.
            self.together[np.isin(self.groups, star)] = star.min()
        return copies.find_near(pairs, self.groups, self.dataset.labels, self.dataset.split)

    def labels(self) -> list[Finding]:
        labels = self.dataset.labels
        if len(np.unique(labels[labels != NO_LABEL])) < 2:
            self.notes.append("labels were not checked: that needs rows of at least two classes")
            return []
        on_progress = self.on_stage("labels")
        self.out_of_fold = mislabelled.predict_out_of_fold(
            self.embedding.vectors, labels, self.together, classes=len(SEVEN), on_progress=on_progress
        )
        # A model may know contempt, which is no label here.
        named = np.array([SEVEN.index(name) if name in SEVEN else -1 for name in self.embedder.head.labels])
        predicted = named[self.embedding.logits.argmax(axis=1)]
        evidence = mislabelled.Evidence(self.out_of_fold, self.neighbours, predicted)
        return mislabelled.find_mislabelled(labels, evidence)

    def faceless(self) -> list[Finding]:
        detectors = [(noface.haar(), noface.HAAR_WEIGHT)]
        path = store.find(store.YUNET)
        if path:
            detectors.append((noface.yunet(str(path)), noface.YUNET_WEIGHT))
        seen_by = "Haar's cascade and YuNet" if path else "Haar's cascade; YuNet's file is missing"
        self.notes.append(f"pictures without a face: suspects were checked by {seen_by}")
        on_progress = self.on_stage("pictures without a face")
        judged = noface.judge(self.grey, self.embedding, self._embed_made, tuple(detectors), on_progress=on_progress)
        return noface.find_faceless(judged)

    def _embed_made(self, made: UInt8) -> Embedding:
        """The embedding of made pictures, through the cache too."""
        rows = len(made)
        sheet = FaceDataset(
            "made", made, np.full(rows, NO_LABEL, np.int64), np.zeros(rows, np.int8), np.arange(rows).astype(np.str_),
            sha256=hashlib.sha256(made.tobytes()).hexdigest(),
        )  # fmt: skip
        return embed(sheet, self.embedder, on_progress=self.on_stage("made pictures"))

    def quality(self) -> list[Finding]:
        self.on_stage("light, focus, lettering")
        return [*quality.find_poor(quality.measure(self.grey)), *quality.find_lettering(self.grey)]


def _sizes(dataset: FaceDataset, data: Path, notes: list[str]) -> list[Finding]:
    found = quality.find_small_classes(dataset.labels)
    # Ids are files only where the data set is a folder of pictures.
    root = Path(data)
    if root.is_dir() and len(dataset) and (root / str(dataset.ids[0])).is_file():
        return [*found, *quality.find_odd_sizes(root, dataset.ids.tolist())]
    notes.append("sizes were not checked: all pictures of this data set are of one size")
    return found
