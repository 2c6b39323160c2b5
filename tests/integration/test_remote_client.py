"""The client that needs a broker and no journal."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from yarl import URL

from baton import Answer, Ask, Client, RequestError, ResultTimeoutError, Turn
from baton.broker.rabbitmq import names
from baton.errors import BrokerUnavailableError, ConfigError
from baton.remote import RemoteClient
from baton.service import Service
from tests.support.rabbitmq import admin
from tests.support.requests import runs, served
from tests.support.servers.handles import RabbitServer
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.teams import a_team, an_agent
from tests.support.topology import Topology
from tests.support.waiting import until


@pytest.fixture
async def service(amqp_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(amqp_url, tmp_path) as service:
        yield service


@pytest.fixture
async def client(amqp_url: str, service: Service) -> AsyncIterator[RemoteClient]:
    environ = {"BATON_BROKER_URL": amqp_url, "BATON_JOURNAL_URL": "postgresql://nobody@192.0.2.1/none"}
    async with Client.from_env(environ) as client:
        assert isinstance(client, RemoteClient)
        yield client


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[TcpProxy]:
    url = URL(amqp_url)
    async with tcp_proxy(url.host or "", url.port or 5672) as proxy:
        yield proxy


async def is_undeliverable(service: Service) -> bool:
    """Return True once something for the only run's requester had nowhere to go."""
    (only,) = await runs(service.journal)
    return "undeliverable" in {event.type for event in await service.journal.events(only.run_id)}


async def test_a_request_is_answered_without_a_journal(client: RemoteClient) -> None:
    run = await client.send("hello", facts={"account": 7}, to="b", conversation_id="c", deadline_s=20, max_hops=3)
    assert run.run_id is None
    result = await run.result()
    assert (result.status, result.text, result.agent) == ("completed", "said hello", "b")
    assert (result.trail, result.facts) == (("router", "b"), {"account": 7})
    assert (run.run_id, run.conversation_id) == (result.run_id, "c")
    assert await run.result(timeout_s=0) == result


async def test_what_cannot_be_a_request_is_refused_before_it_is_sent(client: RemoteClient, service: Service) -> None:
    with pytest.raises(RequestError, match="text is empty"):
        await client.send(" ")
    with pytest.raises(RequestError, match="max_hops"):
        await client.send("x", max_hops=0)
    assert await runs(service.journal) == []


async def test_a_rejection_is_raised_with_code_and_field(client: RemoteClient) -> None:
    await (await client.send("one", idempotency_key="k")).result()
    run = await client.send("two", idempotency_key="k")
    with pytest.raises(RequestError, match="used before with another body") as raised:
        await run.result()
    assert (raised.value.code, raised.value.field) == ("idempotency_conflict", "idempotency_key")
    assert run.has_ended


async def test_the_same_key_is_the_same_run(client: RemoteClient, service: Service) -> None:
    first, second = [await client.send("one", idempotency_key="k") for _ in range(2)]
    assert await first.result() == await second.result()
    assert await (await client.send("one", idempotency_key="k")).result() == await first.result()
    assert len(await runs(service.journal)) == 1


async def test_a_question_is_answered_and_the_run_goes_on(client: RemoteClient) -> None:
    run = await client.send("ask me")
    asked = await run.result()
    assert asked.status == "waiting"
    assert asked.question is not None
    assert (asked.question.kind, asked.question.question) == ("user", "which one?")
    assert asked.question.options == ("red", "blue")
    await run.reply("blue")
    assert (await run.result()).text == "said blue"
    with pytest.raises(RequestError, match="is over: answered"):
        await (await client.reply(asked.run_id, "red")).result()


async def test_another_client_answers_and_the_first_gets_the_result(client: RemoteClient, amqp_url: str) -> None:
    run = await client.send("ask me")
    asked = await run.result()
    async with Client.from_env({"BATON_BROKER_URL": amqp_url}) as other:
        assert isinstance(other, RemoteClient)
        assert asked.question is not None
        replied = await other.reply(asked.run_id, "red", wait_id=asked.question.wait_id)
        assert (await replied.result()).text == "said red"
    assert (await run.result(through_waits=True)).text == "said red"


async def test_after_a_rejected_reply_the_run_can_still_be_waited_for(client: RemoteClient) -> None:
    run = await client.send("ask me")
    await run.result()
    await run.reply("blue", wait_id="no-such-wait")
    with pytest.raises(RequestError, match="no-such-wait"):
        await run.result()
    await run.reply("blue")
    assert (await run.result()).text == "said blue"


async def test_a_run_is_cancelled_by_its_id(client: RemoteClient) -> None:
    run = await client.send("ask me")
    asked = await run.result()
    ended = await client.cancel(asked.run_id, reason="no need")
    assert (await ended.result()).status == "cancelled"
    result = await run.result(through_waits=True)
    assert result.error is not None
    assert "no need" in result.error.message


async def test_an_unknown_run_is_a_rejection(client: RemoteClient) -> None:
    for run in (await client.cancel("0" * 32), await client.reply("0" * 32, "x")):
        with pytest.raises(RequestError, match="no run '000") as raised:
            await run.result()
        assert raised.value.code == "not_found"


async def test_a_run_of_which_nothing_is_known_cannot_be_named(client: RemoteClient) -> None:
    run = await client.send("hello")
    with pytest.raises(RequestError, match="its id comes with the first result") as raised:
        await run.cancel()
    assert (raised.value.code, raised.value.field) == ("not_known", "run_id")


async def test_no_answer_in_time_names_the_key(amqp_url: str, client: RemoteClient, service: Service) -> None:
    async with admin(amqp_url) as channel:
        queue = await channel.declare_queue(names.REQUESTS_QUEUE, passive=True)
        await queue.unbind(names.REQUESTS, "#")
        await (await channel.declare_queue("held", durable=True)).bind(names.REQUESTS, "#")
    run = await client.send("hello", idempotency_key="k")
    with pytest.raises(ResultTimeoutError, match=r"run under key 'k' did not end within 0\.01 s"):
        await run.result(timeout_s=0.01)


async def test_a_request_says_who_sends_it_and_where_its_answer_goes(amqp_url: str, service: Service) -> None:
    async with admin(amqp_url) as channel:
        copies = await channel.declare_queue("copies", durable=True)
        await copies.bind(names.REQUESTS, "#")
        async with Client.from_env({"BATON_BROKER_URL": amqp_url}) as client:
            await (await client.send("hello", traceparent="00-1-2-01")).result()
        seen = await copies.get()
        assert (seen.body, seen.content_type, seen.type) == (b'{"text":"hello"}', "application/json", "baton.request")
        assert (seen.user_id, seen.delivery_mode) == (URL(amqp_url).user, aio_pika.DeliveryMode.PERSISTENT)
        assert seen.headers["traceparent"] == "00-1-2-01"
        assert (seen.reply_to or "").startswith("amq.gen-")
        assert seen.message_id
        assert seen.correlation_id


async def test_results_of_a_time_without_connection_are_asked_for_again(
    amqp_url: str, tmp_path: Path, proxy: TcpProxy
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def take(turn: Turn) -> Answer:
        begun.set()
        await may_end.wait()
        return Answer("at last")

    async with served(amqp_url, tmp_path, a_team(agents=[an_agent("a", take)])) as service:
        url = str(URL(amqp_url).with_port(proxy.port))
        async with Client.from_env({"BATON_BROKER_URL": url}) as client:
            run = await client.send("slow")
            await begun.wait()
            await proxy.refuse()
            may_end.set()
            await until(lambda: is_undeliverable(service), timeout_s=20)
            await proxy.listen()
            result = await run.result(timeout_s=30)
            assert result.text == "at last"
        assert len(await runs(service.journal)) == 1


async def test_a_question_of_a_time_without_connection_is_asked_again(
    amqp_url: str, tmp_path: Path, proxy: TcpProxy
) -> None:
    begun, may_ask = asyncio.Event(), asyncio.Event()

    async def take(turn: Turn) -> Answer | Ask:
        if turn.reply:
            return Answer(f"said {turn.reply}")
        begun.set()
        await may_ask.wait()
        return Ask("which one?")

    async with served(amqp_url, tmp_path, a_team(agents=[an_agent("a", take)])) as service:
        url = str(URL(amqp_url).with_port(proxy.port))
        async with Client.from_env({"BATON_BROKER_URL": url}) as client:
            run = await client.send("slow")
            await begun.wait()
            await proxy.refuse()
            may_ask.set()
            await until(lambda: is_undeliverable(service), timeout_s=20)
            await proxy.listen()
            assert (await run.result(timeout_s=30)).status == "waiting"
            proxy.cut()
            await run.reply("blue")
            assert (await run.result(timeout_s=30)).text == "said blue"
        assert len(await runs(service.journal)) == 1


async def test_a_request_sent_while_the_connection_is_down_goes_out_once_it_is_back(
    amqp_url: str, proxy: TcpProxy, service: Service
) -> None:
    url = str(URL(amqp_url).with_port(proxy.port))
    async with Client.from_env({"BATON_BROKER_URL": url}) as client:
        await proxy.refuse()
        sending = asyncio.create_task(client.send("hello"))
        await proxy.listen()
        assert (await (await sending).result()).text == "said hello"
    assert len(await runs(service.journal)) == 1


async def test_where_no_broker_answers_it_says_so(proxy: TcpProxy) -> None:
    await proxy.refuse()
    with pytest.raises(BrokerUnavailableError, match=f"not connected to amqp://127.0.0.1:{proxy.port}"):
        async with Client.from_env({"BATON_BROKER_URL": f"amqp://x:y@127.0.0.1:{proxy.port}/"}):
            pass


async def test_where_there_is_no_topology_it_says_what_makes_it(amqp_url: str) -> None:
    with pytest.raises(ConfigError, match="no exchange 'baton.requests'; `baton topology apply` makes it"):
        async with Client.from_env({"BATON_BROKER_URL": amqp_url}):
            pass
    async with admin(amqp_url) as channel:
        await channel.declare_exchange(names.REQUESTS, "topic", durable=True)
    async with Client.from_env({"BATON_BROKER_URL": amqp_url}) as client:
        with pytest.raises(ConfigError, match="no queue for requests; `baton topology apply` makes it"):
            await client.send("hello")


async def test_a_user_with_a_clients_rights_needs_no_more(
    amqp_server: RabbitServer, amqp_url: str, tmp_path: Path
) -> None:
    topology = Topology(amqp_server, amqp_url, tmp_path, f"t{secrets.token_hex(4)}-")
    try:
        for done in (await topology("apply"), await topology.permit()):
            assert done.code == 0, done
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        environ = {"BATON_BROKER_URL": topology.as_user("client")}
        async with served(amqp_url, hidden), Client.from_env(environ) as client:
            run = await client.send("ask me")
            await run.result()
            await run.reply("blue")
            assert (await run.result()).text == "said blue"
    finally:
        topology.forget_users()
