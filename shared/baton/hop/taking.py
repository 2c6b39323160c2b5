"""Taking a turn: the agent's function with a `Turn`, within its time.

In: a claimed hop with its envelope. Out: what the function returned, checked; or what it raised.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel

from baton import codec
from baton.agent import Agent
from baton.envelope import Envelope
from baton.errors import BatonError, FactsError, HandoffRefusedError, PermanentError, TurnTimeoutError
from baton.hop.judge import Judge
from baton.hop.leases import Held
from baton.hop.recognition import recognised
from baton.hop.steps import Steps
from baton.hop.surroundings import Surroundings
from baton.hop.threads import in_thread
from baton.hop.turn import Turn
from baton.journal.records import Claim, NewEvent, Step
from baton.outcome import Ask, Handoff, Outcome, Shift
from baton.protocol import route
from baton.protocol.guards import Graph
from baton.protocol.route import Routed
from baton.protocol.settle import check_needs, checked
from baton.routing.decision import RouteDecision
from baton.telemetry.hops import step_recorded


class DeadlineExceededError(PermanentError):
    """The run's deadline passed while an agent worked on it."""

    code = "deadline_exceeded"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a turn gave."""

    outcome: Outcome | Routed
    has_new_steps: bool = False


class TurnTaker(Protocol):
    """Takes the turns of one name: an agent's, or the router's."""

    max_attempts: int
    needs: Mapping[str, type[BaseModel]]

    async def take(self, claim: Claim, envelope: Envelope, held: Held) -> Taken:
        """Take one turn; whatever it raises is settled as an error."""
        ...


class AgentTaker:
    """Runs an agent's handlers.

    Args:
        agent: Whose turns.
        shared: The journal, and who exists.
        judge: Tells whether a reply is about something else.
        resources: What the agent's `resources` opened.
        needs: What other agents need of the facts, as far as this process knows them.
    """

    def __init__(
        self,
        agent: Agent,
        shared: Surroundings,
        judge: Judge,
        *,
        resources: Any,
        needs: Mapping[str, type[BaseModel]],
    ) -> None:
        self.max_attempts = agent.max_attempts
        self.needs = needs
        self._agent = agent
        self._shared = shared
        self._journal = shared.journal
        self._judge = judge
        self._resources = resources

    async def take(self, claim: Claim, envelope: Envelope, held: Held) -> Taken:
        """Call the handler for the envelope's skill and return its outcome.

        Raises:
            TurnTimeoutError: It took longer than the agent's `timeout_s`.
            DeadlineExceededError: The run's deadline passed.
            OutcomeError: It returned no outcome.
        """
        steps = self._steps(claim, held)
        turn = Turn(
            envelope,
            steps=steps,
            attempt=claim.attempt,
            deadline_at=claim.run.deadline_at,
            resources=self._resources,
            read_history=lambda: self._journal.history(claim.run.tenant, envelope.conversation_id),
            emit=self._emitter(claim),
        )
        began = time.monotonic()
        graph = self._shared.graph()
        found = await recognised(envelope, graph, self._judge, steps, partial(self._onward, envelope, graph))
        if found.handoff is not None:
            return Taken(found.handoff, steps.has_new)
        if found.shift is not None:
            turn.notice(found.shift)
        now = claim.now + time.monotonic() - began  # the journal's clock; the look may have taken seconds
        left_s = None if claim.run.deadline_at is None else claim.run.deadline_at - now
        value = await self._within(turn, envelope.skill, left_s)
        if isinstance(value, Ask):
            self._judge.learn_soon(self._shared.graph(), self._agent.name)  # while the user thinks
        return Taken(checked(value, self._agent.name), steps.has_new)

    def _onward(self, envelope: Envelope, graph: Graph, shift: Shift, decision: RouteDecision) -> Handoff | None:
        """Return the automatic handoff that a shift leads to; None: the agent does without, or it would be stopped."""
        handoff = route.onward(envelope, shift, graph, decision) if self._agent.auto_handoff else None
        try:
            if handoff is not None:
                check_needs(self.needs, shift.targets[0][0], envelope.facts)
        except FactsError:
            return None
        return handoff

    async def _within(self, turn: Turn, skill: str | None, left_s: float | None) -> Any:
        timeout_s = self._agent.timeout_s
        limit_s = timeout_s if left_s is None else max(0.0, min(timeout_s, left_s))
        try:
            async with asyncio.timeout(limit_s) as scope:
                return await self._called(turn, skill)
        except TimeoutError as error:
            if not scope.expired():
                raise
            if left_s is not None and left_s <= timeout_s:
                raise DeadlineExceededError(f"the run's deadline passed in the turn of {self._agent.name!r}") from error
            raise TurnTimeoutError(
                f"the turn of {self._agent.name!r} took longer than its {timeout_s:g} s (`timeout_s`)"
            ) from error

    async def _called(self, turn: Turn, skill: str | None) -> Any:
        handler = self._agent.handler(skill)
        if inspect.iscoroutinefunction(handler):
            return await handler(turn)
        value = await in_thread(handler, turn)
        return await value if inspect.isawaitable(value) else value

    def _steps(self, claim: Claim, held: Held) -> Steps:
        async def write(step: Step) -> bool:
            is_written = await held.insist(lambda: self._journal.record(claim.lease, step))
            if is_written:
                step_recorded(step)
            return is_written

        return Steps(
            claim.lease.seq,
            self._agent.name,
            root_run_id=claim.run.root_run_id,
            attempt=claim.attempt,
            recorded=claim.steps,
            write=write,
            may_start=held.may_start_step,
            clock=held.clock,
        )

    def _emitter(self, claim: Claim) -> Callable[[Any], Awaitable[None]]:
        async def emit(progress: Any) -> None:
            try:
                plain = codec.plain(progress)
            except ValueError as error:
                raise BatonError(f"turn.emit was given {error}; allowed are JSON values") from error
            event = NewEvent("progress", claim.lease.seq, {"agent": self._agent.name, "progress": plain})
            await self._journal.note(claim.lease, event)

        return emit


class GoneTaker:
    """Takes what was left for an agent that has left the team: to the fallback, or to the end.

    Args:
        name: The agent that is gone.
    """

    max_attempts = 6

    def __init__(self, name: str) -> None:
        self.needs: Mapping[str, type[BaseModel]] = {}
        self._name = name

    async def take(self, claim: Claim, envelope: Envelope, held: Held) -> Taken:
        """Refuse the turn.

        Raises:
            HandoffRefusedError: Always; says that the agent is gone.
        """
        told = f"agent {self._name!r} is no longer in the team that serves this journal"
        raise HandoffRefusedError(told, target=self._name, allowed=[])
