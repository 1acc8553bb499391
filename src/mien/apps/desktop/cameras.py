"""Which cameras there are, without opening any."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

GUESSED = 2
"""Where the system has no list that can be read without a camera's light going on, so many numbers are offered."""


@dataclass(frozen=True)
class Camera:
    """A camera by the name that `open_source` takes, and the one that people read."""

    source: str
    name: str


def find_cameras(root: Path = Path("/sys/class/video4linux")) -> list[Camera]:
    """The cameras of this computer; on systems other than Linux the first numbers, whether there is one or not."""
    if not sys.platform.startswith("linux"):
        return [Camera(f"camera:{number}", f"Camera {number}") for number in range(GUESSED)]
    found = []
    for folder in sorted(root.glob("video*"), key=lambda path: int(path.name.removeprefix("video"))):
        # A camera has further nodes, for metadata; its first one gives the pictures.
        if _read(folder / "index") in ("0", ""):
            number = folder.name.removeprefix("video")
            found.append(Camera(f"camera:{number}", _read(folder / "name") or f"Camera {number}"))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
