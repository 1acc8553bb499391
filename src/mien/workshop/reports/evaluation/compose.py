"""The whole page, its sections in the order in which a reader wants them."""

from __future__ import annotations

from html import escape

from mien.html import page
from mien.workshop.evaluation.scores import Evaluation, main_sets
from mien.workshop.reports.evaluation import errors, learning, literature, method, poor, scores, trust
from mien.workshop.reports.evaluation.material import NOTHING, Material
from mien.workshop.reports.evaluation.photos import photo_section
from mien.workshop.reports.evaluation.style import STYLE

LEAD = (
    "How well the model names facial expressions, measured on faces that it was not trained on. An expression is what "
    "a face shows, not what a person feels."
)


def to_html(evaluation: Evaluation, material: Material = NOTHING) -> str:
    """The report as one HTML document that needs no other file."""
    sections = _sections(evaluation, material)
    contents = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    body = [
        scores.headline(evaluation),
        method.privacy_note(material),
        scores.identity(evaluation, material, method.SELECTION_RULE),
        f"<nav>{contents}</nav>",
        *(f'<h2 id="{key}">{escape(title)}</h2>\n{content}' for key, title, content in sections),
    ]
    model = evaluation.model
    title = f"{model.name} {model.version}".strip() + f" on {evaluation.dataset}"
    return page(title, "\n".join(body), lead=LEAD, style=STYLE)


def _sections(evaluation: Evaluation, material: Material) -> list[tuple[str, str, str]]:
    """Key, title and content of each section."""
    conditions = {s.faces.key: errors.by_condition(s, material) for s in main_sets(evaluation)}
    stands_out = "".join(f"<li>{sentence}</li>" for sentence in scores.stands_out(evaluation))
    overview = scores.overview(evaluation) + scores.leaks(evaluation)
    found = evaluation.photos
    photos = [] if found is None else [("photos", "From photo to label", photo_section(evaluation, found))]
    measured = method.method_section(evaluation) + "<h3>Limits</h3>" + method.limits_section()
    return [
        ("scores", "Scores", (f"<ul>{stands_out}</ul>" if stands_out else "") + overview),
        *photos,
        ("classes", "Class by class", scores.per_set(evaluation)),
        ("confusions", "Confusions and surest errors", errors.confusion_section(evaluation, material)),
        ("conditions", "Errors by condition", errors.condition_section(conditions, evaluation)),
        ("poor-pictures", "Poor pictures", poor.poor_section(evaluation, material)),
        ("calibration", "Calibration", trust.calibration_section(evaluation)),
        ("abstaining", "Abstaining", trust.abstaining_section(evaluation, material.threshold)),
        ("people", "Agreement with people", trust.agreement_section(evaluation.agreement)),
        ("saliency", "What a label rests on", _saliency(evaluation, material)),
        ("learning", "Learning curves", learning.learning_section(material.run)),
        ("published", "Among published results", literature.literature_section(evaluation, material)),
        ("method", "Method and limits", measured),
    ]


def _saliency(evaluation: Evaluation, material: Material) -> str:
    if not material.saliency:
        return "<p>Not shown: no maps were made for this report.</p>"
    if not material.faces or material.dataset is None:
        return "<p>Not shown: pictures of faces were left out of this page.</p>"
    return errors.saliency_section(evaluation, material)
