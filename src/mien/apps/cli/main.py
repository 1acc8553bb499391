"""The command `mien`: imports and starts one command, turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from mien import __version__
from mien.apps.cli.commands import COMMANDS, DATA, GROUPS, MODEL, MOVED, READING, TRAINING
from mien.errors import MienError, OutputError

if TYPE_CHECKING:
    import click

INTERRUPTED = 130
CANNOT_WRITE = (errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
"""The disk is full, read-only, or the user's share of it used up."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mien` with these arguments, those of the process for none; ends in SystemExit.

    A MienError is printed as `error: …` on stderr and gives its class's exit code; an interrupt gives 130.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be Unicode.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        # Here, where a closed pipe is still caught.
        sys.stdout.flush()
    except MienError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader went away; nothing may be left for Python to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno in CANNOT_WRITE:
            _fail(str(OutputError.of(error.filename or "what the command makes", error)), OutputError.exit_code)
        _fail(str(error), MienError.exit_code)
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    """Run the command that the first word or two name; the exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("--help", "-h"):
        sys.stdout.write(_help())
        return 0
    if name == "--version":
        sys.stdout.write(f"mien {__version__}\n")
        return 0
    if name in GROUPS:
        if not rest or rest[0] in ("--help", "-h"):
            sys.stdout.write(_group_help(name))
            return 0
        name, rest = f"{name} {rest[0]}", rest[1:]
    if name not in COMMANDS:
        _fail(_unknown(name, rest), 2)
    return _run(name, rest)


def load_command(name: str) -> click.Command:
    """The click command of a full name such as `model show`."""
    entry = COMMANDS[name]
    command: click.Command = getattr(importlib.import_module(f"mien.apps.cli.{entry.module}"), entry.attribute)
    return command


def _run(name: str, arguments: list[str]) -> int:
    """Run a command. Not by calling it as click does: `main` reports interrupts and closed pipes."""
    import click

    command = load_command(name)
    try:
        with command.make_context(f"mien {name}", arguments, show_default=True) as context:
            command.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


def _help() -> str:
    parts = [("Reading", READING), ("Data sets", DATA), ("Training", TRAINING), ("Models", MODEL)]
    width = max(map(len, COMMANDS))
    lines = ["Usage: mien COMMAND [ARGUMENTS]…", "", "Read facial expressions, and train the model that does it.", ""]
    for title, commands in parts:
        lines += [f"{title}:", *(f"  {name:<{width}}  {entry.line}" for name, entry in commands.items()), ""]
    lines += ["Options:", "  --version  Show the version.", "  --help     Show this; also mien COMMAND --help.", ""]
    return "\n".join(lines)


def _group_help(group: str) -> str:
    members = {
        name.removeprefix(f"{group} "): entry for name, entry in COMMANDS.items() if name.startswith(f"{group} ")
    }
    width = max(map(len, members))
    lines = [f"Usage: mien {group} COMMAND [ARGUMENTS]…", "", f"  {GROUPS[group]}", "", "Commands:"]
    lines += [f"  {name:<{width}}  {entry.line}" for name, entry in members.items()]
    return "\n".join([*lines, ""])


def _unknown(name: str, rest: list[str]) -> str:
    """What to say of a command that does not exist: its new or its nearest name, else all names."""
    # Here, since only a misspelt command needs it.
    import difflib

    if name.startswith("-"):
        return f"unknown option {name!r}: expected a command, --help or --version"
    old, more = name, " ".join([name, *rest[:1]])
    # `models` was a command of its own once; with a word behind it, the group's command is meant.
    if name == "models" and f"model {' '.join(rest[:1])}" in COMMANDS:
        return f"unknown command {more!r}: did you mean `mien model {rest[0]}`?"
    for spelling in (more, old):
        if spelling in MOVED:
            return f"unknown command {spelling!r}: did you mean `mien {MOVED[spelling]}`?"
    group, _, leaf = name.rpartition(" ")
    prefix = f"{group} " if group else ""
    names = [full.removeprefix(prefix) for full in (*COMMANDS, *GROUPS) if full.startswith(prefix)]
    close = difflib.get_close_matches(leaf, names, n=1)
    hint = f"did you mean `mien {prefix}{close[0]}`?" if close else f"expected one of {', '.join(names)}"
    return f"unknown command {name!r}: {hint}"


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
