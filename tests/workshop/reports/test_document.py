"""Blocks as HTML and Markdown, and whether what is printed on colours can be read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mien.html import PALETTE, REPORT_STYLE
from mien.workshop.reports.charts import Axis, Plot
from mien.workshop.reports.document import (
    Chart,
    Columns,
    Face,
    Folded,
    Gallery,
    Grid,
    Heading,
    Matrix,
    Text,
    Thumbnail,
    pictures,
    to_html,
    to_markdown,
)

GREY = np.full((8, 8), 90, np.uint8)


def colours(name: str, css: str) -> list[np.ndarray]:
    """A colour of the style as RGB 0–1, the light one and the dark one."""
    found = re.findall(rf"--{name}: (#[0-9a-f]{{6}}|\d+, \d+, \d+)", css)[:2]
    return [
        np.array([int(text[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        if text.startswith("#")
        else np.array([int(part) for part in text.split(",")]) / 255
        for text in found
    ]


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """By WCAG 2, from 1 to 21."""
    linear = [np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    low, high = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_on_every_cell_of_a_matrix_can_be_read(dark: bool) -> None:
    counts = np.array([[95, 5, 0], [40, 60, 0], [99, 0, 1]])
    html = to_html("Toy", [Matrix(("a", "b", "c"), counts)])
    cells = re.findall(r'class="(hit|miss)" style="--share:([\d.]+)"', html)
    assert len(cells) == 6
    ink, paper = (colours(name, PALETTE)[dark] for name in ("ink", "paper"))
    deep = float(re.findall(r"--deep: ([\d.]+)", REPORT_STYLE)[dark])
    for kind, share in cells:
        alpha = float(share) * deep
        assert contrast(ink, alpha * colours(kind, REPORT_STYLE)[dark] + (1 - alpha) * paper) >= 4.5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "soft", "accent", "warm", "good", "bad"])
def test_every_colour_of_words_can_be_read(name: str, dark: bool) -> None:
    for ground in ("paper", "panel"):
        assert contrast(colours(name, PALETTE)[dark], colours(ground, PALETTE)[dark]) >= 4.5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_bars_stand_out_from_the_page(dark: bool) -> None:
    assert contrast(colours("bar", PALETTE)[dark], colours("paper", PALETTE)[dark]) >= 3


def test_a_long_report_has_contents_that_lead_to_its_sections() -> None:
    blocks = [Text("first"), Heading("One & two"), Heading("Part", 3), Heading("Three", key="third")]
    html = to_html("Toy", blocks, contents=True)
    assert html.index("first") < html.index("<nav") < html.index("<h2")
    assert re.findall(r'<a href="#([^"]+)">', html) == ["one-two", "third"]
    assert re.findall(r'<h2 id="([^"]+)">', html) == ["one-two", "third"]
    assert "<nav" not in to_html("Toy", blocks)


def test_marks_become_html_and_what_is_no_mark_is_escaped() -> None:
    html = to_html("Toy", [Text("{mark|a < b} {other|x} [c](#d) [e](http://f) <script>")])
    assert '<span class="mark">a &lt; b</span> {other|x} <a href="#d">c</a> [e](http://f) &lt;script&gt;' in html


def test_markdown_shows_tables_without_thumbnails_and_counts_faces() -> None:
    rows = [["a", Thumbnail(GREY, "grey"), "1 {range|(0–2)}"], ["b|c", "", "2\n3"]]
    faces = Gallery([Face(GREY, ["**x**"], "Face x")] * 3, more=2)
    text = to_markdown("Toy", [Grid(("what", "example", "n"), rows), faces])
    assert "| what | n |\n| --- | ---: |\n| a | 1 (0–2) |\n| b\\|c | 2 3 |" in text
    assert "(5 faces, shown in the HTML page)" in text
    html = to_html("Toy", [Grid(("what", "example", "n"), rows), faces])
    assert html.count("<img") == 4
    assert "and 2 more" in html


def test_charts_inside_other_blocks_become_files() -> None:
    plot = Plot("What it shows", Axis(0, 1), Axis(0, 1))
    blocks = [Folded("More", "", [Columns([[Chart(plot, "**One**", "one")], [Chart(plot, "Two")]])])]
    assert set(pictures(blocks)) == {"one.svg"}
    text = to_markdown("Toy", blocks)
    assert "![One](one.svg)" in text
    assert "- Two. What it shows" in text
    assert to_html("Toy", blocks).count("<svg") == 2
