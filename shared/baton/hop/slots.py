"""A worker's slots: so many hops at a time, and what waits until one is free.

In: work from the queue and from the poll. Out: tasks, and for how long a slot has been free.
"""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from baton.errors import JournalError

logger = logging.getLogger("baton")

Begin = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine that does a piece of work; called when a slot is free."""
HAND_BACK_S = 3.0
"""Seconds to give hops back at the end; the journal may be gone."""


class Slots:
    """Runs work, `count` pieces at a time and one more for the poll.

    Args:
        name: Whose slots, for the log.
        count: >= 1.
    """

    def __init__(self, name: str, count: int) -> None:
        self.count = count
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._backlog: deque[Begin] = deque()
        self._is_closed = False
        self._free_since: float | None = time.monotonic()
        self._delivered_at = 0.0
        self._context = contextvars.copy_context()

    @property
    def free(self) -> int:
        """How many are free; 0 or less: none."""
        return self.count - len(self._tasks)

    @property
    def load(self) -> tuple[int, int]:
        """How many are busy, one more than there are where the poll found it, and how many are free."""
        return len(self._tasks), max(0, self.free)

    def quiet_s(self) -> float | None:
        """Return for how long there has been a slot free and no delivery; None: no slot is free."""
        if self._free_since is None:
            return None
        return time.monotonic() - max(self._free_since, self._delivered_at)

    def offer(self, begin: Begin) -> None:
        """Begin what was delivered as soon as a slot is free; not at all once closed."""
        if self._is_closed:
            return
        self._delivered_at = time.monotonic()
        if self.free < 0:
            self._backlog.append(begin)  # slots are full of hops whose deliveries were acked long ago
        else:
            self.spawn(begin())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work now."""
        # Not the caller's context: in one process that is the hop, or the client, which published this one.
        context = self._context.copy()
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended, context=context)
        if self.free <= 0:
            self._free_since = None

    async def freed(self) -> None:
        """Wait until another piece may begin."""
        while self.free < 0:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)

    def close(self) -> None:
        """Begin nothing more that is offered."""
        self._is_closed = True
        self._backlog.clear()

    async def drain(self, grace_s: float) -> None:
        """Let what runs finish for `grace_s` seconds, then cancel it, so that it hands its hop back."""
        if self._tasks and grace_s > 0:
            await asyncio.wait(list(self._tasks), timeout=grace_s)
        for limit_s in (HAND_BACK_S, None):  # what the journal does not take by then, its lease hands back
            for task in list(self._tasks):
                task.cancel("handed back")
            if self._tasks:
                await asyncio.wait(list(self._tasks), timeout=limit_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._backlog and self.free >= 0:
            self.spawn(self._backlog.popleft()())
        if self._free_since is None and self.free > 0:
            self._free_since = time.monotonic()
        if not task.cancelled() and (error := task.exception()) is not None:
            is_known = isinstance(error, JournalError)  # and no fault of the code's: its text says what there is to say
            told = "hop of %s broke off, its lease runs out and it is tried again: %s"
            logger.error(told, self._name, error, exc_info=None if is_known else error)
