"""PostgreSQL goes away, comes back, falls silent or kills what it serves: no run is lost, none is doubled."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from baton.errors import JournalUnavailableError
from baton.journal.postgres import connecting, transaction
from baton.journal.postgres.journal import PostgresJournal
from baton.journal.records import ClaimCommand
from tests.support.journals import Hand, a_step
from tests.support.pgjournal import PostgresHarness
from tests.support.pgload import check_all_done, send, working
from tests.support.servers.handles import PostgresServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until


@pytest.fixture
async def harness(own_postgres_url: str) -> AsyncIterator[PostgresHarness]:
    harness = PostgresHarness(own_postgres_url)
    await harness.start()
    yield harness
    await harness.close()


async def hands_of(harness: PostgresHarness) -> list[Hand]:
    return [Hand(harness), Hand(harness, "w2", await harness.second())]


async def all_ended(harness: PostgresHarness) -> bool:
    try:
        [row] = await harness.aside("SELECT count(*) AS open FROM runs WHERE ended_at IS NULL")
    except Exception:  # the server is away
        return False
    return row["open"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("is_crash", [False, True])
async def test_a_restart_under_load_loses_and_doubles_nothing(
    harness: PostgresHarness, own_postgres_server: PostgresServer, is_crash: bool
) -> None:
    hands = await hands_of(harness)
    async with working(hands):
        sends = [asyncio.create_task(send(hands[n % 2], f"text {n}", f"c{n % 25}")) for n in range(100)]
        await until(lambda: sum(task.done() for task in sends) > 10, timeout_s=30)
        await asyncio.to_thread(own_postgres_server.restart, is_crash=is_crash)
        await asyncio.gather(*sends)
        await harness.reconnect()
        await until(lambda: all_ended(harness), timeout_s=60)
    check_all_done(await harness.rows(), 100)


@pytest.mark.parametrize("seed", [1, 2])
async def test_backends_killed_at_random_lose_replies_and_no_runs(harness: PostgresHarness, seed: int) -> None:
    chance, hands = random.Random(seed), await hands_of(harness)
    killed = 0
    async with working(hands):
        sends = [asyncio.create_task(send(hands[n % 2], f"text {n}", f"c{n % 25}")) for n in range(80)]
        while not (all(task.done() for task in sends) and await all_ended(harness)) and killed < 60:
            pids = await harness.aside(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'baton' AND state <> 'idle'"
            )
            if pids:
                await harness.aside("SELECT pg_terminate_backend($1)", chance.choice(pids)["pid"])
                killed += 1
        await asyncio.gather(*sends)
        await until(lambda: all_ended(harness), timeout_s=60)
    assert killed > 10
    check_all_done(await harness.rows(), 80)


async def test_without_a_server_a_start_fails_at_once_and_says_where(
    own_postgres_url: str, own_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PATIENCE_S", 60.0)
    journal = PostgresJournal(own_postgres_url)
    await asyncio.to_thread(own_postgres_server.stop)
    async with asyncio.timeout(30):
        with pytest.raises(JournalUnavailableError, match="cannot be reached") as caught:
            await journal.start(serves=True)
    split = urlsplit(own_postgres_url)
    assert f"{split.hostname}:{split.port}" in str(caught.value)
    assert str(split.password) not in str(caught.value)
    await journal.close()


async def test_while_the_server_is_away_writes_wait_for_it_and_then_fail(
    harness: PostgresHarness, own_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connecting, transaction):
        monkeypatch.setattr(module, "PATIENCE_S", 0.4)
    hand = Hand(harness)
    accepted = await hand.accept()
    await asyncio.to_thread(own_postgres_server.stop)
    wish = hand.wish(accepted.run_id, 0, "router")
    seen = await asyncio.gather(
        hand.journal.claim(wish), hand.cancel(accepted.run_id), hand.poll("router"), return_exceptions=True
    )
    assert {type(one) for one in seen} == {JournalUnavailableError}
    await asyncio.to_thread(own_postgres_server.start)
    assert await _claimed(hand, wish)
    await harness.reconnect()


async def _claimed(hand: Hand, wish: ClaimCommand) -> bool:
    for _ in range(20):
        with contextlib.suppress(JournalUnavailableError):
            return await hand.journal.claim(wish) is not None
    return False


async def test_a_journal_whose_server_is_gone_closes_at_once(
    own_postgres_url: str, own_postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connecting, transaction):
        monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    harness = PostgresHarness(own_postgres_url)
    await harness.start()
    hand = Hand(harness)
    await asyncio.gather(*(hand.accept(f"text {n}", conversation_id=f"c{n % 3}") for n in range(9)))
    await asyncio.to_thread(own_postgres_server.stop)
    writes = [asyncio.ensure_future(hand.accept(f"more {n}", conversation_id=f"c{n % 3}")) for n in range(9)]
    await until(lambda: True)
    async with asyncio.timeout(30):
        await harness.journal.close()
    seen = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(one) for one in seen} == {JournalUnavailableError}
    await asyncio.to_thread(own_postgres_server.start)
    await harness.close()


@pytest.fixture
async def proxy(own_postgres_url: str) -> AsyncIterator[TcpProxy]:
    split = urlsplit(own_postgres_url)
    proxy = TcpProxy(str(split.hostname), int(split.port or 5432))
    await proxy.listen()
    yield proxy
    proxy.speak_again()
    await proxy.refuse()


def through(proxy: TcpProxy, url: str) -> str:
    """Return `url` by way of the proxy."""
    split = urlsplit(url)
    return urlunsplit(split._replace(netloc=f"{split.username}:{split.password}@127.0.0.1:{proxy.port}"))


async def test_a_connection_that_fell_silent_is_replaced_and_the_write_done_once(
    harness: PostgresHarness, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "COMMAND_S", 0.3)
    journal = PostgresJournal(through(proxy, harness.url))
    await journal.start(serves=True)
    hand = Hand(harness, "w1", journal)
    accepted = await hand.accept()
    proxy.fall_silent()
    writing = asyncio.ensure_future(hand.take(accepted.run_id))
    seen = proxy.open_count
    await until(lambda: proxy.open_count > seen)
    proxy.speak_again()
    assert (await writing).attempt == 1
    proxy.fall_silent()
    monkeypatch.setattr(connecting, "COMMAND_S", 60.0)
    async with asyncio.timeout(30):
        await journal.close()


async def test_a_write_that_the_server_refuses_harms_only_itself(harness: PostgresHarness) -> None:
    hand = Hand(harness)
    claims = [await hand.at(conversation_id=f"c{n}") for n in range(3)]
    writes = [
        hand.journal.record(claim.lease, a_step(claim, "\0" if n == 1 else "fine")) for n, claim in enumerate(claims)
    ]
    seen = await asyncio.gather(*writes, return_exceptions=True)
    assert [seen[0], seen[2]] == [True, True]
    assert isinstance(seen[1], Exception)
    assert [len(await hand.journal.steps(claim.lease.run_id)) for claim in claims] == [1, 0, 1]
    assert (await hand.answer(claims[1])).outcome == "applied"
