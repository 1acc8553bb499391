"""`mien doctor`: versions, model, detector, and where things are kept."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import click
import numpy as np

from mien import __version__
from mien.apps.cli.doctor_surfaces import surfaces
from mien.apps.cli.fitting import hanging
from mien.artifact import store
from mien.artifact.catalog import BUNDLED
from mien.artifact.runtime import VERSION, choose_providers, choose_threads, list_providers
from mien.errors import MienError
from mien.faces.mien_detector import MienDetector
from mien.reading.classifier import BATCH, Model, load_model

EXTRAS = {
    "train": ("torch", "lightning_fabric", "onnx", "onnxscript", "safetensors", "pydantic", "matplotlib"),
    "parquet": ("pyarrow",),
    "batch": ("ray", "pyarrow"),
    "pandas": ("pandas",),
    "heic": ("pillow_heif",),
    "journal": ("mlflow", "sqlalchemy", "alembic"),
    "client": ("httpx",),
}
"""The modules that each extra brings."""

INDENT = 15
Lines = Iterator[tuple[str, str]]


@click.command("doctor")
def app() -> None:
    """Check the installation: versions, model, detector, window, page, service, cameras, folders.

    Exits with the code of the last problem found.
    """
    code = 0
    for part in (_versions, _runtime, _detector, _model, surfaces, _places, _extras):
        # All parts run, whatever fails: a user wants to know every problem at once.
        code = _show(part) or code
    if code:
        raise click.exceptions.Exit(code)


def _show(part: Callable[[], Lines]) -> int:
    """Print a part's lines; a MienError becomes a line too, and its exit code is returned."""
    try:
        for name, text in part():
            click.echo(hanging(name, text, INDENT))
    except MienError as error:
        click.echo(hanging(part.__name__.strip("_"), f"PROBLEM: {error}", INDENT))
        return error.exit_code
    return 0


def _versions() -> Lines:
    import cv2

    yield "mien", __version__
    yield "python", f"{platform.python_version()} at {sys.executable}"
    yield "platform", platform.platform()
    yield "numpy", np.__version__
    yield "opencv", cv2.__version__
    yield "onnxruntime", VERSION


def _runtime() -> Lines:
    yield "providers", f"{', '.join(choose_providers())} in use; available: {', '.join(list_providers())}"
    yield "threads", str(choose_threads())


def _detector() -> Lines:
    own = MienDetector().manifest
    yield "detector", f"{own.name} {own.version}, which comes along"
    if found := store.find(store.YUNET):
        yield "yunet", f"its file is at {found}; --detector yunet uses it"


def _model() -> Lines:
    model = load_model()
    manifest = model.manifest
    yield "model", f"{model.name} {model.version}, sha256 {manifest.sha256[:16]}… verified"
    yield (
        "heads",
        ", ".join(
            f"{name} ({len(labels)}{', default' if name == manifest.default_head else ''})"
            for name, labels in model.heads.items()
        ),
    )
    yield "self-test", _timed(model)


def _timed(model: Model) -> str:
    """The time of one crop and the rate of a batch, the best of a few."""
    shape = (model.spec.height, model.spec.width)
    one, many = np.zeros((1, *shape), np.uint8), np.zeros((BATCH, *shape), np.uint8)
    # The best, not the mean: the first run plans, and others wait for the machine.
    one_s = min(_seconds(model, one) for _ in range(5))
    many_s = min(_seconds(model, many) for _ in range(2))
    return f"one crop {1e3 * one_s:.1f} ms, {BATCH / many_s:,.0f} crops/s in a batch of {BATCH}"


def _seconds(model: Model, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    started = time.perf_counter()
    model.predict(crops)
    return time.perf_counter() - started


def _places() -> Lines:
    home = store.home()
    yield "own files", f"{home}{'' if home.is_dir() else ' (not made yet)'}; MIEN_HOME names another folder"
    yield "models", str(BUNDLED)


def _extras() -> Lines:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        state = f'lacks {", ".join(missing)}: pip install "mien[{extra}]"' if missing else "installed"
        yield f"mien[{extra}]", state
