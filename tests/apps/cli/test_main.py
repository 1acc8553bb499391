from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import click
import pytest

from mien import __version__
from mien.apps.cli.commands import COMMANDS, GROUPS
from mien.apps.cli.main import main
from mien.errors import ArtifactError, ConfigError, SourceError


def run(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_all_commands(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_help_imports_no_command() -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'click', 'numpy', 'cv2', 'rich', 'torch'}\n"
        "atexit.register(lambda: print(heavy & set(sys.modules), file=sys.stderr))\n"
        "from mien.apps.cli.main import main; main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "set()\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"mien {__version__}\n"


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "mien", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mien {__version__}\n"


@pytest.mark.parametrize(
    ("name", "hint"), [
        ("analyse", "did you mean `mien analyze`?"), ("frobnicate", "expected one of analyze"),
        ("--verison", "unknown option"), ("models", "did you mean `mien model`?"),
        ("models show", "did you mean `mien model show`?"), ("export run", "did you mean `mien model export`?"),
        ("curate faces/", "did you mean `mien data curate`?"), ("curate apply", "did you mean `mien data apply`?"),
        ("review x.csv", "did you mean `mien data review`?"), ("model expor", "did you mean `mien model export`?"),
        ("data frob", "expected one of show, augment"),
    ]
)  # fmt: skip
def test_a_misspelt_or_moved_command(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*name.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: unknown")
    assert hint in captured.err


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_every_command_has_help_for_a_narrow_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(*name.split(), "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: mien {name} ")
    assert max(map(len, out.splitlines())) <= 80
    assert "..." not in out.partition("Commands:")[2]


def test_help_tells_arguments_defaults_and_choices(capsys: pytest.CaptureFixture[str]) -> None:
    run("analyze", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert "Arguments: SOURCE... Images, folders, patterns, - for standard input; videos;" in out
    assert "[auto|mien|yunet|haar|none]" in out
    assert "[default: seven]" in out


@pytest.mark.parametrize("name", list(GROUPS))
def test_a_group_alone_shows_its_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name) == 0
    assert "Commands:\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("analyze", "--colour", "x.png"), "No such option"), (("analyze",), "Missing argument 'SOURCE...'"),
        (("train", "a.toml", "faces"), "Missing option '--out'"),
        (("train", "a.toml", "--out", "c"), "Missing argument"),
        (("train", "faces", "--out", "c", "--time-limit", "9x"), "is not a time"),
        (("model", "export", "a", "b", "--out", "c", "--crop-scale", "0"), "is not in the range 0.1<=x<=10"),
        (("train", "a", "b", "--out", "c", "--device", "tpu"), "'auto', 'cpu', 'cuda', 'mps'"),
    ],
)  # fmt: skip
def test_a_wrong_usage_is_two(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Usage: mien {arguments[0]} ")
    assert told in captured.err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (ConfigError("a wrong option"), 2, "error: a wrong option\n"),
        (SourceError("a bad picture"), 3, "error: a bad picture\n"),
        (ArtifactError("a damaged model"), 5, "error: a damaged model\n"),
        (OSError(5, "Input/output error"), 1, "error: [Errno 5] Input/output error\n"),
        (OSError(28, "No space left on device", "a.csv"), 2, "error: cannot write a.csv: No space left on device\n"),
        (
            OSError(30, "Read-only file system"),
            2,
            "error: cannot write what the command makes: Read-only file system\n",
        ),
    ],
)
def test_errors_become_messages_and_exit_codes(
    error: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(sys.modules, "mien.apps.cli.doctor", SimpleNamespace(app=fail))
    assert run("doctor") == code
    assert capsys.readouterr().err == told
