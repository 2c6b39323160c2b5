"""Reading beside the writer: a connection of its own, each operation at one moment, after the newest commit.

In: read-only operations. Out: their results.
"""

import asyncio
import sqlite3
from typing import TypeVar

from baton.errors import JournalUnavailableError
from baton.journal.sqlite.writer import Operation, Transaction, as_unavailable

T = TypeVar("T")


class Reader:
    """Runs read-only operations on one connection.

    Args:
        connection: Used by this reader alone.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()
        self._is_closed = False

    async def do(self, operation: Operation[T]) -> T:
        """Return what a short read gives; it runs on the event loop.

        Raises:
            JournalUnavailableError: The file cannot be read.
        """
        async with self._lock:
            return self._read(operation)

    async def do_long(self, operation: Operation[T]) -> T:
        """Return what a long read gives; it runs in a thread.

        Raises:
            JournalUnavailableError: The file cannot be read.
        """
        async with self._lock:
            return await asyncio.to_thread(self._read, operation)

    def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        self._connection.close()

    def _read(self, operation: Operation[T]) -> T:
        if self._is_closed:
            raise JournalUnavailableError("the journal is closed")
        try:
            self._connection.execute("BEGIN")
            try:
                return operation(Transaction(self._connection))
            finally:
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise as_unavailable(error) from error
