"""A requester's end of the wire contract: requests out, what is answered back in.

In: bodies for `baton.requests`. Out: each published with a confirm and the name of a queue of this
process's own; what comes on that queue. The queue goes with its connection, and what was on it, so
`on_queue` tells of each new one.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import aiormq.abc
from pamqp.commands import Basic
from pamqp.common import FieldValue
from yarl import URL

from baton.broker.rabbitmq import names
from baton.broker.rabbitmq.broker import quiet_aiormq
from baton.broker.rabbitmq.channel import KeptChannel
from baton.broker.rabbitmq.connection import Link, address
from baton.broker.rabbitmq.consumer import AckPort, RabbitDelivery, not_for_aiormq
from baton.broker.rabbitmq.frames import Form
from baton.broker.rabbitmq.publisher import Message, Publisher
from baton.errors import BrokerUnavailableError, ConfigError, UnroutableError

REQUEST_TYPE = "baton.request"
ROUTING_KEY = "request"
"""Any would do."""
_QUEUE_ARGUMENTS: dict[str, FieldValue] = {"x-queue-type": "classic"}


class Asked(NamedTuple):
    """A request, a reply or a cancel, as it is published."""

    body: bytes
    message_id: str
    """Its idempotency key."""
    correlation_id: str
    """Comes back with each result."""
    headers: Mapping[str, str] = {}


class _RequestForm(Form):
    """Properties of requests: those of every message, and where its results go."""

    def __init__(self, user_id: str | None) -> None:
        super().__init__(REQUEST_TYPE, app_id=names.APP_ID, user_id=user_id, is_persistent=True)
        self._user_id = user_id
        self.reply_to = ""

    def encode(
        self, message_id: str, correlation_id: str | None, headers: Mapping[str, str], *, timestamp_s: int
    ) -> bytes:
        """See `Form.encode`."""
        said = Basic.Properties(
            content_type="application/json",
            headers=dict(headers),
            delivery_mode=2,
            correlation_id=correlation_id,
            reply_to=self.reply_to,
            message_id=message_id,
            timestamp=datetime.fromtimestamp(timestamp_s, UTC),
            message_type=REQUEST_TYPE,
            user_id=self._user_id,
            app_id=names.APP_ID,
        )
        return bytes(said.marshal())


class _RequestPublisher(Publisher):
    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`; a publish to an exchange that is not there would be told as a lost channel."""
        await channel.exchange_declare(names.REQUESTS, exchange_type="topic", passive=True)


class _ReplyListener(KeptChannel[AckPort]):
    """Has a queue of its own, and hears what comes on it."""

    def __init__(
        self, link: Link, on_answer: Callable[[RabbitDelivery], None], on_queue: Callable[[str], None]
    ) -> None:
        super().__init__(link, what="waiting for results")
        self._on_answer = on_answer
        self._on_queue = on_queue

    def make_port(self) -> AckPort:
        """See `KeptChannel.make_port`."""
        return AckPort(self._on_answer)

    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`; the broker names the queue, since clients may have no other."""
        made = await channel.queue_declare("", exclusive=True, auto_delete=True, arguments=_QUEUE_ARGUMENTS)
        assert made.queue
        await channel.basic_consume(made.queue, not_for_aiormq)
        self._on_queue(made.queue)


class Requester:
    """Publishes to `baton.requests` and hears the answers, on one connection.

    Args:
        url: `amqp://user:password@host:port/vhost` or `amqps://…`.
        on_answer: Called for each message on the process's own queue; acks it.
        on_queue: Called when there is a new one: what was sent to the last is lost.
        heartbeat_s: Seconds; a dead connection is noticed within three of them.
        connect_timeout_s: Seconds that `start` waits for a connection, > 0.
    """

    def __init__(
        self,
        url: str,
        on_answer: Callable[[RabbitDelivery], None],
        on_queue: Callable[[], None],
        *,
        heartbeat_s: float = 15.0,
        connect_timeout_s: float = 5.0,
    ) -> None:
        where = URL(url)
        user_id = None if where.query.get("auth", "plain").lower() == "external" else where.user or "guest"
        self._where = where
        self._told = on_queue
        self._form = _RequestForm(user_id)
        self._link = Link(where, "baton (client)", heartbeat_s=heartbeat_s, connect_timeout_s=connect_timeout_s)
        self._publisher = _RequestPublisher(self._link, names.REQUESTS, self._form)
        self._listener = _ReplyListener(self._link, on_answer, self._has_queue)

    async def start(self) -> None:
        """Connect, and have a queue.

        Raises:
            BrokerUnavailableError: It cannot be reached.
            ConfigError: It refuses this user or vhost, or has no exchange for requests.
        """
        quiet_aiormq()
        try:
            await self._link.start()
            await self._publisher.ready()
            await self._listener.ready()
        except UnroutableError:
            await self.close()
            raise ConfigError(
                f"{address(self._where)} has no exchange {names.REQUESTS!r}; `baton topology apply` makes it"
            ) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; the queue goes with the connection."""
        await self._publisher.let_go()
        await self._listener.let_go()
        await self._link.close()

    async def ask(self, asked: Asked, *, timeout_s: float = 5.0) -> None:
        """Publish and return once the broker has it.

        Args:
            asked: What to publish.
            timeout_s: Seconds, > 0.

        Raises:
            BrokerUnavailableError: No word in time: it may have arrived or not.
            ConfigError: No queue is bound to the exchange.
        """
        until_s = asyncio.get_running_loop().time() + timeout_s
        wanted = Message(ROUTING_KEY, asked.body, asked.message_id, asked.correlation_id, asked.headers)
        try:
            async with asyncio.timeout_at(until_s):
                await self._listener.open_port()
        except TimeoutError:
            raise BrokerUnavailableError(self._link.trouble() or "there is no queue for results yet") from None
        try:
            await self._publisher.publish(wanted, max(0.1, until_s - asyncio.get_running_loop().time()))
        except UnroutableError:
            raise ConfigError(
                f"{address(self._where)} has no queue for requests; `baton topology apply` makes it"
            ) from None

    def _has_queue(self, queue: str) -> None:
        self._form.reply_to = queue
        self._told()
