"""A training told to MLflow: parameters, curves, environment, data, and what is exported in the end.

The run's folder stays the truth: what a server did not take is read from `history.json` and sent again.
"""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.artifact import mlflow_store as tracking
from mien.artifact.artifact import load_artifact
from mien.artifact.versions import log_files, manifest_digest, score_metrics
from mien.errors import ArtifactError, MienError, TrackingError
from mien.files import write_whole
from mien.workshop.progress import OnNote
from mien.workshop.training.fit import load_result
from mien.workshop.training.state import History

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

JOURNAL = "journal.json"
Status = Literal["FINISHED", "FAILED", "KILLED"]

_PACKAGES = ("mien", "torch", "lightning-fabric", "numpy", "onnxruntime", "opencv-python-headless", "timm")
# MLflow's own limits.
_PARAMETERS_A_CALL, _METRICS_A_CALL = 100, 1000
_PATIENCE = 20
"""A store that does not answer is left alone for so many times as long as the last try took."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run before it begins.

    Args:
        name: of the run.
        configuration: the resolved one, as plain values.
        data_name, data_sha256, data_rows: of the data set that it trains on.
    """

    name: str
    configuration: Mapping[str, Any]
    data_name: str
    data_sha256: str
    data_rows: int


class Journal:
    """A run's page in MLflow. No failure of MLflow's store stops the training: it is told once, and tried again later.

    As a context it closes the page at the end, also of a training that fails.

    Args:
        folder: of the run; `journal.json` in it says which MLflow run it is, so that a resumed training goes on there.
        facts: what MLflow shows as parameters and data.
        on_note: hears, in a sentence, when the store is lost and when it is back.

    Raises:
        MissingExtraError: MLflow is not installed.
    """

    def __init__(self, folder: Path, facts: Facts, *, on_note: OnNote) -> None:
        self.folder, self.facts, self.on_note = folder, facts, on_note
        self.run_id = ""
        self.sent = 0
        self.status: Status = "FINISHED"
        self._client: MlflowClient | None = None
        self._started_ms = int(1000 * time.time())
        self._lost = False
        self._not_before = 0.0
        tracking.require_installed()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # An interrupt is no Exception: the run was stopped, and did not fail.
            self.status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        self.close()

    def send(self) -> bool:
        """Send the epochs that MLflow does not have yet; whether it has all now."""
        return self._attempt(self._send)

    def close(self) -> bool:
        """Send what is missing, the history and the curves as files, and how the run ended; whether all arrived."""
        self._not_before = 0.0
        # Without an epoch there is no page to close: a run that failed at once leaves none.
        if not self._history():
            return True
        done = self._attempt(self._close)
        if not done:
            self.on_note(
                f"journal: {len(self._history()) - self.sent} epochs were not sent; all are in "
                f"{self.folder / 'history.json'}, and the same command sends them later"
            )
        return done

    def _attempt(self, action: Callable[[], None]) -> bool:
        started = time.monotonic()
        # Every epoch would otherwise wait for the store's timeout.
        if started < self._not_before:
            return False
        try:
            action()
        except TrackingError as error:
            # Once, not after every epoch.
            if not self._lost:
                self.on_note(f"journal: {error}. The training goes on, and what is missing is sent when MLflow answers")
            self._lost = True
            self._not_before = time.monotonic() + _PATIENCE * (time.monotonic() - started)
            return False
        if self._lost:
            self._lost = False
            self.on_note(f"journal: MLflow answers again, all {self.sent} epochs are sent")
        return True

    def _send(self) -> None:
        from mlflow.entities import Metric

        client, history = self._open(), self._history()
        # The same epoch has the same time whenever it is sent, so that MLflow keeps it once.
        stamp = self._started_ms + sum(1000 * row.get("seconds", 0.0) for row in history[: self.sent])
        metrics = []
        for row in history[self.sent :]:
            stamp += 1000 * row.get("seconds", 0.0)
            # Epochs count from 1 wherever people read them.
            step = int(row["epoch"]) + 1
            metrics += [Metric(key, float(row[key]), int(stamp), step) for key in row if key != "epoch"]
        with tracking.translated():
            for start in range(0, len(metrics), _METRICS_A_CALL):
                client.log_batch(self.run_id, metrics=metrics[start : start + _METRICS_A_CALL])
            self.sent = len(history)
            # After the calls: epochs sent twice are kept once, but what was never sent would be missing.
            self._remember()

    def _close(self) -> None:
        self._send()
        client = self._open()
        with tracking.translated():
            for name in ("history.json", "curves.png"):
                if (self.folder / name).is_file():
                    client.log_artifact(self.run_id, str(self.folder / name))
            client.set_terminated(self.run_id, self.status)

    def _open(self) -> MlflowClient:
        """The client; the first time, the run is found again or made."""
        if self._client is not None:
            return self._client
        client = tracking.connect()
        with tracking.translated():
            if not self._found(client):
                self._make(client)
        self._client = client
        return client

    def _found(self, client: MlflowClient) -> bool:
        """Whether `journal.json` names a run of this store; if so, it goes on."""
        known = read_journal(self.folder)
        # The run may have been copied from a machine with another store, where this ID means nothing.
        if known is None or known["tracking_uri"] != tracking.shown_uri():
            return False
        try:
            with tracking.translated():
                run = client.get_run(known["run_id"])
        except TrackingError as error:
            if tracking.is_missing(error):
                return False
            raise
        # MLflow answers for deleted runs too, and then refuses to log to them.
        if run.info.lifecycle_stage != "active":
            return False
        self.run_id, self.sent, self._started_ms = known["run_id"], known["sent"], known["started_ms"]
        client.update_run(self.run_id, status="RUNNING")
        return True

    def _make(self, client: MlflowClient) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        facts = self.facts
        run = client.create_run(
            tracking.experiment_id(client), start_time=self._started_ms, run_name=facts.name, tags=environment_tags()
        )
        self.run_id, self.sent = str(run.info.run_id), 0
        data = {"data.name": facts.data_name, "data.sha256": facts.data_sha256, "data.rows": str(facts.data_rows)}
        values = flatten(facts.configuration) | data
        parameters = [Param(key, value) for key, value in values.items()]
        for start in range(0, len(parameters), _PARAMETERS_A_CALL):
            client.log_batch(self.run_id, params=parameters[start : start + _PARAMETERS_A_CALL])
        # MLflow takes digests of at most 36 characters; the whole one is among the parameters.
        dataset = Dataset(facts.data_name, facts.data_sha256[:36], "local", json.dumps({"rows": facts.data_rows}))
        client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        client.log_dict(self.run_id, dict(facts.configuration), "config.json")
        client.log_dict(self.run_id, environment(), "environment.json")
        self._remember()

    def _history(self) -> History:
        try:
            return load_result(self.folder).history
        except ArtifactError:
            return []

    def _remember(self) -> None:
        values = {
            "tracking_uri": tracking.shown_uri(),
            "run_id": self.run_id,
            "sent": self.sent,
            "started_ms": self._started_ms,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / JOURNAL, json.dumps(values).encode())


def wanted(folder: Path, asked: bool | None) -> bool:
    """Whether a training is journalled: as asked, else when a server is named or the run was journalled before."""
    return asked if asked is not None else not tracking.is_local() or (folder / JOURNAL).is_file()


def journal_artifact(run_folder: Path, artifact_folder: Path, *, on_note: OnNote) -> bool:
    """Add an exported artifact with its report and scores to the run's page in MLflow, if it has one.

    No failure of MLflow is raised: it is told, and `mien model register` makes up for it.
    """
    known = read_journal(run_folder)
    if known is None:
        return False
    try:
        # A run's ID means nothing to another store.
        if known["tracking_uri"] != tracking.shown_uri():
            raise TrackingError(f"the run is in {known['tracking_uri']}, and MLflow is {tracking.shown_uri()} now")
        client, artifact = tracking.connect(), load_artifact(artifact_folder)
        with tracking.translated():
            log_files(client, known["run_id"], artifact_folder, manifest_digest(artifact_folder))
            for key, value in score_metrics(artifact.manifest.scores).items():
                client.log_metric(known["run_id"], key, value)
    except MienError as error:
        on_note(f"journal: {error}. The artifact is whole; `mien model register {artifact_folder}` sends it")
        return False
    return True


def read_journal(folder: Path) -> dict[str, Any] | None:
    """Which MLflow run a run's folder belongs to, None where that is not known."""
    try:
        known = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
        kinds = {"tracking_uri": str, "run_id": str, "sent": int, "started_ms": int}
        # Checked, because people copy and edit run folders: a damaged note means a new page, not an error.
        return known if all(isinstance(known[key], kind) for key, kind in kinds.items()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values under dotted keys, as MLflow takes parameters.

    >>> flatten({"fit": {"epochs": 3, "seed": 0}, "name": "mien"})
    {'fit.epochs': '3', 'fit.seed': '0', 'name': 'mien'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def environment() -> dict[str, Any]:
    """Python, platform and the versions of what decides a training's result."""
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": installed(_PACKAGES)}


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def environment_tags() -> dict[str, str]:
    """The environment and, in a git checkout, the commit, as tags of a run."""
    found = environment()
    tags = {"mien.version": found["packages"].get("mien", ""), "mien.python": found["python"]}
    tags |= {"mien.platform": found["platform"], "mien.torch": found["packages"].get("torch", "")}
    commit = _git("rev-parse", "HEAD")
    if commit:
        tags |= {"mlflow.source.git.commit": commit, "mien.git_dirty": str(bool(_git("status", "--porcelain", "-uno")))}
    return tags


def _git(*arguments: str) -> str:
    """What git says of the working folder, empty without git or outside a checkout."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
