"""What one process tells, and to whom.

In: acceptances, publishes and ends of runs, as they happen, and what the journal has of them. Out: spans to a sink, and
counts to `metrics`; the work waits for nothing here. Where neither is configured it costs a comparison.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from baton import ids, propagation
from baton.broker.contract import Delivery
from baton.config import Settings
from baton.errors import BatonError
from baton.journal.contract import Journal
from baton.journal.messages import DueResult
from baton.journal.records import PendingHop
from baton.propagation import TraceContext
from baton.telemetry import around, layout, names, rebuilt
from baton.telemetry.record import SpanRecord

if TYPE_CHECKING:
    from baton.telemetry.metrics import Load, Metrics

logger = logging.getLogger("baton")

Sink = Callable[[SpanRecord], None]
Sampler = Callable[[str], bool]
"""Whether the trace of that id is recorded; the same in every process."""
Clock = Callable[[], float]
"""Gives Unix seconds."""


def always(_: str) -> bool:
    """Record every trace."""
    return True


LATER_LIMIT = 10_000
"""Most runs that wait for a look into the journal; what comes on top is not told."""
DRAIN_S = 2.0
"""How long a process that stops goes on looking, in seconds."""


@dataclass(frozen=True, slots=True)
class Style:
    """How traces are laid out."""

    is_nested: bool = False
    """True: `process` spans are children of publishes, not of the run's root."""
    continues_caller: bool = False
    """True: a run is a part of its caller's trace, not one of its own."""
    traces_failed: bool = True
    """True: a run that fails is told whole, sampled or not."""
    captures_content: bool = False
    """True: what was asked and answered is an attribute of the turn's span."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings say."""
        is_nested, continues = settings.trace_layout == "nested", settings.trace_caller == "continue"
        return cls(is_nested, continues, settings.trace_failed, settings.capture_content)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run carries from its acceptance on."""

    traceparent: str | None
    """Of its root span; None: left to the processes that work on it."""
    tracestate: str | None
    caller: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """Something to tell that the journal has to be asked for."""

    run_id: str
    before: tuple[int, int] | None = None
    """What lies before this attempt (hop, token); None: the root, of a run that ended in no worker's hands."""
    is_whole: bool = False
    """True: all of it, although it was not sampled."""


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Let whatever goes wrong with telling in the block be a line in the log: the work is done, or goes on."""
    try:
        yield
    except Exception:
        logger.exception("something was not traced")


class Telemetry:
    """What one process tells.

    Args:
        sink: Takes spans; None: nothing is traced.
        sampler: Decides, at acceptance, which runs are.
        system: `messaging.system`: `rabbitmq`, or `baton` in one process.
        flow: The team's name.
        style: How traces are laid out.
        metrics: Takes counts, of traced runs and others; None: nothing is counted.
    """

    def __init__(
        self,
        *,
        sink: Sink | None = None,
        sampler: Sampler = always,
        system: str = "baton",
        flow: str = "baton",
        style: Style = Style(),
        metrics: "Metrics | None" = None,
    ) -> None:
        self.sink = sink
        self.metrics = metrics
        self.system = system
        self.flow = flow
        self.malformed = 0
        """Callers' contexts that could not be read."""
        self.untold = 0
        """Looks that were left out, since too many waited."""
        self._sampler = sampler
        self.style = style
        self._later: asyncio.Queue[Look] = asyncio.Queue(LATER_LIMIT)
        if metrics is not None:
            metrics.watch_trouble(lambda: self.malformed, lambda: self.untold)

    def opened(self, run_id: str, traceparent: str | None, tracestate: str | None) -> Opened:
        """Return what a new run carries, given what its caller sent; what is malformed is ignored, and counted."""
        caller = TraceContext.read(traceparent)
        self.malformed += caller is None and traceparent is not None
        if caller is not None and self.style.continues_caller:
            root = TraceContext(caller.trace_id, propagation.root_id(run_id), is_sampled=caller.is_sampled)
            return Opened(str(root), propagation.checked_state(tracestate), str(caller))
        told = None if caller is None else str(caller)
        if self.sink is None:
            return Opened(None, None, told)
        root = TraceContext(run_id, propagation.root_id(run_id), is_sampled=self._sampler(run_id))
        return Opened(str(root), None, told)

    def facts(self, run_id: str, traceparent: str | None, conversation_id: str = "") -> layout.RunFacts:
        """Return what every span of a run needs."""
        return layout.run_facts(
            run_id,
            conversation_id,
            traceparent,
            system=self.system,
            is_sampled=self.sink is not None and traceparent is None and self._sampler(run_id),
            is_nested=self.style.is_nested,
        )

    def watch_load(self, load: "Load") -> None:
        """Have the slots of this process's agents asked for whenever somebody looks."""
        if self.metrics is not None:
            self.metrics.watch_load(load)

    def delivered(self, source: str, delivery: Delivery) -> None:
        """Count what the broker delivered."""
        if self.metrics is not None:
            self.metrics.delivered(source, is_redelivered=delivery.is_redelivered)

    def blocked(self) -> None:
        """Count that a turn blocked the event loop; from any thread."""
        if self.metrics is not None:
            self.metrics.blocked()

    def sending(
        self, hop: PendingHop, body_bytes: int, of: "Following | None" = None
    ) -> AbstractContextManager["Sending"]:
        """Watch the publish of a hop for as long as the block runs.

        Args:
            hop: What is published.
            body_bytes: Its size.
            of: What it follows from; None: no hop of this process.
        """
        destination, message_id = names.work(hop.agent), ids.message_id(hop.run_id, hop.seq)
        parcel = _Parcel(destination, message_id, body_bytes, hop.traceparent)
        if of is not None:
            return self._sent(parcel, of, layout.publish_of(of.run, hop.seq))
        return self._sent(parcel, *self._from_nowhere(hop.run_id, hop.traceparent))

    def answering(self, due: DueResult, body_bytes: int) -> AbstractContextManager["Sending"]:
        """Watch the publish of a result or a question for as long as the block runs."""
        parcel = _Parcel(names.RESULTS, due.message_id, body_bytes, due.traceparent)
        return self._sent(parcel, *self._from_nowhere(due.result.run_id, due.traceparent))

    def _from_nowhere(self, run_id: str, traceparent: str | None) -> "tuple[Following | None, TraceContext | None]":
        """Return the run's root to follow, and a new span; nothing where the run is not traced."""
        if self.sink is None:
            return None, None
        run = self.facts(run_id, traceparent)
        if not run.root.is_sampled:
            return None, None
        return Following(run, run.root, time.time), TraceContext(run.root.trace_id, secrets.token_hex(8))

    @contextlib.contextmanager
    def _sent(self, parcel: "_Parcel", of: "Following | None", own: TraceContext | None) -> "Iterator[Sending]":
        clock = time.time if of is None else of.clock
        sending, began_at = Sending(parcel.traceparent if own is None else str(own)), clock()
        try:
            yield sending
        finally:
            times = began_at, clock()
            with harmless():
                if self.sink is not None and of is not None and own is not None:
                    sent = around.Sent(parcel.destination, parcel.message_id, times, parcel.body_bytes, sending.error)
                    self.sink(around.publish(of.run, own, of.parent, sent))
                if self.metrics is not None:
                    self.metrics.sent(parcel.destination, times[1] - times[0], sending.error, own)

    def ended(self, run_ids: Sequence[str]) -> None:
        """Tell of runs that ended in no worker's hands."""
        for run_id in run_ids:
            self.look(Look(run_id))

    def look(self, wanted: Look) -> None:
        """Ask the journal for something, later."""
        if self.sink is None and self.metrics is None:
            return
        try:
            self._later.put_nowait(wanted)
        except asyncio.QueueFull:
            self.untold += 1

    def failed_unsampled(self, run_id: str) -> None:
        """Tell all of a run that failed although its trace was not sampled."""
        if self.sink is not None and self.style.traces_failed:
            self.look(Look(run_id, is_whole=True))

    async def keep(self, journal: Journal) -> None:
        """Look into the journal for what is to be told, for ever."""
        while True:
            wanted = await self._later.get()
            try:
                await self._tell(journal, wanted)
            except asyncio.CancelledError:
                self.look(wanted)  # `drain` is next
                raise

    async def drain(self, journal: Journal) -> None:
        """Tell what is left, within a few seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._later.empty():
                    await self._tell(journal, self._later.get_nowait())

    async def _tell(self, journal: Journal, wanted: Look) -> None:
        try:
            run = await self.read(journal, wanted.run_id)
        except BatonError as error:
            logger.info("not traced: what the journal has of %s: %s", wanted.run_id, error)
            return
        except Exception:  # whatever it was, the next one's trace does not depend on it
            logger.exception("not traced: what the journal has of %s", wanted.run_id)
            return
        with harmless():
            if self.metrics is not None:
                _count(self.metrics, run, wanted, is_traced=self.sink is not None)
            if self.sink is not None:
                for span in self._wanted(run, wanted):
                    self.sink(span)

    def _wanted(self, run: rebuilt.Rebuilt, wanted: Look) -> list[SpanRecord]:
        if wanted.before is not None and not run.facts.root.is_sampled:
            return []
        if wanted.is_whole or not run.facts.root.is_sampled:
            is_failed = run.root is not None and run.root.attributes[names.RUN_STATE] == "failed"
            return rebuilt.recorded(run) if is_failed and self.style.traces_failed else []
        return run.with_root() if wanted.before is None else run.before(*wanted.before)

    async def read(self, journal: Journal, run_id: str, *, now: float | None = None) -> rebuilt.Rebuilt:
        """Return a run as spans, from the journal.

        Args:
            journal: Where from.
            run_id: Which.
            now: Unix seconds at which what is still going on ends; None: it is left out.

        Raises:
            NotFoundError: There is no such run.
        """
        run = await journal.run(run_id)
        rows = rebuilt.RunRows(
            run,
            await journal.hops(run.run_id),
            await journal.events(run.run_id),
            await journal.steps(run.run_id),
            await journal.waits(run.run_id),
        )
        facts = self.facts(run.run_id, run.traceparent, run.conversation_id)
        return rebuilt.rebuild(rows, facts, flow=self.flow, now=now)


def _count(metrics: "Metrics", run: rebuilt.Rebuilt, wanted: Look, *, is_traced: bool) -> None:
    """Count what only the journal knows: how the attempt before one ended, and a run that ended in nobody's hands."""
    if wanted.before is not None:
        ended = {(seq, token - 1) for seq, token in run.heirs(*wanted.before)}
        for attempt in run.attempts:
            if (attempt.seq, attempt.token) in ended:
                metrics.recovered(attempt.did)
    elif run.root is not None and not wanted.is_whole:
        told = run.root.attributes
        took_s, root = run.root.end_at - run.root.start_at, run.facts.root if is_traced else None
        metrics.ended(told[names.RUN_STATE], took_s, told.get(names.ERROR_TYPE), root)


class Following(NamedTuple):
    """What a publish is a part of."""

    run: layout.RunFacts
    parent: TraceContext
    clock: Clock
    """The journal's, where it is known."""


class _Parcel(NamedTuple):
    """What is published."""

    destination: str
    message_id: str
    body_bytes: int
    traceparent: str | None
    """What its message carries where it has no span of its own."""


@dataclass(slots=True)
class Sending:
    """A publish under way."""

    traceparent: str | None
    """What its message carries."""
    error: str | None = None
    """Why it was not published, in a word; None: it was."""


OFF = Telemetry()
"""Tells nothing."""
