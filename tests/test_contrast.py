"""The colours of all pages: what is to be read or told apart has a contrast of 4.5:1 or more, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mien
from mien.html import PALETTE, REPORT_STYLE, page

Colour = tuple[float, float, float]
APPS = Path(mien.__file__).parent / "apps"
SHEETS = [APPS / "review/assets/review.css", APPS / "live/live.css"]


def variables(text: str, *, dark: bool) -> dict[str, str]:
    """The custom properties of a style sheet in one mode."""
    mode = r"@media \(prefers-color-scheme: dark\) \{ :root \{([^}]*)\}"
    found = dict(re.findall(r"--([\w-]+): ([^;]+);", re.sub(r"@media[^{]*\{ :root \{[^}]*\}", "", text)))
    for block in re.findall(mode, text) if dark else ():
        found |= dict(re.findall(r"--([\w-]+): ([^;]+);", block))
    return found


def parsed(text: str) -> Colour:
    if text.startswith("#"):
        red, green, blue = (int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))
    else:
        red, green, blue = (float(part) / 255 for part in text.split(","))
    return red, green, blue


def contrast(first: Colour, second: Colour) -> float:
    """By WCAG 2."""

    def luminance(colour: Colour) -> float:
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ink", "soft", "accent", "warm", "good", "bad", "bar"])
def test_text_and_bars_on_paper_and_panel(name: str, dark: bool) -> None:
    found = variables(PALETTE, dark=dark)
    for ground in ("paper", "panel"):
        assert contrast(parsed(found[name]), parsed(found[ground])) >= 4.5, ground


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("kind", "most"), [("hit", 0.7), ("miss", 0.75)])
def test_the_figures_of_a_matrix_can_be_read_at_every_depth(kind: str, most: float, dark: bool) -> None:
    found = variables(PALETTE, dark=dark) | {
        name: value for name, value in variables(REPORT_STYLE, dark=dark).items() if name in ("hit", "miss", "deep")
    }
    tint, paper, ink = (parsed(found[name]) for name in (kind, "paper", "ink"))
    for step in range(101):
        share = most * float(found["deep"]) * step / 100
        cell = tuple(share * t + (1 - share) * p for t, p in zip(tint, paper, strict=True))
        assert contrast(ink, cell) >= 4.5, step  # type: ignore[arg-type]


def test_no_chart_is_paler_than_its_colours() -> None:
    assert "fill-opacity" not in REPORT_STYLE


def test_what_has_the_focus_is_outlined_on_every_page() -> None:
    assert ":focus-visible" in page("a", "b")
    for sheet in SHEETS:
        text = sheet.read_text("utf-8")
        assert ":focus-visible" in text, sheet.name
        assert not re.search(r"outline: *(none|0)\b", text), sheet.name
