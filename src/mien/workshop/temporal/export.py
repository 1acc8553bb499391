"""A run's checkpoint to a temporal model: one graph for whole clips and for streams, with its state in and out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.arrays import Float32
from mien.artifact.artifact import require_free
from mien.artifact.calibration import Calibration, softmax
from mien.artifact.temporal import (
    LOGITS,
    NEXT,
    STATE,
    STEPS,
    TEMPORAL_FILE,
    VALUES,
    FrameModel,
    TemporalArtifact,
    TemporalManifest,
    write_temporal,
)
from mien.errors import ArtifactError
from mien.reading.temporal import TemporalModel
from mien.workshop.data.clips import ClipDataset
from mien.workshop.data.factory import load_clips
from mien.workshop.export.graph import export_inputs
from mien.workshop.networks.checkpoint import load_header
from mien.workshop.networks.network import count_parameters
from mien.workshop.progress import OnProgress, no_progress
from mien.workshop.temporal.clip_config import TemporalConfig
from mien.workshop.temporal.clip_report import write_clip_report
from mien.workshop.temporal.clip_training import load_temporal_network
from mien.workshop.temporal.evaluation import ClipEvaluation, evaluate_clips, measure_smoothing
from mien.workshop.temporal.networks import TemporalNetwork
from mien.workshop.temporal.sequences import Describer, StepSequence, describe_clips, to_sequences
from mien.workshop.training.run_folder import BEST

PARITY = 1e-4
CONTEXT_S = 3.0
"""How far back a model without a state is shown: beyond it a recurrent one remembers nothing that counts."""


@dataclass(frozen=True)
class ClipExport:
    """A written temporal model, and its figures."""

    artifact: TemporalArtifact
    evaluation: ClipEvaluation


class _Outputs(nn.Module):
    """Steps and the parts of the state in, by position; outputs and the parts of the state after out."""

    def __init__(self, network: TemporalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, steps: torch.Tensor, *state: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, after = self.network(steps, state)
        return (*outputs.values(), *after)


def export_clips(
    run: Path | str,
    data: ClipDataset | Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    version: str = "0.1.0",
    licence: str = "Apache-2.0",
    notes: str = "",
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
) -> ClipExport:
    """Export a training on clips, check that it streams as torch reads whole clips, calibrate, score and write it.

    Args:
        run: folder of the training, or its best.safetensors.
        data: what it was trained on: its validation split calibrates, its test split scores.
        out: the new folder, with the report in `report`.
        name, version, licence, notes: how it is called.
        overwrite: replace a temporal model that is there.
        on_progress: hears how many clips were described.

    Raises:
        ArtifactError: the checkpoint is damaged, the graph differs from torch, or `out` is not free.
        DataError: a split is empty, or a clip cannot be read.
    """
    run, out = Path(run), Path(out)
    require_free(out, overwrite=overwrite, marker=TEMPORAL_FILE)
    network, config, header = load_temporal_network(run / BEST if run.is_dir() else run)
    dataset = data if isinstance(data, ClipDataset) else load_clips(Path(data))
    describer = Describer(config)
    frames = FrameModel(**header["training"]["data"]["frames"])
    if describer.manifest.sha256 != frames.sha256:
        raise ArtifactError(
            f"{run} was trained on {frames.name} {frames.version}, and {config.clips.frames} is another"
        )
    graph = build_temporal_graph(network)
    manifest = _manifest(network, config, header, frames)
    manifest = replace(manifest, name=name or config.name, version=version, licence=licence, notes=notes)
    sequences = _sequences(dataset, "validation", describer, config, on_progress)
    require_streaming(network, TemporalModel(TemporalArtifact(out, manifest, graph)), sequences[:8])
    manifest = replace(manifest, calibration=fit_temperature(network, sequences))
    model = TemporalModel(TemporalArtifact(out, manifest, graph))
    if manifest.labels:
        tried = measure_smoothing(dataset, describer, manifest.labels, splits=("validation",), model=model)
        smooth_s, hold_s = tried.steadiest if tried.known.any() else (0.0, 0.0)
        manifest = model.manifest = replace(manifest, smooth_s=smooth_s, hold_s=hold_s)
    evaluation = evaluate_clips(model, dataset, describer=describer, on_progress=on_progress)
    manifest = replace(manifest, scores=[evaluation.to_dict()])
    write_temporal(out, graph, manifest, overwrite=overwrite)
    write_clip_report(evaluation, out / "report")
    return ClipExport(TemporalArtifact(out, manifest, graph), evaluation)


def is_clip_run(run: Path) -> bool:
    """Whether a run's folder, or checkpoint, is of a training on clips.

    Raises:
        ArtifactError: its checkpoint is damaged.
    """
    checkpoint = run / BEST if run.is_dir() else run
    # What is missing is for the export to say, which first looks whether it may write.
    return checkpoint.is_file() and load_header(checkpoint).get("kind") == TemporalConfig.KIND


def _sequences(
    dataset: ClipDataset, split: str, describer: Describer, config: TemporalConfig, on_progress: OnProgress
) -> list[StepSequence]:
    clips = dataset.part(split)
    seen = describe_clips(clips, describer, on_progress=on_progress)
    return to_sequences(clips.clips, seen, config.clips, crops=describer.keeps_crops)


def _manifest(
    network: TemporalNetwork, config: TemporalConfig, header: dict[str, Any], frames: FrameModel
) -> TemporalManifest:
    data = header["training"]["data"]
    return TemporalManifest(
        name=config.name,
        version="0.1.0",
        created=date.today().isoformat(),
        licence="Apache-2.0",
        frames=frames,
        features=data["features"],
        labels=config.words if "expression" in network.heads else (),
        values="valence_arousal" in network.heads,
        rate_hz=config.clips.rate_hz,
        states=network.state_shapes,
        lookahead_s=0.0 if config.model.causal else config.model.lookahead_s,
        context_s=0.0 if config.model.causal else CONTEXT_S,
        parameters=count_parameters(network),
        training=header["training"]["config"],
        data={"train": {key: data[key] for key in ("name", "sha256", "rows")}},
    )


def build_temporal_graph(network: TemporalNetwork) -> bytes:
    """The network as the bytes of an ONNX file; the numbers of faces and of steps are free."""
    count, steps = 2, 3
    spec_or_features = network.example_shape
    kind = torch.uint8 if network.reads_crops else torch.float32
    examples = {STEPS: torch.zeros(count, steps, *spec_or_features, dtype=kind)}
    examples |= {f"{STATE}{number}": part for number, part in enumerate(network.start(count))}
    names = {"expression": LOGITS, "valence_arousal": VALUES}
    outputs = [names[head] for head in network.heads]
    outputs += [f"{NEXT}{number}" for number in range(len(network.state_shapes))]
    free = {key: ("N", "T") if key == STEPS else ("N",) for key in examples}
    return export_inputs(_Outputs(network), examples, tuple(outputs), free)


def require_streaming(network: TemporalNetwork, model: TemporalModel, sequences: list[StepSequence]) -> float:
    """The largest difference between torch on whole sequences and the graph, step by step if it is causal.

    Raises:
        ArtifactError: when it is above 1e-4.
    """
    largest = 0.0
    for one in sequences:
        steps, state = one.steps[0], model.start()
        answers = []
        size = 1 if model.manifest.causal else len(steps)
        for at in range(0, len(steps), size):
            found, state = model.run(steps[at : at + size], state)
            answers += found
        with torch.no_grad():
            outputs, _ = network(torch.from_numpy(steps[None]), network.start(1))
        if "expression" in outputs:
            told = softmax(np.stack([answer.logits for answer in answers]))
            largest = max(largest, float(np.abs(told - softmax(outputs["expression"][0].numpy())).max()))
        if "valence_arousal" in outputs:
            felt = np.array([answer.values for answer in answers])
            largest = max(largest, float(np.abs(felt - outputs["valence_arousal"][0].numpy()).max()))
    # Negated, so that NaN fails.
    if not largest <= PARITY:
        raise ArtifactError(
            f"the exported graph does not compute what torch does: they differ by {largest:.2g}, at most {PARITY:.0e} "
            "is allowed"
        )
    return largest


@torch.no_grad()
def fit_temperature(network: TemporalNetwork, sequences: list[StepSequence]) -> Calibration:
    """The temperature with the least loss on the labelled frames, or clips, of these sequences; 1 without labels."""
    if "expression" not in network.heads:
        return Calibration()
    logits: list[Float32] = []
    labels: list[int] = []
    for one in sequences:
        told = network(torch.from_numpy(one.steps[:1]), network.start(1))[0]["expression"][0]
        rows = np.flatnonzero(one.labels >= 0)
        logits += list(told.numpy()[rows])
        labels += one.labels[rows].tolist()
        if not len(rows) and one.label >= 0:
            logits.append(told.mean(0).numpy())
            labels.append(one.label)
    if not labels:
        return Calibration()
    given, truth = np.stack(logits), np.array(labels)
    temperatures = np.geomspace(0.25, 4, 81)
    losses = [
        -np.log(np.maximum(softmax(given / np.float32(t))[np.arange(len(truth)), truth], 1e-7)).mean()
        for t in temperatures
    ]
    return Calibration(round(float(temperatures[int(np.argmin(losses))]), 4))
