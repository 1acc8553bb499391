"""TOML files checked by pydantic: no unknown key, and one line that says what is wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mien.errors import ConfigError

__all__ = ["Field", "Section", "ValidationError", "explain", "model_validator", "read_toml"]


_FORM = re.compile(r"(tuple|list|dict|union|lax-or-strict|function-[a-z]+)\[")


class Section(BaseModel):
    """A table of a TOML file: no unknown key, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_toml(path: Path) -> dict[str, Any]:
    """The plain values of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with a file of the form `model`, in one line that names each key."""
    lines: list[str] = []
    told: set[str] = set()
    found = error.errors()
    within = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    for item in found:
        if item["type"] == "too_short" and item["loc"] in within:
            # What is missing in the list are the entries that are told of themselves.
            continue
        # Where one of several forms would do, pydantic tells of all, and names each as `tuple[...]`.
        parts = [part for part in map(str, item["loc"]) if not _FORM.match(part)]
        key = ".".join(parts)
        if len(parts) < len(item["loc"]) and key in told:
            continue
        told.add(key)
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown key {key}: expected one of {', '.join(_keys(model, item['loc'][:-1]))}")
        elif item["type"] == "missing":
            lines.append(f"{key} is missing")
        elif item["type"] == "value_error":
            lines.append(f"{key}: {item['ctx']['error']}".removeprefix(": "))
        else:
            lines.append(f"{key}: {item['msg']}, not {item['input']!r}")
    return "; ".join(lines)


def _keys(model: Any, section: tuple[Any, ...]) -> list[str]:
    for part in section:
        model = _plain(model.model_fields[part].annotation) if isinstance(part, str) else get_args(model)[0]
    return list(model.model_fields)


def _plain(annotation: Any) -> Any:
    """The section of an optional one."""
    if get_origin(annotation) in (Union, UnionType):
        return next(part for part in get_args(annotation) if part is not NoneType)
    return annotation
