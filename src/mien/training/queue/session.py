"""A session on a machine: takes from the head of the queue, and trains until the time is nearly over."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.datasets.base import FaceDataset
from mien.errors import ConfigError, MienError
from mien.training.display import epoch_line
from mien.training.fit import Tempo, iter_epochs
from mien.training.folder import RunHeldError, hold
from mien.training.opinions import write_opinions
from mien.training.queue.budget import Budget, Pace
from mien.training.queue.panel import ask_runs
from mien.training.queue.states import Standing, find_panel, is_done, panel_runs, standings
from mien.training.study.plan import Panel, Study
from mien.training.study.records import FAILURE, keep_reason, keep_record
from mien.training.study.runs import Run

Say = Callable[[str], None]

_LINES_EVERY_S = 10.0
_WAIT_S = 2.0


@dataclass(frozen=True)
class Manner:
    """How a session trains.

    Args:
        device: auto, cpu, cuda or mps.
        tempo: see `training.fit.Tempo`.
        only: names of entries, all for none.
        again: try failed runs once more.
        patient: wait for runs that other processes train, since more may be open when they are done.
    """

    device: str = "auto"
    tempo: Tempo = field(default_factory=lambda: Tempo(save_every_s=60))
    only: tuple[str, ...] = ()
    again: bool = False
    patient: bool = False


def run_session(
    study: Study, dataset: FaceDataset, runs: Path, budget: Budget, manner: Manner, *, base: Path, say: Say
) -> list[tuple[Run, str]]:
    """Train the queue's runs one after the other, as far as the time goes; each with what became of it.

    That is `done`, `begun` (the time was over; the next session goes on), `failed` (the reason is in its folder) or
    `held` (another process has it). A run is begun only while there is time for its start, and an epoch only while it
    ends in time by what the last ones took.

    Args:
        study: the queue.
        dataset: with rows of train and validation.
        runs: the folder of all runs.
        budget: the time.
        manner: how.
        base: the working folder, from which the files of opinions are named.
        say: takes a line for people.
    """
    turns: list[tuple[Run, str]] = []
    if manner.again:
        for standing in standings(study, runs, base=base, only=manner.only):
            (standing.run.folder / FAILURE).unlink(missing_ok=True)
    while True:
        tried = {run.folder for run, _ in turns}
        found = standings(study, runs, base=base, only=manner.only)
        following = next((s for s in found if s.open and s.run.folder not in tried), None)
        if following is None and manner.patient and any(s.state == "held" for s in found) and budget.allows_start():
            time.sleep(_WAIT_S)
            continue
        if following is None:
            return turns
        if not budget.allows_start(asking=any(not (base / f).is_file() for f in following.run.config.distill.teachers)):
            say(f"{max(0.0, budget.left_s):.0f} s are left, too little to begin with {_name(following.run)}")
            return turns
        say(f"{_name(following.run)}: {_said(following)}")
        state = _take_turn(following, study, dataset, runs, budget, manner, base=base, say=say)
        if state == "held" and manner.patient and budget.allows_start():
            time.sleep(_WAIT_S)
            continue
        say(f"{_name(following.run)}: {state}")
        turns.append((following.run, state))
        if state == "begun":
            return turns


def _take_turn(
    standing: Standing,
    study: Study,
    dataset: FaceDataset,
    runs: Path,
    budget: Budget,
    manner: Manner,
    *,
    base: Path,
    say: Say,
) -> str:
    run = standing.run
    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        for file in run.config.distill.teachers:
            panel = find_panel(study, file)
            if panel is not None and not (base / file).is_file():
                make_opinions(panel, study, dataset, runs, device=manner.device, base=base, say=say)
        return _train(run, dataset, budget, manner, say)
    except RunHeldError:
        return "held"
    except (MienError, RuntimeError, MemoryError) as error:
        # RuntimeError is what torch raises for whatever does not fit, a network's shapes or the memory.
        say(keep_reason(run.folder, error))
        return "failed"


def make_opinions(
    panel: Panel, study: Study, dataset: FaceDataset, runs: Path, *, device: str, base: Path, say: Say
) -> Path:
    """Ask the finished runs of a panel, and write what they say; those that failed are left out.

    Raises:
        ConfigError: none of them is finished.
        RunHeldError: another process is writing it.
    """
    file = base / panel.file
    members = [(name, folder) for name, folder in panel_runs(study, panel, runs) if is_done(folder)]
    if not members:
        raise ConfigError(f"{panel.file}: no run of {', '.join(panel.of)} is finished: train one, or bring the file")
    with hold(file.with_name(f"{file.name}.making")):
        say(f"asking {', '.join(name for name, _ in members)} for {panel.file}")
        write_opinions(file, ask_runs(members, dataset, views=panel.views, device=device))
    file.with_name(f"{file.name}.making").rmdir()
    return file


def _train(run: Run, dataset: FaceDataset, budget: Budget, manner: Manner, say: Say) -> str:
    """Train until the run or the time is over."""
    pace, spoken = Pace(budget), -_LINES_EVERY_S
    epochs, best = run.config.fit.epochs, -1.0
    generator: Any = iter_epochs(run.config, dataset, run.folder, device=manner.device, tempo=manner.tempo)
    with closing(generator) as rows:
        for row in rows:
            if not pace.laps:
                keep_record(run.folder, manner.device, dataset, "")
            pace.lap()
            last = int(row["epoch"]) + 1 >= epochs
            if last or pace.before - spoken >= _LINES_EVERY_S:
                say(f"{_name(run)}: {epoch_line(row, epochs, best=row['score'] > best)}")
                spoken = pace.before
            best = max(best, row["score"])
            if not last and not pace.allows_epoch:
                return "begun"
    return "done"


def _said(standing: Standing) -> str:
    epochs = standing.run.config.fit.epochs
    return f"goes on after {standing.epochs} of {epochs} epochs" if standing.epochs else f"{epochs} epochs"


def _name(run: Run) -> str:
    return f"{run.entry.name}, seed {run.seed}"
