"""What cameras, codecs and hands do to a face."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator


def degrade(picture: UInt8, rng: Rng) -> UInt8:
    """The grey picture (H, W) in other light, blurred, noisy or compressed, by chance."""
    if rng.random() < 0.55:
        picture = relight(picture, rng)
    if rng.random() < 0.25:
        picture = blur(picture, rng)
    if rng.random() < 0.3:
        picture = add_noise(picture, rng)
    if rng.random() < 0.35:
        quality = int(rng.integers(20, 92))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        assert decoded is not None, "what was just encoded decodes"
        picture = decoded.astype(np.uint8, copy=False)
    return picture


def relight(picture: UInt8, rng: Rng) -> UInt8:
    """Brightness, contrast and gamma, as one table."""
    ramp = np.linspace(0, 1, 256)
    dark = rng.random() < 0.35
    gamma = np.exp(rng.normal(0, 0.25)) * (rng.uniform(1.0, 1.7) if dark else 1.0)
    gain = rng.uniform(0.4, 1.0) if dark else rng.uniform(0.75, 1.25)
    shift = rng.uniform(-0.06, 0.08)
    table = (ramp**gamma * gain + shift) * 255
    return cv2.LUT(picture, np.clip(table, 0, 255).astype(np.uint8)).astype(np.uint8, copy=False)


def blur(picture: UInt8, rng: Rng) -> UInt8:
    """Out of focus, in motion, or enlarged from fewer pixels."""
    kind = rng.random()
    if kind < 0.5:
        return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.1))).astype(np.uint8, copy=False)
    if kind < 0.7:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        first, last = rng.integers(0, length, (2, 2)).tolist()
        cv2.line(kernel, first, last, 1.0)
        return cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1)).astype(np.uint8, copy=False)
    height, width = picture.shape[:2]
    share = rng.uniform(0.5, 0.9)
    small = cv2.resize(picture, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


@lru_cache(maxsize=1)
def _grain() -> Float32:
    """Standard normal noise made once: drawing it each time would cost more than all the rest."""
    return np.random.default_rng(0).normal(size=1 << 21).astype(np.float32)


def add_noise(picture: UInt8, rng: Rng) -> UInt8:
    """Grain of the sensor."""
    grain, sigma = _grain(), float(rng.uniform(2, 14))
    count = picture.size
    if count > len(grain):
        return picture
    start = int(rng.integers(0, len(grain) - count + 1))
    noisy = picture + grain[start : start + count].reshape(picture.shape) * sigma
    return np.clip(noisy, 0, 255).astype(np.uint8)


def hide(picture: UInt8, landmarks: Float32, rng: Rng) -> None:
    """Draw glasses, a mask, a hand or a bar over a face, in place."""
    right, left, nose, mouth_right, mouth_left = landmarks
    across = left - right
    width = float(np.linalg.norm(across))
    if not np.isfinite(landmarks).all() or width < 4:
        return
    down = (mouth_right + mouth_left) / 2 - (right + left) / 2
    kind = rng.random()
    colour = int(rng.integers(0, 256))
    if kind < 0.35:
        _draw_glasses(picture, right, left, width, rng)
    elif kind < 0.6:
        chin = nose + down * 0.95
        points = [right - across * 0.25 + down * 0.55, nose + down * 0.05, left + across * 0.25 + down * 0.55]
        points += [chin + across * 0.42, chin - across * 0.42]
        shade = 235 if rng.random() < 0.5 else colour
        cv2.fillPoly(picture, [np.array(points).astype(np.int32)], shade, cv2.LINE_AA)
    elif kind < 0.85:
        middle = np.clip(np.round(nose).astype(int), 0, np.array(picture.shape[::-1]) - 1)
        tone = int(np.clip(picture[middle[1], middle[0]] * rng.uniform(0.8, 1.15), 0, 255))
        start = nose + down * rng.uniform(0.4, 1.4) + across * rng.uniform(-1.0, 1.0)
        for finger in range(int(rng.integers(2, 5))):
            end = nose + across * (rng.uniform(-0.2, 0.2) + 0.25 * (finger - 1.5)) + down * rng.uniform(-0.2, 0.6)
            cv2.line(picture, _at(start), _at(end), tone, max(1, int(width * 0.24)), cv2.LINE_AA)
    else:
        place = landmarks[rng.integers(5)] + across * rng.uniform(-0.5, 0.5)
        end = place + rng.normal(0, 1.2, 2) * width
        cv2.line(picture, _at(place), _at(end), colour, max(1, int(width * rng.uniform(0.2, 0.6))), cv2.LINE_AA)


def shade(picture: UInt8, box: Float32, rng: Rng) -> None:
    """Let a shadow with an edge fall on a face and what is around it, in place: a hat's, a wall's, a window's."""
    size = box[2:] - box[:2]
    x1, y1 = np.maximum(box[:2] - 0.35 * size, 0).astype(int)
    x2, y2 = np.minimum(box[2:] + 0.35 * size, picture.shape[::-1]).astype(int)
    if min(x2 - x1, y2 - y1) < 8:
        return
    y, x = np.mgrid[y1:y2, x1:x2].astype(np.float32)
    middle = (box[:2] + box[2:]) / 2
    # From above as often as from all other sides: hats and lamps.
    angle = -np.pi / 2 + rng.normal(0, 0.3) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
    along = (np.cos(angle) * (x - middle[0]) + np.sin(angle) * (y - middle[1])) / float(size.mean())
    edge, where, depth = rng.uniform(0.01, 0.15), rng.uniform(-0.25, 0.2), rng.uniform(0.4, 0.85)
    factor = 1 - depth / (1 + np.exp(-np.clip((along - where) / edge, -30, 30)))
    picture[y1:y2, x1:x2] = (picture[y1:y2, x1:x2] * factor).astype(np.uint8)


def _draw_glasses(picture: UInt8, right: Float32, left: Float32, width: float, rng: Rng) -> None:
    dark = int(rng.integers(0, 60))
    thickness = -1 if rng.random() < 0.6 else max(1, int(width * 0.06))
    angle = float(np.degrees(np.arctan2(*(left - right)[::-1])))
    axes = (max(1, int(width * rng.uniform(0.3, 0.42))), max(1, int(width * rng.uniform(0.2, 0.32))))
    for eye in (right, left):
        cv2.ellipse(picture, _at(eye), axes, angle, 0, 360, dark, thickness, cv2.LINE_AA)
    cv2.line(picture, _at(right), _at(left), dark, max(1, int(width * 0.06)), cv2.LINE_AA)


def _at(point: Float32) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def draw_body(picture: UInt8, box: Float32, matrix: Float32, texture: UInt8, rng: Rng) -> None:
    """Hair, a neck and shoulders behind a face that is pasted next, in place: the photographs are cut at the face.

    Args:
        picture: grey (H, W).
        box: the face in its source, xyxy.
        matrix: from the source to the picture (2, 3).
        texture: a small picture whose brightness clothes take.
        rng: where chance comes from.
    """
    size, middle = box[2:] - box[:2], (box[:2] + box[2:]) / 2

    def place(points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
        there = (middle + np.array(points, np.float32) * size) @ matrix[:, :2].T + matrix[:, 2]
        return np.round(there).astype(np.int32)

    skin, cloth, hair = (int(v) for v in (rng.integers(60, 220), rng.choice(texture.ravel()), rng.integers(0, 110)))
    neck, slope, wide = rng.uniform(0.28, 0.45), rng.uniform(0.62, 0.85), rng.uniform(0.9, 1.7)
    cv2.fillPoly(picture, [place([(-neck, 0), (neck, 0), (neck, 0.85), (-neck, 0.85)])], skin, cv2.LINE_AA)
    body = [(-neck, slope), (neck, slope), (wide, slope + 0.25), (wide * 1.1, 2.6), (-wide * 1.1, 2.6)]
    cv2.fillPoly(picture, [place([*body, (-wide, slope + 0.25)])], cloth, cv2.LINE_AA)
    kind = rng.random()
    if kind > 0.8:
        return
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    broad, high, low = rng.uniform(0.55, 0.8), rng.uniform(0.6, 0.82), rng.uniform(0.3, 1.1)
    if kind > 0.65:
        # A hat: bright or dark, with a brim.
        hair, broad, low = int(rng.integers(0, 256)), rng.uniform(0.65, 1.0), 0.0
    outline = [(broad * np.cos(a), (high if np.sin(a) < 0 else low) * np.sin(a) - 0.05) for a in angles]
    cv2.fillPoly(picture, [place(outline)], hair, cv2.LINE_AA)
