"""A study's report: one HTML page, Markdown, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import with_validation
from mien.workshop.evaluation.diagnosis import RULES
from mien.workshop.experiments.study_plan import load_study
from mien.workshop.experiments.study_records import machine, versions
from mien.workshop.experiments.study_results import RunResult, StudyResults, load_results
from mien.workshop.experiments.study_run import measure_missing
from mien.workshop.progress import OnNote, no_note
from mien.workshop.reports.document import (
    Block,
    Bullets,
    Cards,
    Code,
    Columns,
    Heading,
    Matrix,
    Picture,
    Text,
    document_files,
    write_files,
)
from mien.workshop.reports.evaluation_scores import class_grid
from mien.workshop.reports.material import p_value, signed
from mien.workshop.reports.study_tables import (
    accuracy_png,
    cost_grid,
    diagnosis_grid,
    f1_grid,
    losses_png,
    pair_grid,
    progress_png,
    score_grids,
    trouble_grid,
)


def report_study(
    file: Path | str,
    runs: Path | str,
    out: Path | str,
    data: FaceDataset | Path | str | None = None,
    *,
    timed: bool = True,
    on_note: OnNote = no_note,
) -> list[Path]:
    """Write the report of a study's runs: one HTML page, and Markdown with pictures.

    Args:
        file: the study's TOML file.
        runs: the folder of all runs.
        out: folder of the report.
        data: what it ran on, to measure finished runs that are not measured yet.
        timed: measure milliseconds a face.
        on_note: hears which runs are measured.

    Returns:
        The files, the page first.

    Raises:
        ConfigError: there is no run, or the folder cannot be written.
        MissingExtraError: without matplotlib.
    """
    path = Path(file)
    study = load_study(path)
    if data is not None:
        measure_missing(study, with_validation(data, seed=study.seeds[0]), Path(runs), on_note=on_note)
    results = load_results(study, Path(runs), timed=timed)
    # The commands that make the study and the report, without this machine's folders.
    name = f"{path.parent.name}/{path.name}"
    commands = (
        f"mien study run {name} DATA --out RUNS",
        f"mien study report {name}{'' if data is None else ' DATA'} --runs RUNS --out {Path(out).name}",
    )
    return write_report(results, Path(out), commands=commands)


def write_report(results: StudyResults, folder: Path, *, commands: Sequence[str] = ()) -> list[Path]:
    """`report_study` of results that are loaded; `commands` tell readers how to reproduce them."""
    study = results.study
    files = document_files(study.title, describe(results, commands), lead=study.question, contents=True)
    return write_files(files, folder)


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
        gap = sum(pair.second - pair.first for _, pair in pairs) / len(pairs)
        # The weakest of the seeds: the smallest p of several would flatter.
        worst = p_value(max(pair.p_value for _, pair in pairs))
        each = " with each seed" if len(pairs) > 1 else ""
        cards.append((f"{signed(100 * gap, 1)} points", f"over {results.measured[1].name}, p {worst}{each}"))
    cards.append((f"{sum(len(e.measured) for e in results.entries)}", f"runs measured on {title}"))
    return [Cards(cards)]


def _scores(results: StudyResults) -> list[Block]:
    main = results.any_run.main
    return [
        Heading("Scores"),
        Text(
            f"On {main.faces.title}, {main.rows:,} rows with {main.faces.labels_from}, head `{main.faces.head}`; mean "
            "± standard deviation over the seeds, the best first. " + _interval_rule(results)
        ),
        *score_grids(results),
        *_notes(results),
        Picture(
            "accuracy.png",
            accuracy_png(results),
            f"Accuracy on {main.faces.title}. Small dots are single seeds, a diamond is the published figure.",
        ),
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
    grid = trouble_grid(results)
    if not grid.rows:
        return []
    return [
        Heading("Failed and stopped runs"),
        Text("These have no score, or none that counts; the entries above rest on the other runs alone."),
        grid,
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
        pair_grid(best.name, second.name, pairs),
    ]


def _costs(results: StudyResults) -> list[Block]:
    timed = any(entry.cost and entry.cost.ms is not None for entry in results.entries)
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
        cost_grid(results, timed=timed),
    ]


def _curves(results: StudyResults) -> list[Block]:
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
        diagnosis_grid(results),
        Text("The words follow from these rules; a plateau is no fault by itself."),
        Bullets([f"**{word}**: {rule}" for word, rule in RULES]),
    ]


def _classes(results: StudyResults) -> list[Block]:
    main = results.any_run.main
    blocks: list[Block] = [
        Heading("Classes"),
        Text(
            f"F1 of each class on {main.faces.title}, and below the confusion matrix of each entry: with seed "
            f"{results.any_run.seed}, or the lowest that was measured."
        ),
        f1_grid(results),
    ]
    for entry in results.measured:
        scores = entry.first.main
        blocks.append(Heading(entry.name, 3, f"classes-{entry.name}", f"seed {entry.first.seed}"))
        blocks.append(Columns([[Matrix(scores.faces.classes, scores.confusion)], [class_grid(scores)]]))
    return blocks


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
        blocks += [Text("To reproduce it:"), Code(commands)]
    return blocks


def _selection_rule(run: RunResult) -> str:
    main = run.main
    rule = "Selection: of each run the epoch with the best validation score was kept"
    if main.faces.key.endswith("both"):
        return (
            f"{rule} (PublicTest). The {main.rows:,} rows contain PublicTest; they are given because others report "
            "them. PrivateTest decided nothing; unseen leaves out its faces that are also in Training."
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
    """Where the runs were trained, if they say so, and where they were measured."""
    trained, measured = set(), set()
    for entry in results.measured:
        for run in entry.measured:
            sessions = run.record.get("sessions", [])
            trained |= {f"{session['machine']}; {_listed(session['versions'])}" for session in sessions}
            measured.add(f"{run.facts['machine']}; {_listed(run.facts['versions'])}")
    lines = [f"Trained on: {where}." for where in sorted(trained)]
    return [*lines, *(f"Measured on: {where}." for where in sorted(measured))]


def _listed(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
