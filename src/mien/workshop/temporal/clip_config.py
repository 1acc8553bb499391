"""The configuration of a training on clips: TOML in, checked values out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mien.errors import ConfigError
from mien.labels import user_labels
from mien.workshop.data.clip_folder import is_clips
from mien.workshop.toml_sections import Field, Section, ValidationError, explain, model_validator, read_toml
from mien.workshop.training.config import AugmentConfig, Named, OptimConfig

Kind = Literal["gru", "lstm", "tcn", "r2plus1d"]


class ModelConfig(Section):
    """Which network reads the steps of a clip.

    `gru`, `lstm` and `tcn` (Bai et al. 2018) read what the frame network sees in each step, `r2plus1d` (Tran et al.
    2018) the face crops themselves. A causal one knows only what came before, and streams; another one also looks
    `lookahead_s` ahead, and reads files alone.
    """

    kind: Kind = "gru"
    causal: bool = True
    width: int = Field(96, ge=4, le=1024, description="features of each layer")
    layers: int = Field(1, ge=1, le=12, description="recurrent layers, or blocks of convolutions")
    kernel: int = Field(5, ge=2, le=31, description="steps that a convolution spans")
    dropout: float = Field(0.3, ge=0, lt=1)
    lookahead_s: float = Field(1.0, gt=0, le=10, description="of a model that is not causal")

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if not self.causal and self.kind in ("tcn", "r2plus1d") and self.kernel % 2 == 0:
            raise ValueError(f"kernel = {self.kernel}: a model that is not causal needs an odd one")
        return self


class ClipsConfig(Section):
    """How clips are brought to steps. `frames` is the model whose network describes each frame, by name or folder.

    Each clip is described `views` times: once as it is, then with `[augment]`'s changes, the same for all its frames.
    """

    frames: str = "mien-s"
    rate_hz: float = Field(15.0, gt=0, le=120, description="steps a second")
    length_s: float = Field(4.0, gt=0, le=60, description="of the parts that are trained on")
    views: int = Field(1, ge=1, le=32)
    labels: Literal["seven", "eight"] = "seven"


class HeadsConfig(Section):
    """Weight of each loss: label a frame, label a clip (on the mean over its steps), valence and arousal a frame."""

    frame: float = Field(1.0, ge=0)
    clip: float = Field(1.0, ge=0)
    valence_arousal: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not (self.frame or self.clip or self.valence_arousal):
            raise ValueError("all of heads.frame, heads.clip and heads.valence_arousal are 0: give one a weight")
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the network gives a step."""
        words = ("expression",) if self.frame or self.clip else ()
        return (*words, "valence_arousal") if self.valence_arousal else words


class SequenceConfig(Section):
    """Changes of the steps themselves, drawn again in every epoch.

    `speed` plays a part faster or slower; in a gap, as where no face was found, steps are between those beside it.
    """

    speed: float = Field(0.2, ge=0, lt=1, description="share, either way")
    gaps: float = Field(0.1, ge=0, lt=1, description="share of the steps that fall into gaps")
    noise: float = Field(0.1, ge=0, description="standard deviation, in those of the features; the same for all steps")


class FitConfig(Section):
    """The loop itself; each epoch takes one part of every clip."""

    epochs: int = Field(40, ge=1)
    batch_size: int = Field(32, ge=2)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights, 0 for none")
    patience: int = Field(0, ge=0, description="epochs without a better score before stopping, 0 for never")
    seed: int = 0


class TemporalConfig(Named):
    """Everything that decides a training on clips, but for the data set and the machine."""

    name: str = Field("clips", pattern=r"^[a-z0-9][a-z0-9._-]*$")
    clips: ClipsConfig = ClipsConfig()
    model: ModelConfig = ModelConfig()
    heads: HeadsConfig = HeadsConfig()
    optim: OptimConfig = OptimConfig(name="adamw", lr=2e-3, weight_decay=0.02, warmup_epochs=2, clip=1.0)
    sequence: SequenceConfig = SequenceConfig()
    augment: AugmentConfig = AugmentConfig()
    fit: FitConfig = FitConfig()

    @model_validator(mode="after")
    def _gradients_only(self) -> Self:
        if self.optim.name == "svm" or self.optim.freeze_epochs or self.optim.layer_decay != 1:
            raise ValueError("optim: svm, freeze_epochs and layer_decay are for trainings on faces, not on clips")
        if self.augment.mixup or self.augment.cutmix:
            raise ValueError("augment: mixup and cutmix are for trainings on faces, not on clips")
        return self

    KIND: ClassVar[str] = "temporal network"

    def header(self) -> dict[str, Any]:
        """What a checkpoint says of its network; all else follows from the configuration in it."""
        return {"kind": self.KIND, "arch": self.model.kind, "heads": self.heads.outputs}

    @property
    def words(self) -> tuple[str, ...]:
        """The labels that the model tells apart."""
        return user_labels(self.clips.labels)


def is_clip_training(config: Path | None, data: Path) -> bool:
    """Whether a TOML file is of a training on clips, or without one the data are clips.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    return is_clips(data) if config is None else "clips" in read_toml(config)


def load_temporal(path: Path, **fit: int | None) -> TemporalConfig:
    """Read a TOML file; what is given of `fit` (epochs, seed) takes the place of the file's.

    Raises:
        ConfigError: not readable, not TOML, an unknown key or a value out of range; the message names the key.
    """
    values = read_toml(path)
    given = {key: value for key, value in fit.items() if value is not None}
    if given and isinstance(values.setdefault("fit", {}), dict):
        values["fit"] |= given
    return parse_temporal(values, name=str(path))


def parse_temporal(values: dict[str, Any], *, name: str = "configuration") -> TemporalConfig:
    """Check plain values; see `load_temporal`."""
    try:
        return TemporalConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error, TemporalConfig)}") from error
