"""A network on disk: one safetensors file whose JSON header describes the network."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mien import files
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, TrainingError
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.network import Network


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Write tensors and a JSON header as one safetensors file; see `write_run_file`."""
    data = save(
        # safetensors takes no strided tensors, such as channels-last weights.
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
        metadata={"mien": json.dumps(header)},
    )
    write_run_file(path, data)


def write_run_file(path: Path, data: bytes) -> None:
    """Write a file of a run atomically: an older file stays until the new one is complete.

    Raises:
        TrainingError: it could not be written, as on a full disk.
    """
    try:
        # Synced: after a power cut the new name must not lead to an empty file.
        files.write_whole(path, data, sync=True)
    except OSError as error:
        free = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        older = "the older file is whole" if path.exists() else "nothing was left of it"
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}; it needs {len(data):,} bytes and {free:,} are free. "
            f"{older[0].upper()}{older[1:]}: make room and start the same training again: "
            "it resumes after its last finished epoch"
        ) from error


def load_header(path: Path) -> dict[str, Any]:
    """The JSON header alone of what `save_tensors` wrote; see `load_tensors`."""
    return _read(path, weights=False)[1]


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        ArtifactError: no such file, not safetensors, cut short, or without Mien's header.
    """
    return _read(path, weights=True)


def _read(path: Path, *, weights: bool) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["mien"])
            return {key: file.get_tensor(key) for key in file.keys() if weights}, header  # noqa: SIM118
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such checkpoint") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ArtifactError(
            f"{path}: not a complete checkpoint of Mien ({error}): train again in another folder, or remove the file"
        ) from error


def save_network(
    path: Path,
    state: dict[str, torch.Tensor],
    *,
    arch: str,
    options: dict[str, Any],
    spec: InputSpec,
    heads: tuple[str, ...],
    training: dict[str, Any],
) -> None:
    """Write weights with what is needed to build their network; `training` is kept as it is."""
    about = {"arch": arch, "options": options, "spec": asdict(spec), "heads": heads, "training": training}
    save_tensors(path, state, {"kind": "network"} | about)


def load_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """Build the network of a checkpoint, in evaluation mode, and return it with the header.

    Raises:
        ArtifactError: the file is not a checkpoint, or its weights do not fit its description.
    """
    state, header = load_tensors(path)
    if header.get("kind") != "network":
        raise ArtifactError(f"{path}: holds a {header.get('kind')}, expected a network such as best.safetensors")
    try:
        network = create_network(
            header["arch"], spec=InputSpec(**header["spec"]), heads=tuple(header["heads"]), **header["options"]
        )
    except Exception as error:
        # Whatever an architecture makes of options that a damaged header gives it.
        raise ArtifactError(f"{path}: its header describes no network: {error}") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ArtifactError(f"{path}: its weights do not fit {header['arch']}: {error}") from error
    return network.eval(), header
