"""The folder that Mien reads: both graphs, a manifest, a card."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.faces.mien_detector import DetectorManifest
from mien.faces.verification import SIDE_PX
from mien.workshop.detection.detector_network import FaceNetwork, Shape
from mien.workshop.detection.verifier import Judgement, Verifier
from mien.workshop.export.quantize import simplify, store_half

TEACHERS = ("YuNet 2023mar (Wu et al. 2023), MIT",)
LICENCE = "Apache-2.0"
TRAINED_ON = (
    "pictures composed of 2,250 photographs of one person each (LFW, by way of muxspace/facial_expressions) and of "
    "900 scenes (one an ImageNet class), and of FER2013's Training faces; labelled by the teacher, by nobody by hand"
)

CARD = """# {name} {version}: the face detector that comes with Mien

Finds faces in grey levels: boxes from the hairline to under the chin, scores, five landmarks. One network searches the
picture, a second one judges each candidate alone, upright, at 40 px.

- **Weights**: {licence}. **Teacher**: {teachers}. Distilled weights are a copy of their teacher's taste: whom it
  overlooks, they tend to overlook, whatever the pictures between them. Nobody labelled a face by hand.
- **Taught with**: {trained_on}. The last 250 photographs and the last 100 scenes were never trained on.
- **Threshold**: {min_score}.
- **Not for**: telling who somebody is, or any decision about a person.

Figures, and how to measure them again: `docs/study/LOG.md`, `make model-detector DATA=folder`.
"""


class _Served(nn.Module):
    """Grey pictures uint8 (N, H, W) → what the network says, scores still logits."""

    def __init__(self, network: nn.Module) -> None:
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
    rows, columns = 32 * torch.export.Dim("rows", min=1, max=256), 32 * torch.export.Dim("columns", min=1, max=256)
    example = torch.zeros(1, 96, 128, dtype=torch.uint8)
    return _to_onnx(_Served(network), example, "image", {1: rows, 2: columns}, half=half)


def build_verifier_graph(network: Verifier, *, half: bool = True) -> bytes:
    """The bytes of an ONNX file for squares uint8 (N, 40, 40)."""
    example = torch.zeros(2, SIDE_PX, SIDE_PX, dtype=torch.uint8)
    return _to_onnx(_Served(network), example, "squares", {0: torch.export.Dim("count", min=1, max=4096)}, half=half)


def _to_onnx(served: nn.Module, example: Tensor, name: str, shapes: dict[int, Any], *, half: bool) -> bytes:
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                served.cpu().eval(),
                (example,),
                dynamo=True,
                input_names=[name],
                output_names=["faces"],
                dynamic_shapes={"image": shapes},
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


def load_judgement(path: Path) -> Judgement:
    """What `make_verifier` wrote, `verifier.safetensors`.

    Raises:
        ConfigError: it is another file, damaged, or of another network.
    """
    network = Verifier()
    try:
        with safe_open(path, "pt") as file:
            note = json.loads(file.metadata()["judgement"])
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} is not a verifier that `verify` of this version wrote: {reason}") from error
    return Judgement(network.eval(), tuple(note["fusion"]), note["candidate_score"])


def export(
    network: FaceNetwork,
    judgement: Judgement,
    folder: Path,
    *,
    version: str,
    min_score: float,
    name: str = "mien-face",
) -> Path:
    """Write the detector's folder; what was there is replaced."""
    graph, verifier = build_graph(network), build_verifier_graph(judgement.verifier)
    manifest = DetectorManifest(
        name=name, version=version, sha256=hashlib.sha256(graph).hexdigest(), min_score=min_score,
        licence=LICENCE, teachers=TEACHERS, trained_on=TRAINED_ON,
        verifier_sha256=hashlib.sha256(verifier).hexdigest(), candidate_score=judgement.candidate_score,
        fusion=judgement.fusion,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detector.onnx").write_bytes(graph)
    (folder / "verifier.onnx").write_bytes(verifier)
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")
    values = {**asdict(manifest), "teachers": "; ".join(manifest.teachers)}
    (folder / "card.md").write_text(CARD.format(**values), "utf-8")
    return folder
