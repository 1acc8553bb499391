"""A search in pictures: history, curves, importance, slices, parallel coordinates; drawn with matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from mien.errors import MissingExtraError
from mien.workshop.experiments.search.ranges import Choices, Interval, Range, Ranges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LIGHT, BLUE, RED = "#1f2933", "#9aa5b1", "#dde3ea", "#2f6fb0", "#c8553d"
DPI = 110


def history_png(trials: Sequence[FrozenTrial]) -> bytes:
    """The score of each trial in the order of their numbers, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(9.0, 3.8)
    axes = figure.subplots()
    complete = _of(trials, TrialState.COMPLETE)
    pruned = [trial for trial in _of(trials, TrialState.PRUNED) if trial.value is not None]
    failed = _of(trials, TrialState.FAIL)
    if complete:
        best = np.maximum.accumulate([_per_cent(trial) for trial in complete])
        last = max(trial.number for trial in trials)
        numbers = [*(trial.number for trial in complete), last]
        axes.step(numbers, [*best, best[-1]], where="post", color=BLUE, linewidth=1.6, label="best so far")
    axes.scatter([t.number for t in pruned], [_per_cent(t) for t in pruned], s=22, marker="x", color=GREY,
                 linewidths=1.3, label="stopped early")  # fmt: skip
    axes.scatter([t.number for t in complete], [_per_cent(t) for t in complete], s=26, color=BLUE, zorder=3,
                 edgecolors="white", linewidths=0.6, label="ran to its end")  # fmt: skip
    for trial in failed:
        axes.axvline(
            trial.number, color=RED, linewidth=1, alpha=0.6, label=None if trial is not failed[0] else "failed"
        )
    axes.set(xlabel="trial", ylabel="validation score (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    _plain(axes)
    return _png(figure)


def curves_png(trials: Sequence[FrozenTrial]) -> bytes:
    """The score of each trial by epoch, stopped ones with a cross at their end."""
    figure = _figure(9.0, 4.2)
    axes = figure.subplots()
    ranks = {trial.number: rank for rank, trial in enumerate(_by_score(trials))}
    longest = 1
    for trial in trials:
        if not trial.intermediate_values:
            continue
        epochs, values = zip(*sorted(trial.intermediate_values.items()), strict=True)
        longest = max(longest, *epochs)
        top = ranks.get(trial.number, 99) < 3
        ended = trial.state == TrialState.COMPLETE
        axes.plot(epochs, [100 * value for value in values], color=BLUE if ended else GREY, marker=".", markersize=4,
                  linewidth=2 if top else 1, alpha=1 if top else 0.55, zorder=3 if top else 2)  # fmt: skip
        if trial.state == TrialState.PRUNED:
            axes.scatter(epochs[-1], 100 * values[-1], marker="x", s=26, color=GREY, linewidths=1.3)
    axes.plot([], [], label="the best three", color=BLUE, linewidth=2)
    axes.plot([], [], label="ran to its end", color=BLUE, linewidth=1, alpha=0.55)
    axes.plot([], [], label="stopped early", color=GREY, linewidth=1, marker="x")
    axes.set(xlabel="epoch", ylabel="validation score (%)", xticks=range(1, longest + 1, max(1, longest // 12)))
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    _plain(axes)
    return _png(figure)


def importance_png(importance: dict[str, float]) -> bytes:
    """A bar a setting: its share of what tells the better trials from the others."""
    figure = _figure(9.0, 0.8 + 0.36 * len(importance))
    axes = figure.subplots()
    names = list(importance)[::-1]
    shares = [100 * importance[name] for name in names]
    axes.barh(names, shares, color=BLUE, height=0.62)
    for row, share in enumerate(shares):
        axes.text(share + 0.6, row, f"{share:.0f} %" if share >= 1 else "< 1 %", va="center", fontsize=9, color=INK)
    axes.set(xlabel="importance (%)", xlim=(0, max(shares) * 1.12 + 1))
    _plain(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return _png(figure)


def slice_png(trials: Sequence[FrozenTrial], ranges: Ranges) -> bytes:
    """A small picture a setting: its value against the score."""
    columns = min(3, len(ranges))
    rows = math.ceil(len(ranges) / columns)
    figure = _figure(3.4 * columns, 2.5 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    random = np.random.default_rng(0)
    for axes, key in zip(grid.ravel(), ranges, strict=False):
        bounds = ranges[key]
        names = list(bounds.named) if isinstance(bounds, Choices) else []
        for state in (TrialState.PRUNED, TrialState.COMPLETE):
            chosen = [t for t in _of(trials, state) if key in t.params and t.value is not None]
            values = [t.params[key] for t in chosen]
            if names:
                values = [names.index(value) + random.uniform(-0.12, 0.12) for value in values]
            colour, marker = (BLUE, "o") if state == TrialState.COMPLETE else (GREY, "x")
            axes.scatter(values, [_per_cent(t) for t in chosen], color=colour, marker=marker, s=20, linewidths=1.2)
        if names:
            axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=20 if len(names) > 3 else 0)
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif not isinstance(bounds, Choices) and bounds.log:
            axes.set_xscale("log")
            axes.set_xticks([value for value, _ in _marks(bounds)], [label for _, label in _marks(bounds)])
            axes.minorticks_off()
        axes.set_title(key, fontsize=10, color=INK, loc="left")
        _plain(axes)
    for axes in grid.ravel()[len(ranges) :]:
        axes.set_visible(False)
    figure.supylabel("validation score (%)", fontsize=10, color=INK)
    return _png(figure)


def parallel_png(trials: Sequence[FrozenTrial], ranges: Ranges) -> bytes:
    """A line a trial across all settings to its score; the better, the darker."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    shown = sorted(_of(trials, TrialState.COMPLETE), key=lambda trial: trial.value or 0.0)
    scores = [_per_cent(trial) for trial in shown]
    keys = list(ranges)
    figure = _figure(max(9.0, 1.25 * (len(keys) + 1)), 4.6)
    axes = figure.subplots()
    shade = Normalize(min(scores), max(scores) if max(scores) > min(scores) else min(scores) + 1)
    for trial, score in zip(shown, scores, strict=True):
        heights = [_height(ranges[key], trial.params[key]) for key in keys] + [float(shade(score))]
        colour = colormaps["Blues"](0.15 + 0.85 * float(shade(score)))
        axes.plot(range(len(keys) + 1), heights, color=colour, linewidth=1.6 if trial in shown[-3:] else 1.0)
    for place, key in enumerate(keys):
        _draw_axis(axes, place, _ticks(ranges[key]))
    marks = np.linspace(min(scores), max(scores), 5)
    _draw_axis(axes, len(keys), [(float(shade(mark)), f"{mark:.1f}") for mark in marks])
    labels = [key.replace(".", ".\n", 1) if key.count(".") == 1 else "\n".join(key.rsplit(".", 1)) for key in keys]
    axes.set_xticks(range(len(keys) + 1), [*labels, "score (%)"], fontsize=8.5)
    axes.set(yticks=[], xlim=(-0.25, len(keys) + 0.45), ylim=(-0.06, 1.06))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    return _png(figure)


def _draw_axis(axes: Axes, place: int, ticks: list[tuple[float, str]]) -> None:
    axes.axvline(place, color=INK, linewidth=0.8, zorder=3)
    for height, label in ticks:
        axes.text(
            place + 0.04, height, label, fontsize=7.5, color=INK, va="center", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _height(bounds: Range, value: Any) -> float:
    """Where a value stands between the lowest (0) and the highest (1)."""
    if isinstance(bounds, Choices):
        names = list(bounds.named)
        return names.index(value) / max(1, len(names) - 1)
    low, high = (math.log(end) if bounds.log else end for end in (bounds.low, bounds.high))
    return ((math.log(value) if bounds.log else value) - low) / ((high - low) or 1)


def _ticks(bounds: Range) -> list[tuple[float, str]]:
    if isinstance(bounds, Choices):
        return [(_height(bounds, name), _short(name)) for name in bounds.named]
    return [(_height(bounds, value), label) for value, label in _marks(bounds)]


def _marks(bounds: Interval) -> list[tuple[float, str]]:
    """The ends of an interval and its middle."""
    middle = math.sqrt(bounds.low * bounds.high) if bounds.log else (bounds.low + bounds.high) / 2
    return [(value, f"{value:.2g}") for value in (bounds.low, middle, bounds.high)]


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _by_score(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return sorted(_of(trials, TrialState.COMPLETE), key=lambda trial: -(trial.value or 0.0))


def _of(trials: Sequence[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == state]


def _per_cent(trial: FrozenTrial) -> float:
    return 100 * (trial.value or 0.0)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=9, labelcolor=INK, color=GREY)
    axes.grid(color=LIGHT, linewidth=0.7)
    axes.set_axisbelow(True)


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white", layout="constrained")


def _png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
