"""The tables of a study's report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mien.workshop.evaluation.compare import Comparison
from mien.workshop.evaluation.scores import SetScores
from mien.workshop.evaluation.seeds import Spread
from mien.workshop.experiments.study.plan import Published
from mien.workshop.experiments.study.results import EntryResult, StudyResults
from mien.workshop.reports.document import Grid

NONE = "–"


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
        (entry.name, str(run.seed), run.state, run.reason or NONE, f"{len(run.history)}")
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
    rows = [[entry.name, *(_figure_or_none(value) for value in entry.first.main.f1)] for entry in results.measured]
    return Grid(["entry", *results.any_run.main.faces.classes], rows)


def class_grid(scores: SetScores) -> Grid:
    """Faces, precision, recall and F1 of each class of one run."""
    columns = zip(scores.faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True)
    rows = [
        [name, f"{int(support):,}", *(_figure_or_none(value) for value in values)] for name, support, *values in columns
    ]
    return Grid(("class", "faces", "precision", "recall", "F1"), rows)


def p_value(value: float) -> str:
    """A p value with three places, `< 0.001` under that.

    >>> p_value(0.0432), p_value(1e-9)
    ('0.043', '< 0.001')
    """
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


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
        NONE if published.accuracy is None else f"{100 * published.accuracy:.1f}",
        _published_f1(published),
    ]


def _other_row(entry: EntryResult, suffixes: Sequence[str]) -> list[str]:
    spreads = [entry.spread("accuracy", suffix) for suffix in suffixes]
    return [entry.name, *(NONE if spread is None else _percent(spread) for spread in spreads)]


def _is_other(scores: SetScores | None, main: SetScores) -> bool:
    return scores is not None and scores.faces.key != main.faces.key


def _pair_row(seed: int, pair: Comparison) -> list[str]:
    low, high = (100 * end for end in pair.difference)
    return [
        str(seed),
        f"{100 * pair.second:.2f}",
        f"{100 * pair.first:.2f}",
        f"{pair.only_second:,}",
        f"{pair.only_first:,}",
        f"**{100 * (pair.second - pair.first):+.2f}** ({low:+.1f} to {high:+.1f})",
        p_value(pair.p_value),
    ]


def _cost_row(entry: EntryResult, *, timed: bool) -> list[str]:
    cost, runs = entry.cost, entry.trained
    accuracy = entry.spread("accuracy")
    seconds = [run.seconds for run in runs]
    per_epoch = sum(seconds) / sum(len(run.history) for run in runs)
    ms = [NONE if cost is None or cost.ms is None else f"{cost.ms:.2f}"] if timed else []
    return [
        entry.name,
        NONE if cost is None else f"{cost.parameters:,}",
        NONE if cost is None else f"{cost.macs / 1e6:,.1f} M",
        *ms,
        _duration(sum(seconds) / len(seconds)),
        f"{per_epoch:.0f}" if per_epoch >= 10 else f"{per_epoch:.1f}",
        _each(len(run.history) for run in runs),
        _each(run.best_epoch for run in runs),
        _each(run.convergence for run in runs),
        NONE if accuracy is None or accuracy.count < 2 else f"{100 * accuracy.largest_gap:.2f}",
    ]


def _published_f1(published: Published) -> str:
    said = [(published.macro_f1, "macro"), (published.weighted_f1, "weighted")]
    return ", ".join(f"{value:.3g} {kind}" for value, kind in said if value is not None) or NONE


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f}" + (f" ± {100 * spread.sd:.2f}" if spread.count > 1 else "")


def _score(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.count > 1 else "")


def _figure_or_none(value: float) -> str:
    return f"{value:.3f}" if value == value else NONE


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
