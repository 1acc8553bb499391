from __future__ import annotations

import sys

import pytest

from mien.apps.cli.main import main


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
def test_without_a_screen_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    need_qt()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as end:
        main(["watch"])
    assert end.value.code == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: no screen")
    assert told.out == ""


def test_a_wrong_choice_is_refused_before_anything_opens(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["watch", "--detector", "eyes"])
    assert end.value.code == 2
    assert "'auto', 'mien', 'yunet', 'haar'" in capsys.readouterr().err
