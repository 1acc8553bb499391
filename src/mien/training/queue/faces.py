"""What a training looks at as one small file: pictures packed without loss, each only once, and their labels.

The test rows stay at home: nothing that is chosen where the file goes can be chosen by them.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.datasets.base import FaceDataset
from mien.errors import DataError
from mien.files import replacing, write_whole
from mien.training.loaders import fingerprint
from mien.training.queue.pictures import decode, encode

FORMAT = 1


def save_faces(path: Path, dataset: FaceDataset) -> None:
    """Write the train and validation rows of a data set; see `load_faces`.

    Raises:
        DataError: it has no such rows.
    """
    whole, dataset = fingerprint(dataset), dataset.part("train", "validation")
    if not len(dataset):
        raise DataError(f"{dataset.name}: there are no rows of train and validation to pack")
    seen: dict[bytes, int] = {}
    place = np.array([seen.setdefault(image.tobytes(), len(seen)) for image in dataset.images], np.int32)
    firsts = np.unique(place, return_index=True)[1]
    said = {
        "format": FORMAT, "name": dataset.name, "sha256": dataset.sha256, "ids": dataset.ids.tolist(),
        "whole": whole, "rows": fingerprint(dataset),
        "sources": None if dataset.sources is None else dataset.sources.tolist(),
        "picture": list(dataset.images.shape[1:]),
    }  # fmt: skip
    arrays: dict[str, npt.NDArray[Any]] = {
        "place": place,
        "labels": dataset.labels,
        "split": dataset.split,
        "said": np.frombuffer(json.dumps(said).encode("utf-8", "surrogatepass"), np.uint8),
    }
    if dataset.votes is not None:
        arrays["votes"] = dataset.votes
    arrays |= {f"pictures-{key}": value for key, value in encode(_planes(dataset.images[firsts])).items()}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_whole(path, content.getvalue())


def load_faces(path: Path, *, cache: Path | None = None) -> FaceDataset:
    """Read what `save_faces` wrote: the same rows, bit by bit, which a training takes for the whole data set.

    Args:
        path: the file.
        cache: where the unpacked pictures are kept, as large as they are, so that they are unpacked once.

    Raises:
        DataError: no such file, or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        said = json.loads(arrays["said"].tobytes().decode("utf-8", "surrogatepass"))
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']}, expected {FORMAT}")
        pictures = _unpacked(arrays, said, cache)
        dataset = FaceDataset(
            said["name"],
            pictures[arrays["place"]],
            arrays["labels"],
            arrays["split"],
            np.array(said["ids"], np.str_),
            votes=arrays.get("votes"),
            sha256=said["sha256"],
            sources=None if said["sources"] is None else np.array(said["sources"], np.str_),
        )
        if fingerprint(dataset) != said["rows"]:
            raise ValueError("the rows are not those that were packed")
        return replace(dataset, whole=said["whole"])
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a whole file of packed faces ({error}): pack it anew") from error


def _unpacked(arrays: dict[str, Any], said: dict[str, Any], cache: Path | None) -> npt.NDArray[np.uint8]:
    file = None if cache is None else cache / f"faces-{said['rows'][:16]}.npy"
    if file is not None and file.is_file():
        found: npt.NDArray[np.uint8] = np.load(file, allow_pickle=False)
        return found
    packed = {name.removeprefix("pictures-"): value for name, value in arrays.items() if name.startswith("pictures-")}
    pictures = _pictures(decode(packed), tuple(said["picture"]))
    if file is not None:
        with replacing(file) as out:
            np.save(out, pictures, allow_pickle=False)
    return pictures


def _planes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Each colour as a grey picture of its own: (N, H, W, 3) to (3N, H, W)."""
    if images.ndim == 3:
        return images
    return images.transpose(0, 3, 1, 2).reshape(-1, *images.shape[1:3])


def _pictures(planes: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The reverse of `_planes` for pictures of a shape."""
    if len(shape) == 2:
        return planes
    return np.ascontiguousarray(planes.reshape(-1, shape[2], *shape[:2]).transpose(0, 2, 3, 1))
