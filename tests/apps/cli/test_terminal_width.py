"""What the tables look like on a terminal of 80 columns and fewer."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import make_face, make_result, make_video

from mien.apps.cli.fitting import hanging, shorten_middle
from mien.apps.cli.listing import TableListing
from mien.apps.cli.summary_table import print_summary
from mien.labels import SEVEN
from mien.reading.history import History
from mien.reading.summary import summarize

LONG = "/data/photographs of the family/2026/summer in Italy/rome/" + "IMG_20260714_153012.jpg"


@pytest.fixture(params=[80, 60, 200])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def test_a_picture_is_one_line_with_the_name_of_its_file(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    listing = TableListing()
    listing.add(make_result(0, [make_face(track_id=None)], source=LONG))
    listing.close()
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "happy" in line]
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.strip()]) == 4
    assert "70 %" in line
    assert "█" in line
    assert line.split("  ")[0].endswith("IMG_20260714_153012.jpg" if width > 60 else "_153012.jpg")


def test_pictures_of_one_folder_name_it_once(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    listing = TableListing()
    for number in (1, 2):
        source = str(Path(LONG).with_name(f"{number}.jpg"))
        listing.add(make_result(0, [make_face(track_id=None)], source=source))
    listing.close()
    text = capsys.readouterr().out
    assert text.count("photographs of the family") == 1
    assert "…" not in text
    assert [line.split()[0] for line in text.splitlines() if "happy" in line] == ["1.jpg", "2.jpg"]


def test_a_fact_hangs_on_a_terminal_and_is_one_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a rather long sentence of the doctor about what is missing"
    assert hanging("window", text, 10) == f"window    {text}"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = hanging("window", text, 10).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) < 40
    assert all(line.startswith(" " * 10) for line in lines[1:])


def test_a_short_name_leaves_the_bar_its_length(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    listing = TableListing()
    listing.add(make_result(0, [make_face(track_id=None)], source="a.jpg"))
    listing.close()
    assert capsys.readouterr().out.count("█") >= (16 if width >= 80 else 8)


@pytest.mark.parametrize(("columns", "wide"), [(80, []), (100, ["of", "time"])])
def test_the_summary_of_a_video_keeps_its_headers_and_words(
    columns: int, wide: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    # Else rich writes as for a pipe, 110 columns wide.
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    history = History(SEVEN)
    for result in make_video(*["surprise"] * 30, *["neutral"] * 30, source=LONG):
        history.add(result)
    print_summary(summarize(history, LONG))
    lines = capsys.readouterr().out.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", "").splitlines()
    assert not any("…" in line for line in lines[1:])
    assert max(map(len, lines)) <= columns
    assert lines[2].split() == ["face", "seen", "changes/min", "expression", "share", *wide, "mean", "peak", "at"]
    assert any("surprise" in line and "█" in line for line in lines)


@pytest.mark.parametrize("cells", range(8, 40))
def test_shortened_names_have_the_width_and_keep_the_ending(cells: int) -> None:
    short = shorten_middle(LONG, cells)
    assert len(short) == cells
    assert short.endswith(".jpg" if cells < 26 else "/IMG_20260714_153012.jpg")
    assert shorten_middle("a.jpg", cells) == "a.jpg"
