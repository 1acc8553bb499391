from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.artifact import mlflow_store as tracking
from mien.artifact.versions import find_version, register
from mien.workshop.experiments.journal import Facts, Journal, flatten, journal_artifact, read_journal, wanted

pytestmark = pytest.mark.skipif(not tracking.is_installed(), reason='needs pip install "mien[journal]"')

FACTS = Facts("small", {"fit": {"epochs": 4, "seed": 0}, "name": "small"}, "stripes", "ab" * 32, 112)


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": n, "loss": 2.0 - n / 4, "score": n / 4, "seconds": 1.5} for n in range(epochs)]


def trained(folder: Path, epochs: int) -> Path:
    """The folder as a training leaves it after so many epochs."""
    folder.mkdir(exist_ok=True)
    (folder / "history.json").write_text(json.dumps({"identity": {}, "history": history(epochs)}))
    return folder


def losses(run_id: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in tracking.connect().get_metric_history(run_id, "loss")]


def expected(epochs: int) -> list[tuple[int, float]]:
    return [(row["epoch"] + 1, row["loss"]) for row in history(epochs)]


def silent(text: str) -> None:
    raise AssertionError(f"said {text}")


def test_a_run_has_parameters_curves_data_environment_and_files(own_store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Journal(folder, FACTS, on_note=silent) as journal:
        for epoch in (1, 2):
            trained(folder, epoch)
            assert journal.send()
        (folder / "curves.png").write_bytes(b"picture")
    client = tracking.connect()
    run = client.get_run(journal.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "fit.epochs": "4", "fit.seed": "0", "name": "small", "data.name": "stripes", "data.sha256": "ab" * 32,
        "data.rows": "112",
    }  # fmt: skip
    assert run.data.tags.keys() >= {"mien.version", "mien.python", "mien.platform", "mien.torch"}
    assert losses(journal.run_id) == expected(2)
    assert run.inputs.dataset_inputs[0].dataset.digest == ("ab" * 32)[:36]
    names = {file.path for file in client.list_artifacts(journal.run_id)}
    assert names == {"config.json", "environment.json", "history.json", "curves.png"}


def test_a_resumed_training_goes_on_in_its_run(own_store: Path, tmp_path: Path) -> None:
    first = Journal(trained(tmp_path / "run", 2), FACTS, on_note=silent)
    first.status = "KILLED"
    first.close()
    second = Journal(trained(tmp_path / "run", 4), FACTS, on_note=silent)
    assert second.send()
    assert second.run_id == first.run_id
    assert tracking.connect().get_run(first.run_id).info.status == "RUNNING"
    assert losses(first.run_id) == expected(4)


def test_what_is_sent_twice_is_kept_once(own_store: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", 3)
    first = Journal(folder, FACTS, on_note=silent)
    first.send()
    known = read_journal(folder)
    assert known is not None
    (folder / "journal.json").write_text(json.dumps(known | {"sent": 1}))
    second = Journal(folder, FACTS, on_note=silent)
    second.send()
    assert losses(first.run_id) == expected(3)


def test_a_run_that_was_deleted_is_made_anew_with_everything(own_store: Path, tmp_path: Path) -> None:
    first = Journal(trained(tmp_path / "run", 2), FACTS, on_note=silent)
    first.send()
    tracking.connect().delete_run(first.run_id)
    second = Journal(trained(tmp_path / "run", 3), FACTS, on_note=silent)
    second.send()
    assert second.run_id != first.run_id
    assert losses(second.run_id) == expected(3)


@pytest.mark.parametrize(("kind", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_ends_badly_says_so(
    own_store: Path, tmp_path: Path, kind: type[BaseException], status: str
) -> None:
    journal = Journal(trained(tmp_path / "run", 1), FACTS, on_note=silent)
    with pytest.raises(kind), journal:
        raise kind
    assert tracking.connect().get_run(journal.run_id).info.status == status


def test_an_exported_artifact_joins_its_run_and_is_registered_from_there(
    own_store: Path, tmp_path: Path, toy_artifact: Path
) -> None:
    journal = Journal(trained(tmp_path / "run", 1), FACTS, on_note=silent)
    journal.close()
    assert journal_artifact(tmp_path / "run", toy_artifact, on_note=silent)
    version, _ = register(toy_artifact)
    registered = tracking.connect().get_model_version("toy", str(version.number))
    assert registered.run_id == journal.run_id
    assert find_version("toy", "challenger").source == registered.source


def test_an_artifact_of_a_run_that_was_not_journalled_is_passed_over(tmp_path: Path, toy_artifact: Path) -> None:
    assert not journal_artifact(trained(tmp_path / "run", 1), toy_artifact, on_note=silent)


def test_an_artifact_is_exported_though_mlflow_is_elsewhere_now(
    own_store: Path, tmp_path: Path, toy_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal(trained(tmp_path / "run", 1), FACTS, on_note=silent).close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said: list[str] = []
    assert not journal_artifact(tmp_path / "run", toy_artifact, on_note=said.append)
    assert "mien model register" in said[0]


class Server(ThreadingHTTPServer):
    """As much of an MLflow server as a run needs; it notes the losses that it is sent."""

    def __init__(self, port: int, folder: Path, losses: dict[int, float]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.folder, self.losses = folder, losses
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def die(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("runs/log-batch"):
            self.server.losses.update({m["step"]: m["value"] for m in asked.get("metrics", []) if m["key"] == "loss"})
        self._answer(asked)

    do_PATCH = do_POST  # noqa: N815

    def _answer(self, asked: dict[str, Any]) -> None:
        run = {
            "info": {"run_id": "0" * 32, "artifact_uri": str(self.server.folder), "lifecycle_stage": "active"},
            "data": {},
        }
        content = json.dumps({"experiment": {"experiment_id": "1", "name": "mien"}, "run": run}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return monkeypatch


def test_a_server_that_dies_stops_no_training_and_gets_all_when_it_is_back(
    tmp_path: Path, quick_to_give_up: pytest.MonkeyPatch
) -> None:
    received: dict[int, float] = {}
    server = Server(0, tmp_path, received)
    port = server.server_address[1]
    quick_to_give_up.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    said: list[str] = []
    folder = tmp_path / "run"
    try:
        journal = Journal(folder, FACTS, on_note=said.append)
        trained(folder, 1)
        assert journal.send()
        server.die()
        for epochs in (2, 3):
            trained(folder, epochs)
            assert not journal.send()
        assert len(said) == 1
        assert "does not answer" in said[0]
        assert "training goes on" in said[0]
        assert received == dict(expected(1))
        server = Server(port, tmp_path, received)
        trained(folder, 4)
        assert journal.close()
    finally:
        server.die()
    assert said[1:] == ["journal: MLflow answers again, all 4 epochs are sent"]
    assert received == dict(expected(4))


def test_a_server_that_stays_dead_is_told_at_the_end_and_the_next_call_sends(
    tmp_path: Path, quick_to_give_up: pytest.MonkeyPatch
) -> None:
    server = Server(0, tmp_path, {})
    port = server.server_address[1]
    server.die()
    quick_to_give_up.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    said: list[str] = []
    folder = trained(tmp_path / "run", 3)
    journal = Journal(folder, FACTS, on_note=said.append)
    assert not journal.send()
    assert not journal.close()
    assert "3 epochs were not sent; all are in" in said[-1]
    received: dict[int, float] = {}
    server = Server(port, tmp_path, received)
    try:
        assert Journal(folder, FACTS, on_note=silent).close()
    finally:
        server.die()
    assert received == dict(expected(3))


@pytest.mark.parametrize(
    ("asked", "uri", "known", "answer"),
    [
        (None, "", False, False), (None, "", True, True), (None, "http://127.0.0.1:9", False, True),
        (True, "", False, True), (False, "http://127.0.0.1:9", True, False),
    ],
)  # fmt: skip
def test_when_a_training_is_journalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool | None, uri: str, known: bool, answer: bool
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if known:
        (tmp_path / "journal.json").write_text("{}")
    assert wanted(tmp_path, asked) is answer


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run_id": 1}'])
def test_a_damaged_note_of_the_run_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "journal.json").write_text(content)
    assert read_journal(tmp_path) is None


def test_an_empty_table_is_a_parameter_too() -> None:
    assert flatten({"model": {"options": {}}}) == {"model.options": "{}"}
