"""The end of an attempt: the hop, what it said, and what follows, in one transaction.

In: a `Finish`, guarded by its token. Out: rows, and the hops to publish.
"""

from typing import Any

from baton import codec
from baton.journal import stored
from baton.journal.records import Finish, Finished, NewEvent, PendingHop, RunEnd
from baton.journal.sqlite import conversation, rows
from baton.journal.sqlite.writer import Transaction
from baton.protocol.waiting import RELEASING
from baton.request import Failure

FENCED = Finished("fenced")


def finish(tx: Transaction, finish: Finish) -> Finished:
    """Write the end of an attempt. Idempotent: done twice, it reports what the first did."""
    lease = finish.lease
    run = tx.one(
        "SELECT run_id, tenant, conversation_id, runs.agent, stop, runs.ended_at, traceparent, tracestate, "
        "hops.status AS hop_status, outcome FROM hops JOIN runs USING (run_id) "
        "WHERE run_id = ? AND seq = ? AND token = ?",
        lease.run_id,
        lease.seq,
        lease.token,
    )
    if run is None:
        return FENCED
    if run["hop_status"] != "running":
        return _known(tx, finish, run)
    if run["ended_at"] is not None:
        return FENCED
    if run["stop"] and finish.end is None:
        return Finished("cancelled", tuple(end_stopped(tx, run, lease.seq, run["stop"])), (lease.run_id,))
    _close(tx, finish)
    return _follow(tx, finish, run)


def end_stopped(tx: Transaction, run: Any, seq: int, why: str) -> list[PendingHop]:
    """End an open run as cancelled or past its deadline, with its open hop and wait."""
    if why == "deadline":
        error = Failure(code="deadline_exceeded", message="the run's deadline passed", agent=run["agent"])
        end = RunEnd("failed", error=error)
    else:
        end = RunEnd("cancelled", error=Failure(code="cancelled", message=f"cancelled {why.partition(':')[2]}".strip()))
    tx.run(
        "UPDATE hops SET status = 'failed', error = ?, ended_at = ? "
        "WHERE run_id = ? AND status NOT IN ('done', 'failed')",
        stored.error_bytes(end),
        tx.now,
        run["run_id"],
    )
    tx.run(
        "UPDATE waits SET status = 'cancelled', answered_at = ? WHERE run_id = ? AND status = 'waiting'",
        tx.now,
        run["run_id"],
    )
    rows.end_run(tx, run["run_id"], end)
    told = {"code": end.error.code, "message": end.error.message} if end.error else {}
    rows.add_events(tx, run["run_id"], [NewEvent(end.status, seq, told)])
    return conversation.pass_on(tx, run)


def _close(tx: Transaction, finish: Finish) -> None:
    is_over = finish.hop_status in ("done", "failed")
    tx.run(
        "UPDATE hops SET status = ?, attempt = attempt - ?, outcome = ?, error = coalesce(?, error), ended_at = ?, "
        "due_at = ?, awaits_poll = ?, pending_since = CASE WHEN ? THEN ? ELSE pending_since END "
        "WHERE run_id = ? AND seq = ?",
        finish.hop_status,
        0 if finish.is_attempt else 1,
        _outcome(finish),
        None if finish.error is None else finish.error.model_dump_json().encode(),
        tx.now if is_over else None,
        tx.now + (finish.retry_in_s or 0.0),
        finish.hop_status == "pending",
        finish.hop_status == "pending",
        tx.now,
        finish.lease.run_id,
        finish.lease.seq,
    )


def _outcome(finish: Finish) -> bytes | None:
    return None if finish.outcome is None else codec.encode(finish.outcome)


def _follow(tx: Transaction, finish: Finish, run: Any) -> Finished:
    run_id = run["run_id"]
    for message in finish.messages:
        rows.add_message(tx, run, finish.lease.seq, message)
    _update_conversation(tx, finish, run)
    rows.add_events(tx, run_id, finish.events, agent=finish.next.agent if finish.next else None)
    published: list[PendingHop] = []
    if finish.next is not None:
        rows.add_hop(tx, run_id, finish.next)
        if finish.next.status == "pending":
            published.append(stored.following(run, finish.next))
    if finish.wait is not None:
        rows.add_wait(tx, run, finish.wait)
        if finish.wait.kind in RELEASING:
            published += conversation.pass_on(tx, run)
        return Finished("applied", tuple(published), (run_id,))
    if finish.end is not None:
        rows.end_run(tx, run_id, finish.end, is_known=True)
        published += conversation.pass_on(tx, run)
        return Finished("applied", tuple(published), (run_id,))
    return Finished("applied", tuple(published))


def _update_conversation(tx: Transaction, finish: Finish, run: Any) -> None:
    where = "WHERE tenant = ? AND conversation_id = ?"
    if finish.facts is not None:
        tx.run(
            f"UPDATE conversations SET facts = ? {where}",
            codec.encode(finish.facts),
            run["tenant"],
            run["conversation_id"],
        )
    if finish.active_agent is not None:
        tx.run(
            f"UPDATE conversations SET active_agent = ?, active_at = ? {where}",
            finish.active_agent or None,
            tx.now,
            run["tenant"],
            run["conversation_id"],
        )


def _known(tx: Transaction, finish: Finish, run: Any) -> Finished:
    """Report what this very finish did before its reply was lost; the token says that it was mine."""
    if run["hop_status"] != finish.hop_status or run["outcome"] != _outcome(finish):
        return FENCED
    if finish.next is None:
        ended = (run["run_id"],) if finish.end or finish.wait else ()
        return Finished("applied", (), ended)
    following = tx.one("SELECT status FROM hops WHERE run_id = ? AND seq = ?", finish.lease.run_id, finish.next.seq)
    is_pending = following is not None and following["status"] == "pending"
    return Finished("applied", (stored.following(run, finish.next),) if is_pending else ())
