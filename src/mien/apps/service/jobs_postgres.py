"""Video jobs in PostgreSQL: any process on any machine accepts them, any reads them, and none that dies loses one.

The table is its own queue: `FOR UPDATE SKIP LOCKED` gives each worker another job, and a heartbeat tells a worker that
is slow from one that is dead. A queue library would keep a second table of the same jobs beside it, and the two would
have to agree about every cancellation, expiry and retry.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mien.apps.service.jobs_files import JobFiles, StoreLostError
from mien.apps.service.jobs_store import LOST_S, SCHEMA, Database, Job, JobStore
from mien.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from psycopg import Connection

NAMESPACE = "mien_service"
"""The schema of the database that holds the table, so that it may share the database with others."""
CONNECTIONS = 8
WAIT_S = 5.0
"""How long a request waits for a connection before it is told that the database is away."""
NOW = "extract(epoch FROM clock_timestamp())"
"""The server's clock: those of the machines may differ."""


class PostgresJobs(JobStore):
    """The jobs of a database, with uploads and results in a folder or bucket that all machines share.

    Args:
        url: postgresql://user:password@host/database.
        folder, keep_s, max_queued, clock, files: as for `JobStore`.

    Raises:
        ConfigError: the database cannot be reached, or the folder not written.
        MissingExtraError: without psycopg.
    """

    shared: ClassVar[bool] = True
    _claimed = f", seen_s = {NOW}"
    _skipping = " FOR UPDATE SKIP LOCKED"

    def __init__(
        self, url: str, folder: Path, *, keep_s: float, max_queued: int, clock: Callable[[], float] = time.time,
        files: JobFiles | None = None,
    ) -> None:  # fmt: skip
        try:
            from psycopg_pool import ConnectionPool
        except ImportError as error:
            raise MissingExtraError("psycopg", "postgres") from error
        self._url = url
        # Each statement is a transaction of its own, as in SQLite.
        options = {"autocommit": True, "options": f"-c search_path={NAMESPACE}"}
        self._pool = ConnectionPool(
            url, min_size=1, max_size=CONNECTIONS, timeout=WAIT_S, kwargs=options, open=False,
            # A server that restarted leaves dead connections.
            check=ConnectionPool.check_connection, reconnect_timeout=WAIT_S,
        )  # fmt: skip
        super().__init__(folder, keep_s=keep_s, max_queued=max_queued, clock=clock, files=files)

    def _prepare(self) -> None:
        import psycopg

        try:
            # The pool would go on trying; a wrong address is told at once.
            psycopg.connect(self._url, connect_timeout=int(WAIT_S)).close()
            self._pool.open(wait=True, timeout=WAIT_S)
            with self._locked_by_all() as database:
                database.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}")
                database.execute(SCHEMA)
                database.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS seen_s DOUBLE PRECISION")
                database.execute("CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created_s, id)")
        except (psycopg.Error, StoreLostError) as error:
            self._pool.close()
            info = psycopg.conninfo.conninfo_to_dict(self._url)
            where = f"{info.get('host', 'localhost')}:{info.get('port', 5432)}/{info.get('dbname', '')}"
            reason = " ".join(str(error).split())
            raise ConfigError(f"cannot keep jobs in PostgreSQL at {where}: {reason}") from error

    @contextlib.contextmanager
    def _locked_by_all(self) -> Iterator[Database]:
        """A transaction that one process at a time enters: two that make a schema at once would fail."""
        with self._connect() as database, database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(7109)")
            yield database

    def beat(self, jobs: Sequence[Job]) -> None:
        """Tell that this process is still running these jobs."""
        query = f"UPDATE jobs SET seen_s = {NOW} WHERE id = ? AND attempts = ? AND state = 'running'"
        with self._connect() as database:
            for job in jobs:
                database.execute(query, (job.id, job.attempts))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _deserted(self) -> list[Job]:
        """The running jobs of which nothing was heard for `LOST_S`."""
        return self._select(f"state = 'running' AND seen_s < {NOW} - ?", (LOST_S,))

    @contextlib.contextmanager
    def _connect(self) -> Iterator[_Session]:
        import psycopg
        from psycopg_pool import PoolClosed, PoolTimeout

        try:
            with self._pool.connection() as connection:
                yield _Session(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed) as error:
            raise StoreLostError(f"the database of jobs cannot be reached: {' '.join(str(error).split())}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Database]:
        with self._connect() as database, database.transaction():
            # Readers pass; whoever writes waits.
            database.execute("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
            yield database


class _Session:
    """A connection that takes SQLite's sign for a value."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self.transaction = connection.transaction

    def execute(self, query: str, values: tuple[Any, ...] = (), /) -> Any:
        return self._connection.execute(query.replace("?", "%s"), values)
