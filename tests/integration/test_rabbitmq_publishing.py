"""Publishing to RabbitMQ: what is on the wire, and whose word is whose."""

import asyncio
import time
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from baton import ids
from baton.broker.contract import Answering, Hint, Incoming, Outgoing
from baton.broker.rabbitmq import names
from baton.broker.rabbitmq.broker import RabbitBroker
from baton.errors import BrokerUnavailableError, ConfigError, UnroutableError
from tests.contract.broker_contract import RUN_ID, Inbox, message
from tests.support.rabbitmq import QUORUM, admin, declare
from tests.support.waiting import until


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    await declare(amqp_url, "a", "b", "last")
    broker = RabbitBroker(amqp_url)
    await broker.start()
    yield broker
    await broker.close()


async def taken_from(url: str, queue: str) -> AbstractIncomingMessage:
    """Return the next message of a queue as another program sees it."""
    async with admin(url) as channel:
        found = await channel.get_queue(queue, ensure=False)
        return await until(lambda: found.get(no_ack=True, fail=False), what=f"a message in {queue}")


def headers_of(taken: AbstractIncomingMessage) -> dict[str, object]:
    """Return the headers as they were published: `x-delivery-count` is the broker's."""
    return {name: value for name, value in taken.headers.items() if not name.startswith("x-")}


async def test_an_envelope_carries_the_properties_of_the_wire_contract(broker: RabbitBroker, amqp_url: str) -> None:
    await broker.publish(Outgoing("a", b"{}", RUN_ID, 3, {"baton-seq": "3"}))
    seen = await taken_from(amqp_url, "baton.agent.a")
    assert (seen.exchange, seen.routing_key, seen.body) == ("baton.work", "a", b"{}")
    assert (seen.content_type, seen.delivery_mode, seen.type, seen.app_id) == (
        "application/json",
        2,
        "baton.hop",
        "baton",
    )
    assert (seen.message_id, seen.correlation_id) == (ids.message_id(RUN_ID, 3), RUN_ID)
    assert headers_of(seen) == {"baton-seq": "3"}
    assert seen.user_id
    assert seen.timestamp is not None
    assert abs(seen.timestamp.timestamp() - time.time()) < 60


async def test_an_answer_goes_to_the_queue_it_names(broker: RabbitBroker, amqp_url: str) -> None:
    async with admin(amqp_url) as channel:
        await channel.declare_queue("replies", arguments=QUORUM, durable=True)
    await broker.answer(Answering("replies", b"1", "m1", "mine", {"traceparent": "00-1"}))
    await broker.answer(Answering("replies", b"2", "m2"))
    one, other = await taken_from(amqp_url, "replies"), await taken_from(amqp_url, "replies")
    assert (one.body, one.message_id, one.correlation_id, one.type) == (b"1", "m1", "mine", "baton.result")
    assert headers_of(one) == {"traceparent": "00-1"}
    assert (other.body, other.message_id, other.correlation_id) == (b"2", "m2", None)


@pytest.mark.parametrize("queue", ["gone", "q" * 256])
async def test_an_answer_for_a_queue_that_cannot_be_reached_is_refused(broker: RabbitBroker, queue: str) -> None:
    with pytest.raises(UnroutableError) as caught:
        await broker.answer(Answering(queue, b"{}", "m1"))
    assert caught.value.target == queue


async def test_the_word_on_one_message_is_never_taken_for_that_on_another(broker: RabbitBroker) -> None:
    same = [broker.publish(Outgoing(agent, b"{}", RUN_ID, 1)) for agent in ("nobody", "a") * 10]
    others = [broker.publish(Outgoing(("nobody", "a")[n % 2], b"{}", RUN_ID, n)) for n in range(100, 140)]
    seen = await asyncio.gather(*same, *others, return_exceptions=True)
    assert [type(one) for one in seen] == [UnroutableError, type(None)] * 30
    inbox = await Inbox(acks=True).open(broker)
    await inbox.has(30)


async def test_a_publish_that_was_given_up_disturbs_nobody(broker: RabbitBroker) -> None:
    given_up = asyncio.create_task(broker.publish(message(b"1")))
    await asyncio.wait({given_up}, timeout=0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    await broker.publish(message(b"2"))
    inbox = await Inbox(acks=True).open(broker)
    await until(lambda: inbox.bodies[-1:] == [b"2"])
    assert given_up.cancelled()


async def test_a_full_queue_is_not_taken_for_a_confirm(broker: RabbitBroker, amqp_url: str) -> None:
    async with admin(amqp_url) as channel:
        full = {**QUORUM, "x-max-length": 1, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue("baton.agent.full", durable=True, arguments=full)
        await queue.bind(names.WORK, "full")
    sent = [await publish_error(broker, n) for n in range(20)]
    assert sent[0] is None
    assert "'full' takes no more" in str(sent[-1])


async def publish_error(broker: RabbitBroker, seq: int) -> BrokerUnavailableError | None:
    try:
        await broker.publish(message(agent="full", seq=seq))
    except BrokerUnavailableError as error:
        return error
    return None


async def test_a_channel_that_the_broker_closes_is_opened_again(broker: RabbitBroker, amqp_url: str) -> None:
    async with admin(amqp_url) as channel:
        await channel.exchange_delete(names.WORK)
    with pytest.raises(BrokerUnavailableError, match=r"no exchange 'baton\.work'"):
        await broker.publish(message())
    await declare(amqp_url, "a")
    await broker.publish(message(b"2"))
    assert (await taken_from(amqp_url, "baton.agent.a")).body == b"2"


async def test_a_request_of_any_program_arrives_with_what_the_edge_needs(broker: RabbitBroker, amqp_url: str) -> None:
    got: list[Incoming] = []
    consumer = await broker.consume_requests(got.append, prefetch=5)
    async with admin(amqp_url) as channel:
        exchange = await channel.get_exchange(names.REQUESTS, ensure=False)
        headers = {"traceparent": "00-1", "count": 7, "nested": {"a": [1, 2]}}
        full = aio_pika.Message(b"{}", message_id="m1", reply_to="r", correlation_id="c", headers=headers, user_id=None)
        await exchange.publish(full, "anything")
        await exchange.publish(aio_pika.Message(b""), "")
    await until(lambda: len(got) == 2)
    assert (got[0].body, got[0].message_id, got[0].reply_to, got[0].correlation_id) == (b"{}", "m1", "r", "c")
    assert (got[0].headers, got[0].user_id) == ({"traceparent": "00-1"}, None)
    assert (got[1].body, got[1].reply_to, got[1].correlation_id, got[1].headers) == (b"", None, None, {})
    await consumer.cancel()


async def test_what_the_broker_gave_up_on_can_be_read(broker: RabbitBroker, amqp_url: str) -> None:
    async with admin(amqp_url) as channel:
        arguments = {**QUORUM, "x-dead-letter-exchange": names.DEAD}
        queue = await channel.declare_queue("baton.agent.poisoned", durable=True, arguments=arguments)
        await queue.bind(names.WORK, "poisoned")
        await broker.publish(message(b"poison", "poisoned", **{"baton-seq": "1"}))
        taken = await until(lambda: queue.get(fail=False))
        await taken.reject(requeue=False)
    got: list[Incoming] = []
    await broker.consume_dead(got.append, prefetch=5)
    await until(lambda: got)
    assert (got[0].body, got[0].headers["baton-seq"]) == (b"poison", "1")
    assert got[0].headers["x-first-death-queue"] == "baton.agent.poisoned"


async def test_hints_reach_other_processes(broker: RabbitBroker, amqp_url: str) -> None:
    other = RabbitBroker(amqp_url)
    heard: list[Hint] = []
    own: list[Hint] = []
    other.listen(heard.append)
    broker.listen(own.append)
    await other.start()

    def heard_by_other() -> bool:
        broker.hint(Hint("r1", "ended"))
        return Hint("r1", "ended") in heard

    await until(heard_by_other)
    other.hint(Hint("r2", "waiting"))
    await until(lambda: Hint("r2", "waiting") in own)
    assert own.count(Hint("r2", "waiting")) == 1
    assert heard.count(Hint("r2", "waiting")) == 1
    await other.close()


@pytest.mark.parametrize("prefetch", [0, -1, 65_536])
async def test_a_prefetch_that_amqp_cannot_say_is_refused(broker: RabbitBroker, prefetch: int) -> None:
    with pytest.raises(ValueError, match=f"prefetch is {prefetch}; it is 1 to 65535"):
        await broker.consume("a", lambda delivery: None, prefetch=prefetch)


@pytest.mark.parametrize("url", ["http://localhost/", "amqp:///x", "localhost", "amqp://h:port/"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="the broker's URL"):
        RabbitBroker(url)
