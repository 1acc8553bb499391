"""Core ML: `model.mlpackage`, for apps on Apple's systems."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.arrays import Float32, UInt8
from mien.errors import MissingExtraError
from mien.workshop.export.targets.target import Request, Written, is_int8
from mien.workshop.export.targets.torch_graph import GraphModule

NAME = "model.mlpackage"
MOST_FACES = 64


def write_coreml(request: Request, folder: Path) -> Written:
    """`model.mlpackage`, for 1 to 64 faces at a time; its input is float32 0–255, since Core ML takes no uint8.

    Raises:
        MissingExtraError: coremltools is not installed.
    """
    try:
        import coremltools as ct
    except ImportError as error:
        raise MissingExtraError("coremltools", "coreml") from error
    spec = request.manifest.input
    module = GraphModule(request.graph).eval()
    # torch gives it no types.
    trace: Any = torch.jit.trace
    traced = trace(module, torch.zeros(2, spec.channels, spec.height, spec.width))
    shape = ct.Shape((ct.RangeDim(1, MOST_FACES), spec.channels, spec.height, spec.width))
    model = ct.convert(
        traced,
        inputs=[ct.TensorType("faces", shape, np.float32)],
        outputs=[ct.TensorType(name) for name in module.outputs],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=sys.platform != "darwin",
    )
    model.short_description = f"{request.manifest.name}: facial expressions, by Mien"
    model.version, model.license = request.manifest.version, request.manifest.licence
    model.user_defined_metadata.update(request.metadata)
    model.save(str(folder / NAME))

    def run(faces: UInt8) -> dict[str, Float32]:
        found = model.predict({"faces": faces.astype(np.float32)})
        return {name: np.asarray(found[name], np.float32) for name in module.outputs}

    note = "The input is faces as float32 from 0 to 255."
    runs = run if sys.platform == "darwin" else None
    return Written(NAME, runs, exact=not is_int8(request.graph), note=note)
