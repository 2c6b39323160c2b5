"""A client as any program could be one: requests out, results in, and nothing but AMQP between.

In: orders. Out: each published until the broker has confirmed it, always under the same `message_id`; what came
back on the reply queue, every copy of it; questions answered. Lost connections are opened again.
"""

import asyncio
import contextlib
import itertools
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from baton.request import ENDED
from tests.support.waiting import until

REQUESTS = "baton.requests"
PATIENCE_S = 60.0
"""How long a request may take to be confirmed while the broker is away, in seconds."""
CONFIRM_S = 5.0
_LOST = (*CONNECTION_EXCEPTIONS, aio_pika.exceptions.AMQPError, TimeoutError, OSError, RuntimeError)


@dataclass(frozen=True)
class Order:
    """A request to the ring, and what is expected of it."""

    text: str = "places:3"
    """See `tests.e2e.faults.team`."""
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    """Its `message_id` and `correlation_id`."""
    ends: frozenset[str] = frozenset({"completed"})
    """How its run may end."""
    parks: frozenset[str] = frozenset()
    """Kinds of waits in which its run may stay instead: `review`, …"""

    @property
    def places(self) -> int:
        """How many effects its run has once it is completed."""
        return next((int(word[7:]) for word in self.text.split() if word.startswith("places:")), 3)


@dataclass(frozen=True)
class Received:
    """A message of the reply queue."""

    key: str
    """Which order it belongs to."""
    message_id: str
    """The same for each copy of one result."""
    status: str
    body: dict[str, Any]
    at: float
    """Unix time."""


def orders(count: int, chance: random.Random, *, words: Sequence[str] = ("", "", "", "retry@2")) -> list[Order]:
    """Return so many orders over 3 to 5 places, each with one of the `words` added."""
    return [Order(f"places:{chance.randint(3, 5)} {chance.choice(words)}".strip()) for _ in range(count)]


class Driver:
    """Publishes orders and collects what comes back; made by `driving`.

    Args:
        url: The broker's, past any proxy.
        queue: Its reply queue, durable: it outlives connections and the broker's restarts.
        user_id: The user that the broker knows it as, and so the tenant; None: does not say.
    """

    def __init__(self, url: str, queue: str, user_id: str | None = None) -> None:
        self.url = url
        self.queue = queue
        self.sent: dict[str, Order] = {}
        """Orders that the broker has confirmed, by key."""
        self.sent_at: dict[str, float] = {}
        """Unix time of the first try, by key."""
        self.received: list[Received] = []
        self._user_id = user_id
        self._channel: AbstractChannel | None = None
        self._ends: dict[str, Received] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    @property
    def ended(self) -> dict[str, Received]:
        """The first final result of each order, by key."""
        return self._ends

    def copies(self) -> dict[str, int]:
        """Return how often each final result came, by `message_id`."""
        counted: dict[str, int] = {}
        for one in self.received:
            if one.status in ENDED:
                counted[one.message_id] = counted.get(one.message_id, 0) + 1
        return counted

    async def send(self, order: Order) -> None:
        """Publish an order, again and again until it is confirmed.

        Raises:
            TimeoutError: It was not within `PATIENCE_S`.
        """
        body = json.dumps({"text": order.text, "to": "first", "max_hops": 100}).encode()
        self.sent_at.setdefault(order.key, time.time())
        await self._publish(body, order.key, correlation=order.key)
        self.sent[order.key] = order

    async def send_all(self, wanted: Sequence[Order], *, per_s: float | None = None) -> None:
        """Publish orders one after the other.

        Args:
            wanted: The orders.
            per_s: How many each second; None: as fast as they are confirmed.
        """
        began = time.monotonic()
        for number, order in enumerate(wanted):
            if per_s is not None:
                due = began + number / per_s
                await until(lambda due=due: time.monotonic() >= due, timeout_s=PATIENCE_S)  # type: ignore[misc]
            await self.send(order)

    async def cancel(self, run_id: str) -> None:
        """Ask for a run's end, and for no answer: the run's own requester gets it."""
        key = f"{self.queue}-cancel-{next(self._numbers)}"
        await self._publish(json.dumps({"cancel": {"run_id": run_id}}).encode(), key, wants_answer=False)

    async def publish_raw(self, body: bytes) -> None:
        """Publish any bytes as a request, confirmed."""
        await self._publish(body, None)

    async def all_ended(self, *, timeout_s: float) -> bool:
        """Return whether every order had a final result within `timeout_s` seconds."""
        with contextlib.suppress(TimeoutError):
            await until(lambda: self.sent.keys() <= self._ends.keys(), timeout_s=timeout_s)
        return self.sent.keys() <= self._ends.keys()

    async def _publish(
        self, body: bytes, key: str | None, *, correlation: str | None = None, wants_answer: bool = True
    ) -> None:
        message = aio_pika.Message(
            body,
            message_id=key,
            correlation_id=correlation,
            reply_to=self.queue if wants_answer else None,
            user_id=self._user_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )

        async def is_confirmed() -> bool:
            channel = self._channel
            if channel is None:
                return False
            try:
                exchange = await channel.get_exchange(REQUESTS, ensure=False)
                await exchange.publish(message, "request", timeout=CONFIRM_S)
            except _LOST:
                return False
            return True

        await until(is_confirmed, timeout_s=PATIENCE_S, what="the broker confirms a request")

    async def run(self) -> None:
        """Hold a connection and read the reply queue, for ever."""
        while True:
            with contextlib.suppress(*_LOST):
                await self._read()
            self._channel = None
            await until(self._is_reachable, timeout_s=3600)

    async def _is_reachable(self) -> bool:
        try:
            connection = await aio_pika.connect(self.url, timeout=CONFIRM_S)
        except _LOST:
            return False
        await connection.close()
        return True

    async def _read(self) -> None:
        """Read until the connection or the channel is gone."""
        connection = await aio_pika.connect(self.url, timeout=CONFIRM_S, heartbeat=10)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=200)
            queue = await channel.declare_queue(self.queue, durable=True)
            is_lost = asyncio.Event()
            for end in (connection, channel):
                end.close_callbacks.add(lambda *_: is_lost.set())
            await queue.consume(self._on_message)
            self._channel = channel
            await is_lost.wait()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        self._take(message)
        await message.ack()

    def _take(self, message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        key, status = message.correlation_id or "", str(body["status"])
        one = Received(key, message.message_id or "", status, body, time.time())
        self.received.append(one)
        if status in ENDED:
            self._ends.setdefault(key, one)
        elif status == "waiting" and body["wait_id"]:
            task = asyncio.create_task(self._reply(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reply(self, asked: Received) -> None:
        """Answer a question; a copy of it gets the same message."""
        said = {"run_id": asked.body["run_id"], "wait_id": asked.body["wait_id"], "text": "go on"}
        await self._publish(
            json.dumps({"reply": said}).encode(), f"reply-{asked.body['wait_id']}", correlation=asked.key
        )

    async def close(self) -> None:
        """Break off what is under way, and delete the reply queue if the broker is there."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(*_LOST):
            connection = await aio_pika.connect(self.url, timeout=CONFIRM_S)
            async with connection, connection.channel() as channel:
                await channel.queue_delete(self.queue)


@contextlib.asynccontextmanager
async def driving(url: str, *, user_id: str | None = None) -> AsyncIterator[Driver]:
    """Give a driver that is connected, with a reply queue of its own."""
    driver = Driver(url, f"faults-{secrets.token_hex(4)}", user_id)
    reading = asyncio.create_task(driver.run())
    try:
        await until(lambda: driver._channel is not None, timeout_s=30, what="the driver is connected")
        yield driver
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await driver.close()
