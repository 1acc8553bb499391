from __future__ import annotations

import copy
import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_clips import RATE_HZ, make_clip, make_clips, make_config, quick

from mien.artifact.artifact import load_artifact
from mien.artifact.calibration import Calibration, softmax
from mien.artifact.input import InputSpec
from mien.artifact.temporal import TEMPORAL_FILE, FrameModel, TemporalArtifact, TemporalManifest, load_temporal
from mien.errors import ArtifactError, ConfigError
from mien.labels import SEVEN
from mien.reading.pipeline import Pipeline
from mien.reading.smoothing import Smoother
from mien.reading.streaming import StreamOptions
from mien.reading.temporal import Ahead, Follower, TemporalModel, load_temporal_model
from mien.sources.stream import StreamInfo
from mien.structures import Frame
from mien.workshop.temporal.clip_training import create_temporal, train_clips
from mien.workshop.temporal.evaluation import evaluate_clips, smooth_grid
from mien.workshop.temporal.export import build_temporal_graph, export_clips, require_streaming
from mien.workshop.temporal.networks import Inputs
from mien.workshop.temporal.sequences import Describer, StepSequence, describe_clips


@pytest.fixture(scope="module")
def exported(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained causal model with its figures."""
    folder = tmp_path_factory.mktemp("clips")
    data = make_clips()
    train_clips(make_config(toy_artifact, **quick()), data, folder / "run")
    export_clips(folder / "run", data, folder / "toy-gru", name="toy-gru", version="1.2")
    return folder / "toy-gru"


@functools.cache
def untrained(kind: str, causal: bool, frames: Path) -> tuple[torch.nn.Module, TemporalModel]:
    torch.manual_seed(0)
    config = make_config(frames, kind, causal=causal)
    crops = kind == "r2plus1d"
    network = create_temporal(config, Inputs(0 if crops else 2304, InputSpec())).eval()
    manifest = TemporalManifest(
        name="toy", version="1", created="2026-01-01", licence="Apache-2.0",
        frames=FrameModel("toy", "1.0", load_artifact(frames).manifest.sha256, "" if crops else "flat"),
        features=0 if crops else 2304, labels=SEVEN, rate_hz=RATE_HZ, states=network.state_shapes,
        lookahead_s=0.0 if causal else 0.5, context_s=0.0 if causal else 30.0, calibration=Calibration(),
    )  # fmt: skip
    return network, TemporalModel(TemporalArtifact(Path("toy"), manifest, build_temporal_graph(network)))


# Each graph takes seconds to make; that of a causal GRU is `exported`.
@pytest.mark.parametrize(("kind", "causal"), [("tcn", True), ("r2plus1d", True), ("lstm", False)])
def test_the_graph_streams_what_torch_reads_at_once(toy_artifact: Path, kind: str, causal: bool) -> None:
    network, model = untrained(kind, causal, toy_artifact)
    faces = make_clip(0, 0).source
    steps = faces[None, :, None] if model.reads_crops else faces.reshape(1, len(faces), -1).astype(np.float32) / 50
    one = StepSequence(0, steps, -1, np.zeros(len(faces), np.int64), np.zeros((len(faces), 2), np.float32))
    assert require_streaming(network, model, [one]) <= 1e-4
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.heads["expression"].weight.mul_(2)
    with pytest.raises(ArtifactError, match="does not compute what torch does"):
        require_streaming(other, model, [one])


class Film:
    """A file, or a live source, whose frames are the faces of a clip, each with black around it."""

    def __init__(self, faces: np.ndarray, *, rate_hz: float = RATE_HZ, live: bool = False) -> None:
        self.faces, self.rate_hz = faces, rate_hz
        self.info = StreamInfo("film", 48, 48, rate_hz=rate_hz, frames=len(faces), live=live)

    def __iter__(self) -> object:
        for number, face in enumerate(self.faces):
            yield Frame(np.repeat(face[:, :, None], 3, axis=2), "film", number, number / self.rate_hz)

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shares(results: list[object]) -> np.ndarray:
    return np.array([list(result.faces[0].probabilities.values()) for result in results])


def test_a_pipeline_reads_a_stream_as_the_whole_clip_was_read(exported: Path, toy_artifact: Path) -> None:
    clip = make_clip(7, 2)
    pipeline = Pipeline(toy_artifact, detector="none", temporal=exported)
    results = list(pipeline.stream(Film(clip.source), StreamOptions(smooth_s=0, hold_s=0)))
    describer = Describer(make_config(toy_artifact))
    (seen,) = describe_clips(replace(make_clips(0, 0, 0), clips=(clip,), sha256=""), describer)
    model = load_temporal_model(exported)
    answers, _ = model.run(seen.vectors[0], model.start())
    whole = model.probabilities(np.stack([answer.logits for answer in answers]))
    np.testing.assert_allclose(shares(results), whole, atol=1e-4)
    face = results[3].faces[0]
    assert face.model == "toy 1.0 +toy-gru 1.2"
    assert face.raw is not None
    assert face.raw != face.probabilities
    # A photo has no time: it is read by the frame model alone.
    assert pipeline.analyze(np.repeat(clip.source[3][:, :, None], 3, axis=2))[0].model == "toy 1.0"


@pytest.mark.parametrize("rate_hz", [2.5, 4.0, 7.0, 12.0, 30.0])
def test_other_frame_rates_get_an_answer_a_frame_near_that_at_the_models_own(exported: Path, rate_hz: float) -> None:
    model = load_temporal_model(exported)
    still = np.full(2304, 0.4, np.float32)
    own, other = Follower(model), Follower(model)
    for number in range(round(3 * RATE_HZ) + 1):
        expected = own.update(1, still, number / RATE_HZ)
    for number in range(round(3 * rate_hz) + 1):
        told = other.update(1, still, number / rate_hz)
    np.testing.assert_allclose(told.logits, expected.logits, atol=0.05 * np.abs(expected.logits).max())


def test_a_gap_begins_afresh_and_tracks_do_not_mix(exported: Path) -> None:
    model = load_temporal_model(exported)
    first, second = (np.random.default_rng(n).normal(0, 1, 2304).astype(np.float32) for n in (1, 2))
    fresh = Follower(model).update(1, second, 0.0).logits
    follower = Follower(model)
    for number in range(5):
        follower.update(1, first, number / RATE_HZ)
    assert not np.allclose(follower.update(1, second, 0.5).logits, fresh, atol=1e-3)
    np.testing.assert_allclose(follower.update(2, second, 0.5).logits, fresh, atol=1e-6)
    np.testing.assert_allclose(follower.update(1, second, 1.6).logits, fresh, atol=1e-6)
    follower.forget([1])
    np.testing.assert_allclose(follower.update(1, second, 1.7).logits, fresh, atol=1e-6)


def test_times_that_tremble_change_nothing(exported: Path) -> None:
    model = load_temporal_model(exported)
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 1, (20, 2304)).astype(np.float32)
    even, uneven = Follower(model), Follower(model)
    for number, x in enumerate(steps):
        jitter = rng.uniform(-0.2, 0.2) / RATE_HZ if number else 0.0
        a, b = even.update(1, x, number / RATE_HZ), uneven.update(1, x, number / RATE_HZ + jitter)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-6)


def test_a_model_that_looks_ahead_answers_late_and_never_live(toy_artifact: Path) -> None:
    network, shared = untrained("lstm", False, toy_artifact)
    model = copy.copy(shared)
    model.manifest = replace(model.manifest, lookahead_s=10.0)
    pipeline = Pipeline(toy_artifact, detector="none", temporal=model)
    faces = make_clip(0, 0).source
    results = list(pipeline.stream(Film(faces)))
    assert [result.frame.index for result in results] == list(range(len(faces)))
    # As far as it looks: all of the clip.
    steps = torch.from_numpy(faces.reshape(1, len(faces), -1).astype(np.float32))
    with torch.no_grad():
        whole = softmax(network(steps, ())[0]["expression"][0].numpy())
    np.testing.assert_allclose(shares(results), whole, atol=1e-4)
    with pytest.raises(ConfigError, match="reads files alone: a camera or stream needs a causal one"):
        list(pipeline.stream(Film(faces, live=True)))


def test_what_it_looks_at_is_bounded(toy_artifact: Path) -> None:
    _, shared = untrained("lstm", False, toy_artifact)
    model = copy.copy(shared)
    model.manifest = replace(model.manifest, context_s=1.0)
    ahead = Ahead(model)
    for number in range(200):
        ahead.add(1, np.zeros(2304, np.float32), number / RATE_HZ)
        ahead.forget_before((number - 5) / RATE_HZ)
    assert sum(len(run.steps) for run in ahead._tracks[1]) < 40


def test_what_does_not_go_together(exported: Path, toy_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reads what toy 1.0 .* sees, not mien-xs"):
        Pipeline("mien-xs", temporal=exported)
    with pytest.raises(ConfigError, match="is a model of single frames"):
        Pipeline(toy_artifact, temporal=toy_artifact)
    with pytest.raises(ConfigError, match="unknown temporal model 'nothing'"):
        Pipeline(toy_artifact, temporal="nothing")
    pipeline = Pipeline(toy_artifact, detector="none", temporal=exported)
    with pytest.raises(ConfigError, match="reads faces that are tracked"):
        list(pipeline.stream(Film(make_clip(0, 0).source), StreamOptions(track=False)))


def test_a_damaged_model_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    graph = (exported / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(graph[:-1] + b"x")
    (folder / TEMPORAL_FILE).write_bytes((exported / TEMPORAL_FILE).read_bytes())
    with pytest.raises(ArtifactError, match=r"its sha256 is not that of temporal\.json"):
        load_temporal(folder)
    (folder / TEMPORAL_FILE).write_text('{"format": 9}')
    with pytest.raises(ArtifactError, match="format 9, this version reads 1"):
        load_temporal(folder)


def test_the_figures_are_those_of_the_model_as_it_streams(exported: Path, toy_artifact: Path) -> None:
    model, data = load_temporal_model(exported), make_clips()
    found = evaluate_clips(model, data, describer=Describer(make_config(toy_artifact)))
    assert found.figures[0].name == "single frames"
    assert found.clips == 4
    best, temporal = found.figures[-2:]
    assert found.gain is not None
    assert found.gain[0] == pytest.approx(temporal.frame[0] - best.frame[0])
    assert temporal.frame[0] > 0.7
    assert temporal.changes_hz < found.figures[0].changes_hz
    (score,) = load_temporal(exported).manifest.scores
    assert score["toy-gru 1.2"]["frame"] == pytest.approx(temporal.frame[0], abs=1e-5)
    report = (exported / "report" / "report.md").read_text()
    assert f"{100 * temporal.frame[0]:.1f}" in report


def test_the_grid_of_smoothings_is_the_smoother() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(4), 60).astype(np.float32)
    times_s = np.cumsum(rng.uniform(0.02, 0.2, 60))
    smooth, hold = (0.0, 0.1, 0.5), (0.0, 0.15, 0.6)
    grid = smooth_grid(probabilities, times_s, smooth, hold)
    for row, smooth_s in enumerate(smooth):
        for column, hold_s in enumerate(hold):
            smoother = Smoother(smooth_s=smooth_s, hold_s=hold_s)
            shown = [
                int(smoother.update(1, p, at).argmax()) for p, at in zip(probabilities, times_s.tolist(), strict=True)
            ]
            assert grid[:, row, column].tolist() == shown
