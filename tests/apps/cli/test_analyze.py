from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli.main import main
from mien.errors import shortened
from mien.images.pictures import encode, read, write

PICTURE = np.random.default_rng(5).integers(0, 256, (100, 100, 3), np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "in" / "more").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "more/a.jpg"):
        write(tmp_path / "in" / name, PICTURE)
    return tmp_path / "in"


@pytest.fixture
def mien(toy_artifact: Path):  # type: ignore[no-untyped-def]
    def run(*arguments: object) -> int:
        try:
            main(["analyze", "--model", str(toy_artifact), "--detector", "none", *map(str, arguments)])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def test_plain_lines_in_a_pipe(mien, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert mien(pictures) == 0
    captured = capsys.readouterr()
    lines = [line.split("\t") for line in captured.out.splitlines()]
    assert lines[0] == ["source", "face", "expression", "confidence"]
    assert [line[0] for line in lines[1:]] == [str(pictures / name) for name in ("a.jpg", "b.png", "more/a.jpg")]
    assert all(line[3].endswith("%") for line in lines[1:])
    assert captured.err == ""


def test_json_is_all_that_is_printed(mien, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    missing = pictures / "missing.png"
    assert mien(pictures / "a.jpg", missing, "--json") == 3
    captured = capsys.readouterr()
    good, bad = map(json.loads, captured.out.splitlines())
    assert (good["source"], good["width"], good["height"], good["error"]) == (
        str(pictures / "a.jpg"),
        100,
        100,
        None,
    )
    face = good["faces"][0]
    assert face["confidence"] == face["probabilities"][face["top"]]
    assert bad["faces"] == []
    assert "no such file" in bad["error"]
    assert captured.err.splitlines() == [
        f"error: {shortened(str(missing))}: no such file",
        "1 of 2 images could not be read",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_in_a_file(mien, pictures: Path, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / f"faces{suffix}"
    assert mien(pictures, "--out", out, "--labels", "eight", "--quiet") == 0
    text = out.read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(text))) if suffix == ".csv" else list(map(json.loads, text.splitlines()))
    assert len(found) == 3
    assert all(int(row["success"]) == 1 and "contempt" in row for row in found)
    assert {row["model"] for row in found} == {"toy 1.0"}
    assert mien(pictures, "--out", out) == 2
    assert mien(pictures, "--out", out, "--overwrite", "--quiet", "--flip") == 0
    assert out.read_text(encoding="utf-8").count("toy 1.0 +flip") == 3
    assert mien(pictures, "--out", out, "--overwrite", "--quiet", "--balance", "0.5") == 2
    assert mien(pictures, "--out", out, "--overwrite", "--quiet", "--balance", "0.5", "--model", "mien-xs") == 0
    assert out.read_text(encoding="utf-8").count(" +balance0.5") == 3


def test_annotated_pictures(mien, pictures: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "seen" / "today"
    assert mien(pictures, "--save", folder, "--quiet") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["a-2.jpg", "a.jpg", "b.png"]
    assert read(folder / "b.png").shape == (400, 400, 3)
    assert mien(pictures, "--save", folder, "--quiet") == 2
    assert mien(pictures, "--save", folder, "--quiet", "--overwrite") == 0
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_made(mien, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert mien(pictures, "--save", pictures / "a.jpg") == 2
    assert "cannot create the folder" in capsys.readouterr().err


def test_bad_pictures_are_told_and_the_rest_done(mien, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    (pictures / "text.jpg").write_text("no picture")
    (pictures / "empty.png").write_bytes(b"")
    (pictures / "cut.png").write_bytes(encode(PICTURE)[:900])
    assert mien(pictures, "--quiet") == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("error: ") == 3
    assert captured.err.endswith("3 of 6 images could not be read\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--labels", "nine"), "'seven', 'eight'"), (("--head", "mood"), "error: unknown head 'mood'"),
        (("--min-confidence", "2"), "0<=x<=1"), (("--min-confidence", "nan"), "error: min_confidence"),
        (("--out", "x.xlsx"), "error: cannot tell the format of x.xlsx"), (("--max-pixels", "0"), "x>=1"),
        (("--detector", "mtcnn"), "'auto', 'mien', 'yunet', 'haar', 'none'"), (("--min-face", "0"), "above 0"),
        (("--model", "mien-xxl"), "error: unknown model"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used(  # type: ignore[no-untyped-def]
    mien, pictures: Path, options: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mien(pictures, *options) == 2
    assert message in capsys.readouterr().err


def run_process(toy_artifact: Path, *arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [
        sys.executable,
        "-m",
        "mien",
        "analyze",
        "--model",
        toy_artifact,
        "--detector",
        "none",
        *arguments,
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_a_picture_on_standard_input(toy_artifact: Path) -> None:
    done = run_process(toy_artifact, "-", "--json", input=encode(PICTURE))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["source"] == "-"


def test_a_closed_pipe_is_quiet(toy_artifact: Path, pictures: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [
        sys.executable,
        "-m",
        "mien",
        "analyze",
        pictures,
        "--model",
        toy_artifact,
        "--detector",
        "none",
    ]
    done = subprocess.run(list(map(str, command)), stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.returncode != 0
    assert done.stderr == b""


AND_WHAT_WAS_LOADED = """
import atexit, sys
heavy = {"torch", "av", "rich", "matplotlib", "onnx", "pydantic", "asyncio", "email", "http", "ssl"}
atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))
from mien.apps.cli.main import main
main(sys.argv[1:])
"""


def test_reading_a_picture_loads_nothing_heavy(toy_artifact: Path, pictures: Path) -> None:
    arguments = ["analyze", pictures, "--model", toy_artifact, "--detector", "none", "--json"]
    command = [sys.executable, "-c", AND_WHAT_WAS_LOADED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_a_table_on_a_terminal(toy_artifact: Path, pictures: Path) -> None:
    pty = pytest.importorskip("pty")
    main_end, terminal = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "mien",
        "analyze",
        pictures / "a.jpg",
        "--model",
        toy_artifact,
        "--detector",
        "none",
    ]
    environment = os.environ | {"COLUMNS": "140", "TERM": "xterm-256color"}
    subprocess.run(list(map(str, command)), stdout=terminal, check=True, env=environment)
    os.close(terminal)
    shown = os.read(main_end, 65536).decode()
    os.close(main_end)
    assert "expression" in shown
    assert "█" in shown
    assert "1 picture, 1 face, toy 1.0, none detector" in shown
