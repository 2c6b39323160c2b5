"""Plain functions beside the event loop, each in a thread of its own, so that one may hang alone.

In: a function that blocks. Out: its result. The loop's own pool has a handful of threads: as many
calls that never return would stop whatever else runs there, and the process could not exit.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return `fn(*args, **kwargs)`, called in a thread that does not keep the process from exiting.

    When the caller is cancelled the thread goes on, and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]  # without an error it is a T
        else:
            future.set_exception(error)

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = context.run(fn, *args, **kwargs)
        except StopIteration as stopped:
            error = RuntimeError(f"{fn!r} raised StopIteration")
            error.__cause__ = stopped
        except BaseException as raised:  # it is raised where the result is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=f"baton-{getattr(fn, '__name__', 'call')}", daemon=True).start()
    return await future
