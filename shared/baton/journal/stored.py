"""Rows as records and views: both journals name their columns alike.

In: rows that can be asked for their columns by name. Out: what callers of the journal get.
"""

import math
from collections.abc import Sequence
from typing import Any

from baton import codec
from baton.envelope import Message
from baton.journal.records import Accept, NewEvent, NewHop, NewWait, PendingHop, RunEnd, RunState, Step, WaitKind
from baton.journal.views import (
    DecisionView,
    EventView,
    HopView,
    HopWindow,
    RunView,
    StepView,
    WaitView,
    WindowHop,
)
from baton.propagation import TraceContext
from baton.request import Failure, Question


def pending(run: Any, hop: Any) -> PendingHop:
    """Return what to publish of a hop that became pending."""
    return PendingHop(
        run["run_id"],
        hop["seq"],
        hop["agent"],
        hop["from_agent"] or "",
        run["tenant"],
        run["traceparent"],
        run["tracestate"],
    )


def following(run: Any, hop: NewHop) -> PendingHop:
    """Return what to publish of a new hop of the run."""
    return PendingHop(
        run["run_id"], hop.seq, hop.agent, hop.from_agent, run["tenant"], run["traceparent"], run["tracestate"]
    )


def trace_id(command: Accept) -> str:
    """Return the trace that a run belongs to: its own, unless it continues its caller's."""
    root = TraceContext.read(command.traceparent)
    return command.run_id if root is None else root.trace_id


def result_bytes(end: RunEnd) -> bytes:
    """Return the answer of a run as it is stored."""
    return codec.encode({"text": end.text, "data": end.data})


def error_bytes(end: RunEnd) -> bytes | None:
    """Return the failure of a run as it is stored."""
    return None if end.error is None else end.error.model_dump_json().encode()


def attempt_event(hop: Any, lost: Sequence[float] | None) -> NewEvent:
    """Return the event of a claim that is not the hop's first attempt.

    Args:
        hop: The row, claimed.
        lost: When the attempt before it began, and until when its worker was believed to live; None: it had ended.
    """
    seen = {"agent": hop["agent"], "attempt": hop["attempt"]}
    return NewEvent("attempt", hop["seq"], seen if lost is None else {**seen, "lost": list(lost)})


def exhausted_event(hop: Any, failure: Failure, lost: Sequence[float] | None) -> NewEvent:
    """Return the event of a hop whose attempts are used up; `lost` as in `attempt_event`."""
    seen = {"code": failure.code, "message": failure.message}
    return NewEvent("failed", hop["seq"], seen if lost is None else {**seen, "lost": list(lost)})


def undeliverable(reply_to: str) -> NewEvent:
    """Return the event of a result that has nowhere to go."""
    return NewEvent("undeliverable", 0, {"reply_to": reply_to})


def as_message(row: Any) -> Message:
    """Return a row of `messages` as a message."""
    return Message(
        position=row["position"],
        role=row["role"],
        name=row["name"],
        text=row["text"],
        data=None if row["data"] is None else codec.decode(row["data"]),
    )


def as_step(row: Any) -> Step:
    """Return a row of `steps` as a record."""
    return Step(
        row["scope"],
        row["key"],
        row["status"],
        row["input_sha"],
        row["result"],
        row["idempotency_key"],
        row["effect"],
        row["seq"],
        row["attempt"],
        row["started_at"],
        row["ended_at"],
    )


def as_wait(row: Any) -> NewWait:
    """Return a row of `waits` as the wait it was."""
    return NewWait(
        row["wait_id"],
        row["seq"],
        row["kind"],
        row["agent"],
        row["prompt"],
        tuple(codec.decode(row["options"])),
        row["deadline_s"],
        row["on_timeout"],
        row["step_key"],
        row["step_scope"],
        row["input_sha"],
    )


def run_state(run: Any, kind: str) -> RunState:
    """Return what a worker has to know of the run beside the envelope.

    Args:
        run: A row with the run's columns and its conversation's.
        kind: The hop's; only the router is given the request.
    """
    return RunState(
        tenant=run["tenant"],
        root_run_id=run["root_run_id"],
        request=codec.decode(run["request"]) if kind == "route" else {},
        deadline_at=run["deadline_at"],
        active_agent=run["active_agent"],
        active_at=run["active_at"],
        facts=codec.decode(run["facts"]),
        log_length=run["log_length"],
    )


def run_view(row: Any, text: str) -> RunView:
    """Return a row of `runs` as a view; `text` is the request's."""
    answer = codec.decode(row["result"]) if row["result"] else {}
    return RunView(
        run_id=row["run_id"],
        conversation_id=row["conversation_id"],
        tenant=row["tenant"],
        status=row["status"],
        agent=row["agent"],
        text=text,
        answer=answer.get("text"),
        error=failure(row["error"]),
        batch=row["batch"],
        redrive_of=row["redrive_of"],
        stop=row["stop"],
        accepted_at=row["accepted_at"],
        ended_at=row["ended_at"],
        deadline_at=row["deadline_at"],
        traceparent=row["traceparent"],
        caller=row["caller"],
    )


def hop_view(row: Any) -> HopView:
    """Return a row of `hops` as a view."""
    head = codec.decode(row["head"]) if row["head"] else {}
    due_at = None if row["due_at"] == math.inf else row["due_at"]
    own = {"head": head, "due_at": due_at, "outcome": _json(row["outcome"]), "error": failure(row["error"])}
    given = {**dict(row), **own}
    return HopView.model_validate(given)


CLOCKS_APART_S = 3600.0
"""How far a sender's clock, which run ids begin with, may be behind the journal's in a window, in seconds."""
WINDOW = (
    "h.run_id, h.seq, h.agent, h.from_agent, h.kind, h.status, h.token, h.pending_since, h.started_at, h.ended_at, "
    "r.status AS run_status, r.redrive_of, r.accepted_at"
)
"""What `window` reads of hops `h` and their runs `r`."""


def window(rows: Sequence[Any], limit: int) -> HopWindow:
    """Return rows of hops, by run, as a window of at most `limit` runs; the oldest go first."""
    run_ids = sorted({row["run_id"] for row in rows})
    left_out = set(run_ids[: max(0, len(run_ids) - limit)])
    return HopWindow(
        hops=tuple(_window_hop(row) for row in rows if row["run_id"] not in left_out), is_cut=bool(left_out)
    )


def _window_hop(row: Any) -> WindowHop:
    started_at, ended_at = row["started_at"], row["ended_at"]
    is_first = row["token"] == 1 and started_at is not None and row["pending_since"] <= started_at
    return WindowHop(
        run_id=row["run_id"],
        seq=row["seq"],
        agent=row["agent"],
        from_agent=row["from_agent"],
        kind=row["kind"],
        is_failed=row["status"] == "failed" and row["run_status"] == "failed",
        is_copied=row["redrive_of"] is not None and ended_at is not None and ended_at <= row["accepted_at"],
        queue_s=started_at - row["pending_since"] if is_first else None,
    )


def step_view(row: Any) -> StepView:
    """Return a row of `steps` as a view."""
    return StepView.model_validate({**dict(row), "result": codec.decode(row["result"])})


def wait_view(row: Any) -> WaitView:
    """Return a row of `waits` as a view."""
    given = {**dict(row), "options": codec.decode(row["options"]), "answer": _json(row["answer"])}
    return WaitView.model_validate(given)


def decision_view(row: Any) -> DecisionView:
    """Return a row of a run with its first routing decision as a view."""
    return DecisionView.model_validate({**dict(row), "routed": codec.decode(row["routed"])})


def event_view(row: Any) -> EventView:
    """Return a row of `events` as a view."""
    return EventView.model_validate({**dict(row), "data": codec.decode(row["data"])})


def question(row: Any) -> Question:
    """Return an open wait as its requester or a person sees it."""
    kind: WaitKind = row["kind"]
    return Question(
        wait_id=row["wait_id"],
        kind=kind,
        question=row["prompt"],
        options=tuple(codec.decode(row["options"])),
        deadline_at=row["deadline_at"],
    )


def how_ended(wait: Any) -> str:
    """Return in words what became of a wait that is over."""
    if wait["status"] != "answered":
        return str(wait["status"])
    given = codec.decode(wait["answer"])
    what = given["decision"] or (f"handed to {given['handoff']}" if given["handoff"] else f"{given['text']!r}")
    return f"answered by {given['by']}: {what}"


def failure(stored: bytes | None) -> Failure | None:
    """Return a failure that a row holds; None: it holds none."""
    return None if stored is None else Failure.model_validate_json(stored)


def _json(stored: bytes | None) -> Any:
    return None if stored is None else codec.decode(stored)
