"""Faces as HTML (crop, label, a bar per probability), small tables, and a face over time in words."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from mien.apps.web.circumplex import face_circumplex
from mien.apps.web.reading import Reading
from mien.faces.quality import GOOD
from mien.html import css_colour
from mien.labels import NOT_SURE, percent
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.summary import TrackSummary
from mien.reading.timeline import clock
from mien.structures import Face

MOST_CARDS = 24
POSE = (("to the right", "to the left"), ("down", "up"), ("leaning left", "leaning right"))
"""What positive and negative yaw, pitch and roll are, as seen in the image."""
MOST_BLENDSHAPES, LEAST_BLENDSHAPE = 5, 0.1

PRIVACY = (
    '<div class="mien-private" role="note"><span><b>Private:</b> your files are analyzed in the memory of the computer '
    'that runs this page. Nothing is stored<span class="mien-more">, logged or uploaded elsewhere. <i>Forget '
    "everything</i> clears it</span>.</span></div>"
)


def face_cards(reading: Reading) -> str:
    """A card for each face, side by side if there is room."""
    cards = [
        face_card(face, crop, number)
        for number, (face, crop) in enumerate(zip(reading.faces, reading.crops, strict=True), 1)
    ]
    return f'<div class="mien-faces">{"".join(cards[:MOST_CARDS])}</div>'


def face_card(face: Face, crop: bytes, number: int) -> str:
    """One face."""
    return (
        f'<div class="mien-face" role="group" aria-label="Face {number}"><div class="mien-head">'
        f"{inline_image(crop, f'Face {number}, cropped')}<div>"
        f'<div class="mien-who">Face {number}</div>{_verdict(face)}</div></div>'
        f"{bars(face, number)}{face_circumplex(face, number)}{shape(face, number)}</div>"
    )


def inline_image(jpeg: bytes, alt: str, width_px: int | None = None) -> str:
    """An image that needs no request of its own, so it cannot be gone when the browser asks for it."""
    style = f' style="width:{width_px}px;max-width:100%"' if width_px else ""
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}"{style}>'


def bars(face: Face, number: int) -> str:
    """All probabilities of a face, as a table with a bar in each row."""
    lines = "".join(_bar(label, p, top=label == face.top) for label, p in face.probabilities.items())
    return f'<table class="mien-bars" aria-label="Probabilities of face {number}"><tbody>{lines}</tbody></table>'


def shape(face: Face, number: int) -> str:
    """The head's pose in words, and the strongest blendshapes as a table with bars; empty without geometry."""
    if face.pose is None:
        return ""
    yaw, pitch, roll = (round(angle) for angle in face.pose)
    turns = (
        f"{abs(angle)}° {words[angle < 0]}" for angle, words in zip((yaw, pitch, roll), POSE, strict=True) if angle
    )
    strongest = sorted((face.blendshapes or {}).items(), key=lambda entry: -entry[1])
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><div class="mien-track" aria-hidden="true" '
        f'style="--p:{100 * value:.1f}%;--c:var(--mien-shape, #7a8ba8)"><div></div></div></td><td>{value:.2f}</td></tr>'
        for name, value in strongest[:MOST_BLENDSHAPES] if value >= LEAST_BLENDSHAPE and name != "_neutral"
    )  # fmt: skip
    return (
        f'<div class="mien-sure" style="margin-top:.5rem">Head: {", ".join(turns) or "straight"}</div>'
        f'<table class="mien-bars mien-shape" aria-label="Blendshapes of face {number}"><tbody>{lines}</tbody></table>'
    )


def legend(labels: Sequence[str]) -> str:
    """The colours of the labels."""
    colours = [(label, PALETTE[label]) for label in labels] + [(NOT_SURE, UNSURE)]
    items = (
        f'<span role="listitem" style="--c:{css_colour(colour)}"><i></i>{escape(label)}</span>'
        for label, colour in colours
    )
    return f'<div class="mien-legend" role="list" aria-label="Colours">{"".join(items)}</div>'


def plain_table(names: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> str:
    """A small table of text that scrolls by itself on a narrow screen.

    Args:
        names: the column names.
        lines: rows of plain text.
        numbers: the columns to align right.
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
    """The photo in words, for people who cannot see it."""
    if not reading.faces:
        return f"{reading.name}: no face found"
    shown = [
        f"face {number} {NOT_SURE if face.abstained else face.top} {percent(face.confidence)}"
        for number, face in enumerate(reading.faces[:MOST_CARDS], 1)
    ]
    return f"{reading.name} with {counted(len(reading.faces), 'face')}: {', '.join(shown)}"


def counted(number: int, thing: str) -> str:
    """A number of things.

    >>> counted(1, "face"), counted(3, "face")
    ('1 face', '3 faces')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows verbatim.

    >>> escape_markdown("a_b*.jpg")
    'a\\\\_b\\\\*.jpg'
    """
    # Streamlit adds to Markdown: `:` begins icons and colours, `$` formulas, `~` strikes out.
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|$:~" else sign for sign in text)


def _verdict(face: Face) -> str:
    colour = css_colour(UNSURE if face.abstained else PALETTE[face.top])
    word = NOT_SURE if face.abstained else face.top
    more = (
        f"most likely {face.top}, {percent(face.confidence)}"
        if face.abstained
        else f"probability {percent(face.confidence)}"
    )
    return (
        f'<div class="mien-verdict" style="--c:{colour}"><i></i>{escape(word)}</div>'
        f'<div class="mien-sure">{escape(more)}</div>{_quality(face)}'
    )


def _quality(face: Face) -> str:
    """What makes the face hard to see, if anything does."""
    if face.quality in ("", GOOD):
        return ""
    title = f"Quality {face.quality_score:.2f} of 1"
    return f'<div class="mien-sure" title="{title}">seen poorly: {escape(face.quality)}</div>'


def _bar(label: str, p: float, *, top: bool) -> str:
    style = f"--p:{100 * p:.1f}%;--c:{css_colour(PALETTE[label])}"
    return (
        f'<tr{" class=top" if top else ""}><th scope="row">{escape(label)}</th>'
        f'<td><div class="mien-track" aria-hidden="true" style="{style}"><div></div></div></td>'
        f"<td>{percent(p, digits=1)}</td></tr>"
    )


def track_title(found: TrackSummary) -> str:
    """The face in one line."""
    share, seen = found.labels[found.main_label].share, clock(found.visible_s, decimals=1)
    return f"Face {found.track_id}: visible for {seen}, {found.main_label} for {percent(share)} of that time"


def describe_track(found: TrackSummary) -> str:
    """The chart in words."""
    shares = sorted(
        ((entry.share, label) for label, entry in found.labels.items() if entry.share >= 0.005), reverse=True
    )
    shown = ", ".join(f"{label} {percent(share)}" for share, label in shares) or "none for long"
    unsure = f", not sure {percent(found.unsure_share)}" if found.unsure_share >= 0.005 else ""
    return (
        f"Probabilities of face {found.track_id} over time, from {clock(found.first_s, decimals=1)} to "
        f"{clock(found.last_s, decimals=1)}; expressions shown: {shown}{unsure}"
    )
