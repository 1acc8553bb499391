"""Lines of text as coverage, from a picture of Aileron's letters (CC0; `docs/images/make_lettering.py` draws it)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

FOLDER = Path(__file__).parent / "letters"


@dataclass(frozen=True)
class Letters:
    """The letters of one weight.

    Args:
        cells: coverage (height, width of all), 0–1, the letters side by side at `size` pixels.
        places: left edge, width and advance of each letter in pixels, from the blank on.
        margin: pixels of a cell before its letter begins.
        size: of the font, in pixels; capital letters are 0.7 of it high.
    """

    cells: Float32
    places: tuple[tuple[int, int, float], ...]
    margin: int
    size: int

    def line(self, text: str) -> Float32:
        """Coverage of a line at full size; what is no ASCII is a question mark."""
        numbers = [ord(letter) - 32 if 32 <= ord(letter) < 127 else ord("?") - 32 for letter in text]
        width = self.margin + sum(self.places[number][2] for number in numbers)
        out = np.zeros((len(self.cells), round(width) + 2 * self.margin), np.float32)
        x = 0.0
        for number in numbers:
            left, wide, advance = self.places[number]
            area = out[:, round(x) : round(x) + wide]
            # The larger, not the sum: neighbours may touch.
            np.maximum(area, self.cells[:, left : left + area.shape[1]], out=area)
            x += advance
        return out


@functools.cache
def _letters(style: str) -> Letters:
    measures: dict[str, Any] = json.loads((FOLDER / "letters.json").read_text("utf-8"))
    sheet = cv2.imread(str(FOLDER / "letters.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    height = measures["above"] + measures["below"]
    top = height * list(measures["styles"]).index(style)
    found = measures["styles"][style]
    places = tuple((left, width, advance) for left, width, advance in found["places"])
    return Letters(sheet[top : top + height] / np.float32(255), places, found["margin"], measures["size"])


# In a video the same words return in every frame.
@functools.lru_cache(maxsize=512)
def text_mask(text: str, height_px: int, *, bold: bool = False) -> Float32:
    """Coverage (H, W) in 0–1 of a line of text in letters of this size: H is a little more, for what hangs below."""
    letters = _letters("bold" if bold else "regular")
    line = letters.line(text)
    ratio = height_px / letters.size
    size = (max(1, round(line.shape[1] * ratio)), max(1, round(line.shape[0] * ratio)))
    return np.asarray(cv2.resize(line, size, interpolation=cv2.INTER_AREA), np.float32)
