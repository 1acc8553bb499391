from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.artifact import mlflow_store as tracking
from mien.artifact import versions
from mien.artifact.artifact import load_artifact, write_artifact
from mien.artifact.catalog import resolve
from mien.artifact.versions import find_version, list_versions, parse_reference, register
from mien.errors import ArtifactError, ConfigError, MissingExtraError, TrackingError
from mien.reading.classifier import load_model
from mien.workshop.experiments.promotions import Change, champion_of, champions, history, make_champion, roll_back

pytestmark = pytest.mark.skipif(not tracking.is_installed(), reason='needs pip install "mien[journal]"')


def another(toy: Path, folder: Path, version: str) -> Path:
    """The same graph under another version."""
    artifact = load_artifact(toy)
    return write_artifact(folder / version, artifact.graph, replace(artifact.manifest, version=version))


def kept_in(reference: str) -> Path:
    return resolve(reference)


def test_a_registered_version_is_the_challenger_and_answers_as_its_folder(own_store: Path, toy_artifact: Path) -> None:
    version, new = register(toy_artifact)
    assert new
    assert (version.name, version.number, version.aliases) == ("toy", 1, ("challenger",))
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    for reference in ("models:/toy@challenger", "models:/toy/1", Path("models:/toy/1")):
        assert np.array_equal(load_model(reference).predict(faces), load_model(toy_artifact).predict(faces))
    again, new = register(toy_artifact)
    assert not new
    assert again.number == 1


@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_loads_a_registered_version(
    own_store: Path, toy_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas", reason="mlflow.pyfunc needs it")
    register(toy_artifact)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    from mlflow import pyfunc

    model = pyfunc.load_model("models:/toy@challenger")
    own = load_model(toy_artifact)
    crops = np.random.default_rng(0).integers(0, 256, (3, 60, 52), dtype=np.uint8)
    assert np.array_equal(model.predict(crops), own.predict(crops))
    assert np.array_equal(model.predict(crops, params={"head": "fer2013"}), own.predict(crops, "fer2013"))
    assert model.metadata.metadata["labels"] == list(own.heads["crowd"])
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 8)


@pytest.mark.filterwarnings("ignore")
def test_mlflows_onnx_flavour_is_the_graph_itself(own_store: Path, toy_artifact: Path) -> None:
    pytest.importorskip("pandas")
    onnx = pytest.importorskip("onnx")
    version, _ = register(toy_artifact)
    from mlflow.onnx import load_model as load_graph

    graph = load_graph(version.source)
    assert graph == onnx.load(toy_artifact / "model.onnx")


def test_the_newest_is_the_challenger_and_names_are_free(own_store: Path, toy_artifact: Path, tmp_path: Path) -> None:
    register(toy_artifact)
    register(another(toy_artifact, tmp_path, "1.1"))
    register(toy_artifact, "other")
    listed = list_versions()
    assert [(v.number, v.aliases) for v in listed["toy"]] == [(2, ("challenger",)), (1, ())]
    assert listed["toy"][0].summary["version"] == "1.1"
    assert [v.reference for v in listed["other"]] == ["models:/other/1"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("models:/toy@champion", r"no version or alias 'champion': there is 1 \(challenger\)"),
        ("models:/toy/7", "no version or alias '7'"),
        ("models:/nobody/1", "no registered model 'nobody': there is toy"),
        ("models:/toy", "expected models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:toy@champion", "expected models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/../toy/1", "expected models:/NAME@ALIAS or models:/NAME/VERSION"),
    ],
)
def test_an_unknown_version_lists_what_there_is(own_store: Path, toy_artifact: Path, reference: str, said: str) -> None:
    register(toy_artifact)
    with pytest.raises(ConfigError, match=said):
        resolve(reference)


def test_looking_something_up_makes_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))
    assert list_versions() == {}
    with pytest.raises(ConfigError, match="mien model register FOLDER"):
        resolve("models:/toy@champion")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_a_version_that_was_changed_is_refused(own_store: Path, toy_artifact: Path, file: str) -> None:
    register(toy_artifact)
    place = kept_in("models:/toy/1") / file
    place.write_bytes(place.read_bytes().replace(b"Apache-2.0", b"MIT-ish000") if file == "manifest.json" else b"other")
    with pytest.raises(ArtifactError, match="sha256"):
        load_model("models:/toy/1")


def test_a_version_whose_files_are_gone_is_refused(own_store: Path, toy_artifact: Path) -> None:
    register(toy_artifact)
    shutil.rmtree(kept_in("models:/toy/1"))
    with pytest.raises(ArtifactError, match="register the artifact again"):
        load_model("models:/toy/1")


def test_a_foreign_version_is_not_loaded(own_store: Path, tmp_path: Path) -> None:
    client = tracking.connect()
    client.create_registered_model("foreign")
    client.create_model_version("foreign", source=tmp_path.as_uri())
    with pytest.raises(ArtifactError, match="is no artifact of Mien"):
        load_model("models:/foreign/1")


def test_files_that_are_elsewhere_are_fetched_once_and_verified(
    own_store: Path, toy_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(toy_artifact)
    there = kept_in("models:/toy/1")
    monkeypatch.setattr(versions, "_local", lambda _: None)
    fetched = resolve("models:/toy/1")
    assert fetched != there
    assert load_artifact(fetched).graph == load_artifact(toy_artifact).graph
    shutil.rmtree(there)
    assert resolve("models:/toy/1") == fetched
    (fetched / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="changed or damaged"):
        resolve("models:/toy/1")


def test_a_damaged_artifact_is_not_registered(own_store: Path, toy_artifact: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_artifact, tmp_path / "toy"))
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="sha256"):
        register(folder)
    assert list_versions() == {}


def test_champions_come_and_go(own_store: Path, toy_artifact: Path, tmp_path: Path) -> None:
    register(toy_artifact)
    with pytest.raises(ConfigError, match="nothing to go back to: there is no champion"):
        roll_back("toy")
    make_champion(find_version("toy", "challenger"))
    with pytest.raises(ConfigError, match="champion already"):
        make_champion(find_version("toy", "1"))
    with pytest.raises(ConfigError, match="version 1 is the first champion"):
        roll_back("toy")
    register(another(toy_artifact, tmp_path, "1.1"))
    change = make_champion(find_version("toy", "2"), gate={"accuracy": {"worse": True}}, forced=True)
    assert (change.version, change.before) == (2, 1)
    assert find_version("toy", "champion").aliases == ("champion",)
    assert load_model("models:/toy@champion").version == "1.1"
    assert (roll_back("toy").version, load_model("models:/toy@champion").version) == (1, "1.0")
    assert [(c.kind, c.version, c.forced) for c in history("toy")] == [
        ("promote", 1, False), ("promote", 2, True), ("rollback", 1, False),
    ]  # fmt: skip


def test_an_alias_that_others_moved_can_be_gone_back_to(own_store: Path, toy_artifact: Path, tmp_path: Path) -> None:
    register(toy_artifact)
    register(another(toy_artifact, tmp_path, "1.1"))
    tracking.connect().set_registered_model_alias("toy", "champion", "1")
    make_champion(find_version("toy", "2"))
    roll_back("toy")
    champion = champion_of("toy")
    assert champion is not None
    assert champion.number == 1


@pytest.mark.parametrize(
    ("moves", "left"),
    [
        ([], []),
        ([Change("promote", 1), Change("promote", 2, 1), Change("promote", 1, 2)], [1, 2, 1]),
        ([Change("promote", 1), Change("promote", 2, 1), Change("rollback", 1, 2)], [1]),
        ([Change("promote", 3, 2)], [2, 3]),
    ],
)
def test_which_champions_can_be_gone_back_to(moves: list[Change], left: list[int]) -> None:
    assert champions(moves) == left


def test_without_mlflow_a_sentence_with_the_pip_line(monkeypatch: pytest.MonkeyPatch, own_store: Path) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[journal\]"'):
        load_model("models:/toy@champion")


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"does not answer .*correct MLFLOW_TRACKING_URI") as caught:
        load_model("models:/toy@champion")
    assert "secret" not in str(caught.value)


def test_a_reference_is_read() -> None:
    assert parse_reference("models:/mien-s/12") == ("mien-s", "12")
    assert parse_reference("models:/mien-s@champion") == ("mien-s", "champion")


LOADED = """
import json, sys
from mien.artifact import mlflow_store as tracking
tracking.connect()
from mlflow.telemetry.client import get_telemetry_client
print(json.dumps([get_telemetry_client() is None, "torch" in sys.modules]))
"""


def test_mlflow_reports_nothing_and_brings_no_torch(own_store: Path) -> None:
    hidden = ("PYTEST", "CI", "GITHUB", "MLFLOW", "DO_NOT_TRACK")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == [True, False]


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_a_variable_that_holds_no_address_is_told_without_its_password(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    monkeypatch.setenv(variable, "http://me:secret@[half")
    with pytest.raises(TrackingError, match=f"{variable}: expected an address") as caught:
        tracking.connect()
    assert "secret" not in str(caught.value)
