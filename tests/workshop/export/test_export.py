from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.artifact.artifact import write_artifact
from mien.artifact.input import InputSpec, prepare
from mien.errors import ArtifactError, DataError
from mien.labels import CROWD, HEADS, SEVEN
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.export.artifact import Naming, build_artifact, require_parity, with_scores
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_network, save_network

OPTIONS = {"widths": [8, 16], "depths": [1, 1], "stem_stride": 2}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "best.safetensors"
    network = create_network("se_resnet", **OPTIONS)
    with torch.no_grad():
        for head in network.heads.values():
            head.weight.mul_(20)
    training = {"config": {"name": "tiny"}, "data": {"name": "noise", "rows": 0}, "validation": {"score": 0.1}}
    save_network(
        path,
        network.state_dict(),
        arch="se_resnet",
        options=OPTIONS,
        spec=InputSpec(),
        heads=tuple(HEADS),
        training=training,
    )
    return path


@pytest.fixture
def noise() -> FaceDataset:
    random = np.random.default_rng(0)
    rows = 300
    return FaceDataset(
        "noise",
        random.integers(0, 256, (rows, 48, 48), dtype=np.uint8),
        random.integers(0, 7, rows),
        np.ones(rows, np.int8),
        np.arange(rows).astype(str),
        random.multinomial(10, [0.1] * 10, rows).astype(np.uint8),
    )


def test_artifact_answers_as_torch_does_through_the_product(
    checkpoint: Path, noise: FaceDataset, tmp_path: Path
) -> None:
    built = build_artifact(checkpoint, noise, Naming("tiny", crop_scale=1.05, notes="a test"))
    folder = write_artifact(tmp_path / "artifact", built.graph, built.manifest)
    model = load_model(str(folder))
    network, _ = load_network(checkpoint)
    crops = noise.images[:256]
    with torch.no_grad():
        logits = network(torch.from_numpy(prepare(crops, model.spec)))
    for head in ("fer2013", "crowd"):
        wanted = built.manifest.heads[head].calibration.probabilities(logits[head].numpy())
        assert np.abs(model.predict(crops, head) - wanted).max() < 1e-4
    assert model.heads == {"fer2013": SEVEN, "crowd": CROWD}
    assert model.manifest.default_head == "crowd"
    assert model.spec == InputSpec(crop_scale=1.05)
    assert model.manifest.parameters == sum(p.numel() for p in network.parameters())


def test_calibration_softens_a_network_that_only_guesses(checkpoint: Path, noise: FaceDataset) -> None:
    built = build_artifact(checkpoint, noise, Naming("tiny"))
    assert all(head.calibration.temperature > 2 for head in built.manifest.heads.values())
    told = built.manifest.data["calibrated"]
    assert {name: found["rows"] for name, found in told["heads"].items()} == {"fer2013": 300, "crowd": 299}
    assert told["heads"]["crowd"]["against"] == "FER+ votes"


def test_without_votes_the_crowd_head_is_calibrated_against_the_labels(checkpoint: Path, noise: FaceDataset) -> None:
    bare = FaceDataset(noise.name, noise.images, noise.labels, noise.split, noise.ids)
    built = build_artifact(checkpoint, bare, Naming("tiny"))
    assert built.manifest.data["calibrated"]["heads"]["crowd"]["against"] == "noise labels"
    assert built.manifest.heads["crowd"].calibration.temperature > 2


def test_another_network_is_found_out(checkpoint: Path, noise: FaceDataset) -> None:
    model = Model(build_artifact(checkpoint, noise, Naming("tiny")))
    network, _ = load_network(checkpoint)
    faces = prepare(noise.images[:8], model.spec)
    assert require_parity(network, model, faces) < 1e-4
    with torch.no_grad():
        network.heads["crowd"].bias.add_(torch.arange(8) / 10)
    with pytest.raises(ArtifactError, match="does not compute what torch does"):
        require_parity(network, model, faces)


def test_calibration_needs_validation_rows(checkpoint: Path, noise: FaceDataset) -> None:
    with pytest.raises(DataError, match="validation split"):
        build_artifact(checkpoint, noise.part("train"), Naming("tiny"))


def test_scores_go_into_the_manifest(checkpoint: Path, noise: FaceDataset) -> None:
    built = build_artifact(checkpoint, noise, Naming("tiny"))
    assert with_scores(built, [{"set": "PublicTest", "accuracy": 0.5}]).manifest.scores[0]["accuracy"] == 0.5
    assert built.manifest.scores == ()
