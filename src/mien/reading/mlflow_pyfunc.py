"""What MLflow loads a registered model with: `mlflow.pyfunc.load_model("models:/NAME@champion")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.arrays import Float32
from mien.reading.classifier import Model, load_model


class FaceExpressions:
    """A model by MLflow's interface of Python functions."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Float32:
        """Calibrated probabilities float32 (N, K), in the order of the labels in the model's metadata.

        Args:
            model_input: face crops uint8 (N, H, W) grey or (N, H, W, 3) RGB, of any size.
            params: `head`, the output head; the model's default if not given.

        Raises:
            ConfigError: no such head.
            ValueError: not such crops.
        """
        return self.model.predict(np.asarray(model_input), (params or {}).get("head"))


def _load_pyfunc(path: str) -> FaceExpressions:
    # By the folder: MLflow has fetched it, and the manifest pins the graph.
    return FaceExpressions(load_model(path))
