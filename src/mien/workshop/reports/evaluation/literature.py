"""One's own figure among the published ones."""

from __future__ import annotations

from html import escape

from mien.html import html_table
from mien.workshop.evaluation.published import CURATED, PEOPLE, REPORTED, STATUSES, Published, Standing, standings
from mien.workshop.evaluation.scores import Evaluation
from mien.workshop.reports.evaluation.material import Material
from mien.workshop.reports.evaluation.words import DASH, percent, span

_NAMES = ("accuracy %", "what", "year", "parameters", "pretrained on", "chosen on", "source and notes")
_OWN = "@own@"


def literature_section(evaluation: Evaluation, material: Material) -> str:
    """A table for each set whose faces are the challenge's; a sentence where there is none."""
    found = standings(evaluation)
    if not found:
        return (
            "<p>Not shown: published figures are of FER2013's 3,589 PrivateTest faces and of the 3,153 with a FER+ "
            "majority, and this data set has others.</p>"
        )
    parts = [
        "<p>Figures of others are as they give them; networks, pretraining, test-time tricks and rules of selection "
        "differ. Differences below two points lie within the 95 % interval of a single test set of this size.</p>"
    ]
    parts += [f"<h3>{escape(standing.title)}</h3>{_table(standing, evaluation, material)}" for standing in found]
    used = {row.status for standing in found for row in standing.lines if row is not None} - {REPORTED}
    marks = "".join(
        f"<li><span class='mark'>{escape(status)}</span>: {STATUSES[status]}</li>" for status in sorted(used)
    )
    return "\n".join([*parts, f"<p>Unmarked: {STATUSES[REPORTED]}.</p><ul>{marks}</ul><p>{CURATED}</p>"])


def _table(standing: Standing, evaluation: Evaluation, material: Material) -> str:
    rows = [_own(standing, evaluation, material) if row is None else _published(row) for row in standing.lines]
    table = html_table(_NAMES, rows, text_columns=len(_NAMES))
    marked = table.replace(f'<tr><td class="text">{_OWN}', '<tr class="own"><td class="text">')
    return f'<div class="published">{marked}</div>'


def _published(row: Published) -> tuple[str, ...]:
    mark = "" if row.status == REPORTED else f'<br><span class="mark">{escape(row.status)}</span>'
    name = escape(row.name) + (" <span class='soft'>(ensemble)</span>" if row.ensemble else "") + mark
    parameters = f"{row.parameters:g} M" if row.parameters else DASH
    note = f"<br><span class='soft'>{escape(row.note)}</span>" if row.note else ""
    people = row.status == PEOPLE
    return (
        f"{row.accuracy:.1f}" if people else f"{row.accuracy:.2f}", name, str(row.year), parameters,
        DASH if people else escape(row.pretraining or "nothing else"), escape(row.selection),
        escape(row.source) + note,
    )  # fmt: skip


def _own(standing: Standing, evaluation: Evaluation, material: Material) -> tuple[str, ...]:
    scores, model = standing.scores, evaluation.model
    facts = dict(material.facts)
    without = "" if standing.unseen is None else (
        f"; without the faces that stand in train {percent(standing.unseen.accuracy)} on {standing.unseen.rows:,}"
    )  # fmt: skip
    return (
        f"{_OWN}{100 * scores.accuracy:.2f}",
        escape(f"{model.name} {model.version}, this report"), evaluation.date[:4],
        escape(facts.get("Parameters", DASH)), escape(facts.get("Pretrained on", DASH)), "PublicTest",
        f"95 % {span(scores.accuracy_interval)}{without}",
    )  # fmt: skip
