from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from mien.apps.desktop.app import NEEDED_BY_QT, NEEDED_BY_XCB, need_display, need_qt
from mien.apps.desktop.controls import clock, find_cameras
from mien.errors import ConfigError, MissingExtraError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 and video4linux are Linux's")


@pytest.mark.parametrize(
    "environment", [{}, {"QT_QPA_PLATFORM": "xcb"}, {"DISPLAY": ""}],
)  # fmt: skip
def test_without_a_screen_it_says_so(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no screen to show a window on"):
        need_display(environment)


def test_a_screen_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.apps.desktop.app.NEEDED_BY_XCB", {})
    monkeypatch.setattr("mien.apps.desktop.app.NEEDED_BY_QT", {})
    with pytest.raises(ConfigError, match="no X server answers at DISPLAY=:4711"):
        need_display({"DISPLAY": ":4711"})


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {"libnone.so.9": "libnone9", "libnone-more.so.9": "libnone9", "libnothing.so": "libnothing1"}
    monkeypatch.setattr("mien.apps.desktop.app.NEEDED_BY_XCB", libraries)
    monkeypatch.setattr("mien.apps.desktop.app.NEEDED_BY_QT", {})
    with pytest.raises(ConfigError, match=r"apt-get install libnone9 libnothing1$"):
        need_display({"DISPLAY": ":0"})


WITH_PYTHON = r"lib(c|m|dl|pthread|rt|z|gcc_s|stdc\+\+|zstd|icu\w+|Qt6\w+|qxcb)\.so.*"
"""Those of the C library, and those that PySide6 brings along."""


def test_every_library_that_qt_takes_from_the_system_has_its_package() -> None:
    qt = Path(pytest.importorskip("PySide6").__file__).parent / "Qt"
    files = [qt / "plugins/platforms/libqxcb.so"]
    files += [qt / f"lib/libQt6{name}.so.6" for name in ("XcbQpa", "Core", "Gui", "Widgets", "DBus")]
    # The names of needed libraries are strings in the file, a null byte before and behind.
    pattern = rb"(?<=\0)lib[\w.+-]+\.so[\d.]*(?=\0)"
    found = {name.decode() for file in files for name in re.findall(pattern, file.read_bytes())}
    taken = {name for name in found if not re.fullmatch(WITH_PYTHON, name)}
    assert "libxcb-cursor.so.0" in taken
    assert taken <= NEEDED_BY_QT.keys() | NEEDED_BY_XCB.keys()


@pytest.mark.parametrize("environment", [{"QT_QPA_PLATFORM": "offscreen"}, {"WAYLAND_DISPLAY": "wayland-0"}])
def test_other_screens_are_qts_own_matter(environment: dict[str, str]) -> None:
    need_display(environment)
    # Without a word of them, X11 is meant, and there is none.
    with pytest.raises(ConfigError):
        need_display({})


def test_without_qt_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PySide6", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[desktop\]"'):
        need_qt()


def test_cameras_are_listed_without_their_further_nodes(tmp_path: Path) -> None:
    for number, index, name in ((10, 0, "Second"), (0, 0, "First"), (1, 1, "First")):
        folder = tmp_path / f"video{number}"
        folder.mkdir()
        (folder / "index").write_text(f"{index}\n")
        (folder / "name").write_text(f"{name}\n")
    assert [(camera.source, camera.name) for camera in find_cameras(tmp_path)] == [
        ("camera:0", "First"), ("camera:10", "Second"),
    ]  # fmt: skip
    assert find_cameras(tmp_path / "none") == []


@pytest.mark.parametrize(("seconds", "told"), [(0, "0:00"), (65.9, "1:05"), (3723, "1:02:03"), (-1, "0:00")])
def test_times_are_told_as_on_a_clock(seconds: float, told: str) -> None:
    assert clock(seconds) == told
