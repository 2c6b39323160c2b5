"""The hop that follows: the next agent's envelope, made from this one's.

In: a hop's context and where control goes. Out: the row of the next hop, and the body for its queue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from baton.envelope import WIRE_LIMIT_BYTES, Budget, Envelope, Guard, Message, TrailEntry, reference
from baton.journal.records import Lease, NewHop
from baton.protocol import guards, transfer


@dataclass(frozen=True, slots=True)
class HopContext:
    """Everything that settling a hop needs to know."""

    envelope: Envelope
    lease: Lease
    graph: guards.Graph
    facts: dict[str, Any]
    """The conversation's facts now."""
    log_length: int
    """Messages in the conversation's log."""
    log: tuple[Message, ...] = ()
    """The whole log; needed to hand off, not to answer or ask."""
    attempt: int = 1
    max_attempts: int = 6
    has_new_steps: bool = False
    """True where the hop recorded a step whose name or input is new in this run."""
    claimed_at: float = 0.0
    """When the attempt was claimed, by the journal's clock; Unix seconds."""
    deadline_left_s: float | None = None
    needs: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    """What agents need of the facts, by name, as far as this process knows them."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Where control goes next, before it is put into rows."""

    to: str
    kind: str
    did: str
    reason: str
    facts: dict[str, Any]
    messages: tuple[Message, ...]
    guard: Guard
    summary: str | None = None
    skill: str | None = None
    shift: tuple[tuple[str, float], ...] = ()


def next_hop(
    context: HopContext, step: NextStep, *, log_length: int, status: Literal["pending", "waiting"]
) -> tuple[NewHop, bytes, Envelope]:
    """Return the row of the hop that follows, the body for its queue, and what the body encodes.

    A waiting hop's body is only a reference: what it will see is known when the wait is over.
    """
    envelope = context.envelope
    following = envelope.model_copy(
        update={
            "seq": envelope.seq + 1,
            "agent": step.to,
            "from_agent": envelope.agent,
            "kind": step.kind,
            "skill": step.skill,
            "reason": step.reason,
            "summary": step.summary,
            "facts": step.facts,
            "trail": (*envelope.trail, _entry(envelope, step)),
            "budget": _spent(envelope.budget, step, context.deadline_left_s),
            "guard": step.guard,
            "reply": None,
            "shift": step.shift,
            "log_length": log_length,
            "spans": transfer.spans([message.position for message in step.messages]),
            "messages": step.messages,
            "text": _text(envelope, step.messages),
        }
    )
    head = following.head()
    body, digest = following.wire(head)
    if len(body) > WIRE_LIMIT_BYTES or status == "waiting":
        body, digest = reference(envelope.run_id, following.seq, step.to), ""
    hop = NewHop(following.seq, step.to, envelope.agent, following.kind, status, head, digest)
    return hop, body, following


def _text(envelope: Envelope, messages: tuple[Message, ...]) -> str | None:
    """Return the request's text where its message does not cross."""
    crosses = any(message.position == envelope.text_position for message in messages)
    return None if crosses else envelope.request_text


def _entry(envelope: Envelope, step: NextStep) -> TrailEntry:
    return TrailEntry(
        seq=envelope.seq,
        agent=envelope.agent,
        did=step.did,
        to=step.to,
        reason=step.reason,
        progress=step.guard.progress,
    )


def _spent(budget: Budget, step: NextStep, deadline_left_s: float | None) -> Budget:
    """Return what is left: replies and hops to a person use up no hop."""
    counts = step.kind != "reply" and step.to != guards.HUMAN
    return Budget(
        max_hops=budget.max_hops,
        hops_left=budget.hops_left - counts,
        deadline_left_s=deadline_left_s,
        tokens_left=budget.tokens_left,
        cost_left=budget.cost_left,
    )
