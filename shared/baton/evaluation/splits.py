"""What is trained on: rows drawn from a pool, and cards made of rows.

In: labelled rows and cards. Out: cards with so many examples; the same for the same seed everywhere.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from baton.card import Card, SkillCard
from baton.evaluation.rows import LabelledRow

_NAME_LENGTH_MAX = 48
_RESERVED = {"router", "human", "oos"}
_SKILL_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows drawn from a pool."""

    rows: tuple[LabelledRow, ...]
    scarce: tuple[str, ...]
    """Labels of which there were fewer rows than asked for; all of theirs are drawn."""


def draw(rows: Iterable[LabelledRow], shots: int, seed: int) -> Drawn:
    """Draw `shots` rows of each intent.

    Args:
        rows: The pool. Rows that are out of scope are not drawn: few-shot means cards alone.
        shots: At least 1.
        seed: Of the draw. Intents are drawn in the order of their names, from one generator.
    """
    pool: dict[str, list[LabelledRow]] = {}
    for row in rows:
        if not row.is_oos:
            pool.setdefault(row.label, []).append(row)
    generator = random.Random(seed)
    drawn = [row for _, found in sorted(pool.items()) for row in generator.sample(found, min(shots, len(found)))]
    return Drawn(tuple(drawn), tuple(sorted(label for label, found in pool.items() if len(found) < shots)))


def draw_examples(cards: Iterable[Card], shots: int, seed: int) -> list[Card]:
    """Leave each card `shots` of its loose examples, and of each of its skills', or all where it has fewer.

    Args:
        cards: In any order; drawn in the order of their names, from one generator.
        shots: At least 0.
        seed: Of the draw.
    """
    generator = random.Random(seed)

    def some(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(generator.sample(texts, min(shots, len(texts))))

    return [
        card.model_copy(
            update={
                "examples": some(card.examples),
                "skills": tuple(skill.model_copy(update={"examples": some(skill.examples)}) for skill in card.skills),
            }
        )
        for card in sorted(cards, key=lambda one: one.name)
    ]


def cards_of(
    rows: Iterable[tuple[LabelledRow, str]],
    *,
    cards: Sequence[Card] = (),
    descriptions: Mapping[str, str] | None = None,
) -> list[Card]:
    """Make cards of rows, or add rows to cards.

    Args:
        rows: Each with the name of its agent. Its intent becomes a skill with the text as an example; a row
            without an intent a loose example.
        cards: Those to add to.
        descriptions: What to say of agents that have no card yet; else their skills are listed.

    Returns:
        Cards in the order of their names.
    """
    skills = {card.name: {skill.name: list(skill.examples) for skill in card.skills} for card in cards}
    loose = {card.name: list(card.examples) for card in cards}
    for row, agent in rows:
        named, unnamed = skills.setdefault(agent, {}), loose.setdefault(agent, [])
        (named.setdefault(words(row.intent), []) if row.intent else unnamed).append(row.text)
    known = {card.name: card for card in cards}
    return [
        known.get(name, Card(name=name, description=(descriptions or {}).get(name, "") or words(name))).model_copy(
            update={
                "skills": tuple(SkillCard(name=skill, examples=tuple(texts)) for skill, texts in skills[name].items()),
                "examples": tuple(loose[name]),
            }
        )
        for name in sorted(skills)
    ]


def words(label: str) -> str:
    """Return a label as a person would say it: `card_not_working` as `card not working`."""
    return " ".join(re.sub(r"[_\W]+", " ", label).split())[:_SKILL_LENGTH_MAX] or label[:_SKILL_LENGTH_MAX]


def agent_names(labels: Iterable[str]) -> dict[str, str]:
    """Return a name for each label that an agent may have, no two the same.

    Args:
        labels: Any texts.

    Returns:
        Names `[a-z][a-z0-9_-]{0,47}` by label.
    """
    names: dict[str, str] = {}
    taken = set(_RESERVED)
    for label in sorted(set(labels)):
        start = _spelled(label)
        name, number = start, 1
        while name in taken:
            number += 1
            name = f"{start[: _NAME_LENGTH_MAX - len(str(number)) - 1]}-{number}"
        taken.add(name)
        names[label] = name
    return names


def _spelled(label: str) -> str:
    spelled = re.sub(r"[^a-z0-9_]+", "-", label.lower()).strip("-_")
    return (spelled if spelled[:1].isalpha() else f"agent-{spelled}".strip("-"))[:_NAME_LENGTH_MAX]
