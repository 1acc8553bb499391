"""Photos the whole way: what the detector found, and the scores with every face that it missed as an error."""

from __future__ import annotations

from html import escape

import numpy as np

from mien.html import html_table
from mien.labels import SEVEN
from mien.workshop.evaluation.scores import Evaluation, PhotoEvaluation, PhotoScores, SetScores
from mien.workshop.reports.evaluation.words import decimal, percent, plural, ranged


def photo_section(evaluation: Evaluation, found: PhotoEvaluation) -> str:
    """Two tables: the scores two ways, and which classes' faces were missed."""
    faces = found.faces
    sets = {scores.faces.key: scores for scores in evaluation.sets}
    rows = [row for scores in found.scores for row in _rows(sets[scores.key], scores)]
    names = ("head", "photos", "rows", "accuracy %", "mean recall %")
    small, middle, large = np.percentile(faces.height_px, [5, 50, 95])
    missed = [(name, int((faces.missed == k).sum())) for k, name in enumerate(SEVEN)]
    listed = ", ".join(f"{plural(count, 'photo')} labelled {escape(name)}" for name, count in missed if count)
    return (
        f"<p>Detector <b>{escape(faces.detector)}</b> found a face in <b>{len(faces.dataset):,}</b> of "
        f"{plural(faces.photos, 'photo')} ({percent(len(faces.dataset) / faces.photos)}); where it found several, in "
        f"{int((faces.count > 1).sum()):,}, the largest is read. Faces are {middle:.0f} px high in the middle, "
        f"{small:.0f} to {large:.0f} px in nine of ten. {f'Without a face: {listed}.' if listed else ''}</p>"
        "<p>All other sections are about the faces that were found. A user of the photos meets the missed ones too: "
        "here each of them is an error.</p>" + html_table(names, rows, text_columns=2)
    )


def _rows(scores: SetScores, photos: PhotoScores) -> list[tuple[str, ...]]:
    head = escape(f"{scores.faces.head}, {scores.faces.title}")
    return [
        (
            head, "with a face found", f"{photos.found:,}", ranged(photos.accuracy_found, scores.accuracy_interval),
            decimal(100 * photos.mean_recall_found, 1),
        ),
        (
            head, "all, missed as errors", f"{photos.photos:,}",
            ranged(photos.accuracy_all, photos.accuracy_all_interval), decimal(100 * photos.mean_recall_all, 1),
        ),
    ]  # fmt: skip
