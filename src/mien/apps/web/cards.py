"""Faces as HTML: the crop, the verdict, a bar a label."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from mien.apps.web.reading import Reading
from mien.apps.web.theme import css_colour
from mien.reading.drawing import PALETTE, UNSURE
from mien.structures import Face

MOST_CARDS = 24

PRIVACY = (
    '<div class="mien-private" role="note"><span><b>Private:</b> what you give is read in the memory of the computer '
    "that runs this page. Nothing is stored, logged or sent anywhere else; <i>Forget everything</i> below clears it."
    "</span></div>"
)


def face_cards(reading: Reading) -> str:
    """A card a face, beside one another where there is room."""
    cards = [
        face_card(face, crop, number)
        for number, (face, crop) in enumerate(zip(reading.faces, reading.crops, strict=True), 1)
    ]
    return f'<div class="mien-faces">{"".join(cards[:MOST_CARDS])}</div>'


def face_card(face: Face, crop: bytes, number: int) -> str:
    """One face."""
    return (
        f'<section class="mien-face" aria-label="Face {number}"><div class="mien-head">'
        f"{inline_picture(crop, f'Face {number}, cut out')}<div>"
        f'<div class="mien-who">Face {number}</div>{_verdict(face)}</div></div>{bars(face, number)}</section>'
    )


def inline_picture(jpeg: bytes, alt: str, width_px: int | None = None) -> str:
    """A picture that needs no request of its own, and so cannot be gone when the browser asks for it."""
    style = f' style="width:{width_px}px;max-width:100%"' if width_px else ""
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}"{style}>'


def bars(face: Face, number: int) -> str:
    """All probabilities of a face, as a table with a bar a row."""
    lines = "".join(_bar(label, p, top=label == face.top) for label, p in face.probabilities.items())
    return f'<table class="mien-bars" aria-label="Probabilities of face {number}"><tbody>{lines}</tbody></table>'


def legend(labels: Sequence[str]) -> str:
    """What colour stands for which expression."""
    colours = [(label, PALETTE[label]) for label in labels] + [("not sure", UNSURE)]
    items = (
        f'<span role="listitem" style="--c:{css_colour(colour)}"><i></i>{escape(label)}</span>'
        for label, colour in colours
    )
    return f'<div class="mien-legend" role="list" aria-label="Colours">{"".join(items)}</div>'


def plain_table(names: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> str:
    """A small table of text that scrolls in itself on a narrow screen.

    Args:
        names: of the columns.
        lines: cells of plain text.
        numbers: names of the columns that are set to the right.
    """
    kinds = [' class="number"' if name in numbers else "" for name in names]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(names, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(line, kinds, strict=True)) + "</tr>"
        for line in lines
    )
    return (
        f'<div class="mien-scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def describe(reading: Reading) -> str:
    """The picture in words, for those who cannot see it."""
    if not reading.faces:
        return f"{reading.name}: no face was found"
    shown = [
        f"face {number} {'not sure' if face.abstained else face.top} {percent(face.confidence)}"
        for number, face in enumerate(reading.faces[:MOST_CARDS], 1)
    ]
    return f"{reading.name} with {counted(len(reading.faces), 'face')} marked: {', '.join(shown)}"


def counted(number: int, thing: str) -> str:
    """A number of things in words.

    >>> counted(1, "face"), counted(3, "face")
    ('1 face', '3 faces')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def percent(share: float, *, digits: int = 0) -> str:
    """A share in per cent.

    >>> percent(0.634), percent(0.634, digits=1)
    ('63 %', '63.4 %')
    """
    return f"{100 * share:.{digits}f} %"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is.

    >>> escape_markdown("a_b*.jpg")
    'a\\\\_b\\\\*.jpg'
    """
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|$:~" else sign for sign in text)


def _verdict(face: Face) -> str:
    colour = css_colour(UNSURE if face.abstained else PALETTE[face.top])
    word = "not sure" if face.abstained else face.top
    more = (
        f"most likely {face.top}, {percent(face.confidence)}"
        if face.abstained
        else f"probability {percent(face.confidence)}"
    )
    return (
        f'<div class="mien-verdict" style="--c:{colour}"><i></i>{escape(word)}</div>'
        f'<div class="mien-sure">{escape(more)}</div>'
    )


def _bar(label: str, p: float, *, top: bool) -> str:
    style = f"--p:{100 * p:.1f}%;--c:{css_colour(PALETTE[label])}"
    return (
        f'<tr{" class=top" if top else ""}><th scope="row">{escape(label)}</th>'
        f'<td><div class="mien-track" aria-hidden="true" style="{style}"><div></div></div></td>'
        f"<td>{percent(p, digits=1)}</td></tr>"
    )
