"""How a run starts: its network with its first weights, the rows that it trains on, and what it is known by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.artifact.artifact import Artifact, load_artifact
from mien.artifact.catalog import resolve
from mien.artifact.input import InputSpec, prepare
from mien.errors import ConfigError, DataError
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import apply_lists, find_list, match_list
from mien.workshop.networks.dlib_weights import SUFFIX, take_dlib
from mien.workshop.networks.factory import create_network
from mien.workshop.networks.network import Network
from mien.workshop.networks.streams import Stream, Streams, join
from mien.workshop.networks.transfer import fetch_weights, hash_weights, read_weights, take_weights
from mien.workshop.networks.widen import widen
from mien.workshop.training.config import ModelConfig, TrainingConfig
from mien.workshop.training.loaders import fingerprint
from mien.workshop.training.opinions import hash_opinions

GRAPH_ROWS = 2048
"""Training rows by which the batch norms of an exported model are measured anew."""
_COMPARED = 64


def start_network(config: TrainingConfig, dataset: FaceDataset, *, fresh: bool) -> Network:
    """The configuration's network.

    Args:
        config: its `model` and `heads` are used.
        dataset: rows of train; used where the weights are those of a model.
        fresh: give it the pretrained weights that are asked for; a run that goes on has its own.

    Raises:
        ConfigError: it cannot be built, or the weights are not there.
        ArtifactError: the weights do not fit.
        DownloadError: they could not be fetched.
    """
    model = config.model
    network = create_network(model.arch, spec=model.spec, heads=tuple(config.heads.weights), **model.options)
    source = fetch_weights(model.arch) if fresh and model.pretrained else model.weights
    if fresh and source is not None:
        rows = dataset.part("train").images
        faces = rows[:: max(1, len(rows) // GRAPH_ROWS)]
        if isinstance(source, tuple):
            _fill_streams(network, source, faces, model.channels)
        elif model.widen:
            narrow = _narrow(source, config, faces)
            widen(network, narrow, torch.from_numpy(prepare(faces[:_COMPARED], model.spec)))
        else:
            _fill(network, source, faces, model.spec)
    return network


def _fill(network: Network, source: Path, faces: npt.NDArray[np.uint8], spec: InputSpec) -> None:
    """Give a network the weights of a model or of a file."""
    if artifact := _artifact(source):
        from mien.workshop.networks.graph_weights import take_graph

        # At the artifact's own size: a network that pools may go on at another one.
        take_graph(network, artifact, prepare(faces, artifact.manifest.input))
    elif source.suffix == SUFFIX:
        take_dlib(network, source, prepare(faces, spec))
    else:
        take_weights(network, source)


def _fill_streams(network: Network, sources: Sequence[Path], faces: npt.NDArray[np.uint8], channels: int) -> None:
    """Give each stream the weights of its own source; together they answer with the mean of their logits."""
    body = network.body
    assert isinstance(body, Streams)
    heads = {name: len(HEADS[name]) for name in network.heads}
    parts = []
    for stream, source in zip(body.streams, sources, strict=True):
        assert isinstance(stream, Stream)
        part = Network(stream.body, stream.features, heads)
        part.normalize = stream.normalize
        _fill(part, source, faces, InputSpec(stream.size, stream.size, channels))
        parts.append(part)
    join(network, parts)


def _narrow(source: Path, config: TrainingConfig, faces: npt.NDArray[np.uint8]) -> Network:
    """The trained network of a model or of a checkpoint, built as it was, with the heads of the configuration."""
    artifact = _artifact(source)
    if artifact:
        trained, channels = artifact.manifest.training.get("model", {}), artifact.manifest.input.channels
    elif source.suffix == SUFFIX:
        raise ConfigError(f"{source}: dlib's network has one width: leave out model.widen to begin with its weights")
    else:
        trained = read_weights(source)[1] or {}
        channels = trained.get("spec", {}).get("channels")
    if "arch" not in trained:
        raise ConfigError(
            f"{source}: does not tell its architecture, so nothing is known of what is to be widened: "
            "expected a checkpoint of Mien, such as best.safetensors of a run, or a model that Mien trained"
        )
    if trained["arch"] != config.model.arch:
        raise ConfigError(f"{source} is a {trained['arch']}: it cannot be widened to a {config.model.arch}")
    if channels != config.model.channels:
        raise ConfigError(f"{source} reads {channels} channels, and model.channels = {config.model.channels}")
    heads = tuple(config.heads.weights)
    narrow = create_network(trained["arch"], spec=config.model.spec, heads=heads, **trained.get("options", {}))
    _fill(narrow, source, faces, config.model.spec)
    return narrow


def settle(config: TrainingConfig) -> TrainingConfig:
    """The configuration with the architecture, options and input of the model whose weights it names, if it has none.

    Raises:
        ConfigError: the model does not tell them.
        ArtifactError: the model is damaged.
    """
    model = config.model
    artifact = _artifact(model.weights) if isinstance(model.weights, Path) else None
    if artifact is None or model != ModelConfig(weights=model.weights):
        return config
    trained = artifact.manifest.training.get("model", {})
    if "arch" not in trained:
        raise ConfigError(f"{model.weights}: does not tell its architecture: give model.arch and model.options")
    spec = artifact.manifest.input
    found = {"arch": trained["arch"], "options": trained.get("options", {}), "size": spec.height}
    return config.model_copy(update={"model": model.model_copy(update=found | {"channels": spec.channels})})


def _artifact(source: Path) -> Artifact | None:
    """The model that a name or folder stands for, None for a file of weights."""
    name = str(source)
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
        identity: what must be the same for a run to go on: configuration, data set, lists, and first weights.
        data: what the checkpoint tells of the data.
    """

    dataset: FaceDataset
    identity: dict[str, Any]
    data: dict[str, Any]

    @property
    def lists(self) -> list[str]:
        """What each list did, for people."""
        return [_said(told) for told in self.data.get("lists", [])]


def start_run(config: TrainingConfig, dataset: FaceDataset) -> Start:
    """Apply the curated lists to the rows of train, and say what the run is known by.

    Raises:
        ConfigError: a list is not there.
        DataError: a list does not fit the data set, or leaves no row to train on.
    """
    identity: dict[str, Any] = {"config": config.model_dump(mode="json"), "data": fingerprint(dataset)}
    if config.model.weights:
        digests = [_digest(source) for source in config.model.sources]
        identity["weights"] = digests if isinstance(config.model.weights, tuple) else digests[0]
    if config.distill.teachers:
        identity["teachers"] = [hash_opinions(path) for path in config.distill.teachers]
    curated, told = _curated(config, dataset)
    data = {"name": dataset.name, "sha256": identity["data"], "rows": len(curated.part("train"))}
    if told:
        identity["lists"] = list_digests(config.data.lists)
        data["lists"] = told
    if not data["rows"]:
        raise DataError(f"{dataset.name}: no row of train is left after the lists {', '.join(config.data.lists)}")
    return Start(curated, identity, data)


def list_digests(names: Sequence[str]) -> dict[str, str]:
    """Which list each name stands for now, and the hash of what it does: what must be the same for a run to go on.

    Raises:
        ConfigError: a list is not there, or is named twice.
        DataError: a file is no list.
    """
    if len(set(names)) < len(names):
        raise ConfigError(f"data.lists names a list twice: {', '.join(names)}")
    found = {name: find_list(name) for name in names}
    return {name: f"{rows.title} {rows.sha256}" for name, rows in found.items()}


def _curated(config: TrainingConfig, dataset: FaceDataset) -> tuple[FaceDataset, list[dict[str, Any]]]:
    """The data set after the lists, and what each of them did."""
    found = [find_list(name) for name in config.data.lists]
    matches = [match_list(dataset, rows) for rows in found]
    told: list[dict[str, Any]] = [
        {
            "name": rows.title, "sha256": rows.sha256, "dropped": len(match.drops), "relabelled": len(match.relabels),
            "elsewhere": match.elsewhere, "absent": match.absent,
        }
        for rows, match in zip(found, matches, strict=True)
    ]  # fmt: skip
    return apply_lists(dataset, matches) if matches else dataset, told


def _said(told: dict[str, Any]) -> str:
    line = f"list {told['name']}: {told['dropped']:,} rows dropped, {told['relabelled']:,} relabelled"
    line += f", {told['elsewhere']:,} left alone in other splits than train" if told["elsewhere"] else ""
    return line + (f", {told['absent']:,} not in this part of the data" if told["absent"] else "")
