"""What `mien evaluate` gathers for its report beside the scores: faces, the training's history, saliency maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from mien.artifact.artifact import Manifest
    from mien.reading.classifier import Model
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.evaluate import Predict
    from mien.workshop.evaluation.scores import Evaluation, SetScores
    from mien.workshop.reports.evaluation.material import Material, Run, Saliency

A_CLASS = 2
"""Right and wrong faces of each class whose maps are shown."""

CHECKPOINT = "best.safetensors"
OCCLUSION = (
    "Occlusion: a grey square is moved over the face; bright yellow is where covering it costs the answer most. The "
    "answer explained is the one that the model gave, right or wrong."
)
GRAD_CAM = (
    "Grad-CAM of the training's checkpoint: bright yellow is what in the last feature map speaks for the answer that "
    "the model gave, right or wrong."
)


@dataclass(frozen=True)
class ReportWishes:
    """What the report shall show.

    Args:
        run: folder of the training, None to look beside the model.
        faces: show pictures of people.
        pose: find landmarks in the crops, for errors by the turn of the head.
        min_confidence: the threshold of abstaining that is marked.
    """

    run: Path | None = None
    faces: bool = True
    pose: bool = True
    min_confidence: float = 0.0


def gather(
    model: Model,
    predict: Predict,
    dataset: FaceDataset,
    evaluation: Evaluation,
    wishes: ReportWishes,
    say: Callable[[str], None],
) -> Material:
    """All that the report may show.

    Args:
        model: that was scored.
        predict: its probabilities.
        dataset: that it was scored on.
        evaluation: the scores.
        wishes: what is wanted.
        say: told in a sentence what is left out, and why.

    Raises:
        ArtifactError: `wishes.run` holds no history.
    """
    from mien.workshop.evaluation.scores import main_sets
    from mien.workshop.reports.evaluation.material import Material

    run = load_history(wishes.run, model.folder)
    named = str(model.manifest.training.get("name", ""))
    if wishes.run is not None and run is not None and named and run.name != named:
        say(
            f"the training in {wishes.run} is called {run.name}, the model's manifest names {named}: is it the model's?"
        )
    saliency: list[Saliency] = []
    if wishes.faces:
        saliency = [_occlusion(predict, dataset, scores) for scores in main_sets(evaluation)]
        if wishes.run is not None:
            saliency += _grad_cam(wishes.run, dataset, main_sets(evaluation), say)
    return Material(
        dataset=dataset,
        faces=wishes.faces,
        conditions=_conditions(dataset, evaluation, wishes, say),
        run=run,
        saliency=saliency,
        threshold=wishes.min_confidence,
        facts=_facts(model),
    )


def load_history(run: Path | None, model_folder: Path) -> Run | None:
    """The history of the run that was asked for, else of the one that `mien export` left beside the model.

    Raises:
        ArtifactError: the run that was asked for holds none.
    """
    from mien.workshop.reports.evaluation.material import HISTORY, load_run

    if run is not None:
        return load_run(run)
    beside = model_folder / "report"
    return load_run(beside) if (beside / HISTORY).is_file() else None


def _conditions(
    dataset: FaceDataset, evaluation: Evaluation, wishes: ReportWishes, say: Callable[[str], None]
) -> dict[str, npt.NDArray[np.float64]]:
    """What the pixels of a crop do not tell: of photos what their detector found, of crops the turn of the head."""
    import numpy as np

    from mien.artifact import store
    from mien.faces.factory import create_detector
    from mien.workshop.evaluation.conditions import pose
    from mien.workshop.evaluation.landmarks import find_landmarks
    from mien.workshop.evaluation.scores import main_sets

    if evaluation.photos is not None:
        return evaluation.photos.faces.conditions
    if not wishes.pose:
        return {}
    if store.find(store.YUNET) is None:
        say("without errors by the turn of the head: they need YuNet, `mien models pull yunet`")
        return {}
    rows = np.unique(np.concatenate([scores.faces.rows for scores in main_sets(evaluation)]))
    found = pose(find_landmarks(create_detector("yunet"), dataset.images[rows]))
    values = {name: np.full(len(dataset), np.nan) for name in found}
    for name, value in found.items():
        values[name][rows] = value
    return values


def _occlusion(predict: Predict, dataset: FaceDataset, scores: SetScores) -> Saliency:
    from mien.workshop.evaluation.saliency import occlusion_maps
    from mien.workshop.reports.evaluation.material import Saliency

    places = _chosen(scores)
    crops = dataset.images[scores.faces.rows[places]]
    maps = occlusion_maps(predict, crops, scores.faces.head, _targets(scores, places))
    return Saliency(scores.faces.key, OCCLUSION, places, maps)


def _grad_cam(run: Path, dataset: FaceDataset, sets: list[SetScores], say: Callable[[str], None]) -> list[Saliency]:
    """Of the checkpoint in a training's folder; nothing where it cannot be made."""
    from mien.errors import MienError
    from mien.workshop.reports.evaluation.material import Saliency

    checkpoint = run / CHECKPOINT
    if not checkpoint.is_file():
        say(f"without Grad-CAM: {run} holds no {CHECKPOINT}")
        return []
    try:
        from mien.workshop.training.gradcam import grad_cam_of_checkpoint
    except ImportError:
        say('without Grad-CAM: it needs torch and grad-cam, pip install "mien[train]"')
        return []
    found = []
    for scores in sets:
        places = _chosen(scores)
        crops = dataset.images[scores.faces.rows[places]]
        try:
            maps = grad_cam_of_checkpoint(checkpoint, crops, scores.faces.head, _targets(scores, places))
        except MienError as error:
            say(f"without Grad-CAM of head {scores.faces.head}: {error}")
        else:
            found.append(Saliency(scores.faces.key, GRAD_CAM, places, maps))
    return found


def _chosen(scores: SetScores) -> npt.NDArray[np.int64]:
    import numpy as np

    from mien.workshop.evaluation.confusions import examples

    return np.concatenate(examples(scores, A_CLASS))


def _targets(scores: SetScores, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Columns of the head's own probabilities for the classes that were answered."""
    import numpy as np

    from mien.labels import HEADS

    columns = [HEADS[scores.faces.head].index(name) for name in scores.faces.classes]
    return np.asarray(columns, np.int64)[scores.predicted[places]]


def _facts(model: Model) -> list[tuple[str, str]]:
    from mien.artifact.artifact import GRAPH_FILE

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
    """Each head's calibration, and the faces that it was fitted on, as far as the manifest tells."""
    heads = "; ".join(f"{name}: {head.calibration}" for name, head in manifest.heads.items())
    fitted = manifest.data.get("calibrated")
    if isinstance(fitted, dict) and "name" in fitted:
        return f"{heads}; fitted on held-out faces of {fitted['name']}"
    return heads


def _trained_on(data: Mapping[str, Any]) -> str:
    """Name and rows of the training faces, as far as the manifest tells."""
    train = data.get("train")
    if not isinstance(train, dict) or "name" not in train:
        return ""
    rows = train.get("rows")
    return f"{train['name']}, {rows:,} rows" if isinstance(rows, int) else str(train["name"])


def _pretrained_on(training: Mapping[str, Any]) -> str:
    """What the training's configuration says of the weights that it began with; empty where it says nothing."""
    network = training.get("model")
    if not isinstance(network, dict):
        return ""
    if weights := network.get("weights"):
        told = {".safetensors": "weights from a file", ".dat": "dlib's photographs, to tell persons apart"}
        sources = weights if isinstance(weights, list) else [weights]
        said = [told.get(Path(str(source)).suffix, "what another model was trained on") for source in sources]
        return "; ".join(dict.fromkeys(said))
    return "what timm's weights have seen" if network.get("pretrained") else "nothing else"
