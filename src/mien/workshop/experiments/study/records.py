"""What the folder of a run tells beside its weights: its epochs, where it was trained, why it failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.errors import ArtifactError
from mien.files import write_whole
from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments.study.machine import machine, versions
from mien.workshop.training.config import TrainingConfig, parse_config
from mien.workshop.training.folder import HISTORY
from mien.workshop.training.state import History, best_epoch

RECORD, FAILURE = "training.json", "failure.json"


def load_history(folder: Path) -> tuple[dict[str, Any], History] | None:
    """A run's identity (its configuration and the data's fingerprint) and its epochs; None if it has none yet.

    Raises:
        ArtifactError: the history is damaged.
    """
    path = folder / HISTORY
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return dict(saved["identity"]), list(saved["history"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not the history of a run ({error}): remove the folder to train anew") from error


def saved_config(folder: Path, identity: dict[str, Any]) -> TrainingConfig:
    """What a saved run was trained with; keys that are new since then stand at their defaults."""
    return parse_config(identity.get("config", {}), name=str(folder / HISTORY))


def is_finished(history: History, config: TrainingConfig) -> bool:
    """All epochs are there (of a support vector machine the only one), or the patience is over."""
    epochs = 1 if config.optim.name == "svm" else config.fit.epochs
    return len(history) >= epochs or stopped_early(history, config)


def stopped_early(history: History, config: TrainingConfig) -> bool:
    """The patience is over before the last epoch."""
    waited = len(history) - 1 - best_epoch(history)
    return 0 < config.fit.patience <= waited and len(history) < config.fit.epochs


def load_json(path: Path) -> dict[str, Any]:
    """A small record of a run, empty where there is none or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def keep_record(folder: Path, device: str, dataset: FaceDataset, scratch: str) -> None:
    """Note on which machine a session of a run trains on which data; `scratch` says why its weights are random."""
    before = load_json(folder / RECORD)
    session = {"started": _now(), "machine": machine(device), "versions": versions()}
    values = {
        "from_scratch": before.get("from_scratch") or scratch,
        "data": {"name": dataset.name, "sha256": dataset.sha256, "rows": len(dataset)}
        | ({"lists": lists} if (lists := load_json(folder / HISTORY).get("lists")) else {}),
        "sessions": [*before.get("sessions", []), session],
    }
    _write_json(folder / RECORD, values)


def keep_reason(folder: Path, error: BaseException) -> str:
    """Write why a run failed into its folder, and say it in one line."""
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason.replace(str(folder), f"{folder.parent.name}/{folder.name}")
    _write_json(folder / FAILURE, {"reason": reason, "kind": type(error).__name__, "date": _now()})
    return reason


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def _now() -> str:
    """The time in UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
