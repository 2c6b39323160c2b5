"""The in-process broker: queues in memory, for router and agents in one process.

In: bodies published in this process. Out: deliveries to its consumers. What it loses when the
process dies, the journal has.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from baton.broker.contract import Consumer, Delivery, Hint, Outgoing
from baton.errors import BrokerUnavailableError, UnroutableError


class _Delivery:
    __slots__ = ("_consumer", "is_redelivered", "message")

    def __init__(self, message: Outgoing, consumer: "_Consumer", *, is_redelivered: bool) -> None:
        self.message = message
        self.is_redelivered = is_redelivered
        self._consumer = consumer

    @property
    def body(self) -> bytes:
        return self.message.body

    @property
    def message_id(self) -> str:
        return self.message.message_id

    @property
    def headers(self) -> dict[str, str]:
        return self.message.headers

    def ack(self) -> None:
        self._consumer.settle(self)


class _Queue:
    def __init__(self) -> None:
        self.waiting: deque[tuple[Outgoing, bool]] = deque()
        self.consumers: deque[_Consumer] = deque()

    def push(self, message: Outgoing) -> None:
        self.waiting.append((message, False))
        self.feed()

    def feed(self) -> None:
        """Give waiting messages to consumers with room, taking turns."""
        while self.waiting:
            ready = next((consumer for consumer in self.consumers if consumer.has_room), None)
            if ready is None:
                return
            self.consumers.rotate(-1)
            ready.give(*self.waiting.popleft())


class _Consumer:
    def __init__(self, queue: _Queue, on_delivery: Callable[[Delivery], None], prefetch: int) -> None:
        self._queue = queue
        self._on_delivery = on_delivery
        self._prefetch = prefetch
        self._unacked: dict[int, _Delivery] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def has_room(self) -> bool:
        return len(self._unacked) < self._prefetch

    def give(self, message: Outgoing, is_redelivered: bool) -> None:
        delivery = _Delivery(message, self, is_redelivered=is_redelivered)
        self._unacked[id(delivery)] = delivery
        self._loop.call_soon(self._deliver, delivery)

    def _deliver(self, delivery: _Delivery) -> None:
        """Deliver, unless the consumer was cancelled meanwhile and the message went back."""
        if id(delivery) in self._unacked:
            self._on_delivery(delivery)

    def settle(self, delivery: _Delivery) -> None:
        if self._unacked.pop(id(delivery), None) is not None:
            self._queue.feed()

    async def cancel(self) -> None:
        """Get no more deliveries; those that are not acked go back to the queue's head."""
        if self in self._queue.consumers:
            self._queue.consumers.remove(self)
        back = [(delivery.message, True) for delivery in self._unacked.values()]
        self._unacked.clear()
        self._queue.waiting.extendleft(reversed(back))
        self._queue.feed()


class MemoryBroker:
    """A `Broker` within one process. `declare` an agent's queue before publishing to it."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._listeners: list[Callable[[Hint], None]] = []
        self._is_open = False

    def declare(self, agent: str) -> None:
        """Make an agent's queue, if it is not there."""
        self._queues.setdefault(agent, _Queue())

    async def start(self) -> None:
        """See `Broker.start`."""
        self._is_open = True

    def trouble(self) -> str | None:
        """See `Broker.trouble`."""
        return None if self._is_open else "the in-process broker is closed"

    async def close(self) -> None:
        """See `Broker.close`."""
        self._is_open = False
        for queue in self._queues.values():
            for consumer in list(queue.consumers):
                await consumer.cancel()

    async def publish(self, message: Outgoing, *, timeout_s: float = 5.0) -> None:
        """See `Broker.publish`; it never waits, so that `timeout_s` has no effect.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: The broker is closed.
        """
        self._queue(message.agent).push(message)

    async def consume(self, agent: str, on_delivery: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        """See `Broker.consume`.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: The broker is closed.
        """
        queue = self._queue(agent)
        consumer = _Consumer(queue, on_delivery, prefetch)
        queue.consumers.append(consumer)
        queue.feed()
        return consumer

    def hint(self, hint: Hint) -> None:
        """See `Broker.hint`."""
        for listener in list(self._listeners):
            listener(hint)

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See `Broker.listen`."""
        self._listeners.append(on_hint)
        return lambda: self._listeners.remove(on_hint) if on_hint in self._listeners else None

    def _queue(self, agent: str) -> _Queue:
        if not self._is_open:
            raise BrokerUnavailableError("the in-process broker is closed")
        if agent not in self._queues:
            raise UnroutableError(agent)
        return self._queues[agent]
