"""What stops a training: a loss that is no longer a number, and a memory that is too small."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from mien.errors import TrainingError
from mien.workshop.networks.checkpoint import write_run_file
from mien.workshop.training.run_folder import LAST, NOT_FINITE

SHOWN_ROWS = 10
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
)
"""Messages of the CPU's allocators, which have no exception of their own."""


def first_not_finite(sums: Sequence[float]) -> int | None:
    """Which of the running sums is the first that is no number, None if all are.

    >>> first_not_finite([0.5, 1.0, float("nan"), float("nan")])
    2
    """
    return next((number for number, value in enumerate(sums) if not math.isfinite(value)), None)


def not_finite(
    sums: Sequence[float],
    step: int,
    *,
    epoch: int,
    rows: Sequence[int],
    ids: Sequence[str],
    folder: Path,
    write: bool,
    saved: int | None = None,
) -> TrainingError:
    """The error for a loss that is no number, whose message names the batch; not-finite.json gets all of it.

    Args:
        sums: of the loss, after each step of the epoch.
        step: which of them is the first that is no number; their count if only the weights of the last step are not.
        epoch: counted from 0.
        rows: of the batch, as numbers of rows of the train split.
        ids: the same, as the data set calls them.
        folder: of the run.
        write: whether this process writes the file.
        saved: epochs that the saved state has; all before this one if None.
    """
    saved = epoch if saved is None else saved
    last, path = min(step, len(sums) - 1), folder / NOT_FINITE
    if write:
        # The loss as text: JSON has no NaN.
        found = {"epoch": epoch + 1, "step": last + 1, "loss": str(sums[last]), "rows": list(rows), "ids": list(ids)}
        write_run_file(path, json.dumps(found, indent=1).encode())
    what = f"loss became {sums[last]} at" if step < len(sums) else "weights were no longer numbers after"
    more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
    return TrainingError(
        f"the {what} step {last + 1} of {len(sums)} of epoch {epoch + 1}, on the training rows "
        f"{', '.join(map(str, rows[:SHOWN_ROWS]))}{more} (listed in {path}): try a lower optim.lr or optim.clip = 1; "
        + (f"the state before epoch {saved + 1} is in {folder / LAST}" if saved else "no epoch was finished before")
    )


@contextlib.contextmanager
def memory_advice(batch_size: int, try_batch: Callable[[int], object], *, processes: int = 1) -> Iterator[None]:
    """Turn an out-of-memory error into advice: `try_batch` takes a step with so many rows, to see what does fit.

    The weights are lost after that. With several processes each has its share of a batch.

    Raises:
        TrainingError: the memory was too small.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        # The frames that failed still hold the batch that did not fit.
        traceback.clear_frames(error.__traceback__)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    # Outside of `except`: while an error is handled, its frames keep their tensors.
    fits = _largest_that_fits(-(-batch_size // processes), try_batch) * processes
    advice = (
        f"{fits} fits, measured by a step of that size" if fits else "not even 2 fit: take a smaller network or input"
    )
    raise TrainingError(f"the memory is too small for fit.batch_size = {batch_size}: {advice} ({reason})")


def _largest_that_fits(below: int, try_batch: Callable[[int], object]) -> int:
    # The largest power of two below the size that failed.
    size = 1 << (max(2, below) - 1).bit_length() - 1
    while size >= 2:
        _free()
        try:
            try_batch(size)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        else:
            return size
        size //= 2
    return 0


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(sign in str(error) for sign in OUT_OF_MEMORY)
