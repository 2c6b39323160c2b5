"""The poll: a look into the journal for what the broker will not deliver.

In: what a replica was delivered, and its free slots. Out: claimed hops: due retries, hand-backs, lost
leases, and first attempts that were missed. What counts as missed is decided in `protocol.poll`.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from baton import ids
from baton.errors import JournalError
from baton.hop.slots import Slots
from baton.hop.surroundings import Surroundings
from baton.journal.records import Claim, PollCommand
from baton.protocol import poll

logger = logging.getLogger("baton")

Begin = Callable[[Claim, float], None]
"""Begins to work on a claim; the number is when it was asked for, by `time.monotonic`."""


class Poller:
    """Looks into the journal for the hops of one name.

    Args:
        name: An agent's name, or `router`.
        shared: What the process's workers share.
        slots: The worker's.
        busy: The hops that the worker has in hand.
        max_attempts: How often a hop is tried.
    """

    def __init__(
        self, name: str, shared: Surroundings, slots: Slots, busy: set[tuple[str, int]], *, max_attempts: int
    ) -> None:
        self._name = name
        self._shared = shared
        self._slots = slots
        self._busy = busy
        self._max_attempts = max_attempts
        self._wake = asyncio.Event()
        self._takes_all = True
        self._is_starved = False
        # True from the poll that found this replica idle until the next delivery: it polls at every free slot.
        self._latest_pending_since: float | None = None

    def wake(self, *, takes_all: bool = False) -> None:
        """Look now.

        Args:
            takes_all: True: take every hop that is pending; another process wrote.
        """
        self._takes_all = self._takes_all or takes_all
        self._wake.set()

    def delivered(self) -> None:
        """Note that the broker delivers."""
        self._is_starved = False

    def passed(self, pending_since: float) -> None:
        """Note that the queue delivered a hop that has been pending since then, by the journal's clock."""
        self._latest_pending_since = max(self._latest_pending_since or 0.0, pending_since)

    async def run(self, begin: Begin) -> None:
        """Look for ever, and begin what is claimed."""
        while True:
            try:
                found = await self._look(begin)
            except JournalError as error:
                logger.warning("poll of %s failed: %s", self._name, error)
                found = 0
            except Exception:  # whatever it was, the retries of all other hops depend on the next poll
                logger.exception("poll of %s failed", self._name)
                found = 0
            if found:
                await self._slots.freed()
                continue
            self._wake.clear()
            if self._takes_all:
                continue
            pause_s = self._shared.settings.poll_s * random.uniform(0.8, 1.2)
            # Not wait_for: until Python 3.12 it drops a cancellation that meets the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _look(self, begin: Begin) -> int:
        """Claim what the broker will not deliver and begin it; return how many hops that was."""
        takes_all, self._takes_all = self._takes_all, False
        quiet_s = poll.IDLE_S if self._is_starved else self._slots.quiet_s()
        missed = poll.missed(quiet_s, self._latest_pending_since)
        self._is_starved = missed.overdue_s is not None
        limit = max(1, self._slots.free)
        command = PollCommand(
            self._name,
            ids.new_id(),
            self._shared.owner,
            self._shared.settings.lease_s,
            self._max_attempts,
            limit,
            missed.before,
            0.0 if takes_all else missed.overdue_s,
            frozenset(self._busy),
        )
        asked_at = time.monotonic()
        try:
            claims = await self._shared.leases.poll(command)
        except JournalError:
            self._takes_all = self._takes_all or takes_all
            raise
        for claim in claims:
            begin(claim, asked_at)
        self._takes_all = self._takes_all or (takes_all and len(claims) == limit)
        return len(claims)
