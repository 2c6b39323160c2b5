"""The journal's file: made, checked, and locked for the one process that serves it.

In: a path. Out: connections to a file that is certainly a journal of a version this library reads.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from importlib import resources
from pathlib import Path
from typing import IO

from baton.errors import JournalBusyError, JournalUnavailableError, JournalVersionError

APPLICATION_ID = 0x4241544E
"""`BATN`, in the header of the file: tells a journal from any other SQLite file."""
VERSION = 4
"""Version of the tables that this library reads and writes."""
LOOKS, LOOK_S = 50, 0.01
"""How often, and how many seconds apart, a lock is tried that nobody seems to hold."""
BUSY_S = 10.0
"""Seconds to wait while another process writes."""


def connect(path: Path, *, busy_s: float = 0.0) -> sqlite3.Connection:
    """Open a connection whose commits are on disk when they return (WAL, synchronous FULL).

    Args:
        path: The file.
        busy_s: Seconds to block while another process writes.
    """
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: Path) -> None:
    """Make the file if it is not there, and check that it is a journal.

    Raises:
        JournalVersionError: It is no SQLite file, damaged, not a journal, or newer.
        JournalUnavailableError: It cannot be made or opened there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(connect(path, busy_s=BUSY_S)) as connection:
            _check(connection, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise JournalUnavailableError(f"the journal {str(path)!r} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise JournalVersionError(
            f"{str(path)!r} is no journal or is damaged: {error}; move it away, or name another BATON_JOURNAL_URL"
        ) from error


class ServingLock:
    """The right to claim hops of a file: one process has it, until it exits however it exits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            JournalBusyError: Another process has it; names its pid.
        """
        file = _lock_path(self._path).open("a+", encoding="ascii")  # held until release
        if not self._locked(file):
            file.close()
            raise JournalBusyError(str(self._path), holder(self._path))
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def _locked(self, file: IO[str]) -> bool:
        """Take the lock, past processes that only look who has it: `holder` shares it for a moment."""
        for _ in range(LOOKS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if holder(self._path) is not None:
                    return False
                time.sleep(LOOK_S)
            else:
                return True
        return False

    def release(self) -> None:
        """Let go; harmless if it was never taken."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def holder(path: Path) -> int | None:
    """Return the pid of the process that serves the journal at `path`, or None."""
    try:
        with _lock_path(path).open("r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        text = _lock_path(path).read_text(encoding="ascii").strip()
        return int(text) if text.isdigit() else None
    except FileNotFoundError:
        return None


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    _is_new(connection, path)
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise JournalUnavailableError(f"the journal {str(path)!r} is on a file system that cannot do WAL")
    connection.execute("BEGIN IMMEDIATE")
    if _is_new(connection, path):
        _create(connection)
    connection.execute("COMMIT")


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Return True where nothing is in the file yet; nothing is written to a file that is not ours."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0 and application_id == 0:
        return True
    if application_id != APPLICATION_ID:
        raise JournalVersionError(f"{str(path)!r} is a SQLite file of another program; name another BATON_JOURNAL_URL")
    if version != VERSION:
        to_do = "use the newer Baton" if version > VERSION else "finish its runs with the older Baton, or name another"
        raise JournalVersionError(
            f"the journal {str(path)!r} has version {version}; this Baton reads version {VERSION}: {to_do}"
        )
    return False


def _create(connection: sqlite3.Connection) -> None:
    schema = resources.files("baton.journal.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    for statement in schema.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
