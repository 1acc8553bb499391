"""Plain values as TOML text: Python reads the format but does not write it."""

from __future__ import annotations

import json
from typing import Any


def inline(value: Any) -> str:
    """One value on one line.

    >>> inline({"widths": [32, 64], "attention": "se", "lr": 1e-05, "gates": True})
    '{ widths = [32, 64], attention = "se", lr = 1e-05, gates = true }'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {inline(item)}" for key, item in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def document(values: dict[str, Any]) -> str:
    """A whole file: plain keys first, then each table under a heading, tables of tables under theirs."""
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(key)} = {inline(value)}" for key, value in values.items() if not _is_section(value)]
    for key, value in values.items():
        heading = ".".join(map(_key, (*path, key)))
        if isinstance(value, dict) and _is_section(value):
            lines += ["", f"[{heading}]", *_lines(value, (*path, key))]
        elif _is_section(value):
            for item in value:
                lines += ["", f"[[{heading}]]", *_lines(item, (*path, key))]
    return lines


def _is_section(value: Any) -> bool:
    """Whether it gets a heading: a table, or a list of tables."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    bare = key and all(character.isascii() and (character.isalnum() or character in "-_") for character in key)
    return key if bare else json.dumps(key, ensure_ascii=False)
