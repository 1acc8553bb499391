"""The trainings of a study, one by one: in which order, where each lives, and what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.errors import ConfigError
from mien.workshop.experiments.study.plan import Entry, Study, run_folder
from mien.workshop.training.config import TrainingConfig


@dataclass(frozen=True)
class Options:
    """How a study is run.

    Args:
        only: names of entries, all of them for none.
        seeds: instead of the study's.
        epochs: instead of each entry's.
        from_scratch: take random weights for every entry.
        device: auto, cpu, cuda or mps.
    """

    only: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    epochs: int | None = None
    from_scratch: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Run:
    """One training of a study.

    Args:
        entry, seed: which.
        folder: where it lives.
        config: what it should be.
        scratch: the same with random weights, where that may stand in; None if it may not.
    """

    entry: Entry
    seed: int
    folder: Path
    config: TrainingConfig
    scratch: TrainingConfig | None = None


def plan(study: Study, runs: Path, options: Options) -> list[Run]:
    """The trainings of a study: all entries with their first seed, then all with their next; see `Entry.round`.

    Raises:
        ConfigError: an entry that the study does not have.
    """
    names = [entry.name for entry in study.entries]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        raise ConfigError(f"study {study.name} has no entry {unknown[0]!r}: expected one of {', '.join(names)}")
    entries = [entry for entry in study.entries if entry.name in (options.only or names)]
    seeds = {entry.name: options.seeds or study.seeds_of(entry) for entry in entries}
    rounds = range(max(entry.round + len(seeds[entry.name]) for entry in entries))
    return [
        _run(study, runs, entry, seeds[entry.name][number - entry.round], options)
        for number in rounds
        for entry in entries
        if entry.round <= number < entry.round + len(seeds[entry.name])
    ]


def _run(study: Study, runs: Path, entry: Entry, seed: int, options: Options) -> Run:
    config = study.config(entry, seed, epochs=options.epochs)
    scratch = study.config(entry, seed, epochs=options.epochs, from_scratch=True)
    folder = run_folder(runs, study, entry, seed)
    if scratch == config:
        return Run(entry, seed, folder, config)
    if options.from_scratch:
        return Run(entry, seed, folder, scratch, scratch)
    return Run(entry, seed, folder, config, scratch if entry.or_from_scratch else None)
