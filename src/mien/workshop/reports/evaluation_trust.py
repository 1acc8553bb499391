"""How far its probabilities can be trusted: reliability, accuracy against coverage, and agreement with people."""

from __future__ import annotations

import numpy as np

from mien.arrays import Float64
from mien.workshop.evaluation.agreement import Agreement
from mien.workshop.evaluation.calibration import calibration_error_by_chance
from mien.workshop.evaluation.scores import Evaluation, SetScores, main_sets
from mien.workshop.reports.charts import Axis, Plot, axis, nice_ticks
from mien.workshop.reports.document import Block, Bullets, Chart, Columns, Grid, Heading, Text
from mien.workshop.reports.material import decimal, name, percent, signed

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def calibration_blocks(evaluation: Evaluation) -> list[Block]:
    """A reliability diagram for each head's main set, and for the votes themselves."""
    chosen = calibrated(evaluation)
    note = Text(
        "The faces with a majority are only those that people agree on: there, a model that predicts votes well is "
        "right more often than its confidence says. Whether its probabilities are right shows against the votes."
    )
    charts = [
        [Chart(reliability_plot(scores), _reliability_caption(scores), f"reliability-{scores.faces.key}")]
        for scores in chosen
    ]
    return [*([note] if any(s.faces.shares is not None for s in chosen) else []), Columns(charts, "large")]


def reliability_plot(scores: SetScores) -> Plot:
    """Accuracy against confidence in bins, with the number of faces in each as a bar."""
    found = scores.reliability
    measured = "share of votes" if scores.faces.shares is not None else "accuracy"
    ticks = [(at, f"{100 * at:.0f}") for at in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    filled = np.flatnonzero(found.counts)
    words = "; ".join(f"confidence {found.confidence[n]:.2f}: {found.accuracy[n]:.2f}" for n in filled)
    plot = Plot(
        f"Reliability of {name(scores)}, {measured} by confidence: {words}",
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
    return plot


def coverage_blocks(evaluation: Evaluation, threshold: float) -> list[Block]:
    """Accuracy against coverage of each head's main set, with the threshold in use marked."""
    main = main_sets(evaluation)
    said = []
    for scores in main:
        share, accuracy = scores.coverage.answered(threshold)
        said.append(
            f"head {scores.faces.head} is sure of {percent(share)} of the faces, {percent(accuracy)} of them correctly"
        )
    rule = (
        "Below a chosen confidence Mien is not sure. The default threshold is 0, so every face gets a label"
        if threshold == 0
        else f"Below a confidence of {threshold:g} Mien is not sure here"
    )
    charts = [
        [Chart(coverage_plot(scores, threshold), _coverage_caption(scores), f"coverage-{scores.faces.key}")]
        for scores in main
    ]
    return [Text(f"{rule}: {'; '.join(said)}."), Columns(charts), _threshold_grid(main, threshold)]


def coverage_plot(scores: SetScores, threshold: float) -> Plot:
    """How accuracy rises when the least confident faces get no label."""
    found = scores.coverage
    # The few most confident faces alone make the curve jump.
    shown = found.coverage >= 0.05
    coverage, accuracy = found.coverage[shown], found.accuracy[shown]
    # Two hundred points are enough for the chart's width; otherwise there would be one a face.
    keep = np.unique(np.linspace(0, len(coverage) - 1, 200).round().astype(int))
    bottom = max(0.0, float(np.floor(10 * (float(accuracy.min()) - 0.05)) / 10))
    share, right = found.answered(threshold)
    words = "; ".join(f"{100 * at:.0f} % of the faces: {percent(found.at(at))}" for at in (1, 0.9, 0.8, 0.7, 0.5))
    plot = Plot(
        f"Accuracy against coverage of {name(scores)}: {words}",
        axis(0, 1, "faces that it is sure of, %", form=".0f", scale=100),
        axis(bottom, 1, "right, %", form=".0f", scale=100),
        height=250,
    )  # fmt: skip
    plot.line([(float(coverage[n]), float(accuracy[n])) for n in keep], "one", wide=2.2)
    for level in (0.5, 0.7, 0.9):
        if level != threshold:
            at, value = found.answered(level)
            if at > 0.05:
                plot.dot(
                    at, value, "fill-grey", hint=f"threshold {level:g}: sure of {percent(at)}, {percent(value)} right"
                )
                plot.text(at, value, f"{level:g}", kind="soft", anchor="middle", dy=16)
    if share > 0:
        plot.dot(share, right, "fill-two", radius=5.5, hint=f"threshold {threshold:g}")
        plot.text(
            share, right, f"threshold {threshold:g}", kind="bold", anchor="end", dx=-9, dy=4 if share < 0.9 else 15
        )
    return plot


def agreement_blocks(found: Agreement | None) -> list[Block]:
    """How well votes are predicted, by the model and by k people."""
    if found is None:
        return [
            Text("Not measured: it needs test faces with ten votes for emotions, and a model with the head `crowd`.")
        ]
    people = len(found.people_top1)
    top1 = agreement_plot(found.people_top1, found.model_top1, "most likely vote is right, %", scale=100, digits=0)
    likelihood = agreement_plot(found.people_log_likelihood, found.model_log_likelihood, "log-likelihood, nats a vote")
    by_likelihood = _people(found.worth_by_log_likelihood, people)
    return [
        Text(
            f"On the {found.rows:,} test faces with ten votes for emotions, each annotator in turn is left out. The "
            "model predicts that vote with its probabilities, k other people with the shares of their votes (0.25 "
            f"added to every class). The model's most likely vote is right in **{percent(found.model_top1)}**; its "
            f"log-likelihood is **{signed(found.model_log_likelihood, 3)}** nats a vote."
        ),
        Columns(
            [
                [Chart(top1, f"**Most likely vote.** Worth {_people(found.worth_by_top1, people)}.", "people-top1")],
                [Chart(likelihood, f"**Log-likelihood.** Worth {by_likelihood}.", "people-log-likelihood")],
            ]
        ),
        *_disagreement(found),
    ]


def _disagreement(found: Agreement) -> list[Block]:
    """How far people disagree, and how much of the error that explains."""
    errors = found.errors
    points = [
        f"No model can predict more than **{percent(found.ceiling_top1)}** of these votes, because people disagree. "
        f"That disagreement explains **{percent(found.explained_error, 0)}** of the model's misses; the rest is the "
        "model's own.",
        f"Jensen–Shannon distance to the crowd (0 is equal, 1 is disjoint): **{found.model_distance:.3f}**. Compared "
        "with annotators that it has not seen, the model is as close to the crowd as "
        f"{_people(found.worth_by_distance, len(found.people_top1))}.",
        f"Against the class that most people chose, its error rate is {percent(errors.rate)}; a single annotator "
        f"differs from that class in {percent(errors.people_rate)} of the faces, and in "
        f"{percent(errors.people_rate_there)} of those that the model has wrong.",
        f"In {percent(errors.backed, 0)} of its errors at least one annotator chose the model's answer, in "
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
    if not rows:
        return [Bullets(points)]
    return [
        Bullets(points),
        Heading("From the faces that people agree on to those they do not", 4),
        Text(
            "By the entropy of the votes: left-out votes predicted by the model, by all other annotators together, and "
            "at best; errors against the class that most people chose; distance to the crowd."
        ),
        Grid(
            ("entropy, bits", "faces", "model %", "other people %", "at best %", "errors %", "distance"), rows,
            text_columns=0,
        ),
    ]  # fmt: skip


def agreement_plot(people: Float64, model: float, title: str, *, scale: float = 1, digits: int = 2) -> Plot:
    """A measure for k = 1 … K people, and the model's as a line."""
    values = [*people.tolist(), model]
    margin = 0.12 * (max(values) - min(values) or 1)
    low, high = min(values) - margin, max(values) + margin
    ticks = [(at, f"{scale * at:.{digits}f}".replace("-", "−")) for at in nice_ticks(low, high, 5)]
    k = range(1, len(people) + 1)
    words = "; ".join(f"{n} people {scale * value:.{digits + 1}f}" for n, value in zip(k, people, strict=True))
    plot = Plot(
        f"{title}: the model {scale * model:.{digits + 1}f}; {words}",
        Axis(0.5, len(people) + 0.5, "people who predict together", [(n, str(n)) for n in k]),
        Axis(low, high, title, ticks), height=250, left=62,
    )  # fmt: skip
    plot.line([(0.5, model), (len(people) + 0.5, model)], "two", wide=2.2, dash="7 4")
    plot.text(0.6, model, f"the model {scale * model:.{digits + 1}f}".replace("-", "−"), kind="bold", dy=-7)
    plot.line([(n, float(value)) for n, value in zip(k, people, strict=True)], "one")
    for n, value in zip(k, people, strict=True):
        plot.dot(n, float(value), "fill-one", radius=4, hint=f"{n} people: {scale * value:.{digits + 1}f}")
    return plot


def _people(worth: int, most: int) -> str:
    if worth == 0:
        return "less than one other person"
    if worth >= most:
        return f"**{worth} people** or more, the most that can be measured"
    return f"**{worth} {'person' if worth == 1 else 'people'}**"


def calibrated(evaluation: Evaluation) -> list[SetScores]:
    """Each head's main set, and before them the votes themselves, if there are any."""
    main = main_sets(evaluation)
    votes = [s for key in ("crowd-votes-test", "crowd-votes-validation") for s in evaluation.sets if s.faces.key == key]
    return [*(scores for scores in votes[:1] if all(scores is not other for other in main)), *main]


def _reliability_caption(scores: SetScores) -> str:
    chance = ""
    if scores.faces.shares is None:
        least = calibration_error_by_chance(scores.confidence)
        chance = f" ({least:.3f} by chance alone if every probability were exact)"
    return (
        f"**{name(scores)}.** ECE {scores.ece:.3f}{chance}, Brier {scores.brier:.3f}, NLL {scores.nll:.3f}. "
        "Grey bars: number of faces with this confidence."
    )


def _coverage_caption(scores: SetScores) -> str:
    return f"**{name(scores)}.** Grey: thresholds of 0.5, 0.7 and 0.9."


def _threshold_grid(main: list[SetScores], threshold: float) -> Grid:
    levels = sorted({*THRESHOLDS, threshold})
    names = ["threshold"]
    for scores in main:
        names += [f"{scores.faces.head}: sure %", "right %"]
    rows = []
    for level in levels:
        cells = [f"{level:g}" + (" **in use**" if level == threshold else "")]
        for scores in main:
            share, accuracy = scores.coverage.answered(level)
            cells += [f"{100 * share:.1f}", decimal(100 * accuracy, 1)]
        rows.append(cells)
    return Grid(names, rows)
