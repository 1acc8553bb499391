"""The circumplex as a picture: valence to the right, arousal upwards, and where faces are on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.reading.affect import CIRCUMPLEX
from mien.reading.drawing import PALETTE, UNSURE, draw_text, fitting_text, text_size
from mien.structures import Face

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

SIDE_PX, LARGE_PX, _TITLE, _GAP, _HEAD = 380, 640, 36, 28, 60
_RADIUS = 0.47
"""Of the circle, as a share of the side."""


@dataclass(frozen=True)
class Theme:
    """Colours of the plot, RGB."""

    paper: Colour
    disc: Colour
    rule: Colour
    ink: Colour
    grey: Colour


LIGHT = Theme((255, 255, 255), (246, 247, 249), (222, 226, 231), (31, 41, 51), (110, 120, 132))
DARK = Theme((17, 20, 24), (27, 32, 38), (58, 66, 76), (236, 239, 243), (150, 160, 172))


@dataclass(frozen=True)
class Panel:
    """What one circumplex shows.

    Args:
        title: above it.
        points: valence and arousal, oldest first, (N, 2); NaN where nobody knows.
        colours: RGB of each, uint8 (N, 3).
        names: of each point, drawn beside it, or none.
        mean: marked with a ring, or none.
        sd: half axes of the ellipse around each point, (N, 2), or none.
    """

    title: str
    points: Float32
    colours: UInt8
    names: tuple[str, ...] = ()
    mean: tuple[float, float] | None = None
    sd: Float32 | None = None


def draw_faces_on_circumplex(faces: Sequence[Face], title: str, *, dark: bool = False) -> UInt8:
    """Where the faces of one picture are, numbered from 1, each with an ellipse of a standard deviation, RGB uint8."""
    known = [face for face in faces if face.affect and face.valence is not None and face.arousal is not None]
    panel = Panel(
        "",
        np.array([(face.valence, face.arousal) for face in known], np.float32).reshape(-1, 2),
        np.array([UNSURE if face.abstained else PALETTE.get(face.top, UNSURE) for face in known], np.uint8),
        tuple(str(face.index + 1) for face in known) if len(faces) > 1 else (),
        sd=np.array(
            [(f.affect.valence_sd or 0, f.affect.arousal_sd or 0) for f in known if f.affect], np.float32
        ).reshape(-1, 2),
    )
    return draw_panels([panel], title, dark=dark)


def draw_panels(panels: Sequence[Panel], title: str, *, dark: bool = False) -> UInt8:
    """Panels under a title, at most four in a row; without any, an empty one that says so."""
    theme = DARK if dark else LIGHT
    panels = panels or [Panel("no face", np.zeros((0, 2), np.float32), np.zeros((0, 3), np.uint8))]
    side = LARGE_PX if len(panels) == 1 else SIDE_PX
    across = min(4, math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / across)
    width = across * (side + _GAP) + _GAP
    image = np.full((_HEAD + rows * (side + _TITLE + _GAP), width, 3), theme.paper, np.uint8)
    draw_text(image, fitting_text(title, 22, width - 2 * _GAP, bold=True), _GAP, 20, 22, theme.ink, bold=True)
    for number, panel in enumerate(panels):
        x = _GAP + number % across * (side + _GAP)
        y = _HEAD + number // across * (side + _TITLE + _GAP)
        draw_text(image, panel.title, x, y + 6, 17, theme.ink, bold=True)
        image[y + _TITLE : y + _TITLE + side, x : x + side] = draw_plot(panel, side, theme)
    return image


def draw_plot(panel: Panel, side_px: int, theme: Theme) -> UInt8:
    """One circumplex, RGB uint8 (side_px, side_px, 3)."""
    # Drawn at twice the size and reduced, for smooth edges.
    fine = np.full((2 * side_px, 2 * side_px, 3), theme.paper, np.uint8)
    radius = round(2 * side_px * _RADIUS)
    _draw_grid(fine, radius, theme)
    known = ~np.isnan(panel.points).any(axis=1)
    points, colours = panel.points[known], panel.colours[known]
    if panel.sd is not None:
        for centre, axes in zip(points, panel.sd[known], strict=True):
            half = tuple(max(1, round(float(axis) * radius)) for axis in axes)
            cv2.ellipse(fine, _place(centre, side_px, radius), half, 0, 0, 360, theme.grey, 2, cv2.LINE_AA)
    _draw_points(fine, points, colours, radius)
    if panel.mean is not None:
        middle = _place(panel.mean, side_px, radius)
        cv2.circle(fine, middle, radius // 24, theme.paper, -1, cv2.LINE_AA)
        cv2.circle(fine, middle, radius // 24, theme.ink, max(2, radius // 90), cv2.LINE_AA)
    image = np.asarray(cv2.resize(fine, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    _draw_words(image, theme)
    _draw_names(image, panel.names, [_place(point, side_px // 2, radius // 2) for point in points], theme)
    return image


def _place(point: npt.ArrayLike, centre: int, radius: int) -> tuple[int, int]:
    """Pixel of a valence and arousal; arousal goes up."""
    valence, arousal = np.asarray(point, np.float64).tolist()
    return round(centre + valence * radius), round(centre - arousal * radius)


def _draw_grid(fine: UInt8, radius: int, theme: Theme) -> None:
    centre = len(fine) // 2
    cv2.circle(fine, (centre, centre), radius, theme.disc, -1, cv2.LINE_AA)
    for share in (0.5, 1.0):
        cv2.circle(fine, (centre, centre), round(share * radius), theme.rule, 2, cv2.LINE_AA)
    cv2.line(fine, (centre - radius, centre), (centre + radius, centre), theme.rule, 2)
    cv2.line(fine, (centre, centre - radius), (centre, centre + radius), theme.rule, 2)


def _draw_points(fine: UInt8, points: Float32, colours: UInt8, radius: int) -> None:
    """Few points are large and opaque, many are small and shine through one another."""
    size = radius // 26 if len(points) < 50 else radius // 48
    opacity = 1.0 if len(points) < 50 else 0.5
    for point, colour in zip(points, colours, strict=True):
        x, y = _place(point, len(fine) // 2, radius)
        box = (slice(max(y - size - 1, 0), y + size + 2), slice(max(x - size - 1, 0), x + size + 2))
        drawn = np.ascontiguousarray(fine[box])
        spot = (x - box[1].start, y - box[0].start)
        cv2.circle(drawn, spot, size, tuple(map(int, colour)), -1, cv2.LINE_AA)
        fine[box] = np.round(opacity * drawn + (1 - opacity) * fine[box])


def _draw_names(image: UInt8, names: Sequence[str], places: Sequence[tuple[int, int]], theme: Theme) -> None:
    """Each point's name beside it; points that lie on one another have theirs in one line."""
    near = len(image) // 36
    written: list[tuple[tuple[int, int], list[str]]] = []
    for name, (x, y) in zip(names, places, strict=False):
        for (other_x, other_y), there in written:
            if abs(other_x - x) < near and abs(other_y - y) < near:
                there.append(name)
                break
        else:
            written.append(((x, y), [name]))
    for (x, y), there in written:
        draw_text(image, ", ".join(there), x + near // 2, y - round(1.4 * near), 17, theme.ink, bold=True)


def _draw_words(image: UInt8, theme: Theme) -> None:
    """The axes' ends, and each word where everybody chooses it: a diamond in its colour, and its name beside it."""
    side = len(image)
    centre, radius, size = side // 2, round(side * _RADIUS), max(12, side // 42)
    ends = {"excited": (0, 1), "calm": (0, -1), "pleasant": (1, 0), "unpleasant": (-1, 0)}
    for word, (across, up) in ends.items():
        x, y = centre + across * radius, centre - up * radius
        width = text_size(word, size)
        left = int(np.clip(x + (6 if up else -across * 6 - (width if across > 0 else 0)), 2, side - width - 2))
        draw_text(image, word, left, y + 5 if up > 0 or across else y - size - 6, size, theme.grey)
    lowest = -math.inf
    # From the top; words that are close to one another move down.
    for word, point in sorted(CIRCUMPLEX.items(), key=lambda entry: -entry[1][1]):
        x, y = _place(point, centre, radius)
        reach = max(3, side // 130)
        diamond = np.array([(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)], np.int32)
        cv2.fillConvexPoly(image, diamond, PALETTE[word], cv2.LINE_AA)
        y = round(max(y, lowest + size)) if point[0] < -0.3 else y
        lowest = y if point[0] < -0.3 else lowest
        draw_text(image, word, x + 2 * reach, y - size // 2, size, theme.grey)
