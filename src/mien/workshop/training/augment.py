"""Random changes of whole batches on the device: one affine warp, one interpolation, then light, cameras and erasing.

Written in plain torch rather than with a library because all geometry is composed into a single matrix: the picture
is resampled once instead of once a transform, and every random number comes from one generator that a checkpoint keeps.
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


def augment(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Change each face at random.

    Args:
        faces: float (N, C, H, W), values 0–255.
        config: how far.
        generator: on the faces' device; the only source of randomness.

    Returns:
        A new tensor of the same shape, values 0–255.
    """
    faces = warp(faces, _random_affine(len(faces), config, generator, faces.device))
    faces = degrade(_change_light(faces, config, generator), config, generator)
    return _erase(faces, config, generator)


def blend(
    faces: torch.Tensor, targets: dict[str, torch.Tensor], config: AugmentConfig, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Mixup or CutMix, whichever the configuration has; with both, one of them with equal chance."""
    if config.mixup == 0 or config.cutmix == 0:
        way, alpha = (cutmix, config.cutmix) if config.cutmix > 0 else (mixup, config.mixup)
        return way(faces, targets, alpha, generator)
    first = torch.rand(1, generator=generator, device=faces.device) < 0.5
    # On a CPU a look is free, and only one of the two has to be made.
    if faces.device.type == "cpu":
        way, alpha = (mixup, config.mixup) if first.item() else (cutmix, config.cutmix)
        return way(faces, targets, alpha, generator)
    # To look at the coin would wait for an accelerator: there both are made, and it takes one by itself.
    return _choose(
        first, mixup(faces, targets, config.mixup, generator), cutmix(faces, targets, config.cutmix, generator)
    )


def mixup(
    faces: torch.Tensor, targets: dict[str, torch.Tensor], alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Blend every face and its targets with another's (Zhang et al. 2018); the share is Beta(alpha, alpha)."""
    if alpha == 0:
        return faces, targets
    share = _beta(alpha, generator, faces.device)
    other = torch.randperm(len(faces), generator=generator, device=faces.device)
    return share * faces + (1 - share) * faces[other], _mix(targets, share, other)


def cutmix(
    faces: torch.Tensor, targets: dict[str, torch.Tensor], alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Put a rectangle of another face into every face, and mix the targets by its area (Yun et al. 2019).

    The area is 1 - Beta(alpha, alpha) of the picture, less what falls outside; all faces of a batch share it.
    """
    if alpha == 0:
        return faces, targets
    height, width = faces.shape[2:]
    device = faces.device
    half = torch.sqrt(1 - _beta(alpha, generator, device)) / 2
    middle = torch.rand(2, generator=generator, device=device)
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    inside = ((y - middle[0]).abs() < half)[:, None] & ((x - middle[1]).abs() < half)[None, :]
    other = torch.randperm(len(faces), generator=generator, device=device)
    # By the pixels that were pasted: near an edge the rectangle is cut off.
    share = 1 - inside.float().mean()
    return torch.where(inside, faces[other], faces), _mix(targets, share, other)


def _choose(
    first: torch.Tensor,
    one: tuple[torch.Tensor, dict[str, torch.Tensor]],
    other: tuple[torch.Tensor, dict[str, torch.Tensor]],
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """`one` where `first` is true, without a look at it."""
    targets = {head: torch.where(first, rows, other[1][head]) for head, rows in one[1].items()}
    return torch.where(first, one[0], other[0]), targets


def _beta(alpha: float, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """One draw of Beta(alpha, alpha)."""
    # torch.distributions takes no generator: Beta is made of two gammas, X / (X + Y).
    draws: torch.Tensor = torch._standard_gamma(torch.full((2,), alpha, device=device), generator=generator)
    return draws[0] / draws.sum()


def _mix(targets: dict[str, torch.Tensor], share: torch.Tensor, other: torch.Tensor) -> dict[str, torch.Tensor]:
    return {head: share * rows + (1 - share) * rows[other] for head, rows in targets.items()}


def warp(faces: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Resample (N, C, H, W) by affine matrices (N, 2, 3) from output to input, in units of half the side.

    The edge of the picture is repeated outside of it.
    """
    # Without align_corners ±1 are the outer edges, so that shares of the side mean the same at any size.
    # Crops repeat the edge as well; black there cost 2 points on foreign photos (study log, 2026-11-20).
    grid = functional.affine_grid(matrices, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _uniform(count: int, low: float, high: float, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, device=device)


def _random_affine(count: int, config: AugmentConfig, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    def draw(reach: float) -> torch.Tensor:
        return _uniform(count, -reach, reach, generator, device)

    angle = draw(math.radians(config.rotation))
    # Drawn as a logarithm: in and out by the same factor are equally likely.
    scale = torch.exp(draw(math.log1p(config.zoom)))
    shear = draw(config.shear)
    flip = torch.where(_uniform(count, 0, 1, generator, device) < config.flip, -1.0, 1.0)
    crop = 1 - config.crop * _uniform(count, 0, 1, generator, device)
    side = scale * crop
    cos, sin = torch.cos(angle) * side, torch.sin(angle) * side
    # Twice, because the grid is two units wide. What a crop loses is divided at random between its two sides.
    shift_x = 2 * draw(config.shift) + (1 - crop) * draw(1)
    shift_y = 2 * draw(config.shift) + (1 - crop) * draw(1)
    row_x = torch.stack([cos * flip, shear * cos - sin, shift_x], dim=1)
    row_y = torch.stack([sin * flip, shear * sin + cos, shift_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def _change_light(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    count = len(faces)
    contrast = 1 + _uniform(count, -config.contrast, config.contrast, generator, faces.device)
    brightness = 255 * _uniform(count, -config.brightness, config.brightness, generator, faces.device)
    # Contrast is about the picture's own mean, or it would change the brightness as well.
    mean = faces.mean((1, 2, 3), keepdim=True)
    changed = (faces - mean) * contrast.view(-1, 1, 1, 1) + mean + brightness.view(-1, 1, 1, 1)
    return changed.clamp(0, 255)


def _erase(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Fill one random rectangle with the picture's mean (Zhong et al. 2020)."""
    count, _, height, width = faces.shape
    device = faces.device
    area = _uniform(count, *config.erase_area, generator, device)
    ratio = torch.exp(_uniform(count, -1, 1, generator, device) * math.log(3))
    tall = torch.sqrt(area * ratio).clamp(max=1) * height
    wide = torch.sqrt(area / ratio).clamp(max=1) * width
    top = torch.rand(count, generator=generator, device=device) * (height - tall)
    left = torch.rand(count, generator=generator, device=device) * (width - wide)
    chosen = torch.rand(count, generator=generator, device=device) < config.erase
    # A mask rather than slices: places differ by face, and to read them would wait for the device.
    y = torch.arange(height, device=device).view(1, -1)
    x = torch.arange(width, device=device).view(1, -1)
    in_y = (y >= top.view(-1, 1)) & (y < (top + tall).view(-1, 1))
    in_x = (x >= left.view(-1, 1)) & (x < (left + wide).view(-1, 1))
    mask = in_y[:, None, :, None] & in_x[:, None, None, :] & chosen.view(-1, 1, 1, 1)
    return torch.where(mask, faces.mean((1, 2, 3), keepdim=True), faces)


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
    # So many of each batch rather than a coin a face: shapes are then known without waiting for the device.
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
    # Blur and fewer pixels are both linear, so one matrix a face does both, whatever their strengths.
    seen = _both_ways((down[which] @ blurring)[:, None], light)
    # Noise before JPEG, as in a camera, which compresses its noise too.
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
