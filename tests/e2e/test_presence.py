"""Which agents are live, with every service a process of its own over RabbitMQ and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baton.journal.postgres.journal import PostgresJournal
from baton.journal.views import AgentView
from tests.e2e.faults.fleet import serving
from tests.e2e.faults.site import Site
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def site(amqp_server: RabbitServer, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Site]:
    with amqp_server.vhost() as broker_url, postgres_server.schema() as journal_url:
        site = Site(broker_url, amqp_server.management_url, journal_url, tmp_path)
        await site.prepare(["first", "second", "late"])
        yield site


@pytest.fixture
async def journal(site: Site) -> AsyncIterator[PostgresJournal]:
    journal = PostgresJournal(site.journal_url)
    await journal.start(serves=False)
    yield journal
    await journal.close()


async def test_agents_are_live_from_their_start_until_they_stop_or_are_killed(
    site: Site, journal: PostgresJournal
) -> None:
    async def are_live(*names: str) -> bool:
        return (await journal.registry()).live == set(names)

    async def seen(name: str) -> AgentView:
        return next(agent for agent in await journal.agents() if agent.name == name)

    async def counts(name: str, replicas: int) -> bool:
        return (await seen(name)).replicas == replicas

    async with serving(site, "router", "first", "second", "second-2") as fleet:
        assert await are_live("first", "second")
        assert (await seen("second")).replicas == 2

        fleet["second"].kill()
        await until(lambda: counts("second", 1), what="one replica of two is gone")
        assert await are_live("first", "second")

        fleet["second-2"].kill()
        killed_at = (await seen("second")).seen_at
        await until(lambda: are_live("first"), what="a killed agent is not live")
        killed = await seen("second")
        assert (killed.replicas, killed.seen_at) == (0, killed_at)
        first = await seen("first")
        assert first.seen_at is not None
        assert killed_at is not None
        assert first.seen_at > killed_at

        fleet.start("late")
        await until(lambda: are_live("first", "late"), timeout_s=30.0, what="a new agent is live")
        assert "late" in (await journal.registry()).cards

        fleet["first"].terminate()
        await fleet["first"].exited(timeout_s=site.deadline_s)
        assert await are_live("late")
        assert (await seen("first")).seen_at is None
