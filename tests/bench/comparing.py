"""Raw aio-pika and Baton, measured by turns on the same servers.

In: servers, a plan, and how often. Out: one `Row` for each measurement.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from baton.bench import load, machine, services, stages
from baton.bench.processes import Servers
from baton.bench.services import Measured, Plan, Watch, unwatched
from tests.bench import filling, raw
from tests.bench.instructions import Instructions

ROOT = Path(__file__).resolve().parents[2]
RAW, BATON, TRACED, METERED = "raw aio-pika", "baton", "baton, every span exported", "baton, spans and metrics"
CONTESTANTS = (RAW, BATON)
SPANS_OF_A_RUN = 19
"""The root; three of the router; four of each of three agents, two of the last; the result's publish."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    name: str
    measured: Measured
    instructions: dict[str, float]
    """Millions per hop with the window full, by group; empty where they were not counted."""
    spans_lost: int | None = None
    """Of those that its runs have; None: it was not traced."""


@contextlib.asynccontextmanager
async def raw_stages(url: str) -> AsyncIterator[list[int]]:
    """Run the reference's five processes, and give their ids."""
    running: list[asyncio.subprocess.Process] = []
    try:
        for stage in range(1, stages.STAGES + 1):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.raw", str(stage), url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            running.append(process)
            assert process.stdout is not None
            assert await process.stdout.readline() == raw.SERVING
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
        await asyncio.gather(*(process.wait() for process in running))


async def relay_raw(servers: Servers, plan: Plan, watch: Watch = unwatched) -> Measured:
    """Measure the reference as `baton.bench.services.relay` measures Baton."""
    await raw.declare(servers.broker_url)
    async with raw_stages(servers.broker_url) as pids, raw.requesting(servers.broker_url) as submit:
        broker = services.server_groups(servers).get("rabbitmq", [])
        groups = {"agents": pids, "rabbitmq": broker}
        steady, full = await services.both_loads(submit, groups, plan, watch)
        return Measured(full, steady, machine.memory_mib({**groups, load.DRIVER: [os.getpid()]}))


async def measured(name: str, servers: Servers, plan: Plan, *, counts: bool = False) -> Row:
    """Measure one contestant once.

    Args:
        name: One of `CONTESTANTS`.
        servers: Where.
        plan: What.
        counts: True: count instructions, which makes every switch between processes slow, so that the
            time of whoever switches often is not what it is otherwise.
    """
    counted = Instructions()
    relay = relay_raw if name == RAW else services.relay
    found = await relay(servers, plan, counted.watch if counts else unwatched)
    return Row(name, found, counted.millions_per_hop(found.full.runs * stages.STAGES))


@dataclass(frozen=True)
class Work:
    """What is to be measured."""

    servers: Servers
    plan: Plan
    counts: bool
    """See `measured`."""
    tell: Callable[[Row], None]
    """Called with each row."""

    async def one(self, name: str) -> Row:
        """Measure one contestant once."""
        return await measured(name, self.servers, self.plan, counts=self.counts)


async def by_turns(work: Work, repeats: int) -> list[Row]:
    """Measure both contestants `repeats` times, each after the other."""
    rows: list[Row] = []
    for _ in range(repeats):
        for name in CONTESTANTS:
            rows.append(await work.one(name))
            work.tell(rows[-1])
    return rows


async def traced(work: Work, repeats: int) -> list[Row]:
    """Measure Baton without a collector, with one for spans, and with one for metrics, too; `repeats` times."""
    rows: list[Row] = []
    async with collecting() as (url, spans):
        for _ in range(repeats):
            rows.append(await work.one(BATON))
            work.tell(rows[-1])
            for name in (TRACED, METERED):
                servers = replace(work.servers, otlp_url=url, has_metrics=name == METERED)
                row = await measured(BATON, servers, work.plan, counts=work.counts)
                measured_runs = row.measured.full.runs + (row.measured.steady.runs if row.measured.steady else 0)
                expected = SPANS_OF_A_RUN * (work.plan.warm_up + measured_runs)
                rows.append(replace(row, name=name, spans_lost=expected - await spans()))
                work.tell(rows[-1])
    return rows


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[tuple[str, Callable[[], Awaitable[int]]]]:
    """Run a collector; give its URL, and what tells how many spans came since it was last asked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.collector", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int((await process.stdout.readline()).split()[-1])}"

        async def spans() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/spans") as answer:
                return int(await answer.json())

        yield url, spans
    finally:
        process.kill()
        await process.wait()


async def filled(work: Work, runs: int) -> list[Row]:
    """Measure Baton with an empty journal, and with one of at least `runs` finished runs."""
    rows: list[Row] = []
    for count in (0, runs):
        if count:
            await filling.fill(work.servers.journal_url, count)
        at_start = await filling.finished(work.servers.journal_url) if count else 0
        row = await work.one(BATON)
        rows.append(replace(row, name=f"{BATON}, {at_start:,} finished runs"))
        work.tell(rows[-1])
    return rows
