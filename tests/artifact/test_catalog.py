from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mien.artifact.catalog import DEFAULT_MODEL, list_bundled, resolve
from mien.errors import ArtifactError, ConfigError


@pytest.fixture
def root(toy_artifact: Path, tmp_path: Path) -> Path:
    for name in (DEFAULT_MODEL, "another"):
        shutil.copytree(toy_artifact, tmp_path / "bundled" / name)
    return tmp_path / "bundled"


def test_names_are_listed(root: Path) -> None:
    (root / "no-model").mkdir()
    assert list_bundled(root) == ["another", DEFAULT_MODEL]


def test_names_and_folders_are_resolved(root: Path, toy_artifact: Path) -> None:
    assert resolve(root=root) == root / DEFAULT_MODEL
    assert resolve("another", root=root) == root / "another"
    assert resolve(toy_artifact, root=root) == toy_artifact
    assert resolve(str(toy_artifact), root=root) == toy_artifact


def test_a_bundled_name_goes_before_a_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "another").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("another", root=root) == root / "another"
    assert resolve("./another", root=root) == Path("another")


@pytest.mark.parametrize("name", ["mein-s", "", "/no/such/folder"])
def test_an_unknown_name_lists_the_bundled_ones(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"another or {DEFAULT_MODEL}"):
        resolve(name, root=root)


def test_an_installation_without_its_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="reinstall mien"):
        resolve(root=tmp_path)
