"""A search's report: one HTML page, the same in Markdown, and the best trials as a study file."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from mien.workshop.experiments.search_plan import Search
from mien.workshop.experiments.search_ranges import Choices, Interval, Range, Ranges, toml_document, toml_value
from mien.workshop.experiments.search_storage import counted, origin, ranked
from mien.workshop.experiments.study_plan import TRAINING_SECTIONS, merge
from mien.workshop.reports.charts import BLUE, GREY, INK, RED, encode_png, new_figure, style_axes
from mien.workshop.reports.document import (
    Block,
    Cards,
    Code,
    Grid,
    Heading,
    Picture,
    Text,
    document_files,
    write_files,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 10
ENOUGH = 4
"""Completed trials below which importance is a guess."""

BEST_STUDY = "best.toml"
CAPTIONS = {
    "history": "The score of every trial, and the best so far.",
    "curves": "The score epoch by epoch. A cross marks where a trial was stopped early.",
    "importance": "How much each setting separates good trials from the rest (PED-ANOVA over the completed trials; "
    "Watanabe et al. 2023). With few trials it is a hint, not a measurement.",
    "slice": "Each setting against the score; crosses are trials that were stopped early.",
    "parallel": "Every completed trial as a line through its settings, darker if better.",
}


def report_search(search: Search, study: optuna.Study, out: Path) -> list[Path]:
    """Write report.html, report.md and its pictures, and best.toml if a trial completed; returns the main files.

    Raises:
        ConfigError: the folder cannot be written to.
        MissingExtraError: matplotlib is not installed.
    """
    trials = counted(study)
    files = document_files(search.title, describe(search, study), lead=search.question)
    if ranked(trials):
        files[BEST_STUDY] = best_study(search, trials).encode()
    return [path for path in write_files(files, out) if path.suffix != ".png"]


def describe(search: Search, study: optuna.Study) -> list[Block]:
    """The whole report as blocks."""
    trials = counted(study)
    pictures = draw_pictures(search, trials, importance_of(study))
    failures = failure_grid(trials)
    return [
        Cards(figures(trials)),
        *map(Text, method(search, study)),
        Heading("Best trials"),
        best_grid(search, trials),
        *(Picture(f"{name}.png", png, CAPTIONS[name]) for name, png in pictures.items()),
        Heading("Failed trials"),
        failures if failures.rows else Text("None."),
        Heading("Search space"),
        Grid(("setting", "from", "how"), [(key, *_bounds(bounds)) for key, bounds in search.bounds.items()], 3),
        Heading("What comes next"),
        Text(NEXT),
        Code([NEXT_COMMAND]),
    ]


def importance_of(study: optuna.Study) -> dict[str, float]:
    """The share of each setting in what makes trials good, the largest first; empty for too few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    # Without any difference in score there is nothing to explain.
    if len(complete) < ENOUGH or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study)
    return {key: float(value) for key, value in found.items()}


def draw_pictures(search: Search, trials: Sequence[FrozenTrial], importance: dict[str, float]) -> dict[str, bytes]:
    """The pictures that can be drawn of these trials, by name."""
    drawings: dict[str, tuple[bool, Callable[[], bytes]]] = {
        "history": (any(trial.value is not None for trial in trials), lambda: history_png(trials)),
        "curves": (any(trial.intermediate_values for trial in trials), lambda: curves_png(trials)),
        "importance": (bool(importance), lambda: importance_png(importance)),
        "slice": (any(trial.value is not None for trial in trials), lambda: slice_png(trials, search.bounds)),
        "parallel": (len(ranked(trials)) > 1, lambda: parallel_png(trials, search.bounds)),
    }
    return {name: draw() for name, (possible, draw) in drawings.items() if possible}


NEXT = (
    f"{BEST_STUDY} holds the best trials as a study on all rows. A trial's score is measured on the rows that chose "
    "it, so the best of many is partly luck: only the study shows how good the settings are."
)
NEXT_COMMAND = f"mien study run {BEST_STUDY} DATA --out runs"


def figures(trials: Sequence[FrozenTrial]) -> list[tuple[str, str]]:
    """The few figures that matter: (value, what it is)."""
    states = Counter(trial.state for trial in trials)
    best = ranked(trials)[:1]
    seconds = sum(trial.user_attrs.get("training seconds", 0.0) for trial in trials)
    open_ones = states[TrialState.RUNNING] + states[TrialState.WAITING]
    return [
        (f"{100 * (best[0].value or 0):.2f} %" if best else "none yet", "best validation score"),
        (str(len(trials)), "trials"),
        (str(states[TrialState.COMPLETE]), "completed"),
        (str(states[TrialState.PRUNED]), "stopped early"),
        (str(states[TrialState.FAIL]), "failed"),
        *([(str(open_ones), "still running or waiting")] if open_ones else []),
        (_duration(seconds), "training time of all"),
    ]


def method(search: Search, study: optuna.Study) -> list[str]:
    """How the search was done, in sentences."""
    budget, rows = search.search, study.user_attrs.get("rows", {})
    sampler = "by TPE" if budget.sampler == "tpe" else "at random"
    startup = f" after {budget.startup} at random" if budget.sampler == "tpe" else ""
    pruner = {
        "median": f"stopped at any epoch after the first {budget.warmup_epochs} that leaves it below the median of "
        "those before it",
        "hyperband": "stopped by Hyperband's successive halving",
        "none": "never stopped early",
    }[budget.pruner]
    again = len(study.get_trials(deepcopy=False)) - len(counted(study))
    sentences = [
        f"Settings were chosen {sampler}{startup} (seed {budget.seed}); a trial was {pruner}. "
        f"Data: {rows.get('data', 'not given')}, {rows.get('validation', 0):,} validation rows. "
        "The score is the validation accuracy of the averaged weights, the best epoch's; no test row was looked at. "
        f"Optuna {optuna.__version__}."
    ]
    if again:
        sentences.append(f"Workers died or were stopped {again} times in the middle of a trial; others resumed it.")
    return sentences


def best_grid(search: Search, trials: Sequence[FrozenTrial]) -> Grid:
    """The best trials with their settings."""
    keys = list(search.bounds)
    names = ["trial", "score %", "best epoch", "minutes", *keys]
    rows = [
        [
            f"{origin(trial):03d}",
            f"{100 * (trial.value or 0):.2f}",
            f"{trial.user_attrs.get('best epoch', '–')} of {len(trial.intermediate_values)}",
            f"{trial.user_attrs.get('training seconds', 0) / 60:.1f}",
            *(_shown(trial.params.get(key)) for key in keys),
        ]
        for trial in ranked(trials)[:SHOWN]
    ]
    return Grid(names, rows)


def failure_grid(trials: Sequence[FrozenTrial]) -> Grid:
    """Why trials failed, and with which settings."""
    rows = [
        [
            f"{origin(trial):03d}",
            trial.user_attrs.get("error", "its worker died each time it was resumed"),
            ", ".join(f"{key} = {_shown(value)}" for key, value in trial.params.items()),
        ]
        for trial in trials
        if trial.state == TrialState.FAIL
    ]
    return Grid(("trial", "reason", "settings"), rows, 3)


def best_study(search: Search, trials: Sequence[FrozenTrial]) -> str:
    """The best trials as a study file on all rows, each an entry named after its trial."""
    confirm = search.confirm
    base = merge(search.base, {"fit": {"epochs": confirm.epochs}} if confirm.epochs else {})
    entries = []
    for trial in ranked(trials)[: confirm.best]:
        changes = {section: dict(values) for section, values in search.changes(trial.params).items()}
        if confirm.epochs:
            # The confirmation's epochs hold for all: a trial's own would override them.
            changes.get("fit", {}).pop("epochs", None)
        note = f"validation score {100 * (trial.value or 0):.2f} % in the search"
        entries.append({"name": f"trial-{origin(trial):03d}", "note": note} | {k: v for k, v in changes.items() if v})
    rows = f"{search.search.subset:,} training rows" if search.search.subset else "all training rows"
    values = {
        "name": f"{search.name}-best",
        "title": f"{search.title}: the best confirmed",
        "question": "Do the settings that did best in the search hold on all rows?",
        "method": f"The best {len(entries)} of {len(trials)} trials on {rows}, by their validation score",
        "seeds": list(confirm.seeds),
        "base": {key: base[key] for key in TRAINING_SECTIONS if key in base},
        "entries": entries,
    }
    return f"# Written by mien tune from the search {search.name}.\n" + toml_document(values)


def _bounds(bounds: Range) -> list[str]:
    if isinstance(bounds, Choices):
        return [", ".join(bounds.named), f"one of {len(bounds.named)}"]
    how = "logarithmic" if bounds.log else f"in steps of {bounds.step:g}" if bounds.step else "evenly"
    return [f"{bounds.low:g} to {bounds.high:g}", f"{'whole numbers, ' if bounds.whole else ''}{how}"]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else toml_value(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def history_png(trials: Sequence[FrozenTrial]) -> bytes:
    """The score of each trial in the order of their numbers, and the best so far."""
    figure = new_figure(9.0, 3.8)
    axes = figure.subplots()
    complete = _of(trials, TrialState.COMPLETE)
    pruned = [trial for trial in _of(trials, TrialState.PRUNED) if trial.value is not None]
    # These have no score: they are drawn as lines, not as points at 0.
    failed = _of(trials, TrialState.FAIL)
    if complete:
        best = np.maximum.accumulate([_per_cent(trial) for trial in complete])
        # Drawn to the last trial, whether it completed or not.
        last = max(trial.number for trial in trials)
        numbers = [*(trial.number for trial in complete), last]
        axes.step(numbers, [*best, best[-1]], where="post", color=BLUE, linewidth=1.6, label="best so far")
    axes.scatter([t.number for t in pruned], [_per_cent(t) for t in pruned], s=22, marker="x", color=GREY,
                 linewidths=1.3, label="stopped early")  # fmt: skip
    axes.scatter([t.number for t in complete], [_per_cent(t) for t in complete], s=26, color=BLUE, zorder=3,
                 edgecolors="white", linewidths=0.6, label="completed")  # fmt: skip
    for trial in failed:
        axes.axvline(
            trial.number, color=RED, linewidth=1, alpha=0.6, label=None if trial is not failed[0] else "failed"
        )
    axes.set(xlabel="trial", ylabel="validation score (%)")
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    style_axes(axes, whole=True)
    return encode_png(figure)


def curves_png(trials: Sequence[FrozenTrial]) -> bytes:
    """The score of each trial by epoch, with a cross where one was stopped."""
    figure = new_figure(9.0, 4.2)
    axes = figure.subplots()
    ranks = {trial.number: rank for rank, trial in enumerate(ranked(trials))}
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
    axes.plot([], [], label="completed", color=BLUE, linewidth=1, alpha=0.55)
    axes.plot([], [], label="stopped early", color=GREY, linewidth=1, marker="x")
    axes.set(xlabel="epoch", ylabel="validation score (%)", xticks=range(1, longest + 1, max(1, longest // 12)))
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    style_axes(axes)
    return encode_png(figure)


def importance_png(importance: dict[str, float]) -> bytes:
    """A bar for each setting: its share of what separates good trials from others."""
    figure = new_figure(9.0, 0.8 + 0.36 * len(importance))
    axes = figure.subplots()
    names = list(importance)[::-1]
    shares = [100 * importance[name] for name in names]
    axes.barh(names, shares, color=BLUE, height=0.62)
    for row, share in enumerate(shares):
        axes.text(share + 0.6, row, f"{share:.0f} %" if share >= 1 else "< 1 %", va="center", fontsize=9, color=INK)
    axes.set(xlabel="importance (%)", xlim=(0, max(shares) * 1.12 + 1))
    style_axes(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    return encode_png(figure)


def slice_png(trials: Sequence[FrozenTrial], ranges: Ranges) -> bytes:
    """A panel for each setting: its value against the score."""
    columns = min(3, len(ranges))
    rows = math.ceil(len(ranges) / columns)
    figure = new_figure(3.4 * columns, 2.5 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    random = np.random.default_rng(0)
    for axes, key in zip(grid.ravel(), ranges, strict=False):
        bounds = ranges[key]
        names = list(bounds.named) if isinstance(bounds, Choices) else []
        # Completed ones last, on top.
        for state in (TrialState.PRUNED, TrialState.COMPLETE):
            chosen = [t for t in _of(trials, state) if key in t.params and t.value is not None]
            values = [t.params[key] for t in chosen]
            if names:
                # Jitter, so that trials with the same choice do not cover one another.
                values = [names.index(value) + random.uniform(-0.12, 0.12) for value in values]
            colour, marker = (BLUE, "o") if state == TrialState.COMPLETE else (GREY, "x")
            axes.scatter(values, [_per_cent(t) for t in chosen], color=colour, marker=marker, s=20, linewidths=1.2)
        if names:
            axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=20 if len(names) > 3 else 0)
            axes.set_xlim(-0.5, len(names) - 0.5)
        elif not isinstance(bounds, Choices) and bounds.log:
            axes.set_xscale("log")
            axes.set_xticks([value for value, _ in _marks(bounds)], [label for _, label in _marks(bounds)])
            # matplotlib would label minor ticks of a short logarithmic axis, over our own.
            axes.minorticks_off()
        axes.set_title(key, fontsize=10, color=INK, loc="left")
        style_axes(axes)
    for axes in grid.ravel()[len(ranges) :]:
        axes.set_visible(False)
    figure.supylabel("validation score (%)", fontsize=10, color=INK)
    return encode_png(figure)


def parallel_png(trials: Sequence[FrozenTrial], ranges: Ranges) -> bytes:
    """A line for each trial across all settings to its score, darker if better."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    # The best last, so that their lines are on top.
    shown = sorted(_of(trials, TrialState.COMPLETE), key=lambda trial: trial.value or 0.0)
    scores = [_per_cent(trial) for trial in shown]
    keys = list(ranges)
    figure = new_figure(max(9.0, 1.25 * (len(keys) + 1)), 4.6)
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
    return encode_png(figure)


def _draw_axis(axes: Axes, place: int, ticks: list[tuple[float, str]]) -> None:
    axes.axvline(place, color=INK, linewidth=0.8, zorder=3)
    for height, label in ticks:
        axes.text(
            place + 0.04, height, label, fontsize=7.5, color=INK, va="center", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _height(bounds: Range, value: Any) -> float:
    """The position of a value between the lowest (0) and the highest (1)."""
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
    # The geometric mean is the middle of a logarithmic axis.
    middle = math.sqrt(bounds.low * bounds.high) if bounds.log else (bounds.low + bounds.high) / 2
    return [(value, f"{value:.2g}") for value in (bounds.low, middle, bounds.high)]


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _of(trials: Sequence[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == state]


def _per_cent(trial: FrozenTrial) -> float:
    return 100 * (trial.value or 0.0)
