"""Waiting for an effect instead of sleeping: as short as it can be, and never silently too short."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

ASK_AGAIN_S = 0.005


async def until(condition: Callable[[], T | Awaitable[T]], *, timeout_s: float = 20.0, what: str = "") -> T:
    """Return the first true value of `condition`.

    Args:
        condition: A function or coroutine function without arguments; asked every few milliseconds.
        timeout_s: Seconds after which the wait fails.
        what: What is waited for, for the message; by default the condition's name.

    Raises:
        TimeoutError: The condition was still false after `timeout_s`.
    """
    clock = asyncio.get_running_loop()
    give_up_at = clock.time() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if clock.time() >= give_up_at:
            raise TimeoutError(f"not within {timeout_s:g} s: {what or condition.__qualname__}; last {value!r}")
        await asyncio.sleep(ASK_AGAIN_S)  # noqa: TID251  # the one place that may
