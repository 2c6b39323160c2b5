"""What keeps a connection: whose cancellation it is, where a URL leads, how long to wait."""

import asyncio

import pytest
from yarl import URL

from baton.broker.rabbitmq.connection import address, own_cancellation


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    rejected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    rejected.cancel()
    with pytest.raises(ConnectionError), own_cancellation():
        await rejected


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    async def wait() -> None:
        with own_cancellation():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.wait({waiting}, timeout=0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_a_timeout_stays_a_timeout() -> None:
    with pytest.raises(TimeoutError), own_cancellation():
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqp://user:secret@host:5671/vhost?heartbeat=5#x", "amqp://host:5671/vhost"),
        ("amqps://host/", "amqps://host/"),
        ("amqp://u:p%40ss@[::1]:5672/%2Fa", "amqp://[::1]:5672/%2Fa"),
    ],
)
def test_an_address_tells_no_credentials(url: str, told: str) -> None:
    assert address(URL(url)) == told
