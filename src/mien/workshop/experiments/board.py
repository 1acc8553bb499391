"""A training's curves for TensorBoard, beside MLflow's journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FOLDER = "tensorboard"


class Board:
    """Event files in `tensorboard` of a run's folder; those of a resumed run begin at its first epoch again.

    Args:
        folder: of the run.
        earlier: the epochs that it has already.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, earlier: Sequence[Mapping[str, float]] = ()) -> None:
        if find_spec("tensorboard") is None:
            raise MissingExtraError("tensorboard", "tensorboard")
        # Here, since it imports slowly. Made with the first epoch, or a run that fails at once would leave a folder.
        from torch.utils.tensorboard.writer import SummaryWriter

        self._create = partial(SummaryWriter, str(folder / FOLDER), purge_step=1)
        self._earlier = earlier
        self._writer: SummaryWriter | None = None

    def send(self, row: Mapping[str, float]) -> None:
        """Write an epoch's figures; epochs count from 1."""
        if self._writer is None:
            # All from the start, for an earlier call may have written none.
            self._writer = self._create()
            for before in self._earlier:
                self._write(self._writer, before)
        self._write(self._writer, row)
        self._writer.flush()

    def _write(self, writer: SummaryWriter, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(f"validation/{name}" if name == "loss" else name, value, int(row["epoch"]) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
