"""RabbitMQ with users who may do no more than their service needs."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from yarl import URL

from baton.broker.contract import Answering, Hint, Outgoing
from baton.broker.rabbitmq.broker import RabbitBroker
from baton.errors import BrokerUnavailableError, ConfigError
from tests.contract.broker_contract import RUN_ID, Inbox, message
from tests.support.rabbitmq import QUORUM, admin, declare
from tests.support.servers.handles import RabbitServer
from tests.support.waiting import until


@pytest.fixture
async def agent(amqp_server: RabbitServer, amqp_url: str) -> AsyncIterator[RabbitBroker]:
    """The broker of agent `a`, which may hand off to `b` and declare nothing."""
    await declare(amqp_url, "a", "b", "c", "last")
    name, vhost = f"a-{secrets.token_hex(4)}", urlsplit(amqp_url).path[1:]
    amqp_server.api("PUT", f"users/{name}", {"password": name, "tags": ""})
    rights = {"configure": "^$", "write": r"^baton\.(work|events)$", "read": r"^baton\.agent\.a$"}
    amqp_server.api("PUT", f"permissions/{vhost}/{name}", rights)
    topics = {"exchange": "baton.work", "write": "^(a|b)$", "read": "^$"}
    amqp_server.api("PUT", f"topic-permissions/{vhost}/{name}", topics)
    async with AsyncExitStack() as stack:
        stack.callback(amqp_server.api, "DELETE", f"users/{name}")
        broker = RabbitBroker(str(URL(amqp_url).with_user(name).with_password(name)))
        stack.push_async_callback(broker.close)
        await broker.start()
        yield broker


async def test_a_service_needs_no_right_to_declare(agent: RabbitBroker, amqp_url: str) -> None:
    inbox = await Inbox(acks=True).open(agent)
    await agent.publish(message(b"1"))
    await agent.publish(message(b"2", "b"))
    await inbox.has(1)
    other = RabbitBroker(amqp_url)
    heard: list[Hint] = []
    other.listen(heard.append)
    await other.start()

    def is_heard() -> bool:
        agent.hint(Hint("r1", "ended"))
        return bool(heard)

    await until(is_heard)
    await other.close()


async def test_who_may_have_no_queue_for_hints_goes_without(
    agent: RabbitBroker, amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[Hint] = []
    agent.listen(heard.append)
    await until(lambda: "listening to hints does not work" in caplog.text)
    agent.hint(Hint("r1", "ended"))
    await until(lambda: heard == [Hint("r1", "ended")], what="a hint of its own")
    clock = asyncio.get_running_loop()
    later = clock.time() + 1.5
    await until(lambda: clock.time() > later, what="time for further tries, of which there are none")
    await agent.publish(message())
    told = [record for record in caplog.records if "hints" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.INFO]


async def test_a_forbidden_handoff_is_refused_and_the_next_one_is_not(agent: RabbitBroker) -> None:
    with pytest.raises(BrokerUnavailableError, match="ACCESS_REFUSED - .*'c'"):
        await agent.publish(message(b"1", "c"))
    inbox = await Inbox(acks=True).open(agent)
    await agent.publish(message(b"2"))
    await inbox.has(1)


async def test_forbidden_handoffs_over_and_over_hold_up_nobody_for_long(agent: RabbitBroker) -> None:
    inbox = await Inbox(acks=True).open(agent)
    for seq in range(10):
        with pytest.raises(BrokerUnavailableError):
            await agent.publish(Outgoing("c", b"", RUN_ID, seq))
        await agent.publish(Outgoing("a", b"%d" % seq, RUN_ID, 100 + seq), timeout_s=1.0)
    await inbox.has(10)


async def test_a_forbidden_answer_does_not_disturb_handoffs(agent: RabbitBroker, amqp_url: str) -> None:
    async with admin(amqp_url) as channel:
        await channel.declare_queue("replies", durable=True, arguments=QUORUM)
    answers = [agent.answer(Answering("replies", b"{}", f"m{n}"), timeout_s=1.0) for n in range(5)]
    handoffs = [agent.publish(message(seq=n)) for n in range(20)]
    seen = await asyncio.gather(*answers, *handoffs, return_exceptions=True)
    assert [type(one) for one in seen] == [BrokerUnavailableError] * 5 + [type(None)] * 20


async def test_anothers_queue_cannot_be_consumed(agent: RabbitBroker) -> None:
    with pytest.raises(ConfigError, match=r"ACCESS_REFUSED - .*baton\.agent\.b"):
        await Inbox().open(agent, "b")
    await agent.publish(message())
