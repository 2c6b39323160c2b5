"""Publishing to one exchange, with the broker's confirm for each message.

In: messages of `broker`. Out: frames on a channel of the publishing connection; each call returns
at the broker's word.

Two messages with one id are never in flight together: a message that comes back unroutable is
known by its id alone, so the word on one would be taken for the word on the other.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import NamedTuple

import aiormq.abc

from baton.broker.rabbitmq import frames
from baton.broker.rabbitmq.channel import KeptChannel
from baton.broker.rabbitmq.connection import HOPE_S, Link
from baton.broker.rabbitmq.wire import Loss, Port
from baton.errors import BrokerError, BrokerUnavailableError, UnroutableError


class Message(NamedTuple):
    """What is published to one queue."""

    key: str
    """The routing key."""
    body: bytes
    message_id: str
    correlation_id: str | None
    headers: Mapping[str, str]


class _InFlight:
    """A message on whose fate the broker has not spoken."""

    __slots__ = ("deadline_s", "future", "is_returned", "message_id", "spoken", "target")

    def __init__(self, message: Message, future: asyncio.Future[None], deadline_s: float) -> None:
        self.message_id = message.message_id
        self.spoken: asyncio.Future[None] | None = None
        self.target = message.key
        self.future = future
        self.deadline_s = deadline_s
        self.is_returned = False

    def fail(self, error: BrokerError) -> None:
        """Tell whoever waits, if anybody does."""
        if not self.future.done():
            self.future.set_exception(error)

    def settle(self, *, is_ack: bool) -> None:
        """Pass on the broker's word."""
        if self.is_returned:
            self.fail(UnroutableError(self.target))
        elif not is_ack:
            self.fail(BrokerUnavailableError(f"the queue of {self.target!r} takes no more messages now"))
        elif not self.future.done():
            self.future.set_result(None)
        self.free()

    def free(self) -> None:
        """Let those go on who wait with the same id."""
        if self.spoken is not None:
            self.spoken.set_result(None)

    async def wait(self) -> None:
        """Wait until the id is free, which may be later than the publish gave up."""
        self.spoken = self.spoken or asyncio.get_running_loop().create_future()
        await asyncio.shield(self.spoken)


class _ConfirmPort(Port):
    """One channel in confirm mode: who waits for which tag."""

    def __init__(self) -> None:
        super().__init__()
        self.by_id: dict[str, _InFlight] = {}
        self._by_tag: dict[int, _InFlight] = {}
        self._last_tag = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, parts: list[bytes], message: Message, deadline_s: float) -> asyncio.Future[None]:
        """Write a message; the future is done at the broker's word, or at `deadline_s` of the loop's clock."""
        self._last_tag += 1
        waiting = _InFlight(message, self._loop.create_future(), deadline_s)
        self._by_tag[self._last_tag] = self.by_id[message.message_id] = waiting
        self.wire.send(parts)
        if self._timer is None or deadline_s < self._timer.when():
            self._wake_at(deadline_s)
        return waiting.future

    def on_confirmed(self, tag: int, *, is_multiple: bool, is_ack: bool) -> None:
        """See `Port.on_confirmed`."""
        tags = [tag]
        if is_multiple:
            tags = [open_tag for open_tag in self._by_tag if open_tag <= tag]
        for one in tags:
            if (waiting := self._by_tag.pop(one, None)) is not None:
                del self.by_id[waiting.message_id]
                waiting.settle(is_ack=is_ack)

    def on_returned(self, header: bytes) -> None:
        """See `Port.on_returned`; the confirm for it follows."""
        message_id = frames.properties(header).message_id
        if message_id is not None and (waiting := self.by_id.get(message_id)) is not None:
            waiting.is_returned = True

    def on_lost(self, loss: Loss) -> None:
        """See `Port.on_lost`."""
        super().on_lost(loss)
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._by_tag.values():
            waiting.fail(BrokerUnavailableError(f"no word on {waiting.message_id}: {loss.text}"))
            waiting.free()
        self._by_tag.clear()
        self.by_id.clear()

    def _wake_at(self, deadline_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline_s, self._expire)

    def _expire(self) -> None:
        """Give up on those whose time is over; their ids stay taken until the broker's word comes."""
        self._timer = None
        now = self._loop.time()
        left = [waiting for waiting in self._by_tag.values() if not waiting.future.done()]
        for waiting in left:
            if waiting.deadline_s <= now:
                waiting.fail(BrokerUnavailableError(f"no word on {waiting.message_id} in time: it may have arrived"))
        open_until = [waiting.deadline_s for waiting in left if waiting.deadline_s > now]
        if open_until:
            self._wake_at(min(open_until))


class Publisher(KeptChannel[_ConfirmPort]):
    """Publishes to one exchange.

    Args:
        link: The publishing connection.
        exchange: Its name; empty: the default exchange, where the key is a queue.
        form: The properties that its messages share.
    """

    has_confirms = True
    reopens_at_once = True

    def __init__(self, link: Link, exchange: str, form: frames.Form) -> None:
        super().__init__(link, what=f"publishing to {exchange or 'reply queues'}", target=exchange)
        self._exchange = exchange
        self._form = form

    def make_port(self) -> _ConfirmPort:
        """See `KeptChannel.make_port`."""
        return _ConfirmPort()

    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See `KeptChannel.set_up`; confirms are on already."""

    async def publish(self, message: Message, timeout_s: float) -> None:
        """Publish and return at the broker's confirm.

        Args:
            message: To one queue.
            timeout_s: Seconds, for everything.

        Raises:
            UnroutableError: No queue has that key.
            BrokerUnavailableError: No word in time, or the queue is full.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        port = self.port
        if port is None or self._is_held_up(port, message):
            port = await self._wait_for_room(message, deadline_s)
        parts = self._frames(port, message)
        await port.send(parts, message, deadline_s)

    def _frames(self, port: _ConfirmPort, message: Message) -> list[bytes]:
        try:
            method = frames.publish_method(port.number, self._exchange, message.key, is_mandatory=True)
        except ValueError:
            raise UnroutableError(message.key) from None  # no queue can have a name that long
        properties = self._form.encode(
            message.message_id, message.correlation_id, message.headers, timestamp_s=int(time.time())
        )
        frame_max_bytes = port.wire.frame_max_bytes
        return [method, *frames.content(port.number, properties, message.body, frame_max_bytes=frame_max_bytes)]

    def _is_held_up(self, port: _ConfirmPort, message: Message) -> bool:
        wire = port.wire
        return wire.blocked is not None or wire.is_full or message.message_id in port.by_id

    async def _wait_for_room(self, message: Message, deadline_s: float) -> _ConfirmPort:
        """Return an open port that can take this message now."""
        try:
            async with asyncio.timeout_at(deadline_s):
                while (port := self.port) is None or self._is_held_up(port, message):
                    await self._wait_once(port, message)
                return port
        except TimeoutError:
            raise BrokerUnavailableError(
                f"{message.message_id} was not published: {self._link.trouble() or 'no room in time'}"
            ) from None

    async def _wait_once(self, port: _ConfirmPort | None, message: Message) -> None:
        """Wait for one of the things that may be missing.

        Raises:
            BrokerUnavailableError: It is not likely to come soon.
        """
        if port is None:
            await self._link.up_soon()
            with contextlib.suppress(TimeoutError):  # the connection may be lost before the channel is open
                async with asyncio.timeout(HOPE_S):
                    await self.open_port()
        elif port.wire.blocked is not None:
            raise BrokerUnavailableError(f"the broker blocks publishers: {port.wire.blocked}")
        elif port.wire.is_full:
            await port.wire.has_room()
        elif (earlier := port.by_id.get(message.message_id)) is not None:
            await earlier.wait()
