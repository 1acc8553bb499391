from __future__ import annotations

from pathlib import Path

import pytest

from mien.apps.web.server import REPORTS_VARIABLE, find_roots, list_reports, locked_in, named_roots, read_report
from mien.errors import ConfigError, SourceError


def test_only_pages_below_the_folder_are_listed(tmp_path: Path) -> None:
    root = tmp_path / "reports"
    (root / "one").mkdir(parents=True)
    (root / "one" / "report.html").write_text("<p>one</p>")
    (root / "one" / "notes.txt").write_text("none")
    (tmp_path / "secret.html").write_text("secret")
    (root / "link.html").symlink_to(tmp_path / "secret.html")
    reports = list_reports(find_roots([root]))
    assert [report.name for report in reports] == ["reports/one/report.html"]
    assert read_report(reports[0]) == "<p>one</p>"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--reports"):
        find_roots([tmp_path / "none"])


def test_no_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_roots() == []
    monkeypatch.setenv(REPORTS_VARIABLE, "")
    assert named_roots() == []


def test_a_report_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SourceError, match="cannot be read"):
        read_report(list_reports([tmp_path.resolve()])[0])


def test_a_report_is_shown_in_a_frame_that_it_cannot_leave() -> None:
    page = locked_in('<script>alert("x")</script>', 'a"b')
    assert '<iframe sandbox=""' in page
    assert "<script>" not in page
    assert "default-src 'none'" in page
