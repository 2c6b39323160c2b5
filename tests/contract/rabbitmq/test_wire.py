"""The socket's end: frames come out whole however the bytes arrive, and acks settle what they should."""

import asyncio
from dataclasses import dataclass, field

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from baton.broker.rabbitmq.consumer import AckPort, RabbitDelivery
from baton.broker.rabbitmq.wire import Loss, Port, Wire

LIMIT = 2**16


class Socket(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take it as said."""

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


@dataclass
class Desk:
    """A wire with nobody at the other end."""

    wire: Wire
    reader: asyncio.StreamReader
    socket: Socket = field(default_factory=Socket)

    @classmethod
    def open(cls) -> "Desk":
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
        desk = cls(Wire(reader, loop), reader)
        desk.wire.connection_made(desk.socket)
        return desk

    def left_to_aiormq(self) -> bytes:
        self.reader.feed_eof()
        return bytes(self.reader._buffer)  # type: ignore[attr-defined]


class Inbox(AckPort):
    """A consuming port that keeps what it is given."""

    def __init__(self) -> None:
        self.deliveries: list[RabbitDelivery] = []
        super().__init__(self.deliveries.append)


def delivery(number: int, tag: int, body: bytes, *, frame_max_bytes: int = 50) -> list[tuple[int, object]]:
    header = ContentHeader(body_size=len(body), properties=commands.Basic.Properties(message_id=str(tag)))
    deliver = commands.Basic.Deliver(
        consumer_tag="c", delivery_tag=tag, redelivered=bool(tag % 2), exchange="e", routing_key="k"
    )
    chunks = [ContentBody(body[at : at + frame_max_bytes]) for at in range(0, len(body), frame_max_bytes)]
    return [(number, deliver), (number, header), *((number, chunk) for chunk in chunks)]


def mixed(*streams: list[tuple[int, object]], order: list[int]) -> list[tuple[int, object]]:
    """Return the frames of several channels as one connection carries them."""
    left, out = [list(stream) for stream in streams], []
    for choice in order:
        if left[choice]:
            out.append(left[choice].pop(0))
    for stream in left:
        out += stream
    return out


def encoded(frames: list[tuple[int, object]]) -> bytes:
    return b"".join(pamqp.frame.marshal(frame, number) for number, frame in frames)  # type: ignore[arg-type]


@given(
    st.lists(st.binary(max_size=120), max_size=4),
    st.lists(st.binary(max_size=120), max_size=4),
    st.lists(st.integers(0, 2), max_size=30),
    st.lists(st.integers(1, 60), max_size=60),
)
def test_contents_come_out_whole_and_the_rest_goes_to_aiormq(
    one: list[bytes], other: list[bytes], order: list[int], cuts: list[int]
) -> None:
    calls: list[tuple[int, object]] = [(1, commands.Basic.QosOk()), (0, Heartbeat()), (9, commands.Channel.OpenOk())]
    ours = [
        [frame for tag, body in enumerate(bodies, 1) for frame in delivery(number, tag, body)]
        for number, bodies in ((1, one), (2, other))
    ]
    given_up = delivery(3, 1, b"for a channel that is gone")
    stream = encoded([*mixed(*ours, calls, order=order), *given_up])

    async def receive() -> tuple[list[Inbox], bytes]:
        desk, inboxes = Desk.open(), [Inbox(), Inbox()]
        for number, inbox in enumerate(inboxes, 1):
            desk.wire.attach(inbox, number)
        at = 0
        for cut in [*cuts, len(stream)]:
            desk.wire.data_received(stream[at : at + cut])
            at += cut
        return inboxes, desk.left_to_aiormq()

    inboxes, left = asyncio.run(receive())
    for inbox, bodies in zip(inboxes, (one, other), strict=True):
        assert [taken.body for taken in inbox.deliveries] == bodies
        assert [taken.message_id for taken in inbox.deliveries] == [str(tag) for tag in range(1, len(bodies) + 1)]
        assert [taken.is_redelivered for taken in inbox.deliveries] == [
            bool(tag % 2) for tag in range(1, len(bodies) + 1)
        ]
    assert left == encoded(calls)


def settled_by(written: bytes, open_tags: set[int]) -> set[int]:
    """Return what is open at a broker that takes these acks, each of which must settle something."""
    while written:
        used, _, ack = pamqp.frame.unmarshal(written)
        written = written[used:]
        assert isinstance(ack, commands.Basic.Ack)
        settled = {tag for tag in open_tags if tag == ack.delivery_tag or (ack.multiple and tag <= ack.delivery_tag)}
        assert ack.delivery_tag in settled
        open_tags = open_tags - settled
    return open_tags


@given(st.permutations(range(1, 13)), st.lists(st.integers(0, 4), max_size=12), st.integers(0, 12))
def test_acks_settle_exactly_what_was_acked(order: list[int], turns: list[int], kept: int) -> None:
    acked = order[: len(order) - kept]

    async def settle() -> set[int]:
        desk, inbox = Desk.open(), Inbox()
        desk.wire.attach(inbox, 1)
        desk.wire.data_received(encoded([frame for tag in range(1, 13) for frame in delivery(1, tag, b"x")]))
        left = list(acked)
        for size in [*turns, len(left)]:
            for tag in left[:size]:
                inbox.deliveries[tag - 1].ack()
                inbox.deliveries[tag - 1].ack()
            left = left[size:]
            desk.wire.flush()
        return settled_by(desk.socket.written, set(range(1, 13)))

    assert asyncio.run(settle()) == set(order) - set(acked)


async def test_a_run_of_acks_costs_one_frame() -> None:
    desk, inbox = Desk.open(), Inbox()
    desk.wire.attach(inbox, 1)
    desk.wire.data_received(encoded([frame for tag in range(1, 101) for frame in delivery(1, tag, b"x")]))
    for taken in inbox.deliveries[:-1]:
        taken.ack()
    desk.wire.flush()
    assert desk.socket.written == pamqp.frame.marshal(commands.Basic.Ack(delivery_tag=99, multiple=True), 1)


async def test_what_a_handler_raises_stays_unacked_and_disturbs_nobody() -> None:
    desk, seen = Desk.open(), list[bytes]()

    def handle(taken: RabbitDelivery) -> None:
        seen.append(taken.body)
        if taken.body == b"1":
            raise RuntimeError("no")
        taken.ack()

    desk.wire.attach(AckPort(handle), 1)
    desk.wire.data_received(encoded([*delivery(1, 1, b"1"), *delivery(1, 2, b"2")]))
    desk.wire.flush()
    assert seen == [b"1", b"2"]
    assert settled_by(desk.socket.written, {1, 2}) == {1}


async def test_a_lost_connection_tells_every_port_once_and_acks_are_harmless() -> None:
    desk, inbox, port = Desk.open(), Inbox(), Port()
    desk.wire.attach(inbox, 1)
    desk.wire.attach(port, 2)
    desk.wire.data_received(encoded(delivery(1, 1, b"x")))
    desk.wire.connection_lost(ConnectionResetError("reset"))
    desk.wire.abort("again")
    inbox.deliveries[0].ack()
    desk.wire.flush()
    assert desk.socket.written == b""
    assert inbox.lost.result() == port.lost.result() == Loss(None, "the connection broke: reset")


async def test_bytes_that_are_no_frames_end_the_connection() -> None:
    desk = Desk.open()
    desk.wire.data_received(b"\x01\0\x01\0\0\0\x01xy")
    assert desk.socket.is_aborted
    assert "not AMQP" in desk.wire.lost.result()


async def test_a_broker_of_another_protocol_is_left_to_aiormq() -> None:
    desk = Desk.open()
    desk.wire.data_received(b"AMQP\0\0\x09\x01")
    assert desk.left_to_aiormq() == b"AMQP\0\0\x09\x01"


async def test_aiormq_hears_that_the_broker_lives_although_it_gets_no_frames() -> None:
    desk, inbox = Desk.open(), Inbox()
    desk.wire.attach(inbox, 1)
    desk.wire._told_at -= 2.0
    desk.wire.data_received(encoded(delivery(1, 1, b"x")))
    desk.wire.data_received(encoded(delivery(1, 2, b"x")))
    assert desk.left_to_aiormq() == pamqp.frame.marshal(Heartbeat(), 0)
