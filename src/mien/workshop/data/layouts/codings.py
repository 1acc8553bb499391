"""Numbers that stand for expressions: three published codings, and which one a data set's folders may follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mien.errors import ConfigError, DataError
from mien.labels import EIGHT, SEVEN, canonical

CODINGS: dict[str, dict[str, str]] = {
    "FER2013": {str(number): name for number, name in enumerate(SEVEN)},
    "AffectNet": {
        "0": "neutral", "1": "happy", "2": "sad", "3": "surprise", "4": "fear", "5": "disgust", "6": "angry",
        "7": "contempt",
    },
    "RAF-DB": {
        "1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral",
    },
}  # fmt: skip
"""By the data set: FER2013's challenge, AffectNet (Mollahosseini et al., 2017), RAF-DB (Li et al., 2017)."""

LEFT_OUT = "none"
"""What a mapping gives for folders to leave out."""

Classes = Mapping[str, str]
"""Names or numbers that a data set uses, with a word of `labels.EIGHT` each, or `LEFT_OUT`."""


def parse_classes(text: str) -> dict[str, str]:
    """A mapping as people write it.

    >>> parse_classes("0=neutral, 1=Happiness, 8=none")
    {'0': 'neutral', '1': 'happy', '8': 'none'}

    Raises:
        ConfigError: it is no such mapping, or names no expression.
    """
    classes: dict[str, str] = {}
    for part in text.split(","):
        word, separator, label = (piece.strip() for piece in part.partition("="))
        if not (word and separator and label):
            raise ConfigError(f"{part.strip()!r} is no class: expected NAME=LABEL,… such as 0=neutral,1=happy")
        if word in classes:
            raise ConfigError(f"the class {word!r} is given twice: {text}")
        try:
            classes[word] = label if label == LEFT_OUT else canonical(label)
        except KeyError:
            raise ConfigError(
                f"{part.strip()!r}: {label!r} is not a label: expected {', '.join(EIGHT)}, or {LEFT_OUT} to leave it "
                "out"
            ) from None
    return classes


def choose_coding(numbers: Collection[str], name: str) -> str | None:
    """Whose numbers the folders of a data set are, or None where no coding has them all.

    All of 1–7 are RAF-DB's, all of 0–7 AffectNet's. 0–6 may be either FER2013's or AffectNet's: the data set's own name
    decides, or else they are FER2013's.

    >>> choose_coding("0123456", "faces"), choose_coding("0123456", "AffectNet-7"), choose_coding("1234567", "faces")
    ('FER2013', 'AffectNet', 'RAF-DB')
    """
    found = set(numbers)
    words = name.lower().replace("-", "").replace("_", "")
    named = next((key for key, sign in (("AffectNet", "affectnet"), ("RAF-DB", "raf")) if sign in words), None)
    if named and found <= set(CODINGS[named]):
        return named
    if found <= set(CODINGS["FER2013"]):
        return "FER2013"
    return next((key for key in ("RAF-DB", "AffectNet") if found == set(CODINGS[key])), None)


@dataclass(frozen=True)
class Reading:
    """What the classes of a data set mean.

    Args:
        labels: a word of `labels.EIGHT` for each, `LEFT_OUT`, or nothing for one that is not known.
        coding: whose numbers they are, or empty.
        notes: how they were read, a sentence each.
    """

    labels: dict[str, str]
    coding: str
    notes: tuple[str, ...]


def read_classes(words: Collection[str], name: str, classes: Classes, *, where: str, what: str) -> Reading:
    """What names and numbers of a data set mean: first what is given, then the vocabulary, then a coding.

    Args:
        words: each once, in any order.
        name: of the data set, which may tell its coding.
        classes: given by the user.
        where: file or folder, for the message.
        what: they are, for the notes: `folders`, `labels`.

    Raises:
        DataError: numbers follow no known coding.
    """
    numbers = sorted(word for word in words if word.isdecimal() and word not in classes)
    coding = choose_coding(numbers, name) if numbers else ""
    if coding is None:
        raise DataError(
            f"{where}: the {what} {', '.join(numbers)} follow no known numbers (FER2013 0–6, AffectNet 0–7, RAF-DB "
            "1–7): say what they mean by --classes 0=neutral,1=happy,…"
        )
    known = CODINGS.get(coding, {}) | dict(classes)
    notes = []
    if coding:
        notes.append(
            f"The {what}' numbers are read as {coding}'s: {in_words(CODINGS[coding])}. "
            "If they mean something else, give --classes 0=neutral,1=happy,…"
        )
    if classes:
        notes.append(f"The {what}' names are read as given: {in_words(classes)}.")
    return Reading({word: known.get(word) or to_label(word) for word in words}, coding, tuple(notes))


def to_label(word: str) -> str:
    """The vocabulary's word for a name, empty for one that it does not know."""
    try:
        return canonical(word)
    except KeyError:
        return ""


def in_words(classes: Classes) -> str:
    """A mapping in a line."""
    return ", ".join(f"{word} {label}" for word, label in classes.items())
