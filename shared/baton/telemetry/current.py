"""Which hop this task works on: for log lines, and as the parent of spans that a turn's own libraries make.

In: `hops` begins a hop, and enters it for the time of its turn. Out: `current()`, and OpenTelemetry's current span.
"""

import contextlib
import functools
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baton.propagation import TraceContext
from baton.telemetry.record import SpanEvent

if TYPE_CHECKING:
    from opentelemetry import trace


EVENTS_LIMIT = ATTRIBUTES_LIMIT = 128
"""Most of each that a turn's span takes: the SDK's own bounds."""


@dataclass(frozen=True, slots=True)
class Current:
    """The hop in hand."""

    run_id: str
    seq: int
    agent: str
    context: TraceContext | None = None
    """Of the turn's span, or around the turn of the attempt's; None: nothing is traced."""


_current: ContextVar[Current | None] = ContextVar("baton_current", default=None)


def current() -> Current | None:
    """Return the hop that this task works on; None: none."""
    return _current.get()


def begin(hop: Current) -> None:
    """Make a hop the current one for the rest of this task, which has a context of its own."""
    _current.set(hop)


@dataclass(slots=True)
class Said:
    """What a turn said on its own span."""

    attributes: dict[str, Any]
    events: list[SpanEvent]


@contextlib.contextmanager
def entered(hop: Current) -> Iterator[Said]:
    """Make a hop the current one, and its turn's span OpenTelemetry's, for as long as the block runs."""
    said = Said({}, [])
    token = _current.set(hop)
    try:
        if hop.context is None:
            yield said
            return
        from opentelemetry import context as otel
        from opentelemetry import trace

        attached = otel.attach(trace.set_span_in_context(_turn_span(hop.context, said)))
        try:
            yield said
        finally:
            otel.detach(attached)
    finally:
        _current.reset(token)


def _turn_span(context: TraceContext, said: Said) -> "trace.Span":
    """Return the span of a turn while it lasts: it takes attributes and events; Baton writes it in the end."""
    from opentelemetry import trace

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if context.is_sampled else 0)
    own = trace.SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=False, trace_flags=flags)
    if not context.is_sampled:  # what the turn's libraries trace is not sampled either: a run is whole or absent
        return trace.NonRecordingSpan(own)
    span: trace.Span = _turn_span_class()(own, said)
    return span


@functools.cache
def _turn_span_class() -> Any:
    from opentelemetry import trace

    class TurnSpan(trace.NonRecordingSpan):
        def __init__(self, context: trace.SpanContext, said: Said) -> None:
            super().__init__(context)
            self._said = said

        def is_recording(self) -> bool:
            return True

        def set_attribute(self, key: str, value: Any) -> None:
            if key in self._said.attributes or len(self._said.attributes) < ATTRIBUTES_LIMIT:
                self._said.attributes[key] = value

        def set_attributes(self, attributes: Mapping[str, Any]) -> None:
            for key, value in attributes.items():
                self.set_attribute(key, value)

        def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
            at = time.time() if timestamp is None else timestamp / 1e9
            if len(self._said.events) < EVENTS_LIMIT:
                # A name that is no text would have the whole batch fail that the span is exported in.
                told = str(name).encode("utf-8", "replace").decode()
                self._said.events.append(SpanEvent(told, at, dict(attributes or {})))

        def record_exception(
            self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
        ) -> None:
            seen = {"exception.type": type(exception).__qualname__, "exception.message": str(exception)}
            self.add_event("exception", {**seen, **(attributes or {})}, timestamp)

    return TurnSpan


def callers_context() -> str | None:
    """Return the `traceparent` of OpenTelemetry's current span; None: there is none."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return str(TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", is_sampled=found.trace_flags.sampled))
