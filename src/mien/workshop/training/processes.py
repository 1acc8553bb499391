"""Several processes on one machine that train one network together, and their messages."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from mien.errors import MienError, TrainingError

Send = Callable[[Any], None]

PATIENCE_S = 5.0
"""How long to wait for the other processes' errors after one has failed: the first error to arrive need not be the
cause, since all others fail when one is gone."""


def run_processes(work: Callable[..., None], count: int, *arguments: Any, cuda: bool) -> Iterator[Any]:
    """Run `work(send, *arguments)` in `count` fresh processes, and give what they send as it comes.

    They are one group of torch.distributed, joined over a file and, on a CPU, the loopback interface; rank and size
    are known to Fabric. Whoever stops asking ends them.

    Raises:
        MienError: that of the process that failed.
        TrainingError: a process was killed.
        RuntimeError: any other error of a process, with its traceback.
    """
    # CUDA does not work in a fork of a process that has used it.
    context = get_context("spawn")
    # By default each process would take all cores.
    threads = max(1, torch.get_num_threads() // count)
    pipes: dict[Connection, BaseProcess] = {}
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        try:
            for rank in range(count):
                receiver, sender = context.Pipe(duplex=False)
                # They meet at a file: a port could be taken, or reached by others.
                group = (rank, count, Path(folder) / "group", threads, cuda)
                process: BaseProcess = context.Process(
                    target=_enter, args=(sender, group, work, arguments), name=f"rank {rank}"
                )
                process.start()
                # With this end open, too, the pipe would never end when the process does.
                sender.close()
                pipes[receiver] = process
            yield from _listen(pipes)
        finally:
            for process in pipes.values():
                # All are told before any is waited for: one may be waiting for another.
                process.terminate()
            for process in pipes.values():
                _end(process)


def _listen(pipes: dict[Connection, BaseProcess]) -> Iterator[Any]:
    heard = dict(pipes)
    failures: list[Exception] = []
    while heard:
        ready = wait(list(heard), timeout=PATIENCE_S if failures else None)
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except EOFError:
                failures += _failure(heard.pop(pipe))
                continue
            if isinstance(message, Exception):
                failures.append(message)
            elif not failures:
                yield message
    known = [failure for failure in failures if isinstance(failure, MienError)]
    if failures:
        raise (known or failures)[0]


def _failure(process: BaseProcess) -> list[Exception]:
    """Why a process ended that sent no error."""
    process.join()
    code = process.exitcode or 0
    # It ended well, or has sent its error.
    if code >= 0:
        return []
    return [
        TrainingError(
            f"the process {process.name} of the training was ended by {signal.Signals(-code).name}"
            f"{', as the system does when the memory is full' if -code == signal.SIGKILL else ''}: "
            "start it again to resume after its last finished epoch"
        )
    ]


def _end(process: BaseProcess) -> None:
    process.join(5)
    if process.is_alive():
        process.kill()
        process.join()


def _enter(sender: Connection, group: tuple[int, int, Path, int, bool], work: Callable[..., None], rest: Any) -> None:
    """What a process does."""
    # An interrupt reaches all processes of a terminal; the one that started these ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        try:
            _join(*group)
            work(sender.send, *rest)
        except MienError as error:
            sender.send(error)
            sys.exit(1)
        # Whoever started this process is gone, and nobody is left to tell.
        except BrokenPipeError:
            raise
        except Exception:
            # As text: a traceback cannot be pickled, nor can every exception.
            sender.send(RuntimeError(f"the process rank {group[0]} of the training failed:\n{traceback.format_exc()}"))
            sys.exit(1)


def _join(rank: int, count: int, path: Path, threads: int, cuda: bool) -> None:
    # Where Fabric looks for them.
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(count)}
    if not cuda and sys.platform != "win32":
        # Gloo would take the interface of the host's name, though nothing has to leave this machine.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    torch.set_num_threads(threads)
    torch.distributed.init_process_group(
        "nccl" if cuda else "gloo", init_method=path.as_uri(), rank=rank, world_size=count
    )
