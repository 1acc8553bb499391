"""The same faces in poor pictures: what each way to spoil them costs, as bars and as a table."""

from __future__ import annotations

import itertools
from html import escape

import numpy as np
import numpy.typing as npt

from mien.html import html_table
from mien.images.pictures import resize
from mien.workshop.evaluation.intervals import Interval
from mien.workshop.evaluation.scores import Evaluation, Robustness, SpoiltScores
from mien.workshop.reports.evaluation.charts import Axis, Plot, figure, nice_ticks
from mien.workshop.reports.evaluation.faces import LARGEST_PX, inline_picture
from mien.workshop.reports.evaluation.material import Material
from mien.workshop.reports.evaluation.words import DASH, listed, name, percent, plural, signed, span

SMALL = 0.01
"""Points below which a corruption is said to cost next to nothing."""

HOW = (
    "The same faces, spoilt in one way at a time by the computer (seed 0), with how many points the accuracy lies off "
    "that of the untouched faces and the 95 % interval of this difference, which compares face by face; intervals of "
    "the accuracies are Wilson's. It says what the model bears, not how often such pictures come; a poor camera does "
    "several of these things at once.",
    "The pictures are crops already. Where the box sits badly or the head is tilted, what lies outside is not known, "
    "and the edge of the crop is repeated where a photo has hair, neck and background. Blur, JPEG and noise act on the "
    "small crop itself, which is harsher than on the photo that a large face is cut from.",
)


def poor_section(evaluation: Evaluation, material: Material) -> str:
    """What costs most, a chart a head, and all figures."""
    found = evaluation.robustness
    if not found:
        return "<p>Left out: <code>--robustness</code> reads the faces again in poor pictures.</p>"
    said = "".join(f"<li>{_sentence(row)}</li>" for row in found)
    charts = "".join(figure(loss_svg(row), _caption(row)) for row in found)
    how = "".join(f"<p>{text}</p>" for text in HOW)
    return f"<ul>{said}</ul><div class='pair'>{charts}</div>{how}{_table(found, material)}"


def loss_svg(found: Robustness) -> str:
    """A bar a corruption, as long as the points that it costs, with the interval of the difference."""
    rows = found.spoilt
    ends = [100 * end for row in rows for end in row.change_interval]
    low, high = min(0.0, *(-end for end in ends)), max(1.0, *(-end for end in ends))
    ticks = [(at, f"{at:g}".replace("-", "−")) for at in nice_ticks(low, high, 5)]
    places = _places(rows)
    told = "; ".join(f"{row.corruption.title} {signed(100 * row.change, 1)}" for row in rows)
    plot = Plot(
        f"Points by which accuracy changes, {name(found.clean)}: {told}",
        Axis(low, high, "points of accuracy lost", ticks),
        Axis(max(places) + 0.8, -0.8, "", [(at, row.corruption.title) for at, row in zip(places, rows, strict=True)]),
        height=60 + 17 * (max(places) + 1.6), left=160, grid="x",
    )  # fmt: skip
    for at, row in zip(places, rows, strict=True):
        lost = -100 * row.change
        hint = f"{row.corruption.title}: {percent(row.accuracy)}, {signed(-lost, 1)} points ({_points(row)})"
        plot.bar((0, lost), (at - 0.36, at + 0.36), "fill-one", hint=hint)
        plot.line([(-100 * end, at) for end in row.change_interval], "ink", wide=1.2)
    plot.line([(0, -0.8), (0, max(places) + 0.8)], "grey", wide=1)
    return plot.svg()


def _places(rows: tuple[SpoiltScores, ...]) -> list[float]:
    """Where each bar stands: a little room between the groups."""
    steps = [
        1.0 if row.corruption.group == before.corruption.group else 1.5 for before, row in itertools.pairwise(rows)
    ]
    return [0.0, *np.cumsum(steps).tolist()]


def _sentence(found: Robustness) -> str:
    order = sorted(found.spoilt, key=lambda row: row.change)
    worst = [f"{escape(row.corruption.title)} ({signed(100 * row.change, 1)})" for row in order[:3]]
    cheap = [escape(row.corruption.title) for row in order if row.change > -SMALL]
    less = f" Less than a point: {listed(cheap)}." if cheap else ""
    return f"<b>{escape(name(found.clean))}</b>: most points are lost by {listed(worst)}.{less}"


def _caption(found: Robustness) -> str:
    clean = found.clean
    return (
        f"<b>{escape(name(clean))}.</b> {plural(clean.rows, 'face')}, {percent(clean.accuracy)} right when they are "
        "untouched. Lines: 95 % intervals."
    )


def _table(found: tuple[Robustness, ...], material: Material) -> str:
    pictures = _pictures(found[0], material)
    names = ["picture", *(["example"] if pictures else [])]
    for row in found:
        head = escape(row.clean.faces.head)
        names += [f"head {head}<br>accuracy %", "points", "NLL", "ECE"]
    first = ["<b>untouched</b>", *pictures[:1]]
    for row in found:
        clean = row.clean
        first += [_below(clean.accuracy, clean.accuracy_interval), DASH, f"{clean.nll:.3f}", f"{clean.ece:.3f}"]
    rows = [first]
    for number, kind in enumerate(part.corruption for part in found[0].spoilt):
        cells = [f"{escape(kind.title)}<small>{escape(kind.how)}</small>", *pictures[number + 1 : number + 2]]
        for row in found:
            part = row.spoilt[number]
            change = f'{signed(100 * part.change, 1)}<br><span class="range">{_points(part)}</span>'
            cells += [_below(part.accuracy, part.accuracy_interval), change, f"{part.nll:.3f}", f"{part.ece:.3f}"]
        rows.append(cells)
    return f'<div class="poor">{html_table(names, rows, text_columns=2 if pictures else 1)}</div>'


def _below(value: float, interval: Interval) -> str:
    """A figure over its interval."""
    return f'{100 * value:.1f}<br><span class="range">{span(interval)}</span>'


def _points(row: SpoiltScores) -> str:
    return span(row.change_interval).replace("-", "−").replace("–", " to ")


def _pictures(found: Robustness, material: Material) -> list[str]:
    """The face that the model is surest of, untouched and in every poor picture; none where faces are not shown."""
    if material.dataset is None or not material.faces:
        return []
    faces = found.clean.faces
    right = np.where(found.clean.predicted == faces.truth, found.clean.confidence, -1)
    row = int(faces.rows[int(right.argmax())])
    crop = material.dataset.images[row : row + 1]
    size = crop.shape[1:3]
    made = [(found.clean.faces.title, crop), *((r.corruption.title, r.corruption.apply(crop)) for r in found.spoilt)]
    return [f'<img alt="{escape(title)}" src="{inline_picture(_shown(picture[0], size))}">' for title, picture in made]


def _shown(picture: npt.NDArray[np.uint8], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """As large as the crop was, and no larger than other faces of the page."""
    scale = min(1.0, LARGEST_PX / max(size))
    grown = resize(picture, *size)
    return resize(grown, max(1, round(scale * size[0])), max(1, round(scale * size[1])))
