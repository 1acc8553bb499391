"""What the commands share: arguments with a line of help, common options, and the extras that they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from mien.errors import MissingExtraError

PATH = click.Path(path_type=Path)
MODEL_HELP = "A bundled model's name, an artifact's folder, or models:/NAME@ALIAS."
DATA_HELP = "FER2013's csv or npz, a folder with it, or an image folder."

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


def overwrite(explanation: str) -> Callable[[Decorated], Decorated]:
    """The option --overwrite."""
    return click.option("--overwrite", is_flag=True, help=explanation)


device = click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Device.")


TRAIN_PACKAGES = ("torch", "lightning_fabric", "safetensors", "pydantic", "onnx", "onnxscript")
SEARCH_PACKAGES = ("optuna", "sqlalchemy")


def need_train_extra() -> None:
    """Raise MissingExtraError unless the packages are installed without which nothing is trained or exported.

    Those of the extra `train` that only some settings need, timm and scikit-learn, are asked for where they are used.
    """
    _need(TRAIN_PACKAGES, "train")


def need_search_extra() -> None:
    """Raise MissingExtraError unless the packages of a search are installed, those of its trainings included."""
    _need(TRAIN_PACKAGES, "train")
    _need(SEARCH_PACKAGES, "search")


def need_recipes() -> None:
    """Raise MissingExtraError unless recipes of data sets can be read."""
    _need(("pydantic",), "train")


def _need(packages: Iterable[str], extra: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
