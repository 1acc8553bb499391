"""Teachers are asked once; their predictions become a part of the students' targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ConfigError, DataError
from mien.labels import HEADS
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.config import parse_config
from mien.workshop.training.distill import (
    TeacherPredictions,
    ask_teachers,
    digests_of,
    mix_predictions,
    read_predictions,
    write_predictions,
)
from mien.workshop.training.fit import fit
from mien.workshop.training.objective import make_batches, make_targets


@pytest.fixture(scope="module")
def teacher(toy_artifact: Path) -> Model:
    return load_model(toy_artifact)


@pytest.fixture
def written(teacher: Model, dataset: FaceDataset, tmp_path: Path) -> Path:
    path = tmp_path / "teacher.npz"
    write_predictions(path, ask_teachers([teacher], dataset, views=3))
    return path


def with_teachers(settings: dict[str, Any], *paths: Path, weight: float = 0.5) -> Any:
    return parse_config(settings | {"distill": {"teachers": [str(path) for path in paths], "weight": weight}})


def test_two_views_are_the_face_and_its_mirror_image(teacher: Model, dataset: FaceDataset) -> None:
    rows = dataset.part("train")
    predictions = ask_teachers([teacher], dataset, views=2)
    mirrored = np.ascontiguousarray(rows.images[:, :, ::-1])
    wanted = (teacher.predict(rows.images, "crowd") + teacher.predict(mirrored, "crowd")) / 2
    found, known = predictions.find("crowd", digests_of(rows))
    assert known.all()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_several_teachers_are_averaged(teacher: Model, dataset: FaceDataset) -> None:
    one = ask_teachers([teacher], dataset, views=1)
    two = ask_teachers([teacher, teacher], dataset, views=1)
    np.testing.assert_allclose(two.heads["fer2013"], one.heads["fer2013"], atol=1e-6)
    assert [told["name"] for told in two.about["teachers"]] == ["toy", "toy"]


def test_augmented_views_depend_on_the_seed_alone(teacher: Model, dataset: FaceDataset) -> None:
    first, again, other = (ask_teachers([teacher], dataset, views=4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.heads["crowd"], again.heads["crowd"])
    assert not np.array_equal(first.heads["crowd"], other.heads["crowd"])


def test_a_file_comes_back_in_half_precision(written: Path, teacher: Model, dataset: FaceDataset) -> None:
    predictions, found = ask_teachers([teacher], dataset, views=3), read_predictions(written)
    assert np.array_equal(found.digests, predictions.digests)
    np.testing.assert_allclose(found.heads["crowd"], predictions.heads["crowd"], atol=1e-3)
    assert found.about["views"] == 3


def test_targets_are_mixed(written: Path, dataset: FaceDataset, settings: dict[str, Any]) -> None:
    config = with_teachers(settings, written, weight=0.25)
    rows = dataset.part("train")
    targets = make_targets(rows, config)
    said, _ = read_predictions(written).find("fer2013", digests_of(rows))
    wanted = 0.75 * targets["fer2013"] + 0.25 * torch.from_numpy(said)
    batches = make_batches(dataset, config, torch.device("cpu"))
    assert torch.allclose(batches.targets["fer2013"], wanted)
    assert torch.allclose(batches.targets["fer2013"].sum(dim=1), torch.ones(len(rows)), atol=1e-3)


def test_rows_without_a_target_are_taught_and_unknown_rows_keep_theirs(
    dataset: FaceDataset, settings: dict[str, Any]
) -> None:
    rows = dataset.part("train")[:4]
    digests = digests_of(rows)
    order = np.argsort(digests[:2])
    certain = np.zeros((2, 8), np.float32)
    certain[:, 3] = 1
    predictions = TeacherPredictions(digests[:2][order], {"crowd": certain})
    targets = {"crowd": torch.full((4, 8), 1 / 8)}
    targets["crowd"][1] = 0
    mixed = mix_predictions(targets, [predictions], rows, 0.5)["crowd"]
    assert torch.allclose(mixed[0], torch.tensor([1 / 16] * 3 + [9 / 16] + [1 / 16] * 4))
    assert torch.allclose(mixed[1], torch.tensor([0, 0, 0, 0.5, 0, 0, 0, 0]))
    assert torch.equal(mixed[2:], targets["crowd"][2:])


def test_teachers_of_other_pictures_are_refused(dataset: FaceDataset) -> None:
    rows = dataset.part("train")
    predictions = TeacherPredictions(np.array([1, 2], np.uint64), {"crowd": np.full((2, 8), 1 / 8, np.float32)})
    with pytest.raises(DataError, match="none of its training pictures"):
        mix_predictions({"crowd": torch.full((len(rows), 8), 1 / 8)}, [predictions], rows, 0.5)


def test_a_run_does_not_go_on_with_other_teachers(
    written: Path, teacher: Model, dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = with_teachers(settings, written)
    fit(config, dataset, tmp_path / "run", device="cpu", stop_after=1)
    write_predictions(written, ask_teachers([teacher], dataset, views=1))
    with pytest.raises(ConfigError, match=r"belongs to another run .*teachers was"):
        fit(config, dataset, tmp_path / "run", device="cpu", stop_after=1)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, ConfigError, "no such file: expected teacher predictions"),
        (b"hello", DataError, "not a complete file of teacher predictions"),
    ],
)
def test_files_that_are_none_are_named(
    tmp_path: Path, content: bytes | None, error: type[Exception], message: str
) -> None:
    path = tmp_path / "teacher.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_predictions(path)


def test_a_file_of_pickles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "teacher.npz"
    np.savez(path, digests=np.array([{}], object), header=np.array("{}"))
    with pytest.raises(DataError, match="not a complete file"):
        read_predictions(path)


def test_nobody_to_ask_or_about_is_an_error(teacher: Model, dataset: FaceDataset) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        ask_teachers([], dataset)
    with pytest.raises(DataError, match="no row of train"):
        ask_teachers([teacher], dataset.part("validation"))


def test_all_heads_are_asked(teacher: Model, dataset: FaceDataset) -> None:
    assert set(ask_teachers([teacher], dataset, views=1).heads) == set(HEADS)
