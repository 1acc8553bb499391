"""The folder of annotated images and videos that `mien analyze --save` fills."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mien.errors import ConfigError
from mien.images.pictures import write
from mien.reading.results import Result


class Album:
    """A folder of annotated images, named after their sources; JPEG stays JPEG, all else becomes PNG, videos MP4.

    Raises:
        ConfigError: the folder cannot be created, or a file exists and may not be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool, draw: Sequence[str] = ()) -> None:
        self.folder = folder
        self.draw = draw
        self.overwrite = overwrite
        self.used: set[str] = set()
        self.images = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create the folder {folder}: {error.strerror or error}") from error

    def add(self, result: Result) -> None:
        """Write an image with its faces annotated; one that could not be read is skipped."""
        if result.frame is None:
            return
        suffix = Path(result.source).suffix.lower()
        target = self._place(result.source, suffix if suffix in (".jpg", ".jpeg") else ".png")
        try:
            write(target, result.plot(geometry=self.draw))
            self.images += 1
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error

    def describe(self) -> str:
        """The folder, and how much was written into it."""
        videos = len(self.used) - self.images
        parts = [
            f"{n} annotated {noun}{'' if n == 1 else 's'}"
            for n, noun in ((self.images, "image"), (videos, "video"))
            if n
        ]
        return f"{self.folder}/ ({', '.join(parts)})"

    def video_path(self, source: str) -> Path:
        """Where the annotated video of a source goes."""
        return self._place(source, ".mp4")

    def _place(self, source: str, suffix: str) -> Path:
        """A name of its own in this run: sources of several folders may have the same name."""
        stem = "stdin" if source == "-" else Path(source).stem
        # A stream's address holds signs that some systems allow in no file name.
        stem = re.sub(r"[^\w .()-]+", "-", stem) if "://" in source or ":" in stem else stem
        name, number = f"{stem}{suffix}", 1
        while name in self.used:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self.used.add(name)
        target = self.folder / name
        if target.exists() and not self.overwrite:
            raise ConfigError(f"{target} already exists: choose another folder, or add --overwrite")
        return target
