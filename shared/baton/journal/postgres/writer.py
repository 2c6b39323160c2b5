"""All that the journal is asked for: many commands in one call where that can be, each on its own where it cannot.

In: commands and operations from the event loop. Out: their results; what was written is durable. Nothing
that was begun stops because its caller went away.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from baton.errors import JournalUnavailableError
from baton.journal.postgres.connecting import Connections
from baton.journal.postgres.lanes import Kind, Lane, Order
from baton.journal.postgres.transaction import Operation, carry_out, look

C = TypeVar("C")
R = TypeVar("R")
T = TypeVar("T")

QUIET_S = 0.8
"""At the end, how long to wait for the next sign of a server that may be gone, in seconds."""


LONG_S = 300.0
"""Longest that a statement may take that looks through many runs, in seconds."""


class Writer:
    """Carries out what the journal is asked for.

    Args:
        connections: Where to get them.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._tasks: set[asyncio.Task[Any]] = set()
        self._done_count = 0
        self._is_closed = False
        self.commit_count = 0
        """Transactions so far."""
        self.after_commit: Callable[[], None] = lambda: None
        """Called after each commit; tests make it raise, to lose a commit's reply."""
        self._writes = Lane(connections, self._send_alone, self._committed)
        self._reads = Lane(connections, self._send_alone, self._answered)

    async def do(self, kind: Kind[C, R], command: C, *, is_plain: bool = True) -> R:
        """Carry out a command, with others where that can be.

        Args:
            kind: What it is.
            command: Idempotent; it may be carried out more than once.
            is_plain: False: it certainly needs a decision.

        Raises:
            JournalUnavailableError: The server did not answer in time.
        """
        if self._is_closed:
            raise JournalUnavailableError("the journal is closed")
        if not is_plain:
            return await self.alone(kind.alone(command), kind.name)
        order = Order(kind, command, kind.columns(command))
        (self._reads if kind.is_read else self._writes).add(order)
        return await order.future

    async def alone(self, operation: Operation[T], name: str = "", *, is_single: bool = False) -> T:
        """Carry out an operation in a transaction of its own.

        Args:
            operation: Idempotent; it may run more than once.
            name: Prefix of the fail points around its commit.
            is_single: True: each of its statements may take effect by itself.

        Raises:
            JournalUnavailableError: The server did not answer in time.
        """
        if self._is_closed:
            raise JournalUnavailableError("the journal is closed")
        return await self._kept(
            carry_out(self._connections, operation, name=name, after_commit=self._committed, is_single=is_single)
        )

    async def look(self, operation: Operation[T], *, statements: int = 1, is_long: bool = False) -> T:
        """Return what a read-only operation gives, at one moment.

        Args:
            operation: Reads only.
            statements: How many it has.
            is_long: True: each may take minutes; it looks through many runs.

        Raises:
            JournalUnavailableError: The server did not answer in time.
        """
        statement_s = LONG_S if is_long else None
        return await self._kept(look(self._connections, operation, statements=statements, statement_s=statement_s))

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives; it goes on to its end even where its caller is cancelled."""
        return await asyncio.shield(self._start(work))

    async def close(self) -> None:
        """Write what is queued, for as long as the server answers."""
        if self._is_closed:
            return
        self._is_closed = True
        lanes = (self._writes, self._reads)
        closing = [self._start(lane.close()) for lane in lanes]
        seen = -1
        while self._tasks and seen != self._done_count:
            seen = self._done_count
            await asyncio.wait(self._tasks, timeout=QUIET_S)
        left = [*closing, *self._tasks]
        for lane in lanes:
            lane.abandon()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _committed(self) -> None:
        self.commit_count += 1
        self._answered()
        self.after_commit()

    def _answered(self) -> None:
        self._done_count += 1

    def _send_alone(self, order: Order[Any, Any]) -> None:
        task = self._start(self._see_to(order))
        task.add_done_callback(lambda _: order.give_up())

    async def _see_to(self, order: Order[Any, Any]) -> None:
        kind, operation = order.kind, order.kind.alone(order.command)
        try:
            if kind.is_read:
                result = await look(self._connections, operation)
            else:
                result = await carry_out(self._connections, operation, name=kind.name, after_commit=self._committed)
        except Exception as error:
            order.fail(error)
        else:
            if not order.future.done():
                order.future.set_result(result)

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have gone away
