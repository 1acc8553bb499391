"""The HTML page that every report of the workshop stands in: one file, no script, light, dark and printed."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

_CSS = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #5f6c7b; --paper: #ffffff; --panel: #f5f7fa;
  --line: #dde3ea; --accent: #2f6fb0; --good: #2e7d4f; --bad: #b3403a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #9aa5b1; --paper: #14181d; --panel: #1c2229;
  --line: #323b46; --accent: #7db4ea; --good: #6cc493; --bad: #f0a8a4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 3rem 0 .8rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.8rem 0 .5rem; }
p, li { max-width: 46rem; }
p.lead { color: var(--soft); font-size: 1.08rem; margin: 0 0 1.6rem; }
a { color: var(--accent); }
code { font: .88em ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; background: var(--panel);
  padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: var(--panel); padding: 1rem; border-radius: 6px; overflow-x: auto; }
pre code { padding: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .8rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; vertical-align: bottom; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { padding-left: 0; }
tbody tr:hover { background: var(--panel); }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; display: block; background: #ffffff; border: 1px solid var(--line);
  border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; max-width: 46rem; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
.side figure { margin: 0; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.5rem 0; }
.cards div { background: var(--panel); border-radius: 6px; padding: .8rem 1.1rem; min-width: 9rem; }
.cards b { display: block; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.cards span { color: var(--soft); font-size: .85rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
@media print { :root { --ink: #000; --soft: #444; --paper: #fff; --panel: #f3f3f3; --line: #ccc; --accent: #000;
  --good: #000; --bad: #000; }
  main { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, tr, .cards { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: .78rem; } th, td { padding: .3rem .5rem; } }
"""


def page(title: str, body: str, *, lead: str = "", style: str = "") -> str:
    """A whole HTML document.

    Args:
        title: plain text, also the page's heading.
        body: HTML, as the other functions here give it.
        lead: plain text below the heading.
        style: CSS for what only this page has, after that of all pages.
    """
    lead = f'<p class="lead">{escape(lead)}</p>\n' if lead else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}{style}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{lead}{body}\n</main>\n</body>\n</html>\n"
    )


def html_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """A table that scrolls sideways where it is too wide; cells are HTML, the first columns are set to the left."""
    kind = [' class="text"' if column < text_columns else "" for column in range(len(names))]
    head = "".join(f"<th{k}>{name}</th>" for k, name in zip(kind, names, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{cell}</td>' for k, cell in zip(kind, row, strict=True))}</tr>\n" for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def html_figure(png: bytes, caption: str) -> str:
    """A picture inside the page itself; the caption is plain text and the picture's description."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def html_cards(figures: Iterable[tuple[str, str]]) -> str:
    """The few figures that matter: (value, what it is) each, both HTML."""
    cards = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in figures)
    return f'<div class="cards">{cards}</div>'


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> list[str]:
    """The same table as Markdown lines."""
    rule = ["---" if column < text_columns else "---:" for column in range(len(names))]
    return [f"| {' | '.join(cells)} |" for cells in (names, rule, *rows)]
