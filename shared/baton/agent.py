"""An agent: a name, an area, named skills with examples, and the functions that take its turns.

In: what a user declares. Out: a `Card` for the registry, and handlers for `hop.worker`.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from baton.card import Card, Rule, SkillCard
from baton.errors import TeamError
from baton.outcome import Outcome
from baton.routing import rules as routing_rules

if TYPE_CHECKING:
    from baton.hop.turn import Turn

NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
"""What an agent's name looks like; it is also a queue's and a user's name."""
ROUTER = "router"
HUMAN = "human"
RESERVED = frozenset({ROUTER, HUMAN})
"""Names that are not an agent's own."""

Handler = Callable[["Turn"], Awaitable[Outcome] | Outcome]
Resources = Callable[[], AbstractAsyncContextManager[Any]]
_H = TypeVar("_H", bound=Handler)
_R = TypeVar("_R", bound=Resources)


class Edge:
    """What `a >> b` makes: a may hand off to b. Edges do nothing until a `Team` binds them."""

    def __init__(self, sources: Sequence["Agent | str"], targets: Sequence["Agent | str"]) -> None:
        self.sources = tuple(sources)
        self.targets = tuple(targets)

    def pairs(self) -> Iterable[tuple["Agent | str", "Agent | str"]]:
        """Yield each (source, target) that this edge allows."""
        return ((a, b) for a in self.sources for b in self.targets if a != b)

    def __rshift__(self, other: object) -> "Edge":
        """Refuse `a >> b >> c`: it reads like a pipeline, and handoffs are none.

        Raises:
            TeamError: Always; says how to write it.
        """
        raise TeamError(
            f"{self!r} >> {other!r}: `a >> b` says that a may hand off to b, so edges do not chain; "
            "write [a >> b, b >> c], or a >> [b, c]"
        )

    def __repr__(self) -> str:
        return f"{_shown(self.sources)} >> {_shown(self.targets)}"


class Agent:
    """A specialist that runs, scales and fails on its own.

    Args:
        name: `[a-z][a-z0-9_-]{0,47}`; `router` and `human` are reserved.
        description: One line: its area; the router reads it.
        examples: Requests it should get; better given to skills.
        skills: Names of skills, where the default handler does the work.
        handoffs: Names of agents elsewhere that it may hand off to.
        rules: Requests that go to it before anything is classified.
        entry: False: reached by handoff or by `to`, never by the router.
        needs: A pydantic model that the facts have to satisfy before a handoff to it commits.
        concurrency: Hops at a time in one process, >= 1; None: `BATON_CONCURRENCY`.
        max_attempts: Attempts at one hop before the run fails, >= 1.
        timeout_s: Seconds one turn may take, > 0; then it is retried.
        auto_handoff: True: a reply that is surely about something else goes on to the agent for it, without
            running the turn; never back to one that had this run before.
        version: The agent's own version, shown in its card.

    Raises:
        TeamError: A name or number is not allowed; tells all of them.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        examples: Sequence[str] = (),
        skills: Sequence[str] = (),
        handoffs: Sequence[str] = (),
        rules: Sequence[Rule] = (),
        entry: bool = True,
        needs: type[BaseModel] | None = None,
        concurrency: int | None = None,
        max_attempts: int = 6,
        timeout_s: float = 300,
        auto_handoff: bool = False,
        version: str = "1",
    ) -> None:
        self.name = name
        self.description = description
        self.examples = tuple(examples)
        self.handoffs = tuple(handoffs)
        self.rules = tuple(rules)
        self.entry = entry
        self.needs = needs
        self.concurrency = concurrency
        self.max_attempts = max_attempts
        self.timeout_s = timeout_s
        self.auto_handoff = auto_handoff
        self.version = version
        self.default: Handler | None = None
        self.handlers: dict[str, Handler] = {}
        self.open_resources: Resources | None = None
        self._skills: dict[str, tuple[str, ...]] = dict.fromkeys(skills, ())
        if problems := [*self._problems(examples, skills, handoffs), *self._rule_problems(rules)]:
            raise TeamError(problems)

    def turn(self, handler: _H) -> _H:
        """Make `handler` the default: it takes what no skill of its own does.

        Raises:
            TeamError: The agent has a default handler already.
        """
        if self.default is not None:
            raise TeamError(f"agent {self.name!r} has two default turns; one is allowed")
        self.default = handler
        return handler

    def skill(self, name: str, *, examples: Sequence[str] = ()) -> Callable[[_H], _H]:
        """Name a skill and register its handler.

        Args:
            name: A few words, as a person would say it; counts as an example.
            examples: Requests that want it; three or more.

        Raises:
            TeamError: The name is empty or taken.
        """
        if not name.strip() or name in self.handlers:
            raise TeamError(f"agent {self.name!r}: skill {name!r} is empty or named twice")

        def register(handler: _H) -> _H:
            self._skills[name] = tuple(examples)
            self.handlers[name] = handler
            return handler

        return register

    def resources(self, opener: _R) -> _R:
        """Open this async context manager once per process; its value is `turn.resources`."""
        self.open_resources = opener
        return opener

    def handler(self, skill: str | None) -> Handler:
        """Return the function that takes a turn for `skill`.

        Raises:
            TeamError: There is neither a handler for the skill nor a default one.
        """
        found = self.handlers.get(skill, self.default) if skill else self.default
        if found is None:
            wanted = f"skill {skill!r}" if skill else "a handoff"
            known = ", ".join(map(repr, self.handlers)) or "none"
            raise TeamError(
                f"agent {self.name!r} has no handler for {wanted}: no default `@{self.name}.turn`; skills: {known}"
            )
        return found

    def card(self, targets: Sequence[str] = ()) -> Card:
        """Return the agent's card, with `targets` beside its own `handoffs`.

        Raises:
            TeamError: A rule names a skill that the agent does not have.
        """
        if problems := self.skill_problems():
            raise TeamError(problems)
        return Card(
            name=self.name,
            description=self.description,
            skills=tuple(SkillCard(name=name, examples=examples) for name, examples in self._skills.items()),
            examples=self.examples,
            rules=self.rules,
            entry=self.entry,
            targets=tuple(sorted({*self.handoffs, *targets})),
            version=self.version,
        )

    def skill_problems(self) -> list[str]:
        """Return what is wrong with the skills that rules name; known when all skills are declared."""
        known = ", ".join(map(repr, self._skills)) or "none"
        return [
            f"agent {self.name!r}: rule {place} names the skill {rule.skill!r}; its skills: {known}"
            for place, rule in enumerate(self.rules, start=1)
            if rule.skill is not None and rule.skill not in self._skills
        ]

    def __rshift__(self, other: object) -> Edge:
        return Edge([self], _ends(other))

    def __rrshift__(self, other: object) -> Edge:
        return Edge(_ends(other), [self])

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _rule_problems(self, given: object) -> list[str]:
        who = f"agent {self.name!r}"
        if not isinstance(given, list | tuple) or not all(isinstance(one, Rule) for one in given):
            return [f"{who}: rules is {given!r}; it has to be a list of Rule(…)"]
        told = (
            [f"{who}: it has rules, but entry=False: the router never chooses it"] if given and not self.entry else []
        )
        found = [(place, why) for place, rule in enumerate(given, 1) for why in routing_rules.problems(rule)]
        return told + [f"{who}: rule {place}: {why}" for place, why in found]

    def _problems(self, *lists: object) -> list[str]:
        who = f"agent {self.name!r}"
        name_fits = isinstance(self.name, str) and NAME.fullmatch(self.name) is not None
        checks = {
            f"{who}: a name has to match {NAME.pattern}": name_fits,
            f"{who}: {', '.join(sorted(RESERVED))} are reserved names": not name_fits or self.name not in RESERVED,
            f"{who}: a description is needed; the router reads it": isinstance(self.description, str)
            and bool(self.description.strip()),
            f"{who}: examples, skills and handoffs are lists of strings": all(map(_is_strings, lists)),
            f"{who}: concurrency is {self.concurrency!r}; a whole number of at least 1": self.concurrency is None
            or _is_count(self.concurrency),
            f"{who}: max_attempts is {self.max_attempts!r}; a whole number of at least 1": _is_count(self.max_attempts),
            f"{who}: timeout_s is {self.timeout_s!r}; a number of seconds, more than 0": _is_seconds(self.timeout_s),
            f"{who}: needs is {self.needs!r}; a pydantic model": self.needs is None or _is_model(self.needs),
        }
        return [problem for problem, is_fine in checks.items() if not is_fine]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _is_strings(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _ends(value: object) -> list["Agent | str"]:
    if isinstance(value, Agent | str):
        return [value]
    if isinstance(value, list | tuple) and all(isinstance(one, Agent | str) for one in value):
        return list(value)
    if isinstance(value, Edge):
        raise TeamError(f"an edge is no agent: {value!r}; edges do not chain, write [a >> b, b >> c]")
    raise TeamError(f"{value!r} is no agent; `>>` takes an Agent, a name, or a list of them")


def _shown(ends: Sequence["Agent | str"]) -> str:
    names = [end if isinstance(end, str) else end.name for end in ends]
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
