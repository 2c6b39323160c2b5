"""A run as commands tell of it: everything the journal has, read once.

In: a journal and a run. Out: an `Account`, and the JSON that every command prints of a run.
"""

from dataclasses import dataclass, field
from typing import Any

from baton.agent import HUMAN, ROUTER
from baton.envelope import Message
from baton.journal.contract import Journal
from baton.journal.views import EventView, HopView, LabelView, RunView, StepView, WaitView
from baton.request import Result
from baton.routing.llm import LLM
from baton.routing.rules import RULE


@dataclass(frozen=True, slots=True)
class Route:
    """The router's first decision on a run."""

    agent: str | None = None
    """None: nobody was found; `human`: the router abstained, and a person is the fallback."""
    skill: str | None = None
    how: str | None = None
    """`classified`, `sticky`, `addressed`, `shifted` or `fallback`; None: not decided yet."""
    confidence: float | None = None
    """0 to 1."""
    method: str | None = None
    model: str | None = None
    """Which model decided; None: none did."""
    runner_up: str | None = None
    margin: float | None = None
    """How far the runner-up is behind, in probability, 0 to 1; None: nothing was classified."""
    note: str | None = None
    """The rule that held, or what the language model answered."""

    @property
    def is_placed(self) -> bool:
        """True where the router found an agent, and did not fall back."""
        return self.agent not in (None, HUMAN) and self.how != "fallback"

    def __str__(self) -> str:
        if self.agent is None:
            return "nobody"
        to = f"{self.agent} / {self.skill}" if self.skill else self.agent
        is_certain = self.how == "addressed" or self.method in (RULE, LLM)
        sure = "" if self.confidence is None or is_certain else f", {self.confidence:.0%} sure"
        by = f" ({self.how}{sure}{f', {self.method}' if self.method != self.how else ''})"
        return to + by

    @property
    def second(self) -> str | None:
        """The runner-up, and how far it is behind; None: there is none."""
        if self.runner_up is None:
            return None
        return self.runner_up + (f", behind by {self.margin:.3f}" if self.margin is not None else "")


@dataclass(frozen=True, slots=True)
class Account:
    """One run with all that belongs to it."""

    run: RunView
    result: Result
    hops: list[HopView]
    events: list[EventView]
    waits: list[WaitView]
    steps: list[StepView] = field(default_factory=list)
    log: tuple[Message, ...] = ()
    """The conversation's messages, those of its other runs included."""
    label: LabelView | None = None
    """Whose the request was, said by a person; None: nobody has said."""

    @property
    def route(self) -> Route:
        """The router's first decision."""
        decided = next((event.data for event in self.events if event.type == "routed"), None)
        if decided is None:  # a redriven run may begin after the router, and has its hops
            outcome = (self.hops[0].outcome if self.hops else None) or {}
            return Route(agent=outcome.get("to"), how=outcome.get("did"))
        return Route(
            agent=decided.get("agent"),
            skill=decided.get("skill"),
            how=decided.get("how"),
            confidence=decided.get("confidence"),
            method=decided.get("method"),
            model=decided.get("model"),
            runner_up=decided.get("runner_up"),
            margin=decided.get("margin"),
            note=decided.get("note") or None,
        )

    @property
    def took_s(self) -> float | None:
        """Seconds from acceptance to the end; None: it has not ended."""
        return None if self.run.ended_at is None else self.run.ended_at - self.run.accepted_at

    @property
    def trail(self) -> str:
        """The agents on the way, with arrows."""
        return " → ".join(self.result.trail) or ROUTER

    def as_json(self) -> dict[str, Any]:
        """Return the run in the words of a result: `text` is the reply, `request` the request's text."""
        run, result, route = self.run, self.result, self.route
        return {
            "run_id": run.run_id,
            "status": run.status,
            "agent": run.agent,
            "route": {
                "agent": route.agent,
                "skill": route.skill,
                "confidence": route.confidence,
                "method": route.method,
                "how": route.how,
                "model": route.model,
                "runner_up": route.runner_up,
                "margin": route.margin,
                "note": route.note,
            },
            "trail": list(result.trail),
            "text": result.text,
            "request": run.text,
            "question": result.question,
            "error": run.error,
            "conversation_id": run.conversation_id,
            "batch": run.batch,
            "accepted_at": run.accepted_at,
            "ended_at": run.ended_at,
        }


async def read(journal: Journal, run: RunView, *, whole: bool = False) -> Account:
    """Return the account of a run.

    Args:
        journal: Where it is.
        run: Which.
        whole: True: with its steps, messages and label too.
    """
    return Account(
        run=run,
        result=await journal.result(run.run_id),
        hops=await journal.hops(run.run_id),
        events=await journal.events(run.run_id),
        waits=await journal.waits(run.run_id),
        steps=await journal.steps(run.run_id) if whole else [],
        log=await journal.history(run.tenant, run.conversation_id) if whole else (),
        label=await journal.label_of(run.run_id) if whole else None,
    )
