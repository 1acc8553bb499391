"""`mien data review` up to where the server begins."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from commands import invoke
from suspects import make_table

from mien.apps.review import server
from mien.errors import ConfigError, DataError
from mien.workshop.curation.decisions import decisions_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the server was started with."""
    pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')
    calls: list[Any] = []
    monkeypatch.setattr(server, "start", lambda bench, **options: calls.append((bench, options)))
    return calls


def run(*arguments: object) -> None:
    result = invoke("data review", *arguments)
    if result.exception:
        raise result.exception


def test_the_table_its_data_and_its_log_are_opened(tmp_path: Path, started: list[Any]) -> None:
    path, table, _ = make_table(tmp_path)
    run(path, "--reviewer", "Ada", "--kind", "label", "--no-browser")
    ((bench, options),) = started
    assert (bench.reviewer, bench.kind, bench.title, len(bench.dataset)) == ("Ada", "label", "issues.csv", 60)
    assert bench.table.issues == table.issues
    assert options["browser"] is False
    assert decisions_path(path).exists()


def test_another_data_set_is_refused(tmp_path: Path, started: list[Any]) -> None:
    path, _, _ = make_table(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_table(tmp_path / "other", votes=False)[0].with_name("faces.npz")
    with pytest.raises(DataError, match="the issues are about"):
        run(path, "--data", other)
    assert started == []


def test_bad_settings_are_told(tmp_path: Path, started: list[Any]) -> None:
    path, _, _ = make_table(tmp_path)
    with pytest.raises(ConfigError, match="unknown kind 'none'"):
        run(path, "--kind", "none")
    with pytest.raises(ConfigError, match="a reviewer needs a name"):
        run(path, "--reviewer", "a\tb")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"is in use.*--port"):
            run(path, "--port", taken.getsockname()[1])
    with pytest.raises(DataError, match=r"is missing|cannot be read"):
        run(tmp_path / "none.csv")
