"""How a run starts: its network with its first weights, and what it is known by."""

from __future__ import annotations

from typing import Any

from mien.datasets.base import FaceDataset
from mien.models.factory import create_network
from mien.models.network import Network
from mien.models.transfer import fetch_weights, hash_weights, take_weights
from mien.training.config import TrainingConfig
from mien.training.loaders import fingerprint


def start_network(config: TrainingConfig, *, fresh: bool) -> Network:
    """The configuration's network.

    Args:
        config: its `model` and `heads` are used.
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
        take_weights(network, source)
    return network


def identify(config: TrainingConfig, dataset: FaceDataset) -> dict[str, Any]:
    """What must be the same for a run to go on: configuration, data, and what its first weights were."""
    identity = {"config": config.model_dump(mode="json"), "data": fingerprint(dataset)}
    return identity | ({"weights": hash_weights(config.model.weights)} if config.model.weights else {})
