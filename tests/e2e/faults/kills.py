"""Faults of processes: killed at every point, killed at any moment, and held past their lease."""

import asyncio
from collections.abc import Sequence

from tests.e2e.faults.arena import PATIENCE_S, Arena
from tests.e2e.faults.load import Order, orders
from tests.e2e.faults.oracle import Verdict
from tests.support.waiting import until

ACCEPTING = ("accept.before_commit", "accept.after_commit")
REPLYING = ("reply.before_commit", "reply.after_commit")
STEPS = ("step.intended", "step.done", "step.recorded")
TAKING = ("hop.delivered", "hop.claimed")
FINISHING = ("turn.returned", "finish.before_commit", "finish.after_commit", "hop.published", "hop.acked")
ROUTER_POINTS = (*ACCEPTING, *TAKING, *FINISHING, *REPLYING)
"""What a router passes."""
AGENT_POINTS = (*TAKING, *STEPS, *FINISHING)
"""What an agent passes."""
SHORT_ROUTER_POINTS = (*ACCEPTING, *REPLYING, "hop.delivered", "finish.after_commit", "hop.acked")
SHORT_AGENT_POINTS = tuple(point for point in AGENT_POINTS if point not in SHORT_ROUTER_POINTS[4:])
"""Together with the router's, every point once."""
STEADY_PER_S = 8.0
IN_FLIGHT = 40
"""So many runs at most are under way while points are passed."""
_UNDER_WAY = "SELECT count(*) FROM runs WHERE status IN ('queued', 'running')"


async def kill_at_points(arena: Arena) -> Verdict:
    """Kill a replica of the router and one of an agent at every fail point, while others of theirs go on."""
    router_points, agent_points = arena.sized(
        (SHORT_ROUTER_POINTS, SHORT_AGENT_POINTS), (ROUTER_POINTS * 20, AGENT_POINTS * 20)
    )

    async def suffer(name: str, points: Sequence[str]) -> None:
        for point in points:
            victim = arena.fleet.start(name, BATON_FAIL_AT=f"{point}:{arena.chance.randint(1, 3)}")
            told = f"{name} passes {point}"
            await until(lambda: not victim.is_running, timeout_s=PATIENCE_S, what=told)  # noqa: B023
            arena.struck()
            assert victim.was_killed, f"{victim}:\n{victim.output}"
        arena.fleet.drop(name)

    both = asyncio.gather(suffer("router-2", router_points), suffer("second-2", agent_points))
    while not both.done():
        if await arena.ask(_UNDER_WAY) < IN_FLIGHT:
            words = arena.chance.choice(("", "ask@2", "retry@2", "unsafe@2", "unsafe@2"))
            parks = frozenset({"review"} if words.startswith("unsafe") else ())
            await arena.driver.send(Order(f"places:3 {words}".strip(), parks=parks))
        await asyncio.wait([both], timeout=1 / STEADY_PER_S)
    await both
    return await arena.judged()


async def kill_at_random(arena: Arena) -> Verdict:
    """Kill any service at any moment, again and again, while an orchestrator starts them again."""
    count, per_s = arena.sized((60, 8.0), (1000, 6.0))
    least_s, most_s = arena.sized((0.7, 1.5), (2.0, 5.0))
    words = ("", "", "slow@2:0.3", "slow@3:0.5", "ask@2", "retry@1")
    async with arena.fleet.kept_alive():
        sending = asyncio.ensure_future(arena.driver.send_all(orders(count, arena.chance, words=words), per_s=per_s))
        while not sending.done():
            await asyncio.wait([sending], timeout=arena.chance.uniform(least_s, most_s))
            victim = arena.chance.choice(list(arena.fleet))
            if victim.is_running:
                victim.kill()
                arena.struck()
        await sending
        await until(lambda: all(one.is_running for one in arena.fleet), timeout_s=PATIENCE_S)
        await arena.fleet.ready()
        return await arena.judged()


async def freeze(arena: Arena) -> Verdict:
    """Hold a worker past its lease, let others have its hops, and let it go on: it is fenced."""
    rounds, count = arena.sized((1, 12), (10, 24))
    async with arena.extra("second-2"):
        zombie, fenced = arena.fleet["second"], 0
        for number in range(1, rounds + 1):
            gate = f"frozen-{number}"
            held = [Order(f"places:3 hold@2:{gate}") for _ in range(count)]
            await arena.driver.send_all(held)
            await arena.running_at("second", count)
            zombie.pause()
            arena.struck()
            (arena.site.folder / gate).touch()
            await arena.driver.send_all(orders(count, arena.chance))
            is_over = await arena.driver.all_ended(timeout_s=arena.site.deadline_s)
            zombie.resume()
            assert is_over, "runs waited for a worker that stands still"
            wanted = fenced + 1
            told = "the worker that stood still noticed"
            fenced = await until(
                lambda: (n := _fenced(zombie.output)) >= wanted and n,  # noqa: B023
                timeout_s=PATIENCE_S,
                what=told,
            )
        verdict = await arena.judged()
    verdict.notes["fenced"] = fenced
    return verdict


def _fenced(output: str) -> int:
    """Count what a worker was kept from writing."""
    return output.count("WARNING fenced: ") + output.count("WARNING stopped ")
