"""Plain functions beside the event loop."""

import asyncio
import contextvars
import threading

import pytest

from baton.hop.threads import in_thread
from tests.support.waiting import until

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


async def test_a_function_runs_in_another_thread_with_its_arguments_and_context() -> None:
    NAME.set("ann")
    seen = await in_thread(lambda a, *, b: (a, b, NAME.get(), threading.current_thread().daemon), 1, b=2)
    assert seen == (1, 2, "ann", True)


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt()])
async def test_an_error_is_raised_where_the_result_is_awaited(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await in_thread(fail)
    assert caught.value is error


async def test_a_stop_iteration_is_an_error_like_others() -> None:
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await in_thread(lambda: next(iter(())))


async def test_calls_that_never_return_do_not_hold_up_others() -> None:
    gate, started = threading.Event(), []

    def hang() -> None:
        started.append(1)
        gate.wait()

    hung = [asyncio.create_task(in_thread(hang)) for _ in range(40)]
    await until(lambda: len(started) == 40)
    assert await in_thread(lambda: "free") == "free"
    for task in hung:
        task.cancel()
    assert all(
        isinstance(error, asyncio.CancelledError) for error in await asyncio.gather(*hung, return_exceptions=True)
    )
    gate.set()
