"""Instructions that processes execute, as the processor counts them: on a busy machine the same as on an idle one.

In: groups of processes. Out: millions of instructions per hop and group; nothing where `perf` cannot count.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

from baton.bench import load, machine
from baton.bench.machine import Groups

EVENTS = "instructions:u,instructions:k"
END_S = 30.0


class Instructions:
    """Counts for as long as `watch` is entered."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def watch(self, groups: Groups) -> Iterator[None]:
        """Count what these processes and this one execute."""
        perf = shutil.which("perf")
        members = machine.members({**groups, load.DRIVER: [os.getpid()]}) if perf else {}
        running = {
            name: subprocess.Popen(
                [str(perf), "stat", "-x,", "-e", EVENTS, "-p", ",".join(map(str, pids))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name, pids in members.items()
        }
        try:
            yield
        finally:
            for name, process in running.items():
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=END_S)
                counts = [line.split(",")[0] for line in said.splitlines()]
                self._counts[name] = sum(int(count) for count in counts if count.isdecimal())

    def millions_per_hop(self, hops: int) -> dict[str, float]:
        """Return millions of instructions per hop, by group."""
        return {name: round(count / max(hops, 1) / 1e6, 3) for name, count in self._counts.items() if count}
