from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import fs, parquet

from mien.apps import storage
from mien.apps.batch import inputs
from mien.apps.batch.inputs import Input, find_inputs
from mien.apps.batch.plan import Ledger, Unit, divide
from mien.apps.storage import Storage, StorageError
from mien.errors import ConfigError, OutputError, SourceError
from mien.images.pictures import write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.png", "deep/c.jpg", ".hidden.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, np.full((8, 8, 3), 99, np.uint8))
    (folder / "clip.mp4").write_bytes(b"no film, but called one")
    (folder / "notes.doc").write_bytes(b"words")
    return folder


def names(found: list[Input]) -> list[str]:
    return [Path(entry.name).name for entry in found]


def test_a_folder_gives_its_pictures_and_videos_and_says_what_it_skips(photos: Path) -> None:
    notices: list[str] = []
    found = find_inputs([str(photos)], notices.append)
    assert names(found) == ["a.png", "b.jpg", "clip.mp4", "c.jpg"]
    assert [entry.kind for entry in found] == ["picture", "picture", "video", "picture"]
    assert notices == [f"{photos}: 1 file skipped: 1 .doc"]


def test_what_is_named_twice_is_read_once(photos: Path) -> None:
    notices: list[str] = []
    found = find_inputs([str(photos / "b.jpg"), str(photos / "*.jpg"), str(photos)], notices.append)
    assert sorted(names(found)) == ["a.png", "b.jpg", "c.jpg", "clip.mp4"]
    assert any("2 inputs named more than once" in text for text in notices)


@pytest.mark.parametrize("ending", [".txt", ".csv", ".tsv", ".parquet"])
def test_a_table_of_paths(photos: Path, ending: str) -> None:
    table = photos / f"list{ending}"
    if ending == ".txt":
        table.write_text("a.png\n\ndeep/c.jpg\ngone.jpg\n", encoding="utf-8")
    elif ending == ".parquet":
        parquet.write_table(pa.table({"path": ["a.png", None, "deep/c.jpg", "gone.jpg"], "id": [1, 2, 3, 4]}), table)
    else:
        gap = "\t" if ending == ".tsv" else ","
        table.write_text(f"id{gap}path\n1{gap}a.png\n2{gap}deep/c.jpg\n3{gap}gone.jpg\n", encoding="utf-8")
    # A line that leads nowhere is an input too: its error stands in the output.
    assert names(find_inputs([str(table)], print)) == ["a.png", "c.jpg", "gone.jpg"]


def test_sources_that_lead_nowhere_say_so(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    table = tmp_path / "list.csv"
    table.write_text("file\na.png\n", encoding="utf-8")
    for source, message in (
        (str(tmp_path / "gone"), "there is no such file or folder"),
        (str(tmp_path / "empty"), "there is no picture or video"),
        (str(photos / "*.tiff"), "there is no picture or video"),
        (str(table), "expected a column 'path', found file"),
        ("ftp://host/a.jpg", "expected a path, or an address that begins with s3://"),
    ):
        with pytest.raises(ConfigError, match=message):
            find_inputs([source], print)


@pytest.mark.parametrize("source", ["s3://[half", "http://me:secret@[half/list.csv"])
def test_half_an_address_is_told(source: str) -> None:
    with pytest.raises(SourceError, match="expected an address, this one is malformed") as caught:
        find_inputs([source], print)
    assert "secret" not in str(caught.value)


def bucket(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let s3:// lead to a local folder."""

    def open_here(uri: str) -> tuple[fs.FileSystem, str]:
        parts = urlsplit(uri)
        return fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), f"{parts.netloc}{parts.path}".rstrip("/")

    monkeypatch.setattr(storage, "_file_system", open_here)
    storage._storage.cache_clear()


def test_a_bucket_is_listed_by_folder_and_by_pattern(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch, photos.parent)
    found = find_inputs(["s3://photos"], print)
    assert [entry.name for entry in found if entry.kind == "picture"] == [
        "s3://photos/a.png", "s3://photos/b.jpg", "s3://photos/deep/c.jpg",
    ]  # fmt: skip
    assert names(find_inputs(["s3://photos/*.png"], print)) == ["a.png"]
    assert names(find_inputs(["s3://photos/**/c.*"], print)) == ["c.jpg"]
    assert names(find_inputs(["s3://photos/b.jpg"], print)) == ["b.jpg"]
    assert storage.fetch("s3://photos/a.png") == (photos / "a.png").read_bytes()
    with pytest.raises(SourceError, match=r"s3://photos/gone\.png: does not exist"):
        storage.fetch("s3://photos/gone.png")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ACCESS_DENIED", "the store refuses these credentials; check AWS_ACCESS_KEY_ID"),
        ("INVALID_ACCESS_KEY_ID", "the store refuses these credentials; check AWS_ACCESS_KEY_ID"),
        ("NO_SUCH_BUCKET", "there is no such bucket"),
        ("NETWORK_CONNECTION", "the store cannot be reached"),
        ("SLOW_DOWN", "When listing: AWS Error SLOW_DOWN during ListObjectsV2 operation"),
    ],
)
def test_what_a_bucket_refuses_is_one_line(photos: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str) -> None:
    bucket(monkeypatch, photos.parent)

    def refuse(*_: object) -> None:
        raise PermissionError(f"When listing: AWS Error {code} during\nListObjectsV2 operation")

    store = Storage("s3://photos")
    store._files = type("Refusing", (), {"get_file_info": refuse})()
    with pytest.raises(StorageError, match=f"^cannot list s3://photos: {told}") as error:
        list(store.list())
    assert "\n" not in str(error.value)


def test_units_hold_every_input_once_and_videos_come_first() -> None:
    found = [Input(f"{i}.jpg", "picture") for i in range(7)] + [Input("s.mp4", "video", 1), Input("l.mp4", "video", 9)]
    units = divide(found, pictures_a_unit=3)
    assert [unit.names for unit in units] == [
        ("l.mp4",), ("s.mp4",), ("0.jpg", "1.jpg", "2.jpg"), ("3.jpg", "4.jpg", "5.jpg"), ("6.jpg",),
    ]  # fmt: skip
    assert divide(found, pictures_a_unit=3) == units
    assert len({unit.id for unit in units}) == len(units)
    assert Unit.from_json(units[2].to_json()) == units[2]


def test_an_output_is_taken_once_and_resumed_with_the_same_options(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path / "out")))
    with pytest.raises(ConfigError, match="holds no batch to go on with"):
        ledger.begin({"model": None}, resume=True, overwrite=False)
    ledger.begin({"model": None}, resume=False, overwrite=False)
    units = divide([Input("a.jpg", "picture"), Input("b.mp4", "video")])
    ledger.add(units)
    assert ledger.planned() == units
    assert not ledger.whole()
    with pytest.raises(ConfigError, match="holds a batch already: add --resume"):
        ledger.begin({"model": None}, resume=False, overwrite=False)
    with pytest.raises(ConfigError, match="was begun with model None, not 'mien-xs'"):
        ledger.begin({"model": "mien-xs"}, resume=True, overwrite=False)
    ledger.begin({"model": "mien-xs"}, resume=False, overwrite=True)
    assert not ledger.planned()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds other files"):
            Ledger(Storage(str(tmp_path))).begin({}, resume=False, overwrite=overwrite)


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Storage(str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        _write(store, ZeroDivisionError())
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"cannot write .*gone/a"), store.writing("gone/a") as file:
        file.write(b"x")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no space is left on the device: make room"):
        _write(Storage(str(tmp_path)), OSError(28, "No space left on device"))
    assert not list(tmp_path.iterdir())


def _write(store: Storage, error: Exception) -> None:
    with store.writing("a") as file:
        file.write(b"half")
        raise error


def test_web_addresses_retry_and_tell_bad_inputs_from_lost_servers(
    monkeypatch: pytest.MonkeyPatch, serving: Callable[[dict[str, list[int]]], str]
) -> None:
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)
    base = serving({"/flaky": [503, 429, 200], "/gone": [404], "/closed": [403], "/down": [500, 500, 500]})
    assert storage.fetch(f"{base}/flaky") == b"a picture"
    with pytest.raises(SourceError, match="404"):
        storage.fetch(f"{base}/gone")
    with pytest.raises(StorageError, match="the server refuses: 403"):
        storage.fetch(f"{base}/closed")
    with pytest.raises(StorageError, match=r"500 .* 3 times"):
        storage.fetch(f"{base}/down")
    assert inputs.find_inputs([f"{base}/a.mp4"], print)[0].kind == "video"


def test_what_a_kill_left_half_written_is_no_partition(tmp_path: Path) -> None:
    store = Storage(str(tmp_path / "out"))
    ledger = Ledger(store)
    ledger.begin({}, resume=False, overwrite=False)
    (tmp_path / "out" / "pictures" / "_0a1b2c3d.abc.parquet.part").write_bytes(b"PAR1")
    assert not ledger.whole()
    assert not list(store.list("pictures"))


@pytest.mark.parametrize("content", [b'{"format": 1, "opt', b"[]", b'{"format": 1, "options": 3}', b"\xff\xfe"])
def test_a_damaged_batch_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    ledger = Ledger(Storage(str(tmp_path / "out")))
    ledger.begin({}, resume=False, overwrite=False)
    header = tmp_path / "out" / "batch.json"
    header.write_bytes(content)
    with pytest.raises(ConfigError, match=r"batch\.json is damaged"):
        ledger.begin({}, resume=True, overwrite=False)
    assert header.read_bytes() == content


def test_a_damaged_plan_is_told(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path / "out")))
    ledger.begin({}, resume=False, overwrite=False)
    (tmp_path / "out" / "plan" / "abc.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match=r"abc\.parquet is damaged"):
        ledger.planned()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is a file: expected a folder"):
        Ledger(Storage(str(tmp_path / "file"))).begin({}, resume=False, overwrite=False)
