"""RabbitMQ itself goes wrong: restarts, closes connections, runs out of memory."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from baton.broker.contract import Outgoing
from baton.broker.rabbitmq.broker import RabbitBroker
from baton.errors import BrokerUnavailableError
from tests.contract.broker_contract import RUN_ID, Inbox, message
from tests.support.rabbitmq import declare, published
from tests.support.servers.handles import RabbitServer
from tests.support.waiting import until

pytestmark = pytest.mark.slow

PLENTY, NOTHING = "0.6", "0.0000001"
"""Shares of the machine's memory that RabbitMQ may use before it blocks publishers."""


@pytest.fixture
async def broker(own_amqp_url: str) -> AsyncIterator[RabbitBroker]:
    await declare(own_amqp_url, "a", "b", "last")
    broker = RabbitBroker(own_amqp_url)
    await broker.start()
    yield broker
    await broker.close()


async def control(server: RabbitServer, *args: str) -> None:
    """Run `rabbitmqctl` without holding up the event loop."""
    await asyncio.to_thread(server.control, *args)


async def test_nothing_is_lost_while_the_broker_closes_all_connections(
    broker: RabbitBroker, own_amqp_server: RabbitServer, own_amqp_url: str
) -> None:
    inbox = await Inbox(acks=True).open(broker, prefetch=20)
    is_over = asyncio.Event()
    sent: list[bytes] = []

    async def keep_publishing() -> None:
        while not is_over.is_set():
            body = b"%d" % len(sent)
            await published(broker, "a", body, len(sent))
            sent.append(body)

    publishing = asyncio.ensure_future(keep_publishing())
    vhost = urlsplit(own_amqp_url).path[1:]
    for _ in range(4):
        before = len(inbox.deliveries)
        await control(own_amqp_server, "close_all_connections", "--vhost", vhost, "test")
        await until(lambda: len(inbox.deliveries) > before + 20, timeout_s=5, what="the consumer is back")  # noqa: B023
    is_over.set()
    await publishing
    await until(lambda: set(sent) == set(inbox.bodies), timeout_s=10)


async def test_a_restart_is_survived_with_messages_in_queue_and_in_hand(
    broker: RabbitBroker, own_amqp_server: RabbitServer
) -> None:
    for n in range(50):
        await broker.publish(Outgoing("a", b"%d" % n, RUN_ID, n))
    inbox = await Inbox().open(broker, prefetch=10)
    await inbox.has(10)
    await control(own_amqp_server, "stop_app")
    assert "not connected" in (broker.trouble() or "")
    with pytest.raises(BrokerUnavailableError):
        await broker.publish(message(seq=99))
    await control(own_amqp_server, "start_app")
    await until(lambda: len(inbox.deliveries) >= 20, timeout_s=15)

    def has_all() -> bool:
        for delivery in inbox.deliveries:
            delivery.ack()
        return {int(body) for body in inbox.bodies} == set(range(50))

    await until(has_all, timeout_s=10)
    await until(lambda: broker.trouble() is None, timeout_s=10)
    await broker.publish(message(seq=100))


async def test_a_memory_alarm_blocks_publishers_and_not_acks(
    broker: RabbitBroker, own_amqp_server: RabbitServer
) -> None:
    for n in range(30):
        await broker.publish(Outgoing("a", b"%d" % n, RUN_ID, n))
    await control(own_amqp_server, "set_vm_memory_high_watermark", NOTHING)
    try:
        with pytest.raises(BrokerUnavailableError):
            await broker.publish(message(b"unknown", "b", seq=100), timeout_s=1.0)
        await until(lambda: "blocks publishers" in (broker.trouble() or ""))
        async with asyncio.timeout(30):
            with pytest.raises(BrokerUnavailableError, match="blocks publishers"):
                await broker.publish(message(b"not sent", "b", seq=101), timeout_s=60.0)
        inbox = await Inbox(acks=True).open(broker, prefetch=3)
        await inbox.has(30)
    finally:
        await control(own_amqp_server, "set_vm_memory_high_watermark", PLENTY)
    await until(lambda: broker.trouble() is None, timeout_s=10)
    await broker.publish(message(b"after", "b", seq=102))
    other = await Inbox(acks=True).open(broker, "b")
    await until(lambda: b"after" in other.bodies)
    assert b"not sent" not in other.bodies
