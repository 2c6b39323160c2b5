"""The hop loop: deliver, claim, take the turn, finish, publish, ack. It decides nothing.

In: deliveries of one name's queue, and what the poll finds in the journal. Out: finished hops and
the envelopes that follow from them. The decisions are in `protocol`.
"""

import asyncio
import logging
import random
import time
from itertools import chain, repeat

from baton import envelope as wire
from baton import failpoints, ids
from baton.broker.contract import Consumer, Delivery, Hint
from baton.envelope import Envelope, HopName
from baton.errors import BrokerError, EnvelopeError, EnvelopeVersionError, JournalError, NotFoundError
from baton.hop.leases import Held, hand_back
from baton.hop.poller import Poller
from baton.hop.publishing import publish
from baton.hop.slots import HAND_BACK_S, Begin, Slots
from baton.hop.steps import LeaseLost, Suspended, first_of
from baton.hop.surroundings import MADE_LIMIT, Surroundings
from baton.hop.taking import TurnTaker
from baton.journal.messages import Quarantined
from baton.journal.records import Claim, ClaimCommand, Finished
from baton.outcome import Handoff
from baton.protocol import guards, retry, settle
from baton.protocol.moving import HopContext
from baton.protocol.route import Routed
from baton.protocol.settle import Settled
from baton.telemetry import names
from baton.telemetry.hops import HopWatch

logger = logging.getLogger("baton")

SCHEMA_DELAY_S = 30.0
"""How long a hop of an unknown newer schema is left alone, in seconds."""


class Worker:
    """Works on the hops of one name in this process.

    Args:
        name: An agent's name, or `router`.
        taker: Takes its turns.
        shared: What the process's workers share.
        slots: Hops at a time, >= 1.
    """

    def __init__(self, name: str, taker: TurnTaker, shared: Surroundings, *, slots: int) -> None:
        self.name = name
        self._source = names.queue(name)
        self._taker = taker
        self._shared = shared
        self._slots = Slots(name, slots)
        self._busy: set[tuple[str, int]] = set()
        self._consumer: Consumer | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._poller = Poller(name, shared, self._slots, self._busy, max_attempts=taker.max_attempts)

    @property
    def max_attempts(self) -> int:
        """How often a hop of this name is tried."""
        return self._taker.max_attempts

    @property
    def load(self) -> tuple[str, int, int]:
        """Its name, its busy slots and its free ones."""
        return self.name, *self._slots.load

    @property
    def is_consuming(self) -> bool:
        """True once it gets deliveries; the poll works without."""
        return self._consumer is not None

    async def start(self) -> None:
        """Consume the queue, as soon as there is one, and poll the journal."""
        await self._consume()
        if self._consumer is None:
            self._chores.append(asyncio.create_task(self._consume_later()))
        self._chores.append(asyncio.create_task(self._poller.run(self._begin_polled)))

    def wake(self) -> None:
        """Look into the journal now: another process wrote."""
        self._poller.wake(takes_all=True)

    async def stop(self, grace_s: float) -> None:
        """Take no more hops, let running ones finish for `grace_s` seconds, hand back the rest."""
        self._slots.close()
        for chore in self._chores:
            chore.cancel()
        if self._consumer is not None:
            await self._consumer.cancel()  # at once: what waits here can be taken elsewhere
        await asyncio.gather(self._end_chores(), self._slots.drain(grace_s))

    def offer(self, begin: Begin) -> None:
        """Begin what was delivered as soon as a slot is free; not at all once this worker stops."""
        self._poller.delivered()
        self._slots.offer(begin)

    async def work_on(self, claim: Claim, *, asked_at: float, source: str) -> None:
        """Work on a hop that was claimed for this worker.

        Args:
            claim: The claim.
            asked_at: When it was asked for, by `time.monotonic`.
            source: Where what it was made of came from.
        """
        key = (claim.lease.run_id, claim.lease.seq)
        self._busy.add(key)
        try:
            await self._work(claim, None, asked_at, source)
        finally:
            self._busy.discard(key)

    async def _consume(self) -> None:
        try:
            self._consumer = await self._shared.broker.consume(self.name, self._on_delivery, prefetch=self._slots.count)
        except BrokerError as error:
            logger.warning("%s lives by polling: %s", self.name, error)

    async def _end_chores(self) -> None:
        """Wait until the cancelled chores have ended; a poll under way may hand back what it is given."""
        if self._chores:
            await asyncio.wait(self._chores, timeout=HAND_BACK_S)
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)

    async def _consume_later(self) -> None:
        """Consume once the broker has the queue; until then the poll finds all."""
        for pause_s in chain((1, 2), repeat(5)):
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            await self._consume()
            if self._consumer is not None:
                logger.warning("%s gets deliveries now", self.name)
                return

    def _on_delivery(self, delivery: Delivery) -> None:
        failpoints.hit("hop.delivered")
        self._shared.telemetry.delivered(self._source, delivery)
        self.offer(lambda: self._deliver(delivery))

    async def _deliver(self, delivery: Delivery) -> None:
        """Work on a delivered hop; ack it in the end, whatever became of it."""
        try:
            name = HopName.of(delivery.headers, delivery.body)
            if (name.run_id, name.seq) not in self._busy:
                await self._claim(name, delivery)
        except EnvelopeVersionError as error:
            logger.warning("left for a newer replica: %s", error)
        except EnvelopeError as error:
            await self._quarantine(delivery, str(error))
        except JournalError as error:
            logger.warning("hop left to the poll: %s", error)
        finally:
            delivery.ack()
            failpoints.hit("hop.acked")

    async def _claim(self, name: HopName, delivery: Delivery) -> None:
        self._busy.add((name.run_id, name.seq))
        try:
            command = ClaimCommand(
                name.run_id,
                name.seq,
                self.name,
                ids.new_id(),
                self._shared.owner,
                self._shared.settings.lease_s,
                self._taker.max_attempts,
                wire.sealed_digest(delivery.body),
                takes_suspect=False,
            )
            asked_at = time.monotonic()
            try:
                claim = await self._shared.journal.claim(command)
            except asyncio.CancelledError:
                await hand_back(self._shared.journal, await self._shared.journal.claim(command))
                raise
            if claim is None:
                await self._check_known(name, delivery)
            else:
                self._poller.passed(claim.pending_since)
                await self._work(claim, delivery, asked_at)
        finally:
            self._busy.discard((name.run_id, name.seq))

    async def _check_known(self, name: HopName, delivery: Delivery) -> None:
        """Keep a message of an unknown run; one of a known run is a duplicate, and forgotten."""
        try:
            await self._shared.journal.status(name.run_id)
        except NotFoundError:
            await self._quarantine(delivery, f"unknown run {name.run_id}")

    async def _quarantine(self, delivery: Delivery, reason: str) -> None:
        await self._shared.journal.quarantine(Quarantined(self.name, delivery.body, reason, dict(delivery.headers)))

    def _begin_polled(self, claim: Claim, asked_at: float) -> None:
        self._busy.add((claim.lease.run_id, claim.lease.seq))
        self._slots.spawn(self._work_polled(claim, asked_at))

    async def _work_polled(self, claim: Claim, asked_at: float) -> None:
        try:
            await self._work(claim, None, asked_at)
        finally:
            self._busy.discard((claim.lease.run_id, claim.lease.seq))
            if claim.is_suspect:
                self._shared.leases.clear_suspect()
                self._poller.wake()

    async def _work(self, claim: Claim, delivery: Delivery | None, asked_at: float, source: str | None = None) -> None:
        """Take the turn of a claimed hop and finish it."""
        watch = HopWatch(self._shared.telemetry, claim, delivery, source=source)
        watch.begin()
        failpoints.hit("hop.claimed")
        task = asyncio.current_task()
        assert task is not None
        with self._shared.leases.hold(claim.lease, task, delivery, asked_at=asked_at) as held:
            held.clock = watch.clock
            try:
                envelope = self._envelope(claim, delivery)
                with watch.turn(envelope):
                    settled = await self._settled(claim, envelope, held)
                failpoints.hit("turn.returned")
                await self._finish(settled, held, watch)
            except EnvelopeVersionError as error:
                back = settle.hand_back(claim.lease, since=claim.now, delay_s=SCHEMA_DELAY_S, reason=str(error))
                await self._finish(back, held, watch)
            except LeaseLost:
                logger.warning("stopped %s/%d: its lease or its run is over", claim.lease.run_id, claim.lease.seq)
                if not held.is_lost:
                    await self._finish(settle.hand_back(claim.lease, since=claim.now), held, watch)
            except asyncio.CancelledError:
                if held.is_lost:
                    logger.warning("stopped %s/%d: its lease was lost", claim.lease.run_id, claim.lease.seq)
                    task.uncancel()
                    return
                if held.is_stopped:
                    task.uncancel()
                await asyncio.shield(self._finish(settle.hand_back(claim.lease, since=claim.now), held, watch))
                if not held.is_stopped:
                    raise

    def _envelope(self, claim: Claim, delivery: Delivery | None) -> Envelope:
        """Return the context: the body in hand where it is the row's, else what the journal gave."""
        if claim.head is None and delivery is not None:
            return self._shared.made.pop(claim.digest, None) or wire.decode(delivery.body)
        return wire.restore(claim.head or b"", claim.text, claim.messages)

    async def _settled(self, claim: Claim, envelope: Envelope, held: Held) -> Settled:
        """Take the turn, and return what becomes of what it returned or raised."""
        try:
            if stopped := await self._stray(envelope, held):
                return settle.to_fallback(await self._context(claim, envelope), stopped)
            taken = await self._taker.take(claim, envelope, held)
            if isinstance(taken.outcome, Handoff):
                await self._refused(self.name, settle.target_of(taken.outcome), held)
            needs_log = isinstance(taken.outcome, Handoff | Routed)
            context = await self._context(claim, envelope, needs_log=needs_log, has_new_steps=taken.has_new_steps)
            return settle.settle(context, taken.outcome)
        except Suspended as suspended:
            return settle.suspend(await self._context(claim, envelope, needs_log=False), suspended.wait)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return await self._failed(claim, envelope, error)
        except BaseExceptionGroup as group:  # what a TaskGroup in a turn makes of a suspension, too
            if (lost := first_of(group, LeaseLost)) is not None:
                raise lost from group
            if (asks := first_of(group, Suspended)) is not None:
                return settle.suspend(await self._context(claim, envelope, needs_log=False), asks.wait)
            return await self._failed(claim, envelope, group)
        except (Exception, SystemExit) as error:  # a turn that calls exit() must not end the others' process
            logger.info("turn of %s raised", self.name, exc_info=error)
            return await self._failed(claim, envelope, error)

    async def _failed(self, claim: Claim, envelope: Envelope, error: BaseException) -> Settled:
        delay_s = retry.backoff_s(claim.attempt, base_s=self._shared.settings.retry_base_s, chance=random.random())
        return settle.settle_error(await self._context(claim, envelope), error, delay_s)

    async def _stray(self, envelope: Envelope, held: Held) -> guards.Stopped | None:
        """Refuse, at the receiver too, what the sender may not hand off."""
        graph, sender = self._shared.graph(), envelope.from_agent
        is_free = sender in (None, guards.ROUTER, guards.HUMAN) or self.name == graph.fallback
        if envelope.kind != "handoff" or is_free or sender not in graph.cards:
            return None
        return await self._refused(str(sender), self.name, held)

    async def _refused(self, sender: str, target: str, held: Held) -> guards.Stopped | None:
        """Tell whether a handoff is refused, and before it is, learn of agents and edges deployed a moment ago."""
        if guards.refused(self._shared.graph(), sender, target) is None:
            return None
        await held.insist(self._shared.refresh)
        return guards.refused(self._shared.graph(), sender, target)

    async def _context(
        self, claim: Claim, envelope: Envelope, *, needs_log: bool = True, has_new_steps: bool = False
    ) -> HopContext:
        """Return what settling needs; only what hands the log on has to read it."""
        deadline_at, log_length = claim.run.deadline_at, claim.run.log_length
        log = envelope.messages
        if needs_log and envelope.spans != ((0, log_length),):
            log = await self._shared.journal.history(claim.run.tenant, envelope.conversation_id)
        return HopContext(
            envelope=envelope,
            lease=claim.lease,
            graph=self._shared.graph(),
            facts=claim.run.facts,
            log_length=log_length,
            log=log,
            attempt=claim.attempt,
            max_attempts=self._taker.max_attempts,
            has_new_steps=has_new_steps,
            claimed_at=claim.now,
            deadline_left_s=None if deadline_at is None else max(0.0, deadline_at - claim.now),
            needs=self._taker.needs,
        )

    async def _finish(self, settled: Settled, held: Held, watch: HopWatch) -> None:
        held.is_finishing = True
        finished = await held.insist(lambda: self._shared.journal.finish(settled.finish))
        if finished.outcome == "fenced":
            logger.warning("fenced: %s/%d was finished elsewhere", held.lease.run_id, held.lease.seq)
            return
        try:
            await self._publish(settled, finished, held, watch)
        finally:  # the finish is written, whatever becomes of the publish
            watch.finished(settled.finish, finished)
        for run_id in finished.ended:
            self._shared.broker.hint(Hint(run_id, "ended"))

    async def _publish(self, settled: Settled, finished: Finished, held: Held, watch: HopWatch) -> None:
        for pending in finished.publish:
            is_next = settled.body is not None and pending.run_id == held.lease.run_id
            if is_next:
                self._remember(settled)
            elif not self._shared.wakes(self.name, pending.agent):
                continue  # the broker would refuse it; the poll finds it
            body, of = (settled.body, watch) if is_next else (None, None)
            await publish(self._shared.broker, pending, body, telemetry=self._shared.telemetry, watch=of)
        failpoints.hit("hop.published")

    def _remember(self, settled: Settled) -> None:
        made, following = self._shared.made, settled.finish.next
        if following is not None and following.digest and settled.envelope is not None:
            made[following.digest] = settled.envelope
            if len(made) > MADE_LIMIT:
                del made[next(iter(made))]
