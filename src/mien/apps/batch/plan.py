"""The units of a batch: what is read in one go, and kept in the output so that a later run knows them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mien.apps.batch.inputs import Input
from mien.apps.storage import Storage
from mien.errors import ConfigError

FORMAT = 1
HEADER, PLAN, ERRORS, ATTEMPTS = "batch.json", "plan", "errors", "attempts"
FOLDERS = {"pictures": "pictures", "video": "videos"}
"""Where the rows of each kind of unit are: those of videos have columns of their own."""
PICTURES_A_UNIT, MOST_UNITS = 250, 4000
"""Units of seconds rather than minutes, and no more of them than a driver schedules with ease."""


@dataclass(frozen=True)
class Unit:
    """What one worker reads in one go and writes as one partition.

    Args:
        id: the same for the same inputs.
        kind: several pictures, or one video or a part of one.
        names: paths or addresses.
        start_s, end_s: the part of a video, seconds; `end_s` itself is not in it; None for its end.
    """

    id: str
    kind: Literal["pictures", "video"]
    names: tuple[str, ...]
    start_s: float = 0.0
    end_s: float | None = None

    @classmethod
    def of(cls, kind: Literal["pictures", "video"], names: Sequence[str], start_s: float = 0.0,
           end_s: float | None = None) -> Unit:  # fmt: skip
        """A unit, named by what it holds."""
        content = json.dumps([kind, list(names), start_s, end_s]).encode("utf-8", "surrogateescape")
        return cls(hashlib.sha256(content).hexdigest()[:20], kind, tuple(names), start_s, end_s)

    @property
    def rows_path(self) -> str:
        """Its partition in the output; the unit is whole once that is there."""
        return f"{FOLDERS[self.kind]}/{self.id}.parquet"

    @property
    def errors_path(self) -> str:
        """Where its unreadable inputs are listed."""
        return f"{ERRORS}/{self.id}.parquet"

    def to_json(self) -> str:
        """As text, for a worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**values | {"names": tuple(values["names"])})


def divide(inputs: Sequence[Input], *, pictures_a_unit: int | None = None, part_s: float | None = None) -> list[Unit]:
    """The units of inputs: videos first, the largest at the front, so that none is left over at the end.

    Args:
        inputs: what there is to read.
        pictures_a_unit: 250 if not given, more for more than a million pictures.
        part_s: videos that are longer are cut into parts of so many seconds; None for no cut.
    """
    videos = sorted((entry for entry in inputs if entry.kind == "video"), key=lambda entry: -entry.size)
    units = [unit for video in videos for unit in _parts(video.name, part_s)]
    names = [entry.name for entry in inputs if entry.kind == "picture"]
    step = pictures_a_unit or max(PICTURES_A_UNIT, -(-len(names) // MOST_UNITS))
    return units + [Unit.of("pictures", names[at : at + step]) for at in range(0, len(names), step)]


def _parts(name: str, part_s: float | None) -> list[Unit]:
    from mien.apps.storage import scheme_of
    from mien.errors import MienError
    from mien.sources.video import VideoFile

    if part_s is None or scheme_of(name):
        return [Unit.of("video", [name])]
    try:
        with VideoFile(name) as video:
            duration_s = video.info.duration_s or 0.0
    except MienError:
        # Its worker will say what is the matter.
        return [Unit.of("video", [name])]
    starts = [place * part_s for place in range(max(1, round(duration_s / part_s)))]
    return [Unit.of("video", [name], start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]


class Ledger:
    """The output's own account: what was asked for, which units there are, and which are whole.

    Args:
        storage: the output's folder.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def begin(self, options: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Take the folder for a batch with these options.

        Raises:
            ConfigError: it holds one already, was made with other options, or is no batch.
            OutputError: it cannot be written.
        """
        if self.storage.exists() == "file":
            raise ConfigError(f"{self.storage.uri} is a file: expected a folder for the batch")
        kind = self.storage.exists(HEADER)
        if kind and overwrite:
            self.storage.remove(HEADER)
            for folder in (PLAN, ERRORS, ATTEMPTS, *FOLDERS.values()):
                self.storage.remove(folder)
            kind = ""
        if kind and not resume:
            raise ConfigError(f"{self.storage.uri} holds a batch already: add --resume to go on, or --overwrite")
        if kind:
            self._require_same(options)
            return
        if resume:
            raise ConfigError(f"{self.storage.uri} holds no batch to go on with: leave --resume out")
        if any(True for _ in self.storage.list()):
            raise ConfigError(f"{self.storage.uri} holds other files: choose an empty folder or a new name")
        self.storage.make_folders(PLAN, ERRORS, ATTEMPTS, *FOLDERS.values())
        with self.storage.writing(HEADER) as file:
            file.write(json.dumps({"format": FORMAT, "options": options}, indent=2).encode() + b"\n")

    def _require_same(self, options: dict[str, Any]) -> None:
        try:
            header = json.loads(self.storage.read(HEADER))
            version, before = header["format"], dict(header["options"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.storage.uri}/{HEADER} is damaged: choose another --out, or begin again with --overwrite"
            ) from error
        if version != FORMAT:
            raise ConfigError(f"{self.storage.uri}: a batch of another version of Mien: choose another --out")
        for name in options | before:
            if options.get(name) != before.get(name):
                raise ConfigError(
                    f"{self.storage.uri} was begun with {name} {before.get(name)!r}, not {options.get(name)!r}: "
                    "go on with the same options, or choose another --out"
                )

    def planned(self) -> list[Unit]:
        """All units that earlier runs have planned."""
        from pyarrow import parquet

        units = []
        for path, _ in sorted(self.storage.list(PLAN)):
            try:
                with self.storage.opened(path) as file:
                    table = parquet.read_table(file, columns=["unit"])
                units += [Unit.from_json(text) for text in table.column("unit").to_pylist()]
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{self.storage.name_of(path)} is damaged: choose another --out, or begin again with --overwrite"
                ) from error
        return units

    def add(self, units: Sequence[Unit]) -> None:
        """Plan further units, in one file that is there as a whole or not at all."""
        import pyarrow as pa
        from pyarrow import parquet

        if not units:
            return
        name = hashlib.sha256("".join(unit.id for unit in units).encode()).hexdigest()[:20]
        with self.storage.writing(f"{PLAN}/{name}.parquet") as file:
            parquet.write_table(pa.table({"unit": [unit.to_json() for unit in units]}), file)

    def whole(self) -> set[str]:
        """The ids of the units that were read to their end."""
        return {
            path.rpartition("/")[2].removesuffix(".parquet")
            for folder in FOLDERS.values()
            for path, _ in self.storage.list(folder)
        }

    def forget_attempts(self) -> None:
        """Remove the workers' notes, see `mien.apps.batch.attempts`."""
        self.storage.remove(ATTEMPTS)

    def iter_errors(self, units: Sequence[Unit]) -> Iterator[dict[str, Any]]:
        """The unreadable inputs of whole units."""
        from pyarrow import parquet

        ids = {unit.id for unit in units}
        for path, _ in sorted(self.storage.list(ERRORS)):
            if path.rpartition("/")[2].removesuffix(".parquet") in ids:
                with self.storage.opened(path) as file:
                    yield from parquet.read_table(file).to_pylist()
