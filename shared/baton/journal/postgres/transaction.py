"""Transactions of several statements: for what needs a decision between reading and writing.

In: operations, each idempotent. Out: their results once they are durable. An operation that met another
transaction, or whose connection died, is done again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from baton import failpoints
from baton.journal.postgres import faults
from baton.journal.postgres.connecting import PATIENCE_S, Connection, Connections

T = TypeVar("T")

RACES = 20
"""How often an operation that met another transaction is done again."""
_PAUSE_S = 0.005


class Transaction:
    """A connection inside a transaction, with the journal's clock.

    READ COMMITTED: each statement sees what was committed before it began, so the locks that a decision
    needs are taken by an earlier one: conversations, then runs, then hops, each in key order.

    Args:
        connection: In a transaction, or, for statements that may each take effect by itself, not.
        statement_s: Longest that one statement may take, in seconds; None: `COMMAND_S`.
    """

    __slots__ = ("_statement_s", "connection", "now")

    def __init__(self, connection: Connection, *, statement_s: float | None = None) -> None:
        self.connection = connection
        self._statement_s = statement_s
        self.now = 0.0
        """Set by `lock` and `tick`, after the locks."""

    async def one(self, sql: str, *values: object) -> Any:
        """Return the first row, or None."""
        return await self.connection.fetchrow(sql, *values, timeout=self._statement_s)

    async def value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, or None."""
        return await self.connection.fetchval(sql, *values, timeout=self._statement_s)

    async def all(self, sql: str, *values: object) -> list[Any]:
        """Return all rows."""
        found: list[Any] = await self.connection.fetch(sql, *values, timeout=self._statement_s)
        return found

    async def run(self, sql: str, *values: object) -> int:
        """Execute and return how many rows changed."""
        status = await self.connection.execute(sql, *values, timeout=self._statement_s)
        return int(status.rpartition(" ")[2])

    async def lock(self, run_ids: Sequence[str]) -> None:
        """Lock runs, their conversations before them and who is next in line with them; then read the clock."""
        self.now = await self.connection.fetchval("SELECT lock_runs($1)", list(run_ids))

    async def tick(self) -> None:
        """Read the clock."""
        self.now = await self.connection.fetchval("SELECT clock()")


Operation = Callable[[Transaction], Awaitable[T]]


async def carry_out(
    connections: Connections,
    operation: Operation[T],
    *,
    after_commit: Callable[[], None],
    name: str = "",
    is_single: bool = False,
) -> T:
    """Run `operation` in a transaction and return its result once that is durable.

    Args:
        connections: Where to get one.
        operation: Idempotent; it may run more than once.
        after_commit: Called after each commit; tests make it raise, to lose a commit's reply.
        name: Prefix of the fail points around its commit.
        is_single: True: each of its statements may take effect by itself; saves two round trips.

    Raises:
        JournalUnavailableError: The server did not answer in time.
    """
    again = _Again()
    while True:
        try:
            async with connections.lent() as connection:
                tx = Transaction(connection)
                result = await (operation(tx) if is_single else _committed(tx, operation, name=name))
                _notice(after_commit)
            return result
        except Exception as error:
            await again.after(error)


async def look(
    connections: Connections, operation: Operation[T], *, statements: int = 1, statement_s: float | None = None
) -> T:
    """Return what a read-only operation gives, at one moment.

    Args:
        connections: Where to get one.
        operation: Reads only.
        statements: How many it has; one alone needs no transaction to see one moment.
        statement_s: Longest that one of them may take, in seconds; None: `COMMAND_S`.

    Raises:
        JournalUnavailableError: The server did not answer in time.
    """
    again = _Again()
    while True:
        try:
            async with connections.lent() as connection:
                tx = Transaction(connection, statement_s=statement_s)
                if statements == 1:
                    return await operation(tx)
                return await _committed(tx, operation, begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except Exception as error:
            await again.after(error)


class _Again:
    """How often, and for how long, an operation is done again."""

    def __init__(self) -> None:
        self._races = 0
        self._give_up_at: float | None = None

    async def after(self, error: Exception) -> None:
        """Return when the operation may be done again after `error`; raise where that is no use."""
        now = asyncio.get_running_loop().time()
        if faults.is_race(error):
            self._races += 1
            is_over = self._races >= RACES
        else:
            self._give_up_at = self._give_up_at or now + PATIENCE_S
            is_over = not faults.is_away(error) or now > self._give_up_at
        if is_over:
            faults.tell(error)
        await asyncio.sleep(_PAUSE_S * (self._races or 1) * random.random())


async def _committed(tx: Transaction, operation: Operation[T], *, name: str = "", begin: str = "BEGIN") -> T:
    connection = tx.connection
    await connection.execute(begin)
    try:
        result = await operation(tx)
        if name:
            failpoints.hit(f"{name}.before_commit")
        await connection.execute("COMMIT")
    except Exception as error:
        if not faults.is_away(error):
            await connection.execute("ROLLBACK")
        raise
    if name:
        failpoints.hit(f"{name}.after_commit")
    return result


def _notice(after_commit: Callable[[], None]) -> None:
    try:
        after_commit()
    except Exception as error:
        raise faults.ReplyLostError from error
