"""A span as plain data: made by pure functions, written by whatever watches.

In: `layout` and `rebuilt` make them. Out: `setup` hands them to the OpenTelemetry SDK, `baton trace` draws them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from baton.propagation import TraceContext

NOTHING: Mapping[str, Any] = MappingProxyType({})
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class SpanEvent(NamedTuple):
    """Something that happened at one moment of a span."""

    name: str
    at: float
    attributes: Mapping[str, Any] = NOTHING


class SpanRecord(NamedTuple):
    """A span that is over."""

    name: str
    kind: Kind
    context: TraceContext
    parent_id: str | None
    """16 hex digits; None: the root of its trace."""
    start_at: float
    """Unix seconds."""
    end_at: float
    attributes: Mapping[str, Any] = NOTHING
    links: tuple[TraceContext, ...] = ()
    events: tuple[SpanEvent, ...] = ()
    error: str | None = None
    """Why its status is ERROR; None: it is not."""
