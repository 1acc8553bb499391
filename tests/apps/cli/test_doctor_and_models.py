from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli.main import main
from mien.artifact.catalog import list_bundled
from mien.errors import ArtifactError, ConfigError, MissingExtraError
from mien.images.pictures import write
from mien.labels import SEVEN


def run(*arguments: object) -> int:
    try:
        main(list(map(str, arguments)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_doctor_tells_versions_places_and_extras(capsys: pytest.CaptureFixture[str]) -> None:
    code = run("doctor")
    out = capsys.readouterr().out
    for word in (
        "mien",
        "python",
        "numpy",
        "opencv",
        "onnxruntime",
        "providers",
        "detector",
        "model",
        "window",
        "page",
        "service",
        "cameras",
        "mien[train]",
    ):
        assert any(line.startswith(word) for line in out.splitlines()), word
    assert re.search(r"^detector +mien-face \d", out, re.MULTILINE)
    assert code == (0 if list_bundled() else ArtifactError.exit_code)


def test_doctor_says_what_a_surface_lacks_and_is_still_content(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("streamlit")
    for module in ("PySide6", "fastapi"):
        monkeypatch.setitem(sys.modules, module, None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("mien.apps.cli.doctor_surfaces.PAGE_PORT", taken.getsockname()[1])
        code = run("doctor")
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["window"] == 'not here: this needs PySide6, which is not installed: pip install "mien[desktop]"'
    assert lines["service"] == 'not here: this needs fastapi, which is not installed: pip install "mien[service]"'
    assert lines["page"].startswith("not here: ")
    assert code == (0 if list_bundled() else ArtifactError.exit_code)


def test_doctor_names_what_is_not_well(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    assert run("doctor") != 0
    assert "PROBLEM: threads" in capsys.readouterr().out


@pytest.mark.data
def test_doctor_finds_yunet(shared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    run("doctor")
    assert "--detector yunet uses it" in " ".join(capsys.readouterr().out.split())


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "list") == 0
    out = capsys.readouterr().out
    assert "yunet" in out
    assert all(name in out for name in list_bundled())


def test_architectures_are_listed_with_their_costs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    from mien.workshop.networks.architectures import ARCHITECTURES, TIMM_ARCHITECTURES

    assert run("model", "arch") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in (*ARCHITECTURES, *TIMM_ARCHITECTURES):
        (row,) = [line.split() for line in lines if line.split()[:1] == [name]]
        parameters, macs, unit, ms = row[1:]
        assert unit == "M"
        assert min(int(parameters.replace(",", "")), float(macs.replace(",", "")), float(ms)) > 0


def test_the_time_of_architectures_can_be_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = pytest.importorskip("mien.workshop.networks.network", reason='needs pip install "mien[train]"')
    monkeypatch.setattr(cost, "measure_ms", lambda *_: pytest.fail("measured"))
    assert run("model", "arch", "--no-time", "shallow_cnn", "timm:resnet10t") == 0
    out = capsys.readouterr().out
    assert "ms a face" not in out
    assert [line.split()[0] for line in out.splitlines() if "M" in line][1:] == ["shallow_cnn", "timm:resnet10t"]


def test_an_unknown_architecture_is_not_listed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    assert run("model", "arch", "shallow") == ConfigError.exit_code
    assert "unknown architecture 'shallow': expected one of shallow_cnn" in capsys.readouterr().err


def test_architectures_need_the_train_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.apps.cli.parameters.find_spec", lambda _: None)
    assert run("model", "arch") == MissingExtraError.exit_code
    assert "mien[train]" in capsys.readouterr().err


def test_a_model_is_shown(toy_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "show", toy_artifact) == 0
    out = capsys.readouterr().out
    assert "toy 1.0" in out
    assert "crowd (default): neutral, happy" in out
    assert run("model", "show", toy_artifact, "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "toy"


def test_a_damaged_model_is_told(toy_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(toy_artifact, tmp_path / "toy"))
    (folder / "model.onnx").write_bytes(b"other")
    assert run("model", "show", folder) == ArtifactError.exit_code
    assert "sha256" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("show", "mien-xxl"), ("pull", "resnet")])
def test_unknown_names(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", *arguments) == 2
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.data
def test_a_file_that_is_there_is_not_fetched(
    shared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    assert run("model", "pull", "yunet") == 0
    assert str(shared) in capsys.readouterr().out


def test_compare_shows_two_models_on_the_same_faces(
    toy_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for name in SEVEN:
        place = tmp_path / "faces" / "test" / name
        place.mkdir(parents=True)
        for number in range(4):
            write(place / f"{number}.png", random.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    with pytest.raises(SystemExit) as stopped:
        main(["model", "compare", str(toy_artifact), str(toy_artifact), str(tmp_path / "faces")])
    assert not stopped.value.code
    said = capsys.readouterr().out
    assert "toy 1.0 (toy) below toy 1.0 (toy)" in " ".join(said.split())
    assert all(word in said for word in ("28", "alone", "+0.00", "1.000"))
