"""What an attempt at a hop has to tell, watched while it lasts and told once it is over.

In: the claim, the turn, recorded steps, the finish. Out: spans to the process's sink, counts to its metrics, and looks
into the journal for what lay before the attempt.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar

from baton import codec
from baton.broker.contract import Delivery
from baton.envelope import Envelope
from baton.journal.records import Claim, Finish, Finished, PendingHop, RunEnd, Step
from baton.propagation import NOWHERE, TraceContext
from baton.protocol.guards import HUMAN, ROUTER
from baton.telemetry import around, current, layout, names
from baton.telemetry.current import Current, Said
from baton.telemetry.telling import Following, Look, Sending, Telemetry, harmless


class JournalClock:
    """The journal's clock, as far as a claim told it: this machine's may be minutes apart.

    Args:
        now: The claim's, in Unix seconds.
    """

    __slots__ = ("_ahead_s",)

    def __init__(self, now: float) -> None:
        self._ahead_s = now - time.time()

    def __call__(self) -> float:
        """Return the time, in Unix seconds."""
        return time.time() + self._ahead_s


class HopWatch:
    """What one attempt at a hop has to tell; times are the journal's clock's, whatever this machine's says.

    Args:
        telemetry: The process's.
        claim: The attempt.
        delivery: What brought the hop, if anything did.
        source: Where it was consumed from; None: its agent's queue.
    """

    __slots__ = (
        "_claim",
        "_delivery",
        "_envelope",
        "_process",
        "_run",
        "_said",
        "_settled_at",
        "_source",
        "_steps",
        "_telemetry",
        "_work",
        "clock",
    )

    def __init__(
        self, telemetry: Telemetry, claim: Claim, delivery: Delivery | None, *, source: str | None = None
    ) -> None:
        self._telemetry = telemetry
        self._claim = claim
        self._delivery = delivery
        self._source = source or names.queue(claim.agent)
        self.clock = JournalClock(claim.now)
        self._envelope: Envelope | None = None
        self._settled_at: float | None = None
        self._steps: list[Step] = []
        self._said: Said | None = None
        is_on = telemetry.sink is not None or telemetry.metrics is not None
        lease = claim.lease
        self._run = run = telemetry.facts(lease.run_id, claim.traceparent) if is_on else None
        self._process = NOWHERE if run is None else layout.process_of(run, lease.seq, lease.token)
        self._work = NOWHERE if run is None else layout.work_of(run, lease.seq, lease.token)

    def sending(self, hop: PendingHop, body_bytes: int) -> AbstractContextManager[Sending]:
        """Watch the publish of the next hop; see `Telemetry.sending`."""
        if self._run is None or not self._is_sampled:
            return self._telemetry.sending(hop, body_bytes)
        is_router = self._claim.agent == ROUTER
        parent = self._work if is_router else layout.handoff_of(self._run, self._claim.lease.seq)
        return self._telemetry.sending(hop, body_bytes, Following(self._run, parent, self.clock))

    def begin(self) -> None:
        """Note that this task works on the hop: its log lines belong to it until the task ends."""
        lease, process = self._claim.lease, self._process if self._is_sampled else None
        current.begin(Current(lease.run_id, lease.seq, self._claim.agent, process))

    @contextlib.contextmanager
    def turn(self, envelope: Envelope) -> Iterator[None]:
        """Take the turn in the block: log lines and spans of its own libraries belong to it."""
        self._envelope = envelope
        lease, work = self._claim.lease, None
        if self._run is not None:
            self._run = self._run._replace(conversation_id=envelope.conversation_id)
            work = self._work if self._telemetry.sink is not None else None
        with current.entered(Current(lease.run_id, lease.seq, self._claim.agent, work)) as self._said:
            _watch.set(self)
            yield
        self._settled_at = self.clock()

    def carried_out(self, step: Step) -> None:
        """Tell of a step that was carried out and recorded."""
        metrics, span = self._telemetry.metrics, None
        with harmless():
            if self._run is not None and self._is_sampled:
                self._steps.append(step)
                span = layout.step_of(self._run, self._claim.lease.seq, step)
            if metrics is not None:
                metrics.carried_out(self._claim.agent, step, span)

    def finished(self, finish: Finish, finished: Finished) -> None:
        """Tell of the attempt; all that follows from it is published."""
        with harmless():
            self._tell(finish, finished)

    def _tell(self, finish: Finish, finished: Finished) -> None:
        run, metrics, is_sampled = self._run, self._telemetry.metrics, self._is_sampled
        if run is None or finished.outcome == "fenced":
            return
        end = finish.end if finished.outcome == "applied" else None
        if not is_sampled and end is not None and end.status == "failed":
            self._telemetry.failed_unsampled(run.run_id)
        if not is_sampled and metrics is None:
            return
        attempt = self._attempt(_did(finish, finished), finish.events, finish)
        if attempt.token > 1 or (is_sampled and self._is_resumed):
            self._telemetry.look(Look(run.run_id, before=(attempt.seq, attempt.token)))
        if metrics is not None:
            metrics.attempted(attempt, self._envelope, is_traced=is_sampled)
            if end is not None:
                took_s, code = attempt.ended_at - self._claim.accepted_at, end.error.code if end.error else None
                metrics.ended(end.status, took_s, code, run.root if is_sampled else None)
        if is_sampled:
            self._write(attempt, end)

    def _write(self, attempt: layout.Attempt, end: RunEnd | None) -> None:
        sink = self._telemetry.sink
        assert sink is not None
        for span in layout.attempt_spans(attempt):
            sink(span)
        if end is not None:
            ending = around.Ending(
                end.status,
                self._claim.accepted_at,
                attempt.ended_at,
                attempt.seq + 1,
                self._claim.caller,
                end.error.code if end.error else None,
                end.error.message if end.error else "",
            )
            sink(around.root(attempt.run, ending, flow=self._telemetry.flow))

    @property
    def _is_resumed(self) -> bool:
        """True where a person was waited for before the attempt."""
        envelope = self._envelope
        return envelope is not None and (envelope.kind in ("reply", "resume") or envelope.from_agent == HUMAN)

    @property
    def _is_sampled(self) -> bool:
        return self._telemetry.sink is not None and self._run is not None and self._run.root.is_sampled

    def _attempt(self, did: str, events: Sequence[layout.EventFacts], finish: Finish | None = None) -> layout.Attempt:
        assert self._run is not None
        claim, run, said = self._claim, self._run, self._said
        moves = any(event.type == "handoff" for event in events)
        error = finish.error if finish is not None and did in ("failed", "retry", "cancelled") else None
        return layout.Attempt(
            run,
            claim.lease.seq,
            claim.agent,
            claim.lease.token,
            claim.attempt,
            claim.now,
            self.clock() if moves or self._settled_at is None else self._settled_at,
            self._source,
            self._process,
            self._work,
            did,
            settled_at=self._settled_at,
            # Later on `pending_since` is that of a lost attempt, or lies before a pause.
            queue_s=claim.now - claim.pending_since if claim.lease.token == 1 else None,
            creation=self._creation(run),
            is_redelivered=self._delivery is not None and self._delivery.is_redelivered,
            error_code=error.code if error else None,
            error_message=error.message if error else "",
            events=events,
            steps=self._steps,
            attributes={**self._content(finish), **(said.attributes if said else {})},
            span_events=tuple(said.events) if said else (),
        )

    def _content(self, finish: Finish | None) -> dict[str, str]:
        """Return what was asked and answered, where that may leave the journal."""
        envelope = self._envelope
        if not self._telemetry.style.captures_content or envelope is None or finish is None:
            return {}
        asked = {names.CONTENT_INPUT: _message("user", envelope.reply or envelope.request_text)}
        said = next((message.text for message in finish.messages if message.role == "agent"), None)
        return asked if said is None else {**asked, names.CONTENT_OUTPUT: _message("assistant", said)}

    def _creation(self, run: layout.RunFacts) -> TraceContext | None:
        """Return the span that published the message, where it is known and is no parent anyway."""
        if self._source == names.REQUESTS_QUEUE:
            return TraceContext.read(self._claim.caller)
        sent = TraceContext.read(self._delivery.headers.get("traceparent")) if self._delivery is not None else None
        return None if sent is None or sent.span_id == run.root.span_id else sent


_watch: ContextVar[HopWatch | None] = ContextVar("baton_watch", default=None)


def step_recorded(step: Step) -> None:
    """Tell of a step that the hop of this task has recorded."""
    watch = _watch.get()
    if watch is not None and step.status == "done":
        watch.carried_out(step)


def _message(role: str, text: str) -> str:
    """Return a text as the GenAI conventions write a message."""
    return codec.encode([{"role": role, "parts": [{"type": "text", "content": text}]}]).decode()


def _did(finish: Finish, finished: Finished) -> str:
    if finished.outcome == "cancelled":
        return "cancelled"
    if finish.hop_status == "failed":
        return "failed"
    if finish.outcome is not None:
        return str(finish.outcome.get("did"))
    return finish.events[-1].type if finish.events else finish.hop_status
