"""The bank's storage: one SQLite file, short transactions, effects unique on their key.

In: SQL of `lookups` and the effects. Out: records, and receipts that are the same for the same key.
Safe from several threads (one connection behind a lock) and several processes (WAL, busy timeout).
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from services.bank import schema
from services.bank.errors import BankUrlError, KeyReusedError
from services.bank.records import Receipt

BUSY_TIMEOUT_S = 10.0
"""How long a statement waits for another process's transaction."""

_ASK_AGAIN_S = 0.02

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Effect:
    """What the ledger notes of one effect."""

    name: str
    """The domain method, such as `freeze_card`."""
    key: str
    """The idempotency key; one effect per key, for ever."""
    customer: str


class Store:
    """One open bank file; `close` it when the process ends."""

    def __init__(self, path: Path, *, fill: Callable[[sqlite3.Connection], None]) -> None:
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
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
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

    def all(self, record: type[Record], sql: str, *args: object) -> list[Record]:
        """Return the rows of `sql` as records; column names are the fields."""
        with self._lock:
            rows = self._db.execute(sql, args).fetchall()
        return [record(**dict(row)) for row in rows]

    def one(self, record: type[Record], sql: str, *args: object) -> Record | None:
        """Return the first row of `sql` as a record, or None."""
        with self._lock:
            row = self._db.execute(sql, args).fetchone()
        return None if row is None else record(**dict(row))

    def count(self, sql: str, *args: object) -> int:
        """Return the first column of the first row of `sql`."""
        with self._lock:
            return int(self._db.execute(sql, args).fetchone()[0])

    def next_number(self) -> int:
        """Return a number that no effect before has had, from 2001; only inside `apply`."""
        return 2001 + self.count("SELECT count(*) FROM ledger")

    def change(self, sql: str, *args: object) -> int:
        """Run one changing statement and return the number of rows it hit; only inside `apply`."""
        return self._db.execute(sql, args).rowcount

    def apply(self, effect: Effect, act: Callable[[], Receipt]) -> Receipt:
        """Run `act` at most once per key and return its receipt, now and every later time.

        The ledger row and the changes of `act` are one transaction, so a crash leaves both or
        neither. If `act` raises, nothing is kept and the key stays free.

        Raises:
            KeyReusedError: The key was used before for another effect or customer.
        """
        with self.transaction():
            row = self._db.execute("SELECT * FROM ledger WHERE key = ?", (effect.key,)).fetchone()
            if row is None:
                return self._first(effect, act())
            if (row["effect"], row["customer"]) != (effect.name, effect.customer):
                raise KeyReusedError(effect.key, first=row["effect"], second=effect.name)
            self._db.execute("UPDATE ledger SET attempts = attempts + 1 WHERE key = ?", (effect.key,))
            return Receipt(**json.loads(row["receipt"]))

    def _first(self, effect: Effect, receipt: Receipt) -> Receipt:
        self._db.execute(
            "INSERT INTO ledger (key, effect, customer, detail, amount_minor, at, attempts, receipt) "
            "VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
            (
                effect.key,
                effect.name,
                effect.customer,
                receipt.detail,
                receipt.amount_minor,
                datetime.now(UTC).isoformat(timespec="milliseconds"),
                json.dumps(asdict(receipt)),
            ),
        )
        return receipt

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the only write transaction of the file; commit at the end, roll back on an error."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _prepare(self, path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
        # Looked at before anything is written, so that a file of somebody else stays as it is.
        self._is_new(path)
        self._switch_to_wal()
        self._db.execute("PRAGMA foreign_keys = ON")
        with self.transaction() as db:
            if self._is_new(path):
                self._create(db, fill)

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

    def _create(self, db: sqlite3.Connection, fill: Callable[[sqlite3.Connection], None]) -> None:
        for statement in schema.TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {schema.VERSION}")
        fill(db)

    def _switch_to_wal(self) -> None:
        """Set WAL, which SQLite refuses at once, without its busy timeout, while others open the file."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_ASK_AGAIN_S)
            else:
                return
