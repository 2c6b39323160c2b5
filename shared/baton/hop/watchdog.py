"""Notices an agent that blocks the event loop, while it does.

In: a heartbeat from the loop. Out: a warning with the stack of the code that blocks it, and a call that counts it.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

logger = logging.getLogger("baton")


class Watchdog:
    """Logs where the event loop is stuck when it has not turned for some time.

    Args:
        limit_s: For how long, in seconds.
        on_blocked: Called each time, in a thread of the watchdog's.
    """

    def __init__(self, limit_s: float, on_blocked: Callable[[], None] = lambda: None) -> None:
        self._limit_s = limit_s
        self._on_blocked = on_blocked
        self._beat_at = time.monotonic()
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="baton-watchdog", daemon=True)

    async def run(self) -> None:
        """Beat until cancelled."""
        self._thread.start()
        try:
            while True:
                self._beat_at = time.monotonic()
                await asyncio.sleep(self._limit_s / 4)
        finally:
            self._over.set()

    def _watch(self) -> None:
        told_at = 0.0
        while not self._over.wait(self._limit_s / 4):
            stuck_s = time.monotonic() - self._beat_at
            if stuck_s > self._limit_s and told_at != self._beat_at:
                told_at = self._beat_at
                self._on_blocked()
                frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # the documented way to see another thread
                stack = "".join(traceback.format_stack(frame)) if frame else "unknown"
                logger.warning(
                    "the event loop has been blocked for %.1f s, over a third of a lease; "
                    "blocking calls belong in `def` steps or asyncio.to_thread:\n%s",
                    stuck_s,
                    stack,
                )
