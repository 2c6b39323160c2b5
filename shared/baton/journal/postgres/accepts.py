"""Requests that begin a conversation, many in one call.

In: an `Accept` each. Out: the runs with their hop 0. What needs a decision is left to `accepting`.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from baton import codec
from baton.envelope import Message
from baton.errors import FactsError
from baton.journal import marks
from baton.journal.postgres import accepting
from baton.journal.postgres.connecting import Connection
from baton.journal.postgres.lanes import SLOW, Kind, Order, Slow
from baton.journal.records import Accept, Accepted, Claim, ClaimCommand, Lease, PendingHop, RunState
from baton.protocol.guards import ROUTER
from baton.protocol.opening import opening


def is_plain(command: Accept) -> bool:
    """Return True for a request that a call may accept: no repetition has to be looked for, its facts fit."""
    if command.key is None and command.redelivery_key is not None and command.is_redelivered:
        return False
    try:
        codec.merge_facts({}, command.request.facts)
    except FactsError:
        return False
    return command.claim is None or (command.claim.run_id, command.claim.seq) == (command.run_id, 0)


def _columns(command: Accept) -> tuple[object, ...]:
    request, mark = command.request, marks.of_accept(command)
    facts = codec.merge_facts({}, request.facts)
    max_hops = request.max_hops or command.max_hops
    conversation_id = request.conversation_id or command.run_id
    envelope = opening(
        command.run_id, command.tenant, conversation_id, request, facts=facts, text_position=0, max_hops=max_hops
    )
    claim = command.claim
    return (
        command.run_id,
        command.tenant,
        conversation_id,
        command.key,
        mark.body_hash,
        command.redelivery_key,
        accepting.request_bytes(command),
        request.text,
        codec.encode(facts),
        envelope.head(),
        max_hops,
        request.deadline_s,
        command.batch,
        command.traceparent,
        command.tracestate,
        command.caller,
        command.reply_to,
        command.correlation_id,
        claim.claim_id if claim else None,
        claim.owner if claim else None,
        claim.lease_s if claim else None,
        command.tenant_running,
    )


async def _read(_: Connection, batch: Sequence[Order[Accept, Accepted]], found: list[Any]) -> list[Accepted | Slow]:
    became: list[Accepted | Slow] = [SLOW] * len(batch)
    for row in found:
        order = batch[row["item"] - 1]
        became[row["item"] - 1] = _accepted(order.command, order.columns, row)
    return became


def _accepted(command: Accept, columns: tuple[Any, ...], row: Any) -> Accepted:
    conversation_id = columns[2]
    if row["has_to_wait"]:
        return Accepted(command.run_id, conversation_id, "run", is_new=True)
    if command.claim is not None:
        claim = _claim(command, command.claim, columns, row["accepted_at"])
        return Accepted(command.run_id, conversation_id, "run", is_new=True, claim=claim)
    publish = PendingHop(
        command.run_id, 0, ROUTER, tenant=command.tenant, traceparent=command.traceparent, tracestate=command.tracestate
    )
    return Accepted(command.run_id, conversation_id, "run", True, (publish,))


def _claim(command: Accept, wish: ClaimCommand, columns: tuple[Any, ...], now: float) -> Claim:
    """Return hop 0 as `accept_runs` has claimed it: everything about it was just given."""
    request, facts, head, deadline_s = columns[6], columns[8], columns[9], columns[11]
    return Claim(
        lease=Lease(command.run_id, 0, 1),
        agent=wish.agent,
        attempt=1,
        pending_since=now,
        run=RunState(
            tenant=command.tenant,
            root_run_id=command.run_id,
            request=codec.decode(request),
            deadline_at=None if deadline_s is None else now + deadline_s,
            active_agent=None,
            active_at=None,
            facts=codec.decode(facts),
            log_length=1,
        ),
        now=now,
        head=head,
        messages=(Message(position=0, role="user", text=command.request.text),),
        traceparent=command.traceparent,
        tracestate=command.tracestate,
        caller=command.caller,
        accepted_at=now,
    )


def _rivals(command: Accept) -> tuple[Hashable, ...]:
    conversation = (command.tenant, command.request.conversation_id or command.run_id)
    rivals: list[Hashable] = [command.run_id, conversation]
    if command.key is not None:
        rivals.append((command.tenant, "key", command.key))
    return tuple(rivals)


ACCEPT: Kind[Accept, Accepted] = Kind(
    name="accept",
    sql=f"SELECT * FROM accept_runs({', '.join(f'${n}' for n in range(1, 23))})",
    columns=_columns,
    order=lambda command: (command.tenant, command.request.conversation_id or command.run_id),
    rivals=_rivals,
    arguments=lambda columns: list(zip(*columns, strict=True)),
    read=_read,
    alone=lambda command: lambda tx: accepting.accept(tx, command),
)
"""Accept requests that begin a conversation."""
