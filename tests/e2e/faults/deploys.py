"""Faults of operating: stopping, deploying another version, cancelling at the last moment, and one loud tenant."""

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote, urlsplit, urlunsplit

from tests.e2e.faults.arena import PATIENCE_S, Arena, percentile
from tests.e2e.faults.load import Driver, Order, driving, orders
from tests.e2e.faults.oracle import Verdict
from tests.support.servers import ready
from tests.support.waiting import until

GRACE_S = 2.0
"""`BATON_GRACE_S` of the fleet."""
AFTER_GRACE_S = 5.0
"""How much longer than its grace period a process may take to exit, in seconds."""
ELSEWHERE_S = 5.0
"""How soon after the exit another process must have what it gave back, in seconds."""
AT_ONCE_S = 1.5
TENANT_RUNNING = 16
"""`BATON_TENANT_RUNNING` of the router that the noisy tenant meets."""
SLACK = 16
"""Runs that may pass that bound: those accepted at one moment."""
MOST_UNDER_WAY = """
    SELECT max(under_way) FROM (
        SELECT sum(change) OVER (ORDER BY at, change) AS under_way FROM (
            SELECT e.at, 1 AS change FROM events e JOIN runs r ON r.run_id = e.run_id
            WHERE r.tenant LIKE 'loud-%' AND (e.type = 'admitted' OR e.type = 'accepted' AND NOT EXISTS (
                SELECT 1 FROM events q WHERE q.run_id = e.run_id AND q.type = 'queued'))
            UNION ALL
            SELECT ended_at, -1 FROM runs WHERE tenant LIKE 'loud-%'
        ) changes
    ) q
"""
"""How many runs of the loud tenant were under way at once at most."""


async def stop(arena: Arena) -> Verdict:
    """Stop a worker with hops shorter and longer than its grace period; then one that is told twice."""
    verdicts: list[str] = []
    count, rounds = arena.sized((3, 1), (7, 10))
    async with arena.extra("third-2"):
        for number in range(rounds):
            verdicts += await _stopped_once(arena, count)
            verdicts += await _stopped_twice(arena, f"told-twice-{number}", count)
        verdict = await arena.judged()
    verdict.wrong += verdicts
    return verdict


async def _stopped_once(arena: Arena, count: int) -> list[str]:
    """Stop `second` with short and long hops; return what was wrong."""
    problems = []
    old = arena.fleet["second"]
    short = [Order("places:3 slow@2:1") for _ in range(count)]
    long = [Order(f"places:3 slow@2:{GRACE_S + 2.5:g}") for _ in range(count)]
    await arena.driver.send_all([*long, *short])
    await arena.running_at("second", 2 * count)
    old.terminate()
    arena.struck()
    told_at = time.monotonic()
    async with arena.extra("second-2"):
        code = await old.exited(timeout_s=GRACE_S + AFTER_GRACE_S)
        if code != 0:
            problems.append(f"it exited with {code}")
        took_s = time.monotonic() - told_at
        if took_s < GRACE_S:
            problems.append(f"it left after {took_s:.1f} s with hops that it had {GRACE_S:g} s for")
        elsewhere = "SELECT count(*) FROM hops WHERE agent = 'second' AND status = 'running' AND owner LIKE $1"
        pid = arena.fleet["second-2"].pid
        try:
            await arena.holds(f"SELECT ({elsewhere}) >= $2", f"%:{pid}", count, timeout_s=ELSEWHERE_S)
        except TimeoutError:
            problems.append(f"after {ELSEWHERE_S:g} s nobody else had what it gave back")
        own = "SELECT count(*) FROM hops WHERE agent = 'second' AND status = 'done' AND owner LIKE $1"
        if await arena.ask(own, f"%:{old.pid}") < count:
            problems.append("it did not finish its short hops")
        await arena.driver.all_ended(timeout_s=PATIENCE_S)
        arena.fleet.start("second")
        await arena.fleet.ready("second")
    return problems


async def _stopped_twice(arena: Arena, gate: str, count: int) -> list[str]:
    """Tell `third` twice; return what was wrong."""
    problems = []
    old = arena.fleet["third"]
    await arena.driver.send_all([Order(f"places:3 hold@3:{gate}") for _ in range(2 * count)])
    await arena.running_at("third", 2 * count)
    old.terminate()
    await until(lambda: "stopping" in old.output, timeout_s=PATIENCE_S)
    old.terminate()
    arena.struck()
    code = await old.exited(timeout_s=AT_ONCE_S)
    if code != 128 + signal.SIGTERM:
        problems.append(f"told twice, it exited with {code}")
    (arena.site.folder / gate).touch()
    arena.fleet.start("third")
    await arena.fleet.ready("third")
    await arena.driver.all_ended(timeout_s=arena.site.deadline_s)
    return problems


async def roll(arena: Arena) -> Verdict:
    """Deploy version 2 of the agents one after the other, and version 1 again, with runs in flight."""
    count, per_s, agents = arena.sized((40, 8.0, ("second",)), (100, 4.0, ("first", "second", "third")))
    flow = orders(count, arena.chance, words=("", "slow@2:0.5", "slow@1:0.3", "slow@3:1", "ask@2"))
    sending = asyncio.ensure_future(arena.driver.send_all(flow, per_s=per_s))
    for new, old, version in ((f"{name}-2", name, "2") for name in agents):
        await _replaced(arena, new, old, version)
    # On a slow machine all that was sent may be over by now: version 2 gets work that version 1 then goes on with.
    await arena.driver.send_all(orders(count // 5, arena.chance, words=("slow@2:0.5",)))
    await arena.holds("SELECT count(*) > 0 FROM ledger_calls WHERE key = 'audit'")
    for new, old, version in ((name, f"{name}-2", "1") for name in agents):
        await _replaced(arena, new, old, version)
    await sending
    verdict = await arena.judged()
    audited = await arena.ask("SELECT count(*) FROM ledger_calls WHERE key = 'audit'")
    verdict.notes["hops of version 2"] = audited
    if verdict.most_attempts > 2:
        verdict.wrong.append(f"a hop took {verdict.most_attempts} attempts")
    return verdict


async def _replaced(arena: Arena, new: str, old: str, version: str) -> None:
    arena.fleet.start(new, FAULTS_VERSION=version)
    await arena.fleet.ready(new)
    leaving = arena.fleet[old]
    leaving.terminate()
    arena.struck()
    code = await leaving.exited(timeout_s=GRACE_S + AFTER_GRACE_S)
    assert code == 0, f"{leaving}:\n{leaving.output}"


async def cancel(arena: Arena) -> Verdict:
    """Cancel runs in the moment in which they end."""
    batch, batches = arena.sized((20, 5), (50, 20))
    ends = frozenset({"completed", "cancelled"})
    for number in range(batches):
        gate = f"race-{number}"
        racing = [Order(f"places:2 hold@2:{gate}", ends=ends) for _ in range(batch)]
        await arena.driver.send_all(racing)
        await arena.running_at("second", min(batch, 16))
        run_ids = await _run_ids(arena, racing)
        arena.chance.shuffle(run_ids)
        opened_after = arena.chance.randrange(batch)
        for position, run_id in enumerate(run_ids):
            if position == opened_after:
                (arena.site.folder / gate).touch()
            await arena.driver.cancel(run_id)
        arena.struck(batch)
        await arena.driver.all_ended(timeout_s=arena.site.deadline_s)
    verdict = await arena.judged()
    if not (verdict.statuses["completed"] and verdict.statuses["cancelled"]):
        verdict.wrong.append(f"there was no race: {dict(verdict.statuses)}")
    return verdict


async def _run_ids(arena: Arena, racing: Sequence[Order]) -> list[str]:
    keys = [order.key for order in racing]
    found = await arena.journal.fetch("SELECT run_id FROM accepted WHERE key = ANY($1) AND took = 'run'", keys)
    return [row["run_id"] for row in found]


async def noisy_tenant(arena: Arena) -> Verdict:
    """Let one tenant ask for very much at once, and measure what another waits for its own.

    While the loud one's requests come in, the quiet one's stand in the same queue; once they are accepted, the loud
    one has `TENANT_RUNNING` runs under way and the others wait.
    """
    loud_count, quiet_count = arena.sized((300, 5), (10_000, 10))
    per_s = arena.sized(20.0, 4.0)
    async with _bounded(arena), _tenant(arena, "quiet") as quiet, _tenant(arena, "loud") as loud:
        alone = await _waits_s(quiet, quiet_count, per_s)
        arena.struck()
        noise = loud.send_all([Order("places:3") for _ in range(loud_count)])
        coming_in, _ = await asyncio.gather(_waits_s(quiet, quiet_count, per_s), noise)
        by_loud = "FROM runs WHERE tenant LIKE 'loud-%'"
        await arena.holds(f"SELECT count(*) = $1 {by_loud}", loud_count, timeout_s=PATIENCE_S + loud_count / 50)
        beside = await _waits_s(quiet, quiet_count, per_s)
        waiting = await arena.ask(f"SELECT count(*) {by_loud} AND status = 'queued'")
        verdict = await arena.judged(quiet, loud, deadline_s=arena.site.deadline_s + loud_count / 20)
    most = await arena.ask(MOST_UNDER_WAY)
    if most > TENANT_RUNNING + SLACK:
        verdict.wrong.append(f"{most} runs of a tenant were under way at once, of {TENANT_RUNNING} that may be")
    if not waiting:
        verdict.wrong.append("the loud tenant's runs had all begun before the quiet one's ended")
    verdict.notes["quiet p95 alone, s"] = round(percentile(alone, 0.95), 2)
    verdict.notes["quiet p95 while the loud one's come in, s"] = round(percentile(coming_in, 0.95), 2)
    verdict.notes["quiet p95 beside the loud one's backlog, s"] = round(percentile(beside, 0.95), 2)
    verdict.notes["loud runs still waiting then"] = waiting
    return verdict


@contextlib.asynccontextmanager
async def _bounded(arena: Arena) -> AsyncIterator[None]:
    """Have a router that bounds what a tenant has under way, for as long as the block runs."""
    fleet = arena.fleet
    fleet.drop("router")
    fleet.start("router", BATON_TENANT_RUNNING=str(TENANT_RUNNING))
    await fleet.ready("router")
    try:
        yield
    finally:
        fleet.drop("router")
        fleet.start("router")
        await fleet.ready("router")


async def _waits_s(driver: Driver, count: int, per_s: float) -> list[float]:
    """Send orders one after the other and return how long each took, in seconds."""
    wanted = [Order("places:3") for _ in range(count)]
    await driver.send_all(wanted, per_s=per_s)
    await driver.all_ended(timeout_s=PATIENCE_S * 10)
    return [driver.ended[order.key].at - driver.sent_at[order.key] for order in wanted if order.key in driver.ended]


@contextlib.asynccontextmanager
async def _tenant(arena: Arena, name: str) -> AsyncIterator[Driver]:
    """Give a driver with a user, and so a tenant, of its own."""
    site, user, password = arena.site, f"{name}-{secrets.token_hex(4)}", secrets.token_hex(8)
    parts = urlsplit(site.broker_url)
    ready.call_api(site.management_url, "PUT", f"users/{user}", {"password": password, "tags": ""})
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    ready.call_api(site.management_url, "PUT", f"permissions/{quote(parts.path[1:], safe='')}/{user}", rights)
    place = f"{user}:{password}@{parts.hostname}:{parts.port}"
    try:
        async with driving(urlunsplit(parts._replace(netloc=place)), user_id=user) as driver:
            yield driver
    finally:
        ready.call_api(site.management_url, "DELETE", f"users/{user}")
