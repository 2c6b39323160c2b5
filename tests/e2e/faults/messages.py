"""Faults of messages: copied and out of order, unreadable, for nobody, and a hop that kills whoever takes it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from tests.e2e.faults.arena import PATIENCE_S, Arena
from tests.e2e.faults.load import REQUESTS, Order, orders
from tests.e2e.faults.oracle import Verdict
from tests.support.rabbitmq import admin
from tests.support.waiting import until

WORK = "baton.work"
COPY = "faults-copy"
"""The header that tells a copy from what is to be copied."""
COPIES = 2
SHUFFLED = 8
"""So many messages are held back and published in another order."""
HELD_S = 0.3
"""How long a message is held back at most, in seconds."""
HUGE_BYTES = 5_000_000


class Shovel:
    """Publishes every message of the exchanges twice more, late and out of order."""

    def __init__(self, channel: AbstractChannel, arena: Arena) -> None:
        self.seen = 0
        self.copied = 0
        self._channel = channel
        self._chance = arena.chance
        self._held: list[AbstractIncomingMessage] = []

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Keep a message for the next batch."""
        if COPY not in message.headers:
            self.seen += 1
            self._held += [message] * COPIES

    async def run(self) -> None:
        """Publish batches, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_S):
                    await self._has_enough()
            batch, self._held = self._held, []
            self._chance.shuffle(batch)
            await asyncio.gather(*map(self._publish, batch))

    async def _has_enough(self) -> None:
        await until(lambda: len(self._held) >= SHUFFLED, timeout_s=PATIENCE_S)

    async def _publish(self, message: AbstractIncomingMessage) -> None:
        exchange = await self._channel.get_exchange(str(message.exchange), ensure=False)
        copy = aio_pika.Message(
            message.body,
            headers={**message.headers, COPY: 1},
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            type=message.type,
            app_id=message.app_id,
            user_id=message.user_id,
            content_type=message.content_type,
            delivery_mode=message.delivery_mode,
        )
        await exchange.publish(copy, str(message.routing_key))
        self.copied += 1


@contextlib.asynccontextmanager
async def shovelling(arena: Arena) -> AsyncIterator[Shovel]:
    """Copy all that goes through the exchanges for as long as the block runs."""
    async with admin(arena.site.broker_url) as channel:
        tap = await channel.declare_queue(exclusive=True)
        for exchange in (REQUESTS, WORK):
            await tap.bind(exchange, "#")
        shovel = Shovel(channel, arena)
        await tap.consume(shovel.take, no_ack=True)
        running = asyncio.create_task(shovel.run())
        try:
            yield shovel
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def triple(arena: Arena) -> Verdict:
    """Publish two more copies of every request, reply and hop, late and out of order."""
    count = arena.sized(40, 500)
    async with shovelling(arena) as shovel:
        await arena.driver.send_all(orders(count, arena.chance, words=("", "", "retry@2", "ask@2")))
        await arena.driver.all_ended(timeout_s=arena.site.deadline_s + count / 5)
        await until(lambda: shovel.copied == COPIES * shovel.seen, timeout_s=PATIENCE_S, what="all is copied")
    assert shovel.seen >= count * 5, f"{shovel.seen} messages of {count} runs"
    arena.struck(shovel.copied)
    verdict = await arena.judged()
    verdict.notes["copies published"] = shovel.copied
    return verdict


def _bad_requests(count: int) -> Sequence[bytes]:
    kinds = (
        b'{"text": "cut off',
        b'{"text": "places:3", "priority": 9}',
        b'["places:3"]',
        b"\xff\xfe\x00",
        json.dumps({"text": "x" * HUGE_BYTES}).encode(),
        b'{"reply": {"run_id": "none", "text": "yes"}}',
    )
    return kinds * count


def _bad_hops(count: int) -> Sequence[aio_pika.Message]:
    found = []
    for number in range(count):
        unknown = {"baton-schema": "1", "baton-run": f"{number:032x}", "baton-seq": "1"}
        strange = {"baton-schema": "1", "baton-run": 7, "baton-seq": "x"}
        found += [
            aio_pika.Message(b"{"),
            aio_pika.Message(b"{}", headers=unknown),
            aio_pika.Message(b"\x00" * HUGE_BYTES, headers=strange),
        ]
    return found


async def poison(arena: Arena) -> Verdict:
    """Send what cannot be read, and runs that kill whoever works on them, among good ones."""
    count, killers = arena.sized((20, 1), (200, 3))
    bad_requests, bad_hops = _bad_requests(arena.sized(1, 20)), _bad_hops(arena.sized(1, 20))
    async with arena.fleet.kept_alive() as deaths, admin(arena.site.broker_url) as channel:
        work = await channel.get_exchange(WORK, ensure=False)
        await arena.driver.send_all([Order("places:3 die@3", ends=frozenset({"failed"})) for _ in range(killers)])
        for body in bad_requests:
            await arena.driver.publish_raw(body)
        for message in bad_hops:
            await work.publish(message, "second")
        arena.struck(len(bad_requests) + len(bad_hops))
        await arena.driver.send_all(orders(count, arena.chance))
        verdict = await arena.judged(deadline_s=arena.site.deadline_s * (1 + killers))
        for source, count in (("baton.requests", len(bad_requests)), ("second", len(bad_hops))):
            kept = await arena.ask("SELECT count(*) FROM quarantine WHERE source = $1", source)
            if kept != count:
                verdict.wrong.append(f"of {count} messages of {source} that cannot be read, {kept} are in quarantine")
        await arena.fleet.ready()
    rejected = sum(one.status == "rejected" for one in arena.driver.received)
    if rejected != len(bad_requests):
        verdict.wrong.append(f"{len(bad_requests)} bad requests, and {rejected} rejections")
    codes = await arena.ask("SELECT count(*) FROM runs WHERE convert_from(error, 'UTF8') LIKE '%\"max_attempts\"%'")
    if codes != killers:
        verdict.wrong.append(f"{killers} runs killed whoever took them, and {codes} ended for that")
    verdict.notes["deaths"] = len(deaths)
    return verdict


async def undeployed(arena: Arena) -> Verdict:
    """Hand off to an agent that is nowhere, and to one that has no queue yet."""
    count = arena.sized(3, 20)
    async with arena.extra("late"):
        nowhere = [Order("places:3 to@1:absent", ends=frozenset({"failed"})) for _ in range(count)]
        await arena.driver.send_all(nowhere)
        await arena.driver.send_all([Order("places:2 to@1:late") for _ in range(count)])
        arena.struck(2 * count)
        verdict = await arena.judged()
    if "late lives by polling" not in "".join(one.output for one in arena.fleet.past):
        verdict.wrong.append("the agent without a queue had one")
    for order in nowhere:
        error = arena.driver.ended[order.key].body["error"] if order.key in arena.driver.ended else None
        if not error or "absent" not in error["message"]:
            verdict.wrong.append(f"the failure of {order.key} does not name who is absent: {error}")
    return verdict
