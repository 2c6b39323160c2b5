"""The one writer: operations of concurrent hops share a transaction.

In: idempotent operations from the event loop. Out: their results once they are on disk. Whatever
queued up during a commit goes into the next one. If a batch raises, or nobody knows whether its
commit took, each of its operations is done again in a transaction of its own; being idempotent, it
finds what it wrote, and one bad operation harms only itself.

Statements run on the event loop: they take microseconds, and a thread would fight it for the
interpreter at each of them. Only the commit, which waits for the disk, runs in a thread.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from baton import failpoints
from baton.errors import JournalUnavailableError, JournalVersionError

T = TypeVar("T")

BATCH_LIMIT = 256
"""Most operations in one transaction; keeps the wait of the first one short."""
BUSY_S = 10.0
"""Seconds to wait while another process writes."""
BUSY_LOOK_S = 0.002
"""How often that is tried, in seconds."""


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Transaction:
    """A connection inside a transaction, with the journal's clock."""

    __slots__ = ("_execute", "now")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self.now = time.time()

    def one(self, sql: str, *values: object) -> Any:
        """Return the first row, or None."""
        return self._execute(sql, values).fetchone()

    def all(self, sql: str, *values: object) -> list[Any]:
        """Return all rows."""
        return self._execute(sql, values).fetchall()

    def run(self, sql: str, *values: object) -> int:
        """Execute and return how many rows changed."""
        return self._execute(sql, values).rowcount


Operation = Callable[[Transaction], T]


class _Order(Generic[T]):
    """An operation with the future that waits for it."""

    __slots__ = ("future", "name", "operation", "result")

    def __init__(self, operation: Operation[T], name: str, future: asyncio.Future[T]) -> None:
        self.operation = operation
        self.name = name
        self.future = future
        self.result: Any = None


class Writer:
    """Runs operations on one connection, in groups.

    Args:
        connection: Used by this writer alone.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._orders: list[_Order[Any]] = []
        self._wanted = asyncio.Event()
        self._is_closed = False
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="baton-journal")
        self.after_commit: Callable[[], None] = lambda: None
        """Called after each commit; tests make it raise, to lose a commit's reply."""
        self._task = asyncio.create_task(self._work())

    async def do(self, operation: Operation[T], name: str = "") -> T:
        """Run `operation` in a transaction and return its result once that is durable.

        Args:
            operation: Idempotent; it may run more than once.
            name: Prefix of the fail points around its commit.

        Raises:
            JournalUnavailableError: It could not be written; nothing was changed.
        """
        if self._is_closed:
            raise JournalUnavailableError("the journal is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._orders.append(_Order(operation, name, future))
        self._wanted.set()
        return await future

    async def close(self) -> None:
        """Write what is queued and close the connection."""
        if not self._is_closed:
            self._is_closed = True
            self._wanted.set()
            await self._task
            self._disk.shutdown()
            self._connection.close()

    async def _work(self) -> None:
        while not self._is_closed or self._orders:
            await self._wanted.wait()
            self._wanted.clear()
            while self._orders:
                batch, self._orders = self._orders[:BATCH_LIMIT], self._orders[BATCH_LIMIT:]
                await self._serve(batch)

    async def _serve(self, batch: list[_Order[Any]]) -> None:
        try:
            await self._begin()
        except sqlite3.Error as error:  # nothing was begun: to try each alone would only wait as often
            for order in batch:
                _fail(order, error)
            return
        try:
            await self._commit(batch)
        except Exception as error:
            self._roll_back()
            if len(batch) == 1 and not isinstance(error, sqlite3.Error | _CommitUnknownError):
                _fail(batch[0], error)
                return
            for order in batch:
                await self._alone(order)

    async def _alone(self, order: _Order[Any]) -> None:
        try:
            await self._begin()
            await self._commit([order])
        except Exception as error:
            self._roll_back()
            _fail(order, error)

    async def _commit(self, batch: list[_Order[Any]]) -> None:
        transaction = Transaction(self._connection)
        for order in batch:
            order.result = order.operation(transaction)
        _hit(batch, "before_commit")
        await asyncio.get_running_loop().run_in_executor(self._disk, self._connection.execute, "COMMIT")
        _hit(batch, "after_commit")
        try:
            self.after_commit()
        except Exception as error:
            raise _CommitUnknownError from error
        for order in batch:
            if not order.future.done():
                order.future.set_result(order.result)

    async def _begin(self) -> None:
        """Become the one writer, waiting for other processes without stopping this one's loop."""
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(BUSY_LOOK_S)

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


class _CommitUnknownError(Exception):
    """The commit was sent, and its reply was lost."""


def _hit(batch: list[_Order[Any]], when: str) -> None:
    for order in batch:
        if order.name:
            failpoints.hit(f"{order.name}.{when}")


def _fail(order: _Order[Any], error: Exception) -> None:
    if not order.future.done():
        order.future.set_exception(as_unavailable(error))


def as_unavailable(error: Exception) -> Exception:
    """Return what callers are told of `error`: trouble with the file is the journal's own."""
    if isinstance(error, sqlite3.OperationalError | _CommitUnknownError):
        return JournalUnavailableError(f"the journal cannot be read or written: {error}; nothing was changed")
    if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return JournalVersionError(f"the journal is damaged: {error}; restore it, or name another BATON_JOURNAL_URL")
    return error
