"""The process that runs one server for the tests, and ends it when they are over, however they ended.

`python -m tests.support.servers.keeper DIRECTORY` returns once the server serves, and leaves the keeper behind.
In: the order in DIRECTORY, then signals. Out: one line of JSON, and the server.
SIGTERM stops the server, SIGQUIT lets it crash, both keep its data; SIGUSR1 removes it. So does the end of the
session: the kernel frees the session's lock when whoever holds it dies.
"""

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Protocol

from tests.support.servers.locks import is_held, locked
from tests.support.servers.orders import OLDEST, TITLES, Order, UnavailableError, numbers

STOP, CRASH, DISCARD = signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1

RUNNING = "running"
"""A lock in the server's directory that the keeper holds."""
PID = "keeper.pid"
ALIVE = "alive"
"""The session's lock, in the session's directory."""


class Runner(Protocol):
    """A way to run a server."""

    order: Order
    """As told, with the host where clients reach the server."""

    def start(self) -> str:
        """Start it and return its version once it serves; raises `UnavailableError`."""
        ...

    def wait(self) -> None:
        """Return when it has ended."""
        ...

    def stop(self, *, is_crash: bool = False) -> None:
        """End it; its data stay."""
        ...

    def discard(self) -> None:
        """End it at once and remove all that it had."""
        ...


class _Told(BaseException):
    """A signal came, which the keeper obeys wherever it is."""

    def __init__(self, number: int) -> None:
        self.number = number


def _obey(number: int, _frame: FrameType | None) -> None:
    for other in (STOP, CRASH, DISCARD):
        signal.signal(other, signal.SIG_IGN)
    raise _Told(number)


def _leave_with(session: Path) -> None:
    """Remove the server when the session is over."""
    with locked(session / ALIVE):
        os.kill(os.getpid(), DISCARD)


def runner_for(order: Order) -> Runner:
    """Return how to run the server of `order`.

    Raises:
        UnavailableError: It cannot be run here.
    """
    if order.source == "docker":
        from tests.support.servers.containers import ContainerServer

        return ContainerServer(order)
    from tests.support.servers.processes import LOCAL

    return LOCAL[order.kind](order)


def _started(runner: Runner, order: Order) -> str:
    version = runner.start()
    if numbers(version) < OLDEST[order.kind]:
        oldest = ".".join(map(str, OLDEST[order.kind]))
        raise UnavailableError(f"{TITLES[order.kind]} {version} is too old: {oldest} or newer is needed")
    return version


def _report(**said: str) -> None:
    """Tell who started the keeper how it went, and let go of the pipe it waits on."""
    os.write(1, json.dumps(said).encode())
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def keep(order: Order) -> None:
    """Run the server of `order` until a signal or the end of the session."""
    try:
        runner = runner_for(order)
    except UnavailableError as problem:
        _report(unavailable=str(problem))
        return
    for number in (STOP, CRASH, DISCARD):
        signal.signal(number, _obey)
    threading.Thread(target=_leave_with, args=[order.session], daemon=True).start()
    try:
        _report(version=_started(runner, order), host=runner.order.host)
        runner.wait()
    except _Told as told:
        if told.number == DISCARD:
            runner.discard()
        else:
            runner.stop(is_crash=told.number == CRASH)
    except UnavailableError as problem:
        runner.discard()
        _report(unavailable=str(problem))
    except Exception as problem:
        runner.discard()
        _report(unavailable=f"{type(problem).__name__}: {problem}")
        raise


def _tidy(session: Path) -> None:
    """Remove the directory of a session that nobody ended, once its last server is gone."""
    if not is_held(session / ALIVE) and not any(map(is_held, session.glob(f"*/{RUNNING}"))):
        shutil.rmtree(session, ignore_errors=True)


def main() -> None:
    """Go to the background and keep the server."""
    order = Order.read(Path(sys.argv[1]))
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    (order.directory / PID).write_text(str(os.getpid()), encoding="ascii")
    with locked(order.directory / RUNNING):
        keep(order)
    _tidy(order.session)


if __name__ == "__main__":
    main()
