"""A serving process, and the one place where the parts are put together.

In: a team or a part of it, and settings. Out: a running `Service`, until it is stopped.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any

from baton import failpoints
from baton.agent import ROUTER, Agent
from baton.broker.contract import Broker, Consumer
from baton.broker.memory import MemoryBroker
from baton.client import Client
from baton.config import Settings
from baton.errors import BrokerError, BrokerUnavailableError, ConfigError, JournalError
from baton.health import Health
from baton.hop.judge import Judge
from baton.hop.leases import Leases, ack_after_s
from baton.hop.surroundings import Surroundings
from baton.hop.taking import AgentTaker, GoneTaker, TurnTaker
from baton.hop.watchdog import Watchdog
from baton.hop.worker import Worker
from baton.housekeeping import admit, keep_house, told
from baton.ingress import DeadReader, Ingress
from baton.journal.contract import Journal
from baton.presence import Presence
from baton.protocol.guards import Graph, may_publish
from baton.results import ResultSender
from baton.router import RouterTaker, default_classifier
from baton.team import Part, Team
from baton.telemetry.setup import Output, open_output, telling_to
from baton.telemetry.telling import Style
from baton.urls import is_edge, open_broker, open_journal

logger = logging.getLogger("baton")

NOTICE_S = 0.2
"""How often the journal is asked whether another process wrote, in seconds."""
REFRESH_S = 1.0
"""How often it is read who serves, in seconds: with `LIVE_S`, a killed agent is known within 5."""
JOURNAL_WAIT_S = 2.0
"""How long `/readyz` waits for the journal, in seconds."""


class Service:
    """Serves a team, or a part of it, in this process.

    Args:
        part: What it serves.
        journal: Not started yet.
        broker: Not started yet.
        settings: Lease, concurrency and the rest.
        output: Where spans and metrics go; None: nowhere.
    """

    def __init__(
        self, part: Part, journal: Journal, broker: Broker, settings: Settings, output: Output | None = None
    ) -> None:
        self.journal = journal
        self._output = output
        system, flow = "baton" if isinstance(broker, MemoryBroker) else "rabbitmq", part.team or "baton"
        self._telemetry = telling_to(output, system=system, flow=flow, style=Style.of(settings))
        self.client = Client(journal, broker=broker, settings=settings, telemetry=self._telemetry)
        self._part = part
        self._broker = broker
        self._edge = broker if part.has_router and is_edge(broker) else None
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        served = [*part.agents, *([ROUTER] if part.has_router else [])]
        has_others = not isinstance(broker, MemoryBroker)
        self._presence = Presence(journal, self._owner, served) if has_others else None
        self._settings = settings
        self._graph = Graph({card.name: card for card in part.cards}, part.fallback)
        own, is_lexical = part.classifier, settings.encoder == "none"
        make = (lambda: own) if own else partial(default_classifier, is_lexical=is_lexical)
        self._judge = Judge(make, part.llm, false_share=settings.false_handoffs)
        self._leases = Leases(journal, settings.lease_s, ack_after_s=ack_after_s(settings.consumer_timeout_s))
        self._workers: list[Worker] = []
        self._telemetry.watch_load(lambda: [worker.load for worker in self._workers])
        self._consumers: list[Consumer] = []
        self._dead_reader: DeadReader | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._resources = contextlib.AsyncExitStack()
        self._health = Health(self.troubles, output.page if output else None)
        self.health_port: int | None = None
        """Where `/healthz`, `/readyz` and `/metrics` are, once it has started; None: nowhere."""
        self._is_stopping = False

    async def start(self) -> None:
        """Open journal and broker, register the cards, and start to work.

        A broker that cannot be reached now is no error: until then, hops are found by polling.

        Raises:
            JournalError: The journal cannot be served.
            ConfigError: It belongs to another team, or `BATON_FAIL_AT` names no fail point.
        """
        failpoints.arm(os.environ)
        await self.journal.start(serves=True, team=self._part.team)
        try:
            gone = await self._register()
            if self._presence is not None:
                await self._presence.say()
            await self._refresh()
            try:
                await self._broker.start()
            except BrokerUnavailableError as error:
                logger.warning("living by polling until the broker is there: %s", error)
            for worker in await self._make_workers(gone):
                self._workers.append(worker)
                await worker.start()
            if self._settings.health_port is not None:
                host, port = self._settings.health_host, self._settings.health_port
                self.health_port = await self._health.start(host, port)
        except BaseException:
            await self.stop(grace_s=0)
            raise
        blocked = self._telemetry.blocked
        self._begin(self._leases.keep(), self._notice(), Watchdog(self._settings.lease_s / 3, blocked).run())
        if self._output is not None:
            self._begin(self._telemetry.keep(self.journal))
        if self._part.has_router:
            told_to, every_s, running = self._telemetry, self._settings.poll_s, self._settings.tenant_running
            self._begin(keep_house(self.journal, self._broker, told_to, every_s=every_s))
            if running is not None:
                self._begin(admit(self.journal, self._broker, told_to, tenant_running=running, every_s=every_s))
        if self._presence is not None:
            self._begin(self._presence.keep(), self._keep_fresh())

    async def stop(self, *, grace_s: float | None = None) -> None:
        """Take no more work, finish what runs within the grace period, hand back the rest, and close.

        Args:
            grace_s: Seconds, >= 0; None: `BATON_GRACE_S`.
        """
        self._is_stopping = True
        # First of all, so that routers choose others from now on; a journal that is away takes its time beside it.
        leaving = asyncio.create_task(self._presence.leave()) if self._presence is not None else None
        grace = self._settings.grace_s if grace_s is None else grace_s
        for consumer in self._consumers:
            await consumer.cancel()
        await asyncio.gather(*(worker.stop(grace) for worker in self._workers))
        if leaving is not None:
            await leaving
        if self._dead_reader is not None:
            await self._dead_reader.stop()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._judge.close()
        self.client.close()
        await self._health.stop()
        async with contextlib.AsyncExitStack() as closing:  # the last first; each is tried, whatever the others raise
            if self._output is not None:
                closing.push_async_callback(asyncio.to_thread, self._output.close)
            closing.push_async_callback(self.journal.close)
            closing.push_async_callback(self._telemetry.drain, self.journal)
            closing.push_async_callback(self._resources.aclose)
            closing.push_async_callback(self._broker.close)

    async def troubles(self) -> list[str]:
        """Return what keeps this process from working as it should; empty: nothing."""
        found = ["stopping"] if self._is_stopping else []
        try:
            async with asyncio.timeout(JOURNAL_WAIT_S):
                await self.journal.registry()
        except JournalError as error:
            found.append(f"journal: {error}")
        except TimeoutError:
            found.append(f"journal: no answer within {JOURNAL_WAIT_S:g} s")
        trouble = self._broker.trouble()
        silent = [worker.name for worker in self._workers if not worker.is_consuming]
        if trouble is not None:
            found.append(f"broker: {trouble}")
        elif silent:
            found.append(f"broker: no queue for {', '.join(silent)}; `baton topology apply` makes it")
        return found

    def _begin(self, *chores: Coroutine[Any, Any, None]) -> None:
        self._chores += map(asyncio.create_task, chores)

    async def _register(self) -> list[str]:
        """Write the cards; return agents that are gone and still have open hops."""
        if self._part.is_whole and isinstance(self._broker, MemoryBroker):
            return await self.journal.enrol(self._part.cards, fallback=self._part.fallback)
        for card in self._part.cards:
            await self.journal.register(card, fallback=self._part.fallback)
        return []

    async def _make_workers(self, gone: Sequence[str]) -> list[Worker]:
        settings, part = self._settings, self._part
        is_embedded = isinstance(self._broker, MemoryBroker)
        shared = Surroundings(
            self.journal,
            self._broker,
            self._leases,
            settings,
            lambda: self._graph,
            self._owner,
            wakes=lambda sender, target: is_embedded or may_publish(self._graph, sender, target),
            refresh=self._refresh,
            telemetry=self._telemetry,
        )
        needs = {agent.name: agent.needs for agent in part.agents.values() if agent.needs}
        takers: list[tuple[str, TurnTaker, int]] = []
        for agent in part.agents.values():
            resources = await self._opened(agent)
            taker = AgentTaker(agent, shared, self._judge, resources=resources, needs=needs)
            takers.append((agent.name, taker, agent.concurrency or settings.concurrency))
        takers += [(name, GoneTaker(name), 1) for name in gone]
        if part.has_router:
            self._begin(self._learn())
            router = RouterTaker(self._judge, shared, sticky_s=settings.sticky_s, needs=needs)
            takers.insert(0, (ROUTER, router, settings.concurrency))
        if isinstance(self._broker, MemoryBroker):
            for name, _, _ in takers:
                self._broker.declare(name)
        workers = [Worker(name, taker, shared, slots=slots) for name, taker, slots in takers]
        if self._edge is not None:
            sender = ResultSender(
                self.journal, self._edge, look_s=settings.poll_s, retry_s=settings.lease_s, telemetry=self._telemetry
            )
            self._broker.listen(lambda hint: sender.wake())
            ingress = Ingress(workers[0], shared, self._edge, on_late_address=sender.wake)
            self._dead_reader = DeadReader(self.journal, self._edge)
            self._begin(
                sender.run(),
                self._consume(lambda: ingress.consume(prefetch=settings.concurrency)),
                self._consume(self._dead_reader.consume),
            )
        return workers

    async def _opened(self, agent: Agent) -> Any:
        """Open the agent's resources, once for this process."""
        if agent.open_resources is None:
            return None
        try:
            return await self._resources.enter_async_context(agent.open_resources())
        except Exception as error:
            told = f"the resources of agent {agent.name!r} cannot be opened: {type(error).__name__}: {error}"
            raise ConfigError(told) from error

    async def _consume(self, consume: Callable[[], Coroutine[Any, Any, Consumer]]) -> None:
        """Begin to consume a queue of the edge, as soon as there is one."""
        for pause_s in chain((1, 2), repeat(5)):
            try:
                self._consumers.append(await consume())
                return
            except BrokerError as error:
                logger.warning("waiting for the broker: %s", error)
            await asyncio.sleep(pause_s)

    async def _refresh(self) -> None:
        self._graph = await self.journal.registry()
        self._judge.notice(self._graph)

    async def _learn(self) -> None:
        """Learn the cards at start, so that the first request does not wait for it."""
        with told("learning the cards"):
            await self._judge.learn(self._graph)

    async def _keep_fresh(self) -> None:
        """Learn of agents in other processes: new, changed, or gone."""
        while True:
            await asyncio.sleep(REFRESH_S)
            with told("reading who serves"):
                await self._refresh()

    async def _notice(self) -> None:
        """Look for work at once when another process wrote to the journal."""
        while True:
            await asyncio.sleep(NOTICE_S)
            with told("looking for changes"):
                if await self.journal.changed():
                    await self._refresh()
                    for worker in self._workers:
                        worker.wake()


@contextlib.asynccontextmanager
async def serving(
    served: Team | Part,
    settings: Settings,
    *,
    journal: Journal | None = None,
    broker: Broker | None = None,
    output: Output | None = None,
) -> AsyncIterator[Service]:
    """Serve a team, or a part of it, for as long as the block runs.

    Args:
        served: What.
        settings: Lease, concurrency and the rest.
        journal: Not started yet; None: what the settings name.
        broker: The same.
        output: Where spans and metrics go; None: where `OTEL_*` says.

    Raises:
        ConfigError: The settings, or `OTEL_*`, do not fit what is served.
        JournalError: The journal cannot be served.
    """
    part = served.whole() if isinstance(served, Team) else served
    if broker is None:
        broker = open_broker(settings)
    if not part.is_whole and (isinstance(broker, MemoryBroker) or settings.journal_url.startswith("sqlite")):
        raise ConfigError(
            f"{', '.join(part.names)} is a part of a team; parts in processes of their own need a broker and a "
            "journal between them: set BATON_BROKER_URL=amqp://… and BATON_JOURNAL_URL=postgresql://…, or run the "
            "whole team, as file.py:team"
        )
    if output is None:
        name = (part.team if part.is_whole else None) or ",".join(part.names)
        output = open_output(os.environ, service=name, has_page=settings.health_port is not None)
    service = Service(part, journal or open_journal(settings.journal_url), broker, settings, output)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
