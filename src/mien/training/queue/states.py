"""Where each run of a queue stands, read from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mien.training.folder import is_held
from mien.training.study.plan import Panel, Study, run_folder
from mien.training.study.records import FAILURE, is_finished, load_history, load_json, saved_config
from mien.training.study.runs import Options, Run, plan


@dataclass(frozen=True)
class Standing:
    """A run and what has become of it.

    Args:
        run: which.
        state: `done`, `begun`, `to do`, `waits` (for opinions that it cannot have yet), `failed`, `held` elsewhere.
        epochs: so many are on disk.
        score: of the best epoch on the validation split, None before the first.
        note: what it waits for, or why it failed.
    """

    run: Run
    state: str
    epochs: int = 0
    score: float | None = None
    note: str = ""

    @property
    def open(self) -> bool:
        """Whether it can be trained now."""
        return self.state in ("begun", "to do")


def standings(study: Study, runs: Path, *, base: Path, only: tuple[str, ...] = ()) -> list[Standing]:
    """Every run of a study in the order of the queue.

    Args:
        study: the queue.
        runs: the folder of all runs.
        base: the working folder, from which the files of opinions are named.
        only: names of entries, all for none.

    Raises:
        ConfigError: an entry that the study does not have.
        ArtifactError: a history is damaged.
    """
    return [_standing(run, study, runs, base) for run in plan(study, runs, Options(only=only))]


def find_panel(study: Study, file: Path) -> Panel | None:
    """The panel that makes a file of opinions."""
    return next((panel for panel in study.panels if panel.file == file), None)


def panel_runs(study: Study, panel: Panel, runs: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of each run whose opinion a panel has."""
    for entry in study.entries:
        if entry.name in panel.of:
            for seed in study.seeds_of(entry):
                yield f"{entry.name}/seed-{seed}", run_folder(runs, study, entry, seed)


def is_done(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    saved = load_history(folder)
    return saved is not None and is_finished(saved[1], saved_config(folder, saved[0]))


def _standing(run: Run, study: Study, runs: Path, base: Path) -> Standing:
    saved = load_history(run.folder)
    history = saved[1] if saved else []
    score = max((row["score"] for row in history), default=None)
    if saved and is_finished(history, run.config):
        return Standing(run, "done", len(history), score)
    failure = load_json(run.folder / FAILURE)
    if failure:
        return Standing(run, "failed", len(history), score, str(failure.get("reason", "")))
    if is_held(run.folder):
        return Standing(run, "held", len(history), score)
    waits = [line for file in run.config.distill.teachers if (line := _missing(study, file, runs, base))]
    if waits:
        return Standing(run, "waits", len(history), score, "; ".join(waits))
    return Standing(run, "begun" if history else "to do", len(history), score)


def _missing(study: Study, file: Path, runs: Path, base: Path) -> str:
    """What keeps a file of opinions from being there; empty if it is, or can be made now."""
    if (base / file).is_file():
        return ""
    panel = find_panel(study, file)
    if panel is None:
        return f"{file} is not there, and no panel makes it"
    members = list(panel_runs(study, panel, runs))
    pending = [name for name, folder in members if not is_done(folder) and not load_json(folder / FAILURE)]
    if pending:
        return f"{file} needs {', '.join(pending)}"
    return "" if any(is_done(folder) for _, folder in members) else f"{file}: all of its teachers failed"
