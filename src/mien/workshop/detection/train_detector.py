"""`python -m mien.workshop.detection.train_detector`: train a face detector, export it, set it beside others."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import click
import cv2
import onnx
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mien.artifact import store
from mien.errors import ConfigError, MienError
from mien.faces.detection import Detector
from mien.faces.haar import Haar
from mien.faces.mien_detector import DetectorManifest, MienDetector
from mien.faces.yunet import YuNet
from mien.workshop.detection.compose import Limits
from mien.workshop.detection.detector_network import FaceNetwork, Shape, Weights
from mien.workshop.detection.report import Judged, make_report, write_report
from mien.workshop.detection.teacher_labels import load_material
from mien.workshop.detection.training import Plan, train
from mien.workshop.export.quantize import simplify, store_half
from mien.workshop.toml_sections import read_toml

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW = click.Path(path_type=Path)


def find_teacher(path: Path | None) -> Path:
    """The teacher's file: the one named, else the one in Mien's folder.

    Raises:
        ConfigError: there is none.
    """
    found = path or store.find(store.YUNET)
    if found is None:
        raise ConfigError("the teacher is not there: fetch it by `mien model pull yunet`, or name it by --teacher")
    return found


@click.group()
def main() -> None:
    """Train the face detector that Mien ships."""
    cv2.setNumThreads(1)


@main.command("train")
@click.argument("study", type=FILE)
@click.argument("data", type=FOLDER)
@click.option("--teacher", type=FILE, help="YuNet's .onnx file; default the one that `mien model pull yunet` fetched.")
@click.option("--out", type=NEW, required=True, help="Folder of the run; a run that was stopped goes on.")
@click.option("--start", type=FILE, help="Weights to begin with, a `weights.safetensors` of the same network.")
@click.option("--workers", default=1, show_default=True, help="Processes that compose pictures.")
def train_command(study: Path, data: Path, teacher: Path | None, out: Path, start: Path | None, workers: int) -> None:
    """Train on the pictures of DATA: faces.zip, scenes.zip and, where it is, fer2013.npz."""
    settings = read_settings(study)
    material = load_material(data, find_teacher(teacher), out / "teacher.npz", click.echo)
    train(
        material, out, shape=settings.network, plan=settings.training, limits=settings.crowds, start=start,
        workers=workers, told=click.echo,
    )  # fmt: skip


@main.command("export")
@click.argument("study", type=FILE)
@click.argument("run", type=FOLDER)
@click.option("--out", type=NEW, required=True, help="The detector's folder.")
def export_command(study: Path, run: Path, out: Path) -> None:
    """Write the averaged weights of RUN as the folder that Mien reads."""
    settings = read_settings(study)
    export(load_network(run / "weights.safetensors"), out, version=settings.version, min_score=settings.min_score)
    click.echo(f"{out}: {(out / 'detector.onnx').stat().st_size:,} bytes")


@main.command("report")
@click.argument("detector", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--teacher", type=FILE, help="YuNet's .onnx file; default the one that `mien model pull yunet` fetched.")
@click.option("--run", type=FOLDER, required=True, help="The run's folder, which holds what the teacher saw.")
@click.option("--out", type=NEW, required=True, help="Folder of the report.")
@click.option("--crowds", default=500, show_default=True, help="Composed pictures.")
@click.option("--groups", default=3, show_default=True, help="Large pictures of each height.")
def report_command(
    detector: Path, data: Path, teacher: Path | None, run: Path, out: Path, crowds: int, groups: int
) -> None:
    """Set DETECTOR beside YuNet and Haar on held-out pictures of DATA."""
    weights = find_teacher(teacher)
    pairs: dict[str, tuple[Detector, Detector]] = {
        "mien": (MienDetector(detector), MienDetector(detector, min_score=0.02)),
        "yunet": (YuNet(weights), YuNet(weights, min_score=0.05)),
        "haar": (Haar(), Haar(min_score=0.2)),
    }
    judged = {name: Judged(*pair) for name, pair in pairs.items()}
    material = load_material(data, weights, run / "teacher.npz", click.echo)
    blocks, figures = make_report(judged, material, data, crowds=crowds, groups=groups)
    write_report(out, blocks, figures)
    click.echo((out / "report.md").read_text("utf-8"))


Part = TypeVar("Part")


@dataclass(frozen=True)
class Settings:
    """What `studies/detector.toml` says.

    Args:
        network: how large it is.
        training: how it is trained.
        crowds: what composed pictures are like.
        version: of the weights.
        min_score: the score from which a detection is taken for a face.
    """

    network: Shape = field(default_factory=Shape)
    training: Plan = field(default_factory=Plan)
    crowds: Limits = field(default_factory=Limits)
    version: str = "0.1.0"
    min_score: float = 0.5


def read_settings(path: Path) -> Settings:
    """The settings of a TOML file; what it leaves out keeps its default.

    Raises:
        ConfigError: it cannot be read, or a key is unknown.
    """
    values = read_toml(path)
    training = dict(values.pop("training", {}))
    if "weights" in training:
        training["weights"] = _fill(Weights, training["weights"], f"{path}: training.weights")
    parts = {
        "network": _fill(Shape, values.pop("network", {}), f"{path}: network"),
        "training": _fill(Plan, training, f"{path}: training"),
        "crowds": _fill(Limits, values.pop("crowds", {}), f"{path}: crowds"),
    }
    return _fill(Settings, {**values, **parts}, str(path))


def _fill(kind: type[Part], values: dict[str, Any], where: str) -> Part:
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]}: expected one of {', '.join(known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


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


if __name__ == "__main__":
    try:
        main()
    except MienError as error:
        raise SystemExit(f"error: {error}") from error
