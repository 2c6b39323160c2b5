"""A run's spans from the journal alone: for what no process has in hand any more.

In: a run's rows. Out: the spans that were written, or would have been, with the same ids. Workers take from here what
lies before their attempt (a lost one, a pause, a wait for a person); `baton trace` and runs that failed unsampled take
all of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from baton import ids
from baton.journal.views import EventView, HopView, RunView, StepView, WaitView
from baton.propagation import TraceContext
from baton.protocol.guards import HUMAN, ROUTER
from baton.telemetry import around, layout, names
from baton.telemetry.layout import Attempt, RunFacts
from baton.telemetry.record import SpanRecord

ENDS_ATTEMPT = ("retry", "wait", "handed_back")
"""Events that end an attempt and leave the hop open."""


@dataclass(frozen=True, slots=True)
class RunRows:
    """Everything that the journal has of a run."""

    run: RunView
    hops: Sequence[HopView]
    events: Sequence[EventView] = ()
    steps: Sequence[StepView] = ()
    waits: Sequence[WaitView] = ()


@dataclass(frozen=True, slots=True)
class Between:
    """A span of the time between attempts, and the attempt whose worker writes it."""

    span: SpanRecord
    before: tuple[int, int] | None
    """Hop and token of that attempt; None: there was none, and it is written with the root."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A run as spans."""

    facts: RunFacts
    attempts: tuple[Attempt, ...]
    between: tuple[Between, ...]
    publishes: tuple[SpanRecord, ...]
    root: SpanRecord | None
    """None: the run has not ended."""

    @property
    def spans(self) -> list[SpanRecord]:
        """All spans, the root first, then by time."""
        found = [
            span for attempt in self.attempts if attempt.did != "running" for span in layout.attempt_spans(attempt)
        ]
        found += [one.span for one in self.between if one.span not in found] + list(self.publishes)
        found.sort(key=lambda span: span.start_at)
        return found if self.root is None else [self.root, *found]

    def before(self, seq: int, token: int) -> list[SpanRecord]:
        """Return what the worker of an attempt writes of the time before it."""
        heirs = self.heirs(seq, token)
        return [one.span for one in self.between if one.before in heirs]

    def heirs(self, seq: int, token: int) -> set[tuple[int, int]]:
        """Return an attempt and the lost ones right before it: none of those wrote anything."""
        lost = {(one.seq, one.token) for one in self.attempts if one.did == "lost"}
        found = {(seq, token)}
        while (seq, token - 1) in lost:
            token -= 1
            found.add((seq, token))
        return found

    def with_root(self) -> list[SpanRecord]:
        """Return what whoever writes the root writes with it, for lack of anybody else."""
        last = self.attempts[-1] if self.attempts else None
        heirs = self.heirs(last.seq, last.token) if last is not None and last.did == "lost" else set()
        left = [one.span for one in self.between if one.before is None or one.before in heirs]
        return left if self.root is None else [self.root, *left]


def rebuild(rows: RunRows, facts: RunFacts, *, flow: str, now: float | None = None) -> Rebuilt:
    """Return a run as spans.

    Args:
        rows: What the journal has.
        facts: Of the run.
        flow: The team's name.
        now: Unix seconds at which what is still going on ends, for a picture; None: it is left out.
    """
    own = [hop for hop in rows.hops if not is_copied(hop, rows.run)]
    attempts = [attempt for hop in own for attempt in _attempts(hop, rows, facts, now)]
    return Rebuilt(
        facts,
        tuple(attempts),
        tuple(_between(rows, facts, attempts, now)),
        tuple(_publishes(rows, attempts)),
        _root(rows, facts, flow),
    )


@dataclass(slots=True)
class _Walk:
    """The attempts at one hop, as its events tell of them."""

    hop: HopView
    rows: RunRows
    facts: RunFacts
    token: int = 0
    began_at: float | None = None
    number: int = 1
    is_open: bool = False
    events: list[EventView] = field(default_factory=list)
    found: list[Attempt] = field(default_factory=list)

    def open(self, at: float | None, number: int | None = None) -> None:
        self.token += 1
        self.began_at, self.is_open, self.events = at, True, []
        self.number = self.number if number is None else number

    def reopen(self) -> None:
        """Go on with an attempt that no event begins: the first, or one after a wait or a hand-back."""
        if not self.is_open:
            kept = self.events
            self.open(None)
            self.events = kept

    def take(self, event: EventView) -> None:
        """Take the next event of the hop."""
        if (lost := event.data.get("lost")) is not None:
            self.reopen()
            self.close("lost", lost[0], lost[1], (names.WORKER_LOST, ""))
        if event.type == "attempt":
            self.open(event.at, event.data["attempt"])
        elif event.type in ENDS_ATTEMPT and self.hop.agent != HUMAN:
            self.reopen()
            self.events.append(event)
            failed = (event.data.get("code"), event.data.get("message", "")) if event.type == "retry" else (None, "")
            self.close(event.type, event.data.get("since", event.at), event.at, failed)
            self.number += event.type == "retry"
        else:
            self.events.append(event)

    def close(self, did: str, began_at: float, ended_at: float, error: tuple[str | None, str]) -> None:
        hop, began = self.hop, self.began_at or began_at
        # What it had been due since is known of the first attempt, until a retry or the end of a wait overwrites it.
        is_known = not self.found and hop.pending_since <= began
        source = names.REQUESTS_QUEUE if _is_from_requests(hop, self.rows.run, self.facts) else names.queue(hop.agent)
        self.found.append(
            Attempt(
                self.facts,
                hop.seq,
                hop.agent,
                self.token,
                self.number,
                began,
                ended_at,
                source,
                layout.process_of(self.facts, hop.seq, self.token),
                layout.work_of(self.facts, hop.seq, self.token),
                did,
                queue_s=began - hop.pending_since if is_known else None,
                creation=_creation(hop, self.rows, self.facts) if self.token == 1 else None,
                error_code=error[0],
                error_message=error[1],
                events=tuple(self.events),
            )
        )
        self.is_open, self.events = False, []


def _attempts(hop: HopView, rows: RunRows, facts: RunFacts, now: float | None) -> list[Attempt]:
    """Return the attempts at a hop, in their order."""
    walk = _Walk(hop, rows, facts)
    for event in rows.events:
        if event.seq == hop.seq:
            walk.take(event)
    if hop.started_at is not None and (walk.is_open or walk.token < hop.token):
        walk.reopen()
        if hop.ended_at is not None and not _is_ended_by_claim(hop):
            if hop.status == "failed" and hop.due_at is not None and hop.due_at < hop.ended_at:
                # A finish sets it, the end of a run does not: the lease had run out by then.
                walk.close("lost", hop.started_at, max(hop.started_at, hop.due_at), (names.WORKER_LOST, ""))
            else:
                walk.close(_did(hop, rows.run), hop.started_at, hop.ended_at, _error(hop))
        elif hop.status == "running" and now is not None:
            _close_open(walk, hop.started_at, now)
    return _with_steps(walk.found, rows)


def _close_open(walk: _Walk, began_at: float, now: float) -> None:
    """End an attempt now, or when its lease ran out: its process was not heard of since."""
    lease_until = walk.hop.due_at
    if lease_until is not None and lease_until < now:
        walk.close("lost", began_at, max(lease_until, began_at), (names.WORKER_LOST, ""))
    else:
        walk.close("running", began_at, max(now, began_at), (None, ""))


def _is_ended_by_claim(hop: HopView) -> bool:
    """Return True where its last claim found that its attempts were used up, or its run stopped: nobody worked."""
    return hop.status == "failed" and hop.ended_at == hop.started_at


def is_copied(hop: HopView, run: RunView) -> bool:
    """Return True for a hop of the run that this one was redriven from: it is in that one's trace."""
    return run.redrive_of is not None and hop.ended_at is not None and hop.ended_at <= run.accepted_at


def _with_steps(attempts: list[Attempt], rows: RunRows) -> list[Attempt]:
    """Return a hop's attempts with the steps that each recorded.

    By the attempt's number first: a step's times are its worker's, which may differ from the journal's. Attempts
    that a wait or a hand-back ended share theirs with the next one; there the times decide.
    """
    taken: dict[int, list[StepView]] = {one.token: [] for one in attempts}
    answered_at = {wait.answered_at for wait in rows.waits}
    for step in rows.steps:
        is_copied = rows.run.redrive_of is not None and step.started_at < rows.run.accepted_at
        if is_copied or step.started_at in answered_at:  # a person's answer is recorded as a step, and is none
            continue
        same = [one for one in attempts if one.seq == step.seq and one.attempt == step.attempt]
        begun = [one for one in same if one.started_at <= step.started_at]
        if same:
            taken[(begun or same[:1])[-1].token].append(step)
    return [one._replace(steps=tuple(taken[one.token])) for one in attempts]


def _between(rows: RunRows, facts: RunFacts, attempts: Sequence[Attempt], now: float | None) -> Iterator[Between]:
    """Yield what lies between attempts, each with the attempt whose worker writes it."""
    for earlier, later in pairwise(attempts):
        if earlier.seq == later.seq:
            for span in _left_by(earlier, until=later.started_at):
                yield Between(span, (later.seq, later.token))
    until = rows.run.ended_at or now
    if attempts and until is not None:
        for span in _left_by(attempts[-1], until=until):
            yield Between(span, None)
    for wait in rows.waits:
        over_at = wait.answered_at or now
        if over_at is not None:
            first = next((one for one in attempts if one.started_at >= over_at), None)
            yield Between(_wait(wait, facts, attempts, over_at), None if first is None else (first.seq, first.token))


def _left_by(attempt: Attempt, *, until: float) -> list[SpanRecord]:
    """Return what an attempt leaves to the one after it."""
    if attempt.did == "lost":
        return layout.attempt_spans(attempt)
    if attempt.did != "retry":
        return []
    delay_s = next((event.data.get("delay_s", 0.0) for event in attempt.events if event.type == "retry"), 0.0)
    return [around.retry_wait(attempt, until=until, delay_s=delay_s)]


def _wait(wait: WaitView, facts: RunFacts, attempts: Sequence[Attempt], over_at: float) -> SpanRecord:
    asked = [one for one in attempts if one.seq in (wait.seq, wait.seq - 1) and one.ended_at <= wait.created_at]
    waited = around.Waited(
        wait.wait_id,
        wait.kind,
        wait.agent,
        wait.seq,
        (wait.created_at, over_at),
        wait.status,
        None if wait.answer is None else wait.answer.get("by"),
        asked[-1].work if asked else None,
    )
    return around.wait(facts, waited)


def _publishes(rows: RunRows, attempts: Sequence[Attempt]) -> Iterator[SpanRecord]:
    """Yield the publishes of hops by the attempt before them; how long each took is not in the journal."""
    hops = {hop.seq: hop for hop in rows.hops}
    for attempt in attempts:
        following = hops.get(attempt.seq + 1)
        if attempt.did in ("lost", *ENDS_ATTEMPT) or following is None or following.agent == HUMAN:
            continue
        if any(event.type == "handoff" for event in attempt.events):
            yield published(attempt.run, following.seq, following.agent, attempt.mover, attempt.ended_at)


def published(run: RunFacts, seq: int, agent: str, parent: TraceContext, at: float) -> SpanRecord:
    """Return the publish of a hop of which only the moment is known."""
    sent = around.Sent(names.work(agent), ids.message_id(run.run_id, seq), (at, at))
    return around.publish(run, layout.publish_of(run, seq), parent, sent)


def _root(rows: RunRows, facts: RunFacts, flow: str) -> SpanRecord | None:
    run = rows.run
    if run.ended_at is None:
        return None
    ending = around.Ending(
        run.status,
        run.accepted_at,
        run.ended_at,
        len(rows.hops),
        run.caller,
        run.error.code if run.error else None,
        run.error.message if run.error else "",
    )
    return around.root(facts, ending, flow=flow)


def _is_from_requests(hop: HopView, run: RunView, facts: RunFacts) -> bool:
    """Return True where a router claimed the first hop as it accepted the request."""
    return hop.seq == 0 and hop.agent == ROUTER and facts.system == "rabbitmq" and hop.pending_since == run.accepted_at


def _creation(hop: HopView, rows: RunRows, facts: RunFacts) -> TraceContext | None:
    """Return the span that published a hop first; None: there is none, or its id is in no journal."""
    if hop.seq == 0:
        return TraceContext.read(rows.run.caller) if _is_from_requests(hop, rows.run, facts) else None
    is_redriven = any(is_copied(one, rows.run) for one in rows.hops if one.seq == hop.seq - 1)
    if is_redriven or hop.from_agent == HUMAN or hop.kind == "reply":
        return None
    return layout.publish_of(facts, hop.seq)


def _did(hop: HopView, run: RunView) -> str:
    if hop.status == "failed":
        return "cancelled" if run.status == "cancelled" else "failed"
    return str((hop.outcome or {}).get("did", hop.status))


def _error(hop: HopView) -> tuple[str | None, str]:
    if hop.status != "failed" or hop.error is None:
        return None, ""
    return hop.error.code, hop.error.message


def recorded(rebuilt: Rebuilt) -> list[SpanRecord]:
    """Return all spans of a run, to be recorded although its trace was not sampled."""
    return [span._replace(context=span.context._replace(is_sampled=True)) for span in rebuilt.spans]
