"""Servers go away, forget, refuse and lie, and no run is lost or done twice: the short form of `make chaos`."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from baton.broker.rabbitmq.broker import quiet_aiormq
from tests.e2e.faults import servers_broker, servers_journal
from tests.e2e.faults.arena import SERVICES
from tests.e2e.faults.catalogue import Servers
from tests.e2e.faults.conftest import SEED
from tests.e2e.faults.fleet import Fleet
from tests.e2e.faults.servers_arena import ServerArena, on_servers
from tests.e2e.faults.site import Site
from tests.e2e.faults.team import RING
from tests.support.servers.handles import PostgresServer, RabbitServer

pytestmark = [
    pytest.mark.crash,
    pytest.mark.slow,
    pytest.mark.timeout(120, func_only=True),
    # aio-pika, as the client here, leaves coroutines behind when the broker goes away while it connects.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def servers(own_amqp_server: RabbitServer, own_postgres_server: PostgresServer) -> Servers:
    """Return servers that may be harmed."""
    return Servers(own_amqp_server, own_postgres_server)


@pytest.fixture(scope="module")
def harmed_fleet(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Give the ring on these servers, serving; the tests of the module share it."""
    with servers.rabbit.vhost() as broker_url, servers.postgres.schema() as journal_url:
        site = Site(broker_url, servers.rabbit.management_url, journal_url, tmp_path_factory.mktemp("servers"))
        with Fleet(site) as fleet:
            quiet_aiormq()
            asyncio.run(site.prepare(RING))
            for name in SERVICES:
                fleet.start(name)
            yield fleet


@pytest.fixture
async def short(harmed_fleet: Fleet, servers: Servers) -> AsyncIterator[ServerArena]:
    """Give an arena for the short form of a fault, without the runs of the test before."""
    servers.rabbit.start()
    servers.postgres.start()
    harmed_fleet.revive()
    await harmed_fleet.ready()
    await harmed_fleet.site.clear()
    async with on_servers(servers, harmed_fleet, seed=SEED) as made:
        yield made


async def test_a_broker_that_restarts_loses_no_run(short: ServerArena) -> None:
    (await servers_broker.restart(short)).check(short.fleet.logs())


async def test_services_that_start_without_a_broker_work_by_polling(short: ServerArena) -> None:
    (await servers_broker.serve_without(short)).check(short.fleet.logs())


async def test_emptied_queues_lose_no_hop(short: ServerArena) -> None:
    (await servers_broker.empty(short)).check(short.fleet.logs())


async def test_a_broker_that_forgets_everything_loses_no_accepted_run(short: ServerArena) -> None:
    (await servers_broker.forget(short)).check(short.fleet.logs())


async def test_consumers_that_the_broker_cancels_come_back(short: ServerArena) -> None:
    (await servers_broker.cancel_consumers(short)).check(short.fleet.logs())


async def test_runs_end_while_the_broker_takes_no_message(short: ServerArena) -> None:
    (await servers_broker.alarm(short)).check(short.fleet.logs())


async def test_connections_that_are_closed_again_and_again_lose_nothing(short: ServerArena) -> None:
    (await servers_broker.close_connections(short)).check(short.fleet.logs())


async def test_a_half_open_connection_holds_up_no_run(short: ServerArena) -> None:
    (await servers_broker.half_open(short)).check(short.fleet.logs())


async def test_a_database_that_restarts_loses_nothing(short: ServerArena) -> None:
    (await servers_journal.restart(short)).check(short.fleet.logs())


async def test_a_lost_reply_to_a_commit_doubles_nothing(short: ServerArena) -> None:
    (await servers_journal.lose_replies(short)).check(short.fleet.logs())


async def test_services_stop_in_time_while_the_database_is_away(short: ServerArena) -> None:
    (await servers_journal.stop_without(short)).check(short.fleet.logs())
