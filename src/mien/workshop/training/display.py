"""What a training shows while it runs: a bar of steps, and a line for each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Display(Protocol):
    """What the loop tells as it goes."""

    def begin(self, steps: int, done: int) -> None:
        """There are so many steps in all, some of which an earlier call has done."""

    def step(self) -> None:
        """A step is done."""

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        """An epoch of so many is done and on disk."""


class ConsoleDisplay:
    """A bar and a line an epoch on a console, nothing if it is None. To be used in a `with`."""

    def __init__(self, console: Console | None, name: str) -> None:
        self.progress = None if console is None else _bar(console, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    def begin(self, steps: int, done: int) -> None:
        """Show the bar."""
        if self.progress:
            self.progress.start()
            self.progress.add_task("steps", total=steps, completed=done)

    def step(self) -> None:
        """Move the bar."""
        if self.progress:
            self.progress.advance(self.progress.task_ids[0])

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        """Write the epoch's line."""
        if self.progress:
            self.progress.console.print(epoch_line(row, epochs, best=best), highlight=False, soft_wrap=True)


def _bar(console: Console, name: str) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn(name),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
        transient=True,
    )


def epoch_line(row: dict[str, float], epochs: int, *, best: bool) -> str:
    """What an epoch measured, in a line."""
    accuracies = "  ".join(f"{head} {100 * row[head]:.2f} %" for head in ("fer2013", "crowd") if head in row)
    return (
        f"epoch {row['epoch'] + 1:3.0f}/{epochs}  loss {row['train_loss']:.4f}  validation {row['loss']:.4f}  "
        f"{accuracies}  {row['seconds']:.0f} s{'  best' if best else ''}"
    )
