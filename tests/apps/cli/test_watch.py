from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mien.apps.cli.main import main

MIEN = [sys.executable, "-m", "mien", "watch"]


def watch(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    return subprocess.run([*MIEN, *arguments], env=kept | environment, capture_output=True, text=True, timeout=300)


def test_without_qt_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "PySide6", None)
    with pytest.raises(SystemExit) as end:
        main(["watch"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told == 'error: this needs PySide6, which is not installed: pip install "mien[desktop]"\n'


def need_qt() -> None:
    try:
        import PySide6.QtWidgets  # noqa: F401
    except ImportError as error:
        pytest.skip(f"{error}: the tests of the window are left out too")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_without_a_screen_it_says_so() -> None:
    need_qt()
    done = watch()
    assert done.returncode == 2
    assert done.stderr.startswith("error: no screen")
    assert done.stdout == ""


def test_a_wrong_choice_is_refused_before_anything_opens() -> None:
    done = watch("--detector", "eyes")
    assert done.returncode == 2
    assert "'auto', 'mien', 'yunet', 'haar'" in done.stderr
