"""The end of an attempt where something has to be decided: a wait, a stop, a line of blocked runs, a repetition.

In: a `Finish`, guarded by its token. Out: rows, and the hops to publish. What needs no decision is written
by `finish_hops`, for many hops at a time; see `finishes`.
"""

from typing import Any

from baton import codec
from baton.journal import stored
from baton.journal.postgres import conversation, rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Finish, Finished, NewEvent, PendingHop, RunEnd
from baton.protocol.waiting import RELEASING
from baton.request import Failure

FENCED = Finished("fenced")


async def finish(tx: Transaction, finish: Finish) -> Finished:
    """Write the end of an attempt. Idempotent: done twice, it reports what the first did."""
    lease = finish.lease
    await tx.lock([lease.run_id])
    run = await tx.one(
        "SELECT r.run_id, r.tenant, r.conversation_id, r.agent, r.stop, r.ended_at, r.traceparent, r.tracestate, "
        "h.status AS hop_status, h.outcome FROM hops h JOIN runs r ON r.run_id = h.run_id "
        "WHERE h.run_id = $1 AND h.seq = $2 AND h.token = $3",
        lease.run_id,
        lease.seq,
        lease.token,
    )
    if run is None:
        return FENCED
    if run["hop_status"] != "running":
        return await _known(tx, finish, run)
    if run["ended_at"] is not None:
        return FENCED
    if run["stop"] and finish.end is None:
        published = await end_stopped(tx, run, lease.seq, run["stop"])
        return Finished("cancelled", tuple(published), (lease.run_id,))
    await _close(tx, finish)
    return await _follow(tx, finish, run)


async def end_stopped(tx: Transaction, run: Any, seq: int, why: str) -> list[PendingHop]:
    """End an open run as cancelled or past its deadline, with its open hop and wait."""
    if why == "deadline":
        error = Failure(code="deadline_exceeded", message="the run's deadline passed", agent=run["agent"])
        end = RunEnd("failed", error=error)
    else:
        error = Failure(code="cancelled", message=f"cancelled {why.partition(':')[2]}".strip())
        end = RunEnd("cancelled", error=error)
    await tx.run(
        "UPDATE hops SET status = 'failed', error = $2, ended_at = $3 "
        "WHERE run_id = $1 AND status NOT IN ('done', 'failed')",
        run["run_id"],
        stored.error_bytes(end),
        tx.now,
    )
    await tx.run(
        "UPDATE waits SET status = 'cancelled', answered_at = $2 WHERE run_id = $1 AND status = 'waiting'",
        run["run_id"],
        tx.now,
    )
    await rows.end_run(tx, run["run_id"], end)
    told = NewEvent(end.status, seq, {"code": error.code, "message": error.message})
    await rows.add_events(tx, run["run_id"], [told])
    return await conversation.pass_on(tx, run)


def outcome_bytes(finish: Finish) -> bytes | None:
    """Return what the turn decided as it is stored."""
    return None if finish.outcome is None else codec.encode(finish.outcome)


async def _close(tx: Transaction, finish: Finish) -> None:
    is_pending, is_over = finish.hop_status == "pending", finish.hop_status in ("done", "failed")
    await tx.run(
        "UPDATE hops SET status = $3, attempt = attempt - $4, outcome = $5, error = coalesce($6, error), "
        "ended_at = $7, due_at = $8, awaits_poll = $9, pending_since = coalesce($10, pending_since) "
        "WHERE run_id = $1 AND seq = $2",
        finish.lease.run_id,
        finish.lease.seq,
        finish.hop_status,
        0 if finish.is_attempt else 1,
        outcome_bytes(finish),
        None if finish.error is None else finish.error.model_dump_json().encode(),
        tx.now if is_over else None,
        tx.now + (finish.retry_in_s or 0.0),
        is_pending,
        tx.now if is_pending else None,
    )


async def _follow(tx: Transaction, finish: Finish, run: Any) -> Finished:
    run_id = run["run_id"]
    for message in finish.messages:
        await rows.add_message(tx, run, finish.lease.seq, message)
    await _update_conversation(tx, finish, run)
    await rows.add_events(tx, run_id, finish.events, agent=finish.next.agent if finish.next else None)
    published: list[PendingHop] = []
    if finish.next is not None:
        await rows.add_hop(tx, run_id, finish.next)
        if finish.next.status == "pending":
            published.append(stored.following(run, finish.next))
    if finish.wait is not None:
        await rows.add_wait(tx, run, finish.wait)
        if finish.wait.kind in RELEASING:
            published += await conversation.pass_on(tx, run)
        return Finished("applied", tuple(published), (run_id,))
    if finish.end is not None:
        await rows.end_run(tx, run_id, finish.end, is_known=True)
        published += await conversation.pass_on(tx, run)
        return Finished("applied", tuple(published), (run_id,))
    return Finished("applied", tuple(published))


async def _update_conversation(tx: Transaction, finish: Finish, run: Any) -> None:
    if finish.facts is None and finish.active_agent is None:
        return
    await tx.run(
        "UPDATE conversations SET facts = coalesce($3, facts), "
        "active_agent = CASE WHEN $4::text IS NULL THEN active_agent ELSE nullif($4, '') END, "
        "active_at = CASE WHEN $4 IS NULL THEN active_at ELSE $5 END WHERE tenant = $1 AND conversation_id = $2",
        run["tenant"],
        run["conversation_id"],
        None if finish.facts is None else codec.encode(finish.facts),
        finish.active_agent,
        tx.now,
    )


async def _known(tx: Transaction, finish: Finish, run: Any) -> Finished:
    """Report what this very finish did before its reply was lost; the token says that it was mine."""
    if run["hop_status"] != finish.hop_status or run["outcome"] != outcome_bytes(finish):
        return FENCED
    if finish.next is None:
        ended = (run["run_id"],) if finish.end or finish.wait else ()
        return Finished("applied", (), ended)
    status = await tx.value(
        "SELECT status FROM hops WHERE run_id = $1 AND seq = $2", finish.lease.run_id, finish.next.seq
    )
    return Finished("applied", (stored.following(run, finish.next),) if status == "pending" else ())
