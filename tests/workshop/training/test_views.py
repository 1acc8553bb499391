from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.artifact.input import InputSpec, prepare
from mien.errors import ConfigError, DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.training import fit as fitting
from mien.workshop.training.config import AugmentConfig, parse_config
from mien.workshop.training.distill import digests_of
from mien.workshop.training.fit import fit
from mien.workshop.training.objective import make_batches
from mien.workshop.training.teacher_views import (
    ViewAnswers,
    ViewSpec,
    iter_view,
    join_answers,
    order_digest,
    quantise,
    read_answers,
    view_order,
    write_answers,
)

SPEC = ViewSpec(AugmentConfig(degrade=0.5, mixup=1.0), seed=3, size=48, block=16)
Tensors = tuple[torch.Tensor, dict[str, torch.Tensor]]


def seen(faces: torch.Tensor, view: int, targets: dict[str, torch.Tensor] | None = None, *, start: int = 0) -> Tensors:
    parts = list(iter_view(faces, targets or {}, SPEC, view, start=start))
    return torch.cat([part for part, _ in parts]), {
        head: torch.cat([part[head] for _, part in parts]) for head in targets or {}
    }


def ordered(dataset: FaceDataset) -> torch.Tensor:
    """The faces of train in the order of the views."""
    rows = dataset.part("train")
    return torch.from_numpy(prepare(rows.images, InputSpec()))[torch.from_numpy(view_order(digests_of(rows)))]


def answers(dataset: FaceDataset, views: tuple[int, ...], *, count: int | None = None) -> ViewAnswers:
    """A teacher that says class 3 of every face."""
    rows = dataset.part("train")
    logits = np.zeros((len(views), len(rows), 7), np.float32)
    logits[..., 3] = 6
    counts = (len(rows) if count is None else count,) * len(views)
    return ViewAnswers("fer2013", SPEC, order_digest(digests_of(rows)), views, counts, quantise(logits))


def with_views(settings: dict[str, Any], *paths: Path, **distill: Any) -> Any:
    return parse_config(settings | {"distill": {"views": [str(path) for path in paths], **distill}})


@pytest.fixture
def written(dataset: FaceDataset, tmp_path: Path) -> Path:
    write_answers(tmp_path / "views.npz", answers(dataset, (0, 1)))
    return tmp_path / "views.npz"


def test_a_view_is_made_again_whatever_the_order_of_the_rows(dataset: FaceDataset) -> None:
    rows = dataset.part("train")
    shuffled = np.random.default_rng(0).permutation(len(rows))
    other = dataclasses.replace(
        rows, images=rows.images[shuffled], labels=rows.labels[shuffled], votes=None, ids=rows.ids[shuffled]
    )
    for view in (0, 1):
        first = seen(ordered(dataset), view)[0]
        assert torch.equal(first, seen(ordered(other), view)[0])
        assert torch.equal(first[SPEC.block :], seen(ordered(dataset), view, start=1)[0])
    assert not torch.equal(seen(ordered(dataset), 0)[0], seen(ordered(dataset), 2)[0])


def test_odd_views_mix_pairs_and_their_targets(dataset: FaceDataset) -> None:
    faces = ordered(dataset)
    targets = {"fer2013": torch.eye(7)[torch.arange(len(faces)) % 7]}
    assert torch.equal(seen(faces, 0, targets)[1]["fer2013"], targets["fer2013"])
    mixed = seen(faces, 1, targets)[1]["fer2013"]
    assert torch.allclose(mixed.sum(1), torch.ones(len(faces)))
    assert (mixed.max(1).values < 1).any()


def test_a_file_comes_back_and_logits_within_half_a_step(dataset: FaceDataset, tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(0, 3, (1, len(dataset.part("train")), 7))
    given = dataclasses.replace(answers(dataset, (4,), count=20), steps=quantise(logits), told={"teacher": "me"})
    write_answers(tmp_path / "some.npz", given)
    found = read_answers(tmp_path / "some.npz")
    assert (found.spec, found.views, found.counts, found.told) == (SPEC, (4,), (20,), {"teacher": "me"})
    powers = np.exp(logits[0, :20] / 2)
    assert np.abs(found.probabilities(4, 2.0) - powers / powers.sum(1, keepdims=True)).max() < 0.01


def test_the_student_sees_the_view_that_was_answered(
    written: Path, dataset: FaceDataset, settings: dict[str, Any]
) -> None:
    batches = make_batches(dataset, with_views(settings, written, view_weight=1.0), torch.device("cpu"))
    order = torch.from_numpy(view_order(digests_of(dataset.part("train"))))
    # Of the four epochs the last is of whole faces, as view 0 is.
    for epoch, view in ((0, 1), (1, 0), (2, 1), (3, 0)):
        now = batches.at(epoch)
        assert torch.equal(now.faces[order], seen(ordered(dataset), view)[0])
        assert now.targets["fer2013"].argmax(1).eq(3).all()
        assert torch.allclose(now.targets["fer2013"].sum(1), torch.ones(len(now.faces)))
    assert torch.equal(batches.at(3).targets["crowd"], batches.targets["crowd"])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_view_is_shown_as_it_was_answered_or_mirrored(
    written: Path, dataset: FaceDataset, settings: dict[str, Any], flip: float
) -> None:
    config = with_views(settings | {"augment": {"flip": flip, "rotation": 90, "mixup": 1.0}}, written)
    batches = make_batches(dataset, config, torch.device("cpu")).at(3)
    state: Any = SimpleNamespace(generator=torch.Generator())
    run = fitting._Run(config, SimpleNamespace(device=torch.device("cpu")), None, state, batches)  # type: ignore[arg-type]
    rows = torch.arange(4)
    shown, _ = next(run.augmented([rows]))
    meant = batches.faces[rows].float()
    assert torch.allclose(shown, meant.flip(-1) if flip else meant, atol=0.5)


def test_faces_that_were_not_answered_keep_their_target(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    write_answers(tmp_path / "some.npz", answers(dataset, (0,), count=10))
    batches = make_batches(dataset, with_views(settings, tmp_path / "some.npz"), torch.device("cpu"))
    order = torch.from_numpy(view_order(digests_of(dataset.part("train"))))
    now, before = batches.at(0).targets["fer2013"][order], batches.targets["fer2013"][order]
    assert torch.equal(now[10:], before[10:])
    assert not torch.equal(now[:10], before[:10])


def test_training_on_views_goes_on_where_it_stopped(
    written: Path, dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = with_views(settings, written)
    whole = fit(config, dataset, tmp_path / "whole")
    fit(config, dataset, tmp_path / "halves", stop_after=1)
    halves = fit(config, dataset, tmp_path / "halves")
    losses = [[row["train_loss"] for row in result.history] for result in (whole, halves)]
    assert losses[0] == losses[1]
    write_answers(written, answers(dataset, (0,)))
    with pytest.raises(ConfigError, match="belongs to another run"):
        fit(config, dataset, tmp_path / "halves")


def test_answers_to_other_pictures_are_refused(
    written: Path, dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    images = dataset.images.copy()
    images[0, 0, 0] ^= 1
    with pytest.raises(DataError, match=r"given to views of .* other pictures"):
        make_batches(dataclasses.replace(dataset, images=images), with_views(settings, written), torch.device("cpu"))
    with pytest.raises(DataError, match="the same view came twice: 0, 1"):
        join_answers([answers(dataset, (0, 1))] * 2)
    whole = written.read_bytes()
    for damaged in (b"hello", b"", whole[: len(whole) // 2], whole[:-30]):
        (tmp_path / "none.npz").write_bytes(damaged)
        with pytest.raises(DataError, match="not a whole file of a teacher's answers"):
            read_answers(tmp_path / "none.npz")
    with pytest.raises(ConfigError, match="no such file"):
        read_answers(tmp_path / "nowhere.npz")
