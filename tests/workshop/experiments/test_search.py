"""A search finds, stops, fails, goes on and is counted rightly; only the last tests train for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')
optuna = pytest.importorskip("optuna", reason='needs pip install "mien[train]"')

from optuna.trial import TrialState

from mien.errors import ConfigError, MienError, TrainingError
from mien.images.pictures import write
from mien.labels import SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments import search_worker
from mien.workshop.experiments.search_plan import Job, Search, check_search, draw_rows, load_search
from mien.workshop.experiments.search_ranges import nested, parse_ranges, toml_document, toml_value
from mien.workshop.experiments.search_run import open_study, run_search
from mien.workshop.experiments.search_storage import (
    counted,
    has_ended,
    open_storage,
    origin,
    parse_url,
    ranked,
    sqlite_url,
    this_process,
    trial_folder,
)
from mien.workshop.experiments.study_plan import load_study
from mien.workshop.reports.search_report import report_search
from mien.workshop.training.config import TrainingConfig

PATIENCE_S = 300

VALUES: dict[str, Any] = {
    "name": "toy",
    "title": "A toy",
    "base": {
        "model": {"arch": "shallow_cnn", "options": {"widths": [4, 8], "dense": 8}},
        "heads": {"crowd": 0},
        "fit": {"epochs": 4, "batch_size": 8, "selection": "fer2013"},
    },
    "search": {"trials": 6, "startup": 2, "warmup_epochs": 1, "keep": 2, "heartbeat_seconds": 1},
    "ranges": {"optim": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}, "fit.batch_size": {"choices": [4, 8]}},
    "confirm": {"best": 2, "epochs": 9, "seeds": [0, 1]},
}


def make_search(**changes: Any) -> Search:
    return Search.model_validate(VALUES | changes)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for number, name in enumerate(SEVEN):
            place = tmp_path / "faces" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                write(place / f"{index}.png", random.integers(0, 60, (48, 48, 3), np.uint8) + np.uint8(20 * number))
    return tmp_path / "faces"


@pytest.fixture
def job(faces: Path, tmp_path: Path) -> Callable[..., Job]:
    def make(search: Search | None = None, *, trials: int = 6, out: str = "out") -> Job:
        folder = tmp_path / out
        return Job(search or make_search(), faces, folder, sqlite_url(folder), trials, "cpu")

    return make


Epochs = Callable[[TrainingConfig, int], float]


@pytest.fixture
def train_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Epochs], None]:
    """Puts a formula in the place of a training: the score of an epoch, or an error, by the configuration."""

    def put(score: Epochs) -> None:
        def iter_epochs(config: TrainingConfig, _: FaceDataset, folder: Path, **__: Any) -> Iterator[dict[str, float]]:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "history.json"
            history = json.loads(path.read_text())["history"] if path.exists() else []
            for epoch in range(len(history), config.fit.epochs):
                history.append({"epoch": epoch, "score": score(config, epoch), "seconds": 1.0})
                (folder / "last.safetensors").write_bytes(b"state")
                (folder / "best.safetensors").write_bytes(b"weights")
                path.write_text(json.dumps({"identity": {}, "history": history}))
                yield history[-1]

        monkeypatch.setattr(search_worker, "iter_epochs", iter_epochs)

    return put


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"optim": {"lr": {"low": 0.1, "high": 0.001}}}, "ranges.optim.lr: low = 0.1 is above high = 0.001"),
        ({"optim": {"lr": {"low": 0, "high": 0.1, "log": True}}}, "ranges.optim.lr: low = 0 has no logarithm"),
        ({"optim": {"lr": {"low": 0.1}}}, "ranges.optim.lr: high is missing"),
        ({"optim": {"lr": {"low": 0.1, "hihg": 1, "high": 2}}}, "ranges.optim.lr: unknown key hihg"),
        ({"optim": {"lr": 0.1}}, "ranges.optim.lr: expected a table with low and high"),
        ({"optim": {"lr": {"low": -1.0, "high": 0.1}}}, "ranges.optim.lr, low = -1.0: .*optim.lr"),
        ({"fit": {"batch_size": {"choices": []}}}, "ranges.fit.batch_size: choices is empty"),
        ({"fit": {"epochs": {"low": 2, "high": 9, "step": 3}}}, "ranges.fit.epochs: steps of 3 .* try high = 8"),
        ({"optim": {"rate": {"low": 1, "high": 2}}}, "ranges.optim.rate: unknown key: .*optim.lr"),
        ({"optimiser": {"lr": {"low": 1, "high": 2}}}, "unknown section optimiser: expected one of model, heads"),
        ({"fit": {"selection": {"choices": ["mean"]}}}, "ranges.fit.selection cannot be searched"),
        ({"model": {"arch": {"choices": ["vgg", "wgg"]}}}, "model.arch = wgg: unknown architecture|vgg"),
        ({"model": {"options": {"droput": {"low": 0.0, "high": 0.5}}}}, "shallow_cnn has no option 'droput'"),
        ({}, "is empty"),
    ],
)
def test_a_range_that_cannot_be_is_named(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_search(make_search(ranges=ranges))


def test_a_longer_key_goes_into_what_a_shorter_one_chose() -> None:
    text = """
        model.options.dropout = { low = 0.0, high = 0.5, step = 0.1 }
        "fit.epochs" = { low = 2, high = 8 }
        model.choices.small = { arch = "vgg", options = { widths = [8, 16] } }
        model.choices.large = { arch = "resnet", options = { widths = [32, 64] } }
    """
    ranges = parse_ranges(tomllib.loads(text))
    chosen = {"model": "large", "model.options.dropout": 0.30000000000000004, "fit.epochs": 3}
    model = {"arch": "resnet", "options": {"widths": [32, 64], "dropout": 0.3}}
    assert nested(ranges, chosen) == {"model": model, "fit": {"epochs": 3}}
    assert nested(ranges, chosen | {"model": "small"})["model"]["options"]["widths"] == [8, 16]


def test_single_options_leave_the_others_of_the_base() -> None:
    search = make_search(ranges={"model.options.dropout": {"low": 0.1, "high": 0.2}})
    options = search.config({"model.options.dropout": 0.1}).model.options
    assert options == {"widths": [4, 8], "dense": 8, "dropout": 0.1}


def test_what_is_written_as_toml_is_read_again() -> None:
    values = {"name": 'a "b" \\ ü', "list": [1, 2.5, 1e-05, True], "x.y": {"z": {}, "t": {"deep": [[1], ["a"]]}}}
    values |= {"entries": [{"name": "one", "fit": {"epochs": 2}}, {"name": "two", "fit": {"epochs": 3}}]}
    assert tomllib.loads(toml_document(values)) == values
    assert tomllib.loads(f"v = {toml_value(values['x.y'])}")["v"] == values["x.y"]


def test_the_subset_keeps_the_shares_and_leaves_the_test_rows_out() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    images = np.arange(1000, dtype=np.uint16).view(np.uint8).reshape(1000, 1, 2)
    split = np.tile([0, 0, 0, 1, 2], 200).astype(np.int8)
    whole = FaceDataset("rows", images, labels, split, np.array([str(row) for row in range(1000)]))
    drawn = draw_rows(whole, 100, seed=1)
    assert np.bincount(drawn.part("train").labels).tolist() == [60, 30, 10]
    assert len(drawn.part("validation")) == 200
    assert len(drawn.part("test")) == 0
    assert set(drawn.ids) == set(draw_rows(whole, 100, seed=1).ids) != set(draw_rows(whole, 100, seed=2).ids)
    with pytest.raises(ConfigError, match=r"subset = 700 is above the 600 training rows"):
        draw_rows(whole, 700, seed=1)


def test_a_search_goes_on_to_the_trials_asked_for(
    job: Callable[..., Job], train_by: Callable[[Epochs], None], tmp_path: Path
) -> None:
    train_by(lambda config, epoch: 0.5 - abs(np.log10(config.optim.lr) + 2) / 10 + epoch / 100)
    search = make_search()
    run_search(job(search, trials=4))
    study = run_search(job(search, trials=9))
    whole = run_search(job(search, trials=9, out="other"))
    assert [t.params for t in study.trials] == [t.params for t in whole.trials], "a stopped search goes on as if not"

    states = [trial.state for trial in counted(study)]
    assert len(states) == 9
    assert TrialState.PRUNED in states
    stopped = next(trial for trial in study.trials if trial.state == TrialState.PRUNED)
    assert 1 < len(stopped.intermediate_values) < 4
    kept = {path.parent.name for path in (tmp_path / "out" / "trials").glob("*/best.safetensors")}
    assert kept == {f"{trial.number:03d}" for trial in ranked(study.trials)[:2]}

    files = {path.name for path in report_search(search, study, tmp_path / "out")}
    assert files == {"report.html", "report.md", "best.toml"}
    for name in ("history", "curves", "importance", "slice", "parallel"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    confirmation = load_study(tmp_path / "out" / "best.toml")
    best = ranked(study.trials)[0]
    config = confirmation.config(confirmation.entries[0], 1)
    assert (config.optim.lr, config.fit.epochs, config.fit.seed) == (best.params["optim.lr"], 9, 1)
    assert config.model.options == {"widths": [4, 8], "dense": 8}
    assert len(confirmation.entries) == 2


def test_a_trial_that_cannot_be_trained_is_a_result(
    job: Callable[..., Job], train_by: Callable[[Epochs], None], tmp_path: Path
) -> None:
    def score(config: TrainingConfig, epoch: int) -> float:
        if config.fit.batch_size == 4 and epoch == 2:
            raise TrainingError("the loss became nan at step 3")
        if config.optim.lr > 0.02:
            raise RuntimeError("can't allocate memory: 99 bytes")
        return 0.4

    train_by(score)
    search = make_search()
    study = run_search(job(search, trials=12))
    failed = [trial for trial in counted(study) if trial.state == TrialState.FAIL]
    assert len(counted(study)) == 12
    assert {trial.user_attrs["error"][:15] for trial in failed} == {"the loss became", "can't allocate "}
    report_search(search, study, tmp_path / "out")
    assert f"| {failed[0].number:03d} | {failed[0].user_attrs['error']}" in (tmp_path / "out/report.md").read_text()


def test_a_search_in_which_all_fails_is_stopped(job: Callable[..., Job], train_by: Callable[[Epochs], None]) -> None:
    def score(config: TrainingConfig, epoch: int) -> float:
        raise TrainingError("the loss became nan")

    train_by(score)
    with pytest.raises(TrainingError, match=r"first 5 trials all failed, the last with: the loss became nan"):
        run_search(job(trials=30))


def test_an_interrupted_trial_is_taken_up_where_it_was(
    job: Callable[..., Job], train_by: Callable[[Epochs], None], tmp_path: Path
) -> None:
    asked: list[tuple[str, int]] = []
    stop = False

    def score(config: TrainingConfig, epoch: int) -> float:
        asked.append((config.name, epoch))
        if stop and len(asked) == 7:
            raise KeyboardInterrupt
        return 0.4 + epoch / 100

    train_by(score)
    search = make_search(search=VALUES["search"] | {"pruner": "none"})
    unbroken = run_search(job(search, trials=3, out="unbroken"))
    asked.clear()
    stop = True
    with pytest.raises(KeyboardInterrupt):
        run_search(job(search, trials=3))
    study = run_search(job(search, trials=3))
    chosen = [trial.params for trial in sorted(counted(study), key=origin)]
    assert chosen == [trial.params for trial in unbroken.trials], "the trials after it are those of an unbroken search"
    assert [trial.state for trial in counted(study)] == [TrialState.COMPLETE] * 3
    again = study.trials[2]
    assert trial_folder(tmp_path, again).name == "001"
    assert again.params == study.trials[1].params
    assert sorted(again.intermediate_values) == [1, 2, 3, 4]
    assert asked.count(("trial-001", 1)) == 1, "an epoch that was finished is not trained again"


@pytest.mark.skipif(not this_process(), reason="this system does not tell processes apart")
def test_a_process_that_has_ended_is_known_by_its_start() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        there = this_process().rpartition("/")[0] + f"/{other.pid}@1"
        assert has_ended(there), "another process has its number"
    assert not has_ended(this_process())
    assert has_ended(there)
    assert not has_ended("elsewhere/" + there), "of another machine nothing is known"
    assert not has_ended("")


def test_a_folder_holds_one_search_of_one_data_set(
    job: Callable[..., Job], train_by: Callable[[Epochs], None], tmp_path: Path
) -> None:
    train_by(lambda config, epoch: 0.4)
    run_search(job(trials=1))
    with pytest.raises(ConfigError, match=r"belongs to another run .*seed was 0, now 5"):
        run_search(job(make_search(search=VALUES["search"] | {"seed": 5}), trials=2))
    (tmp_path / "out" / "search.db").unlink()
    with pytest.raises(ConfigError, match=r"holds trials that are not in the storage"):
        run_search(job(trials=2))
    with pytest.raises(ConfigError, match=r"fit.batch_size may become 500, above the 49 training rows"):
        run_search(job(make_search(ranges={"fit.batch_size": {"low": 4, "high": 500}}), out="large"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql+psycopg://me:secret@127.0.0.1:1/mien",
            r"storage postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/mien",
        ),
        ("postgresql://me:se@cret@127.0.0.1:1/mien", r"."),
        ("mysql://me:secret@127.0.0.1/mien", "--storage is of mysql: expected sqlite"),
        ("secret", "--storage is no URL"),
        ("sqlite://", "names no file"),
        ("sqlite:////no/such/folder/secret.db", "cannot be used|there is no search yet"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(url: str, message: str) -> None:
    with pytest.raises(MienError, match=message) as caught:
        open_study(make_search(), url)
    assert "me:secret" not in str(caught.value)
    assert "cret@" not in str(caught.value)


def test_a_file_that_is_no_search_says_why(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load_search(path)
    path.write_text("name = ")
    with pytest.raises(ConfigError, match=r"not valid TOML"):
        load_search(path)
    path.write_text(toml_document(VALUES | {"serach": {"trials": 3}}))
    with pytest.raises(ConfigError, match=r"unknown key serach: expected one of name, title, question, base, search"):
        load_search(path)
    path.write_text(toml_document(VALUES))
    assert load_search(path).bounds.keys() == {"optim.lr", "fit.batch_size"}


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "studies").glob("tune-*.toml")), ids=lambda p: p.stem
)
def test_the_searches_of_the_repository_can_be_run(path: Path) -> None:
    assert load_search(path).search.trials >= 30


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        (tmp_path / "out").mkdir()
        yield sqlite_url(tmp_path / "out")
        return
    url = os.environ.get("MIEN_TEST_POSTGRES")
    if not url:
        pytest.skip("no PostgreSQL server: set MIEN_TEST_POSTGRES to the URL of an empty database, as .ci/run does")
    yield url
    optuna.delete_study(study_name="toy", storage=open_storage(parse_url(url), heartbeat_s=1))


def test_two_workers_of_which_one_is_killed_lose_nothing(faces: Path, tmp_path: Path, storage: str) -> None:
    """Two commands work on one study; one is killed in the middle of a trial, the other goes on with its work."""
    epochs, trials = 12, 5
    base = VALUES["base"] | {"fit": VALUES["base"]["fit"] | {"epochs": epochs}}
    search = make_search(base=base, search=VALUES["search"] | {"pruner": "none", "heartbeat_seconds": 4}, ranges={
        "optim": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    })  # fmt: skip
    file, out = tmp_path / "toy.toml", tmp_path / "out"
    file.write_text(toml_document(search.model_dump(exclude_none=True)))
    command = [sys.executable, "-m", "mien.apps.cli.main", "tune", file, faces, "--out", out, "--device", "cpu"]
    environment = os.environ | {"MIEN_STORAGE": storage, "OMP_NUM_THREADS": "1"}
    logs = [(tmp_path / f"{name}.log").open("w") for name in ("killed", "left")]
    workers = [
        subprocess.Popen([*map(str, command), "--trials", str(trials)], env=environment, stdout=log, stderr=log)
        for log in logs
    ]
    try:
        number = _kill_in_a_trial(workers[0], search, storage, out, epochs)
        assert workers[1].wait(PATIENCE_S) == 0, (tmp_path / "left.log").read_text()
    finally:
        for worker, log in zip(workers, logs, strict=True):
            worker.kill()
            worker.wait()
            log.close()
    study = open_study(search, storage)
    assert len(counted(study)) == trials
    assert all(trial.state == TrialState.COMPLETE for trial in counted(study))
    assert study.trials[number].state == TrialState.FAIL
    again = next(trial for trial in counted(study) if number in trial.system_attrs.get("retry_history", ()))
    assert again.params == study.trials[number].params
    assert sorted(again.intermediate_values) == list(range(1, epochs + 1))
    before, after = (trial.intermediate_values for trial in (study.trials[number], again))
    assert {epoch: after[epoch] for epoch in before} == before, "what the dead worker had trained is kept"
    assert len(list((out / "trials").iterdir())) == trials


def _kill_in_a_trial(worker: subprocess.Popen[bytes], search: Search, storage: str, out: Path, epochs: int) -> int:
    """Kill a worker in the middle of a trial; the trial's number."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and worker.poll() is None:
        time.sleep(0.05)
        if not (out / "search.json").exists():
            continue
        for trial in open_study(search, storage).get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            its_own = trial.user_attrs.get("worker", "").endswith(f":{worker.pid}")
            if its_own and 1 <= len(trial.intermediate_values) < epochs - 2:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                return trial.number
    raise AssertionError(f"no trial to kill: the worker ended with {worker.poll()}")


@pytest.mark.parametrize("queued", [True, False], ids=["queued", "no room to queue it"])
def test_after_a_full_disk_a_search_makes_the_trials_of_an_unbroken_one(
    job: Callable[..., Job], train_by: Callable[[Epochs], None], monkeypatch: pytest.MonkeyPatch, queued: bool
) -> None:
    full = [False]

    def score(config: TrainingConfig, epoch: int) -> float:
        if full[0] and epoch == 2:
            raise TrainingError("no room") from OSError(28, "No space left on device")
        return config.optim.lr * epoch

    def trials(study: optuna.Study) -> list[Any]:
        return [(trial.params, trial.state, trial.value) for trial in counted(study)]

    train_by(score)
    expected = trials(run_search(job(out="unbroken")))
    run_search(job(trials=2, out="broken"))
    full[0] = True
    with monkeypatch.context() as patched:
        if not queued:
            patched.setattr(search_worker, "take_up_again", lambda *_: None)
        with pytest.raises(TrainingError, match="no room"):
            run_search(job(out="broken"))
    full[0] = False
    assert trials(run_search(job(out="broken"))) == expected
