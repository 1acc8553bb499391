"""The report of a study: one HTML page, Markdown, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mien.errors import ConfigError
from mien.evaluation.compare import Comparison
from mien.evaluation.diagnosis import RULES
from mien.evaluation.evaluate import SetScores
from mien.evaluation.pictures import confusion_png
from mien.evaluation.seeds import Spread
from mien.evaluation.stored import write_whole
from mien.training.document import (
    Block,
    Bullets,
    Cards,
    Code,
    Grid,
    Heading,
    Pair,
    Picture,
    Text,
    pictures,
    to_html,
    to_markdown,
)
from mien.training.study import Published
from mien.training.study_measure import machine, versions
from mien.training.study_pictures import accuracy_png, losses_png, progress_png
from mien.training.study_results import EntryResult, RunResult, StudyResults

PAGE, MARKDOWN = "report.html", "report.md"
NONE = "–"
OWN_COLUMNS = 8
"""Columns of the scores on the set that ranks; those of other sets stand in a table of their own."""


def write_report(results: StudyResults, folder: Path, *, commands: Sequence[str] = ()) -> list[Path]:
    """Write `report.html`, `report.md` and the pictures into a folder, each file whole or not at all.

    Args:
        results: from `load_results`.
        folder: made if need be; files of an earlier report are replaced.
        commands: what made it, for the reader who wants to do it again.

    Returns:
        The files, the page first.

    Raises:
        ConfigError: when the folder cannot be written.
        MissingExtraError: without matplotlib.
    """
    blocks = describe(results, commands)
    study = results.study
    files = {
        PAGE: to_html(study.title, blocks, lead=study.question).encode(),
        MARKDOWN: to_markdown(study.title, blocks, lead=study.question).encode(),
        **pictures(blocks),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {folder}: {error.strerror or error}") from error
    return [folder / name for name in files]


def describe(results: StudyResults, commands: Sequence[str] = ()) -> list[Block]:
    """The whole report as blocks."""
    return [
        *_headline(results),
        *_scores(results),
        *_trouble(results),
        *_best_two(results),
        *_costs(results),
        *_curves(results),
        *_classes(results),
        *_method(results, commands),
    ]


def _headline(results: StudyResults) -> list[Block]:
    best = results.measured[0]
    spread = best.spread("accuracy")
    assert spread is not None
    title, rows = results.any_run.main.faces.title, results.any_run.main.rows
    cards = [(f"{100 * spread.mean:.1f} %", f"{best.name}, accuracy on {rows:,} faces")]
    macro = best.spread("macro_f1")
    assert macro is not None
    cards.append((f"{macro.mean:.3f}", f"{best.name}, macro F1"))
    pairs = results.best_two()
    if pairs:
        pair = pairs[0][1]
        gap = f"{100 * (pair.second - pair.first):+.1f} points"
        cards.append((gap, f"over {results.measured[1].name}, p {_p_value(pair.p_value)}"))
    cards.append((f"{sum(len(e.measured) for e in results.entries)}", f"runs measured on {title}"))
    return [Cards(cards)]


def _scores(results: StudyResults) -> list[Block]:
    run = results.any_run
    extra = [(suffix, scores) for suffix in ("test", "test-unseen") if _is_other(scores := run.on(suffix), run.main)]
    columns = [
        "entry", "seeds", "accuracy %", "95 % interval", "macro F1", "weighted F1", "published accuracy %",
        "published F1", *(f"{scores.faces.title} %" for _, scores in extra if scores is not None),
    ]  # fmt: skip
    rows = [_score_row(entry, [suffix for suffix, _ in extra]) for entry in results.measured]
    main = run.main
    return [
        Heading("Scores"),
        Text(
            f"On {main.faces.title}, {main.rows:,} rows with {main.faces.labels_from}, head `{main.faces.head}`; mean "
            "± standard deviation over the seeds, the best first. " + _interval_rule(results)
        ),
        Grid(columns[:OWN_COLUMNS], [row[:OWN_COLUMNS] for row in rows]),
        *([Grid(["entry", *columns[OWN_COLUMNS:]], [[row[0], *row[OWN_COLUMNS:]] for row in rows])] if extra else []),
        *_notes(results),
        Picture(
            "accuracy.png",
            accuracy_png(results),
            f"Accuracy on {main.faces.title}. Small dots are single seeds, a diamond is the published figure.",
        ),
    ]


def _score_row(entry: EntryResult, others: Sequence[str]) -> list[str]:
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
        *(_percent(spread) if (spread := entry.spread("accuracy", suffix)) else NONE for suffix in others),
    ]


def _notes(results: StudyResults) -> list[Block]:
    notes = []
    for entry in results.entries:
        said = [entry.entry.note, entry.entry.published.note and f"published: {entry.entry.published.note}"]
        if entry.from_scratch:
            said.append(f"**trained from random weights** in place of pretrained ones: {entry.from_scratch}")
        changed = sorted({change for run in entry.runs for change in run.changes})
        if changed:
            said.append(f"trained with other settings than the file's: {', '.join(changed)}")
        text = "; ".join(part for part in said if part)
        if text:
            notes.append(f"**{entry.name}**: {text}")
    return [Bullets(notes)] if notes else []


def _trouble(results: StudyResults) -> list[Block]:
    rows = [
        (entry.name, str(run.seed), run.state, run.reason or NONE, f"{len(run.history)}")
        for entry in results.entries
        for run in entry.runs
        if run.evaluation is None
    ]
    if not rows:
        return []
    return [
        Heading("Failed and stopped runs"),
        Text("These have no score, or none that counts; the entries above stand on the other runs alone."),
        Grid(("entry", "seed", "state", "reason", "epochs"), rows, text_columns=4),
    ]


def _best_two(results: StudyResults) -> list[Block]:
    pairs = results.best_two()
    if not pairs:
        return []
    best, second = results.measured[:2]
    return [
        Heading(f"{best.name} against {second.name}"),
        Text(
            f"The best two by mean accuracy on the same {pairs[0][1].faces.title} faces, seed by seed: how many only "
            "one of them has right, the difference with its 95 % paired bootstrap interval over faces, and the p value "
            "of McNemar's exact test (two-sided)."
        ),
        Grid(
            (
                "seed",
                f"{best.name} %",
                f"{second.name} %",
                f"only {best.name}",
                f"only {second.name}",
                "difference",
                "p",
            ),
            [_pair_row(seed, pair) for seed, pair in pairs],
        ),
    ]


def _pair_row(seed: int, pair: Comparison) -> list[str]:
    low, high = (100 * end for end in pair.difference)
    return [
        str(seed),
        f"{100 * pair.second:.2f}",
        f"{100 * pair.first:.2f}",
        f"{pair.only_second:,}",
        f"{pair.only_first:,}",
        f"**{100 * (pair.second - pair.first):+.2f}** ({low:+.1f} to {high:+.1f})",
        _p_value(pair.p_value),
    ]


def _costs(results: StudyResults) -> list[Block]:
    timed = any(entry.cost and entry.cost.ms is not None for entry in results.entries)
    columns = [
        "entry", "parameters", "MACs", *(["ms a face"] if timed else []), "training time", "s an epoch", "epochs",
        "best epoch", "epochs to 95 %", "spread",
    ]  # fmt: skip
    time_rule = "Milliseconds are torch's for one face on one CPU thread, the median of 20, measured with this report. "
    return [
        Heading("Cost, convergence, stability"),
        Text(
            "Parameters and multiply-accumulates (MACs) are those of one face with the heads that were trained. "
            + (time_rule if timed else "")
            + "Training time is of all epochs with their validation, on the machine named below under whatever load "
            "it had. Epochs to 95 %: until validation accuracy reached 95 % of its best. Spread: the largest "
            "difference in accuracy between two seeds, in points."
        ),
        Grid(columns, [_cost_row(entry, timed=timed) for entry in results.entries if entry.trained]),
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


def _curves(results: StudyResults) -> list[Block]:
    rows = [
        (entry.name, str(run.seed), f"**{', '.join(run.diagnosis.words)}**", run.diagnosis.reason)
        for entry in results.entries
        for run in entry.runs
        if run.history or run.reason
    ]
    return [
        Heading("Learning curves"),
        Picture(
            "accuracy-by-epoch.png",
            progress_png(results),
            "Validation accuracy by epoch, a line a seed; the dot is the epoch that was kept, the figure its accuracy "
            "with the first seed.",
        ),
        Picture(
            "losses.png",
            losses_png(results),
            "Loss by epoch. Training loss is the mean over an epoch with augmentation and dropout, validation loss "
            "that of the averaged weights without them.",
        ),
        Heading("What the curves say", 3),
        Grid(("entry", "seed", "diagnosis", "because"), rows, text_columns=4),
        Text("The words follow from these rules; a plateau is no fault by itself."),
        Bullets([f"**{word}**: {rule}" for word, rule in RULES]),
    ]


def _classes(results: StudyResults) -> list[Block]:
    main = results.any_run.main
    rows = [[entry.name, *(_figure_or_none(value) for value in entry.first.main.f1)] for entry in results.measured]
    blocks: list[Block] = [
        Heading("Classes"),
        Text(
            f"F1 of each class on {main.faces.title}, and below the confusion matrix of each entry: with seed "
            f"{results.any_run.seed}, or the lowest that was measured."
        ),
        Grid(["entry", *main.faces.classes], rows),
    ]
    for entry in results.measured:
        name = f"confusion-{entry.name}.png"
        caption = f"{entry.name}, seed {entry.first.seed}: confusion matrix on {main.faces.title}."
        picture = Picture(name, confusion_png(entry.first.main), caption)
        blocks += [Heading(entry.name, 3), Pair(picture, _class_grid(entry.first.main))]
    return blocks


def _class_grid(scores: SetScores) -> Grid:
    columns = zip(scores.faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True)
    rows = [
        [name, f"{int(support):,}", *(_figure_or_none(value) for value in values)] for name, support, *values in columns
    ]
    return Grid(("class", "faces", "precision", "recall", "F1"), rows)


def _method(results: StudyResults, commands: Sequence[str]) -> list[Block]:
    run = results.any_run
    evaluation = run.evaluation
    assert evaluation is not None
    study = results.study
    items = [
        *([f"Method: {study.method}."] if study.method else []),
        _selection_rule(run),
        f"Data: {evaluation.dataset}, {evaluation.dataset_rows:,} rows, sha256 of its files "
        f"`{evaluation.dataset_sha256 or 'not known'}`, of its pictures, labels and splits `{run.facts['data']}`.",
        *evaluation.notes,
        "Predictions are torch's, in float32, of the averaged weights of the best epoch; no test-time augmentation, no "
        "temperature.",
        *_machines(results),
        f"Report: {datetime.now(UTC).date().isoformat()}, {machine('cpu')}; {_listed(versions())}.",
    ]
    blocks: list[Block] = [Heading("How it was done"), Bullets(items)]
    if commands:
        blocks += [Text("To do it again:"), Code(commands)]
    return blocks


def _selection_rule(run: RunResult) -> str:
    main = run.main
    rule = "Selection: of each run the epoch with the best validation score was kept"
    if main.faces.key.endswith("both"):
        return (
            f"{rule} (PublicTest). The {main.rows:,} rows contain PublicTest; they are given because others report "
            "them. PrivateTest decided nothing; unseen leaves out its faces that also stand in Training."
        )
    if main.faces.key.endswith("validation"):
        return f"{rule}, and **these very rows are what is reported**: the figures are optimistic."
    return f"{rule}; the rows of {main.faces.title} decided nothing."


def _interval_rule(results: StudyResults) -> str:
    counts = {len(entry.measured) for entry in results.measured}
    of_one = "the interval is the bootstrap's over faces (one seed, 2,000 resamples)"
    of_more = "the interval is Student's t over seeds"
    if counts == {1}:
        return f"Each entry has one seed: {of_one}."
    if 1 in counts:
        return f"With two seeds or more {of_more}; with one seed {of_one}."
    return f"{of_more[0].upper()}{of_more[1:]}; of two seeds it is wide by its nature."


def _machines(results: StudyResults) -> list[str]:
    """Where the runs were trained, as far as they say so, and where they were measured."""
    trained, measured = set(), set()
    for entry in results.measured:
        for run in entry.measured:
            sessions = run.record.get("sessions", [])
            trained |= {f"{session['machine']}; {_listed(session['versions'])}" for session in sessions}
            measured.add(f"{run.facts['machine']}; {_listed(run.facts['versions'])}")
    lines = [f"Trained on: {where}." for where in sorted(trained)]
    return [*lines, *(f"Measured on: {where}." for where in sorted(measured))]


def _is_other(scores: SetScores | None, main: SetScores) -> bool:
    return scores is not None and scores.faces.key != main.faces.key


def _published_f1(published: Published) -> str:
    said = [(published.macro_f1, "macro"), (published.weighted_f1, "weighted")]
    return ", ".join(f"{value:.3g} {kind}" for value, kind in said if value is not None) or NONE


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f}" + (f" ± {100 * spread.sd:.2f}" if spread.count > 1 else "")


def _score(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.sd:.3f}" if spread.count > 1 else "")


def _figure_or_none(value: float) -> str:
    return f"{value:.3f}" if value == value else NONE


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


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


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
