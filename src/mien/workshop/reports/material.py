"""What a report can show besides the scores: the faces, the training run, what predictions rest on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mien.arrays import Float32, Float64, Int64
from mien.artifact import store
from mien.artifact.artifact import GRAPH_FILE
from mien.artifact.manifest import Manifest
from mien.errors import ArtifactError, MienError
from mien.faces.detectors import create_detector
from mien.faces.geometry import bundled_reader
from mien.labels import HEADS
from mien.reading.classifier import Model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.conditions import find_landmarks, pose
from mien.workshop.evaluation.diagnosis import History
from mien.workshop.evaluation.evaluate import Predict
from mien.workshop.evaluation.metrics import Interval
from mien.workshop.evaluation.models import Evaluated, HeadPredictor
from mien.workshop.evaluation.regions import find_points, region_falls
from mien.workshop.evaluation.saliency import occlusion_maps
from mien.workshop.evaluation.scores import Evaluation, SetScores, examples, main_sets
from mien.workshop.progress import OnNote, no_note
from mien.workshop.reports.document import DASH

HISTORY = "history.json"
A_CLASS = 2
"""Right and wrong faces of each class whose saliency maps are shown."""

CHECKPOINT = "best.safetensors"
OCCLUSION = (
    "Occlusion: a grey square moves over the face; bright yellow is where covering the face lowers the predicted "
    "label's probability most, whether the prediction is right or wrong. Beneath, the region whose covering lowers it "
    "most, and by how much; regions are found by Mien's landmarks."
)
GRAD_CAM = (
    "Grad-CAM of the training's checkpoint: bright yellow is where the last feature map supports the predicted label, "
    "whether the prediction is right or wrong."
)


@dataclass(frozen=True)
class Run:
    """The training that made the model: its name, and what each epoch measured."""

    name: str
    history: History


@dataclass(frozen=True)
class Saliency:
    """What the predictions for some faces of a set rest on.

    Args:
        key: of the set.
        method: how the maps were made, in words.
        places: positions in the set, int64 (M,).
        maps: float32 (M, H, W), higher where the label rests on that place.
        regions: how much covering each of `regions.REGIONS` lowers the label's probability, float32 (M, R), or None.
    """

    key: str
    method: str
    places: Int64
    maps: Float32
    regions: Float32 | None = None


@dataclass(frozen=True)
class Material:
    """Any of it may be missing; the report then says so.

    Args:
        dataset: the faces that were scored, for conditions and galleries.
        faces: show pictures of people.
        conditions: further properties of the data set's pictures by name, (len(dataset),) each, NaN where not known.
        run: the training.
        saliency: maps of some faces of one set or several.
        threshold: the confidence below which the model is not sure.
        facts: more about the model, (what, value) each.
    """

    dataset: FaceDataset | None = None
    faces: bool = True
    conditions: Mapping[str, Float64] = field(default_factory=dict)
    run: Run | None = None
    saliency: Sequence[Saliency] = ()
    threshold: float = 0.0
    facts: Sequence[tuple[str, str]] = ()


NOTHING = Material()
"""Scores alone."""


def load_run(folder: Path) -> Run:
    """The history of a training's folder.

    Raises:
        ArtifactError: there is none, or it cannot be read.
    """
    path = folder / HISTORY
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        rows = [{name: float(value) for name, value in row.items()} for row in values["history"]]
        name = str(values.get("identity", {}).get("config", {}).get("name", "")) or folder.resolve().name
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder} holds no training with a readable {HISTORY}: {error}") from error
    if not rows or any({"loss", "train_loss", "score"} - row.keys() for row in rows):
        raise ArtifactError(f"{path}: expected epochs with loss, train_loss and score")
    return Run(name, rows)


@dataclass(frozen=True)
class ReportOptions:
    """What the report shows.

    Args:
        run: folder of the training; None looks in the model's folder.
        faces: show pictures of people.
        pose: find landmarks in the crops, for errors by head pose.
        min_confidence: the threshold that is marked.
    """

    run: Path | None = None
    faces: bool = True
    pose: bool = True
    min_confidence: float = 0.0


def gather(evaluated: Evaluated, options: ReportOptions, *, on_note: OnNote = no_note) -> Material:
    """Collect everything that the report can show; `on_note` hears a sentence for each thing left out.

    Raises:
        ArtifactError: `options.run` holds no history.
    """
    model, dataset, evaluation = evaluated.model, evaluated.dataset, evaluated.evaluation
    predict = HeadPredictor(model)
    run = load_history(options.run, model.folder)
    named = str(model.manifest.training.get("name", ""))
    if options.run is not None and run is not None and named and run.name != named:
        on_note(
            f"the training in {options.run} is called {run.name}, but the model's manifest names {named}: "
            "is it this model's training?"
        )
    saliency: list[Saliency] = []
    if options.faces:
        saliency = [_occlusion(predict, dataset, scores) for scores in main_sets(evaluation)]
        if options.run is not None:
            saliency += _grad_cam(options.run, dataset, main_sets(evaluation), on_note)
    return Material(
        dataset=dataset,
        faces=options.faces,
        conditions=_conditions(dataset, evaluation, options, on_note),
        run=run,
        saliency=saliency,
        threshold=options.min_confidence,
        facts=_facts(model),
    )


def load_history(run: Path | None, model_folder: Path) -> Run | None:
    """The history of the given run, or else the one that `mien model export` left in the model's folder.

    Raises:
        ArtifactError: the given run holds none.
    """
    if run is not None:
        return load_run(run)
    beside = model_folder / "report"
    return load_run(beside) if (beside / HISTORY).is_file() else None


def _conditions(
    dataset: FaceDataset, evaluation: Evaluation, options: ReportOptions, on_note: OnNote
) -> dict[str, Float64]:
    """What the pixels alone do not show: face size and pose from the photos' detector, or pose from the crops."""
    if evaluation.photos is not None:
        return evaluation.photos.faces.conditions
    if not options.pose:
        return {}
    if store.find(store.YUNET) is None:
        on_note("without errors by head pose: they need YuNet, run `mien model pull yunet`")
        return {}
    rows = np.unique(np.concatenate([scores.faces.rows for scores in main_sets(evaluation)]))
    found = pose(find_landmarks(create_detector("yunet"), dataset.images[rows]))
    # Landmarks are sought on the main sets alone; the rest of the data set is not known.
    values = {name: np.full(len(dataset), np.nan) for name in found}
    for name, value in found.items():
        values[name][rows] = value
    return values


def _occlusion(predict: Predict, dataset: FaceDataset, scores: SetScores) -> Saliency:
    places = _chosen(scores)
    crops = dataset.images[scores.faces.rows[places]]
    targets = _targets(scores, places)
    maps = occlusion_maps(predict, crops, scores.faces.head, targets)
    points = find_points(bundled_reader(), crops)
    falls = region_falls(predict, crops, scores.faces.head, targets, points)
    return Saliency(scores.faces.key, OCCLUSION, places, maps, falls)


def _grad_cam(run: Path, dataset: FaceDataset, sets: list[SetScores], on_note: OnNote) -> list[Saliency]:
    """From the checkpoint in a run's folder; nothing where that is impossible."""
    checkpoint = run / CHECKPOINT
    if not checkpoint.is_file():
        on_note(f"without Grad-CAM: {run} holds no {CHECKPOINT}")
        return []
    try:
        # Here, because a report without Grad-CAM needs no torch.
        from mien.workshop.networks.gradcam import grad_cam_of_checkpoint
    except ImportError:
        on_note('without Grad-CAM: it needs torch, pip install "mien[train]"')
        return []
    found = []
    for scores in sets:
        places = _chosen(scores)
        crops = dataset.images[scores.faces.rows[places]]
        try:
            maps = grad_cam_of_checkpoint(checkpoint, crops, scores.faces.head, _targets(scores, places))
        # Not every architecture has a last feature map: the report does without.
        except MienError as error:
            on_note(f"without Grad-CAM of head {scores.faces.head}: {error}")
        else:
            found.append(Saliency(scores.faces.key, GRAD_CAM, places, maps))
    return found


def _chosen(scores: SetScores) -> Int64:
    return np.concatenate(examples(scores, A_CLASS))


def _targets(scores: SetScores, places: Int64) -> Int64:
    """Columns of the head's own probabilities for the predicted classes."""
    # The crowd head's set in seven classes lacks contempt, the head's columns do not.
    columns = [HEADS[scores.faces.head].index(name) for name in scores.faces.classes]
    return np.asarray(columns, np.int64)[scores.predicted[places]]


def _facts(model: Model) -> list[tuple[str, str]]:
    manifest = model.manifest
    size = (model.folder / GRAPH_FILE).stat().st_size
    facts = [("Parameters", f"{manifest.parameters / 1e6:.2f} M")] if manifest.parameters else []
    facts += [("Size", f"{size / 1e6:.1f} MB"), ("Licence of the weights", manifest.licence)]
    trained = _trained_on(manifest.data)
    facts += [("Trained on", trained)] if trained else []
    pretrained = _pretrained_on(manifest.training)
    facts += [("Pretrained on", pretrained)] if pretrained else []
    facts += [("Calibration", _calibrated(manifest))]
    facts += [("Test-time flipping", "each face and its mirror image, logits averaged")] if model.flip else []
    facts += (
        [("Balance", f"{model.balance:g}, from 0 (as in the data) to 1 (all equally frequent)")]
        if model.balance
        else []
    )
    return facts + ([("Notes", manifest.notes)] if manifest.notes else [])


def _calibrated(manifest: Manifest) -> str:
    """Each head's calibration, and the faces that it was fitted on, as far as the manifest says."""
    heads = "; ".join(f"{name}: {head.calibration}" for name, head in manifest.heads.items())
    fitted = manifest.data.get("calibrated")
    if isinstance(fitted, dict) and "name" in fitted:
        return f"{heads}; fitted on held-out faces of {fitted['name']}"
    return heads


def _trained_on(data: Mapping[str, Any]) -> str:
    """Name and rows of the training faces, as far as the manifest says."""
    train = data.get("train")
    if not isinstance(train, dict) or "name" not in train:
        return ""
    rows = train.get("rows")
    return f"{train['name']}, {rows:,} rows" if isinstance(rows, int) else str(train["name"])


def _pretrained_on(training: Mapping[str, Any]) -> str:
    """Where the training's initial weights came from; empty if its configuration does not say."""
    network = training.get("model")
    if not isinstance(network, dict):
        return ""
    if weights := network.get("weights"):
        kinds = {".safetensors": "weights from a file", ".dat": "dlib's photographs, to tell people apart"}
        sources = weights if isinstance(weights, list) else [weights]
        said = [kinds.get(Path(str(source)).suffix, "what another model was trained on") for source in sources]
        return "; ".join(dict.fromkeys(said))
    return "what timm's weights were trained on" if network.get("pretrained") else "nothing else"


def percent(value: float, digits: int = 1) -> str:
    """`87.8 %`, a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{100 * value:.{digits}f} %"


def decimal(value: float, digits: int = 3) -> str:
    """`0.878`, a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def span(interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """`86.9–89.2`."""
    return f"{scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f}"


def ranged(value: float, interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """A table's cell: the value, and its interval beside it."""
    return f"{scale * value:.{digits}f} {{range|({span(interval, scale=scale, digits=digits)})}}"


def signed(value: float, digits: int) -> str:
    """`+1.2` or `−1.2`, with a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def change(interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """`−1.2 to +0.4`."""
    return f"{signed(scale * interval.low, digits)} to {signed(scale * interval.high, digits)}"


def p_value(value: float) -> str:
    """A p value with three places, `< 0.001` under that, in one piece.

    >>> p_value(0.0432), p_value(1e-9)
    ('0.043', '<\\xa00.001')
    """
    return f"{value:.3f}" if value >= 0.001 else "<\N{NO-BREAK SPACE}0.001"


def name(scores: SetScores) -> str:
    """A set's full name: `crowd on PrivateTest, FER+ majority`."""
    return f"{scores.faces.head} on {scores.faces.title}, {scores.faces.labels_from}"


def plural(count: int, word: str) -> str:
    """`1 face`, `2 faces`.

    >>> plural(1, "face"), plural(1200, "face")
    ('1 face', '1,200 faces')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
