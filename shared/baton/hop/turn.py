"""A turn: what an agent's function is given, and what it can do beside returning.

In: the envelope of the hop. Out: steps, approvals and progress; control moves by returning.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, overload

from pydantic import BaseModel

from baton.envelope import Budget, Envelope, Message, TrailEntry
from baton.hop.steps import Effect, Scope, Steps
from baton.outcome import Approval, Shift

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Turn:
    """One agent's turn in a run. Made by Baton; in tests by `baton.testing.make_turn`.

    Args:
        envelope: The context of the hop.
        steps: Records and replays.
        attempt: 1-based.
        deadline_at: When the run has to be over (Unix seconds); None: no deadline.
        resources: What the agent's `resources` opened.
        read_history: Gives the whole log.
        emit: Writes a progress event.
    """

    def __init__(
        self,
        envelope: Envelope,
        *,
        steps: Steps,
        attempt: int,
        deadline_at: float | None,
        resources: Any,
        read_history: Callable[[], Awaitable[Sequence[Message]]],
        emit: Callable[[Any], Awaitable[None]],
    ) -> None:
        self._envelope = envelope
        self._shift = Shift(envelope.shift, confident=False) if envelope.shift else None
        self._steps = steps
        self._read_history = read_history
        self._emit = emit
        self.attempt = attempt
        """Which try at this hop it is, 1-based."""
        self.deadline = deadline_at
        """When the run has to be over, as Unix seconds; None: no deadline."""
        self.resources = resources
        """What the agent's `@agent.resources` opened for this process."""

    @property
    def text(self) -> str:
        """The request."""
        return self._envelope.request_text

    @property
    def skill(self) -> str | None:
        """The skill that the router chose; None after a handoff."""
        return self._envelope.skill

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that were transferred, oldest first."""
        return self._envelope.messages

    @property
    def facts(self) -> dict[str, Any]:
        """The conversation's facts; changed by returning `facts=`."""
        return dict(self._envelope.facts)

    @property
    def summary(self) -> str | None:
        """What the sender of a handoff summed up."""
        return self._envelope.summary

    @property
    def reason(self) -> str:
        """Why it came here, in the sender's words."""
        return self._envelope.reason

    @property
    def from_agent(self) -> str | None:
        """Who handed it over."""
        return self._envelope.from_agent

    @property
    def kind(self) -> Literal["route", "handoff", "reply", "resume"]:
        """`handoff`: a new hop here; `reply`: the user answered; `resume`: a person did."""
        return self._envelope.kind

    @property
    def seq(self) -> int:
        """The hop's number in the run; the router's is 0."""
        return self._envelope.seq

    @property
    def trail(self) -> tuple[TrailEntry, ...]:
        """The hops so far."""
        return self._envelope.trail

    @property
    def conversation_id(self) -> str:
        """The dialogue this run belongs to."""
        return self._envelope.conversation_id

    @property
    def run_id(self) -> str:
        """The run: 32 hex digits."""
        return self._envelope.run_id

    @property
    def tenant(self) -> str:
        """Whose request it is."""
        return self._envelope.tenant

    @property
    def budget(self) -> Budget:
        """What the run may still use."""
        return self._envelope.budget

    @property
    def reply(self) -> str | None:
        """The user's reply to this agent's `Ask`; None in other turns."""
        return self._envelope.reply

    @property
    def shift(self) -> Shift | None:
        """Set where the user's message seems to be about something else: up to two agents with scores."""
        return self._shift

    def notice(self, shift: Shift | None) -> None:
        """Set what `shift` gives; for Baton, and for tests of how an agent takes it."""
        self._shift = shift

    def facts_as(self, model: type[M]) -> M:
        """Return the facts as `model`.

        Raises:
            pydantic.ValidationError: They do not satisfy it.
        """
        return model.model_validate(self._envelope.facts)

    @overload
    async def step(
        self, key: str, fn: Callable[..., Awaitable[T]], *args: Any, effect: Effect = ..., scope: Scope = ...
    ) -> T: ...
    @overload
    async def step(self, key: str, fn: Callable[..., T], *args: Any, effect: Effect = ..., scope: Scope = ...) -> T: ...
    async def step(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        effect: Effect = "idempotent",
        scope: Scope = "hop",
    ) -> Any:
        """Call `fn(*args)` once, record what it returned, and return that on every replay.

        Args:
            key: Names this call within the turn; 1 to 200 characters.
            fn: A function or coroutine function; plain functions run in a thread.
            *args: JSON values, models or dataclasses; other values count by their type only.
            effect: `idempotent`: may be repeated when its outcome is unknown. `keyed`: `fn` gets
                `idempotency_key=`, the same on every attempt. `unsafe`: never repeated; an unknown
                outcome stops the run for a person.
            scope: `hop`, or `run`: once per run and agent.

        Raises:
            StepKeyReusedError: The key was met before in this turn, or with other arguments.
            StepResultError: The result is no JSON, or larger than 1 MiB.
        """
        return await self._steps.call(key, fn, args, effect, scope)

    async def approve(
        self,
        key: str,
        prompt: str,
        *,
        deadline_s: float | None = None,
        on_timeout: Literal["deny", "escalate"] = "deny",
    ) -> Approval:
        """Return a person's decision; until there is one, the hop stands still and costs nothing.

        Args:
            key: Names this question within the turn.
            prompt: What the person reads.
            deadline_s: Seconds to wait, > 0; None waits without end.
            on_timeout: At the deadline: count as denied, or give the run to a person.

        Raises:
            StepKeyReusedError: The key was met before in this turn.
        """
        return await self._steps.approve(key, prompt, deadline_s=deadline_s, on_timeout=on_timeout)

    async def emit(self, progress: Any) -> None:
        """Write a progress event that watchers of the run see; any JSON value."""
        await self._emit(progress)

    async def history(self) -> tuple[Message, ...]:
        """Return the conversation's whole log, whatever was transferred."""
        return tuple(await self._read_history())
