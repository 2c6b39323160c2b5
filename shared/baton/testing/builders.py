"""Turns and envelopes for tests that call a handler directly.

In: what matters to the test. Out: a `Turn` whose steps are recorded in memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from baton import ids
from baton.envelope import Budget, Envelope, Message
from baton.hop.steps import Steps
from baton.hop.turn import Turn
from baton.journal.records import Step
from baton.protocol.transfer import spans


def make_envelope(text: str = "hello", **changes: Any) -> Envelope:
    """Return an envelope of hop 1 with `text` as its only message; `changes` replace fields."""
    message = Message(position=0, role="user", text=text)
    run_id = ids.new_run_id()
    fields = {
        "run_id": run_id,
        "conversation_id": run_id,
        "seq": 1,
        "agent": "agent",
        "from_agent": "router",
        "kind": "handoff",
        "budget": Budget(max_hops=16, hops_left=15),
        "messages": (message,),
        "spans": spans([0]),
    }
    if "messages" in changes:
        fields["text"] = text
    return Envelope.model_validate({**fields, **changes})


class RecordedTurn(Turn):
    """A turn for a test; keeps what its function did beside returning."""

    def __init__(self, envelope: Envelope, *, attempt: int, recorded: Sequence[Step], resources: Any) -> None:
        self.recorded: dict[str, Step] = {}
        """Steps by key, in the order in which they were recorded."""
        self.emitted: list[Any] = []
        """Progress that was emitted."""

        async def write(step: Step) -> bool:
            self.recorded[step.key] = step
            return True

        async def emit(progress: Any) -> None:
            self.emitted.append(progress)

        async def read_history() -> Sequence[Message]:
            return envelope.messages

        super().__init__(
            envelope,
            steps=Steps(
                envelope.seq,
                envelope.agent,
                root_run_id=envelope.run_id,
                attempt=attempt,
                recorded=recorded,
                write=write,
            ),
            attempt=attempt,
            deadline_at=None,
            resources=resources,
            read_history=read_history,
            emit=emit,
        )


def make_turn(
    text: str = "hello",
    *,
    facts: Mapping[str, Any] | None = None,
    skill: str | None = None,
    reply: str | None = None,
    reason: str = "",
    from_agent: str = "router",
    kind: Literal["route", "handoff", "reply", "resume"] = "handoff",
    messages: Sequence[Message] | None = None,
    resources: Any = None,
    recorded: Sequence[Step] = (),
    attempt: int = 1,
    agent: str = "agent",
) -> RecordedTurn:
    """Return a turn as an agent would get it, for `await handler(make_turn(text="…"))`.

    Args:
        text: The request.
        facts: The conversation's facts.
        skill: The skill the router chose.
        reply: The user's reply, for a turn of kind `reply`.
        reason: Why it was handed over.
        from_agent: Who handed it over.
        kind: What kind of hop it is.
        messages: The transferred messages; None: the request alone.
        resources: What `turn.resources` is.
        recorded: Steps recorded by an earlier attempt (`turn.recorded.values()` of another turn).
        attempt: 1-based.
        agent: Whose turn it is.
    """
    changes: dict[str, Any] = {
        "facts": dict(facts or {}),
        "skill": skill,
        "reply": reply,
        "reason": reason,
        "from_agent": from_agent,
        "kind": "reply" if reply is not None else kind,
        "agent": agent,
    }
    if messages is not None:
        log = tuple(messages)
        changes |= {"messages": log, "log_length": len(log), "spans": spans([one.position for one in log])}
    envelope = make_envelope(text, **changes)
    return RecordedTurn(envelope, attempt=attempt, recorded=recorded, resources=resources)
