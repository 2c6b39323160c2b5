"""The bank in one SQLite file, for the embedded desk: nothing to install or start.

In: a path. Out: a `Store`. Threads share one connection behind a lock; processes share the file (WAL,
busy timeout), and one transaction at a time writes.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.bank import schema
from services.bank.errors import BankUrlError
from services.bank.store import FIRST_NUMBER, PATIENCE_S, Result, Store

_ASK_AGAIN_S = 0.02


class SqliteStore(Store):
    """A `Store` in one file."""

    def __init__(self, path: Path, *, fill: Callable[[Store], None]) -> None:
        """Open the file, creating tables and calling `fill` where it is new.

        Args:
            path: The SQLite file; its folder is created.
            fill: Inserts the first rows, inside the transaction that creates the tables, so that
                several processes that open a new file at once fill it once.

        Raises:
            BankUrlError: The file is no bank, is damaged, or was written by a newer desk.
        """
        self._lock = threading.RLock()
        # Transactions are begun by hand below; threads share the connection behind the lock.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise BankUrlError(f"the bank {str(path)!r} cannot be opened: {error}") from error
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare(path, fill)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise BankUrlError(f"the bank {str(path)!r} cannot be opened: {error}") from error
        except BankUrlError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; the store is unusable afterwards."""
        with self._lock:
            self._db.close()

    def rows(self, sql: str, args: Sequence[object]) -> list[dict[str, Any]]:
        """Return the rows of `sql`, by column name."""
        with self._lock:
            return [dict(row) for row in self._db.execute(sql, args)]

    def change(self, sql: str, *args: object) -> int:
        """Run one changing statement and return the number of rows it hit; only inside `transact`."""
        return self._db.execute(sql, args).rowcount

    def next_number(self) -> int:
        """Return a number that no effect before has had; only inside `apply`."""
        return FIRST_NUMBER + self.count("SELECT count(*) FROM ledger")

    def transact(self, work: Callable[[], Result], *, customers: Sequence[str] = ()) -> Result:
        """Run `work` in the only write transaction of the file, so nobody's records change meanwhile."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = work()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            return result

    def _prepare(self, path: Path, fill: Callable[[Store], None]) -> None:
        # Looked at before anything is written, so that a file of somebody else stays as it is.
        self._is_new(path)
        self._switch_to_wal()
        self._db.execute("PRAGMA foreign_keys = ON")

        def create_once() -> None:
            if self._is_new(path):
                self._create(fill)

        self.transact(create_once)

    def _is_new(self, path: Path) -> bool:
        """Return whether the file is empty.

        Raises:
            BankUrlError: It holds something else than a bank this desk can read.
        """
        if self.count("SELECT count(*) FROM sqlite_master") == 0:
            return True
        marked, version = self.count("PRAGMA application_id"), self.count("PRAGMA user_version")
        if marked != schema.APPLICATION_ID or version > schema.VERSION:
            raise BankUrlError(
                f"{str(path)!r} is no bank of this desk (application id {marked}, version {version}; "
                f"expected {schema.APPLICATION_ID}, at most {schema.VERSION}); name another file"
            )
        return False

    def _create(self, fill: Callable[[Store], None]) -> None:
        for statement in schema.statements(schema.TABLES):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {schema.VERSION}")
        fill(self)

    def _switch_to_wal(self) -> None:
        """Set WAL, which SQLite refuses at once, without its busy timeout, while others open the file."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_ASK_AGAIN_S)
            else:
                return
