"""What the folder of a run holds beside its weights: scores, cost, where it was trained, why it failed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mien.arrays import Float32, UInt8
from mien.artifact.input import InputSpec, prepare
from mien.errors import ArtifactError
from mien.files import write_whole
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity, SetScores
from mien.workshop.evaluation.sets import CHALLENGE_ROWS
from mien.workshop.evaluation.stored import SCORES, Recorder, load_evaluation, save_evaluation
from mien.workshop.experiments.journal import installed
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.networks.network import Network, count_macs, count_parameters, measure_ms
from mien.workshop.training.config import TrainingConfig, parse_config
from mien.workshop.training.fit import BEST
from mien.workshop.training.objective import fingerprint, predict_logits
from mien.workshop.training.run_folder import HISTORY
from mien.workshop.training.state import History, best_epoch

RECORD, FAILURE = "training.json", "failure.json"

PACKAGES = ("mien", "torch", "timm", "scikit-learn", "numpy")


def saved_config(folder: Path, identity: dict[str, Any]) -> TrainingConfig:
    """What a saved run was trained with; keys that are new since then have their defaults."""
    return parse_config(identity.get("config", {}), name=str(folder / HISTORY))


def is_finished(history: History, config: TrainingConfig) -> bool:
    """All epochs are there (of a support vector machine the only one), or the patience is over."""
    epochs = 1 if config.optim.name == "svm" else config.fit.epochs
    return len(history) >= epochs or stopped_early(history, config)


def stopped_early(history: History, config: TrainingConfig) -> bool:
    """The patience is over before the last epoch."""
    waited = len(history) - 1 - best_epoch(history)
    return 0 < config.fit.patience <= waited and len(history) < config.fit.epochs


def load_json(path: Path) -> dict[str, Any]:
    """A small record of a run, empty where there is none or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def keep_record(folder: Path, device: str, dataset: FaceDataset, scratch: str) -> None:
    """Note on which machine a session of a run trains on which data; `scratch` is the reason for random weights."""
    before = load_json(folder / RECORD)
    session = {"started": _now(), "machine": machine(device), "versions": versions()}
    values = {
        # A resumed session is not asked again: the first one's reason holds.
        "from_scratch": before.get("from_scratch") or scratch,
        "data": {"name": dataset.name, "sha256": dataset.sha256, "rows": len(dataset)}
        | ({"lists": lists} if (lists := load_json(folder / HISTORY).get("lists")) else {}),
        "sessions": [*before.get("sessions", []), session],
    }
    _write_json(folder / RECORD, values)


def keep_reason(folder: Path, error: BaseException) -> str:
    """Write why a run failed into its folder, and return it as one line."""
    reason = " ".join(str(error).split()) or type(error).__name__
    # Reports are passed on: they should not name this machine's folders.
    reason = reason.replace(str(folder), f"{folder.parent.name}/{folder.name}")
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / FAILURE, {"reason": reason, "kind": type(error).__name__, "date": _now()})
    return reason


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def _now() -> str:
    """The time in UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def device_name(device: str) -> str:
    """The device that `auto` means here, by torch's name."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def machine(device: str) -> str:
    """Processor, its cores and threads in use, and the accelerator, for people."""
    threads = torch.get_num_threads()
    processor = f"{_processor()}, {os.cpu_count()} cores, {threads} {'thread' if threads == 1 else 'threads'}"
    name = device_name(device)
    if name == "cuda":
        return f"{torch.cuda.get_device_name()}; {processor}"
    return processor if name == "cpu" else f"{name}; {processor}"


def versions() -> dict[str, Any]:
    """Python and the packages that decide a training."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def _processor() -> str:
    try:
        # platform.processor() is empty or the architecture alone on most Linux systems.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


@dataclass(frozen=True)
class Cost:
    """What a network takes for one face: trained values, multiply-accumulates, milliseconds on one CPU thread."""

    parameters: int
    macs: int
    ms: float | None = None


class TorchPredictor:
    """Probabilities of a network as torch computes them in float32, every head from one pass over a batch.

    A study compares trainings, not artifacts: the graph of `mien model export` gives the same within 1e-4, takes
    longer to build than to score, and its calibration changes no prediction unless it has a scale and bias a class.
    """

    def __init__(self, network: Network, spec: InputSpec, device: str) -> None:
        self.network = network.eval().to(device)
        self.spec = spec
        self.crops: UInt8 | None = None
        self.logits: dict[str, torch.Tensor] = {}

    def __call__(self, crops: UInt8, head: str) -> Float32:
        """Probabilities float32 (N, K) of crops uint8 (N, H, W) or (N, H, W, 3)."""
        if crops is not self.crops:
            self.logits = predict_logits(self.network, torch.from_numpy(prepare(crops, self.spec)), batch_size=64)
            self.crops = crops
        probabilities: Float32 = self.logits[head].softmax(dim=1).numpy()
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
    # Recorded, so that a later version can score the run again without data or weights.
    predict = Recorder(TorchPredictor(network, InputSpec(**header["spec"]), device_name(device)))
    evaluation = evaluate(
        predict,
        dataset,
        model=ModelIdentity(header["training"]["config"]["name"], "", digest, dataset.name),
        heads={head: HEADS[head] for head in network.heads if head in HEADS},
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
    network = create_network(model.arch, spec=model.spec, heads=tuple(config.heads.weights), **model.built_with)
    parameters, macs = count_parameters(network), count_macs(network, model.spec)
    return Cost(parameters, macs, measure_ms(network, model.spec) if timed else None)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
