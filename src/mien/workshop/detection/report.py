"""A detector beside others: recall against false faces by size and turn, in crowds, photographs, large groups."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.faces.detection import Detector
from mien.images import pictures as images
from mien.structures import Detections
from mien.workshop.detection.canvas import Composed
from mien.workshop.detection.compose import Composer, Limits, harm
from mien.workshop.detection.large_pictures import WHOLE_HEIGHTS, compose_wholes, read_photographs
from mien.workshop.detection.teacher_labels import Material
from mien.workshop.reports.document import Block, Grid, Picture, Text, to_html, to_markdown

UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

FALSE_PER_PICTURE = 0.1
CURVE = np.geomspace(0.01, 2, 40)
LARGE_HEIGHTS = (60, 80, 120)
CROWD_SIZE = (480, 640)
GROUP_SIZE = (3000, 4000)


@dataclass(frozen=True)
class Judged:
    """One detector under test.

    Args:
        usual: as users get it.
        greedy: the same with a very low threshold, for curves.
    """

    usual: Detector
    greedy: Detector


def compose_crowds(material: Material, count: int, seed: int = 7) -> list[Composed]:
    """Crowds of held-out people in held-out scenes, 640 × 480, as cameras and codecs leave them."""
    composer = Composer(material, held_out=True, limits=Limits(faces=(1, 20), height_px=(8, 150), turned=0.35))
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        made.append(harm(composer.make_crowd(rng, CROWD_SIZE), rng))
    return made


def compose_groups(material: Material, height_px: float, count: int, seed: int = 11) -> list[Composed]:
    """Large pictures, 4000 × 3000, with forty nearly upright faces of one height each."""
    composer = Composer(material, held_out=True, limits=Limits(turned=0.0, strays=0))
    rngs = [np.random.default_rng([seed, round(height_px), number]) for number in range(count)]
    return [composer.make_crowd(rng, GROUP_SIZE, heights=[height_px] * 40) for rng in rngs]


def in_colour(detector: Detector) -> Callable[[UInt8], Detections]:
    """The detector for grey pictures (H, W)."""
    return lambda picture: detector.detect(np.repeat(picture[:, :, None], 3, axis=2))


@dataclass(frozen=True)
class Group:
    """Some of the faces: of heights from, to; turned by degrees from, to."""

    heights: tuple[float, float] = (0, np.inf)
    turned: tuple[float, float] = (0, 181)

    def choose(self, outcome: Outcome) -> Mask:
        """Which of the outcome's faces these are."""
        turned = np.abs(outcome.angles)
        tall = (outcome.heights >= self.heights[0]) & (outcome.heights < self.heights[1])
        return np.asarray(tall & (turned >= self.turned[0]) & (turned < self.turned[1]))

    def recall(self, outcome: Outcome, false_per_picture: float) -> float:
        """Of these faces, where so many false ones of the same heights come up a picture."""
        return outcome.recall(outcome.threshold_at(false_per_picture, self.heights), self.choose(outcome))


GROUPS = {
    "all faces": Group(),
    "16 px and higher": Group((16, np.inf)),
    "under 16 px": Group((0, 16)),
    "16–40 px": Group((16, 40)),
    "40 px and higher": Group((40, np.inf)),
    "turned up to 20°, 16 px": Group((16, np.inf), (0, 20)),
    "turned 20–45°, 16 px": Group((16, np.inf), (20, 45)),
    "turned beyond 45°, 16 px": Group((16, np.inf), (45, 181)),
}
"""Which faces a row of the table counts; a false face counts where it is as high."""


def tabulate(outcomes: Mapping[str, Outcome]) -> Grid:
    """Recall in per cent at one false face in ten pictures, a row a group of faces."""
    rows = []
    for name, group in GROUPS.items():
        recalls = [f"{100 * group.recall(each, FALSE_PER_PICTURE):.1f}" for each in outcomes.values()]
        rows.append([name, str(int(group.choose(next(iter(outcomes.values()))).sum())), *recalls])
    for name in ("all faces", "16 px and higher"):
        heights = GROUPS[name].heights
        scores = [f"{each.threshold_at(FALSE_PER_PICTURE, heights):.3f}" for each in outcomes.values()]
        rows.append([f"threshold, {name}", "", *scores])
    errors = [100 * float(np.nanmean(o.landmark_errors)) if _has(o) else float("nan") for o in outcomes.values()]
    rows.append(["landmarks' error, % of the face's size", "", *(f"{error:.1f}" for error in errors)])
    return Grid(["faces", "count", *outcomes], rows)


def _has(outcome: Outcome) -> bool:
    return bool(np.isfinite(outcome.landmark_errors).any())


def draw_curves(outcomes: Mapping[str, Outcome]) -> bytes:
    """Recall against false faces a picture, a panel a group, all detectors in each; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = ["under 16 px", "16–40 px", "40 px and higher", "turned beyond 45°, 16 px"]
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, group in zip(figure.subplots(1, len(chosen), sharey=True), chosen, strict=True):
        for name, outcome in outcomes.items():
            axes.plot(CURVE, [GROUPS[group].recall(outcome, rate) for rate in CURVE], label=name)
        axes.set(xscale="log", ylim=(0, 1.01), title=group, xlabel="false faces a picture")
        axes.axvline(FALSE_PER_PICTURE, color="0.8", zorder=0)
        axes.grid(alpha=0.2)
    figure.axes[0].set_ylabel("recall")
    figure.axes[-1].legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


@dataclass(frozen=True)
class PhotoCount:
    """Faces of real photographs: how many there are, how many were found, and what else was."""

    faces: int
    found: int
    false: int
    missed_in: tuple[str, ...]
    false_in: tuple[str, ...]


def count_photos(folder: Path, detector: Detector) -> PhotoCount:
    """A detector on photographs with `truth.json` beside them: a face counts when a found box's middle lies in it."""
    truth = json.loads((folder / "truth.json").read_text("utf-8"))["images"]
    faces = found = false = 0
    missed_in, false_in = [], []
    for name, entry in truth.items():
        if "faces" not in entry:
            continue
        boxes = np.array([face["box"] for face in entry["faces"]], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        seen = detector.detect(images.read(folder / name))
        middles = (seen.boxes[:, None, :2] + seen.boxes[:, None, 2:]) / 2
        inside: Mask = np.asarray(((middles >= boxes[None, :, :2]) & (middles <= boxes[None, :, 2:])).all(axis=2))
        hits = int(np.count_nonzero(inside.any(axis=0)))
        strays = len(seen) - int(np.count_nonzero(inside.any(axis=1)))
        faces, found, false = faces + len(boxes), found + hits, false + strays
        missed_in += [name] * (len(boxes) - hits)
        false_in += [name] * strays
    return PhotoCount(faces, found, false, tuple(missed_in), tuple(false_in))


def count_large(usual: Mapping[str, Detector], data: Path) -> list[list[str]]:
    """Rows of the share of faces found in large pictures of whole photographs, by height; none without photographs."""
    if not (data / "photos" / "truth.json").is_file():
        return []
    photographs = read_photographs(data / "photos")
    rows = []
    for height in WHOLE_HEIGHTS:
        large = compose_wholes(photographs, height, GROUP_SIZE)
        shares = [f"{100 * large.found_by(each):.1f}" for each in usual.values()]
        rows.append([f"{height} px, whole photographs, in 4000 × 3000, found % of {large.count}", *shares])
    return rows


def count_found(archive: Path, detector: Detector) -> tuple[int, int]:
    """In how many pictures of a zip archive a face is found, and how many there are."""
    found = total = 0
    with zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            if name.lower().endswith((".jpg", ".jpeg", ".png")):
                total += 1
                found += len(detector.detect(images.decode(file.read(name), name=name))) > 0
    return found, total


def time_frame(detectors: Mapping[str, Detector], picture: UInt8, rounds: int = 40) -> dict[str, float]:
    """Median milliseconds of each on one frame, in turns, so that a busy machine slows all alike."""
    spent: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, detector in detectors.items():
            begun = time.perf_counter()
            detector.detect(picture)
            spent[name].append(1000 * (time.perf_counter() - begun))
    return {name: float(np.median(each)) for name, each in spent.items()}


def make_report(
    judged: Mapping[str, Judged], material: Material, data: Path, *, crowds: int = 500, groups: int = 3
) -> tuple[list[Block], dict[str, Any]]:
    """The blocks of the report, and its figures as plain values."""
    made = compose_crowds(material, crowds)
    outcomes = {name: judge(in_colour(one.greedy), made) for name, one in judged.items()}
    table = tabulate(outcomes)
    figures: dict[str, Any] = {"crowds": {"columns": list(table.columns), "rows": [list(row) for row in table.rows]}}
    blocks: list[Block] = [
        Text(
            f"{crowds} crowds of people and scenes that training never saw. Recall in per cent at one false face in "
            f"ten pictures; a face is found where the boxes' intersection is 0.4 of their union or more."
        ),
        table,
        Picture("recall.png", draw_curves(outcomes), "Recall against false faces a picture."),
    ]
    usual = {name: one.usual for name, one in judged.items()}
    rows = []
    for height in LARGE_HEIGHTS:
        pictures = compose_groups(material, height, groups)
        shares = {name: judge(in_colour(each), pictures).recall(0) for name, each in usual.items()}
        rows.append([f"{height} px, cut out, in 4000 × 3000, found %", *(f"{100 * v:.1f}" for v in shares.values())])
    rows += count_large(usual, data) + _count_real(usual, data)
    frame = np.repeat(made[0].picture[:, :, None], 3, axis=2)
    times = time_frame(usual, images.resize(frame, 720, 1280))
    rows.append(["1280 × 720 frame, ms", *(f"{value:.1f}" for value in times.values())])
    figures["real"] = rows
    return [*blocks, Grid(["as users get them", *usual], rows)], figures


def _count_real(usual: Mapping[str, Detector], data: Path) -> list[list[str]]:
    rows = []
    if (data / "photos" / "truth.json").is_file():
        counts = [count_photos(data / "photos", each) for each in usual.values()]
        rows.append([f"photographs: found of {counts[0].faces}", *(str(one.found) for one in counts)])
        rows.append(["photographs: false", *(str(one.false) for one in counts)])
    if (archive := data / "web_faces" / "images.zip").is_file():
        pairs = [count_found(archive, each) for each in usual.values()]
        rows.append([f"web faces: found of {pairs[0][1]}", *(str(found) for found, _ in pairs)])
    return rows


def write_report(out: Path, blocks: Sequence[Block], figures: Mapping[str, Any]) -> None:
    """`report.html`, `report.md` with its pictures, `report.json`."""
    out.mkdir(parents=True, exist_ok=True)
    title = "Mien's face detector"
    (out / "report.html").write_text(to_html(title, blocks), "utf-8")
    (out / "report.md").write_text(to_markdown(title, blocks), "utf-8")
    (out / "report.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    for block in blocks:
        if isinstance(block, Picture):
            (out / block.name).write_bytes(block.png)


Float32 = npt.NDArray[np.float32]

Detect = Callable[[UInt8], Detections]

_NONE = np.zeros(0, np.float32)

LEAST_OVERLAP = 0.4
"""Intersection over union from which a detection is of that face: boxes of turned faces are drawn differently."""


@dataclass(frozen=True)
class Outcome:
    """What a detector did with a set of pictures.

    Args:
        found: for each face the score of the detection that is of it, 0 where none is (F,).
        heights: height of each face in pixels (F,).
        angles: how far each is turned, degrees in -180 to 180 (F,).
        false: scores of the detections that are of no face (D,).
        false_heights: their heights in pixels (D,).
        landmark_errors: mean distance of the landmarks by the face's size, NaN where not found (F,).
        pictures: how many pictures.
    """

    found: Float32
    heights: Float32
    angles: Float32
    false: Float32
    false_heights: Float32
    landmark_errors: Float32
    pictures: int

    def threshold_at(self, false_per_picture: float, heights: tuple[float, float] = (0, np.inf)) -> float:
        """The lowest score at which no more than so many false detections, of these heights, come up a picture."""
        allowed = int(false_per_picture * self.pictures)
        counted = (self.false_heights >= heights[0]) & (self.false_heights < heights[1])
        scores = np.sort(self.false[counted])[::-1]
        return float(np.nextafter(scores[allowed], np.float32(2))) if len(scores) > allowed else 1e-6

    def recall(self, threshold: float, chosen: npt.NDArray[np.bool_] | None = None) -> float:
        """Share of the (chosen) faces found from that score on; NaN without any."""
        found = self.found if chosen is None else self.found[chosen]
        return float((found >= max(threshold, 1e-6)).mean()) if len(found) else float("nan")


def judge(detect: Detect, pictures: Sequence[Composed]) -> Outcome:
    """Run a detector, asked for all it can find, over composed pictures and match what it finds with the truth."""
    parts: list[tuple[Float32, ...]] = []
    for one in pictures:
        found = detect(one.picture)
        parts.append(match(found, one))
    columns = [np.concatenate(each).astype(np.float32) for each in zip(*parts, strict=True)] or [_NONE] * 6
    return Outcome(columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], len(pictures))


def match(found: Detections, truth: Composed) -> tuple[Float32, Float32, Float32, Float32, Float32, Float32]:
    """The columns of an `Outcome` for one picture.

    Detections take the face they overlap most, the best score first, each face once. One of something doubtful is
    neither right nor wrong.
    """
    real = truth.kinds == 1
    boxes = truth.boxes
    scores = np.zeros(len(boxes), np.float32)
    errors = np.full(len(boxes), np.nan, np.float32)
    false = []
    overlaps = _overlaps(found.boxes, boxes)
    for row in np.argsort(-found.scores, kind="stable"):
        free = np.where((scores > 0) & real, 0, overlaps[row])
        best = int(free.argmax()) if len(boxes) else -1
        if best >= 0 and free[best] >= LEAST_OVERLAP:
            scores[best] = found.scores[row]
            size = np.sqrt((boxes[best, 2:] - boxes[best, :2]).prod())
            errors[best] = np.linalg.norm(found.landmarks[row] - truth.landmarks[best], axis=1).mean() / size
        elif not _is_doubtful(found.boxes[row], boxes[~real]):
            false.append(row)
    heights = boxes[:, 3] - boxes[:, 1]
    strays = found[np.array(false, np.int64)]
    tall = strays.boxes[:, 3] - strays.boxes[:, 1]
    return scores[real], heights[real], truth.angles[real], strays.scores, tall, errors[real]


def _is_doubtful(box: Float32, doubtful: Float32) -> bool:
    """More than half of the box, or its middle, lies in something doubtful."""
    if not len(doubtful):
        return False
    common = np.clip(np.minimum(box[2:], doubtful[:, 2:]) - np.maximum(box[:2], doubtful[:, :2]), 0, None).prod(axis=1)
    middle = (box[:2] + box[2:]) / 2
    inside = ((middle >= doubtful[:, :2]) & (middle <= doubtful[:, 2:])).all(axis=1)
    return bool((common > 0.5 * (box[2:] - box[:2]).prod()).any() or inside.any())


def _overlaps(first: Float32, second: Float32) -> Float32:
    sides = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    common = np.clip(sides, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    share: Float32 = common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-6)
    return share
