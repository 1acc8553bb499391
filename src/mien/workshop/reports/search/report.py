"""What a search found: one HTML page, the same in Markdown, and the best trials as a study file."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mien.errors import ConfigError
from mien.files import write_whole
from mien.html import html_cards, html_figure, html_table, markdown_table, page
from mien.workshop.experiments.search.plan import Search
from mien.workshop.experiments.search.ranges import Choices, Range
from mien.workshop.experiments.search.storage import counted, origin
from mien.workshop.experiments.search.toml import document, inline
from mien.workshop.experiments.search.trials import ranked
from mien.workshop.experiments.study.plan import TRAINING_SECTIONS, merge
from mien.workshop.reports.search.pictures import curves_png, history_png, importance_png, parallel_png, slice_png

SHOWN = 10
ENOUGH = 4
"""Trials that ran to their end without which importance is a guess."""

BEST_STUDY = "best.toml"
CAPTIONS = {
    "history": "The score of every trial, and the best so far.",
    "curves": "The score epoch by epoch. A cross marks where a trial was stopped for want of hope.",
    "importance": "How much each setting tells the better trials from the rest (PED-ANOVA over the trials that ran to "
    "their end; Watanabe et al. 2023). Few trials make it a hint, not a measurement.",
    "slice": "Each setting against the score; crosses are trials that were stopped early.",
    "parallel": "Every trial that ran to its end as a line through its settings; the better, the darker.",
}


def write_report(search: Search, study: optuna.Study, out: Path) -> list[Path]:
    """Write report.html, report.md and its pictures, and best.toml if a trial ran to its end; the main files.

    Raises:
        ConfigError: the folder cannot be written to.
        MissingExtraError: matplotlib is not installed.
    """
    trials = counted(study)
    pictures = draw_pictures(search, trials, importance_of(study))
    files: dict[str, bytes] = {f"{name}.png": png for name, png in pictures.items()}
    files["report.md"] = to_markdown(search, study, list(pictures)).encode()
    files["report.html"] = to_html(search, study, pictures).encode()
    if ranked(trials):
        files[BEST_STUDY] = best_study(search, trials).encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(out / name, content)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {out}: {error.strerror or error}") from error
    return [out / name for name in files if not name.endswith(".png")]


def importance_of(study: optuna.Study) -> dict[str, float]:
    """The share of each setting in what makes trials good, the largest first; empty for too few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
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
        "parallel": (len(ranked(list(trials))) > 1, lambda: parallel_png(trials, search.bounds)),
    }
    return {name: draw() for name, (possible, draw) in drawings.items() if possible}


def to_html(search: Search, study: optuna.Study, pictures: dict[str, bytes]) -> str:
    """The whole report as one page."""
    trials = counted(study)
    body = [html_cards([(escape(value), escape(name)) for name, value in figures(trials)])]
    body += [f"<p>{escape(sentence)}</p>" for sentence in method(search, study)]
    body.append("<h2>The best trials</h2>")
    body.append(html_table(*_escaped(best_table(search, trials)), text_columns=1))
    body += [html_figure(pictures[name], CAPTIONS[name]) for name in pictures]
    failures = failure_table(trials)
    body.append("<h2>Trials that failed</h2>")
    body.append(html_table(*_escaped(failures), text_columns=3) if failures[1] else "<p>None.</p>")
    body.append("<h2>What was searched</h2>")
    body.append(html_table(*_escaped(range_table(search)), text_columns=3))
    body.append("<h2>What comes next</h2>")
    body.append(f"<p>{escape(NEXT)}</p><pre><code>{escape(NEXT_COMMAND)}</code></pre>")
    return page(search.title, "\n".join(body), lead=search.question)


def to_markdown(search: Search, study: optuna.Study, pictures: Sequence[str]) -> str:
    """The same for those who read text; the pictures stand beside it."""
    trials = counted(study)
    failures = failure_table(trials)
    lines = [f"# {search.title}", "", *([search.question, ""] if search.question else [])]
    lines += [f"- {name}: {value}" for name, value in figures(trials)]
    lines += ["", *(sentence + "\n" for sentence in method(search, study))]
    lines += ["## The best trials", "", *markdown_table(*best_table(search, trials), text_columns=1), ""]
    for name in pictures:
        lines += [f"![{name}]({name}.png)", "", CAPTIONS[name], ""]
    lines += ["## Trials that failed", ""]
    lines += markdown_table(*failures, text_columns=3) if failures[1] else ["None."]
    lines += ["", "## What was searched", "", *markdown_table(*range_table(search), text_columns=3)]
    lines += ["", "## What comes next", "", NEXT, "", "```", NEXT_COMMAND, "```"]
    return "\n".join(lines) + "\n"


NEXT = (
    f"{BEST_STUDY} holds the best trials as a study on all rows. A trial's score is on the rows by which it was "
    "chosen, of many the luckiest: only the study tells how good the settings are."
)
NEXT_COMMAND = f"mien study run {BEST_STUDY} DATA --out runs"


def figures(trials: Sequence[FrozenTrial]) -> list[tuple[str, str]]:
    """The few figures that matter: what each is, and its value."""
    states = Counter(trial.state for trial in trials)
    best = ranked(list(trials))[:1]
    seconds = sum(trial.user_attrs.get("training seconds", 0.0) for trial in trials)
    open_ones = states[TrialState.RUNNING] + states[TrialState.WAITING]
    return [
        ("best validation score", f"{100 * (best[0].value or 0):.2f} %" if best else "none yet"),
        ("trials", str(len(trials))),
        ("ran to their end", str(states[TrialState.COMPLETE])),
        ("stopped early", str(states[TrialState.PRUNED])),
        ("failed", str(states[TrialState.FAIL])),
        *([("still running or waiting", str(open_ones))] if open_ones else []),
        ("training time of all", _duration(seconds)),
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
        sentences.append(
            f"Workers died or were stopped {again} times in the middle of a trial; others went on with it."
        )
    return sentences


def best_table(search: Search, trials: Sequence[FrozenTrial]) -> tuple[list[str], list[list[str]]]:
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
        for trial in ranked(list(trials))[:SHOWN]
    ]
    return names, rows


def failure_table(trials: Sequence[FrozenTrial]) -> tuple[list[str], list[list[str]]]:
    """Why trials failed, and with which settings."""
    rows = [
        [
            f"{origin(trial):03d}",
            trial.user_attrs.get("error", "its worker died each time that it was taken up").replace("|", "\\|"),
            ", ".join(f"{key} = {_shown(value)}" for key, value in trial.params.items()),
        ]
        for trial in trials
        if trial.state == TrialState.FAIL
    ]
    return ["trial", "reason", "settings"], rows


def range_table(search: Search) -> tuple[list[str], list[list[str]]]:
    """What a trial could choose from."""
    return ["setting", "from", "how"], [[key, *_bounds(bounds)] for key, bounds in search.bounds.items()]


def best_study(search: Search, trials: Sequence[FrozenTrial]) -> str:
    """The best trials as a study file on all rows, each an entry named after its trial."""
    confirm = search.confirm
    base = merge(search.base, {"fit": {"epochs": confirm.epochs}} if confirm.epochs else {})
    entries = []
    for trial in ranked(list(trials))[: confirm.best]:
        changes = {section: dict(values) for section, values in search.changes(trial.params).items()}
        if confirm.epochs:
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
    return f"# Written by mien tune from the search {search.name}.\n" + document(values)


def _bounds(bounds: Range) -> list[str]:
    if isinstance(bounds, Choices):
        return [", ".join(bounds.named), f"one of {len(bounds.named)}"]
    how = "by its logarithm" if bounds.log else f"in steps of {bounds.step:g}" if bounds.step else "evenly"
    return [f"{bounds.low:g} to {bounds.high:g}", f"{'whole numbers, ' if bounds.whole else ''}{how}"]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else inline(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _escaped(table: tuple[list[str], list[list[str]]]) -> tuple[list[str], list[list[str]]]:
    names, rows = table
    return [escape(name) for name in names], [[escape(cell) for cell in row] for row in rows]
