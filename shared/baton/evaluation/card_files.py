"""Cards from a file: Baton's own, or agents as data sets of dialogues list them.

In: JSON lines. Out: cards for a classifier.
"""

from typing import Any

from pydantic import ValidationError

from baton.card import Card, SkillCard
from baton.errors import ConfigError
from baton.evaluation import lines

ALLOWED_CARD = (
    '{"name": …, "description": …, "skills": [{"name": …, "examples": […]}], "examples": […]}, '
    'or with "agent" for "name" and skills as texts'
)
_NAME_LENGTH_MAX = 200  # as `SkillCard` allows


def read_cards(path: str) -> list[Card]:
    """Read cards, one a line.

    Args:
        path: JSON lines, each Baton's own card, or `{"agent", "description", "skills": [names], "examples"}`.

    Raises:
        ConfigError: The file cannot be read, has no card, has bad ones, or two of one name.
    """
    cards = lines.read(path, _card, allowed=ALLOWED_CARD)
    names = [card.name for card in cards]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ConfigError(f"{path!r} has more than one card of {', '.join(doubles)}; allowed is one for each agent")
    return cards


def _card(_number: int, fields: lines.Fields) -> Card:
    name = lines.text_in(fields, "name") or lines.needed_text(fields, "agent")
    skills = fields.get("skills") or []
    if not isinstance(skills, list):
        raise lines.BadLineError("'skills' is no list")
    given = {
        **fields,
        "name": name,
        "description": fields.get("description") or "",
        "skills": _distinct([_skill(skill) for skill in skills]),
        "examples": lines.texts_in(fields, "examples"),
    }
    try:
        return Card.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise lines.BadLineError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _skill(skill: Any) -> SkillCard:
    if isinstance(skill, str) and skill.strip():
        return SkillCard(name=skill[:_NAME_LENGTH_MAX])
    if not isinstance(skill, dict):
        raise lines.BadLineError(f"a skill is {lines.brief(skill)}")
    return SkillCard(
        name=lines.needed_text(skill, "name")[:_NAME_LENGTH_MAX], examples=lines.texts_in(skill, "examples")
    )


def _distinct(skills: list[SkillCard]) -> tuple[SkillCard, ...]:
    """Leave one skill of each name, with the examples of all."""
    found: dict[str, tuple[str, ...]] = {}
    for skill in skills:
        found[skill.name] = (*found.get(skill.name, ()), *skill.examples)
    return tuple(SkillCard(name=name, examples=examples) for name, examples in found.items())
