"""A loaded model: face crops of any size to calibrated probabilities."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.artifact.artifact import INPUT_NAME, Artifact, Manifest, load_artifact
from mien.artifact.calibration import Calibration
from mien.artifact.catalog import resolve
from mien.artifact.input import InputSpec, prepare
from mien.artifact.runtime import Session, Tensor
from mien.errors import ArtifactError, ConfigError
from mien.labels import AFFECT_HEADS
from mien.reading.affect import COLUMNS, estimate_affect

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Crops = Sequence[UInt8] | UInt8

BATCH = 64
"""Crops that run at once: more gains nothing and costs memory."""

EMBEDDING = "embedding"
"""What `run` calls the features of a model `with_embedding`; no head can have this name."""


class Model:
    """An artifact's graph, ready to run on face crops.

    Args:
        artifact: from `load_artifact`.
        providers, threads: as `mien.artifact.runtime.Session` takes them.
        flip: run each face and its mirror image, and average their logits: twice the work.
        balance: 0–1. At 0 probabilities are those of faces among which expressions are as frequent as where the model
            was calibrated; at 1, where all are equally frequent: rare ones are found more often, common ones missed.
            None is 0 too, and leaves the choice to whoever shows the faces to users; see `as_shown`.

    Raises:
        ArtifactError: the graph cannot be loaded or does not fit its manifest.
        ConfigError: a balance out of range, or for a model that does not say how frequent its classes were.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        flip: bool = False,
        balance: float | None = None,
    ) -> None:
        self.manifest: Manifest = artifact.manifest
        self.flip = flip
        self._balance = None if balance is None else self._checked_balance(balance)
        self._shown = False
        self._embedding: str | None = None
        self.folder = artifact.folder
        self.session = Session(artifact.graph, providers=providers, threads=threads)
        spec = self.spec
        try:
            # Checked now: a graph that does not fit would fail at the first face, or read it by wrong names.
            self.session.require(
                {INPUT_NAME: Tensor("uint8", (None, spec.channels, spec.height, spec.width))},
                {name: Tensor("float", (None, columns)) for name, columns in self.manifest.outputs.items()},
            )
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.folder}: {error}") from error

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def title(self) -> str:
        """Name and version for results, with `+flip` and `+balance0.3` where it reads otherwise than by itself."""
        balanced = f" +balance{self.balance:g}" if self.balance else ""
        return f"{self.name} {self.version}{' +flip' if self.flip else ''}{balanced}"

    @property
    def balance(self) -> float:
        """The balance of the default head; 0 for a model without heads of expressions."""
        return self.balance_of(self.manifest.default_head) if self.heads else 0.0

    def balance_of(self, head: str) -> float:
        """What was asked for; otherwise the manifest's for the default head as users are shown it, 0 for all else."""
        if self._balance is not None:
            return self._balance
        return self.manifest.reading.balance if self._shown and head == self.manifest.default_head else 0.0

    def as_shown(self, head: str | None = None) -> Model:
        """The same model as users are to be shown it: by the manifest's rule, if no balance was asked for.

        Args:
            head: the one that is shown. The rule is the default head's, another one is shown as it is.
        """
        other = copy(self)
        other._shown = head is None or head == self.manifest.default_head
        return other

    def reading(self, *, flip: bool | None = None, balance: float | None = None) -> Model:
        """The same model with another `flip` or `balance`, None for as it is; both share the graph."""
        other = copy(self)
        other.flip = self.flip if flip is None else flip
        other._balance = self._balance if balance is None else self._checked_balance(balance)
        return other

    def with_embedding(self, tensor: str) -> Model:
        """The same model, whose `run` also gives a tensor of its graph, float32 (N, F), as EMBEDDING.

        Raises:
            ArtifactError: the graph has no such tensor.
        """
        other = copy(self)
        other._embedding, other.session = tensor, self.session.with_output(tensor)
        return other

    def _checked_balance(self, balance: float) -> float:
        if not 0 <= balance <= 1:
            raise ConfigError(f"balance is a number from 0 to 1, not {balance}")
        if balance and not any(head.prior for head in self.manifest.heads.values()):
            raise ConfigError(
                f"{self.name} {self.version} does not say how frequent its classes were, which balance needs: "
                "calibrate it again with `mien model calibrate`"
            )
        return balance

    @property
    def spec(self) -> InputSpec:
        """The pictures that the graph takes, and how faces are cropped for it."""
        return self.manifest.input

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """The class names of each head, in the order of its columns."""
        return {name: head.labels for name, head in self.manifest.heads.items()}

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """How each head's logits become probabilities, `balance` included; a head without a prior stays as it is."""
        return {name: self._calibration(name) for name in self.manifest.heads}

    def _calibration(self, name: str) -> Calibration:
        head, balance = self.manifest.heads[name], self.balance_of(name)
        return head.calibration.balanced(head.prior, balance) if balance and head.prior else head.calibration

    def prepare(self, crops: Crops) -> UInt8:
        """Bring crops to the network's input: uint8 (N, channels, height, width).

        Args:
            crops: an array (N, H, W, 3) RGB or (N, H, W) grey, or a list of crops, each of its own size.

        Raises:
            ConfigError: for what is no uint8 crop.
        """
        return prepare(_checked(crops), self.spec)

    def run(self, faces: UInt8) -> dict[str, Float32]:
        """Every output for prepared crops (N, channels, height, width): logits (N, K) of heads, values of `affect`.

        A model `with_embedding` gives its features as well.
        """
        parts = [self._run_batch(faces[start : start + BATCH]) for start in range(0, len(faces), BATCH)]
        # Without faces there is no batch to tell the number of columns.
        sizes = dict(self.manifest.outputs)
        names = {name: name for name in sizes}
        if self._embedding is not None:
            names[EMBEDDING], sizes[EMBEDDING] = self._embedding, self.session.outputs[self._embedding].shape[-1] or 0
        return {
            name: np.concatenate([part[names[name]] for part in parts] or [np.zeros((0, sizes[name]), np.float32)])
            for name in names
        }

    def _run_batch(self, faces: UInt8) -> dict[str, Float32]:
        if not self.flip:
            return self.session.run({INPUT_NAME: faces})
        found = self.session.run({INPUT_NAME: np.concatenate([faces, faces[..., ::-1]])})
        count = len(faces)
        # Logits are averaged, not probabilities, because calibration takes logits.
        return {name: np.asarray((values[:count] + values[count:]) / 2, np.float32) for name, values in found.items()}

    def logits(self, crops: Crops, head: str | None = None) -> Float32:
        """The head's raw outputs, float32 (N, K), before calibration; arguments as `predict`."""
        return self.run(self.prepare(crops))[self.choose_head(head)]

    def predict(self, crops: Crops, head: str | None = None) -> Float32:
        """Calibrated probabilities, float32 (N, K), in the order of `heads[head]`; rows sum to 1.

        Args:
            crops: uint8 (N, H, W, 3) RGB or (N, H, W) grey, or a list of crops, each of its own size.
            head: one of `heads`; default the manifest's, which is what users get.

        Raises:
            ConfigError: for what is no uint8 crop, or an unknown head.
        """
        return self.calibrate(self.logits(crops, head), head)

    def predict_affect(self, crops: Crops) -> Float32:
        """Valence, arousal, intensity and their standard deviations, float32 (N, 6); arguments as `predict`.

        NaN stands for what the model does not tell; see `mien.reading.affect.COLUMNS`.
        """
        return self.estimate_affect(self.run(self.prepare(crops)))

    def calibrate(self, logits: Float32, head: str | None = None) -> Float32:
        """Probabilities of a head's logits by its fitted calibration, float32 (N, K)."""
        name = self.choose_head(head)
        return self.balanced(self.shares(logits, name), name)

    def shares(self, logits: Float32, head: str) -> Float32:
        """Probabilities of a head's logits at balance 0, float32 (N, K): of annotators who would choose each class."""
        return self.manifest.heads[head].calibration.probabilities(logits)

    def balanced(self, shares: Float32, head: str) -> Float32:
        """What `shares` gave, at the balance that this head is read with; see `Calibration.balanced`."""
        balance, prior = self.balance_of(head), self.manifest.heads[head].prior
        if not balance or not prior:
            return shares
        lifted = shares * _lifts(prior, balance)
        return np.asarray(lifted / lifted.sum(axis=1, keepdims=True), np.float32)

    def estimate_affect(self, outputs: Mapping[str, Float32], *, shares: Float32 | None = None) -> Float32:
        """Valence, arousal and intensity of what `run` gave, float32 (N, 6); see `mien.reading.affect`.

        From the model's own heads of values where it has them. Otherwise by the share of annotators who would choose
        each word, so at balance 0, whatever the balance of what is shown.

        Args:
            outputs: of every head.
            shares: those of `head_of_words`, if they are known already.
        """
        words = self.head_of_words
        if words is None:
            found = np.full((len(next(iter(outputs.values()))), len(COLUMNS)), np.nan, np.float32)
        else:
            head = self.manifest.heads[words]
            found = estimate_affect(self.shares(outputs[words], words) if shares is None else shares, head.labels)
        for name, values in self.manifest.affect.items():
            for place, value in enumerate(AFFECT_HEADS[name]):
                found[:, COLUMNS.index(value)] = outputs[name][:, place]
                found[:, COLUMNS.index(f"{value}_sd")] = values.sd[place]
        return found

    @property
    def affect_source(self) -> str:
        """The output heads that valence, arousal and intensity are from: `crowd`, or `valence_arousal, crowd`."""
        words = self.head_of_words
        return ", ".join([*self.manifest.affect, *([] if words is None else [words])])

    @property
    def head_of_words(self) -> str | None:
        """The head whose words tell what the model has no head for."""
        # The crowd head estimates shares of annotators, which is what the map takes.
        if len(self.manifest.affect) == len(AFFECT_HEADS) or not self.manifest.heads:
            return None
        return "crowd" if "crowd" in self.manifest.heads else self.manifest.default_head

    def choose_head(self, head: str | None) -> str:
        """The head's name, the manifest's default for none.

        Raises:
            ConfigError: naming the heads that the model has.
        """
        if not self.heads:
            raise ConfigError(
                f"{self.name} {self.version} estimates {', '.join(self.manifest.affect)} and no expressions: "
                "choose another model, or train one with a head of expressions as well"
            )
        name = self.manifest.default_head if head is None else head
        if name not in self.manifest.heads:
            raise ConfigError(f"unknown head {name!r}: {self.name} has {', '.join(self.heads)}")
        return name


def load_model(
    name: str | Path | None = None,
    *,
    providers: Sequence[str] | None = None,
    threads: int | None = None,
    flip: bool = False,
    balance: float | None = None,
) -> Model:
    """Load and verify a model: none for the default, a bundled name, an artifact's folder, or `models:/name@alias`.

    Args:
        name: which one.
        providers, threads, flip, balance: as `Model` takes them. Without a balance `predict` gives the share of the
            annotators who would choose each word, and `Pipeline` shows what the manifest's rule makes of it.

    Raises:
        ConfigError: an unknown name or provider, or a balance that the model cannot be read with.
        ArtifactError: the artifact is damaged, foreign or newer than this version.
        MissingExtraError, TrackingError: for `models:/…`, MLflow is not installed or cannot be reached.
    """
    return Model(load_artifact(resolve(name)), providers=providers, threads=threads, flip=flip, balance=balance)


@functools.lru_cache(maxsize=64)
def _lifts(prior: tuple[float, ...], balance: float) -> Float32:
    """What each class's probability is multiplied with, (K,)."""
    return np.asarray(np.asarray(prior, np.float64) ** -balance, np.float32)


def _checked(crops: Crops) -> Crops:
    """Refuse what is no list of uint8 crops, in words that say what would be."""
    if isinstance(crops, np.ndarray):
        # It could be grey crops three pixels wide, but is far more likely a single RGB crop.
        if crops.ndim == 3 and crops.shape[-1] == 3:
            raise ConfigError(f"crops of shape {crops.shape}: for one RGB crop give [crop], a list of it")
        if crops.ndim not in (3, 4) and crops.size:
            raise ConfigError(f"crops are (N, H, W, 3) or (N, H, W), or a list of crops, not {crops.shape}")
    # All rows of an array are alike.
    for row, crop in enumerate(crops[:1] if isinstance(crops, np.ndarray) else crops):
        _check_crop(row, crop)
    return crops


def _check_crop(row: int, crop: UInt8) -> None:
    if not isinstance(crop, np.ndarray):
        raise ConfigError(f"crop {row}: expected an array, not {type(crop).__name__}")
    if crop.dtype != np.uint8:
        raise ConfigError(
            f"crop {row}: expected uint8 values 0–255, not {crop.dtype}; for floats in 0–1 give "
            "(crops * 255).round().astype('uint8')"
        )
    if crop.ndim not in (2, 3) or crop.shape[2:] not in ((), (1,), (3,)) or 0 in crop.shape:
        raise ConfigError(f"crop {row}: expected RGB (H, W, 3) or grey (H, W), not {crop.shape}")
