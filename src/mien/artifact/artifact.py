"""The artifact: a folder with `model.onnx` and `manifest.json`, in which training and reading meet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mien.artifact.manifest import FORMAT, AffectHead, Head, Manifest, Reading
from mien.artifact.onnx_file import require_whole
from mien.errors import ArtifactError

__all__ = [
    "FORMAT", "GRAPH_FILE", "INPUT_NAME", "MANIFEST_FILE", "AffectHead", "Artifact", "Head", "Manifest", "Reading",
    "load_artifact", "load_manifest", "require_free", "write_artifact", "write_folder",
]  # fmt: skip

GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
INPUT_NAME = "faces"
"""The graph's one input, uint8 (N, channels, height, width); its outputs are float32 logits, one a head."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: its folder, its manifest, and the bytes of its graph."""

    folder: Path
    manifest: Manifest
    graph: bytes


def write_artifact(folder: str | Path, graph: bytes, manifest: Manifest, *, overwrite: bool = False) -> Path:
    """Write an artifact whole or not at all; the manifest's sha256 is filled in from `graph`.

    Raises:
        ArtifactError: when the folder is there already and `overwrite` is not set, it cannot be written, or the graph
            keeps weights in other files.
    """
    target = Path(folder)
    _require_whole(target / GRAPH_FILE, graph)
    sealed = replace(manifest, sha256=hashlib.sha256(graph).hexdigest())
    files = {GRAPH_FILE: graph, MANIFEST_FILE: sealed.to_json().encode()}
    return write_folder(target, files, marker=MANIFEST_FILE, overwrite=overwrite)


def write_folder(target: Path, files: Mapping[str, bytes], *, marker: str, overwrite: bool) -> Path:
    """Write a folder of files whole or not at all.

    Args:
        target: the folder.
        files: by name.
        marker: the file by which a folder of this kind is known: no other is replaced.
        overwrite: replace a folder that is there.

    Raises:
        ArtifactError: it may not be replaced, or cannot be written.
    """
    # Here, because who only reads artifacts needs neither, and a command should start quickly.
    import shutil
    import tempfile

    require_free(target, overwrite=overwrite, marker=marker)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so on the same file system: a rename then puts the whole folder in place at once.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as staging:
            fresh = Path(staging, "new")
            fresh.mkdir()
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            # A folder cannot be renamed onto one that holds files; the old one goes with the staging folder.
            if target.exists():
                shutil.move(target, Path(staging, "old"))
            fresh.rename(target)
    except OSError as error:
        raise ArtifactError(f"cannot write the artifact {target}: {error.strerror or error}") from error
    return target


def load_artifact(folder: str | Path) -> Artifact:
    """Read an artifact and verify its manifest and the sha256 of its graph.

    Raises:
        ArtifactError: when a file is missing, damaged, foreign or newer than this version of Mien, or the graph keeps
            weights in other files, which its sha256 does not cover.
    """
    path = Path(folder)
    manifest = load_manifest(path)
    try:
        # Read once: the bytes that are verified are the bytes that are loaded, whatever happens to the file.
        graph = (path / GRAPH_FILE).read_bytes()
    except OSError as error:
        raise ArtifactError(_unreadable(path, GRAPH_FILE, error)) from error
    digest = hashlib.sha256(graph).hexdigest()
    if digest != manifest.sha256:
        raise ArtifactError(
            f"{path / GRAPH_FILE}: sha256 is {digest[:12]}…, the manifest says {manifest.sha256[:12]}…; "
            "the file is damaged or not this model's: fetch or export it again"
        )
    # A matching sha256 is not enough: whoever sealed the graph may not have looked for weights in other files.
    _require_whole(path / GRAPH_FILE, graph)
    return Artifact(path, manifest, graph)


def load_manifest(folder: str | Path) -> Manifest:
    """Read and check an artifact's manifest alone; its graph is not looked at.

    Raises:
        ArtifactError: as `load_artifact`.
    """
    path = Path(folder)
    try:
        text = (path / MANIFEST_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(_unreadable(path, MANIFEST_FILE, error)) from error
    try:
        manifest = Manifest.from_json(text)
    except ArtifactError as error:
        raise ArtifactError(f"{path / MANIFEST_FILE}: {error}") from error
    if not _SHA256.fullmatch(manifest.sha256):
        raise ArtifactError(f"{path / MANIFEST_FILE}: `sha256` is 64 hexadecimal digits, not {manifest.sha256!r}")
    return manifest


def require_free(target: Path, *, overwrite: bool, marker: str = MANIFEST_FILE) -> None:
    """Raise ArtifactError where an artifact cannot be written: long work asks before it begins."""
    if not target.exists():
        return
    if not overwrite:
        raise ArtifactError(f"{target} is there already: choose another folder, or overwrite it")
    # Overwriting removes the whole folder: a mistyped name must not cost people their files.
    if not (target / marker).is_file():
        raise ArtifactError(f"{target} is no artifact, so it is not overwritten: choose another folder")


def _require_whole(path: Path, graph: bytes) -> None:
    try:
        require_whole(graph)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _unreadable(folder: Path, name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{folder} is no artifact, a folder with {GRAPH_FILE} and {MANIFEST_FILE}: {name} is missing"
    return f"{folder / name} cannot be read: {error}"
