"""A report as a list of blocks, written once and rendered as one HTML page and as Markdown with pictures beside it.

Text may hold **bold** and `code`, and nothing else of Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from mien.html import html_cards, html_figure, html_table, markdown_table, page


@dataclass(frozen=True)
class Heading:
    """A section's title; level 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table; the first `text_columns` are set to the left."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@dataclass(frozen=True)
class Picture:
    """A PNG with its file name."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Pair:
    """A picture with a table beside it, below each other in Markdown and where there is no room."""

    picture: Picture
    grid: Grid


@dataclass(frozen=True)
class Code:
    """Commands, a line each."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Cards:
    """The few figures that matter: (value, what it is)."""

    figures: Sequence[tuple[str, str]]


Block: TypeAlias = Heading | Text | Bullets | Grid | Picture | Pair | Code | Cards


def to_html(title: str, blocks: Iterable[Block], *, lead: str = "") -> str:
    """One page with all pictures inside."""
    return page(title, "\n".join(_html(block) for block in blocks), lead=lead)


def to_markdown(title: str, blocks: Iterable[Block], *, lead: str = "") -> str:
    """The same for readers of files; pictures are expected beside it."""
    parts = [f"# {title}", *([lead] if lead else []), *(_markdown(block) for block in blocks)]
    return "\n\n".join(parts) + "\n"


def pictures(blocks: Iterable[Block]) -> dict[str, bytes]:
    """File name and bytes of every picture."""
    found = [block.picture if isinstance(block, Pair) else block for block in blocks]
    return {block.name: block.png for block in found if isinstance(block, Picture)}


def inline_html(text: str) -> str:
    """Text with **bold** and `code` as HTML.

    >>> inline_html("**7** of `a < b`")
    '<b>7</b> of <code>a &lt; b</code>'
    """
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe)


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{inline_html(text)}</h{level}>"
        case Text(text):
            return f"<p>{inline_html(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "".join(f"<li>{inline_html(item)}</li>\n" for item in items) + "</ul>"
        case Grid(columns, rows, text_columns):
            names = [inline_html(name) for name in columns]
            return html_table(names, [[inline_html(c) for c in row] for row in rows], text_columns=text_columns)
        case Picture(_, png, caption):
            return html_figure(png, caption)
        case Pair(picture, grid):
            return f'<div class="side">\n{_html(picture)}\n{_html(grid)}\n</div>'
        case Code(lines):
            return f"<pre><code>{escape(chr(10).join(lines), quote=False)}</code></pre>"
        case Cards(figures):
            return html_cards((inline_html(value), inline_html(name)) for value, name in figures)


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Grid(columns, rows, text_columns):
            cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
            return "\n".join(markdown_table(columns, cells, text_columns=text_columns))
        case Picture(name, _, caption):
            return f"![{caption}]({name})"
        case Pair(picture, grid):
            return f"{_markdown(picture)}\n\n{_markdown(grid)}"
        case Code(lines):
            return "\n".join(["```", *lines, "```"])
        case Cards(figures):
            return "  ·  ".join(f"**{value}** {name}" for value, name in figures)
