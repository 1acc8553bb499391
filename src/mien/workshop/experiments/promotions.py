"""Which version is the champion, which ones were before it, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mien.artifact import mlflow_store as tracking
from mien.artifact.versions import CHALLENGER, CHAMPION, Version, find_version, versions_of
from mien.errors import ConfigError

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


def promote(version: Version, *, gate: Mapping[str, Any] | None = None, forced: bool = False) -> Change:
    """Make a version the champion; a challenger is none any more.

    Raises:
        ConfigError: it is the champion already.
    """
    if CHAMPION in version.aliases:
        raise ConfigError(f"{version.name} {version.number} is the champion already")
    before = champion_of(version.name)
    change = Change("promote", version.number, before.number if before else None, _now(), forced, gate or {})
    _apply(version, change)
    return change


def roll_back(name: str) -> Change:
    """Make the champion before the present one the champion again.

    Raises:
        ConfigError: there was none before, or it is gone.
    """
    present = champion_of(name)
    stack = champions(history(name))
    if present is not None and present.number not in stack[-1:]:
        stack.append(present.number)
    if present is None or len(stack) < 2:
        now = f"version {present.number} is the first champion" if present else "there is no champion"
        raise ConfigError(f"{name} has nothing to go back to: {now}; `mien models promote` makes one")
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
    return [Change(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_PREFIX)]


def _apply(version: Version, change: Change) -> None:
    """History first: a champion without one could not be undone."""
    number = len(history(version.name)) + 1
    client = tracking.connect()
    with tracking.translated():
        client.set_registered_model_tag(version.name, f"{_PREFIX}{number:06d}", json.dumps(asdict(change)))
        client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
        if CHALLENGER in version.aliases:
            client.delete_registered_model_alias(version.name, CHALLENGER)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
