"""How far its probabilities can be trusted: reliability, what abstaining buys, and agreement with people."""

from __future__ import annotations

from html import escape

import numpy as np

from mien.html import html_table
from mien.workshop.evaluation.agreement import Agreement
from mien.workshop.evaluation.calibration import Coverage, calibration_error_by_chance
from mien.workshop.evaluation.scores import Evaluation, SetScores, main_sets
from mien.workshop.reports.evaluation.charts import Axis, Plot, axis, figure, nice_ticks
from mien.workshop.reports.evaluation.words import decimal, name, percent, signed

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def calibration_section(evaluation: Evaluation) -> str:
    """A reliability diagram for each head's main set, and for the votes themselves."""
    chosen = calibrated(evaluation)
    charts = [figure(reliability_svg(scores), _reliability_caption(scores)) for scores in chosen]
    note = (
        "<p>Among the faces with a majority are only those that people agree on: there a model that foretells the "
        "votes well is right more often than it says. Whether it means what it says shows against the votes.</p>"
        if any(scores.faces.shares is not None for scores in chosen)
        else ""
    )
    return f'{note}<div class="charts large">{"".join(charts)}</div>'


def reliability_svg(scores: SetScores) -> str:
    """Accuracy against confidence in bins; the discs' area is the number of faces."""
    found = scores.reliability
    measured = "share of votes" if scores.faces.shares is not None else "accuracy"
    ticks = [(at, f"{100 * at:.0f}") for at in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    filled = np.flatnonzero(found.counts)
    told = "; ".join(f"confidence {found.confidence[n]:.2f}: {found.accuracy[n]:.2f}" for n in filled)
    plot = Plot(
        f"Reliability of {name(scores)}, {measured} by confidence: {told}",
        Axis(0, 1, "confidence, %", ticks), Axis(0, 1, f"{measured}, %", ticks), width=340, height=300,
    )  # fmt: skip
    width = found.edges[1] - found.edges[0]
    most = max(int(found.counts.max()), 1)
    for n in filled:
        left, share = float(found.edges[n]), found.counts[n] / most
        plot.bar(
            (left + 0.1 * width, left + 0.9 * width), (0, 0.16 * share), "fill-soft", hint=f"{found.counts[n]:,} faces"
        )
    plot.line([(0, 0), (1, 1)], "grey", wide=1.2, dash="4 4")
    plot.line([(float(found.confidence[n]), float(found.accuracy[n])) for n in filled], "one")
    for n in filled:
        hint = f"{found.counts[n]:,} faces: confidence {found.confidence[n]:.3f}, {measured} {found.accuracy[n]:.3f}"
        plot.dot(float(found.confidence[n]), float(found.accuracy[n]), "fill-one", radius=4, hint=hint)
    return plot.svg()


def abstaining_section(evaluation: Evaluation, threshold: float) -> str:
    """Accuracy against coverage of each head's main set, with the threshold in use marked."""
    main = main_sets(evaluation)
    said = []
    for scores in main:
        share, accuracy = answered(scores.coverage, threshold)
        said.append(
            f"head {scores.faces.head} answers {percent(share)} of the faces, {percent(accuracy)} of them right"
        )
    rule = (
        "Below a chosen confidence Mien abstains. By default the threshold is 0, every face is answered"
        if threshold == 0
        else f"Below a confidence of {threshold:g} Mien abstains here"
    )
    charts = "".join(figure(coverage_svg(scores, threshold), _coverage_caption(scores)) for scores in main)
    return f"<p>{rule}: {'; '.join(said)}.</p><div class='pair'>{charts}</div>{_threshold_table(main, threshold)}"


def coverage_svg(scores: SetScores, threshold: float) -> str:
    """How accuracy rises when the least sure faces are left unanswered."""
    found = scores.coverage
    shown = found.coverage >= min(0.05, 1.0)
    coverage, accuracy = found.coverage[shown], found.accuracy[shown]
    keep = np.unique(np.linspace(0, len(coverage) - 1, 200).round().astype(int))
    bottom = max(0.0, float(np.floor(10 * (float(accuracy.min()) - 0.05)) / 10))
    share, right = answered(found, threshold)
    told = "; ".join(f"{100 * at:.0f} % answered: {percent(found.at(at))}" for at in (1, 0.9, 0.8, 0.7, 0.5))
    plot = Plot(
        f"Accuracy against coverage of {name(scores)}: {told}",
        axis(0, 1, "answered, %", form=".0f", scale=100), axis(bottom, 1, "right, %", form=".0f", scale=100),
        height=250,
    )  # fmt: skip
    plot.line([(float(coverage[n]), float(accuracy[n])) for n in keep], "one", wide=2.2)
    for level in (0.5, 0.7, 0.9):
        if level != threshold:
            at, value = answered(found, level)
            if at > 0.05:
                plot.dot(
                    at, value, "fill-grey", hint=f"threshold {level:g}: {percent(at)} answered, {percent(value)} right"
                )
                plot.text(at, value, f"{level:g}", kind="soft", anchor="middle", dy=16)
    if share > 0:
        plot.dot(share, right, "fill-two", radius=5.5, hint=f"threshold {threshold:g}")
        plot.text(
            share, right, f"threshold {threshold:g}", kind="bold", anchor="end", dx=-9, dy=4 if share < 0.9 else 15
        )
    return plot.svg()


def answered(coverage: Coverage, threshold: float) -> tuple[float, float]:
    """Share of the faces with at least this confidence, and how many of them are right; NaN where there is none."""
    count = int((coverage.threshold >= threshold).sum())
    if not count:
        return 0.0, float("nan")
    return float(coverage.coverage[count - 1]), float(coverage.accuracy[count - 1])


def agreement_section(found: Agreement | None) -> str:
    """How well votes are foretold, by the model and by k people."""
    if found is None:
        return (
            "<p>Not measured: it needs test faces with ten votes of people for emotions, and a model with the head "
            "<code>crowd</code>.</p>"
        )
    people = len(found.people_top1)
    charts = figure(
        agreement_svg(found.people_top1, found.model_top1, "most likely vote is right, %", scale=100, digits=0),
        f"<b>Most likely vote.</b> Worth {_people(found.worth_by_top1, people)}.",
    ) + figure(
        agreement_svg(found.people_log_likelihood, found.model_log_likelihood, "log-likelihood, nats a vote"),
        f"<b>Log-likelihood.</b> Worth {_people(found.worth_by_log_likelihood, people)}.",
    )
    return (
        f"<p>On the {found.rows:,} test faces with ten votes for emotions each annotator in turn is left out. The "
        f"model foretells that vote with its probabilities, k others with the shares of their votes (0.25 added to "
        f"every class). The model's most likely vote is right in <b>{percent(found.model_top1)}</b>, its "
        f"log-likelihood is <b>{signed(found.model_log_likelihood, 3)}</b> nats a vote.</p>"
        f"<div class='pair'>{charts}</div>{_disagreement(found)}"
    )


def _disagreement(found: Agreement) -> str:
    """How far people divide themselves, and how much of the error that explains."""
    errors = found.errors
    points = [
        f"No model can foretell more than <b>{percent(found.ceiling_top1)}</b> of these votes: people contradict one "
        f"another. Of the model's own misses that disagreement explains <b>{percent(found.explained_error, 0)}</b>; "
        "the rest is the model's.",
        f"Jensen–Shannon distance to the crowd (0 is equal, 1 is disjoint): <b>{found.model_distance:.3f}</b>. Set "
        f"against annotators that it has not seen, the model is as near to them as "
        f"{_people(found.worth_by_distance, len(found.people_top1))}.",
        f"Against the class that most people chose it errs in {percent(errors.rate)}; a single annotator differs from "
        f"that class in {percent(errors.people_rate)} of the faces, and in {percent(errors.people_rate_there)} of "
        "those that the model has wrong.",
        f"In {percent(errors.backed, 0)} of its errors at least one annotator chose what the model said, in "
        f"{percent(errors.backed_twice, 0)} at least two.",
    ]
    rows = [
        (
            f"{group.low_bits:.2f}–{group.high_bits:.2f}", f"{group.rows:,}", decimal(100 * group.model_top1, 1),
            decimal(100 * group.people_top1, 1), decimal(100 * group.ceiling_top1, 1),
            decimal(100 * group.model_error, 1), decimal(group.model_distance),
        )
        for group in found.by_disagreement
    ]  # fmt: skip
    names = ("entropy, bits", "faces", "model %", "other people %", "at best %", "errors %", "distance")
    table = (
        "<h4>From the faces that people agree on to those they do not</h4><p>By the entropy of their votes: left-out "
        "votes that the model foretells, that all other annotators together do, and that could be at best; errors "
        f"against the class that most chose; distance to the crowd.</p>{html_table(names, rows, text_columns=0)}"
    )
    return f"<ul>{''.join(f'<li>{point}</li>' for point in points)}</ul>{table if rows else ''}"


def agreement_svg(people: np.ndarray[tuple[int, ...], np.dtype[np.float64]], model: float, title: str, *,
                  scale: float = 1, digits: int = 2) -> str:  # fmt: skip
    """A measure for k = 1 … K people, and the model's as a line across."""
    values = [*people.tolist(), model]
    margin = 0.12 * (max(values) - min(values) or 1)
    low, high = min(values) - margin, max(values) + margin
    ticks = [(at, f"{scale * at:.{digits}f}".replace("-", "−")) for at in nice_ticks(low, high, 5)]
    k = range(1, len(people) + 1)
    told = "; ".join(f"{n} people {scale * value:.{digits + 1}f}" for n, value in zip(k, people, strict=True))
    plot = Plot(
        f"{title}: the model {scale * model:.{digits + 1}f}; {told}",
        Axis(0.5, len(people) + 0.5, "people who foretell together", [(n, str(n)) for n in k]),
        Axis(low, high, title, ticks), height=250, left=62,
    )  # fmt: skip
    plot.line([(0.5, model), (len(people) + 0.5, model)], "two", wide=2.2, dash="7 4")
    plot.text(0.6, model, f"the model {scale * model:.{digits + 1}f}".replace("-", "−"), kind="bold", dy=-7)
    plot.line([(n, float(value)) for n, value in zip(k, people, strict=True)], "one")
    for n, value in zip(k, people, strict=True):
        plot.dot(n, float(value), "fill-one", radius=4, hint=f"{n} people: {scale * value:.{digits + 1}f}")
    return plot.svg()


def _people(worth: int, most: int) -> str:
    if worth == 0:
        return "less than one other person"
    if worth >= most:
        return f"<b>{worth} people</b> or more, the most that can be compared"
    return f"<b>{worth} {'person' if worth == 1 else 'people'}</b>"


def calibrated(evaluation: Evaluation) -> list[SetScores]:
    """Each head's main set, and before them the votes themselves, where there are such."""
    main = main_sets(evaluation)
    votes = [s for key in ("crowd-votes-test", "crowd-votes-validation") for s in evaluation.sets if s.faces.key == key]
    return [*(scores for scores in votes[:1] if all(scores is not other for other in main)), *main]


def _reliability_caption(scores: SetScores) -> str:
    chance = ""
    if scores.faces.shares is None:
        least = calibration_error_by_chance(scores.confidence)
        chance = f" ({least:.3f} by chance alone, were every probability exact)"
    return (
        f"<b>{escape(name(scores))}.</b> ECE {scores.ece:.3f}{chance}, Brier {scores.brier:.3f}, NLL {scores.nll:.3f}. "
        "Grey bars: how many faces are called with this confidence."
    )


def _coverage_caption(scores: SetScores) -> str:
    return f"<b>{escape(name(scores))}.</b> Grey: thresholds of 0.5, 0.7 and 0.9."


def _threshold_table(main: list[SetScores], threshold: float) -> str:
    levels = sorted({*THRESHOLDS, threshold})
    names = ["threshold"]
    for scores in main:
        names += [f"{escape(scores.faces.head)}: answered %", "right %"]
    rows = []
    for level in levels:
        cells = [f"{level:g}" + (" <b>in use</b>" if level == threshold else "")]
        for scores in main:
            share, accuracy = answered(scores.coverage, level)
            cells += [f"{100 * share:.1f}", decimal(100 * accuracy, 1)]
        rows.append(cells)
    return html_table(names, rows)
