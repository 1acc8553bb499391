"""The folder of annotated pictures and videos that `mien analyze --save` fills."""

from __future__ import annotations

import re
from pathlib import Path

from mien.errors import ConfigError
from mien.images.pictures import write
from mien.structures import Result


class Album:
    """A folder of annotated pictures, named as their sources; JPEG stays JPEG, all else becomes PNG, videos MP4.

    Raises:
        ConfigError: the folder cannot be made, or a file is there already and may not be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self._used: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror or error}") from error

    def add(self, result: Result) -> None:
        """Write a picture with its faces marked; one that could not be read is passed over."""
        if result.frame is None:
            return
        from mien.reading.drawing import draw_faces

        suffix = Path(result.source).suffix.lower()
        target = self._place(result.source, suffix if suffix in (".jpg", ".jpeg") else ".png")
        try:
            write(target, draw_faces(result.frame.image, result.faces))
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error

    def video_path(self, source: str) -> Path:
        """Where the annotated video of a source goes."""
        return self._place(source, ".mp4")

    def _place(self, source: str, suffix: str) -> Path:
        """A name of its own in this run: sources of several folders may be called the same."""
        stem = "stdin" if source == "-" else Path(source).stem
        stem = re.sub(r"[^\w .()-]+", "-", stem) if "://" in source or ":" in stem else stem
        name, number = f"{stem}{suffix}", 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._used.add(name)
        target = self.folder / name
        if target.exists() and not self.overwrite:
            raise ConfigError(f"{target} is there already: choose another folder, or add --overwrite")
        return target
