"""Models measured on data: scored, or compared with one another on the same faces."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.arrays import Float32, UInt8
from mien.artifact.artifact import GRAPH_FILE
from mien.artifact.input import InputSpec
from mien.errors import ConfigError, DataError
from mien.faces.detectors import create_detector
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.crop_table import has_crop_table
from mien.workshop.data.factory import LoadOptions, as_dataset, is_published, load_dataset
from mien.workshop.data.image_folder import find_photos, has_table
from mien.workshop.data.layouts.class_folders import FOLDERS
from mien.workshop.data.layouts.codings import Classes
from mien.workshop.data.layouts.opening import LARGE_PX, SIDE_PX
from mien.workshop.evaluation.chance import below_chance
from mien.workshop.evaluation.compare import BATCH, Comparison, Contender, compare, measure_in_turns
from mien.workshop.evaluation.evaluate import evaluate, find_faces, with_photos, with_robustness
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity, PhotoFaces
from mien.workshop.evaluation.sets import classes_by_name
from mien.workshop.evaluation.value_scores import ValueModel
from mien.workshop.progress import OnProgress, OnStage, no_progress, no_stage

RULE = "This balance is the model's own rule for what users see of head {}; other heads are not balanced."
BALANCED = (
    "Balance {:g}: probabilities and labels are those for faces whose expressions are closer to equally frequent."
)
FLIPPED = "Test-time flipping is on: the logits of each face and of its mirror image are averaged."


@dataclass(frozen=True)
class EvaluationOptions:
    """How a model is scored.

    Args:
        photos: the pictures are photos with faces to find (True), face crops (False), or what the data's form says
            (None): a folder with `labels.csv` holds photos, everything else crops.
        detector: finds the faces of photos: auto, mien, yunet, haar; None is auto.
        without: true classes whose faces are left out.
        flip: average the logits of each face and its mirror image.
        balance: 0 for expressions as frequent as in the training data, 1 for all equally frequent; None for 0 on face
            crops, and on photos for the rule in the model's manifest, as users get them.
        robustness: score corrupted copies of the faces too, 23 times the work.
        classes: names or numbers of the data's classes with a label each, where they are not what Mien takes them for.
    """

    photos: bool | None = None
    detector: str | None = None
    without: tuple[str, ...] = ()
    flip: bool = False
    balance: float | None = None
    robustness: bool = False
    classes: Classes = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """A model's scores, with the model and the faces, which a report may show."""

    model: Model
    dataset: FaceDataset
    evaluation: Evaluation


def evaluate_model(
    model: Model | Path | str,
    data: FaceDataset | Path | str,
    options: EvaluationOptions = EvaluationOptions(),
    *,
    on_stage: OnStage = no_stage,
) -> Evaluated:
    """Score a model on the validation and test faces of a data set.

    Args:
        model: a loaded one, whose own flip and balance count; a bundled name, an artifact's folder, models:/NAME@ALIAS.
        data: a loaded data set, or what `load_dataset` reads, or a folder of photos.
        options: see there.
        on_stage: hears of the stages `photos`, `faces` and `corrupted faces`.

    Raises:
        ConfigError: an unknown class, or a detector for what are crops.
        DataError: there is no face to test on, or the data is not what it should be.
        ArtifactError: the model is damaged, or has other classes than its heads should.
    """
    # For its checks alone: a misspelt class is reported before anything is loaded.
    classes_by_name(options.without)
    loaded = model if isinstance(model, Model) else load_model(model, flip=options.flip, balance=options.balance)
    dataset, found, notes = load_faces(data, loaded.spec, options, on_progress=on_stage("photos"))
    asked = loaded.balance
    loaded = loaded if found is None else loaded.as_shown()
    evaluation = score_model(loaded, dataset, without=options.without, on_progress=on_stage("faces"))
    notes += [FLIPPED] if loaded.flip else []
    notes += [BALANCED.format(loaded.balance)] if loaded.balance else []
    notes += [RULE.format(loaded.manifest.default_head)] if loaded.balance != asked else []
    notes += below_chance(evaluation, dataset)
    evaluation = replace(evaluation, notes=(*notes, *evaluation.notes))
    if found is not None:
        evaluation = with_photos(evaluation, found)
    if options.robustness:
        evaluation = with_robustness(
            evaluation, HeadPredictor(loaded), dataset, heads=loaded.heads, crop_scale=loaded.spec.crop_scale,
            on_progress=on_stage("corrupted faces"),
        )  # fmt: skip
    return Evaluated(loaded, dataset, evaluation)


class HeadPredictor:
    """Probabilities of one head after the other, or values, from a single run of the graph a batch."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.crops: UInt8 | None = None
        self.logits: dict[str, Float32] = {}

    def __call__(self, crops: UInt8, head: str) -> Float32:
        """Probabilities float32 (N, K) of crops uint8 (N, H, W) or (N, H, W, 3)."""
        return self.model.calibrate(self._run(crops)[head], head)

    def values(self, crops: UInt8) -> Float32:
        """Valence, arousal and intensity, float32 (N, 6); see `Model.predict_affect`."""
        return self.model.estimate_affect(self._run(crops))

    def _run(self, crops: UInt8) -> dict[str, Float32]:
        # By identity: `evaluate` asks for each head with the very same array, and comparing pixels would cost a pass.
        if crops is not self.crops:
            self.logits = self.model.run(self.model.prepare(crops))
            self.crops = crops
        return self.logits


def score_model(
    model: Model, dataset: FaceDataset, *, without: Collection[str] = (), on_progress: OnProgress = no_progress
) -> Evaluation:
    """The scores of a model on face crops, with nothing beside them; see `evaluate_model`."""
    predict = HeadPredictor(model)
    manifest = model.manifest
    version = model.title.removeprefix(f"{model.name} ")
    return evaluate(
        predict,
        dataset,
        model=ModelIdentity(model.name, version, manifest.sha256, trained_on(manifest.data)),
        heads=model.heads,
        without=without,
        values=ValueModel(predict.values, model.affect_source),
        on_progress=on_progress,
    )


def trained_on(data: Mapping[str, Any]) -> str:
    """The name of the training data in a manifest's `data`; empty where it says nothing."""
    train = data.get("train")
    return str(train.get("name", "")) if isinstance(train, Mapping) else ""


@dataclass(frozen=True)
class Duel:
    """Two models measured on the same faces, in this order."""

    first: Contender
    second: Contender
    found: Sequence[Comparison]
    dataset: FaceDataset

    @property
    def names(self) -> tuple[str, str]:
        """What they are called."""
        return self.first.name, self.second.name


def compare_models(
    first: Model | Path | str,
    second: Model | Path | str,
    data: FaceDataset | Path | str,
    *,
    names: tuple[str, str] | None = None,
    on_stage: OnStage = no_stage,
) -> Duel:
    """Score both models on all faces, compare them face by face, and time them in turns.

    Args:
        first, second: as `evaluate_model` takes them.
        data: what `load_dataset` reads, or a loaded data set.
        names: to be shown; name and version by default.
        on_stage: hears of the stage `faces`, once a model.

    Raises:
        DataError: there is no face to test on, or no head in common.
        ArtifactError: a model is damaged.
    """
    (duel,) = compare_with_first((first, second), data, names=names, on_stage=on_stage)
    return duel


def compare_with_first(
    models: Sequence[Model | Path | str],
    data: FaceDataset | Path | str,
    *,
    names: Sequence[str] | None = None,
    on_stage: OnStage = no_stage,
) -> list[Duel]:
    """Compare the first of several models with each of the others; each is scored once, and all are timed in turns.

    Args:
        models: two or more, as `evaluate_model` takes them.
        data, names, on_stage: as `compare_models` takes them.

    Raises:
        ConfigError: fewer than two models.
        DataError, ArtifactError: as `compare_models`.
    """
    if len(models) < 2:
        raise ConfigError(f"a comparison takes two models or more, not {len(models)}")
    loaded = [model if isinstance(model, Model) else load_model(model) for model in models]
    dataset = as_dataset(data)
    evaluations = [score_model(model, dataset, on_progress=on_stage("faces")) for model in loaded]
    found = [compare(evaluations[0], other) for other in evaluations[1:]]
    crops = dataset.images[np.concatenate([row.faces.rows for row in found[0]])[:BATCH]]
    speeds = measure_in_turns([model.predict for model in loaded], crops)
    shown = names or _names(loaded, [str(model) for model in models])
    contenders = [
        Contender(name, evaluation, speed, (model.folder / GRAPH_FILE).stat().st_size, model.manifest.parameters)
        for name, evaluation, speed, model in zip(shown, evaluations, speeds, loaded, strict=True)
    ]
    return [Duel(contenders[0], other, rows, dataset) for other, rows in zip(contenders[1:], found, strict=True)]


def _names(models: Sequence[Model], given: Sequence[str]) -> list[str]:
    """Name and version; the folder as well where that does not distinguish them."""
    names = [f"{model.name} {model.version}" for model in models]
    return [f"{n} ({Path(g).name})" if names.count(n) > 1 else n for n, g in zip(names, given, strict=True)]


def load_faces(
    data: FaceDataset | Path | str,
    spec: InputSpec,
    options: EvaluationOptions = EvaluationOptions(),
    *,
    on_progress: OnProgress = no_progress,
) -> tuple[FaceDataset, PhotoFaces | None, list[str]]:
    """The faces to score, where they were found if they come from photos, and sentences for the user.

    Raises:
        ConfigError: a detector for what are crops, or one that is not there.
        DataError: the data is not what it should be.
    """
    if isinstance(data, FaceDataset):
        return data, None, []
    path = Path(data)
    published = is_published(path, options.classes)
    # A table with splits lists crops, like any other data set.
    table = path.is_dir() and has_table(path) and not (has_crop_table(path) and not options.photos)
    if not published and (options.photos or table):
        if not path.exists():
            raise DataError(f"{path}: no such folder")
        if options.photos is False and options.detector:
            raise ConfigError("--detector finds faces in photos: it has nothing to do with --crops")
        # --crops on a folder with labels.csv: each photo is a face, but labels and splits still come from the table.
        detector = "none" if options.photos is False else options.detector or "auto"
        found = find_photos(path, options.classes)
        faces = find_faces(found, create_detector(detector), spec, on_progress=on_progress)
        return faces.dataset, faces, []
    if options.detector and not published:
        raise ConfigError(f"--detector finds faces in photos, but {path} is taken for face crops: add --photos")
    loading = LoadOptions(
        classes=options.classes, side_px=max(SIDE_PX, spec.height), detector=options.detector or "auto",
        crops=None if options.photos is None else not options.photos,
    )  # fmt: skip
    return _tested(path, load_dataset(path, loading), options)


def _tested(path: Path, dataset: FaceDataset, options: EvaluationOptions) -> tuple[FaceDataset, None, list[str]]:
    """A data set without splits is a test set here; large pictures are remarked on."""
    origin = dataset.origin
    if origin is None:
        return dataset, None, []
    notes = list(origin.lines)
    if not origin.splits:
        # Times 0, to keep the array's type.
        dataset = replace(dataset, split=dataset.split * 0 + SPLITS.index("test"))
        notes.append(f"{path} has no splits: all its {len(dataset):,} faces are tested.")
    if options.photos is None and origin.layout == FOLDERS.key and origin.large:
        notes.append(
            f"Most pictures of {path} are longer than {LARGE_PX} px and are taken for face crops as they are: "
            "if they are photos, add --photos, and faces are found in them first."
        )
    return dataset, None, notes
