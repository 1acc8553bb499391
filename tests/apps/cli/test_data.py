from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mien.apps.cli.data import app
from mien.errors import ConfigError, DataError
from mien.images import pictures as images


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    path = tmp_path / "faces.npz"
    pictures = generator.integers(0, 256, (40, 48, 48), dtype=np.uint8)
    pictures[39] = pictures[0]
    np.savez(
        path, images=pictures, label=generator.integers(0, 7, 40), usage=np.repeat([0, 1, 2], [30, 5, 5]),
        votes=np.tile(np.uint8([8, 0, 0, 0, 0, 0, 0, 0, 2, 0]), (40, 1)),
    )  # fmt: skip
    return path


def test_show_counts_and_draws(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = CliRunner().invoke(app, ["show", str(archive), "--any-size", "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = {line.split("  ")[1].strip(): line.split()[-5:] for line in result.stdout.splitlines() if "%" in line}
    assert lines["all"] == ["30", "5", "5", "40", "100.0%"]
    assert lines["also in train"] == ["0", "0", "1", "1", "2.5%"]
    assert lines["FER+ majority"] == ["30", "5", "5", "40", "100.0%"]
    assert sorted(path.name for path in out.iterdir()) == ["distribution.png", "samples.png"]
    assert images.read(out / "samples.png").shape[1] > 500
    assert str(out / "samples.png") in result.stdout


def test_show_says_what_is_wrong(archive: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["show", str(archive), "--out", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "Training has 30 rows, FER2013 has 28,709" in str(result.exception)


def test_show_into_a_file_is_refused(archive: Path) -> None:
    result = CliRunner().invoke(app, ["show", str(archive), "--any-size", "--out", str(archive)])
    assert isinstance(result.exception, ConfigError)


def augment(*arguments: object) -> Result:
    pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    return CliRunner().invoke(app, ["augment", *map(str, arguments)])


def test_augment_draws_a_sheet_that_the_seed_decides(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "study.toml"
    config.write_text('name = "study"\n[augment]\nrotation = 30\n')
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / "sheets" / f"{name}.png"
        result = augment(archive, "--any-size", "--config", config, "--out", out, "--seed", seed)
        assert result.exit_code == 0, result.output
        assert str(out) in result.stdout
    sheets = [images.read(tmp_path / "sheets" / f"{name}.png") for name in "abc"]
    assert (sheets[0] == sheets[1]).all()
    assert sheets[0].shape != sheets[2].shape or not (sheets[0] == sheets[2]).all()


def test_augment_says_what_is_wrong(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[augment]\nrotate = 30\n")
    result = augment(archive, "--any-size", "--config", config, "--out", tmp_path / "a.png")
    assert isinstance(result.exception, ConfigError)
    assert "unknown key augment.rotate" in str(result.exception)
    result = augment(archive, "--any-size", "--config", config, "--out", tmp_path / "a.jpg")
    assert isinstance(result.exception, ConfigError)
    assert "ends in .png" in str(result.exception)
