"""The embedded journal: the contract over one SQLite file.

In: calls from the event loop. Out: operations for the writer and, beside it, the reader.
"""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from baton.card import Card
from baton.envelope import Message
from baton.journal.messages import DueResult, Quarantined
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
from baton.journal.sqlite import (
    accepting,
    admission,
    claiming,
    dead,
    files,
    finishing,
    labels,
    pruning,
    reading,
    registry,
    results,
    waits,
)
from baton.journal.sqlite.reader import Reader
from baton.journal.sqlite.writer import Transaction, Writer
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


class SqliteJournal:
    """A `Journal` in one SQLite file; one process serves it, others may send, reply and read.

    Args:
        path: The file; made with its directory if it is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = files.ServingLock(self.path)
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._data_version = 0

    async def start(self, *, serves: bool, team: str | None = None) -> None:
        """Open the file. See `Journal.start`."""
        await asyncio.to_thread(files.prepare, self.path)
        if serves:
            self._lock.take()
        self._writer = Writer(files.connect(self.path))
        self._reader = Reader(files.connect(self.path, busy_s=files.BUSY_S))
        try:
            if team is not None:
                await self.writer.do(lambda tx: registry.join(tx, team))
            if serves:
                await self.writer.do(claiming.rearm)
            self._data_version = await self.writer.do(_data_version)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Write what is queued and let go of the file and its lock."""
        if self._writer is not None:
            await self._writer.close()
        if self._reader is not None:
            self._reader.close()
        self._lock.release()

    @property
    def writer(self) -> Writer:
        """The writer; open after `start`."""
        assert self._writer is not None, "the journal is not started"
        return self._writer

    @property
    def reader(self) -> Reader:
        """The reader; open after `start`."""
        assert self._reader is not None, "the journal is not started"
        return self._reader

    async def accept(self, command: Accept) -> Accepted:
        """See `Journal.accept`."""
        return await self.writer.do(lambda tx: accepting.accept(tx, command), "accept")

    async def claim(self, command: ClaimCommand) -> Claim | None:
        """See `Journal.claim`."""
        return await self.writer.do(lambda tx: claiming.claim(tx, command))

    async def poll(self, command: PollCommand) -> list[Claim]:
        """See `Journal.poll`."""
        picked: claiming.Picked = []
        return await self.writer.do(lambda tx: claiming.poll(tx, command, picked))

    async def renew(self, leases: Sequence[Lease], lease_s: float) -> Renewed:
        """See `Journal.renew`."""
        return await self.writer.do(lambda tx: claiming.renew(tx, leases, lease_s))

    async def record(self, lease: Lease, step: Step) -> bool:
        """See `Journal.record`."""
        return await self.writer.do(lambda tx: claiming.record(tx, lease, step))

    async def note(self, lease: Lease, event: NewEvent) -> None:
        """See `Journal.note`."""
        await self.writer.do(lambda tx: claiming.note(tx, lease, event))

    async def finish(self, finish: Finish) -> Finished:
        """See `Journal.finish`."""
        return await self.writer.do(lambda tx: finishing.finish(tx, finish), "finish")

    async def reply(self, reply: Reply) -> Replied:
        """See `Journal.reply`."""
        return await self.writer.do(lambda tx: waits.answer(tx, reply), "reply")

    async def cancel(self, cancel: Cancel) -> Replied:
        """See `Journal.cancel`."""
        return await self.writer.do(lambda tx: waits.cancel(tx, cancel))

    async def sweep(self) -> Sweep:
        """See `Journal.sweep`."""
        return await self.writer.do(waits.sweep)

    async def admit(self, tenant_running: int) -> list[PendingHop]:
        """See `Journal.admit`."""
        return await self.writer.do(lambda tx: admission.admit(tx, tenant_running))

    async def register(self, card: Card, *, fallback: str | None = None) -> None:
        """See `Journal.register`."""
        await self.writer.do(lambda tx: registry.register(tx, card, fallback))

    async def enrol(self, cards: Sequence[Card], *, fallback: str | None) -> list[str]:
        """See `Journal.enrol`."""
        return await self.writer.do(lambda tx: registry.enrol(tx, cards, fallback))

    async def forget(self, agent: str) -> None:
        """See `Journal.forget`."""
        await self.writer.do(lambda tx: registry.forget(tx, agent))

    async def calibrate(self, threshold: StoredThreshold | None) -> None:
        """See `Journal.calibrate`."""
        await self.writer.do(lambda tx: registry.calibrate(tx, threshold))

    async def registry(self) -> Graph:
        """See `Journal.registry`."""
        return await self.reader.do(registry.graph)

    async def beat(self, owner: str, agents: Collection[str]) -> None:
        """See `Journal.beat`."""
        await self.writer.do(lambda tx: registry.beat(tx, owner, agents))

    async def leave(self, owner: str, agents: Collection[str]) -> None:
        """See `Journal.leave`."""
        await self.writer.do(lambda tx: registry.leave(tx, owner, agents))

    async def label(self, run_id: str, agent: str, *, by: str) -> LabelView:
        """See `Journal.label`."""
        return await self.writer.do(lambda tx: labels.label(tx, run_id, agent, by))

    async def label_of(self, run_id: str) -> LabelView | None:
        """See `Journal.label_of`."""
        return await self.reader.do(lambda tx: labels.label_of(tx, run_id))

    async def decisions(self, wanted: DecisionFilter) -> list[DecisionView]:
        """See `Journal.decisions`."""
        return await self.reader.do_long(lambda tx: labels.decisions(tx, wanted))

    async def due_results(self, *, limit: int, retry_s: float) -> list[DueResult]:
        """See `Journal.due_results`."""
        return await self.writer.do(lambda tx: results.due(tx, limit, retry_s))

    async def sent(self, delivery_ids: Sequence[str], *, undeliverable: Sequence[str] = ()) -> None:
        """See `Journal.sent`."""
        await self.writer.do(lambda tx: results.sent(tx, delivery_ids, undeliverable))

    async def quarantine(self, message: Quarantined) -> None:
        """See `Journal.quarantine`."""
        await self.writer.do(lambda tx: dead.quarantine(tx, message))

    async def quarantined(self, dead_id: str) -> Quarantined:
        """See `Journal.quarantined`."""
        return await self.reader.do(lambda tx: dead.quarantined(tx, dead_id))

    async def dead(self, wanted: DeadFilter) -> list[DeadView]:
        """See `Journal.dead`."""
        return await self.reader.do_long(lambda tx: dead.listed(tx, wanted))

    async def redrive(self, run_id: str, *, new_run_id: str, by: str) -> Accepted:
        """See `Journal.redrive`."""
        return await self.writer.do(lambda tx: dead.redrive(tx, run_id, new_run_id, by))

    async def discard(self, dead_id: str, *, by: str) -> None:
        """See `Journal.discard`."""
        done: list[str] = []
        await self.writer.do(lambda tx: dead.discard(tx, dead_id, by, done))

    async def history(self, tenant: str, conversation_id: str) -> tuple[Message, ...]:
        """See `Journal.history`."""
        return await self.reader.do(lambda tx: reading.history(tx, tenant, conversation_id))

    async def status(self, run_id: str) -> RunStatus:
        """See `Journal.status`."""
        return await self.reader.do(lambda tx: reading.status(tx, run_id))

    async def result(self, run_id: str) -> Result:
        """See `Journal.result`."""
        return await self.reader.do(lambda tx: reading.result(tx, run_id))

    async def run(self, run_id: str) -> RunView:
        """See `Journal.run`."""
        return await self.reader.do(lambda tx: reading.run_view(tx, reading.find(tx, run_id)))

    async def runs(self, wanted: RunFilter) -> list[RunView]:
        """See `Journal.runs`."""
        return await self.reader.do_long(lambda tx: reading.runs(tx, wanted))

    async def hops(self, run_id: str) -> list[HopView]:
        """See `Journal.hops`."""
        return await self.reader.do(lambda tx: reading.hops(tx, run_id))

    async def steps(self, run_id: str) -> list[StepView]:
        """See `Journal.steps`."""
        return await self.reader.do(lambda tx: reading.steps(tx, run_id))

    async def waits(self, run_id: str) -> list[WaitView]:
        """See `Journal.waits`."""
        return await self.reader.do(lambda tx: reading.waits(tx, run_id))

    async def events(self, run_id: str, *, after: int = 0) -> list[EventView]:
        """See `Journal.events`."""
        return await self.reader.do(lambda tx: reading.events(tx, run_id, after))

    async def agents(self) -> list[AgentView]:
        """See `Journal.agents`."""
        return await self.reader.do(reading.agents)

    async def window(self, wanted: WindowFilter) -> HopWindow:
        """See `Journal.window`."""
        return await self.reader.do_long(lambda tx: reading.window(tx, wanted))

    async def prune(self, *, older_than_s: float, is_dry: bool, limit: int | None = None) -> int:
        """See `Journal.prune`."""
        if is_dry:
            return await self.reader.do_long(lambda tx: pruning.count(tx, older_than_s))
        total = 0
        while size := pruning.next_batch(limit, total):
            gone = await self._prune(older_than_s, size)
            total += gone
            if gone < size:
                break
        return total

    async def _prune(self, older_than_s: float, size: int) -> int:
        return await self.writer.do(lambda tx: pruning.prune(tx, older_than_s, size))

    async def changed(self) -> bool:
        """See `Journal.changed`."""
        version = await self.writer.do(_data_version)
        is_changed = version != self._data_version
        self._data_version = version
        return is_changed

    async def check(self) -> str:
        """Return what SQLite's `integrity_check` says: `ok`, or what is damaged."""
        return await self.reader.do_long(lambda tx: str(tx.one("PRAGMA integrity_check")[0]))

    def holder(self) -> int | None:
        """Return the pid of the process that serves this journal, or None."""
        return files.holder(self.path)


def _data_version(tx: Transaction) -> int:
    """Return SQLite's count of commits by other connections; the reader's are none."""
    return int(tx.one("PRAGMA data_version")[0])
