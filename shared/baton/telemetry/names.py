"""Every name that leaves the process in a span, a metric or a log line, each with its source.

`messaging.*`: OpenTelemetry semantic conventions 1.44 (development). `gen_ai.*`: the GenAI conventions, which are
developed apart since 1.42 (development; `gen_ai.transfer.*` and `gen_ai.agent.pause.*` are proposals there).
`baton.*`: our own, where the conventions have nothing: redelivery, retry, dead letters, waits, routing.
"""

from typing import NamedTuple

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = "baton"
"""The instrumentation scope of spans and metrics."""

# Resource and general.
SERVICE_NAME = "service.name"
ERROR_TYPE = "error.type"

# messaging.*
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
MESSAGE_BYTES = "messaging.message.body.size"

# gen_ai.*
GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_CONVERSATION = "gen_ai.conversation.id"
GEN_AI_AGENT = "gen_ai.agent.name"
GEN_AI_TOOL = "gen_ai.tool.name"
TRANSFER_TARGET = "gen_ai.transfer.target.name"
TRANSFER_MODE = "gen_ai.transfer.mode"
PAUSE_ID = "gen_ai.agent.pause.id"
PAUSE_REASON = "gen_ai.agent.pause.reason"

# baton.*
RUN_ID = "baton.run.id"
RUN_STATE = "baton.run.state"
RUN_HOPS = "baton.run.hops"
HOP = "baton.hop"
ATTEMPT = "baton.attempt"
QUEUE_MS = "baton.queue_ms"
"""Milliseconds from the hop becoming due to its claim."""
REDELIVERED = "baton.redelivered"
OUTCOME = "baton.outcome"
"""`answer`, `ask`, `handoff`, `retry`, `wait`, `handed_back`, `failed`, … as the journal's timeline says it."""
ROUTE_TARGET = "baton.route.target"
ROUTE_SKILL = "baton.route.skill"
ROUTE_SCORE = "baton.route.score"
ROUTE_RUNNER_UP = "baton.route.runner_up"
ROUTE_MARGIN = "baton.route.margin"
ROUTE_METHOD = "baton.route.method"
ROUTE_MODEL = "baton.route.model"
ROUTE_HOW = "baton.route.how"
HANDOFF_REASON = "baton.handoff.reason"
HANDOFF_BYTES = "baton.handoff.context_bytes"
HANDOFF_MESSAGES = "baton.handoff.messages"
TOOL_EFFECT = "baton.tool.effect"
RETRY_DELAY_MS = "baton.retry.delay_ms"
RETRY_REASON = "baton.retry.reason"
WAIT_STATUS = "baton.wait.status"
WAIT_BY = "baton.wait.by"
"""Who ended the wait, as 12 hex digits of a hash: a person's name does not leave the journal."""
CONTENT_INPUT = "gen_ai.input.messages"
CONTENT_OUTPUT = "gen_ai.output.messages"

# Labels of our own metrics; short, since a query repeats them, and none of them tells one run from another.
FLOW = "flow"
ENDED_AS = "outcome"
"""How a run ended: `completed`, `failed` or `cancelled`."""
FROM, TO = "from", "to"
TARGET, METHOD, HOW = "target", "method", "how"
REASON = "reason"
CAUSE = "cause"
STATE = "state"
"""Of a slot: `busy` or `free`."""

# Log lines, in JSON.
LOG_RUN, LOG_TRACE, LOG_SPAN, LOG_HOP, LOG_AGENT = "run_id", "trace_id", "span_id", "hop", "agent"

WORKER_LOST = "worker_lost"
"""`error.type` of an attempt whose process died."""

REQUESTS_QUEUE = "baton.requests"
WORK_EXCHANGE = "baton.work"
RESULTS = "results"
"""Stands for the reply queues of requesters: each has a name of its own."""


class Metric(NamedTuple):
    """An instrument: what it is called, in what unit it counts, and what it tells."""

    name: str
    unit: str
    """UCUM; what is counted stands in braces."""
    tells: str
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in its unit."""


# Source of bounds: messaging-metrics.md 1.44 (5 ms to 10 s); gen-ai-metrics.md (doubling).
_MESSAGING_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_AGENT_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_TOOL_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_RUN_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
"""Up to a day: runs that wait for people."""
_HANDOFF_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From what one process needs to what a lease that ran out costs."""
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

# messaging.*
SENT = Metric("messaging.client.sent.messages", "{message}", "Messages that were given to the broker.")
CONSUMED = Metric("messaging.client.consumed.messages", "{message}", "Messages that the broker delivered.")
OPERATION = Metric("messaging.client.operation.duration", "s", "From a publish to the broker's word.", _MESSAGING_S)
PROCESS = Metric("messaging.process.duration", "s", "From a hop's claim to its end or its handoff.", _MESSAGING_S)

# gen_ai.*
INVOKE_AGENT = Metric("gen_ai.invoke_agent.duration", "s", "An agent's turn.", _AGENT_S)
EXECUTE_TOOL = Metric("gen_ai.execute_tool.duration", "s", "A step that was carried out and recorded.", _TOOL_S)

# baton.*
RUN = Metric("baton.run.duration", "s", "A run, from its acceptance to its end.", _RUN_S)
RUN_FAILED = Metric("baton.run.failed", "{run}", "Runs that failed, by the failure's code: new dead letters.")
RUN_RECOVERED = Metric(
    "baton.run.recovered", "{attempt}", "Attempts after one that was lost, failed and is tried again, or handed back."
)
HANDOFF = Metric("baton.handoff.count", "{handoff}", "Moves of control; those from `router` are its decisions.")
HANDOFF_LATENCY = Metric(
    "baton.handoff.latency", "s", "From a hop that a handoff made becoming due to its claim.", _HANDOFF_S
)
ROUTED = Metric("baton.route.decisions", "{decision}", "The router's decisions.")
CONFIDENCE = Metric("baton.route.confidence", "1", "How sure the classifier was.", _SHARES)
REDELIVERIES = Metric("baton.message.redelivered", "{message}", "Deliveries that may not have been the first.")
LOOP_BLOCKED = Metric(
    "baton.loop.blocked", "{time}", "Times that a turn blocked the event loop for a third of a lease."
)
SLOTS = Metric("baton.consumer.slots", "{slot}", "Hops that an agent works on here, and could work on besides.")
MALFORMED = Metric("baton.trace.malformed", "{request}", "Requests whose caller's trace context could not be read.")
UNTOLD = Metric("baton.trace.untold", "{run}", "Runs of which something is missing in traces and metrics.")


def queue(agent: str) -> str:
    """Return the destination that an agent consumes."""
    return f"baton.agent.{agent}"


def work(agent: str) -> str:
    """Return the destination that a hop for an agent is published to: exchange and routing key."""
    return f"{WORK_EXCHANGE}:{agent}"
