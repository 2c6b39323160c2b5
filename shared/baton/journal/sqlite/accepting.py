"""Requests come in: each becomes a run, the reply its conversation waits for, or nothing new.

In: an `Accept`. Out: the run with its hop 0, or the wait answered; and the key under which a
repetition is recognised, in the same transaction.
"""

from dataclasses import replace
from typing import Any

from baton import codec
from baton.errors import FactsError, RequestError
from baton.journal import marks, stored
from baton.journal.marks import Mark, Took
from baton.journal.records import Accept, Accepted, NewEvent, Reply
from baton.journal.sqlite import admission, claiming, conversation, origins, rows, waits
from baton.journal.sqlite.writer import Transaction


def accept(tx: Transaction, command: Accept) -> Accepted:
    """Record a request once. Idempotent by its key, and by its run id.

    Raises:
        IdempotencyConflictError: The key is known with another body.
    """
    conversation_id = command.request.conversation_id or command.run_id
    mark = marks.of_accept(command)
    if known := _known(tx, command, mark):
        return known
    if command.request.conversation_id and (wait := _wait_for_user(tx, command)) is not None:
        return _as_reply(tx, command, wait, conversation_id, mark)
    run = _insert(tx, command, conversation_id)
    origins.remember(tx, command, mark, Took("run", command.run_id))
    if run["position"] == 0:  # nobody was there before
        conversation.take(tx, run)
        published = conversation.begin(tx, run)
    else:
        published = conversation.give(tx, command.tenant, conversation_id)
    if any(hop.run_id == command.run_id for hop in published) and admission.waits(tx, command):
        published = [hop for hop in published if hop.run_id != command.run_id]
    return _claimed(tx, command, Accepted(command.run_id, conversation_id, "run", True, tuple(published)))


def _claimed(tx: Transaction, command: Accept, accepted: Accepted) -> Accepted:
    """Claim hop 0 where that is wanted and it is pending; then nobody has to publish it."""
    if command.claim is None or (claim := claiming.claim(tx, command.claim)) is None:
        return accepted
    publish = tuple(hop for hop in accepted.publish if hop.run_id != accepted.run_id)
    return replace(accepted, publish=publish, claim=claim)


def _wait_for_user(tx: Transaction, command: Accept) -> Any:
    return tx.one(
        "SELECT waits.* FROM runs JOIN waits USING (run_id) WHERE runs.tenant = ? AND runs.conversation_id = ? "
        "AND runs.status = 'waiting' AND waits.status = 'waiting' AND waits.kind = 'user' LIMIT 1",
        command.tenant,
        command.request.conversation_id,
    )


def _known(tx: Transaction, command: Accept, mark: Mark) -> Accepted | None:
    took = origins.known(tx, command, mark)
    if took is None and command.key is None:
        took = Took("run", command.run_id)
    if took is None:
        return None
    run = tx.one("SELECT conversation_id FROM runs WHERE run_id = ?", took.run_id)
    if run is None:  # pruned, or never there: then it is new
        return Accepted(took.run_id, "", took.took, is_new=False) if took.run_id != command.run_id else None
    origins.add_address(tx, took.run_id, command)
    is_mine = took.run_id == command.run_id
    accepted = Accepted(took.run_id, run["conversation_id"], took.took, is_new=is_mine)
    return _claimed(tx, command, accepted) if is_mine else accepted


def _as_reply(tx: Transaction, command: Accept, wait: Any, conversation_id: str, mark: Mark) -> Accepted:
    if command.request.facts:
        row = tx.one(
            "SELECT facts FROM conversations WHERE tenant = ? AND conversation_id = ?",
            command.tenant,
            conversation_id,
        )
        try:
            facts = codec.merge_facts(codec.decode(row["facts"]), command.request.facts)
        except FactsError as error:
            raise RequestError(str(error), code="bad_facts", field="facts") from error
        tx.run(
            "UPDATE conversations SET facts = ? WHERE tenant = ? AND conversation_id = ?",
            codec.encode(facts),
            command.tenant,
            conversation_id,
        )
    reply = Reply(wait["run_id"], wait["wait_id"], command.request.text, by="user", tenant=command.tenant)
    replied = waits.answer(tx, reply)
    took = Took("reply", wait["run_id"], wait["wait_id"])
    origins.remember(tx, command, mark, took)
    origins.add_address(tx, wait["run_id"], command)
    return Accepted(wait["run_id"], conversation_id, "reply", True, replied.publish)


def _insert(tx: Transaction, command: Accept, conversation_id: str) -> Any:
    """Insert the run, its hop 0 blocked until it has the conversation; return its row."""
    request = command.request
    position = tx.one(
        "INSERT INTO conversations (tenant, conversation_id, facts, next_position) VALUES (?, ?, '{}', 1) "
        "ON CONFLICT DO UPDATE SET next_position = next_position + 1 RETURNING next_position - 1",
        command.tenant,
        conversation_id,
    )[0]
    run = tx.one(
        "INSERT INTO runs (run_id, tenant, conversation_id, position, status, request, blocked_text, max_hops, "
        "deadline_at, batch, root_run_id, trace_id, traceparent, tracestate, caller, accepted_at) "
        "VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        command.run_id,
        command.tenant,
        conversation_id,
        position,
        codec.encode(request.model_dump(exclude={"text"}, exclude_none=True)),
        request.text,
        request.max_hops or command.max_hops,
        None if request.deadline_s is None else tx.now + request.deadline_s,
        command.batch,
        command.run_id,
        stored.trace_id(command),
        command.traceparent,
        command.tracestate,
        command.caller,
        tx.now,
    )
    tx.run(
        "INSERT INTO hops (run_id, seq, agent, kind, status, pending_since, head, digest) "
        "VALUES (?, 0, 'router', 'route', 'blocked', ?, '', '')",
        command.run_id,
        tx.now,
    )
    rows.add_events(tx, command.run_id, [NewEvent("accepted", 0, {"position": position})])
    origins.add_address(tx, command.run_id, command)
    return run
