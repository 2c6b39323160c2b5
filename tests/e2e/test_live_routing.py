"""Whom the router chooses while agents die and come, with every service a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baton import Client, Result, Run
from baton.journal.postgres.journal import PostgresJournal
from tests.e2e.faults.fleet import serving
from tests.e2e.faults.site import SETTINGS, Site
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AGENTS = "tests.e2e.live_team"
STOLEN = "my card was stolen"
"""Both `cards` and `fraud` fit, and `cards` fits better."""
RATE = "what is the rate for pounds?"
"""`cards` alone fits."""
TULIPS = "please water my tulips"
HEDGE = "the hedge has to be cut"


@pytest.fixture
async def site(amqp_server: RabbitServer, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Site]:
    with amqp_server.vhost() as broker_url, postgres_server.schema() as journal_url:
        site = Site(broker_url, amqp_server.management_url, journal_url, tmp_path)
        await site.prepare(["cards", "fraud", "garden"])
        yield site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    journal = PostgresJournal(site.journal_url)
    await journal.start(serves=False)
    client = Client(journal)
    yield client
    client.close()
    await journal.close()


async def result(client: Client, text: str) -> Result:
    return await (await client.send(text)).result(timeout_s=60.0)


@pytest.fixture(autouse=True)
def _with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "BATON_ENCODER", "auto")


async def why(client: Client, run: Run | Result) -> str | None:
    """Return the reason that the router gave; None: it has not decided yet."""
    events = await client.journal.events(run.run_id)
    return next((event.data["reason"] for event in events if event.type == "routed"), None)


async def test_a_dead_agent_is_passed_over_where_another_fits_and_waited_for_where_none_does(
    site: Site, client: Client
) -> None:
    async def are_live(*names: str) -> bool:
        return (await client.journal.registry()).live == set(names)

    async with serving(site, "router") as fleet:
        for name in ("cards", "fraud"):
            fleet.start(name, f"{AGENTS}:{name}")
        await fleet.ready()
        assert (await result(client, STOLEN)).agent == "cards"

        fleet["cards"].kill()
        await until(lambda: are_live("fraud"), what="the killed agent is not live")
        await until(lambda: passed_over(client), timeout_s=60.0, what="the router has noticed")

        waiting = await client.send(RATE)
        told = await until(lambda: why(client, waiting), timeout_s=60.0, what="the request is routed")
        assert told.endswith("cards has no live replica and nobody else fits: it takes this up once it has one")
        assert (await client.journal.run(waiting.run_id)).status == "running"  # type: ignore[union-attr]

        fleet.start("cards")
        assert (await waiting.result(timeout_s=60.0)).agent == "cards"


async def passed_over(client: Client) -> bool:
    """Send what both fit, and return whether it went to the one that is left."""
    run = await client.send(STOLEN)
    if not (await until(lambda: why(client, run))).endswith("cards fits better and has no live replica"):
        return False
    return (await run.result(timeout_s=60.0)).agent == "fraud"


async def test_an_agent_that_starts_later_is_routable_without_a_restart_of_the_router(
    site: Site, client: Client
) -> None:
    async with serving(site, "router") as fleet:
        fleet.start("cards", f"{AGENTS}:cards")
        await fleet.ready()
        before = await result(client, TULIPS)
        assert (before.status, before.error and before.error.code) == ("failed", "no_agent")
        router = fleet["router"].pid

        fleet.start("garden", f"{AGENTS}:garden")

        async def is_chosen() -> bool:
            return (await result(client, TULIPS)).agent == "garden"

        await until(is_chosen, timeout_s=60.0, what="the new agent is chosen")
        assert (await result(client, STOLEN)).agent == "cards"
        assert (fleet["router"].pid, fleet["router"].is_running) == (router, True)


async def test_a_card_that_changes_is_learnt_while_requests_stream_and_none_is_lost(site: Site, client: Client) -> None:
    async with serving(site, "router") as fleet:
        for name in ("cards", "garden"):
            fleet.start(name, f"{AGENTS}:{name}")
        await fleet.ready()
        assert (await result(client, HEDGE)).status == "failed"
        sent: list[Run] = []
        is_learnt = asyncio.Event()

        async def stream() -> None:
            while not is_learnt.is_set():
                sent.append(await client.send(STOLEN))
                await sent[-1].result(timeout_s=60.0)

        streaming = [asyncio.create_task(stream()) for _ in range(4)]
        fleet.start("garden-2", f"{AGENTS}:hedges")

        async def is_chosen() -> bool:
            return (await result(client, HEDGE)).agent == "garden"

        await until(is_chosen, timeout_s=60.0, what="the changed card is learnt")
        is_learnt.set()
        await asyncio.gather(*streaming)
        ends = [await run.result(timeout_s=60.0) for run in sent]
        assert len(ends) >= 4
        assert {(end.status, end.agent) for end in ends} == {("completed", "cards")}
