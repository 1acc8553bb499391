"""What the commands' parameters share: arguments with a line of help, paths, and an option of several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PATH = click.Path(path_type=Path)

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Argument(click.Argument):
    """An argument with a line of help: click's own has it only since 8.5."""

    def __init__(self, *args: Any, explanation: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.explanation = explanation


class Command(click.Command):
    """A command whose help explains the arguments before the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both sections."""
        arguments = [(p.human_readable_name, p.explanation) for p in self.params if isinstance(p, Argument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        super().format_options(ctx, formatter)


def argument(name: str, explanation: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """A positional argument; the attributes are those of `click.argument`."""
    return click.argument(name, cls=Argument, explanation=explanation, **attributes)
