"""The search file: a training's settings, what may be changed in them, and how long to look."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr, ValidationError

from mien.errors import ConfigError
from mien.workshop.data.base import HELD_OUT, SPLITS, FaceDataset, hold_out
from mien.workshop.data.factory import load_dataset
from mien.workshop.experiments.search_ranges import Choices, Ranges, nested, parse_ranges
from mien.workshop.experiments.study_plan import merge
from mien.workshop.toml_sections import Section, explain, read_toml
from mien.workshop.training.config import TrainingConfig, parse_config

MOST_NETWORKS = 200


class Budget(Section):
    """How many trials on how many rows for how long, and who chooses and stops them."""

    trials: int = Field(32, ge=1, description="of all workers together")
    epochs: int | None = Field(None, ge=1, description="of a trial, instead of fit.epochs")
    subset: int = Field(0, ge=0, description="training rows, drawn evenly from the classes' shares; 0 for all")
    seed: int = Field(0, ge=0, description="of the sampler and the subset")
    sampler: Literal["tpe", "random"] = "tpe"
    startup: int = Field(8, ge=1, description="trials at random before TPE, finished ones before the median pruner")
    pruner: Literal["median", "hyperband", "none"] = "median"
    warmup_epochs: int = Field(2, ge=0, description="that no trial is stopped in")
    keep: int = Field(3, ge=0, description="trials whose checkpoints stay on disk, the best ones")
    heartbeat_seconds: int = Field(20, ge=1, description="a worker that is silent for three times as long is dead")


class Confirm(Section):
    """How the best trials are trained again, on all rows."""

    best: int = Field(3, ge=1)
    epochs: int | None = Field(None, ge=1, description="instead of the trial's")
    seeds: tuple[int, ...] = (0,)


class Search(Section):
    """What `mien tune` reads."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    question: str = ""
    base: dict[str, Any] = Field(default_factory=dict)
    search: Budget = Budget()
    ranges: dict[str, Any]
    confirm: Confirm = Confirm()
    _bounds: Ranges = PrivateAttr(default_factory=dict)

    @property
    def bounds(self) -> Ranges:
        """The ranges by dotted key."""
        # Parsed once: a trial asks for each setting.
        if not self._bounds:
            self._bounds.update(parse_ranges(self.ranges))
        return self._bounds

    def config(self, chosen: dict[str, Any], number: int = 0) -> TrainingConfig:
        """The training of a trial that chose these values.

        Raises:
            ConfigError: a value that no training can have.
        """
        changes: dict[str, Any] = {"name": f"trial-{number:03d}"}
        if self.search.epochs is not None:
            changes["fit"] = {"epochs": self.search.epochs}
        values = merge(merge(self.base, changes), self.changes(chosen))
        return parse_config(values, name=f"search {self.name}")

    def changes(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """What a choice changes in the base; an architecture's options are kept where only single ones are chosen."""
        found = nested(self.bounds, chosen)
        options = found.get("model", {}).get("options")
        if options is not None and not {"model", "model.options"} & self.bounds.keys():
            found["model"]["options"] = self.base.get("model", {}).get("options", {}) | options
        return found

    def identity(self, data: str) -> dict[str, Any]:
        """What must be the same for a study to resume, for data of this fingerprint. Only the effort may change."""
        # These change how long is searched, not what a trial means: a study may be prolonged.
        effort = {"trials", "keep", "heartbeat_seconds"}
        values = self.model_dump(mode="json", exclude={"title", "question", "confirm"})
        values["search"] = {key: value for key, value in values["search"].items() if key not in effort}
        return {"search": values, "data": data}


def load_search(path: Path) -> Search:
    """Read a search file and try both ends of every range.

    Raises:
        ConfigError: not readable, not TOML, an unknown key, a range that cannot be, or a network that cannot be built.
    """
    values = read_toml(path)
    if "ranges" not in values:
        raise ConfigError(f"{path}: has no [ranges]: expected a search, such as studies/tune-architectures.toml")
    try:
        search = Search.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Search)}") from error
    try:
        check_search(search)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return search


def check_search(search: Search) -> None:
    """Build the training at both ends of each range, and every network that the search can come to.

    Raises:
        ConfigError: names the range and the end that cannot be.
    """
    unknown = search.base.keys() - (TrainingConfig.model_fields.keys() - {"name"})
    if unknown:
        sections = ", ".join(key for key in TrainingConfig.model_fields if key != "name")
        raise ConfigError(f"unknown section base.{min(unknown)}: expected one of {sections}")
    if search.search.epochs is not None and "fit.epochs" in search.bounds:
        raise ConfigError("search.epochs and ranges.fit.epochs exclude each other: leave one out")
    # One setting at a time: the combinations of all ends would be too many.
    middle = first_choice(search)
    for key, bounds in search.bounds.items():
        for end, value in _ends(bounds).items():
            try:
                search.config(middle | {key: value})
            except ConfigError as error:
                raise ConfigError(f"ranges.{key}, {end}: {error}") from error
    _check_networks(search, middle)


def draw_rows(dataset: FaceDataset, count: int, seed: int) -> FaceDataset:
    """`count` training rows, 0 for all, each class by its share, and all validation rows; no test rows.

    Raises:
        ConfigError: more rows than there are.
    """
    train = np.flatnonzero(dataset.split == SPLITS.index("train"))
    validation = np.flatnonzero(dataset.split == SPLITS.index("validation"))
    if count > len(train):
        raise ConfigError(f"search.subset = {count} is above the {len(train)} training rows of {dataset.name}")
    if count:
        order = np.random.default_rng(seed).permutation(train)
        # Within the order by class, every (train / count)-th row: each class comes in by its share.
        by_class = order[np.argsort(dataset.labels[order], kind="stable")]
        train = by_class[np.floor((np.arange(count) + 0.5) * len(train) / count).astype(np.int64)]
    drawn = dataset[np.sort(np.concatenate([train, validation]))]
    return replace(drawn, name=f"{dataset.name}, {count:,} training rows") if count else drawn


def largest_batch(search: Search) -> int:
    """The largest batch that a trial can ask for."""
    bounds = search.bounds.get("fit.batch_size")
    if bounds is None:
        return search.config(first_choice(search)).fit.batch_size
    return max(int(value) for value in bounds.samples.values())


def first_choice(search: Search) -> dict[str, Any]:
    """What a trial would choose at the lower end of every range."""
    return {
        key: next(iter(bounds.named)) if isinstance(bounds, Choices) else bounds.low
        for key, bounds in search.bounds.items()
    }


def _ends(bounds: Any) -> dict[str, Any]:
    """What a trial would be given at the ends, by what it is called in messages."""
    if isinstance(bounds, Choices):
        return {f"choice {name}": name for name in bounds.named}
    return dict(bounds.samples)


def _check_networks(search: Search, middle: dict[str, Any]) -> None:
    import torch

    from mien.workshop.networks.architectures import create_network

    keys = [key for key in search.bounds if key.split(".")[0] == "model"]
    ends = [list(_ends(search.bounds[key]).values()) for key in keys]
    # Here all combinations, since options of a network fit or fail together; the first `MOST_NETWORKS` at most.
    for values in itertools.islice(itertools.product(*ends), MOST_NETWORKS):
        chosen = dict(zip(keys, values, strict=True))
        model = search.config(middle | chosen).model
        # Weights are not fetched to check a shape.
        options = {key: value for key, value in model.options.items() if key not in ("pretrained", "weights")}
        try:
            # On meta, networks have shapes but no memory.
            with torch.device("meta"):
                create_network(model.arch, spec=model.spec, **options)
        except ConfigError as error:
            which = ", ".join(f"{key} = {value}" for key, value in chosen.items())
            raise ConfigError(f"{f'ranges, {which}' if which else 'base.model'}: {error}") from error


@dataclass(frozen=True)
class Job:
    """One `mien tune`: what to search on which data, where, and how many trials the study shall have in the end."""

    search: Search
    data: Path
    out: Path
    storage: str
    trials: int
    device: str = "auto"


def load_rows(job: Job) -> FaceDataset:
    """The rows that the trials see: the subset and the validation rows, never a test row."""
    dataset = load_dataset(job.data)
    # With the search's seed, so that every worker and machine holds out the same rows.
    if not len(dataset.part("validation")):
        dataset = hold_out(dataset, HELD_OUT, seed=job.search.search.seed)
    return draw_rows(dataset, job.search.search.subset, job.search.search.seed)
