from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("matplotlib", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.artifact.input import prepare
from mien.errors import DataError
from mien.images import pictures as images
from mien.labels import SEVEN
from mien.workshop.data.figures import save_figure
from mien.workshop.training.config import parse_config
from mien.workshop.training.display import augmented_copies, draw_augmented

NOTHING = dict.fromkeys(["flip", "rotation", "shift", "zoom", "shear", "brightness", "contrast", "erase"], 0)


def copies(seed: int = 0, **values: Any) -> Any:
    config = parse_config({"augment": NOTHING | values})
    faces = prepare(make_dataset(8).images, config.model.spec)
    return faces, augmented_copies(faces, config.augment, copies=3, seed=seed)


def test_without_augmentation_a_copy_is_the_face() -> None:
    faces, found = copies()
    assert found.shape == (3, 8, 1, 48, 48)
    assert all((copy == faces).all() for copy in found)


def test_copies_differ_from_one_another_and_follow_the_seed() -> None:
    faces, found = copies(brightness=0.3)
    assert not any((copy == faces).all() for copy in found)
    assert not (found[0] == found[1]).all()
    assert (found == copies(brightness=0.3)[1]).all()
    assert not (found == copies(brightness=0.3, seed=1)[1]).all()


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_blending_is_seen(kind: str) -> None:
    faces, found = copies(**{kind: 1.0})
    assert not (found == faces).all()


def text(figure: Any) -> list[str]:
    return [part.get_text() for part in figure.texts]


def test_the_sheet_has_every_class_and_tells_what_changes(tmp_path: Path) -> None:
    config = parse_config({"name": "some", "augment": NOTHING | {"rotation": 20}})
    figure = draw_augmented(make_dataset(), config)
    labels = text(figure)[:8]
    assert set(labels) == set(SEVEN)
    assert [SEVEN.index(label) for label in labels] == sorted(SEVEN.index(label) for label in labels)
    assert "some: faces of stripes as training sees them" in text(figure)
    assert "rotation 20°" in text(figure)
    picture = images.read(save_figure(figure, tmp_path / "sheet.png"))
    assert picture.shape[0] > 800
    assert picture.shape[1] > 1000


def test_colour_larger_input_and_few_rows_will_do() -> None:
    data = dataclasses.replace(make_dataset(3), labels=np.array([-1, 4, 4]))
    config = parse_config({"augment": NOTHING, "model": {"size": 112, "channels": 3}})
    assert text(draw_augmented(data, config, copies=2))[:3] == ["no label", "sad", "sad"]
    assert "nothing is changed" in text(draw_augmented(data, config))


def test_without_training_rows_there_is_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no training row"):
        draw_augmented(make_dataset().part("validation"), parse_config({}))
