"""Training pictures made from large upright faces, so that small and turned ones have an exact label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.verification import CLOSE_UP_PX
from mien.workshop.detection.canvas import (
    Canvas,
    Composed,
    Source,
    draw,
    make_masks,
    make_matrix,
    map_faces,
    paste,
    turn_box,
)
from mien.workshop.detection.degrade import degrade, draw_body, hide, shade
from mien.workshop.detection.teacher_labels import (
    DOUBTFUL,
    HELD_OUT_CROPS,
    HELD_OUT_FACES,
    HELD_OUT_SCENES,
    SURE,
    Material,
    Seen,
)

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]
Rng = np.random.Generator

LEAST_CONTRAST = 7.0
"""A face whose grey levels spread less than that, in 0–255, is neither: in the dark all is alike."""


@dataclass(frozen=True)
class Planned:
    """A face that will be pasted: from where, whether it is a tight crop, by which map, how far turned, onto where."""

    source: Source
    crop: bool
    matrix: Float32
    angle: float
    box: Float32


@dataclass(frozen=True)
class Kinds:
    """How often each kind of training picture is made; shares of one.

    Args:
        crowd: faces pasted into a scene.
        grid: photographs side by side, each whole.
        photograph: one photograph, turned and cut.
        scene: a scene as it is.
        mosaic: what is and what is not a face side by side, each in a cell of its own.
    """

    crowd: float = 0.28
    grid: float = 0.08
    photograph: float = 0.14
    scene: float = 0.22
    mosaic: float = 0.28


@dataclass(frozen=True)
class Limits:
    """What a crowd is like.

    Args:
        faces: fewest and most faces pasted.
        height_px: lowest and highest face.
        turned: share of faces turned by any angle; the others lean a little.
        strays: most patches without a face pasted like faces.
    """

    faces: tuple[int, int] = (3, 36)
    height_px: tuple[float, float] = (7.0, 130.0)
    turned: float = 0.3
    strays: int = 5


def harm(composed: Composed, rng: Rng) -> Composed:
    """As cameras and codecs leave it; a face that nobody could see any more becomes doubtful."""
    picture, kinds = degrade(composed.picture, rng), composed.kinds.copy()
    limits = picture.shape[1::-1] * 2
    for row, box in enumerate(composed.boxes):
        x1, y1, x2, y2 = np.clip(box.round(), 0, limits).astype(int)
        if x2 > x1 and y2 > y1 and picture[y1:y2, x1:x2].std() < LEAST_CONTRAST:
            kinds[row] = -1
    return replace(composed, picture=picture, kinds=kinds)


class Composer:
    """Makes pictures with known faces from a teacher's material.

    `hard` holds places, each the number of a scene and a box, that a network takes for faces and that are none: see
    `training.mine`.

    Args:
        material: pictures and what the teacher saw.
        held_out: use the pictures that training never sees instead of the others.
        limits: what crowds are like.
        kinds: how often each kind of picture is made.
        harm: darken, blur, hide … as training does.
    """

    def __init__(
        self,
        material: Material,
        *,
        held_out: bool = False,
        limits: Limits | None = None,
        kinds: Kinds | None = None,
        harm: bool = True,
    ) -> None:
        faces = slice(-HELD_OUT_FACES, None) if held_out else slice(None, -HELD_OUT_FACES)
        scenes = slice(-HELD_OUT_SCENES, None) if held_out else slice(None, -HELD_OUT_SCENES)
        pairs = zip(material.faces[faces], material.faces_seen[faces], strict=True)
        self.faces = [source for source in (Source.of(*pair) for pair in pairs) if source.main >= 0]
        pairs = zip(material.scenes[scenes], material.scenes_seen[scenes], strict=True)
        self.scenes = [Source.of(*pair) for pair in pairs]
        self.empty = [source for source in self.scenes if not len(source.seen.above(DOUBTFUL))]
        self.people = [source for source in self.scenes if source.main >= 0]
        crops = slice(-HELD_OUT_CROPS, None) if held_out else slice(None, -HELD_OUT_CROPS)
        pairs = zip(material.crops[crops], material.crops_seen[crops], strict=True)
        self.tight = [source for source in (Source.of(*pair) for pair in pairs) if source.main >= 0]
        # Held-out crowds are of people in photographs alone.
        self.crops = [] if held_out else self.tight
        self.hard: list[tuple[int, Float32]] = []
        self.limits, self.kinds, self.harm = limits or Limits(), kinds or Kinds(), harm
        self._masks = make_masks()

    def make(self, rng: Rng, side: int | tuple[int, int]) -> Composed:
        """One picture of that side, or (height, width)."""
        size = (side, side) if isinstance(side, int) else side
        makers = {
            self.make_crowd: self.kinds.crowd,
            self.make_grid: self.kinds.grid,
            self.make_photograph: self.kinds.photograph,
            self.make_scene: self.kinds.scene,
            self.make_mosaic: self.kinds.mosaic,
        }
        shares = np.array([*makers.values()])
        composed = [*makers][rng.choice(len(makers), p=shares / shares.sum())](rng, size)
        return harm(composed, rng) if self.harm else composed

    def make_crowd(self, rng: Rng, size: tuple[int, int], heights: Sequence[float] | None = None) -> Composed:
        """Faces of drawn or given heights, pasted into a scene."""
        canvas = Canvas(self._background(rng, size))
        self._add_strays(canvas, rng)
        if heights is None:
            low, high = self.limits.height_px
            count = int(np.clip(rng.integers(*self.limits.faces, endpoint=True), 1, None))
            tall = np.exp(rng.uniform(np.log(low), np.log(high)))
            # Many pictures hold people at like distances, others at any.
            alike, logs = rng.random() < 0.5, rng.uniform(np.log(low), np.log(high), count)
            heights = (tall * np.exp(rng.normal(0, 0.25, count)) if alike else np.exp(logs)).tolist()
        planned: list[Planned] = []
        for height in sorted(heights, reverse=True):
            one = self._plan_face(canvas, planned, rng, height)
            if one is not None:
                planned.append(one)
        # All bodies first: none may cover another one's face.
        for one in planned:
            if rng.random() < 0.65:
                texture = self.empty[rng.integers(len(self.empty))].levels[-1]
                draw_body(canvas.picture, one.source.seen.boxes[one.source.main], one.matrix, texture, rng)
        for one in planned:
            self._paste_face(canvas, one, rng)
        return canvas.finish()

    def make_grid(self, rng: Rng, size: tuple[int, int]) -> Composed:
        """Photographs in cells: real surroundings, many at once."""
        canvas = Canvas(np.zeros(size, np.uint8))
        cell = int(np.exp(rng.uniform(np.log(32), np.log(200))))
        left, top = rng.integers(-cell + 1, 1, 2)
        for y in range(top, size[0], cell):
            for x in range(left, size[1], cell):
                if rng.random() < 0.15:
                    source = self.empty[rng.integers(len(self.empty))]
                else:
                    source = self._pick_photograph(rng)
                self._add_cell(canvas, rng, source, (x, y, cell))
        return canvas.finish()

    def make_photograph(self, rng: Rng, size: tuple[int, int]) -> Composed:
        """One photograph at a size at which its face is large, or a scene turned."""
        source = self._pick_photograph(rng)
        canvas = Canvas(self._background(rng, size))
        box = source.seen.boxes[source.main]
        height = float(np.exp(rng.uniform(np.log(0.15), np.log(1.25)))) * min(size)
        scale = height / (box[3] - box[1])
        target = np.array(size[::-1]) * rng.uniform(0.25, 0.75, 2)
        angle = self._draw_angle(rng)
        matrix = make_matrix((box[:2] + box[2:]) / 2, target, scale, angle, rng.random() < 0.5)
        whole = np.array([0, 0, *source.levels[0].shape[1::-1]], np.float32)
        paste(canvas.picture, source, whole, matrix, self._masks[-1], None)
        self._add_seen(canvas, source.seen, matrix, angle, rng)
        return canvas.finish()

    def make_scene(self, rng: Rng, size: tuple[int, int]) -> Composed:
        """A scene as it is, with what the teacher saw in it."""
        chance = rng.random()
        if self.people and chance < 0.4:
            source = self.people[rng.integers(len(self.people))]
            sure = np.flatnonzero(source.seen.scores >= SURE)
            return self._make_close(rng, size, source, source.seen.boxes[rng.choice(sure)])
        if self.hard and chance < 0.8:
            number, box = self.hard[rng.integers(len(self.hard))]
            return self._make_close(rng, size, self.scenes[number], box)
        source = self.scenes[rng.integers(len(self.scenes))]
        height, width = source.levels[0].shape[:2]
        scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.5)))) * max(size) / max(height, width)
        angle = float(rng.choice([0, 0, 0, 90, 180, 270]) + rng.normal(0, 5))
        span = np.maximum(np.array([width, height]) * scale - size[::-1], 0) / 2
        target = np.array(size[::-1]) / 2 + rng.uniform(-span, span + 1e-6)
        matrix = make_matrix(np.array([width / 2, height / 2]), target, scale, angle, rng.random() < 0.5)
        canvas = Canvas(np.full(size, rng.integers(0, 256), np.uint8))
        whole = np.array([0, 0, width, height], np.float32)
        paste(canvas.picture, source, whole, matrix, self._masks[-1], None)
        self._add_seen(canvas, source.seen, matrix, angle, rng)
        return canvas.finish()

    def make_mosaic(self, rng: Rng, size: tuple[int, int]) -> Composed:
        """Cells that hold a face, a part of one, something once taken for one, or a piece of a scene.

        All are cut out alike, so that nothing but a face tells a face.
        """
        canvas = Canvas(np.zeros(size, np.uint8))
        cell = int(np.exp(rng.uniform(np.log(20), np.log(170))))
        left, top = rng.integers(-cell + 1, 1, 2)
        for y in range(top, size[0], cell):
            for x in range(left, size[1], cell):
                chance = rng.random()
                if chance < 0.15:
                    self._add_tight(canvas, rng, (x, y, cell))
                elif chance < 0.3:
                    self._add_cell(canvas, rng, self._pick_photograph(rng), (x, y, cell))
                elif chance < 0.45:
                    source = self._pick_photograph(rng)
                    box, points = source.seen.boxes[source.main], source.seen.landmarks[source.main]
                    # Around an eye, the nose, a corner of the mouth, the forehead or the chin.
                    middle = [*points, (box[:2] + box[2:]) / 2 + (0, rng.choice([-0.5, 0.5]) * (box[3] - box[1]))]
                    share = (box[3] - box[1]) * rng.uniform(0.25, 0.55)
                    self._add_piece(canvas, rng, source, (middle[rng.integers(6)], share), (x, y, cell), part=True)
                else:
                    source, region = self._pick_patch(rng, 0.75)
                    side = float((region[2:] - region[:2]).max()) * rng.uniform(1.0, 2.2)
                    self._add_piece(canvas, rng, source, ((region[:2] + region[2:]) / 2, side), (x, y, cell))
        return canvas.finish()

    def make_close_up(self, rng: Rng) -> Composed:
        """A small picture that a face fills to its edges, or nothing of the kind: faces as others have cut them out."""
        face = rng.random() < 0.5
        source, region = self._pick_tight(rng) if face else self._pick_patch(rng, 0.75)
        width, height = (region[2:] - region[:2]).tolist()
        scale = float(np.exp(rng.uniform(np.log(48), np.log(CLOSE_UP_PX)))) / max(width, height)
        size_px = max(16, round(height * scale)), max(16, round(width * scale))
        target = np.array(size_px[::-1]) / 2
        angle = float(rng.normal(0, 6))
        matrix = make_matrix((region[:2] + region[2:]) / 2, target, scale, angle, rng.random() < 0.5)
        canvas = Canvas(draw(source, matrix, size_px[::-1]))
        if face:
            self._add_seen(canvas, source.seen, matrix, angle, rng)
        elif len(source.seen):
            boxes, landmarks = map_faces(source.seen, matrix)
            for box, points in zip(boxes, landmarks, strict=True):
                canvas.add(box, points, -1, 0.0)
        composed = canvas.finish()
        return harm(composed, rng) if self.harm else composed

    def _pick_tight(self, rng: Rng) -> tuple[Source, Floats]:
        """A face and the rectangle around it by which somebody might have cut it out."""
        crop = bool(self.tight) and rng.random() < 0.6
        source = self.tight[rng.integers(len(self.tight))] if crop else self._pick_photograph(rng)
        box = source.seen.boxes[source.main]
        region = box + rng.uniform(-0.04, 0.3, 4) * np.tile(box[2:] - box[:2], 2) * np.array([-1, -1, 1, 1])
        limits = np.array(source.levels[0].shape[1::-1], np.float32)
        return source, np.concatenate([np.maximum(region[:2], 0), np.minimum(region[2:], limits)])

    def _add_tight(self, canvas: Canvas, rng: Rng, cell: tuple[int, int, int]) -> None:
        """A cell with a face cut out close, in a corner of it as it were padded."""
        (source, region), (x, y, side) = self._pick_tight(rng), cell
        width, height = (region[2:] - region[:2]).tolist()
        target = np.array([x, y]) + np.array([width, height]) * (side / max(width, height) / 2)
        matrix = make_matrix((region[:2] + region[2:]) / 2, target, side / max(width, height), 0.0, rng.random() < 0.5)
        paste(canvas.picture, source, region.astype(np.float32), matrix, self._masks[-1], None)
        self._add_seen(canvas, source.seen, matrix, 0.0, rng)

    def _add_piece(
        self,
        canvas: Canvas,
        rng: Rng,
        source: Source,
        square: tuple[Floats, float],
        cell: tuple[int, int, int],
        part: bool = False,
    ) -> None:
        """A cell filled with a square of a source (middle and side) in which nothing is taught as a face.

        `part`: what is seen of a face there is too little of it.
        """
        (middle, length), (x, y, side) = square, cell
        middle = np.asarray(middle) + rng.uniform(-0.12, 0.12, 2) * length
        scale, target = side / length, np.array([side / 2, side / 2])
        matrix = make_matrix(middle, target, scale, self._draw_angle(rng), rng.random() < 0.5)
        height, width = canvas.picture.shape
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
        matrix[:, 2] += (x - x1, y - y1)
        canvas.picture[y1:y2, x1:x2] = draw(source, matrix, (x2 - x1, y2 - y1))
        if source.main >= 0 and not part:
            # A face of the scene that comes into it is not taught as background.
            matrix[:, 2] += (x1, y1)
            boxes, landmarks = map_faces(source.seen, matrix)
            for box, points in zip(np.clip(boxes, (x1, y1, x1, y1), (x2, y2, x2, y2)), landmarks, strict=True):
                if (box[2:] - box[:2]).min() > 1:
                    canvas.add(box, points, -1, 0.0)

    def _make_close(self, rng: Rng, size: tuple[int, int], source: Source, box: Float32) -> Composed:
        """A scene cut around a face, for whole heads and bodies, or around what was once taken for one."""
        height = float(np.exp(rng.uniform(np.log(9), np.log(0.6 * min(size)))))
        angle = self._draw_angle(rng)
        target = np.array(size[::-1]) * rng.uniform(0.2, 0.8, 2)
        matrix = make_matrix((box[:2] + box[2:]) / 2, target, height / (box[3] - box[1]), angle, rng.random() < 0.5)
        canvas = Canvas(self._background(rng, size))
        whole = np.array([0, 0, *source.levels[0].shape[1::-1]], np.float32)
        paste(canvas.picture, source, whole, matrix, self._masks[-1], None)
        self._add_seen(canvas, source.seen, matrix, angle, rng)
        return canvas.finish()

    def _background(self, rng: Rng, size: tuple[int, int]) -> UInt8:
        source = self.empty[rng.integers(len(self.empty))]
        picture = source.levels[0] if rng.random() < 0.7 else source.levels[1]
        share = rng.uniform(0.4, 1.0)
        height, width = (max(8, int(length * share)) for length in picture.shape[:2])
        y = rng.integers(0, picture.shape[0] - height + 1)
        x = rng.integers(0, picture.shape[1] - width + 1)
        part = picture[y : y + height, x : x + width]
        shrinks = size[0] * size[1] < height * width
        drawn = cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.ascontiguousarray(drawn[:, ::-1] if rng.random() < 0.5 else drawn)

    def _pick_photograph(self, rng: Rng) -> Source:
        return self.faces[rng.integers(len(self.faces))]

    def _draw_angle(self, rng: Rng) -> float:
        if rng.random() < self.limits.turned:
            return float(rng.uniform(-180, 180))
        return float(rng.normal(0, 9))

    def _plan_face(self, canvas: Canvas, planned: list[Planned], rng: Rng, height: float) -> Planned | None:
        crop = bool(self.crops) and height < 56 and rng.random() < 0.3
        source = self.crops[rng.integers(len(self.crops))] if crop else self._pick_photograph(rng)
        box = source.seen.boxes[source.main]
        scale, angle = height / float(box[3] - box[1]), self._draw_angle(rng)
        target = self._find_place(canvas, planned, rng, height)
        if target is None:
            return None
        matrix = make_matrix((box[:2] + box[2:]) / 2, target, scale, angle, rng.random() < 0.5)
        return Planned(source, crop, matrix, angle, turn_box(box, matrix))

    def _paste_face(self, canvas: Canvas, one: Planned, rng: Rng) -> None:
        source, seen = one.source, one.source.seen
        region, mask = self._region(rng, source, seen.boxes[source.main], one.crop)
        gain = np.array([rng.uniform(0.6, 1.3), rng.uniform(-25, 25)], np.float32) if rng.random() < 0.5 else None
        paste(canvas.picture, source, region, one.matrix, mask, gain)
        meant = slice(source.main, source.main + 1)
        only = Seen(seen.boxes[meant], seen.landmarks[meant], seen.scores[meant])
        self._add_seen(canvas, only, one.matrix, one.angle, rng)

    def _region(self, rng: Rng, source: Source, box: Float32, crop: bool) -> tuple[Float32, UInt8]:
        """What is cut out around a face, and how softly."""
        size = box[2:] - box[:2]
        limits = np.array([0, 0, *source.levels[0].shape[1::-1]], np.float32)
        if crop:
            return limits, self._masks[rng.integers(len(self._masks) - 1)]
        if rng.random() < 0.2:
            return limits, self._masks[rng.choice([4, 5, 6])]
        margin = rng.uniform(0.22, 0.9, 4) * np.array([size[0], size[1], size[0], size[1]])
        region = box + margin * np.array([-1, -1, 1, 1])
        low, high = np.maximum(region[:2], limits[:2]), np.minimum(region[2:], limits[2:])
        return np.concatenate([low, high]).astype(np.float32), self._masks[rng.integers(len(self._masks))]

    def _find_place(self, canvas: Canvas, planned: list[Planned], rng: Rng, height: float) -> Float32 | None:
        """A middle that leaves the other faces visible; now and then at the edge."""
        limits = np.array(canvas.picture.shape[1::-1], np.float32)
        taken = np.asarray([one.box for one in planned], np.float32).reshape(-1, 4)
        for _ in range(12):
            place = (rng.uniform(0.0, 1.0, 2) * limits).astype(np.float32)
            if rng.random() < 0.9:
                place = np.clip(place, min(height * 0.5, limits[0] / 2), limits - min(height * 0.5, limits[0] / 2))
            reach = height * 0.75
            apart = np.maximum(taken[:, :2] - place - reach, place - reach - taken[:, 2:]).max(axis=1, initial=-1e9)
            if not len(taken) or apart.min() > -0.15 * height:
                return place
        return None

    def _add_cell(self, canvas: Canvas, rng: Rng, source: Source, cell: tuple[int, int, int]) -> None:
        x, y, side = cell
        height, width = source.levels[0].shape[:2]
        quarter = int(rng.choice([0, 0, 0, 0, 0, 1, 2, 3])) * 90.0
        mirrored = rng.random() < 0.5
        scale = side / min(height, width)
        middle = np.array([width / 2, height / 2], np.float32)
        target = np.array([x + side / 2, y + side / 2], np.float32)
        matrix = make_matrix(middle, target, scale, quarter, mirrored)
        half = np.array([side / scale / 2] * 2, np.float32)
        region = np.concatenate([middle - half, middle + half]).astype(np.float32)
        paste(canvas.picture, source, region, matrix, self._masks[-1], None)
        boxes, landmarks = map_faces(source.seen, matrix)
        for box, points, score in zip(boxes, landmarks, source.seen.scores, strict=True):
            cut = np.clip(box, (x, y, x, y), (x + side, y + side, x + side, y + side))
            visible = float((cut[2:] - cut[:2]).clip(0).prod() / max(float((box[2:] - box[:2]).prod()), 1e-6))
            kind = 1 if score >= SURE and visible > 0.7 else -1
            if visible > 0.05:
                canvas.add(box if kind == 1 else cut, points, kind, quarter)

    def _add_seen(self, canvas: Canvas, seen: Seen, matrix: Float32, angle: float, rng: Rng) -> None:
        boxes, landmarks = map_faces(seen, matrix)
        for box, points, score in zip(boxes, landmarks, seen.scores, strict=True):
            kind = 1 if score >= SURE else -1
            if kind == 1 and self.harm and box[3] - box[1] > 18 and rng.random() < 0.18:
                hide(canvas.picture, points, rng)
            elif kind == 1 and self.harm and box[3] - box[1] > 12 and rng.random() < 0.15:
                shade(canvas.picture, box, rng)
            canvas.add(box, points, kind, (angle + 180) % 360 - 180)

    def _pick_patch(self, rng: Rng, hard: float = 0.5) -> tuple[Source, Float32]:
        """A piece of a scene without a face, in that share of cases one that looks like a face."""
        if self.hard and rng.random() < hard:
            number, box = self.hard[rng.integers(len(self.hard))]
            margin = (box[2:] - box[:2]) * rng.uniform(0.05, 0.4)
            return self.scenes[number], np.concatenate([box[:2] - margin, box[2:] + margin]).astype(np.float32)
        source = self.empty[rng.integers(len(self.empty))]
        size = np.array(source.levels[0].shape[1::-1], np.float32)
        side = float(rng.uniform(0.15, 0.7)) * size.min()
        low = rng.uniform(0, 1, 2) * (size - side)
        return source, np.concatenate([low, low + side * rng.uniform(0.7, 1.0, 2)]).astype(np.float32)

    def _add_strays(self, canvas: Canvas, rng: Rng) -> None:
        """Patches of scenes, pasted as faces are: the edge of a pasted patch says nothing."""
        limits = np.array(canvas.picture.shape[1::-1], np.float32)
        for _ in range(rng.integers(0, self.limits.strays + 1)):
            source, region = self._pick_patch(rng)
            side = float((region[2:] - region[:2]).max())
            target = (rng.uniform(0, 1, 2) * limits).astype(np.float32)
            scale = float(np.exp(rng.uniform(np.log(10), np.log(140)))) / side
            matrix = make_matrix((region[:2] + region[2:]) / 2, target, scale, float(rng.uniform(-180, 180)), False)
            paste(canvas.picture, source, region, matrix, self._masks[rng.integers(len(self._masks))], None)
