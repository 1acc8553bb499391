"""A run's folder: who may write to it, what is written in which order, and how a kill between two writes is mended.

`last.safetensors` is the run; it is written first. `best.safetensors` and `history.json` follow from it, so after a
kill they are at most one epoch behind, and `mend` rebuilds them from the state. Where not every epoch is
written and the best one is older than the state, its network is written before.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import torch

from mien.errors import ArtifactError, ConfigError, OutputError
from mien.files import try_lock
from mien.workshop.networks.checkpoint import load_header, save_tensors, write_run_file
from mien.workshop.training.state import History, TrainingState, best_epoch

LAST, BEST, HISTORY, NOT_FINITE = "last.safetensors", "best.safetensors", "history.json", "not-finite.json"
LOCK = "training.lock"
CURVES = "curves.png"


class Described(Protocol):
    """A configuration that says what its checkpoints hold."""

    def header(self) -> dict[str, Any]:
        """What is needed to build the network, beside its weights."""


class RunHeldError(ConfigError):
    """Another process trains in a run's folder."""


@dataclass(frozen=True)
class FitResult:
    """Where the run is, what it measured in each epoch, and which epoch was kept."""

    folder: Path
    history: History
    best_epoch: int

    @property
    def checkpoint(self) -> Path:
        """The network of the best epoch."""
        return self.folder / BEST


def load_result(folder: Path) -> FitResult:
    """What a run has measured so far.

    Raises:
        ArtifactError: the folder holds no history of a run.
    """
    saved = load_history(folder)
    if saved is None:
        raise ArtifactError(f"{folder} is not the folder of a run: it has no {HISTORY}")
    history = saved[1]
    return FitResult(folder, history, best_epoch(history))


def load_history(folder: Path) -> tuple[dict[str, Any], History] | None:
    """A run's identity (its configuration and the data's fingerprint) and its epochs; None if it has none yet.

    Raises:
        ArtifactError: the history is damaged.
    """
    path = folder / HISTORY
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return dict(saved["identity"]), list(saved["history"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not the history of a run ({error}): remove the folder to train again") from error


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make the folder if it is not there, and let no other process train in it meanwhile.

    A folder that was made here and is empty in the end is removed: a start that failed leaves nothing behind. The lock
    is the kernel's and ends with the process, however that ends. What a killed run left half-written is removed.

    Raises:
        RunHeldError: another process is training there.
        OutputError: the folder cannot be made or written to.
    """
    # The innermost first, which is the order to remove them in.
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked_file(folder)
    except OSError as error:
        _remove_empty(made)
        raise OutputError(
            f"cannot write to the run's folder {folder}: {error.strerror or error}: give another --out"
        ) from error
    try:
        # Only now that the folder is locked: before, they may be those of a run that is still writing.
        for name in (LAST, BEST, HISTORY, NOT_FINITE, CURVES):
            for partial in folder.glob(f".{name}.*.part"):
                with contextlib.suppress(OSError):
                    partial.unlink()
        yield
    finally:
        with contextlib.suppress(OSError):
            # Removed while still locked: later it could be the lock of the next process.
            (folder / LOCK).unlink()
        lock.close()
        _remove_empty(made)


def _remove_empty(made: list[Path]) -> None:
    """Remove folders, the innermost first, up to one with anything in it: only the traces of a failed start go."""
    with contextlib.suppress(OSError):
        for path in made:
            path.rmdir()


def save_epoch(folder: Path, state: TrainingState, config: Described, data: dict[str, Any]) -> None:
    """Write what the last epoch made; see the head of this file for the order.

    Raises:
        TrainingError: a file could not be written; the older one is whole.
    """
    state.save(folder / LAST)
    # It told of a loss that is past, now that an epoch has been finished.
    (folder / NOT_FINITE).unlink(missing_ok=True)
    if state.best_epoch == state.epoch - 1:
        _save_best(folder / BEST, state, config, data)
    write_run_file(folder / HISTORY, _history(state, data))


class Saver:
    """Writes a run's epochs: each of them, or not more often than every so many seconds.

    Between two writes the network of the best epoch is kept on the device.

    Args:
        folder: of the run.
        state: what is written.
        config, data: stored in the checkpoint.
        every_s: seconds between two writes at least, 0 for each epoch.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        config: Described,
        data: dict[str, Any],
        *,
        every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.state, self.config, self.data = folder, state, config, data
        self.every_s, self.clock = every_s, clock
        self.saved, self._written = state.epoch, clock()
        self._best: dict[str, torch.Tensor] | None = None

    def epoch_done(self) -> None:
        """Write the epoch that the state was given last, or keep what is needed to write it later."""
        newest = self.state.best_epoch == self.state.epoch - 1
        if newest:
            self._best = None
        if self.clock() - self._written >= self.every_s:
            self.write()
        elif newest:
            # Cloned: the average is updated in place.
            self._best = {key: value.clone() for key, value in self.state.average.state.items()}

    def write(self) -> None:
        """Write what is not on disk yet.

        Raises:
            TrainingError: a file could not be written; the older one is whole.
        """
        if self.saved == self.state.epoch:
            return
        # Before the state: `mend` can rebuild the best network only if it is that of the newest epoch.
        if self._best is not None and self.state.best_epoch < self.state.epoch - 1:
            _save_best(self.folder / BEST, self.state, self.config, self.data, weights=self._best)
        save_epoch(self.folder, self.state, self.config, self.data)
        self._best = None
        self.saved, self._written = self.state.epoch, self.clock()


def mend(folder: Path, state: TrainingState, config: Described, data: dict[str, Any]) -> None:
    """Bring the best network and the history up to the state that was loaded from the folder.

    Raises:
        ArtifactError: the network of the best epoch is gone.
    """
    kept = load_header(folder / BEST).get("training", {}).get("epoch") if (folder / BEST).exists() else None
    # A file from beyond the state will be made again by the epochs that come.
    if kept is None or kept < state.best_epoch:
        if state.best_epoch != state.epoch - 1:
            raise ArtifactError(
                f"{folder / BEST} should hold epoch {state.best_epoch + 1} of the run that {LAST} belongs to, "
                f"and {'is not there' if kept is None else f'holds epoch {kept + 1}'}: "
                "put it back, or train again in another folder"
            )
        _save_best(folder / BEST, state, config, data)
    if not (folder / HISTORY).exists() or (folder / HISTORY).read_bytes() != _history(state, data):
        write_run_file(folder / HISTORY, _history(state, data))


def require_no_network(folder: Path) -> None:
    """Raise ConfigError if a new run would overwrite the network of one whose state is gone."""
    if (folder / BEST).exists():
        raise ConfigError(f"{folder} holds a {BEST} but no {LAST} to resume from: give another --out, or remove it")


def _save_best(
    path: Path,
    state: TrainingState,
    config: Described,
    data: dict[str, Any],
    *,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    row = state.history[state.best_epoch]
    measured = {key: value for key, value in row.items() if key not in ("epoch", "lr", "seconds", "train_seconds")}
    training = {"config": state.identity["config"], "epoch": row["epoch"], "validation": measured, "data": data}
    tensors = state.average.state if weights is None else weights
    save_tensors(path, tensors, config.header() | {"training": training})


def _history(state: TrainingState, data: dict[str, Any]) -> bytes:
    lists = {"lists": data["lists"]} if "lists" in data else {}
    return json.dumps({"identity": state.identity} | lists | {"history": state.history}, indent=1).encode()


def _locked_file(folder: Path) -> IO[str]:
    """The lock's file, open and locked, with this process's number in it."""
    while True:
        # Not `w`: to open it must not erase the holder's number, which the message names.
        file = (folder / LOCK).open("a+", encoding="ascii")
        if not try_lock(file):
            file.seek(0)
            number = file.read().strip()
            file.close()
            who = "this process" if number == str(os.getpid()) else f"another process (pid {number or 'unknown'})"
            raise RunHeldError(f"{who} is training in {folder}: wait for it, or give another --out")
        # Whoever held it before may have removed the very file that was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), (folder / LOCK).stat()):
                break
        file.close()
    try:
        file.truncate(0)
        # Not by the file's buffer, which would be written again when it is closed.
        os.write(file.fileno(), str(os.getpid()).encode())
    except OSError:
        (folder / LOCK).unlink(missing_ok=True)
        file.close()
        raise
    return file
