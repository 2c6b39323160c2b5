"""That this process serves its agents: said again and again, so that its silence tells that it is gone.

In: the agents that it serves. Out: beats in the journal, for the routers' graph and `baton agents`.
"""

import asyncio
import logging
from collections.abc import Collection

from baton.errors import JournalError
from baton.journal.contract import Journal

logger = logging.getLogger("baton")

BEAT_S = 1.0
"""How often a process says that it serves, in seconds: two beats may be late before it no longer counts as live."""
LEAVE_S = 2.0
"""How long a process that stops waits for the journal to take it off the list, in seconds."""


class Presence:
    """Says that a process serves its agents.

    Args:
        journal: Where it says so.
        owner: The process.
        agents: What it serves.
    """

    def __init__(self, journal: Journal, owner: str, agents: Collection[str]) -> None:
        self._journal = journal
        self._owner = owner
        self._agents = agents
        self._speaking = asyncio.Lock()
        self._has_left = False

    async def say(self) -> None:
        """Say that this process serves, unless it has left.

        Raises:
            JournalUnavailableError: Nobody was told.
        """
        async with self._speaking:
            if not self._has_left:
                await self._journal.beat(self._owner, self._agents)

    async def keep(self) -> None:
        """Say so again and again, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self.say()
            except JournalError as error:
                logger.warning("telling that this process serves failed: %s", error)
            except Exception:
                logger.exception("telling that this process serves failed")

    async def leave(self) -> None:
        """Say that this process serves no more; where the journal cannot be told, its silence will tell."""
        self._has_left = True
        try:
            async with asyncio.timeout(LEAVE_S), self._speaking:  # a beat under way would bring it back
                await self._journal.leave(self._owner, self._agents)
        except (TimeoutError, JournalError) as error:
            logger.warning("telling that this process stops failed: %s: %s", type(error).__name__, error)
