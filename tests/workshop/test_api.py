"""The workshop's Python API from data to a champion, without the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien import workshop
from mien.artifact import mlflow_store as tracking
from mien.errors import ConfigError, DataError
from mien.reading.classifier import load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.config import config_toml, load_config, parse_config
from mien.workshop.training.train import Trained, default_config

CONFIG = parse_config(
    {
        "name": "tiny",
        "model": {"arch": "shallow_cnn", "options": {"widths": [4, 8], "dense": 16}, "size": 16},
        "heads": {"crowd": 0},
        "optim": {"name": "adam", "lr": 0.01},
        "fit": {"epochs": 3, "batch_size": 16},
    }
)


def make_faces(*, votes: bool = False) -> FaceDataset:
    """Twenty grey faces a class, brighter from class to class: 14 to train, 3 each to validate and to test."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), 20)
    images = (random.integers(0, 40, (140, 48, 48)) + 30 * labels[:, None, None]).astype(np.uint8)
    split = np.tile(np.repeat([0, 1, 2], [14, 3, 3]), 7).astype(np.int8)
    ids = np.array([f"row {row}" for row in range(140)])
    counts = np.zeros((140, 10), np.uint8)
    counts[:, 0] = 10
    return FaceDataset("toy", images, labels, split, ids, votes=counts if votes else None, sha256="ab" * 32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, workshop.train(CONFIG, make_faces(), folder, workshop.TrainOptions(device="cpu", journal=False))


def test_train_evaluate_export_promote_and_roll_back(
    run: tuple[Path, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, trained = run
    assert trained.finished
    assert len(trained.result.history) == 3
    assert (folder / "curves.png").is_file()

    heard: list[tuple[int, int]] = []
    exported = workshop.export_model(
        folder, make_faces(), tmp_path / "artifact", on_progress=lambda done, total: heard.append((done, total))
    )
    assert heard[-1] == (42, 42)
    assert {score["head"] for score in exported.artifact.manifest.scores} == {"fer2013"}

    evaluated = workshop.evaluate_model(tmp_path / "artifact", make_faces())
    assert [scores.rows for scores in evaluated.evaluation.sets] == [21, 21, 42]
    again = workshop.evaluate_model(load_model(tmp_path / "artifact"), make_faces())
    assert [scores.accuracy for scores in again.evaluation.sets] == [s.accuracy for s in evaluated.evaluation.sets]
    files = workshop.report_model(evaluated, tmp_path / "report", workshop.ReportOptions(pose=False))
    assert files[0].name == "report.html"

    if not tracking.is_installed():
        pytest.skip('versions need pip install "mien[journal]"')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    first, new = workshop.register(tmp_path / "artifact")
    assert new
    assert workshop.promote_model("tiny", str(first.number)).gate is None

    options = workshop.ExportOptions(version="0.2.0")
    workshop.export_model(folder, make_faces(), tmp_path / "other", options)
    second, _ = workshop.register(tmp_path / "other")
    with pytest.raises(ConfigError, match="give DATA to measure both on"):
        workshop.promote_model("tiny", "challenger")
    monkeypatch.setattr("mien.workshop.evaluation.compare.SLOWER_LIMIT", 100.0)
    promotion = workshop.promote_model("tiny", "challenger", make_faces())
    assert promotion.change.version == second.number
    assert promotion.gate is not None
    assert not promotion.gate.worse
    assert workshop.roll_back("tiny").version == first.number
    assert capsys.readouterr().out == ""


def test_a_smaller_and_a_calibrated_model(run: tuple[Path, Trained], tmp_path: Path) -> None:
    folder, _ = run
    workshop.export_model(folder, make_faces(), tmp_path / "whole")
    half = workshop.quantize_model(
        tmp_path / "whole", make_faces(), tmp_path / "half", workshop.Compaction(precision="float16")
    )
    assert half.after.folder == tmp_path / "half"
    assert len(half.after.graph) < len(half.before.graph)
    calibrated = workshop.calibrate_model(tmp_path / "whole", make_faces())
    assert calibrated.folder is None
    assert "21 validation faces" in calibrated.fitted_on
    duel = workshop.compare_models(tmp_path / "whole", tmp_path / "half", make_faces())
    assert duel.found[0].faces.head == "fer2013"
    names = ("whole", "half", "whole again")
    duels = workshop.compare_with_first(
        [tmp_path / "whole", tmp_path / "half", tmp_path / "whole"], make_faces(), names=names
    )
    assert [found.names for found in duels] == [("whole", "half"), ("whole", "whole again")]
    assert duels[1].found[0].p_value == 1
    first, *_ = workshop.report_comparisons(duels, tmp_path / "compared")
    text = first.read_text("utf-8")
    assert first == tmp_path / "compared" / "comparison.html"
    for name in ("half", "whole-again"):
        assert f'href="{name}/comparison.html"' in text
        assert (tmp_path / "compared" / name / "comparison.html").exists()
    with pytest.raises(ConfigError, match="two models or more"):
        workshop.compare_with_first([tmp_path / "whole"], make_faces())


def test_a_time_limit_stops_between_epochs_and_the_same_call_resumes(tmp_path: Path) -> None:
    ways = [{"stop_after": 1}, {"time_limit_s": 1e-6}, {"time_limit_s": 3600.0}]
    found = []
    for way in ways:
        options = workshop.TrainOptions(device="cpu", **way)  # type: ignore[arg-type]
        trained = workshop.train(CONFIG, make_faces(), tmp_path / "run", options)
        found.append((trained.finished, len(trained.result.history)))
    assert found == [(False, 1), (False, 1), (True, 3)]
    whole = workshop.train(CONFIG, make_faces(), tmp_path / "whole", workshop.TrainOptions(device="cpu"))
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == whole.result.checkpoint.read_bytes()


def test_without_a_configuration_the_data_decides_the_heads() -> None:
    config = default_config(make_faces())
    assert config.heads.weights == {"fer2013": 1.0}
    assert config.fit.batch_size == 9
    assert default_config(make_faces(votes=True), epochs=2).heads.weights == {"fer2013": 1.0, "crowd": 1.0}
    faces = make_faces()
    with pytest.raises(DataError, match="nothing to learn from"):
        default_config(FaceDataset("bare", faces.images, faces.labels * 0 - 1, faces.split, faces.ids))


def test_a_written_configuration_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(config_toml(CONFIG))
    assert load_config(path) == CONFIG
    assert "# degrees, either way" in path.read_text()


def test_a_failed_start_leaves_no_folder(tmp_path: Path) -> None:
    broken = parse_config({"model": {"arch": "shallow_cnn", "weights": str(tmp_path / "none.safetensors")}})
    with pytest.raises(ConfigError):
        workshop.train(broken, make_faces(), tmp_path / "new" / "run", workshop.TrainOptions(device="cpu"))
    large = parse_config({"model": {"arch": "no such net"}})
    with pytest.raises(ConfigError):
        workshop.train(large, make_faces(), tmp_path / "new" / "run", workshop.TrainOptions(device="cpu"))
    assert not (tmp_path / "new").exists()


def test_one_of_several_processes_of_another_launcher_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"started as one of 4 .* --devices"):
        workshop.train(CONFIG, tmp_path / "not read", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_public_name_is_there_and_importing_loads_nothing() -> None:
    assert sorted(workshop.__all__) == workshop.__all__
    for name in workshop.__all__:
        assert getattr(workshop, name) is not None
    with pytest.raises(AttributeError):
        _ = workshop.nothing
    code = "import sys, mien.workshop; print({'torch', 'numpy', 'mlflow', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
