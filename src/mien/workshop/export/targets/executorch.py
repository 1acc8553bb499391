"""ExecuTorch: `model.pte` for its XNNPACK backend, on phones' and small computers' CPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mien.arrays import Float32, UInt8
from mien.errors import MissingExtraError
from mien.workshop.export.targets.target import Request, Written, is_int8
from mien.workshop.export.targets.torch_graph import GraphModule


def write_executorch(request: Request, folder: Path) -> Written:
    """`model.pte`, one face at a time; its input is float32 0–255, since XNNPACK takes no uint8.

    Raises:
        MissingExtraError: ExecuTorch is not installed.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.runtime import Runtime
    except ImportError as error:
        raise MissingExtraError("executorch", "executorch") from error
    spec = request.manifest.input
    module = GraphModule(request.graph).eval()
    example = torch.zeros(1, spec.channels, spec.height, spec.width)
    exported = torch.export.export(module, (example,))
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / "model.pte").write_bytes(program.buffer)

    def run(faces: UInt8) -> dict[str, Float32]:
        method = Runtime.get().load_program(program.buffer).load_method("forward")
        rows = [method.execute([torch.from_numpy(face[None].astype(np.float32))]) for face in faces]
        columns = zip(*rows, strict=True)
        return {
            name: np.concatenate([value.numpy() for value in column])
            for name, column in zip(module.outputs, columns, strict=True)
        }

    note = "The input is one face as float32 from 0 to 255; labels and input form are in manifest.json."
    return Written("model.pte", run, exact=not is_int8(request.graph), note=note)
