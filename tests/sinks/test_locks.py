"""Who may write a file when the system refuses locks, or has none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

fcntl = pytest.importorskip("fcntl", reason="Windows has other locks; tests/test_platforms.py makes them up")

from mien.errors import ConfigError
from mien.files import try_lock
from mien.sinks.base import PartFile


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_one_has_it_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with path.open("ab") as one, path.open("ab") as other:
        assert try_lock(one)
        assert not try_lock(other)
        one.close()
        assert try_lock(other)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int) -> None:
    refuse(monkeypatch, number)
    part = PartFile(tmp_path / "rows.csv")
    part.write("a\n")
    part.close()
    assert (tmp_path / "rows.csv").read_text() == "a\n"


def test_another_refusal_is_told_and_costs_no_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.part").write_text("a\n")
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(ConfigError, match=r"cannot write .*rows\.csv: refused"):
        PartFile(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv.part").read_text() == "a\n"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*rows\.csv: No such file"):
        PartFile(tmp_path / "none" / "rows.csv")


def test_rows_stay_in_the_part_when_it_cannot_get_its_name(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "rows.csv")
    part.write("a\n")
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(ConfigError, match=r"cannot write .*all rows are in .*rows\.csv\.part"):
        part.close()
    assert (tmp_path / "rows.csv.part").read_text() == "a\n"
