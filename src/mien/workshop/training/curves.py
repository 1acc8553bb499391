"""Learning curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path

from mien.errors import MissingExtraError
from mien.files import replacing
from mien.workshop.training.state import History

HEAD_COLOURS = {"fer2013": "#c2571a", "crowd": "#1f6f8b"}


def draw_curves(history: History, path: Path, *, title: str = "", best_epoch: int | None = None) -> Path:
    """Draw loss and validation accuracy by epoch as a PNG, with the epoch that was kept.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    epochs = [row["epoch"] + 1 for row in history]
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], color="#777777", label="train (augmented)")
    loss.plot(epochs, [row["loss"] for row in history], color="#222222", label="validation")
    loss.set_ylabel("loss, sum over heads (nats)")
    for head, colour in HEAD_COLOURS.items():
        if head in history[0]:
            values = [100 * row[head] for row in history]
            accuracy.plot(epochs, values, color=colour, label=f"{head}: {max(values):.1f} at best")
    accuracy.set_ylabel("validation accuracy (%)")
    for axes in (loss, accuracy):
        if best_epoch is not None and best_epoch >= 0:
            axes.axvline(best_epoch + 1, color="#999999", linewidth=1, linestyle=":")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.suptitle(title or "Learning curves", fontsize=12)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path
