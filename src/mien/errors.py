"""The error tree, each class with the exit code that the command line returns for it.

    MienError                 1
    ├── ConfigError           2   a setting or argument that cannot be used
    │   ├── MissingExtraError 2   an optional dependency is not installed
    │   └── OutputError       2   an output that already exists or cannot be written
    ├── SourceError           3   a picture or stream that cannot be read
    │   └── ImageTooLargeError 3
    ├── DataError             4   a data set that is not what it should be
    ├── ArtifactError         5   a model that is damaged, foreign or newer than this version
    ├── DownloadError         6   a file that could not be fetched or verified
    ├── TrainingError         7   a training that cannot continue
    └── TrackingError         8   a store of runs and versions that cannot be reached or read

A message says what was expected, what came, and what to do.
"""

from __future__ import annotations


class MienError(Exception):
    """Base of all errors that Mien raises on purpose."""

    exit_code = 1


class ConfigError(MienError):
    """A setting or argument cannot be used as it is."""

    exit_code = 2


class MissingExtraError(ConfigError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'this needs {package}, which is not installed: pip install "mien[{extra}]"')


class OutputError(ConfigError):
    """An output already exists, or cannot be written."""

    @classmethod
    def of(cls, path: object, error: OSError) -> OutputError:
        """What the system says about an output that it could not write."""
        return cls(f"cannot write {path}: {error.strerror or error}")


class SourceError(MienError):
    """A picture or stream cannot be read."""

    exit_code = 3


class ImageTooLargeError(SourceError):
    """A picture has more pixels or bytes than the limit allows."""


class DataError(MienError):
    """A data set is not what it should be."""

    exit_code = 4


class ArtifactError(MienError):
    """A model on disk is damaged, foreign, or newer than this version of Mien."""

    exit_code = 5


class DownloadError(MienError):
    """A file could not be fetched or is not the one that was pinned."""

    exit_code = 6


class TrainingError(MienError):
    """A training cannot start or continue."""

    exit_code = 7


class TrackingError(MienError):
    """The store of runs and versions cannot be reached or read."""

    exit_code = 8


def shortened(text: str, most: int = 80) -> str:
    """A name as messages show it: a long one loses its middle.

    >>> shortened("data:image/png;base64,iVBORw0KGgo", 12)
    'data:i…0KGgo'
    """
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"
