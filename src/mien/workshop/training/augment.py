"""Random changes of whole batches on the device: one affine warp, one interpolation, then light, cameras and erasing.

Written in plain torch rather than with a library because all geometry is composed into a single matrix: the picture
is resampled once instead of once a transform, and every random number comes from one generator that a checkpoint keeps.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from mien.workshop.training.config import AugmentConfig
from mien.workshop.training.degrade import degrade


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
    draws: torch.Tensor = torch._standard_gamma(torch.full((2,), alpha, device=device), generator=generator)
    return draws[0] / draws.sum()


def _mix(targets: dict[str, torch.Tensor], share: torch.Tensor, other: torch.Tensor) -> dict[str, torch.Tensor]:
    return {head: share * rows + (1 - share) * rows[other] for head, rows in targets.items()}


def warp(faces: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Resample (N, C, H, W) by affine matrices (N, 2, 3) from output to input, in units of half the side.

    What lies outside the picture repeats its edge.
    """
    grid = functional.affine_grid(matrices, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _uniform(count: int, low: float, high: float, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, device=device)


def _random_affine(count: int, config: AugmentConfig, generator: torch.Generator, device: torch.device) -> torch.Tensor:
    def draw(reach: float) -> torch.Tensor:
        return _uniform(count, -reach, reach, generator, device)

    angle = draw(math.radians(config.rotation))
    scale = torch.exp(draw(math.log1p(config.zoom)))
    shear = draw(config.shear)
    flip = torch.where(_uniform(count, 0, 1, generator, device) < config.flip, -1.0, 1.0)
    crop = 1 - config.crop * _uniform(count, 0, 1, generator, device)
    side = scale * crop
    cos, sin = torch.cos(angle) * side, torch.sin(angle) * side
    shift_x = 2 * draw(config.shift) + (1 - crop) * draw(1)
    shift_y = 2 * draw(config.shift) + (1 - crop) * draw(1)
    row_x = torch.stack([cos * flip, shear * cos - sin, shift_x], dim=1)
    row_y = torch.stack([sin * flip, shear * sin + cos, shift_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def _change_light(faces: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    count = len(faces)
    contrast = 1 + _uniform(count, -config.contrast, config.contrast, generator, faces.device)
    brightness = 255 * _uniform(count, -config.brightness, config.brightness, generator, faces.device)
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
    y = torch.arange(height, device=device).view(1, -1)
    x = torch.arange(width, device=device).view(1, -1)
    in_y = (y >= top.view(-1, 1)) & (y < (top + tall).view(-1, 1))
    in_x = (x >= left.view(-1, 1)) & (x < (left + wide).view(-1, 1))
    mask = in_y[:, None, :, None] & in_x[:, None, None, :] & chosen.view(-1, 1, 1, 1)
    return torch.where(mask, faces.mean((1, 2, 3), keepdim=True), faces)
