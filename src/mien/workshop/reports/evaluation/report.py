"""An evaluation on disk: `report.html` for people, `report.json` for programs, `report.md` with pictures beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mien.errors import ConfigError
from mien.files import write_whole
from mien.workshop.evaluation.agreement import Agreement
from mien.workshop.evaluation.conditions import ByCondition
from mien.workshop.evaluation.confusions import Confusion, confusions
from mien.workshop.evaluation.intervals import Interval
from mien.workshop.evaluation.scores import Evaluation, PhotoEvaluation, SetScores, main_sets
from mien.workshop.reports.evaluation.compose import to_html
from mien.workshop.reports.evaluation.errors import by_condition
from mien.workshop.reports.evaluation.material import NOTHING, Material
from mien.workshop.reports.evaluation.method import INTERVAL_RULE, SELECTION_RULE
from mien.workshop.reports.evaluation.pictures import confusion_png, reliability_png
from mien.workshop.reports.evaluation.robustness_report import robustness_dict, robustness_lines
from mien.workshop.reports.evaluation.trust import answered, calibrated

HTML_FILE, JSON_FILE, MARKDOWN_FILE = "report.html", "report.json", "report.md"
FORMAT = 1

READING_HELP = (
    "Calibration error is the expected one over 15 bins; Brier score and negative log-likelihood (NLL, nats) "
    "are over all classes. Head crowd on the data set's own labels, its classes projected on the seven, is "
    "there for information. A dash is a figure that is not defined: no such face, or none called so."
)
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)


def write_report(
    evaluation: Evaluation, folder: Path, *, pictures: bool = True, material: Material = NOTHING
) -> list[Path]:
    """Write the report into `folder`, each file whole or not at all.

    Args:
        evaluation: from `evaluate`.
        folder: made if need be; files of an earlier report are replaced.
        pictures: draw the main sets' confusion matrices and reliability diagrams for the Markdown, which needs
            matplotlib.
        material: what the page may show beside the scores; without it, no face is shown.

    Returns:
        The files, `report.html` first.

    Raises:
        ConfigError: when the folder cannot be written.
        MissingExtraError: when pictures are wanted without matplotlib.
    """
    files = {
        HTML_FILE: to_html(evaluation, material).encode(),
        MARKDOWN_FILE: to_markdown(evaluation, pictures=pictures).encode(),
        JSON_FILE: (json.dumps(to_dict(evaluation, material), indent=1, allow_nan=False) + "\n").encode(),
    }
    if pictures:
        for scores in calibrated(evaluation):
            files[_picture("confusion", scores)] = confusion_png(scores)
            files[_picture("reliability", scores)] = reliability_png(scores)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {folder}: {error.strerror or error}") from error
    return [folder / name for name in files]


def full_title(scores: SetScores) -> str:
    """What a set is called where it stands alone: `crowd on PrivateTest (FER+ majority)`."""
    return f"{scores.faces.head} on {scores.faces.title} ({scores.faces.labels_from})"


def to_dict(evaluation: Evaluation, material: Material = NOTHING) -> dict[str, Any]:
    """The evaluation as plain numbers and strings; what is not defined is None."""
    main = main_sets(evaluation)
    return {
        "format": FORMAT,
        "date": evaluation.date,
        "model": vars(evaluation.model),
        "data": {
            "name": evaluation.dataset,
            "sha256": evaluation.dataset_sha256,
            "rows": evaluation.dataset_rows,
        },
        "selection": SELECTION_RULE,
        "intervals": INTERVAL_RULE,
        "notes": list(evaluation.notes),
        "sets": {scores.faces.key: _set_dict(scores) for scores in evaluation.sets},
        "agreement": None if evaluation.agreement is None else _agreement_dict(evaluation.agreement),
        "photos": None if evaluation.photos is None else _photos_dict(evaluation.photos),
        "abstaining": {s.faces.key: _abstaining_dict(s, material.threshold) for s in main},
        "confusions": {s.faces.key: [_confusion_dict(row) for row in confusions(s)] for s in main},
        "robustness": robustness_dict(evaluation.robustness),
        "conditions": {s.faces.key: [_condition_dict(row) for row in by_condition(s, material)] for s in main},
    }


def to_markdown(evaluation: Evaluation, *, pictures: bool = True) -> str:
    """The evaluation for people; with `pictures`, it shows those that `write_report` puts beside it."""
    model = evaluation.model
    lines = [
        f"# {model.name} {model.version}".rstrip() + f" on {evaluation.dataset}",
        "",
        f"- Date: {evaluation.date}",
        f"- Model: {model.name}, version {model.version or 'not given'}, sha256 `{model.sha256 or 'not given'}`",
        f"- Data: {evaluation.dataset}, {evaluation.dataset_rows:,} rows, "
        f"sha256 `{evaluation.dataset_sha256 or 'not given'}`",
        f"- Selection: {SELECTION_RULE}",
        f"- {INTERVAL_RULE}",
        *(f"- {note}" for note in evaluation.notes),
        "",
        "## Scores",
        "",
        *_scores_table(evaluation.sets),
        "",
        READING_HELP,
        "",
        "## Accuracy in per cent when only the most confident faces are answered",
        "",
        *_coverage_table(evaluation.sets),
    ]
    if evaluation.agreement is not None:
        lines += _agreement_section(evaluation.agreement)
    lines += robustness_lines(evaluation.robustness)
    shown = {scores.faces.key for scores in calibrated(evaluation)} if pictures else set()
    for scores in evaluation.sets:
        lines += _set_section(scores, scores.faces.key in shown)
    return "\n".join(lines) + "\n"


def _abstaining_dict(scores: SetScores, threshold: float) -> dict[str, Any]:
    share, accuracy = answered(scores.coverage, threshold)
    return {"threshold": threshold, "answered": share, "accuracy": _plain(accuracy)}


def _confusion_dict(row: Confusion) -> dict[str, Any]:
    return {
        "label": row.truth, "called": row.predicted, "faces": row.count, "share_of_class": row.share,
        "share_of_errors": row.errors,
    }  # fmt: skip


def _condition_dict(row: ByCondition) -> dict[str, Any]:
    bins = [
        {"low": b.low, "high": b.high, "rows": b.rows, "accuracy": b.accuracy, "accuracy_interval": list(b.interval)}
        for b in row.bins
    ]
    return {"name": row.condition.name, "unit": row.condition.unit, "bins": bins}


def _agreement_dict(found: Agreement) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "model": {"top1": found.model_top1, "log_likelihood": found.model_log_likelihood},
        "people": {"top1": found.people_top1.tolist(), "log_likelihood": found.people_log_likelihood.tolist()},
        "worth": {
            "top1": found.worth_by_top1,
            "log_likelihood": found.worth_by_log_likelihood,
            "distance": found.worth_by_distance,
        },
        "ceiling": {"top1": found.ceiling_top1, "log_likelihood": found.ceiling_log_likelihood},
        "standard_error": {
            "model_top1": _plain(found.model_top1_error),
            "people_top1": [_plain(value) for value in found.people_top1_error],
            "lead": [_plain(value) for value in found.lead_error],
        },
        "jensen_shannon": {
            "model_to_crowd": found.model_distance,
            "people_to_rest": found.people_distance.tolist(),
            "model_to_rest": found.model_distance_to_rest.tolist(),
        },
        "explained_error": {
            "by_crowd": _plain(found.explained_error),
            "by_people": _plain(found.explained_error_by_people),
        },
        "errors": {name: _plain(value) for name, value in vars(found.errors).items()},
        "by_disagreement": [vars(group) for group in found.by_disagreement],
    }


def _photos_dict(found: PhotoEvaluation) -> dict[str, Any]:
    faces = found.faces
    return {
        "detector": faces.detector,
        "photos": faces.photos,
        "missed": len(faces.missed),
        "several_faces": int((faces.count > 1).sum()),
        "sets": {
            scores.key: {
                "found": scores.found,
                "photos": scores.photos,
                "accuracy_found": scores.accuracy_found,
                "accuracy_all": scores.accuracy_all,
                "accuracy_all_interval": list(scores.accuracy_all_interval),
                "mean_recall_found": scores.mean_recall_found,
                "mean_recall_all": scores.mean_recall_all,
                "recall_all": [_plain(value) for value in scores.recall_all],
            }
            for scores in found.scores
        },
    }


def _agreement_section(found: Agreement) -> list[str]:
    people = [
        (f"{k} other {'person' if k == 1 else 'people'}", f"{top1:.3f}", f"{likelihood:.3f}")
        for k, (top1, likelihood) in enumerate(
            zip(found.people_top1, found.people_log_likelihood, strict=True), start=1
        )
    ]
    model = ("**the model**", f"**{found.model_top1:.3f}**", f"**{found.model_log_likelihood:.3f}**")
    return [
        "", "## How many annotators it is worth", "",
        f"How well a left-out vote is foretold, on the {found.rows:,} test faces with ten votes for emotions: worth "
        f"**{found.worth_by_top1}** annotators by the most likely vote, **{found.worth_by_log_likelihood}** by the "
        f"log-likelihood (nats a vote; of {len(people)} at most). People answer with the shares of k votes, 0.25 "
        "added to every class.", "",
        *_table(("who foretells", "most likely vote is right", "log-likelihood"), [*people, model], text_columns=1),
    ]  # fmt: skip


def _set_dict(scores: SetScores) -> dict[str, Any]:
    faces = scores.faces
    return {
        "title": faces.title,
        "head": faces.head,
        "labels": faces.labels_from,
        "rows": scores.rows,
        "accuracy": scores.accuracy,
        "accuracy_interval": list(scores.accuracy_interval),
        "macro_f1": scores.macro_f1,
        "macro_f1_interval": list(scores.macro_f1_interval),
        "weighted_f1": scores.weighted_f1,
        "balanced_accuracy": scores.balanced_accuracy,
        "ece": scores.ece,
        "brier": scores.brier,
        "nll": scores.nll,
        "classes": list(faces.classes),
        "per_class": [
            {"class": name, "support": int(n), "precision": _plain(p), "recall": _plain(r), "f1": _plain(f)}
            for name, n, p, r, f in _class_rows(scores)
        ],
        "confusion": scores.confusion.tolist(),
        "reliability": {
            "edges": scores.reliability.edges.tolist(),
            "counts": scores.reliability.counts.tolist(),
            "confidence": [_plain(value) for value in scores.reliability.confidence],
            "accuracy": [_plain(value) for value in scores.reliability.accuracy],
        },
        "accuracy_at_coverage": {f"{share:g}": scores.coverage.at(share) for share in COVERAGES},
    }


def _scores_table(sets: Sequence[SetScores]) -> list[str]:
    names = (
        "head", "faces", "labels", "rows", "accuracy %", "macro F1", "weighted F1", "balanced acc. %",
        "calibration error", "Brier", "NLL",
    )  # fmt: skip
    rows = [
        (
            s.faces.head, s.faces.title, s.faces.labels_from, f"{s.rows:,}",
            f"**{100 * s.accuracy:.2f}** {_range(s.accuracy_interval, 100, 1)}",
            f"**{s.macro_f1:.3f}** {_range(s.macro_f1_interval, 1, 3)}",
            f"{s.weighted_f1:.3f}", f"{100 * s.balanced_accuracy:.2f}",
            f"{s.ece:.3f}", f"{s.brier:.3f}", f"{s.nll:.3f}",
        )
        for s in sets
    ]  # fmt: skip
    return _table(names, rows, text_columns=3)


def _coverage_table(sets: Sequence[SetScores]) -> list[str]:
    names = ("head", "faces", "labels", *(f"{100 * share:g} %" for share in COVERAGES))
    rows = [
        (
            s.faces.head,
            s.faces.title,
            s.faces.labels_from,
            *(f"{100 * s.coverage.at(share):.1f}" for share in COVERAGES),
        )
        for s in sets
    ]
    return _table(names, rows, text_columns=3)


def _set_section(scores: SetScores, pictures: bool) -> list[str]:
    rows = [(name, f"{int(n):,}", _cell(p), _cell(r), _cell(f)) for name, n, p, r, f in _class_rows(scores)]
    lines = [
        "", f"## {full_title(scores)}", "",
        *_table(("class", "faces", "precision", "recall", "F1"), rows, text_columns=1),
    ]  # fmt: skip
    if scores.absent:
        lines += ["", f"No face of this set is labelled {', '.join(scores.absent)}."]
    if pictures:
        lines += [
            "", f"![confusion matrix]({_picture('confusion', scores)})",
            f"![reliability diagram]({_picture('reliability', scores)})",
        ]  # fmt: skip
    return lines


def _class_rows(scores: SetScores) -> Iterable[tuple[str, float, float, float, float]]:
    return zip(scores.faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int) -> list[str]:
    rule = ["---" if column < text_columns else "---:" for column in range(len(names))]
    return [f"| {' | '.join(cells)} |" for cells in (names, rule, *rows)]


def _range(interval: Interval, scale: float, digits: int) -> str:
    return f"({scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f})"


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _picture(kind: str, scores: SetScores) -> str:
    return f"{kind}-{scores.faces.key}.png"
