"""What a journal promises: the durable record, and the queue of record.

In: commands from the client and the hop loop. Out: what was written, read back after a crash as it
was. Every method is one transaction; concurrent ones may share it. `tests/contract` holds every
implementation to this.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

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
from baton.request import Result, RunStatus

if TYPE_CHECKING:
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
    from baton.routing.stored_threshold import StoredThreshold

LIVE_S = 3.5
"""Longest silence of a replica that counts as live, in seconds."""
FORGET_S = 3600.0
"""After how long a silent replica is forgotten, in seconds; until then `baton agents` tells when it was last seen."""


class Journal(Protocol):
    """The truth about every run. Safe to call from many tasks of one event loop."""

    async def start(self, *, serves: bool, team: str | None = None) -> None:
        """Open the journal, and make sure that it can be used as asked.

        Args:
            serves: True for a process that will claim hops; running hops are then free at once
                where no other process can be working on them.
            team: The team's name; a journal belongs to one team.

        Raises:
            JournalBusyError: Another process serves it.
            JournalVersionError: It is foreign, damaged, or newer than this library.
            ConfigError: It belongs to another team.
        """
        ...

    async def close(self) -> None:
        """Write what is under way and let go."""
        ...

    async def accept(self, command: Accept) -> Accepted:
        """Record a request: as a run, as the reply its conversation waits for, or not again.

        Raises:
            IdempotencyConflictError: The key is known with another body.
            JournalUnavailableError: Nothing was written.
        """
        ...

    async def claim(self, command: ClaimCommand) -> Claim | None:
        """Take the lease of a hop; None: it is over, taken, not due, or its run has ended."""
        ...

    async def poll(self, command: PollCommand) -> list[Claim]:
        """Claim what the broker will not deliver: due retries, lost leases, missed hops."""
        ...

    async def renew(self, leases: Sequence[Lease], lease_s: float) -> Renewed:
        """Prolong leases; those not in `held` are lost: write nothing more for them."""
        ...

    async def record(self, lease: Lease, step: Step) -> bool:
        """Record a step or its intent, once; False: the lease is lost, nothing was written."""
        ...

    async def note(self, lease: Lease, event: NewEvent) -> None:
        """Append an event to the run's timeline while the lease holds; else nothing."""
        ...

    async def finish(self, finish: Finish) -> Finished:
        """Write the end of an attempt and what follows, all of it or nothing."""
        ...

    async def reply(self, reply: Reply) -> Replied:
        """Answer a wait; the first answer counts.

        Raises:
            NotFoundError: There is no such run or wait.
            NotWaitingError: The wait is over; says how it ended.
            RequestError: This kind of wait does not take such a reply.
        """
        ...

    async def cancel(self, cancel: Cancel) -> Replied:
        """End a run, or, while an agent works on it, have it end at the agent's next write.

        Raises:
            NotFoundError: There is no such run of that tenant.
            IdempotencyConflictError: The key is known with another body.
        """
        ...

    async def sweep(self) -> Sweep:
        """End what is past its deadline or was stopped; pass on conversations whose holder has ended."""
        ...

    async def admit(self, tenant_running: int) -> list[PendingHop]:
        """Let runs begin that waited for room: of each tenant the oldest, tenants in turn.

        Runs that wait for somebody take no room. The bound is soft: runs accepted at the same moment may pass it.

        Args:
            tenant_running: Runs that a tenant may have under way, >= 1.

        Returns:
            Their hops 0, to publish.
        """
        ...

    async def register(self, card: Card, *, fallback: str | None = None) -> None:
        """Write an agent's card, new or changed; `fallback` is its team's."""
        ...

    async def enrol(self, cards: Sequence[Card], *, fallback: str | None) -> list[str]:
        """Make these the registered agents, and no others: for a process that serves a whole team.

        Returns:
            The names of agents that are gone and still have open hops.
        """
        ...

    async def forget(self, agent: str) -> None:
        """Take the card of an agent that is gone off the registry; what stands before the agent stays there.

        Raises:
            RequestError: No such agent is registered, it is live, or it is the fallback.
        """
        ...

    async def calibrate(self, threshold: "StoredThreshold | None") -> None:
        """Keep the threshold that labelled traffic gave, for `registry`; None: forget it."""
        ...

    async def registry(self) -> "Graph":
        """Return the registered cards, the fallback, the stored threshold, and who was seen within `LIVE_S`."""
        ...

    async def beat(self, owner: str, agents: Collection[str]) -> None:
        """Say that a process serves these agents now, by the journal's clock; replicas long silent are forgotten.

        Args:
            owner: The process.
            agents: All that it serves; `router` may be among them.
        """
        ...

    async def leave(self, owner: str, agents: Collection[str]) -> None:
        """Take a process off the list of those that serve these agents; harmless if it is not on it."""
        ...

    async def label(self, run_id: str, agent: str, *, by: str) -> "LabelView":
        """Write down whose a run's request was; what was said later counts.

        Args:
            run_id: May be a unique beginning of 6 or more digits.
            agent: A registered agent, `human`, or `nobody`.
            by: Who says so.

        Raises:
            NotFoundError: There is no such run, or several.
            RequestError: There is no such agent; names those that are registered.
        """
        ...

    async def label_of(self, run_id: str) -> "LabelView | None":
        """Return whose a run's request was; None: nobody has said."""
        ...

    async def decisions(self, wanted: "DecisionFilter") -> "list[DecisionView]":
        """Return what the router first decided on requests, the oldest first; of redriven runs the first alone.

        Runs are found by their ids, as in `window`.
        """
        ...

    async def history(self, tenant: str, conversation_id: str) -> tuple[Message, ...]:
        """Return the whole log of a conversation."""
        ...

    async def due_results(self, *, limit: int, retry_s: float) -> list[DueResult]:
        """Take results and questions that are to be sent; those not `sent` in `retry_s` seconds are due again."""
        ...

    async def sent(self, delivery_ids: Sequence[str], *, undeliverable: Sequence[str] = ()) -> None:
        """Note which results were sent, and which have nowhere to go: neither is tried again."""
        ...

    async def quarantine(self, message: Quarantined) -> None:
        """Keep a message that nothing could be made of."""
        ...

    async def quarantined(self, dead_id: str) -> Quarantined:
        """Return a message in quarantine by its `DeadView.id`.

        Raises:
            NotFoundError: There is no such message.
        """
        ...

    async def dead(self, wanted: "DeadFilter") -> "list[DeadView]":
        """Return failed runs that nobody has redriven or discarded, and messages in quarantine, the newest last."""
        ...

    async def redrive(self, run_id: str, *, new_run_id: str, by: str) -> Accepted:
        """Start a new run where a failed or cancelled one ended, with all that it had recorded.

        Its last hop is tried again, with a new attempt budget, under the same idempotency keys.
        Idempotent by `new_run_id`.

        Raises:
            NotFoundError: There is no such run.
            RequestError: It has not ended, is completed, or was redriven before.
        """
        ...

    async def discard(self, dead_id: str, *, by: str) -> None:
        """Take a failed run or a message off the list of the dead; a run keeps its rows, a message goes.

        Raises:
            NotFoundError: There is no such run or message on the list.
        """
        ...

    async def status(self, run_id: str) -> RunStatus:
        """Return a run's status.

        Raises:
            NotFoundError: There is no such run.
        """
        ...

    async def result(self, run_id: str) -> Result:
        """Return how a run stands.

        Raises:
            NotFoundError: There is no such run.
        """
        ...

    async def run(self, run_id: str) -> "RunView":
        """Return one run. `run_id` may be a unique beginning of 6 or more digits.

        Raises:
            NotFoundError: There is no such run, or several.
        """
        ...

    async def runs(self, wanted: "RunFilter") -> "list[RunView]":
        """Return runs, the newest last."""
        ...

    async def hops(self, run_id: str) -> "list[HopView]":
        """Return a run's hops in order."""
        ...

    async def steps(self, run_id: str) -> "list[StepView]":
        """Return a run's recorded steps in order."""
        ...

    async def waits(self, run_id: str) -> "list[WaitView]":
        """Return a run's waits in order."""
        ...

    async def events(self, run_id: str, *, after: int = 0) -> "list[EventView]":
        """Return a run's events with a number above `after`, in order."""
        ...

    async def agents(self) -> "list[AgentView]":
        """Return the registered agents with what waits for them."""
        ...

    async def window(self, wanted: "WindowFilter") -> "HopWindow":
        """Return the hops of the newest runs that were accepted within a time: what the handoff graph is made of.

        Runs are found by their ids, which begin with the time at which they were made: one whose sender's clock is
        more than an hour behind the journal's may be missing.
        """
        ...

    async def prune(self, *, older_than_s: float, is_dry: bool, limit: int | None = None) -> int:
        """Delete runs that ended so long ago, their keys kept; return how many (would) go.

        Args:
            older_than_s: Seconds since their end, >= 0.
            is_dry: True: only count.
            limit: Most runs to delete, >= 1; None: all of them.
        """
        ...

    async def changed(self) -> bool:
        """True where another process wrote since the last call, at first since the start."""
        ...
