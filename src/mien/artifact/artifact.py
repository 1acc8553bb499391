"""The artifact: a folder with `model.onnx` and `manifest.json`, in which training and reading meet."""

from __future__ import annotations
