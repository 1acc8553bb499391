"""An evaluation's report: `report.html` for people, `report.json` for programs, `report.md` with charts beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from mien.workshop.evaluation.diagnosis import History, diagnose
from mien.workshop.evaluation.models import Evaluated
from mien.workshop.evaluation.published import CURATED, PEOPLE, REPORTED, STATUSES, Published, Standing, standings
from mien.workshop.evaluation.scores import INTERVAL_RULE, Evaluation
from mien.workshop.evaluation.stored import to_dict
from mien.workshop.progress import OnNote, no_note
from mien.workshop.reports.charts import Plot, axis
from mien.workshop.reports.document import (
    DASH,
    Block,
    Bullets,
    Chart,
    Columns,
    Grid,
    Heading,
    Text,
    document_files,
    require_free_folder,
    write_files,
)
from mien.workshop.reports.evaluation_errors import (
    by_condition,
    condition_blocks,
    confusion_blocks,
    corruption_blocks,
    saliency_blocks,
)
from mien.workshop.reports.evaluation_scores import class_blocks, headline, identity, photo_blocks, score_blocks
from mien.workshop.reports.evaluation_trust import agreement_blocks, calibration_blocks, coverage_blocks
from mien.workshop.reports.evaluation_values import value_blocks
from mien.workshop.reports.material import NOTHING, Material, ReportOptions, Run, gather, load_history, percent, span

JSON_FILE = "report.json"
HEADS = ("crowd", "fer2013")
LEAD = "How well the model names facial expressions, measured on {faces}. {remark}"
EXPRESSION = "An expression is what a face shows, not what a person feels."
PROTOCOL = (
    "**Truth.** Labels are those of the data set. FER+ majority is the class that more than half of the ten annotators "
    "chose, by the FER+ authors' protocol. FER+ votes are all faces with five votes or more for emotions; there the "
    "class that most people chose is right, and calibration is measured against the shares.",
    "**Heads.** `crowd` has learnt the votes and is what users get; `fer2013` has learnt the challenge's labels and is "
    "there for comparison with the literature. Head crowd on the data set's own labels, its eight classes projected "
    "onto the seven, is for information.",
    f"**Intervals.** {INTERVAL_RULE} Those of a class's recall and of a bin of conditions are Wilson's. They cover the "
    "choice of test faces, not that of another training.",
    "**Calibration.** ECE is the expected calibration error of the top label over 15 bins of equal width; Brier score "
    "and negative log-likelihood (NLL, nats) are over all classes. On hard labels the ECE of exact probabilities is "
    "not 0 either, since whether a face is right is chance; that figure is given beside it.",
    "**Macro F1** is the mean over the classes that occur in the labels or the predictions, balanced accuracy the mean "
    "recall over the classes that occur in the labels. A dash is an undefined figure.",
    "**Conditions** are measured on the very crop that the model reads; bins hold about equal numbers of faces. They "
    "differ in more than the condition (dark pictures hold other expressions than bright ones), so a gap is a place to "
    "look at, not a cause.",
)
LIMITS = (
    "**An expression is not a feeling.** The model says which of a few words people would choose for a face. What the "
    "person feels, means or is like cannot be read from it, and the same face means different things in different "
    "situations and cultures.",
    "The labels come from web searches and annotators: posed, acted and candid pictures of people who were not asked, "
    "with unknown shares of ages, genders, skin colours and cultures. Accuracy for such groups cannot be measured "
    "here, and equal accuracy must not be assumed.",
    "Known failures: expressions that are rare in training (disgust, contempt, fear) are missed more often than happy "
    "or neutral; calm faces are called sad, and sad ones calm; covered, averted, blurred and drawn faces, and pictures "
    "without a face, get a label as well; accuracy is lower on pictures from elsewhere.",
    "Test and training pictures come from the same searches, and some are the same pictures. The figures without the "
    "faces that are also in train are the fairer ones, and near-duplicates remain.",
    "**Restricted uses.** In the European Union, systems that infer the emotions of people at work or in education "
    "from their faces are prohibited except for medical or safety reasons (Regulation (EU) 2024/1689, Art. 5(1)(f)); "
    "others count as high-risk (Annex III), and the people concerned must be informed (Art. 50). Do not make decisions "
    "about people by labels.",
)


def require_report(model_folder: Path, out: Path, options: ReportOptions, *, overwrite: bool = False) -> None:
    """Raise ConfigError or ArtifactError where a report could not be written, before the work begins."""
    require_free_folder(out, overwrite=overwrite)
    # Read and dropped: a wrong --run is reported before the faces are scored.
    load_history(options.run, model_folder)


def report_model(
    evaluated: Evaluated, out: Path, options: ReportOptions = ReportOptions(), *, on_note: OnNote = no_note
) -> list[Path]:
    """Write the whole report of an evaluation: scores, errors with their faces, calibration, where the model looks.

    Args:
        evaluated: from `evaluate_model`.
        out: made if need be; files of an earlier report are replaced.
        options: what the report shows.
        on_note: called with a sentence for each thing left out.

    Returns:
        The files, `report.html` first.

    Raises:
        ConfigError: the folder cannot be written.
        ArtifactError: `options.run` holds no history.
    """
    return write_report(evaluated.evaluation, out, gather(evaluated, options, on_note=on_note))


def write_report(evaluation: Evaluation, folder: Path, material: Material = NOTHING) -> list[Path]:
    """`report_model` with what the page can show besides the scores already gathered; without it, no face is shown."""
    values = to_dict(evaluation, threshold=material.threshold, conditions=by_condition(evaluation, material))
    files = document_files(
        report_title(evaluation), describe(evaluation, material), lead=lead(evaluation), contents=True
    )
    # allow_nan=False: a NaN would be written as something that is not JSON.
    files[JSON_FILE] = (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()
    return write_files(files, folder)


def lead(evaluation: Evaluation) -> str:
    """What was measured, and on what: only of the data set that the model names do we know what training left out."""
    model, data = evaluation.model, evaluation.dataset
    if model.trained_on == data:
        return LEAD.format(faces="faces that its training left out", remark=EXPRESSION)
    known = (
        f"The model was trained on {model.trained_on}" if model.trained_on else "Nothing says what it was trained on"
    )
    return LEAD.format(
        faces=f"the faces of {data}", remark=f"{known}; no test has shown whether faces are in both. {EXPRESSION}"
    )


def report_title(evaluation: Evaluation) -> str:
    """Model, version and data set."""
    model = evaluation.model
    return f"{model.name} {model.version}".strip() + f" on {evaluation.dataset}"


def describe(evaluation: Evaluation, material: Material = NOTHING) -> list[Block]:
    """The whole report as blocks, its sections in the order in which a reader wants them."""
    photos = evaluation.photos
    values: list[tuple[str, str, list[Block]]] = []
    if evaluation.values:
        values.append(("values", "Valence, arousal, intensity", value_blocks(evaluation.values)))
    method: list[Block] = [Bullets([*PROTOCOL, *evaluation.notes]), Heading("Limits", 3), Bullets(LIMITS)]
    if not evaluation.sets:
        last = [("learning", "Learning curves", learning_blocks(material.run)), ("method", "Method", method)]
        return [identity(evaluation, material), *_headed([*values, *last])]
    sections: list[tuple[str, str, list[Block]]] = [
        ("scores", "Scores", score_blocks(evaluation)),
        *([] if photos is None else [("photos", "From photo to label", photo_blocks(evaluation, photos))]),
        *values,
        ("classes", "Classes", class_blocks(evaluation)),
        ("confusions", "Errors", confusion_blocks(evaluation, material)),
        ("conditions", "Conditions", condition_blocks(by_condition(evaluation, material), evaluation)),
        ("corrupted", "Corrupted pictures", corruption_blocks(evaluation, material)),
        ("calibration", "Calibration", calibration_blocks(evaluation)),
        ("coverage", "Not sure", coverage_blocks(evaluation, material.threshold)),
        ("people", "Agreement", agreement_blocks(evaluation.agreement)),
        ("saliency", "Saliency", saliency_blocks(evaluation, material)),
        ("learning", "Learning curves", learning_blocks(material.run)),
        ("published", "Published results", published_blocks(evaluation, material)),
        ("method", "Method", method),
    ]
    return [headline(evaluation), *_privacy(material), identity(evaluation, material), *_headed(sections)]


def _headed(sections: Sequence[tuple[str, str, list[Block]]]) -> list[Block]:
    """Sections with their headings, in their order."""
    return [block for key, title, inside in sections for block in (Heading(title, key=key), *inside)]


def _privacy(material: Material) -> list[Block]:
    """A warning if the page holds pictures of people, a remark if they were left out."""
    if material.dataset is None:
        return []
    if not material.faces:
        return [Text("Pictures of faces were left out of this page.", "note")]
    return [
        Text(
            "**This page holds pictures of people** from the data set, inside the file. Keep it where the data set "
            "itself may be kept, or make it without them: `--no-faces`.",
            "warn",
        )
    ]


def learning_blocks(run: Run | None) -> list[Block]:
    """Loss and accuracy by epoch, and what the rules of `diagnose` say of them."""
    if run is None:
        return [Text("Not known: neither the model's folder nor `--run` holds the history of its training.")]
    history = run.history
    best = max(range(len(history)), key=lambda n: history[n]["score"])
    found = diagnose(history)
    reason = f" ({found.reason})" if found.reason else ""
    heads = [head for head in HEADS if head in history[0]]
    last = ", ".join(f"{head} {100 * history[best][head]:.1f} %" for head in heads)
    return [
        Text(
            f"Training **{run.name}**: {len(history)} epochs; epoch {best + 1} has the best validation score"
            f"{f' ({last})' if last else ''}. Diagnosis: **{', '.join(found.words)}**{reason}."
        ),
        Columns(
            [
                [Chart(loss_plot(history, best), _LOSS, "learning-loss")],
                [Chart(score_plot(history, best), _SCORE, "learning-accuracy")],
            ]
        ),
    ]


_LOSS = "**Loss.** Training loss is the mean over an epoch with augmentation and dropout, validation loss without them."
_SCORE = "**Validation accuracy.** The vertical line is the epoch with the best score."


def loss_plot(history: History, best: int) -> Plot:
    """Training and validation loss by epoch."""
    curves = [("validation", "loss", "one", ""), ("training", "train_loss", "grey", "5 4")]
    return _curves(history, best, "loss, nats", curves, 1.0)


def score_plot(history: History, best: int) -> Plot:
    """Validation accuracy of each head by epoch, of all together if the history does not separate them."""
    heads = [head for head in HEADS if head in history[0]]
    kinds = ("one", "two")
    curves = [(head, head, kinds[n], "") for n, head in enumerate(heads)] or [("score", "score", "one", "")]
    return _curves(history, best, "accuracy, %", curves, 100.0)


def _curves(history: History, best: int, title: str, curves: list[tuple[str, str, str, str]], scale: float) -> Plot:
    rows = {key: [row.get(key, math.nan) for row in history] for _, key, _, _ in curves}
    finite = [value for values in rows.values() for value in values if math.isfinite(value)] or [0.0, 1.0]
    # An outlying first epoch must not flatten the rest.
    low, high = min(finite), sorted(finite)[max(0, math.ceil(0.99 * len(finite)) - 1)]
    margin = 0.06 * ((high - low) or 1)
    words = "; ".join(f"{name} {scale * values[best]:.3g} in epoch {best + 1}, {scale * values[-1]:.3g} at the end"
                     for (name, _, _, _), values in zip(curves, rows.values(), strict=True))  # fmt: skip
    plot = Plot(
        f"{title} by epoch: {words}",
        axis(1, max(2, len(history)), "epoch", count=6),
        axis(low - margin, high + margin, title, scale=scale),
        height=250, top=26,
    )  # fmt: skip
    plot.line([(best + 1, low - margin), (best + 1, high + margin)], "grey", wide=1, dash="2 3")
    for number, (name, key, kind, dash) in enumerate(curves):
        points = [(n + 1, min(value, high + margin)) for n, value in enumerate(rows[key]) if math.isfinite(value)]
        plot.line(points, kind, wide=2, dash=dash)
        plot.text(plot.x.low, plot.y.high, name, kind="bold", dx=22 + 110 * number, dy=-9)
        start = plot.x.low + (plot.x.high - plot.x.low) * (110 * number) / 378
        plot.line([(start, plot.y.high + 0.052 * (plot.y.high - plot.y.low)),
                   (start + (plot.x.high - plot.x.low) * 17 / 378, plot.y.high + 0.052 * (plot.y.high - plot.y.low))],
                  kind, wide=2.4, dash=dash)  # fmt: skip
    return plot


_PUBLISHED = ("accuracy %", "what", "year", "parameters", "pretrained on", "chosen on", "source and notes")


def published_blocks(evaluation: Evaluation, material: Material) -> list[Block]:
    """The model among published results, a table for each set whose faces are the challenge's."""
    found = standings(evaluation)
    if not found:
        return [
            Text(
                "Not shown: published figures are of FER2013's 3,589 PrivateTest faces and of the 3,153 with a FER+ "
                "majority, and this data set has others."
            )
        ]
    blocks: list[Block] = [
        Text(
            "Others' figures are as they report them; networks, pretraining, test-time augmentation and rules of "
            "selection differ. Differences below two points lie within the 95 % interval of a single test set of this "
            "size."
        )
    ]
    for standing in found:
        rows = [_own(standing, evaluation, material) if row is None else _published(row) for row in standing.lines]
        own = [number for number, row in enumerate(standing.lines) if row is None]
        blocks.append(Heading(standing.title, 3))
        blocks.append(Grid(_PUBLISHED, rows, text_columns=len(_PUBLISHED), marked=own, kind="wordy"))
    used = {row.status for standing in found for row in standing.lines if row is not None} - {REPORTED}
    marks = [f"{{mark|{status}}}: {STATUSES[status]}" for status in sorted(used)]
    return [*blocks, Text(f"Unmarked: {STATUSES[REPORTED]}."), Bullets(marks), Text(CURATED)]


def _published(row: Published) -> tuple[str, ...]:
    mark = "" if row.status == REPORTED else f"\n{{mark|{row.status}}}"
    name = row.name + (" {soft|(ensemble)}" if row.ensemble else "") + mark
    parameters = f"{row.parameters:g} M" if row.parameters else DASH
    note = f"\n{{soft|{row.note}}}" if row.note else ""
    people = row.status == PEOPLE
    return (
        f"{row.accuracy:.1f}" if people else f"{row.accuracy:.2f}", name, str(row.year), parameters,
        DASH if people else row.pretraining or "nothing else", row.selection, row.source + note,
    )  # fmt: skip


def _own(standing: Standing, evaluation: Evaluation, material: Material) -> tuple[str, ...]:
    scores, model = standing.scores, evaluation.model
    facts = dict(material.facts)
    without = "" if standing.unseen is None else (
        f"; without the faces that are also in train {percent(standing.unseen.accuracy)} on {standing.unseen.rows:,}"
    )  # fmt: skip
    return (
        f"{100 * scores.accuracy:.2f}", f"{model.name} {model.version}, this report", evaluation.date[:4],
        facts.get("Parameters", DASH), facts.get("Pretrained on", DASH), "PublicTest",
        f"95 % {span(scores.accuracy_interval)}{without}",
    )  # fmt: skip
