"""A report as a list of blocks, written once and rendered as one HTML page and as Markdown with charts beside it.

Text is plain but for five marks: **bold**, `code`, [label](#place), {kind|words} with one of `KINDS`, and a line break.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mien.arrays import Int64, UInt8
from mien.errors import ConfigError
from mien.files import write_whole
from mien.html import REPORT_STYLE, html_table, page
from mien.images.pictures import encode, resize
from mien.workshop.reports.charts import Plot

DASH = "–"
KINDS = ("soft", "range", "good", "bad", "mark", "small")
LARGEST_PX = 96


@dataclass(frozen=True)
class Heading:
    """A section's title, level 2 to 4, with a lighter note behind it; `key` is its place for links.

    The contents call a section by `short`, if given.
    """

    text: str
    level: int = 2
    key: str = ""
    note: str = ""
    short: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is "soft", or "note" or "warn" for a box."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """A list of names with their values."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture in a cell of a table; left out of Markdown with its column."""

    picture: UInt8
    name: str


Cell: TypeAlias = str | Thumbnail


@dataclass(frozen=True)
class Grid:
    """A table; the first `text_columns` are aligned left, the rows in `marked` stand out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text_columns: int = 1
    marked: Sequence[int] = ()
    kind: str = ""


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: faces by label (rows) and prediction (columns)."""

    classes: Sequence[str]
    counts: Int64


@dataclass(frozen=True)
class Picture:
    """A PNG with its file name."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Chart:
    """A chart; with a name, Markdown shows it as NAME.svg, otherwise what it says in words."""

    plot: Plot
    caption: str
    name: str = ""


@dataclass(frozen=True)
class Face:
    """A face with lines below it, and bars: (what, share 0–1) each."""

    picture: UInt8
    lines: Sequence[str]
    name: str
    hint: str = ""
    bars: Sequence[tuple[str, float]] = ()
    kept: bool = False


@dataclass(frozen=True)
class Gallery:
    """Faces side by side; Markdown says only how many. With a caption, they are one group in a box."""

    faces: Sequence[Face]
    caption: str = ""
    more: int = 0


@dataclass(frozen=True)
class Columns:
    """Lists of blocks side by side where there is room; `kind` is "pair", "charts", "large" or "groups"."""

    parts: Sequence[Sequence[Block]]
    kind: str = "pair"


@dataclass(frozen=True)
class Folded:
    """Blocks that a click opens."""

    title: str
    note: str
    blocks: Sequence[Block]
    opened: bool = False
    key: str = ""


@dataclass(frozen=True)
class Code:
    """Commands, a line each."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Cards:
    """The few figures that matter: (value, what it is)."""

    figures: Sequence[tuple[str, str]]


Block: TypeAlias = (
    Heading | Text | Bullets | Facts | Grid | Matrix | Picture | Chart | Gallery | Columns | Folded | Code | Cards
)


def to_html(title: str, blocks: Sequence[Block], *, lead: str = "", contents: bool = False) -> str:
    """One page with all pictures inside; with `contents`, links to its sections stay at the top of the window."""
    parts = [_html(block) for block in blocks]
    sections = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    if contents and sections:
        links = "".join(
            f'<a href="#{_place(block)}">{inline_html(block.short or block.text)}</a>' for block in sections
        )
        # Behind the headline figures: they should be seen without scrolling.
        parts.insert(blocks.index(sections[0]), f'<nav aria-label="Contents">{links}</nav>')
    return page(title, "\n".join(part for part in parts if part), lead=lead, style=REPORT_STYLE)


def to_markdown(title: str, blocks: Iterable[Block], *, lead: str = "") -> str:
    """The same for readers of text; pictures and charts are expected beside it."""
    parts = [f"# {title}", lead, *map(_markdown, blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def pictures(blocks: Iterable[Block]) -> dict[str, bytes]:
    """File name and bytes of every picture and chart that the Markdown shows."""
    found: dict[str, bytes] = {}
    for block in _all(blocks):
        if isinstance(block, Picture):
            found[block.name] = block.png
        elif isinstance(block, Chart) and block.name:
            found[f"{block.name}.svg"] = block.plot.file().encode()
    return found


def document_files(
    title: str, blocks: Sequence[Block], *, lead: str = "", contents: bool = False, stem: str = "report"
) -> dict[str, bytes]:
    """STEM.html, STEM.md and what the latter shows, as bytes by file name."""
    return {
        # Replaced, because names of files and classes need not be Unicode.
        f"{stem}.html": to_html(title, blocks, lead=lead, contents=contents).encode("utf-8", "replace"),
        f"{stem}.md": to_markdown(title, blocks, lead=lead).encode("utf-8", "replace"),
        **pictures(blocks),
    }


def write_files(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, each whole or not at all; the folder is made if need be.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {folder}: {error.strerror or error}") from error
    return [folder / name for name in files]


def require_free_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Raise ConfigError where a report cannot be written, before the work begins."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file: expected a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--out {folder} is not empty: choose another folder, or add --overwrite")


def inline_html(text: str) -> str:
    """Text with its marks as HTML.

    >>> inline_html("**7** of `a < b`, {soft|see} [here](#there)")
    '<b>7</b> of <code>a &lt; b</code>, <span class="soft">see</span> <a href="#there">here</a>'
    """
    # Escaped before the marks become tags, so that no text of a data set can bring tags of its own.
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    safe = re.sub(_SPAN, r'<span class="\1">\2</span>', re.sub(_LINK, r'<a href="\2">\1</a>', safe))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", safe).replace("\n", "<br>")


def inline_markdown(text: str) -> str:
    """Text with the marks that Markdown knows.

    >>> inline_markdown("**7** {soft|(1–9)}, see [here](#there)")
    '**7** (1–9), see here'
    """
    return re.sub(_LINK, r"\1", re.sub(_SPAN, r"\2", text)).replace("\n", " ")


def shrink(picture: UInt8, largest_px: int = LARGEST_PX) -> UInt8:
    """A picture with at most this many pixels a side."""
    height, width = picture.shape[:2]
    scale = largest_px / max(height, width)
    if scale >= 1:
        return picture
    # OpenCV takes no views with gaps.
    return resize(np.ascontiguousarray(picture), max(1, round(scale * height)), max(1, round(scale * width)))


_SPAN = rf"\{{({'|'.join(KINDS)})\|([^{{}}]*)\}}"
_LINK = r"\[([^\]]+)\]\((#[\w.+-]+|[\w.+-]+/[\w.+-]+\.html)\)"


def _place(block: Heading) -> str:
    return escape(block.key or re.sub(r"\W+", "-", block.text.lower()).strip("-"))


def _all(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block, those inside others too."""
    for block in blocks:
        yield block
        if isinstance(block, Columns):
            for part in block.parts:
                yield from _all(part)
        elif isinstance(block, Folded):
            yield from _all(block.blocks)


def _html(block: Block) -> str:
    match block:
        case Heading(text, level, note=note):
            behind = f' <span class="soft">{inline_html(note)}</span>' if note else ""
            return f'<h{level} id="{_place(block)}">{inline_html(text)}{behind}</h{level}>'
        case Text(text, kind):
            box = kind in ("note", "warn")
            body = f'<p class="{kind}">{inline_html(text)}</p>' if kind and not box else f"<p>{inline_html(text)}</p>"
            return f'<div class="note {kind}">{body}</div>' if box else body
        case Bullets(items):
            return "<ul>\n" + "".join(f"<li>{inline_html(item)}</li>\n" for item in items) + "</ul>"
        case Facts(items):
            pairs = (f"<dt>{inline_html(name)}</dt><dd>{inline_html(value)}</dd>" for name, value in items)
            return f'<dl class="facts">{"".join(pairs)}</dl>'
        case Grid():
            return _html_grid(block)
        case Matrix(classes, counts):
            return _html_matrix(classes, counts)
        case Picture(_, png, caption):
            data = base64.b64encode(png).decode("ascii")
            image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            return f"<figure>{image}<figcaption>{inline_html(caption)}</figcaption></figure>"
        case Chart(plot, caption, _):
            return f"<figure>{plot.svg()}<figcaption>{inline_html(caption)}</figcaption></figure>"
        case Gallery():
            return _html_gallery(block)
        case Columns(parts, kind):
            inner = "\n".join(f"<div>{chr(10).join(map(_html, part))}</div>" for part in parts)
            return f'<div class="columns {kind}">\n{inner}\n</div>'
        case Folded(title, note, blocks, opened, key):
            inner = "\n".join(map(_html, blocks))
            summary = f"<summary>{inline_html(title)} <span>{inline_html(note)}</span></summary>"
            return f'<details id="{escape(key)}"{" open" if opened else ""}>{summary}\n{inner}\n</details>'
        case Code(lines):
            return f"<pre><code>{escape(chr(10).join(lines), quote=False)}</code></pre>"
        case Cards(figures):
            cards = (
                f"<div><b>{inline_html(value)}</b><span>{inline_html(name)}</span></div>" for value, name in figures
            )
            return f'<div class="cards">{"".join(cards)}</div>'


def _html_grid(grid: Grid) -> str:
    rows = [[inline_html(cell) if isinstance(cell, str) else _html_image(cell) for cell in row] for row in grid.rows]
    names = [inline_html(name) for name in grid.columns]
    table = html_table(names, rows, text_columns=grid.text_columns, marked=grid.marked)
    return f'<div class="{grid.kind}">{table}</div>' if grid.kind else table


def _html_image(image: Thumbnail) -> str:
    return f'<img alt="{escape(image.name)}" src="{_inside(image.picture)}">'


def _html_matrix(classes: Sequence[str], counts: Int64) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    support = counts.sum(axis=1)
    body = []
    for i, name in enumerate(classes):
        cells = "".join(_matrix_cell(int(counts[i, j]), int(support[i]), hit=i == j) for j in range(len(classes)))
        body.append(f'<tr><th scope="row">{escape(name)}<small>{int(support[i]):,}</small></th>{cells}</tr>')
    return (
        '<div class="scroll" role="group" aria-label="Confusion matrix" tabindex="0"><table class="confusion">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}"
        f'</tbody></table></div><p class="soft">{MATRIX_HELP} Each cell: percentage of the row, and the count.</p>'
    )


MATRIX_HELP = "Rows are labels, with their number of faces; columns are predictions."


def _matrix_cell(count: int, support: int, *, hit: bool) -> str:
    """The deeper the colour, the larger the share; errors are coloured from smaller shares on."""
    if not support or not count:
        return f'<td class="none">{0 if support else DASH}</td>'
    share = count / support
    shown = f"{100 * share:.{1 if share < 0.095 else 0}f}"
    strength = 0.08 + 0.62 * share if hit else min(0.75, 0.04 + 1.6 * share)
    kind = "hit" if hit else "miss"
    return f'<td class="{kind}" style="--share:{strength:.2f}">{shown}<small>{count:,}</small></td>'


def _html_gallery(gallery: Gallery) -> str:
    faces = "".join(map(_html_face, gallery.faces))
    more = f'<span class="more">and {gallery.more:,} more</span>' if gallery.more > 0 else ""
    if gallery.caption:
        return f'<div class="group"><div>{faces}{more}</div><p>{inline_html(gallery.caption)}</p></div>'
    return f'<div class="faces">{faces}{more}</div>'


def _html_face(face: Face) -> str:
    lines = "".join(f"<div>{inline_html(line)}</div>" for line in face.lines)
    bars = "".join(f'<span>{escape(name)}</span><i style="width:{100 * share:.0f}%"></i>' for name, share in face.bars)
    votes = f'<div class="votes" title="votes of annotators">{bars}</div>' if bars else ""
    image = f'<img alt="{escape(face.name)}" src="{_inside(shrink(face.picture))}">'
    kind = "face kept" if face.kept else "face"
    return (
        f'<figure class="{kind}" title="{escape(face.hint or face.name)}">{image}'
        f"<figcaption>{lines}{votes}</figcaption></figure>"
    )


def _inside(picture: UInt8) -> str:
    """A picture's address: grey pictures as PNG, coloured ones as JPEG, inside the page."""
    # Small grey faces are small as PNG too, and exact; colour photos are not.
    kind = "png" if picture.ndim == 2 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encode(picture, kind, quality=85)).decode('ascii')}"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level, note=note):
            return f"{'#' * level} {inline_markdown(text)}{f' ({inline_markdown(note)})' if note else ''}"
        case Text(text, kind):
            return f"> {inline_markdown(text)}" if kind in ("note", "warn") else inline_markdown(text)
        case Bullets(items):
            return "\n".join(f"- {inline_markdown(item)}" for item in items)
        case Facts(items):
            return "\n".join(f"- {name}: {inline_markdown(value)}" for name, value in items)
        case Grid():
            return _markdown_grid(block)
        case Matrix(classes, counts):
            rows = [(name, *(f"{n:,}" for n in row)) for name, row in zip(classes, counts.tolist(), strict=True)]
            return f"{_markdown_grid(Grid(('label', *classes), rows))}\n\n{MATRIX_HELP}"
        case Picture(name, _, caption):
            return f"![{inline_markdown(caption)}]({name})"
        case Chart(plot, caption, name):
            said = inline_markdown(caption)
            return f"![{said.replace('**', '')}]({name}.svg)" if name else f"- {said}. {plot.description}"
        case Gallery(faces, caption, more):
            count = len(faces) + max(0, more)
            said = f"{inline_markdown(caption)} " if caption else ""
            return f"{said}({count:,} {'face' if count == 1 else 'faces'}, shown in the HTML page)" if count else ""
        case Columns(parts, _):
            return "\n\n".join(text for part in parts for text in map(_markdown, part) if text)
        case Folded(title, note, blocks, _, _):
            inner = "\n\n".join(text for text in map(_markdown, blocks) if text)
            return f"### {inline_markdown(title)}\n\n{inline_markdown(note)}\n\n{inner}"
        case Code(lines):
            return "\n".join(["```", *lines, "```"])
        case Cards(figures):
            return "\n".join(f"- {inline_markdown(name)}: **{inline_markdown(value)}**" for value, name in figures)


def _markdown_grid(grid: Grid) -> str:
    """A table without its columns of thumbnails."""
    kept = [n for n in range(len(grid.columns)) if not any(isinstance(row[n], Thumbnail) for row in grid.rows)]
    rule = ["---" if n < grid.text_columns else "---:" for n in kept]
    # A bar would end the cell.
    rows = [[inline_markdown(str(cells[n])).replace("|", "\\|") for n in kept] for cells in (grid.columns, *grid.rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:]))
