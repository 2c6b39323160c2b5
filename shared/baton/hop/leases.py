"""Leases of this process: renewed in one go, and what to do when one is lost.

In: hops that begin and end. Out: renewals every third of a lease; hops cancelled whose lease was
lost or whose run has to stop.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from baton.broker.contract import Delivery
from baton.errors import JournalError, JournalUnavailableError
from baton.hop.steps import LeaseLost
from baton.journal.contract import Journal
from baton.journal.records import Claim, Lease, PollCommand
from baton.protocol import settle

logger = logging.getLogger("baton")

T = TypeVar("T")

ACK_AFTER_S = 600.0
"""A delivery is held no longer than this; then its hop goes on under the lease alone."""


def ack_after_s(consumer_timeout_s: float) -> float:
    """Return for how long a delivery is held, in seconds: well below the time after which the broker takes it back."""
    return min(ACK_AFTER_S, consumer_timeout_s / 3)


class Held:
    """A lease in use, and the task that works under it; see `Leases.hold`."""

    __slots__ = (
        "_lease_s",
        "clock",
        "delivery",
        "held_since",
        "is_finishing",
        "is_lost",
        "is_stopped",
        "lease",
        "renewed_at",
        "task",
    )

    def __init__(
        self, lease: Lease, task: "asyncio.Task[None]", delivery: Delivery | None, *, lease_s: float, asked_at: float
    ) -> None:
        self.clock: Callable[[], float] = time.time
        """The journal's, as far as it is known; Unix seconds."""
        self.lease = lease
        self.task = task
        self.delivery = delivery
        self.held_since = time.monotonic()
        self.renewed_at = asked_at
        """The lease holds at least from then on: by `time.monotonic`, before the journal was asked."""
        self.is_finishing = False
        """True once its outcome is being written: from then on the journal tells, and nothing is cancelled."""
        self.is_lost = False
        """True once another worker may have the hop."""
        self.is_stopped = False
        """True once the run was cancelled or passed its deadline."""
        self._lease_s = lease_s

    def may_start_step(self) -> None:
        """Let a step start only while the lease certainly holds.

        Two thirds of a lease after the last renewal a step could still be running when another
        worker gets the hop; measured by this process's monotonic clock.

        Raises:
            LeaseLost: It may not start.
        """
        if self.is_lost or time.monotonic() - self.renewed_at > self._lease_s * 2 / 3:
            raise LeaseLost

    async def insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Return what `write` gives; while the journal cannot, try again for as long as the lease holds.

        Raises:
            JournalUnavailableError: The lease has run out meanwhile.
        """
        pause_s = 0.1
        while True:
            try:
                return await write()
            except JournalUnavailableError:
                if self.is_over():
                    raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2.0, pause_s * 2)

    def is_over(self) -> bool:
        """Return True when the lease has run out by this process's clock."""
        return self.is_lost or time.monotonic() - self.renewed_at > self._lease_s


class Leases:
    """Every lease that this process holds.

    Args:
        journal: Where they are renewed.
        lease_s: How long one lasts, in seconds.
        ack_after_s: How long a delivery is held, in seconds; then its hop goes on under the lease alone.
    """

    def __init__(self, journal: Journal, lease_s: float, *, ack_after_s: float = ACK_AFTER_S) -> None:
        self._journal = journal
        self._lease_s = lease_s
        self._ack_after_s = ack_after_s
        self._held: dict[Lease, Held] = {}
        self._has_suspect = False

    @property
    def busy(self) -> frozenset[tuple[str, int]]:
        """The hops that this process works on."""
        return frozenset((lease.run_id, lease.seq) for lease in self._held)

    @contextlib.contextmanager
    def hold(
        self, lease: Lease, task: "asyncio.Task[None]", delivery: Delivery | None, *, asked_at: float
    ) -> Iterator[Held]:
        """Renew `lease` for as long as the block runs; a delivery that takes too long is acked.

        Args:
            lease: From a claim.
            task: Works under it.
            delivery: What brought the hop here, if anything did.
            asked_at: When the claim was asked for, by `time.monotonic`. A process that stood still since then
                may have lost the lease before it learned that it has it.
        """
        held = Held(lease, task, delivery, lease_s=self._lease_s, asked_at=asked_at)
        self._held[lease] = held
        try:
            yield held
        finally:
            del self._held[lease]

    async def poll(self, command: PollCommand) -> list[Claim]:
        """Claim what is due; of the hops that may kill this process it gets one at a time."""
        takes_suspect = not self._has_suspect
        self._has_suspect = True
        claims: list[Claim] = []
        try:
            claims = await _poll_or_hand_back(self._journal, replace(command, takes_suspect=takes_suspect))
        finally:
            if takes_suspect:
                self._has_suspect = any(claim.is_suspect for claim in claims)
        return claims

    def clear_suspect(self) -> None:
        """Note that this process has outlived the hop that might have killed it: the next one may come."""
        self._has_suspect = False

    async def keep(self) -> None:
        """Renew every third of a lease, or more often to ack in time, for ever."""
        while True:
            await asyncio.sleep(min(self._lease_s, self._ack_after_s) / 3)
            try:
                await self.renew()
            except JournalError as error:
                logger.warning("leases not renewed: %s", error)
            except Exception:  # whatever it was, the leases of all hops depend on the next renewal
                logger.exception("leases not renewed")

    async def renew(self) -> None:
        """Renew all leases once, and cancel the work under those that are lost or have to stop."""
        asked = {lease: held for lease, held in self._held.items() if not held.is_lost}
        if not asked:
            return
        began = time.monotonic()
        renewed = await self._journal.renew(list(asked), self._lease_s)
        for lease, held in asked.items():
            if lease not in self._held:
                continue
            if lease in renewed.held:
                held.renewed_at = began
                if held.delivery is not None and began - held.held_since > self._ack_after_s:
                    held.delivery.ack()
            if held.is_finishing:  # the journal may have ended the lease with the hop, whose envelope is on its way
                continue
            if lease not in renewed.held:
                held.is_lost = True
                held.task.cancel()
            elif lease.run_id in renewed.stop and not held.is_stopped:
                held.is_stopped = True
                held.task.cancel()


async def _poll_or_hand_back(journal: Journal, command: PollCommand) -> list[Claim]:
    """Poll; cancelled meanwhile, hand back what the journal gives nevertheless."""
    asking = asyncio.ensure_future(journal.poll(command))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        with contextlib.suppress(JournalError):
            await hand_back(journal, *await asking)
        raise


async def hand_back(journal: Journal, *claims: Claim | None) -> None:
    """Give up hops that nobody will work on here, so that they can be taken at once."""
    for claim in claims:
        if claim is not None:
            await journal.finish(settle.hand_back(claim.lease, since=claim.now).finish)
