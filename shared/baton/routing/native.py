"""Calls of native code that the end of the process waits for.

A thread that does not keep the process from exiting (`hop.threads`) may be inside a library when the interpreter
ends. Python then unwinds the thread through the library's C++ or Rust frames, which aborts the process (gh-87135).
"""

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ExitGate:
    """Lets calls through until the process exits, which waits for those under way; safe to share between threads.

    For calls that take seconds at most: the process cannot exit before they return.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_closed = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wrap one call.

        Raises:
            SystemExit: The process is exiting. It ends the thread without a word: one that is writing to
                standard error when the interpreter flushes it for the last time aborts the process, too.
        """
        with self._changed:
            if self._is_closed:
                raise SystemExit
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let no more calls through; return once the last has returned."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: not self._inside)


exit_gate = ExitGate()
"""Of this process."""
atexit.register(exit_gate.close)
