from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import VARIABLE_S, sound_of, video_times_s, write_clip

from mien.apps.cli.main import main
from mien.errors import shortened
from mien.images.pictures import read, write
from mien.sources.stream import StreamInfo
from mien.structures import Frame


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", [i / 10 for i in range(30)], sound="aac")


@pytest.fixture
def mien(toy_artifact: Path):  # type: ignore[no-untyped-def]
    def run(*arguments: object) -> int:
        try:
            main(["analyze", "--model", str(toy_artifact), "--detector", "none", *map(str, arguments)])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_a_row_a_frame_and_a_line_an_episode(  # type: ignore[no-untyped-def]
    mien, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mien(clip, "--out", tmp_path / "rows.csv") == 0
    rows = table(tmp_path / "rows.csv")
    assert [int(row["frame"]) for row in rows] == list(range(30))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([i / 10 for i in range(30)], abs=1e-3)
    assert {row["track_id"] for row in rows} == {"1"}
    assert all(row["raw_top"] for row in rows)
    captured = capsys.readouterr()
    head, *lines = [line.split("\t") for line in captured.out.splitlines()]
    assert head == ["source", "face", "expression", "confidence", "start_s", "end_s"]
    assert lines[0][:2] == [str(clip), "1"]
    assert (lines[0][4], lines[-1][5]) == ("0.000", "3.000")
    assert captured.err == f"Saved: {tmp_path / 'rows.csv'} (30 rows)\n"


def test_pictures_and_videos_together(mien, clip: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    picture = write(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    assert mien(picture, clip, picture, "--out", tmp_path / "rows.jsonl", "--save", tmp_path / "seen", "-q") == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == [str(picture), *[str(clip)] * 30, str(picture)]
    assert rows[0].keys() == rows[1].keys()
    assert (rows[0]["track_id"], rows[0]["raw_top"], rows[1]["track_id"]) == (None, None, 1)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["a-2.png", "a.png", "clip.mp4"]


def test_a_pattern_that_videos_match(mien, clip: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    assert mien(tmp_path / "*.*", "--out", tmp_path / "rows.csv", "-q") == 0
    assert [row["source"] for row in table(tmp_path / "rows.csv")][::30] == [str(tmp_path / "a.png"), str(clip)]


def test_which_frames_are_taken(mien, clip: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "rows.csv"
    assert mien(clip, "--start", "0:01", "--end", "2", "--every", "3", "--no-track", "--out", out, "-q") == 0
    rows = table(out)
    assert [row["frame"] for row in rows] == ["10", "13", "16", "19"]
    assert "raw_top" not in rows[0]
    assert rows[0]["track_id"] == ""


def test_everything_that_a_video_can_become(mien, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    clip = write_clip(tmp_path / "clip.mkv", VARIABLE_S, sound="aac")
    files = {
        "--video": tmp_path / "seen.mp4",
        "--episodes": tmp_path / "episodes.eaf",
        "--timeline": tmp_path / "timeline.png",
    }
    options = [word for pair in files.items() for word in pair]
    assert mien(clip, *options, "-q") == 0
    assert video_times_s(files["--video"]) == pytest.approx(VARIABLE_S, abs=1e-3)
    assert sound_of(files["--video"]) == ("aac", pytest.approx(1.0, abs=0.2))
    tier = ET.parse(files["--episodes"]).getroot().find("TIER")
    assert tier is not None
    assert tier.attrib["TIER_ID"] == "face 1"
    assert read(files["--timeline"]).shape[1] == 1440
    before = {path: path.read_bytes() for path in files.values()}
    for pair in files.items():
        assert mien(clip, *pair, "-q") == 2
    assert before == {path: path.read_bytes() for path in files.values()}
    assert mien(clip, *options, "-q", "--overwrite") == 0


def test_json_lines_of_frames_or_of_summaries(mien, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert mien(clip, "--json") == 0
    frames = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["frame"] for entry in frames] == list(range(30))
    assert frames[5]["faces"][0]["track_id"] == 1
    assert mien(clip, "--json", "--summary") == 0
    (summary,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (summary["frames"], summary["frames_with_face"], len(summary["tracks"])) == (30, 30, 1)
    shares = [entry["share"] for entry in summary["tracks"][0]["labels"].values()]
    assert sum(shares) == pytest.approx(1.0, abs=0.001)


def test_summary_and_profile_as_text(mien, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert mien(clip, "--summary", "--profile") == 0
    captured = capsys.readouterr()
    assert "30 frames, 0:03.0, 1 face, a face in 100 %" in captured.out
    stages = [line.split()[0] for line in captured.err.splitlines()]
    assert {"decode", "detect", "track", "classify", "write", "total"} <= set(stages)
    assert captured.err.splitlines()[-1].startswith("30 frames, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "rows.xlsx"), "cannot tell the format"),
        (("--out", "nowhere/rows.csv"), "there is no folder nowhere"),
        (("--video", "a.avi"), "ending in .mp4"), (("--episodes", "a.txt"), ".csv, .eaf"),
        (("--timeline", "a.jpg"), "ending in .png"), (("--resume",), "--resume continues the table of --out"),
        (("--resume", "--out", "a.csv", "--video", "a.mp4"), "cannot be resumed"),
        (("--resume", "--out", "a.openface.csv"), "Mien's own tables"),
        (("--start", "later"), "expected a time"), (("--smooth", "-1"), "expected a time"),
        (("--rate", "0"), "rate above 0"), (("--start", "5", "--end", "2"), "0 ≤ start < end"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used(  # type: ignore[no-untyped-def]
    mien, clip: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert mien(clip, *options) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_files_that_were_written_are_listed_at_the_end(  # type: ignore[no-untyped-def]
    mien, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, video, folder = tmp_path / "rows.csv", tmp_path / "a.mp4", tmp_path / "shown"
    picture = write(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    assert mien(clip, picture, "--out", table, "--video", video, "--save", folder) == 0
    said = f"Saved: {table} (31 rows), {video}, {folder}/ (1 annotated image)"
    assert said in capsys.readouterr().err
    assert mien(picture, "--out", tmp_path / "one.csv", "--json") == 0
    captured = capsys.readouterr()
    assert f"Saved: {tmp_path / 'one.csv'} (1 row)" in captured.err
    assert captured.out.count("\n") == 1


def test_openface_is_refused_for_several_sources_before_any_is_read(  # type: ignore[no-untyped-def]
    mien, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write(folder / name, np.zeros((50, 50, 3), np.uint8))
    out = tmp_path / "rows.openface.csv"
    for sources in ((clip, clip), (folder,), (folder / "*.png",)):
        assert mien(*sources, "--out", out) == 2
        assert "holds one video or image" in capsys.readouterr().err
    assert mien(folder / "a.png", "--out", out) == 0
    assert out.exists()


def test_files_about_one_video(mien, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    picture = write(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    assert mien(clip, clip, "--timeline", tmp_path / "a2.png") == 2
    assert mien(picture, "--video", tmp_path / "a.mp4") == 2
    assert mien(picture, "--episodes", tmp_path / "a.csv") == 2
    errors = capsys.readouterr().err
    assert "there are 2 among" in errors
    assert "there are 0 among" in errors


def test_a_video_that_breaks_off_leaves_what_came_before(  # type: ignore[no-untyped-def]
    mien, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [i / 10 for i in range(60)], size=(240, 320))
    os.truncate(clip, clip.stat().st_size // 2)
    missing = tmp_path / "missing.mp4"
    outputs = ("--out", tmp_path / "rows.csv", "--video", tmp_path / "seen.mp4")
    assert mien(clip, missing, *outputs[:2], "-q") == 3
    errors = capsys.readouterr().err
    assert f"error: {clip}: " in errors
    assert f"error: {shortened(str(missing))}: no such file" in errors
    assert "2 of 2 sources could not be read" in errors
    count = len(table(tmp_path / "rows.csv"))
    assert 10 < count < 60
    assert mien(clip, *outputs, "-q", "--overwrite") == 3
    assert len(video_times_s(tmp_path / "seen.mp4")) == count


class Camera:
    """Gives frames until somebody presses Ctrl-C."""

    info = StreamInfo("camera:0", 64, 48, live=True)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for i in range(12):
            yield Frame(np.full((48, 64, 3), 90, np.uint8), "camera:0", i, i / 10)
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def test_an_interrupted_camera_leaves_finished_files(  # type: ignore[no-untyped-def]
    mien, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.reading.session.open_source", Camera)
    outputs = ("--out", tmp_path / "rows.csv", "--video", tmp_path / "seen.mp4", "--episodes", tmp_path / "e.csv")
    assert mien("0", *outputs, "-q") == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.csv", "rows.csv", "seen.mp4"]
    assert len(table(tmp_path / "rows.csv")) == 12
    assert len(video_times_s(tmp_path / "seen.mp4")) == 12


def command(toy_artifact: Path, *arguments: object) -> list[str]:
    words = [sys.executable, "-m", "mien", "analyze", "--model", toy_artifact, "--detector", "none", "-q", *arguments]
    return list(map(str, words))


STOPPED_AFTER_80 = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
import os, sys
from mien.apps.cli.main import main
from mien.sinks.tables import TableSink
write, stop, left = TableSink.write, int(sys.argv[1]), [80]
def write_and_stop(self, result):
    write(self, result)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), stop)
TableSink.write = write_and_stop
main(["analyze", *sys.argv[2:]])
"""


@pytest.mark.parametrize(
    ("suffix", "stop"),
    [(".csv", signal.SIGKILL), (".jsonl", signal.SIGINT), (".parquet", signal.SIGKILL)],
)
def test_a_killed_run_is_gone_on_with(
    mien, toy_artifact: Path, tmp_path: Path, suffix: str, stop: signal.Signals
) -> None:  # type: ignore[no-untyped-def]
    clip = write_clip(tmp_path / "clip.mkv", [i / 25 for i in range(120)])
    out, part = tmp_path / f"rows{suffix}", tmp_path / f"rows{suffix}.part"
    script = [sys.executable, "-c", STOPPED_AFTER_80, str(int(stop))]
    done = subprocess.run(
        [*script, *command(toy_artifact, clip, "--out", out)[4:]], check=False, capture_output=True, text=True
    )
    assert done.returncode == (130 if stop == signal.SIGINT else -stop)
    assert ("--resume continues" in done.stderr) == (stop == signal.SIGINT)
    assert not out.exists()
    assert part.read_bytes().count(b"\n") == 80 + (suffix == ".csv")
    assert mien(clip, "--out", out, "--resume", "--episodes", tmp_path / "e.csv", "-q") == 0
    assert mien(clip, "--out", tmp_path / "all.jsonl", "-q") == 0
    whole = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    resumed = read_rows(out)
    assert [row["frame"] for row in resumed] == list(range(120))
    assert {row["track_id"] for row in resumed} == {1}
    assert [row["raw_top"] for row in resumed] == [row["raw_top"] for row in whole]
    assert [row["happy"] for row in resumed] == pytest.approx([row["happy"] for row in whole], abs=0.002)
    assert table(tmp_path / "e.csv")[0]["start_s"] == "0.000", "episodes are of the whole, not of the rest"


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        numbers = {"frame": int, "track_id": int, "happy": float}
        return [row | {name: kind(row[name]) for name, kind in numbers.items()} for row in table(path)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist())


def test_a_full_disk(toy_artifact: Path, clip: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(toy_artifact, clip, "--out", tmp_path / "rows.csv"), check=False, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot write {tmp_path / 'rows.csv'}: ")
    assert (tmp_path / "rows.csv.part").read_bytes().endswith(b"\n")


def test_a_bar_and_a_table_on_a_terminal(toy_artifact: Path, clip: Path) -> None:
    pty = pytest.importorskip("pty")
    main_end, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "140", "TERM": "xterm-256color"}
    words = [word for word in command(toy_artifact, clip) if word != "-q"]
    process = subprocess.Popen(words, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while process.poll() is None or not shown.rstrip().endswith(b"\x1b[?25h"):
        try:
            shown += os.read(main_end, 65536)
        except OSError:
            break
    os.close(main_end)
    text = shown.decode()
    assert process.wait() == 0
    assert "frames/s" in text
    assert "share of time" in text
    assert "30 frames, 0:03.0, 1 face" in text
