"""What cameras and films do to faces, on whole batches: little light, blur, few pixels, noise and JPEG, in this order.

All of it is matrices. Blur and the change of size act on rows and columns alike, so that each face has one matrix from
its pixels to those of a sensor, where noise and JPEG happen at the size of the small face, and one that enlarges it
again. Each face has its own strengths, and nothing waits for the device.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch.nn import functional

from mien.workshop.training.config import AugmentConfig

FER_SIDE = 48
"""Blur is given in pixels of a FER2013 face, so that it looks the same whatever the network's input."""

_CHANCE = 1 / 3
_BLOCK = 8
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def degrade(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Degrade the configured share of the faces, chosen at random; with a share of 0 nothing is drawn.

    A chosen face has each kind with a chance of one third, from nothing up to the configuration's limit.

    Args:
        faces: float (N, C, S, S), values 0–255.
        config: the share and the limits.
        generator: on the faces' device; the only source of randomness.

    Returns:
        Values 0–255 of the same shape.
    """
    count = round(config.degrade * len(faces))
    if not count:
        return faces
    rows = torch.randperm(len(faces), generator=generator, device=faces.device)[:count]
    return faces.index_copy(0, rows, _photograph(faces[rows], config, generator))


def _photograph(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    count, side, device = len(faces), faces.shape[-1], faces.device
    amount = torch.rand((5, count), generator=generator, device=device)
    chosen = torch.rand((5, count), generator=generator, device=device) < _CHANCE
    dark, blur, few, noise, jpeg = (amount * chosen).view(5, count, 1, 1, 1).unbind()
    light = 255 * (1 - config.dark * dark) * (faces / 255) ** (1 + config.dark * dark)
    down, up = _sensors(side, config.small or side, device)
    # The last sensor has all pixels.
    which = ((few + ~chosen[2].view_as(few)).clamp(max=1) * (len(down) - 1)).long().flatten()
    blurring = _gaussian(side, config.blur * side / FER_SIDE * blur.view(-1, 1, 1))
    seen = _both_ways((down[which] @ blurring)[:, None], light)
    grain = torch.randn(seen.shape, generator=generator, device=device)
    seen = (seen + config.noise * noise * grain).round().clamp(0, 255)
    if config.jpeg:
        seen = compress(seen, 100 - (100 - config.jpeg) * jpeg)
    return _both_ways(up[which][:, None], seen).clamp(0, 255)


def compress(faces: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What JPEG leaves of pictures, each channel by the table of luminance (ITU T.81, K.1), scaled as libjpeg does.

    Args:
        faces: (N, C, S, S), values 0–255, S a multiple of 8.
        quality: 1–100, shape (N, 1, 1, 1).

    Returns:
        Whole values 0–255.
    """
    blocks = faces.shape[-1] // _BLOCK
    transform, table = _dct(blocks, faces.device)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    steps = ((table * scale + 50) / 100).floor().clamp(1, 255)
    kept = (_both_ways(transform, faces - 128) / steps).round() * steps
    return (_both_ways(transform.T, kept) + 128).round().clamp(0, 255)


def _both_ways(matrix: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """The matrix on the columns of each picture and on its rows."""
    return matrix @ faces @ matrix.transpose(-1, -2)


def _gaussian(side: int, sigma: torch.Tensor) -> torch.Tensor:
    """Matrices (N, side, side) that blur by sigma (N, 1, 1) in pixels; at the edge the weights that are left count."""
    at = torch.arange(side, device=sigma.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((at - at[:, None]) / sigma.clamp(min=0.05)) ** 2)
    return weights / weights.sum(2, keepdim=True)


@lru_cache(maxsize=8)
def _sensors(side: int, smallest: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices from a face's pixels to those of each sensor (M, P, side), and back to the face (M, side, P).

    The sensors see a face in `smallest` to three quarters of its pixels, the last one in all of them. P is the side
    filled up to whole blocks of JPEG, by repeating the edge.
    """
    full = math.ceil(side / _BLOCK) * _BLOCK
    sizes = [*range(smallest, side * 3 // 4 + 1), side]
    unit = torch.eye(side)[None]
    down, up = [], []
    for size in sizes:
        seen = _resample(unit, size)
        down.append(torch.cat([seen, seen[:, -1:].expand(-1, full - size, -1)], dim=1))
        back = _resample(torch.eye(size)[None], side)
        up.append(functional.pad(back, (0, full - size)))
    return torch.cat(down).to(device), torch.cat(up).to(device)


def _resample(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of (1, H, W) brought to another number: by area where it falls, linearly where it rises."""
    sized = functional.interpolate(matrix[None], size=(size, matrix.shape[2]), mode="bilinear", antialias=True)
    return sized[0]


@lru_cache(maxsize=8)
def _dct(blocks: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The cosine transform of every block of a side at once, and the quantisation steps of quality 50 for all."""
    wave = torch.arange(_BLOCK)[:, None]
    matrix = torch.cos(math.pi * (2 * torch.arange(_BLOCK) + 1) * wave / (2 * _BLOCK)) / 2
    matrix[0] /= math.sqrt(2)
    table = torch.tensor(_LUMINANCE, dtype=torch.float32).repeat(blocks, blocks)
    return torch.kron(torch.eye(blocks), matrix).to(device), table.to(device)
