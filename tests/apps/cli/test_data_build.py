"""`mien data build` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydantic")

from mien.apps.cli.main import main
from mien.images import pictures as images


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe for twelve pictures of two classes; where they are has to be said."""
    import numpy as np

    random = np.random.default_rng(0)
    for label in ("happy", "sad"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(6):
            noise = images.resize(random.uniform(0, 255, (12, 12)).astype(np.float32), 48, 48).astype(np.uint8)
            images.write(tmp_path / "photos" / label / f"{number}.png", noise)
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[[sources]]\nname = "photos"\nkind = "folder"\nlicence = "CC0"\n')
    return path


def test_build_show_and_resume(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("data", "build", recipe, "--data", f"photos={tmp_path / 'photos'}", "--out", tmp_path / "out")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "12 faces" in out
    assert "card.html" in out
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "--overwrite" in err
    code, out, _ = run(capsys, *arguments, "--resume")
    assert code == 0
    assert "is there already" in out
    code, out, _ = run(capsys, "data", "show", tmp_path / "out", "--out", tmp_path / "figures")
    assert code == 0
    assert "mine: faces by class" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "give it by --data photos=PATH"),
        (("--data", "photos"), "expected NAME=PATH"),
        (("--data", "photos=/nowhere/at/all"), "/nowhere/at/all is not there"),
        (("--data", "fotos=."), "expected one of photos"),
        (("--resume", "--overwrite"), "give one of the two"),
        (("--train-on", "fotos"), "no source is called 'fotos'"),
    ],
)
def test_what_cannot_be_built_is_told(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, "data", "build", recipe, "--out", tmp_path / "out", *more)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
