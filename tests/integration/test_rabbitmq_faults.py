"""RabbitMQ behind a network that goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from baton.broker.contract import Hint, Outgoing
from baton.broker.rabbitmq import connection, frames, names, publisher
from baton.broker.rabbitmq.broker import RabbitBroker
from baton.errors import BrokerUnavailableError, ConfigError, UnroutableError
from tests.contract.broker_contract import RUN_ID, Inbox, message
from tests.support.rabbitmq import admin, declare, published
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import until

MIB = 2**20


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[TcpProxy]:
    await declare(amqp_url, "a", "b", "last")
    url = URL(amqp_url)
    async with tcp_proxy(url.host or "", url.port or 5672) as proxy:
        yield proxy


@pytest.fixture
async def broker(amqp_url: str, proxy: TcpProxy) -> AsyncIterator[RabbitBroker]:
    """A broker behind the proxy, not started."""
    broker = RabbitBroker(str(URL(amqp_url).with_port(proxy.port)), heartbeat_s=1.0, connect_timeout_s=5.0)
    yield broker
    await broker.close()


def heals(broker: RabbitBroker) -> Callable[[], bool]:
    return lambda: broker.trouble() is None


def be_impatient(broker: RabbitBroker) -> None:
    """Have it wait half a second for a connection, where none will come."""
    for link in (broker._publishing, broker._consuming):
        link._connect_timeout_s = 0.5


async def test_starting_without_a_broker_says_so_and_goes_on_trying(broker: RabbitBroker, proxy: TcpProxy) -> None:
    await proxy.refuse()
    be_impatient(broker)
    with pytest.raises(BrokerUnavailableError, match=f"not connected to amqp://.*:{proxy.port}/.*refused|Connect call"):
        await broker.start()
    assert "not connected" in (broker.trouble() or "")
    with pytest.raises(BrokerUnavailableError):
        await broker.publish(message())
    with pytest.raises(BrokerUnavailableError):
        await Inbox().open(broker)
    await proxy.listen()
    await until(heals(broker), timeout_s=10)
    await published(broker, "a", b"1", 1)


async def test_a_broker_that_does_not_answer_is_waited_for_as_long_as_asked(
    broker: RabbitBroker, proxy: TcpProxy
) -> None:
    proxy.fall_silent()
    be_impatient(broker)
    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailableError, match="no answer"):
            await broker.start()


@pytest.mark.parametrize("change", [{"user": "nobody"}, {"password": "wrong"}, {"path": "/no-such-vhost"}])
async def test_a_refused_user_or_vhost_is_a_matter_of_configuration(amqp_url: str, change: dict[str, str]) -> None:
    url = URL(amqp_url)
    for part, value in change.items():
        url = getattr(url, f"with_{part}")(value)
    broker = RabbitBroker(str(url))
    with pytest.raises(ConfigError, match="refuses this user or vhost") as caught:
        await broker.start()
    assert url.password is not None
    assert f":{url.password}@" not in str(caught.value)


async def test_consumers_and_messages_survive_connections_that_are_cut(broker: RabbitBroker, proxy: TcpProxy) -> None:
    await broker.start()
    inbox = await Inbox(acks=True).open(broker, prefetch=10)
    for turn in range(8):
        sent = [asyncio.ensure_future(published(broker, "a", b"%d" % n, n)) for n in range(turn * 25, turn * 25 + 25)]
        await until(lambda: len(inbox.deliveries) >= turn * 25 + 5, timeout_s=20)  # noqa: B023
        proxy.cut()
        await asyncio.gather(*sent)
    await until(lambda: {int(body) for body in inbox.bodies} == set(range(200)), timeout_s=20)
    await until(lambda: proxy.open_count == 2, what="two connections and no more")


async def test_what_was_delivered_before_a_loss_can_be_acked_and_comes_again(
    broker: RabbitBroker, proxy: TcpProxy
) -> None:
    await broker.start()
    inbox = await Inbox().open(broker)
    await broker.publish(message(b"1"))
    [first] = await inbox.has(1)
    proxy.cut()
    first.ack()
    await until(lambda: len(inbox.deliveries) == 2, timeout_s=10)
    first.ack()
    again = inbox.deliveries[1]
    assert (again.body, again.is_redelivered) == (b"1", True)
    again.ack()


async def test_a_short_loss_is_waited_out_by_who_publishes(
    broker: RabbitBroker, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connection, publisher):
        monkeypatch.setattr(module, "HOPE_S", 30.0)  # a busy machine is slow to connect
    await broker.start()
    for seq in range(5):
        await broker.publish(message(seq=seq))
        proxy.cut()
        await until(lambda: broker._publishing.opened is None)
        await broker.publish(message(seq=100 + seq))


async def test_a_half_open_connection_is_noticed_and_replaced(broker: RabbitBroker, proxy: TcpProxy) -> None:
    await broker.start()
    inbox = await Inbox(acks=True).open(broker)
    proxy.fall_silent()
    with pytest.raises(BrokerUnavailableError, match="in time"):
        await broker.publish(message(b"1"), timeout_s=0.3)
    await until(lambda: broker.trouble() is not None)
    assert "nothing came from the broker" in (broker.trouble() or "")
    proxy.speak_again()
    await until(heals(broker), timeout_s=10)
    await broker.publish(message(b"2", seq=2))
    await until(lambda: b"2" in inbox.bodies, timeout_s=10)


async def test_a_publish_in_flight_at_a_loss_is_told_at_once(broker: RabbitBroker, proxy: TcpProxy) -> None:
    await broker.start()
    await broker.publish(message(seq=9))
    proxy.fall_silent()
    unknown = asyncio.ensure_future(broker.publish(message(), timeout_s=60))
    again = asyncio.ensure_future(broker.publish(message(), timeout_s=0.4))
    with pytest.raises(BrokerUnavailableError, match="was not published"):
        await again
    queued = asyncio.ensure_future(broker.publish(message(), timeout_s=60))
    proxy.cut()
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailableError, match="no word"):
            await unknown
        with pytest.raises(BrokerUnavailableError, match="not connected"):
            await queued


async def test_a_socket_that_does_not_drain_holds_nobody_longer_than_asked(
    broker: RabbitBroker, proxy: TcpProxy
) -> None:
    await broker.start()
    await broker.publish(message(seq=98))
    proxy.fall_silent()
    body = b"x" * (4 * MIB)
    async with asyncio.timeout(30):
        sent = [broker.publish(Outgoing("a", body, RUN_ID, n), timeout_s=0.5) for n in range(10)]
        seen = await asyncio.gather(*sent, return_exceptions=True)
        late = await asyncio.gather(broker.publish(message(seq=99), timeout_s=0.5), return_exceptions=True)
    assert {type(one) for one in [*seen, *late]} == {BrokerUnavailableError}
    assert "was not published" in str(late[0])
    proxy.speak_again()
    await published(broker, "b", b"after", 100)


async def test_a_queue_that_is_deleted_and_made_again_has_its_consumer_back(
    broker: RabbitBroker, amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.start()
    inbox = await Inbox(acks=True).open(broker)
    other = await Inbox(acks=True).open(broker, "b")
    async with admin(amqp_url) as channel:
        await channel.queue_delete("baton.agent.a")
    await until(lambda: "consuming baton.agent.a" in caplog.text)
    with pytest.raises(UnroutableError):
        await broker.publish(message())
    await until(lambda: "no queue for 'a'" in caplog.text)
    await declare(amqp_url, "a")
    await published(broker, "a", b"back", 2)
    await until(lambda: inbox.bodies == [b"back"], timeout_s=10)
    await broker.publish(message(b"2", "b", seq=3))
    await other.has(1)


async def test_a_consumer_cancelled_while_its_queue_is_gone_stays_gone(broker: RabbitBroker, amqp_url: str) -> None:
    await broker.start()
    inbox = await Inbox().open(broker)
    async with admin(amqp_url) as channel:
        await channel.queue_delete("baton.agent.a")
        await inbox.consumer.cancel()
        await declare(amqp_url, "a")
        await broker.publish(message(b"1"))
        queue = await channel.get_queue("baton.agent.a", ensure=False)
        taken = await until(lambda: queue.get(fail=False))
        await taken.ack()
    assert inbox.deliveries == []


async def test_a_connection_that_is_closed_while_consumers_are_made_leaves_none_behind(broker: RabbitBroker) -> None:
    await broker.start()
    inboxes: list[Inbox] = []
    for _ in range(10):
        await until(heals(broker), timeout_s=10)
        opening = [asyncio.ensure_future(Inbox(acks=True).open(broker, prefetch=1)) for _ in range(3)]
        await asyncio.wait(opening, timeout=0)
        if (opened := broker._consuming.opened) is not None:
            opened.wire.send([frames.ack(999, 1, is_multiple=False)])  # no such channel: the broker hangs up
        async with asyncio.timeout(5):
            made = await asyncio.gather(*opening, return_exceptions=True)
        assert {type(one) for one in made} <= {Inbox, BrokerUnavailableError}
        inboxes += [one for one in made if isinstance(one, Inbox)]
    last = await until(lambda: opened_again(broker), timeout_s=20)
    inboxes.append(last)

    async def all_have_one() -> bool:
        await published(broker, "a", b"x", len(inboxes))
        return all(inbox.deliveries for inbox in inboxes)

    await until(all_have_one, timeout_s=20)


async def opened_again(broker: RabbitBroker) -> Inbox | None:
    """Return a consumer, once there is a connection for it."""
    try:
        return await Inbox(acks=True).open(broker, prefetch=1)
    except BrokerUnavailableError:
        return None


async def test_hints_come_back_after_a_loss(broker: RabbitBroker, proxy: TcpProxy, amqp_url: str) -> None:
    heard: list[Hint] = []
    broker.listen(heard.append)
    await broker.start()
    sender = RabbitBroker(amqp_url)
    await sender.start()
    for run_id in ("r1", "r2"):

        def arrives(run_id: str = run_id) -> bool:
            sender.hint(Hint(run_id, "ended"))
            return Hint(run_id, "ended") in heard

        await until(arrives, timeout_s=10)
        proxy.cut()
    await sender.close()


async def test_closing_while_the_broker_takes_no_bytes_ends_soon(amqp_url: str, proxy: TcpProxy) -> None:
    broker = RabbitBroker(str(URL(amqp_url).with_port(proxy.port)), heartbeat_s=60.0)
    await broker.start()
    await broker.publish(message(seq=1))
    proxy.fall_silent()
    sent = [broker.publish(Outgoing("a", b"x" * (8 * MIB), RUN_ID, n), timeout_s=0.2) for n in range(2, 6)]
    await asyncio.gather(*sent, return_exceptions=True)
    async with asyncio.timeout(5):
        await broker.close()


async def test_closing_while_there_is_no_connection_ends_at_once(broker: RabbitBroker, proxy: TcpProxy) -> None:
    await broker.start()
    await Inbox().open(broker)
    await proxy.refuse()
    await until(lambda: broker.trouble() is not None)
    async with asyncio.timeout(4):
        await broker.close()
    assert "closed" in (broker.trouble() or "")


async def ignore(taken: AbstractIncomingMessage) -> None:
    """Leave it."""


async def test_a_consumer_is_refused_where_another_has_the_queue_for_itself(
    broker: RabbitBroker, amqp_url: str
) -> None:
    await broker.start()
    async with admin(amqp_url) as channel:
        queue = await channel.declare_queue(names.agent_queue("alone"), durable=True)
        tag = await queue.consume(ignore, exclusive=True)
        with pytest.raises(BrokerUnavailableError, match="exclusive"):
            await Inbox().open(broker, "alone")
        await queue.cancel(tag)
