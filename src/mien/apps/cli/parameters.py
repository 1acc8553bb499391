"""What the commands' parameters share: arguments with a line of help, paths, and an option of several commands."""

from __future__ import annotations

import re
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


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A length of time as 90, 90s, 9m or 1.5h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time in seconds."""
        if isinstance(value, float | int):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value, re.ASCII)
        if found is None:
            self.fail(f"expected a time such as 90s, 9m or 1.5h, not {value!r}", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def argument(name: str, explanation: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """A positional argument; the attributes are those of `click.argument`."""
    return click.argument(name, cls=Argument, explanation=explanation, **attributes)


any_size = click.option(
    "--any-size", is_flag=True, help="Accept a FER2013 with other numbers of rows than the real one."
)
