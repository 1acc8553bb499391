"""Folders and buckets alike: where inputs are listed and read, and where partitions are written, through pyarrow.fs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlunsplit

from mien.errors import ConfigError, MienError, OutputError, SourceError, shortened
from mien.sources.container import split_address, without_password

BUCKETS = frozenset(["s3", "gs", "gcs", "az", "abfs", "abfss"])
WEB = frozenset(["http", "https"])
LARGEST_BYTES = 2 << 30
"""What is fetched from a web server at most."""
TRIES, TIMEOUT_S = 3, 30.0
BLOCK_BYTES, IN_MEMORY_BYTES = 1 << 20, 32 << 20
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
}
REFUSALS = frozenset(["ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "INVALID_CLIENT_TOKEN_ID", "SIGNATURE_DOES_NOT_MATCH"])
"""Amazon's codes for credentials that are wrong, or do not suffice."""


class StorageError(MienError):
    """A file system cannot be reached, or refuses: no fault of a single file, so the run stops."""

    exit_code = 6


def scheme_of(name: str) -> str:
    """`s3`, `http`, …; empty for a local path."""
    scheme = split_address(name).scheme.lower() if "://" in name else ""
    return scheme if scheme in BUCKETS | WEB else ""


class Storage:
    """A local folder or one in a bucket.

    Args:
        uri: a path, or an address such as s3://bucket/folder; options of the store may follow a `?`.

    Raises:
        ConfigError: no such store can be reached.
        SourceError: the address is malformed.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/") if scheme_of(uri) else os.fspath(Path(uri).absolute())
        self.local = not scheme_of(uri)
        self._files, self._root = _file_system(self.uri)
        parts = split_address(self.uri)
        self._query = f"?{parts.query}" if parts.query and not self.local else ""
        self._scheme = parts.scheme

    def name_of(self, path: str) -> str:
        """A path below the root as users name it."""
        return self._path(path) if self.local else f"{self._scheme}://{self._path(path)}{self._query}"

    def list(self, folder: str = "", *, recursive: bool = False) -> Iterator[tuple[str, int]]:
        """Path below the root and bytes of each file in a folder; nothing if it is not there.

        Raises:
            StorageError: it cannot be listed.
        """
        for info in self._infos(folder, recursive=recursive):
            yield info.path.removeprefix(self._root).lstrip("/"), info.size or 0

    def list_older(self, folder: str, age_s: float) -> Iterator[str]:
        """Paths below the root of all files in and under a folder that were last written so long ago.

        Raises:
            StorageError: it cannot be listed.
        """
        latest = time.time() - age_s
        for info in self._infos(folder, recursive=True):
            if info.mtime is not None and info.mtime.timestamp() < latest:
                yield info.path.removeprefix(self._root).lstrip("/")

    def _infos(self, folder: str, *, recursive: bool) -> Iterator[Any]:
        from pyarrow import fs

        where = self._path(folder)
        with self._explained("list", folder):
            selector = fs.FileSelector(where, recursive=recursive, allow_not_found=True)
            found = self._files.get_file_info(selector)
        for info in found:
            # What a kill left of `writing` is no file of the store.
            if info.type == fs.FileType.File and not (info.base_name.startswith("_") and info.extension == "part"):
                yield info

    def exists(self, path: str = "") -> str:
        """`file`, `folder`, or nothing.

        Raises:
            StorageError: nobody can tell.
        """
        from pyarrow import fs

        where = self._path(path)
        with self._explained("look at", path):
            kind = self._files.get_file_info(where).type
        return {fs.FileType.File: "file", fs.FileType.Directory: "folder"}.get(kind, "")

    def read(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: it is not there.
            StorageError: it cannot be read.
        """
        where = self._path(path)
        with self._explained("read", path), self._files.open_input_stream(where) as file:
            data: bytes = file.read()
        return data

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[Any]:
        """A file to seek in.

        Raises:
            StorageError: it cannot be read.
        """
        where = self._path(path)
        with self._explained("read", path), self._files.open_input_file(where) as file:
            yield file

    @contextlib.contextmanager
    def streamed(self, path: str) -> Iterator[Any]:
        """A file to read from its beginning, however long it is.

        Raises:
            FileNotFoundError: it is not there.
            StorageError: it cannot be read.
        """
        where = self._path(path)
        # Without a buffer each small read would be a request of its own.
        with self._explained("read", path), self._files.open_input_stream(where, buffer_size=BLOCK_BYTES) as file:
            yield file

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Any]:
        """A new file that is there, as a whole, once the block has ended well.

        Raises:
            OutputError: it cannot be written.
        """
        target = self._path(path)
        try:
            with (self._write_beside if self.local else self._write_object)(target) as file:
                yield file
        except OSError as error:
            raise OutputError(f"cannot write {self.name_of(path)}: {_said(error, self._scheme)}") from error

    @contextlib.contextmanager
    def _write_beside(self, target: str) -> Iterator[Any]:
        # A leading underscore hides what a kill leaves from whoever reads the folder as a data set.
        folder, _, name = target.rpartition("/")
        written = Path(f"{folder}/_{os.urandom(4).hex()}.{name}.part")
        try:
            with self._files.open_output_stream(os.fspath(written)) as file:
                yield file
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _write_object(self, target: str) -> Iterator[Any]:
        # An object is there once it is closed, also where an error closes it: so it is opened when all is written.
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            yield file
            file.seek(0)
            with self._files.open_output_stream(target) as store:
                shutil.copyfileobj(file, store, BLOCK_BYTES)

    def make_folders(self, *names: str) -> None:
        """Folders, with all above them.

        Raises:
            OutputError: one cannot be made.
        """
        for name in names:
            where = self._path(name)
            try:
                self._files.create_dir(where, recursive=True)
            except OSError as error:
                raise OutputError(f"cannot make {self.name_of(name)}: {_said(error, self._scheme)}") from error

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all that is in it; nothing happens if it is not there."""
        where, kind = self._path(path), self.exists(path)
        try:
            if kind == "folder":
                self._files.delete_dir(where)
            elif kind:
                self._files.delete_file(where)
        except OSError as error:
            raise OutputError(f"cannot remove {self.name_of(path)}: {_said(error, self._scheme)}") from error

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextlib.contextmanager
    def _explained(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"cannot {verb} {self.name_of(path)}: {_said(error, self._scheme)}") from error


def split(uri: str) -> tuple[str, str]:
    """The folder of an address, with the options behind its `?`, and the name in it."""
    parts = split_address(uri)
    folder, _, name = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=folder)), name


def fetch(uri: str) -> bytes:
    """The bytes behind an address.

    Raises:
        SourceError: there is nothing, or too much.
        StorageError: the store or server cannot be reached, or refuses.
    """
    if scheme_of(uri) in WEB:
        return _fetch_from_web(uri)
    folder, name = split(uri)
    try:
        return _storage(folder).read(name)
    except FileNotFoundError:
        raise SourceError(f"{uri}: does not exist") from None


@lru_cache(maxsize=64)
def _storage(uri: str) -> Storage:
    """One connection a folder, for the many files in it."""
    return Storage(uri)


def _file_system(uri: str) -> tuple[Any, str]:
    from pyarrow import ArrowInvalid, fs

    if not scheme_of(uri):
        return fs.LocalFileSystem(), uri
    try:
        files, root = fs.FileSystem.from_uri(f"abfs{uri[2:]}" if uri.lower().startswith("az://") else uri)
    except (ArrowInvalid, OSError, ValueError) as error:
        raise ConfigError(f"{without_password(uri)}: {_said(error, scheme_of(uri))}") from error
    return files, root.rstrip("/")


def _said(error: Exception, scheme: str) -> str:
    """What happened and what to do, in one line: the words of stores run over many."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space is left on the device: make room"
    # Arrow gives a system error's number in brackets behind its own words.
    text = " ".join(str(error.strerror if isinstance(error, OSError) and error.strerror else error).split())
    code = found[1] if (found := re.search(r"AWS Error ([A-Z_]+)", text)) else ""
    if code == "NO_SUCH_BUCKET":
        return "there is no such bucket"
    if code == "NETWORK_CONNECTION":
        return "the store cannot be reached"
    if code in REFUSALS or any(word in text for word in ("Forbidden", "403", "credentials", "Token")):
        said = "the store refuses these credentials" if code in REFUSALS else shortened(text, 240)
        return f"{said}; check {CREDENTIALS.get(scheme, 'your credentials')}"
    return shortened(text, 240)


def _fetch_from_web(url: str) -> bytes:
    name = without_password(url)
    for number in range(TRIES):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                data: bytes = answer.read(LARGEST_BYTES + 1)
            break
        except urllib.error.HTTPError as error:
            # What the server says of one address is that input's own fault, but for a refusal and an outage.
            if error.code in (401, 403, 407):
                raise StorageError(f"{name}: the server refuses: {error.code} {error.reason}") from error
            if error.code < 500 and error.code != 429:
                raise SourceError(f"{name}: {error.code} {error.reason}") from error
            if number == TRIES - 1:
                raise StorageError(f"{name}: {error.code} {error.reason}, {TRIES} times") from error
        except (OSError, ValueError) as error:
            if number == TRIES - 1:
                raise StorageError(f"{name}: cannot be reached: {getattr(error, 'reason', error)}") from error
        time.sleep(0.5 * 4**number)
    if len(data) > LARGEST_BYTES:
        raise SourceError(f"{name}: more than {LARGEST_BYTES >> 30} GiB")
    return data
