"""Consuming one queue: deliveries out, acks back in as few frames as they allow.

In: frames of a channel of the consuming connection. Out: calls of the function that was given, in
the callback of the socket: no task per message, and nothing that a lost connection could cancel.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import aiormq.abc

from baton.broker.rabbitmq import frames
from baton.broker.rabbitmq.channel import KeptChannel
from baton.broker.rabbitmq.connection import Link
from baton.broker.rabbitmq.wire import Port

logger = logging.getLogger("baton")


class RabbitDelivery:
    """One delivered message; see `Delivery` and `Incoming`. Its properties are read when asked for."""

    __slots__ = ("_header", "_port", "_properties", "_tag", "body", "is_redelivered")

    def __init__(self, port: "AckPort", tag: int, header: bytes, body: bytes) -> None:
        self.body = body
        self.is_redelivered = port.is_redelivered
        self._port = port
        self._tag = tag
        self._header = header
        self._properties: frames.Properties | None = None

    @property
    def message_id(self) -> str:
        """The id it was published under; empty where it has none."""
        return self._read().message_id or ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers it was published with, as far as they are strings."""
        return dict(self._read().headers)

    @property
    def reply_to(self) -> str | None:
        """The queue that the sender wants its results on."""
        return self._read().reply_to

    @property
    def correlation_id(self) -> str | None:
        """What the sender knows its request by."""
        return self._read().correlation_id

    @property
    def user_id(self) -> str | None:
        """The sender's user, checked by the broker, where the sender said it."""
        return self._read().user_id

    def ack(self) -> None:
        """Settle it; harmless when repeated, or when its connection is gone."""
        self._port.ack(self._tag)

    def _read(self) -> frames.Properties:
        if self._properties is None:
            self._properties = frames.properties(self._header)
        return self._properties


class AckPort(Port):
    """One consuming channel: what was delivered on it and not acked yet."""

    def __init__(self, on_delivery: Callable[[RabbitDelivery], None]) -> None:
        super().__init__()
        self._on_delivery = on_delivery
        self._open: dict[int, None] = {}
        self._acked: list[int] = []

    def on_delivered(self, tag: int, route: bytes, header: bytes, body: bytes) -> None:
        """See `Port.on_delivered`."""
        self._open[tag] = None
        try:
            self._on_delivery(RabbitDelivery(self, tag, header, body))
        except Exception:  # one message's trouble must not end the connection of all
            logger.exception("the handler of a delivery raised; it stays unacked")

    def ack(self, tag: int) -> None:
        """Settle a delivery at the end of this turn of the event loop."""
        if tag not in self._open or self.lost.done():
            return
        del self._open[tag]
        if not self._acked:
            self.wire.settle(self)
        self._acked.append(tag)

    def settlements(self) -> bytes:
        """See `Port.settlements`: one frame for all below the first that is open, one for each other."""
        first = next(iter(self._open), None)
        acked, self._acked = self._acked, []
        if self.lost.done():
            return b""
        below = acked if first is None else [tag for tag in acked if tag < first]
        above = [] if first is None else [tag for tag in acked if tag > first]
        settled = [frames.ack(self.number, tag, is_multiple=False) for tag in above]
        if below:
            settled.append(frames.ack(self.number, max(below), is_multiple=len(below) > 1))
        return b"".join(settled)


class Subscription(NamedTuple):
    """What a consumer wants."""

    queue: str
    target: str
    """Whose queue it is, for errors."""
    on_delivery: Callable[[RabbitDelivery], None]
    """Called for each message; must return at once."""
    prefetch: int
    """Messages not acked at a time, 1 to 65,535."""


class RabbitConsumer(KeptChannel[AckPort]):
    """A subscription to one queue.

    Args:
        link: The consuming connection.
        wanted: What to consume.
        on_cancel: Called when it is cancelled.
    """

    def __init__(self, link: Link, wanted: Subscription, *, on_cancel: Callable[["RabbitConsumer"], None]) -> None:
        super().__init__(link, what=f"consuming {wanted.queue}", target=wanted.target)
        self._wanted = wanted
        self._on_cancel = on_cancel

    def make_port(self) -> AckPort:
        """See `KeptChannel.make_port`."""
        return AckPort(self._wanted.on_delivery)

    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`; declares nothing, since services have no right to."""
        await channel.basic_qos(prefetch_count=self._wanted.prefetch)
        await channel.basic_consume(self._wanted.queue, not_for_aiormq)

    async def cancel(self) -> None:
        """See `Consumer.cancel`."""
        self._on_cancel(self)
        await self.stop()


async def not_for_aiormq(message: aiormq.abc.DeliveredMessage) -> None:
    """Stand in for the callback of aiormq, which never sees a delivery here."""
