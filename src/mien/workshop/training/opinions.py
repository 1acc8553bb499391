"""What teachers say of pictures: a file of probabilities, and how they are mixed into the targets of their students."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.errors import ConfigError, DataError
from mien.files import write_whole
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import picture_digest

Float32 = npt.NDArray[np.float32]
UInt64 = npt.NDArray[np.uint64]

FORMAT = 1


@dataclass(frozen=True)
class Opinions:
    """What teachers say of pictures, which are known by their digests.

    Args:
        digests: uint64 (N,), see `datasets.lists.picture_digest`, rising.
        heads: probabilities of each head, float32 (N, K), rows sum to 1.
        told: who the teachers were and how they were asked.
    """

    digests: UInt64
    heads: dict[str, Float32]
    told: dict[str, Any] = field(default_factory=dict)

    def find(self, head: str, digests: UInt64) -> tuple[Float32, npt.NDArray[np.bool_]]:
        """Probabilities float32 (M, K) of pictures (M,), and which of them are known; the others' rows are 0."""
        place = np.searchsorted(self.digests, digests).clip(max=max(len(self.digests) - 1, 0))
        known = self.digests[place] == digests if len(self.digests) else np.zeros(len(digests), bool)
        return np.where(known[:, None], self.heads[head][place], np.float32(0)), known


def digests_of(rows: FaceDataset) -> UInt64:
    """The digest of each picture, uint64 (N,)."""
    return np.array([int(picture_digest(image), 16) for image in rows.images], np.uint64)


def write_opinions(path: Path, opinions: Opinions) -> None:
    """Write them as npz, half precision, whole or not at all."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {head: values.astype(np.float16) for head, values in opinions.heads.items()}
    header = json.dumps({"format": FORMAT, **opinions.told})
    np.savez_compressed(buffer, digests=opinions.digests, header=np.array(header), **arrays)
    write_whole(path, buffer.getvalue())


def read_opinions(path: Path) -> Opinions:
    """Read what `write_opinions` wrote.

    Raises:
        ConfigError: no such file.
        DataError: it is none of these files, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told = json.loads(str(arrays.pop("header")))
        digests = arrays.pop("digests")
        if told.pop("format") != FORMAT or digests.dtype != np.uint64 or not arrays.keys() <= HEADS.keys():
            raise ValueError("another format")
        heads = {head: values.astype(np.float32) for head, values in arrays.items()}
        if any(values.shape != (len(digests), len(HEADS[head])) for head, values in heads.items()):
            raise ValueError("shapes that do not fit one another")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of teachers' opinions: mien distill writes it") from error
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path}: not a whole file of teachers' opinions ({error}): mien distill writes it") from error
    return Opinions(digests, heads, told)


def hash_opinions(path: Path) -> str:
    """SHA-256 of what `read_opinions` would read, by which a run knows it again."""
    opinions = read_opinions(path)
    digest = hashlib.sha256(opinions.digests.tobytes())
    for head in sorted(opinions.heads):
        digest.update(head.encode() + np.ascontiguousarray(opinions.heads[head]).tobytes())
    return digest.hexdigest()


def mix_opinions(
    targets: dict[str, torch.Tensor], opinions: Sequence[Opinions], rows: FaceDataset, weight: float
) -> dict[str, torch.Tensor]:
    """Targets (N, K) of each head, (1 - weight) of them and weight of the teachers' mean opinion (Hinton et al. 2015).

    A row that has no target is taught by the teachers alone, and one that they do not know keeps its target.

    Raises:
        DataError: the teachers know none of the rows, so they were asked about other pictures.
    """
    if not opinions:
        return targets
    digests = digests_of(rows)
    mixed, met = dict(targets), 0
    for head, target in targets.items():
        found = [told.find(head, digests) for told in opinions if head in told.heads]
        if not found:
            continue
        times = np.sum([known for _, known in found], axis=0)
        mean = np.sum([values for values, _ in found], axis=0) / np.maximum(times, 1)[:, None]
        known = torch.from_numpy(times > 0).unsqueeze(1)
        mixed[head] = torch.where(known, (1 - weight) * target + weight * torch.from_numpy(mean).float(), target)
        met += int(known.sum())
    if not met:
        raise DataError(f"{rows.name}: the teachers of distill.teachers know none of its training pictures")
    return mixed
