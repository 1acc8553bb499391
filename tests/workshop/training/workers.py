"""What the processes of a test do; a fresh process must be able to import it."""

from __future__ import annotations

import os
import signal
from typing import Any

import torch

from mien.errors import DataError


def fail(send: Any, how: str) -> None:
    """Let the second process fail while the first waits for it."""
    send("here")
    if torch.distributed.get_rank() == 1:
        if how == "error":
            raise DataError("no such row")
        os.kill(os.getpid(), signal.SIGKILL)
    torch.distributed.barrier()
