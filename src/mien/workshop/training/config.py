"""The configuration of a training: TOML in, checked values out. An unknown key is an error."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic.fields import FieldInfo

from mien.artifact.input import InputSpec
from mien.errors import ConfigError
from mien.labels import AFFECT_HEADS, HEADS
from mien.workshop.toml_sections import Field, Section, ValidationError, explain, model_validator, read_toml


class ModelConfig(Section):
    """Which network, and its first weights. `options` are the architecture's own parameters, or timm's.

    `landmarks` lets the heads see where Mien's own landmarks are, beside the body's features.

    `pretrained` downloads timm's weights. `weights` names a safetensors file (a checkpoint of Mien, or what timm and
    torchvision save) or a model (`mien-s`, an artifact's folder); a path is relative to the working folder.
    """

    arch: str = "se_resnet"
    options: dict[str, Any] = Field(default_factory=dict)
    size: int = Field(48, ge=16, le=512)
    channels: Literal[1, 3] = 1
    landmarks: bool = False
    pretrained: bool = False
    weights: Path | None = None

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Self:
        if self.pretrained and self.weights is not None:
            raise ValueError("weights come from timm's hub (pretrained) or from a file (weights): give one of the two")
        return self

    @property
    def built_with(self) -> dict[str, Any]:
        """The options of `create_network`."""
        return self.options | ({"landmarks": True} if self.landmarks else {})

    @property
    def spec(self) -> InputSpec:
        """What the network takes."""
        return InputSpec(self.size, self.size, self.channels)


class DataConfig(Section):
    """What is done to the rows of train before they are trained on. Validation and test stay as they are.

    `lists` are curated lists, `name`, `name@version` or a file; see `mien.workshop.data.lists.find_list`.
    """

    lists: tuple[str, ...] = ()


class HeadsConfig(Section):
    """Weight of each head's loss; 0 leaves the head out. A crowd target needs `minimum_votes` emotion votes.

    `valence_arousal` and `intensity` learn those columns of the data set, where a row has them: their loss is 1 - CCC,
    the concordance correlation of the batch, plus `mse` times the squared error.

    `class_weights` lets rows of rare FER2013 classes count for more: by the inverse of the class's rows, or of their
    effective number under `beta` (Cui et al. 2019). `focal` is the exponent γ of the focal loss (Lin et al. 2017).
    """

    fer2013: float = Field(1.0, ge=0)
    crowd: float = Field(1.0, ge=0)
    valence_arousal: float = Field(0.0, ge=0)
    intensity: float = Field(0.0, ge=0)
    mse: float = Field(1.0, ge=0, description="of the squared error, beside 1 - CCC")
    minimum_votes: int = Field(5, ge=1, le=10)
    class_weights: Literal["none", "inverse", "effective"] = "none"
    beta: float = Field(0.9999, ge=0, lt=1, description="of the effective number of rows: 0 for no weights")
    focal: float = Field(0.0, ge=0, description="how much less a target that is already met counts, 0 for as much")

    @property
    def weights(self) -> dict[str, float]:
        """The heads that are trained, with their weights."""
        given = {name: getattr(self, name) for name in (*HEADS, *AFFECT_HEADS)}
        return {name: weight for name, weight in given.items() if weight > 0}


class DistillConfig(Section):
    """Teacher predictions of the training rows: files from `mien model distill`, relative to the working folder.

    `weight` is their share of every head's target; see `mien.workshop.training.distill.mix_predictions`. `views` are
    answers to augmented views, which the student is shown instead of what `[augment]` makes: one view an epoch, in
    turn; see `mien.workshop.training.teacher_views`.
    """

    teachers: tuple[Path, ...] = ()
    weight: float = Field(0.5, gt=0, le=1)
    views: tuple[Path, ...] = ()
    view_weight: float = Field(0.5, gt=0, le=1, description="share of the answers in the target of their head")
    view_temperature: float = Field(1.5, gt=0, description="of the answers")


class OptimConfig(Section):
    """The optimiser and its learning-rate schedule; see `training.optim.learning_rate`.

    `svm` is no gradient descent but a linear support vector machine on the features of `hog`, fitted at once by
    scikit-learn; of this section it takes `svm_c` alone.
    """

    name: Literal["adam", "adamw", "sgd", "svm"] = "sgd"
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant", "one_cycle", "plateau"] = "cosine"
    warmup_epochs: float = Field(3, ge=0)
    final_lr: float = Field(0.0, ge=0, le=1, description="as a share of lr")
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="of the rate, at each plateau")
    plateau_patience: int = Field(5, ge=1, description="epochs without a better score that make a plateau")
    clip: float = Field(0.0, ge=0, description="largest norm of the gradient, 0 for none")
    freeze_epochs: int = Field(0, ge=0, description="first epochs that train the heads alone")
    layer_decay: float = Field(1.0, gt=0, le=1, description="of the rate, with each layer below the heads; 1 for none")
    svm_c: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.01, 0.1, 1.0), min_length=1, description="penalties of errors to choose from on the validation split"
    )


class AugmentConfig(Section):
    """How far a batch is changed at random. Every value 0 leaves it as it is.

    `degrade` is the share of each batch that is treated as cameras and videos treat faces: a chosen face has each of
    dark, blur, small, noise and jpeg with a chance of one third, from nothing up to the limit; see `augment.degrade`.
    """

    flip: float = Field(0.5, ge=0, le=1, description="probability")
    rotation: float = Field(15.0, ge=0, le=180, description="degrees, either way")
    shift: float = Field(0.1, ge=0, lt=1, description="share of the side, either way")
    zoom: float = Field(0.15, ge=0, lt=1, description="share, in or out")
    shear: float = Field(0.1, ge=0, lt=1, description="tangent, either way")
    crop: float = Field(0.0, ge=0, lt=1, description="share of the side that a random crop may lose")
    brightness: float = Field(0.2, ge=0, lt=1, description="share of the range, either way")
    contrast: float = Field(0.3, ge=0, lt=1, description="share, either way")
    erase: float = Field(0.3, ge=0, le=1, description="probability of one erased rectangle")
    erase_area: tuple[float, float] = (0.02, 0.2)
    degrade: float = Field(0.0, ge=0, le=1, description="share of the faces that look like poor camera pictures")
    dark: float = Field(0.6, ge=0, lt=1, description="share of the light that a degraded face may lose")
    blur: float = Field(1.5, ge=0, description="largest Gaussian sigma of a degraded face, px of a face of 48")
    small: int = Field(12, ge=0, description="fewest px a side that a degraded face is seen in, 0 for all of them")
    noise: float = Field(12.0, ge=0, description="largest standard deviation of a degraded face, grey levels")
    jpeg: int = Field(25, ge=0, le=100, description="lowest JPEG quality of a degraded face, 0 for no JPEG")
    mixup: float = Field(0.0, ge=0, description="alpha of the Beta distribution, 0 for none")
    cutmix: float = Field(0.0, ge=0, description="the same; if both are given, each batch has one of them by chance")

    def mirroring(self) -> AugmentConfig:
        """Of these changes the mirroring alone."""
        return AugmentConfig(flip=self.flip, rotation=0, shift=0, zoom=0, shear=0, brightness=0, contrast=0, erase=0)


class FitConfig(Section):
    """The loop itself. Sampling is of each row once an epoch, or of all FER2013 classes equally often (balanced)."""

    epochs: int = Field(30, ge=1)
    # Two at least: a batch norm has no variance of a single row.
    batch_size: int = Field(128, ge=2)
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, 0 for none")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    patience: int = Field(0, ge=0, description="epochs without a better score before stopping, 0 for never")
    selection: Literal["fer2013", "crowd", "valence_arousal", "intensity", "mean"] = "mean"
    seed: int = 0


class Named(Section):
    """A configuration of something that has a name."""

    name: str


class TrainingConfig(Named):
    """Everything that decides a training, but for the data set and the machine."""

    name: str = Field("mien", pattern=r"^[a-z0-9][a-z0-9._-]*$")
    model: ModelConfig = ModelConfig()
    heads: HeadsConfig = HeadsConfig()
    distill: DistillConfig = DistillConfig()
    optim: OptimConfig = OptimConfig()
    augment: AugmentConfig = AugmentConfig()
    fit: FitConfig = FitConfig()
    data: DataConfig = DataConfig()

    def header(self) -> dict[str, Any]:
        """What a checkpoint says of its network."""
        model = self.model
        described = {"arch": model.arch, "options": model.built_with, "spec": asdict(model.spec)}
        return {"kind": "network", **described, "heads": tuple(self.heads.weights)}

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.optim.freeze_epochs > self.fit.epochs:
            raise ValueError(
                f"optim.freeze_epochs = {self.optim.freeze_epochs} is above fit.epochs = {self.fit.epochs}: "
                f"give at most {self.fit.epochs}"
            )
        if self.optim.name == "svm" and self.model.arch != "hog":
            raise ValueError(f'optim.name = "svm" needs model.arch = "hog", not {self.model.arch!r}')
        if self.optim.name == "svm" and any(head in AFFECT_HEADS for head in self.heads.weights):
            raise ValueError('optim.name = "svm" learns classes: set heads.valence_arousal and heads.intensity to 0')
        if self.fit.selection not in ("mean", *self.heads.weights):
            raise ValueError(f"fit.selection = {self.fit.selection!r}: that head is not trained, its weight is 0")
        return self


def load_config(path: Path, **fit: int | None) -> TrainingConfig:
    """Read a TOML file; what is given of `fit` (epochs, seed) takes the place of the file's.

    Raises:
        ConfigError: not readable, not TOML, an unknown key or a value out of range; the message names the key.
    """
    values = read_toml(path)
    if "entries" in values:
        raise ConfigError(f"{path}: is a study, it has [[entries]]: mien study run takes it; expected one training")
    given = {key: value for key, value in fit.items() if value is not None}
    # A `fit` that is no section is left for the check below, which names it.
    if given and isinstance(values.setdefault("fit", {}), dict):
        values["fit"] |= given
    return parse_config(values, name=", ".join([str(path), *(f"with {key} {value}" for key, value in given.items())]))


def parse_config(values: dict[str, Any], *, name: str = "configuration") -> TrainingConfig:
    """Check plain values; see `load_config`."""
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error, TrainingConfig)}") from error


def config_toml(config: Named) -> str:
    """A configuration as TOML with a comment for each section and value, to be edited."""
    lines = ["# A training of Mien: mien train THIS.toml DATA", f"name = {_toml(config.name)}"]
    for key, section in config:
        if isinstance(section, Section):
            # The sections' docstrings and descriptions become the file's comments, so that nothing is said twice.
            about = inspect.cleandoc(type(section).__doc__ or "").replace("\n\n", "\n")
            lines += ["", *(f"# {line}" for line in about.splitlines()), f"[{key}]"]
            lines += [
                _toml_line(name, getattr(section, name), field) for name, field in type(section).model_fields.items()
            ]
    return "\n".join([*lines, ""])


def _toml_line(name: str, value: Any, field: FieldInfo) -> str:
    # TOML has no null: what is not given is shown as a comment.
    line = f"# {name} = ..." if value is None else f"{name} = {_toml(value)}"
    return f"{line}  # {field.description}" if field.description else line


def _toml(value: Any) -> str:
    """One value in TOML, which writes text, numbers and booleans as JSON does."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
