"""Which region of a face an answer rests on: brows, eyes, nose or mouth covered, by the face's own landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, Int64, UInt8
from mien.faces.geometry import GeometryReader
from mien.images.pictures import to_rgb
from mien.structures import Detections
from mien.workshop.evaluation.evaluate import Predict
from mien.workshop.evaluation.saliency import watched

REGIONS: dict[str, tuple[tuple[int, int], ...]] = {
    "brows": ((17, 22), (22, 27)),
    "eyes": ((36, 42), (42, 48)),
    "nose": ((27, 36),),
    "mouth": ((48, 60),),
}
"""Parts of each region: the first of iBUG's points and the one behind the last."""

MARGIN = 0.1
"""How far beyond its points a region reaches, in distances of the eyes' outer corners."""


def find_points(reader: GeometryReader, crops: UInt8) -> Float32:
    """The 68 landmarks, (N, 68, 2) in pixels, of face crops, uint8 (N, H, W) or (N, H, W, 3)."""
    height, width = crops.shape[1:3]
    whole = Detections.from_boxes([[0, 0, width, height]], [1])
    points = [reader.read(to_rgb(crop), whole, whole=True).points[0, :68] for crop in crops]
    return np.stack(points) if points else np.zeros((0, 68, 2), np.float32)


def mark_regions(points: Float32, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Where the regions are in a crop of this size, bool (R, H, W), by its 68 landmarks (68, 2)."""
    reach = max(1, round(MARGIN * float(np.linalg.norm(points[45] - points[36]))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    masks = np.zeros((len(REGIONS), height, width), np.uint8)
    for mask, parts in zip(masks, REGIONS.values(), strict=True):
        for first, last in parts:
            hull = cv2.convexHull(np.clip(np.round(points[first:last]), -1e4, 1e4).astype(np.int32))
            cv2.fillConvexPoly(mask, hull, 1)
        mask[:] = cv2.dilate(mask, kernel)
    return masks > 0


def region_falls(predict: Predict, crops: UInt8, head: str, targets: Int64, points: Float32) -> Float32:
    """How much the probability of a class falls when a region is covered, float32 (N, R) in the order of `REGIONS`.

    What covers it is the crop's own mean grey or colour, as in `occlusion_maps`. Below 0 the region spoke against
    the class.

    Args:
        predict: any model, as `evaluate` takes it.
        crops: uint8 (N, H, W) or (N, H, W, 3).
        head: the head that answers.
        targets: the column of the head's probabilities that is watched for each crop, (N,).
        points: their landmarks, (N, 68, 2).
    """
    falls = np.zeros((len(crops), len(REGIONS)), np.float32)
    if not len(crops):
        return falls
    before = watched(predict, crops, head, targets)
    masks = np.stack([mark_regions(face, *crops.shape[1:3]) for face in points])
    grey = crops.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    for region in range(len(REGIONS)):
        mask = masks[:, region].reshape(*masks[:, region].shape, *[1] * (crops.ndim - 3))
        falls[:, region] = before - watched(predict, np.where(mask, grey, crops), head, targets)
    return falls
