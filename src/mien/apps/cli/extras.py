"""Says in one sentence which pip line brings a command to life."""

from __future__ import annotations

from importlib.util import find_spec

from mien.errors import MissingExtraError

TRAIN_PACKAGES = ("torch", "lightning_fabric", "safetensors", "pydantic", "onnx", "onnxscript")


def need_train_extra() -> None:
    """Raise MissingExtraError unless the packages of the extra `train` are installed."""
    for package in TRAIN_PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")
