"""What the commands' parameters share: arguments with a line of help, groups of options, times, paths."""

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


class Option(click.Option):
    """An option that belongs to a group of the help."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(Command):
    """Shows its options in groups, in the order in which the groups first occur."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then a section a group."""
        with formatter.section("Arguments"):
            formatter.write_dl([(p.human_readable_name, p.explanation) for p in self.params if isinstance(p, Argument)])
        groups = dict.fromkeys(p.group for p in self.params if isinstance(p, Option))
        last = list(groups)[-1]
        for group in groups:
            options = [
                p for p in self.get_params(ctx)
                if not isinstance(p, Argument) and (p.group if isinstance(p, Option) else last) == group
            ]  # fmt: skip
            with formatter.section(group):
                formatter.write_dl([record for p in options if (record := p.get_help_record(ctx)) is not None])


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """A time as 90, 90.5, 1:30 or 1:02:03.5."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time in seconds."""
        if isinstance(value, float | int):
            return float(value)
        if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", value, re.ASCII):
            self.fail(f"expected a time as 90, 1:30 or 1:02:03.5, not {value!r}", param, ctx)
        total = 0.0
        for part in value.split(":"):
            total = 60 * total + float(part)
        return total


def argument(name: str, explanation: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """A positional argument; the attributes are those of `click.argument`."""
    return click.argument(name, cls=Argument, explanation=explanation, **attributes)


any_size = click.option(
    "--any-size", is_flag=True, help="Accept a FER2013 with other numbers of rows than the real one."
)


class Names(click.ParamType):  # type: ignore[type-arg]
    """Some of a few names, with commas between."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, each once."""
        names = value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(",") if part.strip())
        for name in names:
            if name not in self.known:
                self.fail(f"expected some of {', '.join(self.known)} with commas between, not {name!r}", param, ctx)
        return tuple(dict.fromkeys(names))
