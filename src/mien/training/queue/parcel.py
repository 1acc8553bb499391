"""What a session brings home: one stream of files with their hashes, cut into parts of a size that can be carried.

The stream is a tar archive whose first member, parcel.json, names all others. What was sent once and has not changed
since is not sent again; `sent.json` beside the runs remembers it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mien.errors import ArtifactError, DataError
from mien.files import write_whole
from mien.models.checkpoint import load_tensors, save_tensors
from mien.training.folder import BEST, HISTORY, LAST
from mien.training.queue.states import Standing
from mien.training.study.plan import Study
from mien.training.study.records import FAILURE, RECORD

SENT, CONTENTS = "sent.json", "parcel.json"
PART = "mien-parcel-{:02}.tar"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MEGABYTE = 1_000_000
_OVERHEAD, _ENDS = 2048, 16384
"""Bytes of a member beside its content, and of the archive beside its members."""


@dataclass(frozen=True)
class Limits:
    """What can be carried home: so many parts of so many megabytes, and so many megabytes in all."""

    parts: int = 8
    part_mb: float = 16.0
    total_mb: float = 60.0

    @property
    def total(self) -> int:
        """Bytes in all."""
        return int(_MEGABYTE * min(self.total_mb, self.parts * self.part_mb))


@dataclass(frozen=True)
class Parcel:
    """What was packed, as paths below the folder of all runs, and what had to stay for want of room."""

    parts: tuple[Path, ...]
    packed: tuple[str, ...]
    left: tuple[str, ...]


def write_parcel(study: Study, found: list[Standing], runs: Path, *, base: Path, out: Path, limits: Limits) -> Parcel:
    """Pack what the runs have made since the last parcel, in the order of worth, as much as may be carried.

    First all histories and opinions, then the networks of finished runs in the order of the queue, then the states of
    those that are not finished.

    Args:
        study: the queue.
        found: where its runs stand.
        runs: the folder of all runs.
        base: the working folder; it keeps `sent.json`.
        out: where the parts go; made if it is not there.
        limits: what can be carried.
    """
    sent = _read_sent(base / SENT)
    room, members, left = limits.total - _ENDS, dict[str, bytes](), list[str]()
    for name, path, half in _wanted(study, found, runs, base):
        content = _halved(path) if half else path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if sent.get(name) == digest:
            continue
        if len(content) + _OVERHEAD > room:
            left.append(name)
            continue
        room -= len(content) + _OVERHEAD
        members[name] = content
        sent[name] = digest
    if not members:
        return Parcel((), (), tuple(left))
    out.mkdir(parents=True, exist_ok=True)
    stream, size = _archive(members), int(limits.part_mb * _MEGABYTE)
    parts = []
    for number, start in enumerate(range(0, len(stream), size)):
        parts.append(out / PART.format(number))
        write_whole(parts[-1], stream[start : start + size])
    write_whole(base / SENT, json.dumps(sent, indent=1).encode())
    return Parcel(tuple(parts), tuple(members), tuple(left))


def read_parcel(paths: list[Path]) -> dict[str, bytes]:
    """The files of a parcel by their paths below the folder of all runs.

    Args:
        paths: all parts, or folders that hold them.

    Raises:
        DataError: there is none, a part is missing, or a file is damaged or has a path that leads elsewhere.
    """
    parts = sorted((part for path in paths for part in _parts(path)), key=lambda part: part.name)
    if not parts:
        raise DataError(f"no parcel in {', '.join(map(str, paths))}: expected {PART.format(0)} and what follows it")
    expected = [PART.format(number) for number in range(len(parts))]
    if [part.name for part in parts] != expected:
        raise DataError(f"a parcel's parts are {', '.join(expected)}, not {', '.join(part.name for part in parts)}")
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts)), mode="r:") as archive:
            found = {member.name: _content(archive, member) for member in archive}
        contents = json.loads(found.pop(CONTENTS))["files"]
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{parts[0]}: not a whole parcel ({error}): are all of its parts here?") from error
    if contents.keys() != found.keys():
        raise DataError(f"{parts[0]}: {len(contents)} files are named and {len(found)} are there")
    for name, content in found.items():
        if not _NAME.fullmatch(name):
            raise DataError(f"{parts[0]}: {name!r} is no path of a run")
        if hashlib.sha256(content).hexdigest() != contents[name]:
            raise DataError(f"{parts[0]}: {name} is damaged")
    return found


def _wanted(study: Study, found: list[Standing], runs: Path, base: Path) -> Iterator[tuple[str, Path, bool]]:
    """Name, file, and whether in half precision, of all that is worth carrying."""
    for standing in found:
        for file in (HISTORY, RECORD, FAILURE):
            yield from _there(standing.run.folder / file, runs)
    for panel in study.panels:
        yield from _there(base / panel.file, runs)
    for standing in found:
        if standing.state == "done" and standing.run.entry.fetch != "history":
            half = standing.run.entry.fetch == "half"
            yield from ((name, path, half) for name, path, _ in _there(standing.run.folder / BEST, runs))
    for standing in found:
        if standing.state == "begun":
            for file in (LAST, BEST):
                yield from _there(standing.run.folder / file, runs)


def _there(path: Path, runs: Path) -> Iterator[tuple[str, Path, bool]]:
    if path.is_file() and path.is_relative_to(runs):
        yield path.relative_to(runs).as_posix(), path, False


def _halved(path: Path) -> bytes:
    """A checkpoint whose matrices are in half precision; what is added or scales stays as it is."""
    tensors, header = load_tensors(path)
    small = {key: value.half() if _fits_half(value) else value for key, value in tensors.items()}
    place = path.with_name(f"{path.name}.half")
    try:
        save_tensors(place, small, header | {"precision": "matrices in float16"})
        return place.read_bytes()
    finally:
        place.unlink(missing_ok=True)


def _fits_half(value: torch.Tensor) -> bool:
    return value.dtype == torch.float32 and value.ndim > 1 and bool(value.abs().max() < torch.finfo(torch.half).max)


def _archive(members: dict[str, bytes]) -> bytes:
    contents = {"files": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in {CONTENTS: json.dumps(contents).encode(), **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isfile() else None
    if file is None:
        raise ValueError(f"{member.name} is no file")
    return file.read()


def _parts(path: Path) -> list[Path]:
    return sorted(path.glob("mien-parcel-*.tar")) if path.is_dir() else [path]


def _read_sent(path: Path) -> dict[str, str]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}): remove it to send everything again") from error
    return {str(name): str(digest) for name, digest in values.items()}
