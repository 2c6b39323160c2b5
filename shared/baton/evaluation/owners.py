"""Whose a labelled row is: from its agent, its intent, the departments given, or the labels learnt from.

In: rows and cards. Out: the name of one of the agents, or that there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from baton.card import Card
from baton.errors import ConfigError
from baton.evaluation import lines
from baton.evaluation.rows import Departments, LabelledRow
from baton.evaluation.splits import agent_names, words

_NAMED = 8  # agents told beside a label that belongs to none


@dataclass(frozen=True, slots=True)
class Owners:
    """Finds the agent of a row."""

    names: Mapping[str, str]
    """Name of the agent by what rows may call it."""
    departments: Mapping[str, str] = field(default_factory=dict)
    """Agent by intent, as given: it wins over a row's own agent."""
    learnt: Mapping[str, str] = field(default_factory=dict)
    """Agent by intent, as in the rows learnt from: for rows that name none."""
    by_agent: bool = True
    """False: the agent of a row is not looked at, each intent is an agent."""

    @classmethod
    def of_rows(cls, rows: Sequence[LabelledRow], departments: Departments, *, by_agent: bool) -> Self:
        """Return the owners where the rows are all there is: each agent or intent is an agent.

        Args:
            rows: In scope.
            departments: Who takes which intent; may be empty.
            by_agent: False: each intent is an agent, whatever the rows say.
        """
        learnt = {row.intent: row.agent for row in rows if row.intent and row.agent} if by_agent else {}
        bare = cls({}, departments.intents, learnt, by_agent)
        names = agent_names(bare.called(row) for row in rows)
        return cls(names, departments.intents, learnt, by_agent)

    @classmethod
    def of_cards(cls, cards: Sequence[Card], departments: Departments, *, by_agent: bool) -> Self:
        """Return the owners where cards are given: a row names an agent, or an intent that is one's skill."""
        skills: dict[str, set[str]] = {}
        for card in cards:
            for skill in card.skills:
                skills.setdefault(words(skill.name).lower(), set()).add(card.name)
        names = {skill: min(owners) for skill, owners in skills.items() if len(owners) == 1}
        names |= {words(card.name).lower(): card.name for card in cards}
        names |= {card.name: card.name for card in cards}
        return cls(names, departments.intents, {}, by_agent)

    def called(self, row: LabelledRow) -> str:
        """Return what the row calls its agent."""
        given = self.departments.get(row.intent) if row.intent else None
        own = row.agent if self.by_agent or row.intent is None else None
        return given or own or self.learnt.get(row.label) or row.label

    def find(self, row: LabelledRow) -> str | None:
        """Return the agent of a row in scope; None: it belongs to none of them."""
        called = self.called(row)
        return self.names.get(called) or self.names.get(words(called).lower())

    def all(self, rows: Iterable[LabelledRow], path: str) -> list[str | None]:
        """Return the agent of each row; None for those out of scope.

        Args:
            rows: As read from `path`.
            path: For what is told of the others.

        Raises:
            ConfigError: Rows belong to none of the agents.
        """
        found: list[str | None] = []
        problems: dict[str, str] = {}
        known = sorted(set(self.names.values()))
        told = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
        for row in rows:
            found.append(None if row.is_oos else self.find(row))
            if found[-1] is None and not row.is_oos:
                label = self.called(row)
                problems.setdefault(label, f"{path!r} line {row.number}: {label!r} is none of the agents {told}")
        if problems:
            raise ConfigError(lines.some([*problems.values()]))
        return found
