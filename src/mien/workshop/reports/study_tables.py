"""The tables and figures of a study's report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mien.workshop.evaluation.compare import Comparison
from mien.workshop.evaluation.metrics import Spread
from mien.workshop.evaluation.scores import SetScores
from mien.workshop.experiments.study_plan import Published
from mien.workshop.experiments.study_results import EntryResult, StudyResults
from mien.workshop.reports.charts import GREY, INK, SERIES, encode_png, new_figure, style_axes
from mien.workshop.reports.document import DASH, Grid
from mien.workshop.reports.material import change, decimal, p_value, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
"""Panels of losses in a row."""


def score_grids(results: StudyResults) -> list[Grid]:
    """The entries by their scores, the best first; those on other sets in a second table."""
    run = results.any_run
    other = [(suffix, scores) for suffix in ("test", "test-unseen") if _is_other(scores := run.on(suffix), run.main)]
    columns = [
        "entry", "seeds", "accuracy %", "95 % interval", "macro F1", "weighted F1", "published accuracy %",
        "published F1",
    ]  # fmt: skip
    grids = [Grid(columns, [_score_row(entry) for entry in results.measured])]
    if other:
        titles = [f"{scores.faces.title} %" for _, scores in other if scores is not None]
        rows = [_other_row(entry, [suffix for suffix, _ in other]) for entry in results.measured]
        grids.append(Grid(["entry", *titles], rows))
    return grids


def trouble_grid(results: StudyResults) -> Grid:
    """The runs that have no scores, and why; without rows where all have."""
    rows = [
        (entry.name, str(run.seed), run.state, run.reason or DASH, f"{len(run.history)}")
        for entry in results.entries
        for run in entry.runs
        if run.evaluation is None
    ]
    return Grid(("entry", "seed", "state", "reason", "epochs"), rows, text_columns=4)


def pair_grid(best: str, second: str, pairs: Sequence[tuple[int, Comparison]]) -> Grid:
    """Two entries on the same faces, a row for each seed."""
    columns = ("seed", f"{best} %", f"{second} %", f"only {best}", f"only {second}", "difference", "p")
    return Grid(columns, [_pair_row(seed, pair) for seed, pair in pairs])


def cost_grid(results: StudyResults, *, timed: bool) -> Grid:
    """What the network of each entry takes, and how its training went."""
    columns = [
        "entry", "parameters", "MACs", *(["ms a face"] if timed else []), "training time", "s an epoch", "epochs",
        "best epoch", "epochs to 95 %", "spread",
    ]  # fmt: skip
    return Grid(columns, [_cost_row(entry, timed=timed) for entry in results.entries if entry.trained])


def diagnosis_grid(results: StudyResults) -> Grid:
    """What the curves of each run say."""
    rows = [
        (entry.name, str(run.seed), f"**{', '.join(run.diagnosis.words)}**", run.diagnosis.reason)
        for entry in results.entries
        for run in entry.runs
        if run.history or run.reason
    ]
    return Grid(("entry", "seed", "diagnosis", "because"), rows, text_columns=4)


def f1_grid(results: StudyResults) -> Grid:
    """F1 of each class, by entry."""
    rows = [[entry.name, *(decimal(value) for value in entry.first.main.f1)] for entry in results.measured]
    return Grid(["entry", *results.any_run.main.faces.classes], rows)


def _score_row(entry: EntryResult) -> list[str]:
    spreads = [entry.spread(metric) for metric in ("accuracy", "macro_f1", "weighted_f1")]
    accuracy, macro, weighted = (spread for spread in spreads if spread is not None)
    low, high = accuracy.interval
    published = entry.entry.published
    return [
        entry.name,
        str(accuracy.count),
        f"**{_percent(accuracy)}**",
        f"{100 * low:.1f}–{100 * high:.1f}",
        _score(macro),
        _score(weighted),
        DASH if published.accuracy is None else f"{100 * published.accuracy:.1f}",
        _published_f1(published),
    ]


def _other_row(entry: EntryResult, suffixes: Sequence[str]) -> list[str]:
    spreads = [entry.spread("accuracy", suffix) for suffix in suffixes]
    return [entry.name, *(DASH if spread is None else _percent(spread) for spread in spreads)]


def _is_other(scores: SetScores | None, main: SetScores) -> bool:
    return scores is not None and scores.faces.key != main.faces.key


def _pair_row(seed: int, pair: Comparison) -> list[str]:
    return [
        str(seed),
        f"{100 * pair.second:.2f}",
        f"{100 * pair.first:.2f}",
        f"{pair.only_second:,}",
        f"{pair.only_first:,}",
        f"**{signed(100 * (pair.second - pair.first), 2)}** ({change(pair.difference)})",
        p_value(pair.p_value),
    ]


def _cost_row(entry: EntryResult, *, timed: bool) -> list[str]:
    cost, runs = entry.cost, entry.trained
    accuracy = entry.spread("accuracy")
    seconds = [run.seconds for run in runs]
    per_epoch = sum(seconds) / sum(len(run.history) for run in runs)
    ms = [DASH if cost is None or cost.ms is None else f"{cost.ms:.2f}"] if timed else []
    return [
        entry.name,
        DASH if cost is None else f"{cost.parameters:,}",
        DASH if cost is None else f"{cost.macs / 1e6:,.1f} M",
        *ms,
        _duration(sum(seconds) / len(seconds)),
        f"{per_epoch:.0f}" if per_epoch >= 10 else f"{per_epoch:.1f}",
        _each(len(run.history) for run in runs),
        _each(run.best_epoch for run in runs),
        _each(run.convergence for run in runs),
        DASH if accuracy is None or accuracy.count < 2 else f"{100 * accuracy.largest_gap:.2f}",
    ]


def _published_f1(published: Published) -> str:
    said = [(published.macro_f1, "macro"), (published.weighted_f1, "weighted")]
    return ", ".join(f"{value:.3g} {kind}" for value, kind in said if value is not None) or DASH


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f}" + (f" ± {100 * spread.sd:.2f}" if spread.count > 1 else "")


def _score(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.count > 1 else "")


def _each(values: Iterable[int]) -> str:
    """One figure a seed; one for all where they are the same."""
    found = list(values)
    return str(found[0]) if len(set(found)) == 1 else " / ".join(map(str, found))


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds.

    >>> _duration(3720), _duration(65)
    ('1 h 02 min', '1 min 05 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def accuracy_png(results: StudyResults) -> bytes:
    """A line an entry: our mean accuracy with its interval, and the published figure.

    Raises:
        MissingExtraError: without matplotlib.
    """
    entries = results.measured[::-1]
    figure = new_figure(8.2, 1.15 + 0.42 * len(entries))
    axes = figure.subplots()
    for row, entry in enumerate(entries):
        spread = entry.spread("accuracy")
        assert spread is not None
        low, high = (100 * end for end in spread.interval)
        colour = _colour(results, entry)
        axes.plot([low, high], [row, row], color=colour, linewidth=2.4, alpha=0.45, solid_capstyle="butt")
        for run in entry.measured:
            axes.plot(100 * run.main.accuracy, row, "o", color=colour, markersize=3.5, alpha=0.7)
        axes.plot(100 * spread.mean, row, "o", color=colour, markersize=8)
        published = entry.entry.published.accuracy
        if published is not None:
            axes.plot(100 * published, row, "D", color="white", markeredgecolor=INK, markersize=6.5)
    axes.plot([], [], "o", color=GREY, markersize=8, label="ours, mean and 95 % interval")
    axes.plot([], [], "D", color="white", markeredgecolor=INK, markersize=6.5, label="published")
    axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
    axes.set_ylim(-0.6, len(entries) - 0.4)
    axes.set_xlabel(f"accuracy on {results.any_run.main.faces.title} (%)")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside upper right")
    style_axes(axes, grid="x")
    return encode_png(figure)


def progress_png(results: StudyResults) -> bytes:
    """Validation score by epoch, a colour an entry and a line a seed; a dot is the epoch that was kept."""
    figure = new_figure(8.2, 4.2)
    axes = figure.subplots()
    for entry in results.entries:
        for number, run in enumerate(entry.trained):
            values = [100 * row["score"] for row in run.history]
            # One line of the legend an entry, not a seed.
            label = f"{entry.name}: {max(values):.1f}" if number == 0 else None
            colour = _colour(results, entry)
            axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.6, alpha=0.85, label=label)
            axes.plot(run.best_epoch, values[run.best_epoch - 1], "o", color=colour, markersize=5)
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    style_axes(axes, whole=True)
    return encode_png(figure)


def losses_png(results: StudyResults) -> bytes:
    """Training and validation loss by epoch, a panel an entry, all on the same scales."""
    entries = [entry for entry in results.entries if entry.trained]
    columns = min(_COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    figure = new_figure(max(5.2, 3.05 * columns), 0.55 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, entry in zip(panels.flat, entries, strict=False):
        _draw_losses(axes, entry, _colour(results, entry))
    for axes in panels.flat[len(entries) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("loss (nats)")
    for column in range(columns):
        # Shared axes label the last row alone, in which some panels are empty.
        lowest = [axes for axes in panels[:, column] if axes.axison][-1]
        lowest.set_xlabel("epoch")
        lowest.tick_params(labelbottom=True)
    # Drawn without points, for the legend: each entry has a colour of its own.
    panels[0, 0].plot([], [], color=INK, linewidth=1.6, label="validation")
    panels[0, 0].plot([], [], color=GREY, linewidth=1.6, linestyle="--", label="train, augmented")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside upper right")
    return encode_png(figure)


def _draw_losses(axes: Axes, entry: EntryResult, colour: str) -> None:
    for run in entry.trained:
        epochs = range(1, len(run.history) + 1)
        axes.plot(epochs, [row["train_loss"] for row in run.history], color=GREY, linewidth=1.5, linestyle="--")
        axes.plot(epochs, [row["loss"] for row in run.history], color=colour, linewidth=1.6)
        axes.plot(run.best_epoch, run.history[run.best_epoch - 1]["loss"], "o", color=colour, markersize=5)
    axes.set_title(entry.name, fontsize=10, color=INK, loc="left")
    style_axes(axes, whole=True)


def _colour(results: StudyResults, entry: EntryResult) -> str:
    return SERIES[results.entries.index(entry) % len(SERIES)]
