from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.artifact.artifact import load_artifact
from mien.artifact.runtime import Session, Tensor, choose_providers, choose_threads, list_providers
from mien.errors import ArtifactError, ConfigError

FACES = {"faces": Tensor("uint8", (None, 1, 48, 48))}
HEADS = {"fer2013": Tensor("float", (None, 7)), "crowd": Tensor("float", (None, 8))}


@pytest.fixture(scope="module")
def graph(toy_artifact: Path) -> bytes:
    return load_artifact(toy_artifact).graph


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_named_inputs_give_named_outputs(graph: bytes, rows: int) -> None:
    outputs = Session(graph).run({"faces": np.zeros((rows, 1, 48, 48), np.uint8)})
    assert {name: value.shape for name, value in outputs.items()} == {
        "fer2013": (rows, 7),
        "crowd": (rows, 8),
    }
    assert outputs["crowd"].dtype == np.float32


def test_threads_do_not_change_the_result(graph: bytes) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48), np.uint8)
    one, two = (Session(graph, threads=n).run({"faces": faces})["crowd"] for n in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_graph_by_its_contract_is_accepted(graph: bytes) -> None:
    session = Session(graph)
    session.require(FACES, HEADS)
    assert session.run({"faces": np.zeros((1, 1, 48, 48), np.uint8)}).keys() == HEADS.keys()


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({"x": FACES["faces"]}, HEADS, r"expected input x: uint8 \(N, 1, 48, 48\), it has faces"),
        ({"faces": Tensor("uint8", (None, 3, 48, 48))}, HEADS, "expected input faces"),
        ({"faces": Tensor("float", (None, 1, 48, 48))}, HEADS, "expected input faces: float"),
        (FACES, {"crowd": HEADS["crowd"]}, r"expected output crowd: float \(N, 8\), it has fer2013"),
        (FACES, HEADS | {"crowd": Tensor("float", (None, 7))}, "expected output"),
    ],
)
def test_another_graph_is_refused(
    graph: bytes, inputs: dict[str, Tensor], outputs: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        Session(graph).require(inputs, outputs)


@pytest.mark.parametrize("damage", [b"", b"no graph", None])
def test_bytes_that_are_no_graph(graph: bytes, damage: bytes | None) -> None:
    with pytest.raises(ArtifactError, match="cannot load the graph"):
        Session(graph[:1000] if damage is None else damage)


def test_wrong_arrays_are_told(graph: bytes) -> None:
    with pytest.raises(ArtifactError, match="failed to run"):
        Session(graph).run({"faces": np.zeros((1, 3, 48, 48), np.uint8)})


def test_providers_come_from_argument_environment_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_providers() == ["CPUExecutionProvider"]
    assert choose_providers(["CPUExecutionProvider"]) == choose_providers(["cpu"])
    monkeypatch.setenv("MIEN_PROVIDERS", " CPU ,")
    assert choose_providers() == ["CPUExecutionProvider"]
    assert "cpu" in list_providers()


def test_an_unknown_provider_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_PROVIDERS", "warp")
    with pytest.raises(ConfigError, match=r"'warp': this ONNX Runtime has .*cpu"):
        choose_providers()


def test_threads_come_from_argument_environment_or_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert 1 <= choose_threads() <= 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert choose_threads() == 3
    assert choose_threads(2) == 2


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_threads_that_are_none(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", number)
    with pytest.raises(ConfigError, match="number from 1"):
        choose_threads()
