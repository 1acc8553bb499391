"""Label sets and the maps between them: the only place with label names.

One vocabulary serves all: `angry, disgust, fear, happy, sad, surprise, neutral`, and `contempt` as the eighth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError

SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes in the challenge's own order: label 0 is angry, 6 is neutral."""

NOT_SURE = "not sure"
"""What is shown for a face whose confidence is below the threshold."""

EIGHT = (*SEVEN, "contempt")
"""What `labels="eight"` shows to users."""

CROWD = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
"""The emotion columns of FER+ in their own order."""

VOTE_COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
"""The ten columns of `fer2013new.csv`, the FER+ votes, named as in the file; NF is "not a face"."""

HEADS: dict[str, tuple[str, ...]] = {"fer2013": SEVEN, "crowd": CROWD}
"""The heads that a network can have, with the classes of each."""

ALIASES = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "afraid": "fear", "happiness": "happy",
    "joy": "happy", "sadness": "sad", "surprised": "surprise", "calm": "neutral",
}  # fmt: skip
"""Names that other data sets and tools use."""

AFFECT = {"valence": (-1.0, 1.0), "arousal": (-1.0, 1.0), "intensity": (0.0, 1.0)}
"""What a face has beside its label, with the range of each: how pleasant and how excited it looks, on the circumplex
(Russell, "A Circumplex Model of Affect", 1980), and the share of annotators who see any expression in it."""

AFFECT_HEADS: dict[str, tuple[str, ...]] = {"valence_arousal": ("valence", "arousal"), "intensity": ("intensity",)}
"""The heads that estimate them, where a network was trained to, with the values of each."""

USER_LABELS = {"seven": SEVEN, "eight": EIGHT}


def user_labels(name: str) -> tuple[str, ...]:
    """The labels that users see by the name of the set, `seven` or `eight`.

    Raises:
        ConfigError: for any other name.
    """
    if name not in USER_LABELS:
        raise ConfigError(f"unknown label set {name!r}: expected one of {', '.join(USER_LABELS)}")
    return USER_LABELS[name]


def canonical(name: str) -> str:
    """The vocabulary's word for `name`, whatever its case: `Happiness` gives `happy`.

    Raises:
        KeyError: when the vocabulary has no such expression.
    """
    key = name.strip().lower()
    key = ALIASES.get(key, key)
    if key not in EIGHT:
        raise KeyError(name)
    return key


def project(
    probabilities: npt.NDArray[np.float32], source: tuple[str, ...], target: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """Reorder probabilities (N, len(source)) to `target`'s classes and make each row sum to 1 again.

    A class that `target` lacks is left out (the crowd head without contempt); one that `source` lacks is 0.
    A row with all its mass on left-out classes becomes uniform.

    >>> project(np.float32([[0.5, 0.25, 0.25]]), ("neutral", "happy", "contempt"), ("happy", "neutral")).round(3)
    array([[0.333, 0.667]], dtype=float32)
    """
    kept = np.zeros((len(probabilities), len(target)), np.float32)
    for column, name in enumerate(target):
        if name in source:
            kept[:, column] = probabilities[:, source.index(name)]
    total = kept.sum(axis=1, keepdims=True)
    # Rows without mass are replaced; `tiny` only keeps their division from warning.
    uniform = np.float32(1 / len(target))
    return np.where(total > 0, kept / np.maximum(total, np.finfo(np.float32).tiny), uniform).astype(np.float32)


def percent(share: float, digits: int = 0) -> str:
    """A share as people read it: 0.984 gives `98 %`."""
    return f"{100 * share:.{digits}f} %"


LANDMARKS = 68
"""Points of a face in iBUG's order (Sagonas et al., 2013)."""

BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""ARKit's names in MediaPipe's order, which has `_neutral` in place of ARKit's `tongueOut`."""
