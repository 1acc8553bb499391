"""The summary of a video or stream as a table: a block a face, a line an expression."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mien.apps.cli.fitting import shorten_middle
from mien.apps.cli.printing import BETWEEN, bar_cells, create_table, share_bar
from mien.labels import percent
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.summary import Summary, TrackSummary
from mien.reading.timeline import clock

MOST_FACES = 12
LEAST_SHARE = 0.005
PLAIN_WIDTH = 110
SHARE = "share of time"
WIDTHS = (4, 7, 12, 10, 5, 5, 5, 7)
"""Cells of the columns beside the bar."""
NARROWEST_NAME = 12


def print_summary(summary: Summary) -> None:
    """Write it to standard output; faces seen longest first to be kept when there are many."""
    console = Console()
    # In a pipe rich takes 80 columns, too few for this table.
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    longest = sorted(summary.tracks, key=lambda track: -track.visible_s)[:MOST_FACES]
    headline = _headline(summary)
    name = shorten_middle(summary.source, max(console.width - len(headline) - BETWEEN, NARROWEST_NAME))
    console.print(Text(name, style="bold"), Text(headline, style="dim"), sep="  ", soft_wrap=True)
    if not summary.tracks:
        return
    table = create_table("", "face", "seen", "changes/min", "expression", SHARE, "", "mean", "peak", "at")
    table.columns[0].justify, table.columns[3].justify, table.columns[4].justify = "right", "left", "left"
    cells = bar_cells(console.width, WIDTHS)
    if cells < len(SHARE):
        table.columns[4].header, table.columns[5].header = "", "share"
    for track in sorted(longest, key=lambda track: track.track_id):
        _add_face(table, track, cells)
    console.print(table)
    for line in _values(longest):
        console.print(Text(line, style="dim"), soft_wrap=True)
    if len(summary.tracks) > MOST_FACES:
        console.print(f"… and {len(summary.tracks) - MOST_FACES} faces more, seen for a shorter time")


def _values(tracks: list[TrackSummary]) -> list[str]:
    """Mean valence, arousal and intensity, a line a face."""
    return [
        f"face {track.track_id}, mean: " + ", ".join(_value(name, found.mean) for name, found in track.affect.items())
        for track in sorted(tracks, key=lambda track: track.track_id)
        if track.affect
    ]


def _value(name: str, mean: float) -> str:
    return f"{name} {percent(mean)}" if name == "intensity" else f"{name} {mean:+.2f}".replace("-", "−")


def _headline(summary: Summary) -> str:
    faces = f"{len(summary.tracks)} face" + ("" if len(summary.tracks) == 1 else "s")
    with_face = summary.frames_with_face / summary.frames if summary.frames else 0.0
    return f"{summary.frames} frames, {clock(summary.duration_s, decimals=1)}, {faces}, a face in {percent(with_face)}"


def _add_face(table: Table, track: TrackSummary, cells: int) -> None:
    """A line for each expression that was shown, longest first, and for the time without a verdict."""
    order = sorted(track.labels, key=lambda name: -track.labels[name].share)
    shown = [name for name in order if track.labels[name].share >= LEAST_SHARE] or [track.main_label]
    changes = f"{track.changes_a_minute:.0f} (raw {track.raw_changes_a_minute:.0f})"
    first = (str(track.track_id), clock(track.visible_s, decimals=1), changes)
    lines = [(name, track.labels[name].share, PALETTE[name]) for name in shown]
    if track.unsure_share >= LEAST_SHARE:
        lines.append(("not sure", track.unsure_share, UNSURE))
    for number, (name, share, (red, green, blue)) in enumerate(lines):
        ink = f"rgb({red},{green},{blue})"
        figures = ["", "", ""]
        if name in track.labels:
            found = track.labels[name]
            figures = [percent(found.mean), percent(found.peak), clock(found.peak_s, decimals=1)]
        head = first if number == 0 else ("", "", "")
        table.add_row(*head, Text(name, style=ink), Text(share_bar(share, cells), style=ink), percent(share), *figures)
