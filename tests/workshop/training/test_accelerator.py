"""What the loop does for an accelerator, as far as a CPU can tell."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from runs import EPOCHS, assert_same_run, run, small_config
from stripes import make_dataset

from mien.errors import ConfigError
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_header, load_tensors, save_tensors
from mien.workshop.training import augment as augmenting
from mien.workshop.training import fit as module
from mien.workshop.training.config import AugmentConfig
from mien.workshop.training.fit import FitOptions, iter_epochs
from mien.workshop.training.objective import make_batches
from mien.workshop.training.optim import WeightAverage, create_optimizer
from mien.workshop.training.run_folder import BEST, LAST, Saver, load_result
from mien.workshop.training.state import TrainingState


def epochs(folder: Path, **options: Any) -> Any:
    return iter_epochs(small_config(), make_dataset(), folder, device="cpu", options=FitOptions(**options))


def test_states_written_seldom_leave_the_same_run(tmp_path: Path) -> None:
    run(tmp_path / "each")
    for _ in epochs(tmp_path / "seldom", save_every_s=3600):
        pass
    assert_same_run(tmp_path / "each", tmp_path / "seldom")


def test_whoever_stops_asking_finds_the_last_epoch_on_disk(tmp_path: Path) -> None:
    rows = epochs(tmp_path / "parts", save_every_s=3600)
    next(rows)
    assert not (tmp_path / "parts" / LAST).exists()
    next(rows)
    rows.close()
    assert load_header(tmp_path / "parts" / LAST)["epoch"] == 2
    for _ in epochs(tmp_path / "parts", save_every_s=3600):
        pass
    run(tmp_path / "whole")
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_best_epoch_between_two_writes_is_kept(tmp_path: Path) -> None:
    config = small_config()
    network = create_network("shallow_cnn", spec=config.model.spec, **config.model.options)
    average = WeightAverage(network, 0.0)
    optimizer = create_optimizer(network, config.optim)
    identity = {"config": config.model_dump(mode="json")}
    state = TrainingState(network, optimizer, average, torch.Generator(), identity)
    now = [0.0]
    data = {"name": "toy", "sha256": "", "rows": 1}
    saver = Saver(tmp_path, state, config, data, every_s=60, clock=lambda: now[0])

    def epoch(number: int, score: float) -> None:
        with torch.no_grad():
            for values in average.state.values():
                values.fill_(number)
        state.add({"epoch": number, "score": score, "loss": 1.0})
        saver.epoch_done()

    for number, score in enumerate((0.3, 0.6, 0.5)):
        epoch(number, score)
    assert list(tmp_path.iterdir()) == []
    now[0] = 61.0
    epoch(3, 0.4)
    assert (load_header(tmp_path / BEST)["training"]["epoch"], load_header(tmp_path / LAST)["epoch"]) == (1, 4)
    assert {float(value.max()) for value in load_tensors(tmp_path / BEST)[0].values()} == {1.0}
    epoch(4, 0.7)
    epoch(5, 0.1)
    saver.write()
    assert load_header(tmp_path / BEST)["training"]["epoch"] == 4
    assert load_result(tmp_path).best_epoch == 4


def test_a_compiled_run_is_known_by_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    plain = torch.compile

    def compile_eagerly(network: Any, **_: Any) -> Any:
        compiled.append(network)
        return plain(network, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    # Found, and not asked.
    monkeypatch.setenv("CXX", sys.executable)
    rows = epochs(tmp_path, compiled=True)
    next(rows)
    rows.close()
    assert compiled
    assert len(run(tmp_path).history) == EPOCHS


def test_without_a_compiler_the_way_without_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"no-such-compiler, which is not here: .*train without --compile"):
        next(epochs(tmp_path, compiled=True))


def test_several_batches_augmented_at_once_are_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(augment={"mixup": 0, "cutmix": 0})
    monkeypatch.setattr(module, "AUGMENTED_PIXELS", 2 * 16 * 16 * 16 + 5)
    asked: list[int] = []

    def augment(faces: Any, *_: Any) -> Any:
        asked.append(len(faces))
        return faces

    monkeypatch.setattr(module, "augment", augment)
    batches = make_batches(make_dataset(), config, torch.device("cpu"))
    fabric = SimpleNamespace(device=SimpleNamespace(type="cuda"))
    some: Any = module._Run(config, fabric, None, SimpleNamespace(generator=torch.Generator()), batches)  # type: ignore[arg-type]
    order = batches.epoch(torch.Generator().manual_seed(1))
    found = list(some.augmented(order))
    assert len(found) == len(order) == 7
    assert asked == [32, 32, 32, 16]
    for rows, (faces, targets) in zip(order, found, strict=True):
        assert torch.equal(faces, batches.faces[rows].float())
        assert all(torch.equal(targets[head], batches.targets[head][rows]) for head in batches.targets)


def test_an_accelerator_takes_one_of_two_blends_by_itself() -> None:
    first = {"fer2013": torch.ones(2, 7)}, {"fer2013": torch.zeros(2, 7)}
    one, other = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    for coin, faces, targets in ((True, one, first[0]), (False, other, first[1])):
        chosen = augmenting._choose(torch.tensor([coin]), (one, first[0]), (other, first[1]))
        assert torch.equal(chosen[0], faces)
        assert torch.equal(chosen[1]["fer2013"], targets["fer2013"])


def test_a_cpu_draws_for_both_blends_what_it_always_drew() -> None:
    faces, config = torch.rand(4, 1, 8, 8) * 255, AugmentConfig(mixup=0.4, cutmix=1.0)
    seen = set()
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        blended = augmenting.blend(faces, {}, config, generator)[0]
        again = torch.Generator().manual_seed(seed)
        first = torch.rand(1, generator=again).item() < 0.5
        way, alpha = (augmenting.mixup, 0.4) if first else (augmenting.cutmix, 1.0)
        assert torch.equal(blended, way(faces, {}, alpha, again)[0])
        seen.add(first)
    assert seen == {True, False}


def test_the_average_follows_the_network_after_its_state_was_replaced() -> None:
    network = create_network("shallow_cnn", widths=[2], dense=4)
    average = WeightAverage(network, 0.0)
    average.update(network)
    average.state = {key: torch.zeros_like(value) for key, value in average.state.items()}
    average.update(network)
    assert all(torch.equal(average.state[key], value) for key, value in network.state_dict().items())


def test_a_run_taken_up_on_another_kind_of_device_draws_other_numbers(tmp_path: Path) -> None:
    rows = epochs(tmp_path)
    next(rows)
    rows.close()
    tensors, header = load_tensors(tmp_path / LAST)
    config = small_config()
    network = create_network(config.model.arch, spec=config.model.spec, **config.model.options)
    optimizer = create_optimizer(network, config.optim)
    drawn = []
    for state in (tensors["random.generator"], torch.zeros(16, dtype=torch.uint8)):
        save_tensors(tmp_path / LAST, tensors | {"random.generator": state}, header)
        training = TrainingState(network, optimizer, WeightAverage(network, 0.5), torch.Generator(), header["identity"])
        training.load(tmp_path / LAST)
        drawn.append(torch.rand(3, generator=training.generator))
    assert not torch.equal(*drawn)
