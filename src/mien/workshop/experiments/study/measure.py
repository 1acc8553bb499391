"""Scores a finished run on the evaluation splits, and says what its network costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.artifact.input import InputSpec, prepare
from mien.errors import ArtifactError
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity, SetScores
from mien.workshop.evaluation.sets import CHALLENGE_ROWS
from mien.workshop.evaluation.stored import SCORES, Recorder, load_evaluation, save_evaluation
from mien.workshop.experiments.study.machine import device_name, machine, versions
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.networks.cost import count_macs, measure_ms
from mien.workshop.networks.factory import create_network
from mien.workshop.networks.network import Network, count_parameters
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.fit import BEST
from mien.workshop.training.judge import predict_logits
from mien.workshop.training.loaders import fingerprint


@dataclass(frozen=True)
class Cost:
    """What a network takes for one face: trained values, multiply-accumulates, milliseconds on one CPU thread."""

    parameters: int
    macs: int
    ms: float | None = None


class TorchPredictor:
    """Probabilities of a network as torch computes them in float32, every head from one pass over a batch.

    A study compares trainings, not artifacts: the graph that `mien export` writes gives the same within 1e-4, takes
    longer to build than to score, and its calibration changes no prediction unless it has a scale and bias a class.
    """

    def __init__(self, network: Network, spec: InputSpec, device: str) -> None:
        self.network = network.eval().to(device)
        self.spec = spec
        self.crops: npt.NDArray[np.uint8] | None = None
        self.logits: dict[str, torch.Tensor] = {}

    def __call__(self, crops: npt.NDArray[np.uint8], head: str) -> npt.NDArray[np.float32]:
        """Probabilities float32 (N, K) of crops uint8 (N, H, W) or (N, H, W, 3)."""
        if crops is not self.crops:
            self.logits = predict_logits(self.network, torch.from_numpy(prepare(crops, self.spec)), batch_size=64)
            self.crops = crops
        probabilities: npt.NDArray[np.float32] = self.logits[head].softmax(dim=1).numpy()
        return probabilities


def measure(folder: Path, dataset: FaceDataset, *, device: str = "auto") -> Evaluation:
    """Score the best epoch of a run on every set of `evaluation.sets` and keep scores and probabilities in its folder.

    Raises:
        ArtifactError: there is no checkpoint, or it is damaged.
        DataError: no face to test on.
    """
    checkpoint = folder / BEST
    network, header = load_network(checkpoint)
    digest = _sha256(checkpoint)
    predict = Recorder(TorchPredictor(network, InputSpec(**header["spec"]), device_name(device)))
    evaluation = evaluate(
        predict,
        dataset,
        model=ModelIdentity(header["training"]["config"]["name"], "", digest),
        heads={head: HEADS[head] for head in network.heads},
    )
    facts = {
        "checkpoint": digest,
        "data": fingerprint(dataset),
        "epoch": header["training"]["epoch"],
        "machine": machine(device),
        "versions": versions(),
    }
    save_evaluation(folder, evaluation, predict.answers, facts)
    return evaluation


def main_set(evaluation: Evaluation, head: str = "") -> SetScores:
    """The set by which a study ranks: FER2013's 7,178 rows, else test, else validation.

    It is of `head`; where none is given of fer2013, or of crowd if the network has no other. Both splits together are
    taken only where they are the challenge's own: elsewhere validation, which chose the epoch, may be a part of train.
    """
    head = head or ("fer2013" if "fer2013" in heads_of(evaluation) else "crowd")
    sets = {scores.faces.key: scores for scores in evaluation.sets}
    both = sets.get(f"{head}-both")
    if both is not None and both.rows == 2 * CHALLENGE_ROWS:
        return both
    return next((sets[key] for key in (f"{head}-test", f"{head}-validation") if key in sets), evaluation.sets[0])


def heads_of(evaluation: Evaluation) -> set[str]:
    """The heads that have scores."""
    return {scores.faces.head for scores in evaluation.sets}


def find_measured(folder: Path, dataset: FaceDataset) -> Evaluation | None:
    """The scores in a run's folder, if they are of its checkpoint and of this data."""
    if not (folder / SCORES).is_file():
        return None
    try:
        evaluation, facts = load_evaluation(folder)
    except ArtifactError:
        return None
    return evaluation if is_of(folder, facts) and facts.get("data") == fingerprint(dataset) else None


def is_of(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether scores are of the weights that the folder holds now; without weights they are taken at their word."""
    return not (folder / BEST).is_file() or facts.get("checkpoint") == _sha256(folder / BEST)


def measure_cost(config: TrainingConfig, *, timed: bool = True) -> Cost:
    """Build the network of a training with random weights and count; `timed` measures milliseconds as well.

    Raises:
        ConfigError: it cannot be built.
    """
    model = config.model
    network = create_network(model.arch, spec=model.spec, heads=tuple(config.heads.weights), **model.options)
    parameters, macs = count_parameters(network), count_macs(network, model.spec)
    return Cost(parameters, macs, measure_ms(network, model.spec) if timed else None)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
