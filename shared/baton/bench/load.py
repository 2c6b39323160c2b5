"""The two loads of a relay: as many runs as a window holds, and a few at a steady rate.

In: a function that takes one run through the relay. Out: rates, latencies, and the CPU of everything.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from baton.bench import machine
from baton.bench.machine import Groups
from baton.errors import BatonError

Submit = Callable[[], Awaitable[bool]]
"""Takes one run through the relay; True: every stage did its work once, in order."""

DRAIN_S = 60.0
"""How long the last runs may take once no more are sent."""
DRIVER = "driver"
"""The group of the process that sends and checks the runs: this one."""


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement."""

    runs: int
    took_s: float
    hops_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    cpu_s_per_1000_hops: dict[str, float]
    """By group of processes."""
    cores: float
    """Processors that all these used on the average."""
    other_cores: float
    """Processors that the rest of the machine used meanwhile: near 0, or the figures say little."""
    lost: int
    """Runs without a result."""
    wrong: int
    """Runs with another result than theirs."""

    @property
    def cpu_s_in_all(self) -> float:
        """CPU seconds per 1,000 hops of all groups."""
        return round(sum(self.cpu_s_per_1000_hops.values()), 3)


@dataclass(slots=True)
class _Tally:
    right: int = 0
    wrong: int = 0
    failed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    async def one(self, submit: Submit, due_s: float | None = None) -> None:
        began = time.perf_counter() if due_s is None else due_s
        try:
            is_right = await submit()
        except (BatonError, TimeoutError):
            self.failed += 1
            return
        self.latencies_s.append(time.perf_counter() - began)
        self.right += is_right
        self.wrong += not is_right


class _Meter:
    """CPU of groups of processes between two moments."""

    def __init__(self, groups: Groups) -> None:
        self._groups = {**groups, DRIVER: [os.getpid()]}
        self._busy_s = machine.busy_s()
        self._cpu_s = machine.cpu_s(self._groups)
        self._began = time.perf_counter()

    def load(self, tally: _Tally, unfinished: int, stages: int) -> Load:
        took_s = time.perf_counter() - self._began
        cpu_s = {name: used - self._cpu_s[name] for name, used in machine.cpu_s(self._groups).items()}
        busy_s = machine.busy_s() - self._busy_s
        hops = tally.right * stages
        cuts = statistics.quantiles(tally.latencies_s, n=100) if len(tally.latencies_s) > 1 else None
        p50, p95, p99 = (round(cuts[n - 1] * 1000, 2) if cuts else None for n in (50, 95, 99))
        return Load(
            runs=tally.right,
            took_s=round(took_s, 2),
            hops_per_s=round(hops / took_s, 1),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            cpu_s_per_1000_hops={name: round(used * 1000 / max(hops, 1), 3) for name, used in cpu_s.items()},
            cores=round(sum(cpu_s.values()) / took_s, 2),
            other_cores=round(max(0.0, busy_s - sum(cpu_s.values())) / took_s, 2),
            lost=unfinished + tally.failed,
            wrong=tally.wrong,
        )


async def warm_up(submit: Submit, runs: int, *, timeout_s: float = 60.0) -> bool:
    """Take some runs through the relay; return True if all were right within `timeout_s` seconds."""
    tally = _Tally()
    async with asyncio.timeout(timeout_s):
        await tally.one(submit)
        await asyncio.gather(*(tally.one(submit) for _ in range(runs - 1)))
    return tally.right == runs


async def full(submit: Submit, groups: Groups, *, window: int, seconds: float, stages: int) -> Load:
    """Keep `window` runs in flight for some seconds, then let them end.

    Args:
        submit: Takes one run through the relay.
        groups: Whose CPU is measured beside this process's.
        window: Runs in flight, >= 1.
        seconds: For how long runs begin.
        stages: Hops of a run.
    """
    tally, meter = _Tally(), _Meter(groups)
    until = time.perf_counter() + seconds

    async def keep_sending() -> None:
        while time.perf_counter() < until:
            await tally.one(submit)

    senders = [asyncio.create_task(keep_sending()) for _ in range(window)]
    return meter.load(tally, await _ended(senders, seconds + DRAIN_S), stages)


async def steady(submit: Submit, groups: Groups, *, rate: float, seconds: float, stages: int) -> Load:
    """Begin `rate` runs a second, however long they take; latencies count from when each was due.

    Args:
        submit: Takes one run through the relay.
        groups: Whose CPU is measured beside this process's.
        rate: Runs a second, > 0.
        seconds: For how long runs begin.
        stages: Hops of a run.
    """
    tally, meter = _Tally(), _Meter(groups)
    began = time.perf_counter() + 0.05
    runs = []
    for number in range(int(seconds * rate)):
        due_s = began + number / rate
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        runs.append(asyncio.create_task(tally.one(submit, due_s)))
    return meter.load(tally, await _ended(runs, DRAIN_S), stages)


async def _ended(tasks: list[asyncio.Task[None]], patience_s: float) -> int:
    """Wait for tasks and return how many of them have not ended."""
    if not tasks:
        return 0
    _, pending = await asyncio.wait(tasks, timeout=patience_s)
    for task in pending:
        task.cancel()
    return len(pending)
