"""Driving a journal by hand, as a worker would: what the contract tests are written in.

A test of an implementation gives a `Harness`; a `Hand` on it does the rest through the `Journal` contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from baton import ids
from baton.card import Card
from baton.envelope import Envelope, restore
from baton.errors import PermanentError
from baton.hop.steps import Steps, Suspended
from baton.journal.contract import Journal
from baton.journal.messages import DueResult
from baton.journal.records import (
    Accept,
    Accepted,
    Cancel,
    Claim,
    ClaimCommand,
    Finish,
    Finished,
    PollCommand,
    Replied,
    Reply,
    Step,
)
from baton.journal.views import DeadFilter, HopView
from baton.outcome import Answer, Ask, Handoff, Outcome
from baton.protocol import settle
from baton.protocol.guards import Graph
from baton.protocol.moving import HopContext
from baton.protocol.route import Routed
from baton.request import Request

LEASE_S = 30.0
Rows = Mapping[str, list[dict[str, Any]]]
"""Rows by table, each as a mapping, in the order of the primary key."""


class Harness(Protocol):
    """What a test needs of an implementation beside the contract."""

    journal: Journal
    """Started, and serving."""

    loses_next_reply: bool
    """True from `lose_next_commit_reply` until a commit."""

    has_one_process: bool
    """True where one process serves the store: its start frees what was running, and it notices others' writes."""

    async def second(self) -> Journal:
        """Return another handle on the same store, as of another process; it does not serve."""
        ...

    async def restart(self) -> None:
        """Let the serving process die and start again: `journal` is a new handle on the same store."""
        ...

    async def expire_lease(self, run_id: str, seq: int) -> None:
        """Let the lease of a running hop run out."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the journal."""
        ...

    def lose_next_commit_reply(self) -> None:
        """Let the next transaction of `journal` take effect without anyone being told."""
        ...

    async def rows(self) -> Rows:
        """Return everything that is stored."""
        ...


GRAPH = Graph(
    {
        name: Card(name=name, description=name, targets=tuple(targets))
        for name, targets in {"a": "bc", "b": "ac", "c": "a"}.items()
    }
)


@dataclass
class Hand:
    """A worker's hand on a journal."""

    harness: Harness
    owner: str = "w1"
    handle: Journal | None = None
    """None: the harness's own journal."""

    @property
    def journal(self) -> Journal:
        return self.handle or self.harness.journal

    async def accept(
        self,
        text: str = "hello",
        *,
        run_id: str | None = None,
        key: str | None = None,
        tenant: str = "default",
        reply_to: str | None = None,
        correlation_id: str | None = None,
        **request: Any,
    ) -> Accepted:
        """Send a request."""
        command = Accept(
            run_id=run_id or ids.new_run_id(),
            tenant=tenant,
            request=Request.of({"text": text, **request}),
            key=key,
            reply_to=reply_to,
            correlation_id=correlation_id,
        )
        return await self.journal.accept(command)

    async def receive(self, text: str = "hello", *, run_id: str | None = None, **given: Any) -> Accepted:
        """Accept a request from the queue as the router does: hop 0 is claimed at once.

        Args:
            text: The request's.
            run_id: The run it would become; None: a new one.
            given: Fields of `Accept` other than the request's; else the request's.
        """
        run_id = run_id or ids.new_run_id()
        names = {field.name for field in fields(Accept)}
        of_command = {name: value for name, value in given.items() if name in names}
        of_request = {name: value for name, value in given.items() if name not in names}
        wish = self.wish(run_id, 0, "router")
        command = Accept(run_id=run_id, tenant="default", request=Request.of({"text": text, **of_request}), claim=wish)
        return await self.journal.accept(replace(command, **of_command))

    def wish(self, run_id: str, seq: int, agent: str, **changes: Any) -> ClaimCommand:
        """Return a wish to claim a hop."""
        wish = ClaimCommand(run_id, seq, agent, ids.new_id(), self.owner, LEASE_S, 6)
        return replace(wish, **changes)

    async def claim(self, run_id: str, seq: int = 0, agent: str = "router", **changes: Any) -> Claim | None:
        """Wish to claim a hop."""
        return await self.journal.claim(self.wish(run_id, seq, agent, **changes))

    async def take(self, run_id: str, seq: int = 0, agent: str = "router", **changes: Any) -> Claim:
        """Claim a hop that can be claimed."""
        claim = await self.claim(run_id, seq, agent, **changes)
        assert claim is not None, f"{run_id}/{seq} of {agent} cannot be claimed: {await self.journal.hops(run_id)}"
        return claim

    async def poll(
        self, agent: str, *, missed_before: float | None = None, limit: int = 16, **changes: Any
    ) -> list[Claim]:
        """Look for the hops of an agent that the broker will not deliver."""
        wish = PollCommand(agent, ids.new_id(), self.owner, LEASE_S, 6, limit, missed_before)
        return await self.journal.poll(replace(wish, **changes))

    async def context(self, claim: Claim, **changes: Any) -> HopContext:
        """Return what is needed to settle a claimed hop."""
        envelope = envelope_of(claim)
        context = HopContext(
            envelope=envelope,
            lease=claim.lease,
            graph=GRAPH,
            facts=claim.run.facts,
            log_length=claim.run.log_length,
            log=await self.journal.history(claim.run.tenant, envelope.conversation_id),
            attempt=claim.attempt,
            claimed_at=claim.now,
            deadline_left_s=None if claim.run.deadline_at is None else claim.run.deadline_at - claim.now,
        )
        return replace(context, **changes)

    async def settled(self, claim: Claim, outcome: Outcome | Routed, **changes: Any) -> Finish:
        """Return what a worker would write after `outcome`."""
        return settle.settle(await self.context(claim, **changes), outcome).finish

    async def finish(self, claim: Claim, outcome: Outcome | Routed, **changes: Any) -> Finished:
        """Finish a claimed hop."""
        return await self.journal.finish(await self.settled(claim, outcome, **changes))

    async def answer(self, claim: Claim, text: str = "done", **answer: Any) -> Finished:
        """Finish a claimed hop with an answer."""
        return await self.finish(claim, Answer(text, **answer))

    async def ask(self, claim: Claim, question: str = "which?", **ask: Any) -> str:
        """Finish a claimed hop with a question to the user; return the wait's id."""
        finish = await self.settled(claim, Ask(question, **ask))
        assert (await self.journal.finish(finish)).outcome == "applied"
        assert finish.wait is not None
        return finish.wait.wait_id

    async def hand(self, claim: Claim, to: str, **handoff: Any) -> Finished:
        """Finish a claimed hop with a handoff."""
        facts = handoff.pop("facts", {f"seen_{claim.lease.seq}": claim.lease.token})
        return await self.finish(claim, Handoff(to, facts=facts, **handoff))

    async def suspending(self, claim: Claim, key: str = "ok", **approve: Any) -> Finish:
        """Return what a worker would write to wait for an approval."""
        try:
            await self.steps(claim).approve(key, "sure?", **approve)
        except Suspended as suspended:
            return settle.suspend(await self.context(claim), suspended.wait).finish
        raise AssertionError("the approval is recorded already")

    async def approve(self, claim: Claim, key: str = "ok", **approve: Any) -> str:
        """Suspend a claimed hop until a person approves; return the wait's id."""
        finish = await self.suspending(claim, key, **approve)
        assert (await self.journal.finish(finish)).outcome == "applied"
        assert finish.wait is not None
        return finish.wait.wait_id

    async def fail(self, claim: Claim, error: BaseException, *, delay_s: float = 0.0, **changes: Any) -> Finished:
        """Finish a claimed hop that raised `error`."""
        context = await self.context(claim, **changes)
        return await self.journal.finish(settle.settle_error(context, error, delay_s).finish)

    async def hand_back(self, claim: Claim) -> Finished:
        """Give a claimed hop up unfinished."""
        return await self.journal.finish(settle.hand_back(claim.lease, since=claim.now).finish)

    async def reply(self, run_id: str, text: str | None = None, **reply: Any) -> Replied:
        """Answer what a run waits for."""
        return await self.journal.reply(Reply(run_id, text=text, **reply))

    async def cancel(self, run_id: str, **cancel: Any) -> Replied:
        """Cancel a run."""
        return await self.journal.cancel(Cancel(run_id, "ann", "why not", **cancel))

    async def due(self, *, limit: int = 100, retry_s: float = 60.0) -> list[DueResult]:
        """Take what is to be sent to requesters."""
        return await self.journal.due_results(limit=limit, retry_s=retry_s)

    async def dead(self, **wanted: Any) -> list[str]:
        """Return the ids of the dead, the newest last."""
        return [view.id for view in await self.journal.dead(DeadFilter(**wanted))]

    async def killed(self, claim: Claim) -> str:
        """Fail a claimed hop for good; return its run, which has failed."""
        await self.fail(claim, PermanentError("no such card"))
        assert await self.status(claim.lease.run_id) == "failed"
        return claim.lease.run_id

    async def redrive(self, run_id: str, new_run_id: str | None = None, by: str = "ann") -> Accepted:
        """Start a new run where this one ended."""
        return await self.journal.redrive(run_id, new_run_id=new_run_id or ids.new_run_id(), by=by)

    def steps(self, claim: Claim) -> Steps:
        """Return the steps of a claimed hop, recorded in the journal."""

        async def write(step: Step) -> bool:
            return await self.journal.record(claim.lease, step)

        lease = claim.lease
        return Steps(
            lease.seq,
            claim.agent,
            root_run_id=claim.run.root_run_id,
            attempt=claim.attempt,
            recorded=claim.steps,
            write=write,
        )

    async def routed(self, run_id: str, to: str = "a") -> Finished:
        """Take the router's turn of a run."""
        return await self.routed_by(await self.take(run_id), to)

    async def routed_by(self, claim: Claim, to: str = "a") -> Finished:
        """Finish a claimed hop of the router."""
        return await self.finish(claim, Routed(to, "classified", "sure"))

    async def at(self, agent: str = "a", text: str = "hello", **request: Any) -> Claim:
        """Send a request and claim its first hop at an agent."""
        accepted = await self.accept(text, **request)
        await self.routed(accepted.run_id, agent)
        return await self.take(accepted.run_id, 1, agent)

    async def hop(self, run_id: str, seq: int) -> HopView:
        """Return a hop as it stands."""
        return (await self.journal.hops(run_id))[seq]

    async def status(self, run_id: str) -> str:
        """Return how a run stands."""
        return (await self.journal.result(run_id)).status

    async def said(self, conversation_id: str, tenant: str = "default") -> list[str]:
        """Return the texts of a conversation's log."""
        return [message.text for message in await self.journal.history(tenant, conversation_id)]


def envelope_of(claim: Claim) -> Envelope:
    """Return the context of a hop that was claimed without a body in hand."""
    assert claim.head is not None
    return restore(claim.head, claim.text, claim.messages)


def a_step(claim: Claim, key: str = "k", *, status: Any = "done", result: bytes = b"1", **changes: Any) -> Step:
    """Return a record of a step of a claimed hop."""
    return Step(str(claim.lease.seq), key, status, "sha", result, seq=claim.lease.seq, attempt=claim.attempt, **changes)
