from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from commands import invoke

from mien.errors import ConfigError
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
    result = invoke("data show", archive, "--out", out)
    assert result.exit_code == 0, result.output
    lines = {line.split("  ")[0].strip(): line.split()[-6:] for line in result.stdout.splitlines() if "%" in line}
    assert lines["all"] == ["30", "5", "5", "40", "100.0", "%"]
    assert lines["also in train"] == ["0", "0", "1", "1", "2.5", "%"]
    assert lines["FER+ majority"] == ["30", "5", "5", "40", "100.0", "%"]
    assert sorted(path.name for path in out.iterdir()) == ["distribution.png", "samples.png"]
    assert images.read(out / "samples.png").shape[1] > 500
    assert str(out / "samples.png") in result.stdout


def test_a_part_of_fer2013_is_taken_with_a_warning(archive: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mien", "data", "show", str(archive), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Training has 30 rows, all of FER2013 has 28,709" in done.stderr


def test_show_into_a_file_is_refused(archive: Path) -> None:
    result = invoke("data show", archive, "--out", archive)
    assert isinstance(result.exception, ConfigError)


def augment(*arguments: object) -> Result:
    pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    return invoke("data augment", *arguments)


def test_augment_draws_a_sheet_that_the_seed_decides(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "study.toml"
    config.write_text('name = "study"\n[augment]\nrotation = 30\n')
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / "sheets" / f"{name}.png"
        result = augment(archive, "--config", config, "--out", out, "--seed", seed)
        assert result.exit_code == 0, result.output
        assert str(out) in result.stdout
    sheets = [images.read(tmp_path / "sheets" / f"{name}.png") for name in "abc"]
    assert (sheets[0] == sheets[1]).all()
    assert sheets[0].shape != sheets[2].shape or not (sheets[0] == sheets[2]).all()


def test_augment_says_what_is_wrong(archive: Path, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text("[augment]\nrotate = 30\n")
    result = augment(archive, "--config", config, "--out", tmp_path / "a.png")
    assert isinstance(result.exception, ConfigError)
    assert "unknown key augment.rotate" in str(result.exception)
    result = augment(archive, "--config", config, "--out", tmp_path / "a.jpg")
    assert isinstance(result.exception, ConfigError)
    assert "ends in .png" in str(result.exception)
