"""How many processor cores there are to work with."""

from __future__ import annotations

import os


def count_cores() -> int:
    """The cores that this process may use."""
    # A container or `taskset` may allow fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
