"""Waits end: by a reply, by their deadline or with their run. The first of these counts.

In: replies and cancels. Out: the hop goes on, at once or when its run has its conversation.
"""

from dataclasses import asdict
from typing import Any

from baton import codec
from baton.errors import NotFoundError, NotWaitingError
from baton.journal import marks, stored
from baton.journal.marks import Took
from baton.journal.postgres import conversation, finishing, origins, registry, rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Cancel, PendingHop, Replied, Reply
from baton.protocol import waiting


async def answer(tx: Transaction, reply: Reply) -> Replied:
    """Answer a wait. Idempotent by the reply's own id: an answer that the wait holds already is mine.

    Raises:
        NotFoundError: There is no such run or wait.
        NotWaitingError: The wait is over; says how it ended.
        RequestError: This kind of wait does not take such a reply.
    """
    await tx.lock([reply.run_id])
    run = await tx.one("SELECT * FROM runs WHERE run_id = $1 AND tenant = $2", reply.run_id, reply.tenant)
    if run is None:
        raise NotFoundError(f"no run {reply.run_id!r}")
    mark = marks.of_reply(reply)
    if await origins.known(tx, reply, mark) is not None:
        await origins.add_address(tx, reply.run_id, reply)
        return Replied(run["run_id"], run["status"], is_new=False)
    wait = await _wait(tx, run, reply)
    if wait["status"] != "waiting":
        if wait["answer"] and codec.decode(wait["answer"])["reply_id"] == reply.reply_id:
            return Replied(run["run_id"], run["status"])
        raise NotWaitingError(wait["wait_id"], stored.how_ended(wait))
    waiting.check_reply(stored.as_wait(wait), reply, await registry.graph(tx, {}))
    await tx.run(
        "UPDATE waits SET status = 'answered', answer = $2, answered_at = $3 WHERE wait_id = $1",
        wait["wait_id"],
        codec.encode(asdict(reply)),
        tx.now,
    )
    if reply.key is not None or reply.redelivery_key is not None:
        await origins.remember(tx, reply, mark, Took("reply", run["run_id"], wait["wait_id"]))
    await origins.add_address(tx, reply.run_id, reply)
    return await _replied(tx, run, await go_on(tx, run, wait))


async def cancel(tx: Transaction, wish: Cancel) -> Replied:
    """End a run that stands still; ask one that an agent works on to end at its next write.

    Raises:
        NotFoundError: There is no such run.
        RequestError: Who cancels, or why, is no text that can be stored.
        IdempotencyConflictError: The key is known with another body.
    """
    await tx.lock([wish.run_id])
    run = await tx.one("SELECT * FROM runs WHERE run_id = $1", wish.run_id)
    if run is None or wish.tenant not in (None, run["tenant"]):
        raise NotFoundError(f"no run {wish.run_id!r}")
    if wish.key is not None:
        mark = marks.of_cancel(wish, run["tenant"], wish.key)
        if await origins.known(tx, wish, mark) is None:
            await origins.remember(tx, wish, mark, Took("cancel", wish.run_id))
    await origins.add_address(tx, wish.run_id, wish)
    if run["ended_at"] is not None:
        return Replied(wish.run_id, run["status"], is_new=False)
    codec.checked_text(wish.by, field="by")
    told = f": {codec.checked_text(wish.reason, field='reason')}" if wish.reason else ""
    return await _replied(tx, run, await stop(tx, run, f"cancelled:by {wish.by}{told}"))


async def go_on(tx: Transaction, run: Any, wait: Any) -> list[PendingHop]:
    """Carry out the end of a wait, or queue for the conversation where another run has it now."""
    hop = await tx.one("SELECT * FROM hops WHERE run_id = $1 AND seq = $2", run["run_id"], wait["seq"])
    if await conversation.take(tx, run):
        over = await tx.one("SELECT * FROM waits WHERE wait_id = $1", wait["wait_id"])
        published = await conversation.resume(tx, run, hop, over)
        if await tx.value("SELECT ended_at FROM runs WHERE run_id = $1", run["run_id"]) is not None:
            published += await conversation.pass_on(tx, run)
        return published
    await tx.run("UPDATE hops SET status = 'blocked' WHERE run_id = $1 AND seq = $2", run["run_id"], hop["seq"])
    await rows.restart_clock(tx, run["run_id"])
    return []


async def stop(tx: Transaction, run: Any, why: str) -> list[PendingHop]:
    """End a run, or have the agent that works on it end it at its next write."""
    is_worked_on = await tx.one(
        "SELECT 1 FROM hops WHERE run_id = $1 AND status = 'running' AND due_at > $2", run["run_id"], tx.now
    )
    if is_worked_on:
        await tx.run("UPDATE runs SET stop = coalesce(stop, $2) WHERE run_id = $1", run["run_id"], why)
        return []
    return await finishing.end_stopped(tx, run, 0, run["stop"] or why)


async def _wait(tx: Transaction, run: Any, reply: Reply) -> Any:
    """Return the wait that a reply is for: the one it names, or the run's last."""
    if reply.wait_id is not None:
        wait = await tx.one("SELECT * FROM waits WHERE wait_id = $1 AND run_id = $2", reply.wait_id, run["run_id"])
    else:
        wait = await tx.one(
            "SELECT * FROM waits WHERE run_id = $1 ORDER BY status = 'waiting' DESC, created_at DESC LIMIT 1",
            run["run_id"],
        )
    if wait is None:
        named = f"no wait {reply.wait_id!r}" if reply.wait_id else "no wait"
        raise NotFoundError(f"run {run['run_id']!r} is {run['status']} and has {named}")
    return wait


async def _replied(tx: Transaction, run: Any, published: list[PendingHop]) -> Replied:
    now = await tx.one("SELECT status, ended_at FROM runs WHERE run_id = $1", run["run_id"])
    ended = (run["run_id"],) if now["ended_at"] is not None else ()
    return Replied(run["run_id"], now["status"], tuple(published), ended)
