"""Where the real data is, and a guard against the network."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before they are imported: a process of the suite has a core, and threads that wait for one would spin.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pytest

from mien.artifact.artifact import Head, Manifest, write_artifact
from mien.artifact.calibration import Calibration
from mien.artifact.input import InputSpec
from mien.labels import HEADS

if TYPE_CHECKING:
    from mien.workshop.data.base import FaceDataset

REPOSITORY = Path(__file__).resolve().parents[1]
LONG = (
    "apps/batch/test_batch_run.py", "workshop/networks/test_architectures.py", "workshop/experiments/test_search.py",
    "test_notebooks.py", "apps/web/test_web_browser.py", "apps/service/test_reading_page.py", "test_side_effects.py",
    "apps/service/test_live_page.py", "apps/review/test_review_page.py", "workshop/data/test_fer2013.py",
    "workshop/export/test_targets.py", "workshop/temporal/test_clip_export.py", "test_doctests.py",
    "workshop/training/test_guard.py", "workshop/training/test_fit.py", "apps/service/test_shared_jobs.py",
)  # fmt: skip
"""The files that take longest: a run of several processes begins with them, so that none is left alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, where processes share the run."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = REPOSITORY / "tests"
        rank = {tests / name: number for number, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """What was imported stays: nobody who collects garbage has to go through it, in a test up to half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data sets, photos and detector weights: `../shared` or MIEN_TEST_DATA."""
    path = Path(os.environ.get("MIEN_TEST_DATA", REPOSITORY.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set MIEN_TEST_DATA to the folder that holds data/ and weights/")
    return path


@pytest.fixture(scope="session")
def fer2013_folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real fer2013.csv and ferplus.csv, unpacked once for all processes (some ten seconds)."""
    unpack = shared / "data" / "fer2013" / "unpack.py"
    if not unpack.is_file():
        pytest.skip(f"no FER2013 at {unpack.parent}")

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, str(unpack), str(folder / "csv"), "--csv"], check=True, capture_output=True)
        from mien.workshop.data.factory import load_dataset

        load_dataset(folder / "csv", cache_dir=folder / "cache")

    return made_once("fer2013", make, tmp_path_factory) / "csv"


@pytest.fixture(scope="session")
def fer2013(fer2013_folder: Path) -> FaceDataset:
    """The real data set with its votes, parsed once for all processes and read from the cache of that."""
    from mien.workshop.data.factory import load_dataset

    return load_dataset(fer2013_folder, cache_dir=fer2013_folder.parent / "cache")


def made_once(name: str, make: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    """A folder that the first process which needs it makes, and that all processes of the run read."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        folder = factory.mktemp(name)
        make(folder)
        return folder
    from filelock import FileLock

    folder = factory.getbasetemp().parent / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may open a connection to another machine unasked."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("127.0.0.1", "::1", "localhost", "unix"):
            raise AssertionError(f"a test opened a connection to {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Free names. Not pytest's own numbers, for which it reads the whole folder each time."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Mien keeps its files in an empty folder of the test, not in the user's."""
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("MIEN_HOME", str(home))


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Streamlit's AppTest leaves its script as `__main__`; every process that is spawned later would run it first."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def toy_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a valid artifact whose two heads are linear in a 48×48 grey face."""
    manifest = Manifest(
        name="toy", version="1.0", created="2026-01-01", licence="Apache-2.0", input=InputSpec(),
        heads={name: Head(labels, Calibration(1.5)) for name, labels in HEADS.items()}, default_head="crowd",
    )  # fmt: skip
    return write_artifact(tmp_path_factory.mktemp("artifacts") / "toy", toy_graph(), manifest)


def toy_graph(channels: int = 1, side: int = 48, heads: tuple[str, ...] = ("fer2013", "crowd")) -> bytes:
    """An ONNX graph by the artifact's contract: cast, flatten, one product a head."""
    from onnx import TensorProto, helper

    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["faces"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"], axis=1),
    ]
    weights, outputs = [], []
    for head in heads:
        shape = (channels * side * side, len(HEADS[head]))
        values = random.normal(0, 3e-4, shape).astype(np.float32)
        weights.append(helper.make_tensor(f"{head}_weights", TensorProto.FLOAT, shape, values.ravel()))
        nodes.append(helper.make_node("MatMul", ["flat", f"{head}_weights"], [head]))
        outputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, ["N", shape[1]]))
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", channels, side, side])
    graph = helper.make_graph(nodes, "toy", [faces], outputs, weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks train faster on one thread."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MLflow's empty database, which takes seconds to make."""
    from mien.artifact import mlflow_store as tracking

    if not tracking.is_installed():
        pytest.skip('needs pip install "mien[journal]"')
    home = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.connect()
    return home / "mlflow"


@pytest.fixture
def own_store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database of the test's own, in its MIEN_HOME."""
    home = tmp_path / "home"
    shutil.copytree(empty_store, home / "mlflow")
    monkeypatch.setenv("MIEN_HOME", str(home))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return home / "mlflow"
