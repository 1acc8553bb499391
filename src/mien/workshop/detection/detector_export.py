"""The trained detector as the folder that Mien reads: `detector.onnx`, `manifest.json`, `card.md`."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mien.faces.mien_detector import DetectorManifest
from mien.workshop.detection.detector_network import FaceNetwork, Shape
from mien.workshop.export.quantize import simplify, store_half

TEACHERS = ("YuNet 2023mar (Wu et al. 2023), MIT",)
LICENCE = "Apache-2.0"
TRAINED_ON = (
    "pictures composed of 2,250 photographs of one person each (LFW, by way of muxspace/facial_expressions) and of "
    "900 scenes (one an ImageNet class), and of FER2013's Training faces; labelled by the teacher, by nobody by hand"
)

CARD = """# {name} {version}: the face detector that comes with Mien

Finds faces in grey levels: boxes from the hairline to under the chin, scores, five landmarks.

- **Weights**: {licence}. **Teacher**: {teachers}. Distilled weights are a copy of their teacher's taste: whom it
  overlooks, they tend to overlook, whatever the pictures between them. Nobody labelled a face by hand.
- **Taught with**: {trained_on}. The last 250 photographs and the last 100 scenes were never trained on.
- **Threshold**: {min_score}.
- **Not for**: telling who somebody is, or any decision about a person.

Figures, and how to measure them again: `docs/study/LOG.md`, `make model-detector DATA=folder`.
"""


class _Served(nn.Module):
    """Grey pictures uint8 (N, H, W), sides multiples of 32 → (N, points, 15), scores still logits."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        result: Tensor = self.network(image[:, None].float())
        return result


def load_network(path: Path) -> FaceNetwork:
    """The averaged weights that training wrote, `weights.safetensors`."""
    with safe_open(path, "pt") as file:
        shape = json.loads(file.metadata()["shape"])
        shape = {name: tuple(value) if isinstance(value, list) else value for name, value in shape.items()}
        network = FaceNetwork(Shape(**shape))
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return network.eval()


def build_graph(network: FaceNetwork, *, half: bool = True) -> bytes:
    """The bytes of an ONNX file for pictures of any size; `half` stores the weights as float16, half as large."""
    height, width = 32 * torch.export.Dim("rows", min=1, max=256), 32 * torch.export.Dim("columns", min=1, max=256)
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Served(network.cpu().eval()),
                (torch.zeros(1, 96, 128, dtype=torch.uint8),),
                dynamo=True,
                input_names=["image"],
                output_names=["faces"],
                dynamic_shapes={"image": {1: height, 2: width}},
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.name = "mien-face"
    for entry in [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del entry.metadata_props[:]
        entry.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    graph = simplify(bytes(model.SerializeToString()))
    return store_half(graph) if half else graph


def export(network: FaceNetwork, folder: Path, *, version: str, min_score: float, name: str = "mien-face") -> Path:
    """Write the detector's folder; what was there is replaced."""
    graph = build_graph(network)
    manifest = DetectorManifest(
        name=name, version=version, sha256=hashlib.sha256(graph).hexdigest(), min_score=min_score,
        licence=LICENCE, teachers=TEACHERS, trained_on=TRAINED_ON,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.onnx").write_bytes(graph)
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")
    values = {**asdict(manifest), "teachers": "; ".join(manifest.teachers)}
    (folder / "card.md").write_text(CARD.format(**values), "utf-8")
    return folder
