"""Where the model errs: confusions with their faces, conditions of the pictures, corrupted pictures, saliency."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, Float64, UInt8
from mien.images.pictures import resize
from mien.labels import CROWD
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.conditions import ByCondition, accuracy_by_condition, measure
from mien.workshop.evaluation.metrics import Interval
from mien.workshop.evaluation.regions import REGIONS
from mien.workshop.evaluation.saliency import normalize_maps, overlay
from mien.workshop.evaluation.scores import (
    TOP,
    Confusion,
    CorruptedScores,
    Evaluation,
    Robustness,
    SetScores,
    confident_errors,
    confusions,
    main_sets,
    top_by_share,
)
from mien.workshop.reports.charts import Axis, Plot, nice_ticks
from mien.workshop.reports.document import (
    DASH,
    Block,
    Bullets,
    Cell,
    Chart,
    Columns,
    Face,
    Gallery,
    Grid,
    Heading,
    Text,
    Thumbnail,
    shrink,
)
from mien.workshop.reports.material import Material, Saliency, change, listed, name, percent, plural, signed, span

A_CONFUSION, MOST_CONFIDENT = 8, 24
SHOWN_VOTES = 3
SMALL = 0.01
"""Share of the faces below which a corruption counts as costing next to nothing."""
HOW = (
    "The same faces, corrupted in one way at a time (seed 0). Points are the difference in accuracy from the untouched "
    "faces, with its 95 % interval over paired faces; intervals of accuracies are Wilson's. This shows what the model "
    "withstands, not how often such pictures occur; a poor camera does several of these things at once.",
    "The pictures are already crops. Where the box is off or the head is tilted, the edge of the crop is repeated "
    "where a photo would show hair, neck and background. Blur, JPEG and noise act on the small crop itself, which is "
    "harsher than on the photo that a large face is cut from.",
)
_VOTE_NAMES = (*CROWD, "unknown", "no face")


def confusion_blocks(evaluation: Evaluation, material: Material) -> list[Block]:
    """For each head's main set: its confusions by count and by share, with faces, and its most confident errors."""
    blocks: list[Block] = []
    for scores in main_sets(evaluation):
        found = confusions(scores)
        blocks.append(Heading(name(scores), 3, key=f"errors-{scores.faces.key}"))
        if not found:
            blocks.append(Text(f"All {plural(scores.rows, 'face')} are predicted correctly: there is no error."))
            continue
        wrong = sum(row.count for row in found)
        blocks += [
            Text(
                f"{plural(wrong, 'error')} in {plural(scores.rows, 'face')}. The {min(TOP, len(found))} most frequent "
                f"confusions account for {percent(sum(row.errors for row in found[:TOP]), 0)} of them."
            ),
            Columns(
                [
                    [Heading("By count", 4, f"count-{scores.faces.key}"), _grid(found)],
                    [Heading("By share of the class", 4, f"share-{scores.faces.key}"), _grid(top_by_share(found))],
                ]
            ),
        ]
        for number, row in enumerate(shown(found)):
            note = f"{plural(row.count, 'face')}, the most confident first"
            title = Heading(f"{row.truth} called {row.predicted}", 4, f"confusion-{scores.faces.key}-{number}", note)
            blocks += _titled(title, faces_of(scores, row.rows[:A_CONFUSION], material))
        title = Heading("Most confident errors", 4, f"confident-{scores.faces.key}", "of all classes")
        blocks += _titled(title, faces_of(scores, confident_errors(scores, MOST_CONFIDENT), material))
    return blocks


def shown(found: list[Confusion]) -> list[Confusion]:
    """The confusions whose faces are shown: the top ones by count, then up to three more by share."""
    by_count = found[:TOP]
    # By share too, or a rare class would never be shown: its errors are few.
    return by_count + [row for row in top_by_share(found)[:TOP] if row not in by_count][:3]


def faces_of(scores: SetScores, places: Iterable[int], material: Material) -> list[Face]:
    """The faces at these positions of a set; none if pictures of people are not wanted or not available."""
    if material.dataset is None or not material.faces:
        return []
    dataset = material.dataset
    return [_face(scores, int(at), dataset, dataset.images[scores.faces.rows[int(at)]]) for at in places]


def condition_values(scores: SetScores, material: Material) -> dict[str, Float64]:
    """All conditions that are known of a set's faces, (N,) each."""
    # The Laplacian has no value on a picture's rim.
    if material.dataset is None or min(material.dataset.images.shape[1:3]) < 3:
        return {}
    rows = scores.faces.rows
    return measure(material.dataset.images[rows]) | {key: value[rows] for key, value in material.conditions.items()}


def by_condition(evaluation: Evaluation, material: Material) -> dict[str, list[ByCondition]]:
    """Accuracy by each condition that is known of the faces of each head's main set, by the set's key."""
    return {
        scores.faces.key: accuracy_by_condition(
            condition_values(scores, material), scores.predicted == scores.faces.truth
        )
        for scores in main_sets(evaluation)
    }


def condition_blocks(found: Mapping[str, list[ByCondition]], evaluation: Evaluation) -> list[Block]:
    """Charts of accuracy by condition, for each head's main set."""
    blocks: list[Block] = []
    for scores in main_sets(evaluation):
        rows = found.get(scores.faces.key, [])
        blocks.append(Heading(name(scores), 3, key=f"conditions-{scores.faces.key}"))
        if not rows:
            blocks.append(Text("Not known: the pictures are not available, too few, or too alike to be divided."))
            continue
        clear = sorted((row for row in rows if row.clear), key=lambda row: -row.gap)
        said = "; ".join(map(_condition_sentence, clear))
        blocks.append(
            Text(f"{said}." if said else "The intervals of the best and the worst bin overlap in every condition.")
        )
        blocks.append(Columns([[Chart(condition_plot(row), _condition_caption(row))] for row in rows], "charts"))
    return blocks


def condition_plot(row: ByCondition) -> Plot:
    """Accuracy of each bin with its interval, between the values that bound it."""
    # Whole tenths around the intervals: from 0 on, differences between bins would be flat.
    bottom = max(0.0, float(np.floor(min(part.interval.low for part in row.bins) * 10) / 10))
    top = min(1.0, float(np.ceil(max(part.interval.high for part in row.bins) * 10) / 10))
    edges = [*(part.low for part in row.bins), row.bins[-1].high]
    overall = sum(part.rows * part.accuracy for part in row.bins) / sum(part.rows for part in row.bins)
    words = "; ".join(f"{edge(b.low)} to {edge(b.high)}: {percent(b.accuracy)} of {b.rows:,}" for b in row.bins)
    plot = Plot(
        f"Accuracy by {row.condition.title.lower()}: {words}",
        Axis(0, len(row.bins), "", [(n, edge(value)) for n, value in enumerate(edges)]),
        Axis(bottom, top, "accuracy, %", [(at, f"{100 * at:.0f}") for at in nice_ticks(bottom, top, 4)]),
        width=300, height=190, left=44, bottom=28, right=18,
    )  # fmt: skip
    plot.line([(0, overall), (len(row.bins), overall)], "grey", wide=1, dash="3 3")
    for n, part in enumerate(row.bins):
        hint = (
            f"{edge(part.low)} to {edge(part.high)}: {percent(part.accuracy)} ({span(part.interval)}) of "
            f"{plural(part.rows, 'face')}"
        )
        plot.whisker(n + 0.5, part.interval.low, part.interval.high, "one")
        plot.dot(n + 0.5, part.accuracy, "fill-one", radius=4.5, hint=hint)
    return plot


def saliency_blocks(evaluation: Evaluation, material: Material) -> list[Block]:
    """Faces with the regions that their prediction rests on, right and wrong ones."""
    if not material.saliency:
        return [Text("Not shown: no saliency maps were computed for this report.")]
    if not material.faces or material.dataset is None:
        return [Text("Not shown: this page is without pictures of faces.")]
    by_key = {scores.faces.key: scores for scores in evaluation.sets}
    blocks: list[Block] = []
    for number, found in enumerate(material.saliency):
        scores = by_key[found.key]
        right = scores.predicted[found.places] == scores.faces.truth[found.places]
        blocks += [Heading(name(scores), 3, key=f"saliency-{number}"), Text(found.method)]
        if found.regions is not None:
            blocks += [_region_grid(found.regions, right)]
        for title, kind in (("Right", right), ("Wrong", ~right)):
            faces = _explained(scores, found, material.dataset, found.places[kind].tolist())
            blocks += _titled(Heading(title, 4, f"saliency-{number}-{title.lower()}"), faces)
    return blocks


def corruption_blocks(evaluation: Evaluation, material: Material) -> list[Block]:
    """What costs most, a chart for each head, and all figures."""
    found = evaluation.robustness
    if not found:
        return [Text("Left out: `--robustness` scores corrupted copies of the faces too.")]
    charts = [[Chart(cost_plot(row), _corruption_caption(row), f"corrupted-{row.clean.faces.key}")] for row in found]
    return [
        Bullets([_corruption_sentence(row) for row in found]),
        Columns(charts),
        *map(Text, HOW),
        _corruption_grid(found, material),
    ]


def cost_plot(found: Robustness) -> Plot:
    """A bar for each corruption, as long as the points that it costs, with the interval of the difference."""
    rows = found.corrupted
    ends = [100 * end for row in rows for end in row.change_interval]
    # Some corruptions gain points by chance: the axis reaches below 0 if an interval does.
    low, high = min(0.0, *(-end for end in ends)), max(1.0, *(-end for end in ends))
    ticks = [(at, f"{at:g}".replace("-", "−")) for at in nice_ticks(low, high, 5)]
    places = _bar_places(rows)
    words = "; ".join(f"{row.corruption.title} {signed(100 * row.change, 1)}" for row in rows)
    plot = Plot(
        f"Points by which accuracy changes, {name(found.clean)}: {words}",
        Axis(low, high, "points of accuracy lost", ticks),
        Axis(max(places) + 0.8, -0.8, "", [(at, row.corruption.title) for at, row in zip(places, rows, strict=True)]),
        height=60 + 17 * (max(places) + 1.6), left=160, grid="x",
    )  # fmt: skip
    for at, row in zip(places, rows, strict=True):
        lost = -100 * row.change
        hint = (
            f"{row.corruption.title}: {percent(row.accuracy)}, {signed(-lost, 1)} points "
            f"({change(row.change_interval)})"
        )
        plot.bar((0, lost), (at - 0.36, at + 0.36), "fill-pale", hint=hint)
        plot.line([(-100 * end, at) for end in row.change_interval], "ink", wide=1.2)
    plot.line([(0, -0.8), (0, max(places) + 0.8)], "grey", wide=1)
    return plot


def edge(value: float) -> str:
    """A value in at most four signs: `0`, `0.12`, `7.5`, `101`, `1.2k`, `33k`."""
    # Each limit is where rounding would add a sign: 9.96 is 10, not 10.0.
    if abs(value) >= 9_950:
        return f"{value / 1000:.0f}k"
    if abs(value) >= 999.5:
        return f"{value / 1000:.1f}k"
    if abs(value) >= 9.95:
        return f"{value:.0f}"
    return f"{value:.{1 if abs(value) >= 0.995 else 2}f}".replace(".00", "")


def _titled(title: Heading, faces: list[Face]) -> list[Block]:
    return [title, Gallery(faces)] if faces else []


def _grid(found: list[Confusion]) -> Grid:
    rows = [(row.name, f"{row.count:,}", percent(row.errors), percent(row.share)) for row in found[:TOP]]
    return Grid(("label, prediction", "faces", "of all errors", "of the class"), rows)


def _face(scores: SetScores, at: int, dataset: FaceDataset, picture: UInt8) -> Face:
    classes = scores.faces.classes
    truth, predicted = classes[scores.faces.truth[at]], classes[scores.predicted[at]]
    confidence = f"{100 * scores.confidence[at]:.0f} %"
    words = f"labelled {truth}, predicted {predicted} with {confidence}"
    verdict = f"{{good|right, {confidence}}}" if truth == predicted else f"{{mark|{predicted} {confidence}}}"
    row = int(scores.faces.rows[at])
    return Face(
        picture, (f"**{truth}**", verdict), f"Face {words}", f"{dataset.ids[row]}: {words}", _votes(dataset, row)
    )


def _votes(dataset: FaceDataset, row: int) -> list[tuple[str, float]]:
    """The most frequent votes of annotators with their shares."""
    if dataset.votes is None or not dataset.votes[row].any():
        return []
    votes = dataset.votes[row].astype(int)
    order = [n for n in np.argsort(-votes, kind="stable")[:SHOWN_VOTES] if votes[n]]
    return [(f"{_VOTE_NAMES[n]} {votes[n]}", float(votes[n] / votes.sum())) for n in order]


def _explained(scores: SetScores, found: Saliency, dataset: FaceDataset, places: Sequence[int]) -> list[Face]:
    by_place = {at: row for row, at in enumerate(found.places.tolist())}
    faces = []
    for at in places:
        row = by_place[at]
        picture = shrink(dataset.images[scores.faces.rows[at]])
        face = _face(scores, at, dataset, _overlaid(picture, found.maps[row]))
        lines = () if found.regions is None else (_region_line(found.regions[row]),)
        faces.append(replace(face, lines=(*face.lines, *lines)))
    return faces


def _region_line(falls: Float32) -> str:
    """The region that the prediction rests on most."""
    first = int(falls.argmax())
    return f"{tuple(REGIONS)[first]} {signed(-100 * float(falls[first]), 0)}" if falls[first] > 0 else "no region"


def _region_grid(falls: Float32, right: npt.NDArray[np.bool_]) -> Grid:
    """By region: the mean change of the predicted label's probability when it is covered, and how often it leads."""
    leads = falls.argmax(axis=1)
    rows = []
    for place, region in enumerate(REGIONS):
        cells = [signed(-100 * float(falls[kind, place].mean()), 1) if kind.any() else DASH for kind in (right, ~right)]
        rows.append((region, *cells, f"{int((leads == place).sum())} of {len(falls)}"))
    return Grid(("covered", "points, right faces", "points, wrong faces", "changes the answer most"), rows)


def _overlaid(picture: UInt8, heat: Float32) -> UInt8:
    """A face under its map, twice as large, RGB uint8."""
    height, width = 2 * picture.shape[0], 2 * picture.shape[1]
    # Enlarged before it is normalised: interpolation lowers the peak, which should be 1.
    grown = resize(np.ascontiguousarray(heat), height, width)
    marked: UInt8 = overlay(resize(picture, height, width)[None], normalize_maps(grown[None]))[0]
    return marked


def _condition_sentence(row: ByCondition) -> str:
    best = max(row.bins, key=lambda part: part.accuracy)
    worst = min(row.bins, key=lambda part: part.accuracy)
    where = {0: row.condition.low, len(row.bins) - 1: row.condition.high}.get(row.bins.index(worst), "in between")
    return (
        f"**{row.condition.title}**: {percent(worst.accuracy)} in the worst bin ({where}), "
        f"{percent(best.accuracy)} in the best"
    )


def _condition_caption(row: ByCondition) -> str:
    condition = row.condition
    rows = row.bins[len(row.bins) // 2].rows
    known = sum(part.rows for part in row.bins)
    # These come from a detector, which may find no face; the others are measured on every crop.
    missing = f", known for {known:,}" if condition.name in ("size", "yaw", "roll") else ""
    return (
        f"**{condition.title}**, {condition.unit}: {condition.low} to {condition.high}; about {rows:,} a bin{missing}"
    )


def _bar_places(rows: Sequence[CorruptedScores]) -> list[float]:
    """Where each bar is: a little room between the groups."""
    steps = [
        1.0 if row.corruption.group == before.corruption.group else 1.5 for before, row in itertools.pairwise(rows)
    ]
    return [0.0, *np.cumsum(steps).tolist()]


def _corruption_sentence(found: Robustness) -> str:
    order = sorted(found.corrupted, key=lambda row: row.change)
    worst = [f"{row.corruption.title} ({signed(100 * row.change, 1)})" for row in order[:3]]
    cheap = [row.corruption.title for row in order if row.change > -SMALL]
    less = f" Less than a point is lost by {listed(cheap)}." if cheap else ""
    return f"**{name(found.clean)}**: most points are lost by {listed(worst)}.{less}"


def _corruption_caption(found: Robustness) -> str:
    clean = found.clean
    return (
        f"**{name(clean)}.** {plural(clean.rows, 'face')}, {percent(clean.accuracy)} right when untouched. Lines are "
        "95 % intervals."
    )


def _corruption_grid(found: Sequence[Robustness], material: Material) -> Grid:
    pictures = _thumbnails(found[0], material)
    columns = ["picture", *(["example"] if pictures else [])]
    for row in found:
        columns += [f"head {row.clean.faces.head}\naccuracy %", "points", "NLL", "ECE"]
    first: list[Cell] = ["**untouched**", *pictures[:1]]
    for row in found:
        clean = row.clean
        first += [_below(clean.accuracy, clean.accuracy_interval), DASH, f"{clean.nll:.3f}", f"{clean.ece:.3f}"]
    rows = [first]
    for number, kind in enumerate(part.corruption for part in found[0].corrupted):
        cells: list[Cell] = [f"{kind.title} {{small|{kind.how}}}", *pictures[number + 1 : number + 2]]
        for row in found:
            part = row.corrupted[number]
            points = f"{signed(100 * part.change, 1)}\n{{range|({change(part.change_interval)})}}"
            cells += [_below(part.accuracy, part.accuracy_interval), points, f"{part.nll:.3f}", f"{part.ece:.3f}"]
        rows.append(cells)
    return Grid(columns, rows, text_columns=2 if pictures else 1, kind="pictured")


def _below(value: float, interval: Interval) -> str:
    """A figure over its interval."""
    return f"{100 * value:.1f}\n{{range|({span(interval)})}}"


def _thumbnails(found: Robustness, material: Material) -> list[Cell]:
    """The most confident right face, untouched and under every corruption; none if faces are not shown."""
    if material.dataset is None or not material.faces:
        return []
    faces = found.clean.faces
    # A face that is read well shows best what a corruption takes away.
    right = np.where(found.clean.predicted == faces.truth, found.clean.confidence, -1)
    row = int(faces.rows[int(right.argmax())])
    crop = material.dataset.images[row : row + 1]
    size = crop.shape[1:3]
    made = [(faces.title, crop), *((part.corruption.title, part.corruption.apply(crop)) for part in found.corrupted)]
    return [Thumbnail(shrink(resize(picture[0], *size)), title) for title, picture in made]
