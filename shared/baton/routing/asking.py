"""One call of a function of the user's that asks a model, which may block, hang or raise.

In: a prompt. Out: what the function returned, or why there is nothing. `routing.llm` reads it.
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any

MAX_CALLS = 64
"""Calls under way at a time; a call that hangs for ever keeps its thread, so there is an end to them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a call ended."""

    text: object = None
    """What the function returned: a text, if it does what it should."""
    problem: str = ""
    """Why there is no text, as the rest of a sentence about the model; empty: there is."""


class Asking:
    """Calls one function; safe to share between threads.

    Args:
        ask: Takes a prompt; returns a text, or an awaitable of one.
        timeout_s: Seconds that a call may take, > 0.
    """

    def __init__(self, ask: Callable[[str], str] | Callable[[str], Awaitable[str]], *, timeout_s: float) -> None:
        self._ask: Callable[[str], Any] = ask
        self._timeout_s = timeout_s
        self._free = threading.BoundedSemaphore(MAX_CALLS)

    def answer(self, prompt: str) -> Asked:
        """Return how a call with `prompt` ended; never raises. Not for an event loop's thread: it blocks."""
        if not self._free.acquire(blocking=False):
            return Asked(problem=f"was not asked: {MAX_CALLS} calls are under way")
        ended: Future[Asked] = Future()
        # A thread of its own, which does not keep the process from exiting: a plain function cannot be cancelled.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._call, prompt, ended), name="baton-llm", daemon=True).start()
        try:
            return ended.result(self._timeout_s)
        except TimeoutError:
            return Asked(problem=f"did not answer within {self._timeout_s:g} s")

    def _call(self, prompt: str, ended: "Future[Asked]") -> None:
        try:
            found = self._ask(prompt)
            if inspect.isawaitable(found):
                found = asyncio.run_coroutine_threadsafe(_within(found, self._timeout_s), _loop()).result()
            asked = found if isinstance(found, Asked) else Asked(found)
        except BaseException as error:  # whatever it raises, the request goes on without the model
            asked = _failed(error)
        self._free.release()
        ended.set_result(asked)


def _failed(error: BaseException) -> Asked:
    """Tell the type of an error alone: its message may hold a key or the user's text."""
    return Asked(problem=f"could not be asked: {type(error).__name__}")


async def _within(found: Awaitable[Any], timeout_s: float) -> Any:
    try:
        async with asyncio.timeout(timeout_s):
            return await found
    except (SystemExit, KeyboardInterrupt) as error:  # either would end the loop, and with it every later call
        return _failed(error)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop of all calls: clients keep connections, which belong to the loop that opened them."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="baton-llm-loop", daemon=True).start()
    return loop
