"""How long work reports how far it has come: plain callbacks, so that the workshop itself prints nothing."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int], object]
"""`on_progress(done, total)`."""

OnStage = Callable[[str], OnProgress]
"""`on_stage(name)` hears that a stage of the work begins, and gives what hears how far that stage has come."""

OnNote = Callable[[str], object]
"""`on_note(sentence)` hears what a person should know and what is no error."""


def no_progress(done: int, total: int) -> None:
    """Hear nothing."""


def no_stage(name: str) -> OnProgress:
    """Hear nothing of any stage."""
    return no_progress


def no_note(sentence: str) -> None:
    """Hear nothing."""
