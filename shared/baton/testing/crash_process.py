"""Processes that a crash test starts, waits for and kills.

In: a job and a journal. Out: how the process ended and what it printed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from baton.errors import BatonError
from baton.testing.crash_child import STACKS, Job

FAST = {"BATON_POLL_S": "0.05", "BATON_RETRY_BASE_S": "0.02", "BATON_GRACE_S": "5"}
"""Settings under which a test does not wait for the poll, or for what hangs."""
TOLD_BYTES = 6000
"""How much of a child's output an error shows."""


class CrashError(BatonError):
    """A crash test could not be done: the team does not load, or a run does not end."""

    code = "crash"


class Child:
    """A process that does a job on a journal.

    Args:
        job: What it does.
        journal: The SQLite file it serves.
        folder: Where the job and the output are kept.
        environ: Variables beside this process's own.
    """

    def __init__(self, job: Job, journal: Path, *, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self._output = folder / f"output-{len(list(folder.glob('output-*.txt'))) + 1}.txt"
        job_file = self._output.with_suffix(".json")
        job_file.write_text(job.model_dump_json(), encoding="utf-8")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and a module of this package
                [sys.executable, "-m", "baton.testing.crash_child", str(job_file)],
                env=environment(journal, environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        """What it has printed so far; the end of it."""
        return self._output.read_bytes()[-TOLD_BYTES:].decode("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        """True until it has exited, however that came."""
        return self._process.poll() is None

    @property
    def was_killed(self) -> bool:
        """True where SIGKILL ended it."""
        return self._process.poll() == -signal.SIGKILL

    def wait(self, *, timeout_s: float) -> Self:
        """Return once it has exited by itself without an error, or was killed.

        Raises:
            CrashError: It failed, or did not exit in time.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._show_stacks()
            self.kill()
            raise CrashError(f"the process did not exit within {timeout_s:g} s; it printed:\n{self.output}") from None
        if code not in (0, -signal.SIGKILL):
            raise CrashError(f"the process exited with code {code}; it printed:\n{self.output}")
        return self

    def kill(self) -> None:
        """End it by SIGKILL, at once; harmless if it has exited."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it by SIGTERM to finish what it does and exit."""
        self._process.terminate()

    def _show_stacks(self) -> None:
        """Let it print where its threads are: what blocks them is what the test's author wants to know."""
        self._process.send_signal(STACKS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def environment(journal: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Return variables for a process that imports what this one can, and works on `journal` alone.

    What it prints is written at once, as it is to be told although the process is killed.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    kit = {
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "BATON_TESTING": "1",
        "BATON_JOURNAL_URL": f"sqlite:///{journal}",
    }
    return {**own, **FAST, **changes, **kit}
