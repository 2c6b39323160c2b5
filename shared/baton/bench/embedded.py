"""The embedded default, measured: five hops a run in one process, the journal on disk.

In: how many runs. Out: one line of figures: hops per second, latency, CPU, memory.
"""

import asyncio
import resource
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baton.bench import stages
from baton.bench.stages import STAGES
from baton.broker.memory import MemoryBroker
from baton.config import Settings
from baton.journal.sqlite.journal import SqliteJournal
from baton.service import Service, serving


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
        async with serving(stages.team, settings, journal=SqliteJournal(path), broker=MemoryBroker()) as service:
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

    async def keep_sending() -> None:
        nonlocal lost
        for _ in left:
            began = time.perf_counter()
            run = await service.client.send(stages.TEXT, to=stages.FIRST)
            result = await run.result(timeout_s=120)
            latencies.append(time.perf_counter() - began)
            lost += result.text != stages.ANSWER

    await asyncio.gather(*(keep_sending() for _ in range(min(window, runs))))
    return latencies, lost


def _size_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())
