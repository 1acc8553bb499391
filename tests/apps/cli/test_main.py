from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from mien import __version__
from mien.apps.cli.main import COMMANDS, main
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
        "import sys; sys.argv = ['mien', '--help']\n"
        "from mien.apps.cli.main import main; main()\n"
        "assert not {'typer', 'numpy', 'cv2', 'rich', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"mien {__version__}\n"


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "mien", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mien {__version__}\n"


@pytest.mark.parametrize(
    ("name", "hint"), [("analyse", "did you mean analyze?"), ("frobnicate", "expected one of analyze"),
                       ("--verison", "unknown option")]
)  # fmt: skip
def test_a_misspelt_command(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: unknown")
    assert hint in captured.err


@pytest.mark.parametrize("name", ["analyze", "doctor", "models"])
def test_every_reading_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"Usage: mien {name}" in capsys.readouterr().out


def test_an_unknown_option_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("analyze", "--colour", "x.png") == 2
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (ConfigError("a wrong option"), 2, "error: a wrong option\n"),
        (SourceError("a bad picture"), 3, "error: a bad picture\n"),
        (ArtifactError("a damaged model"), 5, "error: a damaged model\n"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
    ],
)
def test_errors_become_messages_and_exit_codes(
    error: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: list[str], prog_name: str) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "mien.apps.cli.doctor", SimpleNamespace(app=fail))
    assert run("doctor") == code
    assert capsys.readouterr().err == told
