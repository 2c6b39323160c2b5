"""A serving process, and the one place where the parts are put together.

In: a team and settings. Out: a running `Service`, until it is stopped.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from baton import failpoints
from baton.agent import ROUTER, Agent
from baton.broker.contract import Broker, Hint
from baton.broker.memory import MemoryBroker
from baton.client import Client, open_journal
from baton.config import Settings
from baton.errors import ConfigError, JournalError
from baton.hop.leases import Leases
from baton.hop.publishing import publish
from baton.hop.surroundings import Surroundings
from baton.hop.taking import AgentTaker, GoneTaker, TurnTaker
from baton.hop.watchdog import Watchdog
from baton.hop.worker import Worker
from baton.journal.contract import Journal
from baton.protocol.guards import Graph
from baton.router import RouterTaker, default_classifier
from baton.team import Team

logger = logging.getLogger("baton")

NOTICE_S = 0.2
"""How often the journal is asked whether another process wrote, in seconds."""


class Service:
    """Serves a team in this process.

    Args:
        team: Whose agents.
        journal: Not started yet.
        broker: Not started yet.
        settings: Lease, concurrency and the rest.
    """

    def __init__(self, team: Team, journal: Journal, broker: Broker, settings: Settings) -> None:
        self.journal = journal
        self.client = Client(journal, broker=broker, settings=settings)
        self._team = team
        self._broker = broker
        self._settings = settings
        self._graph = Graph({card.name: card for card in team.cards()}, team.fallback)
        self._leases = Leases(journal, settings.lease_s)
        self._workers: list[Worker] = []
        self._chores: list[asyncio.Task[None]] = []
        self._resources = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open journal and broker, register the cards, and start to work.

        Raises:
            JournalError: The journal cannot be served.
            ConfigError: It belongs to another team, or `BATON_FAIL_AT` names no fail point.
        """
        failpoints.arm(os.environ)
        await self.journal.start(serves=True, team=self._team.name)
        try:
            gone = await self.journal.enrol(self._team.cards(), fallback=self._team.fallback)
            await self._refresh()
            await self._broker.start()
            for worker in await self._make_workers(gone):
                self._workers.append(worker)
                await worker.start()
        except BaseException:
            await self.stop(grace_s=0)
            raise
        watchdog = Watchdog(self._settings.lease_s / 3)
        for chore in (self._leases.keep(), self._keep_house(), self._notice(), watchdog.run()):
            self._chores.append(asyncio.create_task(chore))

    async def stop(self, *, grace_s: float | None = None) -> None:
        """Finish what runs within the grace period, hand back the rest, and close.

        Args:
            grace_s: Seconds, >= 0; None: `BATON_GRACE_S`.
        """
        grace = self._settings.grace_s if grace_s is None else grace_s
        await asyncio.gather(*(worker.stop(grace) for worker in self._workers))
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self.client.close()
        await self._broker.close()
        await self._resources.aclose()
        await self.journal.close()

    async def _make_workers(self, gone: Sequence[str]) -> list[Worker]:
        settings = self._settings
        owner = f"{socket.gethostname()}:{os.getpid()}"
        shared = Surroundings(self.journal, self._broker, self._leases, settings, lambda: self._graph, owner)
        needs = {agent.name: agent.needs for agent in self._team.agents.values() if agent.needs}
        classifier = self._team.classifier or default_classifier()
        router = RouterTaker(classifier, lambda: self._graph, sticky_s=settings.sticky_s, needs=needs)
        takers: list[tuple[str, TurnTaker, int]] = [(ROUTER, router, settings.concurrency)]
        for agent in self._team.agents.values():
            resources = await self._opened(agent)
            taker = AgentTaker(agent, self.journal, resources=resources, needs=needs)
            takers.append((agent.name, taker, agent.concurrency or settings.concurrency))
        takers += [(name, GoneTaker(name), 1) for name in gone]
        if isinstance(self._broker, MemoryBroker):
            for name, _, _ in takers:
                self._broker.declare(name)
        return [Worker(name, taker, shared, slots=slots) for name, taker, slots in takers]

    async def _opened(self, agent: Agent) -> Any:
        """Open the agent's resources, once for this process."""
        if agent.open_resources is None:
            return None
        try:
            return await self._resources.enter_async_context(agent.open_resources())
        except Exception as error:
            told = f"the resources of agent {agent.name!r} cannot be opened: {type(error).__name__}: {error}"
            raise ConfigError(told) from error

    async def _refresh(self) -> None:
        cards, fallback = await self.journal.registry()
        self._graph = Graph(cards, fallback)

    async def _keep_house(self) -> None:
        """End what is past its deadline, once per poll interval."""
        while True:
            await asyncio.sleep(self._settings.poll_s)
            with _told("housekeeping"):
                found = await self.journal.sweep()
                for hop in found.publish:
                    await publish(self._broker, hop)
                for run_id in found.ended:
                    self._broker.hint(Hint(run_id, "ended"))

    async def _notice(self) -> None:
        """Look for work at once when another process wrote to the journal."""
        while True:
            await asyncio.sleep(NOTICE_S)
            with _told("looking for changes"):
                if await self.journal.changed():
                    await self._refresh()
                    for worker in self._workers:
                        worker.wake()


@contextlib.asynccontextmanager
async def serving(
    team: Team, settings: Settings, *, journal: Journal | None = None, broker: Broker | None = None
) -> AsyncIterator[Service]:
    """Serve a team for as long as the block runs.

    Raises:
        ConfigError: The settings name a broker or journal that this build cannot use.
        JournalError: The journal cannot be served.
    """
    if broker is None and not settings.is_embedded:
        raise ConfigError(f"BATON_BROKER_URL {settings.broker_url.partition(':')[0]!r}: this build has memory:// only")
    service = Service(team, journal or open_journal(settings.journal_url), broker or MemoryBroker(), settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except JournalError as error:
        logger.warning("%s failed: %s", what, error)
    except Exception:  # whatever it was, deadlines and other processes' requests depend on the next time
        logger.exception("%s failed", what)
