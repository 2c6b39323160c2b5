"""RabbitMQ behind the contract of `broker.contract`.

In: a URL. Out: a `Broker` and an `Edge`: publishing on one connection, consuming on another, so that
a broker that blocks publishers still takes acks.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from yarl import URL

from baton.broker.contract import Answering, Consumer, Delivery, Hint, Incoming, Outgoing
from baton.broker.rabbitmq import names
from baton.broker.rabbitmq.channel import KeptChannel
from baton.broker.rabbitmq.connection import Link
from baton.broker.rabbitmq.consumer import RabbitConsumer, RabbitDelivery, Subscription
from baton.broker.rabbitmq.frames import Form
from baton.broker.rabbitmq.hints import Hints
from baton.broker.rabbitmq.publisher import Message, Publisher
from baton.errors import ConfigError, UnroutableError

SCHEMES = ("amqp", "amqps")
MAX_PREFETCH = 65_535


class RabbitBroker:
    """A `Broker` and an `Edge` on RabbitMQ 3.10 and later.

    It declares nothing but a queue of its own for hints, and only if somebody listens: exchanges
    and queues are `baton topology apply`'s.

    Args:
        url: `amqp://user:password@host:port/vhost` or `amqps://…`, with aiormq's parameters for TLS.
        name: What this process is called in the broker's list of connections.
        heartbeat_s: Seconds; a dead connection is noticed within three of them.
        connect_timeout_s: Seconds that `start` waits for a connection, > 0.

    Raises:
        ConfigError: `url` is none of RabbitMQ.
    """

    def __init__(
        self, url: str, *, name: str = names.APP_ID, heartbeat_s: float = 15.0, connect_timeout_s: float = 5.0
    ) -> None:
        where = _parsed(url)
        self._publishing, self._consuming = (
            Link(where, f"{name} ({role})", heartbeat_s=heartbeat_s, connect_timeout_s=connect_timeout_s)
            for role in ("publishes", "consumes")
        )
        user_id = None if where.query.get("auth", "plain").lower() == "external" else where.user or "guest"
        self._work, self._results = (
            Publisher(self._publishing, exchange, Form(kind, app_id=names.APP_ID, user_id=user_id, is_persistent=True))
            for exchange, kind in ((names.WORK, names.HOP_TYPE), ("", names.RESULT_TYPE))
        )
        self._hints = Hints(self._publishing, self._consuming)
        self._consumers: set[RabbitConsumer] = set()

    async def start(self) -> None:
        """See `Broker.start`.

        Raises:
            BrokerUnavailableError: It cannot be reached now; it is tried again until `close`.
            ConfigError: It refuses this user or vhost.
        """
        quiet_aiormq()
        self._work.start()
        self._results.start()
        self._hints.start()
        seen = await asyncio.gather(self._publishing.start(), self._consuming.start(), return_exceptions=True)
        errors = [error for error in seen if error is not None]
        refused = next((error for error in errors if isinstance(error, ConfigError)), None)
        if refused is not None:
            await self.close()
            raise refused
        if errors:
            raise errors[0]

    def trouble(self) -> str | None:
        """See `Broker.trouble`."""
        for link in (self._publishing, self._consuming):
            if (trouble := link.trouble()) is not None:
                return trouble
        opened = self._publishing.opened
        blocked = None if opened is None else opened.wire.blocked
        return None if blocked is None else f"the broker blocks publishers: {blocked}"

    async def close(self) -> None:
        """See `Broker.close`."""
        kept: list[KeptChannel[Any]] = [*self._consumers, self._work, self._results]
        self._consumers.clear()
        await asyncio.gather(*(channel.let_go() for channel in kept), self._hints.let_go())
        await asyncio.gather(self._publishing.close(), self._consuming.close())

    async def publish(self, message: Outgoing, *, timeout_s: float = 5.0) -> None:
        """See `Broker.publish`.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: No word in time: it may have arrived or not.
        """
        wanted = Message(message.agent, message.body, message.message_id, message.run_id, message.headers)
        await self._work.publish(wanted, timeout_s)

    async def answer(self, answer: Answering, *, timeout_s: float = 5.0) -> None:
        """See `Edge.answer`.

        Raises:
            UnroutableError: There is no such queue.
            BrokerUnavailableError: No word in time: it may have arrived or not.
        """
        wanted = Message(answer.reply_to, answer.body, answer.message_id, answer.correlation_id, answer.headers)
        await self._results.publish(wanted, timeout_s)

    async def consume(self, agent: str, on_delivery: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        """See `Broker.consume`.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: There is no connection.
            ConfigError: This user may not read it.
        """
        return await self._consume(names.agent_queue(agent), on_delivery, target=agent, prefetch=prefetch)

    async def consume_requests(self, on_request: Callable[[Incoming], None], *, prefetch: int) -> Consumer:
        """See `Edge.consume_requests`.

        Raises:
            UnroutableError: There is no such queue.
            BrokerUnavailableError: There is no connection.
            ConfigError: This user may not read it.
        """
        queue = names.REQUESTS_QUEUE
        return await self._consume(queue, on_request, target=queue, prefetch=prefetch)

    async def consume_dead(self, on_dead: Callable[[Incoming], None], *, prefetch: int) -> Consumer:
        """See `Edge.consume_dead`.

        Raises:
            UnroutableError: There is no queue `baton.dead`.
            BrokerUnavailableError: There is no connection.
            ConfigError: This user may not read it.
        """
        return await self._consume(names.DEAD_QUEUE, on_dead, target=names.DEAD_QUEUE, prefetch=prefetch)

    def hint(self, hint: Hint) -> None:
        """See `Broker.hint`."""
        self._hints.send(hint)

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See `Broker.listen`."""
        return self._hints.listen(on_hint)

    async def _consume(
        self, queue: str, on_delivery: Callable[[RabbitDelivery], None], *, target: str, prefetch: int
    ) -> Consumer:
        if not 1 <= prefetch <= MAX_PREFETCH:
            raise ValueError(f"prefetch is {prefetch}; it is 1 to {MAX_PREFETCH}")
        if len(queue.encode()) > names.MAX_NAME_BYTES:
            raise UnroutableError(target)
        subscription = Subscription(queue, target, on_delivery, prefetch)
        consumer = RabbitConsumer(self._consuming, subscription, on_cancel=self._consumers.discard)
        await consumer.ready()
        self._consumers.add(consumer)
        return consumer


def _parsed(url: str) -> URL:
    try:
        where = URL(url)
    except ValueError as error:
        raise ConfigError(f"the broker's URL cannot be read: {error}") from None
    if where.scheme not in SCHEMES or not where.host:
        raise ConfigError(
            f"the broker's URL has scheme {where.scheme!r} and host {where.host!r}; "
            f"it is amqp://user:password@host:port/vhost, or amqps://…"
        )
    return where


def quiet_aiormq() -> None:
    """Keep aiormq from logging with tracebacks what is told here in a line; a level that is set stays."""
    library = logging.getLogger("aiormq")
    if library.level == logging.NOTSET:
        library.setLevel(logging.CRITICAL)
