"""The socket below aiormq: it takes out the frames of messages and leaves all others to aiormq.

In: the broker's bytes. Out: contents and confirms to the port of their channel, the rest to
aiormq, which does handshake, heartbeats and calls. A message so costs no task, no queue and no
object of the protocol; what is written in one turn of the event loop goes out in one piece.
"""

import asyncio
from typing import Any, NamedTuple

import aiormq
from yarl import URL

from baton.broker.rabbitmq import frames

WRITE_BUFFER_BYTES = 512 * 1024
"""Unsent bytes from which on publishers wait."""
KEEP_ALIVE_S = 1.0
"""How often aiormq is told, in seconds, that the broker is alive while it gets no frames itself."""


class Loss(NamedTuple):
    """Why a channel is gone."""

    code: int | None
    """AMQP's reply code; None: its connection is gone, or it was closed on this side."""
    text: str


class Port:
    """One channel's end: assembles contents and is told what happens to the channel."""

    def __init__(self) -> None:
        self.number = 0
        self.wire: Wire
        self.lost: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._tag: int | None = None
        self._is_redelivered = False
        self._route = b""
        self._header = b""
        self._chunks: list[bytes] = []
        self._missing_bytes = 0

    def on_delivered(self, tag: int, route: bytes, header: bytes, body: bytes) -> None:
        """Take a delivery; `is_redelivered` is that of this one."""

    def on_returned(self, header: bytes) -> None:
        """Take back a message that no queue was bound for."""

    def on_confirmed(self, tag: int, *, is_multiple: bool, is_ack: bool) -> None:
        """Learn the broker's word on one publish, or on all up to it."""

    def on_lost(self, loss: Loss) -> None:
        """Learn that the channel is gone; called once."""
        self.lost.set_result(loss)

    def settlements(self) -> bytes:
        """Return the acks to write now."""
        return b""

    @property
    def is_redelivered(self) -> bool:
        """True where the delivery at hand may have been delivered before."""
        return self._is_redelivered

    def take_method(self, payload: bytes) -> None:
        """Take a method frame, or look at one that is aiormq's."""
        method = payload[:4]
        if method == frames.DELIVER:
            at = 5 + payload[4]
            self._tag = frames.TAG.unpack_from(payload, at)[0]
            self._is_redelivered = bool(payload[at + 8])
            self._route = payload[at + 9 :]
        elif method in (frames.ACK, frames.NACK):
            tag, is_multiple = frames.confirm(payload)
            self.on_confirmed(tag, is_multiple=is_multiple, is_ack=method == frames.ACK)
        elif method == frames.RETURN:
            self._tag = None
        elif method == frames.CANCEL:
            self.wire.detach(self, Loss(None, "the broker cancelled the consumer: its queue was deleted or moved"))
        elif method == frames.CHANNEL_CLOSE:
            self.wire.detach(self, Loss(*frames.reason(payload)))

    def take_header(self, header: bytes) -> None:
        """Take the header of the content that the last method announced."""
        self._header = header
        self._missing_bytes = frames.body_size(header)
        if not self._missing_bytes:
            self._complete(b"")

    def take_body(self, chunk: bytes) -> None:
        """Take a part of the content's body."""
        self._missing_bytes -= len(chunk)
        if self._missing_bytes > 0:
            self._chunks.append(chunk)
        elif self._chunks:
            self._chunks.append(chunk)
            body = b"".join(self._chunks)
            self._chunks.clear()
            self._complete(body)
        else:
            self._complete(chunk)

    def _complete(self, body: bytes) -> None:
        if self._tag is None:
            self.on_returned(self._header)
        else:
            self.on_delivered(self._tag, self._route, self._header, body)


class Wire(asyncio.StreamReaderProtocol):
    """Divides one connection's frames between ports and aiormq."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._loop = loop
        self.lost: asyncio.Future[str] = loop.create_future()
        """Done with the reason once the socket is closed."""
        self.close_reason: tuple[int, str] | None = None
        """Code and text with which the broker closed the connection."""
        self.blocked: str | None = None
        """Why the broker takes no publishes now."""
        self.received_at = loop.time()
        self.frame_max_bytes = 4096
        self.transport: asyncio.Transport
        self._told_at = self.received_at
        self._ports: dict[int, Port] = {}
        self._rest = b""
        self._out: list[bytes] = []
        self._settling: list[Port] = []
        self._flushes = False
        self._room: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """True while the broker does not read what was written."""
        return self._room is not None

    async def has_room(self) -> None:
        """Wait until the broker reads again, or the socket is closed."""
        if self._room is not None:
            await asyncio.shield(self._room)

    def attach(self, port: Port, number: int) -> None:
        """Give a channel's frames to a port.

        Raises:
            ConnectionError: The socket is closed, or the port was given up.
        """
        if self.lost.done():
            raise ConnectionError(self.lost.result())
        if port.lost.done():
            raise ConnectionError(port.lost.result().text)
        port.number, port.wire = number, self
        self._ports[number] = port

    def detach(self, port: Port, loss: Loss) -> None:
        """Give a channel's frames to nobody any more; harmless when repeated."""
        if self._ports.get(port.number) is port:
            del self._ports[port.number]
        if not port.lost.done():
            port.on_lost(loss)

    def send(self, parts: list[bytes]) -> None:
        """Write whole frames at the end of this turn of the event loop."""
        self._out += parts
        self._flush_later()

    def settle(self, port: Port) -> None:
        """Write a port's acks at the end of this turn of the event loop."""
        self._settling.append(port)
        self._flush_later()

    def flush(self) -> None:
        """Write what waits."""
        self._flushes = False
        if self._settling:
            self._out += [port.settlements() for port in self._settling]
            self._settling.clear()
        if self._out and not self.lost.done():
            self.transport.write(b"".join(self._out))
        self._out.clear()

    def abort(self, why: str) -> None:
        """Drop the connection without a word to the broker."""
        self._lose(why)
        if (transport := getattr(self, "transport", None)) is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lose(f"the connection broke: {exc}" if exc else "the broker closed the connection")
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._room = self._room or self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        now = self.received_at = self._loop.time()
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= frames.FRAME_BYTES:
            kind, number, size = frames.HEAD.unpack_from(data, at)
            start, stop = at + frames.HEAD_BYTES, at + size + frames.FRAME_BYTES
            if kind > frames.HEARTBEAT:  # no frame: a broker of another protocol names its own
                stop = end
            elif stop > end:
                break
            elif data[stop - 1] != frames.END_BYTE:
                self.abort("what the broker sent is not AMQP 0-9-1")
                return
            if number == 0 or kind > frames.BODY:
                self._take_connection_frame(data[at:stop])
            else:
                self._take_channel_frame(kind, number, data[start : stop - 1])
            at = stop
        self._rest = data[at:]
        if now - self._told_at > KEEP_ALIVE_S:
            self._tell(frames.HEARTBEAT_FRAME)

    def _take_channel_frame(self, kind: int, number: int, payload: bytes) -> None:
        port = self._ports.get(number)
        if kind == frames.METHOD:
            if port is not None:
                port.take_method(payload)
            if payload[:4] not in frames.OF_MESSAGES:
                self._tell(frames.HEAD.pack(kind, number, len(payload)) + payload + frames.END)
        elif port is None:
            return  # a message for a channel that was given up
        elif kind == frames.BODY:
            port.take_body(payload)
        else:
            port.take_header(payload)

    def _take_connection_frame(self, frame: bytes) -> None:
        method = frame[frames.HEAD_BYTES : frames.HEAD_BYTES + 4]
        if method == frames.CONNECTION_CLOSE:
            self.close_reason = frames.reason(frame[frames.HEAD_BYTES :])
        elif method == frames.BLOCKED:
            self.blocked = frames.short_string(frame, frames.HEAD_BYTES + 4)
        elif method == frames.UNBLOCKED:
            self.blocked = None
        self._tell(frame)

    def _tell(self, frame: bytes) -> None:
        self._told_at = self.received_at
        super().data_received(frame)

    def _flush_later(self) -> None:
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self.flush)

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _lose(self, why: str) -> None:
        if self.lost.done():
            return
        if self.close_reason is not None:
            why = f"the broker closed the connection: {self.close_reason[1]}"
        self.lost.set_result(why)
        self._make_room()
        for port in list(self._ports.values()):
            self.detach(port, Loss(None, why))


class WireFactory(aiormq.TransportFactory):
    """Opens the socket of one connection of aiormq, with a `Wire` at its end."""

    def __init__(self) -> None:
        self.wire: Wire | None = None
        """Set as soon as there is a socket."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, as aiormq's own factories do.

        Raises:
            OSError: Nobody listens there, the name is unknown, or TLS failed.
        """
        provider: aiormq.SSLContextProvider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        assert url.host is not None
        assert url.port is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, wire = await loop.create_connection(
            lambda: Wire(reader, loop), url.host, url.port, ssl=context, **kwargs
        )
        self.wire = wire
        return reader, asyncio.StreamWriter(transport, wire, reader, loop)
