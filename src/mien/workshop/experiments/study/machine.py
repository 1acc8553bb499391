"""On which machine, and with which versions, a training runs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("mien", "torch", "timm", "scikit-learn", "numpy")


def device_name(device: str) -> str:
    """`auto` as torch's name of what it stands for."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def machine(device: str) -> str:
    """Processor, its cores and threads in use, and the accelerator, for people."""
    threads = torch.get_num_threads()
    processor = f"{_processor()}, {os.cpu_count()} cores, {threads} {'thread' if threads == 1 else 'threads'}"
    name = device_name(device)
    if name == "cuda":
        return f"{torch.cuda.get_device_name()}; {processor}"
    return processor if name == "cpu" else f"{name}; {processor}"


def versions() -> dict[str, Any]:
    """Python and the packages that decide a training."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
