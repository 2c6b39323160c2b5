"""The production journal: the contract over one PostgreSQL schema, for any number of processes.

In: calls from the event loop. Out: commands and operations for the writer, and reads beside it.
"""

import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from baton.card import Card
from baton.envelope import Message
from baton.errors import JournalError
from baton.journal.messages import DueResult, Quarantined
from baton.journal.postgres import (
    accepts,
    admission,
    claiming,
    claims,
    dead,
    finishes,
    labels,
    looks,
    pruning,
    reading,
    recording,
    registry,
    results,
    schema,
    sweeping,
    waits,
)
from baton.journal.postgres.connecting import Connections
from baton.journal.postgres.writer import Writer
from baton.journal.records import (
    Accept,
    Accepted,
    Cancel,
    Claim,
    ClaimCommand,
    Finish,
    Finished,
    Lease,
    NewEvent,
    PendingHop,
    PollCommand,
    Renewed,
    Replied,
    Reply,
    Step,
    Sweep,
)
from baton.journal.views import (
    AgentView,
    DeadFilter,
    DeadView,
    DecisionFilter,
    DecisionView,
    EventView,
    HopView,
    HopWindow,
    LabelView,
    RunFilter,
    RunView,
    StepView,
    WaitView,
    WindowFilter,
)
from baton.protocol.guards import Graph
from baton.request import Result, RunStatus
from baton.routing.stored_threshold import StoredThreshold

STUCK_S = 10.0
"""How often a process looks for conversations that nobody passed on, in seconds: it reads every blocked hop."""


class PostgresJournal:
    """A `Journal` in one PostgreSQL schema; any number of processes serve it at the same time.

    Args:
        url: `postgresql://user:password@host:port/database[?search_path=schema]`; the schema is `baton` unless said.

    Raises:
        ConfigError: The URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connections = Connections(url)
        self._writer: Writer | None = None
        self._look_for_stuck_at = 0.0
        self._cards: registry.Known = {}

    async def start(self, *, serves: bool, team: str | None = None) -> None:
        """Connect and check the schema; running hops keep their leases. See `Journal.start`."""
        self._connections.open_again()
        connection = await self._connections.open(patience_s=0)
        await schema.check(connection, self.url)
        self._connections.keep(connection)
        self._writer = Writer(self._connections)
        self._look_for_stuck_at = 0.0
        if team is not None:
            try:
                await self.writer.alone(lambda tx: registry.join(tx, team))
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Write what is under way, for as long as the server answers, and let go."""
        if self._writer is not None:
            await self._writer.close()
        await self._connections.close()

    @property
    def writer(self) -> Writer:
        """What carries out commands; open after `start`."""
        assert self._writer is not None, "the journal is not started"
        return self._writer

    async def accept(self, command: Accept) -> Accepted:
        """See `Journal.accept`."""
        return await self.writer.do(accepts.ACCEPT, command, is_plain=accepts.is_plain(command))

    async def claim(self, command: ClaimCommand) -> Claim | None:
        """See `Journal.claim`."""
        return await self.writer.do(claims.CLAIM, command)

    async def poll(self, command: PollCommand) -> list[Claim]:
        """See `Journal.poll`."""
        poll = claims.Poll(command)
        found, left = await self.writer.alone(poll, is_single=True)
        for wish in left:
            claim = await self.writer.do(claims.CLAIM, wish, is_plain=False)
            if claim is not None:
                found.append(replace(claim, is_suspect=claims.is_suspect(wish)))
        return found

    async def renew(self, leases: Sequence[Lease], lease_s: float) -> Renewed:
        """See `Journal.renew`."""
        if not leases:
            return Renewed(frozenset())
        return await self.writer.do(recording.RENEW, recording.Renewal(tuple(leases), lease_s))

    async def record(self, lease: Lease, step: Step) -> bool:
        """See `Journal.record`."""
        return await self.writer.do(recording.RECORD, recording.Recording(lease, step))

    async def note(self, lease: Lease, event: NewEvent) -> None:
        """See `Journal.note`."""
        await self.writer.alone(lambda tx: claiming.note(tx, lease, event))

    async def finish(self, finish: Finish) -> Finished:
        """See `Journal.finish`."""
        return await self.writer.do(finishes.FINISH, finish, is_plain=finishes.is_plain(finish))

    async def reply(self, reply: Reply) -> Replied:
        """See `Journal.reply`."""
        return await self.writer.alone(lambda tx: waits.answer(tx, reply), "reply")

    async def cancel(self, cancel: Cancel) -> Replied:
        """See `Journal.cancel`."""
        return await self.writer.alone(lambda tx: waits.cancel(tx, cancel))

    async def sweep(self) -> Sweep:
        """See `Journal.sweep`."""
        chores = await self.writer.alone(sweeping.chores, is_single=True)
        if time.monotonic() >= self._look_for_stuck_at:
            self._look_for_stuck_at = time.monotonic() + STUCK_S
            chores += await self.writer.look(sweeping.stuck)
        done = [(chore, await self._do(chore)) for chore in chores]
        roots: list[str] = []
        with contextlib.suppress(JournalError):  # what was done above is to be told all the same
            roots = await self.writer.alone(sweeping.roots)
        return sweeping.swept([(chore, what) for chore, what in done if what.is_done], roots)

    async def _do(self, chore: sweeping.Chore) -> sweeping.Done:
        return await self.writer.alone(lambda tx: sweeping.do(tx, chore))

    async def admit(self, tenant_running: int) -> list[PendingHop]:
        """See `Journal.admit`."""
        return await self.writer.alone(lambda tx: admission.admit(tx, tenant_running), is_single=True)

    async def register(self, card: Card, *, fallback: str | None = None) -> None:
        """See `Journal.register`."""
        await self.writer.alone(lambda tx: registry.register(tx, card, fallback))

    async def enrol(self, cards: Sequence[Card], *, fallback: str | None) -> list[str]:
        """See `Journal.enrol`."""
        return await self.writer.alone(lambda tx: registry.enrol(tx, cards, fallback))

    async def forget(self, agent: str) -> None:
        """See `Journal.forget`."""
        await self.writer.alone(lambda tx: registry.forget(tx, agent))

    async def calibrate(self, threshold: StoredThreshold | None) -> None:
        """See `Journal.calibrate`."""
        await self.writer.alone(lambda tx: registry.calibrate(tx, threshold))

    async def registry(self) -> Graph:
        """See `Journal.registry`."""
        return await self.writer.look(lambda tx: registry.graph(tx, self._cards))

    async def beat(self, owner: str, agents: Collection[str]) -> None:
        """See `Journal.beat`."""
        await self.writer.alone(lambda tx: registry.beat(tx, owner, agents), is_single=True)

    async def leave(self, owner: str, agents: Collection[str]) -> None:
        """See `Journal.leave`."""
        await self.writer.alone(lambda tx: registry.leave(tx, owner, agents), is_single=True)

    async def label(self, run_id: str, agent: str, *, by: str) -> LabelView:
        """See `Journal.label`."""
        return await self.writer.alone(lambda tx: labels.label(tx, run_id, agent, by))

    async def label_of(self, run_id: str) -> LabelView | None:
        """See `Journal.label_of`."""
        return await self.writer.look(lambda tx: labels.label_of(tx, run_id))

    async def decisions(self, wanted: DecisionFilter) -> list[DecisionView]:
        """See `Journal.decisions`."""
        return await self.writer.look(lambda tx: labels.decisions(tx, wanted), statements=2, is_long=True)

    async def due_results(self, *, limit: int, retry_s: float) -> list[DueResult]:
        """See `Journal.due_results`."""
        return await self.writer.alone(lambda tx: results.due(tx, limit, retry_s), is_single=True)

    async def sent(self, delivery_ids: Sequence[str], *, undeliverable: Sequence[str] = ()) -> None:
        """See `Journal.sent`."""
        if delivery_ids:
            await self.writer.alone(lambda tx: results.sent(tx, delivery_ids), is_single=True)
        for delivery_id in undeliverable:
            await self._give_up(delivery_id)

    async def _give_up(self, delivery_id: str) -> None:
        await self.writer.alone(lambda tx: results.undeliverable(tx, delivery_id))

    async def quarantine(self, message: Quarantined) -> None:
        """See `Journal.quarantine`."""
        await self.writer.alone(lambda tx: dead.quarantine(tx, message), is_single=True)

    async def quarantined(self, dead_id: str) -> Quarantined:
        """See `Journal.quarantined`."""
        return await self.writer.look(lambda tx: dead.quarantined(tx, dead_id))

    async def dead(self, wanted: DeadFilter) -> list[DeadView]:
        """See `Journal.dead`."""
        return await self.writer.look(lambda tx: dead.listed(tx, wanted), statements=2, is_long=True)

    async def redrive(self, run_id: str, *, new_run_id: str, by: str) -> Accepted:
        """See `Journal.redrive`."""
        return await self.writer.alone(lambda tx: dead.redrive(tx, run_id, new_run_id, by))

    async def discard(self, dead_id: str, *, by: str) -> None:
        """See `Journal.discard`."""
        done: list[str] = []
        await self.writer.alone(lambda tx: dead.discard(tx, dead_id, by, done))

    async def history(self, tenant: str, conversation_id: str) -> tuple[Message, ...]:
        """See `Journal.history`."""
        return await self.writer.look(lambda tx: reading.history(tx, tenant, conversation_id))

    async def status(self, run_id: str) -> RunStatus:
        """See `Journal.status`."""
        return await self.writer.do(looks.STATUS, run_id)

    async def result(self, run_id: str) -> Result:
        """See `Journal.result`."""
        return await self.writer.do(looks.RESULT, run_id)

    async def run(self, run_id: str) -> RunView:
        """See `Journal.run`."""
        return await self.writer.look(lambda tx: reading.run(tx, run_id), statements=2)

    async def runs(self, wanted: RunFilter) -> list[RunView]:
        """See `Journal.runs`."""
        return await self.writer.look(lambda tx: reading.runs(tx, wanted), is_long=True)

    async def hops(self, run_id: str) -> list[HopView]:
        """See `Journal.hops`."""
        return await self.writer.look(lambda tx: reading.hops(tx, run_id))

    async def steps(self, run_id: str) -> list[StepView]:
        """See `Journal.steps`."""
        return await self.writer.look(lambda tx: reading.steps(tx, run_id))

    async def waits(self, run_id: str) -> list[WaitView]:
        """See `Journal.waits`."""
        return await self.writer.look(lambda tx: reading.waits(tx, run_id))

    async def events(self, run_id: str, *, after: int = 0) -> list[EventView]:
        """See `Journal.events`."""
        return await self.writer.look(lambda tx: reading.events(tx, run_id, after))

    async def agents(self) -> list[AgentView]:
        """See `Journal.agents`."""
        return await self.writer.look(reading.agents)

    async def window(self, wanted: WindowFilter) -> HopWindow:
        """See `Journal.window`."""
        return await self.writer.look(lambda tx: reading.window(tx, wanted), statements=2, is_long=True)

    async def prune(self, *, older_than_s: float, is_dry: bool, limit: int | None = None) -> int:
        """See `Journal.prune`."""
        if is_dry:
            return await self.writer.look(lambda tx: pruning.count(tx, older_than_s), is_long=True)
        total = 0
        while size := pruning.next_batch(limit, total):
            gone = await self._prune(older_than_s, size)
            total += gone
            if not gone:
                break
        return total

    async def _prune(self, older_than_s: float, size: int) -> int:
        return await self.writer.alone(lambda tx: pruning.prune(tx, older_than_s, size))

    async def changed(self) -> bool:
        """Return False: the broker tells what is new, and polls find the rest."""
        return False
