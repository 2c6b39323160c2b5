"""The spans of a run that are no attempt's: its root, publishes, pauses and waits.

In: what is known of each. Out: spans, in the layout of `layout`.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from baton.propagation import TraceContext
from baton.telemetry import names
from baton.telemetry.layout import Attempt, RunFacts
from baton.telemetry.record import SpanEvent, SpanRecord


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    status: str
    """`completed`, `failed` or `cancelled`."""
    accepted_at: float
    ended_at: float
    hops: int
    """How many it took."""
    caller: str | None = None
    """`traceparent` of whoever asked."""
    error_code: str | None = None
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A publish."""

    destination: str
    message_id: str
    times: tuple[float, float]
    """From the first byte to the broker's word."""
    body_bytes: int | None = None
    error: str | None = None
    """Why it was not published, in a word; None: it was."""


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait for a person that is over."""

    wait_id: str
    kind: str
    """`user`, `approval`, `human` or `review`."""
    agent: str
    """Who waited."""
    seq: int
    """The hop that stood still."""
    times: tuple[float, float]
    """From the question to its answer, or to what ended the wait instead."""
    status: str
    """`answered`, `expired` or `cancelled`."""
    by: str | None = None
    """Who answered; only a hash of it is written."""
    asked_by: TraceContext | None = None
    """The span of the turn that asked."""


def root(run: RunFacts, ending: Ending, *, flow: str) -> SpanRecord:
    """Return the span of a run as a whole; written once, when it has ended.

    Args:
        run: Which.
        ending: How it ended. Its caller is the parent where the run is a part of the caller's trace, else linked.
        flow: The team's name.
    """
    ended_at = max(ending.accepted_at, ending.ended_at)
    caller = TraceContext.read(ending.caller)
    is_continued = run.root.trace_id != run.run_id
    attributes: dict[str, Any] = {
        names.GEN_AI_OPERATION: "invoke_workflow",
        names.GEN_AI_CONVERSATION: run.conversation_id,
        names.RUN_ID: run.run_id,
        names.RUN_STATE: ending.status,
        names.RUN_HOPS: ending.hops,
    }
    if ending.error_code is not None:
        attributes[names.ERROR_TYPE] = ending.error_code
    return SpanRecord(
        f"invoke_workflow {flow}",
        "internal",
        run.root,
        caller.span_id if caller is not None and is_continued else None,
        ending.accepted_at,
        ended_at,
        attributes,
        links=() if caller is None or is_continued else (caller,),
        events=(SpanEvent(f"run.{ending.status}", ended_at),),
        error=None if ending.status == "completed" else ending.error_message or ending.status,
    )


def publish(run: RunFacts, context: TraceContext, parent: TraceContext, sent: Sent) -> SpanRecord:
    """Return the span of a publish."""
    attributes: dict[str, Any] = {
        names.SYSTEM: run.system,
        names.OPERATION_NAME: "publish",
        names.OPERATION_TYPE: "send",
        names.DESTINATION: sent.destination,
        names.MESSAGE_ID: sent.message_id,
    }
    if sent.body_bytes is not None:
        attributes[names.MESSAGE_BYTES] = sent.body_bytes
    if sent.error is not None:
        attributes[names.ERROR_TYPE] = sent.error
    name = f"publish {sent.destination}"
    return SpanRecord(name, "producer", context, parent.span_id, *sent.times, attributes, error=sent.error)


def retry_wait(failed: Attempt, *, until: float, delay_s: float) -> SpanRecord:
    """Return the span of the pause before an attempt; written when that begins."""
    return SpanRecord(
        "wait retry",
        "internal",
        failed.run.named("retry", failed.seq, failed.token),
        failed.run.root.span_id,
        failed.ended_at,
        max(failed.ended_at, until),
        {
            names.RUN_ID: failed.run.run_id,
            names.HOP: failed.seq,
            names.ATTEMPT: failed.attempt,
            names.RETRY_DELAY_MS: round(delay_s * 1000),
            names.RETRY_REASON: failed.error_code or "error",
        },
        links=(failed.process,),
    )


def wait(run: RunFacts, waited: Waited) -> SpanRecord:
    """Return the span of a wait for a person; written when it is over."""
    attributes = {
        names.RUN_ID: run.run_id,
        names.HOP: waited.seq,
        names.GEN_AI_AGENT: waited.agent,
        names.PAUSE_ID: waited.wait_id,
        names.PAUSE_REASON: waited.kind,
        names.WAIT_STATUS: waited.status,
    }
    if waited.by:
        attributes[names.WAIT_BY] = hashlib.sha256(waited.by.encode()).hexdigest()[:12]
    return SpanRecord(
        f"wait {waited.kind}",
        "internal",
        run.named("wait", waited.wait_id),
        run.root.span_id,
        waited.times[0],
        max(waited.times),
        attributes,
        links=() if waited.asked_by is None else (waited.asked_by,),
        error="nobody answered in time" if waited.status == "expired" else None,
    )
