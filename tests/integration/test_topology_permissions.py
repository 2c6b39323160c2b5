"""What RabbitMQ itself refuses to each service's user: real connections of the users that Baton makes."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelPreconditionFailed

from tests.support.servers.handles import RabbitServer
from tests.support.topology import Topology
from tests.support.waiting import until

HINT = f"ended.{'0' * 32}"
SMALLER = "tests.integration.topology_team:smaller"

Do = Callable[[AbstractChannel], Awaitable[object]]


class Services:
    """Channels of the services' users, each on a connection of its own."""

    def __init__(self, topology: Topology, stack: AsyncExitStack) -> None:
        self.topology = topology
        self._stack = stack

    async def channel(self, service: str) -> AbstractChannel:
        """Return a channel that raises what is returned."""
        connection = await aio_pika.connect(self.topology.as_user(service))
        await self._stack.enter_async_context(connection)
        return await connection.channel(on_return_raises=True)

    def user(self, service: str) -> str:
        return self.topology.prefix + service


@pytest.fixture
async def services(amqp_server: RabbitServer, amqp_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    topology = Topology(amqp_server, amqp_url, tmp_path, prefix=f"t{secrets.token_hex(4)}-")
    assert (await topology("apply")).code == 0
    assert (await topology.permit()).code == 0
    async with AsyncExitStack() as stack:
        yield Services(topology, stack)
    topology.forget_users()


async def publish(
    channel: AbstractChannel, exchange: str, key: str, *, user_id: str | None = None, reply_to: str | None = None
) -> None:
    message = aio_pika.Message(key.encode(), user_id=user_id, reply_to=reply_to)
    found = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await found.publish(message, key, timeout=10)


async def take(channel: AbstractChannel, name: str) -> AbstractIncomingMessage:
    """Take the one message that a queue is about to have."""
    queue = await channel.get_queue(name, ensure=False)
    return await until(lambda: queue.get(fail=False, no_ack=True), what=f"a message in {name}")


def publishing(exchange: str, key: str) -> Do:
    return lambda channel: publish(channel, exchange, key)


def consuming(name: str) -> Do:
    async def ignore(message: AbstractIncomingMessage) -> None:
        pass

    async def consume(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).consume(ignore)

    return consume


def getting(name: str) -> Do:
    async def get(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).get(fail=False)

    return get


def purging(name: str) -> Do:
    async def purge(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).purge()

    return purge


def declaring(name: str) -> Do:
    return lambda channel: channel.declare_queue(name, exclusive=True)


def deleting(name: str) -> Do:
    return lambda channel: channel.queue_delete(name)


def binding(name: str, exchange: str, key: str) -> Do:
    async def bind(channel: AbstractChannel) -> None:
        await (await channel.get_queue(name, ensure=False)).bind(exchange, key)

    return bind


async def not_refused(services: Services, service: str, attempts: dict[str, Do]) -> list[str]:
    """Return what the broker lets a service do, or refuses for another reason than its rights."""
    found = []
    for what, do in attempts.items():
        channel = await services.channel(service)
        try:
            await do(channel)
        except ChannelAccessRefused:
            continue
        except AMQPError as error:
            found.append(f"{what}: {error}")
        else:
            found.append(what)
    return found


@pytest.mark.parametrize("target", ["disputes", "clerk", "router"])
async def test_a_declared_handoff_the_fallback_and_the_router_are_reached(services: Services, target: str) -> None:
    cards, receiver = await services.channel("cards"), await services.channel(target)

    await publish(cards, "baton.work", target, user_id=services.user("cards"))
    message = await take(receiver, f"baton.agent.{target}")

    assert (message.body, message.user_id) == (target.encode(), services.user("cards"))


AGENT_MAY_NOT: dict[str, Do] = {
    "hand off where no edge leads": publishing("baton.work", "vault"),
    "hand off to itself": publishing("baton.work", "cards"),
    "go round the edges by the default exchange": publishing("", "baton.agent.vault"),
    "answer a client in the router's place": publishing("", "amq.gen-x"),
    "publish a request": publishing("baton.requests", "x"),
    "fake a dead letter": publishing("baton.dead", "cards"),
    "publish an event that is no hint": publishing("baton.events", "anything"),
    "consume another agent's queue": consuming("baton.agent.disputes"),
    "get from another agent's queue": getting("baton.agent.disputes"),
    "purge another agent's queue": purging("baton.agent.disputes"),
    "read the requests": consuming("baton.requests"),
    "read the dead letters": consuming("baton.dead"),
    "declare a queue": declaring("baton.agent.mine"),
    "declare a queue of its own name": declaring("mine"),
    "declare a queue that the broker names": declaring(""),
    "delete its queue": deleting("baton.agent.cards"),
    "bind its queue to another's messages": binding("baton.agent.cards", "baton.work", "disputes"),
}


async def test_an_agent_may_do_nothing_beside_its_work(services: Services) -> None:
    assert await not_refused(services, "cards", AGENT_MAY_NOT) == []


async def test_an_agent_consumes_its_own_queue_and_gives_hints(services: Services) -> None:
    cards = await services.channel("cards")

    await consuming("baton.agent.cards")(cards)
    await publish_unheard(cards, HINT)


async def publish_unheard(channel: AbstractChannel, key: str) -> None:
    events = await channel.get_exchange("baton.events", ensure=False)
    await events.publish(aio_pika.Message(b""), key, mandatory=False, timeout=10)


@pytest.mark.parametrize("service", ["cards", "client", "router"])
async def test_nobody_publishes_under_another_name(services: Services, service: str) -> None:
    channel = await services.channel(service)
    exchange, key = ("baton.requests", "x") if service == "client" else ("baton.work", "disputes")

    with pytest.raises(ChannelPreconditionFailed, match="user_id"):
        await publish(channel, exchange, key, user_id=services.user("disputes"))


async def test_a_client_gets_the_answer_to_its_request(services: Services) -> None:
    client, router = await services.channel("client"), await services.channel("router")
    replies = await client.declare_queue("", exclusive=True)

    await publish(client, "baton.requests", "hello", reply_to=replies.name, user_id=services.user("client"))
    request = await take(router, "baton.requests")
    assert request.reply_to
    await publish(router, "", request.reply_to, user_id=services.user("router"))
    answer = await take(client, replies.name)

    assert (request.body, answer.body) == (b"hello", replies.name.encode())


CLIENT_MAY_NOT: dict[str, Do] = {
    "publish to an agent": publishing("baton.work", "cards"),
    "publish to the router as an agent": publishing("baton.work", "router"),
    "go round by the default exchange": publishing("", "baton.agent.cards"),
    "fake a dead letter": publishing("baton.dead", "cards"),
    "give hints": publishing("baton.events", HINT),
    "read the requests of others": consuming("baton.requests"),
    "read an agent's queue": consuming("baton.agent.cards"),
    "hear hints": binding("amq.gen-x", "baton.events", "#"),
    "declare an agent's queue": declaring("baton.agent.mine"),
    "declare a queue of its own name": declaring("mine"),
    "choose a name of the broker's kind": declaring("amq.gen-mine"),
    "delete an agent's queue": deleting("baton.agent.cards"),
}


async def test_a_client_may_do_nothing_but_ask(services: Services) -> None:
    assert await not_refused(services, "client", CLIENT_MAY_NOT) == []


async def test_the_router_hears_hints_and_reaches_every_agent(services: Services) -> None:
    cards, router, vault = [await services.channel(name) for name in ("cards", "router", "vault")]
    listening = await router.declare_queue("baton.listen.1", exclusive=True, auto_delete=True)
    await listening.bind("baton.events", "#")

    await publish(cards, "baton.events", HINT)
    await publish(router, "baton.work", "vault")

    assert (await take(router, "baton.listen.1")).routing_key == HINT
    assert (await take(vault, "baton.agent.vault")).body == b"vault"
    for name in ("baton.requests", "baton.dead", "baton.agent.router"):
        await consuming(name)(router)


ROUTER_MAY_NOT: dict[str, Do] = {
    "read an agent's queue": consuming("baton.agent.cards"),
    "declare an agent's queue": declaring("baton.agent.mine"),
    "delete the requests": deleting("baton.requests"),
    "publish a request": publishing("baton.requests", "x"),
    "listen to what agents hand off": binding("baton.agent.router", "baton.work", "cards"),
}


async def test_the_router_may_do_nothing_beside_its_work(services: Services) -> None:
    assert await not_refused(services, "router", ROUTER_MAY_NOT) == []


async def test_an_edge_that_is_taken_away_is_refused_to_new_channels(services: Services) -> None:
    changed = await services.topology.permit(team=SMALLER)
    cards = await services.channel("cards")

    assert changed.out.startswith(f"~ user {services.user('cards')}: keys of baton.work")
    with pytest.raises(ChannelAccessRefused):
        await publish(cards, "baton.work", "disputes")


async def test_a_users_rights_end_at_its_vhost(services: Services) -> None:
    with services.topology.server.vhost() as other:
        url = services.topology.as_user("cards").rpartition("/")[0] + "/" + other.rpartition("/")[2]
        with pytest.raises(AMQPError):
            await aio_pika.connect(url)
