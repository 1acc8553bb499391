"""The trials of a search: their folders, their order, what is told of each."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from mien.workshop.experiments.search.storage import counted, origin
from mien.workshop.training.fit import BEST, HISTORY, LAST


def trial_folder(out: Path, trial: FrozenTrial) -> Path:
    """Where a trial is trained; one that was taken up again goes on in the place of its origin."""
    return out / "trials" / f"{origin(trial):03d}"


def sweep(study: optuna.Study, out: Path, keep: int) -> None:
    """Remove the checkpoints of finished trials but for the best ones; each history stays. Needs the claim."""
    trials = counted(study)
    best = [trial_folder(out, trial) for trial in ranked(trials)[:keep]]
    for trial in trials:
        folder = trial_folder(out, trial)
        if trial.state.is_finished() and folder not in best:
            for name in (LAST, BEST):
                (folder / name).unlink(missing_ok=True)


def ranked(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that ran to their end, the best first."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))


def describe(trial: FrozenTrial, done: int, total: int) -> str:
    """One line about a finished trial."""
    settings = "  ".join(
        f"{key.rsplit('.', 1)[-1]} {value:.3g}" if isinstance(value, float) else f"{key.rsplit('.', 1)[-1]} {value}"
        for key, value in trial.params.items()
    )
    epochs = len(trial.intermediate_values)
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    outcome = {
        TrialState.COMPLETE: f"score {100 * (trial.value or 0):.2f} %",
        TrialState.PRUNED: f"stopped after {epochs} epochs at {100 * (trial.value or 0):.2f} %",
    }.get(trial.state, f"failed: {trial.user_attrs.get('error', 'its worker died')}")
    return f"{done}/{total}  trial {origin(trial):03d}  {outcome}  {seconds:.0f} s  {settings}"


def report(trial: Trial, folder: Path, known: int) -> int:
    """Tell the study the epochs that it has not heard of; how many it knows now."""
    rows = rows_of(folder)
    for row in rows[known:]:
        trial.report(row["score"], int(row["epoch"]) + 1)
    if rows:
        best = max(rows, key=lambda row: row["score"])
        trial.set_user_attr("best epoch", int(best["epoch"]) + 1)
        trial.set_user_attr("training seconds", round(sum(row["seconds"] for row in rows), 1))
    return len(rows)


def rows_of(folder: Path) -> list[dict[str, float]]:
    """The epochs of a trial so far, none where its history is missing or damaged."""
    try:
        rows: list[dict[str, float]] = json.loads((folder / HISTORY).read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, KeyError):
        return []
    return rows
