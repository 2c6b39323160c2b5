"""Small writes that several operations share: events, messages, steps, hops, ends of runs.

In: a transaction and records. Out: rows.
"""

from collections.abc import Iterable
from typing import Any

from baton import codec, ids
from baton.journal import stored
from baton.journal.records import NewEvent, NewHop, NewMessage, NewWait, RunEnd, Step
from baton.journal.sqlite.writer import Transaction

OPEN = "('queued', 'running', 'waiting')"
"""Statuses of a run that has not ended."""


def add_events(tx: Transaction, run_id: str, events: Iterable[NewEvent], *, agent: str | None = None) -> None:
    """Append to the run's timeline, numbered from the counter on its row.

    Args:
        tx: The transaction.
        run_id: Whose timeline.
        events: In order.
        agent: Where the run stands from now on; None: where it stood.
    """
    new = list(events)
    if not new:
        return
    last = tx.one(
        "UPDATE runs SET last_event = last_event + ?, agent = coalesce(?, agent) WHERE run_id = ? RETURNING last_event",
        len(new),
        agent,
        run_id,
    )[0]
    for number, event in enumerate(new, last - len(new) + 1):
        tx.run(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            run_id,
            number,
            tx.now,
            event.seq,
            event.type,
            codec.encode(event.data),
        )


def add_message(tx: Transaction, run: Any, seq: int, message: NewMessage) -> int:
    """Append to the log of the run's conversation; return the message's position."""
    tenant, conversation_id = run["tenant"], run["conversation_id"]
    position = int(
        tx.one(
            "UPDATE conversations SET log_length = log_length + 1 WHERE tenant = ? AND conversation_id = ? "
            "RETURNING log_length - 1",
            tenant,
            conversation_id,
        )[0]
    )
    data = None if message.data is None else codec.encode(message.data)
    tx.run(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tenant,
        conversation_id,
        position,
        run["run_id"],
        seq,
        message.role,
        message.name,
        message.text,
        data,
        tx.now,
    )
    return position


def add_hop(tx: Transaction, run_id: str, hop: NewHop, *, status: str | None = None) -> None:
    """Insert a hop; a pending one is its own outbox entry."""
    tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, due_at, pending_since, head, digest) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        run_id,
        hop.seq,
        hop.agent,
        hop.from_agent,
        hop.kind,
        status or hop.status,
        tx.now,
        tx.now,
        hop.head,
        hop.digest,
    )


def add_wait(tx: Transaction, run: Any, wait: NewWait) -> None:
    """Insert an open wait, stop the run's clock, and put its question on the way to the requester."""
    deadline_at = None if wait.deadline_s is None else tx.now + wait.deadline_s
    tx.run(
        "INSERT INTO waits (wait_id, run_id, seq, kind, agent, prompt, options, deadline_s, deadline_at, "
        "on_timeout, step_key, step_scope, input_sha, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        wait.wait_id,
        run["run_id"],
        wait.seq,
        wait.kind,
        wait.agent,
        wait.prompt,
        codec.encode(wait.options),
        wait.deadline_s,
        deadline_at,
        wait.on_timeout,
        wait.step_key,
        wait.step_scope,
        wait.input_sha,
        tx.now,
    )
    tx.run(
        "UPDATE runs SET status = 'waiting', agent = ?, deadline_left_s = deadline_at - ?, deadline_at = NULL "
        "WHERE run_id = ?",
        wait.agent,
        tx.now,
        run["run_id"],
    )
    if wait.kind == "user":
        deliver(tx, run["run_id"], wait.wait_id)


def restart_clock(tx: Transaction, run_id: str) -> None:
    """Let the run's deadline go on where a wait had stopped it."""
    tx.run(
        "UPDATE runs SET status = 'running', deadline_at = ? + deadline_left_s, deadline_left_s = NULL "
        "WHERE run_id = ? AND status = 'waiting'",
        tx.now,
        run_id,
    )


def put_step(tx: Transaction, run_id: str, step: Step, *, token: int) -> None:
    """Record a step or turn its intent into a record; a record is never changed."""
    tx.run(
        "INSERT INTO steps (run_id, scope, key, status, seq, attempt, token, effect, input_sha, idempotency_key, "
        "result, started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (run_id, scope, key) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, "
        "token = excluded.token, result = excluded.result, ended_at = excluded.ended_at "
        "WHERE steps.status = 'intent'",
        run_id,
        step.scope,
        step.key,
        step.status,
        step.seq,
        step.attempt,
        token,
        step.effect,
        step.input_sha,
        step.idempotency_key,
        step.result,
        step.started_at or tx.now,
        step.ended_at if step.status == "intent" else (step.ended_at or tx.now),
    )


def end_run(tx: Transaction, run_id: str, end: RunEnd, *, is_known: bool = False) -> bool:
    """Put an open run into its terminal state; False: it has one already.

    Args:
        tx: The transaction.
        run_id: Which.
        end: The state.
        is_known: True: the worker that ends it traces it, too; else housekeeping finds it.
    """
    hit = tx.run(
        f"UPDATE runs SET status = ?, agent = coalesce(?, agent), result = ?, error = ?, ended_at = ?, "
        f"root_due = ? WHERE run_id = ? AND status IN {OPEN}",
        end.status,
        end.agent,
        stored.result_bytes(end),
        stored.error_bytes(end),
        tx.now,
        not is_known,
        run_id,
    )
    if hit:
        deliver(tx, run_id, None)
    return hit == 1


def deliver(tx: Transaction, run_id: str, wait_id: str | None) -> None:
    """Put the run's result, or the question of one wait, on the way to each of its addresses."""
    tx.run(
        "INSERT OR IGNORE INTO deliveries (delivery_id, run_id, wait_id, reply_to, correlation_id, due_at) "
        "SELECT ? || ':' || reply_to || ':' || correlation_id, run_id, ?, reply_to, correlation_id, ? "
        "FROM addresses WHERE run_id = ?",
        ids.result_id(run_id, wait_id),
        wait_id,
        tx.now,
        run_id,
    )
