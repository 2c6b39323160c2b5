"""Many requests at a time, with the results in the order of the requests.

In: items and what to do with each. Out: the results, each as soon as all before it are there.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WINDOW = 50
"""Requests in flight at a time."""


async def in_order(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], *, lane: Callable[[T], str | None]
) -> AsyncGenerator[R, None]:
    """Yield `work(item)` for each item, up to `WINDOW` of them at a time; closing it cancels the rest.

    Args:
        items: What to work on.
        work: What to do with one.
        lane: Items of one lane are worked on one after the other; None: on its own.
    """
    slots = asyncio.Semaphore(WINDOW)
    last: dict[str, asyncio.Task[R]] = {}
    tasks: list[asyncio.Task[R]] = []

    async def run(item: T, before: asyncio.Task[R] | None) -> R:
        # Slots are given in the order of asking, so the one before has its slot and gets done.
        async with slots:
            if before is not None:
                await asyncio.wait([before])
            return await work(item)

    for item in items:
        name = lane(item)
        task = asyncio.create_task(run(item, last.get(name) if name else None))
        tasks.append(task)
        if name:
            last[name] = task
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
