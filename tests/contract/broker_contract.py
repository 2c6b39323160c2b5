"""What every broker has to do, whatever it is made of: one suite for all implementations.

An implementation's test module has a fixture `harness` (see `BrokerHarness`) and a class that inherits
`BrokerContract`. Nothing here needs a broker that loses nothing: the journal is the truth.
"""

import asyncio
from typing import Protocol

import pytest

from baton import ids
from baton.broker.contract import Broker, Consumer, Delivery, Hint, Outgoing
from baton.errors import BrokerUnavailableError, UnroutableError
from tests.support.waiting import until


class BrokerHarness(Protocol):
    """What a test needs of an implementation beside the contract."""

    broker: Broker
    """Started."""

    async def declare(self, *agents: str) -> None:
        """Make the queues of these agents."""
        ...


RUN_ID = "0" * 32


class Inbox:
    """Keeps what one consumer was delivered."""

    def __init__(self, *, acks: bool = False) -> None:
        self.deliveries: list[Delivery] = []
        self._acks = acks
        self.consumer: Consumer

    async def open(self, broker: Broker, agent: str = "a", *, prefetch: int = 100) -> "Inbox":
        self.consumer = await broker.consume(agent, self._take, prefetch=prefetch)
        return self

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]

    async def has(self, count: int) -> list[Delivery]:
        await until(lambda: len(self.deliveries) >= count, what=f"{count} deliveries")
        assert len(self.deliveries) == count
        return self.deliveries

    def _take(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._acks:
            delivery.ack()


def message(body: bytes = b"{}", agent: str = "a", *, seq: int = 1, **headers: str) -> Outgoing:
    return Outgoing(agent, body, RUN_ID, seq, headers)


async def settled(broker: Broker) -> None:
    """Wait until everything published before has been delivered, as far as it can be."""
    last = await Inbox(acks=True).open(broker, "last")
    await broker.publish(message(b"last", "last"))
    await last.has(1)
    await last.consumer.cancel()


@pytest.fixture
async def broker(harness: BrokerHarness) -> Broker:
    await harness.declare("a", "b", "last")
    return harness.broker


class BrokerContract:
    async def test_a_message_is_delivered_with_its_body_id_and_headers(self, broker: Broker) -> None:
        body = bytes(range(256))
        await broker.publish(message(body, seq=7, **{"baton-seq": "3", "traceparent": "00-é-1"}))
        [delivery] = await (await Inbox().open(broker)).has(1)
        assert (delivery.body, delivery.message_id, delivery.is_redelivered) == (body, ids.message_id(RUN_ID, 7), False)
        assert delivery.headers == {"baton-seq": "3", "traceparent": "00-é-1"}

    async def test_a_message_may_have_two_mebibytes(self, broker: Broker) -> None:
        body = b"x" * (2 * 1024 * 1024)
        await broker.publish(message(body))
        [delivery] = await (await Inbox().open(broker)).has(1)
        assert delivery.body == body

    async def test_a_message_may_be_empty(self, broker: Broker) -> None:
        await broker.publish(message(b""))
        await broker.publish(message(b"next"))
        assert [one.body for one in await (await Inbox(acks=True).open(broker)).has(2)] == [b"", b"next"]

    async def test_messages_arrive_in_the_order_in_which_they_were_published(self, broker: Broker) -> None:
        expected = [str(n).encode() for n in range(200)]
        for body in expected[:100]:
            await broker.publish(message(body))
        inbox = await Inbox(acks=True).open(broker, prefetch=7)
        for body in expected[100:]:
            await broker.publish(message(body))
        await inbox.has(200)
        assert inbox.bodies == expected

    async def test_a_message_goes_to_the_queue_of_its_agent_only(self, broker: Broker) -> None:
        one, other = await Inbox().open(broker, "a"), await Inbox().open(broker, "b")
        await broker.publish(message(b"for b", "b"))
        await other.has(1)
        await settled(broker)
        assert (one.bodies, other.bodies) == ([], [b"for b"])

    async def test_a_message_waits_for_its_consumer(self, broker: Broker) -> None:
        await broker.publish(message(b"early"))
        await settled(broker)
        assert (await (await Inbox().open(broker)).has(1))[0].body == b"early"

    async def test_an_acked_message_does_not_come_again(self, broker: Broker) -> None:
        await broker.publish(message())
        inbox = await Inbox(acks=True).open(broker)
        await inbox.has(1)
        await inbox.consumer.cancel()
        again = await Inbox().open(broker)
        await settled(broker)
        assert again.deliveries == []

    async def test_what_was_not_acked_comes_again_first_and_says_so(self, broker: Broker) -> None:
        for body in (b"1", b"2", b"3", b"4"):
            await broker.publish(message(body))
        inbox = await Inbox().open(broker, prefetch=3)
        (await inbox.has(3))[1].ack()
        await inbox.has(4)
        await inbox.consumer.cancel()
        await broker.publish(message(b"5"))
        again = await Inbox().open(broker)
        await again.has(4)
        assert again.bodies == [b"1", b"3", b"4", b"5"]
        assert [delivery.is_redelivered for delivery in again.deliveries] == [True, True, True, False]

    async def test_a_consumer_has_at_most_its_prefetch_of_messages_not_acked(self, broker: Broker) -> None:
        for n in range(5):
            await broker.publish(message(str(n).encode()))
        inbox = await Inbox().open(broker, prefetch=2)
        await inbox.has(2)
        await settled(broker)
        assert inbox.bodies == [b"0", b"1"]
        inbox.deliveries[1].ack()
        await inbox.has(3)
        await settled(broker)
        assert inbox.bodies == [b"0", b"1", b"2"]

    async def test_acking_twice_frees_one_place(self, broker: Broker) -> None:
        for n in range(5):
            await broker.publish(message(str(n).encode()))
        inbox = await Inbox().open(broker, prefetch=1)
        [first] = await inbox.has(1)
        first.ack()
        first.ack()
        await inbox.has(2)
        first.ack()
        await settled(broker)
        assert inbox.bodies == [b"0", b"1"]

    async def test_acking_after_the_consumer_is_gone_is_harmless(self, broker: Broker) -> None:
        await broker.publish(message(b"1"))
        inbox = await Inbox().open(broker)
        [delivery] = await inbox.has(1)
        await inbox.consumer.cancel()
        delivery.ack()
        [again] = await (await Inbox().open(broker)).has(1)
        assert again.is_redelivered

    async def test_two_consumers_share_the_messages(self, broker: Broker) -> None:
        one, other = [await Inbox(acks=True).open(broker, prefetch=1) for _ in range(2)]
        for n in range(40):
            await broker.publish(message(str(n).encode()))
        await until(lambda: len(one.deliveries) + len(other.deliveries) == 40)
        assert sorted(one.bodies + other.bodies) == sorted(str(n).encode() for n in range(40))
        assert one.bodies
        assert other.bodies

    async def test_a_cancelled_consumers_messages_go_to_the_others(self, broker: Broker) -> None:
        gone, left = await Inbox().open(broker, prefetch=5), Inbox()
        for n in range(5):
            await broker.publish(message(str(n).encode()))
        await gone.has(5)
        await left.open(broker)
        await gone.consumer.cancel()
        await left.has(5)
        assert left.bodies == gone.bodies

    async def test_cancelling_twice_and_while_nothing_was_delivered_is_harmless(self, broker: Broker) -> None:
        inbox = await Inbox().open(broker)
        await broker.publish(message(b"1"))
        await inbox.consumer.cancel()
        await inbox.consumer.cancel()
        taken = inbox.bodies
        [again] = await (await Inbox().open(broker)).has(1)
        assert (again.body, inbox.bodies) == (b"1", taken)

    async def test_the_same_id_published_twice_is_two_deliveries(self, broker: Broker) -> None:
        inbox = await Inbox().open(broker)
        await asyncio.gather(*(broker.publish(message(body, message_id="m1")) for body in (b"1", b"2")))
        await inbox.has(2)
        assert sorted(inbox.bodies) == [b"1", b"2"]

    async def test_a_message_for_nobody_is_refused_and_its_neighbours_are_not(self, broker: Broker) -> None:
        sent = [broker.publish(message(agent=agent)) for agent in ("a", "nobody", "b")]
        seen = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(one) for one in seen] == [type(None), UnroutableError, type(None)]
        with pytest.raises(UnroutableError, match="'nobody'") as caught:
            await broker.publish(message(agent="nobody"))
        assert caught.value.target == "nobody"

    async def test_consuming_from_a_queue_that_is_not_there_is_refused(self, broker: Broker) -> None:
        with pytest.raises(UnroutableError, match="'nobody'"):
            await Inbox().open(broker, "nobody")

    async def test_there_is_no_trouble_until_it_is_closed(self, broker: Broker) -> None:
        await broker.publish(message())
        assert broker.trouble() is None
        await broker.close()
        assert "closed" in (broker.trouble() or "")
        await broker.start()
        assert broker.trouble() is None

    async def test_a_closed_broker_takes_nothing(self, broker: Broker) -> None:
        inbox = await Inbox().open(broker)
        await broker.close()
        with pytest.raises(BrokerUnavailableError):
            await broker.publish(message())
        with pytest.raises(BrokerUnavailableError):
            await Inbox().open(broker)
        assert inbox.deliveries == []
        await broker.close()

    async def test_closing_delivers_nothing_more_and_loses_nothing(self, broker: Broker) -> None:
        inbox = await Inbox().open(broker)
        await broker.publish(message(b"1"))
        await inbox.has(1)
        await broker.close()
        inbox.deliveries[0].ack()
        await broker.start()
        await broker.publish(message(b"2"))
        again = await Inbox().open(broker)
        await again.has(2)
        assert again.bodies == [b"1", b"2"]

    async def test_a_handler_that_publishes_and_acks_at_once_works(self, broker: Broker) -> None:
        seen: list[bytes] = []
        tasks: set[asyncio.Task[None]] = set()

        def relay(delivery: Delivery) -> None:
            seen.append(delivery.body)
            delivery.ack()
            if len(seen) < 10:
                tasks.add(asyncio.ensure_future(broker.publish(message(delivery.body + b"."))))

        await broker.consume("a", relay, prefetch=1)
        await broker.publish(message(b"x"))
        await until(lambda: len(seen) == 10)
        assert seen[-1] == b"x" + b"." * 9

    async def test_hints_reach_who_listens_until_they_stop(self, broker: Broker) -> None:
        one: list[Hint] = []
        other: list[Hint] = []
        stop = broker.listen(one.append)
        broker.listen(other.append)
        broker.hint(Hint("r1", "ended"))
        await until(lambda: len(one) == len(other) == 1)
        stop()
        stop()
        broker.hint(Hint("r2", "waiting"))
        await until(lambda: len(other) == 2)
        assert one == [Hint("r1", "ended")]
        assert other[1] == Hint("r2", "waiting")
