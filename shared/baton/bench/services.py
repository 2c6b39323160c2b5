"""The production path, measured: every stage a process of its own, RabbitMQ and PostgreSQL between them.

In: URLs of a broker and of a journal that nobody else uses. Out: what a hop costs under two loads.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from baton.bench import load, machine, stages
from baton.bench.load import Load
from baton.bench.machine import Groups
from baton.bench.processes import PROCESSES, ROUTER, Servers, running
from baton.bench.profile import Profile
from baton.config import Settings
from baton.errors import ConfigError
from baton.journal.postgres.journal import PostgresJournal
from baton.journal.postgres.schema import migrate
from baton.remote import RemoteClient
from baton.topology.address import address_of
from baton.topology.differences import Kind, differences
from baton.topology.management import connected
from baton.topology.wanted import wanted

SETTLE_S = 1.0
"""How long to let what the start left behind come to rest, in seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    window: int = 200
    """Runs in flight in the first part, >= 1."""
    seconds: float = 8.0
    """How long the first part begins runs."""
    rate: float = 20.0
    """Runs a second in the second part, > 0."""
    rate_seconds: float = 10.0
    """How long the second part takes; 0: there is none."""
    warm_up: int = 200
    """Runs before anything is measured, >= 1."""
    profile: tuple[str, ...] = ()
    """Processes whose time is looked at in detail."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured."""

    full: Load
    """With the window full."""
    steady: Load | None
    """At a steady rate."""
    memory_mib: dict[str, int]
    profiles: tuple[Profile, ...] = ()

    @property
    def lost(self) -> int:
        """Runs without the right result."""
        parts = [part for part in (self.full, self.steady) if part is not None]
        return sum(part.lost + part.wrong for part in parts)


Watch = Callable[[Groups], AbstractContextManager[None]]
"""Is entered with the processes while the window is kept full: for what measures beside."""


def unwatched(_: Groups) -> AbstractContextManager[None]:
    """Measure nothing beside."""
    return contextlib.nullcontext()


async def relay(servers: Servers, plan: Plan, watch: Watch = unwatched) -> Measured:
    """Prepare broker and journal, start the processes, and measure.

    Args:
        servers: Nobody else uses them.
        plan: What to measure.
        watch: Measures beside.

    Raises:
        ConfigError: The journal or the broker is in use, or a process is unknown or does not start.
        BatonError: One of them cannot be reached.
    """
    if strange := sorted(set(plan.profile) - set(PROCESSES)):
        raise ConfigError(f"there is no process {', '.join(strange)} to profile; there are {', '.join(PROCESSES)}")
    await prepare(servers)
    async with running(servers, plan.profile) as processes, requesting(servers.broker_url) as submit:
        groups = processes.groups | server_groups(servers)

        @contextlib.contextmanager
        def watched(watched: Groups) -> Iterator[None]:
            processes.sample(signal.SIGUSR1)
            with watch(watched):
                yield
            processes.sample(signal.SIGUSR2)

        steady, full = await both_loads(submit, groups, plan, watched)
        memory_mib = machine.memory_mib({**groups, load.DRIVER: [os.getpid()]})
        profiles = await processes.profiles(full.runs)
    return Measured(full, steady, memory_mib, profiles)


async def both_loads(submit: load.Submit, groups: Groups, plan: Plan, watch: Watch) -> tuple[Load | None, Load]:
    """Warm a relay up and measure it: at a steady rate, and with the window full.

    Raises:
        ConfigError: It does not work.
    """
    if not await load.warm_up(submit, plan.warm_up):
        raise ConfigError("the relay gave wrong results before anything was measured")
    await asyncio.sleep(SETTLE_S)
    steady = None
    if plan.rate_seconds:
        steady = await load.steady(submit, groups, rate=plan.rate, seconds=plan.rate_seconds, stages=stages.STAGES)
    with watch(groups):
        full = await load.full(submit, groups, window=plan.window, seconds=plan.seconds, stages=stages.STAGES)
    return steady, full


async def prepare(servers: Servers) -> None:
    """Make the journal's tables, the broker's queues; refuse what others use.

    Raises:
        ConfigError: Somebody uses them.
        BatonError: One of them cannot be reached.
    """
    await asyncio.to_thread(migrate, servers.journal_url)
    journal = PostgresJournal(servers.journal_url)
    await journal.start(serves=False)
    try:
        cards = (await journal.registry()).cards
    finally:
        await journal.close()
    if strange := sorted(cards.keys() - set(PROCESSES)):
        raise ConfigError(
            f"the journal has agents of another team: {', '.join(strange)}; the bench needs a schema of its own: "
            "--journal 'postgresql://…?search_path=bench'"
        )
    async with connected(address_of(servers.broker_url, servers.management_url)) as management:
        needed = wanted(
            [name for name in PROCESSES if name != ROUTER],
            consumer_timeout_s=1800,
            version=await management.version(),
        )
        found = differences(needed, await management.seen())
        if strange := [str(one.entity) for one in found if one.kind in (Kind.EXTRA, Kind.REFUSED)]:
            raise ConfigError(f"the vhost has more than the bench's own: {', '.join(strange)}; give it an empty one")
        for one in found:
            await management.put(one.entity)


def server_groups(servers: Servers) -> dict[str, list[int]]:
    """Return the processes of broker and database, as far as they run on this machine."""
    found = {
        "rabbitmq": machine.server_pids(servers.broker_url, default_port=5672),
        "postgres": machine.server_pids(servers.journal_url, default_port=5432),
    }
    return {name: pids for name, pids in found.items() if pids}


@contextlib.asynccontextmanager
async def requesting(broker_url: str) -> AsyncIterator[load.Submit]:
    """Give a function that sends one request over AMQP and checks its result.

    Raises:
        BrokerUnavailableError: The broker cannot be reached.
    """
    async with RemoteClient.opened(Settings(broker_url=broker_url)) as client:

        async def submit() -> bool:
            run = await client.send(stages.TEXT, to=stages.FIRST)
            result = await run.result(timeout_s=load.DRAIN_S)
            return (result.text, result.trail) == (stages.ANSWER, stages.TRAIL)

        yield submit
