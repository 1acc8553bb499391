"""What Mien's surfaces leave behind and whom they ask: in an empty HOME, nothing but Mien's own files, and nobody.

Dependencies write files and open connections when they are imported or used; `docs/guide/privacy.md` says which do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ports import free_port

from mien.images.pictures import encode

SOURCE = Path(__file__).resolve().parents[1] / "src"
PATIENCE_S = 120.0
OWN = (".cache/mien/", ".local/share/mien/")
DRAWN = (".cache/matplotlib/", ".config/matplotlib/")
"""Matplotlib's list of the fonts that there are; see the guide."""

WATCH = """
import ipaddress, os, sys

def is_here(host):
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    else:
        return
    if not is_here(host):
        with open(os.environ["TOLD_TO"], "a") as file:
            file.write(f"{event} {host}\\n")
        raise OSError(f"no network: {event} {host}")

sys.addaudithook(watch)
"""

LIBRARY = (
    "import sys, mien; print(mien.analyze(sys.argv[1])); print(mien.Pipeline(detector='none').analyze(sys.argv[1]))"
)
JOURNAL = """
import sys
from mien.artifact.versions import register
from mien.reading.classifier import load_model
from mien.artifact.catalog import resolve
print(load_model(register(resolve("mien-xs"))[0].reference).name)
"""
SEARCH = """
import optuna, mien.workshop.experiments.search_run, mien.workshop.reports.search_report
optuna.create_study(storage="sqlite:///asked-for.db").optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
"""
TRAINING = """
import lightning_fabric, onnxscript, sklearn, timm, torch
import mien.workshop.export.graph, mien.workshop.export.quantize, mien.workshop.training.fit
from mien.artifact.runtime import load_quantizer
load_quantizer()
"""
FIGURES = """
from matplotlib.figure import Figure
import mien.workshop.reports.charts, mien.workshop.training.display
figure = Figure()
figure.subplots().set_title("t")
figure.savefig("asked-for.png")
"""
WINDOW = """
from PySide6.QtCore import QTimer
from mien.apps.desktop import window
from mien.apps.desktop.app import WindowOptions, start

class Brief(window.Window):
    def show(self):
        super().show()
        QTimer.singleShot(1000, self.close)

window.Window = Brief
start(WindowOptions())
"""
PROGRAMS = {
    "library": (LIBRARY, "cv2"), "journal": (JOURNAL, "mlflow"), "search": (SEARCH, "optuna"),
    "training": (TRAINING, "torch"), "figures": (FIGURES, "matplotlib"), "window": (WINDOW, "PySide6"),
}  # fmt: skip


class Place:
    """An empty HOME and working folder, and a Python that reports whom it asks."""

    def __init__(self, folder: Path) -> None:
        self.home, self.work, self.asked = folder / "home", folder / "work", folder / "asked.txt"
        self.photo = folder / "photo.png"
        watch = folder / "watch"
        for made in (self.home, self.work, watch):
            made.mkdir()
        (watch / "sitecustomize.py").write_text(WATCH)
        pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        self.photo.write_bytes(encode(pixels, "png"))
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        self.environment = kept | {
            "HOME": str(self.home), "PYTHONPATH": f"{watch}{os.pathsep}{SOURCE}", "TOLD_TO": str(self.asked),
            "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "QT_QPA_PLATFORM": "offscreen",
        }  # fmt: skip

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> str:
        command = [*before, sys.executable, *arguments]
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def serving(self, path: str, *arguments: str) -> Iterator[str]:
        """A server of Mien on a free port of this computer; its address, once `path` answers."""
        port = free_port()
        log = self.work.with_name("server.log")
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "mien", *arguments, "--port", str(port)], cwd=self.work, env=self.environment,
                stdout=file, stderr=file,
            )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            end = time.monotonic() + PATIENCE_S
            while status(f"{address}{path}") != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check(self, *allowed: str, asked_for: tuple[str, ...] = ()) -> None:
        """Nobody was asked, and there are no files but Mien's own and those that were asked for."""
        assert not self.asked.exists(), self.asked.read_text()
        left = [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if not path.is_dir()]
        assert [path for path in left if not path.startswith((*OWN, *allowed))] == []
        assert {path.name for path in self.work.iterdir()} <= set(asked_for)


def status(url: str, **headers: str) -> int:
    """The HTTP status of a page; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_watch_sees_what_python_asks(place: Place) -> None:
    place.run("-c", "import socket\ntry: socket.create_connection(('collector.example', 443))\nexcept OSError: pass")
    assert place.asked.read_text() == "socket.getaddrinfo collector.example\n"
    with pytest.raises(AssertionError, match=r"collector\.example"):
        place.check()


@pytest.mark.parametrize("surface", PROGRAMS)
def test_programs_leave_nothing_and_ask_nobody(place: Place, surface: str) -> None:
    program, needed = PROGRAMS[surface]
    if find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    place.run("-c", program, str(place.photo))
    allowed = DRAWN if surface in ("figures", "training", "search") else ()
    place.check(*allowed, asked_for=("asked-for.db", "asked-for.png"))


@pytest.mark.parametrize("arguments", [["analyze", "PHOTO", "--json"], ["doctor"], ["model", "list"]])
def test_commands_leave_nothing_and_ask_nobody(place: Place, arguments: list[str]) -> None:
    place.run("-m", "mien", *(str(place.photo) if part == "PHOTO" else part for part in arguments))
    place.check()


def test_the_service_leaves_nothing_and_asks_nobody(place: Place) -> None:
    pytest.importorskip("fastapi", reason='needs pip install "mien[service]"')
    with place.serving("/readyz", "serve") as address:
        asked = urllib.request.Request(
            f"{address}/v1/analyze", place.photo.read_bytes(), {"Content-Type": "image/png"}, method="POST"
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.status == 200
    place.check()


def test_the_page_leaves_nothing_and_asks_nobody_also_when_others_knock(place: Place) -> None:
    pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')
    connect = pytest.importorskip("websockets.sync.client", reason="needs websockets").connect
    from websockets.exceptions import InvalidHandshake

    with place.serving("/_stcore/health", "app", "--no-browser") as address:
        host = address.removeprefix("http://")
        with connect(f"ws://{host}/_stcore/stream", origin=address) as page:
            assert page.protocol
        # Another site's page, and a site that points its name here.
        for name in (host, "evil.example"):
            line = socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])))
            with pytest.raises(InvalidHandshake):
                connect(f"ws://{name}/_stcore/stream", origin="http://evil.example", sock=line)
    place.check()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_system_sees_no_connection_either(place: Place) -> None:
    """What native code asks, Python does not see; ONNX Runtime's uploader asks 9 s after its import."""
    trace = place.work.with_name("trace.txt")
    try:
        place.run("-c", "pass", before=("strace", "-f", "-o", str(trace)))
    except AssertionError:
        pytest.skip("processes may not be traced here")
    program = f"{LIBRARY}; import time; time.sleep(12)"
    place.run("-c", program, str(place.photo), before=("strace", "-f", "-e", "trace=network", "-o", str(trace)))
    assert re.findall(r"^.*(?:AF_INET|nscd).*$", trace.read_text(), re.MULTILINE) == []
    place.check()


def test_one_module_imports_onnx_runtime() -> None:
    importing = re.compile(r"^\s*(?:import|from) +onnxruntime\b|import_module\(.onnxruntime", re.MULTILINE)
    found = [path.name for path in SOURCE.rglob("*.py") if importing.search(path.read_text("utf-8"))]
    assert found == ["runtime.py"]


def test_what_a_user_says_of_telemetry_stands(place: Place) -> None:
    told = "import os, mien; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert place.run("-c", told) == "1\n"
    place.environment["ORT_DISABLE_TELEMETRY"] = "0"
    assert place.run("-c", told) == "0\n"
