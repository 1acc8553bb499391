"""The live page draws the words where the service's own table has them."""

from __future__ import annotations

import re

from mien.apps.live.parts import FOLDER
from mien.reading.affect import CIRCUMPLEX


def test_the_words_are_where_the_table_has_them() -> None:
    script = (FOLDER / "circumplex.js").read_text(encoding="utf-8")
    found = {
        word: (float(valence), float(arousal))
        for word, valence, arousal in re.findall(r"(\w+): \[(-?[\d.]+), (-?[\d.]+)\]", script)
    }
    assert found == CIRCUMPLEX
