"""How far the workshop has come: a bar for each stage of some work, and a training's bar with a line an epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from mien.apps.cli.printing import print_line
from mien.labels import AFFECT_HEADS, HEADS

if TYPE_CHECKING:
    from mien.workshop.progress import OnProgress, OnStage
    from mien.workshop.training.display import AskRunning


@contextmanager
def stages(*, lines: bool = False) -> Iterator[OnStage]:
    """A bar for each stage of the work, on a terminal's stderr; elsewhere nothing, or a line a stage with `lines`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:

        def on_stage(name: str) -> OnProgress:
            # One bar at a time: a finished stage's would stay above the next.
            for task in bars.tasks:
                bars.update(task.id, visible=False)
            if lines and not console.is_terminal:
                sys.stderr.write(f"{name}\n")
                sys.stderr.flush()
            # Without a total the bar pulses until the first report.
            task_id = bars.add_task(name, total=None)

            def on_progress(done: int, total: int) -> None:
                bars.update(task_id, completed=done, total=max(total, 1), visible=True)

            return on_progress

        yield on_stage


ASKED_EVERY_S = 0.5
"""A bar asks so often how an epoch stands: to ask at each step would stall an accelerator."""


class TrainingBar:
    """A bar of steps and a line an epoch on stdout, for one training; used in a `with`.

    The bar says epoch, mean loss of its steps so far, learning rate, and the best validation score up to now.
    """

    def __init__(self, name: str = "training") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("left"),
            console=Console(),
            transient=True,
        )
        self._name, self._best, self._asked_s = name, "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, steps: int, done: int) -> None:
        """Show the bar."""
        self._bars.start()
        self._bars.add_task(self._name, total=steps, completed=done)

    def step(self, ask: AskRunning | None = None) -> None:
        """Move the bar, and say now and then how the epoch stands."""
        task = self._bars.task_ids[0]
        self._bars.advance(task)
        if ask is None or time.monotonic() - self._asked_s < ASKED_EVERY_S:
            return
        self._asked_s = time.monotonic()
        now = ask()
        text = f"{now.epoch + 1}/{now.epochs}  loss {now.loss:.3f}  rate {now.rate:.2g}{self._best}"
        self._bars.update(task, description=text)

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        """Print the epoch's line."""
        if best and "score" in row:
            self._best = f"  best {100 * row['score']:.1f} % ({row['epoch'] + 1:.0f})"
        accuracies = "  ".join(f"{head} {100 * row[head]:.2f} %" for head in (*HEADS, "frame", "clip") if head in row)
        accuracies += "".join(f"  {head} CCC {row[head]:.3f}" for head in AFFECT_HEADS if head in row)
        self.note(
            f"epoch {row['epoch'] + 1:3.0f}/{epochs}  loss {row['train_loss']:.4f}  validation {row['loss']:.4f}  "
            f"{accuracies}  {row['seconds']:.0f} s{'  best' if best else ''}"
        )

    def note(self, text: str) -> None:
        """Print a sentence above the bar."""
        # While it is live, the bar has to be moved down; rich must not wrap or colour the sentence.
        if self._bars.live.is_started:
            self._bars.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print_line(text)
