"""The local folder where Mien keeps its files, and verified downloads into it. Nothing is fetched unasked."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from mien.errors import ArtifactError, DownloadError

BLOCK = 1 << 16
BUSY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers after which it is worth trying again."""


def home() -> Path:
    """The folder of Mien's files: MIEN_HOME, else `mien` in the user's cache folder; it may not exist yet."""
    if chosen := os.environ.get("MIEN_HOME"):
        return Path(chosen).expanduser()
    # A cache: all that is kept here can be fetched again.
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mien"


@dataclass(frozen=True)
class RemoteFile:
    """A file that Mien can fetch when asked to, pinned by its content.

    Args:
        name: what users call it: `mien model pull NAME`.
        filename: its name on disk.
        url: where it comes from.
        sha256: hex digest of its content.
        size_bytes: its length.
        licence: the licence it is under.
    """

    name: str
    filename: str
    url: str
    sha256: str
    size_bytes: int
    licence: str


YUNET = RemoteFile(
    name="yunet",
    filename="face_detection_yunet_2023mar.onnx",
    # The zoo keeps its models in Git LFS: GitHub's raw address gives a pointer file.
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
    "face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size_bytes=232_589,
    licence="MIT",
)

FILES = {file.name: file for file in (YUNET,)}
"""What can be pulled, by name."""


def destination(file: RemoteFile) -> Path:
    """Where `pull` puts the file."""
    return home() / "weights" / file.filename


def find(file: RemoteFile) -> Path | None:
    """The file in `home()/weights` or directly in `home()`, its content verified; None if in neither.

    Raises:
        ArtifactError: when a file of that name is there but its content is another.
    """
    for path in (destination(file), home() / file.filename):
        if not path.is_file():
            continue
        state = path.stat()
        found = _digest(path, state.st_size, state.st_mtime_ns)
        if found != file.sha256:
            raise ArtifactError(
                f"{path} is not the {file.name} that was expected: sha256 {found}, not {file.sha256}; "
                f"remove it, or replace it by `mien model pull {file.name}`"
            )
        return path
    return None


def pull(file: RemoteFile, *, retries: int = 3, timeout_s: float = 30.0, backoff_s: float = 1.0) -> Path:
    """Fetch the file into `home()/weights`, verified and whole or not at all; if it is there, do nothing.

    Goes through the proxy that the environment names. Tries `retries` more times when the connection fails
    or the server is busy, each time after twice the wait.

    Raises:
        DownloadError: when it cannot be reached, is not the pinned content, or cannot be written.
    """
    # A damaged file is replaced, as its error message promises.
    with suppress(ArtifactError):
        if there := find(file):
            return there
    # Reading pictures fetches nothing, so it does not pay for these.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlsplit

    target = destination(file)
    reason = ""
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(backoff_s * 2 ** (attempt - 1))
        try:
            return _fetch(file, target, timeout_s)
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error or type(error).__name__)
            if isinstance(error, HTTPError) and error.code not in BUSY:
                break
    raise DownloadError(
        f"could not fetch {file.name} from {urlsplit(file.url).hostname}: {reason}; try again, "
        f"or copy {file.url} to {target} yourself ({file.size_bytes:,} bytes, sha256 {file.sha256})"
    )


def _fetch(file: RemoteFile, target: Path, timeout_s: float) -> Path:
    from urllib.request import build_opener

    temporary = _open_temporary(target)
    try:
        # urlopen's opener remembers the proxy of its first call; a fresh one asks the environment.
        with build_opener().open(file.url, timeout=timeout_s) as answer, temporary:
            digest, length = _copy(answer, temporary, file.size_bytes)
        if length < file.size_bytes:
            # An OSError, so `pull` tries again; trying again cannot mend a wrong digest.
            raise ConnectionError(f"the connection ended after {length:,} of {file.size_bytes:,} bytes")
        if digest != file.sha256:
            raise DownloadError(
                f"{file.url} is not the {file.name} that was expected: sha256 {digest}, not {file.sha256}; "
                "nothing was kept"
            )
        Path(temporary.name).replace(target)
    finally:
        # Windows does not remove an open file.
        temporary.close()
        Path(temporary.name).unlink(missing_ok=True)
    return target


def _open_temporary(target: Path) -> IO[bytes]:
    """A new file beside the target; not the network's fault if that fails, so it is not tried again."""
    import tempfile

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)
    except OSError as error:
        raise DownloadError(
            f"cannot write to {target.parent}: {error.strerror or error}; set MIEN_HOME to your own folder"
        ) from error


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> tuple[str, int]:
    """Copy at most one block more than `limit` bytes; the sha256 and length of what was copied."""
    digest, length = hashlib.sha256(), 0
    # Stop past the pinned size: a server must not fill the disk.
    while length <= limit and (block := source.read(BLOCK)):
        digest.update(block)
        target.write(block)
        length += len(block)
    return digest.hexdigest(), length


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    """sha256 of a file; size and time of change are the key under which it is remembered."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
