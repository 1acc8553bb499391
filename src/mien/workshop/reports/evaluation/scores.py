"""How good the model is: the figures that matter, all sets in one table, and each set class by class."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from mien.html import html_cards, html_table
from mien.workshop.evaluation.confusions import confusions
from mien.workshop.evaluation.intervals import wilson_interval
from mien.workshop.evaluation.scores import Evaluation, SetScores, main_sets, unseen
from mien.workshop.reports.evaluation.material import Material
from mien.workshop.reports.evaluation.words import (
    DASH,
    anchor,
    decimal,
    listed,
    name,
    percent,
    plural,
    ranged,
    signed,
    span,
)

MAIN_HELP = {
    "crowd": "what users get, judged by what most people said",
    "fer2013": "the data set's own labels, to compare with the literature",
}


def headline(evaluation: Evaluation) -> str:
    """The cards at the top."""
    cards = []
    for scores in main_sets(evaluation):
        where = f"{scores.faces.title}, {scores.faces.labels_from}, {plural(scores.rows, 'face')}"
        value = f"{percent(scores.accuracy)} <small>{span(scores.accuracy_interval)}</small>"
        cards.append((value, f"accuracy, head {scores.faces.head}<br>{escape(where)}"))
    cards += [_macro_card(main_sets(evaluation)[0]), _calibration_card(evaluation)]
    found = evaluation.agreement
    if found is not None:
        cards.append(
            (
                f"{found.worth_by_top1} and {found.worth_by_log_likelihood} people",
                "what the model is worth at foretelling an annotator's vote: by the most likely vote, and by the "
                "log-likelihood",
            )
        )
    return html_cards(cards)


def identity(evaluation: Evaluation, material: Material, selection: str) -> str:
    """Which model, which data, when, and chosen how."""
    model = evaluation.model
    graph, data = (
        f"<code>{escape(it)}</code>" if it else "not given" for it in (model.sha256, evaluation.dataset_sha256)
    )
    rows = [
        ("Model", f"{escape(model.name)} {escape(model.version)}".strip()),
        *((escape(what), escape(value)) for what, value in material.facts),
        ("Graph, sha256", graph),
        ("Data", f"{escape(evaluation.dataset)}, {plural(evaluation.dataset_rows, 'row')}"),
        ("Data, sha256", data),
        ("Date", evaluation.date),
        ("Selection", escape(selection)),
    ]
    return '<dl class="facts">' + "".join(f"<dt>{what}</dt><dd>{value}</dd>" for what, value in rows) + "</dl>"


def stands_out(evaluation: Evaluation) -> list[str]:
    """What a reader should not miss, a sentence each, as HTML."""
    found = []
    for scores in main_sets(evaluation):
        found += [*_weakest(scores), *_most_confused(scores), *_leaked(evaluation, scores)]
    found += [
        f"{escape(scores.faces.title)}: no face is labelled {escape(listed(list(scores.absent)))}."
        for scores in main_sets(evaluation)
        if scores.absent
    ]
    return found


def overview(evaluation: Evaluation) -> str:
    """All sets, a row each."""
    names = ("head", "faces", "labels", "rows", "accuracy %", "macro F1", "weighted F1", "balanced acc. %", "ECE",
             "Brier", "NLL")  # fmt: skip
    rows = [
        (
            escape(s.faces.head), f'<a href="#{anchor(s)}">{escape(s.faces.title)}</a>', escape(s.faces.labels_from),
            f"{s.rows:,}", f"<b>{100 * s.accuracy:.2f}</b><br><span class='range'>{span(s.accuracy_interval)}</span>",
            f"<b>{s.macro_f1:.3f}</b><br><span class='range'>{span(s.macro_f1_interval, scale=1, digits=3)}</span>",
            f"{s.weighted_f1:.3f}", f"{100 * s.balanced_accuracy:.2f}", f"{s.ece:.3f}", f"{s.brier:.3f}",
            f"{s.nll:.3f}",
        )
        for s in evaluation.sets
    ]  # fmt: skip
    heads = {scores.faces.head for scores in evaluation.sets}
    told = "; ".join(f"<b>{head}</b>: {text}" for head, text in MAIN_HELP.items() if head in heads)
    return f"<p>Heads: {told}. Below a figure stands its 95 % interval.</p>" + html_table(names, rows, text_columns=3)


def leaks(evaluation: Evaluation) -> str:
    """Each head's main set with and without the faces that stand in train too; empty where there are none."""
    pairs = [(scores, unseen(evaluation, scores)) for scores in main_sets(evaluation)]
    rows = [
        (
            escape(f"{whole.faces.head}, {whole.faces.labels_from}"), f"{whole.rows:,}",
            ranged(whole.accuracy, whole.accuracy_interval), f"{part.rows:,}",
            ranged(part.accuracy, part.accuracy_interval), f"{signed(100 * (part.accuracy - whole.accuracy), 2)}",
            f"{whole.macro_f1:.3f} → {part.macro_f1:.3f}",
        )
        for whole, part in pairs
        if part is not None
    ]  # fmt: skip
    if not rows:
        return ""
    names = ("head", "all faces", "accuracy %", "unseen in train", "accuracy %", "points", "macro F1")
    return "<h3>With and without the faces that stand in train</h3>" + html_table(names, rows)


def per_set(evaluation: Evaluation) -> str:
    """Each set class by class, the main ones open."""
    main = main_sets(evaluation)
    keys = {scores.faces.key for scores in main}
    parts = []
    for scores in [*main, *(s for s in evaluation.sets if s.faces.key not in keys)]:
        opened = " open" if scores.faces.key in keys else ""
        figures = f"{plural(scores.rows, 'face')}, accuracy {percent(scores.accuracy)}, macro F1 {scores.macro_f1:.3f}"
        parts.append(
            f'<details id="{anchor(scores)}"{opened}><summary>{escape(name(scores))} <span>{figures}</span></summary>'
            f'<div class="pair"><div>{class_table(scores)}{_macro_note(scores)}</div>{confusion_table(scores)}</div>'
            "</details>"
        )
    return "\n".join(parts)


def class_table(scores: SetScores) -> str:
    """Precision, recall with its interval, F1 and the number of faces of each class."""
    rows = []
    for label, support, precision, recall, f1 in zip(
        scores.faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True
    ):
        hits = round(recall * support) if support else 0
        within = span(wilson_interval(hits, int(support)), scale=1, digits=2) if support else ""
        said = f"{int(support):,}" if support else "none"
        rows.append(
            (
                escape(label),
                said,
                decimal(precision),
                f'{decimal(recall)} <span class="range">{within}</span>',
                decimal(f1),
            )
        )
    return html_table(("class", "faces", "precision", "recall, 95 %", "F1"), rows)


def confusion_table(scores: SetScores) -> str:
    """The confusion matrix: per cent of each true class, with the counts below."""
    classes, counts, support = scores.faces.classes, scores.confusion, scores.support
    head = "".join(f"<th scope='col'>{escape(label)}</th>" for label in classes)
    body = []
    for i, label in enumerate(classes):
        cells = "".join(_cell(int(counts[i, j]), int(support[i]), hit=i == j) for j in range(len(classes)))
        body.append(f"<tr><th scope='row'>{escape(label)}<small>{int(support[i]):,}</small></th>{cells}</tr>")
    return (
        f'<div><div class="scroll"><table class="confusion"><thead><tr><th></th>{head}</tr></thead><tbody>'
        f'{"".join(body)}</tbody></table></div><p class="soft">Rows: the label, with its number of faces; columns: '
        "what the model said. Per cent of the row, and the count.</p></div>"
    )


def _cell(count: int, support: int, *, hit: bool) -> str:
    if not support:
        return f'<td class="none">{DASH}</td>'
    if not count:
        return '<td class="none">0</td>'
    share = count / support
    shown = f"{100 * share:.1f}" if share < 0.095 else f"{100 * share:.0f}"
    kind = "hit" if hit else "miss"
    strength = 0.08 + 0.62 * share if hit else min(0.75, 0.04 + 1.6 * share)
    return f'<td class="{kind}" style="--share:{strength:.2f}">{shown}<small>{count:,}</small></td>'


def _macro_note(scores: SetScores) -> str:
    counted = int(np.isfinite(scores.f1).sum())
    present = int((scores.support > 0).sum())
    text = f"Macro F1 is the mean over {counted} {'class' if counted == 1 else 'classes'}"
    text += f", balanced accuracy over the {present} that have a face here."
    if scores.absent:
        text += f" No face of this set is labelled {listed(list(scores.absent))}."
    return f'<p class="soft">{escape(text)}</p>'


def _macro_card(scores: SetScores) -> tuple[str, str]:
    interval = span(scores.macro_f1_interval, scale=1, digits=3)
    return f"{scores.macro_f1:.3f} <small>{interval}</small>", f"macro F1, head {scores.faces.head}"


def _calibration_card(evaluation: Evaluation) -> tuple[str, str]:
    keys = {scores.faces.key: scores for scores in evaluation.sets}
    scores = keys.get("crowd-votes-test", main_sets(evaluation)[0])
    against = "votes" if scores.faces.shares is not None else "labels"
    return f"{scores.ece:.3f}", f"expected calibration error, head {scores.faces.head}, against the {against}"


def _weakest(scores: SetScores) -> list[str]:
    recall = np.where(np.isnan(scores.recall), np.inf, scores.recall)
    if (scores.support > 0).sum() < 2:
        return []
    at = int(recall.argmin())
    support = int(scores.support[at])
    interval = wilson_interval(round(float(recall[at]) * support), support)
    return [
        f"<b>{escape(scores.faces.classes[at])}</b> is found least by head {scores.faces.head}: "
        f"{percent(float(recall[at]), 0)} of {plural(support, 'face')} ({span(interval, digits=0)} %)."
    ]


def _most_confused(scores: SetScores) -> list[str]:
    return [
        f"Head {scores.faces.head} most often calls <b>{escape(row.truth)} {escape(row.predicted)}</b>: "
        f"{plural(row.count, 'face')}, {percent(row.errors, 0)} of its errors."
        for row in confusions(scores)[:1]
    ]


def _leaked(evaluation: Evaluation, scores: SetScores) -> list[str]:
    part = unseen(evaluation, scores)
    if part is None:
        return []
    change = 100 * (part.accuracy - scores.accuracy)
    if math.isclose(change, 0, abs_tol=0.005):
        return []
    return [
        f"Without the {scores.rows - part.rows:,} faces that stand in train as well, head {scores.faces.head} has "
        f"{percent(part.accuracy)} in place of {percent(scores.accuracy)} ({signed(change, 1)} points)."
    ]
