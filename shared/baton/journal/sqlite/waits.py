"""Waits end: by a reply, by their deadline or with their run. The first of these counts.

In: replies, cancels, and housekeeping. Out: the hop goes on, at once or when its run has its
conversation again.
"""

from dataclasses import asdict
from typing import Any

from baton import codec
from baton.errors import NotFoundError, NotWaitingError
from baton.journal import marks, stored
from baton.journal.marks import Took
from baton.journal.records import Cancel, PendingHop, Replied, Reply, Sweep
from baton.journal.sqlite import conversation, finishing, origins, registry, rows
from baton.journal.sqlite.writer import Transaction
from baton.protocol import waiting


def answer(tx: Transaction, reply: Reply) -> Replied:
    """Answer a wait. Idempotent by the reply's own id: an answer that the wait holds already is mine.

    Raises:
        NotFoundError: There is no such run or wait.
        NotWaitingError: The wait is over; says how it ended.
        RequestError: This kind of wait does not take such a reply.
    """
    run = tx.one("SELECT * FROM runs WHERE run_id = ? AND tenant = ?", reply.run_id, reply.tenant)
    if run is None:
        raise NotFoundError(f"no run {reply.run_id!r}")
    mark = marks.of_reply(reply)
    if origins.known(tx, reply, mark) is not None:
        origins.add_address(tx, reply.run_id, reply)
        return Replied(run["run_id"], run["status"], is_new=False)
    wait = _wait(tx, run, reply)
    if wait["status"] != "waiting":
        if wait["answer"] and codec.decode(wait["answer"])["reply_id"] == reply.reply_id:
            return Replied(run["run_id"], run["status"])
        raise NotWaitingError(wait["wait_id"], stored.how_ended(wait))
    waiting.check_reply(stored.as_wait(wait), reply, registry.graph(tx))
    tx.run(
        "UPDATE waits SET status = 'answered', answer = ?, answered_at = ? WHERE wait_id = ? AND status = 'waiting'",
        codec.encode(asdict(reply)),
        tx.now,
        wait["wait_id"],
    )
    if reply.key is not None or reply.redelivery_key is not None:
        origins.remember(tx, reply, mark, Took("reply", run["run_id"], wait["wait_id"]))
    origins.add_address(tx, reply.run_id, reply)
    return _replied(tx, run, _go_on(tx, run, wait))


def cancel(tx: Transaction, wish: Cancel) -> Replied:
    """End a run that stands still; ask one that an agent works on to end at its next write.

    Raises:
        NotFoundError: There is no such run.
        RequestError: Who cancels, or why, is no text that can be stored.
        IdempotencyConflictError: The key is known with another body.
    """
    run = tx.one("SELECT * FROM runs WHERE run_id = ?", wish.run_id)
    if run is None or wish.tenant not in (None, run["tenant"]):
        raise NotFoundError(f"no run {wish.run_id!r}")
    if wish.key is not None:
        mark = marks.of_cancel(wish, run["tenant"], wish.key)
        if origins.known(tx, wish, mark) is None:
            origins.remember(tx, wish, mark, Took("cancel", wish.run_id))
    origins.add_address(tx, wish.run_id, wish)
    if run["ended_at"] is not None:
        return Replied(wish.run_id, run["status"], is_new=False)
    codec.checked_text(wish.by, field="by")
    told = f": {codec.checked_text(wish.reason, field='reason')}" if wish.reason else ""
    return _replied(tx, run, _stop(tx, run, f"cancelled:by {wish.by}{told}"))


def sweep(tx: Transaction) -> Sweep:
    """End waits and runs past their deadline, and free conversations that nobody passed on.

    Also runs whose worker died before it could stop them.
    """
    published: list[PendingHop] = []
    ended: list[str] = []
    waits = tx.all("SELECT * FROM waits WHERE status = 'waiting' AND deadline_at <= ? LIMIT 100", tx.now)
    for wait in waits:
        run = tx.one("SELECT * FROM runs WHERE run_id = ?", wait["run_id"])
        tx.run("UPDATE waits SET status = 'expired', answered_at = ? WHERE wait_id = ?", tx.now, wait["wait_id"])
        published += _go_on(tx, run, wait)
        ended.append(run["run_id"])
    runs = tx.all("SELECT * FROM runs WHERE deadline_at <= ? AND ended_at IS NULL AND stop IS NULL LIMIT 100", tx.now)
    for run in runs:
        published += _stop(tx, run, "deadline")
        ended.append(run["run_id"])
    for run in tx.all(
        "SELECT * FROM runs WHERE stop IS NOT NULL AND ended_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM hops WHERE hops.run_id = runs.run_id AND status = 'running' AND due_at > ?) LIMIT 100",
        tx.now,
    ):
        published += finishing.end_stopped(tx, run, 0, run["stop"])
        ended.append(run["run_id"])
    stuck = tx.all(
        # the first condition is the index's own; without it this would read every hop there ever was
        "SELECT DISTINCT tenant, conversation_id FROM hops JOIN runs USING (run_id) "
        "JOIN conversations USING (tenant, conversation_id) "
        "WHERE hops.status IN ('blocked', 'waiting') AND hops.status = 'blocked' AND (holder_run IS NULL "
        "OR NOT EXISTS (SELECT 1 FROM runs AS h WHERE h.run_id = holder_run AND h.ended_at IS NULL)) LIMIT 100"
    )
    for row in stuck:
        tx.run("UPDATE conversations SET holder_run = NULL WHERE tenant = ? AND conversation_id = ?", *row)
        published += conversation.give(tx, row["tenant"], row["conversation_id"])
    origins.forget(tx)
    roots = tx.all(
        "UPDATE runs SET root_due = 0 WHERE run_id IN (SELECT run_id FROM runs WHERE root_due LIMIT 100) "
        "RETURNING run_id"
    )
    return Sweep(tuple(published), tuple(ended), len(waits) + len(runs), len(stuck), tuple(row[0] for row in roots))


def _wait(tx: Transaction, run: Any, reply: Reply) -> Any:
    """Return the wait that a reply is for: the one it names, or the run's last."""
    if reply.wait_id is not None:
        wait = tx.one("SELECT * FROM waits WHERE wait_id = ? AND run_id = ?", reply.wait_id, run["run_id"])
    else:
        wait = tx.one(
            "SELECT * FROM waits WHERE run_id = ? ORDER BY status = 'waiting' DESC, created_at DESC LIMIT 1",
            run["run_id"],
        )
    if wait is None:
        named = f"no wait {reply.wait_id!r}" if reply.wait_id else "no wait"
        raise NotFoundError(f"run {run['run_id']!r} is {run['status']} and has {named}")
    return wait


def _go_on(tx: Transaction, run: Any, wait: Any) -> list[PendingHop]:
    """Carry out the end of a wait, or queue for the conversation where another run has it now."""
    hop = tx.one("SELECT * FROM hops WHERE run_id = ? AND seq = ?", run["run_id"], wait["seq"])
    if conversation.take(tx, run):
        over = tx.one("SELECT * FROM waits WHERE wait_id = ?", wait["wait_id"])
        published = conversation.resume(tx, run, hop, over)
        if tx.one("SELECT ended_at FROM runs WHERE run_id = ?", run["run_id"])[0] is not None:
            published += conversation.pass_on(tx, run)
        return published
    tx.run("UPDATE hops SET status = 'blocked' WHERE run_id = ? AND seq = ?", run["run_id"], hop["seq"])
    rows.restart_clock(tx, run["run_id"])
    return []


def _stop(tx: Transaction, run: Any, why: str) -> list[PendingHop]:
    running = tx.one(
        "SELECT seq FROM hops WHERE run_id = ? AND status = 'running' AND due_at > ?", run["run_id"], tx.now
    )
    if running is not None:
        tx.run("UPDATE runs SET stop = coalesce(stop, ?) WHERE run_id = ?", why, run["run_id"])
        return []
    return finishing.end_stopped(tx, run, 0, run["stop"] or why)


def _replied(tx: Transaction, run: Any, published: list[PendingHop]) -> Replied:
    now = tx.one("SELECT status, ended_at FROM runs WHERE run_id = ?", run["run_id"])
    ended = (run["run_id"],) if now["ended_at"] is not None else ()
    return Replied(run["run_id"], now["status"], tuple(published), ended)
