"""Small writes that several operations share: events, messages, steps, hops, ends of runs.

In: a transaction that holds the locks, and records. Out: rows.
"""

from collections.abc import Iterable
from typing import Any

from baton import codec, ids
from baton.journal import stored
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import NewEvent, NewHop, NewMessage, NewWait, RunEnd, Step


async def add_events(tx: Transaction, run_id: str, events: Iterable[NewEvent], *, agent: str | None = None) -> None:
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
    await tx.run(
        "WITH counted AS (UPDATE runs SET last_event = last_event + cardinality($2::int[]), "
        "agent = coalesce($5, agent) WHERE run_id = $1 RETURNING last_event) "
        "INSERT INTO events SELECT $1, last_event - cardinality($2) + n, $6, seq, type, data "
        "FROM counted, unnest($2, $3::text[], $4::bytea[]) WITH ORDINALITY AS e (seq, type, data, n)",
        run_id,
        [event.seq for event in new],
        [event.type for event in new],
        [codec.encode(event.data) for event in new],
        agent,
        tx.now,
    )


async def add_message(tx: Transaction, run: Any, seq: int, message: NewMessage) -> int:
    """Append to the log of the run's conversation; return the message's position."""
    position: int = await tx.value(
        "WITH counted AS (UPDATE conversations SET log_length = log_length + 1 "
        "WHERE tenant = $1 AND conversation_id = $2 RETURNING log_length - 1 AS position) "
        "INSERT INTO messages SELECT $1, $2, position, $3, $4, $5, $6, $7, $8, $9 FROM counted RETURNING position",
        run["tenant"],
        run["conversation_id"],
        run["run_id"],
        seq,
        message.role,
        message.name,
        message.text,
        None if message.data is None else codec.encode(message.data),
        tx.now,
    )
    return position


async def add_hop(tx: Transaction, run_id: str, hop: NewHop) -> None:
    """Insert a hop; a pending one is its own outbox entry."""
    await tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, due_at, pending_since, head, digest) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)",
        run_id,
        hop.seq,
        hop.agent,
        hop.from_agent,
        hop.kind,
        hop.status,
        tx.now,
        hop.head,
        hop.digest,
    )


async def add_wait(tx: Transaction, run: Any, wait: NewWait) -> None:
    """Insert an open wait, stop the run's clock, and put its question on the way to the requester."""
    await tx.run(
        "INSERT INTO waits (wait_id, run_id, seq, kind, agent, prompt, options, deadline_s, deadline_at, on_timeout, "
        "step_key, step_scope, input_sha, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $13::float8 + $8::float8, $9, $10, $11, $12, $13)",
        wait.wait_id,
        run["run_id"],
        wait.seq,
        wait.kind,
        wait.agent,
        wait.prompt,
        codec.encode(wait.options),
        wait.deadline_s,
        wait.on_timeout,
        wait.step_key,
        wait.step_scope,
        wait.input_sha,
        tx.now,
    )
    await tx.run(
        "UPDATE runs SET status = 'waiting', agent = $2, deadline_left_s = deadline_at - $3, deadline_at = NULL "
        "WHERE run_id = $1",
        run["run_id"],
        wait.agent,
        tx.now,
    )
    if wait.kind == "user":
        await deliver(tx, run["run_id"], wait.wait_id)


async def restart_clock(tx: Transaction, run_id: str) -> None:
    """Let the run's deadline go on where a wait had stopped it."""
    await tx.run(
        "UPDATE runs SET status = 'running', deadline_at = $2 + deadline_left_s, deadline_left_s = NULL "
        "WHERE run_id = $1 AND status = 'waiting'",
        run_id,
        tx.now,
    )


async def put_step(tx: Transaction, run_id: str, step: Step, *, token: int) -> None:
    """Record a step or turn its intent into a record; a record is never changed."""
    await tx.run(
        "INSERT INTO steps AS s (run_id, scope, key, status, seq, attempt, token, effect, input_sha, "
        "idempotency_key, result, started_at, ended_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
        "ON CONFLICT (run_id, scope, key) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, "
        "token = excluded.token, result = excluded.result, ended_at = excluded.ended_at WHERE s.status = 'intent'",
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


async def end_run(tx: Transaction, run_id: str, end: RunEnd, *, is_known: bool = False) -> bool:
    """Put an open run into its terminal state; False: it has one already.

    Args:
        tx: The transaction.
        run_id: Which.
        end: The state.
        is_known: True: the worker that ends it traces it, too; else housekeeping finds it.
    """
    hit = await tx.run(
        "UPDATE runs SET status = $2, agent = coalesce($3, agent), result = $4, error = $5, ended_at = $6, "
        "root_due = $7 WHERE run_id = $1 AND ended_at IS NULL",
        run_id,
        end.status,
        end.agent,
        stored.result_bytes(end),
        stored.error_bytes(end),
        tx.now,
        None if is_known else 1,
    )
    if hit:
        await deliver(tx, run_id, None)
    return hit == 1


async def deliver(tx: Transaction, run_id: str, wait_id: str | None) -> None:
    """Put the run's result, or the question of one wait, on the way to each of its addresses."""
    await tx.run(
        "INSERT INTO deliveries (delivery_id, run_id, wait_id, reply_to, correlation_id, due_at) "
        "SELECT $1 || ':' || reply_to || ':' || correlation_id, run_id, $2, reply_to, correlation_id, $3 "
        "FROM addresses WHERE run_id = $4 ON CONFLICT DO NOTHING",
        ids.result_id(run_id, wait_id),
        wait_id,
        tx.now,
        run_id,
    )
