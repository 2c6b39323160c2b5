"""What tests need of RabbitMQ beside the broker under test: queues, and a look from outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel

from baton.broker.contract import Outgoing
from baton.broker.rabbitmq import names
from baton.broker.rabbitmq.broker import RabbitBroker
from baton.errors import BrokerUnavailableError
from tests.support.waiting import until

QUORUM = {"x-queue-type": "quorum"}


@asynccontextmanager
async def admin(url: str) -> AsyncIterator[AbstractChannel]:
    """Give a channel with an administrator's rights on a connection of its own."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        yield channel


async def declare(url: str, *agents: str) -> None:
    """Make the exchanges, the queues that every vhost has, and those of these agents."""
    async with admin(url) as channel:
        for name in (names.REQUESTS, names.WORK, names.DEAD, names.EVENTS):
            await channel.declare_exchange(name, "topic", durable=True)
        for exchange, queue in ((names.REQUESTS, names.REQUESTS_QUEUE), (names.DEAD, names.DEAD_QUEUE)):
            await (await channel.declare_queue(queue, durable=True, arguments=QUORUM)).bind(exchange, "#")
        for agent in agents:
            made = await channel.declare_queue(names.agent_queue(agent), durable=True, arguments=QUORUM)
            await made.bind(names.WORK, agent)


async def published(broker: RabbitBroker, agent: str, body: bytes, seq: int) -> None:
    """Publish until the broker has it, as the journal's poll would."""

    async def is_out() -> bool:
        try:
            await broker.publish(Outgoing(agent, body, "0" * 32, seq))
        except BrokerUnavailableError:
            return False
        return True

    await until(is_out, timeout_s=20)


class RabbitHarness:
    """A `BrokerHarness` on one vhost."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.broker = RabbitBroker(url, name="test")

    async def declare(self, *agents: str) -> None:
        await declare(self.url, *agents)
