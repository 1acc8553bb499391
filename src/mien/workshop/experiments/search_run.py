"""Runs a search: makes or finds its study, and sets workers to its trials."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch

from mien.errors import ConfigError, MienError, OutputError, TrainingError
from mien.files import write_whole
from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments.search_plan import Job, Search, first_choice, largest_batch, load_rows, load_search
from mien.workshop.experiments.search_storage import claim, counted, open_storage, parse_url, sqlite_url, usable
from mien.workshop.experiments.search_worker import Worker, quiet
from mien.workshop.progress import OnNote, no_note
from mien.workshop.training.objective import fingerprint
from mien.workshop.training.state import check_identity, list_digests

IDENTITY = "search.json"


@dataclass(frozen=True)
class SearchOptions:
    """How a search runs.

    Args:
        storage: URL of its database; search.db in the search's folder for None.
        jobs: worker processes on this machine.
        trials: of all workers together; the file's for None.
        device: auto, cpu, cuda or mps.
    """

    storage: str | None = None
    jobs: int = 1
    trials: int | None = None
    device: str = "auto"


def tune(
    search: Search | Path | str,
    data: Path | str,
    out: Path | str,
    options: SearchOptions = SearchOptions(),
    *,
    on_note: OnNote = no_note,
) -> optuna.Study:
    """Search for better settings with Optuna. The same call resumes; with the same storage other machines join.

    Args:
        search: a TOML file with ranges, or a loaded one.
        data: what `load_dataset` reads.
        out: folder of the search.
        options: see there.
        on_note: hears each finished trial; with several jobs a function that can be pickled.

    Raises:
        ConfigError, DataError, TrainingError: see `run_search`.
    """
    loaded, folder = search if isinstance(search, Search) else load_search(Path(search)), Path(out)
    url, trials = options.storage or sqlite_url(folder), options.trials or loaded.search.trials
    return run_search(Job(loaded, Path(data), folder, url, trials, options.device), jobs=options.jobs, on_note=on_note)


def run_search(job: Job, *, jobs: int = 1, on_note: OnNote = no_note) -> optuna.Study:
    """Run trials until the study has as many as asked for, its other workers' included; a stopped search resumes.

    Raises:
        ConfigError: the storage cannot be used, or holds another search or other data; the folder as well.
        DataError: a split is empty.
        TrainingError: every trial fails, or all workers died.
    """
    dataset = load_rows(job)
    study = _prepare(job, dataset)
    _greet(job, study, dataset, jobs, on_note)
    if jobs == 1:
        Worker(job, dataset, on_note=on_note).run()
    else:
        # Workers load their own: this copy would lie in memory for hours.
        del dataset
        _run_processes(job, jobs, on_note)
    return study


def open_study(search: Search, storage: str) -> optuna.Study:
    """The study in its present state.

    Raises:
        ConfigError: no study has this name.
    """
    url = parse_url(storage)
    # SQLite would make an empty database of a misspelt path.
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigError(f"there is no search yet at {url.database}")
    opened = open_storage(url, heartbeat_s=search.search.heartbeat_seconds)
    try:
        return optuna.load_study(study_name=search.name, storage=opened)
    except KeyError as error:
        raise ConfigError(f"the storage holds no search {search.name!r}") from error


def identify_search(search: Search, dataset: FaceDataset) -> dict[str, Any]:
    """What must be the same for a search to resume: its file, the data, and the curated lists.

    Raises:
        ConfigError: a list is not there.
    """
    lists = list_digests(search.config(first_choice(search)).data.lists)
    return search.identity(fingerprint(dataset)) | ({"lists": lists} if lists else {})


def _prepare(job: Job, dataset: FaceDataset) -> optuna.Study:
    """Make or find the study, and see that study, folder, file and data belong together."""
    part = dataset.part("train")
    if largest_batch(job.search) > len(part):
        raise ConfigError(
            f"fit.batch_size may become {largest_batch(job.search)}, above the {len(part)} training rows of a trial: "
            "lower it or raise search.subset"
        )
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError.of(job.out, error) from error
    identity = identify_search(job.search, dataset)
    own = job.out / IDENTITY
    if own.exists():
        check_identity(job.out, json.loads(own.read_text(encoding="utf-8")), identity)
    study = _create_study(job, identity)
    with usable(parse_url(job.storage)):
        study.set_user_attr(
            "rows", {"data": dataset.name, "train": len(part), "validation": len(dataset.part("validation"))}
        )
    write_whole(own, json.dumps(identity, indent=1).encode())
    return study


def _create_study(job: Job, identity: dict[str, Any]) -> optuna.Study:
    url = parse_url(job.storage)
    storage = open_storage(url, heartbeat_s=job.search.search.heartbeat_seconds)
    # Under the claim, because two machines may start the same search at the same moment.
    with claim(url), quiet(), usable(url):
        study = optuna.create_study(
            study_name=job.search.name, storage=storage, direction="maximize", load_if_exists=True
        )
        found = study.user_attrs.get("identity")
        if found is not None:
            check_identity(Path(f"the study {job.search.name}"), found, identity)
        # A new study would resume old trials' folders by their numbers.
        elif (job.out / "trials").exists() and any((job.out / "trials").iterdir()):
            raise ConfigError(f"{job.out} holds trials that are not in the storage: give another --out")
        else:
            study.set_user_attr("identity", identity)
    return study


def _run_processes(job: Job, workers: int, on_note: OnNote) -> None:
    # A forked child cannot use CUDA once the parent has.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(job, number, workers, on_note), name=f"worker {number}")
        for number in range(1, workers + 1)
    ]

    def terminate(*_: Any) -> None:
        for process in processes:
            process.terminate()

    for process in processes:
        process.start()
    # Workers get SIGTERM from nobody else; Ctrl-C reaches them by the terminal.
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        for process in processes:
            process.join()
    # They were interrupted too: they hand their trials on before they end.
    except KeyboardInterrupt:
        for process in processes:
            process.join()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    dead = [process for process in processes if process.exitcode]
    for process in dead:
        on_note(f"{process.name} {_how_it_ended(process.exitcode or 0)}")
    if len(dead) == workers:
        raise TrainingError("all workers stopped; the same command resumes the search")


def _how_it_ended(code: int) -> str:
    return f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"


def _work(job: Job, number: int, workers: int, on_note: OnNote) -> None:
    """A worker in a process of its own."""
    # Each worker would otherwise take every core.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    try:
        Worker(job, load_rows(job), name=f"worker {number}  ", on_note=on_note).run()
    except MienError as error:
        on_note(f"worker {number} stops: {error}")
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        # As shells do: 128 and the number of SIGINT.
        raise SystemExit(130) from None


def _greet(job: Job, study: optuna.Study, dataset: FaceDataset, workers: int, on_note: OnNote) -> None:
    done = sum(trial.state.is_finished() for trial in counted(study))
    rows = f"{len(dataset.part('train')):,} training and {len(dataset.part('validation')):,} validation rows"
    goes_on = f", {done} of them done" if done else ""
    crew = f"{workers} workers" if workers > 1 else "one worker"
    on_note(f"{job.search.name}: {job.trials} trials{goes_on}, {crew}, {rows}")
