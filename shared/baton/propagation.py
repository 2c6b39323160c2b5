"""Where a span belongs: trace, parent and whether it is recorded, as W3C Trace Context writes it.

Every id of a run's own spans is computed from what the journal has, so that any process, at any later time, can name
a parent that it has never heard of. The trace id is the run id, unless a caller's trace is continued.
"""

import hashlib
import re
from typing import NamedTuple, Self

_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_LIMIT = 512
"""Longest `tracestate`, in characters: what W3C Trace Context asks everybody to carry."""
_STATE_MEMBER = re.compile(r"[a-z0-9][-_*/a-z0-9@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")


class TraceContext(NamedTuple):
    """A span, named from outside."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    is_sampled: bool = True

    @classmethod
    def read(cls, traceparent: str | None) -> Self | None:
        """Return what a `traceparent` says; None where it is malformed, which is no error of anybody's here."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        is_known = version != "ff" and not (version == "00" and more)
        if not is_known or not trace_id.strip("0") or not span_id.strip("0"):
            return None
        return cls(trace_id, span_id, is_sampled=bool(int(flags, 16) & 1))

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-0{int(self.is_sampled)}"


NOWHERE = TraceContext("0" * 32, "0" * 16, is_sampled=False)
"""Of a span that is none."""


def checked_state(tracestate: str | None) -> str | None:
    """Return a `tracestate` that can be sent on; None where it is malformed or too long."""
    if not tracestate or len(tracestate) > _STATE_LIMIT:
        return None
    members = [member.strip(" \t") for member in tracestate.split(",") if member.strip(" \t")]
    return tracestate if members and all(map(_STATE_MEMBER.fullmatch, members)) else None


def span_id(kind: str, run_id: str, *parts: object) -> str:
    """Return the id of the one span of a kind that these parts name: 16 hex digits, the same everywhere."""
    named = "/".join((kind, run_id, *map(str, parts)))
    return hashlib.blake2b(named.encode(), digest_size=8).hexdigest()


def root_id(run_id: str) -> str:
    """Return the id of a run's root span."""
    return span_id("root", run_id)


def root_of(run_id: str, traceparent: str | None, *, is_sampled: bool) -> TraceContext:
    """Return a run's root.

    Args:
        run_id: The run.
        traceparent: As the journal has it; None: it was accepted by a process without tracing.
        is_sampled: What holds in that case.
    """
    return TraceContext.read(traceparent) or TraceContext(run_id, root_id(run_id), is_sampled=is_sampled)


def redriven(run_id: str, traceparent: str | None) -> str | None:
    """Return the root context of a run that goes on where another ended: a trace of its own, sampled like that one."""
    earlier = TraceContext.read(traceparent)
    return None if earlier is None else str(TraceContext(run_id, root_id(run_id), is_sampled=earlier.is_sampled))
