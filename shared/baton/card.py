"""How an agent presents itself: the only thing the router knows about it.

In: what `Agent` was declared with. Out: rows of the registry, read by `routing` and by the guards.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class SkillCard(BaseModel):
    """One named thing an agent can do."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=200)
    """A few words, as a person would say it; counts as an example."""
    examples: tuple[str, ...] = ()
    """Requests that want this skill; three or more make it easy to recognise."""


class Rule(BaseModel):
    """A request that is surely an agent's: all conditions of a rule have to hold.

    Nothing is checked here, so that a card of a newer Baton, or one with a pattern that this process cannot
    read, is still a card: `routing.rules` tells the mistakes to who declares it, and skips it elsewhere.
    """

    # A condition that this version does not know is kept, so that it is seen: without it the rule would hold too often.
    model_config = ConfigDict(defer_build=True, frozen=True, extra="allow")

    pattern: str | None = None
    """A regular expression of RE2, searched in the first 2,000 characters of the text; None: any text."""
    facts: Mapping[str, Any] = Field(default_factory=dict)
    """Facts that the request has to have, with these JSON values."""
    skill: str | None = None
    """The agent's skill that is wanted; None: the default turn takes it."""


class Card(BaseModel):
    """What the registry stores of an agent; frozen, JSON."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    name: str
    """The agent's name: `[a-z][a-z0-9_-]{0,47}`."""
    description: str
    """One line: the agent's area."""
    skills: tuple[SkillCard, ...] = ()
    """Named skills; what the classifier is trained over."""
    examples: tuple[str, ...] = ()
    """Loose examples of the agent as a whole; weaker than examples of a skill."""
    rules: tuple[Rule, ...] = ()
    """Requests that go to this agent before anything is classified."""
    entry: bool = True
    """False: reached by handoff or by `to`, never chosen by the router."""
    targets: tuple[str, ...] = ()
    """Names this agent may hand off to; `router` and `human` need no mention."""
    version: str = "1"
    """The agent's own version, as its author counts it."""
