"""What a handoff took along: the receiver's context against the full log and the sender's facts.

In: a run's hops, its `handoff` events and the conversation's log. Out: one `Crossing` per handoff.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baton import codec
from baton.envelope import Message
from baton.journal.views import EventView, HopView


@dataclass(frozen=True, slots=True)
class Crossing:
    """One handoff, as its receiver saw it."""

    seq: int
    """The receiver's hop."""
    sender: str
    receiver: str
    reason: str
    log_length: int
    """Messages in the conversation's log at that time."""
    received: tuple[int, ...]
    """Positions of the messages that crossed."""
    dropped: tuple[int, ...]
    """Positions of those that did not; `turn.history()` still gives them."""
    received_bytes: int
    log_bytes: int
    """Size of the whole log at that time, texts and data."""
    wire_bytes: int | None
    """Size of the envelope; None where nothing was published."""
    summary: str | None
    facts_kept: tuple[str, ...]
    """Names of facts that crossed unchanged."""
    facts_changed: tuple[str, ...]
    """Names of facts that the handoff added or replaced."""
    facts_lost: tuple[str, ...]
    """Names of facts that the handoff deleted."""


def crossings(hops: Sequence[HopView], events: Sequence[EventView], log: Sequence[Message]) -> list[Crossing]:
    """Return a run's handoffs in order, the router's included."""
    sizes = {message.position: _size(message) for message in log}
    told = {event.seq: event.data for event in events if event.type == "handoff"}
    heads = {hop.seq: hop.head for hop in hops}
    return [
        _crossing(hop, heads.get(hop.seq - 1, {}), told.get(hop.seq - 1, {}), sizes)
        for hop in hops
        if hop.from_agent and hop.from_agent != hop.agent
    ]


def _crossing(hop: HopView, before: Mapping[str, Any], told: Mapping[str, Any], sizes: Mapping[int, int]) -> Crossing:
    head = hop.head
    length = int(head.get("log_length", 0))
    received = tuple(position for first, end in head.get("spans", ()) for position in range(first, min(end, length)))
    facts, had = dict(head.get("facts", {})), dict(before.get("facts", {}))
    changed = {name for name, value in facts.items() if name not in had or had[name] != value}
    return Crossing(
        seq=hop.seq,
        sender=str(hop.from_agent),
        receiver=hop.agent,
        reason=str(head.get("reason", "")),
        log_length=length,
        received=received,
        dropped=tuple(sorted(set(range(length)) - set(received))),
        received_bytes=sum(sizes.get(position, 0) for position in received),
        log_bytes=sum(sizes.get(position, 0) for position in range(length)),
        wire_bytes=told.get("bytes") if told.get("to") == hop.agent else None,
        summary=head.get("summary"),
        facts_kept=tuple(sorted(facts.keys() - changed)),
        facts_changed=tuple(sorted(changed)),
        facts_lost=tuple(sorted(had.keys() - facts.keys())),
    )


def _size(message: Message) -> int:
    return len(message.text.encode()) + (0 if message.data is None else len(codec.encode(message.data)))
