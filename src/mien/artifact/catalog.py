"""From a model's name to its artifact's folder."""

from __future__ import annotations

import os
from pathlib import Path

from mien.errors import ArtifactError, ConfigError

DEFAULT_MODEL = "mien-s"

BUNDLED = Path(__file__).parent / "bundled"
"""The artifacts that come with the package, a folder a name."""


def list_bundled(root: Path = BUNDLED) -> list[str]:
    """The names of the models that come with the package, sorted."""
    return sorted(path.parent.name for path in root.glob("*/manifest.json"))


def resolve(name_or_path: str | Path | None = None, *, root: Path = BUNDLED) -> Path:
    """The folder of a model: none for the default, a bundled name, a folder of one's own, or a registered version.

    A bundled name goes before a folder of the same name in the working folder: write `./name` for that one.
    `models:/name@alias` and `models:/name/3` are looked up in MLflow's registry.

    Raises:
        ConfigError: for an unknown name; the message lists the known ones.
        ArtifactError: when the default is asked for and this installation lacks it, or a version is damaged.
        MissingExtraError, TrackingError: a version is asked for, and MLflow is not installed or cannot be reached.
    """
    wanted = DEFAULT_MODEL if name_or_path is None else os.fspath(name_or_path)
    bundled = list_bundled(root)
    # A Path means a folder, even one named like a bundled model.
    if wanted in bundled and not isinstance(name_or_path, Path):
        return root / wanted
    if name_or_path is None:
        raise ArtifactError(f"this installation lacks its model {wanted}: reinstall mien")
    if wanted.startswith("models:"):
        from mien.artifact.versions import fetch

        return fetch(wanted)
    folder = Path(wanted).expanduser()
    # Path("") would be the working folder.
    if wanted and folder.is_dir():
        return folder
    raise ConfigError(
        f"unknown model {wanted!r}: expected {' or '.join(bundled) or 'a bundled name (there is none)'}, "
        "the folder of an artifact, or models:/NAME@ALIAS"
    )
