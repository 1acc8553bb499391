"""The pictures a detector is taught with, and what the teacher sees in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.files import read_npz, write_whole

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

HELD_OUT_FACES = 250
HELD_OUT_SCENES = 100
HELD_OUT_CROPS = 500
"""The last so many of each archive are never trained on."""

MIRRORED_LANDMARKS = (1, 0, 2, 4, 3)
"""A mirrored face's right eye was its left one."""

LOOKS = {"faces": (1.0, 0.6), "scenes": (1.0, 2.0), "crops": (2.0,)}
"""The sizes at which the teacher looks at each kind of picture, each also mirrored."""

SURE, DOUBTFUL = 0.7, 0.3
"""A face from this score on, and something that is neither face nor background from that one on."""

MOST_CROPS = 9_000
"""Small grey faces used at most."""

LEAST_CROP_PX = 26.0
"""A lower box in a crop is a part of the face."""

ANIMALS = 398
"""So many of the scenes come first and show animals: ImageNet's order."""

SURE_BESIDE_ANIMALS = 0.9
"""Without a face of this score all that the teacher sees in an animal's picture is the animal."""

CROP_PADDING = 12
"""Pixels of repeated edge around a 48×48 crop: the teacher knows faces with surroundings."""


@dataclass(frozen=True)
class Seen:
    """What the teacher found in one picture: boxes (N, 4) xyxy, landmarks (N, 5, 2), scores (N,); the best first."""

    boxes: Float32
    landmarks: Float32
    scores: Float32

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Seen:
        """Those from that score on."""
        keep = self.scores >= score
        return Seen(self.boxes[keep], self.landmarks[keep], self.scores[keep])


@dataclass(frozen=True)
class Material:
    """Grey pictures, uint8 (H, W), and what the teacher saw in each.

    The student sees grey alone: most photographs of faces at hand are grey, and a network that saw grey faces in
    coloured scenes would learn just that.

    Args:
        faces: photographs of one person each.
        scenes: pictures of everything.
        crops: square faces (48, 48), their labels in pixels of the crop.
    """

    faces: list[UInt8]
    faces_seen: list[Seen]
    scenes: list[UInt8]
    scenes_seen: list[Seen]
    crops: list[UInt8]
    crops_seen: list[Seen]


class Teacher:
    """YuNet, asked several times about a picture: at some sizes and mirrored. What the looks agree on is averaged."""

    def __init__(self, weights: Path) -> None:
        self._net = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), DOUBTFUL, 0.3, 5000)

    def see(self, picture: UInt8, sizes: Sequence[float]) -> Seen:
        """Faces in an RGB picture; a score is the mean over all looks, a look that misses counts as the floor."""
        looks = [self._look(picture, size, mirrored) for size in sizes for mirrored in (False, True)]
        rows = np.concatenate(looks)
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        merged = []
        while len(rows):
            same = _overlap(rows[0, :4], rows[:, :4]) > 0.4
            group = rows[same]
            mean = np.average(group, axis=0, weights=group[:, 14])
            mean[14] = group[:, 14].max() if len(group) > 1 else min(float(group[0, 14]), SURE - 0.01)
            merged.append(mean)
            rows = rows[~same]
        found = np.asarray(merged, np.float32).reshape(-1, 15)
        return Seen(found[:, :4], found[:, 4:14].reshape(-1, 5, 2), found[:, 14])

    def _look(self, picture: UInt8, size: float, mirrored: bool) -> Float32:
        height, width = picture.shape[:2]
        target = (max(1, round(width * size)), max(1, round(height * size)))
        small = cv2.resize(picture, target, interpolation=cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC)
        if mirrored:
            small = np.ascontiguousarray(small[:, ::-1])
        self._net.setInputSize(target)
        found: Any = self._net.detect(np.ascontiguousarray(small[:, :, ::-1]))[1]
        if found is None:
            return np.zeros((0, 15), np.float32)
        rows: Float32 = np.asarray(found, np.float32)
        rows[:, 2:4] += rows[:, :2]
        points = rows[:, :14].reshape(-1, 7, 2)
        if mirrored:
            points[..., 0] = target[0] - points[..., 0]
            points[:, :2, 0] = points[:, 1::-1, 0]
            points[:, 2:] = points[:, 2:][:, MIRRORED_LANDMARKS]
        points *= (width / target[0], height / target[1])
        rows[:, :14] = points.reshape(-1, 14)
        return rows


def _overlap(box: Float32, boxes: Float32) -> Float32:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.clip(sides, 0, None).prod(axis=1)
    total = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - common
    share: Float32 = common / np.maximum(total, 1e-6)
    return share


def read_archive(path: Path) -> list[UInt8]:
    """The pictures of a zip archive, RGB uint8, in the order of their names.

    Raises:
        DataError: the archive or a picture in it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
            return [_decode(archive.read(name), f"{path}, {name}") for name in names]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a whole zip of pictures: {error}") from error


def _decode(data: bytes, name: str) -> UInt8:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise DataError(f"{name}: expected a JPEG or PNG, and it cannot be decoded")
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8, copy=False)


def see_all(
    teacher: Teacher, pictures: Sequence[UInt8], kind: str, told: Callable[[str], None] | None = None
) -> list[Seen]:
    """The teacher's predictions for each picture; crops are padded first and labelled in their own pixels."""
    result = []
    for number, picture in enumerate(pictures):
        if kind == "crops":
            pad = CROP_PADDING
            seen = teacher.see(np.pad(picture, [(pad, pad), (pad, pad), (0, 0)], "edge"), LOOKS[kind])
            seen = Seen(seen.boxes - pad, seen.landmarks - pad, seen.scores)
        else:
            seen = teacher.see(picture, LOOKS[kind])
        result.append(seen)
        if told and (number + 1) % 500 == 0:
            told(f"{kind}: the teacher has seen {number + 1:,} of {len(pictures):,}")
    return result


def save_seen(path: Path, seen: dict[str, list[Seen]]) -> None:
    """One .npz of the teacher's predictions, so that it is asked once."""
    arrays: dict[str, Any] = {}
    # First, so that a kind without pictures has its shapes too.
    nothing = Seen(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
    for kind, each in seen.items():
        arrays[f"{kind}_counts"] = np.array([len(one) for one in each], np.int64)
        for part in ("boxes", "landmarks", "scores"):
            arrays[f"{kind}_{part}"] = np.concatenate([getattr(one, part) for one in [nothing, *each]])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def load_seen(path: Path) -> dict[str, list[Seen]]:
    """What `save_seen` wrote.

    Raises:
        DataError: the file is damaged, or something else.
    """
    try:
        arrays = read_npz(path)
        kinds = [name.removesuffix("_counts") for name in arrays if name.endswith("_counts")]
        result = {}
        for kind in kinds:
            counts = arrays[f"{kind}_counts"]
            parts = [_split(arrays[f"{kind}_{part}"], counts) for part in ("boxes", "landmarks", "scores")]
            result[kind] = [Seen(*each) for each in zip(*parts, strict=True)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is not a whole file of what the teacher saw ({error}): remove it, and the teacher is asked again"
        ) from error
    return result


def _split(values: npt.NDArray[Any], counts: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    if counts.sum() != len(values):
        raise ValueError(f"{counts.sum()} faces are counted, {len(values)} are there")
    return np.split(values, np.cumsum(counts)[:-1]) if len(counts) else []


def load_material(folder: Path, weights: Path, cache: Path, told: Callable[[str], None] | None = None) -> Material:
    """Read `faces.zip`, `scenes.zip` and, where it is, `fer2013.npz` in `folder` or one in it; ask the teacher.

    Args:
        folder: where the pictures are.
        weights: the teacher's .onnx file.
        cache: a .npz; what the teacher saw is read from it, or written to it.
        told: gets a line of progress now and then.

    Raises:
        DataError: an archive is missing, or a file is damaged.
    """
    pictures = {kind: read_archive(_find_archive(folder, f"{kind}.zip")) for kind in ("faces", "scenes")}
    pictures["crops"] = _read_crops(folder)
    seen = load_seen(cache) if cache.is_file() else {}
    for kind in pictures.keys() - seen.keys():
        seen[kind] = see_all(Teacher(weights), pictures[kind], kind, told)
        save_seen(cache, seen)
    seen["scenes"] = [review_scene(*each) for each in enumerate(seen["scenes"])]
    seen["crops"] = [review_crop(each) for each in seen["crops"]]
    grey = {kind: [to_grey(picture) for picture in each] for kind, each in pictures.items()}
    return Material(grey["faces"], seen["faces"], grey["scenes"], seen["scenes"], grey["crops"], seen["crops"])


def review_scene(number: int, seen: Seen) -> Seen:
    """Which of the teacher's predictions for a scene count: asked about little faces it takes many a dog for one.

    Faces score from 0.8 on, what lies under 0.45 is background, and what lies between becomes doubtful.
    """
    if number < ANIMALS and not (seen.scores >= SURE_BESIDE_ANIMALS).any():
        return seen.above(2.0)
    seen = seen.above(0.45)
    scores = np.where(seen.scores >= 0.8, seen.scores, np.minimum(seen.scores, SURE - 0.01))
    return Seen(seen.boxes, seen.landmarks, scores.astype(np.float32))


def review_crop(seen: Seen) -> Seen:
    """A crop of FER2013 is a face even where the teacher doubts it: profiles and faces in the dark are such crops."""
    if not len(seen):
        return seen
    best = int(seen.scores.argmax())
    height = float(seen.boxes[best, 3] - seen.boxes[best, 1])
    if not DOUBTFUL <= seen.scores[best] < SURE or height < LEAST_CROP_PX:
        return seen
    scores = seen.scores.copy()
    scores[best] = SURE
    return Seen(seen.boxes, seen.landmarks, scores)


def to_grey(picture: UInt8) -> UInt8:
    """Luminance uint8 (H, W) of an RGB picture."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, *sorted(folder.glob(f"*/{name}"))) if path.is_file()), None)


def _find_archive(folder: Path, name: str) -> Path:
    if path := _find(folder, name):
        return path
    raise DataError(f"expected {name} in {folder} or in a folder of it, and there is none")


def _read_crops(folder: Path) -> list[UInt8]:
    """The Training faces of FER2013; those of its tests stay unseen.

    Raises:
        DataError: the file is damaged, or something else.
    """
    path = _find(folder, "fer2013.npz")
    if path is None:
        return []
    try:
        arrays = read_npz(path, ("images", "usage"))
        grey = arrays["images"][arrays["usage"] == 0]
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} is not FER2013 as an npz file: {error}") from error
    return [np.repeat(one[:, :, None], 3, axis=2) for one in grey[:MOST_CROPS]]
