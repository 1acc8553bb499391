"""Reports as files: where they lie, and what of them may be shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mien.errors import ConfigError, SourceError

REPORTS_VARIABLE = "MIEN_APP_REPORTS"
USUAL = (Path("reports"), Path("docs/study"))
MAX_BYTES = 40 * 2**20
MOST = 500
"""Reports that are listed."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"


@dataclass(frozen=True)
class Report:
    """A report below one of the folders.

    Args:
        root: the folder that was named.
        path: the file, resolved.
    """

    root: Path
    path: Path

    @property
    def name(self) -> str:
        """Its path below the folder that was named."""
        return f"{self.root.name}/{self.path.relative_to(self.root).as_posix()}"


def find_roots(asked: Sequence[Path] = ()) -> list[Path]:
    """The folders with reports: those asked for, else the usual ones that are there.

    Raises:
        ConfigError: a folder that was asked for is not there.
    """
    for folder in asked:
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}: --reports takes the folder that `--out` of a report named")
    return [folder.resolve() for folder in asked or USUAL if folder.is_dir()]


def named_roots() -> list[Path]:
    """The folders that the server was started with."""
    named = os.environ.get(REPORTS_VARIABLE)
    return find_roots() if named is None else [Path(name) for name in named.split(os.pathsep) if name]


def list_reports(roots: Sequence[Path]) -> list[Report]:
    """The HTML files below the folders, the newest first; a link that leads out of its folder is left out."""
    found = [
        Report(root, path.resolve())
        for root in roots
        for path in root.rglob("*.html")
        if path.is_file() and path.resolve().is_relative_to(root)
    ]
    return sorted(dict.fromkeys(found), key=lambda report: (-report.path.stat().st_mtime, report.name))[:MOST]


def read_report(report: Report) -> str:
    """The file's text.

    Raises:
        SourceError: it is gone, too large, or no text.
    """
    try:
        if report.path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{report.name} has more than {MAX_BYTES // 2**20} MB: open the file itself in a browser")
        return report.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{report.name} cannot be read: {error}") from error


def locked_in(html: str, title: str) -> str:
    """A page that shows another one in a frame of its own, where it can neither run a script nor load a thing."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title>"
        "<style>html,body{margin:0;height:100%}iframe{border:0;width:100%;height:100%;display:block}</style></head>"
        f'<body><iframe sandbox="" title="{escape(title)}" srcdoc="{escape(html)}"></iframe></body></html>'
    )
