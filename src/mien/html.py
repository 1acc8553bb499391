"""The HTML page of every report and of the service's documentation: one file, no script, light, dark and printed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

# Variables, so that charts inside a page follow its mode without a second set of rules.
PALETTE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #5f6c7b; --paper: #ffffff; --panel: #f5f7fa;
  --line: #dde3ea; --bar: #66727f; --accent: #2f6fb0; --warm: #b54f14; --good: #2e7d4f; --bad: #b3403a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #9aa5b1; --paper: #14181d; --panel: #1c2229;
  --line: #323b46; --bar: #8592a0; --accent: #7db4ea; --warm: #f0a36b; --good: #6cc493; --bad: #f0a8a4; } }
"""
"""The colours of every page; text has a contrast of 4.5:1 or more on paper and panel."""

_CSS = """
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
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
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
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
@media print { :root { --ink: #000; --soft: #444; --paper: #fff; --panel: #f3f3f3; --line: #ccc; --accent: #000;
  --good: #000; --bad: #000; }
  main { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, tr, .cards { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: .78rem; } th, td { padding: .3rem .5rem; } }
"""

CHART_STYLE = """
svg.chart { width: 100%; height: auto; display: block; font-size: 12px; }
svg.chart text { fill: var(--ink); } svg.chart text.soft { fill: var(--soft); }
svg.chart .grid { stroke: var(--line); stroke-width: 1; } svg.chart .axis { stroke: var(--soft); stroke-width: 1; }
svg.chart .one { stroke: var(--accent); fill: none; } svg.chart .two { stroke: var(--warm); fill: none; }
svg.chart .ink { stroke: var(--ink); fill: none; } svg.chart .grey { stroke: var(--soft); fill: none; }
svg.chart .fill-one { fill: var(--accent); } svg.chart .fill-two { fill: var(--warm); }
svg.chart .fill-soft { fill: var(--bar); }
svg.chart .fill-pale { fill: var(--bar); } svg.chart .fill-grey { fill: var(--soft); }
svg.chart .fill-ink { fill: var(--ink); } svg.chart .paper { fill: var(--paper); }
svg.chart .bold { font-weight: 600; } svg.chart .ring { fill: var(--paper); stroke: var(--soft); stroke-width: 1.6; }
"""
"""What the SVG charts of reports look like."""

# A cell's depth is its share, capped so that the text on it keeps a contrast of 4.5:1 in both modes.
REPORT_STYLE = (
    """
:root { --hit: 47, 111, 176; --miss: 194, 87, 26; --deep: 1; }
@media (prefers-color-scheme: dark) { :root { --hit: 96, 165, 232; --miss: 240, 150, 90; --deep: .62; } }
@media print { :root { --accent: #2f6fb0; --warm: #b54f14; --hit: 47, 111, 176; --miss: 194, 87, 26; --deep: 1; } }
nav { position: sticky; top: 0; z-index: 1; display: flex; gap: .95rem; overflow-x: auto; white-space: nowrap;
  background: var(--paper); border-bottom: 1px solid var(--line); padding: .7rem 0; margin: 1.6rem 0 0;
  font-size: .86rem; } nav + h2 { border-top: 0; margin-top: 1rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
[id] { scroll-margin-top: 3.2rem; } h2 .soft, h4 .soft { font-weight: 400; font-size: .9rem; margin-left: .3rem; }
h4 { margin: 1.3rem 0 .4rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.2rem), 1fr)); gap: .8rem;
  margin: 1.5rem 0; }
.cards div { background: var(--panel); border-radius: 6px; padding: .8rem 1.1rem; }
.cards b { display: block; font-size: 1.6rem; font-weight: 600; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums; }
.cards b .small, .cards span { color: var(--soft); font-size: .85rem; }
.cards b .small { font-weight: 400; white-space: nowrap; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; font-size: .92rem;
  margin: 1.2rem 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: .5rem 2.2rem;
  align-items: start; }
.columns > * { min-width: 0; } .columns figure { margin: .8rem 0; } .columns .face { margin: 0; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: .5rem 1.6rem; }
.large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: .5rem 1.6rem; }
.groups { display: flex; flex-wrap: wrap; gap: .8rem; }
details { border: 1px solid var(--line); border-radius: 6px; padding: 0 1rem; margin: .7rem 0; }
details > summary { cursor: pointer; padding: .6rem 0; font-weight: 600; }
details > summary span { color: var(--soft); font-weight: 400; }
table.confusion { border-collapse: separate; border-spacing: 2px; font-size: .86rem; }
table.confusion td { text-align: center; border: 0; border-radius: 3px; min-width: 2.75rem; padding: .28rem .15rem;
  line-height: 1.15; } table.confusion tbody tr:hover { background: none; }
table.confusion th { border: 0; font-weight: 500; padding: .2rem .25rem; vertical-align: middle; font-size: .78rem; }
table.confusion tbody th { text-align: right; } table.confusion thead th { text-align: center; }
table.confusion small, td .small { display: block; font-size: .76rem; } td .small { color: var(--soft); }
table.confusion td.hit { background: rgba(var(--hit), calc(var(--share) * var(--deep))); font-weight: 600; }
table.confusion td.miss { background: rgba(var(--miss), calc(var(--share) * var(--deep))); }
table.confusion td.none { color: var(--soft); }
td .range { color: var(--soft); white-space: nowrap; font-size: .92em; }
.pictured th, .pictured td { padding: .4rem .6rem; } .pictured td { vertical-align: middle; }
.pictured td:first-child { min-width: 10rem; } .pictured th:first-child, .pictured td:first-child { padding-left: 0; }
.pictured img { display: block; width: 2.75rem; border-radius: 3px; }
tr.own td { background: var(--panel); font-weight: 600; border-bottom: 2px solid var(--accent);
  border-top: 2px solid var(--accent); }
.wordy td:last-child { overflow-wrap: anywhere; min-width: 15rem; } .wordy td:nth-child(2) { min-width: 9rem; }
.mark { color: var(--warm); }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.4rem, 1fr)); gap: 1rem .8rem;
  margin: .8rem 0 1.4rem; }
.group { background: var(--panel); border-radius: 8px; padding: .7rem .8rem .6rem; max-width: 100%; }
.group > div { display: flex; flex-wrap: wrap; gap: .7rem; } .group .face { width: 6rem; }
.group > p { margin: .45rem 0 0; font-size: .78rem; color: var(--soft); max-width: 22rem; }
.face { margin: 0; font-size: .8rem; line-height: 1.35; break-inside: avoid; }
.face img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 5px; background: var(--panel); }
.face.kept img { outline: 2px solid var(--good); outline-offset: 1px; }
.face figcaption { margin-top: .3rem; font-size: inherit; color: var(--ink); overflow-wrap: anywhere; }
.face .small { color: var(--soft); font-size: .74rem; font-variant-numeric: tabular-nums; }
.face .good, .face .bad { font-weight: 600; }
.votes { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .35rem; align-items: center;
  font-size: .7rem; color: var(--soft); margin-top: .25rem; }
.votes i { display: block; height: .38rem; border-radius: 2px; background: var(--soft); min-width: 1px; }
.more { color: var(--soft); font-size: .85rem; align-self: center; }
.note { background: var(--panel); border-left: 3px solid var(--accent); padding: .6rem 1rem; border-radius: 0 6px 6px 0;
  max-width: 48rem; } .note p { margin: .3rem 0; } .note.warn { border-left-color: var(--warm); }
@media (max-width: 640px) { th, td { padding: .4rem .5rem; }
  main { padding: 1.6rem 1rem 3rem; } dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .5rem; } .faces { grid-template-columns: repeat(auto-fill, minmax(5.4rem, 1fr)); } }
@media print { html, body { font-size: 12px; } nav { display: none; }
  details { padding: 0 .6rem; } a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .faces { grid-template-columns: repeat(8, 1fr); gap: .6rem .4rem; } h3, h4 { break-after: avoid; }
  .columns, .group { break-inside: avoid; } .group { border: 1px solid var(--line); } }
"""
    + CHART_STYLE
)
"""What the blocks of a report look like, beyond what every page shares."""


def page(title: str, body: str, *, lead: str = "", style: str = "") -> str:
    """A whole HTML document: `body` is HTML, title and lead plain text, `style` CSS after that of all pages."""
    lead = f'<p class="lead">{escape(lead)}</p>\n' if lead else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{PALETTE}{_CSS}{style}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{lead}{body}\n</main>\n</body>\n</html>\n"
    )


def html_table(
    names: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1, marked: Collection[int] = ()
) -> str:
    """A table that scrolls sideways where it is too wide; names and cells are HTML.

    The first `text_columns` are aligned left, the rows numbered in `marked` stand out.
    """
    # A class on each cell: CSS cannot count how many columns are words.
    kind = [' class="text"' if column < text_columns else "" for column in range(len(names))]
    head = "".join(f"<th{k}>{name}</th>" for k, name in zip(kind, names, strict=True))
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kind, row, strict=True))
        lines.append(f'<tr class="own">{cells}</tr>' if number in marked else f"<tr>{cells}</tr>")
    body = "".join(f"{line}\n" for line in lines)
    # In the order of the tabulator, so that it can be scrolled by the keys.
    opening = '<div class="scroll" role="group" aria-label="Table" tabindex="0">'
    return f"{opening}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>"


def css_colour(rgb: tuple[int, int, int]) -> str:
    """`#rrggbb`.

    >>> css_colour((47, 111, 176))
    '#2f6fb0'
    """
    return "#{:02x}{:02x}{:02x}".format(*rgb)
