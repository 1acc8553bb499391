"""`python -m mien.workshop.detection.train_detector`: train a face detector, export it, set it beside others."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import click
import cv2

from mien.artifact import store
from mien.errors import ConfigError, MienError
from mien.faces.detection import Detector
from mien.faces.haar import Haar
from mien.faces.mien_detector import MienDetector
from mien.faces.yunet import YuNet
from mien.workshop.detection.compose import Limits
from mien.workshop.detection.detector_export import export, load_judgement, load_network
from mien.workshop.detection.detector_network import Shape, Weights
from mien.workshop.detection.report import Judged, make_report, write_report
from mien.workshop.detection.teacher_labels import load_material
from mien.workshop.detection.training import Plan, train
from mien.workshop.detection.verifier import VerifierPlan, make_verifier
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


@main.command("verify")
@click.argument("study", type=FILE)
@click.argument("data", type=FOLDER)
@click.argument("run", type=FOLDER)
@click.option("--teacher", type=FILE, help="YuNet's .onnx file; default the one that `mien model pull yunet` fetched.")
@click.option("--start", type=FILE, help="A `verifier.safetensors` to train on.")
def verify_command(study: Path, data: Path, run: Path, teacher: Path | None, start: Path | None) -> None:
    """Train the verifier on what the network of RUN takes for faces, and weigh both on held-out pictures."""
    settings = read_settings(study)
    material = load_material(data, find_teacher(teacher), run / "teacher.npz", click.echo)
    network = load_network(run / "weights.safetensors")
    path, before = run / "verifier.safetensors", load_judgement(start).verifier if start else None
    make_verifier(network, material, settings.verifier, settings.crowds, path, click.echo, before)


@main.command("export")
@click.argument("study", type=FILE)
@click.argument("run", type=FOLDER)
@click.option("--out", type=NEW, required=True, help="The detector's folder.")
def export_command(study: Path, run: Path, out: Path) -> None:
    """Write the averaged weights of RUN as the folder that Mien reads."""
    settings = read_settings(study)
    network, judgement = load_network(run / "weights.safetensors"), load_judgement(run / "verifier.safetensors")
    export(network, judgement, out, version=settings.version, min_score=settings.min_score)
    click.echo(f"{out}: {sum(graph.stat().st_size for graph in out.glob('*.onnx')):,} bytes")


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
        verifier: how the second network is trained.
        version: of the weights.
        min_score: the score from which a detection is taken for a face.
    """

    network: Shape = field(default_factory=Shape)
    training: Plan = field(default_factory=Plan)
    crowds: Limits = field(default_factory=Limits)
    verifier: VerifierPlan = field(default_factory=VerifierPlan)
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
        "verifier": _fill(VerifierPlan, values.pop("verifier", {}), f"{path}: verifier"),
    }
    return _fill(Settings, {**values, **parts}, str(path))


def _fill(kind: type[Part], values: dict[str, Any], where: str) -> Part:
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]}: expected one of {', '.join(known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


if __name__ == "__main__":
    try:
        main()
    except MienError as error:
        raise SystemExit(f"error: {error}") from error
