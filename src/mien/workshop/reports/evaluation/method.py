"""How it was measured, and what it does not say."""

from __future__ import annotations

from html import escape

from mien.workshop.evaluation.scores import Evaluation
from mien.workshop.reports.evaluation.material import Material

SELECTION_RULE = (
    "Mien's trainings choose the checkpoint and calibrate on validation (PublicTest) alone; "
    "test (PrivateTest) decides nothing."
)
INTERVAL_RULE = "Intervals are 95 % percentile bootstrap intervals over the faces (2,000 resamples, seed 0)."

PROTOCOL = (
    "<b>Truth.</b> <i>Labels</i> are those of the data set. <i>FER+ majority</i> is the class that more than half of "
    "the ten annotators chose, by the FER+ authors' protocol; <i>FER+ votes</i> are all faces with five votes or more "
    "for emotions, where right is what most chose and calibration is against the shares.",
    "<b>Heads.</b> <code>crowd</code> has learnt the votes and is what users get; <code>fer2013</code> has learnt the "
    "challenge's labels and is there to compare with the literature. Head crowd on the data set's own labels, its "
    "eight classes projected on the seven, is there for information.",
    f"<b>Intervals.</b> {INTERVAL_RULE} Those of a class's recall and of a bin of conditions are Wilson's. They hold "
    "the chance of which faces were tested, not that of another training.",
    "<b>Calibration.</b> ECE is the expected calibration error of the top label over 15 bins of equal width; Brier "
    "score and negative log-likelihood (NLL, nats) are over all classes. On hard labels the ECE of exact probabilities "
    "is not 0 either, for whether a face is right is chance; that figure stands beside it.",
    "<b>Macro F1</b> is the mean over the classes that stand in the labels or the answers, balanced accuracy the mean "
    "recall over the classes that stand in the labels. A dash is a figure that is not defined.",
    "<b>Conditions</b> are measured on the very crop that the model reads; bins hold about equal numbers of faces. "
    "They differ in more than the condition (dark pictures hold other expressions than bright ones), so a gap is a "
    "place to look at, not a cause.",
)

LIMITS = (
    "<b>An expression is not a feeling.</b> The model says which of a few words people would choose for a face. What "
    "the person feels, means or is like cannot be read from it, and the same face means different things in different "
    "situations and cultures.",
    "The labels are what web searches and annotators gave: posed, acted and candid pictures of people who were not "
    "asked, with unknown shares of ages, genders, skin colours and cultures. An accuracy for such groups cannot be "
    "measured here, and equal accuracy must not be assumed.",
    "Known to fail: what is rare in training (disgust, contempt, fear) is found less often than happy or neutral; calm "
    "faces are called sad, and sad ones calm; faces that are covered, turned away, blurred, drawn or no faces at all "
    "get a label as well; on pictures from elsewhere accuracy falls.",
    "Test and training pictures come from the same searches; some are the same pictures. The figures without the faces "
    "that stand in train are the fairer ones, and near-duplicates remain.",
    "<b>Restricted uses.</b> In the European Union, systems that infer emotions of people at work or in education from "
    "their faces are forbidden but for medical or safety reasons (Regulation (EU) 2024/1689, Art. 5(1)(f)); others "
    "count as high-risk (Annex III), and the people concerned must be told (Art. 50). Do not decide about "
    "people by labels.",
)


def method_section(evaluation: Evaluation) -> str:
    """The protocol, what was left out, and the limits."""
    return f"<h3>How it was measured</h3>{_bullets([*PROTOCOL, *map(escape, evaluation.notes)])}"


def limits_section() -> str:
    """What the figures do not say."""
    return _bullets(LIMITS)


def privacy_note(material: Material) -> str:
    """A warning where the page holds pictures of people, and where they were left out."""
    if material.dataset is None:
        return ""
    if not material.faces:
        return '<div class="note"><p>Pictures of faces were left out of this page.</p></div>'
    return (
        '<div class="note warn"><p><b>This page holds pictures of people</b> from the data set, inside the file. Keep '
        "it where the data set itself may be kept, or make it without them: <code>--no-faces</code>.</p></div>"
    )


def _bullets(items: list[str] | tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
