from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_clips import HAPPY, NEUTRAL, make_clip, make_clips, make_config, quick

from mien.artifact.input import InputSpec
from mien.errors import ConfigError, DataError
from mien.workshop.data.clips import ClipDataset
from mien.workshop.networks.checkpoint import load_tensors
from mien.workshop.temporal.batches import Parts, collate
from mien.workshop.temporal.clip_config import parse_temporal
from mien.workshop.temporal.clip_objective import concordance, total_loss
from mien.workshop.temporal.clip_training import load_temporal_network, train_clips
from mien.workshop.temporal.networks import Inputs, TemporalNetwork
from mien.workshop.temporal.sequences import StepSequence
from mien.workshop.training.train import TrainOptions

KINDS = ("gru", "lstm", "tcn", "r2plus1d")


def make_network(kind: str, *, causal: bool = True) -> TemporalNetwork:
    torch.manual_seed(0)
    config = make_config(Path("toy"), kind, causal=causal).model
    network = TemporalNetwork(config, Inputs(5, InputSpec(16, 16, 1)), classes=7, values=2)
    # Random norms and heads, so that no path is hidden by zeros.
    return network.eval()


def make_steps(kind: str, count: int = 3, steps: int = 9) -> torch.Tensor:
    shape = (1, 16, 16) if kind == "r2plus1d" else (5,)
    return 50 * torch.randn(count, steps, *shape, generator=torch.Generator().manual_seed(1)).abs()


@pytest.mark.parametrize("kind", KINDS)
def test_a_causal_network_gives_step_by_step_what_it_gives_at_once(kind: str) -> None:
    network, steps = make_network(kind), make_steps(kind)
    whole, _ = network(steps, network.start(3))
    state, told = network.start(3), []
    for at in range(steps.shape[1]):
        outputs, state = network(steps[:, at : at + 1], state)
        told.append(outputs["expression"])
    torch.testing.assert_close(torch.cat(told, dim=1), whole["expression"], atol=1e-4, rtol=1e-4)
    assert [tuple(part.shape[1:]) for part in state] == list(network.state_shapes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [True, False])
def test_what_fills_a_batch_up_changes_nothing(kind: str, causal: bool) -> None:
    network, steps = make_network(kind, causal=causal), make_steps(kind)
    alone, _ = network(steps[:1, :5], network.start(1))
    filled, _ = network(steps, network.start(3), torch.tensor([5, 9, 7]))
    torch.testing.assert_close(filled["expression"][:1, :5], alone["expression"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_network_that_is_not_causal_sees_what_comes(kind: str) -> None:
    for causal in (True, False):
        network, steps = make_network(kind, causal=causal), make_steps(kind)
        changed = steps.clone()
        changed[:, 6:] += 100
        before, after = (network(x, network.start(3))[0]["expression"][:, 5] for x in (steps, changed))
        assert torch.equal(before, after) == causal


def make_sequence(length: int, clip: int = 0) -> StepSequence:
    steps = np.tile(np.arange(length, dtype=np.float32)[None, :, None], (1, 1, 2))
    labels = np.arange(length) % 7
    return StepSequence(clip, steps, 2, labels, np.full((length, 2), 0.5, np.float32))


def test_parts_are_cut_filled_up_and_masked() -> None:
    config = make_config(Path("toy"), sequence={"speed": 0.0, "gaps": 0.0, "noise": 0.0}, fit={"batch_size": 3})
    parts = Parts([make_sequence(50), make_sequence(7, 1)], config, np.ones(2, np.float32))
    ((batch, clips),) = parts.epoch(torch.Generator().manual_seed(0))
    assert sorted(clips) == [0, 0, 1]
    assert batch.steps.shape == (3, 20, 2)
    for row, clip in enumerate(clips):
        length = int(batch.lengths[row])
        assert length == (20 if clip == 0 else 7)
        first = int(batch.steps[row, 0, 0])
        assert batch.steps[row, :length, 0].tolist() == list(range(first, first + length))
        assert batch.labels[row, :length].tolist() == [n % 7 for n in range(first, first + length)]
        assert set(batch.labels[row, length:].tolist()) <= {-1}
        assert torch.isnan(batch.values[row, length:]).all()


def test_changes_of_steps_are_the_generators() -> None:
    config = make_config(Path("toy"), sequence={"speed": 0.3, "gaps": 0.2, "noise": 0.5}, fit={"batch_size": 2})
    parts = Parts([make_sequence(50), make_sequence(40, 1)], config, np.ones(2, np.float32))
    drawn = [
        torch.cat([batch.steps.flatten() for batch, _ in parts.epoch(torch.Generator().manual_seed(seed))])
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2][: len(drawn[0])])


def test_the_loss_knows_only_what_is_labelled() -> None:
    batch = collate([make_sequence(4), make_sequence(2, 1)])
    outputs = {"expression": torch.randn(2, 4, 7, requires_grad=True)}
    heads = make_config(Path("toy"), heads={"clip": 0.0}).heads
    total_loss(outputs, batch, heads).backward()
    gradient = outputs["expression"].grad
    assert gradient is not None
    assert not gradient[1, 2:].any()
    assert gradient[1, :2].any()


def test_the_concordance_of_a_shifted_copy() -> None:
    true = torch.linspace(-1, 1, 101, dtype=torch.float64)
    assert float(concordance(true, true)) == pytest.approx(1)
    # Lin 1989: 2 s² / (2 s² + d²), with variance s² and shift d.
    variance = float(true.var(unbiased=False))
    assert float(concordance(true + 0.5, true)) == pytest.approx(2 * variance / (2 * variance + 0.25))


@pytest.mark.parametrize("kind", ["gru", "r2plus1d"])
def test_a_resumed_run_is_bit_for_bit_the_same(toy_artifact: Path, tmp_path: Path, kind: str) -> None:
    config = make_config(toy_artifact, kind, clips={"views": 2}, model={"dropout": 0.3})
    data = make_clips(6, 2, 0)
    train_clips(config, data, tmp_path / "whole")
    stopped = train_clips(config, data, tmp_path / "parts", TrainOptions(stop_after=1))
    assert not stopped.finished
    assert train_clips(config, data, tmp_path / "parts").finished
    weights = [load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "parts")]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    history = [json.loads((tmp_path / name / "history.json").read_text())["history"] for name in ("whole", "parts")]
    assert [row["score"] for row in history[0]] == [row["score"] for row in history[1]]
    network, read, _ = load_temporal_network(tmp_path / "parts" / "best.safetensors")
    assert (read, network.reads_crops) == (config, kind == "r2plus1d")
    with pytest.raises(ConfigError, match=r"another run.*width was 8"):
        train_clips(make_config(toy_artifact, kind, clips={"views": 2}, model={"width": 12}), data, tmp_path / "parts")


def test_it_learns(toy_artifact: Path, tmp_path: Path) -> None:
    config = make_config(toy_artifact, heads={"valence_arousal": 0.5}, **quick())
    trained = train_clips(config, make_clips(), tmp_path / "run")
    best = trained.result.history[trained.result.best_epoch]
    assert best["frame"] > 0.8
    assert best["valence_arousal"] > 0.4
    assert (tmp_path / "run" / "curves.png").is_file()


def test_data_without_answers(toy_artifact: Path, tmp_path: Path) -> None:
    config = make_config(toy_artifact)
    with pytest.raises(DataError, match="needs clips in the split 'validation'"):
        train_clips(config, make_clips(2, 0, 0), tmp_path / "run")
    bare = tuple(make_clip(n, n % 2) for n in range(4))
    bare = tuple(type(clip)(clip.id, clip.split, clip.source) for clip in bare)
    with pytest.raises(DataError, match="no clip of train has what expression could learn"):
        train_clips(config, ClipDataset("bare", bare), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clips": {"rate": 5}}, "unknown key clips.rate"),
        ({"model": {"kind": "tcn", "causal": False, "kernel": 4}}, "needs an odd one"),
        ({"heads": {"frame": 0, "clip": 0}}, "give one a weight"),
        ({"optim": {"name": "svm"}}, "for trainings on faces"),
        ({"augment": {"mixup": 0.2}}, "mixup and cutmix"),
    ],
)
def test_a_wrong_configuration(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_temporal(values)


def test_labels_are_those_of_the_toy() -> None:
    assert set(make_clip(0, 0).labels.tolist()) == {HAPPY, NEUTRAL}
