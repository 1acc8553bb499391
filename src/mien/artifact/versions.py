"""Registered versions of models, with aliases, in MLflow's registry: `models:/name@alias`, `models:/name/3`."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mien.artifact import mlflow_store as tracking
from mien.artifact import store
from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, Artifact, load_artifact
from mien.artifact.mlflow_model import mlflow_files
from mien.errors import ArtifactError, ConfigError, DownloadError, TrackingError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

SCHEME = "models:/"
CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST, SCORES, SUMMARY = "mien.manifest_sha256", "mien.scores", "mien.summary"
"""Tags of a version; the digest pins the manifest, which pins the graph."""

_REFERENCE = re.compile(r"models:/([^/@:]+)(?:/([0-9]+)|@([^/@:]+))")
_ORIGIN = "mien.registered_as"


@dataclass(frozen=True)
class Version:
    """A registered version.

    Args:
        name, number: what it is registered as; the first is 1.
        aliases: the names that point to it, such as champion.
        source: URI of the artifact's folder.
        digest: sha256 of its manifest; empty when something else than Mien registered it.
        created: ISO time, UTC.
        scores: as in the manifest.
        summary: `version` and `licence` of the manifest, `size_bytes` of the graph, `heads`.
    """

    name: str
    number: int
    aliases: tuple[str, ...]
    source: str
    digest: str
    created: str
    scores: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What `--model` takes."""
        return f"{SCHEME}{self.name}/{self.number}"


def parse_reference(text: str) -> tuple[str, str]:
    """Name and version or alias of a reference.

    Raises:
        ConfigError: for anything else.

    >>> parse_reference("models:/mien-s@champion")
    ('mien-s', 'champion')
    """
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise ConfigError(f"{text!r} names no registered model: expected models:/NAME@ALIAS or models:/NAME/VERSION")
    return found[1], found[2] or found[3]


def list_versions() -> dict[str, list[Version]]:
    """Every registered name with its versions, the newest first; empty where nothing was ever registered.

    Raises:
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    if not tracking.is_there():
        return {}
    client = tracking.connect()
    with tracking.translated():
        return {model.name: _versions(client, model) for model in _all(client.search_registered_models)}


def find_version(name: str, wanted: str) -> Version:
    """The version with this number or alias.

    Raises:
        ConfigError: naming what there is.
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    versions = versions_of(name)
    for version in versions:
        if wanted == str(version.number) or wanted in version.aliases:
            return version
    there = ", ".join(" ".join([str(v.number), *(f"({alias})" for alias in v.aliases)]) for v in versions)
    raise ConfigError(f"{name} has no version or alias {wanted!r}: there is {there or 'none yet'}")


def versions_of(name: str) -> list[Version]:
    """The versions of a registered name, the newest first; arguments and errors as `find_version`."""
    # Connecting would create the database.
    if not tracking.is_there():
        raise ConfigError(
            f"no registered model {name!r}: none is registered in {tracking.local_folder()} yet; "
            "`mien model register FOLDER` does, MLFLOW_TRACKING_URI names a server"
        )
    client = tracking.connect()
    try:
        with tracking.translated():
            return _versions(client, client.get_registered_model(name))
    except TrackingError as error:
        if not tracking.is_missing(error):
            raise
    with tracking.translated():
        names = sorted(model.name for model in _all(client.search_registered_models))
    raise ConfigError(f"no registered model {name!r}: there is {', '.join(names) or 'none yet'}")


def fetch(reference: str) -> Path:
    """The folder of a registered version's artifact, fetched if it is not on this machine; its manifest is verified.

    Raises:
        ConfigError: no such version.
        ArtifactError: what is kept there is not what was registered.
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    version = find_version(*parse_reference(reference))
    if not version.digest:
        raise ArtifactError(f"{version.reference} is no artifact of Mien: expected one that `mien model register` made")
    local = _local(version.source)
    if local is not None:
        _verify(local, version)
        return local
    # By digest, not by name: a name that is registered afresh never finds a stale copy.
    kept = store.home() / "cache" / "models" / version.digest
    if not (kept / MANIFEST_FILE).is_file():
        _download(version, kept)
    _verify(kept, version)
    return kept


def register(folder: Path, name: str | None = None) -> tuple[Version, bool]:
    """Register an artifact as a new version, the challenger; whether it is new, for the same is registered once only.

    The files are copied to MLflow: those of the run that journalled the training, if there is one.

    Raises:
        ArtifactError: the artifact is damaged.
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    artifact = load_artifact(folder)
    client, digest, name = tracking.connect(), manifest_digest(folder), name or artifact.manifest.name
    with tracking.translated():
        try:
            # Created without checking first: two registrations at once would both find it missing.
            client.create_registered_model(name)
        except Exception as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = _versions(client, client.get_registered_model(name))
        for version in versions:
            if version.digest == digest:
                return version, False
        run_id = _run_with(client, digest) or _new_run(client, artifact)
        place = log_files(client, run_id, artifact.folder, digest)
        made = client.create_model_version(name, source=place, run_id=run_id, tags=_tags(artifact, digest))
        client.set_registered_model_alias(name, CHALLENGER, made.version)
    # Fetched again, because `made` does not have the alias yet.
    return find_version(name, str(made.version)), True


def log_files(client: MlflowClient, run_id: str, folder: Path, digest: str) -> str:
    """Copy an artifact's files to a run, under a name of their own; the URI of the copy."""
    place = f"model-{digest[:12]}"
    run = client.get_run(run_id)
    if run.data.tags.get(_tag_of(digest)) != place:
        for file in (GRAPH_FILE, MANIFEST_FILE):
            client.log_artifact(run_id, str(folder / file), place)
        for file, text in mlflow_files(load_artifact(folder).manifest).items():
            client.log_text(run_id, text, f"{place}/{file}")
        if (folder / "report").is_dir():
            client.log_artifacts(run_id, str(folder / "report"), "report")
        # The tag comes last: without it, an interrupted copy is made again.
        client.set_tag(run_id, _tag_of(digest), place)
    return f"{run.info.artifact_uri}/{place}"


def manifest_digest(folder: Path) -> str:
    """SHA-256 of an artifact's manifest, which holds that of its graph."""
    return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()


def score_metrics(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """A manifest's scores as MLflow's metrics: `test.crowd.PrivateTest.FER.majority.accuracy`."""
    figures = ("accuracy", "macro_f1", "weighted_f1", "calibration_error")
    found: dict[str, float] = {}
    for score in scores:
        words = [str(score.get(key, "")) for key in ("head", "set", "labels")]
        # MLflow allows only some characters in the name of a metric.
        place = ".".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-") for word in words)
        found |= {f"scores.{place}.{key}": float(score[key]) for key in figures if key in score}
    return found


def _versions(client: MlflowClient, model: RegisteredModel) -> list[Version]:
    found = _all(client.search_model_versions, filter_string=f"name = '{model.name}'")
    versions = [_version(item, model.aliases) for item in found]
    return sorted(versions, key=lambda version: -version.number)


def _version(item: ModelVersion, aliases: Mapping[str, Any]) -> Version:
    number, tags = int(item.version), item.tags
    return Version(
        name=item.name,
        number=number,
        aliases=tuple(sorted(alias for alias, of in aliases.items() if int(of) == number)),
        source=item.source or "",
        digest=tags.get(DIGEST, ""),
        created=datetime.fromtimestamp((item.creation_timestamp or 0) / 1000, UTC).isoformat(timespec="seconds"),
        scores=_parsed(tags.get(SCORES), []),
        summary=_parsed(tags.get(SUMMARY), {}),
    )


def _parsed(text: str | None, otherwise: Any) -> Any:
    try:
        # Tags are free text that anybody may change on MLflow's page.
        value = json.loads(text or "")
    except ValueError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _all(search: Any, **arguments: Any) -> list[Any]:
    """All pages of a search."""
    page = search(**arguments)
    found = list(page)
    while page.token:
        page = search(page_token=page.token, **arguments)
        found += page
    return found


def _tags(artifact: Artifact, digest: str) -> dict[str, str]:
    manifest = artifact.manifest
    summary = {
        "version": manifest.version, "licence": manifest.licence, "size_bytes": len(artifact.graph),
        "heads": list(manifest.heads), "default_head": manifest.default_head,
    }  # fmt: skip
    return {
        DIGEST: digest,
        SUMMARY: json.dumps(summary),
        SCORES: json.dumps([dict(score) for score in manifest.scores]),
    }


def _tag_of(digest: str) -> str:
    return f"mien.artifact.{digest[:12]}"


def _run_with(client: MlflowClient, digest: str) -> str | None:
    """The run that holds this artifact already."""
    experiment = tracking.experiment_id(client)
    # Backticks, because the name of the tag has dots.
    found = client.search_runs([experiment], f"tags.`{_tag_of(digest)}` = 'model-{digest[:12]}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _new_run(client: MlflowClient, artifact: Artifact) -> str:
    """A run for an artifact whose training was not journalled: its scores, and nothing that is not known."""
    manifest = artifact.manifest
    run = client.create_run(tracking.experiment_id(client), run_name=f"{manifest.name} {manifest.version}")
    run_id = str(run.info.run_id)
    client.set_tag(run_id, _ORIGIN, "artifact")
    for key, value in score_metrics(manifest.scores).items():
        client.log_metric(run_id, key, value)
    # Otherwise MLflow shows the run as running forever.
    client.set_terminated(run_id)
    return run_id


def _local(source: str) -> Path | None:
    """The folder that a URI names on this machine."""
    parts = urlsplit(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    # urlsplit takes the drive of a Windows path for a scheme.
    return Path(source) if parts.scheme == "" or Path(source).is_absolute() else None


def _download(version: Version, target: Path) -> None:
    from mlflow.artifacts import download_artifacts

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as staging, tracking.translated():
            found = download_artifacts(
                artifact_uri=version.source, dst_path=staging, tracking_uri=tracking.tracking_uri()
            )
            _verify(Path(found), version)
            # Another process may have finished first, with the same digest.
            if not target.exists():
                shutil.move(found, target)
    except OSError as error:
        raise DownloadError(
            f"cannot keep {version.reference} in {target.parent}: {error.strerror or error}; set MIEN_HOME to your own "
            "folder"
        ) from error


def _verify(folder: Path, version: Version) -> None:
    try:
        found = manifest_digest(folder)
    except OSError as error:
        raise ArtifactError(
            f"{version.reference}: {folder / MANIFEST_FILE} cannot be read ({error.strerror or error}): register the "
            "artifact again"
        ) from error
    if found != version.digest:
        raise ArtifactError(
            f"{version.reference}: {folder / MANIFEST_FILE} has sha256 {found[:12]}…, registered was "
            f"{version.digest[:12]}…; it was changed or damaged: register the artifact again"
        )
