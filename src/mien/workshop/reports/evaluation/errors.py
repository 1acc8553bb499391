"""Where the model errs: the confusions that matter with their faces, its surest errors, the pictures' conditions."""

from __future__ import annotations

from html import escape

import numpy as np

from mien.html import html_table
from mien.workshop.evaluation.conditions import ByCondition, Float64, accuracy_by_condition, measure
from mien.workshop.evaluation.confusions import TOP, Confusion, confusions, surest_errors, top_by_share
from mien.workshop.evaluation.scores import Evaluation, SetScores, main_sets
from mien.workshop.reports.evaluation.charts import Axis, Plot, figure, nice_ticks
from mien.workshop.reports.evaluation.faces import gallery, saliency_gallery
from mien.workshop.reports.evaluation.material import Material
from mien.workshop.reports.evaluation.words import name, percent, plural, span

A_CONFUSION, SUREST = 8, 24
_NOTHING_CLEAR = "For none of them do the intervals of the best and the worst bin lie apart."


def confusion_section(evaluation: Evaluation, material: Material) -> str:
    """For each head's main set: its confusions by count and by share, with faces, and its surest errors."""
    parts = []
    for scores in main_sets(evaluation):
        found = confusions(scores)
        parts.append(f"<h3>{escape(name(scores))}</h3>")
        if not found:
            parts.append(f"<p>None of the {plural(scores.rows, 'face')} is called wrong.</p>")
            continue
        wrong = sum(row.count for row in found)
        parts.append(
            f"<p>{plural(wrong, 'error')} in {plural(scores.rows, 'face')}. The {min(TOP, len(found))} most frequent "
            f"confusions hold {percent(sum(row.errors for row in found[:TOP]), 0)} of them.</p>"
        )
        parts.append(_tables(found))
        parts += [_confusion_gallery(scores, row, material) for row in shown(found)]
        parts.append(_surest(scores, material))
    return "\n".join(part for part in parts if part)


def shown(found: list[Confusion]) -> list[Confusion]:
    """The confusions whose faces are shown: the top ones by count, then those by share that are not among them."""
    by_count = found[:TOP]
    return by_count + [row for row in top_by_share(found)[:TOP] if row not in by_count][:3]


def condition_values(scores: SetScores, material: Material) -> dict[str, Float64]:
    """All conditions that are known of a set's faces, (N,) each."""
    if material.dataset is None or min(material.dataset.images.shape[1:3]) < 3:
        return {}
    rows = scores.faces.rows
    return measure(material.dataset.images[rows]) | {key: value[rows] for key, value in material.conditions.items()}


def by_condition(scores: SetScores, material: Material) -> list[ByCondition]:
    """Accuracy by each condition that is known of a set's faces."""
    return accuracy_by_condition(condition_values(scores, material), scores.predicted == scores.faces.truth)


def condition_section(found: dict[str, list[ByCondition]], evaluation: Evaluation) -> str:
    """Charts of accuracy by condition, for each head's main set.

    Args:
        found: by the key of the set.
        evaluation: the scores.
    """
    parts = []
    for scores in main_sets(evaluation):
        rows = found.get(scores.faces.key, [])
        parts.append(f"<h3>{escape(name(scores))}</h3>")
        if not rows:
            parts.append("<p>Not known: the pictures are not at hand, or too few or too alike to be divided.</p>")
            continue
        clear = [row for row in rows if row.clear]
        said = "; ".join(_sentence(row) for row in sorted(clear, key=lambda row: -row.gap))
        parts.append(f"<p>{said}.</p>" if clear else f"<p>{_NOTHING_CLEAR}</p>")
        parts.append(f'<div class="charts">{"".join(figure(condition_svg(row), _caption(row)) for row in rows)}</div>')
    return "\n".join(parts)


def condition_svg(row: ByCondition) -> str:
    """Accuracy of each bin with its interval, the bins side by side between the values that part them."""
    bottom = max(0.0, float(np.floor(min(part.interval.low for part in row.bins) * 10) / 10))
    top = min(1.0, float(np.ceil(max(part.interval.high for part in row.bins) * 10) / 10))
    edges = [*(part.low for part in row.bins), row.bins[-1].high]
    rows = sum(part.rows for part in row.bins)
    overall = sum(part.rows * part.accuracy for part in row.bins) / rows
    told = "; ".join(f"{_edge(b.low)} to {_edge(b.high)}: {percent(b.accuracy)} of {b.rows:,}" for b in row.bins)
    plot = Plot(
        f"Accuracy by {row.condition.title.lower()}: {told}",
        Axis(0, len(row.bins), "", [(n, _edge(value)) for n, value in enumerate(edges)]),
        Axis(bottom, top, "accuracy, %", [(at, f"{100 * at:.0f}") for at in nice_ticks(bottom, top, 4)]),
        width=300, height=190, left=44, bottom=28, right=18,
    )  # fmt: skip
    plot.line([(0, overall), (len(row.bins), overall)], "grey", wide=1, dash="3 3")
    for n, part in enumerate(row.bins):
        hint = (
            f"{_edge(part.low)} to {_edge(part.high)}: {percent(part.accuracy)} ({span(part.interval)}) of "
            f"{plural(part.rows, 'face')}"
        )
        plot.whisker(n + 0.5, part.interval.low, part.interval.high, "one")
        plot.dot(n + 0.5, part.accuracy, "fill-one", radius=4.5, hint=hint)
    return plot.svg()


def saliency_section(evaluation: Evaluation, material: Material) -> str:
    """Faces with what their label rests on, right ones and wrong ones."""
    by_key = {scores.faces.key: scores for scores in evaluation.sets}
    parts = []
    for found in material.saliency:
        scores = by_key[found.key]
        right = scores.predicted[found.places] == scores.faces.truth[found.places]
        parts.append(f"<h3>{escape(name(scores))}</h3><p>{escape(found.method)}</p>")
        for title, kind in (("Right", right), ("Wrong", ~right)):
            faces = saliency_gallery(scores, found, material, found.places[kind].tolist())
            if faces:
                parts.append(f"<h4>{title}</h4>{faces}")
    return "\n".join(parts)


def _tables(found: list[Confusion]) -> str:
    names = ("label, called", "faces", "of all errors", "of the class")
    rows = [[_row(row) for row in part[:TOP]] for part in (found, top_by_share(found))]
    return (
        f'<div class="pair"><div><h4>By count</h4>{html_table(names, rows[0])}</div>'
        f"<div><h4>By share of the class</h4>{html_table(names, rows[1])}</div></div>"
    )


def _row(row: Confusion) -> tuple[str, ...]:
    return (escape(row.name), f"{row.count:,}", percent(row.errors), percent(row.share))


def _confusion_gallery(scores: SetScores, row: Confusion, material: Material) -> str:
    faces = gallery(scores, row.rows[:A_CONFUSION], material)
    if not faces:
        return ""
    title = f"{escape(row.truth)} called {escape(row.predicted)}"
    more = f"{plural(row.count, 'face')}, the surest first"
    return f'<h4>{title} <span class="soft">{more}</span></h4>{faces}'


def _surest(scores: SetScores, material: Material) -> str:
    faces = gallery(scores, surest_errors(scores, SUREST), material)
    return f'<h4>The surest errors <span class="soft">of all classes</span></h4>{faces}' if faces else ""


def _sentence(row: ByCondition) -> str:
    best = max(row.bins, key=lambda part: part.accuracy)
    worst = min(row.bins, key=lambda part: part.accuracy)
    place = {0: row.condition.low, len(row.bins) - 1: row.condition.high}.get(row.bins.index(worst), "middling")
    return (
        f"<b>{row.condition.title}</b>: {percent(worst.accuracy)} where it is worst ({place}), "
        f"{percent(best.accuracy)} where it is best"
    )


def _caption(row: ByCondition) -> str:
    condition = row.condition
    rows = row.bins[len(row.bins) // 2].rows
    known = sum(part.rows for part in row.bins)
    missing = f", known of {known:,}" if condition.name in ("size", "yaw", "roll") else ""
    return (
        f"<b>{condition.title}</b>, {escape(condition.unit)}: {condition.low} to {condition.high}; about {rows:,} a bin"
        f"{missing}"
    )


def _edge(value: float) -> str:
    """A value in at most four signs: `0`, `0.12`, `7.5`, `101`, `1.2k`, `33k`."""
    if abs(value) >= 9_950:
        return f"{value / 1000:.0f}k"
    if abs(value) >= 999.5:
        return f"{value / 1000:.1f}k"
    if abs(value) >= 9.95:
        return f"{value:.0f}"
    return f"{value:.{1 if abs(value) >= 0.995 else 2}f}".replace(".00", "")
