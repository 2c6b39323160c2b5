"""Small teams for whole runs."""

from collections.abc import Awaitable, Callable
from typing import Any

from baton import Agent, Team, Turn
from baton.outcome import Outcome
from baton.testing import ScriptedClassifier

Take = Callable[[Turn], Outcome | Awaitable[Outcome]]


def an_agent(name: str, take: Callable[[Turn], Any], **changes: Any) -> Agent:
    """Return an agent whose every turn is `take`: a function, or one that returns an awaitable."""
    made = Agent(name, f"All about {name}", **changes)

    @made.turn
    async def handle(turn: Turn) -> Outcome:
        outcome: Any = take(turn)
        return await outcome if isinstance(outcome, Awaitable) else outcome

    return made


def a_team(*edges: Any, **changes: Any) -> Team:
    """Return a team whose requests all go to agent `a` unless told otherwise."""
    return Team("desk", edges, **{"classifier": ScriptedClassifier(default="a"), **changes})
