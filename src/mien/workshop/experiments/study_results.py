"""What a study's folders hold, read into one thing that a report is written from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mien.errors import ArtifactError, ConfigError, DataError
from mien.workshop.evaluation.compare import Comparison, compare
from mien.workshop.evaluation.diagnosis import Diagnosis, diagnose, epochs_to
from mien.workshop.evaluation.metrics import Interval, Spread, bootstrap_interval, over_seeds, weighted_f1
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.evaluation.stored import SCORES, load_evaluation
from mien.workshop.experiments.study_plan import Entry, Study, differences, run_folder, seed_folders
from mien.workshop.experiments.study_records import (
    FAILURE,
    RECORD,
    Cost,
    heads_of,
    is_finished,
    is_of,
    load_json,
    main_set,
    measure_cost,
    saved_config,
    stopped_early,
)
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.run_folder import load_history
from mien.workshop.training.state import History, best_epoch


@dataclass(frozen=True)
class RunResult:
    """One training as its folder describes it.

    Args:
        seed: which.
        state: `finished`, `unfinished`, `failed`, `not measured` (finished, without scores) or `not run`.
        reason: why it failed, or how far it came.
        history: its epochs.
        config: what it was trained with, None if it never got so far.
        evaluation: its scores, and `facts` on how they were measured.
        record: on what machine it was trained, and from which weights.
        changes: keys in which it differs from the study's file.
        head: by which the study ranks, empty for the run's own choice; see `measure.main_set`.
    """

    seed: int
    state: str
    reason: str = ""
    history: History = field(default_factory=list)
    config: TrainingConfig | None = None
    evaluation: Evaluation | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    head: str = ""

    @property
    def main(self) -> SetScores:
        """The scores by which the study ranks."""
        assert self.evaluation is not None
        return main_set(self.evaluation, self.head)

    def on(self, suffix: str) -> SetScores | None:
        """The scores of the same head on another set: `test`, `test-unseen`."""
        assert self.evaluation is not None
        key = f"{self.main.faces.head}-{suffix}"
        return next((scores for scores in self.evaluation.sets if scores.faces.key == key), None)

    @property
    def seconds(self) -> float:
        """Of all epochs, with their measuring."""
        return sum(row["seconds"] for row in self.history)

    @property
    def best_epoch(self) -> int:
        """The epoch that was kept, from 1 on."""
        return best_epoch(self.history) + 1

    @property
    def convergence(self) -> int:
        """Epochs to 95 % of the best validation score."""
        return epochs_to(self.history)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What the curves show."""
        early = self.config is not None and stopped_early(self.history, self.config)
        return diagnose(self.history, stopped_early=early, not_a_number="loss became" in self.reason)


@dataclass(frozen=True)
class EntryResult:
    """All runs of one entry, and what its network costs, None where it cannot be built."""

    entry: Entry
    runs: tuple[RunResult, ...]
    cost: Cost | None

    @property
    def name(self) -> str:
        """Of the entry."""
        return self.entry.name

    @property
    def measured(self) -> list[RunResult]:
        """The runs that have scores."""
        return [run for run in self.runs if run.evaluation is not None]

    @property
    def trained(self) -> list[RunResult]:
        """The runs that have at least one epoch."""
        return [run for run in self.runs if run.history]

    @property
    def first(self) -> RunResult:
        """The measured run with the lowest seed."""
        return self.measured[0]

    @property
    def from_scratch(self) -> str:
        """Why runs of this entry began with random weights though its file asks for pretrained ones, or nothing."""
        return next((run.record["from_scratch"] for run in self.runs if run.record.get("from_scratch")), "")

    def spread(self, metric: str, suffix: str = "") -> Spread | None:
        """`accuracy`, `macro_f1` or `weighted_f1` over the seeds, on the main set or another one."""
        found = [run.on(suffix) if suffix else run.main for run in self.measured]
        scores = [one for one in found if one is not None]
        if not scores:
            return None
        return over_seeds([getattr(one, metric) for one in scores], _bootstrap(scores[0], metric))


@dataclass(frozen=True)
class StudyResults:
    """A study with all that is there of it."""

    study: Study
    entries: tuple[EntryResult, ...]

    @property
    def measured(self) -> list[EntryResult]:
        """Entries with scores, the best mean accuracy first."""
        found = [entry for entry in self.entries if entry.measured]
        return sorted(found, key=lambda entry: -_mean_accuracy(entry))

    @property
    def any_run(self) -> RunResult:
        """A measured run, for what all have in common: the data and its sets."""
        return self.measured[0].first

    def best_two(self) -> list[tuple[int, Comparison]]:
        """The second best entry against the best on the main set, for each seed that both have."""
        if len(self.measured) < 2:
            return []
        best, second = self.measured[:2]
        others = {run.seed: run for run in second.measured}
        found = []
        for run in best.measured:
            other = others.get(run.seed)
            if other is not None and other.evaluation is not None and run.evaluation is not None:
                pairs = compare(other.evaluation, run.evaluation)
                found += [(run.seed, pair) for pair in pairs if pair.faces.key == run.main.faces.key]
        return found


def load_results(study: Study, runs: Path, *, timed: bool = True) -> StudyResults:
    """Read all runs of a study, and count what each network costs; `timed` measures milliseconds on this machine.

    Raises:
        ConfigError: there is no run of it, or none has an epoch.
        ArtifactError: a run's files are damaged.
        DataError: runs were measured on different data, or have no head in common.
    """
    if not (runs / study.name).is_dir():
        raise ConfigError(
            f"{runs} holds no run of the study {study.name}: expected {runs / study.name}/<entry>/seed-<k>; "
            "mien study run makes it"
        )
    entries = tuple(_entry(study, entry, runs, timed) for entry in study.entries)
    results = StudyResults(study, entries)
    if not results.measured:
        there = "; ".join(
            f"{entry.name} seed {run.seed}: {run.state} {run.reason}".rstrip()
            for entry in entries
            for run in entry.runs
        )
        raise ConfigError(f"no run of the study {study.name} in {runs} is finished and measured ({there})")
    results = _ranked_by_one_head(results)
    _require_one_data(results)
    return results


def _entry(study: Study, entry: Entry, runs: Path, timed: bool) -> EntryResult:
    # Runs with further seeds count as well, those of the file are listed even if missing.
    seeds = sorted(set(study.seeds_of(entry)) | set(seed_folders(runs, study, entry)))
    found = tuple(_run(study, entry, seed, run_folder(runs, study, entry, seed)) for seed in seeds)
    # From scratch, because pretrained weights need not be here to count.
    wanted = study.config(entry, study.seeds[0], from_scratch=True)
    # The cost is that of what was trained: the file may have changed since.
    config = next((run.config for run in found if run.config is not None), wanted)
    try:
        return EntryResult(entry, found, measure_cost(config, timed=timed))
    except ConfigError:
        return EntryResult(entry, found, None)


def _run(study: Study, entry: Entry, seed: int, folder: Path) -> RunResult:
    failure = load_json(folder / FAILURE).get("reason", "")
    saved = load_history(folder)
    if saved is None:
        return RunResult(seed, "failed" if failure else "not run", failure)
    identity, history = saved
    config = saved_config(folder, identity)
    run = RunResult(
        seed=seed,
        state="finished",
        history=history,
        config=config,
        record=load_json(folder / RECORD),
        changes=_changes(study, entry, seed, config),
    )
    if failure:
        return replace(run, state="failed", reason=failure)
    if not is_finished(history, config):
        return replace(run, state="unfinished", reason=f"{len(history)} of {config.fit.epochs} epochs")
    if not (folder / SCORES).is_file():
        return replace(run, state="not measured", reason="give DATA to measure it")
    evaluation, facts = load_evaluation(folder)
    if not is_of(folder, facts):
        return replace(run, state="not measured", reason="its scores are of other weights: give DATA to measure it")
    if facts.get("data") != identity.get("data"):
        raise ArtifactError(
            f"{folder}: was measured on other data than it was trained on: mien study run measures it again"
        )
    return replace(run, evaluation=evaluation, facts=facts)


def _changes(study: Study, entry: Entry, seed: int, config: TrainingConfig) -> tuple[str, ...]:
    """What a run's training has that the file does not ask for; random weights in place of others do not count."""
    asked = [study.config(entry, seed), study.config(entry, seed, from_scratch=True)]
    found: list[tuple[str, ...]] = [tuple(differences(config, wanted)) for wanted in asked]
    # Weights at random or not is told elsewhere, so the nearer of the two counts.
    return min(found, key=len)


def _bootstrap(scores: SetScores, metric: str) -> Interval:
    kept = {"accuracy": scores.accuracy_interval, "macro_f1": scores.macro_f1_interval}
    return kept[metric] if metric in kept else bootstrap_interval(scores.confusion, weighted_f1)


def _mean_accuracy(entry: EntryResult) -> float:
    spread = entry.spread("accuracy")
    return 0.0 if spread is None else spread.mean


def _ranked_by_one_head(results: StudyResults) -> StudyResults:
    """Where entries have learned different heads, the study ranks by one that all of them have."""
    heads = {
        (entry.name, run.seed): heads_of(run.evaluation)
        for entry in results.measured
        for run in entry.measured
        if run.evaluation is not None
    }
    shared = set.intersection(*heads.values())
    if not shared:
        learned = ", ".join(f"{name} {' and '.join(sorted(found))}" for (name, _), found in sorted(heads.items()))
        raise DataError(
            f"entries of the study {results.study.name} have no head in common ({learned}): compare those of one head "
            "in a study of their own"
        )
    # With the same heads everywhere each run's own choice is the same already.
    if len(set(map(frozenset, heads.values()))) == 1:
        return results
    head = "fer2013" if "fer2013" in shared else "crowd"
    entries = tuple(
        replace(entry, runs=tuple(replace(run, head=head) for run in entry.runs)) for entry in results.entries
    )
    return replace(results, entries=entries)


def _require_one_data(results: StudyResults) -> None:
    found = {(run.facts.get("data"), run.main.rows): entry.name for entry in results.measured for run in entry.measured}
    if len(found) > 1:
        raise DataError(
            f"runs of the study {results.study.name} were trained on different data ({', '.join(found.values())}): "
            "run them on the same, in a folder of their own"
        )
