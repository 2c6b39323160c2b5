"""Leases: who may write for a hop, for how long, and how a lost one is found.

In: claims by the hop loop, polls and renewals. Out: a `Claim` with all that the hop needs; steps
recorded under its token.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from baton import codec
from baton.envelope import Message
from baton.journal import stored
from baton.journal.records import (
    Claim,
    ClaimCommand,
    Lease,
    NewEvent,
    PollCommand,
    Renewed,
    RunEnd,
    Step,
)
from baton.journal.sqlite import conversation, finishing, rows
from baton.journal.sqlite.writer import Transaction
from baton.protocol import poll as poll_rules
from baton.protocol import retry, transfer
from baton.request import Failure

_HOP = "run_id, seq, agent, kind, attempt, token, digest, pending_since, started_at, error"
_RUN = (
    "run_id, tenant, conversation_id, status, stop, agent, request, text_position, deadline_at, root_run_id, "
    "traceparent, tracestate, caller, accepted_at, active_agent, active_at, facts, log_length, "
    "EXISTS (SELECT 1 FROM steps WHERE steps.run_id = runs.run_id) AS has_steps"
)
"""What a claim reads; a row is read at every hop, so only that."""


def claim(tx: Transaction, command: ClaimCommand) -> Claim | None:
    """Take a hop whose time has come. Idempotent by `claim_id`: a claim is mine if the row holds it."""
    lost = tx.one(
        "SELECT started_at, min(due_at, ?) FROM hops WHERE run_id = ? AND seq = ? AND status = 'running'",
        tx.now,
        command.run_id,
        command.seq,
    )
    hop = _take(tx, command)
    if hop is None:
        hop = tx.one(
            f"SELECT {_HOP} FROM hops WHERE run_id = ? AND seq = ? AND claim_id = ? AND status = 'running'",
            command.run_id,
            command.seq,
            command.claim_id,
        )
    if hop is None:
        return None
    run = tx.one(
        f"SELECT {_RUN} FROM runs JOIN conversations USING (tenant, conversation_id) WHERE run_id = ?", hop["run_id"]
    )
    if run["stop"]:
        finishing.end_stopped(tx, run, hop["seq"], run["stop"])
        return None
    if hop["attempt"] > command.max_attempts:
        _exhaust(tx, run, hop, lost)
        return None
    return _claimed(tx, run, hop, lost, command.digest)


Picked = list[tuple[str, int, bool]]
"""Hops that a poll wants to claim: run, seq, and whether it is a suspect."""


def poll(tx: Transaction, command: PollCommand, picked: Picked) -> list[Claim]:
    """Claim due retries, hand-backs and lost leases by due time, then first attempts that were missed.

    Idempotent by `picked`: what an execution picked whose commit is unknown is claimed again, under
    the same claim ids.
    """
    picked[:] = picked or _due(tx, command)
    claims = []
    for run_id, seq, is_suspect in picked:
        wish = ClaimCommand(
            run_id,
            seq,
            command.agent,
            f"{command.claim_id}:{run_id}:{seq}",
            command.owner,
            command.lease_s,
            command.max_attempts,
        )
        if (claimed := claim(tx, wish)) is not None:
            claims.append(replace(claimed, is_suspect=True) if is_suspect else claimed)
    return claims


def _due(tx: Transaction, command: PollCommand) -> Picked:
    """Return the hops to claim, with at most one suspect: that with the fewest attempts."""
    suspect = "(status = 'running' AND attempt >= ?)"
    bound = poll_rules.suspect_from(command.max_attempts)
    due = tx.all(
        f"SELECT run_id, seq, {suspect} AS is_suspect FROM hops "
        "WHERE agent = ? AND due_at <= ? AND status IN ('pending', 'running') "
        "AND (awaits_poll OR status = 'running' OR pending_since < ? OR pending_since <= ?) "
        f"AND (? OR NOT {suspect}) "
        "ORDER BY is_suspect DESC, awaits_poll OR status = 'running' DESC, "
        f"CASE WHEN {suspect} THEN attempt END, due_at LIMIT ?",
        bound,
        command.agent,
        tx.now,
        command.missed_before if command.missed_before is not None else -1.0,
        tx.now - command.overdue_s if command.overdue_s is not None else -1.0,
        command.takes_suspect,
        bound,
        bound,
        command.limit + len(command.busy),
    )
    free = [tuple(row) for row in due if (row["run_id"], row["seq"]) not in command.busy]
    suspects = [hop for hop in free if hop[2]]
    return [*suspects[:1], *(hop for hop in free if not hop[2])][: command.limit]


def renew(tx: Transaction, leases: Sequence[Lease], lease_s: float) -> Renewed:
    """Prolong what still holds its token, and name the runs that have to stop."""
    held, stop = set(), set()
    for lease in leases:
        row = tx.one(
            f"UPDATE hops SET due_at = ? WHERE run_id = ? AND seq = ? AND token = ? AND status = 'running' "
            f"AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = hops.run_id AND runs.status IN {rows.OPEN}) "
            "RETURNING (SELECT stop FROM runs WHERE runs.run_id = hops.run_id)",
            tx.now + lease_s,
            lease.run_id,
            lease.seq,
            lease.token,
        )
        if row is not None:
            held.add(lease)
            if row[0]:
                stop.add(lease.run_id)
    return Renewed(frozenset(held), frozenset(stop))


def record(tx: Transaction, lease: Lease, step: Step) -> bool:
    """Record a step, guarded by the token and by the run being open and not stopped."""
    if not _is_mine(tx, lease):
        return False
    rows.put_step(tx, lease.run_id, step, token=lease.token)
    return True


def note(tx: Transaction, lease: Lease, event: NewEvent) -> None:
    """Append an event to the timeline, guarded like a step."""
    if _is_mine(tx, lease):
        rows.add_events(tx, lease.run_id, [event])


def rearm(tx: Transaction) -> int:
    """Free every running hop at once: the one process that could work on them is starting."""
    return tx.run("UPDATE hops SET due_at = ? WHERE status = 'running'", tx.now)


def read_messages(tx: Transaction, tenant: str, conversation_id: str, spans: transfer.Spans) -> tuple[Message, ...]:
    """Return the messages at these positions."""
    return tuple(
        stored.as_message(row)
        for first, last in spans
        for row in tx.all(
            "SELECT * FROM messages WHERE tenant = ? AND conversation_id = ? AND position >= ? AND position < ? "
            "ORDER BY position",
            tenant,
            conversation_id,
            first,
            last,
        )
    )


def _is_mine(tx: Transaction, lease: Lease) -> bool:
    """Return True while the token holds and the run is open and not asked to stop."""
    return (
        tx.one(
            f"SELECT 1 FROM hops JOIN runs USING (run_id) WHERE run_id = ? AND seq = ? AND token = ? "
            f"AND hops.status = 'running' AND runs.status IN {rows.OPEN} AND stop IS NULL",
            lease.run_id,
            lease.seq,
            lease.token,
        )
        is not None
    )


def _take(tx: Transaction, command: ClaimCommand) -> Any:
    return tx.one(
        "UPDATE hops SET status = 'running', token = token + 1, attempt = attempt + 1, claim_id = ?, owner = ?, "
        "due_at = ?, started_at = ? WHERE run_id = ? AND seq = ? AND agent = ? AND due_at <= ? "
        "AND status IN ('pending', 'running') AND claim_id IS NOT ? "
        "AND (status = 'pending' OR attempt < ? OR ?) "
        f"AND EXISTS (SELECT 1 FROM runs WHERE runs.run_id = hops.run_id AND runs.status IN {rows.OPEN}) "
        f"RETURNING {_HOP}",
        command.claim_id,
        command.owner,
        tx.now + command.lease_s,
        tx.now,
        command.run_id,
        command.seq,
        command.agent,
        tx.now,
        command.claim_id,
        poll_rules.suspect_from(command.max_attempts),
        command.takes_suspect,
    )


def _claimed(tx: Transaction, run: Any, hop: Any, lost: Any, digest: str | None) -> Claim:
    if run["status"] == "queued":
        tx.run("UPDATE runs SET status = 'running' WHERE run_id = ?", hop["run_id"])
    is_repeated = hop["started_at"] < tx.now
    if hop["attempt"] > 1 and not is_repeated:
        rows.add_events(tx, hop["run_id"], [stored.attempt_event(hop, lost)])
    head, text = None, None
    messages: tuple[Message, ...] = ()
    if digest is None or digest != hop["digest"]:
        head = tx.one("SELECT head FROM hops WHERE run_id = ? AND seq = ?", hop["run_id"], hop["seq"])[0]
        fields = codec.decode(head)  # not an Envelope: its version is the worker's business
        messages = read_messages(tx, run["tenant"], run["conversation_id"], fields.get("spans", ()))
        text = _text(tx, run, fields.get("text_position", 0), messages)
    steps = tx.all("SELECT * FROM steps WHERE run_id = ?", hop["run_id"]) if run["has_steps"] else []
    return Claim(
        lease=Lease(hop["run_id"], hop["seq"], hop["token"]),
        agent=hop["agent"],
        attempt=hop["attempt"],
        pending_since=hop["pending_since"],
        run=stored.run_state(run, hop["kind"]),
        now=tx.now,
        digest=hop["digest"],
        head=head,
        text=text,
        messages=messages,
        steps=tuple(map(stored.as_step, steps)),
        traceparent=run["traceparent"],
        tracestate=run["tracestate"],
        caller=run["caller"],
        accepted_at=run["accepted_at"],
    )


def _text(tx: Transaction, run: Any, position: int, messages: tuple[Message, ...]) -> str | None:
    """Return the request's text where it is not among the messages."""
    if any(message.position == position for message in messages):
        return None
    row = tx.one(
        "SELECT text FROM messages WHERE tenant = ? AND conversation_id = ? AND position = ?",
        run["tenant"],
        run["conversation_id"],
        position,
    )
    return str(row[0])


def _exhaust(tx: Transaction, run: Any, hop: Any, lost: Any) -> None:
    """End the run of a hop that has used its attempts, found at a claim: the process died in them."""
    last = Failure.model_validate_json(hop["error"]) if hop["error"] else None
    failure = retry.exhausted(hop["agent"], hop["attempt"] - 1, last)
    tx.run(
        "UPDATE hops SET status = 'failed', attempt = attempt - 1, error = ?, ended_at = ? "
        "WHERE run_id = ? AND seq = ?",
        failure.model_dump_json().encode(),
        tx.now,
        hop["run_id"],
        hop["seq"],
    )
    rows.end_run(tx, hop["run_id"], RunEnd("failed", hop["agent"], error=failure))
    rows.add_events(tx, hop["run_id"], [stored.exhausted_event(hop, failure, lost)])
    conversation.pass_on(tx, run)
