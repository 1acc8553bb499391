"""One network from several trainings: the mean of their weights (Wortsman et al., "Model soups", 2022).

It works where the trainings went on from the same weights: then the way from one to the other leads over networks that
are as good, and their mean often beats each of them, as an ensemble would, at the cost of a single one. The mean of
networks without a common start is useless; the validation split shows it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from mien.artifact.input import InputSpec, prepare
from mien.errors import ArtifactError, ConfigError, DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import as_dataset, with_validation
from mien.workshop.networks.checkpoint import load_network, save_network, write_run_file
from mien.workshop.networks.network import Network
from mien.workshop.progress import OnProgress, no_progress
from mien.workshop.training.config import parse_config
from mien.workshop.training.objective import Judge
from mien.workshop.training.run_folder import BEST, HISTORY, LAST, hold, load_result
from mien.workshop.training.state import History

NORM_ROWS = 4096
"""Training rows on which the batch-norm statistics of the mean are recomputed."""
MEMBERS = "members.json"
_BATCH = 256
_SAME = ("arch", "options", "spec", "heads")

Measured = Mapping[str, float]
Norms = Literal["better", "mean", "recomputed"]


@dataclass(frozen=True)
class Soup:
    """The mean of several networks.

    Args:
        network: in evaluation mode.
        header: of the first checkpoint, with what the mean and each of its members measure.
        members: name of each checkpoint, and what it measures on the validation split.
        plain: the same of the mean of everything, batch norms' statistics included.
        recomputed: the same where the statistics were recomputed; None without batch norms.
        measured: the one of the two that was taken.
    """

    network: Network
    header: dict[str, Any]
    members: tuple[tuple[str, Measured], ...]
    plain: Measured
    recomputed: Measured | None
    measured: Measured

    @property
    def is_best(self) -> bool:
        """Whether the mean has a smaller loss than each of its members: accuracy is too coarse for that."""
        return all(self.measured["loss"] < measured["loss"] for _, measured in self.members)

    def save(self, folder: Path) -> None:
        """Write it as a training's best network, which `mien model export` takes, and what its members went through."""
        header = self.header
        save_network(
            folder / BEST, self.network.state_dict(), arch=header["arch"], options=header["options"],
            spec=InputSpec(**header["spec"]), heads=tuple(header["heads"]), training=header["training"],
        )  # fmt: skip
        trained = header["training"]["mean_of"]
        members = [
            {"run": name} | entry | {"history": _history(Path(name).parent)}
            for (name, _), entry in zip(self.members, trained, strict=True)
        ]
        write_run_file(folder / MEMBERS, json.dumps({"mean": self.measured, "members": members}, indent=1).encode())


def mix(
    checkpoints: Sequence[Path], dataset: FaceDataset, *, norms: Norms = "better", on_progress: OnProgress = no_progress
) -> Soup:
    """The mean of the checkpoints' weights.

    Args:
        checkpoints: files such as best.safetensors, of one architecture with the same options, input and heads.
        dataset: rows of train, for the batch norms, and of validation, on which all are measured and none was trained.
        norms: the statistics of the batch norms are the `mean` too, or are `recomputed` on training faces as they
            are, or whichever has the higher score on the validation split.
        on_progress: called as `on_progress(done, total)` whenever a network has been measured, the mean being the last.

    Raises:
        ConfigError: fewer than two checkpoints, one of them twice, or they differ in more than their weights.
        ArtifactError: a checkpoint is damaged.
        DataError: a split is empty.
    """
    if len(checkpoints) < 2:
        raise ConfigError(f"expected two or more trainings to average, got {len(checkpoints)}")
    for split in ("train", "validation"):
        if not len(dataset.part(split)):
            raise DataError(f"{dataset.name}: averaging weights needs rows of {split}, and there are none")
    # By content: a copy of a run under another name would count twice.
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path) for path in checkpoints]
    for number, digest in enumerate(hashes):
        if digest in hashes[:number]:
            raise ConfigError(f"{checkpoints[number]}: the same weights as another checkpoint: give each training once")
    network, header = load_network(checkpoints[0])
    config = parse_config(header["training"]["config"])
    # A second copy: to measure is to load weights into it.
    judge = Judge(load_network(checkpoints[0])[0], dataset, config, Fabric(accelerator="cpu", devices=1))
    sums: dict[str, torch.Tensor] = {}
    members, trained = [], []
    for done, (path, digest) in enumerate(zip(checkpoints, hashes, strict=True), 1):
        member, its_header = load_network(path)
        _require_same(path, its_header, checkpoints[0], header)
        state = member.state_dict()
        for key, value in state.items():
            # Summed in float64 and rounded once, after the division.
            sums[key] = sums[key] + value.double() if key in sums else value.double()
        members.append((str(path), judge.measure(state)))
        trained.append({"sha256": digest, "validation": members[-1][1], "config": its_header["training"]["config"]})
        on_progress(done, len(checkpoints) + 1)
    types = {key: value.dtype for key, value in network.state_dict().items()}
    network.load_state_dict({key: (value / len(checkpoints)).to(types[key]) for key, value in sums.items()})
    plain = measured = judge.measure(network.state_dict())
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    recomputed = None
    if _measure_norms(network, dataset, InputSpec(**header["spec"])):
        recomputed = judge.measure(network.state_dict())
        if norms == "recomputed" or (norms == "better" and recomputed["score"] > plain["score"]):
            measured = recomputed
        else:
            network.load_state_dict(kept)
    on_progress(len(checkpoints) + 1, len(checkpoints) + 1)
    training = {key: value for key, value in header["training"].items() if key != "epoch"}
    training |= {"validation": measured, "mean_of": trained}
    return Soup(network.eval(), header | {"training": training}, tuple(members), plain, recomputed, measured)


def average_runs(
    runs: Sequence[Path | str],
    data: FaceDataset | Path | str,
    out: Path | str,
    *,
    norms: Norms = "better",
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
) -> Soup:
    """Average the weights of trainings that started from the same ones, measure the mean, and write it.

    Args:
        runs: folders of trainings, or their best.safetensors; two or more.
        data: what they were trained on.
        out: folder of the mean's best.safetensors, which `export_model` takes.
        norms, on_progress: see `mix`.
        overwrite: replace the network in `out`.

    Raises:
        ConfigError: `out` holds a training, or a network; the trainings differ in more than their weights, or were
            validated on different rows.
        ArtifactError: a checkpoint is damaged.
        DataError: a split is empty.
    """
    folder = Path(out)
    checkpoints = [path / BEST if path.is_dir() else path for path in map(Path, runs)]
    # A mean beside a training's state would be taken for its best network.
    for name in (LAST, HISTORY):
        if (folder / name).exists():
            raise ConfigError(f"{folder} holds a training ({name}): give another --out")
    if (folder / BEST).exists() and not overwrite:
        raise ConfigError(f"{folder} holds a {BEST}: give another --out, or --overwrite")
    seeds = sorted({load_network(path)[1]["training"]["config"]["fit"]["seed"] for path in checkpoints})
    whole = as_dataset(data)
    dataset = with_validation(whole, seed=seeds[0])
    if dataset is not whole and len(seeds) > 1:
        raise ConfigError(
            f"{whole.name} has no validation split, and trainings with the seeds {', '.join(map(str, seeds))} held out "
            "different rows: each would be measured on rows that another was trained on. "
            "Give the data a validation split, or train with one seed"
        )
    soup = mix(checkpoints, dataset, norms=norms, on_progress=on_progress)
    with hold(folder):
        soup.save(folder)
    return soup


def _history(run: Path) -> History:
    """What a training measured in each epoch; nothing where only its network is left."""
    try:
        return load_result(run).history
    except ArtifactError:
        return []


def _require_same(path: Path, header: dict[str, Any], first: Path, expected: dict[str, Any]) -> None:
    for key in _SAME:
        if header[key] != expected[key]:
            raise ConfigError(
                f"{path} has {key} {header[key]}, and {first} has {expected[key]}: "
                "only trainings of the same network can be averaged"
            )


@torch.no_grad()
def _measure_norms(network: nn.Module, dataset: FaceDataset, spec: InputSpec) -> bool:
    """Recompute the statistics of every batch norm; False if there is none."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return False
    images = dataset.part("train").images
    faces = torch.from_numpy(prepare(images[:: max(1, len(images) // NORM_ROWS)], spec))
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        # Without a momentum the statistics are the mean over all batches.
        norm.momentum = None
        norm.train()
    # Even parts: the last one weighs as much as any other, and a norm has no variance of a single face.
    for batch in torch.tensor_split(faces, int(np.ceil(len(faces) / _BATCH))):
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
    return True
