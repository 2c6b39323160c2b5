"""A run's events as lines: when, which hop, and what happened in words.

In: events. Out: lines for `show`, `watch` and `run --send`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from baton import codec
from baton.cli import printing
from baton.journal.views import EventView

Data = Mapping[str, Any]


def line(event: EventView, *, since: float) -> str:
    """Return an event as one line, with its time in seconds after `since`, a Unix time."""
    return stamp(event, since=since) + printing.one_line(said(event))


def wrapped(event: EventView, *, since: float) -> str:
    """Return the same on as many lines as it needs for a page."""
    return printing.wrapped(printing.one_line(said(event)), first=stamp(event, since=since))


def stamp(event: EventView, *, since: float) -> str:
    """Return when and at which hop it happened, and of what type it is."""
    return f"{event.at - since:+9.3f} s  hop {event.seq:<2}  {event.type:<11}  "


def said(event: EventView) -> str:
    """Return what happened, in words; an event of an unknown type as its data."""
    tell = _WORDS.get(event.type)
    if tell is not None:
        return tell(event.data)
    return codec.encode(event.data).decode() if event.data else ""


def _accepted(data: Data) -> str:
    if data.get("redrive_of"):
        return f"goes on where run {data['redrive_of']} ended; redriven by {data.get('by')}"
    position = data.get("position")
    return f"request {position + 1} of its conversation" if position else "a new conversation"


def _routed(data: Data) -> str:
    to = f"{data.get('agent')} / {data['skill']}" if data.get("skill") else data.get("agent") or "nobody"
    sure = f", confidence {data['confidence']:.2f}" if data.get("threshold") else ""
    needed = f" (needed {data['threshold']:.2f})" if sure else ""
    then = f"; next {data['runner_up']}, behind by {data.get('margin', 0):.2f}" if data.get("runner_up") else ""
    note = f"; {data['note']}" if data.get("note") and data["note"] != data.get("reason") else ""
    return f"{data.get('how')} → {to}{sure}{needed}: {data.get('reason')}{note}{then}"


def _handoff(data: Data) -> str:
    of = f"{data.get('messages')} of {printing.counted(data.get('of', 0), 'message')}"
    facts = printing.listed(data.get("facts", ()))
    size = printing.sized(data.get("bytes", 0))
    return f"{data.get('from')} → {data.get('to')}: {data.get('reason')} [{of}, facts: {facts}; {size}]"


def _wait(data: Data) -> str:
    return f"waits for {data.get('kind')}: {data.get('prompt')}"


def _resumed(data: Data) -> str:
    did = f"handed to {data['to']}" if data.get("to") else data.get("decision") or "answered"
    why = f": {data['reason']}" if data.get("reason") else ""
    return f"{did} by {data.get('by', 'somebody')}{why}"


def _retry(data: Data) -> str:
    return f"attempt {data.get('attempt')} failed, next in {data.get('delay_s', 0):.2f} s: {_failure(data)}"


def _failure(data: Data) -> str:
    return f"{data['code']}: {data.get('message')}" if data.get("code") else str(data.get("agent", ""))


_WORDS: dict[str, Callable[[Data], str]] = {
    "accepted": _accepted,
    "queued": lambda data: f"until its tenant has fewer than {data.get('tenant_running')} runs under way",
    "admitted": lambda _: "its tenant has room",
    "attempt": lambda data: f"attempt {data.get('attempt')} of {data.get('agent')}",
    "routed": _routed,
    "handoff": _handoff,
    "answer": lambda data: f"{data.get('agent')} answered",
    "ask": lambda data: f"{data.get('agent')} asked its user",
    "wait": _wait,
    "resumed": _resumed,
    "retry": _retry,
    "handed_back": lambda _: "given up unfinished, for any replica to take",
    "stopped": _failure,
    "completed": lambda data: f"by {data.get('agent')}",
    "failed": _failure,
    "cancelled": _failure,
    "redriven": lambda data: f"by {data.get('by')}, as run {data.get('as')}",
    "discarded": lambda data: f"from the list of the dead by {data.get('by')}",
    "undeliverable": lambda data: f"there is no queue {data.get('reply_to')!r} for the result",
    "progress": lambda data: f"{data.get('agent')}: {codec.encode(data.get('progress')).decode()}",
}
