"""One serving fleet for the short form of every fault that leaves it whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.faults.arena import SERVICES, Arena, arena
from tests.e2e.faults.fleet import Fleet
from tests.e2e.faults.site import Site
from tests.e2e.faults.team import RING
from tests.support.servers.handles import PostgresServer, RabbitServer

SEED = 20_241_123


@pytest.fixture(scope="module")
def fleet(
    amqp_server: RabbitServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Give the ring, serving; the tests of a module share it."""
    with amqp_server.vhost() as broker_url, postgres_server.schema() as journal_url:
        site = Site(broker_url, amqp_server.management_url, journal_url, tmp_path_factory.mktemp("faults"))
        with Fleet(site) as fleet:
            asyncio.run(_serve(fleet))
            yield fleet


async def _serve(fleet: Fleet) -> None:
    await fleet.site.prepare(RING)
    for name in SERVICES:
        fleet.start(name)
    await fleet.ready()


@pytest.fixture
async def short(fleet: Fleet) -> AsyncIterator[Arena]:
    """Give an arena for the short form of a fault, without the runs of the test before."""
    fleet.revive()
    await fleet.ready()
    await fleet.site.clear()
    async with arena(fleet, seed=SEED) as made:
        yield made
