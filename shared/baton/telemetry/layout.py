"""What the spans of a run look like: names, kinds, parents, links and attributes.

In: facts of a run, as a worker has them at the end of an attempt, or as the journal has them later. Out: spans. The
same facts give the same spans with the same ids, so that a trace can be written again from the journal.

The layout is anchored in the run: every `process` span is a child of the run's root and linked to the span that
published its message. A crashed sender so leaves nobody without a parent, and ten handoffs are not ten levels deep.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from baton.propagation import TraceContext, root_of, span_id
from baton.protocol.guards import ROUTER
from baton.telemetry import names
from baton.telemetry.record import NOTHING, SpanEvent, SpanRecord


class StepFacts(Protocol):
    """What a span needs of a recorded step."""

    @property
    def scope(self) -> str:
        """Within which its name is its own."""
        ...

    @property
    def key(self) -> str:
        """Its name."""
        ...

    @property
    def effect(self) -> str:
        """`idempotent`, `keyed` or `unsafe`."""
        ...

    @property
    def started_at(self) -> float:
        """Unix seconds."""
        ...

    @property
    def ended_at(self) -> float | None:
        """Unix seconds; None: it has not ended."""
        ...


class EventFacts(Protocol):
    """What a span needs of a line of the timeline."""

    @property
    def type(self) -> str:
        """As the timeline names it."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """JSON values."""
        ...


class RunFacts(NamedTuple):
    """What every span of a run needs."""

    run_id: str
    conversation_id: str
    root: TraceContext
    """Of its root span; with its trace id, and whether it is recorded."""
    system: str
    """`messaging.system`: `rabbitmq` or `baton` (in-process)."""
    is_nested: bool = False
    """True: `process` spans are children of the span that published their message."""

    def named(self, kind: str, *parts: object) -> TraceContext:
        """Return the context of the one span of a kind that these parts name."""
        return TraceContext(self.root.trace_id, span_id(kind, self.run_id, *parts), is_sampled=self.root.is_sampled)


class Attempt(NamedTuple):
    """A hop in a worker's hands: from its claim to whatever ended that."""

    run: RunFacts
    seq: int
    agent: str
    token: int
    """Which claim of the hop it was, 1-based."""
    attempt: int
    started_at: float
    ended_at: float
    source: str
    """Destination that it was consumed from."""
    process: TraceContext
    """The span of the attempt as a whole; of a lost one, too."""
    work: TraceContext
    """The span of the turn: what spans of the turn's own are children of."""
    did: str
    """`answer`, `ask`, `handoff`, a route's outcome, `retry`, `wait`, `handed_back`, `failed`, `lost`."""
    settled_at: float | None = None
    """When the turn was over; None: at the end."""
    queue_s: float | None = None
    """Seconds that it had been due; None: not known."""
    creation: TraceContext | None = None
    """Of the span that published its message."""
    is_redelivered: bool = False
    error_code: str | None = None
    error_message: str = ""
    events: Sequence[EventFacts] = ()
    """What the attempt wrote to the timeline."""
    steps: Sequence[StepFacts] = ()
    """What it recorded."""
    attributes: Mapping[str, Any] = NOTHING
    """What the turn set on its own span."""
    span_events: tuple[SpanEvent, ...] = ()
    """What the turn added to its own span."""

    @property
    def mover(self) -> TraceContext:
        """The span that publishes the next hop: the handoff, or the router's decision."""
        return self.work if self.agent == ROUTER else handoff_of(self.run, self.seq)


def process_of(run: RunFacts, seq: int, token: int) -> TraceContext:
    """Return the context of the span of an attempt as a whole."""
    return run.named("process", seq, token)


def work_of(run: RunFacts, seq: int, token: int) -> TraceContext:
    """Return the context of the span of a turn."""
    return run.named("work", seq, token)


def handoff_of(run: RunFacts, seq: int) -> TraceContext:
    """Return the context of the span of a hop's handoff."""
    return run.named("handoff", seq)


def step_of(run: RunFacts, seq: int, step: StepFacts) -> TraceContext:
    """Return the context of the span of a recorded step."""
    return run.named("step", seq, step.scope, step.key)


def publish_of(run: RunFacts, seq: int) -> TraceContext:
    """Return the context of the span that published a hop first."""
    return run.named("publish", seq)


def attempt_spans(attempt: Attempt) -> list[SpanRecord]:
    """Return the spans of an attempt, but for the publish that follows."""
    if attempt.did == "lost":
        return [_lost(attempt), *_tools(attempt, attempt.process)]
    spans = [_process(attempt), _route(attempt) if attempt.agent == ROUTER else _invoke(attempt)]
    spans += _tools(attempt, attempt.work)
    if attempt.agent != ROUTER and (moved := _moved(attempt)) is not None:
        spans.append(_handoff(attempt, moved))
    return spans


def run_facts(
    run_id: str, conversation_id: str, traceparent: str | None, *, system: str, is_sampled: bool, is_nested: bool
) -> RunFacts:
    """Return what every span of a run needs.

    Args:
        run_id: Which.
        conversation_id: Of what conversation.
        traceparent: The root's, as the journal has it.
        system: `rabbitmq` or `baton`.
        is_sampled: What holds where the journal has no root.
        is_nested: See `RunFacts`.
    """
    root = root_of(run_id, traceparent, is_sampled=is_sampled)
    return RunFacts(run_id, conversation_id, root, system, is_nested)


def _process(attempt: Attempt) -> SpanRecord:
    run, creation = attempt.run, attempt.creation
    before = (run.named("process", attempt.seq, attempt.token - 1),) if attempt.attempt > 1 else ()
    is_child = run.is_nested and creation is not None and creation.trace_id == run.root.trace_id
    attributes: dict[str, Any] = {
        names.SYSTEM: run.system,
        names.OPERATION_NAME: "process",
        names.OPERATION_TYPE: "process",
        names.DESTINATION: attempt.source,
        names.RUN_ID: run.run_id,
        names.HOP: attempt.seq,
        names.ATTEMPT: attempt.attempt,
        names.OUTCOME: attempt.did,
    }
    if attempt.queue_s is not None:
        attributes[names.QUEUE_MS] = round(max(0.0, attempt.queue_s) * 1000, 1)
    if attempt.is_redelivered:
        attributes[names.REDELIVERED] = True
    return SpanRecord(
        f"process {attempt.source}",
        "consumer",
        attempt.process,
        creation.span_id if creation is not None and is_child else run.root.span_id,
        attempt.started_at,
        max(attempt.started_at, attempt.ended_at),
        attributes | _failure(attempt),
        links=(*(() if creation is None else (creation,)), *before),
        error=_error(attempt),
    )


def _lost(attempt: Attempt) -> SpanRecord:
    run = attempt.run
    return SpanRecord(
        f"lost attempt {attempt.source}",
        "internal",
        attempt.process,
        run.root.span_id,
        attempt.started_at,
        max(attempt.started_at, attempt.ended_at),
        {
            names.RUN_ID: run.run_id,
            names.HOP: attempt.seq,
            names.ATTEMPT: attempt.attempt,
            names.GEN_AI_AGENT: attempt.agent,
            names.ERROR_TYPE: names.WORKER_LOST,
        },
        links=() if attempt.creation is None else (attempt.creation,),
        error="its process was not heard of until the lease ran out",
    )


def _invoke(attempt: Attempt) -> SpanRecord:
    attributes = {
        names.GEN_AI_OPERATION: "invoke_agent",
        names.GEN_AI_AGENT: attempt.agent,
        names.GEN_AI_CONVERSATION: attempt.run.conversation_id,
    }
    return _inner(attempt, f"invoke_agent {attempt.agent}", {**attributes, **attempt.attributes})


def _route(attempt: Attempt) -> SpanRecord:
    routed = next((event.data for event in attempt.events if event.type == "routed"), {})
    said = {
        names.ROUTE_TARGET: routed.get("agent"),
        names.ROUTE_SKILL: routed.get("skill"),
        names.ROUTE_HOW: routed.get("how"),
        names.ROUTE_METHOD: routed.get("method"),
        names.ROUTE_MODEL: routed.get("model"),
        names.ROUTE_SCORE: routed.get("confidence"),
        names.ROUTE_RUNNER_UP: routed.get("runner_up"),
        names.ROUTE_MARGIN: routed.get("margin"),
    }
    return _inner(attempt, "route", {name: value for name, value in said.items() if value is not None})


def _inner(attempt: Attempt, name: str, attributes: Mapping[str, Any]) -> SpanRecord:
    """Return the span of the turn itself."""
    ended_at = attempt.ended_at if attempt.settled_at is None else attempt.settled_at
    if _moved(attempt) is not None:
        ended_at = attempt.ended_at  # the handoff and its publish are parts of it
    return SpanRecord(
        name,
        "internal",
        attempt.work,
        attempt.process.span_id,
        attempt.started_at,
        max(attempt.started_at, ended_at),
        {**attributes, **_failure(attempt)},
        events=attempt.span_events,
        error=_error(attempt),
    )


def _handoff(attempt: Attempt, moved: Mapping[str, Any]) -> SpanRecord:
    target = str(moved.get("to"))
    started_at = attempt.ended_at if attempt.settled_at is None else attempt.settled_at
    return SpanRecord(
        f"execute_tool transfer_to_{target} {target}",
        "internal",
        attempt.mover,
        attempt.work.span_id,
        started_at,
        max(started_at, attempt.ended_at),
        {
            names.GEN_AI_OPERATION: "execute_tool",
            names.GEN_AI_TOOL: f"transfer_to_{target}",
            names.GEN_AI_AGENT: attempt.agent,
            names.TRANSFER_TARGET: target,
            names.TRANSFER_MODE: "pass_control",
            names.HANDOFF_REASON: str(moved.get("reason", "")),
            names.HANDOFF_BYTES: moved.get("bytes", 0),
            names.HANDOFF_MESSAGES: moved.get("messages", 0),
        },
    )


def _tools(attempt: Attempt, parent: TraceContext) -> Iterable[SpanRecord]:
    for step in attempt.steps:
        if step.ended_at is not None:
            yield SpanRecord(
                f"execute_tool {step.key}",
                "internal",
                step_of(attempt.run, attempt.seq, step),
                parent.span_id,
                step.started_at,
                max(step.started_at, step.ended_at),
                {
                    names.GEN_AI_OPERATION: "execute_tool",
                    names.GEN_AI_TOOL: step.key,
                    names.GEN_AI_AGENT: attempt.agent,
                    names.TOOL_EFFECT: step.effect,
                },
            )


def _moved(attempt: Attempt) -> Mapping[str, Any] | None:
    """Return what the timeline says of the move to another agent, or to a person."""
    return next((event.data for event in attempt.events if event.type == "handoff"), None)


def _failure(attempt: Attempt) -> dict[str, Any]:
    return {} if attempt.error_code is None else {names.ERROR_TYPE: attempt.error_code}


def _error(attempt: Attempt) -> str | None:
    return None if attempt.error_code is None else attempt.error_message or attempt.error_code
