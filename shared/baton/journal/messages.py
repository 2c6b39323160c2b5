"""Messages that the journal keeps beside runs: results to send, and what nothing could be made of.

In: nothing; plain data. Out: used by the router's edge and by every journal.
"""

from dataclasses import dataclass, field
from typing import Any

from baton.request import Result


@dataclass(frozen=True, slots=True)
class DueResult:
    """A result or a question that is on its way to a requester."""

    delivery_id: str
    reply_to: str
    correlation_id: str | None
    message_id: str
    """The same each time this result is published."""
    result: Result
    """With its question, where the run waits."""
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message that nothing could be made of, or that the broker gave up on."""

    source: str
    """The queue."""
    body: bytes
    reason: str
    """What is wrong with it, for a person."""
    headers: dict[str, Any] = field(default_factory=dict)
    """JSON: its headers, and `message_id`, `reply_to`, `correlation_id`, `user_id` where it had them."""
