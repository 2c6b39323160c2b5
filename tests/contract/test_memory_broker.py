"""The in-process broker keeps the contract."""

from collections.abc import AsyncIterator

import pytest

from baton.broker.memory import MemoryBroker
from tests.contract.broker_contract import BrokerContract, broker

__all__ = ["broker"]


class MemoryHarness:
    """A `BrokerHarness` in this process."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def declare(self, *agents: str) -> None:
        for agent in agents:
            self.broker.declare(agent)


@pytest.fixture
async def harness() -> AsyncIterator[MemoryHarness]:
    harness = MemoryHarness()
    await harness.broker.start()
    yield harness
    await harness.broker.close()


class TestMemoryBroker(BrokerContract):
    """The contract over queues in memory."""

    async def test_a_queue_declared_again_keeps_its_messages(self, harness: MemoryHarness) -> None:
        await harness.declare("a")
        harness.broker.declare("a")
        with pytest.raises(Exception, match="'c'"):
            await harness.broker.consume("c", lambda delivery: None, prefetch=1)
