"""Group commit: operations of concurrent hops share a round trip and a transaction.

In: commands, each with its columns. Out: what became of each once that is durable. Whatever queued up
while a call was under way goes into the next one; a lone command goes at once. What a call leaves as it was
(it needs a decision), and every command of a call that broke, or whose reply was lost, goes its own way
afterwards: idempotent, it finds what it wrote, and one bad command harms only itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from baton import failpoints
from baton.errors import JournalError, JournalUnavailableError
from baton.journal.postgres import faults
from baton.journal.postgres.connecting import Connection, Connections
from baton.journal.postgres.transaction import Operation

logger = logging.getLogger("baton")

C = TypeVar("C")
R = TypeVar("R")

BATCH_LIMIT = 256
"""Most commands in one call; keeps the wait of the first one short."""


class Slow:
    """What became of a command that a call left as it was."""


SLOW = Slow()


@dataclass(frozen=True, eq=False)
class Kind(Generic[C, R]):
    """A kind of command, and how many of them are one call."""

    sql: str
    """Calls the function with the columns."""
    columns: Callable[[C], Any]
    """What the call needs of a command; raises for one that cannot be stored."""
    order: Callable[[C], Any]
    """By what a batch is sorted: the order of locks."""
    rivals: Callable[[C], tuple[Hashable, ...]]
    """Two commands that have one of these in common do not share a batch."""
    arguments: Callable[[Sequence[Any]], Sequence[object]]
    """The call's arguments, from what `columns` gave."""
    read: "Callable[[Connection, Sequence[Order[C, R]], list[Any]], Awaitable[Sequence[R | Slow]]]"
    """What became of each command, from the call's rows."""
    alone: Callable[[C], Operation[R]]
    """Carries out one command in a transaction of its own."""
    name: str = ""
    """Prefix of the fail points around the commit."""
    is_read: bool = False
    """True: it writes nothing."""


@dataclass(slots=True, eq=False)
class Order(Generic[C, R]):
    """A command with the future that waits for it."""

    kind: Kind[C, R]
    command: C
    columns: Any
    future: "asyncio.Future[R]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        """Tell whoever waits of an error."""
        if not self.future.done():
            self.future.set_exception(error)

    def give_up(self) -> None:
        """Tell whoever waits that the journal was closed; harmless where there is a result."""
        self.fail(JournalUnavailableError("the journal is closed; whether it wrote is not known"))


class Lane:
    """Makes the calls of some kinds, one at a time, on a connection of its own.

    Args:
        connections: Where to get one.
        alone: Sees to a command that goes its own way.
        after_commit: Called after each call; tests make it raise, to lose a call's reply.
    """

    def __init__(
        self, connections: Connections, alone: Callable[[Order[Any, Any]], None], after_commit: Callable[[], None]
    ) -> None:
        self._connections = connections
        self._alone = alone
        self._after_commit = after_commit
        self._waiting: dict[Kind[Any, Any], list[Order[Any, Any]]] = {}
        self._wanted = asyncio.Event()
        self._is_closing = False
        self._connection: Connection | None = None
        self._calls: dict[str, Any] = {}
        self._task = asyncio.create_task(self._work())

    def add(self, order: Order[Any, Any]) -> None:
        """Have a command carried out with others of its kind."""
        self._waiting.setdefault(order.kind, []).append(order)
        self._wanted.set()

    async def close(self) -> None:
        """Carry out what is queued, and stop."""
        self._is_closing = True
        self._wanted.set()
        await self._task

    def abandon(self) -> None:
        """Stop at once; what is queued fails."""
        self._task.cancel()
        for orders in self._waiting.values():
            for order in orders:
                order.give_up()

    async def _work(self) -> None:
        while not (self._is_closing and not self._waiting):
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                for kind in list(self._waiting):
                    await self._serve(kind, self._batch(kind))

    def _batch(self, kind: Kind[Any, Any]) -> list[Order[Any, Any]]:
        """Take the next commands of a kind that can share a call, in the order of locks."""
        waiting = self._waiting.pop(kind)
        if len(waiting) == 1:
            return waiting
        batch: list[Order[Any, Any]] = []
        rest: list[Order[Any, Any]] = []
        seen: set[Hashable] = set()
        for order in waiting:
            rivals = kind.rivals(order.command)
            (rest if len(batch) == BATCH_LIMIT or not seen.isdisjoint(rivals) else batch).append(order)
            seen.update(rivals)
        if rest:
            self._waiting[kind] = rest
        batch.sort(key=lambda order: kind.order(order.command))
        return batch

    async def _serve(self, kind: Kind[Any, Any], batch: list[Order[Any, Any]]) -> None:
        try:
            found = await self._call(kind, batch)
        except JournalError as error:  # no connection: nothing was sent
            for order in batch:
                order.fail(error)
            return
        except Exception as error:
            if faults.is_away(error):
                self._drop()
            logger.warning("%d writes of the journal go one by one: %s: %s", len(batch), type(error).__name__, error)
            for order in batch:
                self._alone(order)
            return
        for order, became in zip(batch, found, strict=True):
            if became is SLOW:
                self._alone(order)
            elif not order.future.done():
                order.future.set_result(became)

    async def _call(self, kind: Kind[Any, Any], batch: list[Order[Any, Any]]) -> Sequence[Any]:
        if self._connection is None or self._connection.is_closed():
            self._drop()
            self._connection = await self._connections.open()
        call = self._calls.get(kind.sql)
        if call is None:
            call = self._calls[kind.sql] = await self._connection.prepare(kind.sql)
        arguments = kind.arguments([order.columns for order in batch])
        _hit(kind, batch, "before_commit")
        rows = await call.fetch(*arguments)
        _hit(kind, batch, "after_commit")
        try:
            self._after_commit()
        except Exception as error:
            raise faults.ReplyLostError from error
        return await kind.read(self._connection, batch, rows)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connections.drop(self._connection)
        self._connection = None
        self._calls.clear()


def _hit(kind: Kind[Any, Any], batch: list[Order[Any, Any]], when: str) -> None:
    for _ in batch if kind.name else ():
        failpoints.hit(f"{kind.name}.{when}")
