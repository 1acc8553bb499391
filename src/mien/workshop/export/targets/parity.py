"""Whether an exported model answers as the artifact does: probabilities as users are shown them, on made-up faces."""

from __future__ import annotations

import numpy as np

from mien.arrays import Float32, UInt8
from mien.artifact.input import InputSpec
from mien.artifact.manifest import Manifest
from mien.errors import ArtifactError
from mien.images.pictures import resize
from mien.workshop.export.targets.described import PROBABILITIES, shown_calibration

ROWS = 64
EXACT = 1e-4
"""For the same graph in another runtime or format."""
FLOAT = 0.02
"""For an int8 graph as float32, which does not round between layers: the mean difference of a probability."""


def make_faces(spec: InputSpec) -> UInt8:
    """Smooth random pictures (N, C, H, W), the same every time: what a graph computes is compared, not how well."""
    generator = np.random.default_rng(2026)
    faces = np.empty((ROWS, spec.channels, spec.height, spec.width), np.uint8)
    for row in range(ROWS):
        coarse = generator.integers(0, 256, (4 + row % 9, 4 + row % 7, spec.channels), dtype=np.uint8)
        faces[row] = resize(coarse, spec.height, spec.width).transpose(2, 0, 1)
    return faces


def to_probabilities(outputs: dict[str, Float32], manifest: Manifest, labels: tuple[str, ...] | None) -> Float32:
    """What a graph gives, as the probabilities of its default head."""
    if labels is not None:
        return outputs[PROBABILITIES]
    return shown_calibration(manifest).probabilities(outputs[manifest.default_head])


def run_unrounded(graph: bytes, faces: UInt8) -> dict[str, Float32]:
    """What an int8 graph would give if it did not round between layers, by torch."""
    import torch

    from mien.workshop.export.targets.torch_graph import GraphModule

    module = GraphModule(graph).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(faces.astype(np.float32)))
    return {name: value.numpy() for name, value in zip(module.outputs, found, strict=True)}


def require_parity(found: Float32, expected: Float32, what: str, *, exact: bool = True) -> float:
    """The largest difference of a probability, or the mean one unless `exact`.

    Raises:
        ArtifactError: it is above `EXACT`, or `FLOAT`.
    """
    if found.shape != expected.shape:
        raise ArtifactError(f"{what} answers with {found.shape} where the model gives {expected.shape}")
    differences = np.abs(found - expected)
    difference, most = (float(differences.max()), EXACT) if exact else (float(differences.mean()), FLOAT)
    # Negated, so that NaN fails.
    if not difference <= most:
        raise ArtifactError(
            f"{what} does not answer as the model does: probabilities differ by {difference:.2g} on {len(found)} "
            f"pictures, at most {most:g} is allowed"
        )
    return difference
