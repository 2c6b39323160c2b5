"""Claims where something has to be decided: a stop, used attempts, a repetition; and notes.

In: wishes that `claim_hops` left as they were, for many hops at a time; see `claims`. Out: a `Claim` with
all that the hop needs, or the end of the run.
"""

from typing import Any

from baton import codec
from baton.envelope import Message
from baton.journal import stored
from baton.journal.postgres import conversation, finishing, rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Claim, ClaimCommand, Lease, NewEvent, RunEnd, Step
from baton.protocol import poll, retry, transfer
from baton.request import Failure

MOST_ATTEMPTS = 2**31 - 1
"""As many as the column can count."""

_RUN = (
    "r.run_id, r.tenant, r.conversation_id, r.status, r.stop, r.agent, r.request, r.deadline_at, r.root_run_id, "
    "r.traceparent, r.tracestate, r.caller, r.accepted_at, c.active_agent, c.active_at, c.facts, c.log_length"
)


async def claim(tx: Transaction, command: ClaimCommand) -> Claim | None:
    """Take a hop whose time has come. Idempotent by `claim_id`: a claim is mine if the row holds it."""
    await tx.lock([command.run_id])
    return await claim_locked(tx, command)


async def claim_locked(tx: Transaction, command: ClaimCommand) -> Claim | None:
    """Take a hop of a run that the transaction has locked."""
    lost = await tx.one(
        "SELECT started_at, least(due_at, $3) FROM hops WHERE run_id = $1 AND seq = $2 AND status = 'running'",
        command.run_id,
        command.seq,
        tx.now,
    )
    hop = await _take(tx, command) or await tx.one(
        "SELECT * FROM hops WHERE run_id = $1 AND seq = $2 AND claim_id = $3 AND status = 'running'",
        command.run_id,
        command.seq,
        command.claim_id,
    )
    if hop is None:
        return None
    run = await tx.one(
        f"SELECT {_RUN} FROM runs r JOIN conversations c "
        "ON c.tenant = r.tenant AND c.conversation_id = r.conversation_id WHERE r.run_id = $1",
        hop["run_id"],
    )
    if run["stop"]:
        await finishing.end_stopped(tx, run, hop["seq"], run["stop"])
        return None
    if hop["attempt"] > command.max_attempts:
        await _exhaust(tx, run, hop, lost)
        return None
    return await _claimed(tx, run, hop, lost, command.digest)


async def note(tx: Transaction, lease: Lease, event: NewEvent) -> None:
    """Append an event to the timeline, guarded like a step."""
    await tx.lock([lease.run_id])
    if await _is_mine(tx, lease):
        await rows.add_events(tx, lease.run_id, [event])


async def record(tx: Transaction, lease: Lease, step: Step) -> bool:
    """Record a step, guarded by the token and by the run being open and not stopped."""
    await tx.lock([lease.run_id])
    if not await _is_mine(tx, lease):
        return False
    await rows.put_step(tx, lease.run_id, step, token=lease.token)
    return True


async def read_messages(tx: Transaction, tenant: str, conversation_id: str, spans: transfer.Spans) -> list[Message]:
    """Return the messages at these positions."""
    found = await tx.all(
        "SELECT m.* FROM unnest($3::int[], $4::int[]) AS s (first, last) JOIN messages m "
        "ON m.tenant = $1 AND m.conversation_id = $2 AND m.position >= s.first AND m.position < s.last "
        "ORDER BY m.position",
        tenant,
        conversation_id,
        [first for first, _ in spans],
        [last for _, last in spans],
    )
    return [stored.as_message(row) for row in found]


async def _is_mine(tx: Transaction, lease: Lease) -> bool:
    """Return True while the token holds and the run is open and not asked to stop."""
    return bool(
        await tx.value(
            "SELECT true FROM hops h JOIN runs r ON r.run_id = h.run_id WHERE h.run_id = $1 AND h.seq = $2 "
            "AND h.token = $3 AND h.status = 'running' AND r.ended_at IS NULL AND r.stop IS NULL",
            lease.run_id,
            lease.seq,
            lease.token,
        )
    )


def lost_below(command: ClaimCommand) -> int:
    """Return how many attempts a lost hop has to have for the claim to leave it to a poll."""
    return MOST_ATTEMPTS if command.takes_suspect else poll.suspect_from(command.max_attempts)


async def _take(tx: Transaction, command: ClaimCommand) -> Any:
    return await tx.one(
        "UPDATE hops SET status = 'running', token = token + 1, attempt = attempt + 1, claim_id = $4, owner = $5, "
        "due_at = $6::float8 + $7::float8, started_at = $6 WHERE run_id = $1 AND seq = $2 AND agent = $3 "
        "AND due_at <= $6 AND status IN ('pending', 'running') AND claim_id IS DISTINCT FROM $4 "
        "AND (status = 'pending' OR attempt < $8) "
        "AND EXISTS (SELECT 1 FROM runs r WHERE r.run_id = $1 AND r.ended_at IS NULL) RETURNING *",
        command.run_id,
        command.seq,
        command.agent,
        command.claim_id,
        command.owner,
        tx.now,
        command.lease_s,
        lost_below(command),
    )


async def _claimed(tx: Transaction, run: Any, hop: Any, lost: Any, digest: str | None) -> Claim:
    if run["status"] == "queued":
        await tx.run("UPDATE runs SET status = 'running' WHERE run_id = $1", hop["run_id"])
    is_repeated = hop["started_at"] < tx.now
    if hop["attempt"] > 1 and not is_repeated:
        await rows.add_events(tx, hop["run_id"], [stored.attempt_event(hop, lost)])
    head, text = None, None
    messages: list[Message] = []
    if digest is None or digest != hop["digest"]:
        head = hop["head"]
        fields = codec.decode(head)  # not an Envelope: its version is the worker's business
        messages = await read_messages(tx, run["tenant"], run["conversation_id"], fields.get("spans", ()))
        position = fields.get("text_position", 0)
        if all(message.position != position for message in messages):
            [asked] = await read_messages(tx, run["tenant"], run["conversation_id"], ((position, position + 1),))
            text = asked.text
    steps = await tx.all("SELECT * FROM steps WHERE run_id = $1", hop["run_id"])
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
        messages=tuple(messages),
        steps=tuple(map(stored.as_step, steps)),
        traceparent=run["traceparent"],
        tracestate=run["tracestate"],
        caller=run["caller"],
        accepted_at=run["accepted_at"],
    )


async def _exhaust(tx: Transaction, run: Any, hop: Any, lost: Any) -> None:
    """End the run of a hop that has used its attempts, found at a claim: the process died in them."""
    last = Failure.model_validate_json(hop["error"]) if hop["error"] else None
    failure = retry.exhausted(hop["agent"], hop["attempt"] - 1, last)
    await tx.run(
        "UPDATE hops SET status = 'failed', attempt = attempt - 1, error = $3, ended_at = $4 "
        "WHERE run_id = $1 AND seq = $2",
        hop["run_id"],
        hop["seq"],
        failure.model_dump_json().encode(),
        tx.now,
    )
    await rows.end_run(tx, hop["run_id"], RunEnd("failed", hop["agent"], error=failure))
    await rows.add_events(tx, hop["run_id"], [stored.exhausted_event(hop, failure, lost)])
    await conversation.pass_on(tx, run)
