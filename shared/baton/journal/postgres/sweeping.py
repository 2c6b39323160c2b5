"""Housekeeping: waits and runs past their deadline end, and conversations that nobody passed on go on.

In: what a look into the journal finds. Out: each of it carried out in a transaction of its own, under the
locks, if it is still so: any number of processes may sweep at the same time.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from baton.journal.postgres import conversation, finishing, origins, waits
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import PendingHop, Sweep

LIMIT = 100
"""Most things of a kind that one sweep does."""


class Chore(NamedTuple):
    """Something that a sweep found to do."""

    what: str
    """`wait` (past its deadline), `late` (a run past its own), `stop` (one that nobody ended who could), `stuck`."""
    run_id: str
    wait_id: str | None = None


class Done(NamedTuple):
    """What became of a chore."""

    publish: tuple[PendingHop, ...] = ()
    is_done: bool = False
    """False: somebody else did it."""


async def chores(tx: Transaction) -> list[Chore]:
    """Forget what is too old to matter, and return what is to do, but for what is stuck."""
    await tx.tick()
    await origins.forget(tx)
    found = await tx.all(
        "(SELECT 'wait' AS what, run_id, wait_id FROM waits WHERE status = 'waiting' AND deadline_at <= $1 LIMIT $2) "
        "UNION ALL (SELECT 'late', run_id, NULL FROM runs WHERE deadline_at <= $1 AND deadline_at IS NOT NULL "
        "AND ended_at IS NULL AND stop IS NULL LIMIT $2) "
        "UNION ALL (SELECT 'stop', run_id, NULL FROM runs r WHERE stop IS NOT NULL AND ended_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM hops h WHERE h.run_id = r.run_id AND h.status = 'running' AND h.due_at > $1) LIMIT $2)",
        tx.now,
        LIMIT,
    )
    return [Chore(*row) for row in found]


async def stuck(tx: Transaction) -> list[Chore]:
    """Return a blocked run of each conversation whose holder is empty or has ended."""
    found = await tx.all(
        "SELECT DISTINCT ON (r.tenant, r.conversation_id) r.run_id FROM hops h "
        "CROSS JOIN LATERAL (SELECT * FROM runs WHERE run_id = h.run_id OFFSET 0) r "
        "CROSS JOIN LATERAL (SELECT * FROM conversations c WHERE c.tenant = r.tenant "
        "AND c.conversation_id = r.conversation_id OFFSET 0) c "
        "WHERE h.status IN ('blocked', 'waiting') AND h.status = 'blocked' "
        "AND (SELECT ended_at IS NULL FROM runs WHERE run_id = c.holder_run) IS NOT TRUE LIMIT $1",
        LIMIT,
    )
    return [Chore("stuck", row["run_id"]) for row in found]


async def roots(tx: Transaction) -> list[str]:
    """Return runs that ended in no worker's hands, each once."""
    due = await tx.all("SELECT run_id FROM runs WHERE root_due = 1 LIMIT $1 FOR UPDATE SKIP LOCKED", LIMIT)
    found = [row["run_id"] for row in due]
    if found:
        await tx.run("UPDATE runs SET root_due = NULL WHERE run_id = ANY ($1)", found)
    return found


def swept(done: Sequence[tuple[Chore, Done]], roots: Sequence[str]) -> Sweep:
    """Return what a sweep did."""
    return Sweep(
        tuple(hop for _, what in done for hop in what.publish),
        tuple(chore.run_id for chore, _ in done if chore.what != "stuck"),
        sum(chore.what in ("wait", "late") for chore, _ in done),
        sum(chore.what == "stuck" for chore, _ in done),
        tuple(roots),
    )


async def do(tx: Transaction, chore: Chore) -> Done:
    """Carry out a chore, if it is still to do."""
    await tx.lock([chore.run_id])
    run = await tx.one("SELECT * FROM runs WHERE run_id = $1", chore.run_id)
    if run is None or run["ended_at"] is not None:
        return Done()
    if chore.what == "wait":
        return await _expire(tx, run, chore.wait_id)
    if chore.what == "late":
        is_late = run["deadline_at"] is not None and run["deadline_at"] <= tx.now and run["stop"] is None
        return Done(tuple(await waits.stop(tx, run, "deadline")), True) if is_late else Done()
    if chore.what == "stop":
        return await _stop(tx, run)
    return await _pass_on(tx, run)


async def _expire(tx: Transaction, run: Any, wait_id: str | None) -> Done:
    wait = await tx.one(
        "UPDATE waits SET status = 'expired', answered_at = $2 WHERE wait_id = $1 AND status = 'waiting' "
        "AND deadline_at <= $2 RETURNING *",
        wait_id,
        tx.now,
    )
    return Done() if wait is None else Done(tuple(await waits.go_on(tx, run, wait)), True)


async def _stop(tx: Transaction, run: Any) -> Done:
    is_worked_on = await tx.one(
        "SELECT 1 FROM hops WHERE run_id = $1 AND status = 'running' AND due_at > $2", run["run_id"], tx.now
    )
    if is_worked_on or not run["stop"]:
        return Done()
    return Done(tuple(await finishing.end_stopped(tx, run, 0, run["stop"])), True)


async def _pass_on(tx: Transaction, run: Any) -> Done:
    freed = await tx.run(
        "UPDATE conversations c SET holder_run = NULL WHERE tenant = $1 AND conversation_id = $2 AND NOT EXISTS "
        "(SELECT 1 FROM runs o WHERE o.run_id = c.holder_run AND o.ended_at IS NULL)",
        run["tenant"],
        run["conversation_id"],
    )
    if not freed:
        return Done()
    return Done(tuple(await conversation.give(tx, run["tenant"], run["conversation_id"])), True)
