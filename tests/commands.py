"""Runs one command of `mien` in this process, with its output and its exception for the test to look at."""

from __future__ import annotations

from click.testing import CliRunner, Result

from mien.apps.cli.main import load_command


def invoke(name: str, *arguments: object, width: int = 200) -> Result:
    """What `mien NAME ARGUMENTS…` does; an error of Mien's stays an exception."""
    return CliRunner().invoke(load_command(name), [str(value) for value in arguments], env={"COLUMNS": str(width)})
