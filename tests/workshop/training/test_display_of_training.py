"""What a training shows while it runs: how an epoch stands, curves that are drawn anew, TensorBoard's files."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
from rich.console import Console
from runs import EPOCHS, STEPS, run, small_config
from stripes import make_dataset

from mien.apps.cli.bars import TrainingBar
from mien.errors import MissingExtraError
from mien.workshop.training.display import AskRunning, Running, SilentDisplay
from mien.workshop.training.fit import _Sending
from mien.workshop.training.train import TrainOptions, train


class Asking(SilentDisplay):
    """Asks at every step."""

    def __init__(self) -> None:
        self.heard: list[Running] = []

    def step(self, ask: AskRunning | None = None) -> None:
        assert ask is not None
        self.heard.append(ask())


def test_each_step_says_epoch_loss_and_rate(tmp_path: Path) -> None:
    display = Asking()
    result = run(tmp_path / "run", display=display)
    assert len(display.heard) == EPOCHS * STEPS
    for row in result.history:
        last = [one for one in display.heard if one.epoch == row["epoch"]][-1]
        assert (last.epochs, last.rate) == (EPOCHS, row["lr"])
        assert last.loss == pytest.approx(row["train_loss"], rel=1e-5)


def test_another_process_sends_now_and_then_how_the_epoch_stands() -> None:
    sent: list[tuple] = []
    sending = _Sending(sent.append)
    sending.step(lambda: Running(0, 2, 1.5, 0.1))
    sending.step(lambda: pytest.fail("asked at once again"))
    (_, ask), (_, nothing) = pickle.loads(pickle.dumps(sent))
    assert ask() == Running(0, 2, 1.5, 0.1)
    assert nothing is None


def test_the_bar_says_epoch_loss_rate_and_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.apps.cli.bars.ASKED_EVERY_S", 0.0)
    screen = io.StringIO()
    with TrainingBar() as bar:
        bar._bars.live.console = Console(file=screen, force_terminal=True, width=80)
        bar.begin(20, 0)
        bar.step(lambda: Running(0, 10, 1.234, 0.01))
        bar._bars.refresh()
        bar.epoch(
            {"epoch": 0, "train_loss": 1.2, "loss": 1.1, "seconds": 3, "score": 0.612, "fer2013": 0.612}, 10, True
        )
        bar.step(lambda: Running(1, 10, 0.987, 0.02))
        bar._bars.refresh()
    shown = screen.getvalue()
    assert "1/10  loss 1.234  rate 0.01" in shown
    assert "2/10  loss 0.987  rate 0.02  best 61.2 % (1)" in shown


def test_curves_are_there_after_the_first_epoch_and_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    drawn: list[int] = []
    module = "mien.workshop.training.train"
    monkeypatch.setattr(f"{module}.draw_curves", lambda history, *_, **__: drawn.append(len(history)))
    train(small_config(), make_dataset(), tmp_path / "run", TrainOptions("cpu", stop_after=2))
    train(small_config(), make_dataset(), tmp_path / "run", TrainOptions("cpu"))
    # Drawing costs nothing here, so it is done after each epoch; and at the end of each call.
    assert drawn == [1, 2, 2, 3, 4, 4]


def test_tensorboard_has_every_epoch_once_also_of_a_resumed_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "run"
    train(small_config(), make_dataset(), folder, TrainOptions("cpu", stop_after=1, tensorboard=False))
    train(small_config(), make_dataset(), folder, TrainOptions("cpu", stop_after=1, tensorboard=True))
    trained = train(small_config(), make_dataset(), folder, TrainOptions("cpu", tensorboard=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    scalars = found.Scalars("train_loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    losses = [row["train_loss"] for row in trained.result.history]
    assert [event.value for event in scalars] == pytest.approx(losses, rel=1e-5)
    assert {"lr", "validation/loss", "score"} <= set(found.Tags()["scalars"])


def test_without_tensorboard_it_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.workshop.experiments.board.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"mien\[tensorboard\]"):
        train(small_config(), make_dataset(), tmp_path / "run", TrainOptions("cpu", tensorboard=True))
    assert not (tmp_path / "run").exists()
