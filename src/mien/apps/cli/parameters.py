"""What the commands share: arguments with help, groups of options, common options, and the extras that they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from mien.errors import ConfigError, MissingExtraError

PATH = click.Path(path_type=Path)
MODEL_HELP = "A bundled model's name, an artifact's folder, or models:/NAME@ALIAS."
DATA_HELP = "FER2013 in any form, a published data set as it is handed out, or images in folders by class."
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


def parse_duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The seconds of a time such as 90, 90s, 9m or 1h30m: a callback for an option."""
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    seconds = sum(int(n or 0) * unit for n, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    if not seconds:
        raise click.BadParameter(f"{value!r} is not a time: expected something like 90s, 9m or 1h30m")
    return float(seconds)


def parse_places(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, Path]:
    """Paths by name from words NAME=PATH: a callback for a repeatable option."""
    places: dict[str, Path] = {}
    for word in words:
        name, separator, path = word.partition("=")
        if not (name and separator and path):
            raise ConfigError(f"{parameter.opts[0]} {word}: expected NAME=PATH, a source of the recipe and its path")
        # The second would replace the first unnoticed.
        if name in places:
            raise ConfigError(f"{parameter.opts[0]} {name} is given twice")
        places[name] = Path(path)
    return places


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
        # click's own --help has no group: it closes the last.
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
        # click converts defaults too, and they are numbers already.
        if isinstance(value, float | int):
            return float(value)
        # By pattern rather than float(), which also takes nan, inf, 1e9 and negative numbers.
        if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", value, re.ASCII):
            self.fail(f"expected a time as 90, 1:30 or 1:02:03.5, not {value!r}", param, ctx)
        total = 0.0
        for part in value.split(":"):
            total = 60 * total + float(part)
        return total


def argument(name: str, explanation: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """A positional argument; the attributes are those of `click.argument`."""
    return click.argument(name, cls=Argument, explanation=explanation, **attributes)


def overwrite(explanation: str) -> Callable[[Decorated], Decorated]:
    """The option --overwrite."""
    return click.option("--overwrite", is_flag=True, help=explanation)


device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Device to use."
)

TRAIN_PACKAGES = ("torch", "lightning_fabric", "safetensors", "pydantic", "onnx", "onnxscript")
SEARCH_PACKAGES = ("optuna", "sqlalchemy")


def need_train_extra() -> None:
    """Raise MissingExtraError unless the packages are installed without which nothing is trained or exported.

    Those of the extra `train` that only some settings need, timm and scikit-learn, are asked for where they are used.
    """
    need(TRAIN_PACKAGES, "train")


def need_search_extra() -> None:
    """Raise MissingExtraError unless the packages of a search are installed, those of its trainings included."""
    need(TRAIN_PACKAGES, "train")
    need(SEARCH_PACKAGES, "search")


def need(packages: Iterable[str], extra: str) -> None:
    """Raise MissingExtraError for the first of these packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
