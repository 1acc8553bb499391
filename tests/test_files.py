from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mien.errors import OutputError
from mien.files import read_npz, replacing, require_free, write_whole


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for content in (b"first", b"second, longer"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_whole(path, b"older")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"older"
    assert path.read_bytes() == b"new"


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_whole(path, b"older")
    with pytest.raises(ZeroDivisionError):
        _write_half(path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(OSError, match=r"No space left on device: .*a\.json"), replacing(path):
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match=r"No such file or directory: .*none/a\.json"):
        write_whole(tmp_path / "none" / "a.json", b"")


def test_two_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with replacing(path) as one, replacing(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_rights_that_any_new_file_has(tmp_path: Path) -> None:
    write_whole(tmp_path / "whole", b"")
    (tmp_path / "plain").touch()
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "table.csv", b"")


def _write_half(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"half of the ne")
        raise ZeroDivisionError


def packed(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", faces=np.arange(6).reshape(2, 3), name=np.array("so"), more=np.zeros(0))
    assert read_npz(path).keys() == {"faces", "name", "more"}
    found = read_npz(path, ("name",), optional=("more", "votes"))
    assert (str(found["name"]), list(found)) == ("so", ["name", "more"])
    with pytest.raises(ValueError, match="no array votes: expected faces, votes, found faces, name, more"):
        read_npz(path, ("faces", "votes"))


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", faces=np.zeros(3), code=np.array([{}], object))
    assert len(read_npz(path, ("faces",))["faces"]) == 3
    with pytest.raises(ValueError, match="code: holds pickled objects"):
        read_npz(path)


def test_archives_that_unpack_out_of_proportion_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "a.npz", faces=np.zeros(1 << 20))
    assert len(read_npz(path)["faces"]) == 1 << 20
    monkeypatch.setattr("mien.files.SMALL_BYTES", 1 << 10)
    with pytest.raises(ValueError, match=r"bytes unpack to [\d,]+, more than 100 times as many"):
        read_npz(path)


def test_headers_that_promise_too_much_are_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("faces.npy", header.getvalue() + bytes(80))
    with pytest.raises(ValueError, match=r"faces: 8,000,000,000,000 bytes promised, 80 there"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a whole npz archive"):
        read_npz(tmp_path / "a.npz")


def test_an_output_that_exists_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    require_free(path)
    path.write_text("")
    with pytest.raises(OutputError, match=r"out\.csv already exists: choose another name, or add --overwrite"):
        require_free(path)
    with pytest.raises(OutputError, match=r"out\.csv already exists: wait$"):
        require_free(path, advice="wait")
    require_free(path, overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        require_free(tmp_path, overwrite=True)
