"""Rules: what holds, who wins, and what is wrong with one."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from baton.card import Card, Rule, SkillCard
from baton.routing import features, rules
from baton.routing.card_set import card_set_hash


def card(name: str, *given: Rule, **changes: Any) -> Card:
    return Card(name=name, description=name, skills=(SkillCard(name="freeze"),), rules=given, **changes)


def chosen(text: str, facts: dict[str, Any], *cards: Card, **options: Any) -> str | None:
    found = rules.match(text, facts, cards, **options)
    return found and found.agent


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    rules._warn.cache_clear()
    with caplog.at_level(logging.WARNING, "baton.routing"):
        yield caplog


def test_a_pattern_is_searched_anywhere_in_the_text() -> None:
    cards = card("cards", Rule(pattern=r"(?i)\bstolen\b"))
    assert chosen("My card was STOLEN yesterday", {}, cards) == "cards"
    assert chosen("My card was swallowed", {}, cards) is None


@pytest.mark.parametrize(
    ("pattern", "text"), [("(?i)украли", "Карту УКРАЛИ 😀"), ("丢", "我的卡丢了"), (r"\pL{3}$", "שלום"), ("😀", "a😀b")]
)
def test_patterns_read_any_script(pattern: str, text: str) -> None:
    assert chosen(text, {}, card("cards", Rule(pattern=pattern))) == "cards"


def test_all_conditions_of_a_rule_have_to_hold() -> None:
    cards = card("cards", Rule(pattern="lost", facts={"channel": "app", "vip": True}))
    assert chosen("lost", {"channel": "app", "vip": True, "more": 1}, cards) == "cards"
    assert chosen("found", {"channel": "app", "vip": True}, cards) is None
    assert chosen("lost", {"channel": "web", "vip": True}, cards) is None
    assert chosen("lost", {"channel": "app"}, cards) is None


@pytest.mark.parametrize(
    ("wanted", "given", "holds"),
    [
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (None, None, True),
        ("1", 1, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ],
)
def test_facts_are_compared_as_json(wanted: Any, given: Any, holds: bool) -> None:
    assert (chosen("x", {"fact": given}, card("cards", Rule(facts={"fact": wanted}))) == "cards") is holds


def test_a_fact_that_is_absent_is_not_null() -> None:
    assert chosen("x", {}, card("cards", Rule(facts={"fact": None}))) is None


def test_of_two_agents_the_one_with_more_conditions_wins_and_a_draw_is_nobodys() -> None:
    one, more = Rule(pattern="card"), Rule(pattern="card", facts={"channel": "app"})
    in_app = {"channel": "app"}
    assert chosen("card", in_app, card("a", one), card("b", more)) == "b"
    assert chosen("card", in_app, card("b", more), card("a", one)) == "b"
    assert chosen("card", in_app, card("a", one), card("b", one)) is None
    assert chosen("card", in_app, card("a", more), card("b", more), card("c", one)) is None


def test_of_one_agents_rules_the_one_with_the_most_conditions_names_the_skill_then_the_first() -> None:
    plain, skilled = Rule(pattern="card"), Rule(pattern="card", facts={"x": 1}, skill="freeze")
    found = rules.match("card", {"x": 1}, [card("cards", plain, skilled)])
    assert found is not None
    assert found.skill == "freeze"
    first = rules.match("card", {}, [card("cards", Rule(pattern="c", skill="freeze"), plain)])
    assert first is not None
    assert first.skill == "freeze"


def test_a_decision_by_rule_is_certain_and_says_which_rule_held() -> None:
    found = rules.match("card", {"x": 1}, [card("cards", Rule(pattern="c.*d", facts={"x": 1}))])
    assert found is not None
    assert (found.agent, found.best, found.method, found.model) == ("cards", "cards", "rule", None)
    assert (found.confidence, found.threshold, found.runner_up, found.margin) == (1.0, 0.0, None, 1.0)
    assert found.note == "a rule of cards: the text matches /c.*d/, x is 1"


def test_a_skill_that_the_card_does_not_have_is_not_named() -> None:
    found = rules.match("card", {}, [card("cards", Rule(pattern="c", skill="unheard of"))])
    assert found is not None
    assert (found.agent, found.skill) == ("cards", None)


def test_agents_that_are_left_out_or_no_entry_win_nothing() -> None:
    both = card("a", Rule(pattern="x")), card("b", Rule(pattern="x"))
    assert chosen("x", {}, *both, without=frozenset({"a"})) == "b"
    assert chosen("x", {}, card("a", Rule(pattern="x"), entry=False)) is None
    assert chosen("x", {}) is None


def test_only_the_start_of_a_long_text_is_read() -> None:
    cards = card("cards", Rule(pattern="needle"))
    assert chosen("x" * (rules.MAX_CHARS - 6) + "needle", {}, cards) == "cards"
    assert chosen("x" * (rules.MAX_CHARS - 5) + "needle", {}, cards) is None
    assert rules.MAX_CHARS == features.MAX_CHARS


def test_a_text_with_a_lone_surrogate_is_read_all_the_same() -> None:
    assert chosen("a\udc80 needle", {}, card("cards", Rule(pattern="needle"))) == "cards"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(x+x+)+y", "a*a*a*a*a*a*b", "(.{0,30}){0,30}b"])
def test_no_pattern_takes_long_whatever_it_is(pattern: str) -> None:
    assert chosen("a" * 100_000, {}, card("cards", Rule(pattern=pattern))) is None


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", "missing ): ("),
        ("lost (?=card)", "invalid perl operator: (?=, at character 6"),
        (r"(a)\1", r"invalid escape sequence: \1, at character 4"),
        ("[z-a]", "invalid character class range: z-a, at character 2"),
        ("a{1001}", "invalid repetition size: {1001}, at character 2"),
        ("é(", "missing ): é("),
        ("((.{1000}){900}x)", ""),
        ("", "it has 0 characters; 1 to 1000 are allowed"),
        ("x" * 1001, "it has 1001 characters"),
        ("\udc80", "lone surrogate"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told_with_the_place(pattern: str, told: str) -> None:
    (problem,) = rules.problems(Rule.model_construct(pattern=pattern, facts={}, skill=None))
    assert "cannot be used: " in problem
    assert told in problem


def test_all_mistakes_of_a_rule_are_told() -> None:
    assert rules.problems(Rule(pattern="fine", facts={"x": [1]})) == []
    assert "no condition" in rules.problems(Rule())[0]
    assert "no condition" in rules.problems(Rule(skill="freeze"))[0]
    assert rules.problems(Rule.model_validate({"patern": "x"})) == [
        "it knows no condition 'patern'; conditions are pattern and facts"
    ]
    told = rules.problems(Rule(pattern="(", facts={"x": float("nan")}))
    assert len(told) == 2
    assert "NaN" in told[1]


@pytest.mark.parametrize("stored", [{"pattern": "("}, {"pattern": "card", "tenant": "x"}])
def test_a_stored_rule_that_cannot_be_checked_is_skipped_with_one_warning(
    stored: dict[str, Any], warnings: pytest.LogCaptureFixture
) -> None:
    read = Card.model_validate({"name": "a", "description": "a", "rules": [stored]})
    for _ in range(3):
        assert chosen("card (", {}, read) is None
    assert len(warnings.messages) == 1
    assert "a rule of agent 'a' is skipped: " in warnings.messages[0]


def test_a_stored_rule_without_conditions_holds_for_nothing(warnings: pytest.LogCaptureFixture) -> None:
    assert chosen("card", {}, card("a", Rule())) is None
    assert warnings.messages == []


def test_rules_survive_the_registry_and_play_no_part_in_the_card_set() -> None:
    given = card("a", Rule(pattern="x", facts={"n": [1, {"y": None}]}, skill="freeze"))
    assert Card.model_validate_json(given.model_dump_json()) == given
    assert card_set_hash([given]) == card_set_hash([card("a")])
