from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli.main import main
from mien.artifact import mlflow_store as tracking
from mien.artifact.artifact import load_artifact, write_artifact
from mien.artifact.calibration import Calibration
from mien.artifact.manifest import Head
from mien.artifact.versions import register
from mien.errors import ArtifactError, ConfigError, DataError, TrackingError
from mien.images.pictures import write
from mien.labels import SEVEN
from mien.workshop.experiments.promotions import champion_of, history

pytestmark = pytest.mark.skipif(not tracking.is_installed(), reason='needs pip install "mien[journal]"')


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, arguments)))
    return int(stopped.value.code or 0)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Eight noisy faces a class, all for testing."""
    random = np.random.default_rng(0)
    for name in SEVEN:
        place = tmp_path / "faces" / "test" / name
        place.mkdir(parents=True)
        for number in range(8):
            write(place / f"{number}.png", random.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    return tmp_path / "faces"


def variant(toy: Path, folder: Path, version: str, temperature: float = 1.5) -> Path:
    """The toy with another version and temperature: the same answers, more or less sure."""
    artifact = load_artifact(toy)
    heads = {name: Head(head.labels, Calibration(temperature)) for name, head in artifact.manifest.heads.items()}
    return write_artifact(folder / version, artifact.graph, replace(artifact.manifest, version=version, heads=heads))


@pytest.fixture
def two(own_store: Path, toy_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1 is the champion; version 2, overconfident, the challenger."""
    assert run("model", "register", toy_artifact) == 0
    assert run("model", "promote", "toy", "1") == 0
    assert run("model", "register", variant(toy_artifact, tmp_path, "1.1", temperature=0.05)) == 0


def test_versions_are_listed_as_the_model_option_takes_them(
    two: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mlflow ui --backend-store-uri sqlite:///" in capsys.readouterr().out
    assert run("model", "list") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["models:/toy/1", "1.0", "champion"] in [[row[0], row[1], row[-1]] for row in rows if len(row) > 2]
    assert ["models:/toy/2", "1.1", "challenger"] in [[row[0], row[1], row[-1]] for row in rows if len(row) > 2]
    assert any(row[:2] == ["./1.1", "1.1"] for row in rows)


def test_a_damaged_folder_does_not_spoil_the_list(
    toy_artifact: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(toy_artifact, tmp_path / "broken"))
    (folder / "manifest.json").write_text("{")
    assert run("model", "list") == 0
    out = capsys.readouterr().out
    assert "./broken" in out
    assert "damaged" in out


def test_a_worse_version_needs_force_and_can_be_rolled_back(
    two: None, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("model", "promote", "toy", "challenger") == ConfigError.exit_code
    assert "give DATA" in capsys.readouterr().err
    assert run("model", "promote", "toy", "challenger", faces) == ConfigError.exit_code
    said = capsys.readouterr()
    assert "calibration error, crowd" in said.err
    assert "--force" in said.err
    assert "worse" in said.out
    champion = champion_of("toy")
    assert champion is not None
    assert champion.number == 1
    assert run("model", "promote", "toy", "2", faces, "--force") == 0
    assert "version 2 is the champion, succeeding version 1" in capsys.readouterr().out
    last = history("toy")[-1]
    assert last.forced
    assert any(figures["worse"] for figures in last.gate.values())
    assert run("model", "rollback", "toy") == 0
    assert "version 1 is the champion again, instead of 2" in capsys.readouterr().out
    assert run("model", "rollback", "toy") == ConfigError.exit_code


def test_a_version_that_is_no_worse_is_promoted(
    two: None, toy_artifact: Path, tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same graph at the same speed, which a busy machine may not show.
    monkeypatch.setattr("mien.workshop.evaluation.compare.SLOWER_LIMIT", 100.0)
    register(variant(toy_artifact, tmp_path, "1.2"))
    assert run("model", "promote", "toy", "3", faces) == 0
    assert not history("toy")[-1].forced


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "toy", "1"), "champion already"),
        (("promote", "toy", "9"), "no version or alias '9'"),
        (("promote", "nobody", "1"), "no registered model 'nobody'"),
        (("rollback", "nobody"), "no registered model 'nobody'"),
        (("rollback", "toy"), "nothing to go back to"),
        (("show", "models:/toy@best"), "no version or alias 'best'"),
    ],
)
def test_what_is_not_there_is_told(
    two: None, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("model", *arguments) == ConfigError.exit_code
    assert said in capsys.readouterr().err


def test_data_without_test_faces_opens_no_gate(two: None, faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (faces / "test").rename(faces / "train")
    assert run("model", "promote", "toy", "2", faces) == DataError.exit_code
    assert "test" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert run("model", "rollback", "toy") == TrackingError.exit_code
    assert "does not answer" in capsys.readouterr().err
    assert run("model", "list") == TrackingError.exit_code
    said = capsys.readouterr()
    assert "does not answer" in said.err
    assert "mien-s" in said.out


def test_registered_versions_go_wherever_a_model_is_named(
    two: None, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("model", "show", "models:/toy@champion") == 0
    assert "toy 1.0" in capsys.readouterr().out
    picture = faces / "test" / "sad" / "0.png"
    assert run("analyze", picture, "--model", "models:/toy@challenger", "--detector", "none", "--json") == 0
    assert json.loads(capsys.readouterr().out)["faces"]
    out = tmp_path / "comparison"
    assert run("model", "compare", "models:/toy/1", "models:/toy/2", faces, "--out", out) == 0
    said = capsys.readouterr().out
    assert "toy 1.1 below toy 1.0" in " ".join(said.split())
    assert all(word in said for word in ("alone", "by class", "ms a face", "in batches"))
    assert (out / "comparison.md").is_file()
    assert run("model", "compare", "models:/toy/1", "models:/toy/2", faces, "--out", out) == ConfigError.exit_code


def test_a_damaged_version_is_not_compared(
    own_store: Path, toy_artifact: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version, _ = register(toy_artifact)
    Path(version.source.removeprefix("file://"), "model.onnx").write_bytes(b"other")
    assert run("model", "compare", "mien-s", "models:/toy/1", faces) == ArtifactError.exit_code
    assert "sha256" in capsys.readouterr().err
