"""What differs on macOS and Windows, tried here: the platform is made up, and so is what only it has."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from mien import files
from mien.apps.cores import count_cores
from mien.errors import ConfigError, SourceError
from mien.reading import results
from mien.sinks.base import PartFile
from mien.sources.camera import CameraGrabber, open_camera
from mien.sources.stream import LiveOptions

SOURCE = Path(files.__file__).parent
TRIED = {
    "apps/batch/run.py": "here",
    "apps/cli/doctor_surfaces.py": "here",
    "apps/cores.py": "here",
    "apps/desktop/app.py": "here, tests/apps/desktop/test_display.py",
    "apps/desktop/controls.py": "here, tests/apps/desktop/test_display.py",
    "apps/streamlit_server.py": "here",
    "artifact/mlflow_store.py": "here",
    "artifact/runtime.py": "here, tests/reading/test_forks.py",
    "artifact/store.py": "tests/artifact/test_store.py",
    "files.py": "here",
    "reading/results.py": "here",
    "sinks/base.py": "here",
    "sources/camera.py": "here, tests/sources/test_camera.py",
    "workshop/export/targets/coreml.py": "here",
    "workshop/training/fit.py": "here, tests/workshop/training/test_accelerator.py",
    "workshop/training/processes.py": "here",
}
"""The files with a branch for a platform, and where each side of it is tried."""


def _asks_for_the_platform(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(ast.Name("sys"), "platform") | ast.Attribute(ast.Name("os"), "name"):
            return True
        case ast.Call(ast.Name("hasattr"), [ast.Name("os" | "signal" | "socket" | "time"), *_]):
            return True
    return False


def test_every_branch_for_a_platform_is_tried_somewhere() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if any(_asks_for_the_platform(node) for node in ast.walk(ast.parse(path.read_bytes())))
    }
    assert found == TRIED.keys()


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Windows with its locks: of one byte, that no other open file may hold."""
    held: dict[tuple[int, int], int] = {}

    def locking(number: int, mode: int, count: int) -> None:
        assert (mode, count) == (2, 1)
        file, place = os.fstat(number).st_ino, os.lseek(number, 0, os.SEEK_CUR)
        if held.setdefault((file, place), number) != number:
            raise PermissionError("locked")

    module = ModuleType("msvcrt")
    module.__dict__.update(LK_NBLCK=2, locking=locking, held=held)
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    monkeypatch.setattr("sys.platform", "win32")
    return module


def test_on_windows_a_lock_lies_behind_what_others_read(windows: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.write_text("4711")
    with path.open("a+") as mine, path.open("a+") as other:
        assert files.try_lock(mine)
        assert not files.try_lock(other)
    ((_, place),) = windows.held
    assert place > path.stat().st_size
    assert path.read_text() == "4711"


def test_on_windows_rows_have_one_writer_and_are_closed_before_they_get_their_name(
    windows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PartFile(tmp_path / "rows.csv")
    with pytest.raises(ConfigError, match=r"rows\.csv is being written by another run"):
        PartFile(tmp_path / "rows.csv")
    part.write("a,b\n")
    replace = Path.replace
    open_then = []

    def watched(self: Path, target: Path) -> Path:
        open_then.append(not part._file.closed)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    part.close()
    assert open_then == [False]
    assert (tmp_path / "rows.csv").read_text() == "a,b\n"


@pytest.mark.parametrize(("platform", "viewer"), [("darwin", "open"), ("win32", "explorer"), ("linux", "xdg-open")])
def test_an_image_is_shown_by_the_systems_viewer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, viewer: str
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(shutil, "which", {viewer: f"/bin/{viewer}"}.get)
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: started.append(command))
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: str(tmp_path))
    results.show_image(np.zeros((4, 4, 3), np.uint8))
    assert started == [[viewer, str(tmp_path / "result.png")]]
    assert (tmp_path / "result.png").is_file()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match=r"no image viewer; write it with save\(path\)"):
        results.show_image(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_a_camera_is_opened_by_its_number_where_it_is_no_file(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    asked: list[tuple[int | str, int]] = []

    class Capture:
        there = True

        def __init__(self, device: int | str, backend: int) -> None:
            asked.append((device, backend))

        def isOpened(self) -> bool:  # noqa: N802
            return self.there

        def read(self) -> tuple[bool, None]:
            return False, None

        def set(self, *_: float) -> None: ...

        def get(self, _: int) -> float:
            return 0.0

        def release(self) -> None: ...

    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("mien.sources.camera.RETRY_S", 0)
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    grabber = CameraGrabber(87, LiveOptions())
    assert grabber.open() is None
    assert asked == [(87, cv2.CAP_ANY)]
    # Whether it was unplugged cannot be asked: it may come back.
    assert grabber.read() is None
    grabber.close()
    Capture.there = False
    with pytest.raises(SourceError, match="camera:87: cannot be opened"):
        open_camera(87)


def test_without_a_list_of_cameras_the_first_ones_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    from mien.apps.desktop.controls import find_cameras

    monkeypatch.setattr("sys.platform", "darwin")
    assert [camera.source for camera in find_cameras()] == ["camera:0", "camera:1"]


def test_the_window_asks_for_x_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.apps.desktop import app

    def fail(name: str) -> ModuleType:
        if name == "PySide6.QtWidgets":
            raise ImportError("a DLL is missing")
        return ModuleType(name)

    monkeypatch.setattr("sys.platform", "win32")
    app.need_display({})
    monkeypatch.setattr(app.importlib, "import_module", fail)
    with pytest.raises(ConfigError, match=r"Qt cannot be loaded \(a DLL is missing\)$"):
        app.need_qt()


@pytest.mark.parametrize(("platform", "shares"), [("linux", [True]), ("win32", [])])
def test_a_port_that_another_program_listens_on_is_told(
    monkeypatch: pytest.MonkeyPatch, platform: str, shares: list[bool]
) -> None:
    """On Windows SO_REUSEADDR would share the port with the program that has it."""
    from mien.apps.streamlit_server import Address, check_address

    asked: list[bool] = []
    setsockopt = socket.socket.setsockopt

    def watched(self: socket.socket, level: int, option: int, value: int) -> None:
        asked.append(option == socket.SO_REUSEADDR)
        setsockopt(self, level, option, value)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setattr(socket.socket, "setsockopt", watched)
        with pytest.raises(ConfigError, match="is in use"):
            check_address(Address("127.0.0.1", taken.getsockname()[1]))
    assert asked == shares


@pytest.mark.parametrize(("platform", "headless"), [("linux", True), ("darwin", False), ("win32", False)])
def test_the_page_opens_a_browser_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, platform: str, headless: bool
) -> None:
    from mien.apps.streamlit_server import Address, server_options

    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    assert server_options(Address("127.0.0.1", 1), browser=True)["server_headless"] is headless


@pytest.mark.parametrize(("platform", "told"), [("linux", "none"), ("darwin", "mien watch 0 tries the first")])
def test_doctor_tells_how_to_try_a_camera_that_is_not_listed(
    monkeypatch: pytest.MonkeyPatch, platform: str, told: str
) -> None:
    from mien.apps.cli import doctor_surfaces

    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(doctor_surfaces, "list_cameras", dict)
    assert dict(doctor_surfaces.surfaces())["cameras"] == told


def test_cores_are_those_of_the_machine_where_a_process_has_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 48)
    assert count_cores() == 48


def test_a_process_that_may_live_keeps_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows os.kill(number, 0) would end it."""
    run = pytest.importorskip("mien.apps.batch.run")
    monkeypatch.setattr(run, "os", SimpleNamespace(name="nt"))
    assert run._is_alive(4711)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "here/mien/mlflow"),
        ("linux", None, "me/.local/share/mien/mlflow"),
        ("darwin", None, "me/Library/Application Support/mien/mlflow"),
        ("win32", "LOCALAPPDATA", "here/mien/mlflow"),
        ("win32", None, "me/AppData/Local/mien/mlflow"),
    ],
)
def test_runs_are_kept_in_the_platforms_folder_of_data(
    monkeypatch: pytest.MonkeyPatch, platform: str, variable: str | None, expected: str
) -> None:
    from mien.artifact.mlflow_store import local_folder

    for name in ("MIEN_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: cls("me")))
    if variable:
        monkeypatch.setenv(variable, "here")
    assert local_folder() == Path(expected)


def test_models_load_where_processes_cannot_fork(toy_artifact: Path) -> None:
    code = (
        # Those of the standard library take it for granted where they are installed.
        "import concurrent.futures.thread, logging, os, random, sys\n"
        "if hasattr(os, 'register_at_fork'): del os.register_at_fork\n"
        "from mien.reading.classifier import load_model\n"
        "print(load_model(sys.argv[1]).name)"
    )
    command = [sys.executable, "-c", code, str(toy_artifact)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "toy"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_compiler_of_the_platform_is_named_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    from mien.workshop.training.fit import _compiled

    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(torch, "compile", lambda network: f"compiled {network}")
    fabric: Any = SimpleNamespace(device=torch.device("cpu"))
    if platform == "win32":
        # Its compiler is not on the path: torch finds it by itself.
        assert _compiled("network", fabric) == "compiled network"  # type: ignore[arg-type]
        return
    with pytest.raises(ConfigError, match="with clang" if platform == "darwin" else "with g"):
        _compiled("network", fabric)  # type: ignore[arg-type]


@pytest.mark.parametrize(("platform", "interface"), [("linux", "lo"), ("darwin", "lo0"), ("win32", None)])
def test_processes_of_a_training_meet_on_the_loopback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, interface: str | None
) -> None:
    torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    from mien.workshop.training.processes import _join

    backends: list[str] = []
    for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "GLOO_SOCKET_IFNAME"):
        # Set first, so that what the function sets is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **_: backends.append(backend))
    _join(0, 2, tmp_path / "meeting", 1, cuda=False)
    assert os.environ.get("GLOO_SOCKET_IFNAME") == interface
    assert (backends, os.environ["WORLD_SIZE"]) == (["gloo"], "2")


# What coremltools converts best is still a traced network.
@pytest.mark.filterwarnings("ignore:.torch.jit.trace.* is deprecated:FutureWarning")
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_core_ml_package_is_compared_where_it_can_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    """The converter is made up: its package is the traced network itself."""
    torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    from mien.workshop import export_model_to

    asked: dict[str, Any] = {}

    class Package:
        def __init__(self, traced: Any, outputs: list[str]) -> None:
            self.traced, self.outputs = traced, outputs
            self.user_defined_metadata: dict[str, str] = {}

        def save(self, path: str) -> None:
            Path(path).mkdir()

        def predict(self, faces: dict[str, Any]) -> dict[str, Any]:
            assert asked["skip_model_load"] is False
            return dict(zip(self.outputs, self.traced(torch.from_numpy(faces["faces"])), strict=True))

    def convert(traced: Any, **options: Any) -> Package:
        asked.update(options)
        return Package(traced, options["outputs"])

    tools = ModuleType("coremltools")
    constants = SimpleNamespace(iOS16=16, FLOAT32=32)
    tools.__dict__.update(
        convert=convert, TensorType=lambda name, *_: name, Shape=lambda *_: None, RangeDim=lambda *_: None,
        target=constants, precision=constants,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "coremltools", tools)
    monkeypatch.setattr("sys.platform", platform)
    done = export_model_to("mien-xs", "coreml", tmp_path / "out")
    assert done.path.name == "model.mlpackage"
    assert asked["skip_model_load"] is (platform != "darwin")
    assert (done.difference is not None) is (platform == "darwin")
