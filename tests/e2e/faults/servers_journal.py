"""Faults of PostgreSQL: restarted again and again, replies to commits lost, and away when services stop."""

import asyncio
import time

from tests.e2e.faults.arena import SERVICES
from tests.e2e.faults.deploys import AFTER_GRACE_S, GRACE_S
from tests.e2e.faults.load import Order, orders
from tests.e2e.faults.oracle import Verdict
from tests.e2e.faults.servers_arena import ServerArena, accepted, away, led_through, look_again, serve_again
from tests.e2e.faults.servers_proxy import WRITES, proxied

WORDS = ("", "", "slow@2:0.5", "ask@2", "retry@1")


async def restart(arena: ServerArena) -> Verdict:
    """Restart the database every few seconds, by a crash and in good order in turn, while runs come in."""
    count, per_s, rounds = arena.sized((40, 10.0, 2), (600, 5.0, 8))
    least_s, most_s = arena.sized((1.0, 2.0), (5.0, 40.0))
    sending = asyncio.ensure_future(arena.driver.send_all(orders(count, arena.chance, words=WORDS), per_s=per_s))
    for number in range(rounds):
        await asyncio.wait([sending], timeout=arena.chance.uniform(least_s, most_s))
        arena.struck()
        async with away(arena.servers.postgres, is_crash=number % 2 == 0):
            pass
    await sending
    await look_again(arena)
    verdict = await arena.judged()
    ended = [one.name for one in arena.fleet if not one.is_running]
    if ended:
        verdict.wrong.append(f"{', '.join(ended)} ended when the database was away")
    return verdict


async def lose_replies(arena: ServerArena) -> Verdict:
    """Reset connections in the moment in which the database has committed, before the client is told."""
    count, each, victims = arena.sized((40, 4, ("router", "second")), (1000, 7, SERVICES))
    async with (
        proxied(arena.site.journal_url) as (proxy, url),
        led_through(arena, *victims, BATON_JOURNAL_URL=url),
    ):
        proxy.lose_replies(each)
        await arena.driver.send_all(orders(count, arena.chance, words=WORDS), per_s=arena.sized(15.0, 10.0))
        verdict = await arena.judged()
        arena.struck(proxy.lost.total())
        proxy.lose_replies(None)
    for write in WRITES:
        verdict.notes[f"lost after {write}"] = proxy.lost[write]
        if not proxy.lost[write]:
            verdict.wrong.append(f"no reply to {write} was lost")
    return verdict


async def stop_without(arena: ServerArena) -> Verdict:
    """Stop every service while the database is away and hops run: each exits in time, and the next ones go on."""
    problems: list[str] = []
    for number in range(arena.sized(1, 5)):
        held, before = arena.sized(4, 16), len(arena.driver.sent)
        await arena.driver.send_all([Order(f"places:3 hold@2:journal-is-away-{number}") for _ in range(held)])
        await accepted(arena, before + held)
        await arena.running_at("second", held)
        async with away(arena.servers.postgres, is_crash=number % 2 == 0):
            arena.struck()
            told_at = time.monotonic()
            for one in arena.fleet:
                one.terminate()
            for one in arena.fleet:
                left_s = told_at + GRACE_S + AFTER_GRACE_S - time.monotonic()
                try:
                    code = await one.exited(timeout_s=max(0.0, left_s))
                except TimeoutError:
                    problems.append(f"{one.name} did not exit within {GRACE_S + AFTER_GRACE_S:g} s")
                    one.kill()
                    continue
                if code:
                    problems.append(f"{one.name} exited with {code}")
        await look_again(arena)
        (arena.site.folder / f"journal-is-away-{number}").touch()
        await serve_again(arena)
        await arena.driver.all_ended(timeout_s=arena.site.deadline_s)
    verdict = await arena.judged()
    verdict.wrong += problems
    return verdict
