"""LiteRT, formerly TensorFlow Lite: `model.tflite`, for Android and small devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mien.arrays import Float32, UInt8
from mien.errors import MissingExtraError
from mien.workshop.export.targets.target import Request, Written, is_int8
from mien.workshop.export.targets.torch_graph import GraphModule

NAME = "model.tflite"


def write_litert(request: Request, folder: Path) -> Written:
    """`model.tflite`, one face at a time.

    Raises:
        MissingExtraError: the converter or the runtime that checks it is not installed.
    """
    try:
        import litert_torch
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("litert-torch and ai-edge-litert", "litert") from error
    spec = request.manifest.input
    module = GraphModule(request.graph).eval()
    example = torch.zeros(1, spec.channels, spec.height, spec.width)
    litert_torch.convert(module, (example,)).export(str(folder / NAME))
    content = (folder / NAME).read_bytes()

    def run(faces: UInt8) -> dict[str, Float32]:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        # In the order of the module's outputs: the converter gives them names of its own.
        places = [entry["index"] for entry in interpreter.get_output_details()]
        rows = []
        for face in faces:
            interpreter.set_tensor(place, face[None].astype(np.float32))
            interpreter.invoke()
            rows.append([interpreter.get_tensor(index) for index in places])
        columns = zip(*rows, strict=True)
        return {name: np.concatenate(column) for name, column in zip(module.outputs, columns, strict=True)}

    note = "The input is one face as float32 from 0 to 255; labels and input form are in manifest.json."
    return Written(NAME, run, exact=not is_int8(request.graph), note=note)
