"""The command `mien`: imports and starts one command, turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mien import __version__
from mien.errors import MienError

COMMANDS = {
    "analyze": "Read the expressions of faces: pictures, videos, cameras.",
    "app": "Show a page in the browser: pictures, films, models, reports.",
    "average": "Take the mean of several trainings' weights.",
    "curate": "Find what is wrong with a data set.",
    "data": "Look at data sets and check them.",
    "distill": "Ask teachers about training rows, for students to learn from.",
    "doctor": "Show versions, model, detector, and where things are kept.",
    "evaluate": "Measure a model on a data set.",
    "export": "Make an artifact of a checkpoint.",
    "models": "List, show and fetch models.",
    "review": "Look at suspects one by one; keep, drop or relabel them by key.",
    "serve": "Serve the reading of expressions over HTTP.",
    "study": "Run several trainings by the same rules; compare them in one report.",
    "train": "Train a model.",
    "tune": "Search for better settings.",
    "watch": "Show a camera or a video with its faces, in a window.",
}
"""Each is a module of this package with a click command or group named `app`."""

INTERRUPTED = 130


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
        _fail(str(error), MienError.exit_code)
    sys.exit(code)


def _dispatch(arguments: list[str]) -> int:
    """Run what the first word names; the exit code."""
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h"):
        sys.stdout.write(_help())
    elif name == "--version":
        sys.stdout.write(f"mien {__version__}\n")
    elif name in COMMANDS:
        return _run(name, arguments[1:])
    else:
        _fail(_unknown(name), 2)
    return 0


def _run(name: str, arguments: list[str]) -> int:
    """Run a command. It is not called as click would: interrupts and closed pipes are for `main` to tell."""
    import click

    app: click.Command = importlib.import_module(f"mien.apps.cli.{name}").app
    try:
        with app.make_context(f"mien {name}", arguments, show_default=True) as context:
            app.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: mien COMMAND [ARGUMENTS]…",
            "",
            "Reads facial expressions in pictures and videos, and trains the model that does.",
            "",
            "Commands:",
            *lines,
            "",
            "Options:",
            "  --version  Show the version.",
            "  --help     Show this; `mien COMMAND --help` tells more.",
            "",
        ]
    )


def _unknown(name: str) -> str:
    import difflib

    kind = "option" if name.startswith("-") else "command"
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(COMMANDS)}"
    return f"unknown {kind} {name!r}: {hint}"


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
