"""The models that there are to choose from: bundled, in this folder, registered; with the head that speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.artifact import mlflow_store as tracking
from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, Manifest, load_manifest
from mien.artifact.catalog import BUNDLED, DEFAULT_MODEL, list_bundled
from mien.errors import ArtifactError, MienError


@dataclass(frozen=True)
class Choice:
    """A model and one of its heads.

    Args:
        reference: what `load_model` takes.
        head: one of the model's heads; None for the one that users get.
    """

    reference: str = DEFAULT_MODEL
    head: str | None = None


@dataclass(frozen=True)
class Entry:
    """A model in the list.

    Args:
        reference: what `load_model` takes.
        kind: where it comes from, in words.
        version, licence: as its manifest has them.
        size_bytes: of its graph.
        default_head: the head that users get.
        heads: all of them.
        scores: as in the manifest.
    """

    reference: str
    kind: str
    version: str = ""
    licence: str = ""
    size_bytes: int = 0
    default_head: str = ""
    heads: tuple[str, ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.reference} {self.version}".strip()

    def choices(self) -> dict[Choice, str]:
        """What can be chosen of it, each with its name; the usual head first."""
        rest = [head for head in self.heads if head != self.default_head]
        usual = f"{self.name} · {self.default_head}" if rest else self.name
        return {Choice(self.reference): usual} | {
            Choice(self.reference, head): f"{self.name} · {head}" for head in rest
        }


def list_entries(folder: Path | None = None) -> tuple[list[Entry], list[str]]:
    """All models, the default first, and in words what could not be listed.

    Args:
        folder: whose artifacts are listed too; the working folder for none.
    """
    names = sorted(list_bundled(), key=lambda name: name != DEFAULT_MODEL)
    places = [
        (name, BUNDLED / name, "comes with Mien, default" if name == DEFAULT_MODEL else "comes with Mien")
        for name in names
    ]
    here = folder or Path()
    places += [
        (f"./{path.parent.name}" if folder is None else str(path.parent), path.parent, "in the working folder")
        for path in sorted(here.glob(f"*/{GRAPH_FILE}"))
        if (path.parent / MANIFEST_FILE).is_file()
    ]
    entries, troubles = [], []
    for reference, place, kind in places:
        try:
            entries.append(_from_manifest(reference, kind, load_manifest(place), (place / GRAPH_FILE).stat().st_size))
        except (ArtifactError, OSError) as error:
            troubles.append(f"{reference} is damaged: {error}")
    try:
        entries += _registered()
    except MienError as error:
        troubles.append(f"Registered versions cannot be listed: {error}")
    return entries, troubles


def _from_manifest(reference: str, kind: str, manifest: Manifest, size_bytes: int) -> Entry:
    return Entry(
        reference, kind, manifest.version, manifest.licence, size_bytes, manifest.default_head, tuple(manifest.heads),
        manifest.scores,
    )  # fmt: skip


def _registered() -> list[Entry]:
    """The versions in MLflow's registry; none where it is not installed or nothing was registered."""
    if not tracking.is_installed() or not tracking.is_there():
        return []
    from mien.artifact.versions import list_versions

    return [
        Entry(
            reference=version.reference,
            kind=", ".join(version.aliases) or "registered",
            version=str(version.summary.get("version", "")),
            licence=str(version.summary.get("licence", "")),
            size_bytes=int(version.summary.get("size_bytes", 0)),
            default_head=str(version.summary.get("default_head", "")),
            heads=tuple(version.summary.get("heads", ())),
            scores=version.scores,
        )
        for versions in list_versions().values()
        for version in versions
    ]


def headline(entry: Entry) -> str:
    """Accuracy of the usual head on test faces with hard labels, with its interval; empty where there is none."""
    for score in entry.scores:
        test = str(score.get("set", "")) in ("PrivateTest", "test")
        if test and score.get("head") == entry.default_head and score.get("labels") != "FER+ votes":
            return share_text(score, "accuracy")
    return ""


def share_text(score: Mapping[str, Any], name: str) -> str:
    """A share in per cent with its 95 % interval, where there is one.

    >>> share_text({"accuracy": 0.88043, "accuracy_95": [0.86933, 0.89153]}, "accuracy")
    '88.0 % (86.9–89.2)'
    """
    if name not in score:
        return ""
    text = f"{100 * score[name]:.1f} %"
    bounds = score.get(f"{name}_95")
    return f"{text} ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})" if bounds else text
