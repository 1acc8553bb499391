from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from torch._subclasses.fake_tensor import FakeTensorMode

from mien.workshop.training.augment import augment, compress, degrade
from mien.workshop.training.config import AugmentConfig

NOTHING = AugmentConfig(degrade=1, dark=0, blur=0, small=0, noise=0, jpeg=0)
EVERYTHING = {"dark": 0.6, "blur": 1.5, "small": 12, "noise": 12, "jpeg": 25}


def faces(count: int = 90, *, side: int = 48, channels: int = 1) -> Any:
    """Bright bars three pixels wide on grey, and a little texture."""
    pictures = 80 + 100 * (torch.arange(side) // 3 % 2).float().expand(count, channels, side, side)
    return pictures + 4 * torch.sin(torch.arange(side * side).view(side, side).float())


def degraded(seed: int = 0, **limits: float) -> Any:
    config = NOTHING.model_copy(update=limits)
    return degrade(faces(), config, torch.Generator().manual_seed(seed))


def change(seed: int = 0, **limits: float) -> Any:
    """Mean change of each face's pixels."""
    return (degraded(seed, **limits) - faces()).abs().mean((1, 2, 3))


def test_off_it_gives_the_very_faces_and_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    before, given = generator.get_state(), faces()
    assert degrade(given, AugmentConfig(**EVERYTHING), generator) is given
    assert torch.equal(generator.get_state(), before)


def test_other_changes_are_the_same_with_it_off_and_without_it() -> None:
    without, off = (
        augment(faces(8), AugmentConfig(**limits), torch.Generator().manual_seed(1)) for limits in ({}, EVERYTHING)
    )
    assert torch.equal(without, off)


def test_limits_of_nothing_change_nothing_but_fractions() -> None:
    assert change().max() <= 0.5


def test_the_configured_share_is_degraded_and_the_others_are_left_alone() -> None:
    touched = (degrade(faces(), AugmentConfig(degrade=0.4), torch.Generator().manual_seed(0)) != faces()).any(3).any(2)
    assert touched.sum() == 36
    assert not touched[:36].all()


@pytest.mark.parametrize("kind", list(EVERYTHING))
def test_each_kind_happens_to_a_third_each_to_its_own_strength(kind: str) -> None:
    found = change(**{kind: EVERYTHING[kind]})
    strong = found > 0.6
    assert 0.15 < strong.float().mean() < 0.5
    assert found[strong].max() > 2 * found[strong].min()


def test_darkness_takes_light_and_no_more_than_it_may() -> None:
    light = degraded(dark=0.6).mean((1, 2, 3)) / faces().mean((1, 2, 3))
    assert light.max() <= 1.001
    assert 0.12 < light.min() < 0.35


def test_blur_and_few_pixels_keep_the_mean_and_lose_the_bars() -> None:
    for limits in ({"blur": 3.0}, {"small": 6}):
        pictures = degraded(**limits)
        torch.testing.assert_close(pictures.mean((1, 2, 3)), faces().mean((1, 2, 3)), atol=4, rtol=0)
        spread = pictures[:, :, 8:-8, 8:-8].std((1, 2, 3))
        assert spread.min() < 15 < 45 < spread.max()


def test_noise_has_the_standard_deviation_of_its_limit_at_most() -> None:
    grain = (degraded(noise=10) - faces()).std((1, 2, 3))
    assert 8 < grain.max() < 10.5


@pytest.mark.parametrize("quality", [10, 30, 60, 95])
def test_compression_is_that_of_opencv(quality: int) -> None:
    pictures = (faces(4) + torch.randint(-20, 20, (4, 1, 48, 48), generator=torch.Generator().manual_seed(0))).round()
    found = compress(pictures, torch.full((4, 1, 1, 1), float(quality)))[:, 0].numpy()
    for ours, picture in zip(found, pictures[:, 0].numpy().astype(np.uint8), strict=True):
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        theirs = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        assert np.abs(ours - theirs).mean() < 0.6 < np.abs(ours - picture).mean()


def test_colour_and_sides_that_are_no_multiple_of_eight() -> None:
    given = faces(12, side=44, channels=3)
    found = degrade(given, AugmentConfig(degrade=1, **EVERYTHING), torch.Generator().manual_seed(0))
    assert found.shape == given.shape
    assert found.min() >= 0
    assert found.max() <= 255
    alike = degrade(given, NOTHING, torch.Generator().manual_seed(0))
    torch.testing.assert_close(alike, given, atol=0.51, rtol=0)


def test_one_generator_decides_everything() -> None:
    assert torch.equal(degraded(1, **EVERYTHING), degraded(1, **EVERYTHING))
    assert not torch.equal(degraded(1, **EVERYTHING), degraded(2, **EVERYTHING))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    degraded(1, **EVERYTHING)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_looks_at_a_value_so_that_an_accelerator_need_not_wait() -> None:
    degraded(**EVERYTHING)  # fills the caches with real matrices
    with FakeTensorMode(allow_non_fake_inputs=True):
        # A fake tensor has no values: to ask for one is an error.
        found = degrade(torch.empty(8, 1, 48, 48), AugmentConfig(degrade=1, **EVERYTHING), torch.Generator())
    assert found.shape == (8, 1, 48, 48)
