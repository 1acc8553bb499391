"""Draws the letters of annotated images: Aileron Regular, which Pillow brings (CC0), as one grey picture with measures.

    python docs/images/make_lettering.py

A picture, so that whoever reads needs neither Pillow nor a font of the system.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE, BOLD_STROKE = 72, 1.6
LETTERS = "".join(map(chr, range(32, 127)))
OUT = Path(__file__).parents[2] / "src" / "mien" / "reading" / "letters"


def main() -> None:
    """Write `letters.png` and `letters.json`."""
    font = ImageFont.load_default(SIZE)
    above, below = round(0.76 * SIZE), round(0.26 * SIZE)
    styles, rows = {}, []
    for style, stroke in (("regular", 0), ("bold", BOLD_STROKE)):
        row, places, left = [], [], 0
        for letter in LETTERS:
            advance = font.getlength(letter) + 1.2 * stroke
            # Letters may lean out of their advance; a margin holds that part.
            width = round(advance + 2 * stroke) + 8
            cell = Image.new("L", (width, above + below))
            ImageDraw.Draw(cell).text((4 + stroke, above), letter, 255, font, anchor="ls", stroke_width=stroke)
            row.append(np.asarray(cell))
            places.append([left, width, round(advance, 2)])
            left += width
        rows.append(np.hstack(row))
        styles[style] = {"places": places, "margin": round(4 + stroke)}
    width = max(row.shape[1] for row in rows)
    sheet = np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows])
    OUT.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(OUT / "letters.png", optimize=True)
    measures = {"size": SIZE, "above": above, "below": below, "first": 32, "styles": styles}
    (OUT / "letters.json").write_text(json.dumps(measures, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
