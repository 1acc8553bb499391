"""A study: several trainings by the same rules, and what was published about each, in one TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from mien.errors import ConfigError
from mien.workshop.toml_sections import Field, Section, ValidationError, explain, model_validator, read_toml
from mien.workshop.training.config import TrainingConfig, parse_config

PRETRAINING = {"model": ("pretrained", "weights"), "optim": ("freeze_epochs", "layer_decay")}
"""Keys that mean something only where the weights are not random at first."""

TRAINING_SECTIONS = tuple(key for key in TrainingConfig.model_fields if key != "name")


class Published(Section):
    """What others reported for the same system, on the 7,178 rows of PublicTest and PrivateTest by default."""

    accuracy: float | None = Field(None, ge=0, le=1)
    macro_f1: float | None = Field(None, ge=0, le=1)
    weighted_f1: float | None = Field(None, ge=0, le=1)
    note: str = ""


class Entry(Section):
    """One network of a study: `training` is what differs from the study's base, in a training file's sections.

    `seeds` take the place of the study's.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    note: str = ""
    published: Published = Published()
    or_from_scratch: bool = Field(False, description="from random weights where the pretrained ones cannot be had")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    training: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        """In the file the sections are part of the entry itself."""
        if not isinstance(values, dict):
            return values
        training = {key: values[key] for key in TRAINING_SECTIONS if key in values}
        return {key: value for key, value in values.items() if key not in training} | {"training": training}


class Study(Section):
    """What `studies/*.toml` with `[[entries]]` holds; every entry is trained once for each seed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    question: str = ""
    method: str = ""
    seeds: tuple[int, ...] = (0,)
    base: dict[str, Any] = Field(default_factory=dict)
    entries: tuple[Entry, ...] = Field(min_length=1)

    def seeds_of(self, entry: Entry) -> tuple[int, ...]:
        """The entry's own seeds, or the study's."""
        return entry.seeds or self.seeds

    def config(
        self, entry: Entry, seed: int, *, epochs: int | None = None, from_scratch: bool = False
    ) -> TrainingConfig:
        """The training of one entry with one seed, with its own number of epochs and its own weights by default.

        Raises:
            ConfigError: an unknown key or a value out of range; the message names the entry and the key.
        """
        values = merge(self.base, entry.training)
        values = merge(values, {"name": entry.name, "fit": {"seed": seed} | ({"epochs": epochs} if epochs else {})})
        for section, keys in PRETRAINING.items() if from_scratch else ():
            values[section] = {key: value for key, value in values.get(section, {}).items() if key not in keys}
        # A short trial run of a study should not fail because it ends before the body thaws.
        if epochs and values.get("optim", {}).get("freeze_epochs", 0) > epochs:
            values = merge(values, {"optim": {"freeze_epochs": epochs}})
        return parse_config(values, name=f"study {self.name}, entry {entry.name}")


def load_study(path: Path) -> Study:
    """Read a study and check each of its trainings.

    Raises:
        ConfigError: not readable, not TOML, an unknown key, a value out of range, or two entries of one name.
    """
    values = read_toml(path)
    if "entries" not in values:
        raise ConfigError(f"{path}: not a study, it has no [[entries]]: mien train takes one training")
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Study)}") from error
    names = [entry.name for entry in study.entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: two entries are called {twice[0]!r}: give each a name of its own")
    for entry in study.entries:
        # Built and dropped: a wrong value is reported before hours of training.
        study.config(entry, study.seeds[0])
    return study


def run_folder(runs: Path, study: Study, entry: Entry, seed: int) -> Path:
    """Where a training of a study lives below the folder of all runs."""
    return runs / study.name / entry.name / f"seed-{seed}"


def seed_folders(runs: Path, study: Study, entry: Entry) -> dict[int, Path]:
    """The folders of an entry's runs that are there, by seed."""
    found = (runs / study.name / entry.name).glob("seed-*")
    numbered = {int(path.name.removeprefix("seed-")): path for path in found if path.name[5:].isdigit()}
    return dict(sorted(numbered.items()))


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the changes, table by table; an architecture's options are replaced as a whole.

    >>> merge({"fit": {"epochs": 3, "seed": 1}}, {"fit": {"seed": 2}})
    {'fit': {'epochs': 3, 'seed': 2}}
    """
    merged = dict(base)
    for key, value in changes.items():
        # An architecture's options mean nothing to another one.
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "options"
        merged[key] = merge(merged[key], value) if nested else value
    return merged


def differences(found: TrainingConfig, wanted: TrainingConfig) -> list[str]:
    """Keys in which two trainings differ, as `fit.epochs is 1, not 12`; their names apart."""
    lines = []
    for section, table in wanted.model_dump(exclude={"name"}).items():
        other = getattr(found, section).model_dump()
        lines += [
            f"{section}.{key} is {other[key]}, not {value}" for key, value in table.items() if other[key] != value
        ]
    return lines


@dataclass(frozen=True)
class StudyOptions:
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
        scratch: the same with random weights, where they are allowed; else None.
    """

    entry: Entry
    seed: int
    folder: Path
    config: TrainingConfig
    scratch: TrainingConfig | None = None


def plan_runs(study: Study, runs: Path, options: StudyOptions) -> list[Run]:
    """The trainings of a study: all entries with their first seed, then all with their next.

    Raises:
        ConfigError: an entry that the study does not have.
    """
    names = [entry.name for entry in study.entries]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        raise ConfigError(f"study {study.name} has no entry {unknown[0]!r}: expected one of {', '.join(names)}")
    entries = [entry for entry in study.entries if entry.name in (options.only or names)]
    seeds = {entry.name: options.seeds or study.seeds_of(entry) for entry in entries}
    return [
        _planned(study, runs, entry, seeds[entry.name][number], options)
        # Seed by seed: a study that is stopped early still compares all its entries.
        for number in range(max(map(len, seeds.values())))
        for entry in entries
        if number < len(seeds[entry.name])
    ]


def _planned(study: Study, runs: Path, entry: Entry, seed: int, options: StudyOptions) -> Run:
    config = study.config(entry, seed, epochs=options.epochs)
    scratch = study.config(entry, seed, epochs=options.epochs, from_scratch=True)
    folder = run_folder(runs, study, entry, seed)
    # The entry asks for random weights anyway.
    if scratch == config:
        return Run(entry, seed, folder, config)
    if options.from_scratch:
        return Run(entry, seed, folder, scratch, scratch)
    return Run(entry, seed, folder, config, scratch if entry.or_from_scratch else None)
