"""What a fault is given: a serving fleet, a client, the journal to look into, and chance that can be repeated.

In: a `Site` and a seed. Out: an `Arena`; a fault does its harm through it and returns what `Arena.judged` says.
"""

import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from tests.e2e.faults import oracle
from tests.e2e.faults.fleet import Fleet, serving
from tests.e2e.faults.load import Driver, driving
from tests.e2e.faults.oracle import Verdict
from tests.e2e.faults.site import Site
from tests.e2e.faults.team import RING
from tests.support.waiting import until

T = TypeVar("T")

SERVICES = ("router", *RING)
"""What always serves; a fault may add replicas, and takes them away again."""
PATIENCE_S = 60.0
"""How long a fault waits for what it needs before it can strike, in seconds."""


@dataclass
class Arena:
    """One fault's surroundings."""

    site: Site
    fleet: Fleet
    driver: Driver
    journal: asyncpg.Connection
    """Past any proxy."""
    chance: random.Random
    is_full: bool = False
    """True: as many runs and faults as the report promises; False: as many as a test has time for."""
    struck_at: list[float] = field(default_factory=list)
    """When each fault was injected, as Unix time."""

    def sized(self, short: T, full: T) -> T:
        """Return the one for this form of the test."""
        return full if self.is_full else short

    def struck(self, count: int = 1) -> None:
        """Note that a fault was injected now."""
        self.struck_at += [time.time()] * count

    async def ask(self, sql: str, *values: Any) -> Any:
        """Return one value from the journal or the ledger."""
        return await self.journal.fetchval(sql, *values)

    async def holds(self, sql: str, *values: Any, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until a query of the journal gives a true value, and return that."""
        return await until(lambda: self.ask(sql, *values), timeout_s=timeout_s, what=sql)

    async def running_at(self, agent: str, count: int) -> None:
        """Wait until so many hops of an agent are being worked on."""
        await self.holds("SELECT count(*) >= $2 FROM hops WHERE agent = $1 AND status = 'running'", agent, count)

    async def judged(self, *others: Driver, deadline_s: float | None = None) -> Verdict:
        """Wait until all is over and return the oracle's verdict; see `oracle.judge`."""
        return await oracle.judge(self.site, [self.driver, *others], faults=self.struck_at, deadline_s=deadline_s)

    @contextlib.asynccontextmanager
    async def extra(self, name: str, *targets: str, **environ: str) -> AsyncIterator[None]:
        """Serve another replica for as long as the block runs."""
        self.fleet.start(name, *targets, **environ)
        await self.fleet.ready(name)
        try:
            yield
        finally:
            self.fleet.drop(name)


Fault = Callable[[Arena], Awaitable[Verdict]]
"""Does its harm, waits until all is over and returns the verdict; every service must be up again by then."""


@contextlib.asynccontextmanager
async def arena(fleet: Fleet, *, seed: int, is_full: bool = False) -> AsyncIterator[Arena]:
    """Give an arena on a fleet that serves; what runs it had before must have ended, and are forgotten."""
    site = fleet.site
    connection = await asyncpg.connect(site.journal_url)
    try:
        async with driving(site.broker_url) as driver:
            yield Arena(site, fleet, driver, connection, random.Random(seed), is_full)
    finally:
        await connection.close()
        for one in list(fleet):
            if one.name not in SERVICES:
                fleet.drop(one.name)


@contextlib.asynccontextmanager
async def new_arena(site: Site, *, seed: int, is_full: bool = False, **environ: str) -> AsyncIterator[Arena]:
    """Make what a site needs, serve the whole ring there and give its arena.

    Args:
        site: Empty: a vhost and a schema of its own.
        seed: For the fault's chance.
        is_full: See `Arena`.
        **environ: For all services; see `Fleet`.
    """
    await site.prepare(RING)
    async with serving(site, *SERVICES, **environ) as fleet, arena(fleet, seed=seed, is_full=is_full) as made:
        yield made


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
