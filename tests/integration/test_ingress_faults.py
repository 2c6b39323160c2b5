"""Requests while something fails: the router is killed, the journal is down, a message kills whoever takes it."""

import asyncio
import json
import signal
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from baton.broker.rabbitmq import names
from baton.journal.records import Accept, Accepted
from baton.journal.sqlite.journal import SqliteJournal
from baton.service import serving
from tests.support.cli import Cli, prepared, stop
from tests.support.pgjournal import make_schema
from tests.support.rabbitmq import admin, declare
from tests.support.requests import dead, echoing, program, publish_without_key, runs, served, settings
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.topology import Topology
from tests.support.waiting import until


@pytest.mark.crash
@pytest.mark.parametrize("has_key", [True, False], ids=["with a key", "without"])
@pytest.mark.parametrize("point", ["accept.before_commit", "accept.after_commit"])
async def test_a_router_killed_before_its_ack_leaves_one_run(
    amqp_server: RabbitServer, amqp_url: str, tmp_path: Path, has_key: bool, point: str
) -> None:
    cli = prepared(tmp_path)
    environ = {"BATON_BROKER_URL": amqp_url, "BATON_JOURNAL_URL": f"sqlite:///{tmp_path / 'journal.db'}"}
    await declare(amqp_url, "router", "front", "back")
    async with program(amqp_url) as one:
        deadly = {**environ, "BATON_TESTING": "1", "BATON_FAIL_AT": point}
        process = await asyncio.to_thread(cli.serve, "cli_team.py:team", **deadly)
        if has_key:
            await one.publish({"text": "hello"}, correlation_id="1", message_id="k")
        else:
            where = {"reply_to": one.queue.name, "correlation_id": "1", "delivery_mode": 2}
            await publish_without_key(amqp_server, amqp_url, {"text": "hello"}, **where)
        assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL
        process.communicate()
        assert one.came == []
        process = await asyncio.to_thread(cli.serve, "cli_team.py:team", **environ)
        try:
            [came] = await one.answers(timeout_s=60)
            assert came.body["text"] == "5 characters"
            await until(lambda: _is_empty(amqp_url))
            listed = await asyncio.to_thread(cli, "runs", "--json", **environ)
            assert [run["run_id"] for run in listed.objects] == [came.body["run_id"]]
        finally:
            await asyncio.to_thread(stop, process, signal.SIGTERM)


async def _is_empty(amqp_url: str) -> bool:
    return await _ready_count(amqp_url) == 0


async def _ready_count(amqp_url: str) -> int:
    """Return how many requests wait that no consumer has."""
    async with admin(amqp_url) as channel:
        queue = await channel.declare_queue(names.REQUESTS_QUEUE, passive=True)
        return queue.declaration_result.message_count or 0


async def test_requests_wait_for_a_journal_that_is_down(
    own_postgres_server: PostgresServer, own_postgres_url: str, amqp_url: str
) -> None:
    await make_schema(own_postgres_url)
    async with served(amqp_url, own_postgres_url), program(amqp_url) as one:
        await one.publish({"text": "before"}, correlation_id="before")
        await one.answers()
        await asyncio.to_thread(own_postgres_server.stop)
        for number in range(3):
            await one.publish({"text": f"down {number}"}, correlation_id=str(number))
        await one.publish({"txt": "bad"}, correlation_id="bad")
        await until(lambda: _is_empty(amqp_url))
        assert len(one.came) == 1
        await asyncio.to_thread(own_postgres_server.start)
        came = await one.answers(5, timeout_s=60)
        told = {answer.correlation_id: answer.body.get("text") for answer in came}
        assert told == {"before": "said before", **{str(n): f"said down {n}" for n in range(3)}, "bad": None}


async def test_nothing_is_acked_that_the_journal_has_not(
    own_postgres_server: PostgresServer, own_postgres_url: str, amqp_url: str
) -> None:
    await make_schema(own_postgres_url)
    async with served(amqp_url, own_postgres_url), program(amqp_url) as one:
        await asyncio.to_thread(own_postgres_server.stop)
        await one.publish({"text": "hello"})
        await one.publish({"txt": "bad"})
        await until(lambda: _is_empty(amqp_url))
    await until(lambda: _holds(amqp_url, 2), timeout_s=20)
    await asyncio.to_thread(own_postgres_server.start)
    async with served(amqp_url, own_postgres_url) as service:
        await until(lambda: _has_taken(service.journal), timeout_s=30)


async def _holds(amqp_url: str, count: int) -> bool:
    return await _ready_count(amqp_url) == count


async def _has_taken(journal: object) -> bool:
    return len(await runs(journal)) == 1 and len(await dead(journal)) == 1  # type: ignore[arg-type]


class _Stumbling(SqliteJournal):
    """Raises what no journal should, at one request."""

    async def accept(self, command: Accept) -> Accepted:
        if command.request.text == "odd":
            raise ValueError("a bug")
        return await super().accept(command)


async def test_a_message_that_meets_a_bug_is_kept_and_harms_no_other(amqp_url: str, tmp_path: Path) -> None:
    await declare(amqp_url, "router", "a", "b")
    journal = _Stumbling(str(tmp_path / "journal.db"))
    async with (
        serving(echoing(), settings(amqp_url, tmp_path, concurrency=1), journal=journal),
        program(amqp_url) as one,
    ):
        for text in ("odd", "odd", "hello"):
            await one.publish({"text": text}, correlation_id=text)
        came = await one.answers(3)
        told = [(answer.correlation_id, answer.body["status"]) for answer in came]
        assert sorted(told) == [("hello", "completed"), ("odd", "rejected"), ("odd", "rejected")]
        assert came[0].body["error"]["message"] == "it cannot be taken: ValueError"
        assert len(await dead(journal)) == 2


async def test_a_message_that_kills_each_router_ends_among_the_dead(
    amqp_server: RabbitServer, amqp_url: str, tmp_path: Path
) -> None:
    topology = Topology(amqp_server, amqp_url, tmp_path, "unused-")
    done = await topology("apply")
    assert done.code == 0, done
    await declare(amqp_url, "a", "b")
    body = json.dumps({"text": "poison"}).encode()
    async with program(amqp_url) as one:
        await one.publish(body, correlation_id="bad", message_id="k")
        deaths = await _kill_takers(amqp_url, limit=60)
        assert 1 < deaths <= 25, "the policy's delivery limit"
        async with serving(echoing(), settings(amqp_url, tmp_path)) as service:
            await one.publish({"text": "hello"}, correlation_id="good")
            [came] = await one.answers()
            assert came.correlation_id == "good"
            [view] = await until(lambda: dead(service.journal))
            kept = await service.journal.quarantined(view.id)
            assert (kept.source, kept.body) == (names.REQUESTS_QUEUE, body)
            assert (kept.headers["message_id"], kept.headers["correlation_id"]) == ("k", "bad")
            assert "delivery_limit" in view.message
        listed = await asyncio.to_thread(
            Cli(tmp_path), "dead", "list", "--json", BATON_JOURNAL_URL=f"sqlite:///{tmp_path / 'journal.db'}"
        )
        assert [one["id"] for one in listed.objects] == [view.id]


async def _kill_takers(amqp_url: str, *, limit: int) -> int:
    """Take the first request as processes that die do, until the broker gives it up; return how many died."""
    async with admin(amqp_url) as channel:
        # One look that is cancelled at no death: a connection that is being made then would be nobody's to close.
        given_up = asyncio.create_task(until(lambda: _has_dead(channel), timeout_s=60))
        for death in range(limit):
            connection = await aio_pika.connect(amqp_url)
            queue = await (await connection.channel()).declare_queue(names.REQUESTS_QUEUE, passive=True)
            taken = asyncio.create_task(_take_one(queue))
            try:
                await asyncio.wait({taken, given_up}, return_when=asyncio.FIRST_COMPLETED)
                if given_up.done():
                    return death
            finally:
                taken.cancel()
                await asyncio.gather(taken, return_exceptions=True)
                await connection.close()
        given_up.cancel()
    return limit


async def _take_one(queue: AbstractQueue) -> None:
    """Return once a message was delivered, without a word on it."""
    taken = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        taken.set()

    await queue.consume(take)
    await taken.wait()


async def _has_dead(channel: AbstractChannel) -> bool:
    queue = await channel.declare_queue(names.DEAD_QUEUE, passive=True)
    return bool(queue.declaration_result.message_count)
