"""Locks between processes, and waiting for a condition without an event loop.

In: paths of files. Out: `flock` locks, which the kernel frees when their holder dies.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ASK_AGAIN_S = 0.02


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; waits for it."""
    descriptor = take(path)
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


def take(path: Path, *, waits: bool = True) -> int | None:
    """Take the lock at `path`; closing the descriptor gives it back.

    Args:
        path: Made if it is missing.
        waits: False: return None if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Return True if a process holds the lock at `path`."""
    if not path.exists():
        return False
    descriptor = take(path, waits=False)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def pause(seconds: float) -> None:
    """Let time pass where there is nothing to ask."""
    time.sleep(seconds)  # noqa: TID251  # the one place that may


def wait_until(condition: Callable[[], T], *, timeout_s: float, what: str) -> T:
    """Return the first true value of `condition`.

    Raises:
        TimeoutError: The condition was still false after `timeout_s`.
    """
    give_up_at = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() >= give_up_at:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        pause(ASK_AGAIN_S)
    return value
