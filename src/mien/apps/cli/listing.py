"""How `mien analyze` shows faces: a table on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mien.apps.cli.fitting import common_folder, shorten_middle
from mien.apps.cli.printing import BETWEEN, EDGES, bar_cells, share_bar
from mien.labels import percent
from mien.reading.results import Result
from mien.structures import Face

if TYPE_CHECKING:
    from mien.reading.summary import Episode, Summary

MOST_ROWS = 400
"""A terminal's table ends here; files hold the rest."""
NARROWEST_NAME = 12
"""Cells that the name of a source has on any terminal."""


class Listing(Protocol):
    """Takes results one by one and shows them."""

    def add(self, result: Result) -> None:
        """Take a picture's result."""
        ...

    def add_moving(self, summary: Summary, episodes: Sequence[Episode]) -> None:
        """Take what a video or stream has shown."""
        ...

    def close(self) -> None:
        """Show what is not shown yet."""
        ...


class PlainListing:
    """Tab-separated lines, as results come: source, face, expression, per cent; with videos, start and end too."""

    def __init__(self, *, moving: bool = False) -> None:
        self._rest = "\t\t\n" if moving else "\n"
        sys.stdout.write("source\tface\texpression\tconfidence" + ("\tstart_s\tend_s\n" if moving else "\n"))

    def add(self, result: Result) -> None:
        """Write a line a face."""
        # Without a frame the source has failed, and its error stands on stderr.
        if result.frame is not None and not result.faces:
            sys.stdout.write(f"{result.source}\t\tno face\t{self._rest}")
        for face in result.faces:
            sys.stdout.write(
                f"{result.source}\t{face.index + 1}\t{face.verdict}\t{percent(face.confidence)}{self._rest}"
            )

    def add_moving(self, summary: Summary, episodes: Sequence[Episode]) -> None:
        """Write a line an expression interval, and one for each face that has none."""
        if not summary.tracks:
            sys.stdout.write(f"{summary.source}\t\tno face\t{self._rest}")
        for track in summary.tracks:
            # A face that was never sure of an expression should not be missing from the list.
            if all(entry.track_id != track.track_id for entry in episodes):
                verdict = f"{track.verdict}\t\t{track.first_s:.3f}\t{track.last_s:.3f}"
                sys.stdout.write(f"{summary.source}\t{track.track_id}\t{verdict}\n")
        for entry in episodes:
            verdict = f"{entry.label}\t{percent(entry.mean_confidence)}\t{entry.start_s:.3f}\t{entry.end_s:.3f}"
            sys.stdout.write(f"{summary.source}\t{entry.track_id}\t{verdict}\n")

    def close(self) -> None:
        """Nothing is left to show."""


class TableListing:
    """A table with a bar a face, shown when all is done; it keeps only text."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []
        self._colours: list[tuple[int, int, int]] = []
        self._left_out = self._pictures = self._faces = 0
        self._footer: set[str] = set()

    def add(self, result: Result) -> None:
        """Keep a line a face."""
        self._pictures += result.frame is not None
        self._faces += len(result.faces)
        if result.frame is not None and not result.faces:
            self._keep((result.source, "", "no face", "", ""), (150, 152, 156))
        for number, face in enumerate(result.faces):
            self._footer.add(f"{face.model}, {face.detector} detector")
            # The name once a picture: the eye finds groups by it.
            name = result.source if number == 0 else ""
            cells = (name, str(face.index + 1), face.verdict, percent(face.confidence), str(face.confidence))
            self._keep(cells, _colour(face))

    def add_moving(self, summary: Summary, episodes: Sequence[Episode]) -> None:
        """Show the summary at once."""
        from mien.apps.cli.summary_table import print_summary

        print_summary(summary)

    def close(self) -> None:
        """Show the table of the pictures, if there were any."""
        if not self._rows:
            return
        from rich.cells import cell_len
        from rich.console import Console
        from rich.text import Text

        from mien.apps.cli.printing import create_table

        console = Console()
        if folder := common_folder([row[0] for row in self._rows if row[0]]):
            console.print(Text(folder, style="bold"), soft_wrap=True)
            self._rows = [(row[0].removeprefix(folder), *row[1:]) for row in self._rows]
        names = ("source", "face", "expression", "confidence")
        widths = [max(len(name), *(cell_len(row[place]) for row in self._rows)) for place, name in enumerate(names)]
        cells = bar_cells(console.width, widths)
        room = max(console.width - sum(widths[1:]) - cells - BETWEEN * len(widths) - EDGES, NARROWEST_NAME)
        table = create_table("", names[0], "face", "expression", "confidence", "")
        for column in table.columns[2::2]:
            column.justify = "left"
        for (name, *figures, share), (red, green, blue) in zip(self._rows, self._colours, strict=True):
            ink = f"rgb({red},{green},{blue})"
            row = (shorten_middle(name, room), *figures, share_bar(float(share or 0), cells))
            # As Text, because a file name may hold [brackets], which rich takes for markup.
            table.add_row(*(Text(text, style=ink if column in (2, 4) else "") for column, text in enumerate(row)))
        console.print(table)
        if self._left_out:
            console.print(f"… and {self._left_out} rows more: --out writes them all")
        summary = ", ".join([_count(self._pictures, "picture"), _count(self._faces, "face"), *sorted(self._footer)])
        console.print(Text(summary, style="dim"))

    def _keep(self, row: tuple[str, ...], colour: tuple[int, int, int]) -> None:
        # Thousands of pictures would fill the terminal, and the memory.
        if len(self._rows) == MOST_ROWS:
            self._left_out += 1
            return
        self._rows.append(row)
        self._colours.append(colour)


def _colour(face: Face) -> tuple[int, int, int]:
    from mien.reading.drawing import PALETTE, UNSURE

    return UNSURE if face.abstained else PALETTE[face.top]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
