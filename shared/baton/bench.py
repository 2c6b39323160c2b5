"""`baton bench relay`: what a durable handoff costs on this machine.

In: how many runs of how many hops. Out: one line of figures: hops per second, latency, CPU, memory.
"""

import asyncio
import resource
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from baton.agent import Agent
from baton.broker.memory import MemoryBroker
from baton.config import Settings
from baton.hop.turn import Turn
from baton.journal.sqlite.journal import SqliteJournal
from baton.outcome import Answer, Handoff, Outcome
from baton.service import Service, serving
from baton.team import Team

STAGES = 5
"""Hops of a run: the router's and four agents'."""
HISTORY_BYTES = 4096
"""Size of the request that every hop carries along."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement."""

    bench: str
    runs: int
    hops: int
    window: int
    """Runs in flight at a time."""
    hops_per_s: float
    p50_ms: float
    """Time from sending a run to its result, with `window` runs in flight."""
    p95_ms: float
    p99_ms: float
    cpu_s_per_1000_hops: float
    rss_mib: float
    """Largest resident size of the process."""
    journal_bytes_per_run: int
    lost: int
    """Runs without the right result; 0."""


async def relay(*, runs: int, window: int, directory: Path | None = None) -> Figures:
    """Send `runs` runs through five hops, `window` of them in flight, journal on disk.

    Args:
        runs: How many, >= 1.
        window: How many in flight, >= 1.
        directory: Where the journal goes; None: a scratch directory of its own.
    """
    with tempfile.TemporaryDirectory(prefix="baton-bench-", dir=directory) as scratch:
        path = Path(scratch) / "journal.db"
        settings = Settings(concurrency=window)
        async with serving(_team(), settings, journal=SqliteJournal(path), broker=MemoryBroker()) as service:
            cpu, began = time.process_time(), time.perf_counter()
            latencies, lost = await _send_all(service, runs, window)
            took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        size_bytes = await asyncio.to_thread(_size_bytes, Path(scratch))
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    hops = runs * STAGES
    return Figures(
        bench="relay",
        runs=runs,
        hops=hops,
        window=window,
        hops_per_s=round(hops / took_s, 1),
        p50_ms=round(cuts[49] * 1000, 1),
        p95_ms=round(cuts[94] * 1000, 1),
        p99_ms=round(cuts[98] * 1000, 1),
        cpu_s_per_1000_hops=round(cpu_s / hops * 1000, 3),
        rss_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        journal_bytes_per_run=size_bytes // runs,
        lost=lost,
    )


def as_line(figures: Figures) -> dict[str, Any]:
    """Return the figures as a JSON object."""
    return asdict(figures)


async def _send_all(service: Service, runs: int, window: int) -> tuple[list[float], int]:
    latencies: list[float] = []
    lost = 0
    left = iter(range(runs))
    text = ("order invoice refund customer account delayed parcel " * 100)[:HISTORY_BYTES]

    async def keep_sending() -> None:
        nonlocal lost
        for _ in left:
            began = time.perf_counter()
            run = await service.client.send(text, to="stage-1")
            result = await run.result(timeout_s=120)
            latencies.append(time.perf_counter() - began)
            lost += result.text != f"seen by {STAGES - 1} stages"

    await asyncio.gather(*(keep_sending() for _ in range(min(window, runs))))
    return latencies, lost


def _size_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def _team() -> Team:
    stages = [_stage(number) for number in range(1, STAGES)]
    edges = [a >> b for a, b in pairwise(stages)]
    return Team("relay", edges, agents=stages)


def _stage(number: int) -> Agent:
    agent = Agent(f"stage-{number}", f"Stage {number} of the relay")

    @agent.turn
    async def take(turn: Turn) -> Outcome:
        seen = turn.facts.get("seen", 0) + 1
        if number == STAGES - 1:
            return Answer(f"seen by {seen} stages")
        return Handoff(f"stage-{number + 1}", reason="next stage", facts={"seen": seen})

    return agent
