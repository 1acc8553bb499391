"""How the training went: loss and accuracy by epoch, and what the curves say."""

from __future__ import annotations

import math
from html import escape

from mien.workshop.evaluation.diagnosis import History, diagnose
from mien.workshop.reports.evaluation.charts import Plot, axis, figure
from mien.workshop.reports.evaluation.material import Run

HEADS = ("crowd", "fer2013")


def learning_section(run: Run | None) -> str:
    """Two charts and the words that the rules of `diagnosis` give."""
    if run is None:
        return "<p>Not known: neither the model's folder nor <code>--run</code> holds the history of its training.</p>"
    history = run.history
    best = max(range(len(history)), key=lambda n: history[n]["score"])
    found = diagnose(history)
    reason = f" ({escape(found.reason)})" if found.reason else ""
    heads = [head for head in HEADS if head in history[0]]
    last = ", ".join(f"{head} {100 * history[best][head]:.1f} %" for head in heads)
    return (
        f"<p>Training <b>{escape(run.name)}</b>: {len(history)} epochs; epoch {best + 1} has the best validation score"
        f"{f' ({last})' if last else ''}. The curves say: <b>{', '.join(found.words)}</b>{reason}.</p>"
        f"<div class='pair'>{figure(loss_svg(history, best), _LOSS)}{figure(score_svg(history, best), _SCORE)}</div>"
    )


_LOSS = (
    "<b>Loss.</b> Training loss is the mean over an epoch with augmentation and dropout, validation loss without them."
)
_SCORE = "<b>Validation accuracy.</b> The vertical line is the epoch with the best score."


def loss_svg(history: History, best: int) -> str:
    """Training and validation loss by epoch."""
    curves = [("validation", "loss", "one", ""), ("training", "train_loss", "grey", "5 4")]
    return _chart(history, best, "loss, nats", curves, 1.0)


def score_svg(history: History, best: int) -> str:
    """Validation accuracy of each head by epoch, of all together where heads are not told apart."""
    heads = [head for head in HEADS if head in history[0]]
    kinds = ("one", "two")
    curves = [(head, head, kinds[n], "") for n, head in enumerate(heads)] or [("score", "score", "one", "")]
    return _chart(history, best, "accuracy, %", curves, 100.0)


def _chart(history: History, best: int, title: str, curves: list[tuple[str, str, str, str]], scale: float) -> str:
    rows = {key: [row.get(key, math.nan) for row in history] for _, key, _, _ in curves}
    finite = [value for values in rows.values() for value in values if math.isfinite(value)] or [0.0, 1.0]
    # A first epoch far off must not press the rest flat.
    low, high = min(finite), sorted(finite)[max(0, math.ceil(0.99 * len(finite)) - 1)]
    margin = 0.06 * ((high - low) or 1)
    told = "; ".join(f"{name} {scale * values[best]:.3g} in epoch {best + 1}, {scale * values[-1]:.3g} at the end"
                     for (name, _, _, _), values in zip(curves, rows.values(), strict=True))  # fmt: skip
    plot = Plot(
        f"{title} by epoch: {told}",
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
    return plot.svg()
