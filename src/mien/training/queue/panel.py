"""The opinions of finished runs as their students take them, asked of the networks themselves on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mien.datasets.base import FaceDataset
from mien.datasets.ferplus import distribution
from mien.errors import ConfigError
from mien.evaluation.calibration import fit_temperature
from mien.models.checkpoint import load_network
from mien.models.network import Network
from mien.preprocessing import InputSpec, prepare
from mien.training.augment import augment
from mien.training.config import AugmentConfig
from mien.training.folder import BEST
from mien.training.judge import predict_logits
from mien.training.opinions import Opinions, digests_of
from mien.training.study.machine import device_name

_ROWS = 1024


def ask_runs(
    members: list[tuple[str, Path]], dataset: FaceDataset, *, views: int, device: str = "auto", seed: int = 0
) -> Opinions:
    """The mean of all runs' probabilities over several views of each training picture, calibrated on validation.

    What `mien distill` does with exported models: the first view is the picture, the second its mirror image, all
    others are augmented at random, without erasing.

    Args:
        members: name and folder of each run.
        dataset: with rows of train and validation.
        views: of each picture.
        device: auto, cpu, cuda or mps.
        seed: of the augmentation.

    Raises:
        ConfigError: no run.
        ArtifactError: a run's network is not there.
    """
    if not members:
        raise ConfigError("opinions are those of at least one finished run")
    place = torch.device(device_name(device))
    rows, told = dataset.part("train"), []
    sums: dict[str, torch.Tensor] = {}
    asked: dict[str, int] = {}
    for name, folder in members:
        network, header = load_network(folder / BEST)
        spec = InputSpec(**header["spec"])
        network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        temperatures = _temperatures(network, spec, dataset.part("validation"), place)
        generator = torch.Generator(device=place).manual_seed(seed)
        faces = torch.from_numpy(prepare(rows.images, spec))
        for head, values in _mean(network, faces, temperatures, views, generator).items():
            sums[head] = sums[head] + values if head in sums else values
            asked[head] = asked.get(head, 0) + 1
        digest = hashlib.sha256((folder / BEST).read_bytes()).hexdigest()
        told.append({"name": name, "version": f"epoch {header['training']['epoch'] + 1:.0f}", "sha256": digest})
    digests, order = np.unique(digests_of(rows), return_index=True)
    heads = {head: (values / asked[head]).numpy()[order].astype(np.float32) for head, values in sums.items()}
    said: dict[str, Any] = {
        "teachers": told, "views": views, "seed": seed, "augment": AugmentConfig(erase=0).model_dump(mode="json"),
        "created": date.today().isoformat(), "data": dataset.name, "rows": len(rows),
    }  # fmt: skip
    return Opinions(digests, heads, said)


@torch.no_grad()
def _mean(
    network: Network, faces: torch.Tensor, temperatures: dict[str, float], views: int, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Mean probabilities (N, K) of each head over the views, on the CPU."""
    parts: dict[str, list[torch.Tensor]] = {head: [] for head in temperatures}
    for batch in torch.split(faces, _ROWS):
        total: dict[str, torch.Tensor] = {}
        for view in _views(batch.to(generator.device).float(), views, generator):
            with torch.autocast("cuda", torch.bfloat16, enabled=generator.device.type == "cuda"):
                logits = network(view.contiguous(memory_format=torch.channels_last))
            for head, values in logits.items():
                shares = (values.float() / temperatures[head]).softmax(dim=1) / views
                total[head] = total[head] + shares if head in total else shares
        for head, values in total.items():
            parts[head].append(values.cpu())
    return {head: torch.cat(values) for head, values in parts.items()}


def _views(faces: torch.Tensor, views: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    yield faces
    if views > 1:
        yield faces.flip(3)
    for _ in range(views - 2):
        yield augment(faces, AugmentConfig(erase=0), generator).round()


def _temperatures(network: Network, spec: InputSpec, rows: FaceDataset, place: torch.device) -> dict[str, float]:
    """Of each head, fitted on the validation rows: to the labels, or to the shares of the votes."""
    logits = predict_logits(network, torch.from_numpy(prepare(rows.images, spec)).to(place), batch_size=_ROWS)
    found, targets = {}, cast(Any, None)
    for head, values in logits.items():
        if head == "crowd" and rows.votes is not None:
            targets, known = distribution(rows.votes, minimum_votes=1)
        else:
            targets, known = rows.labels, rows.labels >= 0
        usable = known.any() and (head != "crowd" or rows.votes is not None)
        found[head] = fit_temperature(values.numpy()[known], targets[known]) if usable else 1.0
    return found
