"""Which version is the champion, which ones were before it, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from mien.artifact import mlflow_store as tracking
from mien.artifact.versions import CHALLENGER, CHAMPION, Version, find_version, versions_of
from mien.errors import ConfigError
from mien.reading.classifier import load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.compare import Check, judge
from mien.workshop.evaluation.models import compare_models
from mien.workshop.progress import OnStage, no_stage

_PREFIX = "mien.promotion."


@dataclass(frozen=True)
class Change:
    """The champion changed, or was changed back.

    Args:
        kind: what happened.
        version: the champion since.
        before: the champion until then, or None.
        at: ISO time, UTC.
        forced: the gate was overruled.
        gate: the figures it was decided by.
    """

    kind: Literal["promote", "rollback"]
    version: int
    before: int | None = None
    at: str = ""
    forced: bool = False
    gate: Mapping[str, Any] = field(default_factory=dict)


def champions(changes: Sequence[Change]) -> list[int]:
    """The champions that can be gone back to, oldest first, the present one last.

    >>> champions([Change("promote", 1), Change("promote", 2, 1), Change("rollback", 1, 2), Change("promote", 3, 1)])
    [1, 3]
    """
    stack: list[int] = []
    for change in changes:
        if change.before is not None and change.before not in stack[-1:]:
            # The alias was moved by other hands.
            stack.append(change.before)
        if change.kind == "rollback":
            del stack[-1:]
        # After a rollback the earlier champion is on top already.
        if change.version not in stack[-1:]:
            stack.append(change.version)
    return stack


def champion_of(name: str) -> Version | None:
    """The version that carries the alias champion, if any does.

    Raises:
        ConfigError: no such registered name.
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    return next((version for version in versions_of(name) if CHAMPION in version.aliases), None)


def make_champion(version: Version, *, gate: Mapping[str, Any] | None = None, forced: bool = False) -> Change:
    """Make a version the champion; it stops being the challenger.

    Raises:
        ConfigError: it is the champion already.
    """
    if CHAMPION in version.aliases:
        raise ConfigError(f"{version.name} {version.number} is the champion already")
    before = champion_of(version.name)
    change = Change("promote", version.number, before.number if before else None, _now(), forced, gate or {})
    _apply(version, change)
    return change


@dataclass(frozen=True)
class Gate:
    """A version measured against the champion: what both are called, the data, and the answer to each question."""

    names: tuple[str, str]
    data: str
    checks: Sequence[Check]

    @property
    def worse(self) -> list[str]:
        """The questions by which the new version is worse beyond noise."""
        return [check.question for check in self.checks if check.worse]


class NotPromotedError(ConfigError):
    """A version is worse than the champion; `gate` has the figures."""

    def __init__(self, message: str, gate: Gate) -> None:
        super().__init__(message)
        self.gate = gate


@dataclass(frozen=True)
class Promotion:
    """The change of champion, and the gate that was passed; None where nothing was measured."""

    change: Change
    gate: Gate | None


def promote_model(
    name: str,
    version: str,
    data: FaceDataset | Path | str | None = None,
    *,
    force: bool = False,
    on_stage: OnStage = no_stage,
) -> Promotion:
    """Make a registered version the champion if it is no worse than the present one.

    The gate measures both on the test faces, here and now. A version does not pass if its accuracy or calibration is
    worse beyond noise, if a face takes more than 1.1 times as long, or if it lacks a head.

    Args:
        name: of a registered model.
        version: its number, or an alias such as challenger.
        data: what the gate measures on; may be left out where there is no champion, or with `force`.
        force: promote a version that is worse, or unmeasured.
        on_stage: hears of the stage `faces`, once a model.

    Raises:
        NotPromotedError: the version is worse.
        ConfigError: no such version, it is the champion already, or there is nothing to measure on.
        DataError: there is no test face.
        MissingExtraError, TrackingError: MLflow is not installed, or cannot be reached.
    """
    chosen, champion = find_version(name, version), champion_of(name)
    if champion is not None and champion.number == chosen.number:
        raise ConfigError(f"{name} {chosen.number} is the champion already")
    if champion is not None and data is None and not force:
        raise ConfigError(
            f"{name} {champion.number} is the champion: give DATA to measure both on, or --force to promote unmeasured"
        )
    # Measured even with force: what was overruled belongs into the history.
    gate = None if champion is None or data is None else _measured(champion, chosen, data, on_stage)
    if gate is not None and gate.worse and not force:
        raise NotPromotedError(
            f"{name} {chosen.number} is worse than the champion {champion and champion.number} beyond noise "
            f"({'; '.join(gate.worse)}): not promoted; --force promotes it nevertheless",
            gate,
        )
    figures = {check.question: _figures(check) for check in gate.checks} if gate else {}
    return Promotion(make_champion(chosen, gate=figures, forced=bool(gate and gate.worse)), gate)


def _measured(champion: Version, chosen: Version, data: FaceDataset | Path | str, on_stage: OnStage) -> Gate:
    # Both from the registry: what is measured is what the alias will give.
    models = load_model(champion.reference), load_model(chosen.reference)
    names = f"{champion.name} {champion.number}", f"{chosen.name} {chosen.number}"
    duel = compare_models(*models, data, names=names, on_stage=on_stage)
    checks = judge(duel.found, (models[0].heads, models[1].heads), (duel.first.speed, duel.second.speed))
    return Gate(names, duel.dataset.name, checks)


def _figures(check: Check) -> dict[str, Any]:
    return {"champion": check.first, "new": check.second, "difference": check.difference, "worse": check.worse}


def roll_back(name: str) -> Change:
    """Make the champion before the present one the champion again.

    Raises:
        ConfigError: there was none before, or it is gone.
    """
    present = champion_of(name)
    stack = champions(history(name))
    # The alias may have been moved in MLflow itself.
    if present is not None and present.number not in stack[-1:]:
        stack.append(present.number)
    if present is None or len(stack) < 2:
        now = f"version {present.number} is the first champion" if present else "there is no champion"
        raise ConfigError(f"{name} has nothing to go back to: {now}; `mien model promote` makes one")
    version = find_version(name, str(stack[-2]))
    change = Change("rollback", version.number, present.number, _now())
    _apply(version, change)
    return change


def history(name: str) -> list[Change]:
    """All changes of the champion, oldest first.

    Raises:
        TrackingError: the store cannot be reached.
    """
    with tracking.translated():
        tags = tracking.connect().get_registered_model(name).tags
    # Sorted by key, since MLflow gives tags in no order.
    return [Change(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_PREFIX)]


def _apply(version: Version, change: Change) -> None:
    """History first: a champion without one could not be undone."""
    number = len(history(version.name)) + 1
    client = tracking.connect()
    with tracking.translated():
        # Six digits, so that text sorts as numbers do.
        client.set_registered_model_tag(version.name, f"{_PREFIX}{number:06d}", json.dumps(asdict(change)))
        client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
        if CHALLENGER in version.aliases:
            client.delete_registered_model_alias(version.name, CHALLENGER)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
