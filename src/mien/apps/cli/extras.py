"""Says in one sentence which pip line brings a command to life."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from mien.errors import MissingExtraError

TRAIN_PACKAGES = ("torch", "lightning_fabric", "safetensors", "pydantic", "onnx", "onnxscript")
SEARCH_PACKAGES = ("optuna", "sqlalchemy")


def need_train_extra() -> None:
    """Raise MissingExtraError unless the packages are installed without which nothing is trained or exported.

    Those of the extra `train` that only some settings need, timm and scikit-learn, are asked for where they are used.
    """
    _need(TRAIN_PACKAGES, "train")


def need_search_extra() -> None:
    """Raise MissingExtraError unless the packages of a search are installed, those of its trainings included."""
    _need(TRAIN_PACKAGES, "train")
    _need(SEARCH_PACKAGES, "search")


def need_recipes() -> None:
    """Raise MissingExtraError unless recipes of data sets can be read."""
    _need(("pydantic",), "train")


def _need(packages: Iterable[str], extra: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
