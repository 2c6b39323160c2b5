"""A team: the agents and who may hand off to whom.

In: edges. Out: the agents with their cards' targets bound, ready to be served together or apart.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from baton.agent import HUMAN, NAME, RESERVED, ROUTER, Agent, Edge
from baton.card import Card
from baton.config import Settings
from baton.errors import TeamError
from baton.routing.decision import Classifier
from baton.routing.llm import LLMClassifier

if TYPE_CHECKING:
    from baton.request import Result


@dataclass(frozen=True, slots=True)
class Part:
    """What one process serves: some agents of a team, its router, or all of it."""

    cards: tuple[Card, ...]
    """Of the agents, their targets bound."""
    agents: Mapping[str, Agent]
    has_router: bool
    team: str | None = None
    """The team's name; None: whatever the journal belongs to."""
    fallback: str | None = None
    classifier: Classifier | None = None
    llm: LLMClassifier | None = None
    is_whole: bool = False
    """True where no other process serves an agent of this team."""

    @classmethod
    def alone(cls, *agents: Agent) -> "Part":
        """Return agents that belong to no team in this process; their own `handoffs` are their edges."""
        return cls(tuple(agent.card() for agent in agents), {agent.name: agent for agent in agents}, has_router=False)

    @classmethod
    def router(cls) -> "Part":
        """Return the router alone, which takes all cards from the journal."""
        return cls((), {}, has_router=True)

    @property
    def names(self) -> list[str]:
        """Whose queues it serves."""
        return [*([ROUTER] if self.has_router else []), *self.agents]


class Group(Edge):
    """The handoff strategy in which any of these may hand off to any other."""

    def __init__(self, *members: Agent | str) -> None:
        super().__init__(members, members)


class Team:
    """Agents, edges, and who takes what nobody else does.

    Args:
        name: Names the team in the journal: one team per journal and vhost.
        edges: What `>>` and `Group` made.
        agents: Agents without an edge.
        fallback: An agent, its name, or `"human"`: gets what the router cannot place and what
            a guard stopped. None: such runs fail and say why.
        classifier: Places requests; None: the offline classifier that ships with Baton.
        llm: Is asked where the classifier is unsure; None: nobody is.

    Raises:
        TeamError: Names clash or are reserved, an edge names no agent; tells all of it at once.
    """

    def __init__(
        self,
        name: str,
        edges: Sequence[Edge] = (),
        *,
        agents: Sequence[Agent] = (),
        fallback: Agent | str | None = None,
        classifier: Classifier | None = None,
        llm: LLMClassifier | None = None,
    ) -> None:
        self.name = name
        self.classifier = classifier
        self.llm = llm
        self.fallback = fallback.name if isinstance(fallback, Agent) else fallback
        self._targets: dict[str, set[str]] = {}
        if problems := _wrong_kinds(edges, agents, fallback):
            raise TeamError(problems)
        ends = [end for edge in edges for end in (*edge.sources, *edge.targets)]
        given = [one for one in (*ends, *agents, fallback) if isinstance(one, Agent)]
        self.agents: dict[str, Agent] = {agent.name: agent for agent in given}
        for source, target in (pair for edge in edges for pair in edge.pairs()):
            self._targets.setdefault(_name(source), set()).add(_name(target))
        problems = [*self._name_problems(given, ends), *self._handler_problems(), *_llm_problems(llm)]
        problems += [told for agent in self.agents.values() for told in agent.skill_problems()]
        if problems:
            raise TeamError(problems)

    def cards(self) -> list[Card]:
        """Return the card of each agent, its targets bound."""
        return [self.card(name) for name in self.agents]

    def card(self, name: str) -> Card:
        """Return one agent's card, its targets bound."""
        return self.agents[name].card(sorted(self._targets.get(name, ())))

    def whole(self) -> Part:
        """Return all of the team, router included, as one process serves it."""
        return replace(self.part(*self.agents), has_router=True, is_whole=True)

    def part(self, *names: str) -> Part:
        """Return these agents, as a process of their own serves them.

        Raises:
            TeamError: One of them is no agent of this team.
        """
        if strange := [name for name in names if name not in self.agents]:
            known = ", ".join(self.agents)
            raise TeamError(f"team {self.name!r} has no agent {', '.join(map(repr, strange))}; it has {known}")
        return Part(
            tuple(self.card(name) for name in names),
            {name: self.agents[name] for name in names},
            has_router=False,
            team=self.name,
            fallback=self.fallback,
            classifier=self.classifier,
            llm=self.llm,
        )

    async def run(self, text: str, *, timeout_s: float = 60.0, **request: Any) -> "Result":
        """Serve the team in this process, send one request, and return its result.

        Args:
            text: The request.
            timeout_s: Seconds to wait for the result, > 0.
            **request: What `Client.send` takes beside the text.

        Raises:
            RequestError: The request is not taken.
            ResultTimeoutError: It did not end in time; a later `run` goes on with it.
        """
        from baton.service import serving

        async with serving(self, Settings.from_env(os.environ)) as service:
            sent = await service.client.send(text, **request)
            return await sent.result(timeout_s=timeout_s)

    def run_sync(self, text: str, *, timeout_s: float = 60.0, **request: Any) -> "Result":
        """Do what `run` does, for programs without an event loop."""
        return asyncio.run(self.run(text, timeout_s=timeout_s, **request))

    def __repr__(self) -> str:
        return f"Team({self.name!r}, {', '.join(self.agents) or 'no agents'})"

    def _name_problems(self, given: Sequence[Agent], ends: Sequence[Agent | str]) -> list[str]:
        problems = []
        if not NAME.fullmatch(str(self.name)):
            problems.append(f"team {self.name!r}: a name has to match {NAME.pattern}")
        if not given:
            problems.append(f"team {self.name!r} has no agents; give it edges or agents=[…]")
        for name in sorted({one.name for one in given if self.agents[one.name] is not one}):
            problems.append(f"team {self.name!r} has two agents named {name!r}; names are unique")
        strings = {end for end in ends if isinstance(end, str)} | ({self.fallback} if self.fallback else set())
        for name in sorted(strings - RESERVED):
            if not NAME.fullmatch(name):
                problems.append(f"team {self.name!r}: {name!r} is no agent's name; it has to match {NAME.pattern}")
        if self.fallback == ROUTER:
            problems.append(f"team {self.name!r}: the router cannot be the fallback; name an agent or {HUMAN!r}")
        for name in sorted(RESERVED & self._targets.keys()):
            problems.append(f"team {self.name!r}: {name!r} needs no edges of its own; it may reach every agent")
        return problems

    def _handler_problems(self) -> list[str]:
        return [
            f"agent {name!r} has no default turn; decorate a function with @{name}.turn: it takes handoffs "
            "and what no named skill fits"
            for name, agent in self.agents.items()
            if agent.default is None
        ]


def _name(end: Agent | str) -> str:
    return end if isinstance(end, str) else end.name


def _llm_problems(llm: object) -> list[str]:
    fits = llm is None or isinstance(llm, LLMClassifier)
    return [] if fits else [f"llm is {llm!r}; it has to be an LLMClassifier(ask)"]


def _wrong_kinds(edges: object, agents: object, fallback: object) -> list[str]:
    problems = []
    for name, given, kind, hint in (
        ("edges", edges, Edge, "edges are made by `a >> b` and Group(…)"),
        ("agents", agents, Agent, "agents are made by Agent(…)"),
    ):
        if not isinstance(given, list | tuple):
            problems.append(f"{name} is {given!r}; it has to be a list: {name}=[…]")
            continue
        problems += [f"{one!r} is no {kind.__name__.lower()}; {hint}" for one in given if not isinstance(one, kind)]
    if not isinstance(fallback, Agent | str | None):
        problems.append(f"fallback is {fallback!r}; it has to be an agent, a name or {HUMAN!r}")
    return problems
