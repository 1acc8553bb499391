"""Text made to fit a terminal: paths, folders, and facts of several lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def shorten_middle(text: str, cells: int) -> str:
    """A path or name in so many cells: the file's name stays whole if it can, folders give way to an ellipsis.

    >>> shorten_middle("holidays/2026/italy/rome/IMG_2041.jpg", 24)
    'holidays/2…/IMG_2041.jpg'
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= cells:
        return text
    name = text[text.replace("\\", "/").rfind("/") :] if "/" in text or "\\" in text else text[-cells // 2 :]
    tail = name if cell_len(name) <= cells - 2 else text[-(2 * cells // 3) :]
    head = set_cell_size(text, max(cells - 1 - cell_len(tail), 0)).rstrip()
    return f"{head}…{tail}"


def common_folder(names: Sequence[str]) -> str:
    """The folder in which all of several files are, with its separator; empty if there is none to be told.

    >>> common_folder(["album/a.jpg", "album/2026/b.jpg"]), common_folder(["a.jpg", "album/b.jpg"])
    ('album/', '')
    """
    # Addresses and standard input are in no folder.
    if len(names) < 2 or any("://" in name or name == "-" for name in names):
        return ""
    folder = _folder_of(names[0])
    while not all(name.startswith(folder) for name in names):
        folder = _folder_of(folder[:-1])
    # The root of all files need not be told.
    return folder if len(folder) > 1 else ""


def _folder_of(name: str) -> str:
    return name[: max(name.rfind(sign) for sign in "/\\") + 1]


def hanging(name: str, text: str, indent: int) -> str:
    """A fact with its name at the left; on a terminal its further lines begin below its first word."""
    from shutil import get_terminal_size
    from textwrap import wrap

    head = f"{name:<{indent}}"
    # Whoever reads it in a pipe wants one line a fact.
    room = get_terminal_size().columns - 1 - indent
    if not sys.stdout.isatty() or room < indent:
        return head + text
    lines = wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return f"\n{'':<{indent}}".join([head + lines[0], *lines[1:]])
