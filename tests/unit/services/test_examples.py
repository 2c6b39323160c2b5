"""The cards of the desk: complete, and each example says something of its own."""

import re
from collections import Counter

import pytest

from services.team import desk

DEPARTMENTS = ("cards", "payments", "cash", "transfers", "topups", "exchange", "account")
EXAMPLES_MIN = 6
SKILLS_MIN, SKILLS_MAX = 6, 16


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9£$€]+", text.lower().replace("'", "")))


def test_every_department_has_an_agent_that_the_router_can_choose() -> None:
    assert sorted(card.name for card in desk.cards() if card.entry) == sorted(DEPARTMENTS)
    assert [card.name for card in desk.cards() if not card.entry] == ["disputes"]


@pytest.mark.parametrize("department", DEPARTMENTS)
def test_every_skill_has_examples_enough_and_a_handler(department: str) -> None:
    card = desk.card(department)
    assert SKILLS_MIN <= len(card.skills) <= SKILLS_MAX
    assert {skill.name: len(skill.examples) for skill in card.skills if len(skill.examples) < EXAMPLES_MIN} == {}
    assert list(desk.agents[department].handlers) == [skill.name for skill in card.skills]


def test_no_example_stands_twice() -> None:
    seen = Counter(words(example) for card in desk.cards() for skill in card.skills for example in skill.examples)
    assert [text for text, count in seen.items() if count > 1] == []


def test_agents_may_hand_off_where_the_paths_go() -> None:
    assert {card.name: card.targets for card in desk.cards() if card.targets} == {
        "cards": ("disputes",),
        "payments": ("cards", "disputes"),
        "cash": ("cards",),
        "account": ("cards",),
        "transfers": ("exchange",),
    }
