"""Hints between processes: published without confirm, heard through a queue of the listener's own.

In: hints of this process. Out: hints of all processes to this one's listeners. Those of this
process go to them directly. Any may be lost.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

import aiormq.abc

from baton.broker.contract import Hint
from baton.broker.rabbitmq import frames, names
from baton.broker.rabbitmq.channel import KeptChannel
from baton.broker.rabbitmq.connection import Link
from baton.broker.rabbitmq.consumer import not_for_aiormq
from baton.broker.rabbitmq.wire import Port

logger = logging.getLogger("baton")

MAX_QUEUED = 10_000
"""Hints that wait for one process before the oldest are dropped."""
QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "classic", "x-max-length": MAX_QUEUED}
PROPERTIES = b"\x90\0" + b"\x10application/json" + b"\x01"
"""Content type and delivery mode of a hint: not persistent."""


class HintSender(KeptChannel[Port]):
    """Publishes hints, as far as that works now.

    Args:
        link: The publishing connection.
        origin: The body of each hint: by it a process knows its own.
    """

    is_optional = True

    def __init__(self, link: Link, origin: bytes) -> None:
        super().__init__(link, what="sending hints", target=names.EVENTS)
        self._origin = origin

    def make_port(self) -> Port:
        """See `KeptChannel.make_port`."""
        return Port()

    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`; hints are not confirmed."""

    def send(self, hint: Hint) -> None:
        """Publish, or forget it where that would have to wait."""
        port = self.port
        if port is None or port.wire.is_full or port.wire.blocked is not None:
            return
        method = frames.publish_method(port.number, names.EVENTS, names.hint_key(hint), is_mandatory=False)
        frame_max_bytes = port.wire.frame_max_bytes
        parts = frames.content(port.number, PROPERTIES, self._origin, frame_max_bytes=frame_max_bytes)
        port.wire.send([method, *parts])


class _HintPort(Port):
    def __init__(self, origin: bytes, on_hint: Callable[[Hint], None]) -> None:
        super().__init__()
        self._origin = origin
        self._on_hint = on_hint

    def on_delivered(self, tag: int, route: bytes, header: bytes, body: bytes) -> None:
        if body != self._origin and (hint := names.hint_of(frames.routing_key(route))) is not None:
            self._on_hint(hint)


class HintListener(KeptChannel[_HintPort]):
    """Hears the hints of other processes, if this user may have a queue for them.

    Args:
        link: The consuming connection.
        origin: The body of this process's own hints, which it does not hear.
        on_hint: Called for each other.
    """

    is_optional = True

    def __init__(self, link: Link, origin: bytes, on_hint: Callable[[Hint], None]) -> None:
        super().__init__(link, what="listening to hints", target=names.EVENTS)
        self._origin = origin
        self._on_hint = on_hint

    def make_port(self) -> _HintPort:
        """See `KeptChannel.make_port`."""
        return _HintPort(self._origin, self._on_hint)

    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`."""
        queue = names.LISTEN_PREFIX + secrets.token_hex(8)
        await channel.queue_declare(queue, exclusive=True, auto_delete=True, arguments=QUEUE_ARGUMENTS)
        await channel.queue_bind(queue, names.EVENTS, "#")
        await channel.basic_consume(queue, not_for_aiormq, no_ack=True)


class Hints:
    """Both directions, and this process's listeners.

    Args:
        publishing: The connection to send on.
        consuming: The connection to listen on.
    """

    def __init__(self, publishing: Link, consuming: Link) -> None:
        origin = b'{"from":"%s"}' % secrets.token_hex(8).encode()
        self._sender = HintSender(publishing, origin)
        self._listener = HintListener(consuming, origin, self._tell)
        self._listeners: list[Callable[[Hint], None]] = []
        self._is_open = False

    def start(self) -> None:
        """Begin to send, and to listen if somebody does."""
        self._is_open = True
        self._sender.start()
        if self._listeners:
            self._listener.start()

    async def let_go(self) -> None:
        """Send and hear nothing more; listeners stay for the next start."""
        self._is_open = False
        await self._sender.let_go()
        await self._listener.let_go()

    def send(self, hint: Hint) -> None:
        """See `Broker.hint`."""
        if self._listeners:
            asyncio.get_running_loop().call_soon(self._tell, hint)
        if self._is_open:
            self._sender.send(hint)

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """See `Broker.listen`."""
        self._listeners.append(on_hint)
        if self._is_open:
            self._listener.start()
        return lambda: self._listeners.remove(on_hint) if on_hint in self._listeners else None

    def _tell(self, hint: Hint) -> None:
        for listener in list(self._listeners):
            try:
                listener(hint)
            except Exception:  # a listener's trouble is not the connection's
                logger.exception("a listener to hints raised")
