"""What the processes of a test do; a fresh process must be able to import it."""

from __future__ import annotations

import os
import signal
from typing import Any

import torch

from mien.errors import DataError


def tell(send: Any, greeting: str) -> None:
    """Send a greeting from every process, with the sum of all ranks and ones."""
    total = torch.ones(1) + torch.distributed.get_rank()
    torch.distributed.all_reduce(total)
    send((greeting, torch.distributed.get_rank(), total.item()))


def fail(send: Any, how: str) -> None:
    """Let the second process fail while the first waits for it."""
    send("here")
    if torch.distributed.get_rank() == 1:
        if how == "error":
            raise DataError("no such row")
        if how == "bug":
            raise KeyError("forgotten")
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()
