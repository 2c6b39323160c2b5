"""What the offline model is trained on: the texts of the cards, grouped by skill and agent.

In: cards, in any order. Out: a `TrainingSet` in one canonical order, for `model`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from baton.card import Card
from baton.routing.features import normalise
from baton.routing.softmax import IntArray

MAX_EXAMPLES = 100
"""Examples taken of one skill, the first ones."""
MAX_TEXTS = 30_000
"""Texts taken of all cards; where there are more skills, each is left with fewer examples."""
FOLDS = 5
"""Into so many parts examples are dealt out, each of which can be held out."""


_Group: TypeAlias = tuple[str, str | None, Mapping[str, bool]]  # agent, skill, texts


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Texts grouped by skill, skills grouped by agent; the last skill and agent are the background."""

    agents: tuple[str, ...]
    """Names of the agents, ascending, without the background."""
    skills: tuple[str | None, ...]
    """Names of the skills; None: an agent's own name, description and loose examples."""
    texts: tuple[str, ...]
    """Normalised; at least one per skill, then the background's."""
    skill_of: IntArray
    """Index of the skill of each text, ascending; `len(skills)` is the background."""
    agent_of: IntArray
    """Index of the agent of each skill, ascending; `len(agents)` is the background."""
    is_example: npt.NDArray[np.bool_]
    """Per text: a request that a card gives as an example; not a name, a description or background."""

    def folds(self) -> list[IntArray]:
        """Deal the examples out: at most `FOLDS` parts, none empty, each with about as many of every skill.

        Returns:
            Indices of texts, ascending.
        """
        examples = np.flatnonzero(self.is_example)
        skills = self.skill_of[examples]
        place = np.arange(len(examples)) - np.searchsorted(skills, skills)  # within the skill
        fold = (place + skills) % FOLDS  # skills with a single example are dealt out, too
        parts = (examples[fold == one] for one in range(FOLDS))
        return [part for part in parts if len(part)]


def collect(cards: Sequence[Card], foreign: Sequence[str] = ()) -> TrainingSet:
    """Gather the texts of `cards` and the background.

    Args:
        cards: In any order. Skills of one name, and cards of one name, are taken together.
        foreign: Requests that none of them handles; they join the background.
    """
    limit = _examples_per_skill(cards)
    by_agent: dict[str, dict[str | None, dict[str, bool]]] = {}
    for card in cards:
        skills = by_agent.setdefault(card.name, {})
        named = {normalise(skill.name) for skill in card.skills}
        titles = [title for title in (card.name, card.description) if normalise(title) not in named]
        if titles or card.examples:  # what also names a skill would pull two ways
            _add(skills.setdefault(None, {}), titles, card.examples[:limit])
        for skill in card.skills:
            _add(skills.setdefault(skill.name, {}), (skill.name,), skill.examples[:limit])
    return _assembled(
        tuple(sorted(by_agent)),
        [
            (agent, skill, texts)
            for agent, skills in sorted(by_agent.items())
            for skill, texts in sorted(skills.items(), key=lambda item: item[0] or "")
        ],
        dict.fromkeys((*background(), *filter(None, map(normalise, foreign)))),
    )


@cache
def background() -> tuple[str, ...]:
    """Return requests that no desk handles, so that a text may resemble none of the agents."""
    lines = resources.files("baton.routing").joinpath("background.txt").read_text(encoding="utf-8")
    return tuple(normalise(line) for line in lines.splitlines())


def _examples_per_skill(cards: Sequence[Card]) -> int:
    skills = sum(len(card.skills) + 1 for card in cards)
    return max(1, min(MAX_EXAMPLES, MAX_TEXTS // max(skills, 1) - 1))


def _add(texts: dict[str, bool], titles: Iterable[str], examples: Iterable[str]) -> None:
    """Add names or a description, and examples; of equal texts one stays."""
    for title in titles:
        texts.setdefault(normalise(title), False)
    texts.update((words, True) for words in map(normalise, examples) if words)


def _assembled(agents: tuple[str, ...], grouped: Sequence[_Group], nobodys: Iterable[str]) -> TrainingSet:
    position = {agent: index for index, agent in enumerate(agents)}
    rows = [
        (text, index, is_example)
        for index, (_, _, texts) in enumerate(grouped)
        for text, is_example in sorted(texts.items())
    ]
    rows += [(text, len(grouped), False) for text in nobodys]
    return TrainingSet(
        agents=agents,
        skills=tuple(skill for _, skill, _ in grouped),
        texts=tuple(text for text, _, _ in rows),
        skill_of=np.array([skill for _, skill, _ in rows], dtype=np.int64),
        agent_of=np.array([*(position[agent] for agent, _, _ in grouped), len(agents)], dtype=np.int64),
        is_example=np.array([is_example for _, _, is_example in rows], dtype=np.bool_),
    )
