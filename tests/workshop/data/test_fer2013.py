from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import read_csv

PIXELS = "c267d81af4fae7bced50ff1be0ce06f7d14fb05887ece2efe39e04c35f8558b1"
"""SHA-256 of the 35,887 × 48 × 48 bytes in the order of the file."""
Write = Callable[..., Path]
Rows = list[tuple[str, str, str]]


def read(path: Path, tmp_path: Path):
    return read_csv(path, cache_dir=tmp_path / "cache")


def cached(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.npz"))


def change(rows: Rows, row: int, **fields: str) -> Rows:
    emotion, pixels, usage = rows[row]
    changed = (fields.get("emotion", emotion), fields.get("pixels", pixels), fields.get("usage", usage))
    return [*rows[:row], changed, *rows[row + 1 :]]


def test_rows_come_as_they_stand(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    dataset = read(write_csv(rows), tmp_path)
    assert dataset.images.shape == (12, 48, 48)
    assert dataset.images.dtype == np.uint8
    for row, (emotion, pixels, _usage) in enumerate(rows):
        assert dataset.images[row].ravel().tolist() == [int(value) for value in pixels.split()]
        assert dataset.labels[row] == int(emotion)
    assert dataset.split.tolist() == [0] * 6 + [1] * 3 + [2] * 3
    assert dataset.ids[0] == "Training_00000"
    assert dataset.ids[11] == "PrivateTest_00011"


def test_other_published_order_of_columns_reads_the_same(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    one = read(write_csv(rows), tmp_path)
    other = [(emotion, usage, pixels) for emotion, pixels, usage in rows]
    two = read(write_csv(other, "icml_face_data.csv", "emotion, Usage, pixels"), tmp_path)
    assert (one.images == two.images).all()
    assert (one.labels == two.labels).all()
    assert (one.split == two.split).all()


def test_windows_line_ends_quotes_and_byte_order_mark(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    plain = read(write_csv(rows), tmp_path)
    text = "\r\n".join(["emotion,pixels,Usage", *(f'{e},"{p}",{u}' for e, p, u in rows), "", ""])
    path = tmp_path / "windows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert (read(path, tmp_path).images == plain.images).all()


def test_second_read_comes_from_the_cache(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(rows)
    first = read(path, tmp_path)
    assert len(cached(tmp_path)) == 1
    before = cached(tmp_path)[0].stat().st_mtime_ns
    second = read(path, tmp_path)
    assert cached(tmp_path)[0].stat().st_mtime_ns == before
    assert (first.images == second.images).all()
    assert first.sha256 == second.sha256
    assert second.labels.dtype == np.int64


def test_changed_file_is_read_anew(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(rows)
    stat = path.stat()
    read(path, tmp_path)
    write_csv(change(rows, 0, emotion="6"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read(path, tmp_path).labels[0] == 6


def test_same_content_elsewhere_shares_the_cache(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    read(write_csv(rows), tmp_path)
    read(write_csv(rows, "copy.csv"), tmp_path)
    assert len(cached(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "foreign"])
def test_damaged_cache_is_remade(damage: str, rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(rows)
    whole = read(path, tmp_path)
    kept = cached(tmp_path)[0]
    data = kept.read_bytes()
    if damage == "foreign":
        np.savez(kept, images=np.zeros((3, 8, 8), np.uint8), labels=np.zeros(3), split=np.zeros(3))
    else:
        middle = bytes(255 - byte for byte in data[5000:5010])
        kept.write_bytes({"short": data[:5000], "flipped": data[:5000] + middle + data[5010:], "empty": b""}[damage])
    for memo in (tmp_path / "cache").glob("*.json"):
        memo.write_text("{")
    again = read(path, tmp_path)
    assert (again.images == whole.images).all()
    assert kept.read_bytes() == data


def test_cache_folder_that_cannot_be_made_is_no_obstacle(rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(read(write_csv(rows), tmp_path)) == 12


def test_default_cache_lies_in_the_home_of_mien(rows: Rows, write_csv: Write) -> None:
    read_csv(write_csv(rows))
    assert list((Path(os.environ["MIEN_HOME"]) / "cache" / "datasets").glob("fer2013-*.npz"))


PIXELS_SHORT = " ".join(["7"] * 2303)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pixels": PIXELS_SHORT}, r"row 3 \(line 4\): expected 2,304 pixels \(48×48\), found 2,303"),
        ({"pixels": PIXELS_SHORT + " 300"}, r"row 3 .*0–255, but pixel 2304 is 300"),
        ({"pixels": "-1 " + PIXELS_SHORT}, r"row 3 .*0–255, but pixel 1 is -1"),
        ({"pixels": PIXELS_SHORT + " x9"}, r"row 3 .*whole numbers 0–255 .* found 'x9'"),
        ({"pixels": PIXELS_SHORT + " 1.5"}, r"row 3 .*found '1.5'"),
        ({"pixels": ""}, r"row 3 .*expected 2,304 pixels"),
        ({"usage": "Testing"}, r"row 3 .*Usage is one of Training, PublicTest, PrivateTest, found 'Testing'"),
        ({"emotion": "7"}, r"row 3 .*emotion is a number 0–6 .*found '7'"),
        ({"emotion": "-1"}, r"row 3 .*emotion is a number 0–6"),
        ({"emotion": "happy"}, r"row 3 .*found 'happy'"),
        ({"usage": "Training,more"}, r"row 3 .*expected 3 columns, found 4"),
    ],
)
def test_bad_row_is_named(fields: dict[str, str], message: str, rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(change(rows, 2, **fields))
    with pytest.raises(DataError, match=message) as caught:
        read(path, tmp_path)
    assert str(path) in str(caught.value)
    assert cached(tmp_path) == []


@pytest.mark.parametrize("kept", [10, 40, 4000])
def test_truncated_file_says_so(kept: int, rows: Rows, write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(rows)
    data = path.read_bytes()
    last = data.rstrip().rfind(b"\n") + 1
    path.write_bytes(data[: last + kept])
    with pytest.raises(DataError, match=r"row 12 \(line 13\): the file may be truncated"):
        read(path, tmp_path)
    assert cached(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"emotion,pixels,Usage\n", "header but no rows"),
        (b"emotion,pixels\n0,1 2\n", "no column Usage"),
        (b"pixels\n1 2\n", "no column emotion, Usage"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "not a text file"),
        (bytes(range(128)) * 100, "no column emotion, pixels, Usage"),
    ],
)
def test_file_of_another_kind_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path, tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.csv", tmp_path)


def test_other_counts_are_warned_of_with_split_and_both_numbers(
    rows: Rows, write_csv: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_csv(rows)
    for _ in range(2):  # parsed, then from the cache
        caplog.clear()
        assert len(read_csv(path, cache_dir=tmp_path / "cache"))
        (record,) = caplog.records
        assert (record.levelname, record.name) == ("WARNING", "mien")
        assert "Training has 6 rows, all of FER2013 has 28,709" in record.message


@pytest.mark.data
def test_real_file_is_read_to_the_pixel(fer2013: FaceDataset) -> None:
    """Parsed by the first process that needed it, read from the cache by the others."""
    assert hashlib.sha256(fer2013.images.tobytes()).hexdigest() == PIXELS
    assert np.bincount(fer2013.split).tolist() == [28_709, 3_589, 3_589]
    assert np.bincount(fer2013.labels[fer2013.split == 0]).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]


@pytest.mark.data
def test_real_file_cut_between_rows_is_noticed(
    fer2013_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "fer2013.csv"
    with (fer2013_folder / "fer2013.csv").open("rb") as source:
        path.write_bytes(b"".join(source.readline() for _ in range(1001)))
    read_csv(path, cache_dir=tmp_path / "cache")
    assert "Training has 1,000 rows, all of FER2013 has 28,709" in caplog.text
