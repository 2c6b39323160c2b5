"""What a fault of a server is given beside its arena: the servers themselves, and how to wait for them.

In: a RabbitMQ and a PostgreSQL that nobody else uses. Out: a `ServerArena`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
from aio_pika.exceptions import AMQPError

from baton.broker.rabbitmq import names
from tests.e2e.faults.arena import PATIENCE_S, SERVICES, Arena, Fault, arena
from tests.e2e.faults.catalogue import Place, Servers
from tests.e2e.faults.fleet import Fleet, serving
from tests.e2e.faults.oracle import Verdict
from tests.e2e.faults.team import RING
from tests.support.rabbitmq import admin
from tests.support.servers.handles import Server
from tests.support.waiting import until

QUEUES = (names.REQUESTS_QUEUE, *map(names.agent_queue, ("router", *RING)))
"""What the services consume."""


@dataclass
class ServerArena(Arena):
    """An arena with the servers below it, which a fault may harm; they serve again when it is over."""

    servers: Servers = field(kw_only=True)


@contextlib.asynccontextmanager
async def on_servers(servers: Servers, fleet: Fleet, *, seed: int, is_full: bool = False) -> AsyncIterator[ServerArena]:
    """Give an arena on a fleet that serves; see `arena.arena`."""
    async with arena(fleet, seed=seed, is_full=is_full) as made:
        mine = ServerArena(**vars(made), servers=servers)
        try:
            yield mine
        finally:
            await mine.journal.close()


@contextlib.asynccontextmanager
async def at_place(place: Place, seed: int, *, is_full: bool) -> AsyncIterator[Arena]:
    """Serve the whole ring at a place and give its arena; see `catalogue.Trial`."""
    await place.site.prepare(RING)
    async with (
        serving(place.site, *SERVICES) as fleet,
        on_servers(place.servers, fleet, seed=seed, is_full=is_full) as made,
    ):
        yield made


def harming(fault: Callable[[ServerArena], Awaitable[Verdict]]) -> Fault:
    """Return a fault of a server as one of an arena, which must be one from here."""

    async def inject(made: Arena) -> Verdict:
        assert isinstance(made, ServerArena), f"{fault.__name__} needs servers of its own"
        return await fault(made)

    return inject


@contextlib.asynccontextmanager
async def away(server: Server, *, is_crash: bool = False) -> AsyncIterator[None]:
    """Stop a server for as long as the block runs; the event loop goes on meanwhile."""
    await asyncio.to_thread(server.stop, is_crash=is_crash)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@contextlib.asynccontextmanager
async def led_through(arena: Arena, *services: str, **environ: str) -> AsyncIterator[None]:
    """Serve these services anew with other variables for as long as the block runs."""
    await _served_anew(arena, services, environ)
    try:
        yield
    finally:
        await _served_anew(arena, services, {})


async def _served_anew(arena: Arena, services: tuple[str, ...], environ: dict[str, str]) -> None:
    for name in services:
        arena.fleet[name].kill()
        arena.fleet.start(name, **environ)
    await arena.fleet.ready(*services)


async def serve_again(arena: Arena) -> None:
    """Start every service that has ended, however it did."""
    for name in SERVICES:
        if not arena.fleet[name].is_running:
            arena.fleet.start(name)
    await arena.fleet.ready()


async def look_again(arena: Arena) -> None:
    """Connect the arena to its journal anew, after the server was away."""
    await arena.journal.close()
    arena.journal = await asyncpg.connect(arena.site.journal_url)


async def accepted(arena: Arena, count: int) -> None:
    """Wait until so many runs are accepted."""
    await arena.holds("SELECT count(*) >= $1 FROM runs", count)


async def all_over(arena: Arena) -> None:
    """Wait until every run has ended, whether or not anybody was told."""
    await arena.holds("SELECT bool_and(ended_at IS NOT NULL) FROM runs", timeout_s=arena.site.deadline_s)


async def consumed(arena: Arena) -> None:
    """Wait until every queue has a consumer."""

    async def is_consumed() -> bool:
        try:
            async with admin(arena.site.broker_url) as channel:
                declared = [await channel.declare_queue(name, passive=True) for name in QUEUES]
        except (AMQPError, OSError, TimeoutError):
            return False  # a broker that has just started does not know all its queues yet
        return all(one.declaration_result.consumer_count for one in declared)

    await until(is_consumed, timeout_s=PATIENCE_S, what="every queue has a consumer")
