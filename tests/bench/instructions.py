"""Instructions that processes executed, counted by the processor: the same on a busy machine and on an idle one.

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


class Instructions:
    """Counts while `watch` is entered."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    @contextlib.contextmanager
    def watch(self, groups: Groups) -> Iterator[None]:
        perf = shutil.which("perf")
        if perf is None:
            yield
            return
        members = machine.members({**groups, load.DRIVER: [os.getpid()]})
        running = {
            name: subprocess.Popen(
                [perf, "stat", "-x,", "-e", EVENTS, "-p", ",".join(map(str, pids))],
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
                _, said = process.communicate(timeout=30)
                counts = [line.split(",")[0] for line in said.splitlines()]
                self._counts[name] = sum(int(count) for count in counts if count.isdecimal())

    def per_hop(self, hops: int) -> dict[str, float]:
        found = {name: round(count / max(hops, 1) / 1e6, 3) for name, count in self._counts.items()}
        return {**found, "all": round(sum(found.values()), 3)} if found else {}
