"""A team served over AMQP, and a program that knows nothing but AMQP and JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue, DeliveryMode

from baton import Answer, Ask, Settings, Team, Turn
from baton.broker.rabbitmq import names
from baton.journal.contract import Journal
from baton.journal.views import DeadFilter, DeadView, RunFilter, RunView
from baton.service import Service, serving
from tests.support.rabbitmq import declare
from tests.support.servers.handles import RabbitServer
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


def settings(amqp_url: str, journal: Path | str, **changes: Any) -> Settings:
    """Return settings for a router that looks often."""
    url = journal if isinstance(journal, str) else f"sqlite:///{journal / 'journal.db'}"
    return Settings(**{"broker_url": amqp_url, "journal_url": url, "poll_s": 0.1, "grace_s": 0, **changes})


def echoing() -> Team:
    """Return a team of one agent, which does what the first word says."""

    def take(turn: Turn) -> Answer | Ask:
        if turn.text.startswith("ask") and not turn.reply:
            return Ask("which one?", options=["red", "blue"])
        return Answer(f"said {turn.reply or turn.text}", data={"facts": turn.facts, "tenant": turn.tenant})

    return a_team(agents=[an_agent("a", take), an_agent("b", take)])


@asynccontextmanager
async def served(
    amqp_url: str, journal: Path | str, team: Team | None = None, **changes: Any
) -> AsyncIterator[Service]:
    """Serve a team over AMQP."""
    served_team = team or echoing()
    await declare(amqp_url, "router", *served_team.whole().agents)
    async with serving(served_team, settings(amqp_url, journal, **changes)) as service:
        yield service


@dataclass(frozen=True)
class Came:
    """An answer, as it came."""

    body: dict[str, Any]
    message_id: str | None
    correlation_id: str | None
    headers: dict[str, Any] = field(default_factory=dict)


class Program:
    """Publishes bodies and reads what comes on its queue.

    Its messages always have an id: aiormq makes one for those that have none. See `publish_without_key`.
    """

    def __init__(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self._channel = channel
        self.queue = queue
        self.came: list[Came] = []

    async def publish(self, body: Any, **properties: Any) -> None:
        """Publish a body: bytes as they are, all else as JSON; `reply_to=None` leaves that out."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"reply_to": self.queue.name, "delivery_mode": DeliveryMode.PERSISTENT, **properties}
        exchange = await self._channel.get_exchange(names.REQUESTS, ensure=False)
        await exchange.publish(aio_pika.Message(raw, **given), "any.key")

    async def answers(self, count: int = 1, *, timeout_s: float = 10.0) -> list[Came]:
        """Return the first answers, once there are so many."""
        await until(lambda: len(self.came) >= count, timeout_s=timeout_s, what=f"{count} answers; so far {self.came}")
        return list(self.came)

    async def _keep(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        headers = dict(message.headers)
        self.came.append(Came(json.loads(message.body), message.message_id, message.correlation_id, headers))


@asynccontextmanager
async def program(amqp_url: str) -> AsyncIterator[Program]:
    """Give a program with a queue of its own."""
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue("", exclusive=True)
        one = Program(channel, queue)
        await queue.consume(one._keep, no_ack=True)
        yield one


async def runs(journal: Journal) -> list[RunView]:
    """Return all runs."""
    return await journal.runs(RunFilter(limit=1000))


async def dead(journal: Journal) -> list[DeadView]:
    """Return all that is dead."""
    return await journal.dead(DeadFilter(limit=1000))


async def publish_without_key(server: RabbitServer, amqp_url: str, body: dict[str, Any], **properties: Any) -> None:
    """Publish a message without a message id, over the management API."""
    vhost = urlsplit(amqp_url).path[1:]
    wanted = {
        "properties": properties,
        "routing_key": "any.key",
        "payload": json.dumps(body),
        "payload_encoding": "string",
    }
    path = f"exchanges/{vhost}/{names.REQUESTS}/publish"
    assert await asyncio.to_thread(server.api, "POST", path, wanted) == {"routed": True}
