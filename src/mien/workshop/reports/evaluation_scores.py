"""How good the model is: the figures that matter, all sets in one table, each set class by class, whole photos."""

from __future__ import annotations

import math

import numpy as np

from mien.labels import SEVEN
from mien.workshop.evaluation.metrics import wilson_interval
from mien.workshop.evaluation.scores import (
    SELECTION_RULE,
    Evaluation,
    PhotoEvaluation,
    PhotoScores,
    SetScores,
    confusions,
    main_sets,
    unseen,
)
from mien.workshop.reports.document import Block, Bullets, Cards, Columns, Facts, Folded, Grid, Heading, Matrix, Text
from mien.workshop.reports.material import Material, decimal, listed, name, percent, plural, ranged, signed, span

MAIN_HELP = {
    "crowd": "what users get, scored against what most annotators chose",
    "fer2013": "the data set's own labels, for comparison with the literature",
}
READING_HELP = "ECE is the expected calibration error over 15 bins; NLL, the negative log-likelihood, is in nats."
COLUMNS = (
    "head", "faces", "labels", "rows", "accuracy %", "macro F1", "weighted F1", "balanced acc. %", "ECE", "Brier",
    "NLL",
)  # fmt: skip


def headline(evaluation: Evaluation) -> Cards:
    """The cards at the top."""
    main = main_sets(evaluation)
    cards = [
        (
            f"{percent(scores.accuracy)} {{small|{span(scores.accuracy_interval)}}}",
            f"accuracy, head {scores.faces.head}\n{scores.faces.title}, {scores.faces.labels_from}, "
            f"{plural(scores.rows, 'face')}",
        )
        for scores in main
    ]
    interval = span(main[0].macro_f1_interval, scale=1, digits=3)
    cards.append((f"{main[0].macro_f1:.3f} {{small|{interval}}}", f"macro F1, head {main[0].faces.head}"))
    # Against the votes: where people agree, a good model is right more often than it says.
    votes = next((scores for scores in evaluation.sets if scores.faces.key == "crowd-votes-test"), main[0])
    against = "votes" if votes.faces.shares is not None else "labels"
    cards.append((f"{votes.ece:.3f}", f"expected calibration error, head {votes.faces.head}, against the {against}"))
    found = evaluation.agreement
    if found is not None:
        cards.append(
            (
                f"{found.worth_by_top1} and {found.worth_by_log_likelihood} people",
                "predict an annotator's vote as well as the model: by the most likely vote, and by log-likelihood",
            )
        )
    return Cards(cards)


def identity(evaluation: Evaluation, material: Material) -> Facts:
    """Which model, which data, when, and how the model was chosen."""
    model = evaluation.model
    return Facts(
        [
            ("Model", f"{model.name} {model.version}".strip()),
            *material.facts,
            ("Graph, sha256", f"`{model.sha256}`" if model.sha256 else "not given"),
            ("Data", f"{evaluation.dataset}, {plural(evaluation.dataset_rows, 'row')}"),
            ("Data, sha256", f"`{evaluation.dataset_sha256}`" if evaluation.dataset_sha256 else "not given"),
            ("Date", evaluation.date),
            ("Selection", SELECTION_RULE),
        ]
    )


def score_blocks(evaluation: Evaluation) -> list[Block]:
    """What readers should not miss, all sets in a table, and the main ones without repeated faces."""
    main = main_sets(evaluation)
    heads = {scores.faces.head for scores in evaluation.sets}
    said = "; ".join(f"**{head}**: {text}" for head, text in MAIN_HELP.items() if head in heads)
    points = [point for scores in main for point in _points(evaluation, scores)]
    return [
        *([Bullets(points)] if points else []),
        Text(f"Heads: {said}. Below a figure is its 95 % interval. {READING_HELP}"),
        Grid(COLUMNS, [_row(scores) for scores in evaluation.sets], text_columns=3),
        *_leaks(evaluation),
    ]


def class_blocks(evaluation: Evaluation) -> list[Block]:
    """Each set class by class, the main ones open."""
    main = main_sets(evaluation)
    keys = {scores.faces.key for scores in main}
    return [
        Folded(
            name(scores),
            f"{plural(scores.rows, 'face')}, accuracy {percent(scores.accuracy)}, macro F1 {scores.macro_f1:.3f}",
            [
                Columns(
                    [
                        [class_grid(scores), Text(_macro_note(scores), "soft")],
                        [Matrix(scores.faces.classes, scores.confusion)],
                    ]
                )
            ],
            opened=scores.faces.key in keys,
            key=_key(scores),
        )
        for scores in [*main, *(scores for scores in evaluation.sets if scores.faces.key not in keys)]
    ]


def class_grid(scores: SetScores) -> Grid:
    """Number of faces, precision, recall with its interval, and F1 of each class."""
    rows = []
    for label, support, precision, recall, f1 in zip(
        scores.faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True
    ):
        within = ""
        if support:
            interval = wilson_interval(round(recall * support), int(support))
            within = f" {{range|({span(interval, scale=1, digits=2)})}}"
        rows.append((label, f"{int(support):,}", decimal(precision), decimal(recall) + within, decimal(f1)))
    return Grid(("class", "faces", "precision", "recall, 95 %", "F1"), rows)


def photo_blocks(evaluation: Evaluation, found: PhotoEvaluation) -> list[Block]:
    """The scores with and without the photos in which no face was found."""
    faces = found.faces
    sets = {scores.faces.key: scores for scores in evaluation.sets}
    rows = [row for scores in found.scores for row in _photo_rows(sets[scores.key], scores)]
    small, middle, large = np.percentile(faces.height_px, [5, 50, 95])
    missed = [(label, int((faces.missed == k).sum())) for k, label in enumerate(SEVEN)]
    lacking = ", ".join(f"{plural(count, 'photo')} labelled {label}" for label, count in missed if count)
    return [
        Text(
            f"Detector **{faces.detector}** found a face in **{len(faces.dataset):,}** of "
            f"{plural(faces.photos, 'photo')} ({percent(len(faces.dataset) / faces.photos)}). Where it found several "
            f"faces, in {int((faces.count > 1).sum()):,}, the largest is used. The median face is {middle:.0f} px "
            f"high; nine in ten are between {small:.0f} and {large:.0f} px. "
            f"{f'Without a face: {lacking}.' if lacking else ''}"
        ),
        Text(
            "All other sections are about the faces that were found. Users of the photos meet the missed faces too: "
            "here each of them counts as an error."
        ),
        Grid(("head", "photos", "rows", "accuracy %", "mean recall %"), rows, text_columns=2),
    ]


def _photo_rows(scores: SetScores, photos: PhotoScores) -> list[tuple[str, ...]]:
    head = f"{scores.faces.head}, {scores.faces.title}"
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


def _row(s: SetScores) -> tuple[str, ...]:
    return (
        s.faces.head, f"[{s.faces.title}](#{_key(s)})", s.faces.labels_from, f"{s.rows:,}",
        f"**{100 * s.accuracy:.2f}**\n{{range|({span(s.accuracy_interval)})}}",
        f"**{s.macro_f1:.3f}**\n{{range|({span(s.macro_f1_interval, scale=1, digits=3)})}}",
        f"{s.weighted_f1:.3f}", f"{100 * s.balanced_accuracy:.2f}", f"{s.ece:.3f}", f"{s.brier:.3f}", f"{s.nll:.3f}",
    )  # fmt: skip


def _leaks(evaluation: Evaluation) -> list[Block]:
    """Each head's main set with and without the faces that are also in the training split."""
    rows = [
        (
            f"{whole.faces.head}, {whole.faces.labels_from}", f"{whole.rows:,}",
            ranged(whole.accuracy, whole.accuracy_interval), f"{part.rows:,}",
            ranged(part.accuracy, part.accuracy_interval), signed(100 * (part.accuracy - whole.accuracy), 2),
            f"{whole.macro_f1:.3f} → {part.macro_f1:.3f}",
        )
        for whole in main_sets(evaluation)
        if (part := unseen(evaluation, whole)) is not None
    ]  # fmt: skip
    if not rows:
        return []
    columns = ("head", "all faces", "accuracy %", "not in train", "accuracy %", "points", "macro F1")
    return [Heading("With and without the faces that are also in train", 3), Grid(columns, rows)]


def _macro_note(scores: SetScores) -> str:
    counted = int(np.isfinite(scores.f1).sum())
    present = int((scores.support > 0).sum())
    text = f"Macro F1 is the mean over {counted} {'class' if counted == 1 else 'classes'}"
    text += f", balanced accuracy over the {present} that have a face here."
    if scores.absent:
        text += f" No face of this set is labelled {listed(scores.absent)}."
    return text


def _points(evaluation: Evaluation, scores: SetScores) -> list[str]:
    """The weakest class, the most frequent confusion, what repeated faces change, and absent classes."""
    head, points = scores.faces.head, []
    # A class without faces has no recall, and must not be the lowest.
    recall = np.where(np.isnan(scores.recall), np.inf, scores.recall)
    # Of a single class there is no weakest.
    if (scores.support > 0).sum() >= 2:
        at = int(recall.argmin())
        support = int(scores.support[at])
        interval = wilson_interval(round(float(recall[at]) * support), support)
        points.append(
            f"**{scores.faces.classes[at]}** has the lowest recall of head {head}: {percent(float(recall[at]), 0)} of "
            f"{plural(support, 'face')} ({span(interval, digits=0)} %)."
        )
    points += [
        f"The most frequent error of head {head} is **{row.truth} called {row.predicted}**: "
        f"{plural(row.count, 'face')}, {percent(row.errors, 0)} of its errors."
        for row in confusions(scores)[:1]
    ]
    part = unseen(evaluation, scores)
    if part is not None and not math.isclose(gap := 100 * (part.accuracy - scores.accuracy), 0, abs_tol=0.05):
        points.append(
            f"Without the {scores.rows - part.rows:,} faces that are also in train, head {head} has an accuracy of "
            f"{percent(part.accuracy)} instead of {percent(scores.accuracy)} ({signed(gap, 1)} points)."
        )
    if scores.absent:
        points.append(f"{scores.faces.title}: no face is labelled {listed(scores.absent)}.")
    return points


def _key(scores: SetScores) -> str:
    return f"set-{scores.faces.key}"
