"""Requests that need a decision: a known key, a reply, a conversation that others are in.

In: an `Accept` that `accept_runs` left as it was, for many at a time; see `accepts`. Out: the run with its
hop 0, or the wait answered; and the key under which a repetition is recognised, in the same transaction.
"""

from dataclasses import replace
from typing import Any

from baton import codec
from baton.errors import FactsError, RequestError
from baton.journal import marks, stored
from baton.journal.marks import Mark, Took
from baton.journal.postgres import admission, claiming, conversation, origins, rows, waits
from baton.journal.postgres.faults import RaceError
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Accept, Accepted, NewEvent, Reply

_IT = "tenant = $1 AND conversation_id = $2"


async def accept(tx: Transaction, command: Accept) -> Accepted:
    """Record a request once. Idempotent by its key, and by its run id.

    Raises:
        IdempotencyConflictError: The key is known with another body.
    """
    conversation_id = command.request.conversation_id or command.run_id
    mark = marks.of_accept(command)
    if known := await _known(tx, command, mark):
        return known
    await _lock(tx, command.tenant, conversation_id)
    if command.request.conversation_id and (wait := await _wait_for_user(tx, command)) is not None:
        return await _as_reply(tx, command, wait, mark)
    run = await _insert(tx, command, conversation_id)
    await origins.remember(tx, command, mark, Took("run", command.run_id))
    if run["position"] == 0:  # nobody was there before
        await conversation.take(tx, run)
        published = await conversation.begin(tx, run)
    else:
        published = await conversation.give(tx, command.tenant, conversation_id)
    if any(hop.run_id == command.run_id for hop in published) and await admission.waits(tx, command):
        published = [hop for hop in published if hop.run_id != command.run_id]
    return await _claimed(tx, command, Accepted(command.run_id, conversation_id, "run", True, tuple(published)))


async def _lock(tx: Transaction, tenant: str, conversation_id: str) -> None:
    """Lock the conversation, made if it is not there, with the run that has it and the next in line.

    Raises:
        RaceError: It was pruned just now.
    """
    await tx.run(
        "INSERT INTO conversations (tenant, conversation_id, facts) VALUES ($1, $2, '{}') ON CONFLICT DO NOTHING",
        tenant,
        conversation_id,
    )
    found = await tx.one(f"SELECT holder_run FROM conversations WHERE {_IT} FOR UPDATE", tenant, conversation_id)
    if found is None:
        raise RaceError("the conversation was pruned just now")
    await tx.lock([found["holder_run"]] if found["holder_run"] else [])


async def _claimed(tx: Transaction, command: Accept, accepted: Accepted) -> Accepted:
    """Claim hop 0 where that is wanted and it is pending; then nobody has to publish it."""
    if command.claim is None or (claim := await claiming.claim_locked(tx, command.claim)) is None:
        return accepted
    publish = tuple(hop for hop in accepted.publish if hop.run_id != accepted.run_id)
    return replace(accepted, publish=publish, claim=claim)


async def _wait_for_user(tx: Transaction, command: Accept) -> Any:
    return await tx.one(
        "SELECT w.* FROM runs r JOIN waits w ON w.run_id = r.run_id WHERE r.tenant = $1 AND r.conversation_id = $2 "
        "AND r.ended_at IS NULL AND r.status = 'waiting' AND w.status = 'waiting' AND w.kind = 'user' LIMIT 1",
        command.tenant,
        command.request.conversation_id,
    )


async def _known(tx: Transaction, command: Accept, mark: Mark) -> Accepted | None:
    took = await origins.known(tx, command, mark)
    if took is None and command.key is None:
        took = Took("run", command.run_id)
    if took is None:
        return None
    await tx.lock([took.run_id])
    is_mine = took.run_id == command.run_id
    run = await tx.one("SELECT conversation_id FROM runs WHERE run_id = $1", took.run_id)
    if run is None:  # pruned, or never there: then it is new
        return None if is_mine else Accepted(took.run_id, "", took.took, is_new=False)
    await origins.add_address(tx, took.run_id, command)
    accepted = Accepted(took.run_id, run["conversation_id"], took.took, is_new=is_mine)
    return await _claimed(tx, command, accepted) if is_mine else accepted


async def _as_reply(tx: Transaction, command: Accept, wait: Any, mark: Mark) -> Accepted:
    conversation_id = str(command.request.conversation_id)
    if command.request.facts:
        stored = await tx.value(f"SELECT facts FROM conversations WHERE {_IT}", command.tenant, conversation_id)
        try:
            facts = codec.merge_facts(codec.decode(stored), command.request.facts)
        except FactsError as error:
            raise RequestError(str(error), code="bad_facts", field="facts") from error
        await tx.run(
            f"UPDATE conversations SET facts = $3 WHERE {_IT}", command.tenant, conversation_id, codec.encode(facts)
        )
    reply = Reply(wait["run_id"], wait["wait_id"], command.request.text, by="user", tenant=command.tenant)
    replied = await waits.answer(tx, reply)
    took = Took("reply", wait["run_id"], wait["wait_id"])
    await origins.remember(tx, command, mark, took)
    await origins.add_address(tx, wait["run_id"], command)
    return Accepted(wait["run_id"], conversation_id, "reply", True, replied.publish)


async def _insert(tx: Transaction, command: Accept, conversation_id: str) -> Any:
    """Insert the run, its hop 0 blocked until it has the conversation; return its row."""
    request = command.request
    position = await tx.value(
        f"UPDATE conversations SET next_position = next_position + 1 WHERE {_IT} RETURNING next_position - 1",
        command.tenant,
        conversation_id,
    )
    run = await tx.one(
        "INSERT INTO runs (run_id, tenant, conversation_id, position, status, request, blocked_text, max_hops, "
        "deadline_at, batch, root_run_id, trace_id, traceparent, tracestate, caller, accepted_at) "
        "VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $9, $1, $13, $10, $11, $14, $12) RETURNING *",
        command.run_id,
        command.tenant,
        conversation_id,
        position,
        request_bytes(command),
        request.text,
        request.max_hops or command.max_hops,
        None if request.deadline_s is None else tx.now + request.deadline_s,
        command.batch,
        command.traceparent,
        command.tracestate,
        tx.now,
        stored.trace_id(command),
        command.caller,
    )
    await tx.run(
        "INSERT INTO hops (run_id, seq, agent, kind, status, pending_since, head, digest) "
        "VALUES ($1, 0, 'router', 'route', 'blocked', $2, '', '')",
        command.run_id,
        tx.now,
    )
    await rows.add_events(tx, command.run_id, [NewEvent("accepted", 0, {"position": position})])
    await origins.add_address(tx, command.run_id, command)
    return run


def request_bytes(command: Accept) -> bytes:
    """Return a request as it is stored: less its text."""
    return codec.encode(command.request.model_dump(exclude={"text"}, exclude_none=True))
