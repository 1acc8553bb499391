"""How a head's logits become probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """Probabilities are softmax(scale l / T - c l² + bias) of the head's own log-probabilities l = log softmax(logits).

    A temperature alone is softmax(logits / T). It cannot undo label smoothing, after which no probability is near 0 or
    1: the curvature can, and keeps the order of the classes as well, for its slope is positive where l < 0 (a member of
    the family of Rahimi et al., "Intra Order-preserving Functions for Calibration of Multi-Class Neural Networks",
    2020). Scale and bias a class are vector scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017),
    which may change the most likely class.

    Args:
        temperature: T, above 0.
        curvature: c, 0 or more.
        scale: one factor above 0 a class, or none for 1.
        bias: one number a class, or none for 0.
    """

    temperature: float = 1.0
    curvature: float = 0.0
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()

    def probabilities(self, logits: Float32) -> Float32:
        """Calibrated probabilities, float32 (N, K); rows sum to 1.

        >>> Calibration(temperature=2.0).probabilities(np.float32([[0, 2]])).round(3)
        array([[0.269, 0.731]], dtype=float32)
        """
        slope = np.asarray(self.scale or 1.0, np.float32) / np.float32(self.temperature)
        # Softmax ignores an added constant, so a temperature alone needs no log-probabilities.
        if not (self.curvature or self.bias or self.scale):
            return softmax(logits * slope)
        logs = log_softmax(logits)
        bent = logs * slope - np.float32(self.curvature) * logs**2
        return softmax(bent + np.asarray(self.bias or 0.0, np.float32))

    def balanced(self, prior: Sequence[float], balance: float) -> Calibration:
        """The same for faces among which the classes are nearer to equally frequent.

        Bayes' rule for another prior: each class's probability is divided by its frequency to the power of `balance`
        (Saerens et al., "Adjusting the Outputs of a Classifier to New a Priori Probabilities", 2002).

        Args:
            prior: how often each class occurs where the head was calibrated, above 0.
            balance: 0 for as often as there, 1 for all equally often.

        >>> Calibration().balanced([0.9, 0.1], 1.0).probabilities(np.log(np.float32([[0.9, 0.1]]))).round(3)
        array([[0.5, 0.5]], dtype=float32)
        """
        start = self.bias or (0.0,) * len(prior)
        # Dividing probabilities is subtracting their logarithms, which is what a bias does.
        lift = -balance * np.log(np.asarray(prior, np.float64))
        return replace(self, bias=tuple(float(value) for value in np.asarray(start) + lift))

    @property
    def keeps_order(self) -> bool:
        """Whether every row's classes stay in the order of their logits."""
        return not (self.scale or self.bias)

    def __str__(self) -> str:
        """In words, `temperature 0.987, curvature 0.200`."""
        parts = [f"temperature {self.temperature:.3f}"]
        parts += [f"curvature {self.curvature:.3f}"] if self.curvature else []
        return ", ".join(parts) + ("" if self.keeps_order else ", scale and bias a class")


def softmax(logits: Float32) -> Float32:
    """Softmax over the last axis, safe for large values.

    >>> softmax(np.float32([[0, 1000]]))
    array([[0., 1.]], dtype=float32)
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def log_softmax(logits: Float32) -> Float32:
    """Logarithm of the softmax over the last axis, safe for large values.

    >>> log_softmax(np.float32([[0, 1000]]))
    array([[-1000.,     0.]], dtype=float32)
    """
    centred = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(centred - np.log(np.exp(centred).sum(axis=-1, keepdims=True)), np.float32)
