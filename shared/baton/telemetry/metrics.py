"""What a process counts and times, whether or not it is traced.

In: publishes, deliveries, attempts and ends of runs, as they happen here. Out: OpenTelemetry's instruments, which
`setup` gives to a collector, to a page for Prometheus, or to both. No label tells one run from another.

Two things are not here, since no process can tell them cheaply, and each would tell its own part alone: how many runs
are under way, and how long queues are. The journal knows both (`baton agents --json`), RabbitMQ the second, too.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from baton.envelope import Envelope
from baton.journal.records import Step
from baton.propagation import TraceContext
from baton.protocol.guards import ROUTER
from baton.telemetry import names
from baton.telemetry.layout import Attempt

CAUSES = ("lost", "retry", "handed_back")
"""What an attempt recovers from; one after a wait for a person recovers from nothing."""

EXEMPLAR_S = 1.0
"""Least seconds between two values of a metric that carry their span: an exemplar costs more than the value."""

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOWHERE = Context()
"""Belongs to no span, whatever the current one is."""
_WORDS = re.compile(r"[^\W\d_]+(?:[-_. ][^\W\d_]+)*")

Load = Callable[[], Iterable[tuple[str, int, int]]]
"""Gives each agent's name, its busy slots and its free ones."""


class Metrics:
    """The instruments of one process.

    Args:
        meter: Makes them.
        system: `messaging.system`.
        flow: The team's name.
    """

    def __init__(self, meter: Meter, *, system: str, flow: str) -> None:
        self._system = system
        self._flow = flow
        self._load: Load = tuple
        message = (names.SYSTEM, names.OPERATION_NAME, names.DESTINATION, names.ERROR_TYPE)
        self._sent, self._consumed = _Tally(meter, names.SENT, *message), _Tally(meter, names.CONSUMED, *message[:3])
        self._redelivered = _Tally(meter, names.REDELIVERIES, names.DESTINATION)
        self._failed = _Tally(meter, names.RUN_FAILED, names.REASON)
        self._handoffs = _Tally(meter, names.HANDOFF, names.FROM, names.TO)
        self._routed = _Tally(meter, names.ROUTED, names.TARGET, names.METHOD, names.HOW)
        # At zero from the start: what first appears with its first event is no increase to whoever asks for one.
        self._recovered = _Tally(meter, names.RUN_RECOVERED, names.CAUSE, known=[(cause,) for cause in CAUSES])
        self._blocked = _Tally(meter, names.LOOP_BLOCKED, known=[()])
        self._operation, self._process = _Timer(meter, names.OPERATION), _Timer(meter, names.PROCESS)
        self._invoke, self._tool = _Timer(meter, names.INVOKE_AGENT), _Timer(meter, names.EXECUTE_TOOL)
        self._run, self._latency = _Timer(meter, names.RUN), _Timer(meter, names.HANDOFF_LATENCY)
        self._confidence = _Timer(meter, names.CONFIDENCE)
        self._meter = meter
        meter.create_observable_gauge(names.SLOTS.name, [self._slots], names.SLOTS.unit, names.SLOTS.tells)

    def watch_load(self, load: Load) -> None:
        """Ask for the slots of this process's agents whenever somebody looks."""
        self._load = load

    def watch_trouble(self, malformed: Callable[[], int], untold: Callable[[], int]) -> None:
        """Ask for these counts whenever somebody looks; see `Telemetry`."""
        for metric, count in ((names.MALFORMED, malformed), (names.UNTOLD, untold)):
            self._meter.create_observable_counter(metric.name, [_observed(count)], metric.unit, metric.tells)

    def sent(self, destination: str, took_s: float, error: str | None = None, span: TraceContext | None = None) -> None:
        """Count a message given to the broker.

        Args:
            destination: Where to.
            took_s: Seconds until the broker's word.
            error: Why it was not taken, in a word; None: it was.
            span: That of the publish, where it is recorded.
        """
        self._sent.add(self._system, "publish", destination, error)
        labels = {
            names.SYSTEM: self._system,
            names.OPERATION_NAME: "publish",
            names.OPERATION_TYPE: "send",
            names.DESTINATION: destination,
            **_error(error),
        }
        self._operation.record(took_s, labels, span)

    def delivered(self, source: str, *, is_redelivered: bool) -> None:
        """Count a message that the broker delivered."""
        self._consumed.add(self._system, "process", source)
        if is_redelivered:
            self._redelivered.add(source)

    def attempted(self, attempt: Attempt, envelope: Envelope | None, *, is_traced: bool) -> None:
        """Count an attempt at a hop, and the handoff and the decision that it ended in.

        Args:
            attempt: The attempt, which is over.
            envelope: What was worked on; None: it could not be read.
            is_traced: Whether its spans are recorded.
        """
        labels = {
            names.SYSTEM: self._system,
            names.OPERATION_NAME: "process",
            names.DESTINATION: attempt.source,
            **_error(attempt.error_code),
        }
        where = attempt.process if is_traced else None
        self._process.record(attempt.ended_at - attempt.started_at, labels, where)
        if envelope is not None:
            self._came(attempt, envelope, where)
        for event in attempt.events:
            if event.type == "handoff":
                self._handoffs.add(event.data["from"], event.data["to"])
            elif event.type == "routed":
                self._decided(event.data, where)
        if attempt.agent != ROUTER and attempt.settled_at is not None:
            moved = any(event.type == "handoff" for event in attempt.events)
            until = attempt.ended_at if moved else attempt.settled_at  # as long as its span
            self._invoke.record(
                until - attempt.started_at,
                {names.GEN_AI_AGENT: attempt.agent, **_error(attempt.error_code)},
                attempt.work if is_traced else None,
            )

    def carried_out(self, agent: str, step: Step, span: TraceContext | None = None) -> None:
        """Count a step that was carried out and recorded; replays are none.

        Args:
            agent: Whose.
            step: Which.
            span: Its own, where it is recorded.
        """
        if step.ended_at is not None:
            labels = {names.GEN_AI_TOOL: tool_name(step.key), names.GEN_AI_AGENT: agent}
            self._tool.record(step.ended_at - step.started_at, labels, span)

    def ended(self, status: str, took_s: float, code: str | None = None, span: TraceContext | None = None) -> None:
        """Count a run that has ended.

        Args:
            status: `completed`, `failed` or `cancelled`.
            took_s: Seconds since its acceptance.
            code: Its failure's.
            span: The run's root, where it is recorded.
        """
        self._run.record(took_s, {names.FLOW: self._flow, names.ENDED_AS: status}, span)
        if status == "failed":
            self._failed.add(code or "unknown")

    def recovered(self, cause: str) -> None:
        """Count an attempt by how the one before it ended; by one of `CAUSES`, or it recovers from nothing."""
        if cause in CAUSES:
            self._recovered.add(cause)

    def blocked(self) -> None:
        """Count that the event loop stood still; from any thread."""
        self._blocked.add()

    def _came(self, attempt: Attempt, envelope: Envelope, where: TraceContext | None) -> None:
        """Record how long a hop waited for its agent, once, if a handoff made it."""
        is_handoff = envelope.kind == "handoff" or (envelope.kind == "route" and envelope.from_agent is not None)
        if is_handoff and attempt.token == 1 and attempt.queue_s is not None:
            labels = {names.FROM: str(envelope.from_agent), names.TO: attempt.agent}
            self._latency.record(attempt.queue_s, labels, where)

    def _decided(self, routed: Mapping[str, Any], where: TraceContext | None) -> None:
        self._routed.add(routed["agent"] or "none", routed["method"], routed["how"])
        if "scores" in routed:  # else nobody was asked
            made = {names.METHOD: routed["method"], names.HOW: routed["how"]}
            self._confidence.record(routed["confidence"], made, where)

    def _slots(self, _: CallbackOptions) -> Iterable[Observation]:
        for agent, busy, free in self._load():
            yield Observation(busy, {names.GEN_AI_AGENT: agent, names.STATE: "busy"})
            yield Observation(free, {names.GEN_AI_AGENT: agent, names.STATE: "free"})


class _Tally:
    """A count by labels, which is asked for when somebody looks.

    Source: a counter of the SDK's costs about 15 µs an event, this one less than 1 (two cores, both busy).

    Args:
        meter: Makes the instrument.
        metric: Which.
        labels: Their names.
        known: Values of labels that are there from the start, at zero.
    """

    def __init__(
        self, meter: Meter, metric: names.Metric, *labels: str, known: Iterable[tuple[str | None, ...]] = ()
    ) -> None:
        self._labels = labels
        self._counts: dict[tuple[str | None, ...], int] = dict.fromkeys(known, 0)
        meter.create_observable_counter(metric.name, [self._observed], metric.unit, metric.tells)

    def add(self, *values: str | None) -> None:
        """Count one event; a value of None: its label is left out."""
        self._counts[values] = self._counts.get(values, 0) + 1

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        for values, count in list(self._counts.items()):
            labels = zip(self._labels, values, strict=True)
            yield Observation(count, {label: value for label, value in labels if value is not None})


def tool_name(key: str) -> str:
    """Return the words that a step's key begins with: what follows tells its calls apart, and may be an id."""
    found = _WORDS.match(key)
    return found.group() if found else "step"


class _Timer:
    """A histogram, some of whose values carry the span that they are of.

    Args:
        meter: Makes the instrument.
        metric: Which.
    """

    def __init__(self, meter: Meter, metric: names.Metric) -> None:
        self._histogram = meter.create_histogram(
            metric.name, metric.unit, metric.tells, explicit_bucket_boundaries_advisory=metric.bounds
        )
        self._offered_at = -EXEMPLAR_S

    def record(self, value: float, labels: Mapping[str, Any], span: TraceContext | None = None) -> None:
        """Record a value.

        Args:
            value: In the metric's unit; below 0, as between two clocks, it counts as 0.
            labels: Its labels.
            span: What it is of, where that is recorded.
        """
        context, now = _NOWHERE, time.monotonic()
        if span is not None and span.is_sampled and now - self._offered_at >= EXEMPLAR_S:
            self._offered_at = now
            told = SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED)
            context = set_span_in_context(NonRecordingSpan(told), _NOWHERE)
        self._histogram.record(max(0.0, value), labels, context)


def _observed(count: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(count())]


def _error(code: str | None) -> dict[str, str]:
    return {} if code is None else {names.ERROR_TYPE: code}
