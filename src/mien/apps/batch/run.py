"""Drives the workers by Ray Data, on this machine or on a cluster, and tells how far they are."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mien.apps.batch.inputs import Notify, find_inputs
from mien.apps.batch.plan import Ledger, Unit, divide
from mien.apps.batch.unit_reader import BatchOptions, UnitDone, UnitReader
from mien.apps.cores import count_cores
from mien.apps.storage import Storage, StorageError
from mien.errors import ConfigError, MienError, MissingExtraError

SUMMARY = "summary.json"
OBJECT_STORE_BYTES = 128 << 20
"""Workers hand each other names and figures, no pictures."""
STARTS, BUSY = 3, "the machine is so busy that it does not start in time; try again when there is less to do"


@dataclass(frozen=True)
class Workers:
    """The workers and where they run.

    Args:
        count: how many; as many as there are cores if not given.
        cores, gpus: of each.
        address: of a running Ray cluster, or `auto`; this machine alone if not given.
    """

    count: int | None = None
    cores: float = 1.0
    gpus: float = 0.0
    address: str | None = None


@dataclass
class Progress:
    """How far a batch is, all runs together; times and rate are those of this run."""

    units: int
    inputs: int
    units_done: int = 0
    inputs_done: int = 0
    errors: int = 0
    frames: int = 0
    faces: int = 0
    rows: int = 0
    resumed: int = 0
    started: float = field(default_factory=time.monotonic, repr=False)
    first: tuple[float, int] | None = field(default=None, repr=False)
    """When the first unit was done, and how many inputs were by then."""

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    @property
    def mean_hz(self) -> float:
        """Inputs a second in this run, its start included."""
        return (self.inputs_done - self.resumed) / max(self.seconds, 1e-9)

    @property
    def rate_hz(self) -> float:
        """Inputs a second since the first unit was done: until then workers start."""
        since, before = self.first or (self.started, self.resumed)
        return (self.inputs_done - before) / max(time.monotonic() - since, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this rate; None before the second unit."""
        rate_hz = self.rate_hz
        return (self.inputs - self.inputs_done) / rate_hz if self.first and rate_hz else None

    def add(self, done: UnitDone) -> None:
        """Count a unit."""
        self.units_done += 1
        self.inputs_done += done.inputs
        self.errors += done.errors
        self.frames += done.frames
        self.faces += done.faces
        self.rows += done.rows
        self.first = self.first or (time.monotonic(), self.inputs_done)


class Batch:
    """A batch in a folder or bucket: planned when it is made, read by iterating over `run`.

    Args:
        sources: see `find_inputs`.
        out: the output's folder, local or in a bucket.
        options: how inputs are read.
        resume: go on with the batch that is there, together with what the sources hold by now.
        overwrite: remove the batch that is there.
        pictures_a_unit, part_s: see `divide`.
        on_notice: hears of what is skipped.

    Raises:
        ConfigError: a source leads to nothing, or the output is in use.
        StorageError, OutputError: a bucket or folder cannot be listed or written.
        MissingExtraError: without Ray or pyarrow.
    """

    def __init__(
        self, sources: Sequence[str], out: str, options: BatchOptions, *, resume: bool = False,
        overwrite: bool = False, pictures_a_unit: int | None = None, part_s: float | None = None,
        on_notice: Notify = print,
    ) -> None:  # fmt: skip
        for package in ("pyarrow", "ray"):
            if find_spec(package) is None:
                raise MissingExtraError(package, "batch")
        if part_s is not None and (options.track or options.sampling):
            raise ConfigError("a video can be cut only without tracking, --every and --rate: add --no-track")
        # Whatever is wrong with the options shows here rather than in each worker.
        options.create_pipeline()
        self.options = options
        self.storage = Storage(out)
        self.ledger = Ledger(self.storage)
        inputs = find_inputs(sources, on_notice)
        self.ledger.begin(asdict(options), resume=resume, overwrite=overwrite)
        planned = self.ledger.planned() if resume else []
        known = {name for unit in planned for name in unit.names}
        new = divide(
            [entry for entry in inputs if entry.name not in known], pictures_a_unit=pictures_a_unit, part_s=part_s
        )
        self.ledger.add(new)
        self.units = [*planned, *new]
        whole = self.ledger.whole() if resume else set()
        self.missing = [unit for unit in self.units if unit.id not in whole]
        self.progress = Progress(len(self.units), sum(len(unit.names) for unit in self.units))
        self.progress.units_done = len(self.units) - len(self.missing)
        self.progress.inputs_done = self.progress.inputs - sum(len(unit.names) for unit in self.missing)
        self.progress.resumed = self.progress.inputs_done

    def run(self, workers: Workers | None = None) -> Iterator[Progress]:
        """Read what is missing; yields after each unit.

        Raises:
            StorageError, OutputError: a store cannot be reached, or the output not written: what is whole stays.
            ConfigError: there is no such cluster.
            MienError: units are left whose workers died again and again.
        """
        if self.missing:
            with _ray(workers or Workers(), len(self.missing)) as count:
                for done in _iter_done(self.missing, self.options, self.storage.uri, workers or Workers(), count):
                    if done.fatal:
                        raise StorageError(f"{done.fatal.rstrip('.')}; what is read stays, --resume goes on")
                    self.progress.add(done)
                    yield self.progress
        left = len({unit.id for unit in self.units} - self.ledger.whole())
        if left:
            raise MienError(f"{left} of {len(self.units)} units are not read: --resume goes on")
        self.ledger.forget_attempts()
        self._write_summary()

    def summary(self) -> dict[str, Any]:
        """What the output holds, by its own partitions: of all runs together."""
        from pyarrow import parquet

        rows: dict[str, int] = {}
        for folder in ("pictures", "videos"):
            counts = []
            for path, _ in self.storage.list(folder):
                with self.storage.opened(path) as file:
                    counts.append(parquet.read_metadata(file).num_rows)
            rows[folder] = sum(counts)
        errors = list(self.ledger.iter_errors(self.units))
        return {
            "inputs": self.progress.inputs, "errors": len(errors), "rows": rows, "units": len(self.units),
            "first_errors": [row["error"] for row in errors[:5]],
        }  # fmt: skip

    def _write_summary(self) -> None:
        with self.storage.writing(SUMMARY) as file:
            file.write(json.dumps(self.summary(), indent=2, ensure_ascii=False).encode() + b"\n")


def _iter_done(
    units: Sequence[Unit], options: BatchOptions, out: str, workers: Workers, count: int
) -> Iterator[UnitDone]:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Units that cannot be read are told at the end, when all others are.
    context.max_errored_blocks = -1
    data = ray.data.from_items([{"unit": unit.to_json()} for unit in units], override_num_blocks=len(units))
    # Two units a worker, so that one waits while another is read, and none waits long behind a video.
    pool = ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2)
    arguments = (options, out, max(1, int(workers.cores)))
    done = data.map_batches(
        UnitReader, batch_size=1, compute=pool, num_cpus=workers.cores, num_gpus=workers.gpus or None,
        fn_constructor_args=arguments,
    )  # fmt: skip
    for row in done.iter_rows():
        yield UnitDone(**json.loads(row["done"]))


@contextlib.contextmanager
def _ray(workers: Workers, units: int) -> Iterator[int]:
    """A connection to Ray, and how many workers fit; one that is started here is ended with all its files."""
    # Before the import, which reads them: no word to its makers, and none about its own insides to users.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_BACKEND_LOG_LEVEL="fatal")
    if workers.address is None:
        # One token for this process, which Ray reads but once; or it would keep one in the home folder.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Workers would give way to everything else on the machine (15); who wants that calls `nice`.
        os.environ.setdefault("RAY_worker_niceness", "0")
    import ray

    if ray.is_initialized():
        yield _count(workers, units, _resources())
        return
    # Ray prints in its own words, among the results, whenever a worker dies, which costs nobody anything here.
    ray._private.worker._worker_logs_enabled = False
    folder = _make_folder() if workers.address is None else None
    try:
        with _silent():
            _start(workers, folder)
        yield _count(workers, units, _resources())
    except ray.exceptions.RayError as error:
        raise MienError(f"Ray ended the batch: {_first_line(error)}; --resume goes on") from error
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _start(workers: Workers, folder: str | None) -> None:
    """Ray on this machine with its files in a folder, or a connection to a cluster."""
    import ray

    cores = max(1, round((workers.count or count_cores()) * workers.cores))
    for number in range(STARTS):
        try:
            if workers.address is not None:
                _require_reachable(workers.address)
                ray.init(address=workers.address, log_to_driver=False, configure_logging=False)
            else:
                ray.init(
                    num_cpus=cores, include_dashboard=False, log_to_driver=False, configure_logging=False,
                    object_store_memory=OBJECT_STORE_BYTES, _node_ip_address="127.0.0.1", _temp_dir=folder,
                )  # fmt: skip
            return
        # Ray's own errors of starting are plain exceptions.
        except Exception as error:
            ray.shutdown()
            # The half minute that its parts have to find each other cannot be set.
            late = "timed out during startup" in str(error)
            if late and number < STARTS - 1:
                continue
            where = workers.address or "this machine"
            reason = BUSY if late else " ".join(str(error).split())
            raise ConfigError(f"Ray cannot be reached at {where}: {reason}") from error


def _resources() -> dict[str, float]:
    import ray

    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's core writes that it starts to the process's stderr, past Python's."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _make_folder() -> str:
    """A folder for Ray's files; those whose process was killed are removed."""
    # A short path: sockets below it may have 107 letters.
    base = Path("/tmp") if os.name == "posix" else Path(tempfile.gettempdir())
    for left in base.glob("mien-ray-*-*"):
        process = left.name.split("-")[2]
        if process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"mien-ray-{os.getpid()}-", dir=base)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        # os.kill would end it there.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _require_reachable(address: str) -> None:
    """Ray itself goes on trying for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            pass


def _count(workers: Workers, units: int, resources: dict[str, float]) -> int:
    most = workers.count or max(1, int(resources.get("CPU", 1) // max(workers.cores, 1e-6)))
    if workers.count and workers.count * workers.cores > resources.get("CPU", 0) + 1e-6:
        raise ConfigError(
            f"{workers.count} workers of {workers.cores:g} cores do not fit: the cluster has "
            f"{resources.get('CPU', 0):g} cores"
        )
    return min(most, units)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
