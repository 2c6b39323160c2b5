"""RabbitMQ keeps the contract."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.broker_contract import BrokerContract, broker
from tests.support.rabbitmq import RabbitHarness

__all__ = ["broker"]


@pytest.fixture
async def harness(amqp_url: str) -> AsyncIterator[RabbitHarness]:
    harness = RabbitHarness(amqp_url)
    await harness.broker.start()
    yield harness
    await harness.broker.close()


class TestRabbitBroker(BrokerContract):
    """The contract over quorum queues."""
