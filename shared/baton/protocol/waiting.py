"""What ends a wait, and what follows from it.

In: the wait, the hop that stands still, and a reply or the deadline. Out: a `Resumption`, which the
journal carries out when the run has its conversation again.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from baton import codec, ids
from baton.envelope import Envelope, TrailEntry
from baton.errors import RequestError
from baton.journal.records import NewHop, NewMessage, NewWait, Reply, RunEnd, Step
from baton.outcome import Approval
from baton.protocol.guards import HUMAN, Graph
from baton.protocol.transfer import extend
from baton.request import Failure

RELEASING = frozenset({"approval", "human", "review"})
"""Waits for a person: the run gives its conversation free and queues again when it resumes."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """What the end of a wait does to the run."""

    does: Literal["resume", "end", "hand_on"]
    """`resume`: the hop becomes pending. `end`: the run ends. `hand_on`: another hop follows."""
    head: bytes | None = None
    """The hop's new head (resume), or that of the next hop is in `next` (hand_on)."""
    message: NewMessage | None = None
    step: Step | None = None
    """The record that the answer is, for the replay to find."""
    forgets_step: bool = False
    """True: what stands under the step's key is deleted first, so that it runs again or is replaced."""
    end: RunEnd | None = None
    next: NewHop | None = None
    wait: NewWait | None = None
    """The wait of the next hop, where that is a person's."""
    event: dict[str, Any] | None = None


def check_reply(wait: NewWait, reply: Reply, graph: Graph) -> None:
    """Refuse a reply that this kind of wait cannot take.

    Raises:
        RequestError: Says what was given and what the wait takes.
    """
    given = "handoff" if reply.handoff else reply.decision or ("text" if reply.text is not None else "nothing")
    takes = {
        "user": ("text",),
        "approval": ("approve", "reject"),
        "human": ("text", "reject", "handoff"),
        "review": ("approve", "reject", "text"),
    }[wait.kind]
    if reply.is_requesters and wait.kind != "user":
        raise RequestError(
            f"the run waits for a person ({wait.kind}), who answers by `baton reply`; a requester answers kind 'user'",
            code="not_yours",
            field="reply",
        )
    if given not in takes:
        raise RequestError(
            f"a wait of kind {wait.kind!r} takes {' or '.join(takes)}; seen: {given}",
            code="bad_reply",
            field="reply",
        )
    codec.checked_text(reply.by, field="reply.by")
    for name, text in (("text", reply.text), ("reason", reply.reason or None)):
        if text is not None:
            codec.checked_text(text, field=f"reply.{name}")
    if reply.handoff and reply.handoff not in graph.cards:
        known = ", ".join(sorted(graph.cards))
        raise RequestError(
            f"{reply.handoff!r} is no registered agent; registered are {known}",
            code="unknown_agent",
            field="handoff",
        )


def caught_up(hop: Envelope, facts: dict[str, Any], log_length: int) -> Envelope:
    """Return a waiting hop's envelope with what its conversation has become meanwhile."""
    spans = hop.spans
    for position in range(hop.log_length, log_length):
        spans = extend(spans, position)
    return hop.model_copy(update={"facts": facts, "log_length": log_length, "spans": spans})


def resumption(wait: NewWait, hop: Envelope, reply: Reply, current: Envelope | None = None) -> Resumption:
    """Return what a reply that `check_reply` let through does.

    Args:
        wait: What the hop waits for.
        hop: The hop as it was when the wait began: what a replay has to see again.
        reply: The answer.
        current: The hop `caught_up`: what a new turn gets; None: nothing has changed since.
    """
    now = current or hop
    if (reply.decision or reply.handoff) and reply.text and not reply.reason:
        reply = replace(reply, reason=reply.text)
    seen = {"by": reply.by, "reason": reply.reason, "decision": reply.decision, "wait_id": wait.wait_id}
    event = {key: value for key, value in seen.items() if value}
    if wait.kind == "user":
        return _user_reply(now, str(reply.text), event)
    if wait.kind == "human":
        return _human_reply(now, reply, event)
    if wait.kind == "approval":
        granted = reply.decision == "approve"
        return _recorded(wait, hop, Approval(granted, reply.by, reply.reason), event)
    return _review(wait, hop, reply, event)


def expiry(wait: NewWait, hop: Envelope, current: Envelope | None = None) -> Resumption:
    """Return what the deadline of a wait does; for the arguments see `resumption`."""
    event = {"by": "deadline", "wait_id": wait.wait_id, "on_timeout": wait.on_timeout}
    if wait.on_timeout == "deny":
        told = f"nobody answered within {wait.deadline_s:g} s"
        return _recorded(wait, hop, Approval(False, "deadline", told), event)
    if wait.on_timeout == "escalate":
        reason = f"no answer within {wait.deadline_s:g} s to: {wait.prompt[:200]}"
        waits = NewWait(ids.new_id(), hop.seq + 1, "human", HUMAN, reason)
        return Resumption("hand_on", next=_hand_on(current or hop, HUMAN, reason), wait=waits, event=event)
    error = Failure(
        code="wait_expired",
        message=f"no answer within {wait.deadline_s:g} s to the {wait.kind} wait of agent {wait.agent!r}",
        agent=wait.agent,
        details={"wait_id": wait.wait_id},
    )
    return Resumption("end", end=RunEnd("failed", wait.agent, error=error), event=event)


def _user_reply(hop: Envelope, text: str, event: dict[str, Any]) -> Resumption:
    resumed = hop.model_copy(
        update={
            "reply": text,
            "log_length": hop.log_length + 1,
            "spans": extend(hop.spans, hop.log_length),
            "guard": hop.guard.model_copy(update={"progress": hop.guard.progress + 1}),
        }
    )
    return Resumption("resume", head=resumed.head(), message=NewMessage("user", None, text), event=event)


def _human_reply(hop: Envelope, reply: Reply, event: dict[str, Any]) -> Resumption:
    note = NewMessage("person", reply.by, reply.text) if reply.text else None
    if reply.handoff:
        reason = reply.reason or f"given on by {reply.by}"
        heard = hop if note is None else caught_up(hop, hop.facts, hop.log_length + 1)
        following = _hand_on(heard, reply.handoff, reason)
        return Resumption("hand_on", message=note, next=following, event={**event, "to": reply.handoff})
    if reply.decision == "reject":
        told = reply.reason or "no reason given"
        error = Failure(code="declined", message=f"{reply.by} declined: {told}", agent=HUMAN)
        return Resumption("end", end=RunEnd("failed", HUMAN, error=error), event=event)
    return Resumption("end", message=note, end=RunEnd("completed", HUMAN, reply.text), event=event)


def _review(wait: NewWait, hop: Envelope, reply: Reply, event: dict[str, Any]) -> Resumption:
    if reply.decision == "reject":
        told = reply.reason or "no reason given"
        message = f"{reply.by} stopped the run at step {wait.step_key!r}: {told}"
        error = Failure(code="review_rejected", message=message, agent=wait.agent)
        return Resumption("end", end=RunEnd("failed", wait.agent, error=error), event=event)
    if reply.decision == "approve":
        return Resumption("resume", head=_as_resumed(hop), forgets_step=True, event=event)
    try:
        result = codec.decode(str(reply.text))
    except ValueError:
        result = reply.text
    return replace(_recorded(wait, hop, result, event), forgets_step=True)


def _recorded(wait: NewWait, hop: Envelope, result: object, event: dict[str, Any]) -> Resumption:
    step = Step(wait.step_scope, str(wait.step_key), "done", wait.input_sha, codec.encode(result), seq=hop.seq)
    return Resumption("resume", head=_as_resumed(hop), step=step, event=event)


def _as_resumed(hop: Envelope) -> bytes:
    guard = hop.guard.model_copy(update={"progress": hop.guard.progress + 1})
    return hop.model_copy(update={"kind": "resume", "guard": guard}).head()


def _hand_on(hop: Envelope, to: str, reason: str) -> NewHop:
    entry = TrailEntry(
        seq=hop.seq, agent=hop.agent, did="handoff", to=to, reason=reason, progress=hop.guard.progress + 1
    )
    following = hop.model_copy(
        update={
            "seq": hop.seq + 1,
            "agent": to,
            "from_agent": hop.agent,
            "kind": "handoff",
            "skill": None,
            "reason": reason,
            "reply": None,
            "trail": (*hop.trail, entry),
            "guard": hop.guard.model_copy(update={"progress": hop.guard.progress + 1}),
        }
    )
    status: Literal["waiting", "pending"] = "waiting" if to == HUMAN else "pending"
    return NewHop(following.seq, to, hop.agent, "handoff", status, following.head(), "")
