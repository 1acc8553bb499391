"""The local folder where Mien keeps its files, and verified downloads into it. Nothing is fetched unasked."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of Mien's files: MIEN_HOME, else `mien` in the user's cache folder; it may not exist yet."""
    if chosen := os.environ.get("MIEN_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mien"
