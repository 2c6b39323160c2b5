"""What the end of the process waits for."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import baton
from baton.routing.native import ExitGate
from tests.support.waiting import until

REFUSED = """
import atexit
import threading

threads = []
atexit.register(lambda: threads[0].join())  # runs once the gate is closed, which is imported later
from baton.routing.native import exit_gate

def call():
    while True:
        with exit_gate.passing():
            pass

threads.append(threading.Thread(target=call, daemon=True))
threads[0].start()
"""


async def test_closing_waits_for_the_calls_under_way_and_lets_no_more_through() -> None:
    gate, may_return = ExitGate(), threading.Event()
    inside: list[int] = []

    def call(number: int) -> None:
        with gate.passing():
            inside.append(number)
            may_return.wait()
            inside.remove(number)

    def refuses() -> bool:
        try:
            with gate.passing():
                return False
        except SystemExit:
            return True

    calls = [asyncio.ensure_future(asyncio.to_thread(call, number)) for number in range(2)]
    await until(lambda: len(inside) == len(calls))
    closing = asyncio.ensure_future(asyncio.to_thread(gate.close))
    try:
        await until(refuses)
        assert len(inside) == len(calls)
        assert not closing.done()
    finally:
        may_return.set()
    await closing
    assert not inside
    await asyncio.gather(*calls)


def test_a_call_that_raises_has_returned() -> None:
    gate = ExitGate()
    with contextlib.suppress(KeyError), gate.passing():
        raise KeyError
    gate.close()


def test_a_thread_that_is_refused_as_the_process_ends_prints_nothing() -> None:
    env = {"PYTHONPATH": str(Path(baton.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", REFUSED], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
