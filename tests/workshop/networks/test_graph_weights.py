"""An exported model trained further: its weights go back into the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.artifact.artifact import Artifact, load_artifact, write_artifact
from mien.artifact.input import InputSpec
from mien.artifact.manifest import Head, Manifest
from mien.errors import ArtifactError
from mien.labels import HEADS
from mien.workshop.export.graph import build_graph
from mien.workshop.export.quantize import quantize, store_half
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.graph_weights import take_graph
from mien.workshop.networks.network import Network

OPTIONS: dict[str, Any] = {"widths": [8, 16], "depths": [1, 1], "stem_stride": 2}


def make_faces(count: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 48, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def trained() -> Network:
    """A network whose batch norms are not those of a new one."""
    torch.manual_seed(0)
    network = create_network("se_resnet", **OPTIONS)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(6):
        logits = network(torch.from_numpy(make_faces()))
        torch.stack([values.square().mean() for values in logits.values()]).sum().backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def artifact(trained: Network, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    manifest = Manifest(
        name="small", version="1.0", created="2026-01-01", licence="Apache-2.0", input=InputSpec(),
        heads={name: Head(labels) for name, labels in HEADS.items()}, default_head="crowd",
    )  # fmt: skip
    folder = write_artifact(tmp_path_factory.mktemp("exported") / "small", build_graph(trained, InputSpec()), manifest)
    return load_artifact(folder)


def test_the_network_computes_what_the_graph_does(trained: Network, artifact: Artifact) -> None:
    network = create_network("se_resnet", **OPTIONS)
    take_graph(network, artifact, make_faces())
    fresh = torch.from_numpy(make_faces(9))
    with torch.no_grad():
        wanted, found = trained(fresh), network.eval()(fresh)
    assert all(torch.allclose(found[head], wanted[head], atol=1e-3) for head in HEADS)


def test_batch_norms_have_the_statistics_of_the_faces(artifact: Artifact) -> None:
    network = create_network("se_resnet", **OPTIONS)
    faces = torch.from_numpy(make_faces())
    take_graph(network, artifact, faces.numpy())
    with torch.no_grad():
        by_statistics = network.eval()(faces)
        by_batch = network.train()(faces)
    assert network.training
    assert all(torch.allclose(by_batch[head], by_statistics[head], atol=0.5) for head in HEADS)


def test_a_head_alone_can_be_taken(artifact: Artifact) -> None:
    network = create_network("se_resnet", heads=("crowd",), **OPTIONS)
    take_graph(network, artifact, make_faces())
    assert set(network.heads) == {"crowd"}


@pytest.mark.parametrize(
    "options",
    [{"widths": [8, 24]}, {"depths": [2, 1]}, {"stem_stride": 1}],
    ids=["wider", "deeper", "another stride"],
)
def test_another_network_is_refused(artifact: Artifact, options: dict[str, Any]) -> None:
    network = create_network("se_resnet", **(OPTIONS | options))
    with pytest.raises(ArtifactError, match=r"give the \[model\] section that it was trained with"):
        take_graph(network, artifact, make_faces())


@pytest.mark.parametrize("form", ["half", "int8"])
def test_smaller_forms_come_back_nearly_as_they_were(trained: Network, artifact: Artifact, form: str) -> None:
    graph = store_half(artifact.graph) if form == "half" else quantize(artifact.graph, make_faces(), method="minmax")
    network = create_network("se_resnet", **OPTIONS)
    take_graph(network, replace(artifact, graph=graph), make_faces())
    fresh = torch.from_numpy(make_faces(32))
    with torch.no_grad():
        wanted, found = trained(fresh), network.eval()(fresh)
    for head in HEADS:
        assert torch.corrcoef(torch.stack([wanted[head].flatten(), found[head].flatten()]))[0, 1] > 0.98


@pytest.mark.parametrize("size", [48, 64])
def test_a_run_starts_from_an_artifacts_folder_also_at_another_size(artifact: Artifact, size: int) -> None:
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.training.config import parse_config
    from mien.workshop.training.state import start_network, start_run

    faces = make_faces(80)[:, 0]
    count = len(faces)
    dataset = FaceDataset(
        "noise", faces, np.arange(count) % 7, np.zeros(count, np.int8), np.arange(count).astype(str),
        np.ones((count, 10), np.uint8),
    )  # fmt: skip
    model = {"arch": "se_resnet", "options": OPTIONS, "weights": str(artifact.folder), "size": size}
    config = parse_config({"model": model})
    assert start_run(config, dataset).identity["weights"] == artifact.manifest.sha256
    network = start_network(config, dataset, fresh=True).eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(faces[:4, None]))
    again = create_network("se_resnet", **OPTIONS)
    take_graph(again, artifact, faces[:, None])
    with torch.no_grad():
        assert torch.allclose(logits["crowd"], again.eval()(torch.from_numpy(faces[:4, None]))["crowd"], atol=1e-3)
