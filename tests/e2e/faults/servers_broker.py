"""Faults of RabbitMQ: away, emptied, cancelling, alarmed, closing connections, half open, and impatient."""

import asyncio

from tests.e2e.faults.arena import PATIENCE_S, SERVICES, Arena
from tests.e2e.faults.load import Order, orders
from tests.e2e.faults.oracle import Verdict
from tests.e2e.faults.servers_arena import QUEUES, ServerArena, accepted, all_over, away, consumed, led_through
from tests.e2e.faults.servers_proxy import proxied
from tests.e2e.faults.team import RING
from tests.support.rabbitmq import admin
from tests.support.waiting import until

SLOW = ("slow@2:0.5", "slow@3:0.5", "retry@2 slow@1:0.3")
"""Words that keep runs in flight for as long as a fault needs."""
WATERMARK = "0.6"
CLOSED_EACH_S = (1.5, 3.0)
"""How often connections are closed, in seconds: short form and full."""
IMPATIENT_S, USUAL_S = 60.0, 1800.0
"""Consumer timeouts, in seconds."""
LONG_HOP_S = 240.0


async def _in_flight(arena: Arena, count: int) -> None:
    """Have so many runs accepted and under way."""
    before = len(arena.driver.sent)
    await arena.driver.send_all(orders(count, arena.chance, words=SLOW))
    await accepted(arena, before + count)


async def _judged_after_more(arena: Arena) -> Verdict:
    """Return the verdict when runs that were sent after the fault are over too, over queues that are consumed.

    Two thousand runs that stood still take the agents a while: what counts as lost is not what takes long.
    """
    await consumed(arena)
    await arena.driver.send_all(orders(5, arena.chance))
    return await arena.judged(deadline_s=arena.site.deadline_s + arena.sized(0.0, 120.0))


async def restart(arena: ServerArena) -> Verdict:
    """Restart the broker, by a crash and in good order in turn, with runs in flight."""
    count, rounds = arena.sized((40, 1), (200, 6))
    for number in range(rounds):
        await _in_flight(arena, count)
        arena.struck()
        async with away(arena.servers.rabbit, is_crash=number % 2 == 1):
            pass
        await consumed(arena)
    return await _judged_after_more(arena)


async def serve_without(arena: ServerArena) -> Verdict:
    """Start every service while the broker is away: runs that were accepted end by polling."""
    count = arena.sized(10, 100)
    await arena.driver.send_all([Order("places:2 hold@1:broker-is-away") for _ in range(count)])
    await accepted(arena, count)
    async with away(arena.servers.rabbit):
        arena.struck()
        (arena.site.folder / "broker-is-away").touch()
        for name in SERVICES:
            arena.fleet.restart(name)
        await arena.fleet.ready()
        await all_over(arena)
    return await _judged_after_more(arena)


async def empty(arena: ServerArena) -> Verdict:
    """Empty every queue of a backlog: what was in them is found in the journal."""
    count, rounds = arena.sized((60, 1), (400, 10))
    emptied = 0
    for _ in range(rounds):
        before = len(arena.driver.sent)
        await arena.driver.send_all([Order("places:3 slow@2:0.4") for _ in range(count)])
        await accepted(arena, before + count)
        await arena.running_at("second", 16)
        arena.struck()
        async with admin(arena.site.broker_url) as channel:
            for name in QUEUES:
                emptied += (await (await channel.get_queue(name, ensure=False)).purge()).message_count or 0
        await arena.driver.all_ended(timeout_s=arena.site.deadline_s + count / 10)
    verdict = await _judged_after_more(arena)
    verdict.notes["messages taken away"] = emptied
    if not emptied:
        verdict.wrong.append("the queues were empty before")
    return verdict


async def forget(arena: ServerArena) -> Verdict:
    """Let the broker forget everything, vhost and queues, with runs in flight; the operator applies the topology.

    The services stand still while the vhost and the client's reply queue are made again: a result for a queue that
    is nowhere counts as undeliverable.
    """
    vhost = arena.site.broker_url.rpartition("/")[2]
    user = arena.servers.rabbit.record.url.partition("://")[2].partition(":")[0]
    for _ in range(arena.sized(1, 3)):
        await _in_flight(arena, arena.sized(20, 200))
        for one in arena.fleet:
            one.pause()
        try:
            arena.struck()
            await asyncio.to_thread(arena.servers.rabbit.wipe)
            rights = {"configure": ".*", "write": ".*", "read": ".*"}
            await asyncio.to_thread(arena.servers.rabbit.api, "PUT", f"vhosts/{vhost}")
            await asyncio.to_thread(arena.servers.rabbit.api, "PUT", f"permissions/{vhost}/{user}", rights)
            path = f"queues/{vhost}/{arena.driver.queue}"
            await asyncio.to_thread(arena.servers.rabbit.api, "PUT", path, {"durable": True})
        finally:
            for one in arena.fleet:
                one.resume()
        await arena.site.apply_topology(RING)
        await consumed(arena)
    return await _judged_after_more(arena)


async def cancel_consumers(arena: ServerArena) -> Verdict:
    """Delete every queue below its consumers, which the broker tells, and declare it again."""
    count, rounds = arena.sized((40, 1), (200, 10))
    for _ in range(rounds):
        await _in_flight(arena, count)
        arena.struck()
        async with admin(arena.site.broker_url) as channel:
            for name in QUEUES:
                await channel.queue_delete(name)
        await arena.site.apply_topology(RING)
        await consumed(arena)
    return await _judged_after_more(arena)


async def alarm(arena: ServerArena) -> Verdict:
    """Let the broker run out of memory: it takes no message, and runs end all the same."""
    count, rounds = arena.sized((20, 1), (100, 5))
    for number in range(rounds):
        gate, before = f"alarm-{number}", len(arena.driver.sent)
        await arena.driver.send_all([Order(f"places:4 hold@1:{gate}") for _ in range(min(16, count))])
        await accepted(arena, before + min(16, count))
        await asyncio.to_thread(arena.servers.rabbit.control, "set_vm_memory_high_watermark", "0.0001")
        arena.struck()
        try:
            (arena.site.folder / gate).touch()
            await all_over(arena)
        finally:
            await asyncio.to_thread(arena.servers.rabbit.control, "set_vm_memory_high_watermark", WATERMARK)
        await _in_flight(arena, count)
    return await _judged_after_more(arena)


async def close_connections(arena: ServerArena) -> Verdict:
    """Close all connections of all clients every few seconds while runs come in."""
    count, per_s, rounds = arena.sized((40, 12.0, 2), (400, 8.0, 16))
    flow = orders(count, arena.chance, words=("", *SLOW))
    sending = asyncio.ensure_future(arena.driver.send_all(flow, per_s=per_s))
    for _ in range(rounds):
        await asyncio.wait([sending], timeout=arena.sized(*CLOSED_EACH_S))
        await asyncio.to_thread(arena.servers.rabbit.control, "close_all_connections", "fault")
        arena.struck()
    await sending
    return await _judged_after_more(arena)


async def half_open(arena: ServerArena) -> Verdict:
    """Let connections go dead without a word: of an agent; in the full form also of the router, until it notices."""
    count, rounds = arena.sized((30, 1), (100, 5))
    victims = arena.sized(("second",), ("router", "second"))
    async with proxied(arena.site.broker_url) as (proxy, url), led_through(arena, *victims, BATON_BROKER_URL=url):
        await consumed(arena)
        for number in range(1, rounds + 1):
            await _in_flight(arena, count)
            stranded = proxy.strand()
            arena.struck(stranded)
            assert stranded, "nobody was connected"
            await all_over(arena)
            if arena.is_full:
                told = "nothing came from the broker"
                for name in victims:
                    process = arena.fleet[name]
                    await until(
                        lambda: process.output.count(told) >= 2 * number,  # noqa: B023
                        timeout_s=PATIENCE_S,
                        what=f"{name} notices",
                    )
                await consumed(arena)
        return await arena.judged()


async def outwait(arena: ServerArena) -> Verdict:
    """Work four minutes on a hop where the broker takes a delivery back after one; for the full form only."""
    try:
        await _set_consumer_timeout(arena, IMPATIENT_S)
        async with led_through(arena, *RING, BATON_CONSUMER_TIMEOUT_S=f"{IMPATIENT_S:g}"):
            await arena.driver.send_all([Order(f"places:3 slow@2:{LONG_HOP_S:g}") for _ in range(10)])
            await accepted(arena, 10)
            arena.struck(10)
            await arena.driver.all_ended(timeout_s=LONG_HOP_S + PATIENCE_S)
            verdict = await arena.judged()
            told = "".join(one.output for one in arena.fleet)
    finally:
        await _set_consumer_timeout(arena, USUAL_S)
    if verdict.most_attempts > 1:
        verdict.wrong.append(f"a hop took {verdict.most_attempts} attempts")
    verdict.notes["connections lost"] = told.count("connecting again")
    return verdict


async def _set_consumer_timeout(arena: ServerArena, timeout_s: float) -> None:
    """Set it for the node, and where the broker has it for queues there, too."""
    told = f"application:set_env(rabbit, consumer_timeout, {timeout_s * 1000:.0f})."
    await asyncio.to_thread(arena.servers.rabbit.control, "eval", told)
    await arena.site.apply_topology(RING, consumer_timeout_s=timeout_s)
