"""A run as a picture has it: a line for each span, and where its time went.

In: a run rebuilt from the journal. Out: lines in the order of the tree, and stretches that add up to its duration.
`cli.trace_page` draws them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from baton.journal.views import HopView, RunView
from baton.protocol.guards import HUMAN, ROUTER
from baton.telemetry import layout, names, rebuilt
from baton.telemetry.layout import Attempt
from baton.telemetry.rebuilt import Rebuilt
from baton.telemetry.record import SpanRecord

Spent = Literal["route", "queue", "work", "tool", "wait", "retry", "other"]
"""What time goes to: `route` the router's attempts; `queue` from a hop becoming due to its claim; `work` agents'
attempts less their tools; `tool` recorded steps; `wait` waits for people; `retry` pauses before attempts, and attempts
whose process died; `other` what is left, such as another run of the conversation."""
SPENT: tuple[Spent, ...] = get_args(Spent)
BUSY = ("route", "work", "tool")
"""Where somebody worked; the rest can be cut out of a picture."""
_FIRST: tuple[Spent, ...] = ("tool", "route", "work", "wait", "retry", "queue")
"""Which of two counts where both claim a moment."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a run's time, and what it went to."""

    spent: Spent
    start_at: float
    """Unix seconds."""
    end_at: float

    @property
    def took_s(self) -> float:
        """Seconds from its start to its end."""
        return self.end_at - self.start_at


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the picture."""

    depth: int
    """0: the run; a hop is one deeper, its attempts one more."""
    label: str
    spent: Spent
    start_at: float
    """Unix seconds."""
    end_at: float
    due_at: float | None = None
    """Since when the hop had been due at `start_at`; None: not known."""
    error: str | None = None
    """Its code; None: it is well."""
    is_open: bool = False
    """True: it goes on, and `end_at` is now."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A run as `baton trace` shows it."""

    run: RunView
    hops: Sequence[HopView]
    rebuilt: Rebuilt
    """With what goes on ending now."""
    now: float

    @property
    def end_at(self) -> float:
        """The run's end, or now."""
        return max(self.run.accepted_at, self.now if self.run.ended_at is None else self.run.ended_at)

    @property
    def stretches(self) -> list[Stretch]:
        """What the run's time went to, from its acceptance to its end, without a gap."""
        return stretches(_claimed(self), self.run.accepted_at, self.end_at)

    @property
    def lines(self) -> list[Line]:
        """The run, its hops, and what happened in each of them; publishes take no time that the journal knows."""
        return [_run_line(self), *(line for hop in self.hops for line in _hop_lines(self, hop))]

    @property
    def spans(self) -> list[tuple[SpanRecord, bool]]:
        """All spans, each with whether it goes on; the root is there once the run has ended."""
        running = [span for one in self.rebuilt.attempts if one.did == "running" for span in layout.attempt_spans(one)]
        done = [(span, self.is_open(span)) for span in self.rebuilt.spans]
        return done + [(span, "execute_tool" not in span.name) for span in running]

    def is_open(self, span: SpanRecord) -> bool:
        """Return True for a wait that is not over, and for a pause before an attempt that has not begun."""
        is_pause = names.WAIT_STATUS in span.attributes or names.RETRY_DELAY_MS in span.attributes
        return is_pause and self.run.ended_at is None and span.end_at >= self.now


def stretches(claimed: Iterable[Stretch], start_at: float, end_at: float) -> list[Stretch]:
    """Return what each moment between two times went to; a moment counts once, whoever else claims it.

    Args:
        claimed: May overlap, reach over both ends and leave gaps; these are `other`.
        start_at: Unix seconds.
        end_at: Not before `start_at`.

    Returns:
        Neighbours that touch and are not of one kind, from `start_at` to `end_at`.
    """
    changes = sorted(
        (min(max(at, start_at), end_at), change, one.spent)
        for one in claimed
        if one.start_at < one.end_at
        for at, change in ((one.start_at, 1), (one.end_at, -1))
    )
    found: list[Stretch] = []
    active: Counter[Spent] = Counter()
    since = start_at
    ending: tuple[float, int, Spent] = (end_at, 0, "other")
    for at, change, spent in (*changes, ending):
        if at > since:
            now: Spent = next((one for one in _FIRST if active[one]), "other")
            if found and found[-1].spent == now:
                since = found.pop().start_at
            found.append(Stretch(now, since, at))
            since = at
        active[spent] += change
    return found


def spent_s(found: Iterable[Stretch]) -> dict[Spent, float]:
    """Return how many seconds went to each kind."""
    total: dict[Spent, float] = dict.fromkeys(SPENT, 0.0)
    for one in found:
        total[one.spent] += one.took_s
    return total


def _claimed(picture: Picture) -> Iterator[Stretch]:
    """Yield what claims the run's time."""
    before_at = picture.run.accepted_at
    for attempt in picture.rebuilt.attempts:
        due_at = before_at if attempt.queue_s is None else attempt.started_at - attempt.queue_s
        yield Stretch("queue", due_at, attempt.started_at)
        yield Stretch(_spent_by(attempt), attempt.started_at, attempt.ended_at)
        for step in attempt.steps if _spent_by(attempt) == "work" else ():
            if step.ended_at is not None:  # a step's times are its worker's clock's
                start_at = max(step.started_at, attempt.started_at)
                yield Stretch("tool", start_at, min(step.ended_at, attempt.ended_at))
        before_at = attempt.ended_at
    for one in picture.rebuilt.between:
        if names.WAIT_STATUS in one.span.attributes:
            yield Stretch("wait", one.span.start_at, one.span.end_at)
        elif names.RETRY_DELAY_MS in one.span.attributes:
            yield Stretch("retry", one.span.start_at, one.span.end_at)
    for hop in picture.hops:
        if (since_at := _due_at(hop, picture.now)) is not None:
            yield Stretch("queue", since_at, hop.ended_at or picture.end_at)


def _due_at(hop: HopView, now: float) -> float | None:
    """Return since when a hop is due, or was when its run ended, with nobody to claim it; None: it is not."""
    if hop.status == "running" and hop.due_at is not None and hop.due_at < now:
        return hop.due_at
    is_due = hop.status == "pending" or (hop.status == "failed" and hop.token == 0)
    return hop.pending_since if is_due and hop.agent != HUMAN else None


def _spent_by(attempt: Attempt) -> Spent:
    if attempt.did == "lost":
        return "retry"
    return "route" if attempt.agent == ROUTER else "work"


def _run_line(picture: Picture) -> Line:
    run = picture.run
    error = run.error.code if run.error else None
    return Line(0, "run", "work", run.accepted_at, picture.end_at, error=error, is_open=run.ended_at is None)


def _hop_lines(picture: Picture, hop: HopView) -> list[Line]:
    """Return a hop's line, and those of its attempts, pauses and waits below it, by time."""
    if rebuilt.is_copied(hop, picture.run):
        return []
    attempts = [one for one in picture.rebuilt.attempts if one.seq == hop.seq]
    pauses = list(_pauses(picture, hop.seq))
    label = f"hop {hop.seq} {hop.agent}"
    is_open = hop.ended_at is None and picture.run.ended_at is None
    if len(attempts) == 1 and not pauses and is_open == (attempts[0].did == "running"):
        return list(_attempt_lines(attempts[0], label, 1))
    below = [list(_attempt_lines(one, _told(one), 2)) for one in attempts] + [[line] for line in pauses]
    below.sort(key=lambda lines: lines[0].start_at)
    if not below:
        return [_idle_hop(picture, hop, label)]
    heads = [lines[0] for lines in below]
    own = Line(
        1,
        label,
        "work",
        heads[0].start_at,
        picture.end_at if is_open else max(line.end_at for line in heads),
        due_at=heads[0].due_at,
        error=None if is_open else heads[-1].error,
        is_open=is_open,
    )
    return [own, *(line for lines in below for line in lines)]


def _idle_hop(picture: Picture, hop: HopView, label: str) -> Line:
    """Return the line of a hop at which nothing has happened yet."""
    end_at = hop.ended_at or picture.end_at
    spent: Spent = "other" if _due_at(hop, picture.now) is None else "queue"
    is_open = hop.ended_at is None
    told = f"{label} ({hop.status})" if is_open else label
    start_at = min(max(hop.pending_since, picture.run.accepted_at), end_at)
    return Line(1, told, spent, start_at, end_at, error=hop.error.code if hop.error else None, is_open=is_open)


def _pauses(picture: Picture, seq: int) -> Iterator[Line]:
    for one in picture.rebuilt.between:
        span = one.span
        is_wait = names.WAIT_STATUS in span.attributes
        if span.attributes.get(names.HOP) != seq or not (is_wait or names.RETRY_DELAY_MS in span.attributes):
            continue
        error = "expired" if span.attributes.get(names.WAIT_STATUS) == "expired" else None
        yield Line(
            2,
            span.name,
            "wait" if is_wait else "retry",
            span.start_at,
            span.end_at,
            error=error,
            is_open=picture.is_open(span),
        )


def _attempt_lines(attempt: Attempt, label: str, depth: int) -> Iterator[Line]:
    """Yield an attempt's line, and those of its turn, its tools and its handoff."""
    spans = layout.attempt_spans(attempt)
    is_open = attempt.did == "running"
    for span in sorted(spans, key=lambda one: (one.start_at, spans.index(one))):
        is_own = span.context == attempt.process
        is_tool = span.name.startswith("execute_tool")
        deeper = 0 if is_own else 1 if span.parent_id == attempt.process.span_id else 2
        yield Line(
            depth + deeper,
            label if is_own else _named(span),
            "tool" if is_tool else _spent_by(attempt),
            span.start_at,
            span.end_at,
            due_at=attempt.started_at - attempt.queue_s if is_own and attempt.queue_s is not None else None,
            error=attempt.error_code if is_own else None,
            is_open=is_open and not is_tool,
        )


def _told(attempt: Attempt) -> str:
    """Return an attempt's number, and how it ended where that was not the end of its hop."""
    ended = {"lost": " lost", "handed_back": " handed back", "cancelled": " cancelled"}
    return f"attempt {attempt.attempt}{ended.get(attempt.did, '')}"


def _named(span: SpanRecord) -> str:
    target = span.attributes.get(names.TRANSFER_TARGET)
    if target is not None:
        return f"handoff → {target}"
    routed = span.attributes.get(names.ROUTE_TARGET)
    return span.name if routed is None else f"{span.name} → {routed}"
