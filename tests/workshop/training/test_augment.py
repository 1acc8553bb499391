from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.workshop.training.augment import augment, blend, cutmix, mixup
from mien.workshop.training.config import AugmentConfig

NOTHING = AugmentConfig(
    flip=0, rotation=0, shift=0, zoom=0, shear=0, crop=0, brightness=0, contrast=0, erase=0, mixup=0
)


def faces(count: int = 64) -> Any:
    """A bright square left of the middle, on grey."""
    pictures = torch.full((count, 1, 48, 48), 100.0)
    pictures[:, :, 20:28, 8:20] = 200.0
    return pictures


def changed(seed: int = 0, **values: Any) -> Any:
    return augment(faces(), NOTHING.model_copy(update=values), torch.Generator().manual_seed(seed))


def centre(pictures: Any) -> Any:
    """Middle of the bright square, (N, 2) as y, x."""
    mask = (pictures[:, 0] > 150).float()
    axis = torch.arange(48.0)
    mass = mask.sum((1, 2)).clamp(min=1)
    return torch.stack([(mask.sum(2) * axis).sum(1) / mass, (mask.sum(1) * axis).sum(1) / mass], dim=1)


def test_all_zero_changes_nothing() -> None:
    torch.testing.assert_close(changed(), faces(), atol=1e-3, rtol=0)


def test_always_flipped_is_the_mirror_image() -> None:
    torch.testing.assert_close(changed(flip=1.0), faces().flip(3), atol=1e-3, rtol=0)


def test_flip_happens_to_its_share() -> None:
    flipped = (centre(changed(flip=0.5))[:, 1] > 24).float().mean()
    assert 0.3 < flipped < 0.7


def test_shift_moves_both_ways_within_its_reach() -> None:
    moved = centre(changed(shift=0.125)) - centre(faces())
    assert moved.abs().max() <= 0.125 * 48 + 0.6
    assert moved.min() < -3
    assert moved.max() > 3


def test_zoom_changes_the_size() -> None:
    area = (changed(zoom=0.3)[:, 0] > 150).sum((1, 2)) / (8 * 12)
    assert area.min() < 0.8
    assert area.max() > 1.25
    assert area.max() < 1.3**2 * 1.15


def test_crop_enlarges_and_never_shrinks() -> None:
    area = (changed(crop=0.2)[:, 0] > 150).sum((1, 2)) / (8 * 12)
    assert area.min() > 0.9
    assert area.max() > 1.2


def test_rotation_turns_about_the_middle() -> None:
    offset = centre(changed(rotation=90)) - 23.5
    before = centre(faces()) - 23.5
    torch.testing.assert_close(offset.norm(dim=1), before.norm(dim=1), atol=0.6, rtol=0)
    assert offset[:, 0].min() < -5
    assert offset[:, 0].max() > 5


def test_light_stays_in_range_and_moves_the_mean() -> None:
    pictures = changed(brightness=0.3, contrast=0.5)
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    assert pictures.mean((1, 2, 3)).std() > 10


def test_erasing_fills_a_rectangle_of_the_stated_area() -> None:
    share = (changed(erase=1.0, erase_area=(0.1, 0.1)) != faces()).float().mean((1, 2, 3))
    assert share.max() < 0.14
    assert share.median() > 0.05


def test_one_generator_decides_everything() -> None:
    policy = {"flip": 0.5, "rotation": 20, "shift": 0.1, "zoom": 0.2, "contrast": 0.3, "erase": 0.5}
    assert torch.equal(changed(1, **policy), changed(1, **policy))
    assert not torch.equal(changed(1, **policy), changed(2, **policy))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    changed(1, **policy)
    assert torch.equal(torch.get_rng_state(), state)


def test_mixup_blends_faces_and_targets_alike() -> None:
    pictures = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 4, 4)
    targets = {"fer2013": torch.eye(8)}
    mixed, blended = mixup(pictures, targets, 0.8, torch.Generator().manual_seed(3))
    torch.testing.assert_close(blended["fer2013"].sum(1), torch.ones(8))
    torch.testing.assert_close(mixed[:, 0, 0, 0], blended["fer2013"] @ torch.arange(8.0))
    same, _ = mixup(pictures, targets, 0.0, torch.Generator())
    assert same is pictures


def levels(count: int = 8, side: int = 10) -> tuple[Any, dict[str, Any]]:
    """Pictures of one value each, which is their class."""
    pictures = torch.arange(float(count)).view(count, 1, 1, 1).expand(count, 1, side, side)
    return pictures, {"fer2013": torch.eye(count)}


def test_cutmix_pastes_one_rectangle_and_mixes_targets_by_its_area() -> None:
    pictures, targets = levels()
    shares = []
    for seed in range(20):
        cut, blended = cutmix(pictures, targets, 1.0, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(blended["fer2013"].sum(1), torch.ones(8))
        torch.testing.assert_close(cut.mean((1, 2, 3)), blended["fer2013"] @ torch.arange(8.0))
        pasted = (cut != pictures)[:, 0]
        for mask in pasted[pasted.any(2).any(1)]:
            assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()
        shares.append(pasted.float().mean((1, 2)).max().item())
    assert min(shares) < 0.2
    assert max(shares) > 0.5
    same, _ = cutmix(pictures, targets, 0.0, torch.Generator())
    assert same is pictures


def test_blend_takes_what_is_configured_and_either_if_both_are() -> None:
    pictures, targets = levels()

    def kind(seed: int, **values: float) -> str:
        config = NOTHING.model_copy(update=values)
        found, _ = blend(pictures, targets, config, torch.Generator().manual_seed(seed))
        if found is pictures:
            return "none"
        return "cutmix" if set(found.unique().tolist()) <= set(range(8)) else "mixup"

    assert {kind(seed) for seed in range(9)} == {"none"}
    assert {kind(seed, mixup=1.0) for seed in range(9)} == {"mixup"}
    assert {kind(seed, cutmix=1.0) for seed in range(9)} == {"cutmix"}
    assert 20 < [kind(seed, mixup=1.0, cutmix=1.0) for seed in range(80)].count("mixup") < 60


def test_mixup_alone_draws_what_it_drew_before_cutmix() -> None:
    pictures, targets = levels()
    blended, _ = blend(pictures, targets, NOTHING.model_copy(update={"mixup": 0.4}), torch.Generator().manual_seed(5))
    assert torch.equal(blended, mixup(pictures, targets, 0.4, torch.Generator().manual_seed(5))[0])
