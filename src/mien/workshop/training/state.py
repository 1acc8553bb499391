"""How a run starts, what identifies it, and all that it needs to resume after a kill as if nothing had happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.arrays import UInt8
from mien.artifact.artifact import Artifact, load_artifact
from mien.artifact.catalog import resolve
from mien.artifact.input import prepare
from mien.errors import ConfigError, DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import apply_lists, find_list, match_list
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_tensors, save_tensors
from mien.workshop.networks.network import Network
from mien.workshop.networks.transfer import fetch_weights, hash_weights, take_weights, under
from mien.workshop.training.config import ModelConfig, TrainingConfig, parse_config
from mien.workshop.training.distill import hash_predictions
from mien.workshop.training.objective import fingerprint
from mien.workshop.training.optim import WeightAverage
from mien.workshop.training.teacher_views import hash_answers

History = list[dict[str, float]]

GRAPH_ROWS = 2048
"""Training rows on which the batch-norm statistics of an exported model are recomputed."""


@dataclass
class TrainingState:
    """The moving parts of a run; `epoch` is the next one to train, `best_epoch` the one that was kept."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    generator: torch.Generator
    identity: dict[str, Any]
    epoch: int = 0
    best_epoch: int = -1
    history: History = field(default_factory=list)

    def add(self, row: dict[str, float]) -> None:
        """Note what an epoch measured; it is the best so far if its `score` is above all others."""
        self.history.append(row)
        self.epoch += 1
        self.best_epoch = best_epoch(self.history)

    def save(self, path: Path) -> None:
        """Write all of it, atomically."""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state.items()}
        tensors |= _optimizer_tensors(self.optimizer)
        tensors |= {f"random.{key}": value for key, value in self._random_states().items()}
        header = {
            "kind": "training state", "identity": self.identity, "epoch": self.epoch, "best_epoch": self.best_epoch,
            "average_steps": self.average.steps, "history": self.history,
        }  # fmt: skip
        save_tensors(path, tensors, header)

    def load(self, path: Path) -> None:
        """Go back to a saved state.

        Raises:
            ConfigError: the file belongs to another configuration or to other data.
            ArtifactError: the file is damaged.
        """
        tensors, header = load_tensors(path)
        check_identity(path, header.get("identity", {}), self.identity)
        device = next(self.network.parameters()).device
        self.network.load_state_dict(under("network.", tensors))
        # safetensors are read to the CPU; the network loads across devices, the average is a plain dict.
        self.average.state = {key: value.to(device) for key, value in under("average.", tensors).items()}
        self.average.steps = header["average_steps"]
        _load_optimizer(self.optimizer, under("optimizer.", tensors))
        random = under("random.", tensors)
        self._go_on_drawing(random["generator"], header["epoch"])
        # Dropout draws from torch's global generators.
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
        self.epoch, self.best_epoch, self.history = header["epoch"], header["best_epoch"], header["history"]

    @property
    def seed(self) -> int:
        """See `draw_seed`."""
        return draw_seed(self.identity)

    def _go_on_drawing(self, saved: torch.Tensor, epoch: int) -> None:
        """Take up the random numbers; on another kind of device than before there are only others."""
        # The state of a GPU's generator has another size than a CPU's, and neither can be turned into the other.
        if saved.shape == self.generator.get_state().shape:
            self.generator.set_state(saved)
        else:
            self.generator.manual_seed(hash((self.seed, epoch)))

    def _random_states(self) -> dict[str, torch.Tensor]:
        states = {"generator": self.generator.get_state(), "cpu": torch.get_rng_state()}
        if self.generator.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states


def draw_seed(identity: Mapping[str, Any]) -> int:
    """The seed of all random numbers of the run that is known by this, less than 2³².

    With first weights it is drawn from the configuration's seed and from them: a training that went on from another
    with the same seed would show the network the very rows, turns and erasures again that it has learned by heart.
    """
    # Eight hexadecimal digits: Fabric seeds NumPy too, which takes 32 bits.
    given, weights = int(identity["config"]["fit"]["seed"]), identity.get("weights")
    return given if weights is None else int(hashlib.sha256(f"{given} {weights}".encode()).hexdigest()[:8], 16)


def best_epoch(history: History) -> int:
    """The first epoch with the highest `score`, -1 for no epoch.

    >>> best_epoch([{"score": 0.4}, {"score": 0.6}, {"score": 0.6}])
    1
    """
    return max(range(len(history)), key=lambda epoch: history[epoch]["score"], default=-1)


def check_identity(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ConfigError where a saved run has another configuration or other data than the one that is to resume.

    Keys that the configuration did not have yet when the run was started have their defaults.
    """
    different = _differences(_with_defaults(found), wanted)
    if different:
        raise ConfigError(
            f"{path} belongs to another run ({'; '.join(different[:4])}): "
            "give the same configuration and data to resume, or another --out"
        )


def _with_defaults(identity: dict[str, Any]) -> dict[str, Any]:
    try:
        config = parse_config(identity["config"]).model_dump(mode="json")
    except (ConfigError, KeyError):
        # A key that no longer exists is reported as a difference, by its name.
        return identity
    return identity | {"config": config}


def _differences(found: Any, wanted: Any, key: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted(found.keys() | wanted.keys())
        return [line for n in names for line in _differences(found.get(n), wanted.get(n), f"{key}.{n}".lstrip("."))]
    return [] if found == wanted else [f"{key} was {found}, now {wanted}"]


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"optimizer.{index}.{key}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, torch.Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    # Groups and rates follow from the configuration and the step, so only tensors were saved.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def start_network(config: TrainingConfig, dataset: FaceDataset, *, fresh: bool) -> Network:
    """The configuration's network.

    Args:
        config: its `model` and `heads` are used.
        dataset: rows of train; used where the weights are those of a model.
        fresh: give it the pretrained weights that are asked for; a run that resumes has its own.

    Raises:
        ConfigError: it cannot be built, or the weights are not there.
        ArtifactError: the weights do not fit.
        DownloadError: they could not be fetched.
    """
    model = config.model
    network = create_network(model.arch, spec=model.spec, heads=tuple(config.heads.weights), **model.built_with)
    source = fetch_weights(model.arch) if fresh and model.pretrained else model.weights
    if fresh and source is not None:
        rows = dataset.part("train").images
        # Spread over all rows, which folders of pictures give class by class.
        faces = rows[:: max(1, len(rows) // GRAPH_ROWS)]
        _fill(network, source, faces)
    return network


def _fill(network: Network, source: Path, faces: UInt8) -> None:
    """Give a network the weights of a model or of a file."""
    if artifact := _artifact(source):
        # Here, because it needs onnx and most trainings do not.
        from mien.workshop.networks.graph_weights import take_graph

        # At the artifact's own size: a network that pools can continue at another one.
        take_graph(network, artifact, prepare(faces, artifact.manifest.input))
    else:
        take_weights(network, source)


def settle(config: TrainingConfig) -> TrainingConfig:
    """The configuration with the architecture, options and input of the model whose weights it names, if it has none.

    Raises:
        ConfigError: the model does not say which.
        ArtifactError: the model is damaged.
    """
    model = config.model
    artifact = _artifact(model.weights) if model.weights else None
    # Any other key means that the network is described by hand.
    if artifact is None or model != ModelConfig(weights=model.weights):
        return config
    trained = artifact.manifest.training.get("model", {})
    if "arch" not in trained:
        raise ConfigError(f"{model.weights}: does not name its architecture: give model.arch and model.options")
    spec = artifact.manifest.input
    found = {"arch": trained["arch"], "options": trained.get("options", {}), "size": spec.height}
    found |= {"landmarks": bool(trained.get("landmarks", False))}
    return config.model_copy(update={"model": model.model_copy(update=found | {"channels": spec.channels})})


def _artifact(source: Path) -> Artifact | None:
    """The model of a name or folder, None for a file of weights."""
    name = str(source)
    # What has an ending is a file, so that a misspelt one is missed as such and not as a model.
    if source.is_dir() or name.startswith("models:") or not (source.suffix or source.exists()):
        return load_artifact(resolve(name))
    return None


def _digest(source: Path) -> str:
    """The hash by which first weights are known."""
    artifact = _artifact(source)
    return artifact.manifest.sha256 if artifact else hash_weights(source)


@dataclass(frozen=True)
class Start:
    """What a run starts with.

    Args:
        dataset: after the curated lists of the configuration.
        identity: what must be the same for a run to resume: configuration, data set, lists, and first weights.
        data: about the data, for the checkpoint.
    """

    dataset: FaceDataset
    identity: dict[str, Any]
    data: dict[str, Any]

    @property
    def lists(self) -> list[str]:
        """What each list did, for people."""
        return [_describe_list(entry) for entry in self.data.get("lists", [])]


def start_run(config: TrainingConfig, dataset: FaceDataset) -> Start:
    """Apply the curated lists to the rows of train, and identify the run.

    Raises:
        ConfigError: a list is not there.
        DataError: a list does not fit the data set, or leaves no row to train on.
    """
    identity: dict[str, Any] = {"config": config.model_dump(mode="json"), "data": fingerprint(dataset)}
    if config.model.weights:
        identity["weights"] = _digest(config.model.weights)
    if config.distill.teachers:
        identity["teachers"] = [hash_predictions(path) for path in config.distill.teachers]
    if config.distill.views:
        identity["views"] = [hash_answers(path) for path in config.distill.views]
    # The fingerprint above is of the data before the lists, which have hashes of their own.
    curated, applied = _curated(config, dataset)
    data = {"name": dataset.name, "sha256": identity["data"], "rows": len(curated.part("train"))}
    if applied:
        # No key without lists: runs from before there were any still resume.
        identity["lists"] = list_digests(config.data.lists)
        data["lists"] = applied
    if not data["rows"]:
        raise DataError(f"{dataset.name}: no row of train is left after the lists {', '.join(config.data.lists)}")
    return Start(curated, identity, data)


def list_digests(names: Sequence[str]) -> dict[str, str]:
    """Which list each name means now, and the hash of what it does: what must be the same for a run to resume.

    Raises:
        ConfigError: a list is not there, or is named twice.
        DataError: a file is no list.
    """
    if len(set(names)) < len(names):
        raise ConfigError(f"data.lists names a list twice: {', '.join(names)}")
    # A bare name means the newest version, which may be another one by the time the run resumes.
    found = {name: find_list(name) for name in names}
    return {name: f"{rows.title} {rows.sha256}" for name, rows in found.items()}


def _curated(config: TrainingConfig, dataset: FaceDataset) -> tuple[FaceDataset, list[dict[str, Any]]]:
    """The data set after the lists, and what each of them did."""
    found = [find_list(name) for name in config.data.lists]
    # All are matched before any is applied: a row that one list drops would be missing to the next.
    matches = [match_list(dataset, rows) for rows in found]
    applied: list[dict[str, Any]] = [
        {
            "name": rows.title, "sha256": rows.sha256, "dropped": len(match.drops), "relabelled": len(match.relabels),
            "elsewhere": match.elsewhere, "absent": match.absent,
        }
        for rows, match in zip(found, matches, strict=True)
    ]  # fmt: skip
    return apply_lists(dataset, matches) if matches else dataset, applied


def _describe_list(entry: dict[str, Any]) -> str:
    line = f"list {entry['name']}: {entry['dropped']:,} rows dropped, {entry['relabelled']:,} relabelled"
    line += f", {entry['elsewhere']:,} in other splits left alone" if entry["elsewhere"] else ""
    return line + (f", {entry['absent']:,} not in this part of the data" if entry["absent"] else "")
