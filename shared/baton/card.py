"""How an agent presents itself: the only thing the router knows about it.

In: what `Agent` was declared with. Out: rows of the registry, read by `routing` and by the guards.
"""

from pydantic import BaseModel, ConfigDict, Field


class SkillCard(BaseModel):
    """One named thing an agent can do."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=200)
    """A few words, as a person would say it; counts as an example."""
    examples: tuple[str, ...] = ()
    """Requests that want this skill; three or more make it easy to recognise."""


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
    entry: bool = True
    """False: reached by handoff or by `to`, never chosen by the router."""
    targets: tuple[str, ...] = ()
    """Names this agent may hand off to; `router` and `human` need no mention."""
    version: str = "1"
    """The agent's own version, as its author counts it."""
