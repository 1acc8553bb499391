"""What people decided about the issues of a table: a log in one SQLite file, to which lines are only ever added.

Each decision is on the disk before the call returns, so a kill loses nothing. Several processes may write to the same
log. Undoing adds a line as well; what counts is worked out by `Standing`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.errors import ConfigError, DataError, OutputError
from mien.labels import SEVEN
from mien.workshop.curation.issues import Issue, IssueTable

ACTIONS = ("keep", "drop", "relabel", "unsure")
"""What can be decided about an issue."""

FORMAT = 1
UNDO = "undo"
LONGEST_NAME = 60
PATIENCE_S = 5.0
"""How long to wait for another process that writes."""

_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    issue INTEGER NOT NULL,
    rows TEXT NOT NULL,
    action TEXT NOT NULL,
    label TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    time TEXT NOT NULL,
    note TEXT NOT NULL
);
"""
_COLUMNS = "number, issue, rows, action, label, reviewer, time, note"


@dataclass(frozen=True)
class Decision:
    """A line of the log.

    Args:
        number: of the line; a later one has a higher number.
        issue: the issue's number in its table.
        rows: those of the issue, as positions in the data set.
        action: one of `ACTIONS`, or `undo` for a line that takes back the reviewer's last decision on the issue.
        label: the new one for `relabel`, else empty.
        reviewer: who decided.
        time: ISO date and time, UTC.
        note: free text.
    """

    number: int
    issue: int
    rows: tuple[int, ...]
    action: str
    label: str
    reviewer: str
    time: str
    note: str = ""

    @property
    def choice(self) -> str:
        """Action and label in one word, by which decisions are compared: `drop`, `relabel:happy`."""
        return f"{self.action}:{self.label}" if self.label else self.action


def decisions_path(table: Path) -> Path:
    """The log of a table: `issues.decisions.sqlite` beside `issues.csv`."""
    return table.with_name(f"{table.stem}.decisions.sqlite")


def table_digest(table: IssueTable) -> str:
    """Hash of the issues' numbers, kinds and rows and of the data set: what decisions refer to."""
    facts = [[issue.number, issue.kind, list(issue.rows)] for issue in table.issues]
    return hashlib.sha256(json.dumps([table.sha256, facts]).encode()).hexdigest()


def reviewer_name(name: str) -> str:
    """A reviewer's name without the space around it.

    Raises:
        ConfigError: it is empty, too long or not printable.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"a reviewer needs a name of 1–{LONGEST_NAME} printable characters, not {name[:80]!r}")
    return name


class Decisions:
    """The log of a table's decisions.

    A connection is opened for each call and closed after it, so that threads and processes can share the file.

    Args:
        path: of the log; see `decisions_path`.
        table: whose issues are decided on.
        create: make the log if it is not there.

    Raises:
        DataError: the log belongs to another table, the table has changed since, or it is not a log.
        ConfigError: it does not exist, or cannot be read or made.
    """

    def __init__(self, path: Path, table: IssueTable, *, create: bool = True) -> None:
        self.path = path
        self.issues: dict[int, Issue] = {issue.number: issue for issue in table.issues}
        if not path.exists() and not create:
            raise ConfigError(f"no decisions at {path}: make some with mien data review")
        digest = table_digest(table)
        # Looked at again below: another process may have made it meanwhile, for another table.
        if create and self._digest() is None:
            self._make({"format": str(FORMAT), "table": digest, "dataset": table.dataset})
        found = self._digest()
        if found != digest:
            raise DataError(
                f"{path} holds decisions on another table of issues: its numbers mean something else now. Put the "
                "table back that they were made for, or move the decisions away and start again"
            )

    def add(
        self, issue: int, action: str, *, reviewer: str, label: str = "", note: str = "", token: str = ""
    ) -> Decision | None:
        """Write a decision.

        Args:
            issue: number of an issue of the table.
            action: one of `ACTIONS`.
            reviewer: who decided.
            label: for `relabel`, one of `labels.SEVEN`.
            note: free text.
            token: makes sure that the same decision, sent twice, is written once.

        Returns:
            The decision, or None where its token was there already.

        Raises:
            ConfigError: the log cannot be written, or a value is not allowed.
        """
        if action not in ACTIONS or (action == "relabel") != (label in SEVEN) or (label and action != "relabel"):
            raise ConfigError(
                f"a decision is {', '.join(ACTIONS)}, and relabel takes one of {', '.join(SEVEN)}, "
                f"not {action!r} with {label!r}"
            )
        return self._write(issue, action, label, reviewer_name(reviewer), note, token)

    def undo(self, *, reviewer: str, issue: int | None = None, token: str = "") -> Decision | None:
        """Take back a reviewer's last decision, or the last one on an issue, by another line of the log.

        Returns:
            What was taken back, or None where there was nothing.

        Raises:
            ConfigError: the log cannot be written.
        """
        reviewer = reviewer_name(reviewer)
        last = Standing(self.log()).last(reviewer, issue)
        if last is None or self._write(last.issue, UNDO, "", reviewer, "", token) is None:
            return None
        return last

    def log(self, after: int = 0) -> list[Decision]:
        """The lines after a number, oldest first.

        Raises:
            ConfigError: it cannot be read.
        """
        with self._connection() as connection:
            lines = connection.execute(f"SELECT {_COLUMNS} FROM log WHERE number > ? ORDER BY number", [after])
            return [Decision(line[0], line[1], tuple(json.loads(line[2])), *line[3:]) for line in lines]

    def _write(self, issue: int, action: str, label: str, reviewer: str, note: str, token: str) -> Decision | None:
        if issue not in self.issues:
            raise ConfigError(f"the table has no issue {issue}")
        rows, time = self.issues[issue].rows, datetime.now(UTC).isoformat(timespec="milliseconds")
        values = [token or uuid.uuid4().hex, issue, json.dumps(rows), action, label, reviewer, time, note]
        with self._connection(write=True) as connection:
            done = connection.execute(
                "INSERT OR IGNORE INTO log (token, issue, rows, action, label, reviewer, time, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            if not done.rowcount:
                return None
            return Decision(int(done.lastrowid or 0), issue, rows, action, label, reviewer, time, note)

    def _make(self, about: dict[str, str]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError.of(self.path.parent, error) from error
        with self._connection(write=True, make=True) as connection:
            # With a write-ahead log people can read while another decides.
            connection.execute("PRAGMA journal_mode = WAL")
            # Of two processes that make the log the second one waits here, and finds it made.
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about.items())

    def _digest(self) -> str | None:
        """Of the table that the log belongs to, None where there is no log yet."""
        # SQLite makes an empty file before it writes anything.
        if not self.path.exists() or not self.path.stat().st_size:
            return None
        with self._connection() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
                if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    raise DataError(f"{self.path} is a database, but not one of decisions: move it away")
                return None
            about = dict(connection.execute("SELECT key, value FROM about").fetchall())
        if about and about.get("format") != str(FORMAT):
            raise DataError(
                f"{self.path}: a format of decisions that this version of Mien cannot read, expected {FORMAT}"
            )
        return about.get("table")

    @contextlib.contextmanager
    def _connection(self, *, write: bool = False, make: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept when the block ends well."""
        try:
            connection = self._open("rwc" if make else "rw" if write else "ro")
            try:
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            raise ConfigError(f"{self.path}: {_advice(error)}") from error
        # SQLite quotes what is damaged in its message, which then is no text.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path} is damaged or not a log of decisions ({error}): move it away") from error

    def _open(self, mode: str) -> sqlite3.Connection:
        # As an address: only that takes a mode, and it escapes ? and # in names.
        location = self.path.resolve().as_uri()
        connection = sqlite3.connect(f"{location}?mode={mode}", uri=True, timeout=PATIENCE_S)
        try:
            # A write-ahead log is synced only now and then otherwise, and a power cut would cost decisions.
            connection.execute("PRAGMA synchronous = FULL")
            # The first statement is what opens the file.
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            # With a write-ahead log beside it the file alone is not all of it.
            if mode != "ro" or self.path.with_name(f"{self.path.name}-wal").exists():
                raise
            # In a folder without write access SQLite reads a finished log only if it may assume that nobody changes it.
            connection = sqlite3.connect(f"{location}?mode=ro&immutable=1", uri=True, timeout=PATIENCE_S)
        return connection


class Standing:
    """Which decisions count: of each reviewer the last one on each issue that was not taken back.

    Args:
        log: lines of the log from the first on; later ones can be added.
    """

    def __init__(self, log: Iterable[Decision] = ()) -> None:
        self.seen = 0
        self._stacks: dict[tuple[int, str], list[Decision]] = {}
        self.times: dict[str, list[str]] = {}
        self.add(log)

    def add(self, log: Iterable[Decision]) -> None:
        """Take in more lines, which come after those before."""
        for line in log:
            self.seen = max(self.seen, line.number)
            stack = self._stacks.setdefault((line.issue, line.reviewer), [])
            if line.action == UNDO:
                if stack:
                    stack.pop()
            else:
                stack.append(line)
                self.times.setdefault(line.reviewer, []).append(line.time)

    @property
    def by_issue(self) -> dict[int, dict[str, Decision]]:
        """What counts, by issue and reviewer."""
        found: dict[int, dict[str, Decision]] = {}
        for decision in self._counting():
            found.setdefault(decision.issue, {})[decision.reviewer] = decision
        return found

    @property
    def by_reviewer(self) -> dict[str, dict[int, Decision]]:
        """What counts, by reviewer and issue."""
        found: dict[str, dict[int, Decision]] = {}
        for decision in self._counting():
            found.setdefault(decision.reviewer, {})[decision.issue] = decision
        return found

    def last(self, reviewer: str, issue: int | None = None) -> Decision | None:
        """A reviewer's latest decision that counts, of an issue or of all; None for none."""
        there = [one for one in self._counting() if one.reviewer == reviewer and issue in (None, one.issue)]
        return max(there, key=lambda decision: decision.number, default=None)

    def _counting(self) -> Iterator[Decision]:
        return (stack[-1] for stack in self._stacks.values() if stack)


def pace(times: Iterable[str], *, pause_s: float = 120.0, last: int = 50) -> float | None:
    """Decisions an hour over the last few, pauses left out; None if there are too few.

    >>> pace(["2026-01-01T10:00:00+00:00", "2026-01-01T10:00:04+00:00", "2026-01-01T10:00:08+00:00"])
    900.0
    """
    moments = [datetime.fromisoformat(time) for time in list(times)[-last:]]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    counted = [wait for wait in waits if 0 <= wait < pause_s]
    return 3600 * len(counted) / sum(counted) if len(counted) > 1 and sum(counted) > 0 else None


def _advice(error: sqlite3.OperationalError) -> str:
    text: Any = str(error)
    if "locked" in text or "busy" in text:
        return f"another process has held the decisions for {PATIENCE_S:.0f} s: wait for it, then decide again"
    if "readonly" in text:
        return "the decisions cannot be written, the file or its folder is read-only: nothing was kept"
    if "full" in text or "disk I/O" in text:
        return f"the decisions cannot be written ({text}): make room; nothing was kept"
    return f"the decisions cannot be opened ({text}): see that its folder is there and may be written to"
